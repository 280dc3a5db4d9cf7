//! Files of the host that an object names, and that somebody else writes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::Error;

/// Returns the whole content of a file of the host. Symbolic links are followed: programs that renew certificates put
/// one in front of each file. It blocks; it never waits for a pipe or a device, because it opens none.
///
/// # Errors
/// `Blocked` with `FileMissing`, `FileForbidden` or `FileUnsuitable` (a folder, a device, larger than `bytes_max`): a
/// person must change something outside. `Retryable` with `FileFailed` otherwise. No text holds any of the content.
pub fn read_given(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let shown = path.display();
    let unsuitable = |what: String| Error::blocked("FileUnsuitable", what);
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = file.map_err(|error| failure(path, error))?;
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
