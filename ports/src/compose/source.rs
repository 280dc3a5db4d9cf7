//! [`RecipeFiles`]: the files of one checkout, and nothing outside of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

use rustix::fs::{Mode, OFlags, ResolveFlags};

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

/// A checkout in a folder on disk.
///
/// The kernel keeps every read beneath the folder (`openat2` with `RESOLVE_BENEATH`): symbolic links are followed as
/// long as they stay inside.
#[derive(Debug)]
pub struct CheckoutFiles {
    root: std::os::fd::OwnedFd,
}

impl CheckoutFiles {
    /// Opens a checkout.
    ///
    /// # Errors
    ///
    /// The folder is missing, or is none.
    pub fn open(folder: &std::path::Path) -> Result<Self, ReadError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty()).map_err(read_error)?;
        Ok(Self { root })
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<std::os::fd::OwnedFd, ReadError> {
        let path = clean(path)?;
        let path = if path.is_empty() { "." } else { &path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(read_error)
    }
}

impl RecipeFiles for CheckoutFiles {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        // Not to block is what keeps a named pipe in a checkout from holding a reader for ever.
        let file = self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let status = rustix::fs::fstat(&file).map_err(read_error)?;
        if rustix::fs::FileType::from_raw_mode(status.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(ReadError::NotAFile);
        }
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::from(file)
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| ReadError::Other(error.to_string()))?;
        if bytes.len() > bytes_max { Err(ReadError::TooLarge { bytes_max }) } else { Ok(bytes) }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadError> {
        let folder = match self.beneath(folder, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(ReadError::Missing | ReadError::NotAFile) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder).map_err(read_error)? {
            let entry = entry.map_err(read_error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

fn read_error(error: rustix::io::Errno) -> ReadError {
    match error {
        rustix::io::Errno::NOENT => ReadError::Missing,
        rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => ReadError::Outside,
        rustix::io::Errno::ISDIR | rustix::io::Errno::NOTDIR => ReadError::NotAFile,
        other => ReadError::Other(other.to_string()),
    }
}
