//! The gate after an upgrade: what is done before the new version is handed over, and what becomes of it then. Pure.

use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, ConditionType, READY, find, set};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::app_upgrade::{AppUpgrade, HeldVersion, UpgradePhase, VOLUMES_BEFORE_MAX, VolumeSnapshot};
use api_types::reason;
use jiff::Timestamp;

use super::{PROVING_TIME_MAX, RETRY_ANNOTATION, SNAPSHOT_AGE_MAX};
use crate::kinds::app::act::Action;
use crate::kinds::app::decide::REMOVING;
use crate::kinds::app::prepare::Prepared;
use crate::runtime::events::seconds;
use crate::runtime::outcome::Failure;

/// How soon what is being stopped is looked at again.
const STOPPING_POLL: Duration = Duration::from_millis(500);
/// How often copying, which rings when it ends, is looked at.
const COPYING_POLL: Duration = Duration::from_secs(10);
/// Most characters of a message in the status.
const MESSAGE_CHARACTERS_MAX: usize = 2000;
/// The conditions by which a version shows that it serves.
const SIGNS: [ConditionType; 3] = [ConditionType::Converged, ConditionType::Reachable, ConditionType::Healthy];

/// What is wrong with the proxy is wrong with every version.
const NOT_ITS_OWN: [&str; 2] = [reason::TLS_INVALID, reason::PROXY_DOWN];

/// What was seen besides, while an upgrade goes on or may begin.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Volumes of the stack that its services mount.
    pub volumes: Vec<String>,
    /// Services, by id, that mount volumes which are to be copied.
    pub users: Vec<String>,
    /// Whether a container runs that mounts one, or a task is on its way.
    pub is_used: bool,
    /// Containers, by id, that have ended and still keep one.
    pub ended: Vec<String>,
    /// Copies of volumes that are no longer needed.
    pub copies: Vec<String>,
    /// All volumes of the stack but copies.
    pub all: Vec<String>,
    /// What only a version needed that was gone back from.
    pub made: Made,
    /// How far copying is.
    pub work: Work,
}

/// What only a version needed that was gone back from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Its volumes, that nothing which runs uses.
    pub volumes: Vec<String>,
    /// Containers, by id, that have ended and keep one.
    pub containers: Vec<String>,
    /// Whether something that runs still uses another one.
    pub is_used: bool,
}

/// How far copying is, in either direction.
#[derive(Clone, Debug, Default)]
pub enum Work {
    /// Nobody does it.
    #[default]
    Absent,
    /// It goes on.
    Running,
    /// All is copied: so many bytes, if that is known.
    Done(Option<u64>),
    /// It came to nothing; it may be tried again after this time.
    Failed(Failure, Duration),
}

/// What has to happen before a stack is handed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The upgrade is further than the status says.
    Record(Box<AppUpgrade>, Option<Told>),
    /// Something is to be done first.
    Do(String, Action),
    /// Something goes on.
    Wait(String, Duration),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether something is wrong.
    pub is_warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// Returns what has to happen before this stack is handed over.
#[must_use]
pub fn before_handing_over(
    app: &Object<App>,
    status: &AppStatus,
    prepared: &Prepared,
    seen: &Seen,
    now: Timestamp,
) -> Gate {
    let Some(to) = prepared.version.as_deref().filter(|_| prepared.is_gated) else { return Gate::Open };
    match &status.upgrade {
        Some(upgrade) if upgrade.phase == UpgradePhase::GoingBack => back(upgrade, to, seen, now),
        Some(upgrade) if upgrade.is_under_way() => forward(upgrade, to, prepared.held.as_ref(), seen, now),
        _ => match &status.deployed_version {
            Some(from) if from != to => begin(app, from, to, prepared, seen, now),
            _ => Gate::Open,
        },
    }
}

fn begin(app: &Object<App>, from: &str, to: &str, prepared: &Prepared, seen: &Seen, now: Timestamp) -> Gate {
    let snapshot = (prepared.takes_snapshot && !seen.volumes.is_empty())
        .then(|| VolumeSnapshot { volumes: seen.volumes.clone(), ..VolumeSnapshot::default() });
    let phase = if snapshot.is_some() { UpgradePhase::Saving } else { UpgradePhase::Deploying };
    let upgrade = AppUpgrade {
        from: from.to_owned(),
        to: to.to_owned(),
        phase,
        generation: app.metadata.generation,
        retry: app.metadata.annotations.get(RETRY_ANNOTATION).cloned(),
        started_at: Some(seconds(now)),
        snapshot,
        volumes_before: Some(seen.all.clone()).filter(|all| all.len() <= VOLUMES_BEFORE_MAX),
        ..AppUpgrade::default()
    };
    let copied = match &upgrade.snapshot {
        Some(snapshot) => {
            format!(" What uses its volumes is stopped, and they are copied: {}.", snapshot.volumes.join(", "))
        }
        None => String::new(),
    };
    let message = format!("The upgrade from {from} to {to} begins.{copied}");
    Gate::Record(Box::new(upgrade), Some(Told { is_warning: false, reason: reason::UPGRADING, message }))
}

fn forward(upgrade: &AppUpgrade, to: &str, held: Option<&HeldVersion>, seen: &Seen, now: Timestamp) -> Gate {
    if to == upgrade.from {
        let text = match held.filter(|held| held.version == upgrade.to) {
            Some(held) => held.message.clone(),
            None => format!("The spec asks for version {to} again."),
        };
        let upgrade = going_back(upgrade, reason::UPGRADE_OVERTAKEN, &text);
        return Gate::Record(Box::new(upgrade), None);
    }
    if to != upgrade.to {
        return Gate::Record(Box::new(AppUpgrade { to: to.to_owned(), ..upgrade.clone() }), None);
    }
    let Some(snapshot) = upgrade.snapshot.as_ref().filter(|_| upgrade.phase == UpgradePhase::Saving) else {
        return Gate::Open;
    };
    let what = format!("copied before the upgrade from {} to {to}", upgrade.from);
    if let Some(gate) = stop(seen, snapshot, &what, Leftovers::MayStay) {
        return gate;
    }
    match &seen.work {
        Work::Absent => Gate::Do(format!("The volumes are being {what}."), Action::Save(snapshot.volumes.clone())),
        Work::Running => Gate::Wait(format!("The volumes are being {what}."), COPYING_POLL),
        Work::Done(bytes) => {
            let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok());
            let snapshot = VolumeSnapshot { taken_at: Some(seconds(now)), bytes, ..snapshot.clone() };
            let phase = UpgradePhase::Deploying;
            Gate::Record(Box::new(AppUpgrade { phase, snapshot: Some(snapshot), ..upgrade.clone() }), None)
        }
        Work::Failed(failure, wait) if failure.reason == "EngineUnreachable" => {
            Gate::Wait(format!("The volumes cannot be {what}: {}.", failure.message), *wait)
        }
        Work::Failed(failure, _) => {
            // Nothing was changed yet: the version before runs on with its own volumes.
            let text = format!("The volumes could not be {what}: {}.", failure.message);
            let told = Told { is_warning: true, reason: reason::SNAPSHOT_FAILED, message: text.clone() };
            let upgrade = going_back(upgrade, reason::SNAPSHOT_FAILED, &text);
            Gate::Record(Box::new(AppUpgrade { snapshot: None, ..upgrade }), Some(told))
        }
    }
}

fn back(upgrade: &AppUpgrade, to: &str, seen: &Seen, now: Timestamp) -> Gate {
    if to == upgrade.to {
        // The version before is published no more.
        let text = format!("There is no way back: the recipe has no version {} any more.", upgrade.from);
        let message = format!("{} {text}", upgrade.message.as_deref().unwrap_or_default());
        let phase = UpgradePhase::Failed;
        let (message, finished_at) = (Some(shorten(&message)), Some(seconds(now)));
        return Gate::Record(Box::new(AppUpgrade { phase, message, finished_at, ..upgrade.clone() }), None);
    }
    let to_restore = |snapshot: &&VolumeSnapshot| snapshot.taken_at.is_some() && snapshot.restored_at.is_none();
    let Some(snapshot) = upgrade.snapshot.as_ref().filter(to_restore) else { return Gate::Open };
    let what = format!("given back what they held before the upgrade to {}", upgrade.to);
    if let Some(gate) = stop(seen, snapshot, &what, Leftovers::Go) {
        return gate;
    }
    match &seen.work {
        Work::Absent => Gate::Do(format!("The volumes are being {what}."), Action::Restore(snapshot.volumes.clone())),
        Work::Running => Gate::Wait(format!("The volumes are being {what}."), COPYING_POLL),
        Work::Done(_) => {
            let snapshot = VolumeSnapshot { restored_at: Some(seconds(now)), ..snapshot.clone() };
            Gate::Record(Box::new(AppUpgrade { snapshot: Some(snapshot), ..upgrade.clone() }), None)
        }
        Work::Failed(failure, wait) => {
            let text = format!("The volumes could not be {what}: {}. It is tried again.", failure.message);
            Gate::Wait(text, *wait)
        }
    }
}

/// Whether containers that have ended may keep the volumes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    MayStay,
    Go,
}

/// Returns what stops everything that uses the volumes; `None` when nothing does.
fn stop(seen: &Seen, snapshot: &VolumeSnapshot, what: &str, leftovers: Leftovers) -> Option<Gate> {
    let text =
        format!("What uses the volumes {} is being stopped, so that they can be {what}.", snapshot.volumes.join(", "));
    if !seen.users.is_empty() {
        return Some(Gate::Do(text, Action::Stop { services: seen.users.clone(), containers: Vec::new() }));
    }
    if seen.is_used {
        return Some(Gate::Wait(text, STOPPING_POLL));
    }
    if leftovers == Leftovers::Go && !seen.ended.is_empty() {
        return Some(Gate::Do(text, Action::Stop { services: Vec::new(), containers: seen.ended.clone() }));
    }
    None
}

fn going_back(upgrade: &AppUpgrade, reason: &str, message: &str) -> AppUpgrade {
    AppUpgrade {
        phase: UpgradePhase::GoingBack,
        reason: Some(reason.to_owned()),
        message: Some(shorten(message)),
        ..upgrade.clone()
    }
}

/// What follows from a look for the upgrade.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Nothing.
    None,
    /// It has come to something: look again at once, and tell it.
    Next(Told),
    /// Volumes are needed no longer.
    Drop(Made),
}

/// Whether the swarm has what only the version before needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surplus {
    /// It has.
    Some,
    /// It has not.
    None,
}

/// The swarm was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSeen;

/// Takes in what the conditions say of the version that was handed over.
pub fn settle(
    status: &mut AppStatus,
    prepared: &Prepared,
    seen: &Seen,
    swarm: Result<Surplus, NotSeen>,
    now: Timestamp,
) -> Turn {
    let Some(upgrade) = status.upgrade.clone() else { return Turn::None };
    let is_there = status.deployed_hash.as_deref() == Some(&prepared.hash)
        && find(&status.conditions, ConditionType::Deployed.word())
            .is_some_and(|found| found.status == ConditionStatus::True);
    let is_version = |version: &str| is_there && swarm.is_ok() && prepared.version.as_deref() == Some(version);
    match upgrade.phase {
        UpgradePhase::Saving => overtaken(status, &upgrade, prepared, now),
        UpgradePhase::Deploying if is_version(&upgrade.to) => prove(status, &upgrade, prepared, swarm, now),
        UpgradePhase::Deploying => overtaken(status, &upgrade, prepared, now),
        UpgradePhase::GoingBack if is_version(&upgrade.from) => came_back(status, &upgrade, now),
        UpgradePhase::GoingBack => Turn::None,
        UpgradePhase::Failed if is_version(&upgrade.from) && !seen.made.volumes.is_empty() => {
            Turn::Drop(seen.made.clone())
        }
        UpgradePhase::Succeeded | UpgradePhase::Failed => {
            let is_tidy = swarm.is_ok() && is_there && !seen.made.is_used;
            retire(status, if is_tidy { tidied(upgrade) } else { upgrade }, seen, now)
        }
    }
}

/// Does the version before serve again?
fn came_back(status: &mut AppStatus, upgrade: &AppUpgrade, now: Timestamp) -> Turn {
    let AppUpgrade { from, to, .. } = upgrade;
    let again = match bad_sign(status) {
        _ if serves(status) => format!("Version {from} serves again."),
        Some(bad) => format!("Version {from} is back, and does not serve either: {}", bad.message),
        None => return Turn::None,
    };
    let message = shorten(&format!("{again} Why not {to}: {}", upgrade.message.as_deref().unwrap_or_default()));
    let (phase, finished_at) = (UpgradePhase::Failed, Some(seconds(now)));
    status.upgrade = Some(AppUpgrade { phase, finished_at, ..upgrade.clone() });
    Turn::Next(Told { is_warning: true, reason: reason::UPGRADE_FAILED, message })
}

/// The spec names no version any more.
fn overtaken(status: &mut AppStatus, upgrade: &AppUpgrade, prepared: &Prepared, now: Timestamp) -> Turn {
    if prepared.version.is_some() && prepared.is_gated {
        return Turn::None;
    }
    let text = "The spec asks for something that is no published version.";
    let upgrade = going_back(upgrade, reason::UPGRADE_OVERTAKEN, text);
    let (phase, finished_at) = (UpgradePhase::Failed, Some(seconds(now)));
    status.upgrade = Some(AppUpgrade { phase, finished_at, ..upgrade });
    Turn::None
}

/// Does the new version serve?
fn prove(
    status: &mut AppStatus,
    upgrade: &AppUpgrade,
    prepared: &Prepared,
    swarm: Result<Surplus, NotSeen>,
    now: Timestamp,
) -> Turn {
    if serves(status) {
        if swarm == Ok(Surplus::Some) {
            set(&mut status.conditions, Condition::new(READY, ConditionStatus::Unknown, reason::UPGRADING, REMOVING));
        }
        let (phase, finished_at) = (UpgradePhase::Succeeded, Some(seconds(now)));
        status.upgrade = Some(AppUpgrade { phase, finished_at, ..upgrade.clone() });
        let message = format!("Version {} serves; before it ran {}.", upgrade.to, upgrade.from);
        return Turn::Next(Told { is_warning: false, reason: reason::UPGRADED, message });
    }
    let has_volumes = prepared.wanted.stack.volumes.iter().any(|volume| !volume.external);
    if has_volumes && !prepared.takes_snapshot {
        // Nobody knows whether the version before would understand what is in them now.
        return Turn::None;
    }
    let bad = bad_sign(status).filter(|found| !NOT_ITS_OWN.contains(&found.reason.as_str())).cloned();
    let since = upgrade.deployed_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok()).unwrap_or(now);
    let is_over = Duration::try_from(now.duration_since(since)).unwrap_or_default() >= PROVING_TIME_MAX;
    let late = Condition::new(
        READY,
        ConditionStatus::False,
        reason::PROGRESS_DEADLINE_EXCEEDED,
        format!("It did not serve within {} min.", PROVING_TIME_MAX.as_secs() / 60),
    );
    let Some(why) = bad.or(is_over.then_some(late)) else { return Turn::None };
    let message = format!("Version {} does not serve: {}", upgrade.to, why.message);
    status.upgrade = Some(going_back(upgrade, &why.reason, &why.message));
    let message = shorten(&format!("{message} Version {} is brought back.", upgrade.from));
    Turn::Next(Told { is_warning: true, reason: reason::GOING_BACK, message })
}

/// Returns the first sign that what was handed over does not serve.
fn bad_sign(status: &AppStatus) -> Option<&Condition> {
    let signs = SIGNS.iter().filter_map(|sign| find(&status.conditions, sign.word()));
    signs.into_iter().find(|found| found.status == ConditionStatus::False)
}

/// Returns whether what was handed over converges and answers.
fn serves(status: &AppStatus) -> bool {
    SIGNS
        .iter()
        .all(|sign| find(&status.conditions, sign.word()).is_some_and(|found| found.status == ConditionStatus::True))
}

/// Nothing is left of it that would have to go at once.
fn tidied(upgrade: AppUpgrade) -> AppUpgrade {
    AppUpgrade { volumes_before: None, ..upgrade }
}

/// Lets the copies go after a while.
fn retire(status: &mut AppStatus, upgrade: AppUpgrade, seen: &Seen, now: Timestamp) -> Turn {
    if upgrade.snapshot.is_none() || !is_retired(&upgrade, now) {
        status.upgrade = Some(upgrade);
        return Turn::None;
    }
    if !seen.copies.is_empty() {
        return Turn::Drop(Made { volumes: seen.copies.clone(), ..Made::default() });
    }
    status.upgrade = Some(AppUpgrade { snapshot: None, ..upgrade });
    Turn::None
}

/// Returns whether the copies of an upgrade are needed no longer.
pub(super) fn is_retired(upgrade: &AppUpgrade, now: Timestamp) -> bool {
    let finished = upgrade.finished_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
    let age = finished.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
    !upgrade.is_under_way() && age.is_some_and(|age| age >= SNAPSHOT_AGE_MAX)
}

/// Says in the conditions how the App stands to newer versions.
pub fn say(status: &mut AppStatus, prepared: &Prepared) {
    let type_ = ConditionType::UpToDate.word();
    status.held.clone_from(&prepared.held);
    let Some(version) = prepared.version.as_ref().filter(|_| prepared.is_gated) else {
        api_types::condition::remove(&mut status.conditions, type_);
        return;
    };
    let condition = match &prepared.held {
        Some(held) => Condition::new(type_, ConditionStatus::False, &held.reason, held.message.clone()),
        None => {
            let text = format!("Version {version} is the newest that the recipe has published.");
            Condition::new(type_, ConditionStatus::True, reason::UP_TO_DATE, text)
        }
    };
    set(&mut status.conditions, condition);
}

/// Does not call an App ready whose spec names a version that does not run.
pub fn correct_summary(status: &mut AppStatus, prepared: &Prepared) {
    let Some(held) = prepared.held.as_ref().filter(|_| prepared.is_named_held) else { return };
    if find(&status.conditions, READY).is_some_and(|ready| ready.status == ConditionStatus::True) {
        set(&mut status.conditions, Condition::new(READY, ConditionStatus::False, &held.reason, held.message.clone()));
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(MESSAGE_CHARACTERS_MAX).collect()
}
