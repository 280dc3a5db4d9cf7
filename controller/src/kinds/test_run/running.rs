//! A run between its beginning and its end: which step is next, and what the unfinished one needs. Pure.

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::recipe::{BackupCapable, Recipe, RecipeTest};
use api_types::kinds::test_run::{
    Cleanup, Phase, RunLog, Rung, RungName, RungStatus, Step as StepStatus, TestRun, TestRunStatus,
};
use api_types::reason;
use jiff::Timestamp;

use super::blame::{Blame, blame_of};
use super::decide::{Action, GOING_POLL, Plan, say};
use super::ladder::{self, Ended};
use super::observe::Observed;
use super::steps::{self, DONE, Step};
use super::verdict;
use crate::runtime::events::seconds;
use crate::runtime::reconciler::{Decision, Next};
use crate::trust::{self, Dispatch, Gate, Tier};

/// A run that goes on.
pub(super) struct Life<'a> {
    pub(super) run: &'a Object<TestRun>,
    pub(super) recipe: Arc<Object<Recipe>>,
    pub(super) seen: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) status: TestRunStatus,
}

/// What a step needs.
pub(super) enum Flow {
    /// That this is done.
    Act(Action),
    /// Time, or a change.
    Wait(Next),
    /// Nothing: it has ended.
    Ended {
        /// `Done`, or a reason.
        outcome: String,
        /// For people.
        message: String,
    },
    /// It goes on in the same pass.
    Again,
}

impl Flow {
    pub(super) fn done() -> Self {
        Self::Ended { outcome: DONE.to_owned(), message: String::new() }
    }

    pub(super) fn ended(outcome: &str, message: impl Into<String>) -> Self {
        Self::Ended { outcome: outcome.to_owned(), message: message.into() }
    }
}

impl<'a> Life<'a> {
    pub(super) fn new(run: &'a Object<TestRun>, seen: &'a Observed, now: Timestamp) -> Self {
        let recipe = seen.recipe.clone().unwrap_or_else(|| {
            Arc::new(Object::new(&run.metadata.namespace, &run.spec.recipe_ref, Default::default()))
        });
        Self { run, recipe, seen, now, status: run.status.clone() }
    }

    /// Goes on with the run.
    pub(super) fn go_on(mut self) -> Plan {
        self.status.observed_generation = self.run.metadata.generation;
        self.status.phase = Some(Phase::Running);
        self.end_early();
        loop {
            let Some(step) = self.next_step() else { return self.finish() };
            self.begin(step);
            match self.advance(step) {
                Flow::Act(action) => {
                    return Decision { status: self.status, action: Some(action), next: Next::After(GOING_POLL) };
                }
                Flow::Wait(next) => return Decision::wait(self.status, next),
                Flow::Ended { outcome, message } => self.end(step, &outcome, &message),
                Flow::Again => {}
            }
        }
    }

    /// Cleans up a run that somebody has deleted.
    pub(super) fn go_away(mut self) -> Plan {
        if let Some(action) = self.break_off() {
            return Decision { status: self.status, action: Some(action), next: Next::After(GOING_POLL) };
        }
        while let Some(step) = steps::leaving(&self.status) {
            self.begin(step);
            match self.advance(step) {
                Flow::Act(action) => {
                    return Decision { status: self.status, action: Some(action), next: Next::After(GOING_POLL) };
                }
                Flow::Wait(next) => return Decision::wait(self.status, next),
                Flow::Ended { outcome, message } => self.end(step, &outcome, &message),
                Flow::Again => {}
            }
        }
        Decision::wait(self.status, Next::Finalized)
    }

    /// Ends what a deleted run is at, unless it is a step of its way out.
    fn break_off(&mut self) -> Option<Action> {
        const WHY: &str = "The run was deleted.";
        if !self.status.phase.is_some_and(Phase::is_finished) && steps::find(&self.status, Step::Stop).is_none() {
            self.stop(reason::CANCELLED, WHY);
            return None;
        }
        // It was stopped before: what came after, such as a look at the app, goes on no more.
        let (step, _) = steps::current(&self.status).filter(|(step, _)| !step.is_way_out())?;
        self.close(step, reason::CANCELLED, WHY);
        Some(Action::CutOff)
    }

    /// Ends the run early if somebody or something asks for it.
    fn end_early(&mut self) {
        let ending = steps::current(&self.status).is_some_and(|(step, _)| step.is_ending());
        if steps::find(&self.status, Step::Stop).is_some() || ending {
            return;
        }
        if self.run.spec.cancel {
            self.stop(reason::CANCELLED, "It was cancelled (spec.cancel).");
        } else if self.seen.recipe.is_none() {
            self.stop(
                reason::NOT_FOUND,
                &format!("Recipe {} was deleted while it was tested.", self.run.spec.recipe_ref),
            );
        } else if let Some((reason, message)) = self.no_longer_approved() {
            say(&mut self.status, ConditionType::Approved, ConditionStatus::False, reason, &message);
            self.stop(reason, &message);
        } else if let Some(message) = self.over_time() {
            self.stop(reason::TIMED_OUT, &message);
        }
    }

    /// Approval is asked for until the head is deployed: what was taken back meanwhile does not run.
    fn no_longer_approved(&self) -> Option<(&'static str, String)> {
        if self.head_is_up() {
            return None;
        }
        match trust::gate(&self.run.spec, &self.recipe.spec, &self.seen.approvals, Dispatch::GoesOn) {
            Gate::Open { .. } | Gate::Unconfirmed { .. } => None,
            Gate::Waiting { message, .. } => Some((reason::APPROVAL_VOID, message)),
            Gate::Denied { message } => Some((reason::DENIED, message)),
        }
    }

    /// A picture of the app is taken where there is a camera, the app was installed, and its code is a maintainer's: what a
    /// stranger's pages would do in a browser is nobody's wish to find out.
    fn is_worth_a_picture(&self) -> bool {
        let is_installed =
            self.status.rungs.iter().any(|rung| rung.name == RungName::Install && rung.status == RungStatus::Pass);
        let is_trusted = trust::tier(&self.run.spec, &self.recipe.spec) == Tier::Trusted;
        self.seen.takes_pictures && is_installed && is_trusted && self.head_is_up() && self.seen.app.is_some()
    }

    fn over_time(&self) -> Option<String> {
        // By now everything is judged: however long the picture takes, it changes no verdict.
        if steps::find(&self.status, Step::Screenshot).is_some() {
            return None;
        }
        let limit = &self.recipe.spec.timeouts.run;
        // Each version that is upgraded from is a run's work.
        let times = u32::try_from(self.status.upgrades.len().max(1)).unwrap_or(1);
        let begun = self.status.started_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok())?;
        (self.now.duration_since(begun).unsigned_abs() > limit.span().saturating_mul(times)).then(|| {
            let doing = steps::current(&self.status).map_or("nothing", |(step, _)| step.name());
            let each = if times > 1 { " for each version that it upgrades from" } else { "" };
            format!(
                "The run took longer than {} (timeouts.run){each} and was at the step {doing}. Raise timeouts.run of the \
                 Recipe, or find out what takes so long.",
                limit.as_str()
            )
        })
    }

    /// Closes what goes on and puts the step `stop` in its place.
    fn stop(&mut self, reason: &str, message: &str) {
        if let Some((step, _)) = steps::current(&self.status) {
            self.close(step, reason, message);
        }
        self.status.steps.push(StepStatus {
            name: Step::Stop.name().to_owned(),
            started_at: Some(seconds(self.now)),
            outcome: Some(reason.to_owned()),
            message: Some(ladder::shortened(message, 2048)),
            ..StepStatus::default()
        });
    }

    /// Returns why the run ends by something other than a rung, if it does.
    pub(super) fn ended(&self) -> Option<Ended> {
        ended_of(&self.status)
    }

    fn next_step(&self) -> Option<Step> {
        if let Some((step, _)) = steps::current(&self.status) {
            return Some(step);
        }
        steps::ORDER.into_iter().find(|step| steps::find(&self.status, *step).is_none() && self.applies(*step))
    }

    fn applies(&self, step: Step) -> bool {
        let status = &self.status;
        let done = |step| steps::is_done(status, step);
        if steps::find(status, Step::Stop).is_some() && !step.is_ending() {
            return false;
        }
        match step {
            Step::Fetch | Step::Teardown | Step::Results => true,
            Step::HeadRender => done(Step::Fetch) && self.wants_app(),
            Step::BaseRender => done(Step::HeadRender) && status.base.is_some(),
            Step::Dependencies => done(Step::HeadRender) && !self.recipe.spec.dependencies.is_empty(),
            Step::BasePull => done(Step::BaseRender),
            Step::BaseDeploy => done(Step::BasePull),
            Step::BaseClear => steps::outcome(status, Step::BaseDeploy).is_some_and(|outcome| outcome != DONE),
            Step::HeadPull => done(Step::HeadRender) && !done(Step::BaseDeploy) && !self.has_next_upgrade(),
            Step::HeadDeploy => done(Step::HeadPull),
            Step::InstallCheck => {
                let is_up = done(Step::BaseDeploy) || done(Step::HeadDeploy);
                // Of several versions the last one is checked, and never an app that has been touched since.
                let is_fresh = !self.has_next_upgrade() && steps::find(status, Step::UpgradePull).is_none();
                is_up && is_fresh && verdict::is_open(status, RungName::Install)
            }
            Step::UpgradePull => done(Step::BaseDeploy),
            Step::UpgradeSeed => done(Step::UpgradePull) && !self.tests_with_seed(RungName::Upgrade).is_empty(),
            Step::UpgradeDeploy => done(Step::UpgradePull),
            Step::UpgradeCheck => done(Step::UpgradeDeploy) && verdict::is_open(status, RungName::Upgrade),
            Step::UpgradeNext => done(Step::HeadRender) && self.has_next_upgrade(),
            Step::BackupSettle => self.head_is_up() && verdict::is_open(status, RungName::BackupRestore),
            Step::BackupSeed => done(Step::BackupSettle),
            Step::BackupTake => done(Step::BackupSeed),
            Step::BackupDestroy => done(Step::BackupTake),
            // A restore is tried even when the proof of the destruction failed: the tests that follow want the data.
            Step::BackupDestroyed | Step::BackupRestore => done(Step::BackupDestroy),
            Step::BackupCheck => done(Step::BackupRestore) && verdict::is_open(status, RungName::BackupRestore),
            Step::FunctionalSettle => self.head_is_up() && verdict::is_open(status, RungName::Functional),
            Step::FunctionalCheck => done(Step::FunctionalSettle),
            Step::Lint => done(Step::Fetch) && verdict::is_open(status, RungName::Lint),
            Step::Screenshot => self.is_worth_a_picture(),
            Step::Stop | Step::Files => false,
            Step::Evidence => self.has_failed() && self.seen.app.is_some(),
            Step::Hold => self.has_failed() && self.seen.app.is_some() && self.run.spec.hold_on_failure.is_some(),
        }
    }

    /// Returns whether a rung failed, or something else went wrong that a person will want to look at.
    pub(super) fn has_failed(&self) -> bool {
        if self.run.spec.cancel || self.run.is_being_deleted() {
            return false;
        }
        let rung_failed = self.status.rungs.iter().any(|rung| {
            rung.status == RungStatus::Fail
                || (rung.status == RungStatus::Unverified
                    && rung
                        .reason
                        .as_deref()
                        .is_some_and(|reason| reason != reason::PROGRESSING && blame_of(reason) == Blame::Ours))
        });
        rung_failed || self.ended().is_some_and(|ended| ended.phase == Phase::Error)
    }

    /// Returns whether the head is deployed and serves, as far as this run knows.
    pub(super) fn head_is_up(&self) -> bool {
        steps::is_done(&self.status, Step::HeadDeploy) || steps::is_done(&self.status, Step::UpgradeDeploy)
    }

    /// Returns whether anything but the linter is wanted.
    fn wants_app(&self) -> bool {
        ladder::ORDER.into_iter().any(|rung| {
            rung != RungName::Lint
                && ladder::is_selected(&self.run.spec, rung)
                && !self.recipe.spec.expected_skips.contains_key(&rung)
        })
    }

    /// Returns the recipe's tests of a rung.
    pub(super) fn tests(&self, stage: RungName) -> Vec<&RecipeTest> {
        self.recipe.spec.tests.iter().filter(|test| test.stage == stage).collect()
    }

    pub(super) fn tests_with_seed(&self, stage: RungName) -> Vec<&RecipeTest> {
        self.tests(stage).into_iter().filter(|test| test.seed.is_some()).collect()
    }

    fn begin(&mut self, step: Step) {
        if steps::find(&self.status, step).is_none() {
            self.status.steps.push(StepStatus {
                name: step.name().to_owned(),
                started_at: Some(seconds(self.now)),
                attempts: Some(1),
                ..StepStatus::default()
            });
        }
        let log = step.log();
        if !self.status.logs.iter().any(|known| known.name == log) {
            self.status.logs.push(RunLog { name: log.to_owned(), ..RunLog::default() });
        }
        let now = seconds(self.now);
        if let Some(rung) = step.rung().filter(|rung| verdict::is_open(&self.status, *rung)) {
            let rung = self.rung_mut(rung);
            rung.started_at.get_or_insert(now);
            rung.reason = Some(reason::PROGRESSING.to_owned());
            rung.message = Some(format!("It is at the step {}.", step.name()));
        }
        let doing = format!("It is at the step {}.", step.name());
        say(&mut self.status, ConditionType::Succeeded, ConditionStatus::Unknown, reason::PROGRESSING, &doing);
    }

    /// Records how a step ended, and what follows from it.
    fn end(&mut self, step: Step, outcome: &str, message: &str) {
        self.close(step, outcome, message);
        self.follow(step, outcome, message);
    }

    fn close(&mut self, step: Step, outcome: &str, message: &str) {
        let now = seconds(self.now);
        if let Some(recorded) = self.status.steps.iter_mut().find(|recorded| recorded.name == step.name()) {
            recorded.finished_at = Some(now);
            // What a stop was for outlives its end.
            if step != Step::Stop {
                recorded.outcome = Some(outcome.to_owned());
                recorded.message = (!message.is_empty()).then(|| ladder::shortened(message, 2048));
            }
        }
    }

    pub(super) fn recorded_mut(&mut self, step: Step) -> &mut StepStatus {
        let at = self.status.steps.iter().position(|recorded| recorded.name == step.name());
        let at = at.unwrap_or_else(|| {
            self.status.steps.push(StepStatus { name: step.name().to_owned(), ..StepStatus::default() });
            self.status.steps.len() - 1
        });
        &mut self.status.steps[at]
    }

    fn rung_mut(&mut self, name: RungName) -> &mut Rung {
        let at = self.status.rungs.iter().position(|rung| rung.name == name);
        let at = at.unwrap_or_else(|| {
            self.status.rungs.push(Rung { name, ..Rung::default() });
            self.status.rungs.len() - 1
        });
        &mut self.status.rungs[at]
    }

    /// Gives a rung its result, unless it has one.
    pub(super) fn judge(&mut self, name: RungName, status: RungStatus, reason: &str, message: &str) {
        if !verdict::is_open(&self.status, name) {
            return;
        }
        let now = seconds(self.now);
        let rung = self.rung_mut(name);
        rung.status = status;
        rung.reason = Some(reason.to_owned());
        rung.message = Some(ladder::shortened(message, 4096));
        // What was never looked at took no time.
        if rung.started_at.is_some() {
            rung.finished_at = Some(now);
        }
    }

    /// Gives a rung the result that a failure with this reason means.
    pub(super) fn fail(&mut self, name: RungName, reason: &str, message: &str) {
        self.judge(name, blame_of(reason).rung_status(), reason, message);
    }

    /// Settles, once the head's files are known, the rungs that will never run.
    pub(super) fn settle_what_cannot_run(&mut self, has_backup_label: bool) {
        match (self.recipe.spec.backup.capable, has_backup_label) {
            (BackupCapable::No, _) => self.judge(
                RungName::BackupRestore,
                RungStatus::Skip,
                reason::BACKUP_DECLARED_OFF,
                "Declared: the recipe cannot be backed up (backup.capable: false).",
            ),
            (BackupCapable::Auto, false) => self.judge(
                RungName::BackupRestore,
                RungStatus::Unverified,
                reason::NOT_BACKUP_CAPABLE,
                "No service has a label backupbot.backup=true. Add one, or declare that there is nothing to back up \
                 with backup.capable: false or expectedSkips of the Recipe.",
            ),
            (BackupCapable::Yes | BackupCapable::Auto, _) => {}
        }
        if self.tests(RungName::Functional).is_empty() {
            self.judge(
                RungName::Functional,
                RungStatus::Unverified,
                reason::NO_CHECKS,
                "The Recipe has no tests of the stage functional, and no test is no pass. Add one under spec.tests, \
                 or declare it with expectedSkips.",
            );
        }
    }

    fn finish(mut self) -> Plan {
        let ended = self.ended();
        verdict::finish(&self.run.spec, &mut self.status, ended.as_ref(), self.now);
        Decision { status: self.status, action: Some(Action::Release), next: Next::Now }
    }

    /// Returns how long a step has gone on.
    pub(super) fn elapsed(&self, step: Step) -> Duration {
        let begun = steps::find(&self.status, step).and_then(|recorded| recorded.started_at.as_deref());
        let begun = begun.and_then(|text| text.parse::<Timestamp>().ok());
        begun.map_or(Duration::ZERO, |begun| self.now.duration_since(begun).unsigned_abs())
    }

    /// Returns the run as its status says now.
    pub(super) fn snapshot(&self) -> Object<TestRun> {
        Object { status: self.status.clone(), ..self.run.clone() }
    }

    pub(super) fn cleanup_mut(&mut self) -> &mut Cleanup {
        self.status.cleanup.get_or_insert_default()
    }
}

/// Returns why a run ends by something other than a rung, if it does.
pub(super) fn ended_of(status: &TestRunStatus) -> Option<Ended> {
    let of = |recorded: &StepStatus, phase: Phase| Ended {
        phase,
        reason: recorded.outcome.clone().unwrap_or_default(),
        message: recorded.message.clone().unwrap_or_default(),
    };
    if let Some(stop) = steps::find(status, Step::Stop) {
        let by_people = matches!(stop.outcome.as_deref(), Some(reason::CANCELLED | reason::APPROVAL_VOID));
        return Some(of(stop, if by_people { Phase::Cancelled } else { Phase::Error }));
    }
    let fetch = steps::find(status, Step::Fetch).filter(|fetch| fetch.finished_at.is_some())?;
    (fetch.outcome.as_deref() != Some(DONE)).then(|| of(fetch, Phase::Error))
}
