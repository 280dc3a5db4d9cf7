//! A command in a running container of the app: the container is resolved anew each time, and a command that could not
//! be run is never taken for one that said nothing.

use std::time::Duration;

use api_types::kinds::check::ExecAction;
use ports::error::Error;
use ports::swarm::{Engine, ExecSpec, Filter, TaskState};
use tokio::time::Instant;

use super::super::expectation::Sight;
use super::Job;
use crate::runtime::outcome::Failure;

/// How long a container is waited for that is just being replaced.
const RESOLVE_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks for it.
const RESOLVE_PAUSE: Duration = Duration::from_millis(500);

/// Returns the newest running container of a service that runs its newest spec; `None` while there is none.
///
/// # Errors
/// Those of [`Engine`].
pub(super) async fn running_container(
    engine: &dyn Engine,
    stack: &str,
    service: &str,
) -> Result<Option<String>, Error> {
    let filter = Filter { service: Some(format!("{stack}_{service}")), ..Filter::default() };
    let tasks = engine.tasks(&filter).await?;
    let running = tasks.into_iter().rev().find(|task| {
        task.state == TaskState::Running
            && task.desired == TaskState::Running
            && task.is_up_to_date
            && !task.container_id.is_empty()
    });
    Ok(running.map(|task| task.container_id))
}

/// Runs a test's command.
pub(super) async fn run(
    job: &Job,
    engine: &dyn Engine,
    action: &ExecAction,
    time_max: Duration,
) -> Result<Sight, Failure> {
    let spec = ExecSpec {
        command: action.command.clone(),
        user: action.user.clone().unwrap_or_default(),
        env: Vec::new(),
        input: Vec::new(),
        time_max,
    };
    in_service(job, engine, &action.service, &spec).await
}

/// Runs a command in a service's container, waiting for one if it is just being replaced.
pub(super) async fn in_service(
    job: &Job,
    engine: &dyn Engine,
    service: &str,
    spec: &ExecSpec,
) -> Result<Sight, Failure> {
    let deadline = Instant::now() + RESOLVE_MAX;
    loop {
        let found = match running_container(engine, &job.stack, service).await {
            Ok(found) => found,
            // The engine says so for a service that it does not know.
            Err(error) if error.kind == ports::error::ErrorKind::Terminal => {
                return Ok(nothing(format!("the stack has no service {service}: {error}")));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(container) = found else {
            if Instant::now() >= deadline {
                return Ok(nothing(format!("no container of the service {service} runs")));
            }
            tokio::time::sleep(RESOLVE_PAUSE).await;
            continue;
        };
        match engine.exec(&container, spec).await {
            Ok(done) => {
                let text = String::from_utf8_lossy(&done.output).into_owned();
                return Ok(Sight { exit_code: Some(done.exit_code), text, ..Sight::default() });
            }
            Err(error) if error.reason == "ContainerNotRunning" && Instant::now() < deadline => {
                tokio::time::sleep(RESOLVE_PAUSE).await;
            }
            Err(error) if matches!(error.reason, "CommandNotFound" | "ExecTimeout" | "ContainerNotRunning") => {
                return Ok(nothing(ports::error::chain(&error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn nothing(note: String) -> Sight {
    Sight { note, ..Sight::default() }
}
