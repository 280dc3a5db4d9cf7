//! Release notes: the file `release/<version>` of a recipe.

use super::version::RecipeVersion;
use crate::compose::source::{RecipeFiles, TEXT_BYTES_MAX};

/// The notes of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// The version.
    pub version: RecipeVersion,
    /// The text, as it was written.
    pub text: String,
}

/// Returns the notes of all versions after `from` and up to `to`, oldest first. Files that cannot be read are passed
/// over: notes never stop an upgrade.
#[must_use]
pub fn between(files: &dyn RecipeFiles, from: &RecipeVersion, to: &RecipeVersion) -> Vec<Notes> {
    let names = files.list("release").unwrap_or_default();
    let mut notes: Vec<Notes> = names
        .iter()
        .filter_map(|name| {
            let version = RecipeVersion::parse(name).filter(|version| version > from && version <= to)?;
            let bytes = files.read(&format!("release/{name}"), TEXT_BYTES_MAX).ok()?;
            Some(Notes { version, text: String::from_utf8_lossy(&bytes).trim().to_owned() })
        })
        .collect();
    notes.sort_by(|one, other| one.version.cmp(&other.version));
    notes
}
