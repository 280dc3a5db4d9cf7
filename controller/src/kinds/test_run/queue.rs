//! Whether a run may begin now, or what it waits for and where it stands. Pure.
//!
//! Recipes take turns; the runs of one recipe go in the order in which they were created. A run whose domain is taken
//! lets others past. A run that is too large for what is left lets nobody past, so that small ones cannot starve it;
//! one that is too large for the host as a whole lets everybody past, and says so.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use api_types::reason;
use jiff::Timestamp;

/// A run that wants to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Namespace and name.
    pub key: String,
    /// Namespace and name of the recipe.
    pub recipe: String,
    /// When it was created.
    pub created_at: String,
    /// Where its app will answer.
    pub domain: String,
    /// Memory that it needs, in bytes.
    pub memory_bytes: u64,
    /// Disk that it needs, in bytes.
    pub disk_bytes: u64,
}

/// A run that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Namespace and name.
    pub key: String,
    /// Namespace and name of the recipe.
    pub recipe: String,
    /// Where its app answers.
    pub domain: String,
    /// Memory that was set aside for it, in bytes.
    pub memory_bytes: u64,
    /// Whether its app is kept for a look.
    pub is_held: bool,
}

/// What the host has to give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Name of the host; `None` when there is none that can take work.
    pub host: Option<String>,
    /// Why the host takes no work at all, as reason and message.
    pub closed: Option<(&'static str, String)>,
    /// Runs at the same time.
    pub runs_max: usize,
    /// Memory for all runs together, if it is bounded.
    pub memory_bytes_max: Option<u64>,
    /// Memory that is available above the floor.
    pub memory_bytes_free: Option<u64>,
    /// Disk that is free above the floor.
    pub disk_bytes_free: Option<u64>,
    /// The registry wants to be asked no more before this moment.
    pub pulls_paused_until: Option<Timestamp>,
}

/// Everything that the decision depends on.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// Runs that want to begin.
    pub waiting: Vec<Waiting>,
    /// Runs that have begun.
    pub active: Vec<Active>,
    /// When each recipe's newest run began.
    pub last_begun: BTreeMap<String, String>,
    /// Domains of Apps that belong to no run.
    pub other_domains: BTreeSet<String>,
    /// What there is to give.
    pub room: Room,
}

/// Whether a run may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Now.
    Go,
    /// Not yet.
    Wait {
        /// Counted from 1.
        position: usize,
        /// For programs.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

impl Queue {
    /// Returns the keys of the waiting runs in the order in which they may begin.
    #[must_use]
    pub fn order(&self) -> Vec<&Waiting> {
        let mut by_recipe: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
        for run in &self.waiting {
            by_recipe.entry(&run.recipe).or_default().push(run);
        }
        let mut ranked = Vec::with_capacity(self.waiting.len());
        for (recipe, mut runs) in by_recipe {
            runs.sort_by(|left, right| (&left.created_at, &left.key).cmp(&(&right.created_at, &right.key)));
            let going = self.active.iter().filter(|run| run.recipe == recipe).count();
            let last = self.last_begun.get(recipe).map_or("", String::as_str);
            ranked.extend(runs.into_iter().enumerate().map(|(index, run)| (going + index, last, run)));
        }
        ranked.sort_by(|left, right| {
            let key = |rank: &(usize, &'_ str, &'_ Waiting)| (rank.0, rank.1.to_owned());
            key(left)
                .cmp(&key(right))
                .then_with(|| (&left.2.created_at, &left.2.key).cmp(&(&right.2.created_at, &right.2.key)))
        });
        ranked.into_iter().map(|(_, _, run)| run).collect()
    }

    /// Decides about one waiting run. One that is not in the queue may not begin.
    #[must_use]
    pub fn place(&self, key: &str, now: Timestamp) -> Place {
        let order = self.order();
        let position = order.iter().position(|run| run.key == key).map_or(0, |index| index + 1);
        let wait = |reason, message: String| Place::Wait { position, reason, message };
        if let Some((reason, message)) = self.closed(now) {
            return wait(reason, message);
        }
        let mut left = Left::of(self);
        for run in order {
            let verdict = left.take(self, run);
            if run.key == key {
                return verdict.map_or(Place::Go, |(reason, message)| wait(reason, message));
            }
        }
        wait(reason::NO_CAPACITY, "It is not in the queue yet.".to_owned())
    }

    /// Returns why nobody may begin.
    fn closed(&self, now: Timestamp) -> Option<(&'static str, String)> {
        if let Some(closed) = &self.room.closed {
            return Some(closed.clone());
        }
        if let Some(until) = self.room.pulls_paused_until.filter(|until| *until > now) {
            let until = crate::runtime::events::seconds(until);
            let message = format!(
                "The image registry wants to be asked less often; nothing begins before {until}. An account for the \
                 registry raises its limit."
            );
            return Some((reason::RATE_LIMITED, message));
        }
        None
    }
}

/// What is left while the queue is walked from its head.
struct Left {
    runs: usize,
    memory: Option<u64>,
    disk: Option<u64>,
    domains: BTreeMap<String, String>,
    /// Why nobody behind this point may begin.
    barred: Option<(&'static str, String)>,
}

impl Left {
    fn of(queue: &Queue) -> Self {
        let set_aside: u64 = queue.active.iter().map(|run| run.memory_bytes).sum();
        let under_cap = queue.room.memory_bytes_max.map(|most| most.saturating_sub(set_aside));
        let memory = match (under_cap, queue.room.memory_bytes_free) {
            (Some(cap), Some(free)) => Some(cap.min(free)),
            (cap, free) => cap.or(free),
        };
        let mut domains: BTreeMap<String, String> =
            queue.other_domains.iter().map(|domain| (domain.clone(), "an App".to_owned())).collect();
        domains.extend(queue.active.iter().map(|run| (run.domain.clone(), format!("run {}", run.key))));
        Self {
            runs: queue.room.runs_max.saturating_sub(queue.active.len()),
            memory,
            disk: queue.room.disk_bytes_free,
            domains,
            barred: None,
        }
    }

    /// Gives a run what it needs, or returns why not.
    fn take(&mut self, queue: &Queue, run: &Waiting) -> Option<(&'static str, String)> {
        if let Some(user) = self.domains.get(&run.domain) {
            return Some((reason::DOMAIN_BUSY, format!("Its domain {} is used by {user}.", run.domain)));
        }
        if let Some(never) = too_large(&queue.room, run) {
            return Some(never);
        }
        if let Some(barred) = &self.barred {
            return Some(barred.clone());
        }
        if self.runs == 0 {
            let barred = (reason::NO_CAPACITY, no_capacity(queue));
            self.barred = Some(barred.clone());
            return Some(barred);
        }
        for (left, needed, what) in
            [(self.memory, run.memory_bytes, "memory"), (self.disk, run.disk_bytes, "disk space")]
        {
            if left.is_some_and(|left| left < needed) {
                let message = format!(
                    "It needs {} of {what}, and {} is free above the host's floor; it goes on when that changes.",
                    size(needed),
                    size(left.unwrap_or_default())
                );
                let behind = format!("Run {} is ahead and waits for {what}.", run.key);
                self.barred = Some((reason::BELOW_FLOOR, behind));
                return Some((reason::BELOW_FLOOR, message));
            }
        }
        self.runs -= 1;
        self.memory = self.memory.map(|left| left.saturating_sub(run.memory_bytes));
        self.disk = self.disk.map(|left| left.saturating_sub(run.disk_bytes));
        self.domains.insert(run.domain.clone(), format!("run {}", run.key));
        None
    }
}

fn too_large(room: &Room, run: &Waiting) -> Option<(&'static str, String)> {
    let most = room.memory_bytes_max.filter(|most| *most < run.memory_bytes)?;
    let message = format!(
        "It needs {} of memory, more than the host gives all runs together ({}): raise capacity.memory of the Host, or \
         lower requires.memory of the Recipe.",
        size(run.memory_bytes),
        size(most)
    );
    Some((reason::NO_CAPACITY, message))
}

fn no_capacity(queue: &Queue) -> String {
    let host = queue.room.host.as_deref().unwrap_or("the host");
    if queue.room.runs_max == 0 {
        return format!("Host {host} takes no runs (capacity.runs is 0).");
    }
    let named: Vec<String> = queue.active.iter().take(3).map(in_words).collect();
    let rest = queue.active.len().saturating_sub(named.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    if named.is_empty() {
        return format!("Runs that are ahead of it use what host {host} has ({} at once).", queue.room.runs_max);
    }
    format!("Host {host} runs {} at once, and these are going on: {}{more}.", queue.room.runs_max, named.join(", "))
}

fn in_words(run: &Active) -> String {
    if run.is_held { format!("{} (held for a look)", run.key) } else { run.key.clone() }
}

/// Writes a number of bytes as people do.
pub(super) fn size(bytes: u64) -> String {
    let units = [("Gi", 1_u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match units.into_iter().find(|(_, factor)| bytes >= *factor) {
        Some((unit, factor)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(factor);
            if tenths % 10 == 0 {
                format!("{}{unit}", tenths / 10)
            } else {
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
        }
        None => format!("{bytes} bytes"),
    }
}
