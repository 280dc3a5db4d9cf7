//! The real `ccd` and `ccctl` with a played forge over HTTP: enrolled while it runs, rung by signed deliveries, killed in
//! between, and nothing is lost or doubled.

use std::process::Command;
use std::time::{Duration, Instant};

use ports::clock::SystemClock;
use ports::forge::Permission;
use ports::forge::fake::FakeForge;
use serde_json::Value;
use tests::daemon::{Daemon, program, wait_a_moment};
use tokio::runtime::Runtime;

const REPOSITORY: &str = "coop/wiki";
const TOKEN: &str = "token-of-the-bot-55d1";
const SECRET: &str = "secret-of-the-webhook-0e44";
const HEAD: &str = "3fa21c9000000000000000000000000000000001";
const PUSHED: &str = "beefbee000000000000000000000000000000002";

struct Place {
    daemon: Daemon,
    forge: FakeForge,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Place {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let daemon = Daemon::start(&folder.path().join("data")).expect("ccd starts");
        let forge = FakeForge::new(std::sync::Arc::new(SystemClock));
        forge
            .world()
            .token("bot", TOKEN, None)
            .member("coop", "bot", false)
            .member("coop", "ada", false)
            .repository(REPOSITORY)
            .collaborator(REPOSITORY, "bot", Permission::Write)
            .pull_request(REPOSITORY, 7, "ada", HEAD, false);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { daemon, forge, runtime, folder }
    }

    fn ccctl(&self, arguments: &[&str]) -> String {
        let output = Command::new(program("ccctl"))
            .arg("--kubeconfig")
            .arg(self.daemon.kubeconfig())
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .args(arguments)
            .env("HOME", self.folder.path())
            .output()
            .expect("ccctl runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ccctl {arguments:?}: {errors}\n{}", self.daemon.log());
        String::from_utf8(output.stdout).expect("text")
    }

    fn list(&self, plural: &str) -> Vec<Value> {
        let list: Value = serde_json::from_str(&self.ccctl(&["get", plural, "-o", "json"])).expect("JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen\n{}", self.daemon.log());
            wait_a_moment();
        }
    }

    /// Writes a comment and lets the forge deliver it.
    fn comment(&self, body: &str) -> (i64, u16) {
        let comment = self.forge.world().comment(REPOSITORY, 7, "ada", body);
        let delivery = self.forge.world().delivery(comment, "created").expect("a hook");
        (comment, self.runtime.block_on(delivery.send()).expect("ccd answers"))
    }

    fn runs_of(&self, comment: i64) -> usize {
        let label = comment.to_string();
        let labelled = |run: &&Value| run["metadata"]["labels"]["ci.coopcloud.tech/comment-id"] == label.as_str();
        self.list("testruns").iter().filter(labelled).count()
    }
}

#[test]
fn comments_become_runs_over_a_kill_and_forged_deliveries_do_nothing() {
    let mut place = Place::start();
    let url = place.runtime.block_on(place.forge.serve()).expect("the forge answers");
    place.ccctl(&["create", "secret", "generic", "forge-token", &format!("--from-literal=token={TOKEN}")]);
    place.ccctl(&["create", "secret", "generic", "webhook", &format!("--from-literal=secret={SECRET}")]);
    let forge = format!(
        r#"{{"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Forge", "metadata": {{"name": "home"}},
        "spec": {{"url": "{url}", "tokenSecretRef": {{"namespace": "default", "name": "forge-token"}}}}}}"#
    );
    let file = place.folder.path().join("forge.json");
    std::fs::write(&file, forge).expect("a file");
    place.ccctl(&["apply", "-f", &file.to_string_lossy()]);
    let enrol =
        ["enroll", REPOSITORY, "--forge=home", "--recipe=wiki", "--poll-interval=1h", "--webhook-secret=webhook"];
    assert!(place.ccctl(&enrol).contains("wiki enrolled"));
    let is_ready = |plural: &str| place.ccctl(&["get", plural]).contains("True");
    place.until("the repository is polled", || is_ready("repositories"));
    place.forge.world().hook(REPOSITORY, &format!("http://{}/hooks/default/wiki", place.daemon.http()), SECRET);

    let (first, status) = place.comment("Please have a look.\n\n!testme");
    assert_eq!(status, 202);
    place.until("there is a run", || place.runs_of(first) == 1);
    place.until("it is told", || !place.forge.world().comments_by(REPOSITORY, 7, "bot").is_empty());
    forged(&place);

    // Killed right after the delivery was taken: the next one finds what the first did not finish.
    let (second, _) = place.comment("!testme --quick");
    place.daemon.kill().expect("it dies");
    let third = place.forge.world().comment(REPOSITORY, 7, "ada", "!status");
    place.daemon = Daemon::start(&place.folder.path().join("data")).expect("ccd starts again");
    place.forge.world().hook(REPOSITORY, &format!("http://{}/hooks/default/wiki", place.daemon.http()), SECRET);
    let (talk, _) = place.comment("Thanks!");
    place.until("there is the second run", || place.runs_of(second) == 1);
    let last = format!("\"commentId\": {talk}");
    place.until("everything is dealt with", || place.ccctl(&["inbox", "-o", "json"]).contains(&last));
    let inbox: Value = serde_json::from_str(&place.ccctl(&["inbox", "-o", "json"])).expect("JSON");
    let seen =
        |comment: i64| inbox["items"].as_array().unwrap().iter().filter(|event| event["commentId"] == comment).count();
    assert_eq!([seen(first), seen(second), seen(third), seen(talk)], [1; 4], "{inbox:#}");
    assert_eq!((place.runs_of(first), place.runs_of(second)), (1, 1));
    let own = place.forge.world().comments_by(REPOSITORY, 7, "bot");
    assert_eq!(own.iter().filter(|(_, text)| text.contains("cc-ci:report")).count(), 1, "{own:?}");
    assert_eq!(own.iter().filter(|(_, text)| text.contains("cc-ci:answer")).count(), 1, "{own:?}");
    tags_and_pushes_ring_too(&place);
    checked(&place, "Version 1.24.2 answers, and bot may do what is needed");
    place.daemon.kill().expect("it dies");
    place.forge.world().revoke(TOKEN);
    checked(&place, "make a new token on the forge and put it into the Secret default/forge-token");
    assert!(!place.daemon.log().contains(TOKEN) && !place.daemon.log().contains(SECRET));
}

/// A pushed tag and a pushed branch start one run each, for triggers that were added just now.
fn tags_and_pushes_ring_too(place: &Place) {
    let add = r#"[{"op": "add", "path": "/spec/triggers/-",
        "value": {"on": "Tag", "pattern": "*+*", "run": {"recipeRef": "wiki"}}},
        {"op": "add", "path": "/spec/triggers/-",
        "value": {"on": "Push", "branch": "main", "run": {"recipeRef": "wiki"}}}]"#;
    place.forge.world().branch(REPOSITORY, "main", HEAD).tag(REPOSITORY, "1.0.0+1.0.0", HEAD);
    place.ccctl(&["patch", "repository", "wiki", "--type=json", "-p", add]);
    let repository = || place.list("repositories").remove(0);
    place.until("the triggers are looked at", || repository()["status"]["cursor"]["branches"]["main"] == HEAD);
    place.forge.world().branch(REPOSITORY, "main", PUSHED).tag(REPOSITORY, "1.1.0+1.0.0", PUSHED);
    for reference in ["refs/heads/main", "refs/tags/1.1.0+1.0.0"] {
        let delivery = place.forge.world().push_delivery(REPOSITORY, reference, PUSHED).expect("a hook");
        assert_eq!(place.runtime.block_on(delivery.send()).expect("ccd answers"), 202);
    }
    let of = |word: &str| {
        let labelled = |run: &&Value| run["metadata"]["labels"]["ci.coopcloud.tech/trigger"] == word;
        place.list("testruns").iter().filter(labelled).count()
    };
    place.until("there are both runs", || (of("tag"), of("push")) == (1, 1));
    place.until("both are noted", || repository()["status"]["cursor"]["tags"]["1.1.0+1.0.0"] == PUSHED);
    let inbox = place.ccctl(&["inbox"]);
    for part in ["Tag 1.1.0+1.0.0", "Push main"] {
        assert_eq!(inbox.lines().filter(|line| line.contains(part) && line.contains("Accepted")).count(), 1, "{inbox}");
    }
    assert_eq!((of("tag"), of("push")), (1, 1));
    // Both are about one commit, which has one status and says whose it is; no comment speaks of them.
    let told = || place.forge.world().status_history(REPOSITORY, PUSHED, "cc-ci/wiki").pop();
    let says = |words: &str| ["Tag 1.1.0+1.0.0: ", "Push to main: "].iter().any(|subject| words.starts_with(subject));
    place.until("the commit has a status", || told().is_some_and(|(state, words)| state == "pending" && says(&words)));
    assert!(place.forge.world().comments_by(REPOSITORY, 7, "bot").iter().all(|(_, text)| !text.contains("beefbee")));
}

/// `ccd check` asks the forge anew, beside the daemon and without it, and shows no token.
fn checked(place: &Place, forge_says: &str) {
    let output = Command::new(program("ccd"))
        .args(["check", "--data-dir"])
        .arg(place.folder.path().join("data"))
        .output()
        .expect("ccd runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find(|line| line.starts_with("forge ")).unwrap_or_else(|| panic!("no forge: {text}"));
    assert!(line.contains(forge_says), "{text}");
    assert!(!text.contains(TOKEN) && !text.contains(SECRET), "{text}");
}

/// Without the secret nobody rings: not with no signature, nor with another body under a good one.
fn forged(place: &Place) {
    let comment = place.forge.world().comment(REPOSITORY, 7, "ada", "Nice.");
    let good = place.forge.world().delivery(comment, "created").expect("a hook");
    let mut other = good.clone();
    other.body.push(b' ');
    let mut unsigned = good.clone();
    unsigned.headers.retain(|(name, _)| !name.contains("Signature"));
    let mut elsewhere = good.clone();
    elsewhere.url = good.url.replace("/wiki", "/nobody");
    let mut large = good.clone();
    large.body.resize((1 << 20) + 1, b' ');
    for (delivery, status) in
        [(&other, 403), (&unsigned, 403), (&elsewhere, 404), (&large, 413), (&good, 202), (&good, 200)]
    {
        assert_eq!(place.runtime.block_on(delivery.send()).expect("ccd answers"), status);
    }
}
