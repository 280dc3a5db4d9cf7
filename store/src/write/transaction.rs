//! Changes of several objects that happen together: all of them are seen at once, and survive together, or none happens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_types::status::{Reason, Status};

use super::{Force, MODIFIED, admit};
use crate::commit::{Expected, Write};
use crate::error::CommitError;
use crate::object::Object;
use crate::request::{Body, DeleteOptions, Part, Patch, Target, WriteOptions};
use crate::store::Store;

/// Most changes in one transaction.
pub const TRANSACTION_WRITES_MAX: usize = 256;
/// Bytes of the objects of one transaction, together; a single change may be larger.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// Changes that are being gathered. Nothing of them happens before [`Transaction::commit`], and nothing at all when it is
/// dropped.
///
/// Every change is judged as if it were made alone, on the state at the time it is added: it does not see those before it,
/// and so a transaction changes an object once. When any of the objects has changed until the commit, that refuses with
/// `Conflict`, and whoever made the transaction makes it again.
pub struct Transaction {
    /// A handle whose writes are gathered.
    store: Store,
    gathered: Arc<Gathered>,
}

/// What a transaction has so far.
#[derive(Default)]
pub(crate) struct Gathered {
    writes: Mutex<Vec<Write>>,
}

impl Gathered {
    fn writes(&self) -> MutexGuard<'_, Vec<Write>> {
        // A push is whole or did not happen.
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a write, unless there is no room for it or its object is in the transaction already.
    pub(crate) fn add(&self, write: Write) -> Result<(), Status> {
        let mut writes = self.writes();
        let kind = &write.resource.key;
        if writes.iter().any(|other| other.resource.key == *kind && other.key == write.key) {
            let why = format!("{kind} {} is in the transaction already: it changes an object once", write.key);
            return Err(Status::failure(Reason::BadRequest, why));
        }
        let bytes: usize = writes.iter().map(|write| write.draft.size_bytes()).sum();
        let is_full =
            writes.len() >= TRANSACTION_WRITES_MAX || bytes + write.draft.size_bytes() > TRANSACTION_BYTES_MAX;
        if is_full && !writes.is_empty() {
            let why = format!(
                "the transaction is too large with {kind} {}: it has at most {TRANSACTION_WRITES_MAX} changes and \
                 {TRANSACTION_BYTES_MAX} bytes",
                write.key
            );
            return Err(Status::failure(Reason::RequestEntityTooLarge, why));
        }
        writes.push(write);
        Ok(())
    }
}

impl Store {
    /// Begins a transaction.
    #[must_use]
    pub fn transaction(&self) -> Transaction {
        let gathered = Arc::new(Gathered::default());
        Transaction { store: self.gathering(gathered.clone()), gathered }
    }
}

impl Transaction {
    /// Adds what [`Store::create`] does.
    ///
    /// # Errors
    /// As there; `BadRequest` for an object that is in the transaction already, `RequestEntityTooLarge` for one too many.
    pub async fn create(&self, target: &Target, body: Body, options: &WriteOptions) -> Result<(), Status> {
        self.store.create(target, body, options).await.map(drop)
    }

    /// Adds what [`Store::update`] does.
    ///
    /// # Errors
    /// As there, and those of [`Transaction::create`].
    pub async fn update(&self, target: &Target, part: Part, body: Body, options: &WriteOptions) -> Result<(), Status> {
        self.store.update(target, part, body, options).await.map(drop)
    }

    /// Adds what [`Store::patch`] does.
    ///
    /// # Errors
    /// As there, and those of [`Transaction::create`].
    pub async fn patch(
        &self,
        target: &Target,
        part: Part,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        self.store.patch(target, part, patch, options).await.map(drop)
    }

    /// Adds what [`Store::apply`] does.
    ///
    /// # Errors
    /// As there, and those of [`Transaction::create`].
    pub async fn apply(
        &self,
        target: &Target,
        part: Part,
        body: Body,
        options: &WriteOptions,
        force: Force,
    ) -> Result<(), Status> {
        self.store.apply(target, part, body, options, force).await.map(drop)
    }

    /// Adds what [`Store::delete`] does.
    ///
    /// # Errors
    /// As there, and those of [`Transaction::create`].
    pub async fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<(), Status> {
        self.store.delete(target, options).await.map(drop)
    }

    /// Makes the changes; returns when they are on disk, with the objects that have changed, in the order in which they
    /// were added. What changed nothing, or was only tried, is not among them.
    ///
    /// # Errors
    /// `Conflict` when an object has changed since its change was added, `AlreadyExists` when one that was to be created
    /// is there now, `NotFound` or `Forbidden` when its namespace is gone or going, and what the disk says. Nothing has
    /// happened then.
    pub async fn commit(self) -> Result<Vec<Arc<Object>>, Status> {
        let writes = std::mem::take(&mut *self.gathered.writes());
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let subject = |write: &Write| (write.resource.clone(), write.key.clone(), write.expected);
        let subjects: Vec<_> = writes.iter().map(subject).collect();
        let error = match self.store.commit(writes).await {
            Ok(objects) => return Ok(objects),
            Err(error) => error,
        };
        let (CommitError::Stale { index }
        | CommitError::NamesTaken { index }
        | CommitError::NamespaceGone { index }
        | CommitError::ResourceChanged { index, .. }) = error
        else {
            return Err(error.into_status());
        };
        let (resource, key, expected) = &subjects[index];
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        Err(match (error, expected) {
            (CommitError::NamespaceGone { .. }, _) => {
                admit::namespace_gone(&self.store.state(), resource, namespace, name)
            }
            (CommitError::ResourceChanged { change, .. }, _) => change.into_status(resource, name),
            (CommitError::Stale { .. }, Expected::Absent) => Status::already_exists(&resource.names, name),
            _ => Status::conflict(&resource.names, name, MODIFIED),
        })
    }
}
