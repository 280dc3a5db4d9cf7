//! Namespaces: born with the finalizer that empties them, and three of them for ever.

use serde_json::{Value, json};

use crate::request::Part;

/// Namespaces that clients take for granted.
pub(super) const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) fn prepare_create(value: &mut Value) {
    label_with_name(value);
    value["spec"] = json!({"finalizers": ["kubernetes"]});
    value["status"] = json!({"phase": "Active"});
}

pub(super) fn prepare_update(old: &Value, value: &mut Value, part: Part) {
    if part != Part::Finalize {
        value["spec"] = old["spec"].clone();
    }
    label_with_name(value);
}

pub(super) fn prepare_delete(value: &mut Value) {
    value["status"]["phase"] = Value::from("Terminating");
}

fn label_with_name(value: &mut Value) {
    let name = value["metadata"]["name"].clone();
    if !value["metadata"]["labels"].is_object() {
        value["metadata"]["labels"] = json!({});
    }
    value["metadata"]["labels"][NAME_LABEL] = name;
}
