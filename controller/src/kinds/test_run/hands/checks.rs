//! Checks: the generic ones that every run has, and the recipe's own.

use std::time::Duration;

use api_types::kinds::check::HttpCheck;
use api_types::kinds::recipe::RecipeTest;
use api_types::kinds::test_run::{RungStatus, TestResult};
use api_types::units::DurationText;
use ports::swarm::spec::ServiceMode;
use ports::swarm::{Engine, Filter, Service, Task, TaskState};
use tokio::time::Instant;

use super::super::expectation::{Sight, complaint, is_tried_again};
use super::super::work::Check;
use super::attempt::{self, PAUSE};
use super::{Job, backup, container, exec};
use crate::kinds::app::deployer::decorate::COMMIT_LABEL;
use crate::runtime::outcome::{Failure, sentence};

/// How long a test may take that does not say so itself.
const TEST_MAX: Duration = Duration::from_mins(5);
/// How long the generic checks wait for what is on its way.
const GENERIC_MAX: Duration = Duration::from_mins(1);
/// How long what a test made may take to go when its time is over.
const CLEAN_UP_MAX: Duration = Duration::from_mins(1);

/// Runs a check to its result.
///
/// # Errors
/// Our own trouble.
pub(super) async fn check(job: &Job, engine: &dyn Engine, check: &Check) -> Result<TestResult, Failure> {
    let began = Instant::now();
    let name = check.name();
    let mut result = match check {
        Check::Services => until(GENERIC_MAX, || services(job, engine)).await?,
        Check::Health => until(job.order.recipe.spec.timeouts.http.span(), || health(job, engine)).await?,
        Check::Head => until(Duration::ZERO, || head(job, engine)).await?,
        Check::Markers => backup::markers(job, engine).await?,
        Check::Own(test) => own(job, engine, test).await?,
    };
    result.name = name;
    result.duration_milliseconds = i64::try_from(began.elapsed().as_millis()).ok();
    let word = match result.status {
        RungStatus::Pass => "pass",
        RungStatus::Fail => "FAIL",
        RungStatus::Skip => "skip",
        RungStatus::Unverified => "unverified",
    };
    job.say(format!("{word} {}: {}", result.name, result.message.as_deref().unwrap_or_default())).await;
    Ok(result)
}

/// Tries until there is no complaint or the time is over.
async fn until<Try, Trying>(time_max: Duration, mut attempt: Try) -> Result<TestResult, Failure>
where
    Try: FnMut() -> Trying,
    Trying: Future<Output = Result<Result<String, String>, Failure>>,
{
    let deadline = Instant::now() + time_max;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (status, message) = match attempt().await? {
            Ok(good) => (RungStatus::Pass, good),
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(complaint) => (RungStatus::Fail, complaint),
        };
        return Ok(TestResult {
            status,
            message: Some(sentence(&message)),
            attempts: Some(attempts),
            ..TestResult::default()
        });
    }
}

/// Every service runs as many tasks of its newest spec as it should, and no update has gone wrong.
async fn services(job: &Job, engine: &dyn Engine) -> Result<Result<String, String>, Failure> {
    let services = engine.services(&Filter::stack(&job.stack)).await?;
    let tasks = engine.tasks(&Filter::stack(&job.stack)).await?;
    let nodes = engine.nodes().await?.iter().filter(|node| node.state == "ready").count();
    if services.is_empty() {
        return Ok(Err("the stack has no service".to_owned()));
    }
    let wrong: Vec<String> = services.iter().filter_map(|service| shortfall(service, &tasks, nodes)).collect();
    if wrong.is_empty() {
        let message = match services.len() {
            1 => "the service runs as many tasks as it should".to_owned(),
            count => format!("all {count} services run as many tasks as they should"),
        };
        return Ok(Ok(message));
    }
    Ok(Err(wrong.join(", ")))
}

/// Returns what a service lacks; `None` when it is complete.
pub(super) fn shortfall(service: &Service, tasks: &[Task], nodes: usize) -> Option<String> {
    let name = &service.spec.name;
    if let Some(update) = service
        .update
        .as_ref()
        .filter(|update| update.state.is_rollback() || matches!(update.state, ports::swarm::UpdateState::Paused))
    {
        return Some(format!("{name}: the update is {} ({})", update.state.word(), update.message));
    }
    let own = || tasks.iter().filter(|task| task.service_id == service.id && task.is_up_to_date);
    let running = own().filter(|task| task.state == TaskState::Running && task.desired == TaskState::Running).count();
    let ended_well = own().any(|task| task.state == TaskState::Complete);
    let restarts = service.spec.task_template.restart_policy.as_ref().map_or("any", |policy| &*policy.condition);
    let is_one_shot = service.spec.mode.is_job() || matches!(restarts, "none" | "on-failure");
    if is_one_shot && ended_well {
        return None;
    }
    let wanted = match &service.spec.mode {
        ServiceMode::Replicated { replicas } => usize::try_from(replicas.unwrap_or(1)).unwrap_or(usize::MAX),
        ServiceMode::Global {} => nodes.max(1),
        ServiceMode::ReplicatedJob { .. } | ServiceMode::GlobalJob {} => 1,
    };
    (running < wanted).then(|| {
        let error = own().rfind(|task| !task.error.is_empty()).map(|task| format!(" ({})", task.error));
        format!("{name}: {running} of {wanted} tasks run{}", error.unwrap_or_default())
    })
}

/// The domain answers as `health` says.
async fn health(job: &Job, engine: &dyn Engine) -> Result<Result<String, String>, Failure> {
    let health = &job.order.recipe.spec.health;
    let check = HttpCheck { path: health.path.clone(), ..HttpCheck::default() };
    let sight = attempt::http(job, engine, &check, Duration::from_secs(30)).await?;
    let is_good = sight.status.is_some_and(|status| health.statuses.contains(&status));
    if is_good { Ok(Ok(sight.note)) } else { Ok(Err(sight.note)) }
}

/// What runs is the head: every service carries its commit, and no image of the base alone is left.
async fn head(job: &Job, engine: &dyn Engine) -> Result<Result<String, String>, Failure> {
    let status = &job.order.run.status;
    let head = status.head.clone().unwrap_or_default();
    let commit = head.commit.clone().unwrap_or_default();
    let services = engine.services(&Filter::stack(&job.stack)).await?;
    if services.is_empty() {
        return Ok(Err("the stack has no service".to_owned()));
    }
    for service in &services {
        let found = service.spec.labels.get(COMMIT_LABEL).cloned().unwrap_or_default();
        if found != commit {
            return Ok(Err(format!("{} is of commit {found:?} instead of {commit}", service.spec.name)));
        }
        let short = service.spec.name.strip_prefix(&format!("{}_", job.stack)).unwrap_or_default();
        let wanted = head.images.iter().find(|image| image.service == short);
        let image = &service.spec.task_template.container_spec.image;
        if let Some(wanted) = wanted.filter(|wanted| !image.contains(without_digest(&wanted.image))) {
            return Ok(Err(format!("{} runs {image} instead of {}", service.spec.name, wanted.image)));
        }
    }
    let base = status.base.as_ref().and_then(|base| base.commit.clone()).unwrap_or_default();
    if base == commit {
        return Ok(Err("base and head are the same commit".to_owned()));
    }
    let subject = match services.len() {
        1 => "the service is".to_owned(),
        count => format!("all {count} services are"),
    };
    Ok(Ok(format!("{subject} of commit {commit}; the base was of {base}")))
}

fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

/// Runs one of the recipe's own tests: again and again within the time that it allows for, and while the way to the app
/// is broken.
pub(super) async fn own(job: &Job, engine: &dyn Engine, test: &RecipeTest) -> Result<TestResult, Failure> {
    let most = test.timeout.as_ref().map_or(TEST_MAX, DurationText::span);
    let within =
        test.expect.as_ref().and_then(|expect| expect.within.as_ref()).map_or(Duration::ZERO, DurationText::span);
    let began = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = most.max(within);
        // What a try is made of keeps to its time by itself, and cleans up after it.
        let tried = tokio::time::timeout(left + CLEAN_UP_MAX, one_try(job, engine, test, left)).await;
        let (sight, verdict) = match tried {
            Ok(tried) => tried?,
            Err(_) => {
                let note = format!("it took longer than {} s", left.as_secs());
                (Sight { note, ..Sight::default() }, None)
            }
        };
        let complaint = complaint(test.expect.as_ref(), &sight);
        let (status, message) = match (complaint, verdict) {
            (Some(_), _) if is_tried_again(&sight, began.elapsed(), within, most) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            (Some(complaint), _) => (RungStatus::Fail, complaint),
            (None, Some((status, message))) => (status, message),
            (None, None) if sight.note.is_empty() => (RungStatus::Pass, "it is as it should be".to_owned()),
            (None, None) => (RungStatus::Pass, sight.note.clone()),
        };
        return Ok(TestResult {
            stage: test.stage,
            name: test.name.clone(),
            status,
            message: Some(job.clean(&sentence(&message))),
            attempts: Some(attempts),
            duration_milliseconds: None,
        });
    }
}

/// One try, and what a file of results says besides the exit code.
async fn one_try(
    job: &Job,
    engine: &dyn Engine,
    test: &RecipeTest,
    time_max: Duration,
) -> Result<(Sight, Option<(RungStatus, String)>), Failure> {
    if let Some(check) = &test.http {
        return Ok((attempt::http(job, engine, check, time_max).await?, None));
    }
    if let Some(check) = &test.tcp {
        return Ok((attempt::tcp(job, engine, check).await?, None));
    }
    if let Some(action) = &test.exec {
        return Ok((exec::run(job, engine, action, time_max).await?, None));
    }
    match &test.container {
        Some(action) => {
            let ended = container::run(job, engine, &test.name, action, time_max).await?;
            Ok((ended.sight, ended.verdict))
        }
        None => Ok((Sight { note: "the test does nothing".to_owned(), ..Sight::default() }, None)),
    }
}
