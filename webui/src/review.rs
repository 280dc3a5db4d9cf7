//! What a commit changes that waits for trust, as the pages are told it: files, and what policy says of them.

use std::sync::Arc;

use futures::future::BoxFuture;

/// What a commit changes, and what it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// The commit.
    pub commit: String,
    /// The commit that it is compared with: where it left the recipe's branch.
    pub base: String,
    /// The branch.
    pub branch: String,
    /// Changed files: first those that decide what runs.
    pub files: Vec<ReviewFile>,
    /// Files that are left out because there are too many.
    pub files_left_out: usize,
    /// Whether the difference was too long and is only its beginning.
    pub is_cut_off: bool,
    /// What policy and loading say of the whole commit.
    pub findings: Vec<ReviewFinding>,
}

/// One changed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewFile {
    /// Its path; of a file that was moved, both.
    pub path: String,
    /// Why it decides what runs; `None` for a file that nothing runs by.
    pub why: Option<&'static str>,
    /// The difference, a line each, as in a unified diff.
    pub lines: Vec<String>,
    /// Whether lines are left out.
    pub is_cut_off: bool,
}

/// What is said of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewFinding {
    /// Whether it keeps the commit from running, also once it is approved.
    pub is_refused: bool,
    /// A sentence with file and line.
    pub text: String,
}

/// Looks at what commits change.
pub trait Reviews: Send + Sync {
    /// Returns what was looked at already, without waiting for anything.
    fn known(&self, namespace: &str, run: &str) -> Option<Arc<Review>>;

    /// Fetches what the commit of a run changes, and looks at it.
    ///
    /// # Errors
    /// A sentence for people: the forge does not answer, the commit is gone, too many look at once.
    fn look<'a>(&'a self, namespace: &'a str, run: &'a str) -> BoxFuture<'a, Result<Arc<Review>, String>>;
}
