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

/// The folder of the notes.
const FOLDER: &str = "release";
/// The file in which notes are collected until the next release; whoever makes one renames it.
const NEXT: &str = "next";
/// What notes say that want somebody to do something. Rather one that is held for nothing than one that is taken blindly.
const WORDS: [&str; 17] = [
    "manual",
    "by hand",
    "migrat",
    "breaking",
    "incompatib",
    "before you",
    "before upgrading",
    "before the upgrade",
    "after upgrading",
    "after the upgrade",
    "you must",
    "you need",
    "you will need",
    "have to",
    "make sure",
    "backup",
    "abra app",
];

/// Returns the notes of all versions after `from` and up to `to`, oldest first. Files that cannot be read are passed
/// over: notes never stop an upgrade. Notes that nobody renamed when `to` was released count as its own.
#[must_use]
pub fn between(files: &dyn RecipeFiles, from: &RecipeVersion, to: &RecipeVersion) -> Vec<Notes> {
    let names = files.list(FOLDER).unwrap_or_default();
    let read = |name: &str| {
        let bytes = files.read(&format!("{FOLDER}/{name}"), TEXT_BYTES_MAX).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    let mut notes: Vec<Notes> = names
        .iter()
        .filter_map(|name| {
            let version = RecipeVersion::parse(name).filter(|version| version > from && version <= to)?;
            Some(Notes { version, text: read(name)? })
        })
        .collect();
    if from < to
        && !notes.iter().any(|notes| notes.version == *to)
        && let Some(text) = names.iter().find(|name| *name == NEXT).and_then(|name| read(name))
    {
        notes.push(Notes { version: to.clone(), text });
    }
    notes.retain(|notes| !notes.text.is_empty());
    notes.sort_by(|one, other| one.version.cmp(&other.version));
    notes
}

/// Returns the line of notes by which they want somebody to do something; `None` when nothing says so.
#[must_use]
pub fn asks_for_hands(text: &str) -> Option<&str> {
    let wants = |line: &&str| {
        let line = line.to_lowercase();
        WORDS.iter().any(|word| line.contains(word))
    };
    text.lines().map(str::trim).find(wants)
}
