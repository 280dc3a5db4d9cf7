//! Who waits for whom: from an object to the keys whose objects name it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::objects::ObjectKey;

/// An index over "this key names those objects", readable backwards.
#[derive(Debug, Default)]
pub struct References {
    named_by: HashMap<ObjectKey, BTreeSet<Arc<str>>>,
    names: HashMap<Arc<str>, Vec<ObjectKey>>,
}

impl References {
    /// Replaces what `key` names.
    pub fn set(&mut self, key: &Arc<str>, objects: Vec<ObjectKey>) {
        if self.names.get(key).map(Vec::as_slice).unwrap_or_default() == objects {
            return;
        }
        for old in self.names.remove(key).unwrap_or_default() {
            if let Some(keys) = self.named_by.get_mut(&old) {
                keys.remove(key);
                if keys.is_empty() {
                    self.named_by.remove(&old);
                }
            }
        }
        for object in &objects {
            self.named_by.entry(object.clone()).or_default().insert(key.clone());
        }
        if !objects.is_empty() {
            self.names.insert(key.clone(), objects);
        }
    }

    /// Returns the keys that name `object`, in order.
    pub fn dependents(&self, object: &ObjectKey) -> impl Iterator<Item = &Arc<str>> {
        self.named_by.get(object).into_iter().flatten()
    }
}
