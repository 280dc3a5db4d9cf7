//! The newest known version of every object that controllers care about, fed by watches and by our own writes.
//!
//! A pass that follows one of our own writes must see it, although the watch may still be on its way: so the answers of
//! writes go into the cache too. What *changed* is judged only by what the watch brought, in the watch's order, so that
//! a foreign change that our own write has overtaken is still noticed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::objects::{Change, Listing, ObjectKey, StoredObject};
use super::queue::Wake;

/// One object that changed.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which object.
    pub key: ObjectKey,
    /// The version that the watch had brought before, if any.
    pub before: Option<Arc<StoredObject>>,
    /// The new version; `None` when the object is gone.
    pub after: Option<Arc<StoredObject>>,
}

impl Difference {
    /// Returns what the change means for the object's own key.
    #[must_use]
    pub fn wake(&self) -> Wake {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if !before.differs_beyond_status(after) => Wake::Echo,
            _ => Wake::Changed,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    /// The version that the watch brought last.
    seen: Option<Arc<StoredObject>>,
    /// The newest version, which may be the answer to a write of ours.
    newest: Arc<StoredObject>,
    changed_at: u64,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    resources: HashMap<Arc<str>, HashMap<Arc<str>, Entry>>,
    synced: HashMap<Arc<str>, bool>,
    sequence: u64,
}

/// The cache of all controllers.
#[derive(Debug, Default)]
pub struct Cache {
    contents: RwLock<Contents>,
}

impl Cache {
    /// Returns the newest known version of an object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<StoredObject>> {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        Some(contents.resources.get(&key.resource)?.get(&key.key)?.newest.clone())
    }

    /// Returns a copy in which these objects are the newest: what would be known if they were written.
    #[must_use]
    pub fn with(&self, objects: Vec<Arc<StoredObject>>) -> Self {
        let mut contents = self.contents.read().unwrap_or_else(PoisonError::into_inner).clone();
        for object in objects {
            let entries = contents.resources.entry(object.key.resource.clone()).or_default();
            let entry = Entry { seen: None, newest: object.clone(), changed_at: contents.sequence };
            entries.insert(object.key.key.clone(), entry);
        }
        Self { contents: RwLock::new(contents) }
    }

    /// Returns every object of a resource, in the order of their keys.
    #[must_use]
    pub fn list(&self, resource: &str) -> Vec<Arc<StoredObject>> {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        let entries = contents.resources.get(resource).into_iter().flat_map(HashMap::values);
        let mut objects: Vec<_> = entries.map(|entry| entry.newest.clone()).collect();
        objects.sort_by(|left, right| left.key.key.cmp(&right.key.key));
        objects
    }

    /// Returns the children of an object among those of `resource`, in the order of their keys.
    #[must_use]
    pub fn children(&self, resource: &str, owner_uid: &str) -> Vec<Arc<StoredObject>> {
        let mut objects = self.list(resource);
        objects.retain(|object| object.metadata.owner_references.iter().any(|owner| owner.uid == owner_uid));
        objects
    }

    /// Returns whether the first list of a resource has arrived.
    #[must_use]
    pub fn is_synced(&self, resource: &str) -> bool {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        contents.synced.get(resource).copied().unwrap_or(false)
    }

    /// Returns a number that grows with every change that the cache takes in.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).sequence
    }

    /// Returns whether one of `keys` has come or changed since the cache had the number `sequence`.
    #[must_use]
    pub fn any_changed_since(&self, keys: &[ObjectKey], sequence: u64) -> bool {
        let contents = self.contents.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| {
            let entry = contents.resources.get(&key.resource).and_then(|entries| entries.get(&key.key));
            entry.is_some_and(|entry| entry.changed_at > sequence)
        })
    }

    /// Takes in one change from the watch; `None` if it was known.
    pub fn apply(&self, change: &Change) -> Option<Difference> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        contents.sequence += 1;
        let sequence = contents.sequence;
        let key = change.object().key.clone();
        let entries = contents.resources.entry(key.resource.clone()).or_default();
        match change {
            Change::Is(object) => apply_present(entries, key, object, sequence),
            Change::Gone(object) => apply_gone(entries, key, object.revision),
        }
    }

    /// Takes in a whole list and returns every difference: what the watch missed.
    pub fn replace(&self, resource: &Arc<str>, listing: &Listing) -> Vec<Difference> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        contents.sequence += 1;
        let sequence = contents.sequence;
        contents.synced.insert(resource.clone(), true);
        let entries = contents.resources.entry(resource.clone()).or_default();
        let mut missing: HashMap<Arc<str>, u64> =
            entries.iter().map(|(key, entry)| (key.clone(), entry.newest.revision)).collect();
        let mut differences = Vec::new();
        for object in &listing.objects {
            missing.remove(&object.key.key);
            differences.extend(apply_present(entries, object.key.clone(), object, sequence));
        }
        let mut gone: Vec<_> =
            missing.into_iter().filter(|(_, revision)| *revision <= listing.revision).map(|(key, _)| key).collect();
        gone.sort();
        for key in gone {
            let key = ObjectKey { resource: resource.clone(), key };
            differences.extend(apply_gone(entries, key, listing.revision));
        }
        differences
    }

    /// Takes in the answer to a write of ours. An object that the watch has not brought yet, or has already buried, is
    /// left to the watch.
    pub fn put_own_write(&self, object: &Arc<StoredObject>) {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        let entries = contents.resources.get_mut(&object.key.resource);
        if let Some(entry) = entries.and_then(|entries| entries.get_mut(&object.key.key))
            && entry.newest.metadata.uid == object.metadata.uid
            && entry.newest.revision < object.revision
        {
            entry.newest = object.clone();
        }
    }
}

fn apply_present(
    entries: &mut HashMap<Arc<str>, Entry>,
    key: ObjectKey,
    object: &Arc<StoredObject>,
    sequence: u64,
) -> Option<Difference> {
    let Some(entry) = entries.get_mut(&key.key) else {
        entries.insert(
            key.key.clone(),
            Entry { seen: Some(object.clone()), newest: object.clone(), changed_at: sequence },
        );
        return Some(Difference { key, before: None, after: Some(object.clone()) });
    };
    if entry.seen.as_ref().is_some_and(|seen| seen.revision >= object.revision) {
        return None;
    }
    let before = entry.seen.replace(object.clone());
    if entry.newest.revision <= object.revision {
        entry.newest = object.clone();
    }
    entry.changed_at = sequence;
    Some(Difference { key, before, after: Some(object.clone()) })
}

fn apply_gone(entries: &mut HashMap<Arc<str>, Entry>, key: ObjectKey, revision: u64) -> Option<Difference> {
    let entry = entries.get(&key.key)?;
    if entry.newest.revision > revision {
        return None;
    }
    let before = entries.remove(&key.key).and_then(|entry| entry.seen);
    Some(Difference { key, before, after: None })
}
