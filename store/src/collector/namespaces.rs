//! Emptying a namespace that is being deleted, and letting it go when nothing is left in it.

use std::sync::Arc;

use api_types::status::Status;
use serde_json::Value;

use super::{Collector, FIELD_MANAGER, Place, Work, gone_is_fine};
use crate::object::Object;
use crate::registry::{NAMESPACES, Resource};
use crate::request::{Part, Patch, Propagation, Target, WriteOptions};
use crate::state::State;

/// The finalizer that every namespace is born with, in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";

impl Collector {
    /// Looks at a namespace again, if it may have waited for an object that is gone.
    pub(super) fn look_at_namespace(&mut self, namespace: &str) {
        let is_deleting = |object: &Arc<Object>| object.is_deleting();
        if !namespace.is_empty() && self.store.state().get(NAMESPACES, namespace).is_some_and(is_deleting) {
            let place = Place { resource: Arc::from(NAMESPACES), key: Arc::from(namespace) };
            self.enqueue(Work::Object(place));
        }
    }

    /// Deletes the objects in a namespace; its finalizer goes with the last of them.
    pub(super) async fn empty_namespace(&self, state: &State, target: &Target, namespace: &str) -> Result<(), Status> {
        for (resource, object) in objects_in(state, namespace) {
            if !object.is_deleting() {
                let target = Target::new(&resource, namespace, object.name());
                self.delete(&target, &object, Propagation::Background).await?;
            }
        }
        if objects_in(&self.store.state(), namespace).is_empty() {
            let options = WriteOptions::by(FIELD_MANAGER);
            let patch = Patch::Function(Box::new(without_finalizer));
            return gone_is_fine(self.store.patch(target, Part::Finalize, &patch, &options).await.map(|_| ()));
        }
        Ok(())
    }
}

fn objects_in(state: &State, namespace: &str) -> Vec<(Arc<Resource>, Arc<Object>)> {
    let prefix = format!("{namespace}/");
    let resources = state.registry.iter().filter(|resource| resource.is_namespaced());
    resources
        .flat_map(|resource| {
            let objects = state.objects_from(&resource.key, &prefix);
            let inside = objects.take_while(|object| object.key().starts_with(&prefix));
            inside.map(|object| (resource.clone(), object.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn without_finalizer(namespace: &Value) -> Result<Value, Status> {
    let mut namespace = namespace.clone();
    if let Some(finalizers) = namespace["spec"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    Ok(namespace)
}
