//! The one write path: every create, update, patch, apply and delete, by whomever, goes through here.
//!
//! `identity.rs` compares the body with the address, `admit.rs` turns what was asked into what is stored (pure),
//! `create.rs`, `update.rs` and `delete.rs` are the verbs, `transaction.rs` several of them together. The committer has the
//! last word on races.

mod admit;
mod create;
mod delete;
pub(crate) use delete::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER};
pub use update::Force;
mod identity;
mod transaction;
pub(crate) use transaction::Gathered;
pub use transaction::{TRANSACTION_BYTES_MAX, TRANSACTION_WRITES_MAX, Transaction};
mod update;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use api_types::status::Status;
use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::commit::Write;
use crate::error::CommitError;
use crate::object::{Draft, Object};
use crate::registry::Resource;
use crate::store::Store;

/// Most rounds of "look again and try again" for a write that does not insist on a version.
const RETRIES_MAX: usize = 64;

/// The sentence of a lost update, as Kubernetes words it.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// What became of one attempt.
enum Attempt {
    Done(Arc<Object>),
    /// Somebody else was faster.
    LostRace,
    /// Another definition was given names that this one counted on.
    NamesTaken,
}

impl Store {
    /// Commits one write, or gathers it in a transaction; a lost race is an outcome, everything else that fails is an
    /// answer. The version of an object that is only gathered says nothing.
    async fn attempt(&self, write: Write) -> Result<Attempt, Status> {
        if let Some(gathered) = &self.gathered {
            let object = write.draft.clone().finish(self.inner.shared.state.load().revision + 1);
            gathered.add(write)?;
            return Ok(Attempt::Done(Arc::new(object)));
        }
        let (resource, namespace, key) = (write.resource.clone(), write.namespace.clone(), write.key.clone());
        let name = || key.rsplit('/').next().unwrap_or_default();
        match self.commit(vec![write]).await {
            Ok(objects) => Ok(Attempt::Done(objects.into_iter().next().expect("one object comes back for one write"))),
            Err(CommitError::Stale { .. }) => Ok(Attempt::LostRace),
            Err(CommitError::NamesTaken { .. }) => Ok(Attempt::NamesTaken),
            Err(CommitError::NamespaceGone { .. }) => {
                Err(admit::namespace_gone(&self.state(), &resource, namespace.as_deref().unwrap_or_default(), name()))
            }
            Err(CommitError::ResourceChanged { change, .. }) => Err(change.into_status(&resource, name())),
            Err(other) => Err(other.into_status()),
        }
    }

    /// Waits for the turn of those who lost a race for `key`: one at a time they cannot lose to each other again.
    async fn retry_turn(&self, resource: &Resource, key: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (&resource.key, key).hash(&mut hasher);
        let locks = &self.inner.retry_locks;
        let index = usize::try_from(hasher.finish() % locks.len() as u64).expect("an index below 64 fits");
        locks[index].lock().await
    }

    /// Lays out what is to be written as `key` of `resource`.
    fn draft(&self, resource: &Resource, key: &str, value: &Value) -> Result<Draft, Status> {
        Draft::new(&resource.key, key, value, self.inner.shared.state.load().revision + 1)
    }

    fn now_text(&self) -> String {
        timestamp_text((self.inner.sources.now)())
    }
}

/// Returns RFC 3339 in whole seconds, UTC, as metadata carries it.
pub(crate) fn timestamp_text(now: jiff::Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
