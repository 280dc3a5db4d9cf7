//! [`World`]: everything that the fake keeps, and how tasks live.
//!
//! ```text
//!  new ──address──► pending ──node──► assigned ─► preparing ──container──► ready ─► starting ──healthy──► running
//!                                                     │ no image, refused                │ ends, unhealthy  │ ends
//!                                                     ▼                                  ▼                  ▼
//!                                                  rejected                        failed / complete ◄──────┘
//!  asked to stop: 2 s (the load balancer) and its grace, then shutdown; when its service is gone it is forgotten
//! ```
//!
//! Nothing runs by itself: whoever looks first lets everything happen that was due until then, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::behaviour::Behaviour;
use super::rollout::Rollout;
use crate::swarm::spec::{Labels, Mount, ServiceMode, ServiceSpec, TaskSpec};
use crate::swarm::{
    Container, ContainerDetails, EngineEvent, Image, Network, STACK_LABEL, Service, StackFile, SwarmState, Task,
    TaskState, Volume,
};

/// One step of a task.
const STEP: Duration = Duration::from_millis(100);
/// How often what waits for something looks again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a task that is asked to end is still there for those who already know its address.
const DRAIN: Duration = Duration::from_secs(2);
/// How much longer than its task a container is there.
const CONTAINER_OUTLIVES: Duration = Duration::from_secs(2);
/// The engine's own, where a spec says nothing.
const GRACE_DEFAULT: Duration = Duration::from_secs(10);
const RESTART_DELAY_DEFAULT: Duration = Duration::from_secs(5);
/// Ended tasks that are remembered per slot.
const HISTORY: usize = 2;
/// The one node.
pub(super) const NODE: &str = "node-1";
/// Its name.
pub(super) const HOSTNAME: &str = "fake";

#[derive(Clone, Debug)]
pub(super) struct FakeService {
    pub(super) service: Service,
    /// Counts specs of tasks; after a rollback the old count is back.
    pub(super) generation: u64,
    pub(super) previous_generation: u64,
    pub(super) rollout: Option<Rollout>,
}

#[derive(Clone, Debug)]
pub(super) struct FakeTask {
    pub(super) task: Task,
    pub(super) spec: TaskSpec,
    pub(super) generation: u64,
    pub(super) is_job: bool,
    pub(super) behaviour: Behaviour,
    /// When something happens to it.
    due: Option<Instant>,
    /// When it may start, if it replaces one that ended.
    runs_at: Option<Instant>,
    is_started: bool,
    is_stopping: bool,
    /// Whether a network of it was removed while it was there: then its other addresses are lost.
    leaks: bool,
    host_ports: Vec<u32>,
    networks: Vec<String>,
}

impl FakeTask {
    fn next(&self) -> Option<Instant> {
        match (self.due, self.runs_at) {
            (Some(due), Some(runs_at)) => Some(due.min(runs_at)),
            (due, runs_at) => due.or(runs_at),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct FakeContainer {
    pub(super) container: Container,
    pub(super) details: ContainerDetails,
    pub(super) files: BTreeMap<String, Bytes>,
    pub(super) log: Vec<(Timestamp, String)>,
    pub(super) anonymous: Vec<String>,
    pub(super) mounts: Vec<Mount>,
    removed_at: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) struct FakeNetwork {
    pub(super) network: Network,
    pub(super) capacity: usize,
    pub(super) users: BTreeSet<String>,
    pub(super) leaked: usize,
    pub(super) is_removing: bool,
}

impl FakeNetwork {
    fn take(&mut self, user: &str) -> bool {
        let has_room = self.users.len() + self.leaked < self.capacity;
        if has_room {
            self.users.insert(user.to_owned());
        }
        has_room
    }
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) epoch: (Instant, Timestamp),
    /// The moment up to which everything has happened.
    pub(super) now: Instant,
    count: u64,
    pub(super) swarm: SwarmState,
    pub(super) node_labels: Labels,
    pub(super) memory_bytes: u64,
    pub(super) services: BTreeMap<String, FakeService>,
    pub(super) tasks: BTreeMap<String, FakeTask>,
    pub(super) containers: BTreeMap<String, FakeContainer>,
    pub(super) networks: BTreeMap<String, FakeNetwork>,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// What volumes hold, as far as anybody wrote something.
    pub(super) volume_data: BTreeMap<String, Vec<u8>>,
    pub(super) secrets: BTreeMap<String, StackFile>,
    pub(super) configs: BTreeMap<String, StackFile>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) behaviours: BTreeMap<String, VecDeque<Behaviour>>,
    pub(super) events: Vec<EngineEvent>,
    pub(super) normalise: Option<Normalise>,
}

/// How specs of services are kept otherwise than they were given.
pub(super) struct Normalise(pub(super) Arc<dyn Fn(&mut ServiceSpec) + Send + Sync>);

impl fmt::Debug for Normalise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Normalise")
    }
}

/// Takes the digest off a reference that has a tag as well.
pub(super) fn without_digest(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(name, _)| name)
}

pub(super) fn nanoseconds(value: i64) -> Duration {
    Duration::from_nanos(u64::try_from(value).unwrap_or(0))
}

impl World {
    pub(super) fn new(epoch: Timestamp) -> Self {
        let now = Instant::now();
        Self {
            epoch: (now, epoch),
            now,
            count: 0,
            swarm: SwarmState::Manager,
            node_labels: Labels::new(),
            memory_bytes: 8 << 30,
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            volume_data: BTreeMap::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            images: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            events: Vec::new(),
            normalise: None,
        }
    }

    /// Returns a new id; ids sort as they were drawn.
    pub(super) fn id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{:08}", self.count)
    }

    /// Returns a version that is higher than all before.
    pub(super) fn version(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Returns what the clock on the wall shows at the moment that is being played.
    pub(super) fn moment(&self) -> Timestamp {
        let since = self.now.saturating_duration_since(self.epoch.0);
        self.epoch.1 + SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO)
    }

    pub(super) fn announce(&mut self, kind: &str, action: &str, id: &str, attributes: Labels) {
        let (kind, action, id) = (kind.to_owned(), action.to_owned(), id.to_owned());
        self.events.push(EngineEvent { kind, action, id, attributes });
    }

    /// Returns when something happens next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let tasks = self.tasks.values().filter_map(FakeTask::next);
        let rollouts = self.services.values().filter_map(|service| Some(service.rollout.as_ref()?.due));
        let containers = self.containers.values().filter_map(|container| container.removed_at);
        tasks.chain(rollouts).chain(containers).min()
    }

    /// Lets everything happen that is due at `now` or before, in order.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.step();
        }
        self.now = self.now.max(now);
    }

    fn step(&mut self) {
        let now = self.now;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let containers = self.containers.iter().filter(|(_, container)| is_due(container.removed_at));
        for id in containers.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove_container(&id);
        }
        let tasks = self.tasks.iter().filter(|(_, task)| is_due(task.next()));
        for id in tasks.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.step_task(&id);
        }
        let rollouts =
            self.services.iter().filter(|(_, service)| is_due(service.rollout.as_ref().map(|rollout| rollout.due)));
        for id in rollouts.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.step_rollout(&id);
        }
    }

    /// Makes a task for a slot of a service, which may start after `delay`.
    pub(super) fn make_task(&mut self, service_id: &str, slot: u64, delay: Duration) -> String {
        let id = self.id("task");
        let now = self.now;
        let moment = self.moment();
        let service = &self.services[service_id];
        let spec = service.service.spec.task_template.clone();
        let is_job = service.service.spec.mode.is_job();
        let endpoint = service.service.spec.endpoint_spec.clone().unwrap_or_default();
        let host_ports = endpoint.ports.iter().filter(|port| port.publish_mode == "host");
        let host_ports = host_ports.map(|port| port.published_port).collect();
        let generation = service.generation;
        let behaviour = self.behaviour(&spec.container_spec.image);
        let aim = if is_job { TaskState::Complete } else { TaskState::Running };
        let task = Task {
            id: id.clone(),
            service_id: service_id.to_owned(),
            stack: spec.container_spec.labels.get(STACK_LABEL).cloned().unwrap_or_default(),
            slot,
            created_at: Some(moment),
            changed_at: Some(moment),
            desired: if delay.is_zero() { aim } else { TaskState::Ready },
            message: "created".to_owned(),
            image: spec.container_spec.image.clone(),
            ..Task::default()
        };
        let runs_at = (!delay.is_zero()).then_some(now + delay);
        let made = FakeTask {
            task,
            spec,
            generation,
            is_job,
            behaviour,
            due: Some(now + STEP),
            runs_at,
            is_started: false,
            is_stopping: false,
            leaks: false,
            host_ports,
            networks: Vec::new(),
        };
        self.tasks.insert(id.clone(), made);
        self.forget_history(service_id, slot);
        id
    }

    fn behaviour(&mut self, image: &str) -> Behaviour {
        let Some(queue) = self.behaviours.get_mut(without_digest(image)) else { return Behaviour::default() };
        if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }.unwrap_or_default()
    }

    /// Forgets all but the last ended tasks of a slot, with their containers.
    fn forget_history(&mut self, service_id: &str, slot: u64) {
        let of_slot = |task: &&FakeTask| task.task.service_id == service_id && task.task.slot == slot;
        let ended: Vec<String> = self
            .tasks
            .values()
            .filter(of_slot)
            .filter(|task| task.task.state.is_terminal() && !task.is_stopping)
            .map(|task| task.task.id.clone())
            .collect();
        for id in ended.iter().rev().skip(HISTORY) {
            if let Some(task) = self.tasks.remove(id) {
                self.remove_container(&task.task.container_id);
            }
        }
    }

    fn set(&mut self, id: &str, state: TaskState, message: &str, due: Option<Duration>) {
        let (now, moment) = (self.now, self.moment());
        if let Some(task) = self.tasks.get_mut(id) {
            task.task.state = state;
            message.clone_into(&mut task.task.message);
            task.task.changed_at = Some(moment);
            task.due = due.map(|due| now + due);
        }
    }

    fn step_task(&mut self, id: &str) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(id) else { return };
        if task.runs_at.is_some_and(|runs_at| runs_at <= now) {
            task.runs_at = None;
            task.task.desired = if task.is_job { TaskState::Complete } else { TaskState::Running };
            if task.task.state == TaskState::Ready {
                task.due = Some(now);
            }
        }
        if task.due.is_none_or(|due| due > now) {
            return;
        }
        task.due = None;
        if task.is_stopping {
            return self.stopped(id);
        }
        match task.task.state {
            TaskState::New => self.give_addresses(id),
            TaskState::Pending => self.give_node(id),
            TaskState::Assigned => {
                let image = task.task.image.clone();
                let pull = task.behaviour.pull.unwrap_or(STEP);
                let pull = if self.image(&image).is_some() { STEP } else { pull };
                self.set(id, TaskState::Preparing, "preparing", Some(pull));
            }
            TaskState::Preparing => self.make_container(id),
            TaskState::Ready if task.task.desired > TaskState::Ready => {
                self.set(id, TaskState::Starting, "starting", Some(STEP));
            }
            TaskState::Starting if !task.is_started => self.start(id),
            TaskState::Starting => self.started(id),
            TaskState::Running => self.ends_by_itself(id),
            _ => {}
        }
    }

    fn give_addresses(&mut self, id: &str) {
        let targets: Vec<String> =
            self.tasks[id].spec.networks.iter().map(|attachment| attachment.target.clone()).collect();
        let mut given = Vec::new();
        for target in &targets {
            let network = self.networks.get_mut(target).filter(|network| !network.is_removing);
            if network.is_some_and(|network| network.take(id)) {
                given.push(target.clone());
            }
        }
        if given.len() < targets.len() {
            for network in given {
                self.networks.get_mut(&network).map(|network| network.users.remove(id));
            }
            return self.set(id, TaskState::New, "created", Some(RETRY));
        }
        if let Some(task) = self.tasks.get_mut(id) {
            task.networks = given;
        }
        self.set(id, TaskState::Pending, "pending task scheduling", Some(STEP));
    }

    fn give_node(&mut self, id: &str) {
        let reason = self.unsuitable(id);
        let Some(task) = self.tasks.get_mut(id) else { return };
        if let Some(reason) = reason {
            task.task.error = format!("no suitable node ({reason} on 1 node)");
            return self.set(id, TaskState::Pending, "pending task scheduling", Some(RETRY));
        }
        task.task.error.clear();
        NODE.clone_into(&mut task.task.node_id);
        self.set(id, TaskState::Assigned, "scheduler assigned task to node", Some(STEP));
    }

    /// Returns why the node does not suit a task.
    fn unsuitable(&self, id: &str) -> Option<&'static str> {
        let task = self.tasks.get(id)?;
        let placement = task.spec.placement.clone().unwrap_or_default();
        if !placement.constraints.iter().all(|constraint| self.fits(constraint)) {
            return Some("scheduling constraints not satisfied");
        }
        let others = || self.tasks.values().filter(|other| other.task.id != id && !other.task.state.is_terminal());
        let on_node = || others().filter(|other| !other.task.node_id.is_empty());
        if task.host_ports.iter().any(|port| on_node().any(|other| other.host_ports.contains(port))) {
            return Some("host-mode port already in use");
        }
        let reserved = |spec: &TaskSpec| {
            let amounts = spec.resources.as_ref().and_then(|resources| resources.reservations.as_ref());
            amounts.map_or(0, |amounts| u64::try_from(amounts.memory_bytes).unwrap_or(0))
        };
        let used: u64 = on_node().map(|other| reserved(&other.spec)).sum();
        if used + reserved(&task.spec) > self.memory_bytes {
            return Some("insufficient resources");
        }
        let same = on_node().filter(|other| other.task.service_id == task.task.service_id).count() as u64;
        (placement.max_replicas > 0 && same >= placement.max_replicas).then_some("max replicas per node limit exceed")
    }

    fn fits(&self, constraint: &str) -> bool {
        let (key, value, wanted) = match (constraint.split_once("=="), constraint.split_once("!=")) {
            (Some((key, value)), _) => (key, value, true),
            (None, Some((key, value))) => (key, value, false),
            (None, None) => return false,
        };
        let (key, value) = (key.trim(), value.trim());
        let is_equal = match key {
            "node.role" => value == "manager",
            "node.hostname" => value == HOSTNAME,
            "node.id" => value == NODE,
            _ => key
                .strip_prefix("node.labels.")
                .is_some_and(|label| self.node_labels.get(label).is_some_and(|found| found == value)),
        };
        is_equal == wanted
    }

    /// Returns the image under a reference, if the node has it.
    pub(super) fn image(&self, reference: &str) -> Option<&Image> {
        let is_named = |image: &&Image| match reference.split_once('@') {
            Some((_, digest)) => image.digests.iter().any(|name| name.ends_with(digest)),
            None => image.tags.iter().any(|tag| tag == reference) || image.id == reference,
        };
        self.images.values().find(is_named)
    }

    /// Puts an image on the node.
    pub(super) fn add_image(&mut self, reference: &str) {
        if self.image(reference).is_some() {
            return;
        }
        let id = self.id("sha256:image");
        let name = without_digest(reference);
        let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
        let digests = vec![format!("{repository}@{}", digest_of(name))];
        let created_seconds = self.moment().as_second();
        let image = Image { id: id.clone(), tags: vec![name.to_owned()], digests, bytes: 10 << 20, created_seconds };
        self.images.insert(id, image);
        self.announce("image", "pull", name, Labels::new());
    }

    fn make_container(&mut self, id: &str) {
        let task = self.tasks[id].clone();
        let image = task.task.image.clone();
        let container = &task.spec.container_spec;
        let missing_bind =
            container.mounts.iter().find(|mount| mount.type_ == "bind" && mount.source.starts_with("/nowhere"));
        let error = if task.behaviour.pull.is_none() {
            Some(format!("No such image: {image}"))
        } else if let Some(mount) = missing_bind {
            let source = &mount.source;
            Some(format!("invalid mount config for type \"bind\": bind source path does not exist: {source}"))
        } else {
            task.behaviour.rejected.clone()
        };
        if let Some(error) = error {
            return self.end(id, TaskState::Rejected, &error, None);
        }
        self.add_image(&image);
        let container_id = self.id("container");
        let mut labels = container.labels.clone();
        let service = self.services.get(&task.task.service_id);
        let service_name = service.map(|service| service.service.spec.name.clone()).unwrap_or_default();
        labels.insert("com.docker.swarm.task.id".to_owned(), id.to_owned());
        labels.insert("com.docker.swarm.service.id".to_owned(), task.task.service_id.clone());
        labels.insert("com.docker.swarm.service.name".to_owned(), service_name.clone());
        let (mut volumes, mut anonymous) = (Vec::new(), Vec::new());
        for mount in container.mounts.iter().filter(|mount| mount.type_ == "volume") {
            let options = mount.volume_options.clone().unwrap_or_default();
            let name = if mount.source.is_empty() { self.id("anonymous") } else { mount.source.clone() };
            if mount.source.is_empty() {
                anonymous.push(name.clone());
            }
            let driver = options.driver_config.map_or_else(|| "local".to_owned(), |driver| driver.name);
            let volume = Volume { name: name.clone(), driver, labels: options.labels, ..Volume::default() };
            self.volumes.entry(name.clone()).or_insert(volume);
            volumes.push(name);
        }
        let name = format!("{service_name}.{}.{id}", task.task.slot);
        let state = "created".to_owned();
        let made = Container { id: container_id.clone(), name, labels, state, volumes, image };
        let made = FakeContainer {
            container: made,
            details: ContainerDetails::default(),
            files: BTreeMap::new(),
            log: Vec::new(),
            anonymous,
            mounts: container.mounts.clone(),
            removed_at: None,
        };
        self.containers.insert(container_id.clone(), made);
        self.announce_container("create", &container_id);
        if let Some(task) = self.tasks.get_mut(id) {
            task.task.container_id = container_id;
        }
        let due = (task.task.desired > TaskState::Ready).then_some(STEP);
        self.set(id, TaskState::Ready, "prepared", due);
    }

    fn start(&mut self, id: &str) {
        let (now, moment) = (self.now, self.moment());
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.is_started = true;
        let (container_id, behaviour) = (task.task.container_id.clone(), task.behaviour.clone());
        let check = task.spec.container_spec.healthcheck.clone().unwrap_or_default();
        let until_killed = nanoseconds(check.start_period) + nanoseconds(check.interval.max(1_000_000_000)) * 3;
        let wait = behaviour.healthy_after.unwrap_or(until_killed);
        let wait = behaviour.end.map_or(wait, |end| wait.min(end.after));
        let networks = task.networks.clone();
        task.due = Some(now + wait.max(STEP));
        let names = networks.iter().filter_map(|id| Some(self.networks.get(id)?.network.name.clone()));
        let addresses = names.zip(1..).map(|(name, at)| (name, format!("10.0.0.{at}"))).collect();
        if let Some(container) = self.containers.get_mut(&container_id) {
            "running".clone_into(&mut container.container.state);
            container.details.is_running = true;
            let has_check = behaviour.healthy_after != Some(Duration::ZERO);
            (if has_check { "starting" } else { "" }).clone_into(&mut container.details.health);
            container.log.extend(behaviour.log.iter().map(|line| (moment, line.clone())));
            container.details.addresses = addresses;
        }
        self.announce_container("start", &container_id);
    }

    fn started(&mut self, id: &str) {
        let task = self.tasks[id].clone();
        if let Some(end) = task.behaviour.end.filter(|end| end.after <= STEP) {
            return self.exit(id, end.code, end.is_oom);
        }
        let Some(healthy_after) = task.behaviour.healthy_after else {
            if let Some(container) = self.containers.get_mut(&task.task.container_id) {
                "unhealthy".clone_into(&mut container.details.health);
            }
            self.announce_container("health_status: unhealthy", &task.task.container_id);
            self.close(&task.task.container_id, 137, false);
            return self.end(
                id,
                TaskState::Failed,
                "task: non-zero exit (137): dockerexec: unhealthy container",
                Some(137),
            );
        };
        if !healthy_after.is_zero() {
            if let Some(container) = self.containers.get_mut(&task.task.container_id) {
                "healthy".clone_into(&mut container.details.health);
            }
            self.announce_container("health_status: healthy", &task.task.container_id);
        }
        let due = task.behaviour.end.map(|end| end.after.saturating_sub(healthy_after).max(STEP));
        self.set(id, TaskState::Running, "started", due);
    }

    fn ends_by_itself(&mut self, id: &str) {
        if let Some(end) = self.tasks[id].behaviour.end {
            self.exit(id, end.code, end.is_oom);
        }
    }

    /// Ends a task because its container ended.
    pub(super) fn exit(&mut self, id: &str, code: i64, is_oom: bool) {
        let container = self.tasks[id].task.container_id.clone();
        self.close(&container, code, is_oom);
        if code == 0 {
            self.end(id, TaskState::Complete, "", Some(0));
        } else {
            self.end(id, TaskState::Failed, &format!("task: non-zero exit ({code})"), Some(code));
        }
    }

    fn close(&mut self, container_id: &str, code: i64, is_oom: bool) {
        let Some(container) = self.containers.get_mut(container_id) else { return };
        "exited".clone_into(&mut container.container.state);
        container.details.is_running = false;
        container.details.exit_code = Some(code);
        container.details.is_oom_killed = is_oom;
        self.announce_container("die", container_id);
    }

    /// Ends a task and sees to the next one of its slot.
    fn end(&mut self, id: &str, state: TaskState, error: &str, exit_code: Option<i64>) {
        let message = if state == TaskState::Complete { "finished" } else { "started" };
        self.set(id, state, message, None);
        self.give_back(id);
        let Some(task) = self.tasks.get_mut(id) else { return };
        error.clone_into(&mut task.task.error);
        task.task.exit_code = exit_code;
        task.runs_at = None;
        let (service_id, slot, is_job, generation) =
            (task.task.service_id.clone(), task.task.slot, task.is_job, task.generation);
        let was_wanted = matches!(task.task.desired, TaskState::Ready | TaskState::Running | TaskState::Complete);
        let policy = task.spec.restart_policy.clone().unwrap_or_default();
        let is_done = is_job && state == TaskState::Complete;
        if !is_job {
            task.task.desired = TaskState::Shutdown;
        }
        let is_again = match policy.condition.as_str() {
            "none" => false,
            "on-failure" => state != TaskState::Complete,
            _ => true,
        };
        let Some(service) = self.services.get(&service_id) else { return };
        if !was_wanted || is_done || !is_again || slot > service.slots() {
            return;
        }
        let same = |other: &&FakeTask| {
            other.task.service_id == service_id && other.task.slot == slot && other.generation == generation
        };
        let attempts = self.tasks.values().filter(same).count() as u64;
        let is_exhausted = policy.max_attempts.is_some_and(|max| max > 0 && attempts > max);
        let has_another =
            self.tasks.values().filter(same).any(|other| !other.task.state.is_terminal() && !other.is_stopping);
        if !is_exhausted && !has_another {
            let delay = policy.delay.map_or(RESTART_DELAY_DEFAULT, nanoseconds);
            self.make_task(&service_id, slot, delay.max(Duration::from_nanos(1)));
        }
    }

    /// Gives a task's addresses back, but for those that are lost because one of its networks went first.
    fn give_back(&mut self, id: &str) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let (networks, leaks) = (std::mem::take(&mut task.networks), task.leaks);
        for network_id in networks {
            let Some(network) = self.networks.get_mut(&network_id) else { continue };
            let had = network.users.remove(id);
            if had && leaks && !network.is_removing {
                network.leaked += 1;
            }
            if network.is_removing && network.users.is_empty() {
                self.networks.remove(&network_id);
            }
        }
    }

    /// Asks a task to end; one of a service that is gone is forgotten afterwards.
    pub(super) fn stop(&mut self, id: &str, desired: TaskState) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.task.desired = task.task.desired.max(desired);
        task.runs_at = None;
        if task.task.state.is_terminal() {
            if desired == TaskState::Remove && !task.is_stopping {
                self.forget(id);
            }
            return;
        }
        if task.is_stopping {
            return;
        }
        task.is_stopping = true;
        let grace = task.spec.container_spec.stop_grace_period.map_or(GRACE_DEFAULT, nanoseconds);
        let stop = if task.behaviour.ignores_stop { grace } else { STEP };
        task.due = Some(if task.is_started { now + DRAIN + stop } else { now });
    }

    fn stopped(&mut self, id: &str) {
        let task = self.tasks[id].clone();
        if task.is_started {
            self.close(&task.task.container_id, if task.behaviour.ignores_stop { 137 } else { 0 }, false);
        }
        self.set(id, TaskState::Shutdown, "shutdown", None);
        self.give_back(id);
        let is_forgotten = task.task.desired == TaskState::Remove;
        if let Some(task) = self.tasks.get_mut(id) {
            task.is_stopping = false;
            task.task.exit_code = task.is_started.then_some(0);
        }
        if is_forgotten {
            self.forget(id);
        }
    }

    /// Forgets a task whose service is gone. Containers of jobs stay for ever, as in Docker 20.10.
    fn forget(&mut self, id: &str) {
        let now = self.now;
        let Some(task) = self.tasks.remove(id) else { return };
        if !task.is_job
            && let Some(container) = self.containers.get_mut(&task.task.container_id)
        {
            container.removed_at = Some(now + CONTAINER_OUTLIVES);
        }
    }

    /// Removes a container with its anonymous volumes.
    pub(super) fn remove_container(&mut self, id: &str) {
        let Some(container) = self.containers.remove(id) else { return };
        for volume in container.anonymous {
            self.volumes.remove(&volume);
        }
        let mut attributes = container.container.labels;
        attributes.insert("name".to_owned(), container.container.name);
        self.announce("container", "destroy", id, attributes);
    }

    fn announce_container(&mut self, action: &str, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let mut attributes = container.container.labels.clone();
        attributes.insert("name".to_owned(), container.container.name.clone());
        attributes.insert("image".to_owned(), container.container.image.clone());
        self.announce("container", action, id, attributes);
    }

    /// Ends everything that runs, as a restart of the engine does. Lost addresses are found again.
    pub(super) fn restart(&mut self) {
        for network in self.networks.values_mut() {
            network.leaked = 0;
        }
        let is_there = |task: &&FakeTask| task.is_started && !task.task.state.is_terminal();
        let tasks: Vec<String> = self.tasks.values().filter(is_there).map(|task| task.task.id.clone()).collect();
        for id in tasks {
            if self.tasks[&id].is_stopping {
                self.stopped(&id);
            } else {
                self.exit(&id, 137, false);
            }
        }
    }

    /// Marks what a network that is removed takes with it, and removes it once nothing is there any more.
    pub(super) fn remove_network(&mut self, id: &str) {
        let Some(network) = self.networks.get_mut(id) else { return };
        network.is_removing = true;
        let users = network.users.clone();
        if users.is_empty() {
            self.networks.remove(id);
        }
        for user in users {
            if let Some(task) = self.tasks.get_mut(&user) {
                task.leaks = true;
            }
        }
    }
}

impl FakeService {
    /// Returns how many slots the service has.
    pub(super) fn slots(&self) -> u64 {
        match &self.service.spec.mode {
            ServiceMode::Replicated { replicas } => replicas.unwrap_or(1),
            ServiceMode::ReplicatedJob { total_completions, max_concurrent } => {
                total_completions.or(*max_concurrent).unwrap_or(1)
            }
            ServiceMode::Global {} | ServiceMode::GlobalJob {} => 1,
        }
    }
}

/// Returns the digest that the registry has for a name: always the same one for the same name.
pub(super) fn digest_of(name: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("sha256:{hash:016x}{hash:016x}{hash:016x}{hash:016x}")
}
