//! Which files are looked at: what is named, what git tracks or would add beneath a work tree, or all beneath a folder.
//! Links are never followed, and there are bounds on everything.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Most files that are looked at.
pub(super) const FILES_MAX: usize = 200_000;
/// Of a larger file, so many bytes at its beginning are looked at.
pub(super) const FILE_BYTES_MAX: u64 = 8 << 20;
/// Deepest folder, counted from the one that is named.
const DEPTH_MAX: usize = 64;
/// git's own folder holds what was committed in a form of its own; its configuration may hold a password.
const GIT_FOLDER: &str = ".git";

/// What there is to look at, and what there was no looking at.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Files, in order, each once.
    pub paths: BTreeSet<PathBuf>,
    /// What could not be read, with the reason.
    pub unread: Vec<String>,
    /// Whether there are more files than are looked at.
    pub is_cut: bool,
}

impl Files {
    /// Adds a file that is named, or what lies beneath a folder that is.
    pub(super) fn add(&mut self, path: &Path) {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => match tracked(path) {
                Some(names) => self.add_tracked(path, &names),
                None => self.add_folder(path, 0),
            },
            // Named by the caller: then even through a link.
            Ok(_) if fs::metadata(path).is_ok_and(|target| target.is_file()) => self.insert(path.to_owned()),
            Ok(_) => self.unread.push(format!("{}: it is no file and no folder", path.display())),
            Err(error) => self.unread.push(format!("{}: {error}", path.display())),
        }
    }

    fn add_tracked(&mut self, folder: &Path, names: &[u8]) {
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let path = folder.join(OsStr::from_bytes(name));
            // Submodules are folders, and what was deleted is still listed.
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                self.insert(path);
            }
        }
        let configuration = folder.join(GIT_FOLDER).join("config");
        if fs::symlink_metadata(&configuration).is_ok_and(|metadata| metadata.is_file()) {
            self.insert(configuration);
        }
    }

    fn add_folder(&mut self, folder: &Path, depth: usize) {
        if depth > DEPTH_MAX {
            self.unread.push(format!("{}: it lies more than {DEPTH_MAX} folders deep", folder.display()));
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unread.push(format!("{}: {error}", folder.display())),
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = if folder == Path::new(".") { PathBuf::from(entry.file_name()) } else { entry.path() };
            if self.is_cut {
                return;
            }
            if kind.is_file() {
                self.insert(path);
            } else if kind.is_dir() && entry.file_name() == GIT_FOLDER {
                self.add_tracked(folder, b"");
            } else if kind.is_dir() {
                self.add_folder(&path, depth + 1);
            }
        }
    }

    fn insert(&mut self, path: PathBuf) {
        if self.paths.len() >= FILES_MAX {
            self.is_cut = true;
            return;
        }
        let path = path.strip_prefix("./").map(Path::to_path_buf).unwrap_or(path);
        self.paths.insert(path);
    }
}

/// Returns the beginning of a file, and whether that is all of it.
pub(super) fn read(path: &Path) -> std::io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= FILE_BYTES_MAX;
    bytes.truncate(usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX));
    Ok((bytes, is_whole))
}

/// Returns what git tracks or would add beneath a folder, each name ended by a zero; `None` outside of work trees, and
/// where there is no git. What the repository's own configuration would run is not run.
fn tracked(folder: &Path) -> Option<Vec<u8>> {
    let quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.untrackedCache=false"];
    let output = Command::new("git")
        .args(quiet)
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}
