//! [`Clocks`]: what is remembered of a service between two looks: since when all is good, who waits for what, who failed.
//!
//! Time counts only between two looks that both succeeded, so that an engine that is away, a swarm without a leader and
//! a ccd that is not running move nothing towards a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use ports::swarm::{Task, TaskState};

use super::{Budget, Goal, Look, Slot, slot};

/// What is remembered of a service. Begins anew with every deploy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clocks {
    /// The deploy that all of this is about.
    applied_at: Option<Timestamp>,
    /// When the last look succeeded; `None` after one that failed.
    looked_at: Option<Timestamp>,
    /// Time that was seen to pass since the deploy.
    elapsed: Duration,
    /// `elapsed` when it last converged: deadlines count from there.
    began: Duration,
    /// `elapsed` when a task last got further.
    progressed: Duration,
    /// The tasks that are all good, and `elapsed` when they became so.
    stable: Option<(BTreeSet<String>, Duration)>,
    /// How far each task of the spec was, and `elapsed` when it got there.
    reached: BTreeMap<String, (TaskState, Duration)>,
    /// Tasks that failed, by slot.
    failed: BTreeMap<Slot, BTreeSet<String>>,
    /// Tasks that nodes refused, by slot.
    rejected: BTreeMap<Slot, BTreeSet<String>>,
    /// Tasks whose failure counts no more, because what came after it in their slot was good for long enough.
    forgiven: BTreeSet<String>,
    /// Whether looks failed since the last one that did not.
    is_back: bool,
    /// Whether looks failed since the deploy, or since it last had converged.
    was_away: bool,
    /// Whether it had converged at the last look.
    is_converged: bool,
    /// Whether it is known to have converged before the first look.
    had_converged: bool,
}

impl Clocks {
    /// Notes that a look failed: the time until the next one does not count, and neither do the tasks that end in it.
    pub fn stop(&mut self) {
        self.looked_at = None;
        self.is_back = self.applied_at.is_some();
        self.was_away = self.is_back;
    }

    pub(super) fn begin_look(&self, goal: &Goal, now: Timestamp) -> Self {
        if self.applied_at != Some(goal.applied_at) {
            return Self {
                applied_at: Some(goal.applied_at),
                looked_at: Some(now),
                had_converged: goal.had_converged,
                ..Self::default()
            };
        }
        let mut next = self.clone();
        if let Some(looked_at) = self.looked_at {
            // A wall clock that was set back stands still for us.
            next.elapsed += Duration::try_from(now.duration_since(looked_at)).unwrap_or_default();
        }
        next.looked_at = Some(now);
        if std::mem::take(&mut next.is_converged) {
            // Until now all was good, for all that anybody knows.
            (next.began, next.progressed) = (next.elapsed, next.elapsed);
        }
        next
    }

    /// Remembers what the look shows of tasks of the spec.
    pub(super) fn take_in(&mut self, look: &Look<'_>) {
        let tasks = || look.seen.tasks.iter().filter(|task| task.is_up_to_date);
        if std::mem::take(&mut self.had_converged) {
            // What failed before ccd was started again was overcome then, or will happen again.
            self.forgiven = tasks().filter(|task| task.state.is_terminal()).map(|task| task.id.clone()).collect();
            self.give_credit(look);
        }
        if std::mem::take(&mut self.is_back) {
            // An engine that ends takes its tasks along, and refuses some while it starts: nothing of it is their fault.
            let ended = tasks().filter(|task| task.state.is_terminal() && !self.is_counted(task));
            let ended: Vec<String> = ended.map(|task| task.id.clone()).collect();
            self.forgiven.extend(ended);
        }
        let present: BTreeSet<&str> = tasks().map(|task| task.id.as_str()).collect();
        self.reached.retain(|id, _| present.contains(id.as_str()));
        self.forgiven.retain(|id| present.contains(id.as_str()));
        for task in tasks() {
            let before = self.reached.get(&task.id).map(|(state, _)| *state);
            if before != Some(task.state) {
                self.reached.insert(task.id.clone(), (task.state, self.elapsed));
                let is_forward = task.state <= TaskState::Complete && before.is_none_or(|before| before < task.state);
                if is_forward {
                    self.progressed = self.elapsed;
                }
            }
            if self.forgiven.contains(&task.id) || is_the_engines_own(&task.error) {
                continue;
            }
            if look.has_failed(task) {
                self.failed.entry(slot(task)).or_default().insert(task.id.clone());
            }
            if task.state == TaskState::Rejected {
                self.rejected.entry(slot(task)).or_default().insert(task.id.clone());
            }
        }
        self.forgive(look);
    }

    /// Forgets the failures of slots whose newest task has been good for as long as a service must be. In a loop of
    /// failures no task gets that far; what failed because the engine was starting again, or a registry was away, is
    /// history then, although the engine keeps it.
    fn forgive(&mut self, look: &Look<'_>) {
        let is_over = |task: &Task| look.is_good(task) && self.waited(task) >= look.monitor();
        let over: Vec<&Slot> = look.newest.iter().filter(|(_, task)| is_over(task)).map(|(slot, _)| slot).collect();
        for slot in over {
            for counted in [&mut self.failed, &mut self.rejected] {
                self.forgiven.extend(counted.remove(slot).into_iter().flatten());
            }
        }
    }

    /// Returns whether a task is among the failures that count.
    fn is_counted(&self, task: &Task) -> bool {
        let slot = slot(task);
        [&self.failed, &self.rejected]
            .into_iter()
            .any(|counted| counted.get(&slot).is_some_and(|tasks| tasks.contains(&task.id)))
    }

    /// Counts the stability that tasks have already earned, going by when the engine says that they changed last.
    fn give_credit(&mut self, look: &Look<'_>) {
        let changed_at = look.newest.values().filter_map(|task| task.changed_at).max();
        let (Some(looked_at), Some(changed_at)) = (self.looked_at, changed_at) else { return };
        self.elapsed = Duration::try_from(looked_at.duration_since(changed_at)).unwrap_or_default();
        (self.began, self.progressed) = (self.elapsed, self.elapsed);
        self.stable = Some((look.newest.values().map(|task| task.id.clone()).collect(), Duration::ZERO));
    }

    /// Returns how long exactly these tasks have been good, and counts on from there.
    pub(super) fn stable(&mut self, good: &BTreeSet<&str>) -> Duration {
        if let Some((ids, since)) = &self.stable
            && ids.len() == good.len()
            && ids.iter().all(|id| good.contains(id.as_str()))
        {
            return self.elapsed.saturating_sub(*since);
        }
        self.stable = Some((good.iter().map(|id| (*id).to_owned()).collect(), self.elapsed));
        Duration::ZERO
    }

    /// Notes that not all is good.
    pub(super) fn unstable(&mut self) {
        self.stable = None;
    }

    /// Notes that the service has converged: deadlines begin anew, and failures are forgiven.
    pub(super) fn converged(&mut self) {
        self.is_converged = true;
        self.was_away = false;
        for counted in [&mut self.failed, &mut self.rejected] {
            self.forgiven.extend(std::mem::take(counted).into_values().flatten());
        }
    }

    /// Returns how long a task has been in its present state, as far as was seen.
    pub(super) fn waited(&self, task: &Task) -> Duration {
        self.reached.get(&task.id).map_or(Duration::ZERO, |(_, since)| self.elapsed.saturating_sub(*since))
    }

    /// Returns how many tasks nodes refused.
    pub(super) fn rejected(&self) -> usize {
        self.rejected.values().map(BTreeSet::len).sum()
    }

    /// Returns the slot with most failures, and how many those are.
    pub(super) fn most_failures(&self) -> Option<(&Slot, usize)> {
        self.failed.iter().map(|(slot, tasks)| (slot, tasks.len())).max_by_key(|(_, count)| *count)
    }

    /// Returns the time since a task last got further.
    pub(super) fn since_progress(&self) -> Duration {
        self.elapsed.saturating_sub(self.progressed)
    }

    /// Returns the time since the deploy, or since it last had converged.
    pub(super) fn spent(&self) -> Duration {
        self.elapsed.saturating_sub(self.began)
    }

    /// Returns whether looks failed since the deploy, or since it last had converged.
    pub(super) fn was_away(&self) -> bool {
        self.was_away
    }

    /// Returns whether there is time left.
    pub(super) fn has_time_left(&self, budget: &Budget) -> bool {
        self.spent() < budget.whole && self.since_progress() < budget.progress
    }
}

/// Returns whether a task ended for what the engine had to do with itself: it was started again, or somebody removed the
/// container by hand. Whatever runs in the container has no part in it.
fn is_the_engines_own(error: &str) -> bool {
    let error = error.to_lowercase();
    ["no such container", "swarm is not active", "context canceled", "shutting down"]
        .iter()
        .any(|words| error.contains(words))
}
