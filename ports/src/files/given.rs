//! Files of the host that an object names, and that somebody else writes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Error;

/// Which files of the host objects may name. Whoever may write such an object can let ccd read them.
#[derive(Clone, Debug)]
pub struct GivenFiles {
    roots: Vec<PathBuf>,
    never: Vec<PathBuf>,
    setting: &'static str,
}

impl GivenFiles {
    /// Allows files beneath `roots`, and nothing beneath `never`: with the keys of ccd itself somebody could become
    /// anybody.
    #[must_use]
    pub fn beneath(roots: Vec<PathBuf>, never: Vec<PathBuf>) -> Self {
        Self { roots, never, setting: "certificates.file_roots" }
    }

    /// Returns the same for folders that another setting of the configuration names; texts say which.
    #[must_use]
    pub fn named_by(self, setting: &'static str) -> Self {
        Self { setting, ..self }
    }

    /// Returns the whole content of a file. Symbolic links are followed, to where files are allowed: programs that renew
    /// certificates put one in front of each file. It blocks; it never waits for a pipe or a device, because it opens
    /// none.
    ///
    /// # Errors
    /// `Blocked` with `FileMissing`, `FileForbidden` or `FileUnsuitable` (a folder, a device, larger than `bytes_max`): a
    /// person must change something outside. `Retryable` with `FileFailed` otherwise. No text holds any of the content.
    pub fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let shown = path.display();
        let unsuitable = |what: String| Error::blocked("FileUnsuitable", what);
        let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let file = file.map_err(|error| failure(path, error))?;
        self.check(path, &file)?;
        let metadata = file.metadata().map_err(|error| failure(path, error))?;
        if !metadata.is_file() {
            return Err(unsuitable(format!("{shown} is no file but a folder, a pipe or a device")));
        }
        let mut content = Vec::new();
        let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut content).map_err(|error| failure(path, error))?;
        if content.len() > bytes_max {
            return Err(unsuitable(format!("the file {shown} is larger than {bytes_max} bytes")));
        }
        Ok(content)
    }

    /// Looks at where the open file really lies: names can change between a look and the opening.
    fn check(&self, path: &Path, file: &File) -> Result<(), Error> {
        let place =
            fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|error| failure(path, error))?;
        let holds = |folder: &PathBuf| place.starts_with(fs::canonicalize(folder).as_deref().unwrap_or(folder));
        if self.roots.iter().any(holds) && !self.never.iter().any(holds) {
            return Ok(());
        }
        let message = format!(
            "the file {} lies where no object may name files: name its folder in {} of the configuration, unless it is one \
             of ccd's own",
            path.display(),
            self.setting
        );
        Err(Error::blocked("FileForbidden", message))
    }
}

fn failure(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let message = format!("the file {shown} is not there: put it there, or correct the path");
            Error::blocked("FileMissing", message)
        }
        io::ErrorKind::PermissionDenied => {
            let message = format!("the file {shown} may not be read by the user that ccd runs as: let it");
            Error::blocked("FileForbidden", message)
        }
        _ => Error::retryable("FileFailed", format!("the file {shown} cannot be read")).because(error),
    }
}
