//! The steps of a run in their order, each with the rung that it counts to. Pure.
//!
//! What a run has done is what `status.steps` says, and what comes next follows from it and from the rungs alone: a
//! restart, however sudden, finds the unfinished step and begins it again.

use api_types::kinds::test_run::{RungName, Step as StepStatus, TestRunStatus};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The recipe at the commit, with all tags.
    Fetch,
    /// The head's compose files, read and judged before anything is created.
    HeadRender,
    /// The base's compose files, read and judged.
    BaseRender,
    /// The apps that this one needs beside it.
    Dependencies,
    /// The images of the version to upgrade from.
    BasePull,
    /// The version to upgrade from.
    BaseDeploy,
    /// A base that could not be deployed goes, so that the head is installed on clean ground.
    BaseClear,
    /// The images of the head, when it is installed from nothing.
    HeadPull,
    /// The head, installed from nothing.
    HeadDeploy,
    /// The checks of the install rung.
    InstallCheck,
    /// The images of the head, before the upgrade.
    UpgradePull,
    /// Data that must survive the upgrade.
    UpgradeSeed,
    /// The head, in the place of the base.
    UpgradeDeploy,
    /// The checks of the upgrade rung.
    UpgradeCheck,
    /// With several versions to upgrade from: what was upgraded goes, so that the next one is installed on clean ground.
    UpgradeNext,
    /// The stack comes to rest.
    BackupSettle,
    /// Data that must survive backup, destruction and restore.
    BackupSeed,
    /// The backup.
    BackupTake,
    /// The seeded data is destroyed.
    BackupDestroy,
    /// The seeded data is really gone.
    BackupDestroyed,
    /// The restore.
    BackupRestore,
    /// The checks of the backup rung.
    BackupCheck,
    /// The stack comes to rest.
    FunctionalSettle,
    /// The recipe's own tests.
    FunctionalCheck,
    /// The linter.
    Lint,
    /// A picture of the app, for people.
    Screenshot,
    /// Everything that was going on is ended early.
    Stop,
    /// What a person needs to understand a failure.
    Evidence,
    /// The failed app stays for a look.
    Hold,
    /// Everything goes, and is proven gone.
    Teardown,
    /// The results as files.
    Results,
    /// The files go, with a run that is deleted.
    Files,
}

/// The steps in their order.
pub const ORDER: [Step; 32] = {
    use Step::*;
    [
        Fetch,
        HeadRender,
        BaseRender,
        Dependencies,
        BasePull,
        BaseDeploy,
        BaseClear,
        HeadPull,
        HeadDeploy,
        InstallCheck,
        UpgradePull,
        UpgradeSeed,
        UpgradeDeploy,
        UpgradeCheck,
        UpgradeNext,
        BackupSettle,
        BackupSeed,
        BackupTake,
        BackupDestroy,
        BackupDestroyed,
        BackupRestore,
        BackupCheck,
        FunctionalSettle,
        FunctionalCheck,
        Lint,
        Screenshot,
        Stop,
        Evidence,
        Hold,
        Teardown,
        Results,
        Files,
    ]
};

/// The steps that are taken anew for each version that is upgraded from, when there are several.
pub const UPGRADE_ROUND: [Step; 9] = {
    use Step::*;
    [BaseRender, BasePull, BaseDeploy, BaseClear, UpgradePull, UpgradeSeed, UpgradeDeploy, UpgradeCheck, UpgradeNext]
};

/// The outcome of a step that did what it should.
pub const DONE: &str = "Done";

impl Step {
    /// Returns its name in `status.steps`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::HeadRender => "head-render",
            Self::BaseRender => "base-render",
            Self::Dependencies => "dependencies",
            Self::BasePull => "base-pull",
            Self::BaseDeploy => "base-deploy",
            Self::BaseClear => "base-clear",
            Self::HeadPull => "head-pull",
            Self::HeadDeploy => "head-deploy",
            Self::InstallCheck => "install-check",
            Self::UpgradePull => "upgrade-pull",
            Self::UpgradeSeed => "upgrade-seed",
            Self::UpgradeDeploy => "upgrade-deploy",
            Self::UpgradeCheck => "upgrade-check",
            Self::UpgradeNext => "upgrade-next",
            Self::BackupSettle => "backup-settle",
            Self::BackupSeed => "backup-seed",
            Self::BackupTake => "backup-take",
            Self::BackupDestroy => "backup-destroy",
            Self::BackupDestroyed => "backup-destroyed",
            Self::BackupRestore => "backup-restore",
            Self::BackupCheck => "backup-check",
            Self::FunctionalSettle => "functional-settle",
            Self::FunctionalCheck => "functional-check",
            Self::Lint => "lint",
            Self::Screenshot => "screenshot",
            Self::Stop => "stop",
            Self::Evidence => "evidence",
            Self::Hold => "hold",
            Self::Teardown => "teardown",
            Self::Results => "results",
            Self::Files => "files",
        }
    }

    /// Returns the step of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        ORDER.into_iter().find(|step| step.name() == name)
    }

    /// Returns the rung that it counts to; `None` for what belongs to the whole run.
    #[must_use]
    pub fn rung(self) -> Option<RungName> {
        match self {
            Self::BasePull
            | Self::BaseDeploy
            | Self::BaseClear
            | Self::HeadPull
            | Self::HeadDeploy
            | Self::InstallCheck => Some(RungName::Install),
            Self::UpgradePull | Self::UpgradeSeed | Self::UpgradeDeploy | Self::UpgradeCheck | Self::UpgradeNext => {
                Some(RungName::Upgrade)
            }
            Self::BackupSettle
            | Self::BackupSeed
            | Self::BackupTake
            | Self::BackupDestroy
            | Self::BackupDestroyed
            | Self::BackupRestore
            | Self::BackupCheck => Some(RungName::BackupRestore),
            Self::FunctionalSettle | Self::FunctionalCheck => Some(RungName::Functional),
            Self::Lint => Some(RungName::Lint),
            Self::Fetch
            | Self::HeadRender
            | Self::BaseRender
            | Self::Dependencies
            | Self::Screenshot
            | Self::Stop
            | Self::Evidence
            | Self::Hold
            | Self::Teardown
            | Self::Results
            | Self::Files => None,
        }
    }

    /// Returns the log that its lines go to.
    #[must_use]
    pub fn log(self) -> &'static str {
        match self {
            Self::Fetch | Self::HeadRender | Self::BaseRender | Self::Dependencies => "prepare",
            Self::Screenshot
            | Self::Stop
            | Self::Evidence
            | Self::Hold
            | Self::Teardown
            | Self::Results
            | Self::Files => "cleanup",
            other => other.rung().map_or("prepare", super::ladder::word),
        }
    }

    /// Returns whether it belongs to the end of a run, which nothing can cut short.
    #[must_use]
    pub fn is_ending(self) -> bool {
        self >= Self::Stop
    }

    /// Returns whether a run that is deleted ends it all the same.
    #[must_use]
    pub fn is_way_out(self) -> bool {
        matches!(self, Self::Stop | Self::Teardown | Self::Results | Self::Files)
    }
}

/// Returns what is recorded of a step.
#[must_use]
pub fn find(status: &TestRunStatus, step: Step) -> Option<&StepStatus> {
    status.steps.iter().find(|recorded| recorded.name == step.name())
}

/// Returns how a step ended; `None` when it has not.
#[must_use]
pub fn outcome(status: &TestRunStatus, step: Step) -> Option<&str> {
    find(status, step)
        .filter(|recorded| recorded.finished_at.is_some())
        .map(|recorded| recorded.outcome.as_deref().unwrap_or(DONE))
}

/// Returns whether a step ended well.
#[must_use]
pub fn is_done(status: &TestRunStatus, step: Step) -> bool {
    outcome(status, step) == Some(DONE)
}

/// Returns the step that has begun and not ended.
#[must_use]
pub fn current(status: &TestRunStatus) -> Option<(Step, &StepStatus)> {
    let recorded = status.steps.iter().rev().find(|recorded| recorded.finished_at.is_none())?;
    Some((Step::parse(&recorded.name)?, recorded))
}

/// Returns the step that a deleted run is at; `None` once nothing of it is left.
///
/// Results that are being written are written to their end: who removes files next to a writer leaves some.
#[must_use]
pub fn leaving(status: &TestRunStatus) -> Option<Step> {
    let is_open = |step| find(status, step).is_none_or(|recorded| recorded.finished_at.is_none());
    let is_unfinished = |step| is_open(step) && find(status, step).is_some();
    [
        (Step::Stop, is_unfinished(Step::Stop)),
        (Step::Teardown, is_open(Step::Teardown)),
        (Step::Results, is_unfinished(Step::Results)),
        (Step::Files, is_open(Step::Files)),
    ]
    .into_iter()
    .find_map(|(step, is_next)| is_next.then_some(step))
}
