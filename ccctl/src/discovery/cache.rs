//! Discovery documents on disk, one file per server and path, so that a command starts without asking.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A document as it was when the server last vouched for it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cached {
    /// Seconds since 1970.
    pub(super) checked_at: i64,
    /// To ask whether it is still right.
    pub(super) etag: Option<String>,
    /// The document.
    pub(super) document: Value,
}

/// Returns the folder name for a server: its address with everything unusual replaced.
pub(super) fn folder_name(server: &str) -> String {
    server.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

fn file(folder: &Path, path: &str) -> PathBuf {
    folder.join(format!("{}.json", path.trim_start_matches('/')))
}

/// Reads a document; a missing or broken file is no document.
pub(super) fn read(folder: &Path, path: &str) -> Option<Cached> {
    serde_json::from_slice(&std::fs::read(file(folder, path)).ok()?).ok()
}

/// Writes a document in one step, so that two commands at once never read half of one.
pub(super) fn write(folder: &Path, path: &str, cached: &Cached) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(&serde_json::to_vec(cached)?)?;
    temporary.persist(file(folder, path))?;
    Ok(())
}
