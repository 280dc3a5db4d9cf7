//! [`StoreObjects`]: the embedded store as the loop sees it.

use std::sync::Arc;

use api_types::status::{Reason, Status};
use async_trait::async_trait;
use serde_json::{Value, json};
use store::list::{ListAt, ListRequest};
use store::object::Object;
use store::registry::{NAMESPACES, Resource};
use store::request::{Body, DeleteOptions, Part, Target, WriteOptions};
use store::selector::Selector;
use store::state::EventKind;
use store::store::Store;
use store::watch::{Watch, WatchItem, WatchRequest, WatchStart};

use super::{Change, Listing, ObjectKey, ObjectWatch, Objects, ServedResource, StoredObject};

/// Who writes, in `managedFields`.
const FIELD_MANAGER: &str = "ccd";

/// The embedded store as the loop sees it.
#[derive(Clone)]
pub struct StoreObjects {
    store: Store,
}

impl StoreObjects {
    /// Wraps a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    fn resource(&self, resource: &str) -> Result<Arc<Resource>, Status> {
        self.store.registry().get(resource).cloned().ok_or_else(|| {
            Status::failure(Reason::NotFound, format!("the server does not have a resource type \"{resource}\""))
        })
    }

    fn target(&self, key: &ObjectKey) -> Result<Target, Status> {
        Ok(Target::new(&self.resource(&key.resource)?, key.namespace(), key.name()))
    }

    async fn write(&self, key: &ObjectKey, part: Part, value: Value) -> Result<Arc<StoredObject>, Status> {
        let target = self.target(key)?;
        let written = self.store.update(&target, part, Body::from(value), &WriteOptions::by(FIELD_MANAGER)).await?;
        stored(&written.object)
    }
}

struct StoreWatch {
    watch: Watch,
}

#[async_trait]
impl ObjectWatch for StoreWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Status> {
        let items = self.watch.next().await?;
        let changes = items.into_iter().filter_map(|item| match item {
            WatchItem::Change(change) => Some(change),
            WatchItem::Synced(_) => None,
        });
        changes
            .map(|change| {
                let object = stored(&change.object)?;
                Ok(if change.kind == EventKind::Deleted { Change::Gone(object) } else { Change::Is(object) })
            })
            .collect()
    }
}

#[async_trait]
impl Objects for StoreObjects {
    fn served(&self) -> Vec<ServedResource> {
        let registry = self.store.registry();
        let served = registry.iter().map(|resource| ServedResource {
            resource: resource.key.clone(),
            api_version: resource.storage_version().api_version.clone(),
            kind: resource.names.kind.clone(),
            namespaced: resource.is_namespaced(),
        });
        served.collect()
    }

    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status> {
        let list = self.store.list(&ListRequest {
            resource: self.resource(resource)?,
            namespace: namespace.map(ToOwned::to_owned),
            selector: Selector::default(),
            limit: 0,
            at: ListAt::Latest,
        })?;
        let objects = list.objects.iter().map(|object| stored(object)).collect::<Result<_, _>>()?;
        Ok(Listing { objects, revision: list.revision })
    }

    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status> {
        let watch = self.store.watch(WatchRequest {
            resource: self.resource(resource)?,
            namespace: None,
            selector: Selector::default(),
            start: WatchStart::After(after),
        })?;
        Ok(Box::new(StoreWatch { watch }))
    }

    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        let resource = self.resource(&key.resource)?;
        match self.store.get(&resource, &key.key) {
            Some(object) => stored(&object),
            None => Err(Status::not_found(&resource.names, key.name())),
        }
    }

    async fn create(&self, resource: &str, value: Value) -> Result<Arc<StoredObject>, Status> {
        let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let target = Target::new(&self.resource(resource)?, &namespace, "");
        let written = self.store.create(&target, Body::from(value), &WriteOptions::by(FIELD_MANAGER)).await?;
        stored(&written.object)
    }

    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.write(key, Part::Whole, value).await
    }

    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status> {
        // The store takes nothing else from the body of a status.
        let mut metadata = json!({"name": object.metadata.name, "resourceVersion": object.metadata.resource_version});
        if !object.metadata.namespace.is_empty() {
            metadata["namespace"] = Value::from(object.metadata.namespace.as_str());
        }
        let (api_version, kind) = (&object.value["apiVersion"], &object.value["kind"]);
        let body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": status});
        self.write(&object.key, Part::Status, body).await
    }

    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status> {
        debug_assert_eq!(&*key.resource, NAMESPACES, "only namespaces have the finalize subresource");
        self.write(key, Part::Finalize, value).await.map(|_| ())
    }

    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status> {
        let options = DeleteOptions { uid: uid.map(ToOwned::to_owned), ..DeleteOptions::default() };
        self.store.delete(&self.target(key)?, &options).await.map(|_| ())
    }
}

fn stored(object: &Object) -> Result<Arc<StoredObject>, Status> {
    let stored = StoredObject::new(object.resource(), object.value()).map_err(|error| {
        Status::failure(Reason::InternalError, format!("{object:?} has metadata that cannot be read: {error}"))
    })?;
    Ok(Arc::new(stored))
}
