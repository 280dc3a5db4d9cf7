//! A server as people have it, for the web pages: recipes and runs of every outcome, apps, a host, certificates, logs
//! and artifacts, and texts that somebody hostile wrote. Nobody reconciles: what is shown stays as it was written.

mod reviews;
mod scenes;

use std::sync::Arc;

use anyhow::Context as _;
use controller::pictures::CameraPainter;
use futures::stream::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use ports::camera::ChromiumCamera;
use serde_json::{Value, json};
use store::request::{Part, Target, WriteOptions};
use store::store::Store;

use tests::server::{ServerOptions, TestServer};

use crate::memory_logs::MemoryLogs;

/// Text that would do harm on a page that believes it.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{202e}gnp.\"'>\u{7}<img src=x onerror=alert(2)>";
/// Writes at the same time: one batch of the store.
const WRITES_AT_ONCE: usize = 256;

/// What is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Nothing but what a fresh installation has.
    Empty,
    /// Everything well, much going on.
    Busy,
    /// Failures, leaks, people who wait, certificates that end.
    Failing,
}

/// A server with a scene.
pub(crate) struct Showcase {
    pub server: TestServer,
    pub logs: Arc<MemoryLogs>,
}

impl Showcase {
    /// Starts a server and fills its store.
    pub(crate) async fn open(scene: Scene) -> anyhow::Result<Self> {
        let logs = Arc::new(MemoryLogs::default());
        let options = ServerOptions {
            logs: logs.clone(),
            reviews: Some(Arc::new(reviews::PlayedReviews)),
            painter: Some(Arc::new(CameraPainter(Arc::new(camera())))),
            is_audited: true,
            ..ServerOptions::default()
        };
        let showcase = Self { server: TestServer::start(options).await?, logs };
        match scene {
            Scene::Empty => {}
            Scene::Busy => scenes::busy(&showcase).await?,
            Scene::Failing => scenes::failing(&showcase).await?,
        }
        Ok(showcase)
    }
}

/// Debian's Chromium, in its sandbox.
fn camera() -> ChromiumCamera {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    ChromiumCamera::new("/usr/bin/chromium".into(), is_root.then(|| "/usr/bin/setpriv".into()), "/tmp".into())
}

/// Creates an object, and writes its status when it has one.
pub(crate) async fn put(store: &Store, object: Value) -> anyhow::Result<()> {
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let group = text(&object["apiVersion"]).split_once('/').map_or("", |(group, _)| group).to_owned();
    let resource = store.registry().find_kind(&group, kind).cloned().with_context(|| format!("no kind {kind}"))?;
    let namespace = text(&object["metadata"]["namespace"]);
    let target = Target::new(&resource, namespace, name);
    let options = WriteOptions::by("showcase");
    let said = |status: api_types::status::Status| anyhow::anyhow!("{kind} {name}: {status}");
    let created = store.create(&target, object.clone().into(), &options).await.map_err(said)?;
    if object["status"].is_object() && resource.storage_version().subresources.status.is_some() {
        let mut whole = created.object.value();
        whole["status"] = object["status"].clone();
        store.update(&target, Part::Status, whole.into(), &options).await.map_err(said)?;
    }
    Ok(())
}

/// Creates many objects, several at the same time.
pub(crate) async fn put_all(store: &Store, objects: impl IntoIterator<Item = Value>) -> anyhow::Result<()> {
    futures::stream::iter(objects.into_iter().map(Ok))
        .try_for_each_concurrent(WRITES_AT_ONCE, |object| put(store, object))
        .await
}

/// Returns a recipe with a level.
pub(crate) fn recipe(name: &str, level: Option<u8>) -> Value {
    let status = json!({
        "observedGeneration": 1, "level": level, "latestVersion": "2.1.0+29.0.5", "head": "91aa0e2b".repeat(5),
        "lastGreen": {"version": "2.0.0+29.0.4", "commit": "3fa21c97".repeat(5)},
        "versions": [
            {"version": "2.1.0+29.0.5", "commit": "91aa0e2b".repeat(5)},
            {"version": "2.0.0+29.0.4", "commit": "3fa21c97".repeat(5)},
        ],
        "lastFetched": ago(300),
        "conditions": [condition("Ready", "True", "Ready", "the recipe is fetched and linted")],
    });
    let mut object =
        own("Recipe", name, json!({"source": {"url": format!("https://git.example.org/recipes/{name}.git")}}));
    object["status"] = without_nulls(status);
    object
}

/// Returns a run of a recipe that ended `seconds_ago` with the results of its rungs, such as `PPPFU`.
pub(crate) fn run(name: &str, recipe: &str, phase: &str, level: u8, rungs: &str, seconds_ago: i64) -> Value {
    let names = ["install", "upgrade", "backup-restore", "functional", "lint"];
    let begin = seconds_ago + 700;
    let rungs: Vec<Value> = names
        .iter()
        .zip(rungs.chars())
        .zip(0_i64..)
        .map(|((name, result), at)| {
            let (status, message) = match result {
                'P' => ("Pass", "everything that was checked is good"),
                'F' => ("Fail", "the app answers 502 instead of 200: its database refuses connections"),
                'S' => ("Skip", "declared not to apply"),
                _ => ("Unverified", "not checked, because an earlier rung failed"),
            };
            json!({"name": name, "status": status, "message": message, "reason": "Checked",
                "startedAt": ago(begin - at * 120), "finishedAt": ago(begin - at * 120 - 110)})
        })
        .collect();
    let succeeded = if phase == "Succeeded" {
        ("True", "Succeeded", "every rung passed")
    } else {
        ("False", "RungFailed", "a rung did not pass")
    };
    let mut object = own("TestRun", name, json!({"recipeRef": recipe, "source": {"commit": "91aa0e2b".repeat(5)}}));
    object["status"] = json!({
        "observedGeneration": 1, "phase": phase, "level": level, "rungs": rungs,
        "startedAt": ago(begin), "finishedAt": ago(seconds_ago),
        "levelCap": if level < 5 { "a rung failed, and nothing above it counts" } else { "" },
        "base": {"version": "2.0.0+29.0.4", "commit": "3fa21c97".repeat(5)},
        "head": {"version": "2.1.0+29.0.5", "commit": "91aa0e2b".repeat(5), "images": [
            {"service": "app", "image": "nextcloud:29.0.5-fpm", "digest": format!("sha256:{}", "ab12".repeat(16))},
            {"service": "db", "image": "mariadb:11.4", "digest": format!("sha256:{}", "cd34".repeat(16))},
        ]},
        "steps": steps(begin),
        "tests": [
            {"stage": "install", "name": "generic/health", "status": "Pass", "message": "it answers 200", "durationMilliseconds": 240},
            {"stage": "functional", "name": "entries-come-back", "status": if phase == "Succeeded" { "Pass" } else { "Fail" },
                "message": "GET /entries answers 502\nexpected 200", "durationMilliseconds": 5120},
        ],
        "logs": [{"name": "prepare", "bytes": 120, "complete": true}, {"name": "install", "bytes": 900, "complete": true},
            {"name": "functional", "bytes": 900, "complete": true}],
        "domain": "next-4cf2df.ci.example.org",
        "cleanup": {"removed": ["service/next_app", "service/next_db", "volume/next_data", "secret/next_db_password_v1", "network/next_internal"]},
        "conditions": [
            condition("CleanedUp", "True", "CleanedUp", "an inventory found nothing of this run"),
            condition("Succeeded", succeeded.0, succeeded.1, succeeded.2),
        ],
    });
    object
}

fn steps(begin: i64) -> Vec<Value> {
    let steps =
        ["fetch", "judge", "pull", "install-deploy", "install-check", "upgrade-deploy", "upgrade-check", "teardown"];
    let step = |(at, name): (i64, &&str)| json!({"name": name, "startedAt": ago(begin - at * 85), "finishedAt": ago(begin - at * 85 - 80), "outcome": "Done", "attempts": 1});
    (0..).zip(&steps).map(step).collect()
}

/// Returns an object of ours in the namespace `default`.
pub(crate) fn own(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

/// Returns a condition.
pub(crate) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(600)})
}

/// Returns the moment so many seconds ago; negative ones are to come.
pub(crate) fn ago(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the server shows ages, and its clock is the machine's")]
    let now = Timestamp::now();
    now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
