//! STUB so that the crate compiles until the real module lands: on a merge conflict take the real one (yours) whole.
use api_types::{schema::Schema, status::Status};
use serde_json::Value;
pub fn merge_patch(t: &Value, p: &Value) -> Value {
    let mut value = t.clone();
    json_patch::merge(&mut value, p);
    value
}
pub fn json_patch(_t: &Value, p: &Value) -> Result<Value, Status> {
    Ok(p.clone())
}
pub fn strategic_merge_patch(_t: &Value, p: &Value, _s: &Schema) -> Result<Value, Status> {
    Ok(p.clone())
}
