//! What a store holds from the first start on: namespaces, default roles and bindings, definitions of our kinds.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api_types::status::{Reason, Status};
use serde_json::{Value, json};
use store::registry::Resource;
use store::request::{Body, Part, Target, WriteOptions};
use store::store::Store;
use store::write::Transaction;

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

/// Makes what is missing and completes what an older program made, all of it together: a start that is cut short leaves
/// nothing half-made. `definitions` are whole `CustomResourceDefinition` objects; they are replaced when their spec differs.
///
/// # Errors
/// Naming the first object that the store refuses.
pub async fn prepare(store: &Store, definitions: &[Value]) -> Result<(), BootstrapError> {
    let transaction = store.transaction();
    for name in NAMESPACES {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(store, &transaction, &namespace, |_, _| None).await?;
    }
    for definition in definitions {
        ensure(store, &transaction, definition, updated_definition).await?;
    }
    for object in default_objects() {
        ensure(store, &transaction, &object, updated_default).await?;
    }
    let failed = |status| BootstrapError { what: "what every store holds".to_owned(), status: Box::new(status) };
    transaction.commit().await.map(drop).map_err(failed)
}

/// Creates `wanted` in `transaction`, or replaces what is there by what `update` makes of both.
async fn ensure(
    store: &Store,
    transaction: &Transaction,
    wanted: &Value,
    update: impl Fn(&Value, &Value) -> Option<Value>,
) -> Result<(), BootstrapError> {
    let kind = wanted["kind"].as_str().unwrap_or_default();
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let failed = |status| BootstrapError { what: format!("{kind} {name:?}"), status: Box::new(status) };
    let resource = find(store, wanted).map_err(failed)?;
    let target = Target::new(&resource, "", name);
    let options = WriteOptions::by(MANAGER);
    let added = match store.get(&resource, name) {
        None => transaction.create(&target, Body::from(wanted.clone()), &options).await,
        Some(existing) => match update(&existing.value(), wanted) {
            Some(updated) => transaction.update(&target, Part::Whole, Body::from(updated), &options).await,
            None => Ok(()),
        },
    };
    added.map_err(failed)
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
