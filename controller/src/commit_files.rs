//! The files of a commit, in memory: for looking at what nobody has checked out.

use std::collections::{BTreeMap, BTreeSet};

use ports::compose::{ReadError, RecipeFiles};
use ports::error::Error;
use ports::git::{CommitId, FileKind, Git, RemoteUrl};

/// Files larger than this are not looked at.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files that are looked at.
const FILES_MAX: usize = 500;

/// The files of a commit.
#[derive(Default)]
pub(crate) struct CommitFiles {
    pub(crate) content: BTreeMap<String, Vec<u8>>,
    /// What is there, but was not read: links, what is too large, what is beyond the limit.
    others: BTreeSet<String>,
}

impl CommitFiles {
    /// Reads a commit that the mirror has.
    ///
    /// # Errors
    /// As [`Git::files`].
    pub(crate) async fn read(git: &dyn Git, url: &RemoteUrl, commit: &CommitId) -> Result<Self, Error> {
        let mut files = Self::default();
        for file in git.files(url, commit).await? {
            let path = file.path.to_string();
            let is_read = matches!(file.kind, FileKind::Regular | FileKind::Executable)
                && file.bytes <= FILE_BYTES_MAX
                && files.content.len() < FILES_MAX;
            match if is_read { git.show(url, commit, &file.path).await? } else { None } {
                Some(content) => {
                    files.content.insert(path, content);
                }
                None => {
                    files.others.insert(path);
                }
            }
        }
        Ok(files)
    }
}

impl RecipeFiles for CommitFiles {
    fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        match self.content.get(path) {
            Some(content) if content.len() > bytes_max => Err(ReadError::TooLarge { bytes_max }),
            Some(content) => Ok(content.clone()),
            None if self.others.contains(path) => Err(ReadError::NotAFile),
            None => Err(ReadError::Missing),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadError> {
        let prefix = if folder.is_empty() || folder == "." { String::new() } else { format!("{folder}/") };
        let all = self.content.keys().chain(&self.others);
        let names = all.filter_map(|path| path.strip_prefix(&prefix)?.split('/').next());
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        Ok(names.into_iter().collect())
    }
}
