//! Structural OpenAPI v3 schemas: which fields an object has, their types, defaults, rules and merge behaviour.
//!
//! This is the subset that `apiextensions.k8s.io/v1` calls *structural*: no `$ref`, every node typed, and the
//! `x-kubernetes-*` extensions that tell validation, pruning, defaulting and server-side apply what to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One node of a structural schema (`JSONSchemaProps` of `apiextensions.k8s.io/v1`).
///
/// Every field that is absent says nothing; an empty `Schema` accepts any value only if
/// [`preserve_unknown_fields`](Self::preserve_unknown_fields) or [`int_or_string`](Self::int_or_string) says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    /// Text for people: `kubectl explain`, the documentation pages and form hints show it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Short heading; not shown by kubectl.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The JSON type; absent only together with `x-kubernetes-int-or-string` or `x-kubernetes-preserve-unknown-fields`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SchemaType>,
    /// `date-time`, `int32`, `int64`, `double`, `byte`, `duration`, `uri`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether an explicit `null` is a value (otherwise it is replaced by the default, or dropped).
    #[serde(skip_serializing_if = "is_false")]
    pub nullable: bool,
    /// The value that admission writes where the field is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values allowed.
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub enum_: Vec<Value>,
    /// Smallest number allowed (inclusive unless `exclusiveMinimum`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<serde_json::Number>,
    /// Makes `minimum` exclusive.
    #[serde(skip_serializing_if = "is_false")]
    pub exclusive_minimum: bool,
    /// Largest number allowed (inclusive unless `exclusiveMaximum`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<serde_json::Number>,
    /// Makes `maximum` exclusive.
    #[serde(skip_serializing_if = "is_false")]
    pub exclusive_maximum: bool,
    /// The number must be a multiple of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiple_of: Option<serde_json::Number>,
    /// Fewest characters (Unicode scalar values) of a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Most characters (Unicode scalar values) of a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Regular expression that a string must match somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Fewest items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    /// Most items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    /// Must stay false in structural schemas; `x-kubernetes-list-type: set` says it better.
    #[serde(skip_serializing_if = "is_false")]
    pub unique_items: bool,
    /// Fewest members of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_properties: Option<u64>,
    /// Most members of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_properties: Option<u64>,
    /// Members that must be present.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// Known members of an object. They are boxed because a map makes room for eleven at a time, and most have fewer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Box<Self>>,
    /// Schema of the members of a map with free keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<AdditionalProperties>>,
    /// Schema of a list's items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Self>>,
    /// All of these must hold (value validation only).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<Self>,
    /// At least one of these must hold (value validation only).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Self>,
    /// Exactly one of these must hold (value validation only).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Self>,
    /// This must not hold (value validation only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Self>>,
    /// Keeps members that the schema does not name.
    #[serde(rename = "x-kubernetes-preserve-unknown-fields", skip_serializing_if = "Option::is_none")]
    pub preserve_unknown_fields: Option<bool>,
    /// The value is an integer or a string.
    #[serde(rename = "x-kubernetes-int-or-string", skip_serializing_if = "is_false")]
    pub int_or_string: bool,
    /// The value is a whole object with `apiVersion`, `kind` and `metadata`.
    #[serde(rename = "x-kubernetes-embedded-resource", skip_serializing_if = "is_false")]
    pub embedded_resource: bool,
    /// How lists merge: `atomic` (default), `set` or `map`.
    #[serde(rename = "x-kubernetes-list-type", skip_serializing_if = "Option::is_none")]
    pub list_type: Option<ListType>,
    /// The members that identify an item of a `map` list.
    #[serde(rename = "x-kubernetes-list-map-keys", skip_serializing_if = "Vec::is_empty")]
    pub list_map_keys: Vec<String>,
    /// How maps merge: `granular` (default) or `atomic`.
    #[serde(rename = "x-kubernetes-map-type", skip_serializing_if = "Option::is_none")]
    pub map_type: Option<MapType>,
    /// CEL rules over this node (`self`, and `oldSelf` on updates).
    #[serde(rename = "x-kubernetes-validations", skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<ValidationRule>,
    /// Free example; published, never checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}

/// The JSON type of a schema node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaType {
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// A JSON string.
    String,
    /// A JSON number without fraction.
    Integer,
    /// Any JSON number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// `additionalProperties`: a switch or a schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a schema holds it in a box")]
pub enum AdditionalProperties {
    /// `true` accepts any member, `false` none.
    Allowed(bool),
    /// Every member must match.
    Schema(Schema),
}

/// How lists are merged by server-side apply, and what must be unique in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects, identified by their key members.
    Map,
}

/// How maps are merged by server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MapType {
    /// Member by member.
    Granular,
    /// Replaced as a whole.
    Atomic,
}

/// One CEL rule (`x-kubernetes-validations`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValidationRule {
    /// The expression; it must evaluate to a boolean. Rules that mention `oldSelf` run only on updates.
    pub rule: String,
    /// What a person reads when the rule is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A CEL expression that computes the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
    /// `FieldValueInvalid` (default), `FieldValueForbidden`, `FieldValueRequired` or `FieldValueDuplicate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Relative path of the field to blame, as `.spec.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// Makes `oldSelf` an optional, so that the rule also runs on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional_old_self: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
