//! The scale subresource: a `Scale` object stands for one field of its parent.
//!
//! Ownership is kept on the parent only. A scale request becomes a write of the parent's replicas field with
//! `subresource: "scale"`, so that [`super::track_update`] and [`super::apply()`] need no entries of their own for it.

use serde_json::{Map, Value};

/// Returns the configuration of `parent` that says what an applied `Scale` says: its type, its name and, at
/// `replicas_path` (as `.spec.replicas`), the wanted count. A `Scale` without `spec.replicas` claims nothing.
#[must_use]
pub fn configuration_for_parent(parent: &Value, replicas_path: &str, scale: &Value) -> Value {
    let mut metadata = Map::new();
    for name in ["name", "namespace", "uid", "resourceVersion"] {
        if let Some(value) = scale.get("metadata").and_then(|metadata| metadata.get(name)) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    let mut configuration = Map::new();
    for name in ["apiVersion", "kind"] {
        configuration.insert(name.to_owned(), parent.get(name).cloned().unwrap_or_default());
    }
    configuration.insert("metadata".to_owned(), Value::Object(metadata));
    let Some(replicas) = scale.get("spec").and_then(|spec| spec.get("replicas")) else {
        return Value::Object(configuration);
    };
    let mut value = replicas.clone();
    let steps: Vec<&str> = replicas_path.split('.').filter(|step| !step.is_empty()).collect();
    for step in steps.iter().skip(1).rev() {
        let mut around = Map::new();
        around.insert((*step).to_owned(), value);
        value = Value::Object(around);
    }
    if let Some(first) = steps.first() {
        configuration.insert((*first).to_owned(), value);
    }
    Value::Object(configuration)
}
