//! Namespace: where objects with the same name live apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::definition::{PrinterColumn, Scope};
use crate::kind::Kind;

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace;

impl Kind for Namespace {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
    const PLURAL: &'static str = "namespaces";
    const DESCRIPTION: &'static str = "Namespace keeps objects with the same name apart.";
    const SHORT_NAMES: &'static [&'static str] = &["ns"];
    const CATEGORIES: &'static [&'static str] = &[];
    const SCOPE: Scope = Scope::Cluster;
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".status.phase"];
    const OBSERVES_GENERATION: bool = false;
    type Spec = NamespaceSpec;
    type Status = NamespaceStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Status", "string", ".status.phase", "The status of the namespace"),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSpec {
    /// Who must empty the namespace before it goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 316)), extend("x-kubernetes-list-type" = "atomic"))]
    pub finalizers: Vec<String>,
}

/// What was seen of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceStatus {
    /// Whether the namespace is there or going.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<NamespacePhase>,
    /// What keeps it from going.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Whether a namespace is there or going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacePhase {
    /// It takes objects.
    Active,
    /// It is being emptied and takes no more.
    Terminating,
}
