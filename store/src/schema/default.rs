//! Filling in defaults, and what becomes of `null`.

use serde_json::{Map, Value};

use super::node::Node;

/// Fills defaults of a whole object.
pub(super) fn default(node: &Node, object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        // Typed metadata has no nulls: Go reads null as absent and writes absent.
        drop_nulls(metadata, |_| true);
    }
    default_below(node, object);
}

/// Fills defaults of a part of an object.
pub(super) fn default_below(node: &Node, value: &mut Value) {
    match value {
        Value::Object(members) => default_members(node, members),
        Value::Array(items) => {
            if let Some(schema) = &node.items {
                for item in items {
                    if item.is_null()
                        && !schema.nullable
                        && let Some(default) = &schema.default
                    {
                        *item = default.clone();
                    }
                    default_below(schema, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn default_members(node: &Node, members: &mut Map<String, Value>) {
    // Null first, so that a dropped null is filled like an absent member.
    drop_nulls(members, |name| node.member(name).is_some_and(|schema| !schema.nullable && schema.default.is_none()));
    if node.defaults_below {
        for (name, schema) in &node.properties {
            let Some(default) = &schema.default else { continue };
            match members.get_mut(name) {
                Some(member) if member.is_null() && !schema.nullable => *member = default.clone(),
                Some(_) => {}
                None => {
                    members.insert(name.clone(), default.clone());
                }
            }
        }
    }
    for (name, member) in members.iter_mut() {
        if let Some(schema) = node.member(name) {
            if member.is_null()
                && !schema.nullable
                && let Some(default) = &schema.default
            {
                *member = default.clone();
            }
            default_below(schema, member);
        }
    }
}

fn drop_nulls(members: &mut Map<String, Value>, droppable: impl Fn(&str) -> bool) {
    if members.iter().any(|(name, member)| member.is_null() && droppable(name)) {
        members.retain(|name, member| !(member.is_null() && droppable(name)));
    }
}
