//! Upgrades from several versions (`baseVersion: all`): each is installed on clean ground and upgraded to the head, oldest
//! first; the last one goes on through the other rungs. Pure.
//!
//! The steps of a version are taken anew for the next one. What became of each stands in `status.upgrades`; the rung gets
//! its result when all have theirs.

use api_types::kinds::identity::Identity;
use api_types::kinds::recipe::RecipeVersion;
use api_types::kinds::test_run::{RungName, RungStatus, TestRunStatus, UpgradeFrom};
use api_types::reason;

use super::ladder;
use super::running::Life;
use super::steps::{Step, UPGRADE_ROUND};
use crate::runtime::events::seconds;

/// Most checks of earlier versions that stay listed; one run has at most 256 altogether.
const KEPT_CHECKS_MAX: usize = 96;
/// Longest name of a check.
const CHECK_NAME_CHARACTERS_MAX: usize = 128;

/// Returns the place of the version that is upgraded from now; `None` unless there are several.
#[must_use]
pub(super) fn place(status: &TestRunStatus) -> Option<usize> {
    let commit = status.base.as_ref()?.commit.as_deref()?;
    status.upgrades.iter().position(|upgrade| upgrade.commit == commit)
}

impl Life<'_> {
    /// Begins with the first of several versions.
    pub(super) fn begin_upgrades(&mut self, versions: Vec<RecipeVersion>) {
        let upgrade = |found: RecipeVersion| UpgradeFrom {
            version: found.version,
            commit: found.commit,
            ..UpgradeFrom::default()
        };
        self.status.upgrades = versions.into_iter().map(upgrade).collect();
        // Two versions may have one commit, which is upgraded from once.
        let mut seen = Vec::new();
        self.status.upgrades.retain(|upgrade| {
            let is_new = !seen.contains(&upgrade.commit);
            seen.push(upgrade.commit.clone());
            is_new
        });
        self.begin_upgrade(0);
    }

    fn begin_upgrade(&mut self, place: usize) {
        let Some(upgrade) = self.status.upgrades.get_mut(place) else { return };
        upgrade.started_at = Some(seconds(self.now));
        let (version, commit) = (upgrade.version.clone(), upgrade.commit.clone());
        self.status.base = Some(Identity { version: Some(version), commit: Some(commit), images: Vec::new() });
    }

    /// Returns whether another version is upgraded from after this one. With a hold, the first that fails is the last:
    /// its app is kept for a look.
    pub(super) fn has_next_upgrade(&self) -> bool {
        let Some(place) = place(&self.status) else { return false };
        let has_failed = self.status.upgrades.iter().any(|upgrade| upgrade.status == RungStatus::Fail);
        let is_held = has_failed && self.run.spec.hold_on_failure.is_some();
        place + 1 < self.status.upgrades.len() && !is_held
    }

    /// Gives the upgrade from the present version its result, and the rung its own after the last one.
    pub(super) fn judge_upgrade(&mut self, status: RungStatus, reason: &str, message: &str) {
        let Some(place) = place(&self.status) else {
            self.judge(RungName::Upgrade, status, reason, message);
            return;
        };
        let upgrade = &mut self.status.upgrades[place];
        if upgrade.reason.is_some() {
            return;
        }
        upgrade.status = status;
        upgrade.reason = Some(reason.to_owned());
        upgrade.message = Some(ladder::shortened(message, 1024));
        upgrade.finished_at = Some(seconds(self.now));
        if self.has_next_upgrade() {
            return;
        }
        for upgrade in self.status.upgrades.iter_mut().filter(|upgrade| upgrade.reason.is_none()) {
            upgrade.reason = Some(reason::NOT_REACHED.to_owned());
            upgrade.message =
                Some("It was not tried: the app of an upgrade that failed is kept (spec.holdOnFailure).".to_owned());
        }
        let (status, reason, message) = add_up(&self.status.upgrades);
        self.judge(RungName::Upgrade, status, &reason, &message);
    }

    /// Begins with the next version: of the steps of the last one nothing is left.
    pub(super) fn begin_next_upgrade(&mut self) {
        let Some(place) = place(&self.status) else { return };
        self.keep_what_did_not_pass(&self.status.upgrades[place].version.clone());
        let is_of_round = |name: &str| Step::parse(name).is_some_and(|step| UPGRADE_ROUND.contains(&step));
        self.status.steps.retain(|recorded| !is_of_round(&recorded.name));
        self.begin_upgrade(place + 1);
    }

    /// Makes room for the checks of the next version. Those that passed are counted in the message of their version.
    fn keep_what_did_not_pass(&mut self, version: &str) {
        let checks: Vec<String> = self.checks_of(RungName::Upgrade).iter().map(|check| check.name()).collect();
        let tests = std::mem::take(&mut self.status.tests);
        for mut test in tests {
            let is_of_round = test.stage == RungName::Upgrade && checks.contains(&test.name);
            if is_of_round {
                let kept = self.status.tests.iter().filter(|test| test.stage == RungName::Upgrade).count();
                if test.status == RungStatus::Pass || kept >= KEPT_CHECKS_MAX {
                    continue;
                }
                let name = format!("{} from {version}", test.name);
                test.name = name.chars().take(CHECK_NAME_CHARACTERS_MAX).collect();
            }
            self.status.tests.push(test);
        }
    }
}

/// Adds the upgrades up: one that fails makes the rung fail, one that could not be judged leaves it open.
fn add_up(upgrades: &[UpgradeFrom]) -> (RungStatus, String, String) {
    let of = |status: RungStatus| upgrades.iter().filter(move |upgrade| upgrade.status == status);
    let first = of(RungStatus::Fail).next().or_else(|| of(RungStatus::Unverified).next());
    let Some(first) = first else {
        let names: Vec<&str> = upgrades.iter().map(|upgrade| upgrade.version.as_str()).collect();
        let message = format!("It passes from each of {} versions: {}.", names.len(), names.join(", "));
        return (RungStatus::Pass, reason::CHECKS_PASSED.to_owned(), message);
    };
    let word = |status| match status {
        RungStatus::Fail => "failed",
        _ => "could not be judged",
    };
    let counts = [RungStatus::Fail, RungStatus::Unverified].into_iter().filter_map(|status| {
        let count = of(status).count();
        (count > 0).then(|| format!("{count} {}", word(status)))
    });
    let counts: Vec<String> = counts.collect();
    let told = of(RungStatus::Fail).chain(of(RungStatus::Unverified)).map(|upgrade| {
        let reason = upgrade.reason.as_deref().unwrap_or_default();
        format!("From {} ({reason}): {}", upgrade.version, upgrade.message.as_deref().unwrap_or_default())
    });
    let told: Vec<String> = told.collect();
    let message = format!("Of {} upgrades {}. {}", upgrades.len(), counts.join(", "), told.join(" "));
    (first.status, first.reason.clone().unwrap_or_default(), message)
}
