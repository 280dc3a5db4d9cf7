//! Small archives in memory: what is put into containers and taken out of them.

use std::io::Read as _;

use bytes::Bytes;
use ports::error::Error;

/// A regular file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path in the archive.
    pub(super) path: String,
    /// Its content.
    pub(super) content: Vec<u8>,
}

/// Returns an archive of one file that everybody may read.
pub(super) fn one(name: &str, content: &[u8]) -> Result<Bytes, Error> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, content).map_err(|error| broken("made", error))?;
    Ok(builder.into_inner().map_err(|error| broken("made", error))?.into())
}

/// Returns the number of regular files that are not empty, and their bytes; files called `without` do not count.
pub(super) fn measure(archive: &[u8], without: &str) -> Result<(u64, u64), Error> {
    let mut archive = tar::Archive::new(archive);
    let (mut files, mut bytes) = (0, 0);
    for entry in archive.entries().map_err(|error| broken("read", error))? {
        let entry = entry.map_err(|error| broken("read", error))?;
        let path = entry.path().map_err(|error| broken("read", error))?;
        let counts = entry.header().entry_type().is_file() && entry.size() > 0;
        if counts && path.file_name().is_none_or(|name| name != without) {
            files += 1;
            bytes += entry.size();
        }
    }
    Ok((files, bytes))
}

/// Returns the regular files of an archive, at most `files_max` of at most `bytes_max` each; larger ones are left out.
pub(super) fn files(archive: &[u8], files_max: usize, bytes_max: u64) -> Result<Vec<Found>, Error> {
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for entry in archive.entries().map_err(|error| broken("read", error))? {
        let mut entry = entry.map_err(|error| broken("read", error))?;
        if !entry.header().entry_type().is_file() || entry.size() > bytes_max || found.len() >= files_max {
            continue;
        }
        let path = entry.path().map_err(|error| broken("read", error))?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| broken("read", error))?;
        found.push(Found { path, content });
    }
    Ok(found)
}

fn broken(what: &str, error: std::io::Error) -> Error {
    Error::retryable("ArchiveBroken", format!("an archive cannot be {what}")).because(error)
}
