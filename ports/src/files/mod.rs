//! Files under one root: work trees, folders of apps, logs and artifacts of runs.
//!
//! ```text
//!   ROOT/trees/<id>/                       work trees
//!   ROOT/apps/<id>/                        what a deployer keeps of one app
//!   ROOT/runs/<namespace>/<name>/<uid>/    logs/<stage>/<segment>, artifacts/<name>, complete
//! ```
//!
//! Names are checked ([`FileName`]), paths are opened beneath the root without following a symbolic link
//! ([`root::FileRoot`]), files are replaced as a whole. There is one implementation: what would be the fake is a
//! temporary folder and [`Faults`], which lets the disk be full.

pub mod given;
pub mod junit;
pub mod plain;
pub mod root;
pub mod run_logs;
pub mod runs;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

pub use given::GivenFiles;
pub use root::{Area, FileRoot};
pub use runs::{ArtifactInfo, RunFiles, RunKey};

/// Longest name of a file or folder, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Names one file or folder: letters, digits and `. _ + @ = -`, beginning with a letter or digit, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(String);

impl FileName {
    /// Checks and returns a name.
    ///
    /// # Errors
    /// `Terminal` with `InvalidName`.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@=-".contains(&byte);
        let is_valid = name.len() <= NAME_BYTES_MAX
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && name.bytes().all(fits);
        if is_valid {
            return Ok(Self(name));
        }
        let message = format!("{name:?} cannot be a file's name: use letters, digits and . _ + @ = -");
        Err(Error::terminal("InvalidName", message))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What can go wrong on purpose. Cheap to clone; all clones share the switches.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    is_full: Arc<AtomicBool>,
}

impl Faults {
    /// Fills the disk, or frees it again.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// To be asked before each write.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// Returns what a failure of the file system means.
pub(crate) fn failure(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = format!("{what}: the disk is full; free some space, it is tried again");
            Error::retryable("DiskFull", message).because(error)
        }
        // What openat2 says of a symbolic link, or of a way out.
        _ if matches!(
            rustix::io::Errno::from_io_error(&error),
            Some(rustix::io::Errno::LOOP | rustix::io::Errno::XDEV)
        ) =>
        {
            let message = format!("{what}: there is a symbolic link on the way, which is not followed");
            Error::terminal("SymbolicLink", message).because(error)
        }
        _ => Error::retryable("FileFailed", what).because(error),
    }
}
