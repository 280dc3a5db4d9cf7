//! TestRuns as Pods, for reading only: so that `kubectl logs RUN -c STAGE -f` works with no plugin.
//!
//! The first container, `run`, stands for the whole log; one more stands for each stage. Where the text comes from is
//! the daemon's business: it plugs in a [`LogSource`].

use api_types::status::{Reason, ResourceNames, Status};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::{Value, json};

/// The resource that is shown as Pods.
pub(crate) const RUNS: &str = "testruns.ci.coopcloud.tech";
/// Apps have logs as well.
pub(crate) const APPS: &str = "apps.ci.coopcloud.tech";
/// The container that stands for the whole run.
pub(crate) const WHOLE_RUN: &str = "run";
/// Shown where Kubernetes wants an image and a stage has none.
const NO_IMAGE: &str = "none";

/// Which log, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Namespace of the TestRun.
    pub namespace: String,
    /// Name of the TestRun.
    pub name: String,
    /// Its UID: another run may have had the same name.
    pub uid: String,
    /// Only this stage; `None` for the whole run.
    pub stage: Option<String>,
    /// Whether to wait for more until the run has finished.
    pub follow: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines written at this moment or later.
    pub since: Option<jiff::Timestamp>,
    /// Whether each line begins with the RFC 3339 moment at which it was written.
    pub timestamps: bool,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Which log of an app, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppLogRequest {
    /// Namespace of the App.
    pub namespace: String,
    /// Name of the App.
    pub name: String,
    /// The App, as it is stored.
    pub app: Value,
    /// Only this service, by its name in the compose file; `None` for all.
    pub service: Option<String>,
    /// Whether to wait for more until the client goes.
    pub follow: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines written at this moment or later.
    pub since: Option<jiff::Timestamp>,
    /// Whether each line begins with the RFC 3339 moment at which it was written.
    pub timestamps: bool,
}

/// The text of a log as it comes; an error ends it.
pub type LogStream = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// Where the logs of runs come from.
pub trait LogSource: Send + Sync {
    /// Opens a log.
    ///
    /// The stream ends when the log ends or, for one that is not followed, when what there is has been sent. Dropping
    /// it stops the work.
    ///
    /// # Errors
    /// `NotFound` when the run has no such log (any more), `BadRequest` for a stage that the run does not have.
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>>;

    /// Opens the log of an app, as its services write it.
    ///
    /// # Errors
    /// `NotFound` when the app does not run, or has no such service.
    fn open_app(&self, request: AppLogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        let message = format!("app {:?} has no log: this server runs no apps", request.name);
        Box::pin(async { Err(Status::failure(Reason::NotFound, message)) })
    }

    /// Returns a file that a run left.
    ///
    /// # Errors
    /// `NotFound` when the run has no such file (any more).
    fn artifact(&self, request: ArtifactRequest) -> BoxFuture<'_, Result<ArtifactFile, Status>> {
        let message = format!("run {:?} has no artifact {:?}", request.name, request.file);
        Box::pin(async { Err(Status::failure(Reason::NotFound, message)) })
    }
}

/// Which file of which run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactRequest {
    /// Namespace of the TestRun.
    pub namespace: String,
    /// Name of the TestRun.
    pub name: String,
    /// Its UID: another run may have had the same name.
    pub uid: String,
    /// Name of the file.
    pub file: String,
}

/// A file that a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its content.
    pub content: Bytes,
}

/// A source without any log: of a server that runs no tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogs;

impl LogSource for NoLogs {
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        let message = format!("run {:?} has no log: this server runs no tests", request.name);
        Box::pin(async { Err(Status::failure(Reason::NotFound, message)) })
    }
}

/// Returns a TestRun as a Pod.
pub(crate) fn from_run(run: &Value) -> Value {
    let stages: Vec<&Value> = run["status"]["rungs"].as_array().into_iter().flatten().collect();
    let others = others(run);
    let names = std::iter::once(WHOLE_RUN.to_owned()).chain(stages.iter().map(|stage| container_name(stage)));
    let names = names.chain(others.iter().map(|log| container_name(log)));
    let containers: Vec<Value> = names.map(|name| json!({"name": name, "image": NO_IMAGE})).collect();
    let phase = run["status"]["phase"].as_str().unwrap_or("Pending");
    let mut statuses = vec![whole_run_status(run, phase)];
    statuses.extend(stages.iter().map(|stage| stage_status(stage)));
    statuses.extend(others.iter().map(|log| log_status(log)));
    let mut metadata = run["metadata"].clone();
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"]["kubectl.kubernetes.io/default-container"] = json!(WHOLE_RUN);
    let mut status = json!({"phase": pod_phase(phase), "containerStatuses": statuses});
    if run["status"]["conditions"].is_array() {
        status["conditions"] = run["status"]["conditions"].clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": containers, "restartPolicy": "Never"}, "status": status,
    })
}

/// Checks that a run has the stage that a log is asked for.
///
/// # Errors
/// `BadRequest` that names the stages there are.
pub(crate) fn check_container(run: &Value, names: &ResourceNames, container: &str) -> Result<(), Status> {
    let stages = run["status"]["rungs"].as_array().into_iter().flatten().chain(others(run)).map(container_name);
    let all: Vec<String> = std::iter::once(WHOLE_RUN.to_owned()).chain(stages).collect();
    if all.iter().any(|name| name == container) {
        return Ok(());
    }
    let name = run["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::failure(
        Reason::BadRequest,
        format!(
            "container {container} is not valid for {} {name}: choose one of {}",
            names.kind.to_lowercase(),
            all.join(", ")
        ),
    ))
}

/// Returns the logs that belong to no rung: of what comes before and after them.
fn others(run: &Value) -> Vec<&Value> {
    let stages = || run["status"]["rungs"].as_array().into_iter().flatten().map(container_name);
    let logs = run["status"]["logs"].as_array().into_iter().flatten();
    logs.filter(|log| {
        let name = container_name(log);
        !name.is_empty() && name != WHOLE_RUN && stages().all(|stage| stage != name)
    })
    .collect()
}

/// Containers are named by DNS labels; stages by words.
fn container_name(stage: &Value) -> String {
    let name = stage["name"].as_str().unwrap_or_default().to_lowercase();
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
}

fn pod_phase(phase: &str) -> &'static str {
    match phase {
        "Running" => "Running",
        "Succeeded" => "Succeeded",
        "Failed" | "Error" | "Cancelled" => "Failed",
        _ => "Pending",
    }
}

fn whole_run_status(run: &Value, phase: &str) -> Value {
    let (started, finished) = (&run["status"]["startedAt"], &run["status"]["finishedAt"]);
    let state = match pod_phase(phase) {
        "Running" => json!({"running": {"startedAt": started}}),
        "Pending" => json!({"waiting": {"reason": phase}}),
        _ => terminated(phase == "Succeeded", phase, started, finished),
    };
    container_status(WHOLE_RUN, phase == "Succeeded", state)
}

fn stage_status(stage: &Value) -> Value {
    let result = stage["status"].as_str().unwrap_or("Unverified");
    let (started, finished) = (&stage["startedAt"], &stage["finishedAt"]);
    let state = if finished.is_string() {
        terminated(matches!(result, "Pass" | "Skip"), result, started, finished)
    } else if started.is_string() {
        json!({"running": {"startedAt": started}})
    } else {
        json!({"waiting": {"reason": result}})
    };
    container_status(&container_name(stage), result == "Pass", state)
}

fn log_status(log: &Value) -> Value {
    let is_complete = log["complete"].as_bool().unwrap_or(false);
    let state =
        if is_complete { terminated(true, "Completed", &Value::Null, &Value::Null) } else { json!({"running": {}}) };
    container_status(&container_name(log), is_complete, state)
}

fn terminated(good: bool, reason: &str, started: &Value, finished: &Value) -> Value {
    json!({"terminated": {
        "exitCode": i32::from(!good), "reason": reason, "startedAt": started, "finishedAt": finished,
    }})
}

fn container_status(name: &str, ready: bool, state: Value) -> Value {
    json!({
        "name": name, "ready": ready, "restartCount": 0, "image": NO_IMAGE, "imageID": "", "started": true,
        "state": state, "lastState": {},
    })
}
