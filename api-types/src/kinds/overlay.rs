//! Overlays: a small typed set of changes to a recipe's compose file, so that it can be tested where it is tested.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::DurationText;

/// Changes to the services of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name", "type", "services"],
    "x-kubernetes-validations" = [
        {
            "rule": "self.type == 'BaseRepair' || self.services.all(name, !has(self.services[name].image))",
            "message": "an Environment overlay may not change an image: what is tested would not be the recipe; use type BaseRepair to repair an old base version",
        },
        {
            "rule": "self.type != 'BaseRepair' || has(self.baseVersions)",
            "message": "a BaseRepair overlay must list in baseVersions the versions that it repairs",
        },
        {
            "rule": "self.type != 'Environment' || !has(self.baseVersions)",
            "message": "an Environment overlay applies to base and head alike: remove baseVersions, or use type BaseRepair",
        },
    ]
))]
pub struct Overlay {
    /// Short name, for messages.
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub name: String,
    /// To what it applies.
    #[serde(rename = "type")]
    pub type_: OverlayType,
    /// The versions that a `BaseRepair` repairs; it is left out for any other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "versions")]
    pub base_versions: Vec<String>,
    /// Changes by the service's name in the compose file.
    #[schemars(extend("maxProperties" = 64, "minProperties" = 1))]
    pub services: BTreeMap<String, ServiceOverlay>,
}

/// To what an overlay applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OverlayType {
    /// To base and head alike: what the test machine needs.
    #[default]
    Environment,
    /// To the base version alone: what makes an old version deployable again.
    BaseRepair,
}

/// Changes to one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceOverlay {
    /// Another image; only in a `BaseRepair`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::image")]
    pub image: Option<String>,
    /// Environment variables that are added or replaced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub env: BTreeMap<String, String>,
    /// How long a container may be unhealthy after its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_start_period: Option<DurationText>,
    /// How often health is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_interval: Option<DurationText>,
    /// How long one health check may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_timeout: Option<DurationText>,
    /// How many health checks in a row must fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub health_retries: Option<u32>,
    /// Whether an update starts the new task first or stops the old one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_order: Option<UpdateOrder>,
    /// How long a container may take to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<DurationText>,
}

/// What an update does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateOrder {
    /// Starts the new task, then stops the old one.
    StartFirst,
    /// Stops the old task, then starts the new one.
    StopFirst,
}

fn versions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::grammar::set_of(&crate::grammar::VERSION, 32)
}
