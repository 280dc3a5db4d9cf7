//! The machine's figures: disk, inodes, memory.

pub mod conformance;
pub mod fake;
pub mod system;

#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;

use crate::error::Error;

/// The file system that a path is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFigures {
    /// Size in bytes.
    pub total_bytes: u64,
    /// Bytes that a program without privileges may still use.
    pub free_bytes: u64,
    /// Inodes; 0 when the file system has no fixed number.
    pub total_inodes: u64,
    /// Inodes that a program without privileges may still use.
    pub free_inodes: u64,
}

/// The machine's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryFigures {
    /// Size in bytes.
    pub total_bytes: u64,
    /// What could be used without swapping, in bytes.
    pub available_bytes: u64,
}

/// The machine's figures; reading them changes nothing.
#[async_trait]
pub trait HostFigures: Send + Sync {
    /// Returns the figures of the file system that `path` is on.
    ///
    /// # Errors
    /// `Terminal` when nothing is there; `Retryable` when the file system does not answer in time.
    async fn disk(&self, path: &Path) -> Result<DiskFigures, Error>;

    /// Returns the figures of the memory.
    ///
    /// # Errors
    /// `Retryable` when the kernel does not tell.
    async fn memory(&self) -> Result<MemoryFigures, Error>;
}
