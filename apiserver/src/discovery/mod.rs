//! Discovery: which groups, versions, resources and verbs there are, in the old form and in the aggregated one.

pub(crate) mod documents;
mod entries;

pub(crate) use entries::{Entry, Subresource, entries};

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The entries of one group by version, the preferred version first.
pub(crate) struct Group {
    pub name: String,
    pub versions: Vec<(String, Vec<Entry>)>,
}

/// Sorts entries into groups.
pub(crate) fn groups(entries: Vec<Entry>) -> Vec<Group> {
    let mut sorted: BTreeMap<String, BTreeMap<Reverse<Priority>, Vec<Entry>>> = BTreeMap::new();
    for entry in entries {
        let priority = Reverse(Priority::of(&entry.version));
        sorted.entry(entry.group.clone()).or_default().entry(priority).or_default().push(entry);
    }
    sorted
        .into_iter()
        .map(|(name, versions)| {
            let versions = versions.into_values().map(|entries| (entries[0].version.clone(), entries)).collect();
            Group { name, versions }
        })
        .collect()
}

/// The order of versions: stable before beta before alpha, high numbers before low, everything else last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Priority {
    stability: u8,
    major: u32,
    minor: u32,
    name: Reverse<String>,
}

impl Priority {
    fn of(version: &str) -> Self {
        let (stability, major, minor) = Self::parse(version).unwrap_or_default();
        Self { stability, major, minor, name: Reverse(version.to_owned()) }
    }

    fn parse(version: &str) -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        for (word, stability) in [("alpha", 1), ("beta", 2)] {
            if let Some((major, minor)) = rest.split_once(word) {
                return Some((stability, major.parse().ok()?, minor.parse().ok()?));
            }
        }
        Some((3, rest.parse().ok()?, 0))
    }
}

/// Returns the legacy list of one group's resources.
pub(crate) fn resource_list(group_version: &str, entries: &[Entry]) -> Value {
    let resources: Vec<Value> = entries.iter().flat_map(Entry::legacy).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// Returns the legacy description of one group, without `kind` and `apiVersion`.
pub(crate) fn group_description(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{}/{version}", group.name), "version": version}))
        .collect();
    json!({"name": group.name, "preferredVersion": versions[0], "versions": versions})
}

/// Returns the aggregated list of groups, in `version` of `apidiscovery.k8s.io`.
pub(crate) fn aggregated<'a>(groups: impl Iterator<Item = &'a Group>, version: &str) -> Value {
    let items: Vec<Value> = groups
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|(version, entries)| {
                    let resources: Vec<Value> = entries.iter().map(Entry::aggregated).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    })
}

#[cfg(test)]
mod tests {
    use super::Priority;

    #[test]
    fn versions_are_preferred_in_kubernetes_order() {
        let mut versions = ["v1alpha1", "foo10", "v1", "v2", "v1beta1", "v11alpha2", "v10beta3", "foo1", "v1beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(Priority::of(version)));
        let expected = ["v2", "v1", "v10beta3", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"];
        assert_eq!(versions, expected);
    }
}
