//! What follows from the end of a step for rungs and conditions. Pure.

use api_types::condition::{ConditionStatus, ConditionType};
use api_types::kinds::test_run::{RungName, RungStatus, TestResult};
use api_types::reason;

use super::blame::{Blame, blame_of};
use super::decide::say;
use super::running::Life;
use super::steps::{DONE, Step};
use super::work::Check;

impl Life<'_> {
    /// Draws the conclusions from a step that has ended.
    pub(super) fn follow(&mut self, step: Step, outcome: &str, message: &str) {
        let good = outcome == DONE;
        match step {
            Step::Fetch => {
                let word = if good { ConditionStatus::True } else { ConditionStatus::False };
                let (reason, text) =
                    if good { (reason::FETCHED, "The commit and all tags are there.") } else { (outcome, message) };
                say(&mut self.status, ConditionType::Fetched, word, reason, text);
            }
            Step::HeadRender | Step::HeadPull if !good => self.fail(RungName::Install, outcome, message),
            Step::BaseRender | Step::BasePull if !good => self.drop_base(outcome, message),
            Step::BaseDeploy if !good => self.drop_base(outcome, message),
            Step::HeadDeploy if !good => {
                self.deployed(false, outcome, message);
                self.fail(RungName::Install, outcome, message);
            }
            Step::BaseDeploy | Step::HeadDeploy => self.deployed(true, reason::DEPLOYED, "The stack is on the swarm."),
            Step::InstallCheck => self.conclude_checks(RungName::Install),
            Step::UpgradePull | Step::UpgradeSeed | Step::UpgradeDeploy if !good => {
                self.judge_upgrade(blame_of(outcome).rung_status(), outcome, message);
            }
            Step::UpgradeCheck => self.conclude_checks(RungName::Upgrade),
            Step::UpgradeNext => {
                self.deployed(false, reason::PROGRESSING, "The next version to upgrade from is being installed.");
                self.begin_next_upgrade();
            }
            Step::BackupSettle
            | Step::BackupSeed
            | Step::BackupTake
            | Step::BackupDestroy
            | Step::BackupDestroyed
            | Step::BackupRestore
                if !good =>
            {
                self.fail(RungName::BackupRestore, outcome, message);
            }
            Step::BackupCheck => self.conclude_checks(RungName::BackupRestore),
            Step::FunctionalSettle if !good => self.judge(
                RungName::Functional,
                RungStatus::Unverified,
                reason::NOT_REACHED,
                &format!("The app does not serve any more: {message}"),
            ),
            Step::FunctionalCheck => self.conclude_checks(RungName::Functional),
            Step::Lint if !good => self.fail(RungName::Lint, outcome, message),
            Step::Lint => self.conclude_checks(RungName::Lint),
            Step::Teardown => {
                self.deployed(false, reason::CLEAN, "The stack was taken down.");
                say(&mut self.status, ConditionType::CleanedUp, ConditionStatus::True, reason::CLEAN, message);
            }
            _ => {}
        }
    }

    fn deployed(&mut self, is_up: bool, reason: &str, message: &str) {
        let word = if is_up { ConditionStatus::True } else { ConditionStatus::False };
        say(&mut self.status, ConditionType::Deployed, word, reason, message);
    }

    /// Goes on without an upgrade: what is wrong with an old version is not the head's fault.
    fn drop_base(&mut self, outcome: &str, message: &str) {
        let version =
            self.status.base.as_ref().and_then(|base| base.version.clone()).unwrap_or_else(|| "the base".to_owned());
        let (reason, text) = if blame_of(outcome) == Blame::Ours {
            (outcome, format!("The version to upgrade from, {version}, could not be deployed: {message}"))
        } else {
            let instead = if self.has_next_upgrade() { "" } else { " The head was installed from nothing instead." };
            (
                reason::BASE_UNAVAILABLE,
                format!(
                    "The version to upgrade from, {version}, cannot be deployed any more ({outcome}): {message} Repair it \
                     with an overlay of type BaseRepair, or name another with spec.baseVersion of the run.{instead}"
                ),
            )
        };
        self.judge_upgrade(RungStatus::Unverified, reason, &text);
    }

    /// Gives a rung the result that its checks add up to. Without any check there is none.
    fn conclude_checks(&mut self, stage: RungName) {
        // What stands there of upgrades from earlier versions has other names.
        let own: Vec<String> = self.checks_of(stage).iter().map(Check::name).collect();
        let counts =
            |test: &&TestResult| test.stage == stage && (stage != RungName::Upgrade || own.contains(&test.name));
        let results: Vec<TestResult> = self.status.tests.iter().filter(counts).cloned().collect();
        let data: Vec<String> = match stage {
            // Which of them fail says whether it is the data that is missing.
            RungName::Upgrade | RungName::BackupRestore => {
                let seeded = self.tests_with_seed(stage).into_iter().map(|test| test.name.clone());
                seeded.chain([Check::Markers.name()]).collect()
            }
            RungName::Install | RungName::Functional | RungName::Lint => Vec::new(),
        };
        let (status, reason, message) = add_up(stage, &results, &data);
        if stage == RungName::Upgrade {
            self.judge_upgrade(status, reason, &message);
        } else {
            self.judge(stage, status, reason, &message);
        }
    }
}

/// Adds the results of a rung's checks up; `data` names those that look for data which was put in before. Pure.
#[must_use]
pub fn add_up(stage: RungName, results: &[TestResult], data: &[String]) -> (RungStatus, &'static str, String) {
    let named = |status: RungStatus| -> Vec<String> {
        let found = results.iter().filter(|result| result.status == status);
        found.map(|result| format!("{}: {}", result.name, result.message.as_deref().unwrap_or("no message"))).collect()
    };
    let failed = named(RungStatus::Fail);
    if !failed.is_empty() {
        let mut names = results.iter().filter(|result| result.status == RungStatus::Fail).map(|result| &result.name);
        let reason = if stage == RungName::Lint {
            reason::LINT_FAILED
        } else if names.all(|name| data.contains(name)) {
            // The app serves, and what it should still know is gone.
            reason::DATA_LOST
        } else {
            reason::CHECKS_FAILED
        };
        let message = format!("{} of {} checks failed. {}", failed.len(), results.len(), failed.join(" · "));
        return (RungStatus::Fail, reason, message);
    }
    let unverified = named(RungStatus::Unverified);
    if !unverified.is_empty() {
        let message =
            format!("{} of {} checks did not run. {}", unverified.len(), results.len(), unverified.join(" · "));
        // Nothing failed where there was nothing to run.
        let is_empty = results.iter().any(|result| {
            result.status == RungStatus::Unverified
                && result.message.as_deref().is_some_and(|text| text.starts_with(reason::NO_CHECKS))
        });
        let reason = if is_empty { reason::NO_CHECKS } else { reason::INFRASTRUCTURE_FAILED };
        return (RungStatus::Unverified, reason, message);
    }
    let passed = results.iter().filter(|result| result.status == RungStatus::Pass).count();
    if passed == 0 {
        return (RungStatus::Unverified, reason::NO_CHECKS, "Nothing was checked, which is no pass.".to_owned());
    }
    let noun = if passed == 1 { "check" } else { "checks" };
    (RungStatus::Pass, reason::CHECKS_PASSED, format!("{passed} {noun} passed."))
}
