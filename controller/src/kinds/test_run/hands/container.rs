//! A container of its own in the app's networks: a service that runs once, and is removed with everything it left.

use std::collections::BTreeSet;
use std::time::Duration;

use api_types::kinds::check::ContainerAction;
use api_types::kinds::test_run::RungStatus;
use futures::StreamExt as _;
use ports::compose::policy::Limits;
use ports::files::{Area, FileName};
use ports::swarm::spec::{
    ContainerSpec, Mount, NetworkAttachment, ResourceAmounts, Resources, RestartPolicy, ServiceMode, ServiceSpec,
    TaskSpec,
};
use ports::swarm::{Engine, Filter, LogOptions, RegistryAuth, Service, Task, TaskState};
use tokio::time::Instant;

use super::super::expectation::Sight;
use super::{Job, RUN_LABEL, junit, tar_files};
use crate::runtime::outcome::Failure;

/// Where a test may leave files.
const ARTIFACTS_DIR: &str = "/artifacts";
/// Where a folder of the recipe is mounted.
const WORK_DIR: &str = "/work";
/// Most bytes of files that a test leaves.
const ARTIFACTS_BYTES_MAX: usize = 32 << 20;
/// Most files.
const ARTIFACTS_MAX: usize = 16;
/// Most bytes of output that a test looks at.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Memory of a test container.
const MEMORY_BYTES: i64 = 2 << 30;
/// Processes of a test container.
const PIDS: i64 = 1024;
/// The shortest pause between two looks; what takes longer is looked at less often.
const POLL_MIN: Duration = Duration::from_millis(100);
/// The longest.
const POLL_MAX: Duration = Duration::from_secs(1);
/// How long what is removed may take to go.
const REMOVAL_MAX: Duration = Duration::from_secs(40);
/// The port of HTTPS, which a proxy publishes.
const HTTPS_PORT: u32 = 443;
/// The label of a container that names its service.
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";

/// What a container came to.
pub(super) struct EndedContainer {
    /// Its exit code and output.
    pub(super) sight: Sight,
    /// What its JUnit file says, if it wrote one.
    pub(super) verdict: Option<(RungStatus, String)>,
}

/// Runs a container to its end.
pub(super) async fn run(
    job: &Job,
    engine: &dyn Engine,
    test: &str,
    action: &ContainerAction,
    time_max: Duration,
) -> Result<EndedContainer, Failure> {
    if action.mount.is_some() && !job.order.may_mount {
        let note = "it mounts files of a fork, which the recipe does not allow (trust.repoTests)".to_owned();
        let verdict = Some((RungStatus::Unverified, note));
        return Ok(EndedContainer { sight: Sight { exit_code: Some(0), ..Sight::default() }, verdict });
    }
    let name = service_name(job, test);
    // What an earlier attempt left that was cut off.
    remove(engine, &name).await?;
    let spec = spec(job, engine, &name, action).await?;
    let registries = job.registries.clone()?;
    let auth = registries.of_image(&action.image);
    if let Err(error) = ensure_image(engine, &action.image, auth).await {
        let note = format!("the image {} cannot be pulled: {}", action.image, ports::error::chain(&error));
        return match error.kind {
            ports::error::ErrorKind::Terminal => Ok(nothing(note)),
            _ => Err(error.into()),
        };
    }
    engine.create_service(&spec, auth).await?;
    let ended = follow(job, engine, &name, test, time_max).await;
    let removed = remove(engine, &name).await;
    let ended = ended?;
    removed?;
    Ok(ended)
}

/// Computed, so that a container whose run was cut off is found again.
fn service_name(job: &Job, test: &str) -> String {
    let uid: String = job.order.run.metadata.uid.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    let test: String =
        test.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(32).collect();
    format!("ccrun-{uid}-{test}")
}

async fn ensure_image(
    engine: &dyn Engine,
    image: &str,
    auth: Option<&RegistryAuth>,
) -> Result<(), ports::error::Error> {
    if engine.has_image(image).await? { Ok(()) } else { engine.pull_image(image, auth).await }
}

pub(super) async fn spec(
    job: &Job,
    engine: &dyn Engine,
    name: &str,
    action: &ContainerAction,
) -> Result<ServiceSpec, Failure> {
    let run = &job.order.run;
    let services = engine.services(&Filter::stack(&job.stack)).await?;
    let networks: BTreeSet<String> = services
        .iter()
        .flat_map(|service| service.spec.task_template.networks.iter().map(|network| network.target.clone()))
        .collect();
    let stage = job.order.step.rung().map_or("prepare", super::super::ladder::word);
    let mut env: Vec<String> = action.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    env.extend([
        format!("APP_DOMAIN={}", job.domain),
        format!("APP_URL=https://{}", job.domain),
        format!("RUN_ID={}", run.metadata.name),
        format!("RUN_STAGE={stage}"),
        format!("ARTIFACTS_DIR={ARTIFACTS_DIR}"),
    ]);
    env.sort();
    let mut mounts = vec![Mount { type_: "volume".to_owned(), target: ARTIFACTS_DIR.to_owned(), ..Mount::default() }];
    if let Some(folder) = &action.mount {
        let tree = job.outside.files.path(Area::Trees, &job.tree()?);
        mounts.push(Mount {
            type_: "bind".to_owned(),
            source: tree.join(folder).to_string_lossy().into_owned(),
            target: WORK_DIR.to_owned(),
            read_only: true,
            ..Mount::default()
        });
    }
    let labels = [(RUN_LABEL.to_owned(), run.metadata.uid.clone())].into();
    let container = ContainerSpec {
        image: action.image.clone(),
        labels: Clone::clone(&labels),
        args: action.command.clone(),
        env,
        hosts: hosts(job, engine, &networks).await?,
        dir: if action.mount.is_some() { WORK_DIR.to_owned() } else { String::new() },
        mounts,
        init: Some(true),
        ..ContainerSpec::default()
    };
    let limits = ResourceAmounts { memory_bytes: MEMORY_BYTES, pids: PIDS, ..ResourceAmounts::default() };
    Ok(ServiceSpec {
        name: name.to_owned(),
        labels,
        task_template: TaskSpec {
            container_spec: container,
            resources: Some(Resources { limits: Some(limits), reservations: None }),
            restart_policy: Some(RestartPolicy { condition: "none".to_owned(), ..RestartPolicy::default() }),
            // A test that writes without end must not fill the machine's disk.
            log_driver: Some(Limits::default().log_driver()),
            networks: networks
                .into_iter()
                .map(|target| NetworkAttachment { target, ..NetworkAttachment::default() })
                .collect(),
            ..TaskSpec::default()
        },
        mode: ServiceMode::Replicated { replicas: Some(1) },
        ..ServiceSpec::default()
    })
}

/// Returns the line of `/etc/hosts` that leads to the app as people reach it, through the proxy: run domains need not be
/// in any DNS. Nothing when no container of a proxy in the app's networks runs here; then the DNS has the word.
pub(super) async fn hosts(job: &Job, engine: &dyn Engine, networks: &BTreeSet<String>) -> Result<Vec<String>, Failure> {
    let services = engine.services(&Filter::default()).await?;
    let is_proxy = |service: &&Service| {
        let ports = service.spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
        let takes_https = ports.into_iter().any(|port| [port.target_port, port.published_port].contains(&HTTPS_PORT));
        let mut attached = service.spec.task_template.networks.iter();
        takes_https && attached.any(|network| networks.contains(&network.target))
    };
    let Some(proxy) = services.iter().find(is_proxy) else { return Ok(Vec::new()) };
    let shared = engine.networks(&Filter::default()).await?;
    let shared: Vec<String> =
        shared.into_iter().filter(|found| networks.contains(&found.id)).map(|found| found.name).collect();
    let labels = vec![(SERVICE_LABEL.to_owned(), proxy.spec.name.clone())];
    let containers = engine.containers(&Filter { labels, ..Filter::default() }).await?;
    for found in containers.iter().filter(|found| found.state == "running") {
        let addresses = engine.container(&found.id).await?.map(|details| details.addresses).unwrap_or_default();
        if let Some(address) = shared.iter().find_map(|name| addresses.get(name)) {
            return Ok(vec![format!("{address} {}", job.domain)]);
        }
    }
    Ok(Vec::new())
}

/// Waits for the end, and reads what there is to read.
async fn follow(
    job: &Job,
    engine: &dyn Engine,
    name: &str,
    test: &str,
    time_max: Duration,
) -> Result<EndedContainer, Failure> {
    let began = Instant::now();
    let deadline = began + time_max;
    let filter = Filter { service: Some(name.to_owned()), ..Filter::default() };
    let ended: Option<Task> = loop {
        let tasks = engine.tasks(&filter).await?;
        if let Some(task) = tasks.iter().find(|task| task.state.is_terminal()) {
            break Some(task.clone());
        }
        if Instant::now() >= deadline {
            break None;
        }
        tokio::time::sleep(pause(began)).await;
    };
    let text = output(job, engine, name, test).await;
    let Some(task) = ended else {
        let note = format!("the container did not end within {} s", time_max.as_secs());
        return Ok(EndedContainer { sight: Sight { text, note, ..Sight::default() }, verdict: None });
    };
    if task.exit_code.is_none() && task.state != TaskState::Complete {
        let note = format!("the container did not start: {}", task.error);
        return Ok(EndedContainer { sight: Sight { text, note, ..Sight::default() }, verdict: None });
    }
    let verdict = artifacts(job, engine, &task.container_id, test).await;
    let exit_code = Some(task.exit_code.unwrap_or(0));
    Ok(EndedContainer { sight: Sight { exit_code, text, ..Sight::default() }, verdict })
}

/// Returns the pause before the next look: after a tenth of the time that it took so far.
fn pause(began: Instant) -> Duration {
    (began.elapsed() / 10).clamp(POLL_MIN, POLL_MAX)
}

/// Copies the beginning of the output into the run's log and returns it.
pub(super) async fn output(job: &Job, engine: &dyn Engine, name: &str, test: &str) -> String {
    let (mut text, mut is_whole) = (Vec::new(), true);
    match engine.service_log(name, &LogOptions::default()).await {
        Ok(mut lines) => {
            while let Some(Ok(piece)) = lines.next().await {
                let room = OUTPUT_BYTES_MAX - text.len();
                text.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    is_whole = false;
                    break;
                }
            }
        }
        Err(error) => job.say(format!("{test}: its output cannot be read: {}", ports::error::chain(&error))).await,
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    for line in text.lines() {
        job.say(format!("{test} | {line}")).await;
    }
    if !is_whole {
        job.say(format!("{test}: it wrote more than {OUTPUT_BYTES_MAX} bytes; the rest is not looked at")).await;
    }
    text
}

/// Keeps the files that a test left; what a JUnit file among them says.
async fn artifacts(job: &Job, engine: &dyn Engine, container: &str, test: &str) -> Option<(RungStatus, String)> {
    let archive = engine.read_archive(container, ARTIFACTS_DIR, ARTIFACTS_BYTES_MAX).await.ok()?;
    let found = tar_files::files(&archive, ARTIFACTS_MAX, ARTIFACTS_BYTES_MAX as u64).ok()?;
    let mut counts: Option<junit::Counts> = None;
    for file in found {
        let base = file.path.rsplit('/').next().unwrap_or(&file.path).to_owned();
        let text = String::from_utf8_lossy(&file.content);
        if base.ends_with(".xml") && text.contains("<testsuite") {
            let more = junit::count(&text);
            let sum = counts.get_or_insert_default();
            (sum.cases, sum.failed, sum.skipped) =
                (sum.cases + more.cases, sum.failed + more.failed, sum.skipped + more.skipped);
        }
        let kept = FileName::new(format!("{test}-{base}"));
        let (files, key) = (job.outside.runs.clone(), job.key.clone());
        let written = match kept {
            Ok(name) => tokio::task::spawn_blocking(move || files.put_artifact(&key, &name, &file.content)).await,
            Err(error) => Ok(Err(error)),
        };
        if let Ok(Err(error)) = written {
            job.say(format!("{test}: {base} is not kept: {error}")).await;
        }
    }
    counts.map(junit::verdict)
}

/// Removes a service of the run with its containers, and waits until they are gone: their networks are wanted back.
pub(super) async fn remove(engine: &dyn Engine, name: &str) -> Result<(), Failure> {
    let named = Filter::name_prefix(name);
    let of_service = Filter { labels: vec![(SERVICE_LABEL.to_owned(), name.to_owned())], ..Filter::default() };
    let began = Instant::now();
    let deadline = began + REMOVAL_MAX;
    loop {
        for service in engine.services(&named).await?.iter().filter(|service| service.spec.name == name) {
            engine.remove_service(&service.id).await?;
        }
        let containers = engine.containers(&of_service).await?;
        if containers.is_empty() {
            return Ok(());
        }
        for container in containers.iter().filter(|container| container.state != "running") {
            engine.remove_container(&container.id).await?;
        }
        if Instant::now() >= deadline {
            // One that does not obey is killed.
            for container in &containers {
                engine.remove_container(&container.id).await?;
            }
            return Ok(());
        }
        tokio::time::sleep(pause(began)).await;
    }
}

fn nothing(note: String) -> EndedContainer {
    EndedContainer { sight: Sight { note, ..Sight::default() }, verdict: None }
}
