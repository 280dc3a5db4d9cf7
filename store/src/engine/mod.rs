//! The durable bottom: rows of bytes, written in atomic batches that are on disk when the call returns.
//!
//! An engine knows nothing of objects or revisions. It keeps one map from keys to small values, in key order, and four
//! promises: a batch is applied whole or not at all; a batch that was acknowledged survives a power cut; a batch that
//! was refused with [`EngineError::Full`] has left no trace; after any other refusal nothing more is written.
//!
//! | file | what |
//! |---|---|
//! | `journaled.rs` | [`Journaled`]: an engine behind a journal, which writers wait for instead |
//! | `journaled/pace.rs` | when the rows follow the journal, and by how much |
//! | `journaled/filling.rs` | a generation that is filled meanwhile, and how both share the engine |
//! | `journal.rs` | the journal: the files, and what of them counts |
//! | `sled.rs` | one database, the only file that names sled, and what sled needs to keep the promises |
//! | `disk.rs` | [`SledEngine`](disk::SledEngine): refusing in time, recovering from a full disk, changing generations |
//! | `layout.rs` | the directory: which generation counts, what format it has, who holds the lock |
//! | `room.rs` | how much the disk must still hold before a batch is tried |
//! | `waker.rs` | ending calls of sled that would never end by themselves |
//! | `memory.rs` | the fake, with faults to order |
//! | `conformance.rs` | what both must do, as one suite |

#[cfg(test)]
mod conformance;
mod disk;
mod journal;
mod journaled;
mod layout;
#[cfg(test)]
pub(crate) mod memory;
mod room;
mod sled;
#[cfg(test)]
mod tests;
mod waker;

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::guards::Guards;

pub use journaled::JournalLimits;
pub(crate) use journaled::Journaled;

/// Largest value of a row, in bytes. sled keeps much larger ones in files that it never syncs.
pub(crate) const ROW_BYTES_MAX: usize = 4096;
/// Largest key of a row, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 256;

/// Rows to write and to remove, together or not at all.
///
/// The puts happen in their order, then the deletes: of two puts of one key the later counts, and a key that is also
/// deleted is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Keys of 1 to [`KEY_BYTES_MAX`] bytes with values of at most [`ROW_BYTES_MAX`].
    pub puts: Vec<(Vec<u8>, Bytes)>,
    /// Keys to remove; one that is not there is no error.
    pub deletes: Vec<Vec<u8>>,
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EngineError {
    /// There is no room: bytes, inodes or quota. Nothing was written; the same call works once there is room.
    #[error("{0}")]
    Full(String),
    /// The disk failed. What is on it is known only after the next open; this engine writes no more.
    #[error("{0}")]
    Io(String),
    /// The files hold something that cannot have been written by us.
    #[error("{0}")]
    Corrupt(String),
    /// Another process has the directory open.
    #[error("{} is in use{}", dir.display(), holder.map_or_else(String::new, |pid| format!(" by process {pid}")))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, as written in its `LOCK` file.
        holder: Option<u32>,
    },
    /// The directory has a format that this program does not read.
    #[error("{} has store format {found}, this program reads formats {oldest} to {newest}", dir.display())]
    Format {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The oldest format that can be read, or migrated from.
        oldest: u32,
        /// The format that this program writes.
        newest: u32,
    },
    /// A bug below: sled panicked. This engine writes no more.
    #[error("the storage engine stopped itself: {0}")]
    Panic(String),
    /// The caller broke the contract, by a row that is too large; nothing was written.
    #[error("{0}")]
    Invalid(String),
}

/// Is shown the key and the value of a row; its error ends the scan.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), EngineError> + 'a;

/// A durable map of small rows.
pub(crate) trait Engine: Send + Sync {
    /// Applies `batch`; it is on disk when this returns. Called by one thread only.
    ///
    /// # Errors
    /// `Full` and `Invalid` leave everything as it was. Every other error is final: this and all further calls fail,
    /// and whether the batch is on disk shows at the next open.
    fn commit(&self, batch: Batch) -> Result<(), EngineError>;

    /// Returns the value of one row.
    ///
    /// # Errors
    /// `Corrupt` or `Io` when it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Shows every row to `visit`, in key order, and stops at its first error.
    ///
    /// # Errors
    /// Those of `visit`, and `Corrupt` or `Io` when rows cannot be read.
    fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError>;

    /// Returns the bytes that the rows take on disk now, dead ones included.
    fn disk_bytes(&self) -> u64;

    /// Returns an empty sibling, to be filled by any thread while commits go on here.
    ///
    /// # Errors
    /// `Full` or `Io` when it cannot be made.
    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError>;

    /// Puts `generation` in the place of what is here, at once and durably. Called by the thread that commits.
    ///
    /// # Errors
    /// `Full` or `Io` when the change did not happen; the old rows stay in use. When it cannot be known whether it
    /// happened, commits fail from then on, too.
    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError>;
}

/// Rows that will take the place of those in use. Dropped, it takes its files with it.
pub(crate) trait Generation: Send {
    /// Applies `batch`, as [`Engine::commit`] does.
    ///
    /// # Errors
    /// After any error but `Invalid` this generation is of no use.
    fn write(&mut self, batch: Batch) -> Result<(), EngineError>;

    /// Lets the engine that made this find its own type again.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// How an engine on disk is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Memory for pages that were read or written lately, in bytes.
    pub cache_bytes: u64,
    /// Bytes that the disk must have left for a batch to be tried, beside what the batch itself may need.
    pub free_bytes_min: u64,
    /// How large the journal becomes, and how far the rows may be behind it.
    pub journal: JournalLimits,
    /// How long to wait for a directory that somebody is just letting go of.
    pub lock_wait: Duration,
    /// Which safety measures are taken; all but in tests of the tests.
    pub guards: Guards,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            free_bytes_min: 16 << 20,
            journal: JournalLimits::default(),
            lock_wait: Duration::from_secs(2),
            guards: Guards::all(),
        }
    }
}

/// Opens the engine in `dir`, which is made if it is missing.
///
/// # Errors
/// `Locked`, `Format`, `Corrupt` and `Panic` say what is wrong with what is there, and nothing was changed; `Full` and
/// `Io` what the file system refused.
pub(crate) fn open(dir: &Path, options: &EngineOptions) -> Result<Journaled<disk::SledEngine>, EngineError> {
    Journaled::open(disk::SledEngine::open(dir, options)?, dir, options)
}

/// Returns whether there is an engine in `dir`, whole or damaged.
pub(crate) fn exists(dir: &Path) -> bool {
    layout::holds_rows(dir)
}

impl Batch {
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// Returns the bytes of its keys and values.
    fn size_bytes(&self) -> usize {
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let deletes: usize = self.deletes.iter().map(Vec::len).sum();
        puts + deletes
    }

    /// Checks what every engine demands of a batch.
    fn check(&self) -> Result<(), EngineError> {
        let keys = self.puts.iter().map(|(key, _)| key).chain(&self.deletes);
        for key in keys {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(EngineError::Invalid(format!(
                    "a key has {} bytes, keys have 1 to {KEY_BYTES_MAX}",
                    key.len()
                )));
            }
        }
        for (key, value) in &self.puts {
            if value.len() > ROW_BYTES_MAX {
                return Err(EngineError::Invalid(format!(
                    "the row {key:02x?} has {} bytes, rows have at most {ROW_BYTES_MAX}",
                    value.len()
                )));
            }
        }
        Ok(())
    }
}

/// Turns what the file system said about `what` into the error to act on.
fn file_error(what: &str, error: &std::io::Error) -> EngineError {
    let text = format!("cannot {what}: {error}");
    if is_full(error) { EngineError::Full(text) } else { EngineError::Io(text) }
}

/// Whether `error` says that there is no room: blocks, inodes or quota.
fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
