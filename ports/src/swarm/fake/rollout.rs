//! [`Rollout`]: how a new spec reaches the slots of a service, and what happens when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::world::{FakeTask, World, nanoseconds};
use crate::swarm::spec::UpdateConfig;
use crate::swarm::{TaskState, UpdateState, UpdateStatus};

/// How often a rollout looks at its tasks.
const TICK: Duration = Duration::from_millis(100);
/// The engine's own, where a spec says nothing.
const MONITOR_DEFAULT: Duration = Duration::from_secs(5);

/// A rollout that goes on. Its status appears with its first tick: right after an update there is none.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    pub(super) due: Instant,
    is_rollback: bool,
    /// Slots that have not been looked at.
    waiting: BTreeSet<u64>,
    /// Slots that are being replaced.
    active: BTreeMap<u64, Stage>,
    total: usize,
    failed: BTreeSet<String>,
    /// Since when all that was replaced runs.
    quiet_since: Instant,
    next_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The old task ends; the new one is made then.
    Stopping,
    /// The new task starts.
    Starting,
}

impl Rollout {
    fn new(now: Instant, slots: BTreeSet<u64>, is_rollback: bool) -> Self {
        Self {
            due: now + TICK,
            is_rollback,
            total: slots.len(),
            waiting: slots,
            active: BTreeMap::new(),
            failed: BTreeSet::new(),
            quiet_since: now,
            next_at: now,
        }
    }
}

impl World {
    /// Makes or ends tasks so that each slot has one, and begins a rollout where they run another spec.
    pub(super) fn reconcile_service(&mut self, id: &str) {
        let now = self.now;
        let (slots, generation) = (self.services[id].slots(), self.services[id].generation);
        let live = |task: &&FakeTask| task.task.service_id == id && task.task.desired < TaskState::Shutdown;
        let surplus = self.tasks.values().filter(live).filter(|task| task.task.slot > slots);
        for task in surplus.map(|task| task.task.id.clone()).collect::<Vec<_>>() {
            self.stop(&task, TaskState::Shutdown);
        }
        let taken: BTreeSet<u64> = self.tasks.values().filter(live).map(|task| task.task.slot).collect();
        let is_old = |task: &&FakeTask| task.generation != generation && task.task.slot <= slots;
        let dirty: BTreeSet<u64> = self.tasks.values().filter(live).filter(is_old).map(|task| task.task.slot).collect();
        for slot in (1..=slots).filter(|slot| !taken.contains(slot)) {
            self.make_task(id, slot, Duration::ZERO);
        }
        let rollout = (!dirty.is_empty()).then(|| Rollout::new(now, dirty, false));
        if let Some(service) = self.services.get_mut(id) {
            service.rollout = rollout;
        }
    }

    /// Lets a rollout go on.
    pub(super) fn step_rollout(&mut self, id: &str) {
        let (now, moment) = (self.now, self.moment());
        let Some(service) = self.services.get_mut(id) else { return };
        let Some(mut rollout) = service.rollout.take() else { return };
        let spec = &service.service.spec;
        let config = if rollout.is_rollback { &spec.rollback_config } else { &spec.update_config };
        let config = config.clone().unwrap_or_default();
        let (state, message) = if rollout.is_rollback {
            (UpdateState::RollbackStarted, "")
        } else {
            (UpdateState::Updating, "update in progress")
        };
        let has_begun = service.service.update.as_ref().is_some_and(|update| update.state == state);
        if !has_begun && !rollout.is_rollback {
            let message = message.to_owned();
            let status = UpdateStatus { state, started_at: Some(moment), completed_at: None, message };
            service.service.update = Some(status);
        }
        self.go_on(id, &mut rollout, &config);
        if let Some(task) = self.newly_failed(id, &mut rollout, &config) {
            return self.rollout_failed(id, &rollout, &config, &task);
        }
        let monitor = if config.monitor == 0 { MONITOR_DEFAULT } else { nanoseconds(config.monitor) };
        let is_quiet = rollout.waiting.is_empty() && rollout.active.is_empty();
        if is_quiet && now >= rollout.quiet_since + monitor {
            let (state, message) = if rollout.is_rollback {
                (UpdateState::RollbackCompleted, "rollback completed")
            } else {
                (UpdateState::Completed, "update completed")
            };
            return self.close_rollout(id, state, message);
        }
        rollout.due = now + TICK;
        if let Some(service) = self.services.get_mut(id) {
            service.rollout = Some(rollout);
        }
    }

    /// Replaces as many tasks as may be replaced now.
    fn go_on(&mut self, id: &str, rollout: &mut Rollout, config: &UpdateConfig) {
        let now = self.now;
        let generation = self.services[id].generation;
        let is_start_first = config.order == "start-first";
        for slot in rollout.active.keys().copied().collect::<Vec<_>>() {
            let of_slot = |task: &&FakeTask| task.task.service_id == id && task.task.slot == slot;
            let old: Vec<_> =
                self.tasks.values().filter(of_slot).filter(|task| task.generation != generation).collect();
            let old_is_there = old.iter().any(|task| !task.task.state.is_terminal());
            let old: Vec<String> = old.iter().map(|task| task.task.id.clone()).collect();
            let mut new = self.tasks.values().filter(of_slot).filter(|task| task.generation == generation);
            let new_runs = new.any(|task| matches!(task.task.state, TaskState::Running | TaskState::Complete));
            match rollout.active[&slot] {
                Stage::Stopping if !old_is_there => {
                    self.make_task(id, slot, Duration::ZERO);
                    rollout.active.insert(slot, Stage::Starting);
                }
                Stage::Starting if new_runs => {
                    for task in old {
                        self.stop(&task, TaskState::Shutdown);
                    }
                    rollout.active.remove(&slot);
                    rollout.quiet_since = now;
                    rollout.next_at = now + nanoseconds(config.delay);
                }
                Stage::Stopping | Stage::Starting => {}
            }
        }
        let at_once =
            if config.parallelism == 0 { rollout.total } else { usize::try_from(config.parallelism).unwrap_or(1) };
        while rollout.active.len() < at_once && now >= rollout.next_at {
            let Some(slot) = rollout.waiting.pop_first() else { break };
            if is_start_first {
                self.make_task(id, slot, Duration::ZERO);
                rollout.active.insert(slot, Stage::Starting);
                continue;
            }
            let of_slot = |task: &&FakeTask| task.task.service_id == id && task.task.slot == slot;
            let old = self.tasks.values().filter(of_slot).filter(|task| task.generation != generation);
            for task in old.map(|task| task.task.id.clone()).collect::<Vec<_>>() {
                self.stop(&task, TaskState::Shutdown);
            }
            rollout.active.insert(slot, Stage::Stopping);
        }
    }

    /// Returns the task by which too many have failed.
    fn newly_failed(&self, id: &str, rollout: &mut Rollout, config: &UpdateConfig) -> Option<String> {
        let generation = self.services[id].generation;
        let began = self.services[id].service.update.as_ref()?.started_at;
        let failed = self.tasks.values().filter(|task| {
            let has_failed = matches!(task.task.state, TaskState::Failed | TaskState::Rejected);
            let is_new = task.task.service_id == id && task.generation == generation;
            is_new && has_failed && task.task.created_at >= began
        });
        let mut last = None;
        for task in failed {
            if rollout.failed.insert(task.task.id.clone()) {
                last = Some(task.task.id.clone());
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of tasks")]
        let ratio = rollout.failed.len() as f64 / rollout.total.max(1) as f64;
        last.filter(|_| ratio > config.max_failure_ratio && config.failure_action != "continue")
    }

    fn rollout_failed(&mut self, id: &str, rollout: &Rollout, config: &UpdateConfig, task: &str) {
        if rollout.is_rollback {
            let message = format!("rollback paused due to failure or early termination of task {task}");
            return self.close_rollout(id, UpdateState::RollbackPaused, &message);
        }
        let can_go_back = self.services[id].service.previous.is_some();
        if config.failure_action != "rollback" || !can_go_back {
            let message = format!("update paused due to failure or early termination of task {task}");
            return self.close_rollout(id, UpdateState::Paused, &message);
        }
        let now = self.now;
        let (version, moment) = (self.version(), self.moment());
        let Some(service) = self.services.get_mut(id) else { return };
        if let Some(previous) = service.service.previous.take() {
            service.service.spec = previous;
        }
        service.generation = service.previous_generation;
        service.service.version = version;
        service.service.updated_at = Some(moment);
        if let Some(update) = &mut service.service.update {
            update.state = UpdateState::RollbackStarted;
            update.message = format!("update rolled back due to failure or early termination of task {task}");
        }
        let generation = service.generation;
        let slots = service.slots();
        let mut dirty: BTreeSet<u64> = (1..=slots).collect();
        for task in self.tasks.values().filter(|task| task.task.service_id == id && task.generation == generation) {
            if !task.task.state.is_terminal() && task.task.desired < TaskState::Shutdown {
                dirty.remove(&task.task.slot);
            }
        }
        if let Some(service) = self.services.get_mut(id) {
            service.rollout = Some(Rollout::new(now, dirty, true));
        }
        self.announce_service("update", id);
    }

    fn close_rollout(&mut self, id: &str, state: UpdateState, message: &str) {
        let (version, moment) = (self.version(), self.moment());
        let Some(service) = self.services.get_mut(id) else { return };
        service.rollout = None;
        service.service.version = version;
        if let Some(update) = &mut service.service.update {
            let is_over = matches!(state, UpdateState::Completed | UpdateState::RollbackCompleted);
            update.completed_at = is_over.then_some(moment);
            update.state = state;
            message.clone_into(&mut update.message);
        }
        self.announce_service("update", id);
    }

    pub(super) fn announce_service(&mut self, action: &str, id: &str) {
        let Some(service) = self.services.get(id) else { return };
        let mut attributes = crate::swarm::spec::Labels::new();
        attributes.insert("name".to_owned(), service.service.spec.name.clone());
        if let Some(update) = &service.service.update {
            attributes.insert("updatestate.new".to_owned(), update.state.word().to_owned());
        }
        self.announce("service", action, id, attributes);
    }
}
