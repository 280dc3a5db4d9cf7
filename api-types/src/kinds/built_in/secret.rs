//! Secret: what nobody may read but those who need it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};

/// A whole Secret. It has no `Debug`: nothing prints it by accident.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "byte"}))]
    pub data: BTreeMap<String, String>,
    /// Texts that are put into `data`; never returned.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, String>,
    /// What it is for; `Opaque` when absent.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub type_: String,
    /// Whether the data can never be changed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// Returns the definition.
#[must_use]
pub fn definition() -> Definition {
    built_in::<Secret>(&BuiltIn {
        group: "",
        version: "v1",
        kind: "Secret",
        plural: "secrets",
        scope: Scope::Namespaced,
        description: "Secret holds what nobody may read but those who need it. Values are encrypted at rest.",
        columns: vec![
            PrinterColumn::new("Type", "string", ".type", "What it is for."),
            PrinterColumn::new("Data", "integer", ".data", "Number of entries."),
            PrinterColumn::age(),
        ],
        selectable_fields: &[".type"],
        ..BuiltIn::default()
    })
}
