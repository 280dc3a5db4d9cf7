//! One sled database, and what sled 0.34.7 needs to be durable. The only file that names sled.
//!
//! - sled's `flush` writes and calls `sync_file_range`, which does not survive a power cut: after it we call
//!   `fdatasync` on a descriptor of our own. Errors of the disk reach that descriptor even if sled swallowed them.
//! - sled's `flush_async` dead-locks: it is never called.
//! - sled's timer thread would move pages and reuse their old place between two syncs, and it logs errors of the disk
//!   and goes on: it is switched off. sled then moves pages only inside our own batches, which is enough: measured,
//!   the file stays below twice its live rows.
//! - sled frees a segment once what replaced it lies two segments further on, synced or not. Large segments make that
//!   distance longer than any batch, so that nothing is overwritten before what replaces it is on disk.
//! - sled lets go of what it has replaced in memory only now and then while it is called: some 500 pieces after 128
//!   calls. A batch of many rows is one call: left alone, a thousand rows at a time keep gigabytes. See
//!   [`Database::let_go`].
//! - Every call may panic: each runs under `catch_unwind`, also the closing.
//! - sled forgets to wake a call when a write of another thread fails: see `waker.rs`. What wakes it must get past a lock
//!   that all databases of a process share: see [`ONE_AT_A_TIME`].
//! - sled takes a snapshot that it had not finished when the power failed for its newest one, and then for damage: such
//!   files are removed before it looks.
//! - sled keeps its lock for a moment after it was dropped: opening waits for it.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::waker::Waker;
use super::{Batch, EngineError, EngineOptions, Visit, file_error, is_full};
use crate::guards::{Guard, Guards};

/// Size of a log segment, in bytes. Fixed when a database is made; sled refuses to open it with another.
pub(super) const SEGMENT_BYTES: usize = 4 << 20;

/// Rows for which one call keeps up with what sled has to free: measured, with fewer calls memory grows.
const ROWS_PER_CALL: usize = 2;

/// Pause between two tries to open a database whose lock is being let go of.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How sled calls a snapshot before it is whole: `snap.LSN.generating`. Its rows are still in the log.
const UNFINISHED_SNAPSHOT: (&str, &str) = ("snap.", ".generating");

/// Held by whoever waits for sled's own threads.
///
/// sled has one reader-writer lock for all databases of a process: a flush reads, a batch writes. A flush that sleeps for
/// want of a bell holds it; a batch for another database then queues for it, and behind a queued writer no further
/// reader gets in: also not the flush that the waker calls to ring that bell, so that everything stands still for ever.
/// One call at a time leaves the lock open to the waker. It costs nothing: a batch had to wait for every flush anyway.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// An open database.
pub(super) struct Database {
    dir: PathBuf,
    /// `None` only while it is being dropped.
    rows: Option<sled::Db>,
    /// Our own descriptor of sled's one data file.
    file: File,
    guards: Guards,
    /// `None` only while it is being dropped.
    waker: Option<Waker>,
}

impl Database {
    /// Opens or makes the database in `dir`; everything that was recovered or made is on disk when this returns.
    pub(super) fn open(dir: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        remove_unfinished_snapshots(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(None)
            .use_compression(false);
        let started = Instant::now();
        let rows = loop {
            match guarded(|| config.open())? {
                Ok(rows) => break rows,
                Err(error) if is_locked(&error) && started.elapsed() < options.lock_wait => pause(),
                Err(error) => return Err(explain("open the database", &error)),
            }
        };
        let path = dir.join("db");
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| file_error(&format!("open {}", path.display()), &error))?;
        let same_rows = rows.clone();
        let help = move || drop(guarded(|| same_rows.flush()));
        let waker = Waker::start(help).map_err(|error| file_error("start a thread", &error))?;
        let database = Self { dir: dir.to_owned(), rows: Some(rows), file, guards: options.guards, waker: Some(waker) };
        database.flush()?;
        database.sync_everything()?;
        Ok(database)
    }

    /// Hands `batch` to sled as one atomic change. It is not on disk before [`Self::sync`].
    pub(super) fn apply(&self, batch: &Batch) -> Result<(), EngineError> {
        let mut rows = sled::Batch::default();
        for (key, value) in &batch.puts {
            rows.insert(key.as_slice(), &**value);
        }
        for key in &batch.deletes {
            rows.remove(key.as_slice());
        }
        self.watched(|| self.rows().apply_batch(rows))?.map_err(|error| explain("write rows", &error))?;
        self.flush()?;
        self.let_go(batch);
        Ok(())
    }

    /// Lets sled free what `batch` has replaced in memory, by calls that do nothing else.
    fn let_go(&self, batch: &Batch) {
        let Some((key, _)) = batch.puts.last() else { return };
        for _ in 0..batch.puts.len() / ROWS_PER_CALL {
            // Nothing depends on what is read; what is wrong shows when somebody needs it.
            if guarded(|| self.rows().get(key)).is_err() {
                break;
            }
        }
    }

    /// Puts on disk what was applied. An error is final: the kernel forgets what it could not write.
    pub(super) fn sync(&self) -> Result<(), EngineError> {
        if !self.guards.has(Guard::SyncAfterFlush) {
            return Ok(());
        }
        match rustix::fs::fdatasync(&self.file) {
            Err(error) if self.guards.has(Guard::StopAfterFailedSync) => {
                Err(EngineError::Io(format!("cannot sync the database to disk: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the rows are as if `batch` had been applied last.
    pub(super) fn holds(&self, batch: &Batch) -> Result<bool, EngineError> {
        let mut expected = std::collections::HashMap::new();
        for (key, value) in &batch.puts {
            expected.insert(key.as_slice(), Some(&**value));
        }
        for key in &batch.deletes {
            expected.insert(key.as_slice(), None);
        }
        for (key, value) in expected {
            if self.get(key)?.as_deref() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the value of one row.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let found = guarded(|| self.rows().get(key))?.map_err(|error| explain("read a row", &error))?;
        Ok(found.map(|value| value.to_vec()))
    }

    /// Shows every row to `visit`, in key order.
    pub(super) fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let mut rows = self.rows().iter();
        while let Some(row) = guarded(|| rows.next())? {
            let (key, value) = row.map_err(|error| explain("read a row", &error))?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// Syncs every file of the database and the directory that names them.
    pub(super) fn sync_everything(&self) -> Result<(), EngineError> {
        super::layout::sync_tree(&self.dir, self.guards)
    }

    /// Returns another descriptor of the data file, which outlives the database.
    pub(super) fn descriptor(&self) -> Result<File, EngineError> {
        self.file.try_clone().map_err(|error| file_error("copy a file descriptor", &error))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.watched(|| self.rows().flush())?.map(drop).map_err(|error| explain("write rows", &error))
    }

    /// Calls sled where it waits for its own threads.
    fn watched<T>(&self, call: impl FnOnce() -> T) -> Result<T, EngineError> {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = self.waker.as_ref().expect("the waker is taken only by drop");
        waker.watch(|| guarded(call))
    }

    fn rows(&self) -> &sled::Db {
        self.rows.as_ref().expect("rows are taken only by drop")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Closing waits for writes as any call does, but unwatched: nothing may be under way by then. An error has been
        // reported to whoever wrote.
        let _ = self.flush();
        // It holds the database, too: closed is closed only after it.
        drop(self.waker.take());
        let rows = self.rows.take();
        if let Err(error) = guarded(move || drop(rows)) {
            tracing::error!(%error, "the database did not close cleanly");
        }
    }
}

/// Removes what an open that was cut short left half-written. `dir` may not exist yet.
fn remove_unfinished_snapshots(dir: &Path) -> Result<(), EngineError> {
    let (prefix, suffix) = UNFINISHED_SNAPSHOT;
    let explain = |error: io::Error| file_error(&format!("remove unfinished snapshots in {}", dir.display()), &error);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(explain)?,
    };
    for entry in entries {
        let entry = entry.map_err(explain)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix)) {
            tracing::info!(file = %entry.path().display(), "removing a snapshot that was never finished");
            fs::remove_file(entry.path()).map_err(explain)?;
        }
    }
    Ok(())
}

/// Calls sled and turns a panic into an error.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned());
        EngineError::Panic(text)
    })
}

/// sled reports a lock that somebody else holds as an error of no particular kind.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn explain(what: &str, error: &sled::Error) -> EngineError {
    match error {
        sled::Error::Io(error) if is_full(error) => EngineError::Full(format!("cannot {what}: {error}")),
        sled::Error::Io(error) => EngineError::Io(format!("cannot {what}: {error}")),
        sled::Error::Corruption { at, .. } => {
            let place = at.map_or_else(String::new, |at| format!(" at {at:?}"));
            EngineError::Corrupt(format!("cannot {what}: the database is damaged{place}"))
        }
        other => EngineError::Corrupt(format!("cannot {what}: {other}")),
    }
}

#[expect(clippy::disallowed_methods, reason = "sled offers nothing to wait for; the caller bounds the tries")]
fn pause() {
    std::thread::sleep(LOCK_PAUSE);
}
