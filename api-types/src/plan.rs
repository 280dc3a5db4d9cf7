//! `AppPlan`: what converging an App would do, asked without anything being done. It is no kind: nobody stores it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::app::Deployer;

/// What converging an App would do: the `status` of an `AppPlan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPlanStatus {
    /// Name of the stack.
    pub stack: String,
    /// Name of the Host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// With what it is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployer: Option<Deployer>,
    /// The version that would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The commit that would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// A newer version that is not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_version: Option<String>,
    /// What would be done, in order.
    pub calls: Vec<PlannedCall>,
    /// Why nothing more can be said, in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// One thing that would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCall {
    /// What is done.
    pub verb: PlannedVerb,
    /// To what kind of thing: `service`, `secret`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// In what it differs from what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// What is done to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlannedVerb {
    /// It is fetched from its registry.
    Pull,
    /// A value is drawn for it.
    Generate,
    /// It is made.
    Create,
    /// It gets another spec.
    Update,
    /// What it holds is copied, while nothing uses it.
    Copy,
    /// It is removed.
    Remove,
    /// abra hands it over.
    Deploy,
}
