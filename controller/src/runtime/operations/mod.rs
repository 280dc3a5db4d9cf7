//! [`Operations`]: long work inside ccd that is never awaited in a pass: it is started under a computed id and looked
//! at again.
//!
//! ```text
//!   Absent ──start──► Running ──ends──► Done(result) ──forget──► Absent
//!                        └──cancel, restart of ccd──► Absent
//! ```
//!
//! For requests to the engine, the forge or the app under test: whatever is a future and may be begun again after a
//! restart. Programs are [`ports::jobs`], which outlive a restart; effects that must happen once are announced in the
//! [`journal`](super::journal) as well.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::manager::Bell;
use super::objects::ObjectKey;
use super::outcome::{Failure, TIMED_OUT};

#[cfg(test)]
mod tests;

/// What has become of an operation.
#[derive(Clone, Debug)]
pub enum OperationState {
    /// It was never started, was forgotten or cancelled, or ccd was started again since.
    Absent,
    /// It goes on, for so long already.
    Running(Duration),
    /// It has ended.
    Done(Result<Value, Failure>),
}

/// Work that goes on beside the passes. Cheap to clone; all clones share the same operations.
#[derive(Clone, Default)]
pub struct Operations {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    entries: Mutex<HashMap<String, Entry>>,
    bell: OnceLock<Bell>,
}

struct Entry {
    owner: ObjectKey,
    started: Instant,
    progress: Progress,
}

enum Progress {
    Running(AbortHandle),
    Done(Result<Value, Failure>),
}

impl Operations {
    /// Says whom to wake when an operation ends. Without a bell, owners see it at their next pass.
    pub fn set_bell(&self, bell: Bell) {
        // The first bell stays: there is one manager.
        let _ = self.shared.bell.set(bell);
    }

    /// Starts `work` for `owner` under `id`, unless an operation with this id is there already, in whatever state. It
    /// ends with a `Retryable` failure of the reason `TimedOut` after `limit`; a panic becomes a `Bug`.
    pub fn start<Work>(&self, id: &str, owner: &ObjectKey, limit: Duration, work: Work)
    where
        Work: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let mut entries = self.entries();
        if entries.contains_key(id) {
            return;
        }
        let (shared, key) = (Arc::downgrade(&self.shared), id.to_owned());
        let task = tokio::spawn(async move {
            let guarded = AssertUnwindSafe(tokio::time::timeout(limit, work)).catch_unwind();
            let result = match guarded.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(timed_out(&key, limit)),
                Err(_) => Err(Failure::bug(format!("the operation {key} panicked; ccd's log has the message"))),
            };
            if let Some(shared) = shared.upgrade() {
                shared.ended(&key, result);
            }
        });
        let entry =
            Entry { owner: owner.clone(), started: Instant::now(), progress: Progress::Running(task.abort_handle()) };
        entries.insert(id.to_owned(), entry);
    }

    /// Returns what has become of an operation.
    #[must_use]
    pub fn state(&self, id: &str) -> OperationState {
        match self.entries().get(id) {
            None => OperationState::Absent,
            Some(Entry { started, progress: Progress::Running(_), .. }) => OperationState::Running(started.elapsed()),
            Some(Entry { progress: Progress::Done(result), .. }) => OperationState::Done(result.clone()),
        }
    }

    /// Forgets an operation; one that runs is cut off at its present await.
    pub fn forget(&self, id: &str) {
        if let Some(entry) = self.entries().remove(id) {
            entry.cut_off();
        }
    }

    /// Forgets every operation of `owner`; those that run are cut off.
    pub fn forget_all(&self, owner: &ObjectKey) {
        self.entries().retain(|_, entry| {
            let stays = entry.owner != *owner;
            if !stays {
                entry.cut_off();
            }
            stays
        });
    }

    /// Forgets the operations of `owner` that have ended. Those that run go on.
    pub fn forget_ended(&self, owner: &ObjectKey) {
        let has_ended = |entry: &Entry| matches!(entry.progress, Progress::Done(_));
        self.entries().retain(|_, entry| entry.owner != *owner || !has_ended(entry));
    }

    /// Asks for a pass over an object without any operation having ended: something that it waits for may have come.
    pub fn ring(&self, owner: &ObjectKey) {
        if let Some(bell) = self.shared.bell.get() {
            bell.ring(owner);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn cut_off(&self) {
        if let Progress::Running(task) = &self.progress {
            task.abort();
        }
    }
}

impl Shared {
    fn ended(&self, id: &str, result: Result<Value, Failure>) {
        let owner = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(entry) = entries.get_mut(id) else { return };
            entry.progress = Progress::Done(result);
            entry.owner.clone()
        };
        if let Some(bell) = self.bell.get() {
            bell.ring(&owner);
        }
    }
}

impl Drop for Shared {
    /// Nothing goes on when nobody can look at it any more.
    fn drop(&mut self) {
        let entries = self.entries.get_mut().unwrap_or_else(PoisonError::into_inner);
        entries.values().for_each(Entry::cut_off);
    }
}

fn timed_out(id: &str, limit: Duration) -> Failure {
    Failure::retryable(TIMED_OUT, format!("the operation {id} took longer than {} s", limit.as_secs()))
}
