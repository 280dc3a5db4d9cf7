//! What the loop needs of a store: objects in, objects out, and a stream of what changed.
//!
//! [`Objects`] is a trait so that the simulation can stand between the loop and the store and lose replies, delay and
//! refuse calls, and so that a standby's writes can be fenced off ([`fenced`](crate::runtime::leader)).

pub mod besides;
pub mod memory;
pub mod store_objects;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

use api_types::meta::{ObjectMeta, OwnerReference};
use api_types::status::Status;
use async_trait::async_trait;
use serde::Deserialize as _;
use serde_json::Value;

/// Names one object: its resource and its key there.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// `plural.group`, or the plural alone for the core group.
    pub resource: Arc<str>,
    /// `namespace/name`, or the name alone for cluster-scoped objects.
    pub key: Arc<str>,
}

impl ObjectKey {
    /// Returns the key of an object; `namespace` is empty for cluster-scoped objects.
    #[must_use]
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        let key = if namespace.is_empty() { Arc::from(name) } else { Arc::from(format!("{namespace}/{name}")) };
        Self { resource: Arc::from(resource), key }
    }

    /// Returns the namespace; empty for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&*self.key, |(_, name)| name)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.resource, self.key)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One version of an object, as the store gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredObject {
    /// Which object.
    pub key: ObjectKey,
    /// The store's revision of this version; 0 if the store's answer had none.
    pub revision: u64,
    /// The parsed metadata.
    pub metadata: ObjectMeta,
    /// The whole object.
    pub value: Value,
}

impl StoredObject {
    /// Returns the object that `value` describes.
    ///
    /// # Errors
    /// Says which part of the metadata is malformed.
    pub fn new(resource: &str, value: Value) -> Result<Self, serde_json::Error> {
        let metadata = ObjectMeta::deserialize(&value["metadata"])?;
        let revision = metadata.resource_version.parse().unwrap_or(0);
        let key = ObjectKey::new(resource, &metadata.namespace, &metadata.name);
        Ok(Self { key, revision, metadata, value })
    }

    /// Returns whether somebody has asked for the object to go.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Returns whether `spec.suspend` is true.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.value["spec"]["suspend"].as_bool().unwrap_or(false)
    }

    /// Returns whether anything but the status differs from `other`, another version of the same object.
    #[must_use]
    pub fn differs_beyond_status(&self, other: &Self) -> bool {
        let (this, that) = (&self.metadata, &other.metadata);
        let metadata_differs = this.uid != that.uid
            || this.generation != that.generation
            || this.deletion_timestamp != that.deletion_timestamp
            || this.labels != that.labels
            || this.annotations != that.annotations
            || this.owner_references != that.owner_references
            || this.finalizers != that.finalizers;
        metadata_differs || members(&self.value).ne(members(&other.value))
    }

    /// Returns a reference that makes another object a child of this one.
    #[must_use]
    pub fn as_owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.value["apiVersion"].as_str().unwrap_or_default().to_owned(),
            kind: self.value["kind"].as_str().unwrap_or_default().to_owned(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten().filter(|(name, _)| *name != "metadata" && *name != "status")
}

/// All objects of a resource at one revision.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The objects, in the order of their keys.
    pub objects: Vec<Arc<StoredObject>>,
    /// The revision at which this was all: where a watch goes on.
    pub revision: u64,
}

/// One change that a watch reports.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object was created or changed and is now this.
    Is(Arc<StoredObject>),
    /// The object is gone; this was its last version, with the revision of its end.
    Gone(Arc<StoredObject>),
}

impl Change {
    /// Returns the object.
    #[must_use]
    pub fn object(&self) -> &Arc<StoredObject> {
        match self {
            Self::Is(object) | Self::Gone(object) => object,
        }
    }
}

/// A resource that the store serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedResource {
    /// `plural.group`, or the plural alone for the core group.
    pub resource: Arc<str>,
    /// `group/version` that objects are stored with.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

/// A running watch.
#[async_trait]
pub trait ObjectWatch: Send {
    /// Waits for changes and returns at least one, in the order in which they happened. Cancel safe.
    ///
    /// # Errors
    /// `Expired` when the history no longer reaches back far enough: list again. Anything else: watch again.
    async fn next(&mut self) -> Result<Vec<Change>, Status>;
}

/// Objects in, objects out.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Returns the resources that are served at present.
    fn served(&self) -> Vec<ServedResource>;

    /// Returns every object of a resource; of one namespace if one is given.
    ///
    /// # Errors
    /// `NotFound` when the resource is not served.
    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status>;

    /// Begins a watch of everything that changes after a revision.
    ///
    /// # Errors
    /// `Expired` when the history does not reach back that far; `NotFound` when the resource is not served.
    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status>;

    /// Returns the newest version of an object.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status>;

    /// Creates an object and returns it as stored.
    ///
    /// # Errors
    /// `AlreadyExists`, `Invalid`, `Forbidden` (its namespace is going) and the like.
    async fn create(&self, resource: &str, value: Value) -> Result<Arc<StoredObject>, Status>;

    /// Replaces everything but the status; a `resourceVersion` in the metadata must be the newest.
    ///
    /// # Errors
    /// `Conflict` when it is not, `NotFound`, `Invalid`.
    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status>;

    /// Replaces the status and nothing else, if `object` is still the newest version.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status>;

    /// Replaces a Namespace's `spec.finalizers` (the `finalize` subresource); with the last one and no finalizer left
    /// in the metadata the namespace goes.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status>;

    /// Asks for an object to go: it goes at once unless it has finalizers. With `uid`, only that very object.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when another object has the name now.
    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status>;
}
