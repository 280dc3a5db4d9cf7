//! Upgrades of an App from one published version to another, with a gate on either side.
//!
//! ```text
//!   published ─► policy, window, release notes, room ─► images ─► Saving ─► Deploying ─► Succeeded
//!                        │ (before.rs, version.rs)      pulled    volumes      │ converges, answers
//!                        ▼                                        are copied   ▼ does not
//!                      held: UpToDate=False,                                 GoingBack ─► Failed
//!                      the old version goes on                               volumes put back, the old version serves
//! ```
//!
//! `status.upgrade` says how far it is; it is written before anything is done, and every step may be done again. Apps that
//! are under test have no gates: a test run looks at upgrades itself.

pub mod after;
pub mod before;
mod hands;
pub mod words;

pub(super) use hands::Direction;

use std::time::Duration;

use api_types::kinds::app::AppStatus;
use api_types::kinds::app_upgrade::{AppUpgrade, UpgradePhase};
use ports::recipe::version::RecipeVersion;
use ports::swarm::{Service, Volume};

use super::labels::has_prefix;

/// On an App whose failed version is to be tried again: any value that it did not have when it failed. Likewise for one
/// that could not be deployed, which is looked at again every few minutes anyway.
pub const RETRY_ANNOTATION: &str = "ci.coopcloud.tech/retry-upgrade";
/// On an App that is upgraded without a copy of its volumes, and does not go back by itself: `"false"`.
pub const SNAPSHOT_ANNOTATION: &str = "ci.coopcloud.tech/snapshot";
/// On the copy of a volume: the name of the volume.
pub const SNAPSHOT_LABEL: &str = "ci.coopcloud.tech/snapshot-of";
/// How long the copies of volumes are kept after an upgrade, however it went.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_hours(24);
/// What a new version may take to serve, whatever its own times say; then it is gone back.
pub const PROVING_TIME_MAX: Duration = Duration::from_hours(1);

/// What the gate before an upgrade asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Where the engine listens.
    pub engine: String,
    /// Bytes of its disk that are free above the floor of its host; `None` when nobody knows.
    pub bytes_free: Option<u64>,
    /// The version that was handed over last.
    pub deployed: Option<RecipeVersion>,
    /// The version that is not tried again.
    pub failed: Option<RecipeVersion>,
    /// The version that an upgrade which goes on leads away from; `None` when none does, and when it goes back.
    pub leaves: Option<RecipeVersion>,
    /// The value of the annotation that asks for what was refused again.
    pub retry: Option<String>,
    /// Whether an upgrade goes on already: it passed the gate.
    pub is_under_way: bool,
    /// Whether volumes are copied.
    pub takes_snapshot: bool,
}

/// Returns the version that was chosen before: while an upgrade goes on it is the one that it leads to.
pub(super) fn current_version(status: &AppStatus) -> Option<String> {
    let upgrade = status.upgrade.as_ref();
    match upgrade.map(|upgrade| upgrade.phase) {
        Some(UpgradePhase::Saving | UpgradePhase::Deploying) => upgrade.map(|upgrade| upgrade.to.clone()),
        Some(UpgradePhase::GoingBack) => upgrade.map(|upgrade| upgrade.from.clone()),
        _ => {
            let desired = || status.desired.as_ref().and_then(|desired| desired.version.clone());
            status.deployed_version.clone().or_else(desired)
        }
    }
}

/// Returns the version that an upgrade which goes on leads away from.
pub(super) fn left_version(status: &AppStatus) -> Option<RecipeVersion> {
    let upgrade = status.upgrade.as_ref()?;
    let goes_on = matches!(upgrade.phase, UpgradePhase::Saving | UpgradePhase::Deploying);
    goes_on.then(|| RecipeVersion::parse(&upgrade.from))?
}

/// Returns the version that is not tried (again), of an App with this generation and this value of the annotation.
pub(super) fn failed_version(status: &AppStatus, generation: i64, retry: Option<&String>) -> Option<RecipeVersion> {
    let upgrade = status.upgrade.as_ref()?;
    let is_over = upgrade.phase == UpgradePhase::GoingBack
        || upgrade.phase == UpgradePhase::Failed && upgrade.generation == generation && upgrade.retry.as_ref() == retry;
    is_over.then(|| RecipeVersion::parse(&upgrade.to))?
}

/// Returns whether only the copies of volumes hold what the volumes should.
pub(super) fn needs_copies(upgrade: &AppUpgrade) -> bool {
    let is_to_restore = upgrade.snapshot.as_ref().is_some_and(|snapshot| snapshot.restored_at.is_none());
    upgrade.phase == UpgradePhase::GoingBack && is_to_restore
}

/// Returns the name of the copy of a volume.
#[must_use]
pub fn copy_name(volume: &str) -> String {
    format!("{volume}.snapshot")
}

/// Returns the volumes of a stack that its services mount and that are there, without copies and those of others.
pub(super) fn own_volumes<'a>(stack: &str, services: &[Service], volumes: &'a [Volume]) -> Vec<&'a Volume> {
    let is_mounted = |name: &str| services.iter().any(|service| mounts(service, |source| source == name));
    volumes
        .iter()
        .filter(|volume| {
            has_prefix(&volume.name, stack) && !volume.labels.contains_key(SNAPSHOT_LABEL) && is_mounted(&volume.name)
        })
        .collect()
}

/// Returns whether a service mounts such a volume.
pub(super) fn mounts(service: &Service, is_it: impl Fn(&str) -> bool) -> bool {
    let mounts = &service.spec.task_template.container_spec.mounts;
    mounts.iter().any(|mount| mount.type_ == "volume" && is_it(&mount.source))
}
