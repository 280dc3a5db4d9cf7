//! What explains a failure once everything is gone: the services as they were, their tasks with their errors, the end of
//! their logs, and what the machine had left.

use std::fmt::Write as _;
use std::path::Path;

use api_types::kinds::test_run::Artifact;
use futures::StreamExt as _;
use ports::files::{ArtifactInfo, FileName};
use ports::swarm::{Engine, EngineInfo, Filter, LogOptions, Task};
use serde_json::{Value, json};

use super::Job;
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::Failure;

/// Lines of each service's log.
const LOG_LINES: u64 = 200;
/// Most bytes of them.
const LOG_BYTES_MAX: usize = 256 << 10;

/// Collects what there is; what cannot be had is left out.
pub(super) async fn collect(job: &Job, engine: &dyn Engine) -> Result<Vec<Artifact>, Failure> {
    let services = engine.services(&Filter::stack(&job.stack)).await?;
    let tasks = engine.tasks(&Filter::stack(&job.stack)).await?;
    let inspected: Vec<Value> = services
        .iter()
        .map(|service| {
            let update =
                service.update.as_ref().map(|update| json!({"state": update.state.word(), "message": update.message}));
            json!({"id": service.id, "version": service.version, "spec": service.spec, "update": update})
        })
        .collect();
    let text = serde_json::to_string_pretty(&inspected).map_err(|error| Failure::bug(error.to_string()))?;
    let mut artifacts = vec![put(job, "services.json", text.into_bytes()).await?];
    let table = table(&tasks);
    job.say(format!("tasks:\n{table}")).await;
    artifacts.push(put(job, "tasks.txt", table.into_bytes()).await?);
    for service in &services {
        let log = tail(engine, &service.spec.name).await;
        let short = service.spec.name.strip_prefix(&format!("{}_", job.stack)).unwrap_or(&service.spec.name).to_owned();
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        for line in last.into_iter().rev() {
            job.say(format!("{short} | {line}")).await;
        }
        artifacts.push(put(job, &format!("log-{short}.txt"), log.into_bytes()).await?);
    }
    if let Ok(info) = engine.info().await {
        let host = host(job, &info).await;
        let text = serde_json::to_string_pretty(&host).map_err(|error| Failure::bug(error.to_string()))?;
        artifacts.push(put(job, "host.json", text.into_bytes()).await?);
    }
    Ok(artifacts)
}

/// Returns what the engine says of itself, and what its machine has left if that is this one.
async fn host(job: &Job, info: &EngineInfo) -> Value {
    let mut host = json!({"engine": info.engine_version, "images": info.images, "memoryBytes": info.memory_bytes,
        "processors": info.processors, "swarmError": info.swarm_error});
    if !job.is_here {
        return host;
    }
    if let Ok(memory) = job.outside.figures.memory().await {
        host["memoryAvailableBytes"] = json!(memory.available_bytes);
    }
    if let Ok(disk) = job.outside.figures.disk(Path::new(&info.data_root)).await {
        host["disk"] = json!({"path": info.data_root, "totalBytes": disk.total_bytes, "freeBytes": disk.free_bytes,
            "totalInodes": disk.total_inodes, "freeInodes": disk.free_inodes});
        job.say(format!(
            "the machine: {} MiB and {} inodes are free at {}",
            disk.free_bytes >> 20,
            disk.free_inodes,
            info.data_root
        ))
        .await;
    }
    host
}

fn table(tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        let exit = task.exit_code.map(|code| format!(" exit {code}")).unwrap_or_default();
        let error = if task.error.is_empty() { &task.message } else { &task.error };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:<10} wanted {:<10} {}{exit} {error}",
            task.id.chars().take(12).collect::<String>(),
            task.state.word(),
            task.desired.word(),
            task.image
        );
    }
    text
}

async fn tail(engine: &dyn Engine, service: &str) -> String {
    let options = LogOptions { tail: Some(LOG_LINES), timestamps: true, ..LogOptions::default() };
    let mut text = Vec::new();
    if let Ok(mut lines) = engine.service_log(service, &options).await {
        while let Some(Ok(piece)) = lines.next().await {
            let room = LOG_BYTES_MAX.saturating_sub(text.len());
            text.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes an artifact.
pub(super) async fn put(job: &Job, name: &str, content: Vec<u8>) -> Result<Artifact, Failure> {
    let (files, key, name) = (job.outside.runs.clone(), job.key.clone(), FileName::new(name)?);
    Ok(artifact(blocking(move || files.put_artifact(&key, &name, &content)).await??))
}

/// Returns an artifact as a status names it.
pub(super) fn artifact(info: ArtifactInfo) -> Artifact {
    Artifact {
        name: info.name.to_string(),
        media_type: info.media_type.to_owned(),
        bytes: i64::try_from(info.bytes).unwrap_or(i64::MAX),
        sha256: Some(info.sha256),
    }
}
