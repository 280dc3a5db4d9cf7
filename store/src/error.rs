//! What can go wrong below admission: a lost race, a full disk, a broken disk.

use api_types::status::{Reason, Status};

use crate::registry::Resource;

/// Why a transaction was not committed. Nothing of it is visible or on disk.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// An object had another revision than the write expected; the index names the write.
    #[error("write {index} lost a race")]
    Stale { index: usize },
    /// A definition claims names that another was given meanwhile; the index names the write.
    #[error("the names of write {index} are taken")]
    NamesTaken { index: usize },
    /// The namespace of a new object is gone or going; the index names the write.
    #[error("the namespace of write {index} is gone")]
    NamespaceGone { index: usize },
    /// The resource is not what it was when the write was admitted; the index names the write.
    #[error("the resource of write {index} has changed: {change}")]
    ResourceChanged { index: usize, change: ResourceChange },
    /// More writes wait than the queue holds.
    #[error("too many writes are waiting")]
    Busy,
    /// The disk has no room; reads go on and writes work again when there is room.
    #[error("the store is read-only: {0}")]
    Full(String),
    /// The disk or the engine failed; only a restart can tell what is on disk.
    #[error("the store has stopped: {0}")]
    Failed(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

/// How a resource has changed while something was written to it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ResourceChange {
    /// It is not served any more.
    #[error("it is gone")]
    Gone,
    /// Its definition is being deleted, and takes no new objects.
    #[error("its definition is being deleted")]
    Terminating,
    /// Its definition no longer names the version that the object would have been stored with.
    #[error("its storage version is another one")]
    Version,
}

impl ResourceChange {
    /// Returns the answer for who wrote `name`.
    pub(crate) fn into_status(self, resource: &Resource, name: &str) -> Status {
        match self {
            Self::Gone => Status::failure(Reason::NotFound, "the server could not find the requested resource"),
            Self::Terminating => {
                // As Kubernetes words it.
                let message = "create not allowed while custom resource definition is terminating";
                Status::failure(Reason::MethodNotAllowed, message).about(&resource.names, "")
            }
            Self::Version => {
                let why =
                    "the definition of its kind was given another storage version at this moment, please try again";
                Status::conflict(&resource.names, name, why)
            }
        }
    }
}

impl CommitError {
    /// Returns the answer for a client, for every case that is not about one object.
    pub(crate) fn into_status(self) -> Status {
        match self {
            Self::Busy => retry_after(Status::failure(
                Reason::TooManyRequests,
                "too many writes are waiting for the disk, please try again later",
            )),
            Self::Full(why) => Status::failure(
                Reason::StorageReadOnly,
                format!("the store is read-only: {why}; reads go on, free some space and try again"),
            ),
            Self::Failed(why) => Status::failure(
                Reason::InternalError,
                format!("the store has stopped accepting writes: {why}; restart ccd to recover"),
            ),
            Self::Closed => Status::failure(Reason::ServiceUnavailable, "the store is closed: ccd is shutting down"),
            Self::Stale { .. }
            | Self::NamesTaken { .. }
            | Self::NamespaceGone { .. }
            | Self::ResourceChanged { .. } => Status::failure(Reason::Conflict, self.to_string()),
        }
    }
}

fn retry_after(mut status: Status) -> Status {
    status.details.get_or_insert_default().retry_after_seconds = 1;
    status
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error("the data directory is in use: {0}")]
    Locked(String),
    /// A newer program wrote the store.
    #[error("the store was written by a newer version: {0}")]
    Newer(String),
    /// The files are damaged; nothing was changed.
    #[error(
        "the store is damaged: {0}; nothing was changed: restore a backup with `ccd restore`, or look with `ccd check --store`"
    )]
    Damaged(String),
    /// There is nothing to look at.
    #[error("there is no store in {0}")]
    Missing(String),
    /// Secrets are sealed under a key that is not there; nothing was changed.
    #[error("the store's secrets cannot be read: {0}; nothing was changed")]
    KeyMissing(String),
    /// The file system refused.
    #[error("the store cannot be opened: {0}")]
    Io(String),
}
