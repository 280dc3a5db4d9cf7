//! [`RecipeFiles`]: the files of one checkout, and nothing outside of it.

use std::collections::BTreeMap;
use std::fmt;

/// Most bytes of a compose file, an `.env` file and the like.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// The files of one checkout of a recipe.
///
/// Paths are relative to its root, with `/` between parts. An implementation must refuse absolute paths, `..`, and
/// symbolic links that lead outside, whatever the caller asks for.
pub trait RecipeFiles: Send + Sync {
    /// Returns the bytes of a file.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]; a file larger than `bytes_max` is [`ReadError::TooLarge`].
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadError>;

    /// Returns the names in a folder, sorted; empty when there is no such folder.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    fn list(&self, folder: &str) -> Result<Vec<String>, ReadError>;
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// There is none.
    Missing,
    /// It lies outside the checkout.
    Outside,
    /// It is larger than allowed.
    TooLarge {
        /// Most bytes.
        bytes_max: usize,
    },
    /// It is a folder or something else that has no bytes.
    NotAFile,
    /// The disk says something else.
    Other(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("there is no such file in the recipe"),
            Self::Outside => formatter.write_str(
                "it lies outside the recipe: only relative paths without `..` or links that lead out are read",
            ),
            Self::TooLarge { bytes_max } => write!(formatter, "it is larger than {bytes_max} bytes"),
            Self::NotAFile => formatter.write_str("it is not a file"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for ReadError {}

/// Cleans a path: `./a//b/./c` is `a/b/c`.
///
/// # Errors
///
/// [`ReadError::Outside`] when the path is absolute, or leaves the root on its way.
pub fn clean(path: &str) -> Result<String, ReadError> {
    if path.starts_with('/') || path.contains('\0') {
        return Err(ReadError::Outside);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(ReadError::Outside)?;
            }
            other => parts.push(other),
        }
    }
    Ok(parts.join("/"))
}

/// A checkout that exists in memory only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InMemoryFiles {
    /// Contents by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl InMemoryFiles {
    /// Returns the same checkout with one more file.
    #[must_use]
    pub fn with(mut self, path: &str, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), text.into());
        self
    }
}

impl RecipeFiles for InMemoryFiles {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        let path = clean(path)?;
        let Some(bytes) = self.files.get(&path) else {
            let folder = format!("{path}/");
            let is_folder = path.is_empty() || self.files.keys().any(|name| name.starts_with(&folder));
            return Err(if is_folder { ReadError::NotAFile } else { ReadError::Missing });
        };
        if bytes.len() > bytes_max { Err(ReadError::TooLarge { bytes_max }) } else { Ok(bytes.clone()) }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadError> {
        let folder = clean(folder)?;
        let prefix = if folder.is_empty() { folder } else { format!("{folder}/") };
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix)?.split('/').next().map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}
