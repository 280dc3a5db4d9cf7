//! What every implementation of [`Git`] must do: the same suite for the fake and for the program.

use std::fs;
use std::path::Path;

use super::{CommitId, Fetch, FileKind, Git, RefName, RemoteUrl, Revision, TreePath, WorkTree};
use crate::error::ErrorKind;

/// A repository that the suite can change, and the implementation that looks at it.
pub trait Harness {
    /// The implementation.
    fn git(&self) -> &dyn Git;
    /// Where the repository is.
    fn url(&self) -> RemoteUrl;
    /// Where no repository is.
    fn nowhere(&self) -> RemoteUrl;
    /// A folder for work trees.
    fn folder(&self) -> &Path;
    /// Adds a commit with exactly these files on top of a branch.
    fn commit(&self, branch: &str, files: &[(&str, FileKind, &str)]) -> CommitId;
    /// Adds or moves a tag.
    fn tag(&self, name: &str, commit: &CommitId, is_annotated: bool);
    /// Removes a tag.
    fn remove_tag(&self, name: &str);
    /// Removes a branch.
    fn remove_branch(&self, name: &str);
    /// Adds or moves the head of a pull request.
    fn pull_request(&self, number: u64, commit: &CommitId);
}

const COMPOSE: &str = "services: {}\n";

/// Runs the whole suite; the repository must be empty.
pub async fn check(harness: &impl Harness) {
    what_is_not_fetched_is_not_there(harness).await;
    let (first, second) = history(harness);
    harness.git().fetch(&Fetch::all(harness.url())).await.expect("fetches");
    names_stand_for_commits(harness, &first, &second).await;
    tags_tell_whether_they_are_annotated(harness, &first, &second).await;
    files_are_shown_and_listed(harness, &first, &second).await;
    histories_are_compared(harness, &first, &second).await;
    a_work_tree_is_exactly_one_commit(harness, &first, &second).await;
    what_is_gone_there_goes_here_but_for_its_commits(harness).await;
    pull_requests_are_fetched_on_demand(harness).await;
    a_forgotten_mirror_is_gone(harness, &first).await;
}

/// Returns a checked reference.
#[must_use]
pub fn name(text: &str) -> RefName {
    RefName::new(text).expect("the suite's names are valid")
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("the suite's paths are valid")
}

fn history(harness: &impl Harness) -> (CommitId, CommitId) {
    let sample = (".env.sample", FileKind::Regular, "TYPE=demo\n");
    let first = harness.commit("main", &[("compose.yml", FileKind::Regular, COMPOSE), sample]);
    let files = [
        ("compose.yml", FileKind::Regular, "services:\n  app: {}\n"),
        sample,
        ("release/1.0.0+2", FileKind::Regular, "Notes.\n"),
        ("entrypoint.sh", FileKind::Executable, "#!/bin/sh\n"),
        ("elsewhere", FileKind::Link, "/etc/passwd"),
    ];
    let second = harness.commit("main", &files);
    harness.tag("1.0.0+2", &first, true);
    harness.tag("light", &second, false);
    (first, second)
}

async fn what_is_not_fetched_is_not_there(harness: &impl Harness) {
    let error = harness.git().tags(&harness.url()).await.expect_err("nothing was fetched");
    assert_eq!((error.kind, error.reason), (ErrorKind::Blocked, "NotFetched"));
    let error = harness.git().fetch(&Fetch::all(harness.nowhere())).await.expect_err("nothing is there");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "RepositoryNotFound"), "{error}");
}

async fn names_stand_for_commits(harness: &impl Harness, first: &CommitId, second: &CommitId) {
    let cases = [
        (Revision::Branch(name("main")), Some(second)),
        (Revision::Tag(name("1.0.0+2")), Some(first)),
        (Revision::Tag(name("light")), Some(second)),
        (Revision::Named(name("main")), Some(second)),
        (Revision::Named(name("1.0.0+2")), Some(first)),
        (Revision::Commit(first.clone()), Some(first)),
        (Revision::Branch(name("1.0.0+2")), None),
        (Revision::Tag(name("main")), None),
        (Revision::Branch(name("absent")), None),
        (Revision::PullRequest(7), None),
        (Revision::Commit(CommitId::new("f".repeat(40)).expect("valid")), None),
    ];
    for (revision, expected) in cases {
        let found = harness.git().resolve(&harness.url(), &revision).await.expect("readable");
        assert_eq!(found.as_ref(), expected, "{revision:?}");
    }
    assert_eq!(harness.git().branches(&harness.url()).await.expect("readable"), [name("main")]);
}

async fn tags_tell_whether_they_are_annotated(harness: &impl Harness, first: &CommitId, second: &CommitId) {
    let tags = harness.git().tags(&harness.url()).await.expect("readable");
    let mut seen: Vec<_> = tags.iter().map(|tag| (tag.name.as_str(), &tag.commit, tag.is_annotated)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("1.0.0+2", first, true), ("light", second, false)]);
}

async fn files_are_shown_and_listed(harness: &impl Harness, first: &CommitId, second: &CommitId) {
    let (git, url) = (harness.git(), harness.url());
    let show = |commit: &CommitId, file: &str| {
        let (commit, file, url) = (commit.clone(), path(file), url.clone());
        async move { git.show(&url, &commit, &file).await.expect("readable") }
    };
    assert_eq!(show(first, "compose.yml").await.as_deref(), Some(COMPOSE.as_bytes()));
    assert_eq!(show(second, "release/1.0.0+2").await.as_deref(), Some(&b"Notes.\n"[..]));
    assert_eq!(show(first, "release/1.0.0+2").await, None, "it came later");
    assert_eq!(show(second, "release").await, None, "a folder is no file");
    assert_eq!(show(second, "elsewhere").await, None, "a link is no file");
    let listed = git.files(&url, second).await.expect("readable");
    let listed: Vec<_> = listed.iter().map(|file| (file.path.as_str(), file.kind, file.bytes)).collect();
    assert_eq!(
        listed,
        [
            (".env.sample", FileKind::Regular, 10),
            ("compose.yml", FileKind::Regular, 20),
            ("elsewhere", FileKind::Link, 11),
            ("entrypoint.sh", FileKind::Executable, 10),
            ("release/1.0.0+2", FileKind::Regular, 7),
        ]
    );
    let absent = CommitId::new("e".repeat(40)).expect("valid");
    let error = git.files(&url, &absent).await.expect_err("it is not there");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "CommitNotFound"));
}

async fn histories_are_compared(harness: &impl Harness, first: &CommitId, second: &CommitId) {
    let (git, url) = (harness.git(), harness.url());
    for (ancestor, commit, expected) in [(first, second, true), (second, first, false), (first, first, true)] {
        assert_eq!(git.is_ancestor(&url, ancestor, commit).await.expect("comparable"), expected);
    }
    for (one, other) in [(first, second), (second, first), (first, first)] {
        let base = git.merge_base(&url, one, other).await.expect("comparable");
        assert_eq!(base.as_ref(), Some(first));
    }
    let nearest = git.nearest_tag(&url, second).await.expect("readable").expect("there is one");
    assert_eq!((nearest.name.as_str(), nearest.distance), ("1.0.0+2", 1), "a light tag does not count");
    let diff = git.diff(&url, first, second, 1 << 20).await.expect("comparable");
    let text = String::from_utf8(diff.patch).expect("the suite's files are text");
    assert!(text.contains("+  app: {}\n") && text.contains("-services: {}\n") && !diff.is_cut_off, "{text}");
    let short = git.diff(&url, first, second, 10).await.expect("comparable");
    assert_eq!((short.patch.len(), short.is_cut_off), (10, true));
}

async fn a_work_tree_is_exactly_one_commit(harness: &impl Harness, first: &CommitId, second: &CommitId) {
    let (git, url) = (harness.git(), harness.url());
    let at = harness.folder().join("tree");
    assert_eq!(git.work_tree(&at, first).await.expect("readable"), WorkTree::Absent);
    git.checkout(&url, second, &at).await.expect("checks out");
    assert_eq!(git.work_tree(&at, second).await.expect("readable"), WorkTree::Clean);
    assert_eq!(git.work_tree(&at, first).await.expect("readable"), WorkTree::Elsewhere(second.clone()));
    let link = fs::symlink_metadata(at.join("elsewhere")).expect("is there");
    assert!(link.is_file(), "a link is not followed by anybody, because it is none");
    fs::write(at.join("untracked"), "x").expect("writable");
    fs::write(at.join("compose.yml"), "changed").expect("writable");
    let WorkTree::Dirty(mut changed) = git.work_tree(&at, second).await.expect("readable") else {
        unreachable!("it was changed")
    };
    changed.sort();
    assert_eq!(changed, ["compose.yml", "untracked"]);
    git.checkout(&url, first, &at).await.expect("replaces what is there");
    assert_eq!(git.work_tree(&at, first).await.expect("readable"), WorkTree::Clean);
    assert!(!at.join("untracked").exists() && !at.join("entrypoint.sh").exists());
    let absent = CommitId::new("e".repeat(40)).expect("valid");
    let error = git.checkout(&url, &absent, &at).await.expect_err("it is not there");
    assert_eq!(error.reason, "CommitNotFound");
    assert_eq!(git.work_tree(&at, first).await.expect("readable"), WorkTree::Clean, "a failure replaces nothing");
}

async fn what_is_gone_there_goes_here_but_for_its_commits(harness: &impl Harness) {
    let (git, url) = (harness.git(), harness.url());
    let gone = harness.commit("short-lived", &[("a", FileKind::Regular, "a")]);
    harness.tag("0.1.0+1", &gone, true);
    git.fetch(&Fetch::all(url.clone())).await.expect("fetches");
    assert_eq!(git.branches(&url).await.expect("readable").len(), 2);
    harness.remove_tag("0.1.0+1");
    harness.remove_branch("short-lived");
    git.fetch(&Fetch::all(url.clone())).await.expect("fetches");
    assert_eq!(git.branches(&url).await.expect("readable"), [name("main")]);
    let absent = git.resolve(&url, &Revision::Tag(name("0.1.0+1"))).await.expect("readable");
    assert_eq!(absent, None);
    let kept = git.resolve(&url, &Revision::Commit(gone.clone())).await.expect("readable");
    assert_eq!(kept, Some(gone), "somebody may be using it");
}

async fn pull_requests_are_fetched_on_demand(harness: &impl Harness) {
    let (git, url) = (harness.git(), harness.url());
    let head = harness.commit("from-a-fork", &[("b", FileKind::Regular, "b")]);
    harness.pull_request(7, &head);
    harness.remove_branch("from-a-fork");
    git.fetch(&Fetch::all(url.clone())).await.expect("fetches");
    assert_eq!(git.resolve(&url, &Revision::Commit(head.clone())).await.expect("readable"), None);
    let fetch = Fetch { pull_requests: vec![7], ..Fetch::all(url.clone()) };
    git.fetch(&fetch).await.expect("fetches");
    assert_eq!(git.resolve(&url, &Revision::PullRequest(7)).await.expect("readable"), Some(head.clone()));
    git.fetch(&Fetch::all(url.clone())).await.expect("fetches");
    assert_eq!(git.resolve(&url, &Revision::PullRequest(7)).await.expect("readable"), Some(head), "it stays");
    let absent = Fetch { pull_requests: vec![8], ..Fetch::all(url.clone()) };
    let error = git.fetch(&absent).await.expect_err("there is no such pull request");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "PullRequestNotFound"), "{error}");
    let absent = Fetch { commits: vec![CommitId::new("d".repeat(40)).expect("valid")], ..Fetch::all(url) };
    let error = git.fetch(&absent).await.expect_err("there is no such commit");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "CommitNotFound"), "{error}");
}

async fn a_forgotten_mirror_is_gone(harness: &impl Harness, first: &CommitId) {
    let (git, url) = (harness.git(), harness.url());
    git.forget(&url).await.expect("removes it");
    git.forget(&url).await.expect("twice is fine");
    assert_eq!(git.tags(&url).await.expect_err("it is gone").reason, "NotFetched");
    git.fetch(&Fetch::all(url.clone())).await.expect("makes it again");
    assert_eq!(git.resolve(&url, &Revision::Tag(name("1.0.0+2"))).await.expect("readable").as_ref(), Some(first));
    let nowhere = harness.nowhere();
    assert_eq!(git.other_mirrors(&[url.clone(), nowhere.clone()]).await.expect("they are listed"), [""; 0]);
    let others = git.other_mirrors(std::slice::from_ref(&nowhere)).await.expect("they are listed");
    let [other] = &others[..] else { unreachable!("one mirror: {others:?}") };
    git.forget_mirror(other).await.expect("removes it");
    assert_eq!(git.tags(&url).await.expect_err("it is gone").reason, "NotFetched");
    assert_eq!(git.other_mirrors(&[nowhere]).await.expect("they are listed"), [""; 0]);
    git.fetch(&Fetch::all(url.clone())).await.expect("makes it again");
}
