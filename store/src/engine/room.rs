//! Refusing before the disk is full, because sled cannot go on after an error of the file system.
//!
//! Two measures: every batch is preceded by a look at the free space (2.6 µs), and a file of a few MiB is kept in
//! reserve, given up when a full disk has to be recovered from, and made again when there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::sled::SEGMENT_BYTES;
use super::{Batch, EngineError, file_error};

/// Bytes kept in reserve: more than sled needs to open a database.
const RESERVE_BYTES: usize = 8 << 20;
/// Name of the file that keeps them.
const RESERVE_NAME: &str = "RESERVE";
/// Inodes that must be left: for a new generation, its snapshot, and what replaces `CURRENT`.
const INODES_MIN: u64 = 16;
/// How much of a row's bytes sled may write again when it merges what it keeps beside them.
const REWRITE_FACTOR: u64 = 4;
/// What a row may cost beside its own bytes: sled moves one page of other rows for some of them.
const ROW_COST_BYTES: u64 = 8 << 10;

/// What is left on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Free {
    bytes: u64,
    /// `None` on file systems that make inodes as they need them.
    inodes: Option<u64>,
}

/// Watches over the file system that a directory lies on.
#[derive(Clone)]
pub(super) struct Room {
    dir: PathBuf,
    free_bytes_min: u64,
}

impl Room {
    pub(super) fn new(dir: &Path, free_bytes_min: u64) -> Self {
        Self { dir: dir.to_owned(), free_bytes_min }
    }

    /// Refuses `batch` if the disk might not hold what sled makes of it.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), EngineError> {
        let free = self.free()?;
        let needed = self.free_bytes_min + cost(batch);
        if free.bytes < needed {
            return Err(EngineError::Full(format!(
                "the disk of {} has {} MiB left, {} MiB are needed",
                self.dir.display(),
                free.bytes >> 20,
                needed.div_ceil(1 << 20)
            )));
        }
        match free.inodes {
            Some(inodes) if inodes < INODES_MIN => Err(EngineError::Full(format!(
                "the disk of {} has {inodes} inodes left, {INODES_MIN} are needed",
                self.dir.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Makes the reserve if it is missing and there is plenty of room; without it only recovery is harder.
    pub(super) fn keep_reserve(&self) -> bool {
        let path = self.dir.join(RESERVE_NAME);
        if path.metadata().is_ok_and(|metadata| metadata.len() == RESERVE_BYTES as u64) {
            return true;
        }
        let plenty = self.free().is_ok_and(|free| free.bytes >= self.free_bytes_min + 2 * RESERVE_BYTES as u64);
        plenty && self.fill_reserve(&path).is_ok()
    }

    /// Gives the reserve back to the disk.
    pub(super) fn release_reserve(&self) {
        if let Err(error) = std::fs::remove_file(self.dir.join(RESERVE_NAME))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the reserve cannot be given back");
        }
    }

    fn fill_reserve(&self, path: &Path) -> Result<(), EngineError> {
        let unfinished = self.dir.join(format!("{RESERVE_NAME}.unfinished"));
        let written = File::create(&unfinished).and_then(|mut file| {
            if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES as u64).is_err() {
                // Some file systems cannot promise blocks; they give them out when they are written.
                let block = vec![0; 1 << 20];
                for _ in 0..RESERVE_BYTES / block.len() {
                    file.write_all(&block)?;
                }
            }
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        });
        written.map_err(|error| {
            // Half a reserve is none; whether it can be removed changes nothing.
            let _ = std::fs::remove_file(&unfinished);
            file_error("keep a reserve of disk space", &error)
        })
    }

    fn free(&self) -> Result<Free, EngineError> {
        let found = rustix::fs::statvfs(&self.dir)
            .map_err(|error| EngineError::Io(format!("cannot ask for free space: {error}")))?;
        let inodes = (found.f_files > 0).then_some(found.f_favail);
        Ok(Free { bytes: found.f_bavail.saturating_mul(found.f_frsize), inodes })
    }
}

/// Returns the most that sled may write for `batch`.
fn cost(batch: &Batch) -> u64 {
    let bytes: usize = batch.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
    let rows = batch.puts.len() + batch.deletes.len();
    SEGMENT_BYTES as u64 + bytes as u64 * REWRITE_FACTOR + rows as u64 * ROW_COST_BYTES
}
