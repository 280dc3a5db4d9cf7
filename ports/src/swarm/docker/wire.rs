//! The engine's JSON, as far as it is read, and what it becomes.
//!
//! Every field may be missing or null, and no word is taken for one of a closed list: a newer engine that says more, or
//! something else, must not blind us. Unknown states of tasks read as `new`, which never means that all is well.

use std::collections::BTreeMap;

use base64::Engine as _;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::swarm::spec::{Labels, ServiceSpec};
use crate::swarm::{
    Container, ContainerDetails, EngineEvent, EngineInfo, Image, Network, Node, STACK_LABEL, Service, StackFile,
    SwarmState, Task, TaskState, UpdateState, UpdateStatus, Volume,
};

/// Reads `null` as the type's default.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the engine's moments; its "never" is the year 1.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|moment| moment.as_second() > 0)
}

/// `{"ID": "…"}` or `{"Id": "…"}`, as answered to most creations.
#[derive(Deserialize)]
pub(super) struct Created {
    #[serde(alias = "ID", alias = "Id")]
    pub(super) id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawInfo {
    server_version: String,
    name: String,
    docker_root_dir: String,
    images: u64,
    mem_total: u64,
    #[serde(rename = "NCPU")]
    processors: u64,
    #[serde(deserialize_with = "or_default")]
    swarm: RawSwarm,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawSwarm {
    #[serde(rename = "NodeID")]
    node_id: String,
    local_node_state: String,
    control_available: bool,
    error: String,
}

impl RawInfo {
    pub(super) fn into_info(self, api_version: String) -> EngineInfo {
        let swarm = match (self.swarm.local_node_state.as_str(), self.swarm.control_available) {
            ("active", _) if !self.swarm.error.is_empty() => SwarmState::Error,
            ("active", true) => SwarmState::Manager,
            ("active", false) => SwarmState::Worker,
            ("pending", _) => SwarmState::Pending,
            ("locked", _) => SwarmState::Locked,
            ("error", _) => SwarmState::Error,
            _ => SwarmState::Inactive,
        };
        EngineInfo {
            engine_version: self.server_version,
            api_version,
            hostname: self.name,
            data_root: self.docker_root_dir,
            swarm,
            node_id: self.swarm.node_id,
            swarm_error: self.swarm.error,
            images: self.images,
            memory_bytes: self.mem_total,
            processors: self.processors,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawNode {
    #[serde(rename = "ID")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    spec: RawNodeSpec,
    #[serde(deserialize_with = "or_default")]
    description: RawNodeDescription,
    #[serde(deserialize_with = "or_default")]
    status: RawNodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNodeSpec {
    role: String,
    availability: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNodeDescription {
    hostname: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNodeStatus {
    state: String,
}

impl From<RawNode> for Node {
    fn from(raw: RawNode) -> Self {
        Self {
            id: raw.id,
            hostname: raw.description.hostname,
            state: raw.status.state,
            availability: raw.spec.availability,
            is_manager: raw.spec.role == "manager",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawVersion {
    pub(super) index: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawService {
    #[serde(rename = "ID")]
    id: String,
    version: RawVersion,
    created_at: String,
    updated_at: String,
    spec: ServiceSpec,
    previous_spec: Option<ServiceSpec>,
    update_status: Option<RawUpdateStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawUpdateStatus {
    state: String,
    started_at: String,
    completed_at: String,
    message: String,
}

impl From<RawService> for Service {
    fn from(raw: RawService) -> Self {
        let update = raw.update_status.filter(|update| !update.state.is_empty()).map(|update| UpdateStatus {
            state: UpdateState::parse(&update.state),
            started_at: moment(&update.started_at),
            completed_at: moment(&update.completed_at),
            message: update.message,
        });
        Self {
            id: raw.id,
            version: raw.version.index,
            created_at: moment(&raw.created_at),
            updated_at: moment(&raw.updated_at),
            spec: as_asked_for(raw.spec),
            previous: raw.previous_spec.map(as_asked_for),
            update,
        }
    }
}

/// Takes out what the engine puts into every spec.
fn as_asked_for(mut spec: ServiceSpec) -> ServiceSpec {
    let isolation = &mut spec.task_template.container_spec.isolation;
    if isolation == "default" {
        isolation.clear();
    }
    spec
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawTask {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "ServiceID")]
    pub(super) service_id: String,
    slot: u64,
    #[serde(rename = "NodeID")]
    node_id: String,
    created_at: String,
    desired_state: String,
    #[serde(deserialize_with = "or_default")]
    spec: RawTaskSpec,
    #[serde(deserialize_with = "or_default")]
    status: RawTaskStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawTaskSpec {
    #[serde(deserialize_with = "or_default")]
    container_spec: RawContainerSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainerSpec {
    image: String,
    #[serde(deserialize_with = "or_default")]
    labels: Labels,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawTaskStatus {
    timestamp: String,
    state: String,
    message: String,
    err: String,
    container_status: Option<RawContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainerStatus {
    #[serde(rename = "ContainerID")]
    container_id: String,
    exit_code: Option<i64>,
}

impl RawTask {
    pub(super) fn into_task(self, is_up_to_date: bool) -> Task {
        let state = task_state(&self.status.state);
        let container = self.status.container_status.unwrap_or_default();
        let mut labels = self.spec.container_spec.labels;
        Task {
            id: self.id,
            service_id: self.service_id,
            stack: labels.remove(STACK_LABEL).unwrap_or_default(),
            slot: self.slot,
            node_id: self.node_id,
            created_at: moment(&self.created_at),
            changed_at: moment(&self.status.timestamp),
            state,
            desired: task_state(&self.desired_state),
            error: self.status.err,
            message: self.status.message,
            // The engine says 0 for what still runs, and for what never had a container.
            exit_code: container.exit_code.filter(|_| state.is_terminal() && !container.container_id.is_empty()),
            container_id: container.container_id,
            image: self.spec.container_spec.image,
            is_up_to_date,
        }
    }
}

fn task_state(word: &str) -> TaskState {
    const ALL: [TaskState; 15] = [
        TaskState::New,
        TaskState::Allocated,
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Accepted,
        TaskState::Preparing,
        TaskState::Ready,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Complete,
        TaskState::Shutdown,
        TaskState::Failed,
        TaskState::Rejected,
        TaskState::Remove,
        TaskState::Orphaned,
    ];
    ALL.into_iter().find(|state| state.word() == word).unwrap_or_default()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawStackFile {
    #[serde(rename = "ID")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    spec: RawStackFileSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawStackFileSpec {
    name: String,
    #[serde(deserialize_with = "or_default")]
    labels: Labels,
    data: Option<String>,
    templating: Option<RawName>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawName {
    name: String,
}

impl From<RawStackFile> for StackFile {
    fn from(raw: RawStackFile) -> Self {
        let data = raw.spec.data.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
        Self {
            id: raw.id,
            name: raw.spec.name,
            labels: raw.spec.labels,
            data,
            is_template: raw.spec.templating.is_some_and(|driver| !driver.name.is_empty()),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawNetwork {
    id: String,
    name: String,
    driver: String,
    scope: String,
    attachable: bool,
    internal: bool,
    #[serde(rename = "IPAM", deserialize_with = "or_default")]
    ipam: RawIpam,
    #[serde(deserialize_with = "or_default")]
    labels: Labels,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawIpam {
    #[serde(deserialize_with = "or_default")]
    config: Vec<RawSubnet>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawSubnet {
    subnet: String,
}

impl From<RawNetwork> for Network {
    fn from(raw: RawNetwork) -> Self {
        // A new one of the swarm has no driver for the moment that it takes the manager to give it addresses.
        let is_new = raw.driver.is_empty() && raw.scope == "swarm";
        Self {
            id: raw.id,
            name: raw.name,
            driver: if is_new { "overlay".to_owned() } else { raw.driver },
            scope: raw.scope,
            attachable: raw.attachable,
            internal: raw.internal,
            subnets: raw.ipam.config.into_iter().map(|config| config.subnet).collect(),
            labels: raw.labels,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawVolumes {
    #[serde(deserialize_with = "or_default")]
    pub(super) volumes: Vec<RawVolume>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawVolume {
    name: String,
    driver: String,
    #[serde(deserialize_with = "or_default")]
    labels: Labels,
    #[serde(deserialize_with = "or_default")]
    options: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    usage_data: RawUsage,
}

/// How large a volume is; the engine says so only where it is asked for it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawUsage {
    size: Option<i64>,
}

impl RawVolume {
    /// Returns the name, and the size if its driver tells.
    pub(super) fn into_size(self) -> Option<(String, u64)> {
        let bytes = u64::try_from(self.usage_data.size?).ok()?;
        Some((self.name, bytes))
    }
}

impl From<RawVolume> for Volume {
    fn from(raw: RawVolume) -> Self {
        Self { name: raw.name, driver: raw.driver, labels: raw.labels, options: raw.options }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawContainer {
    id: String,
    #[serde(deserialize_with = "or_default")]
    names: Vec<String>,
    image: String,
    state: String,
    #[serde(deserialize_with = "or_default")]
    labels: Labels,
    #[serde(deserialize_with = "or_default")]
    mounts: Vec<RawMount>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawMount {
    #[serde(rename = "Type")]
    type_: String,
    name: String,
}

impl From<RawContainer> for Container {
    fn from(raw: RawContainer) -> Self {
        let volumes = raw.mounts.into_iter().filter(|mount| mount.type_ == "volume" && !mount.name.is_empty());
        Self {
            id: raw.id,
            name: raw.names.into_iter().next().unwrap_or_default().trim_start_matches('/').to_owned(),
            labels: raw.labels,
            state: raw.state,
            volumes: volumes.map(|mount| mount.name).collect(),
            image: raw.image,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawContainerDetails {
    #[serde(deserialize_with = "or_default")]
    state: RawContainerState,
    #[serde(deserialize_with = "or_default")]
    network_settings: RawNetworkSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainerState {
    status: String,
    running: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    health: Option<RawHealth>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealth {
    status: String,
    #[serde(deserialize_with = "or_default")]
    log: Vec<RawHealthResult>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealthResult {
    output: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNetworkSettings {
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, RawEndpoint>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawEndpoint {
    #[serde(rename = "IPAddress")]
    address: String,
}

impl From<RawContainerDetails> for ContainerDetails {
    fn from(raw: RawContainerDetails) -> Self {
        let has_ended = !raw.state.running && matches!(raw.state.status.as_str(), "exited" | "dead");
        let health = raw.state.health.unwrap_or_default();
        let networks = raw.network_settings.networks.into_iter();
        Self {
            is_running: raw.state.running,
            exit_code: has_ended.then_some(raw.state.exit_code),
            is_oom_killed: raw.state.oom_killed,
            health: if health.status == "none" { String::new() } else { health.status },
            health_log: health.log.into_iter().map(|result| result.output).collect(),
            addresses: networks
                .filter(|(_, endpoint)| !endpoint.address.is_empty())
                .map(|(name, endpoint)| (name, endpoint.address))
                .collect(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawImage {
    id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) repo_tags: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) repo_digests: Vec<String>,
    size: u64,
    // A number in lists, text in inspections.
    created: serde_json::Value,
}

impl From<RawImage> for Image {
    fn from(raw: RawImage) -> Self {
        let named = |names: Vec<String>| names.into_iter().filter(|name| !name.starts_with("<none>")).collect();
        Self {
            id: raw.id,
            tags: named(raw.repo_tags),
            digests: named(raw.repo_digests),
            bytes: raw.size,
            created_seconds: raw.created.as_i64().unwrap_or_default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawExec {
    pub(super) running: bool,
    pub(super) exit_code: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawDistribution {
    #[serde(deserialize_with = "or_default")]
    pub(super) descriptor: RawDescriptor,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawDescriptor {
    pub(super) digest: String,
}

/// One message of a pull.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawProgress {
    pub(super) error: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RawEvent {
    #[serde(rename = "Type")]
    type_: String,
    action: String,
    #[serde(deserialize_with = "or_default")]
    actor: RawActor,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(deserialize_with = "or_default")]
    attributes: BTreeMap<String, String>,
}

impl From<RawEvent> for EngineEvent {
    fn from(raw: RawEvent) -> Self {
        Self { kind: raw.type_, action: raw.action, id: raw.actor.id, attributes: raw.actor.attributes }
    }
}
