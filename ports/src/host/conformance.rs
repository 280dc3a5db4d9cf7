//! What every implementation of [`HostFigures`] must do.

use std::path::Path;

use super::HostFigures;
use crate::error::ErrorKind;

/// Runs the suite; `there` is a path that is there, `missing` one that is not.
pub async fn check(host: &dyn HostFigures, there: &Path, missing: &Path) {
    let disk = host.disk(there).await.expect("the disk can be looked at");
    assert!(disk.total_bytes > 0 && disk.free_bytes <= disk.total_bytes, "{disk:?}");
    assert!(disk.free_inodes <= disk.total_inodes, "{disk:?}");
    let error = host.disk(missing).await.expect_err("nothing is there");
    assert_eq!(error.kind, ErrorKind::Terminal, "{error}");
    let memory = host.memory().await.expect("the memory can be looked at");
    assert!(memory.total_bytes > 0 && memory.available_bytes <= memory.total_bytes, "{memory:?}");
}
