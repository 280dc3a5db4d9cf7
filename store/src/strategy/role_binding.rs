//! Role bindings: whom they bind may change, to what may not.

use api_types::status::StatusCause;
use serde_json::Value;

use super::cause;

pub(super) fn validate(value: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    match old {
        Some(old) if old["roleRef"] != value["roleRef"] => {
            let message = format!("Invalid value: {}: cannot change roleRef", value["roleRef"]);
            vec![cause("FieldValueInvalid", "roleRef", message)]
        }
        _ => Vec::new(),
    }
}
