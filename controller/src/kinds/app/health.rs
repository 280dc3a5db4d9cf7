//! Whether an app answers: rounds of checks beside the passes, and what they mean. Pure but for the rounds.

use std::time::Duration;

use api_types::condition::{ConditionStatus, ConditionType};
use api_types::kinds::check::{Health, HttpCheck, HttpMethod, Probe, TcpCheck, TlsCheck};
use api_types::reason;
use jiff::Timestamp;
use ports::probe::{HttpProbe, ProbeTimes, Scheme, Verdict as Seen};
use ports::swarm::{Engine, Filter};

use super::prepare::Prepared;
use crate::outside::Outside;
use crate::runtime::outcome::sentence;

/// How often an app that answers is asked.
const GOOD_PAUSE: Duration = Duration::from_secs(110);
/// How soon one is asked again that has just converged: its proxy takes a moment to hear of it.
const WAITING_PAUSE_MIN: Duration = Duration::from_millis(250);
/// How often one is asked that has not answered yet.
const WAITING_PAUSE: Duration = Duration::from_secs(2);
/// How often one is asked that does not answer although it had its time.
const BAD_PAUSE: Duration = Duration::from_secs(15);
/// How many rounds in a row must be bad before an app that answered counts as one that does not.
const BAD_ROUNDS: u32 = 3;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// The domain, and what must come back.
    pub reach: Option<Health>,
    /// Further signs.
    pub probes: Vec<Probe>,
}

impl Checks {
    /// Returns whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reach.is_none() && self.probes.is_empty()
    }
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is good.
    pub is_good: bool,
    /// A word of [`api_types::reason`].
    pub reason: String,
    /// What came back, and what to do if it is not good: a sentence.
    pub message: String,
}

/// One round of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// When it ended.
    pub at: Timestamp,
    /// What the domain said; `None` when it is not asked.
    pub reach: Option<Answer>,
    /// What the probes said, by name.
    pub probes: Vec<(String, Answer)>,
}

impl Round {
    fn is_good(&self) -> bool {
        self.reach.iter().chain(self.probes.iter().map(|(_, answer)| answer)).all(|answer| answer.is_good)
    }
}

/// What is known from rounds of the present deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// The last round.
    pub last: Option<Round>,
    /// How many rounds in a row were bad.
    pub bad: u32,
    /// Whether a round goes on.
    pub is_busy: bool,
}

impl Probes {
    /// Takes in a round.
    pub fn take_in(&mut self, round: Round) {
        self.bad = if round.is_good() { 0 } else { self.bad.saturating_add(1) };
        self.last = Some(round);
    }
}

/// What a condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// What rounds of checks mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of the domain.
    pub reachable: Finding,
    /// Of the probes.
    pub healthy: Finding,
    /// When the next round is due.
    pub due_in: Duration,
}

/// Returns what the rounds so far mean, for a deploy that converged at `converged_at` and has `time_max` to answer.
/// `was_good` tells what was known before.
#[must_use]
pub fn verdict(
    probes: &Probes,
    converged_at: Timestamp,
    time_max: Duration,
    now: Timestamp,
    was_good: &dyn Fn(ConditionType) -> bool,
) -> Verdict {
    let waited = Duration::try_from(now.duration_since(converged_at)).unwrap_or_default();
    let has_time = waited < time_max;
    let finding = |type_: ConditionType, good: &str, answers: &[(&str, &Answer)], nothing: &str| {
        if probes.last.is_none() {
            let message = "It has not been asked yet.".to_owned();
            return Finding { status: ConditionStatus::Unknown, reason: reason::PROBING.to_owned(), message };
        }
        let Some((name, bad)) = answers.iter().find(|(_, answer)| !answer.is_good) else {
            let message = answers.first().map_or(nothing.to_owned(), |(_, answer)| sentence(&answer.message));
            return Finding { status: ConditionStatus::True, reason: good.to_owned(), message };
        };
        let text = if name.is_empty() {
            bad.message.clone()
        } else {
            format!("the probe {name} is not good: {}", bad.message)
        };
        let text = sentence(&text);
        if was_good(type_) && probes.bad < BAD_ROUNDS {
            let message = format!("It answered before; the last try did not: {text}");
            return Finding { status: ConditionStatus::True, reason: good.to_owned(), message };
        }
        if has_time {
            let left = time_max.saturating_sub(waited).as_secs();
            let message = format!("{text} It has {left} s more to get there.");
            return Finding { status: ConditionStatus::Unknown, reason: reason::PROBING.to_owned(), message };
        }
        Finding { status: ConditionStatus::False, reason: bad.reason.clone(), message: text }
    };
    let last = probes.last.as_ref();
    let reach: Vec<(&str, &Answer)> =
        last.iter().filter_map(|round| round.reach.as_ref()).map(|answer| ("", answer)).collect();
    let further: Vec<(&str, &Answer)> =
        last.iter().flat_map(|round| round.probes.iter()).map(|(name, answer)| (name.as_str(), answer)).collect();
    let pause = match last {
        None => Duration::ZERO,
        Some(round) if round.is_good() => GOOD_PAUSE,
        // After as long as it has been waited for.
        Some(_) if has_time || probes.bad < BAD_ROUNDS => waited.clamp(WAITING_PAUSE_MIN, WAITING_PAUSE),
        Some(_) => BAD_PAUSE,
    };
    let age = last.and_then(|round| Duration::try_from(now.duration_since(round.at)).ok()).unwrap_or(pause);
    Verdict {
        reachable: finding(ConditionType::Reachable, reason::REACHABLE, &reach, "The domain is not asked."),
        healthy: finding(ConditionType::Healthy, reason::HEALTHY, &further, "There are no further probes."),
        due_in: pause.saturating_sub(age),
    }
}

/// The label of a container that names its service.
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";
/// The network over which the machine reaches the containers of a swarm.
const GATEWAY_NETWORK: &str = "docker_gwbridge";
/// The pause between two tries of a probe that must be good several times.
const STABLE_PAUSE: Duration = Duration::from_millis(500);

/// Asks everything once.
pub(super) async fn round(outside: &Outside, engine: &dyn Engine, prepared: &Prepared, domain: &str) -> Round {
    let mut reach = None;
    if let Some(health) = &prepared.checks.reach {
        reach = Some(ask_domain(outside, health, domain).await);
    }
    let mut probes = Vec::new();
    for probe in &prepared.checks.probes {
        let stack = &prepared.wanted.owner.stack;
        probes.push((probe.name.clone(), ask(outside, engine, probe, stack, domain).await));
    }
    Round { at: outside.clock.now(), reach, probes }
}

/// Returns how an app is asked whose certificate must be so.
pub(crate) fn scheme(tls: TlsCheck) -> Scheme {
    match tls {
        TlsCheck::Verify => Scheme::Https,
        TlsCheck::Insecure => Scheme::UncheckedHttps,
        TlsCheck::Disabled => Scheme::Http,
    }
}

async fn ask_domain(outside: &Outside, health: &Health, domain: &str) -> Answer {
    let mut probe = HttpProbe::https(domain, health.path.as_str());
    probe.scheme = scheme(health.tls);
    let report = outside.probe.http(&probe).await;
    if report.is_one_of(&health.statuses) {
        return Answer { is_good: true, reason: reason::REACHABLE.to_owned(), message: report.message };
    }
    let mut message = report.message;
    if report.verdict == Seen::Answered {
        let statuses: Vec<String> = health.statuses.iter().map(u16::to_string).collect();
        message = format!("{message} Accepted are: {}.", statuses.join(", "));
    }
    Answer { is_good: false, reason: report.verdict.reason().to_owned(), message }
}

/// Asks one probe, as often in a row as it must be good.
async fn ask(outside: &Outside, engine: &dyn Engine, probe: &Probe, stack: &str, domain: &str) -> Answer {
    let times = probe.stable.unwrap_or(1).max(1);
    let mut answer = bad("it has neither http nor tcp".to_owned());
    for time in 0..times {
        if time > 0 {
            tokio::time::sleep(STABLE_PAUSE).await;
        }
        answer = match (&probe.http, &probe.tcp) {
            (Some(http), _) => ask_http(outside, engine, http, stack, domain).await,
            (None, Some(tcp)) => ask_tcp(outside, engine, tcp, stack, domain).await,
            (None, None) => return answer,
        };
        if !answer.is_good {
            return answer;
        }
    }
    answer
}

async fn ask_http(outside: &Outside, engine: &dyn Engine, check: &HttpCheck, stack: &str, domain: &str) -> Answer {
    let is_plain =
        matches!(check.method, None | Some(HttpMethod::Get)) && check.headers.is_empty() && check.body.is_none();
    if !is_plain {
        return bad(
            "Probes of an App ask with GET, without headers and body: leave them out, or make it a test.".to_owned()
        );
    }
    let mut probe = HttpProbe::https(domain, check.path.as_str());
    if let Some(service) = &check.service {
        match address(engine, stack, service).await {
            Ok(address) => {
                probe.host = address;
                probe.scheme = Scheme::Http;
                probe.port = Some(check.port.unwrap_or(80));
            }
            Err(message) => return bad(message),
        }
    }
    let report = outside.probe.http(&probe).await;
    let is_good = report.verdict == Seen::Answered && report.status.is_some_and(|status| status < 400);
    if is_good {
        return Answer { is_good, reason: reason::HEALTHY.to_owned(), message: report.message };
    }
    let reason = if report.verdict.is_ours() { report.verdict.reason() } else { reason::PROBE_FAILED };
    Answer { is_good, reason: reason.to_owned(), message: report.message }
}

async fn ask_tcp(outside: &Outside, engine: &dyn Engine, check: &TcpCheck, stack: &str, domain: &str) -> Answer {
    let host = match &check.host {
        None => domain.to_owned(),
        Some(host) => match address(engine, stack, host).await {
            Ok(address) => address,
            // Not a service: a name or an address of its own.
            Err(_) => host.clone(),
        },
    };
    let report = outside.probe.tcp(&host, check.port, ProbeTimes::default()).await;
    if report.is_open {
        return Answer { is_good: true, reason: reason::HEALTHY.to_owned(), message: report.message };
    }
    bad(report.message)
}

fn bad(message: String) -> Answer {
    Answer { is_good: false, reason: reason::PROBE_FAILED.to_owned(), message }
}

/// Returns an address under which this machine reaches a running container of a service.
async fn address(engine: &dyn Engine, stack: &str, service: &str) -> Result<String, String> {
    let name = format!("{stack}_{service}");
    let filter = Filter { labels: vec![(SERVICE_LABEL.to_owned(), name.clone())], ..Filter::default() };
    let containers = engine.containers(&filter).await.map_err(|error| ports::error::chain(&error))?;
    for container in containers.iter().filter(|container| container.state == "running") {
        let details = engine.container(&container.id).await.map_err(|error| ports::error::chain(&error))?;
        let addresses = details.map(|details| details.addresses).unwrap_or_default();
        let address = addresses.get(GATEWAY_NETWORK).or_else(|| addresses.values().next());
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            return Ok(address.clone());
        }
    }
    Err(format!("No container of the service {name} runs on this machine."))
}
