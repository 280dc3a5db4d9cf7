//! JSON patch (RFC 6902), with Kubernetes' answers and limits.

use api_types::status::{Reason, Status, StatusDetails};
use json_patch::PatchOperation;
use json_patch::jsonptr::Pointer;
use serde_json::Value;

use crate::schema::{MAX_DEPTH, is_deeper_than};

/// Most operations of one patch.
const OPERATIONS_MAX: usize = 10_000;
/// Most bytes of JSON that the `copy` operations of one patch may add together; without it, copying a list into
/// itself doubles it each time.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// See [`super::json_patch`].
pub(super) fn apply(target: &Value, patch: &Value) -> Result<Value, Status> {
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return Err(super::undecodable(other, "[]handlers.jsonPatchOp")),
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(Status::failure(
            Reason::RequestEntityTooLarge,
            format!("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}", operations.len()),
        ));
    }
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(super::undecodable(other, "handlers.jsonPatchOp"));
    }
    let mut document = target.clone();
    let mut copied = 0;
    for operation in operations {
        apply_one(&mut document, operation, &mut copied).ok_or_else(rejected)?;
    }
    Ok(document)
}

/// Applies one operation; `None` means that it failed.
fn apply_one(document: &mut Value, operation: &Value, copied: &mut usize) -> Option<()> {
    if operation.get("op").and_then(Value::as_str) == Some("test") {
        return passes(document, operation).then_some(());
    }
    let operation: PatchOperation = serde_json::from_value(operation.clone()).ok()?;
    if is_too_deep(document, &operation) {
        return None;
    }
    if let PatchOperation::Copy(copy) = &operation {
        let source = copy.from.resolve(document).ok()?;
        *copied += serde_json::to_string(source).ok()?.len();
        if *copied > COPIED_BYTES_MAX {
            return None;
        }
    }
    // The patch is all or nothing because the document is thrown away when an operation fails.
    json_patch::patch_unsafe(document, std::slice::from_ref(&operation)).ok()
}

/// Returns whether an operation would nest the document too deeply. Asked before each one: copies into copies double the
/// depth, and a document that is deep enough cannot even be dropped without overrunning the stack.
fn is_too_deep(document: &Value, operation: &PatchOperation) -> bool {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(moved) => (&moved.path, moved.from.resolve(document).ok()),
        PatchOperation::Copy(copy) => (&copy.path, copy.from.resolve(document).ok()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return false,
    };
    let depth = path.count();
    // A source that does not exist is the operation's own error.
    depth > MAX_DEPTH || value.is_some_and(|value| is_deeper_than(value, MAX_DEPTH - depth))
}

/// Returns whether a `test` operation passes. What is missing equals `null`, as long as its parent exists: clients ask
/// so whether there are no finalizers yet.
fn passes(document: &Value, operation: &Value) -> bool {
    let Some(path) = operation.get("path").and_then(Value::as_str) else { return false };
    let Ok(path) = Pointer::parse(path) else { return false };
    let wanted = operation.get("value").unwrap_or(&Value::Null);
    match path.resolve(document) {
        Ok(found) => crate::fields::typed::same(found, wanted),
        Err(_) => {
            let parent = path.parent().and_then(|parent| parent.resolve(document).ok());
            wanted.is_null() && parent.is_some_and(Value::is_object)
        }
    }
}

fn rejected() -> Status {
    let mut status = Status::failure(Reason::Invalid, "the server rejected our request due to an error in our request");
    status.details = Some(StatusDetails::default());
    status
}
