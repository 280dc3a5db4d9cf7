//! Host: the machine and its engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::{PrinterColumn, Scope};
use crate::kind::Kind;
use crate::kinds::is_false;
use crate::meta::{GROUP, VERSION};
use crate::units::{DurationText, Quantity};

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host;

impl Kind for Host {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Host";
    const PLURAL: &'static str = "hosts";
    const DESCRIPTION: &'static str = "Host is a machine with a Docker engine: its swarm, its networks, and the floors below which nothing is started.";
    const SHORT_NAMES: &'static [&'static str] = &["ho"];
    const SCOPE: Scope = Scope::Cluster;
    type Spec = HostSpec;
    type Status = HostStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Engine", "string", ".status.engineVersion", "Version of the engine."),
            PrinterColumn::new("Swarm", "string", ".status.swarmRole", "Role in the swarm."),
            PrinterColumn::new("Nodes", "integer", ".status.nodes", "Nodes of the swarm."),
            PrinterColumn::new(
                "Disk Free",
                "string",
                ".status.disk.freeBytes",
                "Free bytes where the engine keeps its data.",
            )
            .wide(),
            PrinterColumn::new("Inodes Free", "string", ".status.disk.freeInodes", "Free inodes there.").wide(),
            PrinterColumn::new("Memory Free", "string", ".status.memory.availableBytes", "Available memory.").wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostSpec {
    /// Where the engine listens: a socket (`unix:///…`) or a machine (`ssh://user@host`).
    #[schemars(schema_with = "crate::grammar::engine")]
    pub engine: String,
    /// What is wanted of the swarm.
    pub swarm: SwarmSpec,
    /// Networks that must exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub networks: Vec<HostNetwork>,
    /// What must stay free: nothing is started that would cross a floor.
    pub floors: Floors,
    /// When images are removed. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_prune: Option<ImagePrune>,
    /// How many runs may go on at once.
    pub capacity: Capacity,
    /// Starts nothing on the host, and changes nothing there, while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

impl Default for HostSpec {
    fn default() -> Self {
        Self {
            engine: "unix:///var/run/docker.sock".to_owned(),
            swarm: SwarmSpec::default(),
            networks: Vec::new(),
            floors: Floors::default(),
            image_prune: None,
            capacity: Capacity::default(),
            suspend: false,
        }
    }
}

/// What is wanted of a swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SwarmSpec {
    /// Whether a swarm is made when there is none.
    #[serde(skip_serializing_if = "is_false")]
    pub init: bool,
    /// Address or interface that other nodes reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::host")]
    pub advertise_addr: Option<String>,
}

/// A network that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct HostNetwork {
    /// Its name, such as `proxy`.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub name: String,
    /// Its driver.
    pub driver: NetworkDriver,
    /// Whether containers outside services may join.
    pub attachable: bool,
    /// Its addresses; every service takes one for good, so make it large. The engine chooses when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::subnet")]
    pub subnet: Option<String>,
}

impl Default for HostNetwork {
    fn default() -> Self {
        Self { name: String::new(), driver: NetworkDriver::Overlay, attachable: true, subnet: None }
    }
}

/// Drivers of networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkDriver {
    /// Over all nodes of the swarm.
    #[default]
    Overlay,
    /// On this machine alone.
    Bridge,
}

/// What must stay free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Floors {
    /// Free bytes where the engine keeps its data.
    pub disk_bytes: Quantity,
    /// Free share of that disk, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub disk_percent: u8,
    /// Free share of its inodes, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub inodes_percent: u8,
    /// Available memory.
    pub memory: Quantity,
}

impl Default for Floors {
    fn default() -> Self {
        let quantity = |text| Quantity::parse(text).expect("the defaults are quantities");
        Self { disk_bytes: quantity("2Gi"), disk_percent: 5, inodes_percent: 5, memory: quantity("256Mi") }
    }
}

/// When images are removed. Volumes never are, and no image of something that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImagePrune {
    /// Removes images once the disk is used by more than this share, in percent.
    #[schemars(range(min = 1, max = 100))]
    pub above: u8,
    /// Keeps images that were used within this time.
    pub keep: DurationText,
}

impl Default for ImagePrune {
    fn default() -> Self {
        Self { above: 80, keep: DurationText::hours(24) }
    }
}

/// How much may go on at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// TestRuns that are deployed at the same time.
    #[schemars(range(min = 0, max = 1000))]
    pub runs: u32,
    /// Memory that all of them together may ask for. Absent: what is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { runs: 2, memory: None }
    }
}

/// What was seen of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Version of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub engine_version: Option<String>,
    /// Version of the engine's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub api_version: Option<String>,
    /// `Manager`, `Worker` or `Inactive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm_role: Option<SwarmRole>,
    /// Nodes of the swarm that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub nodes: Option<u32>,
    /// The disk where the engine keeps its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskState>,
    /// The machine's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryState>,
    /// The engine's images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageState>,
    /// Runs that are deployed now.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub running: u32,
    /// When the host was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub observed_at: Option<String>,
    /// `EngineReachable`, `SwarmActive`, `NetworksReady`, `DiskOk`, `InodesOk`, `MemoryOk`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Role of an engine in a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SwarmRole {
    /// It decides.
    Manager,
    /// It does what managers decide.
    Worker,
    /// It is in no swarm.
    Inactive,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskState {
    /// Where it was looked at.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub total_bytes: i64,
    /// Free for the engine, in bytes.
    #[schemars(range(min = 0))]
    pub free_bytes: i64,
    /// Inodes; 0 when the file system has no fixed number.
    #[schemars(range(min = 0))]
    pub total_inodes: i64,
    /// Free inodes.
    #[schemars(range(min = 0))]
    pub free_inodes: i64,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryState {
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub total_bytes: i64,
    /// What could be used without swapping, in bytes.
    #[schemars(range(min = 0))]
    pub available_bytes: i64,
}

/// The images of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageState {
    /// How many.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub count: u32,
    /// Their size together, in bytes.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// When they were pruned last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_pruned: Option<String>,
}
