//! What a run does next: before it begins, and after it has ended. What lies between is `running`.
//! Pure.

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::app::App;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{Cleanup, Phase, QueuePlace, TestRun, TestRunStatus};
use api_types::reason;
use jiff::Timestamp;

use super::observe::Observed;
use super::queue::Place;
use super::running::Life;
use super::work::Order;
use super::{domain, ladder, verdict};
use crate::runtime::events::seconds;
use crate::runtime::reconciler::{Decision, Next};
use crate::trust::{self, Dispatch, Gate};

/// How often a run that waits for room looks again; whoever ends rings as well.
const QUEUE_POLL: Duration = Duration::from_secs(3);
/// How soon a run looks whether it got the place that it asked for.
const RESERVE_POLL: Duration = Duration::from_millis(50);
/// How often a run that waits for an approval looks again.
const APPROVAL_POLL: Duration = Duration::from_secs(5);
/// How often an object that is going is looked at.
pub(super) const GOING_POLL: Duration = Duration::from_secs(1);

/// What can be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Set a place on the host aside, if there still is one.
    Reserve,
    /// Have something done.
    Order(Box<Order>),
    /// Create an App or give it this spec.
    PutApp(Box<Object<App>>),
    /// Ask Apps to go: name and uid of each.
    DeleteApps(Vec<(String, String)>),
    /// Cut off whatever is going on.
    CutOff,
    /// Have the forge asked about this Approval, and give the place on the host back meanwhile.
    Confirm(String),
    /// Give the place on the host back.
    Release,
    /// Delete the run itself: it was kept long enough.
    DeleteRun,
}

/// A decision about a run.
pub type Plan = Decision<TestRunStatus, Action>;

/// Decides.
#[must_use]
pub fn decide(run: &Object<TestRun>, seen: &Observed, now: Timestamp) -> Plan {
    if run.is_being_deleted() {
        return Life::new(run, seen, now).go_away();
    }
    if run.status.phase.is_some_and(Phase::is_finished) {
        return finished(run, now);
    }
    if condition::is_true(&run.status.conditions, ConditionType::Scheduled.word()) {
        return Life::new(run, seen, now).go_on();
    }
    let mut status = run.status.clone();
    status.observed_generation = run.metadata.generation;
    status.phase = Some(Phase::Pending);
    let Some(recipe) = &seen.recipe else { return without_recipe(run, status, now) };
    waiting(run, recipe, seen, status, now)
}

fn finished(run: &Object<TestRun>, now: Timestamp) -> Plan {
    let status = run.status.clone();
    let ended = status.finished_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(kept), Some(ended)) = (&run.spec.ttl_after_finished, ended) else {
        return Decision::wait(status, Next::OnChange);
    };
    let age = now.duration_since(ended).unsigned_abs();
    match kept.span().checked_sub(age).filter(|left| !left.is_zero()) {
        Some(left) => Decision::wait(status, Next::After(left)),
        None => Decision { status, action: Some(Action::DeleteRun), next: Next::OnChange },
    }
}

fn without_recipe(run: &Object<TestRun>, mut status: TestRunStatus, now: Timestamp) -> Plan {
    let message = format!(
        "Recipe {} does not exist in namespace {}: apply it, or cancel the run.",
        run.spec.recipe_ref, run.metadata.namespace
    );
    if run.spec.cancel {
        return unstarted(run, status, Phase::Cancelled, reason::CANCELLED, "It was cancelled before it began.", now);
    }
    say(&mut status, ConditionType::Accepted, ConditionStatus::False, reason::NOT_FOUND, &message);
    say(&mut status, ConditionType::Succeeded, ConditionStatus::Unknown, reason::DEPENDENCY_NOT_READY, &message);
    Decision::wait(status, Next::OnChange)
}

fn waiting(
    run: &Object<TestRun>,
    recipe: &Arc<Object<Recipe>>,
    seen: &Observed,
    mut status: TestRunStatus,
    now: Timestamp,
) -> Plan {
    status.rungs = ladder::initial(&run.spec, &recipe.spec);
    if run.spec.cancel {
        return unstarted(run, status, Phase::Cancelled, reason::CANCELLED, "It was cancelled before it began.", now);
    }
    let Some(zone) = recipe.spec.zone.as_ref().or(seen.default_zone.as_ref()) else {
        let message = "There is no DNS zone for the app's domain: set spec.zone of the Recipe, or [runs] zone in ccd's \
                       configuration.";
        say(&mut status, ConditionType::Accepted, ConditionStatus::False, reason::INVALID_SPEC, message);
        say(&mut status, ConditionType::Succeeded, ConditionStatus::Unknown, reason::INVALID_SPEC, message);
        return Decision::wait(status, Next::OnChange);
    };
    status.domain = Some(domain::domain(&run.metadata.namespace, &run.spec.recipe_ref, &run.spec.source, zone));
    status.app_ref = Some(run.metadata.name.clone());
    say(&mut status, ConditionType::Accepted, ConditionStatus::True, reason::ACCEPTED, "The run may be tried.");
    match trust::gate(&run.spec, &recipe.spec, &seen.approvals, Dispatch::Begins(now)) {
        Gate::Denied { message } => {
            say(&mut status, ConditionType::Approved, ConditionStatus::False, reason::DENIED, &message);
            return unstarted(run, status, Phase::Error, reason::DENIED, &message, now);
        }
        Gate::Waiting { reason, message } => {
            status.queue = None;
            say(&mut status, ConditionType::Approved, ConditionStatus::False, reason, &message);
            say(&mut status, ConditionType::Succeeded, ConditionStatus::Unknown, reason, &message);
            return Decision::wait(status, Next::After(APPROVAL_POLL));
        }
        Gate::Unconfirmed { approval, message } => {
            status.queue = None;
            let reason = reason::APPROVER_UNCONFIRMED;
            say(&mut status, ConditionType::Approved, ConditionStatus::Unknown, reason, &message);
            say(&mut status, ConditionType::Succeeded, ConditionStatus::Unknown, reason, &message);
            let action = Some(Action::Confirm(approval));
            return Decision { status, action, next: Next::After(APPROVAL_POLL) };
        }
        Gate::Open { message, .. } => {
            say(&mut status, ConditionType::Approved, ConditionStatus::True, reason::APPROVED, &message);
        }
    }
    queued(recipe, seen, status, now)
}

fn queued(recipe: &Object<Recipe>, seen: &Observed, mut status: TestRunStatus, now: Timestamp) -> Plan {
    let (position, reason, message) = match &seen.place {
        _ if recipe.spec.suspend => {
            (0, reason::SUSPENDED, "The Recipe is suspended (spec.suspend) and starts no runs.".to_owned())
        }
        // Whoever has a place is no longer in the queue.
        _ if seen.is_reserved => {
            status.phase = Some(Phase::Running);
            status.queue = None;
            status.started_at = Some(seconds(now));
            say(&mut status, ConditionType::Scheduled, ConditionStatus::True, reason::SCHEDULED, "The run has begun.");
            say(
                &mut status,
                ConditionType::Succeeded,
                ConditionStatus::Unknown,
                reason::PROGRESSING,
                "The run has begun.",
            );
            return Decision::wait(status, Next::Now);
        }
        Place::Go => {
            status.phase = Some(Phase::Queued);
            return Decision { status, action: Some(Action::Reserve), next: Next::After(RESERVE_POLL) };
        }
        Place::Wait { position, reason, message } => (*position, *reason, message.clone()),
    };
    status.phase = Some(Phase::Queued);
    status.queue = Some(QueuePlace {
        position: u32::try_from(position).unwrap_or(u32::MAX),
        reason: ladder::shortened(&message, 1024),
    });
    say(&mut status, ConditionType::Scheduled, ConditionStatus::False, reason, &message);
    say(&mut status, ConditionType::Succeeded, ConditionStatus::Unknown, reason, &message);
    Decision::wait(status, Next::After(QUEUE_POLL))
}

/// Ends a run that never began.
fn unstarted(
    run: &Object<TestRun>,
    mut status: TestRunStatus,
    phase: Phase,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Plan {
    status.queue = None;
    let ended = ladder::Ended { phase, reason: reason.to_owned(), message: message.to_owned() };
    verdict::conclude(&run.spec, &mut status, Some(&ended));
    status.cleanup = Some(Cleanup::default());
    say(&mut status, ConditionType::CleanedUp, ConditionStatus::True, reason::CLEAN, "Nothing was deployed.");
    verdict::finish(&run.spec, &mut status, Some(&ended), now);
    Decision { status, action: Some(Action::Release), next: Next::OnChange }
}

/// Puts a condition into a status.
pub(super) fn say(
    status: &mut TestRunStatus,
    type_: ConditionType,
    word: ConditionStatus,
    reason: &str,
    message: &str,
) {
    condition::set(&mut status.conditions, Condition::new(type_.word(), word, reason, message));
}
