//! One rule of a role: what it matches and what it covers.

use serde::{Deserialize, Serialize};

use crate::request::RequestInfo;

/// A rule as roles hold it (`rbac.authorization.k8s.io/v1` `PolicyRule`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs, or `*`.
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
    /// API groups, `""` for core, or `*`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources, `resource/subresource`, `*/subresource`, or `*`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names; empty matches all.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resource; a trailing `*` matches any rest. Only cluster roles may hold them.
    #[serde(rename = "nonResourceURLs", deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

impl Rule {
    /// Returns a rule over resources.
    #[must_use]
    pub fn resources(verbs: &[&str], api_groups: &[&str], resources: &[&str]) -> Self {
        Self { verbs: owned(verbs), api_groups: owned(api_groups), resources: owned(resources), ..Self::default() }
    }

    /// Returns a rule over paths.
    #[must_use]
    pub fn paths(verbs: &[&str], paths: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(paths), ..Self::default() }
    }

    /// Returns whether the rule allows `request`. Where the rule applies is the binding's business.
    #[must_use]
    pub fn matches(&self, request: &RequestInfo) -> bool {
        if !holds(&self.verbs, &request.verb) {
            return false;
        }
        if !request.is_resource {
            return self.non_resource_urls.iter().any(|pattern| path_matches(pattern, &request.path));
        }
        holds(&self.api_groups, &request.group)
            && self.resources.iter().any(|pattern| resource_matches(pattern, &request.resource, &request.subresource))
            && (self.resource_names.is_empty() || self.resource_names.contains(&request.name))
    }

    /// Returns the single grants that the rule consists of: one verb on one resource and one name, or on one path.
    pub(crate) fn atoms(&self) -> Vec<Self> {
        let mut atoms = Vec::new();
        let any_name = [None];
        let names: Vec<Option<&String>> = self.resource_names.iter().map(Some).collect();
        let names = if names.is_empty() { any_name.as_slice() } else { names.as_slice() };
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    for name in names {
                        let mut atom = Self::resources(&[verb], &[group], &[resource]);
                        atom.resource_names = name.iter().map(|name| (*name).clone()).collect();
                        atoms.push(atom);
                    }
                }
            }
            atoms.extend(self.non_resource_urls.iter().map(|path| Self::paths(&[verb], &[path])));
        }
        atoms
    }

    /// Returns whether everything that the single grant `atom` allows, this rule allows too.
    pub(crate) fn covers_atom(&self, atom: &Self) -> bool {
        let each = |wanted: &[String], own: &[String]| wanted.iter().all(|value| holds(own, value));
        if !each(&atom.verbs, &self.verbs) {
            return false;
        }
        if let Some(path) = atom.non_resource_urls.first() {
            return self.non_resource_urls.iter().any(|own| own == path || path_matches(own, path));
        }
        each(&atom.api_groups, &self.api_groups)
            && atom.resources.iter().all(|wanted| {
                let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
                self.resources.iter().any(|own| own == wanted || resource_matches(own, resource, subresource))
            })
            && (self.resource_names.is_empty()
                || (!atom.resource_names.is_empty()
                    && atom.resource_names.iter().all(|name| self.resource_names.contains(name))))
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn holds(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == "*" || value == wanted)
}

/// Returns whether a path rule matches: equal, or equal up to a trailing `*`.
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((left, right)) => !subresource.is_empty() && right == subresource && (left == "*" || left == resource),
    }
}
