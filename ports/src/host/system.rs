//! [`SystemHost`]: the machine that ccd runs on.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::{DiskFigures, HostFigures, MemoryFigures};
use crate::error::Error;

/// A file system that takes longer to answer hangs, as one on a network may.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The machine that ccd runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemHost;

#[async_trait]
impl HostFigures for SystemHost {
    async fn disk(&self, path: &Path) -> Result<DiskFigures, Error> {
        let name = path.display().to_string();
        let path = path.to_owned();
        let look = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path));
        let looked = tokio::time::timeout(TIME_MAX, look)
            .await
            .map_err(|_| Error::retryable("DiskSilent", format!("the file system of {name} does not answer")))?
            .map_err(|error| Error::bug("InternalError", "looking at a disk panicked").because(error))?;
        let figures = looked.map_err(|error| match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
                Error::terminal("PathNotFound", format!("{name} is not there"))
            }
            other => {
                Error::retryable("DiskUnreadable", format!("the disk of {name} cannot be looked at")).because(other)
            }
        })?;
        Ok(DiskFigures {
            total_bytes: figures.f_blocks.saturating_mul(figures.f_frsize),
            free_bytes: figures.f_bavail.saturating_mul(figures.f_frsize),
            total_inodes: figures.f_files,
            free_inodes: figures.f_favail,
        })
    }

    async fn memory(&self) -> Result<MemoryFigures, Error> {
        let text = tokio::fs::read_to_string("/proc/meminfo").await.map_err(|error| {
            Error::retryable("MemoryUnreadable", "the kernel does not tell about memory").because(error)
        })?;
        parse(&text).ok_or_else(|| Error::retryable("MemoryUnreadable", "/proc/meminfo is not as expected"))
    }
}

/// Reads the text of `/proc/meminfo`.
pub(super) fn parse(text: &str) -> Option<MemoryFigures> {
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(MemoryFigures { total_bytes: figure("MemTotal")?, available_bytes: figure("MemAvailable")? })
}
