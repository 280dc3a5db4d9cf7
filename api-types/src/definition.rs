//! `CustomResourceDefinition` (`apiextensions.k8s.io/v1`): how a kind is described as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Schema;

/// What a `CustomResourceDefinition` object's `spec` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["group", "names", "scope", "versions"]))]
pub struct DefinitionSpec {
    /// API group, such as `ci.coopcloud.tech`; empty for Kubernetes' core group, which only built-in kinds use.
    pub group: String,
    /// The kind's names.
    pub names: DefinitionNames,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// Every version; exactly one has `storage: true`.
    pub versions: Vec<DefinitionVersion>,
    /// Only the strategy `None` is supported: versions differ in name, not in shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
    /// Must be false: objects are always pruned to their schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_unknown_fields: Option<bool>,
}

/// The names under which a kind is served and typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["plural", "kind"]))]
pub struct DefinitionNames {
    /// Lower-case plural, the path segment: `testruns`.
    pub plural: String,
    /// Lower-case singular; defaults to the lower-cased kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub singular: Option<String>,
    /// CamelCase kind: `TestRun`.
    pub kind: String,
    /// Kind of the list; defaults to the kind followed by `List`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_kind: Option<String>,
    /// Abbreviations for the command line: `tr`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    /// Groups that `kubectl get CATEGORY` expands: `all`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// In a namespace.
    #[default]
    Namespaced,
    /// Once for the whole store.
    Cluster,
}

/// Conversion between versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Conversion {
    /// `None` is the only strategy served.
    pub strategy: String,
}

/// One version of a kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "served", "storage"]))]
pub struct DefinitionVersion {
    /// `v1alpha1`, `v1beta1`, `v1`.
    pub name: String,
    /// Whether requests for this version are answered.
    pub served: bool,
    /// Whether objects are stored with this `apiVersion`.
    pub storage: bool,
    /// Answers requests with a `Warning` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    /// The header's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecation_warning: Option<String>,
    /// The structural schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<VersionSchema>,
    /// Which subresources exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subresources: Option<Subresources>,
    /// Columns of the table that kubectl and ccctl print.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_printer_columns: Vec<PrinterColumn>,
    /// Fields that field selectors may name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectable_fields: Vec<SelectableField>,
}

/// Wraps the schema as `apiextensions.k8s.io/v1` does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VersionSchema {
    /// The root node; its type is `object`.
    #[serde(rename = "openAPIV3Schema")]
    #[schemars(schema_with = "any_object")]
    pub open_api_v3_schema: Schema,
}

/// Subresources of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Subresources {
    /// Present when `/status` is written apart from the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusSubresource>,
    /// Present when `/scale` is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleSubresource>,
}

/// The status subresource has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusSubresource {}

/// JSON paths that map `autoscaling/v1` `Scale` onto the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["specReplicasPath", "statusReplicasPath"]))]
pub struct ScaleSubresource {
    /// Path of the wanted count, below `.spec`.
    pub spec_replicas_path: String,
    /// Path of the observed count, below `.status`.
    pub status_replicas_path: String,
    /// Path of the serialised label selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector_path: Option<String>,
}

/// One column of a printed table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "type", "jsonPath"]))]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub type_: String,
    /// OpenAPI format hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Text for `kubectl get -o wide` help and documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// 0 is always shown, above 0 only with `-o wide`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Where the cell's value stands, as `.spec.version`.
    pub json_path: String,
}

/// One field that field selectors may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["jsonPath"]))]
pub struct SelectableField {
    /// As `.spec.recipeRef`.
    pub json_path: String,
}

impl PrinterColumn {
    /// Returns a column that is always shown; `type_` is `string`, `integer`, `number`, `boolean` or `date`.
    #[must_use]
    pub fn new(name: &str, type_: &str, json_path: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            type_: type_.to_owned(),
            description: Some(description.to_owned()),
            json_path: json_path.to_owned(),
            ..Self::default()
        }
    }

    /// Returns the same column, shown only with `-o wide`.
    #[must_use]
    pub fn wide(self) -> Self {
        Self { priority: Some(1), ..self }
    }

    /// Returns the column that shows how long ago an object was created.
    #[must_use]
    pub fn age() -> Self {
        Self::new("Age", "date", ".metadata.creationTimestamp", "How long ago the object was created.")
    }

    /// Returns the column that shows the status of a condition.
    #[must_use]
    pub fn condition(type_: &str) -> Self {
        let path = format!(".status.conditions[?(@.type==\"{type_}\")].status");
        Self::new(type_, "string", &path, &format!("Status of the condition {type_}."))
    }

    /// Returns the column that shows why a condition is as it is.
    #[must_use]
    pub fn reason(type_: &str) -> Self {
        let path = format!(".status.conditions[?(@.type==\"{type_}\")].reason");
        Self::new("Reason", "string", &path, &format!("Why the condition {type_} is as it is."))
    }

    /// Returns the column, shown only with `-o wide`, that shows the message of a condition.
    #[must_use]
    pub fn message(type_: &str) -> Self {
        let path = format!(".status.conditions[?(@.type==\"{type_}\")].message");
        Self::new("Message", "string", &path, &format!("What the condition {type_} says to people.")).wide()
    }
}

/// A schema may contain schemas, which a structural schema cannot say; the store checks them when it compiles them.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
