//! The collector: what must go when something else has gone, or when its time is up.
//!
//! It follows every change, keeps an index from owners to dependents, and acts through the same write path as anybody.
//! Every decision is made against the present state, so doing it twice, or after a restart, does no harm:
//!
//! - all owners gone → the object is deleted; some gone → their references are dropped;
//! - finalizer `foregroundDeletion` → dependents first, then the finalizer is removed;
//! - finalizer `orphan` → dependents forget the owner, then the finalizer is removed;
//! - a definition that is being deleted → its objects first, then its cleanup finalizer is removed;
//! - a definition that waits for a name → looked at again whenever another of its group has changed;
//! - Events and finished runs → deleted when their time to live is over.
//!
//! A namespace that is being deleted is not emptied here but by its reconciler, which says in its status what remains.

mod deadlines;
mod ownership;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api_types::status::{Reason, Status};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::object::Object;
use crate::registry::{DEFINITIONS, Resource, resource_key};
use crate::request::{DeleteOptions, Part, Patch, Propagation, Target, WriteOptions};
use crate::state::{Event, EventKind, State};
use crate::store::Store;
use crate::strategy::CLEANUP_FINALIZER;
use crate::write::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
use deadlines::Deadlines;
use ownership::OwnerState;

const FIELD_MANAGER: &str = "collector";
/// How soon a failed step is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often deadlines are looked at.
const DEADLINE_PERIOD: Duration = Duration::from_secs(10);

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct CollectorOptions {
    /// How long an Event is kept after it was last seen.
    pub event_ttl: Duration,
}

impl Default for CollectorOptions {
    fn default() -> Self {
        Self { event_ttl: Duration::from_hours(1) }
    }
}

/// Identifies an object by place, not by life.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    resource: Arc<str>,
    key: Arc<str>,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    Object(Place),
    OwnerGone(String),
}

/// Follows all changes and collects; see the module's text.
pub struct Collector {
    store: Store,
    dependents: HashMap<String, HashSet<Place>>,
    owners: HashMap<Place, Vec<String>>,
    deadlines: Deadlines,
    queue: VecDeque<Work>,
    queued: HashSet<Work>,
    retry: Vec<Work>,
    revision: u64,
}

impl Collector {
    /// Returns a collector that has looked at everything there is and has all of it still to do.
    #[must_use]
    pub fn new(store: Store, options: CollectorOptions) -> Self {
        let mut collector = Self {
            store,
            dependents: HashMap::new(),
            owners: HashMap::new(),
            deadlines: Deadlines::new(options),
            queue: VecDeque::new(),
            queued: HashSet::new(),
            retry: Vec::new(),
            revision: 0,
        };
        collector.relist();
        collector
    }

    /// Collects until `cancel` fires.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut changes = self.store.changes();
        loop {
            self.collect().await;
            let wait = if self.retry.is_empty() { DEADLINE_PERIOD } else { RETRY_AFTER };
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {
                    for work in std::mem::take(&mut self.retry) {
                        self.enqueue(work);
                    }
                }
            }
        }
    }

    /// Catches up with all changes and does all that follows from them, as far as it succeeds.
    pub async fn collect(&mut self) {
        loop {
            self.catch_up();
            let now = (self.store.inner.sources.now)();
            for place in self.deadlines.due(now) {
                self.expire(&place).await;
            }
            let Some(work) = self.queue.pop_front() else { return };
            self.queued.remove(&work);
            if let Err(status) = self.reconcile(&work).await {
                if !matches!(status.reason, Some(Reason::NotFound | Reason::Conflict)) {
                    tracing::warn!(?work, %status, "collecting failed, will try again");
                }
                self.retry.push(work);
            }
        }
    }

    fn catch_up(&mut self) {
        let state = self.store.state();
        if self.revision < state.compacted {
            self.relist();
            return;
        }
        let events: Vec<Arc<Event>> = state.changes_after(self.revision).cloned().collect();
        self.revision = state.revision;
        for event in events {
            match event.kind {
                EventKind::Deleted => self.forget(&event.object),
                EventKind::Added | EventKind::Modified => self.learn(&state, &event.object),
            }
        }
    }

    fn relist(&mut self) {
        let state = self.store.state();
        self.revision = state.revision;
        self.dependents.clear();
        self.owners.clear();
        for object in state.all_objects() {
            self.learn(&state, object);
        }
    }

    fn learn(&mut self, state: &State, object: &Arc<Object>) {
        let place = Place { resource: Arc::from(object.resource()), key: Arc::from(object.key()) };
        self.unlink(&place);
        let owners: Vec<String> = object.owner_uids().into_iter().map(ToOwned::to_owned).collect();
        self.deadlines.learn(state, &place, object);
        let needs_a_look = !owners.is_empty() || (object.is_deleting() && object.has_finalizers());
        for uid in &owners {
            self.dependents.entry(uid.clone()).or_default().insert(place.clone());
        }
        if !owners.is_empty() {
            self.owners.insert(place.clone(), owners);
        }
        if needs_a_look {
            self.enqueue(Work::Object(place));
        }
        self.look_at_waiting_definitions(state, object);
    }

    fn forget(&mut self, object: &Arc<Object>) {
        let place = Place { resource: Arc::from(object.resource()), key: Arc::from(object.key()) };
        let owners = self.unlink(&place);
        self.deadlines.forget(&place);
        if self.dependents.contains_key(object.uid()) {
            self.enqueue(Work::OwnerGone(object.uid().to_owned()));
        }
        // An owner in foreground deletion may have waited for this one.
        let registry = self.store.registry();
        if !owners.is_empty() {
            for reference in ownership::references(&object.value()) {
                if let Some(place) = ownership::place_of(&registry, object.namespace(), &reference) {
                    self.enqueue(Work::Object(place));
                }
            }
        }
        self.look_at_waiting_definitions(&self.store.state(), object);
        // A definition in deletion may have waited for its last object.
        if let Some(definition) = registry.get(object.resource()).filter(|resource| !resource.names.group.is_empty()) {
            let key = Arc::from(&*resource_key(&definition.names.group, &definition.names.plural));
            self.enqueue(Work::Object(Place { resource: Arc::from(DEFINITIONS), key }));
        }
    }

    /// Looks again at the definitions that may get a name now that `object` has changed or gone.
    fn look_at_waiting_definitions(&mut self, state: &State, object: &Object) {
        if object.resource() == DEFINITIONS
            && let Some((_, group)) = object.name().split_once('.')
        {
            for key in state.registry.waiting(group) {
                self.enqueue(Work::Object(Place { resource: Arc::from(DEFINITIONS), key: key.clone() }));
            }
        }
    }

    fn unlink(&mut self, place: &Place) -> Vec<String> {
        let owners = self.owners.remove(place).unwrap_or_default();
        for uid in &owners {
            if let Some(dependents) = self.dependents.get_mut(uid) {
                dependents.remove(place);
                if dependents.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        owners
    }

    fn enqueue(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.queue.push_back(work);
        }
    }

    async fn reconcile(&mut self, work: &Work) -> Result<(), Status> {
        match work {
            Work::OwnerGone(uid) => {
                let dependents: Vec<Place> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
                for place in dependents {
                    self.enqueue(Work::Object(place));
                }
                Ok(())
            }
            Work::Object(place) => self.reconcile_object(place).await,
        }
    }

    async fn reconcile_object(&self, place: &Place) -> Result<(), Status> {
        let state = self.store.state();
        let Some(object) = state.get(&place.resource, &place.key) else { return Ok(()) };
        let Some(resource) = state.registry.get(&place.resource) else { return Ok(()) };
        let target = Target::new(resource, object.namespace(), object.name());
        if object.is_deleting() {
            return self.reconcile_deletion(&state, &target, object).await;
        }
        if &*place.resource == DEFINITIONS && state.registry.is_waiting(&place.key) {
            // Writing it as it is lets admission judge its names anew.
            self.patch(&target, &Patch::Function(Box::new(|value| Ok(value.clone())))).await?;
        }
        let value = object.value();
        match ownership::owners(&state, object.namespace(), &value) {
            OwnerState::Owned => Ok(()),
            OwnerState::AllGone => self.delete(&target, object, Propagation::Background).await,
            OwnerState::SomeGone(gone) => self.drop_references(&target, gone).await,
        }
    }

    async fn reconcile_deletion(&self, state: &State, target: &Target, object: &Object) -> Result<(), Status> {
        let value = object.value();
        let finalizers = value["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
        if has(ORPHAN_FINALIZER) {
            for (target, _) in self.dependents_of(state, object) {
                self.drop_references(&target, vec![object.uid().to_owned()]).await?;
            }
            self.remove_finalizer(target, ORPHAN_FINALIZER).await?;
        }
        if has(FOREGROUND_FINALIZER) {
            for (target, dependent) in self.dependents_of(state, object) {
                if !dependent.is_deleting() {
                    self.delete(&target, &dependent, Propagation::Foreground).await?;
                }
            }
            let left = self.dependents_of(&self.store.state(), object);
            if !left.iter().any(|(_, dependent)| ownership::blocks(&dependent.value(), object.uid())) {
                self.remove_finalizer(target, FOREGROUND_FINALIZER).await?;
            }
        }
        if has(CLEANUP_FINALIZER) && &*target.resource.key == DEFINITIONS {
            self.empty_definition(state, target, object.name()).await?;
        }
        Ok(())
    }

    /// Deletes the objects of a definition; the finalizer goes with the last of them.
    async fn empty_definition(&self, state: &State, target: &Target, name: &str) -> Result<(), Status> {
        let Some(resource) = state.registry.get(name) else {
            return self.remove_finalizer(target, CLEANUP_FINALIZER).await;
        };
        let objects: Vec<Arc<Object>> = state.objects_from(&resource.key, "").cloned().collect();
        for object in objects.iter().filter(|object| !object.is_deleting()) {
            let target = Target::new(resource, object.namespace(), object.name());
            self.delete(&target, object, Propagation::Background).await?;
        }
        if self.store.state().count(&resource.key) == 0 {
            self.remove_finalizer(target, CLEANUP_FINALIZER).await?;
        }
        Ok(())
    }

    fn dependents_of(&self, state: &State, owner: &Object) -> Vec<(Target, Arc<Object>)> {
        let places = self.dependents.get(owner.uid()).into_iter().flatten();
        places
            .filter_map(|place| {
                let object = state.get(&place.resource, &place.key)?;
                let resource: &Arc<Resource> = state.registry.get(&place.resource)?;
                let same_namespace = owner.namespace().is_empty() || owner.namespace() == object.namespace();
                (same_namespace && object.owner_uids().contains(&owner.uid()))
                    .then(|| (Target::new(resource, object.namespace(), object.name()), object.clone()))
            })
            .collect()
    }

    async fn delete(&self, target: &Target, object: &Object, propagation: Propagation) -> Result<(), Status> {
        let options = DeleteOptions {
            propagation: Some(propagation),
            uid: Some(object.uid().to_owned()),
            ..DeleteOptions::default()
        };
        gone_is_fine(self.store.delete(target, &options).await.map(|_| ()))
    }

    async fn expire(&self, place: &Place) {
        let state = self.store.state();
        let (Some(object), Some(resource)) =
            (state.get(&place.resource, &place.key), state.registry.get(&place.resource))
        else {
            return;
        };
        let target = Target::new(resource, object.namespace(), object.name());
        if let Err(status) = self.delete(&target, object, Propagation::Background).await {
            tracing::warn!(object = ?object, %status, "an expired object could not be deleted");
        }
    }

    async fn drop_references(&self, target: &Target, gone: Vec<String>) -> Result<(), Status> {
        let patch = Patch::Function(Box::new(move |value| {
            let mut value = value.clone();
            if let Some(references) = value["metadata"]["ownerReferences"].as_array_mut() {
                references.retain(|reference| !gone.iter().any(|uid| reference["uid"] == uid.as_str()));
            }
            Ok(value)
        }));
        self.patch(target, &patch).await
    }

    async fn remove_finalizer(&self, target: &Target, name: &'static str) -> Result<(), Status> {
        let patch = Patch::Function(Box::new(move |value: &Value| {
            let mut value = value.clone();
            if let Some(finalizers) = value["metadata"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != name);
            }
            Ok(value)
        }));
        self.patch(target, &patch).await
    }

    async fn patch(&self, target: &Target, patch: &Patch) -> Result<(), Status> {
        let options = WriteOptions::by(FIELD_MANAGER);
        gone_is_fine(self.store.patch(target, Part::Whole, patch, &options).await.map(|_| ()))
    }
}

/// An object that is already gone, or is another one by now, needs no collecting.
fn gone_is_fine(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if matches!(status.reason, Some(Reason::NotFound | Reason::Conflict)) => Ok(()),
        other => other,
    }
}
