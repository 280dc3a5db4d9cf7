//! What follows from what was seen of an App. Pure.
//!
//! Conditions are filled in from left to right, and what lies behind the first one that is not `True` is not known:
//!
//! ```text
//!   Configured ─► Deployed ─► Converged ─► Reachable, Healthy        Ready sums them up; Drifted stands beside them
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppStatus, ServiceState, ServiceTask};
use api_types::kinds::app_upgrade::{AppUpgrade, UpgradePhase};
use api_types::reason;
use jiff::Timestamp;
use ports::swarm::Task;

use super::act::Action;
use super::converge::{Judgement, Reason, STABLE_MIN, Verdict, nanoseconds, worst};
use super::deployer::{Effect, Refusal};
use super::health::{self, Finding};
use super::observe::{Claim, Images, Leaving, Observed, Present, Source, Swarm};
use super::prepare::Prepared;
use super::teardown::{self, Step};
use super::upgrade::after::{self as upgrade, Gate, NotSeen, Surplus, Turn};
use super::{application, dependencies, drift, generated, rotation};
use crate::runtime::events::seconds;
use crate::runtime::outcome::sentence;
use crate::runtime::reconciler::{Decision, Next};

/// How soon an app is looked at again after its tasks moved. Tasks have no events; the engine reports what becomes of
/// their containers, and that rings (`host/ears.rs`). This is for all that has no container yet.
pub(super) const MOVING_POLL_MIN: Duration = Duration::from_millis(200);
/// How often an app is looked at whose tasks have not moved for long, in case that a report was lost.
const MOVING_POLL_MAX: Duration = Duration::from_secs(5);
/// How often an app that failed is looked at, at the least: it may come round by itself.
const FAILED_POLL_MAX: Duration = Duration::from_mins(1);
/// Clocks of machines and timers are not that exact: a look that comes a moment early is one for nothing.
const TIMER_SLACK: Duration = Duration::from_millis(10);
/// How often an engine that is away is asked.
const ENGINE_POLL: Duration = Duration::from_secs(5);
/// How often something that a person must change outside the store is looked at.
pub(super) const REFUSED_POLL: Duration = Duration::from_mins(1);
/// How often work that rings when it ends is looked at.
const WORK_POLL: Duration = Duration::from_secs(10);
/// How often an app that runs is looked at although the engine reports nothing.
pub(super) const STEADY_POLL: Duration = Duration::from_mins(3);
/// The pause after each step of a teardown, in which the swarm does what it was asked.
const TEARDOWN_POLL: Duration = Duration::from_millis(200);
/// How often a stack is looked at whose tasks take long to end.
const ENDING_POLL_MAX: Duration = Duration::from_secs(1);
/// Most names of what remains, as the schema has it.
const REMAINING_MAX: usize = 512;
/// Most names of secrets, likewise.
const SECRETS_MAX: usize = 128;
/// Most characters of an error in the status.
const ERROR_CHARACTERS_MAX: usize = 2000;

/// What Ready sums up, in the order in which things happen.
const ORDER: [ConditionType; 5] = [
    ConditionType::Configured,
    ConditionType::Deployed,
    ConditionType::Converged,
    ConditionType::Reachable,
    ConditionType::Healthy,
];

pub(super) type Decided = Decision<AppStatus, Action>;

pub(super) fn decide(app: &Object<App>, observed: &Observed, now: Timestamp) -> Decided {
    match observed {
        Observed::Leaving(leaving) => dependencies::hold_leaving(&leaving.going_first, leave(app, leaving, now)),
        Observed::Present(present) => {
            let decided = rotation::follow(app, present, present_app(app, present, now), now);
            let decided = application::care::attend(&present.application, decided);
            dependencies::hold(app, &present.dependencies, decided)
        }
    }
}

fn present_app(app: &Object<App>, present: &Present, now: Timestamp) -> Decided {
    let mut status = app.status.clone();
    status.stack = Some(present.stack.clone());
    status.host = Some(present.host.clone());
    status.deployer = Some(present.deployer);
    status.oauth_application.clone_from(&present.application.state);
    status.remaining.clear();
    if app.status.observed_generation != app.metadata.generation {
        forget(&mut status, &ORDER, "The spec has changed; this is not known yet.");
    }
    let prepared = match &present.source {
        Source::Absent => return Decision::act(finish(status), Action::Prepare),
        Source::Busy => return Decision::wait(finish(status), Next::After(WORK_POLL)),
        Source::Refused(refusal) => {
            refuse(&mut status, ConditionType::Configured, refusal);
            return Decision::wait(finish(status), Next::After(REFUSED_POLL));
        }
        Source::Ready(prepared) => prepared,
    };
    status.desired = Some(prepared.identity.clone());
    status.available_version.clone_from(&prepared.available_version);
    set(&mut status, ConditionType::Configured, ConditionStatus::True, reason::CONFIGURED, &prepared.summary);
    upgrade::say(&mut status, prepared);
    let mut decided = match &present.swarm {
        Ok(swarm) => on_swarm(app, status, prepared, swarm, present, now),
        Err(failure) => {
            // What cannot be seen is neither good nor bad.
            for type_ in [ConditionType::Converged, ConditionType::Reachable] {
                let text = sentence(&failure.message);
                set(&mut status, type_, ConditionStatus::Unknown, &failure.reason, &text);
            }
            Decision::wait(finish(status), Next::After(failure.retry_after.unwrap_or(ENGINE_POLL)))
        }
    };
    upgrade::correct_summary(&mut decided.status, prepared);
    let surplus = |swarm: &Swarm| if swarm.surplus.is_empty() { Surplus::None } else { Surplus::Some };
    let surplus = present.swarm.as_ref().map(surplus).map_err(|_| NotSeen);
    match upgrade::settle(&mut decided.status, prepared, &present.upgrade, surplus, now) {
        Turn::None => decided,
        Turn::Next(told) => Decision::act(decided.status, Action::Tell(told)),
        Turn::Drop(made) => {
            // What somebody uses all the same is not asked for again and again.
            let action = Some(Action::DropVolumes { volumes: made.volumes, containers: made.containers });
            Decision { status: decided.status, action, next: Next::After(MOVING_POLL_MAX) }
        }
    }
}

fn on_swarm(
    app: &Object<App>,
    mut status: AppStatus,
    prepared: &Prepared,
    swarm: &Swarm,
    present: &Present,
    now: Timestamp,
) -> Decided {
    let unknown = ConditionStatus::Unknown;
    match &swarm.claim {
        Claim::Ours => {}
        Claim::Foreign(refusal) => {
            refuse(&mut status, ConditionType::Deployed, refusal);
            return Decision::wait(finish(status), Next::After(REFUSED_POLL));
        }
        Claim::Leftovers(leaving) => {
            let names = teardown::remaining(&leaving.inventory, leaving.scope).join(", ");
            let text = format!("What was left under this name goes first: {names}.");
            set(&mut status, ConditionType::Deployed, unknown, reason::STACK_LEFTOVERS, &text);
            return step_on(finish(status), leaving, now);
        }
        Claim::Ending => {
            let text = "Tasks of an earlier deploy of this stack are still ending.";
            set(&mut status, ConditionType::Deployed, unknown, reason::STACK_LEFTOVERS, text);
            return Decision::wait(finish(status), Next::After(MOVING_POLL_MIN));
        }
    }
    status.observed = swarm.identity.clone();
    let same_hash = status.deployed_hash.as_deref() == Some(&prepared.hash);
    if same_hash && condition::is_true(&status.conditions, ConditionType::Deployed.word()) {
        return handed_over(app, status, prepared, swarm, present, now);
    }
    hand_over(app, status, prepared, swarm, present, now)
}

/// The stack has not been handed over yet, or not this one.
fn hand_over(
    app: &Object<App>,
    mut status: AppStatus,
    prepared: &Prepared,
    swarm: &Swarm,
    present: &Present,
    now: Timestamp,
) -> Decided {
    let deployed = ConditionType::Deployed;
    let unknown = ConditionStatus::Unknown;
    let later = [ConditionType::Converged, ConditionType::Reachable, ConditionType::Healthy];
    if let Some(wait) = swarm.settles_for {
        if !is_under_way(&status) {
            set(&mut status, deployed, unknown, reason::DEPLOYING, SETTLES);
        }
        return Decision::wait(finish(status), Next::After(wait));
    }
    match &present.images {
        Images::Settled => {}
        Images::Missing => {
            set(&mut status, deployed, unknown, reason::PULLING, "The images are being pulled.");
            forget(&mut status, &later, "Known once the stack has been deployed.");
            return Decision::act(finish(status), Action::Pull);
        }
        Images::Busy => {
            set(&mut status, deployed, unknown, reason::PULLING, "The images are being pulled.");
            return Decision::wait(finish(status), Next::After(WORK_POLL));
        }
        Images::Failed(refusal) => {
            refuse(&mut status, deployed, refusal);
            return Decision::wait(finish(status), Next::After(REFUSED_POLL));
        }
    }
    if !swarm.secrets_lost.is_empty() {
        refuse(&mut status, deployed, &lost(prepared, &swarm.secrets_lost));
        return Decision::wait(finish(status), Next::After(REFUSED_POLL));
    }
    if !swarm.secrets_to_make.is_empty() {
        set(&mut status, deployed, unknown, reason::DEPLOYING, "Secrets are being generated.");
        return Decision::act(finish(status), Action::MakeSecrets(swarm.secrets_to_make.clone()));
    }
    let effects = match &swarm.missing {
        Err(refusal) => {
            refuse(&mut status, deployed, refusal);
            return Decision::wait(finish(status), Next::After(REFUSED_POLL));
        }
        Ok(effects) => effects,
    };
    match upgrade::before_handing_over(app, &status, prepared, &present.upgrade, now) {
        Gate::Open => hand_effects_over(status, prepared, (effects, swarm.held_for), now),
        gate => at_gate(status, gate),
    }
}

/// Something comes before the stack is handed over.
fn at_gate(mut status: AppStatus, gate: Gate) -> Decided {
    let later = [ConditionType::Converged, ConditionType::Reachable, ConditionType::Healthy];
    let mut stopped = |text: &str| {
        set(&mut status, ConditionType::Deployed, ConditionStatus::Unknown, reason::UPGRADING, text);
        forget(&mut status, &later, text);
        finish(status.clone())
    };
    match gate {
        Gate::Do(text, action) => Decision::act(stopped(&text), action),
        Gate::Wait(text, wait) => Decision::wait(stopped(&text), Next::After(wait)),
        Gate::Record(upgrade, told) => {
            let status = AppStatus { upgrade: Some(*upgrade), ..status };
            match told {
                Some(told) => Decision::act(finish(status), Action::Tell(told)),
                None => Decision::wait(finish(status), Next::Now),
            }
        }
        Gate::Open => Decision::wait(finish(status), Next::Now),
    }
}

/// What the swarm lacks of the stack is handed over.
fn hand_effects_over(
    mut status: AppStatus,
    prepared: &Prepared,
    (effects, held_for): (&[Effect], Option<Duration>),
    now: Timestamp,
) -> Decided {
    let (deployed, unknown) = (ConditionType::Deployed, ConditionStatus::Unknown);
    let later = [ConditionType::Converged, ConditionType::Reachable, ConditionType::Healthy];
    let is_another = status.deployed_hash.as_deref() != Some(&prepared.hash) || status.deployed_at.is_none();
    if effects.is_empty()
        && let Some(wait) = held_for
    {
        set(&mut status, deployed, unknown, reason::DEPLOYING, &format!("{HANDING_OVER} {NOT_KEPT}"));
        return Decision::wait(finish(status), Next::After(wait));
    }
    if effects.is_empty() {
        if is_another {
            // It runs already: taken over from somebody, or only what is around the services changed.
            begin(&mut status, prepared, now);
        }
        let text = format!("The stack {} was handed to the swarm.", prepared.wanted.owner.stack);
        set(&mut status, deployed, ConditionStatus::True, reason::DEPLOYED, &text);
        return Decision::wait(finish(status), Next::Now);
    }
    if is_another || !is_under_way(&status) {
        begin(&mut status, prepared, now);
    }
    let text = format!("{HANDING_OVER} {} steps are left.", effects.len());
    set(&mut status, deployed, unknown, reason::DEPLOYING, &text);
    forget(&mut status, &later, "Known once the stack has been deployed.");
    Decision::act(finish(status), Action::Deploy(effects.to_vec()))
}

/// A value that was used is never made anew by itself: what it opened would be shut for good.
fn lost(prepared: &Prepared, names: &[String]) -> Refusal {
    let (app, names_told) = (prepared.wanted.owner.app.rsplit('/').next().unwrap_or_default(), names.join(", "));
    let key = prepared.secrets.iter().find(|secret| names.contains(&secret.name)).map_or("NAME", |secret| &secret.key);
    Refusal {
        reason: reason::SECRET_LOST,
        message: format!(
            "The value of {names_told} is lost: it is neither in the swarm nor in the Secret {}, and making another one would \
             lock the app out of what the old one opened. Restore that Secret from a backup, or give the value by a Secret \
             that spec.secrets names, or have a new one made: ccctl secret rotate app/{app} {key}",
            generated::key("", app).name()
        ),
    }
}

/// Begins the message of a deploy that has begun, so that one that was cut off is told from one that has not.
pub(super) const HANDING_OVER: &str = "The stack is being handed to the swarm.";

/// What is said while an engine that was away is left alone.
const SETTLES: &str = "The engine was away, and finds its tasks again before it is told anything.";

/// Ends the message of a deploy that waits before it hands over the same again.
const NOT_KEPT: &str = "A service is not as it was handed over a moment ago; it is told again shortly.";

/// What is said while that goes which a stack no longer needs.
pub(super) const REMOVING: &str = "What is no longer needed is being removed.";

/// Returns whether a deploy has begun that was cut off.
fn is_under_way(status: &AppStatus) -> bool {
    condition::find(&status.conditions, ConditionType::Deployed.word())
        .is_some_and(|found| found.reason == reason::DEPLOYING && found.message.starts_with(HANDING_OVER))
}

/// Notes that a deploy begins: what updates report from before is history.
fn begin(status: &mut AppStatus, prepared: &Prepared, now: Timestamp) {
    status.deployed_hash = Some(prepared.hash.clone());
    status.deployed_at = Some(seconds(now));
    status.deployed_version.clone_from(&prepared.version);
    if let Some(upgrade) = status.upgrade.as_mut().filter(|upgrade| upgrade.phase == UpgradePhase::Deploying) {
        upgrade.deployed_at = Some(seconds(now));
    }
}

/// The stack was handed over: what has the swarm made of it?
fn handed_over(
    app: &Object<App>,
    mut status: AppStatus,
    prepared: &Prepared,
    swarm: &Swarm,
    present: &Present,
    now: Timestamp,
) -> Decided {
    status.services = swarm.judgements.iter().map(service_state).collect();
    let Some(worst) = worst(&swarm.judgements) else {
        status.secret_names = secret_names(prepared);
        let text = "The stack has no services.";
        set(&mut status, ConditionType::Converged, ConditionStatus::True, reason::CONVERGED, text);
        return probe(app, status, prepared, present, now);
    };
    if worst.reason.wants_repair() {
        return drift::meet(app, status, prepared, swarm, worst, now);
    }
    let converged = ConditionType::Converged;
    match worst.verdict {
        Verdict::Failed => {
            let hint = format!("See: ccctl logs app/{}/{}", app.metadata.name, worst.service);
            let text = format!("{} {hint}", worst.message);
            set(&mut status, converged, ConditionStatus::False, worst.reason.word(), &text);
            in_sync(&mut status, worst);
            let longest = if worst.is_final { FAILED_POLL_MAX } else { MOVING_POLL_MAX };
            Decision::wait(finish(status), Next::After(after_motion(swarm.still, longest)))
        }
        Verdict::Progressing => {
            set(&mut status, converged, ConditionStatus::Unknown, worst.reason.word(), &worst.message);
            let wait = match worst.reason {
                Reason::Stabilising => until_stable(prepared, swarm.still),
                _ => after_motion(swarm.still, MOVING_POLL_MAX),
            };
            Decision::wait(finish(status), Next::After(wait))
        }
        Verdict::Converged => {
            let text = match swarm.judgements.len() {
                1 => "The service runs as it was asked for.".to_owned(),
                count => format!("All {count} services run as they were asked for."),
            };
            set(&mut status, converged, ConditionStatus::True, reason::CONVERGED, &text);
            status.secret_names = secret_names(prepared);
            in_sync(&mut status, worst);
            // What the version before would need is kept until this one has shown that it serves.
            let is_proven = !status.upgrade.as_ref().is_some_and(AppUpgrade::is_under_way);
            if !swarm.surplus.is_empty() && is_proven {
                let action = Action::Prune(swarm.surplus.clone());
                let mut status = finish(status);
                if !condition::is_true(&app.status.conditions, READY) {
                    // Whoever waits for an upgrade finds nothing of the version before.
                    set(&mut status, ConditionType::Ready, ConditionStatus::Unknown, reason::UPGRADING, REMOVING);
                }
                return Decision { status, action: Some(action), next: Next::After(TEARDOWN_POLL) };
            }
            probe(app, status, prepared, present, now)
        }
    }
}

/// Returns when to look again at what moves by itself: after as long as nothing has moved, so that what takes seconds is
/// seen at once and what takes minutes costs little.
fn after_motion(still: Duration, longest: Duration) -> Duration {
    still.clamp(MOVING_POLL_MIN, longest)
}

/// Returns when all has been good for long enough, if nothing happens until then.
fn until_stable(prepared: &Prepared, still: Duration) -> Duration {
    let monitors = prepared.wanted.stack.services.iter().filter_map(|service| {
        let update = service.spec.update_config.as_ref()?;
        nanoseconds(update.monitor)
    });
    let needed = monitors.max().unwrap_or_default().max(STABLE_MIN);
    (needed.saturating_sub(still) + TIMER_SLACK).clamp(MOVING_POLL_MIN, MOVING_POLL_MAX + TIMER_SLACK)
}

fn in_sync(status: &mut AppStatus, worst: &Judgement) {
    let text = match worst.reason {
        Reason::RolledBack => "The swarm itself went back; nobody changed it.",
        _ => "What runs is what was deployed.",
    };
    set(status, ConditionType::Drifted, ConditionStatus::False, reason::IN_SYNC, text);
}

/// It runs: does it answer?
fn probe(app: &Object<App>, mut status: AppStatus, prepared: &Prepared, present: &Present, now: Timestamp) -> Decided {
    if prepared.checks.is_empty() {
        let text = "Nothing says how to reach it: no service has a route for the domain, and there are no probes.";
        set(&mut status, ConditionType::Reachable, ConditionStatus::True, reason::REACHABLE, text);
        set(&mut status, ConditionType::Healthy, ConditionStatus::True, reason::HEALTHY, text);
        let status = finish(status);
        return if present.refresh_due {
            Decision::act(status, Action::Prepare)
        } else {
            Decision::wait(status, Next::After(STEADY_POLL))
        };
    }
    let converged_at = condition::find(&app.status.conditions, ConditionType::Converged.word())
        .filter(|found| found.status == ConditionStatus::True)
        .and_then(|found| found.last_transition_time.parse::<Timestamp>().ok())
        .unwrap_or(now);
    let was_good = |type_: ConditionType| condition::is_true(&app.status.conditions, type_.word());
    let verdict = health::verdict(&present.probes, converged_at, prepared.http_timeout, now, &was_good);
    for (type_, finding) in [(ConditionType::Reachable, &verdict.reachable), (ConditionType::Healthy, &verdict.healthy)]
    {
        let Finding { status: word, reason, message } = finding;
        set(&mut status, type_, *word, reason, message);
    }
    let status = finish(status);
    if present.refresh_due {
        return Decision::act(status, Action::Prepare);
    }
    if present.probes.is_busy {
        return Decision::wait(status, Next::After(WORK_POLL));
    }
    match verdict.due_in {
        Duration::ZERO => Decision::act(status, Action::Probe),
        wait => Decision::wait(status, Next::After(wait)),
    }
}

/// The App is being deleted.
fn leave(app: &Object<App>, leaving: &Leaving, now: Timestamp) -> Decided {
    let mut status = app.status.clone();
    let remaining = teardown::remaining(&leaving.inventory, leaving.scope);
    let text = match remaining.len() {
        0 => "Nothing is left; it is looked at once more to be sure.".to_owned(),
        count => format!("{count} things are left: {}.", shorten(&remaining.join(", "))),
    };
    status.remaining = remaining.into_iter().take(REMAINING_MAX).collect();
    status.services.clear();
    status.secret_names.clear();
    status.observed = None;
    for type_ in ORDER.iter().skip(2) {
        condition::remove(&mut status.conditions, type_.word());
    }
    condition::remove(&mut status.conditions, ConditionType::Drifted.word());
    set(&mut status, ConditionType::Deployed, ConditionStatus::False, reason::UNDEPLOYING, &text);
    let ready = Condition::new(READY, ConditionStatus::False, reason::UNDEPLOYING, text);
    condition::set(&mut status.conditions, ready);
    step_on(status, leaving, now)
}

fn step_on(status: AppStatus, leaving: &Leaving, now: Timestamp) -> Decided {
    let step = teardown::next(&leaving.inventory, leaving.scope, &leaving.progress, now);
    match step {
        Step::Done => Decision::wait(status, Next::Finalized),
        Step::AuditAgain(at) => {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            Decision::wait(status, Next::After(wait.max(TEARDOWN_POLL)))
        }
        Step::WaitForTasks => {
            let waited = leaving.progress.ending_since.map(|since| now.duration_since(since).unsigned_abs());
            Decision::wait(status, Next::After(after_motion(waited.unwrap_or_default(), ENDING_POLL_MAX)))
        }
        step => Decision { status, action: Some(Action::TearDown(step)), next: Next::After(TEARDOWN_POLL) },
    }
}

fn secret_names(prepared: &Prepared) -> Vec<String> {
    let secrets = prepared.wanted.stack.secrets.iter().map(|secret| secret.name.clone());
    let names: BTreeSet<String> = secrets.collect();
    names.into_iter().take(SECRETS_MAX).collect()
}

fn service_state(judgement: &Judgement) -> ServiceState {
    let error = judgement.evidence.as_ref().map(|evidence| evidence.error.as_str()).filter(|error| !error.is_empty());
    ServiceState {
        name: judgement.service.clone(),
        desired: judgement.desired.min(100_000),
        running: judgement.running.min(100_000),
        state: Some(judgement.state.clone()).filter(|state| !state.is_empty()),
        last_error: error.map(shorten),
        tasks: judgement.tasks.iter().map(service_task).collect(),
    }
}

fn service_task(task: &Task) -> ServiceTask {
    ServiceTask {
        id: task.id.clone(),
        slot: u32::try_from(task.slot).ok().filter(|slot| *slot > 0),
        node: Some(task.node_id.clone()).filter(|node| !node.is_empty()),
        state: task.state.word().to_owned(),
        since: task.changed_at.map(seconds),
        error: Some(task.error.as_str()).filter(|error| !error.is_empty()).map(shorten),
    }
}

/// Sums the conditions up.
pub(super) fn finish(mut status: AppStatus) -> AppStatus {
    let summary = condition::summarise(
        &status.conditions,
        READY,
        &ORDER,
        reason::SUCCEEDED,
        "It runs as its spec says, and answers.",
    );
    condition::set(&mut status.conditions, summary);
    status
}

pub(super) fn set(status: &mut AppStatus, type_: ConditionType, word: ConditionStatus, reason: &str, message: &str) {
    condition::set(&mut status.conditions, Condition::new(type_.word(), word, reason, message));
}

pub(super) fn refuse(status: &mut AppStatus, type_: ConditionType, refusal: &Refusal) {
    set(status, type_, ConditionStatus::False, refusal.reason, &refusal.message);
}

fn forget(status: &mut AppStatus, types: &[ConditionType], why: &str) {
    for type_ in types {
        set(status, *type_, ConditionStatus::Unknown, reason::PROGRESSING, why);
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(ERROR_CHARACTERS_MAX).collect()
}
