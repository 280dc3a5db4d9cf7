//! What the file system and the process still have room for.

use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that this process may still write.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Files that may still be made; `None` when the file system does not count them.
    pub inodes: Option<u64>,
}

/// Returns the room on the file system that holds `path`.
///
/// # Errors
/// When the path does not exist or the system refuses.
pub fn free_space(path: &Path) -> io::Result<FreeSpace> {
    let found = rustix::fs::statvfs(path)?;
    Ok(FreeSpace {
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        bytes_total: found.f_blocks.saturating_mul(found.f_frsize),
        inodes: (found.f_files > 0).then_some(found.f_favail),
    })
}

/// Returns how many files this process may have open; `None` is no limit.
#[must_use]
pub fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit of open files as far as the system lets us: each connection is one.
pub fn raise_open_files_max() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("failed to raise the limit of open files: {error}");
        }
    }
}
