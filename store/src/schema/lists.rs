//! What the `x-kubernetes-*` extensions promise: items of sets and maps are unique, embedded objects are objects.

use api_types::schema::ListType;
use api_types::status::StatusCause;
use serde_json::{Map, Value};

use super::node::{Additional, Node, correlated_item};
use super::path::Path;
use super::text::{DUPLICATE, bad_value, cause, required};
use super::validate::CAUSES_MAX;

/// Longest list that is compared item by item; longer ones are compared by their text.
const COMPARED_PAIRWISE: usize = 32;

/// Collects duplicates of `set` and `map` lists, and embedded objects without `apiVersion` or `kind`.
///
/// With `ratchet`, parts that are equal in the old object are skipped.
pub(super) fn check(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    ratchet: bool,
    path: Path<'_>,
    causes: &mut Vec<StatusCause>,
) {
    if !node.lists_below || causes.len() >= CAUSES_MAX || (ratchet && old == Some(value)) {
        return;
    }
    match value {
        Value::Object(members) => {
            if node.embedded {
                embedded_identity(members, path, causes);
            }
            for (name, member) in members {
                let (schema, member_path) = match (node.property(name), &node.additional) {
                    (Some(schema), _) => (schema, Path::Member(&path, name)),
                    (None, Additional::Schema(schema)) => (schema.as_ref(), Path::Key(&path, name)),
                    (None, Additional::Unspecified | Additional::Any) => continue,
                };
                check(schema, member, old.and_then(|old| old.get(name)), ratchet, member_path, causes);
            }
        }
        Value::Array(items) => {
            match node.list_type {
                Some(ListType::Set) => duplicates(items, path, causes, Value::clone),
                Some(ListType::Map) => duplicates(items, path, causes, |item| identity(node, item)),
                Some(ListType::Atomic) | None => {}
            }
            if let Some(schema) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    let old_item = correlated_item(node, old, item);
                    check(schema, item, old_item, ratchet, Path::Index(&path, index), causes);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn embedded_identity(members: &Map<String, Value>, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    for name in ["apiVersion", "kind"] {
        let present = members.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !present {
            causes.push(required(Path::Member(&path, name), "must not be empty"));
        }
    }
}

/// Returns the members that identify an item, those that it has.
fn identity(node: &Node, item: &Value) -> Value {
    let mut keys = Map::new();
    for key in &node.list_keys {
        if let Some(value) = item.get(key) {
            keys.insert(key.clone(), value.clone());
        }
    }
    Value::Object(keys)
}

fn duplicates(items: &[Value], path: Path<'_>, causes: &mut Vec<StatusCause>, identity: impl Fn(&Value) -> Value) {
    if items.len() < 2 {
        return;
    }
    let identities: Vec<Value> = items.iter().map(identity).collect();
    let mut report = |index: usize| {
        let message = format!("Duplicate value: {}", bad_value(&identities[index]));
        causes.push(cause(DUPLICATE, Path::Index(&path, index), message));
    };
    if identities.len() <= COMPARED_PAIRWISE {
        for index in 1..identities.len() {
            if identities[..index].contains(&identities[index]) {
                report(index);
            }
        }
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(identities.len());
    for (index, identity) in identities.iter().enumerate() {
        if !seen.insert(identity.to_string()) {
            report(index);
        }
    }
}
