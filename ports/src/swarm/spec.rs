//! What a service should be: the Engine API's `ServiceSpec` in our own types.
//!
//! They serialise to the API's JSON, name by name (<https://docs.docker.com/reference/api/engine/>), so that a spec that
//! was read back can be compared with the one that was asked for, and `docker service inspect` shows the same. Fields
//! that the engine does not know, and that we do not set, are left out; unknown ones are dropped when reading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels of a service, container, network, secret, config or volume.
pub type Labels = BTreeMap<String, String>;

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    /// Its name: `<stack>_<service>`.
    pub name: String,
    /// Labels of the service itself: those under `deploy.labels`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// What each task runs.
    pub task_template: TaskSpec,
    /// How many tasks.
    pub mode: ServiceMode,
    /// How a new spec is rolled out; `None` is the engine's own: one at a time, pause on failure, 5 s monitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    /// How an old spec is brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    /// How others reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
}

/// What a task runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    /// The container.
    pub container_spec: ContainerSpec,
    /// What it may use and what is set aside for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Where it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Counts forced updates; kept over an update.
    #[serde(skip_serializing_if = "is_zero")]
    pub force_update: u64,
    /// The networks it is attached to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachment>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<LogDriver>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSpec {
    /// Its image, pinned by digest where one is known.
    pub image: String,
    /// Labels of the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Compose's `entrypoint`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Compose's `command`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its host name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// `KEY=value`, or `KEY` alone to unset what the image sets; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dir: String,
    /// User and group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Windows only, refused by policy; kept because it can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileges: Option<serde_json::Value>,
    /// The signal that asks it to stop.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Whether it has a terminal.
    #[serde(rename = "TTY", skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Whether its standard input is open.
    #[serde(skip_serializing_if = "is_false")]
    pub open_stdin: bool,
    /// Whether its root file system is read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Its mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Nanoseconds between the stop signal and the kill; `None` is the engine's 10 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<i64>,
    /// Its health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Lines of `/etc/hosts`, as `IP name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Its resolver.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Its secrets; sorted by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretReference>,
    /// Its configs; sorted by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigReference>,
    /// Windows only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
    /// Whether a small init reaps and forwards signals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities on top of the default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_add: Vec<String>,
    /// Capabilities that are taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_drop: Vec<String>,
    /// Limits of its processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `volume`, `bind`, `tmpfs`, `npipe`, `cluster` or `image`.
    #[serde(rename = "Type")]
    pub type_: String,
    /// Volume or path; empty for an anonymous volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Whether it cannot be written.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// `default`, `consistent`, `cached` or `delegated`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub consistency: String,
    /// Options of a bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

/// Options of a bind mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// How mounts below it spread.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
}

/// Options of a volume mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// Whether what the image has at the target is not copied into a new volume.
    #[serde(skip_serializing_if = "is_false")]
    pub no_copy: bool,
    /// Labels of the volume that a task makes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Its driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<Driver>,
    /// A folder of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// Options of a tmpfs mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Most bytes.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub size_bytes: i64,
    /// Mode bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A driver with its options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Where output goes.
pub type LogDriver = Driver;

/// A health check; times are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, or `CMD`/`CMD-SHELL` with its words; empty inherits the image's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub interval: i64,
    /// For one check.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub timeout: i64,
    /// After the start, while failures do not count.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub start_period: i64,
    /// Between two checks during the start period; engines before 25 do not heed it.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub start_interval: i64,
    /// Failures in a row that mean unhealthy.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub retries: i64,
}

/// A resolver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    /// Addresses of name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A secret in a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretReference {
    /// The engine's id of the secret; resolved by name right before a create or update.
    #[serde(rename = "SecretID")]
    pub id: String,
    /// Its name.
    #[serde(rename = "SecretName")]
    pub name: String,
    /// The file that it becomes.
    #[serde(rename = "File")]
    pub file: FileTarget,
}

/// A config in a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigReference {
    /// The engine's id of the config; resolved by name right before a create or update.
    #[serde(rename = "ConfigID")]
    pub id: String,
    /// Its name.
    #[serde(rename = "ConfigName")]
    pub name: String,
    /// The file that it becomes.
    #[serde(rename = "File")]
    pub file: FileTarget,
}

/// The file that a secret or config becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileTarget {
    /// Its path; relative ones lie under `/run/secrets` or `/`.
    #[serde(rename = "Name")]
    pub name: String,
    /// Owner.
    #[serde(rename = "UID")]
    pub uid: String,
    /// Group.
    #[serde(rename = "GID")]
    pub gid: String,
    /// Mode bits.
    #[serde(rename = "Mode")]
    pub mode: u32,
}

impl Default for FileTarget {
    fn default() -> Self {
        Self { name: String::new(), uid: "0".to_owned(), gid: "0".to_owned(), mode: 0o444 }
    }
}

/// A limit of processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// Its name.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// Limits and reservations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// What it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
    /// What is set aside for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<ResourceAmounts>,
}

/// Amounts of resources; 0 is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceAmounts {
    /// Billionths of a processor.
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero_signed")]
    pub nano_cpus: i64,
    /// Bytes.
    #[serde(rename = "MemoryBytes", skip_serializing_if = "is_zero_signed")]
    pub memory_bytes: i64,
    /// Processes; for limits only.
    #[serde(rename = "Pids", skip_serializing_if = "is_zero_signed")]
    pub pids: i64,
    /// Other resources, as the API writes them; for reservations only.
    #[serde(rename = "GenericResources", skip_serializing_if = "Vec::is_empty")]
    pub generic: Vec<serde_json::Value>,
}

/// When a task is started again; times are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `none`, `on-failure` or `any`; empty is `any`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// Most attempts in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// In which attempts are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
}

/// Where a task may run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    /// `node.role==manager` and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Preferences, as the API writes them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<serde_json::Value>,
    /// Most tasks on one node; 0 is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_replicas: u64,
    /// What the image runs on; the engine fills it in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<serde_json::Value>,
}

/// A network that a task is attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    /// Name or id of the network.
    pub target: String,
    /// Further names of the service there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

/// How many tasks a service has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ServiceMode {
    /// So many, for good.
    Replicated {
        /// How many; the engine's default is 1.
        #[serde(rename = "Replicas", default)]
        replicas: Option<u64>,
    },
    /// One on each node, for good.
    Global {},
    /// So many that end.
    ReplicatedJob {
        /// At the same time.
        #[serde(rename = "MaxConcurrent", default)]
        max_concurrent: Option<u64>,
        /// In all.
        #[serde(rename = "TotalCompletions", default)]
        total_completions: Option<u64>,
    },
    /// One on each node that ends.
    GlobalJob {},
}

impl Default for ServiceMode {
    fn default() -> Self {
        Self::Replicated { replicas: None }
    }
}

impl ServiceMode {
    /// Returns whether tasks are meant to end.
    #[must_use]
    pub fn is_job(&self) -> bool {
        matches!(self, Self::ReplicatedJob { .. } | Self::GlobalJob {})
    }
}

/// How a spec is rolled out; times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// Tasks at the same time; 0 is all.
    pub parallelism: u64,
    /// Between groups of tasks.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub delay: i64,
    /// `pause`, `continue` or `rollback`; empty is `pause`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_action: String,
    /// How long a new task is watched; 0 is the engine's 5 s.
    #[serde(skip_serializing_if = "is_zero_signed")]
    pub monitor: i64,
    /// Share of tasks that may fail.
    pub max_failure_ratio: f64,
    /// `stop-first` or `start-first`; empty is `stop-first`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay: 0,
            failure_action: String::new(),
            monitor: 0,
            max_failure_ratio: 0.0,
            order: String::new(),
        }
    }
}

/// How others reach a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`; empty is `vip`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Published ports; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}

/// A published port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Port in the container.
    pub target_port: u32,
    /// Port outside; 0 lets the engine choose.
    #[serde(skip_serializing_if = "is_zero_port")]
    pub published_port: u32,
    /// `ingress` or `host`.
    pub publish_mode: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_signed(value: &i64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_port(value: &u32) -> bool {
    *value == 0
}
