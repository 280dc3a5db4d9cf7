//! What the owner of a recipe permits stacks of untrusted authors besides what everybody may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stacks of untrusted authors may do besides what everybody may. Without it, whatever reaches beyond the stack
/// is refused; `docs/recipes.md` has the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Allow {
    /// Paths of the host that may be mounted, each with everything below it; with `:ro` behind it for reading only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 1024), regex(pattern = r"^/[^\x00\n:]*(:ro)?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub host_binds: Vec<String>,
    /// Drivers that volumes may have, with any options; `local` permits options of the local driver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub volume_drivers: Vec<String>,
    /// External networks that may be joined, besides the proxy's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub networks: Vec<String>,
    /// Names of secrets, configs and volumes that may be used though they do not begin with the stack's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub names: Vec<String>,
    /// Capabilities that may be added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Z0-9_]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub capabilities: Vec<String>,
    /// Kernel parameters that may be set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = r"^[a-z0-9_]+(\.[a-z0-9_-]+)+$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub sysctls: Vec<String>,
    /// Ports that may be published on the host; 0 permits ports that the engine chooses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(range(min = 0, max = 65535)), extend("x-kubernetes-list-type" = "set"))]
    pub ports: Vec<u16>,
    /// Domains that routers may answer for, besides the run's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "domains")]
    pub hosts: Vec<String>,
    /// What is permitted as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub options: Vec<AllowOption>,
}

/// Something that is permitted as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AllowOption {
    /// Tasks on every node.
    GlobalMode,
    /// Placement on nodes of its choice.
    Placement,
    /// More than three tasks of a service, and more than 24 services.
    ManyReplicas,
    /// Times of any length, and health checks more often than once a second.
    AnyTimes,
    /// Limits of processes beyond the usual.
    Ulimits,
    /// Drivers, options and subnets of networks.
    NetworkOptions,
    /// Further names on networks that it shares with others.
    Aliases,
    /// Routers of any kind, name and host.
    Routers,
    /// Images from private registries, with the credentials of `imagePullSecrets`.
    PullSecrets,
}

fn names(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::grammar::set_of(&crate::grammar::SWARM_NAME, 32)
}

fn domains(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::grammar::set_of(&crate::grammar::DOMAIN, 32)
}
