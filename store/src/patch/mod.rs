//! The three patches that are not server-side apply: merge (RFC 7386), JSON (RFC 6902) and strategic merge.
//!
//! Pure functions from an object and a patch to the patched object, before defaulting and validation.

mod json;
mod strategic;
#[cfg(test)]
mod tests;

use api_types::schema::Schema;
use api_types::status::{Reason, Status};
use serde_json::Value;

/// Returns `target` with a merge patch applied: maps merge, `null` deletes, everything else replaces.
///
/// Callers check with [`require_object`] that the patch of a whole object is an object.
#[must_use]
pub fn merge_patch(target: &Value, patch: &Value) -> Value {
    let mut patched = target.clone();
    json_patch::merge(&mut patched, patch);
    patched
}

/// Returns `target` with a JSON patch applied, all operations or none.
///
/// # Errors
/// `BadRequest` when the patch is no list of operations, `RequestEntityTooLarge` when it has more than 10 000,
/// `Invalid` when one of them fails.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Status> {
    json::apply(target, patch)
}

/// Returns `target` with a strategic merge patch applied. Lists with identities, as `schema` says, merge item by item,
/// and so do owner references (by `uid`), finalizers and the conditions of a status (by `type`); the directives are
/// `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.
///
/// # Errors
/// `BadRequest` when the patch is not an object, an item has no identity or a directive is malformed; `Invalid` when
/// the content contradicts `$retainKeys`.
pub fn strategic_merge_patch(target: &Value, patch: &Value, schema: &Schema) -> Result<Value, Status> {
    require_object(patch)?;
    strategic::apply(target, patch, schema)
}

/// Returns the 400 for a patch document that is not an object.
///
/// # Errors
/// `BadRequest` for everything but an object.
pub fn require_object(patch: &Value) -> Result<(), Status> {
    match patch {
        Value::Object(_) => Ok(()),
        other => Err(undecodable(other, "map[string]interface {}")),
    }
}

/// Returns the 400 for a document of the wrong type, worded as Kubernetes words it.
fn undecodable(found: &Value, wanted: &str) -> Status {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Status::failure(
        Reason::BadRequest,
        format!("error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"),
    )
}
