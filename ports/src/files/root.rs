//! [`FileRoot`]: a folder out of which no path leads.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Faults, FileName, failure};
use crate::error::Error;

/// Names in a path.
const DEPTH_MAX: usize = 32;

/// What lies directly under the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Work trees.
    Trees,
    /// What deployers keep of apps.
    Apps,
    /// Logs and artifacts of runs.
    Runs,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 3] = [Self::Trees, Self::Apps, Self::Runs];

    /// Returns the folder's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trees => "trees",
            Self::Apps => "apps",
            Self::Runs => "runs",
        }
    }
}

/// A folder out of which no path leads. Cheap to clone. Its calls block: they are short, but not for threads that serve.
#[derive(Clone, Debug)]
pub struct FileRoot {
    path: Arc<Path>,
    folder: Arc<OwnedFd>,
    faults: Faults,
    written: Arc<AtomicU64>,
}

impl FileRoot {
    /// Opens the folder, and makes it and its areas when they are not there, for their owner only.
    ///
    /// # Errors
    /// `Terminal` when that cannot be done.
    pub fn open(path: &Path, faults: Faults) -> Result<Self, Error> {
        let opened = || -> io::Result<Self> {
            for area in Area::ALL {
                DirBuilder::new().recursive(true).mode(0o700).create(path.join(area.name()))?;
            }
            let path = fs::canonicalize(path)?;
            let folder = rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(Self { path: path.into(), folder: Arc::new(folder), faults, written: Arc::default() })
        };
        opened().map_err(|error| {
            Error::terminal("FilesFolder", format!("the folder {} cannot be used", path.display())).because(error)
        })
    }

    /// Returns where a folder of an area lies, for programs that want a path; it need not be there. The area itself is.
    #[must_use]
    pub fn path(&self, area: Area, name: &FileName) -> PathBuf {
        self.path.join(area.name()).join(name.as_str())
    }

    /// Makes a folder of an area, which may be there, and returns its path.
    ///
    /// # Errors
    /// `Retryable` when it cannot be made.
    pub fn make(&self, area: Area, name: &FileName) -> Result<PathBuf, Error> {
        let made = self.faults.check().and_then(|()| self.made(&Path::new(area.name()).join(name.as_str())));
        made.map_err(|error| failure(&format!("the folder {name} cannot be made"), error))?;
        Ok(self.path(area, name))
    }

    /// Returns the names directly in an area, in their order, and removes nothing.
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    pub fn list(&self, area: Area) -> Result<Vec<String>, Error> {
        self.names(Path::new(area.name()))
    }

    /// Removes a folder of an area with everything in it; one that is not there is fine.
    ///
    /// # Errors
    /// `Retryable` when it cannot be removed.
    pub fn remove(&self, area: Area, name: &FileName) -> Result<(), Error> {
        self.remove_path(&Path::new(area.name()).join(name.as_str()))
    }

    /// Returns the content of a file in a folder of an area; `None` when it is not there.
    ///
    /// # Errors
    /// `Retryable` when it cannot be read; `Terminal` with `FileTooLarge` beyond `bytes_max`.
    pub fn read_file(
        &self,
        area: Area,
        folder: &FileName,
        name: &FileName,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.read(&Path::new(area.name()).join(folder.as_str()).join(name.as_str()), bytes_max)
    }

    /// Replaces a file in a folder of an area as a whole, readable for its owner alone. The folder is made when it is not
    /// there.
    ///
    /// # Errors
    /// `Retryable` when it cannot be written: what was there before is there still.
    pub fn write_file(&self, area: Area, folder: &FileName, name: &FileName, content: &[u8]) -> Result<(), Error> {
        self.write(&Path::new(area.name()).join(folder.as_str()).join(name.as_str()), content)
    }

    /// Removes a file in a folder of an area; one that is not there is fine.
    ///
    /// # Errors
    /// `Retryable` when it cannot be removed.
    pub fn remove_file(&self, area: Area, folder: &FileName, name: &FileName) -> Result<(), Error> {
        self.remove_path(&Path::new(area.name()).join(folder.as_str()).join(name.as_str()))
    }

    /// Returns the names in a folder, in their order; none when it is not there.
    pub(super) fn names(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let read = || -> io::Result<Vec<String>> {
            let opened = match self.resolve(folder, OFlags::DIRECTORY) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other?,
            };
            let mut names = Vec::new();
            for entry in fs::read_dir(through(&opened))? {
                names.extend(entry?.file_name().into_string());
            }
            names.sort_unstable();
            Ok(names)
        };
        read().map_err(|error| failure(&format!("the folder {} cannot be read", folder.display()), error))
    }

    /// Returns the content of a file; `None` when it is not there.
    pub(super) fn read(&self, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(path)? else { return Ok(None) };
        let mut content = Vec::new();
        let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|error| failure(&format!("{} cannot be read", path.display()), error))?;
        if content.len() as u64 > bytes_max {
            let message = format!("{} is larger than {bytes_max} bytes", path.display());
            return Err(Error::terminal("FileTooLarge", message));
        }
        Ok(Some(content))
    }

    /// Opens a file for reading; `None` when it is not there.
    pub(super) fn open_file(&self, path: &Path) -> Result<Option<File>, Error> {
        match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(opened) => Ok(Some(File::from(opened))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(&format!("{} cannot be opened", path.display()), error)),
        }
    }

    /// Opens a file for appending; it and its folders are made when they are not there.
    pub(super) fn open_to_append(&self, path: &Path) -> Result<File, Error> {
        let opened = || {
            self.faults.check()?;
            let (folder, name) = self.parent(path)?;
            let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(File::from(rustix::fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?))
        };
        opened().map_err(|error: io::Error| failure(&format!("{} cannot be written", path.display()), error))
    }

    /// Appends to a file that was opened for it.
    pub(super) fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.faults.check()?;
        file.write_all(bytes)
    }

    /// Replaces a file as a whole; its folders are made when they are not there.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let written = || -> io::Result<()> {
            self.faults.check()?;
            let (folder, name) = self.parent(path)?;
            // A name that nobody else can have: names do not begin with a dot.
            let new = format!(".new-{}-{}", std::process::id(), self.written.fetch_add(1, Ordering::Relaxed));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(&folder, &*new, flags, Mode::RUSR | Mode::WUSR)?);
            let put = file.write_all(content).and_then(|()| file.sync_data());
            let put = put.and_then(|()| Ok(rustix::fs::renameat(&folder, &*new, &folder, name)?));
            if put.is_err() {
                // The next start removes it with its folder at the latest.
                let _ = rustix::fs::unlinkat(&folder, &*new, rustix::fs::AtFlags::empty());
            }
            put
        };
        written().map_err(|error| failure(&format!("{} cannot be written", path.display()), error))
    }

    /// Removes a file or folder with everything in it; one that is not there is fine.
    pub(super) fn remove_path(&self, path: &Path) -> Result<(), Error> {
        self.removed(path, |folder, name| {
            let target = through(folder).join(name);
            match fs::symlink_metadata(&target)?.is_dir() {
                true => fs::remove_dir_all(&target),
                false => fs::remove_file(&target),
            }
        })
    }

    /// Removes a folder that is empty: one that is not stays, however shortly ago something was put into it.
    pub(super) fn remove_empty(&self, path: &Path) -> Result<(), Error> {
        use rustix::io::Errno;
        self.removed(path, |folder, name| match rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            other => Ok(other?),
        })
    }

    /// Removes what has this name in this folder as `how` does it; what is not there is fine.
    fn removed(
        &self,
        path: &Path,
        how: impl FnOnce(&OwnedFd, &std::ffi::OsStr) -> io::Result<()>,
    ) -> Result<(), Error> {
        let done = || -> io::Result<()> {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            how(&self.resolve(parent, OFlags::DIRECTORY)?, name)
        };
        match done() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failure(&format!("{} cannot be removed", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Opens what is at a path beneath the root, following no link anywhere.
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let never = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&*self.folder, path, flags | OFlags::CLOEXEC, Mode::empty(), never)?)
    }

    /// Returns the folder of a path, which is made when it is not there, and the last name.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.made(parent)?, name))
    }

    /// Opens a folder, which is made when it is not there.
    fn made(&self, folder: &Path) -> io::Result<OwnedFd> {
        match self.resolve(folder, OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut so_far = PathBuf::new();
        for part in folder.components().take(DEPTH_MAX) {
            let above = if so_far.as_os_str().is_empty() { Path::new(".") } else { &*so_far };
            let above = self.resolve(above, OFlags::DIRECTORY)?;
            match rustix::fs::mkdirat(&above, part.as_os_str(), Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => so_far.push(part),
                Err(error) => return Err(error.into()),
            }
        }
        self.resolve(folder, OFlags::DIRECTORY)
    }
}

/// Returns a path through an open folder: wherever its own path leads by now, this is that folder.
fn through(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}
