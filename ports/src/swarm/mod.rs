//! The Docker engine and its swarm: services, tasks, secrets, configs, networks, volumes, containers, images, events.
//!
//! [`Engine`] says in our words what we need of it, and hides its traps: ids against names, error codes that do not
//! mean what they say, updates out of sequence, networks that are listed after they are gone. What is *meant* by what
//! is seen here, convergence and leaks above all, is decided elsewhere.
//!
//! Every call may take up to [`CALL_TIME_MAX`], because a swarm that has lost its leader answers only after 20 s; what
//! timed out may have happened or not: look again.

pub mod conformance;
pub mod docker;
pub mod fake;
pub mod registries;
pub mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use spec::{Labels, ServiceSpec};

/// The label by which the parts of a stack know each other.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";
/// The label of a service that keeps its image as the compose file wrote it.
pub const IMAGE_LABEL: &str = "com.docker.stack.image";
/// Longest that a call may take before its outcome counts as unknown. More than the 20 s of a lost quorum.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of output that [`Engine::exec`] returns; the rest is read and dropped.
pub const EXEC_OUTPUT_BYTES_MAX: usize = 1 << 20;

/// The engine and its place in a swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Version of the engine.
    pub engine_version: String,
    /// Version of its API.
    pub api_version: String,
    /// Name of the machine.
    pub hostname: String,
    /// Where it keeps its data.
    pub data_root: String,
    /// Its place in a swarm.
    pub swarm: SwarmState,
    /// The id of its node; empty outside a swarm.
    pub node_id: String,
    /// What the engine says is wrong with the swarm; empty when nothing is.
    pub swarm_error: String,
    /// Images that it has.
    pub images: u64,
    /// Bytes of memory of the machine.
    pub memory_bytes: u64,
    /// Processors of the machine.
    pub processors: u64,
}

/// The place of an engine in a swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwarmState {
    /// In none.
    #[default]
    Inactive,
    /// On its way into one.
    Pending,
    /// It decides.
    Manager,
    /// It does what managers decide.
    Worker,
    /// In one whose state nobody can tell: without a leader, say.
    Error,
    /// In one that waits for its unlock key.
    Locked,
}

/// A node of the swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its host name.
    pub hostname: String,
    /// `ready`, `down`, `unknown` or `disconnected`.
    pub state: String,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// Whether it is a manager.
    pub is_manager: bool,
}

/// A service as the swarm has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// The version to give when it is updated.
    pub version: u64,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When its spec was written last.
    pub updated_at: Option<Timestamp>,
    /// What it should be.
    pub spec: ServiceSpec,
    /// What it was before; gone after a rollback.
    pub previous: Option<ServiceSpec>,
    /// How the last update goes; `None` before the first, and for an update that changed nothing.
    pub update: Option<UpdateStatus>,
}

/// How an update goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateStatus {
    /// How far it is.
    pub state: UpdateState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// The engine's words.
    pub message: String,
}

/// How far an update is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpdateState {
    /// Tasks are being replaced.
    #[default]
    Updating,
    /// A task failed; nothing more happens until somebody acts.
    Paused,
    /// All tasks run the new spec.
    Completed,
    /// A task failed; the old spec is being brought back.
    RollbackStarted,
    /// A task of the old spec failed as well.
    RollbackPaused,
    /// The old spec runs again.
    RollbackCompleted,
    /// A word that this program does not know.
    Other(String),
}

impl UpdateState {
    /// Returns the engine's word.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
            Self::Other(word) => word,
        }
    }

    /// Returns the state that the engine's word means.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "updating" => Self::Updating,
            "paused" => Self::Paused,
            "completed" => Self::Completed,
            "rollback_started" => Self::RollbackStarted,
            "rollback_paused" => Self::RollbackPaused,
            "rollback_completed" => Self::RollbackCompleted,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Returns whether the old spec is being, or was, brought back.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        matches!(self, Self::RollbackStarted | Self::RollbackPaused | Self::RollbackCompleted)
    }
}

/// A task: one attempt to run a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// The service's id.
    pub service_id: String,
    /// The stack, from the container's label; empty when it has none.
    pub stack: String,
    /// Its slot; 0 for tasks of global services, which are told apart by node.
    pub slot: u64,
    /// The node that it was given; empty before.
    pub node_id: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its state changed last.
    pub changed_at: Option<Timestamp>,
    /// How far it is.
    pub state: TaskState,
    /// What the swarm wants of it.
    pub desired: TaskState,
    /// The engine's error; empty when there is none.
    pub error: String,
    /// The engine's message, such as `started` or `preparing`.
    pub message: String,
    /// The exit code of its container, when it has ended.
    pub exit_code: Option<i64>,
    /// Its container; empty before it has one.
    pub container_id: String,
    /// The image that it runs.
    pub image: String,
    /// Whether it runs the service's present spec.
    pub is_up_to_date: bool,
}

/// How far a task is; ordered as they follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are the engine's own")]
pub enum TaskState {
    #[default]
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

impl TaskState {
    /// Returns whether the task has ended, or will never begin.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self > Self::Running
    }

    /// Returns the engine's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Allocated => "allocated",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
        }
    }
}

/// A secret or config, without its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackFile {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The data of a config; always `None` for a secret.
    pub data: Option<Vec<u8>>,
    /// Whether a config is a Go template.
    pub is_template: bool,
}

/// A secret or config that is to be made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NewStackFile {
    /// Its name; at most 64 bytes.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its data: below 512 000 bytes for a secret, 1 024 000 for a config.
    pub data: Vec<u8>,
    /// Whether the engine expands it as a Go template in each container.
    pub is_template: bool,
}

impl std::fmt::Debug for NewStackFile {
    /// Leaves the data out: it may be a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewStackFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// `swarm` or `local`.
    pub scope: String,
    /// Whether containers outside services may join.
    pub attachable: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Its subnets; none for a moment after it was made.
    pub subnets: Vec<String>,
    /// Its labels.
    pub labels: Labels,
}

/// A network that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewNetwork {
    /// Its name.
    pub name: String,
    /// Its driver; empty is `overlay`.
    pub driver: String,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether containers outside services may join.
    pub attachable: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Its subnets; the engine chooses when there is none.
    pub subnets: Vec<String>,
    /// Its labels.
    pub labels: Labels,
}

/// A named or anonymous volume on the node that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Its labels.
    pub labels: Labels,
    /// Options of its driver. With any, what it holds lies elsewhere, and does not go when it is removed.
    pub options: BTreeMap<String, String>,
}

/// What one volume holds, to be put into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeCopy {
    /// The volume that is read.
    pub from: String,
    /// The volume that is made anew, with nothing else in it.
    pub to: Volume,
    /// Labels of the containers that both are reached through: they are left behind when the copy is cut off.
    pub labels: Labels,
}

/// A container on the node that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels; those of a task name its service and stack.
    pub labels: Labels,
    /// `created`, `running`, `exited`, `dead` and the like.
    pub state: String,
    /// Names of the volumes it mounts, anonymous ones included.
    pub volumes: Vec<String>,
    /// The image it was made of.
    pub image: String,
}

/// What only an inspection of a container tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerDetails {
    /// Whether it runs.
    pub is_running: bool,
    /// Its exit code, when it has ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for want of memory.
    pub is_oom_killed: bool,
    /// `healthy`, `unhealthy`, `starting`; empty without a health check.
    pub health: String,
    /// Output of the last health checks.
    pub health_log: Vec<String>,
    /// Its addresses by network.
    pub addresses: BTreeMap<String, String>,
}

/// An image on the node that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// `repository:tag`.
    pub tags: Vec<String>,
    /// `repository@sha256:…`.
    pub digests: Vec<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was built, in seconds since 1970: not when it was used.
    pub created_seconds: i64,
}

/// How to prove to a registry who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User.
    pub username: String,
    /// Password or token.
    pub password: String,
    /// The registry that they are for, and no other.
    pub registry: String,
}

impl std::fmt::Debug for RegistryAuth {
    /// Leaves the password out.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RegistryAuth").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// A command in a running container, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User; the container's own when empty.
    pub user: String,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Given as its standard input, which is then closed; nothing when empty.
    pub input: Vec<u8>,
    /// After this time the caller stops waiting; the program may go on in its container. Zero is [`CALL_TIME_MAX`].
    pub time_max: Duration,
}

/// What a command in a container came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code.
    pub exit_code: i64,
    /// Standard output and standard error as they came, at most [`EXEC_OUTPUT_BYTES_MAX`] bytes.
    pub output: Vec<u8>,
    /// Whether output was dropped.
    pub is_truncated: bool,
}

/// Which objects are asked for. An empty filter is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Labels with their values.
    pub labels: Vec<(String, String)>,
    /// Labels with any value.
    pub has_labels: Vec<String>,
    /// Name prefix. (The engine matches parts of names; the port cuts down to true prefixes.)
    pub name_prefix: Option<String>,
    /// Id or name of a service; for tasks only.
    pub service: Option<String>,
}

impl Filter {
    /// Returns the filter of everything that carries a stack's label.
    #[must_use]
    pub fn stack(stack: &str) -> Self {
        Self { labels: vec![(STACK_LABEL.to_owned(), stack.to_owned())], ..Self::default() }
    }

    /// Returns the filter of everything whose name begins with `prefix`.
    #[must_use]
    pub fn name_prefix(prefix: &str) -> Self {
        Self { name_prefix: Some(prefix.to_owned()), ..Self::default() }
    }
}

/// Which log, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to wait for more. A followed log of a service never ends by itself: stop on the state of its tasks.
    pub follow: bool,
    /// Lines from the end; all when `None`.
    pub tail: Option<u64>,
    /// Only lines written at this moment or later.
    pub since: Option<Timestamp>,
    /// Whether each line begins with the moment at which it was written.
    pub timestamps: bool,
}

/// Something that happened to an object of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineEvent {
    /// `service`, `container`, `node`, `network`, `secret`, `config`, `volume`, `image`, `daemon`.
    pub kind: String,
    /// `create`, `update`, `remove`, `start`, `die`, `health_status: healthy` and the like.
    pub action: String,
    /// Id of the object.
    pub id: String,
    /// Attributes: for containers their labels, for services the name and what changed.
    pub attributes: BTreeMap<String, String>,
}

impl EngineEvent {
    /// Returns the stack that the object belongs to, as far as the event tells.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        self.attributes.get(STACK_LABEL).map(String::as_str)
    }
}

/// What became of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was removed, or was not there. Networks may be listed for a moment longer: list again.
    Gone,
    /// It is in use, in the engine's words: what uses it has to go first.
    InUse(String),
}

/// Finds engines.
pub trait Engines: Send + Sync {
    /// Returns the engine at an address, `unix:///path` or `ssh://user@host`: the same one each time. Does not ask
    /// whether it is there.
    ///
    /// # Errors
    /// `Terminal` with `EngineAddressInvalid`.
    fn connect(&self, address: &str) -> Result<Arc<dyn Engine>, Error>;

    /// Returns how many requests were made to all of them since the start.
    fn calls(&self) -> u64;
}

/// A Docker engine.
///
/// # Errors
/// All calls: `Retryable` with reason `EngineUnreachable` when the socket does not answer, `EngineTimeout` after
/// [`CALL_TIME_MAX`], `NoLeader` when the swarm has none, `EngineFailed` for what it says of itself; `Blocked` with
/// `SwarmLocked` or `SwarmInactive`; `Terminal` with `EngineRefused` when the engine says that the request is wrong, and
/// `EngineTooOld` before Docker 20.10.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Returns what the engine says of itself.
    async fn info(&self) -> Result<EngineInfo, Error>;

    /// Makes a one-node swarm. Does nothing when there is one.
    ///
    /// # Errors
    /// `Terminal` with `AdvertiseAddressNeeded` when the machine has several addresses and none was given.
    async fn init_swarm(&self, advertise_address: Option<&str>) -> Result<(), Error>;

    /// Returns the nodes of the swarm.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;

    /// Returns services, in the order of their names.
    async fn services(&self, filter: &Filter) -> Result<Vec<Service>, Error>;

    /// Makes a service and returns its id. Names of secrets, configs and networks are resolved right before.
    ///
    /// # Errors
    /// `Retryable` with `AlreadyExists` when the name is taken: somebody was faster, look again. `Retryable` with
    /// `SecretNotFound`, `ConfigNotFound` or `NetworkNotFound` for what it names and the swarm does not have.
    async fn create_service(&self, spec: &ServiceSpec, auth: Option<&RegistryAuth>) -> Result<String, Error>;

    /// Replaces a service's spec. `ForceUpdate` is kept unless the spec raises it.
    ///
    /// # Errors
    /// `Retryable` with `OutOfSequence` when `version` is not its newest version, with `ServiceNotFound` when it is gone:
    /// read it again. Else as [`create_service`](Self::create_service).
    async fn update_service(
        &self,
        id: &str,
        version: u64,
        spec: &ServiceSpec,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), Error>;

    /// Removes a service; its tasks and containers end later.
    async fn remove_service(&self, id: &str) -> Result<Removal, Error>;

    /// Returns tasks, those of removed services included, in the order in which they were made.
    async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>, Error>;

    /// Returns secrets, in the order of their names.
    async fn secrets(&self, filter: &Filter) -> Result<Vec<StackFile>, Error>;

    /// Makes a secret and returns its id.
    ///
    /// # Errors
    /// `Retryable` with `AlreadyExists` when the name is taken.
    async fn create_secret(&self, secret: &NewStackFile) -> Result<String, Error>;

    /// Removes a secret by id or name.
    async fn remove_secret(&self, id: &str) -> Result<Removal, Error>;

    /// Returns configs with their data, in the order of their names.
    async fn configs(&self, filter: &Filter) -> Result<Vec<StackFile>, Error>;

    /// Makes a config and returns its id.
    ///
    /// # Errors
    /// `Retryable` with `AlreadyExists` when the name is taken.
    async fn create_config(&self, config: &NewStackFile) -> Result<String, Error>;

    /// Removes a config by id or name.
    async fn remove_config(&self, id: &str) -> Result<Removal, Error>;

    /// Returns networks, in the order of their names.
    async fn networks(&self, filter: &Filter) -> Result<Vec<Network>, Error>;

    /// Makes a network and returns its id.
    ///
    /// # Errors
    /// `Retryable` with `AlreadyExists` when the name is taken.
    async fn create_network(&self, network: &NewNetwork) -> Result<String, Error>;

    /// Removes a network by id.
    async fn remove_network(&self, id: &str) -> Result<Removal, Error>;

    /// Returns the node's volumes, in the order of their names.
    async fn volumes(&self, filter: &Filter) -> Result<Vec<Volume>, Error>;

    /// Makes a volume unless it is there.
    async fn create_volume(&self, volume: &Volume) -> Result<(), Error>;

    /// Removes a volume by name.
    async fn remove_volume(&self, name: &str) -> Result<Removal, Error>;

    /// Returns how many bytes volumes of the node hold, by name; those whose driver does not tell are left out. The engine
    /// counts them file by file: the caller bounds the time.
    async fn volume_bytes(&self) -> Result<BTreeMap<String, u64>, Error>;

    /// Copies a volume with owners, modes and links, through two containers that are never started: no program of any
    /// image runs. Nothing may use either meanwhile. May be cut off, and begins anew when it is done again; the caller
    /// bounds the time.
    ///
    /// # Errors
    /// `Retryable` with `VolumeInUse` when a container uses `to`; `VolumeCopyIncomplete` when not all came over; `Blocked`
    /// with `NoImage` when the node has no image to make containers of.
    async fn copy_volume(&self, copy: &VolumeCopy) -> Result<(), Error>;

    /// Returns the node's containers, those that have ended included.
    async fn containers(&self, filter: &Filter) -> Result<Vec<Container>, Error>;

    /// Returns what an inspection of a container tells; `None` when it is gone.
    async fn container(&self, id: &str) -> Result<Option<ContainerDetails>, Error>;

    /// Removes a container that has ended, with its anonymous volumes; one that runs is killed first.
    async fn remove_container(&self, id: &str) -> Result<Removal, Error>;

    /// Runs a command in a running container and waits for its end.
    ///
    /// # Errors
    /// `Retryable` with `ContainerNotRunning` when it is gone or has ended: resolve the container again. `Terminal` with
    /// `CommandNotFound`. `Retryable` with `ExecTimeout` when it did not end in time. A non-zero exit code is no error.
    async fn exec(&self, container_id: &str, exec: &ExecSpec) -> Result<ExecResult, Error>;

    /// Returns a file or folder of a container as a tar archive, at most `bytes_max` bytes of it.
    ///
    /// # Errors
    /// `Terminal` with `PathNotFound`, or `ArchiveTooLarge`.
    async fn read_archive(&self, container_id: &str, path: &str, bytes_max: usize) -> Result<Bytes, Error>;

    /// Unpacks a tar archive into a folder of a container.
    ///
    /// # Errors
    /// `Terminal` with `PathNotFound`.
    async fn write_archive(&self, container_id: &str, path: &str, archive: Bytes) -> Result<(), Error>;

    /// Returns the log of a service, whole lines as they come. Order holds within a task only.
    ///
    /// # Errors
    /// `Retryable` with `ServiceNotFound` when it is gone; in the stream, with `LogIncomplete` when a node keeps its part
    /// to itself.
    async fn service_log(
        &self,
        service: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error>;

    /// Returns the node's images.
    async fn images(&self) -> Result<Vec<Image>, Error>;

    /// Returns whether the node has an image under this reference (tag or digest).
    async fn has_image(&self, reference: &str) -> Result<bool, Error>;

    /// Pulls an image and waits for the end; the caller bounds the time.
    ///
    /// # Errors
    /// `Terminal` with `ImageNotFound` (missing, or no right to it); `Retryable` with `RateLimited`,
    /// `RegistryUnreachable`.
    async fn pull_image(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<(), Error>;

    /// Returns the digest (`sha256:…`) that the registry has for a reference; `None` when it cannot tell.
    async fn resolve_digest(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<Option<String>, Error>;

    /// Removes an image by id, unless a container uses it.
    async fn remove_image(&self, id: &str) -> Result<Removal, Error>;

    /// Returns what happens from now on. Events get lost and repeat: they are a bell. The stream ends when the
    /// connection does.
    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, Error>>, Error>;
}
