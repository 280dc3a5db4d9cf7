//! [`Doorbells`]: who rang, so that a Repository is polled before its time. Nothing of what was delivered is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::runtime::objects::ObjectKey;

/// Most Repositories that wait with a rung bell; the interval of polls covers for the rest.
const WAITING_MAX: usize = 10_000;

/// Rung bells. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Doorbells {
    rung: Arc<Mutex<HashMap<ObjectKey, Timestamp>>>,
}

impl Doorbells {
    /// Rings for a Repository.
    pub fn ring(&self, repository: &ObjectKey, now: Timestamp) {
        let mut rung = self.rung();
        if rung.len() < WAITING_MAX || rung.contains_key(repository) {
            rung.insert(repository.clone(), now);
        }
    }

    /// Returns when somebody rang, if that has not been answered yet.
    #[must_use]
    pub fn rung_at(&self, repository: &ObjectKey) -> Option<Timestamp> {
        self.rung().get(repository).copied()
    }

    /// Answers: what rings from now on counts anew.
    pub fn answer(&self, repository: &ObjectKey) {
        self.rung().remove(repository);
    }

    fn rung(&self) -> MutexGuard<'_, HashMap<ObjectKey, Timestamp>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
