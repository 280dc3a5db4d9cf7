//! A client sees what a run leaves: at once, as it comes, and to the end.

use std::sync::Arc;
use std::time::Duration;

use api_types::status::Reason;
use apiserver::pods::{ArtifactRequest, LogRequest, LogSource as _, LogStream};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use ports::clock::FakeClock;
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileName, FileRoot, RunFiles, RunKey};
use ports::redact::Redactor;

use super::RunLogs;

struct World {
    clock: Arc<FakeClock>,
    files: RunFiles,
    logs: RunLogs,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::at(moment(0)));
        let root = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let files = RunFiles::new(root, Redactor::default(), clock.clone(), RunLimits::default());
        Self { clock, logs: RunLogs::new(files.clone()), files, _folder: folder }
    }

    fn say(&self, stage: &str, second: i64, text: &str) {
        self.clock.set(moment(second));
        self.files.log(&key(), &name(stage)).unwrap().line(text).unwrap();
    }
}

fn moment(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn key() -> RunKey {
    RunKey::new("default", "demo-1", "u1").unwrap()
}

fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

fn request() -> LogRequest {
    LogRequest {
        namespace: "default".to_owned(),
        name: "demo-1".to_owned(),
        uid: "u1".to_owned(),
        ..LogRequest::default()
    }
}

async fn text(stream: LogStream) -> String {
    let all = stream.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap()).collect::<Vec<_>>();
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap().concat()
}

#[tokio::test]
async fn what_is_asked_for_is_what_comes() {
    let world = World::new();
    world.say("prepare", 0, "fetched");
    world.say("install", 1, "deployed");
    world.say("install", 2, "healthy");
    let cases = [
        ("all", request(), "[prepare] fetched\n[install] deployed\n[install] healthy\n"),
        ("one stage", LogRequest { stage: Some("install".to_owned()), ..request() }, "deployed\nhealthy\n"),
        ("the end", LogRequest { tail_lines: Some(1), ..request() }, "[install] healthy\n"),
        ("nothing of it", LogRequest { tail_lines: Some(0), ..request() }, ""),
        ("what is younger", LogRequest { since: Some(moment(2)), ..request() }, "[install] healthy\n"),
        ("only so much", LogRequest { limit_bytes: Some(12), ..request() }, "[prepare] fe"),
        (
            "with moments",
            LogRequest { timestamps: true, tail_lines: Some(1), ..request() },
            "2026-01-01T00:00:02.000000Z [install] healthy\n",
        ),
        ("another run of the same name", LogRequest { uid: "u2".to_owned(), ..request() }, ""),
        ("a stage that did not begin", LogRequest { stage: Some("lint".to_owned()), ..request() }, ""),
    ];
    for (case, request, expected) in cases {
        assert_eq!(text(world.logs.open(request).await.unwrap()).await, expected, "{case}");
    }
}

#[tokio::test]
async fn who_follows_a_run_that_has_not_begun_sees_all_of_it() {
    let world = World::new();
    let stream = world.logs.open(LogRequest { follow: true, ..request() }).await.unwrap();
    let following = tokio::spawn(text(stream));
    for second in 0..20 {
        world.say("install", second, "on it");
        tokio::task::yield_now().await;
    }
    world.files.complete(&key()).unwrap();
    assert_eq!(following.await.unwrap().lines().count(), 20);
}

#[tokio::test]
async fn who_follows_a_run_that_is_removed_comes_to_an_end() {
    let world = World::new();
    world.say("install", 0, "on it");
    let mut stream = world.logs.open(LogRequest { follow: true, ..request() }).await.unwrap();
    assert_eq!(&stream.next().await.unwrap().unwrap()[..], b"[install] on it\n");
    let rest = tokio::spawn(text(stream));
    world.files.remove(&key()).unwrap();
    assert_eq!(rest.await.unwrap(), "");
}

#[tokio::test]
async fn artifacts_are_served_or_not_found() {
    let world = World::new();
    world.files.put_artifact(&key(), &name("results.json"), b"{}").unwrap();
    let request = |file: &str| ArtifactRequest {
        namespace: "default".to_owned(),
        name: "demo-1".to_owned(),
        uid: "u1".to_owned(),
        file: file.to_owned(),
    };
    let found = world.logs.artifact(request("results.json")).await.unwrap();
    assert_eq!((found.media_type.as_str(), &found.content[..]), ("application/json", &b"{}"[..]));
    assert_eq!(world.logs.artifact(request("absent")).await.unwrap_err().reason, Some(Reason::NotFound));
    assert_eq!(world.logs.artifact(request("../x")).await.unwrap_err().reason, Some(Reason::BadRequest));
}
