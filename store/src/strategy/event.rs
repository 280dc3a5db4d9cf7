//! Events: about an object of their own namespace.

use api_types::status::StatusCause;
use serde_json::Value;

use super::cause;

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
