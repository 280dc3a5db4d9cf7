//! [`FakeHost`]: a machine with the figures that a test gives it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{DiskFigures, HostFigures, MemoryFigures};
use crate::error::Error;

/// A machine with the figures that a test gives it.
#[derive(Debug, Default)]
pub struct FakeHost {
    disks: Mutex<BTreeMap<PathBuf, DiskFigures>>,
    memory: Mutex<MemoryFigures>,
}

impl FakeHost {
    /// Puts a disk at a path and everything below it.
    pub fn set_disk(&self, path: &Path, figures: DiskFigures) {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), figures);
    }

    /// Sets the memory.
    pub fn set_memory(&self, figures: MemoryFigures) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

#[async_trait]
impl HostFigures for FakeHost {
    async fn disk(&self, path: &Path) -> Result<DiskFigures, Error> {
        let disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let found = path.ancestors().find_map(|ancestor| disks.get(ancestor));
        found.copied().ok_or_else(|| Error::terminal("PathNotFound", format!("{} is not there", path.display())))
    }

    async fn memory(&self) -> Result<MemoryFigures, Error> {
        Ok(*self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
