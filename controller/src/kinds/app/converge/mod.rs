//! Converged: what the services, tasks and updates of a swarm mean. Pure, and the only judge of it.
//!
//! [`judge`] asks twelve questions about one service, in this order, and the first answer counts:
//!
//! ```text
//!   1 is it there?                      Vanished
//!   2 is its spec ours?                 RolledBack · Superseded
//!   3 did its update stop?              Paused              (2 and 3 while the engine was away: EngineWasAway, ours)
//!   4 does any task run our spec?       NotObserved (the swarm's observedGeneration); nothing is wanted: Converged
//!   5 do nodes refuse the tasks?        ImageNotFound · MountFailed · Rejected
//!   6 do tasks end again and again?     CrashLoop · Unhealthy · OutOfMemory
//!   7 does nobody take a task?          Unschedulable
//!   8 does the swarm not allocate?      AllocatorStuck (ours)
//!   9 does a pull take too long?        PullTimeout
//!  10 is it meant to end?               what completed is good
//!  11 is every slot good, for long enough, with no update going on and no old task running?   Converged
//!  12 else                              Progressing, until a deadline: ProgressDeadlineExceeded
//! ```
//!
//! What makes this necessary: right after an update the old tasks still run and nothing says that an update goes on;
//! counts of running tasks include old ones; an update that changes nothing never gets a status; after a rollback all
//! is running again; failures of tasks stay in the history. So only tasks of the present spec are judged, only what
//! happened since the spec was handed over counts, failures are history once what came after them in their slot has been
//! good for as long as a service must be, and what cannot be seen stops the clocks and judges nothing.

mod clocks;
mod message;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use api_types::reason;
use jiff::Timestamp;
use ports::swarm::spec::{ServiceMode, ServiceSpec, TaskSpec};
use ports::swarm::{Node, Service, Task, TaskState, UpdateState, UpdateStatus};

pub use clocks::Clocks;

/// The label of a service that says which spec of ours it has.
pub const SPEC_LABEL: &str = "ci.coopcloud.tech/spec";
/// How long all slots must be good without any change, at the least. The engine's own default monitor.
pub(super) const STABLE_MIN: Duration = Duration::from_secs(5);
/// How long a task may be pending with an error before nobody is expected to take it.
const PENDING_MAX: Duration = Duration::from_secs(20);
/// How long the swarm may take to allocate what a task needs.
const ALLOCATION_MAX: Duration = Duration::from_secs(30);
/// How many tasks nodes may refuse.
const REJECTED_MAX: usize = 2;
/// How many tasks of a slot may fail.
const FAILED_MAX: usize = 3;
/// What the engine takes for `interval` when a health check does not say.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// What the engine takes for `retries` when a health check does not say.
const HEALTH_RETRIES: u32 = 3;
/// On top of everything that is known to take time.
const START_SLACK: Duration = Duration::from_mins(1);

/// How to recognise the spec that was handed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// The service carries [`SPEC_LABEL`] with this value.
    Label(String),
    /// The service has this task template, as the engine had it right after the deploy: for deployers that set no label.
    Template(Box<TaskSpec>),
}

impl Mark {
    /// Returns whether a spec is the one that was handed over.
    #[must_use]
    pub fn is_on(&self, spec: &ServiceSpec) -> bool {
        match self {
            Self::Label(hash) => spec.labels.get(SPEC_LABEL) == Some(hash),
            Self::Template(template) => spec.task_template == **template,
        }
    }
}

/// How long a service may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// To pull the image of a task that is being prepared.
    pub pull: Duration,
    /// Without any task getting further.
    pub progress: Duration,
    /// In all.
    pub whole: Duration,
}

impl Budget {
    /// Returns the budget of a service. `pull` is for its image, `said` is what a person or the recipe's `timeout` label
    /// grants for everything; without it, it is reckoned from the health check.
    #[must_use]
    pub fn of(spec: &ServiceSpec, pull: Duration, said: Option<Duration>) -> Self {
        if let Some(whole) = said {
            return Self { pull, progress: whole, whole };
        }
        let check = spec.task_template.container_spec.healthcheck.clone().unwrap_or_default();
        let interval = nanoseconds(check.interval).unwrap_or(HEALTH_INTERVAL);
        let retries = u32::try_from(check.retries).ok().filter(|retries| *retries > 0).unwrap_or(HEALTH_RETRIES);
        let health = interval.saturating_mul(retries.saturating_mul(2));
        let start = nanoseconds(check.start_period).unwrap_or_default();
        let progress = pull.saturating_add(start).saturating_add(health).saturating_add(START_SLACK);
        Self { pull, progress, whole: progress.saturating_mul(rounds(spec)) }
    }
}

/// One service as it was asked for.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Its name in the compose file.
    pub service: String,
    /// How to recognise its spec.
    pub mark: Mark,
    /// What it should be.
    pub spec: ServiceSpec,
    /// When it was handed to the swarm. What an update reports from before is history.
    pub applied_at: Timestamp,
    /// Whether the nodes have the image already, so that no task has to pull.
    pub is_pulled: bool,
    /// How long it may take.
    pub budget: Budget,
    /// Whether it had converged before, as far as is written down: ccd may have been started again since.
    pub had_converged: bool,
}

/// One service as the swarm shows it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The service; `None` when the swarm has none of the name.
    pub service: Option<Service>,
    /// All its tasks, in the order in which they were made.
    pub tasks: Vec<Task>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// In what its spec differs from the one asked for although it carries the mark: somebody changed it by hand.
    pub differences: Vec<String>,
    /// Tasks whose container the kernel killed for want of memory.
    pub out_of_memory: BTreeSet<String>,
}

/// Why a service is not there yet, or never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is a word of api_types::reason, which says what it means")]
pub enum Reason {
    Converged,
    NotObserved,
    Starting,
    Updating,
    Stopping,
    Stabilising,
    Vanished,
    RolledBack,
    Superseded,
    Paused,
    EngineWasAway,
    ImageNotFound,
    MountFailed,
    Rejected,
    CrashLoop,
    Unhealthy,
    OutOfMemory,
    Unschedulable,
    AllocatorStuck,
    PullTimeout,
    ProgressDeadlineExceeded,
}

impl Reason {
    /// Returns the word for conditions.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Converged => reason::CONVERGED,
            Self::NotObserved | Self::Starting | Self::Updating | Self::Stopping | Self::Stabilising => {
                reason::CONVERGING
            }
            Self::Vanished => reason::VANISHED,
            Self::RolledBack => reason::ROLLED_BACK,
            Self::Superseded => reason::SUPERSEDED,
            Self::Paused => reason::PAUSED,
            Self::EngineWasAway => reason::ENGINE_WAS_AWAY,
            Self::ImageNotFound => reason::IMAGE_NOT_FOUND,
            Self::MountFailed => reason::MOUNT_FAILED,
            Self::Rejected => reason::REJECTED,
            Self::CrashLoop => reason::CRASH_LOOP,
            Self::Unhealthy => reason::UNHEALTHY,
            Self::OutOfMemory => reason::OUT_OF_MEMORY,
            Self::Unschedulable => reason::UNSCHEDULABLE,
            Self::AllocatorStuck => reason::ALLOCATOR_STUCK,
            Self::PullTimeout => reason::PULL_TIMEOUT,
            Self::ProgressDeadlineExceeded => reason::PROGRESS_DEADLINE_EXCEEDED,
        }
    }

    /// Returns whether the trouble is that of the machine and ours, and says nothing about the recipe.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::AllocatorStuck | Self::EngineWasAway)
    }

    /// Returns whether handing the same stack over once more puts it right.
    #[must_use]
    pub fn wants_repair(self) -> bool {
        matches!(self, Self::Superseded | Self::Vanished | Self::EngineWasAway)
    }
}

/// How far a service, or a stack, is. Ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It runs as it was asked for.
    Converged,
    /// It is on its way.
    Progressing,
    /// It will not get there by itself.
    Failed,
}

/// The task that a judgement is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Its id.
    pub task: String,
    /// Its container; empty when it has none.
    pub container: String,
    /// The node it was given; empty when none.
    pub node: String,
    /// Exit code of its container.
    pub exit_code: Option<i64>,
    /// The engine's words.
    pub error: String,
}

/// What one service has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The service's name in the compose file.
    pub service: String,
    /// How far it is.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The same for a person who knows neither swarm nor this program; one or more sentences.
    pub message: String,
    /// Whether it stays so unless somebody acts. A rollback that goes on is failed, but not final.
    pub is_final: bool,
    /// The task that shows it.
    pub evidence: Option<Evidence>,
    /// How many slots should be good.
    pub desired: u32,
    /// How many are.
    pub running: u32,
    /// The newest task's state or the update's, in the engine's word.
    pub state: String,
    /// The newest tasks, the newest first.
    pub tasks: Vec<Task>,
}

/// Most tasks of a service that a judgement shows.
const TASKS_SHOWN: usize = 10;

/// Returns what a service has come to, and the clocks for the next look. Looks that failed are told to
/// [`Clocks::stop`] instead.
#[must_use]
pub fn judge(goal: &Goal, seen: &Seen, clocks: &Clocks, now: Timestamp) -> (Judgement, Clocks) {
    let mut clocks = clocks.begin_look(goal, now);
    let mut judgement = match &seen.service {
        None => message::vanished(goal),
        Some(service) => {
            let look = Look::new(goal, seen, service);
            clocks.take_in(&look);
            look.judge(&mut clocks)
        }
    };
    if matches!(judgement.reason, Reason::RolledBack | Reason::Paused) && clocks.was_away() {
        judgement = message::engine_was_away(judgement);
    }
    if judgement.verdict == Verdict::Converged {
        clocks.converged();
    } else if judgement.verdict == Verdict::Progressing && !clocks.has_time_left(&goal.budget) {
        judgement = message::too_late(judgement, goal, clocks.spent());
    }
    judgement.tasks = seen.tasks.iter().rev().take(TASKS_SHOWN).cloned().collect();
    (judgement, clocks)
}

/// Returns the worst of the judgements: the first of those that are equally bad. `None` without any.
#[must_use]
pub fn worst(judgements: &[Judgement]) -> Option<&Judgement> {
    let mut worst: Option<&Judgement> = None;
    for judgement in judgements {
        if worst.is_none_or(|worst| judgement.verdict > worst.verdict) {
            worst = Some(judgement);
        }
    }
    worst
}

/// Where one task of a service stands for: a slot, or a node for global services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    /// Of a replicated service, counted from 1.
    Number(u64),
    /// Of a global service, by id.
    Node(String),
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "task {number}"),
            Self::Node(node) => write!(formatter, "the task on node {node}"),
        }
    }
}

/// One look at one service, with what follows from it directly.
pub(super) struct Look<'a> {
    pub(super) goal: &'a Goal,
    pub(super) seen: &'a Seen,
    pub(super) service: &'a Service,
    /// Newest task of the present spec in each slot.
    pub(super) newest: BTreeMap<Slot, &'a Task>,
    /// How many slots there should be; `None` for a global service whose nodes cannot be told from here.
    pub(super) desired: Option<u32>,
}

impl<'a> Look<'a> {
    fn new(goal: &'a Goal, seen: &'a Seen, service: &'a Service) -> Self {
        let mut newest = BTreeMap::new();
        for task in seen.tasks.iter().filter(|task| task.is_up_to_date) {
            newest.insert(slot(task), task);
        }
        let live = seen.nodes.iter().filter(|node| node.state != "down").map(|node| node.id.as_str());
        let live: BTreeSet<&str> = live.collect();
        // A global service has no business any more on a node that is down.
        newest.retain(|slot, _| match slot {
            Slot::Node(node) => live.is_empty() || live.contains(node.as_str()),
            Slot::Number(_) => true,
        });
        let desired = desired(goal, seen);
        // What is left of slots that are no longer wanted says nothing about those that are.
        newest.retain(|_, task| task.desired != TaskState::Remove);
        Self { goal, seen, service, newest, desired }
    }

    /// Questions 2 to 12.
    fn judge(&self, clocks: &mut Clocks) -> Judgement {
        let bad = self.foreign_spec().or_else(|| self.paused());
        if let Some(judgement) = bad {
            return judgement;
        }
        if self.desired == Some(0) {
            return self.nothing_wanted();
        }
        if self.newest.is_empty() {
            return self.not_observed(clocks);
        }
        // First, so that the time of stability runs while earlier failures still count.
        let slots = self.slots(clocks);
        let bad = self.rejected(clocks).or_else(|| self.failing(clocks)).or_else(|| self.stuck(clocks));
        bad.unwrap_or(slots)
    }

    /// Question 2.
    fn foreign_spec(&self) -> Option<Judgement> {
        let is_ours = self.goal.mark.is_on(&self.service.spec);
        if let Some(update) = self.update().filter(|update| update.state.is_rollback()) {
            return Some(message::rolled_back(self, Some(update)));
        }
        if is_ours {
            return (!self.seen.differences.is_empty()).then(|| message::changed_by_hand(self));
        }
        let previous_is_ours = self.service.previous.as_ref().is_some_and(|spec| self.goal.mark.is_on(spec));
        // A rollback that was asked for keeps our spec as the previous one. So does another update, which then reports
        // how it goes.
        let goes_forward = self.update().is_some_and(|update| !update.state.is_rollback());
        Some(if previous_is_ours && !goes_forward {
            message::rolled_back(self, None)
        } else {
            message::superseded(self)
        })
    }

    /// Question 3.
    fn paused(&self) -> Option<Judgement> {
        let update = self.update().filter(|update| update.state == UpdateState::Paused)?;
        Some(message::paused(self, update))
    }

    /// Question 4, when no task is wanted: those that there are must have ended.
    fn nothing_wanted(&self) -> Judgement {
        let running = self.running_tasks().count();
        if running == 0 { message::nothing_wanted(self) } else { message::stopping(self, running) }
    }

    /// Question 4, when tasks are wanted and there are none of our spec.
    fn not_observed(&self, clocks: &Clocks) -> Judgement {
        if self.desired.is_none() && clocks.since_progress() >= PENDING_MAX {
            return message::no_node(self);
        }
        message::not_observed(self)
    }

    /// Question 5.
    fn rejected(&self, clocks: &Clocks) -> Option<Judgement> {
        if clocks.rejected() < REJECTED_MAX {
            return None;
        }
        let task = self.last_up_to_date(|task| task.state == TaskState::Rejected)?;
        Some(message::rejected(self, task))
    }

    /// Question 6. What is in the engine's history may be short: the clocks remember what they saw of it.
    fn failing(&self, clocks: &Clocks) -> Option<Judgement> {
        let allowed = self.failures_allowed();
        let (slot, count) = clocks.most_failures()?;
        if count < allowed {
            return None;
        }
        // The engine may have forgotten the failed ones already.
        let failed = self.last_up_to_date(|task| self.has_failed(task) && &self::slot(task) == slot);
        let task = failed.or_else(|| self.newest.get(slot).copied())?;
        Some(message::failing(self, task, count))
    }

    /// How many tasks of a slot may not fail.
    fn failures_allowed(&self) -> usize {
        let policy = self.goal.spec.task_template.restart_policy.clone().unwrap_or_default();
        if policy.condition == "none" {
            return 1;
        }
        let attempts = policy.max_attempts.and_then(|attempts| usize::try_from(attempts).ok());
        // An engine that may try once more than `max_attempts` has failed for good after that.
        attempts.filter(|attempts| *attempts > 0).map_or(FAILED_MAX, |attempts| FAILED_MAX.min(attempts + 1))
    }

    /// Returns whether a task ended although it was meant to go on, or ended badly.
    pub(super) fn has_failed(&self, task: &Task) -> bool {
        match task.state {
            TaskState::Failed => true,
            TaskState::Complete => !self.may_end(),
            _ => false,
        }
    }

    /// Questions 7, 8 and 9.
    fn stuck(&self, clocks: &Clocks) -> Option<Judgement> {
        for (slot, task) in &self.newest {
            let waited = clocks.waited(task);
            let no_address = task.error.contains("could not find an available IP");
            let judgement = match task.state {
                _ if no_address && waited > PENDING_MAX => message::allocator(self, slot, task, waited),
                TaskState::Pending if !task.error.is_empty() && waited > PENDING_MAX => {
                    message::unschedulable(self, slot, task)
                }
                TaskState::New if waited > ALLOCATION_MAX => message::allocator(self, slot, task, waited),
                TaskState::Preparing if self.goal.is_pulled && waited > ALLOCATION_MAX => {
                    message::allocator(self, slot, task, waited)
                }
                TaskState::Preparing if !self.goal.is_pulled && waited > self.goal.budget.pull => {
                    message::pull_takes_too_long(self, slot, task, waited)
                }
                _ => continue,
            };
            return Some(judgement);
        }
        None
    }

    /// Questions 10 to 12.
    fn slots(&self, clocks: &mut Clocks) -> Judgement {
        let good: BTreeSet<&str> =
            self.newest.values().filter(|task| self.is_good(task)).map(|task| task.id.as_str()).collect();
        let wanted = self.desired.map_or(self.newest.len(), |desired| desired as usize);
        if good.len() < wanted || good.len() < self.newest.len() {
            clocks.unstable();
            return message::starting(self, wanted);
        }
        if let Some(update) = self.unsettled() {
            clocks.unstable();
            return message::updating(self, update);
        }
        let old = self.running_tasks().filter(|task| !good.contains(task.id.as_str())).count();
        if old > 0 {
            clocks.unstable();
            return message::stopping(self, old);
        }
        let needed = self.monitor();
        let stable = clocks.stable(&good);
        if stable < needed {
            message::stabilising(self, needed.saturating_sub(stable))
        } else {
            message::converged(self)
        }
    }

    /// Returns the update of what was handed over: none from before.
    pub(super) fn update(&self) -> Option<&'a UpdateStatus> {
        let update = self.service.update.as_ref()?;
        let is_old = update.started_at.is_some_and(|started| started < self.goal.applied_at);
        (!is_old).then_some(update)
    }

    /// Returns the update that has to end first. One that goes on counts whenever it began; one that stopped before the
    /// spec was handed over is history, and stays written there until the next.
    fn unsettled(&self) -> Option<&'a UpdateStatus> {
        let goes_on =
            |update: &&UpdateStatus| matches!(update.state, UpdateState::Updating | UpdateState::RollbackStarted);
        let ours = self.update().filter(|update| update.state != UpdateState::Completed);
        ours.or_else(|| self.service.update.as_ref().filter(goes_on))
    }

    /// Returns whether tasks may end without being started again.
    fn may_end(&self) -> bool {
        let policy = self.goal.spec.task_template.restart_policy.as_ref();
        self.goal.spec.mode.is_job()
            || policy.is_some_and(|policy| !policy.condition.is_empty() && policy.condition != "any")
    }

    pub(super) fn is_good(&self, task: &Task) -> bool {
        match task.state {
            TaskState::Running => task.desired == TaskState::Running && !self.goal.spec.mode.is_job(),
            TaskState::Complete => self.may_end(),
            _ => false,
        }
    }

    /// Returns the tasks that run on nodes that are there; on others nothing can be known, and nothing be waited for.
    fn running_tasks(&self) -> impl Iterator<Item = &'a Task> {
        let is_down = |task: &&Task| self.seen.nodes.iter().any(|node| node.id == task.node_id && node.state == "down");
        self.seen.tasks.iter().filter(|task| task.state == TaskState::Running).filter(move |task| !is_down(task))
    }

    fn last_up_to_date(&self, wanted: impl Fn(&Task) -> bool) -> Option<&'a Task> {
        self.seen.tasks.iter().rev().find(|task| task.is_up_to_date && wanted(task))
    }

    /// Returns how long all must be good.
    pub(super) fn monitor(&self) -> Duration {
        let monitor = self.goal.spec.update_config.as_ref().and_then(|update| nanoseconds(update.monitor));
        monitor.unwrap_or_default().max(STABLE_MIN)
    }
}

/// Returns which slot a task stands for.
pub(super) fn slot(task: &Task) -> Slot {
    if task.slot == 0 { Slot::Node(task.node_id.clone()) } else { Slot::Number(task.slot) }
}

fn desired(goal: &Goal, seen: &Seen) -> Option<u32> {
    let bounded = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    match &goal.spec.mode {
        ServiceMode::Replicated { replicas } => Some(bounded(replicas.unwrap_or(1))),
        ServiceMode::ReplicatedJob { max_concurrent, total_completions } => {
            Some(bounded(total_completions.or(*max_concurrent).unwrap_or(1)))
        }
        ServiceMode::Global {} | ServiceMode::GlobalJob {} => {
            let constraints =
                goal.spec.task_template.placement.as_ref().map(|placement| placement.constraints.as_slice());
            let mut count = 0;
            for node in seen.nodes.iter().filter(|node| node.state == "ready" && node.availability == "active") {
                count += u64::from(meets(node, constraints.unwrap_or_default())?);
            }
            (count > 0).then(|| bounded(count))
        }
    }
}

/// Returns whether a node meets constraints; `None` when one is about something that is not known here, as labels are.
fn meets(node: &Node, constraints: &[String]) -> Option<bool> {
    let mut all = true;
    for constraint in constraints {
        let (key, wanted, value) = if let Some((key, value)) = constraint.split_once("!=") {
            (key, false, value)
        } else {
            let (key, value) = constraint.split_once("==")?;
            (key, true, value)
        };
        let role = if node.is_manager { "manager" } else { "worker" };
        let actual = match key.trim() {
            "node.id" => node.id.as_str(),
            "node.hostname" => node.hostname.as_str(),
            "node.role" => role,
            _ => return None,
        };
        all &= actual.eq_ignore_ascii_case(value.trim()) == wanted;
    }
    Some(all)
}

/// Returns in how many rounds an update replaces the tasks of a service.
fn rounds(spec: &ServiceSpec) -> u32 {
    let ServiceMode::Replicated { replicas } = spec.mode else { return 1 };
    let parallelism = spec.update_config.as_ref().map_or(1, |update| update.parallelism);
    if parallelism == 0 {
        return 1;
    }
    u32::try_from(replicas.unwrap_or(1).div_ceil(parallelism)).unwrap_or(u32::MAX).max(1)
}

/// Returns a time in the engine's unit; `None` for none.
pub(super) fn nanoseconds(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds > 0).map(Duration::from_nanos)
}
