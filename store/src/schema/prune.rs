//! Dropping members that the schema does not name.

use serde_json::{Map, Value};

use super::node::{Additional, Node};
use super::path::Path;

/// So many members that are unknown, or stand twice, are named; nobody reads more.
pub(super) const COMPLAINTS_MAX: usize = 100;

/// Drops unknown members of a whole object; returns the paths of the first of them, sorted.
pub(super) fn prune(node: &Node, object: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    prune_node(node, object, Path::Root, true, &mut dropped);
    // Kubernetes reports them in this order whatever the order of the document was.
    dropped.sort_unstable();
    dropped
}

fn prune_node(node: &Node, value: &mut Value, path: Path<'_>, is_object: bool, dropped: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            drop_unknown(node, members, path, is_object || node.embedded, dropped);
            for (name, member) in members.iter_mut() {
                if (is_object || node.embedded) && name == "metadata" {
                    if let Value::Object(metadata) = member {
                        prune_metadata(metadata, Path::Member(&path, name), dropped);
                    }
                } else if let Some(schema) = node.member(name) {
                    prune_node(schema, member, Path::Member(&path, name), false, dropped);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &node.items {
                for (index, item) in items.iter_mut().enumerate() {
                    prune_node(schema, item, Path::Index(&path, index), false, dropped);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn drop_unknown(
    node: &Node,
    members: &mut Map<String, Value>,
    path: Path<'_>,
    is_object: bool,
    dropped: &mut Vec<String>,
) {
    let keeps_all = node.preserve_unknown || !matches!(node.additional, Additional::Unspecified);
    let known = |name: &str| {
        keeps_all || node.property(name).is_some() || (is_object && matches!(name, "apiVersion" | "kind" | "metadata"))
    };
    retain(members, path, dropped, known);
}

/// Removes members for which `known` is false; looks before it writes, because there rarely is one.
fn retain(members: &mut Map<String, Value>, path: Path<'_>, dropped: &mut Vec<String>, known: impl Fn(&str) -> bool) {
    if members.keys().all(|name| known(name)) {
        return;
    }
    members.retain(|name, _| {
        let keep = known(name);
        if !keep && dropped.len() < COMPLAINTS_MAX {
            dropped.push(Path::Member(&path, name).to_string());
        }
        keep
    });
}

/// Applies the fixed shape of `ObjectMeta`.
fn prune_metadata(metadata: &mut Map<String, Value>, path: Path<'_>, dropped: &mut Vec<String>) {
    const OBJECT: &[&str] = &[
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    const OWNER: &[&str] = &["apiVersion", "blockOwnerDeletion", "controller", "kind", "name", "uid"];
    const MANAGED: &[&str] = &["apiVersion", "fieldsType", "fieldsV1", "manager", "operation", "subresource", "time"];
    retain(metadata, path, dropped, |name| OBJECT.contains(&name));
    for (list, shape) in [("ownerReferences", OWNER), ("managedFields", MANAGED)] {
        let Some(Value::Array(items)) = metadata.get_mut(list) else { continue };
        let list_path = Path::Member(&path, list);
        for (index, item) in items.iter_mut().enumerate() {
            if let Value::Object(item) = item {
                retain(item, Path::Index(&list_path, index), dropped, |name| shape.contains(&name));
            }
        }
    }
}
