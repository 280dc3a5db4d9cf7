//! Services and their tasks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Request};
use super::refusal::CallError;
use super::streams::{self, Pieces};
use super::wire::{Created, RawService, RawStackFile, RawTask};
use super::{already_exists, filtered};
use crate::error::Error;
use crate::swarm::spec::ServiceSpec;
use crate::swarm::{Filter, LogOptions, RegistryAuth, Service, StackFile, Task};

/// Makes a service.
pub(super) async fn create(client: &Client, spec: &ServiceSpec, auth: Option<&RegistryAuth>) -> Result<String, Error> {
    let spec = resolve(client, spec).await?;
    let request = Request::post("/services/create").json(&spec)?.auth(auth);
    match client.json::<Created>(&request).await {
        Ok(created) => Ok(created.id),
        Err(CallError::Refused(refusal)) if refusal.is_conflict() => {
            Err(already_exists(&format!("service {}", spec.name), &refusal.message))
        }
        Err(error) => Err(unless_missing(error)),
    }
}

/// Replaces the spec of a service.
pub(super) async fn update(
    client: &Client,
    id: &str,
    version: u64,
    spec: &ServiceSpec,
    auth: Option<&RegistryAuth>,
) -> Result<(), Error> {
    let mut spec = resolve(client, spec).await?;
    let Some(current) = inspect(client, id).await? else { return Err(gone(id)) };
    spec.task_template.force_update = spec.task_template.force_update.max(current.spec.task_template.force_update);
    let request = Request::post(&format!("/services/{id}/update"))
        .query("version", &version.to_string())
        .query("registryAuthFrom", "spec")
        .json(&spec)?
        .auth(auth);
    match client.call(&request).await {
        Ok(_) => Ok(()),
        Err(CallError::Refused(refusal)) if refusal.is_out_of_sequence() => {
            let message = format!("service {} was changed by somebody else meanwhile", spec.name);
            Err(Error::retryable("OutOfSequence", message))
        }
        Err(CallError::Refused(refusal)) if refusal.is_not_found() && refusal.says("service") => Err(gone(id)),
        Err(error) => Err(unless_missing(error)),
    }
}

/// Returns a service; `None` when it is gone.
async fn inspect(client: &Client, id: &str) -> Result<Option<Service>, Error> {
    match client.json::<RawService>(&Request::get(&format!("/services/{id}"))).await {
        Ok(raw) => Ok(Some(raw.into())),
        Err(CallError::Refused(refusal)) if refusal.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn gone(id: &str) -> Error {
    Error::retryable("ServiceNotFound", format!("the service {id} is gone"))
}

/// A network that a service names and the swarm does not have may be about to be made.
fn unless_missing(error: CallError) -> Error {
    match error {
        CallError::Refused(refusal) if refusal.is_not_found() && refusal.says("network") => {
            Error::retryable("NetworkNotFound", format!("a network of the service is missing: {}", refusal.message))
        }
        error => error.into(),
    }
}

/// Puts ids beside the names of secrets and configs, right before they are needed: an id of a moment ago may be that of
/// one that was removed and made again. The engine does the same for networks.
async fn resolve(client: &Client, spec: &ServiceSpec) -> Result<ServiceSpec, Error> {
    let mut spec = spec.clone();
    let container = &mut spec.task_template.container_spec;
    let names = container.secrets.iter().map(|reference| reference.name.clone()).collect();
    let ids = ids(client, "/secrets", &names).await?;
    for reference in container.secrets.iter_mut().filter(|reference| !reference.name.is_empty()) {
        let found = ids.get(&reference.name).cloned();
        reference.id = found.ok_or_else(|| missing("SecretNotFound", "secret", &reference.name))?;
    }
    let names = container.configs.iter().map(|reference| reference.name.clone()).collect();
    let ids = self::ids(client, "/configs", &names).await?;
    for reference in container.configs.iter_mut().filter(|reference| !reference.name.is_empty()) {
        let found = ids.get(&reference.name).cloned();
        reference.id = found.ok_or_else(|| missing("ConfigNotFound", "config", &reference.name))?;
    }
    Ok(spec)
}

fn missing(reason: &'static str, what: &str, name: &str) -> Error {
    Error::retryable(reason, format!("the swarm has no {what} {name}"))
}

/// Returns the ids of secrets or configs by name.
async fn ids(client: &Client, path: &str, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Error> {
    if names.iter().all(String::is_empty) {
        return Ok(BTreeMap::new());
    }
    // The engine takes each name for a prefix, so more may come back.
    let request = Request::get(path).query("filters", &json!({"name": names}).to_string());
    let files: Vec<RawStackFile> = client.json(&request).await?;
    let files = files.into_iter().map(StackFile::from);
    Ok(files.filter(|file| names.contains(&file.name)).map(|file| (file.name, file.id)).collect())
}

/// Returns tasks. Which of them run the present spec only the engine can tell, through a filter that its documentation
/// does not mention; asked second, so that a task which is too new to be in the first list is missed rather than an old
/// one taken for new.
pub(super) async fn tasks(client: &Client, filter: &Filter) -> Result<Vec<Task>, Error> {
    let all = match client.json::<Vec<RawTask>>(&filtered(Request::get("/tasks"), filter)).await {
        Ok(tasks) => tasks,
        // The engine does not list the tasks of a service that was removed, though they still run.
        Err(CallError::Refused(refusal)) if refusal.is_not_found() && filter.service.is_some() => {
            return orphans(client, filter).await;
        }
        Err(error) => return Err(error.into()),
    };
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let current = match client.json::<Vec<TaskId>>(&up_to_date(filter)).await {
        Ok(tasks) => tasks.into_iter().map(|task| task.id).collect(),
        Err(CallError::Refused(refusal)) if refusal.is_not_found() => HashSet::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(in_order(all.into_iter().map(|task| (current.contains(&task.id), task))))
}

#[derive(Deserialize)]
struct TaskId {
    #[serde(rename = "ID")]
    id: String,
}

fn up_to_date(filter: &Filter) -> Request {
    let mut filters = serde_json::Map::new();
    filters.insert("_up-to-date".to_owned(), json!(["true"]));
    if let Some(service) = &filter.service {
        filters.insert("service".to_owned(), json!([service]));
    }
    if !filter.labels.is_empty() || !filter.has_labels.is_empty() {
        let values = filter.labels.iter().map(|(key, value)| format!("{key}={value}"));
        filters.insert("label".to_owned(), values.chain(filter.has_labels.iter().cloned()).collect());
    }
    Request::get("/tasks").query("filters", &serde_json::Value::from(filters).to_string())
}

async fn orphans(client: &Client, filter: &Filter) -> Result<Vec<Task>, Error> {
    let service = filter.service.as_deref().unwrap_or_default();
    let wider = Filter { service: None, ..filter.clone() };
    let tasks: Vec<RawTask> = client.json(&filtered(Request::get("/tasks"), &wider)).await?;
    Ok(in_order(tasks.into_iter().filter(|task| task.service_id == service).map(|task| (false, task))))
}

fn in_order(tasks: impl Iterator<Item = (bool, RawTask)>) -> Vec<Task> {
    let mut tasks: Vec<Task> = tasks.map(|(is_up_to_date, task)| task.into_task(is_up_to_date)).collect();
    tasks.sort_by(|left, right| (left.created_at, &left.id).cmp(&(right.created_at, &right.id)));
    tasks
}

/// Returns the log of a service.
pub(super) async fn log(
    client: &Arc<Client>,
    service: &str,
    options: &LogOptions,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let Some(current) = inspect(client, service).await? else { return Err(gone(service)) };
    let flag = |value: bool| if value { "1" } else { "0" };
    let mut request = Request::get(&format!("/services/{service}/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query("follow", flag(options.follow))
        .query("timestamps", flag(options.timestamps));
    if let Some(tail) = options.tail {
        request = request.query("tail", &tail.to_string());
    }
    if let Some(since) = options.since {
        let (seconds, nanoseconds) = (since.as_second(), since.subsec_nanosecond());
        request = request.query("since", &format!("{seconds}.{nanoseconds:09}"));
    }
    let response = match client.open(&request).await {
        Err(CallError::Refused(refusal)) if refusal.is_not_found() => return Err(gone(service)),
        result => result?,
    };
    let pieces = Pieces::new(response.into_body(), client.clone());
    Ok(streams::lines(pieces, current.spec.task_template.container_spec.tty).boxed())
}
