//! What `ccd check` says about forges, whatever they answer.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ports::clock::FakeClock;
use ports::forge::fake::{FakeForge, FaultKind};
use serde_json::{Value, json};

use super::Finding;
use super::forges::{SetUp, ask};

const TOKEN: &str = "token-of-the-bot-4711";

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// Returns a line of a backup.
fn line(resource: &str, object: &Value) -> String {
    format!(r#"{{"resource":"{resource}","object":{object}}}"#)
}

fn forge(name: &str, more: Value) -> String {
    let mut spec = json!({"url": format!("https://{name}.example"), "tokenSecretRef": {"name": "forge-token"}});
    for (member, value) in more.as_object().unwrap() {
        spec[member] = value.clone();
    }
    let object =
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Forge", "metadata": {"name": name}, "spec": spec});
    line("forges.ci.coopcloud.tech", &object)
}

fn secret(name: &str, token: &str) -> String {
    let object = json!({"metadata": {"namespace": "default", "name": name}, "data": {"token": STANDARD.encode(token)}});
    line("secrets", &object)
}

fn played() -> FakeForge {
    let forge = FakeForge::new(Arc::new(FakeClock::at(now())));
    forge.world().token("bot", TOKEN, None).token("bot", "weak", Some(&["read:user", "write:repository"]));
    forge
}

async fn found(forge: &FakeForge, backup: &[String]) -> Vec<Finding> {
    ask(&*forge.forges(), &SetUp::of(backup), Duration::from_secs(12), now()).await
}

fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        format!("{} {:?}\n  {}\n  {}", finding.check, finding.verdict, finding.detail, finding.fix)
            .trim_end()
            .to_owned()
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(start_paused = true)]
async fn each_forge_is_told_with_what_to_do() {
    let other = |name: &str| json!({"tokenSecretRef": {"name": name}});
    let backup = [
        secret("forge-token", TOKEN),
        secret("weak", "weak"),
        secret("old", "nobody-knows-this-one"),
        line("testruns.ci.coopcloud.tech", &json!({"spec": {}})),
        forge("good", json!({})),
        forge("lacks", other("weak")),
        forge("misnamed", json!({"flavor": "Forgejo"})),
        forge("nowhere", json!({"tokenSecretRef": {"name": "missing", "key": "pass", "namespace": "ci"}})),
        forge("revoked", other("old")),
        forge("sleeps", json!({"suspend": true})),
    ];
    insta::assert_snapshot!(told(&found(&played(), &backup).await), @r"
    forge Ok
      good at https://good.example: Version 1.24.2 answers, and bot may do what is needed
    forge Warn
      lacks at https://lacks.example: The token lacks read:organization, write:issue: make one with these scopes as well (Settings, Applications), and put it into the Secret
      make a token with all scopes that docs/forges.md lists and put it into the Secret default/weak
    forge Warn
      misnamed at https://misnamed.example: It is a Gitea, and spec.flavor says otherwise: set it to Gitea or to Auto
      `kubectl edit forge misnamed`
    forge Warn
      nowhere at https://nowhere.example: The token is taken from the key pass of the Secret ci/missing, which is not there or is empty: create it
      `kubectl create secret generic missing -n ci --from-literal=pass=TOKEN`
    forge Warn
      revoked at https://revoked.example: https://revoked.example/ does not take the token (user does not exist [uid: 0, name: ]): make a new one and put it into the Secret
      make a new token on the forge and put it into the Secret default/old
    forge Ok
      sleeps at https://sleeps.example: suspended, so nobody asks it
    ");
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_takes_a_bounded_time_and_shows_no_token() {
    let repeats = format!("you sent {TOKEN}, which is wrong");
    let asked = |code: u16, body: &str| FaultKind::Status(code, Vec::new(), body.to_owned());
    for (fault, part, fix) in [
        (FaultKind::Refused, "cannot be reached", "spec.url is right"),
        (FaultKind::Slow(Duration::from_hours(1)), "", "spec.url is right"),
        (asked(500, &repeats), "", "see whether the server is well"),
        (asked(302, ""), "", "where it answers itself"),
        (asked(429, ""), "", "wait"),
        (asked(200, "<html>"), "", "see whether the server is well"),
        (FaultKind::Oversized, "", "see whether the server is well"),
    ] {
        let forge_there = played();
        forge_there.fail("GET", usize::MAX, fault.clone());
        let began = tokio::time::Instant::now();
        let findings = found(&forge_there, &[secret("forge-token", TOKEN), forge("home", json!({}))]).await;
        assert!(began.elapsed() <= Duration::from_secs(12), "{fault:?}: {:?}", began.elapsed());
        let told = told(&findings);
        assert!(told.starts_with("forge Warn\n  home at https://home.example"), "{fault:?}: {told}");
        assert!(told.contains(part) && told.contains(fix), "{fault:?}: {told}");
        assert!(!told.contains(TOKEN), "{told}");
    }
}
