//! How a run gives orders: under ids that follow from its status, so that a restart gives the same ones. Pure.

use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::test_run::{TestRun, TestRunStatus};
use api_types::reason;
use ports::error::ErrorKind;
use serde::de::DeserializeOwned;

use super::advance::parse;
use super::decide::Action;
use super::observe::{Observed, Progress};
use super::running::{Flow, Life};
use super::steps::{self, Step};
use super::upgrades;
use super::work::{Order, Outcome, Work};
use crate::runtime::outcome::{Failure, TIMED_OUT};
use crate::runtime::reconciler::Next;
use crate::trust;

/// How often an order is given when something of ours fails: with the pauses between them, an engine and the proxy on it
/// have half a minute to start again.
const ATTEMPTS_MAX: u32 = 6;
/// How often an order that runs is looked at although nobody rang.
const ORDER_POLL: Duration = Duration::from_secs(10);

/// The answer to an order.
pub(super) enum Answer<T> {
    /// None yet.
    Not(Flow),
    /// It was carried out.
    Good(T),
    /// It was carried out and the answer is no, or something of ours failed for good.
    Bad {
        /// For programs.
        reason: String,
        /// For people.
        message: String,
    },
}

/// Returns the id of the order that the unfinished step has given last; `None` when no step is unfinished.
#[must_use]
pub(super) fn current_id(run: &Object<TestRun>, seen: &Observed) -> Option<String> {
    let step = match run.is_being_deleted() {
        true => steps::leaving(&run.status)?,
        false => steps::current(&run.status)?.0,
    };
    let recorded = steps::find(&run.status, step);
    let suffix = match step {
        Step::InstallCheck | Step::UpgradeCheck | Step::BackupCheck | Step::FunctionalCheck => {
            let stage = step.rung().unwrap_or_default();
            Life::new(run, seen, jiff::Timestamp::UNIX_EPOCH)
                .next_check(stage)
                .map(|check| check.name())
                .unwrap_or_default()
        }
        Step::HeadRender | Step::HeadPull | Step::UpgradePull => "head".to_owned(),
        Step::BaseRender | Step::BasePull => "base".to_owned(),
        Step::Teardown if recorded.is_none_or(|recorded| recorded.outcome.is_none()) => "clean-up".to_owned(),
        Step::Teardown => "leftovers".to_owned(),
        _ => String::new(),
    };
    let attempts = recorded.and_then(|recorded| recorded.attempts).unwrap_or(1);
    Some(id(run, &run.status, step, &suffix, attempts))
}

/// Returns the id of an order. Steps that are taken anew for each version to upgrade from have the version's place in it.
fn id(run: &Object<TestRun>, status: &TestRunStatus, step: Step, suffix: &str, attempt: u32) -> String {
    let round = upgrades::place(status).filter(|_| steps::UPGRADE_ROUND.contains(&step));
    let round = round.map(|place| format!("@{place}")).unwrap_or_default();
    format!("testrun/{}/{}{round}/{suffix}/{attempt}", run.metadata.uid, step.name())
}

impl Life<'_> {
    /// Gives an order unless it was given, and returns the answer.
    pub(super) fn order<T: DeserializeOwned>(
        &mut self,
        step: Step,
        suffix: &str,
        work: Work,
        time_max: Duration,
    ) -> Answer<T> {
        let id = id(self.run, &self.status, step, suffix, self.attempt(step));
        // What was seen is about the order that was current when it was looked at.
        let progress = match current_id(self.run, self.seen) {
            Some(seen) if seen == id => self.seen.progress.clone(),
            _ => Progress::Absent,
        };
        match progress {
            Progress::Absent => Answer::Not(Flow::Act(self.give(step, suffix, work, time_max))),
            Progress::Running(_) => Answer::Not(Flow::Wait(Next::After(ORDER_POLL))),
            Progress::Broke(failure) => self.broke(step, suffix, work, time_max, &failure),
            Progress::Ended(value) => match parse::<T>(&value) {
                Ok(Outcome::Good(result)) => Answer::Good(result),
                Ok(Outcome::Bad { reason, message }) => Answer::Bad { reason, message },
                Err(message) => Answer::Bad {
                    reason: "InternalError".to_owned(),
                    message: format!("The result of {id} cannot be read: {message}."),
                },
            },
        }
    }

    /// Tries again after a hiccup, for a while.
    fn broke<T>(&mut self, step: Step, suffix: &str, work: Work, time_max: Duration, failure: &Failure) -> Answer<T> {
        let attempt = self.attempt(step);
        let heals = matches!(failure.kind, ErrorKind::Retryable | ErrorKind::Blocked);
        // What took too long once will take too long again, and a rate limit is told when to end.
        let most = if failure.reason == TIMED_OUT { 2 } else { ATTEMPTS_MAX };
        let waits_too_long = failure.retry_after.is_some_and(|wait| wait > self.recipe.spec.timeouts.pull.span());
        if !heals || attempt >= most || waits_too_long {
            let reason = if failure.reason.is_empty() { reason::INFRASTRUCTURE_FAILED } else { &failure.reason };
            let what = crate::runtime::outcome::sentence(&failure.message);
            // What must come true is ordered again by itself.
            let message = if matches!(step, Step::Teardown | Step::Files) {
                format!("{what} It is tried again.")
            } else {
                let run = &self.run.metadata.name;
                format!("{what} This is not the recipe's fault; run it again with: ccctl rerun {run}")
            };
            return Answer::Bad { reason: reason.to_owned(), message };
        }
        self.recorded_mut(step).attempts = Some(attempt + 1);
        let mut action = self.give(step, suffix, work, time_max);
        if let Action::Order(order) = &mut action {
            let backoff = Duration::from_secs(1 << attempt.min(6));
            order.delay = failure.retry_after.unwrap_or(backoff).max(backoff);
        }
        Answer::Not(Flow::Act(action))
    }

    fn attempt(&self, step: Step) -> u32 {
        steps::find(&self.status, step).and_then(|recorded| recorded.attempts).unwrap_or(1)
    }

    /// Returns the action that gives an order.
    pub(super) fn give(&self, step: Step, suffix: &str, work: Work, time_max: Duration) -> Action {
        let attempt = self.attempt(step);
        let delay = match work {
            Work::Leftovers | Work::RemoveFiles if attempt > 1 => Duration::from_secs(u64::from(attempt.min(30))),
            _ => Duration::ZERO,
        };
        Action::Order(Box::new(Order {
            id: id(self.run, &self.status, step, suffix, attempt),
            step,
            time_max,
            delay,
            run: Arc::new(self.snapshot()),
            recipe: self.recipe.clone(),
            tier: trust::tier(&self.run.spec, &self.recipe.spec),
            may_mount: trust::may_mount_work_tree(&self.run.spec, &self.recipe.spec),
            work,
        }))
    }
}
