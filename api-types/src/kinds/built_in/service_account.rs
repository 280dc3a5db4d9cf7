//! ServiceAccount: an identity for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};

/// A whole ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// Secrets of the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub secrets: Vec<ObjectReference>,
    /// Secrets for pulling images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Kept for clients; nothing mounts tokens here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
}

/// An object by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalObjectReference {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// An object by kind, namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ObjectReference {
    /// Its `group/version`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 320))]
    pub api_version: String,
    /// Its kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub kind: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its identity.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub uid: String,
    /// The revision that is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub resource_version: String,
    /// A part of it, as `spec.containers{name}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub field_path: String,
}

/// Returns the definition.
#[must_use]
pub fn definition() -> Definition {
    built_in::<ServiceAccount>(&BuiltIn {
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        short_names: &["sa"],
        scope: Scope::Namespaced,
        description: "ServiceAccount is an identity for programs.",
        columns: vec![PrinterColumn::new("Secrets", "integer", ".secrets", "Number of secrets."), PrinterColumn::age()],
        ..BuiltIn::default()
    })
}
