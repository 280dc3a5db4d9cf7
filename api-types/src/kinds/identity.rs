//! What exactly runs, or should: version, commit and images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One state of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// The recipe's version: a tag, or the newest tag before the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Whole commit hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// The images, one for each service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["service"]))]
    pub images: Vec<ServiceImage>,
}

/// The image of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["service"]))]
pub struct ServiceImage {
    /// The service's name in the compose file.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub service: String,
    /// The image as the compose file names it.
    #[schemars(length(max = 512))]
    pub image: String,
    /// The digest that the registry gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
}
