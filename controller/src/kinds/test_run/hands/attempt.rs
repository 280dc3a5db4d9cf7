//! One attempt at something: a request, a connection, a command, a container.

use std::time::Duration;

use api_types::kinds::check::{Action, HttpCheck, TcpCheck};
use ports::probe::{HttpProbe, ProbeTimes, Scheme, Verdict};
use ports::swarm::{Engine, Filter};
use tokio::time::Instant;

use super::super::expectation::{Sight, complaint, is_tried_again};
use super::{Job, container, exec};
use crate::runtime::outcome::Failure;

/// How long an action may take.
const ACTION_MAX: Duration = Duration::from_mins(5);
/// The pause between two tries.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Most bytes of a body that a test looks at.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The label of a container that names its service.
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";
/// The network over which the machine reaches the containers of a swarm.
const GATEWAY_NETWORK: &str = "docker_gwbridge";

/// Seeds or destroys, and returns what is wrong with how that went; again while the way to the app is broken.
pub(super) async fn action(
    job: &Job,
    engine: &dyn Engine,
    test: &str,
    action: &Action,
) -> Result<Option<String>, Failure> {
    let began = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        let sight = once(job, engine, test, action).await?;
        let Some(complaint) = complaint(None, &sight) else { return Ok(None) };
        if !is_tried_again(&sight, began.elapsed(), Duration::ZERO, ACTION_MAX) {
            let tries = if tries > 1 { format!(" (after {tries} tries)") } else { String::new() };
            return Ok(Some(format!("{complaint}{tries}")));
        }
        job.say(format!("{test}: {}; trying again", job.clean(&complaint))).await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(job: &Job, engine: &dyn Engine, test: &str, action: &Action) -> Result<Sight, Failure> {
    if let Some(check) = &action.http {
        return http(job, engine, check, ACTION_MAX).await;
    }
    if let Some(command) = &action.exec {
        return exec::run(job, engine, command, ACTION_MAX).await;
    }
    match &action.container {
        Some(image) => container::run(job, engine, test, image, ACTION_MAX).await.map(|ended| ended.sight),
        None => Ok(Sight { note: "the action has neither http nor exec nor container".to_owned(), ..Sight::default() }),
    }
}

/// Asks over HTTP once.
///
/// # Errors
/// What is the operator's matter: the proxy is down, its certificate does not hold.
pub(super) async fn http(
    job: &Job,
    engine: &dyn Engine,
    check: &HttpCheck,
    time_max: Duration,
) -> Result<Sight, Failure> {
    let mut probe = HttpProbe::https(&job.domain, &check.path);
    if let Some(method) = check.method {
        let word = serde_json::to_value(method).unwrap_or_default();
        probe.method = word.as_str().unwrap_or("GET").to_owned();
    }
    probe.headers = check.headers.clone();
    probe.body = check.body.clone().unwrap_or_default().into_bytes();
    probe.body_bytes_max = BODY_BYTES_MAX;
    probe.times.answer = time_max.min(Duration::from_mins(2));
    probe.scheme = crate::kinds::app::health::scheme(job.order.recipe.spec.health.tls);
    if let Some(service) = &check.service {
        let Some(address) = address(engine, &job.stack, service).await? else {
            let note = format!("no container of the service {service} runs on this machine");
            return Ok(Sight { is_broken: true, note, ..Sight::default() });
        };
        probe.host = address;
        probe.scheme = Scheme::Http;
        probe.port = Some(check.port.unwrap_or(80));
    }
    let report = job.outside.probe.http(&probe).await;
    if report.verdict.is_ours() && check.service.is_none() {
        return Err(Failure::retryable(report.verdict.reason(), report.message));
    }
    // What a proxy says in the place of the app is no answer of the app, but for tests that expect such a status.
    let status = report.status.filter(|_| report.verdict != Verdict::NoAnswer);
    Ok(Sight {
        status,
        is_broken: is_broken(report.verdict),
        text: String::from_utf8_lossy(&report.body).into_owned(),
        note: report.message,
        ..Sight::default()
    })
}

/// Returns whether a verdict says that an answer did not get through. A proxy says 502 to 504 for an app whose connection
/// broke, and nobody can tell that from the app's own words.
fn is_broken(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NoAnswer | Verdict::BackendDown | Verdict::NoServer | Verdict::ProxyDown)
}

/// Connects once.
pub(super) async fn tcp(job: &Job, engine: &dyn Engine, check: &TcpCheck) -> Result<Sight, Failure> {
    let host = match &check.host {
        None => job.domain.clone(),
        // A service of the stack, or else a name or an address of its own.
        Some(host) => address(engine, &job.stack, host).await?.unwrap_or_else(|| host.clone()),
    };
    let report = job.outside.probe.tcp(&host, check.port, ProbeTimes::default()).await;
    Ok(Sight { is_open: Some(report.is_open), note: report.message, ..Sight::default() })
}

/// Returns an address under which this machine reaches a running container of a service.
async fn address(engine: &dyn Engine, stack: &str, service: &str) -> Result<Option<String>, Failure> {
    let labels = vec![(SERVICE_LABEL.to_owned(), format!("{stack}_{service}"))];
    let containers = engine.containers(&Filter { labels, ..Filter::default() }).await?;
    for found in containers.iter().filter(|found| found.state == "running") {
        let details = engine.container(&found.id).await?;
        let addresses = details.map(|details| details.addresses).unwrap_or_default();
        let address = addresses.get(GATEWAY_NETWORK).or_else(|| addresses.values().next());
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            return Ok(Some(address.clone()));
        }
    }
    Ok(None)
}
