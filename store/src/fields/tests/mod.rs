//! Tests of field ownership and server-side apply.

mod conflicts;
mod golden;
mod invariants;
mod merging;
mod ownership;

use api_types::schema::Schema;
use serde_json::{Value, json};

use super::Writer;

/// The schema that the recordings were made with.
fn recipe_schema() -> Schema {
    serde_json::from_str(include_str!("recipe_schema.json")).unwrap()
}

/// A writer of the whole of a Recipe, or of one subresource of it.
fn writer<'a>(schema: &'a Schema, manager: &'a str, subresource: &'a str, now: &'a str) -> Writer<'a> {
    Writer {
        schema,
        api_version: "ci.coopcloud.tech/v1alpha1",
        kind: "Recipe",
        manager,
        subresource,
        now,
        has_status_subresource: true,
    }
}

/// A Recipe with this `spec`.
fn recipe(spec: Value) -> Value {
    json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "metadata": {"name": "a"}, "spec": spec})
}

/// The entries of an object.
fn entries(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What `manager` owns in an object; `null` when it owns nothing.
fn owned(object: &Value, manager: &str) -> Value {
    let entry = entries(object).iter().find(|entry| entry["manager"] == manager);
    entry.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}
