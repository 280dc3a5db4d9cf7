//! The folder of an app, and the file in which generated secrets were kept before they were kept in the store.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::error::Error;
use ports::files::{Area, FileName, FileRoot};
use serde::Deserialize;

use super::deployer::SecretValue;
use super::generated::Kept;
use crate::runtime::outcome::Failure;

/// The file in the app's folder.
const FILE: &str = "secrets.json";
/// Most bytes of it.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    /// In base64.
    key: String,
    /// In base64, by the secret's name in the swarm.
    values: BTreeMap<String, String>,
}

/// Returns what an earlier ccd kept of an app; `None` when there is no file of it.
///
/// # Errors
/// `Terminal` when the file is there and cannot be understood; `Retryable` when it cannot be read.
pub(super) fn read(files: &FileRoot, stack: &str) -> Result<Option<Kept>, Failure> {
    let content = files.read_file(Area::Apps, &folder(stack)?, &FileName::new(FILE)?, FILE_BYTES_MAX)?;
    let Some(content) = content else { return Ok(None) };
    let content: Content = serde_json::from_slice(&content).map_err(|error| {
        Failure::terminal(
            "SecretsUnreadable",
            format!(
                "the file apps/{stack}/{FILE} of the data directory cannot be read ({error}): restore it from a backup"
            ),
        )
    })?;
    let decoded = |text: &String| STANDARD.decode(text).ok().map(SecretValue);
    Ok(Some(Kept {
        key: decoded(&content.key).filter(|key| !key.0.is_empty()),
        values: content.values.iter().filter_map(|(name, text)| Some((name.clone(), decoded(text)?))).collect(),
        ..Kept::default()
    }))
}

/// Removes the file, once what it held is in the store.
///
/// # Errors
/// `Retryable` when it cannot be removed.
pub(super) fn forget(files: &FileRoot, stack: &str) -> Result<(), Failure> {
    Ok(files.remove_file(Area::Apps, &folder(stack)?, &FileName::new(FILE)?)?)
}

/// Removes everything that lies in the folder of an app.
///
/// # Errors
/// `Retryable` when it cannot be removed.
pub(super) fn remove(files: &FileRoot, stack: &str) -> Result<(), Failure> {
    Ok(files.remove(Area::Apps, &folder(stack)?)?)
}

/// Returns whether an app has a folder.
///
/// # Errors
/// `Retryable` when it cannot be told.
pub(super) fn is_kept(files: &FileRoot, stack: &str) -> Result<bool, Failure> {
    Ok(files.list(Area::Apps)?.iter().any(|name| name == stack))
}

/// Returns the name of an app's folder.
///
/// # Errors
/// `Terminal` when the stack's name cannot be one.
pub(super) fn folder(stack: &str) -> Result<FileName, Error> {
    FileName::new(stack)
}

#[cfg(test)]
mod tests {
    use ports::files::Faults;

    use super::*;

    #[test]
    fn the_file_of_an_earlier_ccd_is_read_and_removed_and_a_spoilt_one_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let files = FileRoot::open(directory.path(), Faults::default()).unwrap();
        assert_eq!(read(&files, "x").unwrap(), None);
        let write = |text: &str| {
            files
                .write_file(Area::Apps, &folder("x").unwrap(), &FileName::new(FILE).unwrap(), text.as_bytes())
                .unwrap();
        };
        write(r#"{"key": "a2V5", "values": {"x_pass_v1": "b25l"}}"#);
        let kept = read(&files, "x").unwrap().unwrap();
        assert_eq!(kept.key.unwrap().0, b"key");
        assert_eq!(kept.values["x_pass_v1"].0, b"one");
        forget(&files, "x").unwrap();
        forget(&files, "x").unwrap();
        assert_eq!(read(&files, "x").unwrap(), None);
        write("{}");
        assert_eq!(read(&files, "x").unwrap(), Some(Kept::default()));
        write("{");
        assert_eq!(read(&files, "x").unwrap_err().reason, "SecretsUnreadable");
        assert!(is_kept(&files, "x").unwrap());
        remove(&files, "x").unwrap();
        assert!(!is_kept(&files, "x").unwrap());
    }
}
