//! ConfigMap: settings that are no secrets.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};

/// A whole ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// Texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "byte"}))]
    pub binary_data: BTreeMap<String, String>,
    /// Whether the data can never be changed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// Returns the definition.
#[must_use]
pub fn definition() -> Definition {
    built_in::<ConfigMap>(&BuiltIn {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        short_names: &["cm"],
        scope: Scope::Namespaced,
        description: "ConfigMap holds settings that are no secrets.",
        columns: vec![PrinterColumn::new("Data", "integer", ".data", "Number of entries."), PrinterColumn::age()],
        ..BuiltIn::default()
    })
}
