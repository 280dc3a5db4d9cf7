//! What the unfinished step of a run needs now. Pure.

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppSpec};
use api_types::kinds::check::Action as DataAction;
use api_types::kinds::identity::Identity;
use api_types::kinds::recipe::RecipeTest;
use api_types::kinds::test_run::{RungName, RungStatus, TestResult};
use api_types::reason;
use jiff::Timestamp;

use super::app_spec;
use super::base::{self, Choice};
use super::blame::{AppView, view};
use super::decide::{Action, say};
use super::ladder;
use super::orders::Answer;
use super::running::{Flow, Life};
use super::steps::{self, DONE, Step};
use super::verdict;
use super::work::{
    Artifacts, BackupTaken, Check, Deed, Fetched, Inventory, LintResults, Outcome, Rendered, Side, Work, Written,
};
use crate::runtime::events::seconds;
use crate::runtime::reconciler::Next;

/// How often something that changes by itself is looked at although nobody rang.
const POLL: Duration = Duration::from_secs(2);
/// How long a stack may take to come to rest before a backup.
const SETTLE_MAX: Duration = Duration::from_mins(5);
/// How long a picture of the app may take; who takes it gives up earlier.
const SCREENSHOT_MAX: Duration = Duration::from_mins(1);
/// Most attempts of a step that the schema can tell.
const ATTEMPTS_TOLD_MAX: u32 = 1000;
/// The marker of a teardown whose own things are gone, so that the Apps may go.
const REMOVING: &str = "Removing";

impl Life<'_> {
    /// Looks at the unfinished step.
    pub(super) fn advance(&mut self, step: Step) -> Flow {
        match step {
            Step::Fetch => self.fetch(),
            Step::HeadRender => self.render(step, Side::Head),
            Step::BaseRender => self.render(step, Side::Base),
            Step::Dependencies => self.dependencies(),
            Step::BasePull => self.pull(step, Side::Base),
            Step::HeadPull | Step::UpgradePull => self.pull(step, Side::Head),
            Step::BaseDeploy => self.deploy(step, Side::Base),
            Step::HeadDeploy | Step::UpgradeDeploy => self.deploy(step, Side::Head),
            Step::BaseClear | Step::UpgradeNext => self.clear_app(),
            Step::InstallCheck => self.checks(step, RungName::Install),
            Step::UpgradeCheck => self.checks(step, RungName::Upgrade),
            Step::BackupCheck => self.checks(step, RungName::BackupRestore),
            Step::FunctionalCheck => self.checks(step, RungName::Functional),
            Step::UpgradeSeed => self.perform(step, RungName::Upgrade, Deed::Seed),
            Step::BackupSeed => self.perform(step, RungName::BackupRestore, Deed::Seed),
            Step::BackupDestroy => self.perform(step, RungName::BackupRestore, Deed::Destroy),
            Step::BackupDestroyed => self.prove_destroyed(),
            Step::BackupSettle | Step::FunctionalSettle => self.settle(step),
            Step::BackupTake => self.back_up(),
            Step::BackupRestore => self.restore(),
            Step::Lint => self.lint(),
            Step::Screenshot => self.screenshot(),
            Step::Stop => self.cut_off(),
            Step::Evidence => self.evidence(),
            Step::Hold => self.hold(),
            Step::Teardown => self.tear_down(),
            Step::Results => self.results(),
            Step::Files => self.remove_files(),
        }
    }

    fn fetch(&mut self) -> Flow {
        match self.order::<Fetched>(Step::Fetch, "", Work::Fetch, Duration::from_mins(10)) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(fetched) => {
                self.status.head = Some(Identity {
                    version: fetched.version.clone(),
                    commit: Some(fetched.commit.clone()),
                    images: Vec::new(),
                });
                if !ladder::is_selected(&self.run.spec, RungName::Upgrade)
                    || !verdict::is_open(&self.status, RungName::Upgrade)
                {
                    self.status.base_reason = Some("Nothing is upgraded in this run.".to_owned());
                    return Flow::done();
                }
                self.choose_base(&fetched);
                Flow::done()
            }
        }
    }

    fn choose_base(&mut self, fetched: &Fetched) {
        let choice = base::choose(&base::Facts {
            named: self.run.spec.base_version.as_deref(),
            last_green: self.recipe.status.last_green.as_ref(),
            published: &fetched.published,
            head_version: fetched.version.as_deref(),
            head_commit: &fetched.commit,
            head_is_published: fetched.is_published,
            branch_tip: fetched.branch_tip.as_deref(),
            compare: super::versions::compare,
        });
        let shorten = |text: &str| ladder::shortened(text, 1024);
        match choice {
            Choice::Base { version, commit, why } => {
                self.status.base_reason = Some(shorten(&why));
                self.status.base = Some(Identity { version, commit: Some(commit), images: Vec::new() });
            }
            Choice::All { versions, why } => {
                self.status.base_reason = Some(shorten(&why));
                self.begin_upgrades(versions);
            }
            Choice::Nothing { reason, message } => {
                self.status.base_reason = Some(shorten(&message));
                self.judge(RungName::Upgrade, RungStatus::Skip, reason, &message);
            }
            Choice::Refused { reason, message } => {
                self.status.base_reason = Some(shorten(&message));
                self.fail(RungName::Upgrade, reason, &message);
            }
        }
    }

    fn render(&mut self, step: Step, side: Side) -> Flow {
        let identity = self.identity(side);
        let work = Work::Render { side, identity };
        match self.order::<Rendered>(step, side.word(), work, Duration::from_mins(2)) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(rendered) => {
                let known = self.identity(side);
                let version = known.version.or(rendered.identity.version);
                let identity = Identity { version, commit: known.commit, images: rendered.identity.images };
                match side {
                    Side::Base => self.status.base = Some(identity),
                    Side::Head => {
                        self.status.head = Some(identity);
                        self.settle_what_cannot_run(rendered.has_backup_label);
                    }
                }
                Flow::done()
            }
        }
    }

    fn identity(&self, side: Side) -> Identity {
        match side {
            Side::Base => self.status.base.clone().unwrap_or_default(),
            Side::Head => self.status.head.clone().unwrap_or_default(),
        }
    }

    fn pull(&mut self, step: Step, side: Side) -> Flow {
        let mut images: Vec<String> = self.identity(side).images.into_iter().map(|image| image.image).collect();
        images.sort();
        images.dedup();
        let limit = self.recipe.spec.timeouts.pull.span();
        match self.order::<()>(step, side.word(), Work::Pull { side, images }, limit) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(()) => Flow::done(),
        }
    }

    fn dependencies(&mut self) -> Flow {
        let budget = self.recipe.spec.timeouts.converge.span() + self.recipe.spec.timeouts.http.span();
        let is_late = self.elapsed(Step::Dependencies) > budget;
        let mut missing = Vec::new();
        for dependency in &self.recipe.spec.dependencies {
            let recipe =
                self.seen.dependency_recipes.iter().find(|recipe| recipe.metadata.name == dependency.recipe_ref);
            let name = app_spec::dependency_name(&self.run.metadata.name, &dependency.name);
            let Some(recipe) = recipe else {
                missing.push(format!("{} (Recipe {} does not exist)", dependency.name, dependency.recipe_ref));
                continue;
            };
            let app = self.seen.dependencies.iter().find(|app| app.metadata.name == name);
            let Some(app) = app else {
                let spec = app_spec::dependency(self.run, dependency, Some(recipe));
                return Flow::Act(Action::PutApp(Box::new(app_spec::child(self.run, &name, spec))));
            };
            match view(app.metadata.generation, &app.status) {
                AppView::Serves => {}
                AppView::Failed(trouble) => {
                    missing.push(format!("{} ({}: {})", dependency.name, trouble.reason, trouble.message));
                }
                AppView::Waiting(message) | AppView::Troubled(super::blame::Trouble { message, .. }) if is_late => {
                    missing.push(format!("{} (not in time: {message})", dependency.name));
                }
                AppView::Waiting(_) | AppView::Troubled(_) => return Flow::Wait(Next::After(POLL)),
            }
        }
        if missing.is_empty() {
            return Flow::done();
        }
        Flow::ended(reason::DEPENDENCY_FAILED, format!("These dependencies do not serve: {}.", missing.join(", ")))
    }

    fn deploy(&mut self, step: Step, side: Side) -> Flow {
        let spec = app_spec::under_test(&self.snapshot(), &self.recipe.spec, side);
        let app = match self.own_app(&spec) {
            Ok(app) => app,
            Err(flow) => return flow,
        };
        let late = self.deploy_budget();
        match view(app.metadata.generation, &app.status) {
            AppView::Serves => self.deployed_as(step, side, &app),
            AppView::Failed(trouble) => Flow::ended(&trouble.reason, trouble.message),
            AppView::Troubled(trouble) => {
                let since = condition::find(&app.status.conditions, ConditionType::Converged.word())
                    .filter(|converged| converged.status == ConditionStatus::True)
                    .and_then(|converged| converged.last_transition_time.parse::<Timestamp>().ok());
                let asked = since.map_or(Duration::ZERO, |since| self.now.duration_since(since).unsigned_abs());
                // The previous spec may have converged long ago: the time to answer begins with this step.
                let asked = asked.min(self.elapsed(step));
                if asked > self.recipe.spec.timeouts.http.span() || self.elapsed(step) > late {
                    return Flow::ended(&trouble.reason, trouble.message);
                }
                Flow::Wait(Next::After(POLL))
            }
            AppView::Waiting(message) if self.elapsed(step) > late => Flow::ended(
                reason::PROGRESS_DEADLINE_EXCEEDED,
                format!(
                    "The app did not come up in time (timeouts.converge and timeouts.http of the Recipe). {message}"
                ),
            ),
            AppView::Waiting(_) => Flow::Wait(Next::After(POLL)),
        }
    }

    /// How long a deploy may take. The App judges by the recipe's own budgets; this one is the backstop.
    fn deploy_budget(&self) -> Duration {
        let timeouts = &self.recipe.spec.timeouts;
        timeouts.pull.span() + timeouts.converge.span() + timeouts.http.span()
    }

    /// Returns the App once it has this spec.
    fn own_app(&self, spec: &AppSpec) -> Result<Arc<Object<App>>, Flow> {
        let name = &self.run.metadata.name;
        let put = |spec: &AppSpec| Flow::Act(Action::PutApp(Box::new(app_spec::child(self.run, name, spec.clone()))));
        let Some(app) = &self.seen.app else { return Err(put(spec)) };
        let is_ours = app.metadata.owner_references.iter().any(|owner| owner.uid == self.run.metadata.uid);
        if !is_ours {
            let message = format!("An App of the name {name} exists and is not this run's: give the run another name.");
            return Err(Flow::ended(reason::DOMAIN_BUSY, message));
        }
        if app.is_being_deleted() {
            return Err(Flow::Wait(Next::After(POLL)));
        }
        if app.spec != *spec {
            return Err(put(spec));
        }
        Ok(app.clone())
    }

    /// Proves that what serves is what was asked for, and that an upgrade changed something.
    fn deployed_as(&mut self, step: Step, side: Side, app: &Object<App>) -> Flow {
        let wanted = self.identity(side);
        let observed = app.status.observed.clone().unwrap_or_default();
        if observed.commit.is_none() || (wanted.commit.is_some() && observed.commit != wanted.commit) {
            let word =
                |commit: &Option<String>| commit.clone().unwrap_or_else(|| "nothing that says what it is".to_owned());
            let message = format!(
                "The app serves, but commit {} runs instead of {}.",
                word(&observed.commit),
                word(&wanted.commit)
            );
            return Flow::ended(reason::HEAD_NOT_RUNNING, message);
        }
        let base = self.status.base.clone().unwrap_or_default();
        // The images stay those that the compose files name, so that what runs can be compared with them.
        let digest = |service: &str| {
            let found = observed.images.iter().find(|image| image.service == service);
            found.and_then(|image| image.digest.clone())
        };
        let mut images = if wanted.images.is_empty() { observed.images.clone() } else { wanted.images };
        for image in &mut images {
            image.digest = image.digest.take().or_else(|| digest(&image.service));
        }
        let merged = Identity { version: wanted.version.or(observed.version), commit: observed.commit, images };
        match side {
            Side::Base => self.status.base = Some(merged.clone()),
            Side::Head => self.status.head = Some(merged.clone()),
        }
        if step == Step::UpgradeDeploy && base.commit == merged.commit {
            return Flow::ended(
                reason::NOTHING_UPGRADED,
                "Before and after the upgrade the same commit runs, so that the upgrade proves nothing.",
            );
        }
        Flow::done()
    }

    fn clear_app(&mut self) -> Flow {
        match &self.seen.app {
            None => Flow::done(),
            Some(app) if app.is_being_deleted() => Flow::Wait(Next::After(POLL)),
            Some(app) => Flow::Act(Action::DeleteApps(vec![(app.metadata.name.clone(), app.metadata.uid.clone())])),
        }
    }

    /// Waits until the app serves: nothing is done to a stack that is still moving.
    fn settle(&mut self, step: Step) -> Flow {
        let Some(app) = &self.seen.app else { return Flow::ended(reason::VANISHED, "The App is gone.") };
        match view(app.metadata.generation, &app.status) {
            AppView::Serves => Flow::done(),
            AppView::Failed(trouble) => Flow::ended(&trouble.reason, trouble.message),
            AppView::Troubled(trouble) if self.elapsed(step) > SETTLE_MAX => {
                Flow::ended(&trouble.reason, trouble.message)
            }
            AppView::Waiting(message) if self.elapsed(step) > SETTLE_MAX => Flow::ended(
                reason::PROGRESS_DEADLINE_EXCEEDED,
                format!("The app did not come to rest in time. {message}"),
            ),
            AppView::Waiting(_) | AppView::Troubled(_) => Flow::Wait(Next::After(POLL)),
        }
    }

    fn perform(&mut self, step: Step, stage: RungName, what: Deed) -> Flow {
        let action = |test: &&RecipeTest| -> Option<(String, DataAction)> {
            let action = match what {
                Deed::Seed => test.seed.clone(),
                Deed::Destroy => test.destroy.clone(),
            };
            action.map(|action| (test.name.clone(), action))
        };
        let runnable: Vec<&RecipeTest> =
            self.tests(stage).into_iter().filter(|test| self.missing_dependency(test).is_none()).collect();
        let actions: Vec<(String, DataAction)> = runnable.iter().filter_map(action).collect();
        let limit = Duration::from_mins(5) * u32::try_from(actions.len() + 1).unwrap_or(u32::MAX);
        match self.order::<()>(step, "", Work::Perform { stage, what, actions }, limit) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(()) => Flow::done(),
        }
    }

    fn prove_destroyed(&mut self) -> Flow {
        let tests: Vec<RecipeTest> = self
            .tests(RungName::BackupRestore)
            .into_iter()
            .filter(|test| test.destroy.is_some() && self.missing_dependency(test).is_none())
            .cloned()
            .collect();
        let limit = Duration::from_mins(5) * u32::try_from(tests.len() + 1).unwrap_or(u32::MAX);
        match self.order::<()>(Step::BackupDestroyed, "", Work::ProveDestroyed { tests }, limit) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(()) => Flow::done(),
        }
    }

    fn back_up(&mut self) -> Flow {
        match self.order::<BackupTaken>(Step::BackupTake, "", Work::BackUp, Duration::from_mins(30)) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(taken) => {
                let captures =
                    if taken.captures > 1 { format!(", at the {}. try", taken.captures) } else { String::new() };
                let files = if taken.files == 1 { "1 file".to_owned() } else { format!("{} files", taken.files) };
                Flow::ended(DONE, format!("{files}, {} bytes{captures}.", taken.bytes))
            }
        }
    }

    fn restore(&mut self) -> Flow {
        match self.order::<()>(Step::BackupRestore, "", Work::Restore, Duration::from_mins(30)) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(()) => Flow::done(),
        }
    }

    /// Runs the checks of a rung one after the other, each with its own order: what has a result is not run again.
    fn checks(&mut self, step: Step, stage: RungName) -> Flow {
        let Some(check) = self.next_check(stage) else { return Flow::done() };
        let name = check.name();
        if let Check::Own(test) = &check
            && let Some(missing) = self.missing_dependency(test)
        {
            let message = format!("It needs the dependency {missing}, which does not serve.");
            self.record(TestResult { message: Some(message), ..result(stage, &name, RungStatus::Unverified) });
            return Flow::Again;
        }
        let limit = self.check_limit(&check) + Duration::from_mins(2);
        let work = Work::Check { stage, check };
        match self.order::<TestResult>(step, &name, work, limit) {
            Answer::Not(flow) => flow,
            Answer::Good(found) => {
                self.record(TestResult { stage, name, ..found });
                self.recorded_mut(step).attempts = Some(1);
                Flow::Again
            }
            Answer::Bad { reason, message } => {
                let status = super::blame::blame_of(&reason).rung_status();
                self.record(TestResult {
                    message: Some(format!("{reason}: {message}")),
                    ..result(stage, &name, status)
                });
                self.recorded_mut(step).attempts = Some(1);
                Flow::Again
            }
        }
    }

    /// Returns the checks of a rung that count even when a recipe says nothing, and then the recipe's own.
    pub(super) fn checks_of(&self, stage: RungName) -> Vec<Check> {
        let mut checks = match stage {
            RungName::Install => vec![Check::Services, Check::Health],
            RungName::Upgrade => vec![Check::Services, Check::Health, Check::Head],
            RungName::BackupRestore => vec![Check::Services, Check::Health, Check::Markers],
            RungName::Functional | RungName::Lint => Vec::new(),
        };
        checks.extend(self.tests(stage).into_iter().map(|test| Check::Own(Box::new(test.clone()))));
        checks
    }

    pub(super) fn next_check(&self, stage: RungName) -> Option<Check> {
        let has_result = |name: &str| self.status.tests.iter().any(|test| test.stage == stage && test.name == name);
        self.checks_of(stage).into_iter().find(|check| !has_result(&check.name()))
    }

    fn check_limit(&self, check: &Check) -> Duration {
        match check {
            Check::Own(test) => {
                let own = test.timeout.as_ref().map_or(Duration::from_mins(5), api_types::units::DurationText::span);
                let within = test.expect.as_ref().and_then(|expect| expect.within.as_ref());
                own.max(within.map_or(Duration::ZERO, api_types::units::DurationText::span))
            }
            _ => self.recipe.spec.timeouts.http.span().max(Duration::from_mins(2)),
        }
    }

    fn missing_dependency(&self, test: &RecipeTest) -> Option<String> {
        if steps::outcome(&self.status, Step::Dependencies).is_none_or(|outcome| outcome == DONE) {
            return None;
        }
        let serves = |wanted: &String| {
            let name = app_spec::dependency_name(&self.run.metadata.name, wanted);
            self.seen
                .dependencies
                .iter()
                .find(|app| app.metadata.name == name)
                .is_some_and(|app| view(app.metadata.generation, &app.status) == AppView::Serves)
        };
        test.requires.iter().find(|wanted| !serves(wanted)).cloned()
    }

    fn record(&mut self, result: TestResult) {
        let message = result.message.map(|message| ladder::shortened(&message, 4096));
        self.status.tests.push(TestResult { message, ..result });
    }

    fn lint(&mut self) -> Flow {
        match self.order::<LintResults>(Step::Lint, "", Work::Lint, Duration::from_mins(2)) {
            Answer::Not(flow) => flow,
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(results) => {
                for found in results.into_iter().take(64) {
                    if !self.status.tests.iter().any(|test| test.stage == RungName::Lint && test.name == found.name) {
                        self.record(TestResult { stage: RungName::Lint, ..found });
                    }
                }
                Flow::done()
            }
        }
    }

    fn cut_off(&mut self) -> Flow {
        let recorded = self.recorded_mut(Step::Stop);
        if recorded.attempts.is_none() {
            recorded.attempts = Some(1);
            return Flow::Act(Action::CutOff);
        }
        Flow::done()
    }

    fn screenshot(&mut self) -> Flow {
        match self.order::<Artifacts>(Step::Screenshot, "", Work::Screenshot, SCREENSHOT_MAX) {
            Answer::Not(flow) => flow,
            // A picture is for people: that there is none is no news.
            Answer::Bad { .. } => Flow::done(),
            Answer::Good(artifacts) => {
                self.keep_artifacts(artifacts);
                Flow::done()
            }
        }
    }

    fn evidence(&mut self) -> Flow {
        match self.order::<Artifacts>(Step::Evidence, "", Work::Evidence, Duration::from_mins(2)) {
            Answer::Not(flow) => flow,
            // Evidence helps people; a run does not end differently for want of it.
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(artifacts) => {
                self.keep_artifacts(artifacts);
                Flow::done()
            }
        }
    }

    fn keep_artifacts(&mut self, artifacts: Artifacts) {
        for artifact in artifacts {
            self.status.artifacts.retain(|known| known.name != artifact.name);
            if self.status.artifacts.len() < 64 {
                self.status.artifacts.push(artifact);
            }
        }
    }

    fn hold(&mut self) -> Flow {
        let leash = self.run.spec.hold_on_failure.as_ref().map(api_types::units::DurationText::span);
        let held = self.elapsed(Step::Hold);
        let left = leash.and_then(|leash| leash.checked_sub(held)).filter(|left| !left.is_zero());
        let (Some(left), false) = (left, self.run.spec.cancel) else {
            self.status.held_until = None;
            return Flow::done();
        };
        let until = self.now.checked_add(left).unwrap_or(self.now);
        self.status.held_until = Some(seconds(until));
        let message = format!(
            "The failed app stays until {} for a look; cancel the run, or shorten spec.holdOnFailure, to end this now.",
            seconds(until)
        );
        say(&mut self.status, ConditionType::CleanedUp, ConditionStatus::False, reason::HELD, &message);
        Flow::Wait(Next::After(left))
    }

    fn tear_down(&mut self) -> Flow {
        if steps::find(&self.status, Step::Teardown).is_some_and(|step| step.outcome.is_none()) {
            match self.order::<Inventory>(Step::Teardown, "clean-up", Work::CleanUp, Duration::from_mins(2)) {
                Answer::Not(flow) => return flow,
                Answer::Good(inventory) => self.cleanup_mut().removed = fitting(inventory.objects),
                // What could not be cleaned up is found again among the leftovers.
                Answer::Bad { .. } => {}
            }
            let step = self.recorded_mut(Step::Teardown);
            step.outcome = Some(REMOVING.to_owned());
            step.attempts = Some(1);
        }
        if let Some(flow) = self.remove_apps() {
            return flow;
        }
        match self.order::<Inventory>(Step::Teardown, "leftovers", Work::Leftovers, Duration::from_mins(1)) {
            Answer::Not(flow) => flow,
            Answer::Bad { message, .. } => self.leftovers(Vec::new(), &message),
            Answer::Good(inventory) if inventory.objects.is_empty() => {
                let cleanup = self.cleanup_mut();
                cleanup.remaining.clear();
                let message = format!("Nothing is left: {} objects were removed.", cleanup.removed.len());
                Flow::ended(DONE, message)
            }
            Answer::Good(inventory) => {
                let named = inventory.objects.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                self.leftovers(inventory.objects, &format!("Still there: {named}. They are being removed."))
            }
        }
    }

    /// Looks again later: a run has not ended before nothing of it is left.
    fn leftovers(&mut self, remaining: Vec<String>, message: &str) -> Flow {
        self.cleanup_mut().remaining = fitting(remaining);
        self.once_more(Step::Teardown, "leftovers", Work::Leftovers, message)
    }

    /// Orders again what must come true, however long it takes, and says what keeps it.
    fn once_more(&mut self, step: Step, suffix: &str, work: Work, message: &str) -> Flow {
        say(&mut self.status, ConditionType::CleanedUp, ConditionStatus::False, reason::LEFTOVERS, message);
        let recorded = self.recorded_mut(step);
        recorded.attempts = Some(recorded.attempts.unwrap_or(1).saturating_add(1).min(ATTEMPTS_TOLD_MAX));
        Flow::Act(self.give(step, suffix, work, Duration::from_mins(1)))
    }

    /// Asks the Apps to go and waits for them; `None` once all are gone.
    fn remove_apps(&mut self) -> Option<Flow> {
        let apps: Vec<Arc<Object<App>>> =
            self.seen.app.iter().chain(&self.seen.dependencies).filter(|app| self.is_own(app)).cloned().collect();
        if apps.is_empty() {
            return None;
        }
        let remaining: Vec<String> = apps.iter().flat_map(|app| app.status.remaining.clone()).collect();
        let waits = remaining.first().cloned().unwrap_or_else(|| format!("app/{}", apps[0].metadata.name));
        let message = format!("The stack is being taken down; {} objects remain, among them {waits}.", remaining.len());
        self.cleanup_mut().remaining = fitting(remaining);
        say(&mut self.status, ConditionType::CleanedUp, ConditionStatus::False, reason::PROGRESSING, &message);
        let untouched: Vec<(String, String)> = apps
            .iter()
            .filter(|app| !app.is_being_deleted())
            .map(|app| (app.metadata.name.clone(), app.metadata.uid.clone()))
            .collect();
        if untouched.is_empty() {
            Some(Flow::Wait(Next::After(POLL)))
        } else {
            Some(Flow::Act(Action::DeleteApps(untouched)))
        }
    }

    fn is_own(&self, app: &Object<App>) -> bool {
        app.metadata.owner_references.iter().any(|owner| owner.uid == self.run.metadata.uid)
    }

    fn results(&mut self) -> Flow {
        let ended = self.ended();
        verdict::conclude(&self.run.spec, &mut self.status, ended.as_ref());
        match self.order::<Written>(Step::Results, "", Work::Results, Duration::from_mins(1)) {
            Answer::Not(flow) => flow,
            // The verdict stands in the object; the files are a copy.
            Answer::Bad { reason, message } => Flow::ended(&reason, message),
            Answer::Good(written) => {
                self.keep_artifacts(written.artifacts);
                self.status.logs = written.logs;
                Flow::done()
            }
        }
    }

    fn remove_files(&mut self) -> Flow {
        match self.order::<()>(Step::Files, "", Work::RemoveFiles, Duration::from_mins(1)) {
            Answer::Not(flow) => flow,
            Answer::Good(()) => Flow::done(),
            Answer::Bad { message, .. } => self.once_more(Step::Files, "", Work::RemoveFiles, &message),
        }
    }
}

/// Returns a result without anything but its names.
fn result(stage: RungName, name: &str, status: RungStatus) -> TestResult {
    TestResult { stage, name: name.to_owned(), status, ..TestResult::default() }
}

/// Cuts a list of objects down to what a status may hold.
fn fitting(mut objects: Vec<String>) -> Vec<String> {
    objects.truncate(512);
    objects.into_iter().map(|object| ladder::shortened(&object, 320)).collect()
}

/// Only outcomes of the right shape count.
pub(super) fn parse<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> Result<Outcome<T>, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}
