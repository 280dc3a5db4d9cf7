//! CustomResourceDefinition: a kind as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::definition::{DefinitionNames, DefinitionSpec, PrinterColumn, Scope};
use crate::kind::Kind;

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomResourceDefinition;

impl Kind for CustomResourceDefinition {
    const GROUP: &'static str = "apiextensions.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "CustomResourceDefinition";
    const PLURAL: &'static str = "customresourcedefinitions";
    const DESCRIPTION: &'static str =
        "CustomResourceDefinition describes a kind: its names, versions, schemas and columns.";
    const SHORT_NAMES: &'static [&'static str] = &["crd", "crds"];
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const SCOPE: Scope = Scope::Cluster;
    const OBSERVES_GENERATION: bool = false;
    type Spec = DefinitionSpec;
    type Status = CustomResourceDefinitionStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![PrinterColumn::new("Created At", "string", ".metadata.creationTimestamp", "When it was created.")]
    }
}

/// What was seen of a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomResourceDefinitionStatus {
    /// `NamesAccepted`, `Established`, `Terminating`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The names under which the kind is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_names: Option<DefinitionNames>,
    /// Versions with which objects have ever been stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub stored_versions: Vec<String>,
    /// Generation of the spec that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
