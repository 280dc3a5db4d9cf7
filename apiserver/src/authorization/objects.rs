//! Roles and bindings as the store holds them, read leniently: the store has validated them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rules::Rule;

/// The group of all four kinds.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// All roles and bindings of a moment.
#[derive(Clone, Debug, Default)]
pub struct RoleObjects {
    /// `ClusterRole`s and `Role`s; the latter have a namespace.
    pub roles: Vec<Role>,
    /// `ClusterRoleBinding`s and `RoleBinding`s; the latter have a namespace.
    pub bindings: Vec<Binding>,
}

/// A `Role` or, without a namespace, a `ClusterRole`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Name, namespace and labels.
    pub metadata: Names,
    /// What it allows.
    #[serde(deserialize_with = "null_is_default")]
    pub rules: Vec<Rule>,
    /// Takes in the rules of other cluster roles by label.
    pub aggregation_rule: Option<AggregationRule>,
}

/// A `RoleBinding` or, without a namespace, a `ClusterRoleBinding`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Binding {
    /// Name and namespace.
    pub metadata: Names,
    /// Which role.
    pub role_ref: RoleRef,
    /// For whom.
    #[serde(deserialize_with = "null_is_default")]
    pub subjects: Vec<Subject>,
}

/// The part of an object's metadata that counts here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Name.
    pub name: String,
    /// Namespace; empty for the cluster kinds.
    pub namespace: String,
    /// Labels.
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
}

/// Which role a binding gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleRef {
    /// Always `rbac.authorization.k8s.io`.
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// Whom a binding is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Of a service account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Takes in the rules of cluster roles that any of the selectors matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// Any of them.
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// `meta/v1` `LabelSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// All must be equal.
    pub match_labels: BTreeMap<String, String>,
    /// All must hold.
    pub match_expressions: Vec<LabelExpression>,
}

/// One expression of a [`LabelSelector`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelExpression {
    /// Label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl RoleObjects {
    /// Reads objects of the four kinds; others are ignored. One that cannot be read grants nothing, and is named in the
    /// answer's list of problems.
    #[must_use]
    pub fn read<'a>(objects: impl IntoIterator<Item = &'a Value>) -> (Self, Vec<String>) {
        let mut read = Self::default();
        let mut problems = Vec::new();
        for object in objects {
            let kind = object["kind"].as_str().unwrap_or_default();
            let result = match kind {
                "Role" | "ClusterRole" => Role::deserialize(object).map(|role| read.roles.push(role)),
                "RoleBinding" | "ClusterRoleBinding" => {
                    Binding::deserialize(object).map(|binding| read.bindings.push(binding))
                }
                _ => Ok(()),
            };
            if let Err(error) = result {
                problems.push(format!("{kind} {}: {error}", object["metadata"]["name"]));
            }
        }
        read.roles.sort_by(|left, right| left.metadata.key().cmp(&right.metadata.key()));
        read.bindings.sort_by(|left, right| left.metadata.key().cmp(&right.metadata.key()));
        (read, problems)
    }
}

impl Names {
    fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl LabelSelector {
    /// Returns whether the labels satisfy the selector; an unknown operator never holds.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl LabelExpression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}
