//! [`MemoryObjects`]: a store in a few maps, deterministic and without threads, for simulations.
//!
//! It keeps the store's contract as far as the loop can see it: revisions, optimistic concurrency, generation, status
//! apart from the rest, finalizers, collection of orphans, watches whose history ends. One suite
//! (`conformance.rs`) runs against it and against the real store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_types::status::{Reason, ResourceNames, Status};
use async_trait::async_trait;
use ports::clock::Clock;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::{Change, Listing, ObjectKey, ObjectWatch, Objects, ServedResource, StoredObject};
use crate::runtime::events::seconds;

#[derive(Default)]
struct Contents {
    revision: u64,
    uids: u64,
    resources: HashMap<Arc<str>, Resource>,
    dependents: HashMap<String, BTreeSet<ObjectKey>>,
}

#[derive(Default)]
struct Resource {
    objects: BTreeMap<Arc<str>, Arc<StoredObject>>,
    history: VecDeque<(u64, Change)>,
    compacted: u64,
}

/// A store in memory.
pub struct MemoryObjects {
    contents: Mutex<Contents>,
    /// Not a `watch` channel: that wakes its receivers in random order, and a simulation must be the same each time.
    bell: Notify,
    clock: Arc<dyn Clock>,
    served: Vec<ServedResource>,
    history_max: usize,
}

impl MemoryObjects {
    /// Returns an empty store that serves `served` and keeps `history_max` changes of each resource for watches.
    #[must_use]
    pub fn new(served: Vec<ServedResource>, clock: Arc<dyn Clock>, history_max: usize) -> Self {
        Self { contents: Mutex::default(), bell: Notify::new(), clock, served, history_max }
    }

    /// Returns the number of objects of a resource.
    #[must_use]
    pub fn count(&self, resource: &str) -> usize {
        self.lock().resources.get(resource).map_or(0, |resource| resource.objects.len())
    }

    /// Returns the newest revision: the number of changes so far.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Returns every object of a resource in the order of their keys.
    #[must_use]
    pub fn all(&self, resource: &str) -> Vec<Arc<StoredObject>> {
        self.lock().resources.get(resource).into_iter().flat_map(|found| found.objects.values().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self, resource: &str) -> Result<ResourceNames, Status> {
        let served = self.served.iter().find(|served| &*served.resource == resource);
        let served = served.ok_or_else(|| Status::failure(Reason::NotFound, format!("{resource} is not served")))?;
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        Ok(ResourceNames { group: group.to_owned(), plural: plural.to_owned(), kind: served.kind.clone() })
    }

    fn present(&self, contents: &Contents, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        let names = self.names(&key.resource)?;
        let found = contents.resources.get(&key.resource).and_then(|resource| resource.objects.get(&key.key));
        found.cloned().ok_or_else(|| Status::not_found(&names, key.name()))
    }

    /// Replaces an object after checking the version that the writer saw.
    fn replace(
        &self,
        key: &ObjectKey,
        version: &str,
        change: impl FnOnce(&Value) -> Value,
    ) -> Result<Arc<StoredObject>, Status> {
        let mut contents = self.lock();
        let present = self.present(&contents, key)?;
        if !version.is_empty() && version != present.metadata.resource_version {
            return Err(Status::conflict(&self.names(&key.resource)?, key.name(), "the object has been modified"));
        }
        let mut value = change(&present.value);
        if value == present.value {
            return Ok(present);
        }
        if value["spec"] != present.value["spec"] {
            value["metadata"]["generation"] = Value::from(present.metadata.generation + 1);
        }
        let finalizers = value["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        let goes = present.is_being_deleted() && finalizers == 0;
        Ok(if goes { self.bury(&mut contents, key, value) } else { self.put(&mut contents, key, value) })
    }

    fn put(&self, contents: &mut Contents, key: &ObjectKey, mut value: Value) -> Arc<StoredObject> {
        contents.revision += 1;
        value["metadata"]["resourceVersion"] = Value::from(contents.revision.to_string());
        let object = Arc::new(StoredObject::new(&key.resource, value).expect("the simulation writes good metadata"));
        for owner in &object.metadata.owner_references {
            contents.dependents.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        let resource = contents.resources.entry(key.resource.clone()).or_default();
        resource.objects.insert(key.key.clone(), object.clone());
        self.tell(contents, key, Change::Is(object.clone()));
        object
    }

    fn bury(&self, contents: &mut Contents, key: &ObjectKey, mut value: Value) -> Arc<StoredObject> {
        contents.revision += 1;
        value["metadata"]["resourceVersion"] = Value::from(contents.revision.to_string());
        let object = Arc::new(StoredObject::new(&key.resource, value).expect("the simulation writes good metadata"));
        let resource = contents.resources.entry(key.resource.clone()).or_default();
        resource.objects.remove(&key.key);
        self.tell(contents, key, Change::Gone(object.clone()));
        for dependent in contents.dependents.remove(&object.metadata.uid).unwrap_or_default() {
            self.mark(contents, &dependent);
        }
        object
    }

    /// Deletes an object, or marks it when somebody must clean up first.
    fn mark(&self, contents: &mut Contents, key: &ObjectKey) {
        let found = contents.resources.get(&key.resource).and_then(|resource| resource.objects.get(&key.key)).cloned();
        let Some(object) = found else { return };
        if object.metadata.finalizers.is_empty() {
            self.bury(contents, key, object.value.clone());
        } else if !object.is_being_deleted() {
            let mut value = object.value.clone();
            value["metadata"]["deletionTimestamp"] = Value::from(seconds(self.clock.now()));
            self.put(contents, key, value);
        }
    }

    fn tell(&self, contents: &mut Contents, key: &ObjectKey, change: Change) {
        let revision = contents.revision;
        let resource = contents.resources.entry(key.resource.clone()).or_default();
        resource.history.push_back((revision, change));
        while resource.history.len() > self.history_max {
            resource.compacted = resource.history.pop_front().map_or(0, |(revision, _)| revision);
        }
        self.bell.notify_waiters();
    }

    fn changes_after(&self, resource: &str, after: u64) -> Result<Vec<Change>, Status> {
        let contents = self.lock();
        let Some(resource) = contents.resources.get(resource) else { return Ok(Vec::new()) };
        if after < resource.compacted {
            return Err(Status::failure(Reason::Expired, "the history does not reach back that far"));
        }
        let start = resource.history.partition_point(|(revision, _)| *revision <= after);
        Ok(resource.history.range(start..).map(|(_, change)| change.clone()).collect())
    }
}

/// A watch of a shared [`MemoryObjects`].
struct MemoryWatch {
    objects: Arc<MemoryObjects>,
    resource: String,
    revision: u64,
}

#[async_trait]
impl ObjectWatch for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Status> {
        loop {
            // Made before looking: a change in between rings it.
            let rung = self.objects.bell.notified();
            let changes = self.objects.changes_after(&self.resource, self.revision)?;
            if let Some(last) = changes.last() {
                self.revision = last.object().revision;
                return Ok(changes);
            }
            rung.await;
        }
    }
}

/// The store as the loop sees it; cheap to clone.
#[derive(Clone)]
pub struct SharedMemory(pub Arc<MemoryObjects>);

#[async_trait]
impl Objects for SharedMemory {
    fn served(&self) -> Vec<ServedResource> {
        self.0.served.clone()
    }

    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status> {
        self.0.names(resource)?;
        let mut objects = self.0.all(resource);
        if let Some(namespace) = namespace {
            objects.retain(|object| object.metadata.namespace == namespace);
        }
        let revision = self.0.lock().revision;
        Ok(Listing { objects, revision })
    }

    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status> {
        self.0.names(resource)?;
        self.0.changes_after(resource, after)?;
        Ok(Box::new(MemoryWatch { objects: self.0.clone(), resource: resource.to_owned(), revision: after }))
    }

    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        let contents = self.0.lock();
        self.0.present(&contents, key)
    }

    async fn create(&self, resource: &str, mut value: Value) -> Result<Arc<StoredObject>, Status> {
        let names = self.0.names(resource)?;
        let text = |name: &str| value["metadata"][name].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::new(resource, &text("namespace"), &text("name"));
        let mut contents = self.0.lock();
        if self.0.present(&contents, &key).is_ok() {
            return Err(Status::already_exists(&names, key.name()));
        }
        contents.uids += 1;
        // In the spelling of the store's: some names are made of them.
        value["metadata"]["uid"] = Value::from(format!("00000000-0000-4000-8000-{:012x}", contents.uids));
        value["metadata"]["generation"] = Value::from(1);
        value["metadata"]["creationTimestamp"] = Value::from(seconds(self.0.clock.now()));
        if let Some(members) = value.as_object_mut() {
            members.remove("status");
        }
        Ok(self.0.put(&mut contents, &key, value))
    }

    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status> {
        let version = version_of(&value).to_owned();
        self.0.replace(key, &version, |present| {
            let mut next = value;
            let metadata = &present["metadata"];
            for name in ["uid", "generation", "creationTimestamp", "deletionTimestamp", "resourceVersion"] {
                set(&mut next["metadata"], name, metadata.get(name));
            }
            let empty = next["metadata"]["finalizers"].as_array().is_some_and(Vec::is_empty);
            if empty {
                set(&mut next["metadata"], "finalizers", None);
            }
            set(&mut next, "status", present.get("status"));
            next
        })
    }

    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status> {
        self.0.replace(&object.key, &object.metadata.resource_version, |present| {
            let members = present.as_object().into_iter().flatten().filter(|(name, _)| *name != "status");
            let mut next: Map<String, Value> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
            next.insert("status".to_owned(), status);
            Value::Object(next)
        })
    }

    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status> {
        self.0.replace(key, version_of(&value), |present| {
            let mut next = present.clone();
            next["spec"]["finalizers"] = json!(value["spec"]["finalizers"]);
            next
        })?;
        Ok(())
    }

    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status> {
        let mut contents = self.0.lock();
        let present = self.0.present(&contents, key)?;
        if uid.is_some_and(|uid| uid != present.metadata.uid) {
            return Err(Status::conflict(&self.0.names(&key.resource)?, key.name(), "it is another object now"));
        }
        self.0.mark(&mut contents, key);
        Ok(())
    }
}

fn version_of(value: &Value) -> &str {
    value["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

fn set(value: &mut Value, name: &str, member: Option<&Value>) {
    let Some(members) = value.as_object_mut() else { return };
    match member {
        Some(member) => members.insert(name.to_owned(), member.clone()),
        None => members.remove(name),
    };
}
