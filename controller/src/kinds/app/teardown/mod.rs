//! Teardown: the next step towards nothing being left of a stack. Pure, and keyed by the stack's name alone, so that it
//! goes on after any interruption wherever it was.
//!
//! ```text
//!   services ─► tasks and containers have ended ─► networks ─► configs ─► secrets ─► volumes ─► files
//!                                                                                                 │
//!                       nothing is left ◄─ 1 s later, and 5 s after the last container: again ◄─ nothing is left
//! ```
//!
//! The order matters: an engine that lets a network go while tasks on it still stop loses an address of every *other*
//! network of theirs until it is started again. Twelve deploys fill a `/28` that way.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use ports::swarm::Task;

use super::inventory::{Inventory, Item};

/// How long after the last service, task and container the look happens that proves that nothing is left: what was under
/// way when the stack went has come by then.
pub const AUDIT_PAUSE: Duration = Duration::from_secs(5);
/// How long after the first look that found nothing it happens at the earliest.
pub const AUDIT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// On top of the longest grace period, before containers that should have ended are ended by us.
const END_SLACK: Duration = Duration::from_secs(10);
/// The engine's own grace period.
const GRACE: Duration = Duration::from_secs(10);
/// Most of one kind that one step removes: it ends in time, and the next pass does the rest.
const REMOVALS_MAX: usize = 64;

/// What goes besides what always goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Volumes, secrets and files of the app go as well.
    Everything,
    /// They stay, and another App of the same domain finds them.
    KeepData,
    /// Those that are labelled to go with their App do; others, and files, stay. For Apps that nobody can ask any more.
    AsLabelled,
}

/// What was seen so far, besides what is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Since when no service is left, but tasks or containers are.
    pub ending_since: Option<Timestamp>,
    /// Since when neither services nor tasks nor containers are left.
    pub ended_since: Option<Timestamp>,
    /// When nothing was found for the first time.
    pub clean_since: Option<Timestamp>,
    /// The longest that a container of the stack may take to stop; zero when nobody knows any more.
    pub grace: Duration,
}

impl Progress {
    /// Takes in a look.
    #[must_use]
    pub fn after(self, inventory: &Inventory, scope: Scope, now: Timestamp) -> Self {
        let grace = inventory.services.iter().map(|service| {
            let grace = service.spec.task_template.container_spec.stop_grace_period;
            grace.and_then(super::converge::nanoseconds).unwrap_or(GRACE)
        });
        let is_ending = inventory.services.is_empty() && !has_ended(inventory);
        let is_ended = inventory.services.is_empty() && has_ended(inventory);
        let is_clean = remaining(inventory, scope).is_empty();
        Self {
            ending_since: is_ending.then(|| self.ending_since.unwrap_or(now)),
            ended_since: is_ended.then(|| self.ended_since.unwrap_or(now)),
            clean_since: is_clean.then(|| self.clean_since.unwrap_or(now)),
            grace: grace.max().unwrap_or(self.grace).max(self.grace),
        }
    }
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Remove these services, by id.
    RemoveServices(Vec<String>),
    /// Wait: tasks and containers are ending.
    WaitForTasks,
    /// Remove these containers, by id, with their anonymous volumes: nobody else does.
    RemoveContainers(Vec<String>),
    /// Remove these networks, by id, and look whether they are gone.
    RemoveNetworks(Vec<String>),
    /// Remove these configs, by id.
    RemoveConfigs(Vec<String>),
    /// Remove these secrets, by id.
    RemoveSecrets(Vec<String>),
    /// Remove these volumes, by name.
    RemoveVolumes(Vec<String>),
    /// Remove the app's files.
    RemoveFiles,
    /// Nothing is left; look again at this moment to be sure.
    AuditAgain(Timestamp),
    /// Nothing is left, and nothing came after.
    Done,
}

/// Returns the next step; `progress` has taken in the same inventory.
#[must_use]
pub fn next(inventory: &Inventory, scope: Scope, progress: &Progress, now: Timestamp) -> Step {
    if !inventory.services.is_empty() {
        return Step::RemoveServices(ids(inventory.services.iter().map(|service| &service.id)));
    }
    if !has_ended(inventory) {
        let waited = progress.ending_since.map(|since| now.duration_since(since));
        let grace = if progress.grace.is_zero() { GRACE } else { progress.grace };
        let is_over = waited.is_some_and(|waited| waited.unsigned_abs() >= grace + END_SLACK);
        let tasks_have_ended = live_tasks(inventory).next().is_none();
        let leftovers = inventory.containers.iter().filter(|container| {
            let has_ended = !matches!(container.state.as_str(), "running" | "restarting" | "paused" | "removing");
            is_over || (tasks_have_ended && has_ended)
        });
        let leftovers = ids(leftovers.map(|container| &container.id));
        return if leftovers.is_empty() { Step::WaitForTasks } else { Step::RemoveContainers(leftovers) };
    }
    if !inventory.networks.is_empty() {
        return Step::RemoveNetworks(ids(inventory.networks.iter().map(|network| &network.id)));
    }
    if !inventory.configs.is_empty() {
        return Step::RemoveConfigs(ids(inventory.configs.iter().map(|config| &config.id)));
    }
    let secrets = ids(inventory.secrets.iter().filter(|secret| goes(secret, scope)).map(|secret| &secret.id));
    if !secrets.is_empty() {
        return Step::RemoveSecrets(secrets);
    }
    let volumes = ids(inventory.volumes.iter().filter(|volume| goes_volume(volume, scope)).map(|volume| &volume.name));
    if !volumes.is_empty() {
        return Step::RemoveVolumes(volumes);
    }
    if inventory.has_files && scope == Scope::Everything {
        return Step::RemoveFiles;
    }
    let after = |since: Option<Timestamp>, pause: Duration| {
        since.unwrap_or(now).saturating_add(pause).unwrap_or(Timestamp::MAX)
    };
    let again = after(progress.ended_since, AUDIT_PAUSE).max(after(progress.clean_since, AUDIT_PAUSE_MIN));
    if now >= again { Step::Done } else { Step::AuditAgain(again) }
}

/// Returns what is still there and has to go, as `kind/name`.
#[must_use]
pub fn remaining(inventory: &Inventory, scope: Scope) -> Vec<String> {
    let mut names = Vec::new();
    names.extend(inventory.services.iter().map(|service| format!("service/{}", service.spec.name)));
    names.extend(live_tasks(inventory).map(|task| {
        let is_lost = inventory.nodes_down.contains(&task.node_id);
        let place = if is_lost { format!(" (on node {}, which is down)", task.node_id) } else { String::new() };
        format!("task/{}{place}", task.id)
    }));
    names.extend(inventory.containers.iter().map(|container| format!("container/{}", container.name)));
    names.extend(inventory.networks.iter().map(|network| format!("network/{}", network.name)));
    names.extend(inventory.configs.iter().map(|config| format!("config/{}", config.name)));
    let secrets = inventory.secrets.iter().filter(|secret| goes(secret, scope));
    names.extend(secrets.map(|secret| format!("secret/{}", secret.name)));
    let volumes = inventory.volumes.iter().filter(|volume| goes_volume(volume, scope));
    names.extend(volumes.map(|volume| format!("{VOLUME}{}", volume.name)));
    if inventory.has_files && scope == Scope::Everything {
        names.push("files/app".to_owned());
    }
    names
}

/// What names of volumes begin with among what remains.
const VOLUME: &str = "volume/";

/// Returns the volumes among what remained at an earlier look: those that are known by name alone stay known that way.
pub fn recorded_volumes(remaining: &[String]) -> impl Iterator<Item = &str> {
    remaining.iter().filter_map(|name| name.strip_prefix(VOLUME))
}

fn has_ended(inventory: &Inventory) -> bool {
    inventory.containers.is_empty() && live_tasks(inventory).next().is_none()
}

/// Tasks that have not ended.
fn live_tasks(inventory: &Inventory) -> impl Iterator<Item = &Task> {
    inventory.tasks.iter().filter(|task| !task.state.is_terminal())
}

fn goes(item: &Item, scope: Scope) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::KeepData => false,
        Scope::AsLabelled => item.goes_with_app(),
    }
}

/// Nobody finds an anonymous volume again, and the copy of another is of no use without its App: they go whatever the
/// policy says.
fn goes_volume(volume: &Item, scope: Scope) -> bool {
    goes(volume, scope)
        || super::labels::is_anonymous(&volume.name)
        || volume.labels.contains_key(super::upgrade::SNAPSHOT_LABEL)
}

fn ids<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    ids.take(REMOVALS_MAX).cloned().collect()
}
