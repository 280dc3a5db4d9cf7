//! STUB so that the crate compiles until the real module lands: on a merge conflict take the real one (yours) whole.
use api_types::{schema::Schema, status::Status};
use serde_json::Value;
pub struct Writer<'a> {
    pub schema: &'a Schema,
    pub api_version: &'a str,
    pub kind: &'a str,
    pub manager: &'a str,
    pub subresource: &'a str,
    pub now: &'a str,
    pub has_status_subresource: bool,
}
pub fn track_update(_w: &Writer<'_>, _old: Option<&Value>, _new: &mut Value) {}
pub fn apply(_w: &Writer<'_>, _live: Option<&Value>, p: &Value, _f: bool) -> Result<Value, Status> {
    Ok(p.clone())
}
