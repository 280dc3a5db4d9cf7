//! What a store holds from the first start on: namespaces, default roles and bindings, definitions of our kinds.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api_types::status::{Reason, Status};
use serde_json::{Value, json};
use store::registry::Resource;
use store::request::{Body, Part, Target, WriteOptions};
use store::store::Store;

use crate::authorization::defaults::{default_objects, updated_default};

/// Who writes these objects, in `managedFields`.
const MANAGER: &str = "ccd";
/// Clients expect these: kubectl works in `default` unless told otherwise, tools look into the others.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Why a store cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[error("create {what}: {status}")]
pub struct BootstrapError {
    /// Which object.
    what: String,
    /// What the store said.
    status: Box<Status>,
}

/// Makes what is missing and completes what an older program made. `definitions` are whole
/// `CustomResourceDefinition` objects; they are replaced when their spec differs.
///
/// # Errors
/// Naming the first object that the store refuses.
pub async fn prepare(store: &Store, definitions: &[Value]) -> Result<(), BootstrapError> {
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(store, &namespace, |_, _| None).await?;
    }
    for definition in definitions {
        ensure(store, definition, updated_definition).await?;
    }
    for object in default_objects() {
        ensure(store, &object, updated_default).await?;
    }
    Ok(())
}

/// Creates `wanted`, or replaces what is there by what `update` makes of both.
async fn ensure(
    store: &Store,
    wanted: &Value,
    update: impl Fn(&Value, &Value) -> Option<Value>,
) -> Result<(), BootstrapError> {
    let kind = wanted["kind"].as_str().unwrap_or_default();
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let failed = |status| BootstrapError { what: format!("{kind} {name:?}"), status: Box::new(status) };
    let resource = find(store, wanted).map_err(failed)?;
    let target = Target::new(&resource, "", name);
    let options = WriteOptions::by(MANAGER);
    if store.get(&resource, name).is_none() {
        match store.create(&target, Body::from(wanted.clone()), &options).await {
            Ok(_) => return Ok(()),
            Err(status) if status.reason == Some(Reason::AlreadyExists) => {}
            Err(status) => return Err(failed(status)),
        }
    }
    let Some(existing) = store.get(&resource, name) else { return Ok(()) };
    let Some(updated) = update(&existing.value(), wanted) else { return Ok(()) };
    store.update(&target, Part::Whole, Body::from(updated), &options).await.map(drop).map_err(failed)
}

fn find(store: &Store, object: &Value) -> Result<Arc<Resource>, Status> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = object["kind"].as_str().unwrap_or_default();
    store.registry().find_kind(group, kind).cloned().ok_or_else(|| {
        Status::failure(Reason::NotFound, format!("this program does not serve the kind {kind} of {api_version}"))
    })
}

/// Our definitions are ours: a newer program's spec replaces the older one's.
fn updated_definition(existing: &Value, wanted: &Value) -> Option<Value> {
    let mut updated = existing.clone();
    updated["spec"] = wanted["spec"].clone();
    (updated != *existing).then_some(updated)
}
