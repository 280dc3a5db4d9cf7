//! What is said about a forge, whatever it answers.

use std::sync::Arc;

use api_types::kinds::forge::ForgeSpec;
use ports::clock::FakeClock;
use ports::forge::fake::{FakeForge, FaultKind};
use ports::forge::{ForgeAddress, ForgeToken};

use super::*;

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

async fn status_of(forge: &FakeForge, token: &str, flavor: ForgeFlavor) -> (ForgeStatus, Next) {
    let address = ForgeAddress { url: "http://forge.test".to_owned(), token: ForgeToken::new(token) };
    let client = forge.forges().connect(&address).unwrap();
    let seen = Observed::of(&*client).await;
    let object = Object::<Forge>::new("", "home", ForgeSpec { flavor, ..ForgeSpec::default() });
    let decision = Forges::decide(&object, &seen, now());
    (decision.status, decision.next)
}

fn words(status: &ForgeStatus) -> Vec<String> {
    let word = |condition: &Condition| format!("{}={} {}", condition.type_, condition.status.word(), condition.reason);
    status.conditions.iter().map(word).collect()
}

fn played() -> FakeForge {
    let forge = FakeForge::new(Arc::new(FakeClock::at(now())));
    forge.world().token("bot", "good", None).token("bot", "weak", Some(&["read:user", "write:repository"]));
    forge
}

#[tokio::test(start_paused = true)]
async fn a_good_forge_is_ready_and_looked_at_seldom() {
    let (status, next) = status_of(&played(), "good", ForgeFlavor::Auto).await;
    assert_eq!(
        words(&status),
        [
            "Reachable=True Reachable",
            "Authenticated=True Succeeded",
            "ScopesSufficient=True ScopesFound",
            "Ready=True Succeeded"
        ]
    );
    assert_eq!((status.version.as_deref(), status.login.as_deref()), (Some("1.24.2"), Some("bot")));
    assert_eq!((status.flavor, next), (Some(ForgeFlavor::Gitea), Next::After(WELL_PERIOD)));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named() {
    let (status, next) = status_of(&played(), "weak", ForgeFlavor::Auto).await;
    assert_eq!(status.missing_scopes, ["read:organization", "write:issue"]);
    let ready = condition::find(&status.conditions, READY).unwrap();
    assert_eq!(ready.reason, reason::SCOPES_MISSING);
    assert!(ready.message.contains("read:organization, write:issue"), "{}", ready.message);
    assert_eq!(next, Next::After(ILL_PERIOD));
}

#[tokio::test(start_paused = true)]
async fn every_trouble_has_its_condition_and_its_wait() {
    let fault = |code, after: &str| FaultKind::Status(code, vec![("retry-after".into(), after.into())], String::new());
    for (fault, expected, wait) in [
        (FaultKind::Refused, "Ready=False Unreachable", 30),
        (fault(429, "90"), "Ready=False RateLimited", 90),
        (FaultKind::Status(500, Vec::new(), String::new()), "Ready=False Unreachable", 30),
        (FaultKind::Status(200, Vec::new(), "<html>".into()), "Ready=False BadAnswer", 30),
    ] {
        let forge = played();
        forge.fail("GET /api/v1/version", 1, fault);
        let (status, next) = status_of(&forge, "good", ForgeFlavor::Auto).await;
        assert_eq!(words(&status).last().map(String::as_str), Some(expected));
        assert_eq!(next, Next::After(Duration::from_secs(wait)));
    }
    let (status, _) = status_of(&played(), "unknown", ForgeFlavor::Auto).await;
    assert_eq!(
        words(&status)[1..],
        ["Authenticated=False Unauthorized", "ScopesSufficient=Unknown Unreachable", "Ready=False Unauthorized"]
    );
}

#[tokio::test(start_paused = true)]
async fn old_and_other_servers_are_told() {
    let forge = played();
    "1.19.3".clone_into(&mut forge.world().version);
    let (status, _) = status_of(&forge, "good", ForgeFlavor::Auto).await;
    assert_eq!(words(&status)[0], "Reachable=False UnsupportedVersion");
    "15.0.0+gitea-1.22.0".clone_into(&mut forge.world().version);
    let (status, _) = status_of(&forge, "good", ForgeFlavor::Gitea).await;
    assert_eq!(words(&status)[0], "Reachable=False InvalidSpec");
    assert_eq!(status_of(&forge, "good", ForgeFlavor::Forgejo).await.0.flavor, Some(ForgeFlavor::Forgejo));
}
