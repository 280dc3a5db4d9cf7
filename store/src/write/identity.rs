//! Whether a body is about the object that its address names.

use api_types::status::{Reason, Status, StatusCause};
use serde_json::{Map, Value};

use crate::registry::{Origin, ResourceVersion};
use crate::request::Target;

/// Checks `apiVersion`, `kind` and namespace of a body against its address, filling in what may be absent.
///
/// # Errors
/// The answers of a Kubernetes server for each mismatch.
pub(super) fn check_body(target: &Target, version: &ResourceVersion, body: &mut Value) -> Result<(), Status> {
    let names = &target.resource.names;
    let Some(object) = body.as_object_mut() else {
        return Err(Status::failure(
            Reason::BadRequest,
            format!("the object provided is unrecognized (must be of type {}): a JSON object is expected", names.kind),
        ));
    };
    check_kind(target, version, object)?;
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(Status::failure(Reason::BadRequest, "metadata must be an object"));
    };
    check_namespace(target, metadata)
}

fn check_kind(target: &Target, version: &ResourceVersion, object: &mut Map<String, Value>) -> Result<(), Status> {
    let names = &target.resource.names;
    if target.resource.origin == Origin::BuiltIn {
        object.entry("kind").or_insert_with(|| Value::String(names.kind.clone()));
        object.entry("apiVersion").or_insert_with(|| Value::String(version.api_version.clone()));
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    if kind.is_empty() || api_version.is_empty() {
        let missing = if kind.is_empty() { "Object 'Kind' is missing" } else { "Object 'apiVersion' is missing" };
        let shown = serde_json::to_string(object).expect("a JSON value always serialises");
        return Err(Status::failure(
            Reason::BadRequest,
            format!("the object provided is unrecognized (must be of type {}): {missing} in '{shown}'", names.kind),
        ));
    }
    if api_version != version.api_version {
        return Err(Status::failure(
            Reason::BadRequest,
            format!(
                "the API version in the data ({api_version}) does not match the expected API version ({})",
                version.api_version
            ),
        ));
    }
    if kind != names.kind {
        let wrong = api_types::status::ResourceNames { kind: kind.clone(), ..names.clone() };
        let name = object.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default();
        let cause = StatusCause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: \"{kind}\": must be {}", names.kind),
            field: "kind".to_owned(),
        };
        return Err(Status::invalid(&wrong, name, vec![cause]));
    }
    Ok(())
}

fn check_namespace(target: &Target, metadata: &mut Map<String, Value>) -> Result<(), Status> {
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !given.is_empty() && given != target.namespace {
        return Err(Status::failure(
            Reason::BadRequest,
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if target.namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::String(target.namespace.clone()));
    }
    Ok(())
}

/// Checks that the body names the object of the address; an absent name is filled in.
///
/// # Errors
/// `BadRequest` when they differ.
pub(super) fn check_name(target: &Target, body: &mut Value) -> Result<(), Status> {
    let given = body["metadata"]["name"].as_str().unwrap_or_default();
    if given.is_empty() {
        body["metadata"]["name"] = Value::String(target.name.clone());
    } else if given != target.name {
        return Err(Status::failure(
            Reason::BadRequest,
            format!("the name of the object ({given}) does not match the name on the URL ({})", target.name),
        ));
    }
    Ok(())
}
