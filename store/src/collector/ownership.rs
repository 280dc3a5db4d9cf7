//! Who owns an object, and which of the owners are still there.

use std::sync::Arc;

use api_types::meta::OwnerReference;
use serde_json::Value;

use super::Place;
use crate::object::object_key;
use crate::registry::Registry;
use crate::state::State;

/// What became of an object's owners.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It has none, or all are there.
    Owned,
    /// Every one is gone.
    AllGone,
    /// The owners with these uids are gone, others are there.
    SomeGone(Vec<String>),
}

/// Returns the references of an object; malformed ones are left out, admission does not let them in.
pub(super) fn references(value: &Value) -> Vec<OwnerReference> {
    let references = value["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    references.iter().filter_map(|reference| serde_json::from_value(reference.clone()).ok()).collect()
}

/// Returns whether a foreground deletion of the owner `uid` waits for this object.
pub(super) fn blocks(value: &Value, uid: &str) -> bool {
    references(value).iter().any(|reference| reference.uid == uid && reference.block_owner_deletion == Some(true))
}

/// Returns where the owner would be, if its kind is served.
pub(super) fn place_of(registry: &Registry, namespace: &str, reference: &OwnerReference) -> Option<Place> {
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    let resource = registry.find_kind(group, &reference.kind)?;
    let namespace = if resource.is_namespaced() { namespace } else { "" };
    Some(Place { resource: resource.key.clone(), key: object_key(namespace, &reference.name) })
}

/// Returns which owners of an object in `namespace` are there. An owner of a kind that is not served counts as there:
/// nobody can know.
pub(super) fn owners(state: &State, namespace: &str, value: &Value) -> OwnerState {
    let references = references(value);
    let gone: Vec<String> = references
        .iter()
        .filter(|reference| is_gone(state, namespace, reference))
        .map(|reference| reference.uid.clone())
        .collect();
    if gone.is_empty() {
        OwnerState::Owned
    } else if gone.len() == references.len() {
        OwnerState::AllGone
    } else {
        OwnerState::SomeGone(gone)
    }
}

fn is_gone(state: &State, namespace: &str, reference: &OwnerReference) -> bool {
    let registry: &Arc<Registry> = &state.registry;
    let Some(place) = place_of(registry, namespace, reference) else { return false };
    state.get(&place.resource, &place.key).is_none_or(|owner| owner.uid() != reference.uid)
}
