//! What Kubernetes' own kinds do besides what their schemas say. Kinds that come from definitions do nothing here.

mod configuration;
mod definition;
pub(crate) use definition::{CLEANUP_FINALIZER, definition_of};
mod event;
mod names;
mod namespace;
mod role_binding;

use api_types::status::{Status, StatusCause};
use serde_json::Value;

use crate::commit::RegistryChange;
use crate::registry::{DEFINITIONS, EVENTS, NAMESPACES, Registry, Resource};
use crate::request::Part;

const SECRETS: &str = "secrets";
const CONFIG_MAPS: &str = "configmaps";
const ROLE_BINDINGS: [&str; 2] =
    ["rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"];

/// Completes a new object before it is defaulted and validated.
pub(crate) fn prepare_create(resource: &Resource, value: &mut Value, now: &str, registry: &Registry) {
    match &*resource.key {
        NAMESPACES => namespace::prepare_create(value),
        SECRETS => configuration::prepare_secret(value),
        DEFINITIONS => definition::prepare(value, None, Part::Whole, now, registry),
        _ => {}
    }
}

/// Completes the next version of an object before it is defaulted and validated.
pub(crate) fn prepare_update(
    resource: &Resource,
    old: &Value,
    value: &mut Value,
    part: Part,
    now: &str,
    registry: &Registry,
) {
    match &*resource.key {
        NAMESPACES => namespace::prepare_update(old, value, part),
        SECRETS => configuration::prepare_secret(value),
        DEFINITIONS => definition::prepare(value, Some(old), part, now, registry),
        _ => {}
    }
}

/// Adds what every object of this kind shows although nobody has set it, and nobody owns.
pub(crate) fn complete(resource: &Resource, value: &mut Value) {
    if &*resource.key == EVENTS {
        event::complete(value);
    }
}

/// Marks what an object of this kind shows while it is being deleted, or must wait for.
pub(crate) fn prepare_delete(resource: &Resource, value: &mut Value) {
    match &*resource.key {
        NAMESPACES => namespace::prepare_delete(value),
        DEFINITIONS => definition::prepare_delete(value),
        _ => {}
    }
}

/// Returns what is wrong with an object beyond its schema.
pub(crate) fn validate(resource: &Resource, value: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    match &*resource.key {
        SECRETS => configuration::validate_secret(value, old),
        CONFIG_MAPS => configuration::validate_config_map(value, old),
        EVENTS => event::validate(value),
        DEFINITIONS => definition::validate(value, old),
        key if ROLE_BINDINGS.contains(&key) => role_binding::validate(value, old),
        _ => Vec::new(),
    }
}

/// Refuses deletions that must never happen.
///
/// # Errors
/// `Forbidden`.
pub(crate) fn check_delete(resource: &Resource, name: &str) -> Result<(), Status> {
    if &*resource.key == NAMESPACES && namespace::PERMANENT.contains(&name) {
        return Err(Status::forbidden(&resource.names, name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Returns what storing a definition changes about the resources that are served.
///
/// # Errors
/// Every cause why the definition cannot be served.
pub(crate) fn registry_change(resource: &Resource, value: &Value) -> Result<Option<RegistryChange>, Vec<StatusCause>> {
    if &*resource.key != DEFINITIONS {
        return Ok(None);
    }
    definition_of(value).map(|definition| Some(RegistryChange::Define(definition)))
}

/// Returns what the end of a definition changes about the resources that are served.
pub(crate) fn registry_removal(resource: &Resource, value: &Value) -> Option<RegistryChange> {
    (&*resource.key == DEFINITIONS).then(|| definition::removal(value))
}

/// Returns whether nobody has to clean up before the object goes.
pub(crate) fn has_no_finalizers(resource: &Resource, value: &Value) -> bool {
    let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    is_empty(&value["metadata"]["finalizers"])
        && (&*resource.key != NAMESPACES || is_empty(&value["spec"]["finalizers"]))
}

/// Returns whether an object that is marked for deletion may go now.
pub(crate) fn may_go(resource: &Resource, value: &Value) -> bool {
    value["metadata"]["deletionTimestamp"].is_string() && has_no_finalizers(resource, value)
}

fn cause(reason: &str, field: impl Into<String>, message: impl Into<String>) -> StatusCause {
    StatusCause { reason: reason.to_owned(), message: message.into(), field: field.into() }
}
