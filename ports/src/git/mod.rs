//! Git repositories: mirrors of what is elsewhere, and what is in them.
//!
//! ```text
//!   https://… ──fetch──► mirror (bare, all branches, all tags) ──checkout──► work tree of its own
//!                             └── resolve, tags, show, files, diff, merge_base, is_ancestor, nearest_tag: no network
//! ```
//!
//! - [`Git::fetch`] is the only call that uses the network, and the only one that may take minutes: it is meant to be
//!   run beside the passes and looked at again.
//! - Any number of callers may use one mirror at the same time. What was fetched is never taken away under them:
//!   objects are only added.
//! - Names that git is given have a grammar ([`names`]): none of them can be taken for an option.

pub mod conformance;
pub mod fake;
pub mod names;
pub mod process;

#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Error;
pub use names::{CommitId, RefName, RemoteUrl, TreePath};

/// Most bytes of one file that [`Git::show`] returns.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Most files that [`Git::files`] returns.
pub const FILES_MAX: usize = 20_000;
/// Most tags that [`Git::tags`] returns; the newest are kept.
pub const TAGS_MAX: usize = 5_000;

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// From where: all branches and all tags.
    pub url: RemoteUrl,
    /// With which credential, if any.
    pub credential: Option<Credential>,
    /// Pull requests whose heads are fetched too.
    pub pull_requests: Vec<u64>,
    /// Commits that are asked for by name if they are in none of these.
    pub commits: Vec<CommitId>,
}

impl Fetch {
    /// Returns the fetch of all branches and tags, without a credential.
    #[must_use]
    pub fn all(url: RemoteUrl) -> Self {
        Self { url, credential: None, pull_requests: Vec::new(), commits: Vec::new() }
    }
}

/// A user and a secret, for one server only.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The origin that may see it: `https://host` or `https://host:port`. Nobody else ever does.
    pub origin: String,
    /// The user.
    pub user: String,
    /// The password or token.
    pub secret: String,
}

impl std::fmt::Debug for Credential {
    /// Leaves the secret out.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("origin", &self.origin)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Names a commit in one way or another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// By itself.
    Commit(CommitId),
    /// By a branch.
    Branch(RefName),
    /// By a tag.
    Tag(RefName),
    /// By a branch or tag; a tag wins.
    Named(RefName),
    /// By the head of a pull request.
    PullRequest(u64),
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: RefName,
    /// The commit it stands for.
    pub commit: CommitId,
    /// Whether it is an object of its own with author and message; recipes' versions must be.
    pub is_annotated: bool,
    /// When it was made; for one that is not annotated, when its commit was.
    pub made_at: Timestamp,
}

/// The nearest tag that is an ancestor of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestTag {
    /// Its name.
    pub name: RefName,
    /// How many commits lie between.
    pub distance: u32,
}

/// A file in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: FileKind,
    /// How long it is, in bytes; 0 for a submodule.
    pub bytes: u64,
}

/// What a file in a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    Regular,
    /// A file that can be executed.
    Executable,
    /// A symbolic link; in a work tree it is a plain file with the target as its content.
    Link,
    /// Another repository at some commit; in a work tree an empty folder.
    Submodule,
}

/// What differs between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// A unified diff, in bytes as they are.
    pub patch: Vec<u8>,
    /// Whether the patch was too long and is only its beginning.
    pub is_cut_off: bool,
}

/// What a work tree is, compared with the commit that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkTree {
    /// Nothing is there, or no work tree.
    Absent,
    /// Exactly that commit, without changed, missing or untracked files.
    Clean,
    /// Another commit.
    Elsewhere(CommitId),
    /// That commit, with these files changed, missing or untracked; at most 20 of them.
    Dirty(Vec<String>),
}

/// Git repositories.
#[async_trait]
pub trait Git: Send + Sync {
    /// Makes the mirror, or brings it up to date. Tags and branches that are gone there go here too; their commits
    /// stay. Two callers at once take turns.
    ///
    /// # Errors
    /// `Retryable`: `GitUnreachable`, `TimedOut`, `DiskFull`. `Terminal`: `GitAuthentication`, `RepositoryNotFound`,
    /// `GitRedirected`, `UrlNotAllowed`, `RepositoryTooLarge`, `PullRequestNotFound`, `CommitNotFound`.
    async fn fetch(&self, fetch: &Fetch) -> Result<(), Error>;

    /// Returns the commit that a revision stands for; `None` when the mirror has no such thing.
    ///
    /// # Errors
    /// `Blocked` with the reason `NotFetched` when there is no mirror.
    async fn resolve(&self, url: &RemoteUrl, revision: &Revision) -> Result<Option<CommitId>, Error>;

    /// Returns the names of all branches, in their order.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    async fn branches(&self, url: &RemoteUrl) -> Result<Vec<RefName>, Error>;

    /// Returns the tags that stand for commits, newest first; those whose name is not in our grammar are left out.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    async fn tags(&self, url: &RemoteUrl) -> Result<Vec<Tag>, Error>;

    /// Makes `into` a work tree of exactly this commit, detached, with all tags and branches and no remote: a
    /// repository of its own that needs the mirror no more. Whatever was at `into` is replaced at once, at the end. Its
    /// parent must be there.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); `Terminal` with `CommitNotFound`; `Retryable` with `DiskFull`.
    async fn checkout(&self, url: &RemoteUrl, commit: &CommitId, into: &Path) -> Result<(), Error>;

    /// Returns what a work tree is, compared with a commit.
    ///
    /// # Errors
    /// `Retryable` when it cannot be looked at.
    async fn work_tree(&self, at: &Path, commit: &CommitId) -> Result<WorkTree, Error>;

    /// Returns the content of a file in a commit; `None` when it is not there or no file.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); `Terminal` with `FileTooLarge` beyond [`FILE_BYTES_MAX`].
    async fn show(&self, url: &RemoteUrl, commit: &CommitId, path: &TreePath) -> Result<Option<Vec<u8>>, Error>;

    /// Returns every file of a commit, in the order of their paths.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); `Terminal` with `TooManyFiles` beyond [`FILES_MAX`], `CommitNotFound`.
    async fn files(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Vec<TreeFile>, Error>;

    /// Returns what differs between two commits, at most `bytes_max` bytes of it.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); `Terminal` with `CommitNotFound`.
    async fn diff(&self, url: &RemoteUrl, from: &CommitId, to: &CommitId, bytes_max: usize) -> Result<Diff, Error>;

    /// Returns the newest commit that two commits are both built upon; `None` when there is none.
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    async fn merge_base(&self, url: &RemoteUrl, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>, Error>;

    /// Returns whether `ancestor` is `commit` or one of those it is built upon.
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    async fn is_ancestor(&self, url: &RemoteUrl, ancestor: &CommitId, commit: &CommitId) -> Result<bool, Error>;

    /// Returns the annotated tag that is nearest among a commit and those it is built upon.
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    async fn nearest_tag(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Option<NearestTag>, Error>;

    /// Returns the mirrors of other repositories than these, by names of their own, in their order.
    ///
    /// # Errors
    /// `Retryable` when they cannot be listed.
    async fn other_mirrors(&self, kept: &[RemoteUrl]) -> Result<Vec<String>, Error>;

    /// Removes a mirror that [`other_mirrors`](Self::other_mirrors) named. Work trees stay; one that is fetched goes
    /// after that.
    ///
    /// # Errors
    /// `Retryable` when it cannot be removed; `Terminal` with `InvalidName` for what is no such name.
    async fn forget_mirror(&self, name: &str) -> Result<(), Error>;

    /// Removes the mirror. Work trees stay.
    ///
    /// # Errors
    /// `Retryable` when it cannot be removed.
    async fn forget(&self, url: &RemoteUrl) -> Result<(), Error>;
}
