//! Role, ClusterRole, RoleBinding and ClusterRoleBinding: who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};
use crate::selector::LabelSelector;

/// API group of the four kinds.
pub const ACCESS_CONTROL_GROUP: &str = "rbac.authorization.k8s.io";

/// A whole Role or ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// What it allows; what no rule allows is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
}

/// A whole ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRole {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// What it allows; what no rule allows is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
    /// Takes the rules from other ClusterRoles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_rule: Option<AggregationRule>,
}

/// From which ClusterRoles rules are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// Those that match one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// Verbs on resources, or on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["verbs"]))]
pub struct PolicyRule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or `*`.
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub verbs: Vec<String>,
    /// API groups; the empty text is the core group, `*` all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub api_groups: Vec<String>,
    /// Plural resources, `resource/subresource`, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub resources: Vec<String>,
    /// Names; all when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_names: Vec<String>,
    /// Paths outside resources; a trailing `*` stands for anything. Only in ClusterRoles.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub non_resource_urls: Vec<String>,
}

/// A whole RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["roleRef"]))]
pub struct RoleBinding {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// Who gets the role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<Subject>,
    /// The role; it cannot be changed.
    pub role_ref: RoleReference,
}

/// Who gets a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["kind", "name"], "x-kubernetes-map-type" = "atomic"))]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// API group of the kind: empty for ServiceAccount, `rbac.authorization.k8s.io` for the others.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub api_group: String,
    /// Name.
    #[schemars(length(min = 1, max = 1024))]
    pub name: String,
    /// Namespace of a ServiceAccount.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub namespace: String,
}

/// The role of a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["kind", "name"], "x-kubernetes-map-type" = "atomic"))]
pub struct RoleReference {
    /// `rbac.authorization.k8s.io`.
    #[schemars(length(max = 253))]
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Returns the four definitions.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let role = PrinterColumn::new("Role", "string", "{.roleRef.kind}/{.roleRef.name}", "The role.");
    let base = |kind: &'static str, plural: &'static str, scope, description: &'static str| BuiltIn {
        group: ACCESS_CONTROL_GROUP,
        version: "v1",
        kind,
        plural,
        scope,
        description,
        columns: vec![PrinterColumn::age()],
        ..BuiltIn::default()
    };
    let binding = |kind, plural, scope, description| BuiltIn {
        columns: vec![role.clone(), PrinterColumn::age()],
        ..base(kind, plural, scope, description)
    };
    vec![
        built_in::<Role>(&base("Role", "roles", Scope::Namespaced, "Role allows verbs on resources of its namespace.")),
        built_in::<ClusterRole>(&base(
            "ClusterRole",
            "clusterroles",
            Scope::Cluster,
            "ClusterRole allows verbs on resources of every namespace, on cluster-scoped ones, and on paths.",
        )),
        built_in::<RoleBinding>(&binding(
            "RoleBinding",
            "rolebindings",
            Scope::Namespaced,
            "RoleBinding gives a role to people and programs in its namespace.",
        )),
        built_in::<RoleBinding>(&binding(
            "ClusterRoleBinding",
            "clusterrolebindings",
            Scope::Cluster,
            "ClusterRoleBinding gives a ClusterRole to people and programs everywhere.",
        )),
    ]
}
