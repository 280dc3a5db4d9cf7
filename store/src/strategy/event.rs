//! Events: about an object of their own namespace.

use api_types::status::StatusCause;
use serde_json::{Value, json};

use super::cause;

/// Clients of core/v1 read these members without asking whether they are there.
pub(super) fn complete(value: &mut Value) {
    let Some(event) = value.as_object_mut() else { return };
    let absent = [
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("eventTime", Value::Null),
        ("reportingComponent", json!("")),
        ("reportingInstance", json!("")),
    ];
    for (name, value) in absent {
        event.entry(name).or_insert(value);
    }
}

pub(super) fn validate(value: &Value) -> Vec<StatusCause> {
    let about = value["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
    // Events about cluster-scoped objects live in `default` and name no namespace.
    let matches = if about.is_empty() { namespace == "default" } else { about == namespace };
    if matches {
        return Vec::new();
    }
    vec![cause(
        "FieldValueInvalid",
        "involvedObject.namespace",
        format!("Invalid value: \"{about}\": does not match event.namespace"),
    )]
}
