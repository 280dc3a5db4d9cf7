//! [`FakeGit`]: repositories in memory, and servers that can be told to fail.
//!
//! Work trees are real folders: files, and `.git/HEAD` with the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{
    CommitId, Diff, FILE_BYTES_MAX, Fetch, FileKind, Git, NearestTag, RefName, RemoteUrl, Revision, Tag, TreeFile,
    TreePath, WorkTree,
};
use crate::error::{Error, ErrorKind};

/// Files of a commit.
pub type FakeFiles = BTreeMap<TreePath, (FileKind, Vec<u8>)>;

#[derive(Clone, Debug)]
struct FakeCommit {
    parent: Option<CommitId>,
    files: FakeFiles,
    made_at: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct FakeRepository {
    commits: BTreeMap<CommitId, FakeCommit>,
    branches: BTreeMap<RefName, CommitId>,
    tags: BTreeMap<RefName, Tag>,
    pulls: BTreeMap<u64, CommitId>,
}

#[derive(Debug, Default)]
struct State {
    remotes: HashMap<RemoteUrl, FakeRepository>,
    mirrors: HashMap<RemoteUrl, FakeRepository>,
    faults: HashMap<RemoteUrl, (ErrorKind, &'static str, String)>,
    credentials: HashMap<RemoteUrl, String>,
    fetches: HashMap<RemoteUrl, usize>,
    made: u64,
}

/// Git in memory.
#[derive(Debug, Default)]
pub struct FakeGit {
    state: Mutex<State>,
}

impl FakeGit {
    /// Adds a commit with these files, and no others, on top of a branch, which is made when it is not there; and the
    /// repository likewise.
    pub fn commit(&self, url: &RemoteUrl, branch: &RefName, files: FakeFiles) -> CommitId {
        let mut state = self.state();
        let (id, made_at) = state.next();
        let repository = state.remotes.entry(url.clone()).or_default();
        let parent = repository.branches.get(branch).cloned();
        repository.commits.insert(id.clone(), FakeCommit { parent, files, made_at });
        repository.branches.insert(branch.clone(), id.clone());
        id
    }

    /// Adds or moves a tag.
    pub fn tag(&self, url: &RemoteUrl, name: &RefName, commit: &CommitId, is_annotated: bool) {
        let mut state = self.state();
        let (_, made_at) = state.next();
        let repository = state.remotes.entry(url.clone()).or_default();
        let commit_made_at = repository.commits.get(commit).map_or(made_at, |found| found.made_at);
        let made_at = if is_annotated { made_at } else { commit_made_at };
        let tag = Tag { name: name.clone(), commit: commit.clone(), is_annotated, made_at };
        repository.tags.insert(name.clone(), tag);
    }

    /// Removes a tag.
    pub fn remove_tag(&self, url: &RemoteUrl, name: &RefName) {
        self.state().remotes.entry(url.clone()).or_default().tags.remove(name);
    }

    /// Removes a branch; its commits stay.
    pub fn remove_branch(&self, url: &RemoteUrl, name: &RefName) {
        self.state().remotes.entry(url.clone()).or_default().branches.remove(name);
    }

    /// Adds or moves the head of a pull request.
    pub fn pull_request(&self, url: &RemoteUrl, number: u64, commit: &CommitId) {
        self.state().remotes.entry(url.clone()).or_default().pulls.insert(number, commit.clone());
    }

    /// Lets every fetch of a URL fail from now on; `None` mends it.
    pub fn set_fault(&self, url: &RemoteUrl, fault: Option<(ErrorKind, &'static str, &str)>) {
        let mut state = self.state();
        match fault {
            Some((kind, reason, message)) => {
                state.faults.insert(url.clone(), (kind, reason, message.to_owned()));
            }
            None => {
                state.faults.remove(url);
            }
        }
    }

    /// Lets a repository be fetched only with this secret.
    pub fn require_secret(&self, url: &RemoteUrl, secret: &str) {
        self.state().credentials.insert(url.clone(), secret.to_owned());
    }

    /// Returns how often a URL was fetched, failures included.
    #[must_use]
    pub fn fetches(&self, url: &RemoteUrl) -> usize {
        self.state().fetches.get(url).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror(&self, url: &RemoteUrl) -> Result<FakeRepository, Error> {
        let found = self.state().mirrors.get(url).cloned();
        found.ok_or_else(|| Error::blocked("NotFetched", format!("{url} has not been fetched yet")))
    }

    fn with_commit(&self, url: &RemoteUrl, commit: &CommitId) -> Result<(FakeRepository, FakeCommit), Error> {
        let mirror = self.mirror(url)?;
        let found = mirror.commits.get(commit).cloned();
        let found = found.ok_or_else(|| Error::terminal("CommitNotFound", format!("{url} has no commit {commit}")))?;
        Ok((mirror, found))
    }
}

impl State {
    /// Returns a new commit's name, and a moment later than all before.
    fn next(&mut self) -> (CommitId, Timestamp) {
        self.made += 1;
        let id = CommitId::new(format!("{:040x}", self.made)).expect("40 hexadecimal digits");
        let seconds = i64::try_from(self.made).unwrap_or(0);
        (id, Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
    }

    fn check(&mut self, fetch: &Fetch) -> Result<FakeRepository, Error> {
        *self.fetches.entry(fetch.url.clone()).or_default() += 1;
        if let Some((kind, reason, message)) = self.faults.get(&fetch.url) {
            return Err(Error::new(*kind, reason, message.clone()));
        }
        let given = fetch.credential.as_ref();
        if let Some(credential) = given.filter(|credential| credential.origin != fetch.url.origin()) {
            let message = format!("the credential is for {}, not for {}", credential.origin, fetch.url.origin());
            return Err(Error::terminal("CredentialNotForHost", message));
        }
        if self.credentials.get(&fetch.url).is_some_and(|secret| given.is_none_or(|given| given.secret != *secret)) {
            return Err(Error::terminal("GitAuthentication", format!("{} wants a credential", fetch.url)));
        }
        let remote = self.remotes.get(&fetch.url).cloned();
        let remote = remote
            .ok_or_else(|| Error::terminal("RepositoryNotFound", format!("there is no repository at {}", fetch.url)))?;
        if fetch.pull_requests.iter().any(|number| !remote.pulls.contains_key(number)) {
            return Err(Error::terminal("PullRequestNotFound", "there is no such pull request"));
        }
        if let Some(absent) = fetch.commits.iter().find(|commit| !remote.commits.contains_key(commit)) {
            return Err(Error::terminal("CommitNotFound", format!("there is no commit {absent}")));
        }
        Ok(remote)
    }
}

impl FakeRepository {
    fn history(&self, commit: &CommitId) -> Vec<CommitId> {
        let mut history = Vec::new();
        let mut next = Some(commit.clone());
        while let Some(id) = next {
            next = self.commits.get(&id).and_then(|found| found.parent.clone());
            history.push(id);
        }
        history
    }

    /// Returns the commits that are reached by what was fetched.
    fn keep_reachable(&mut self, fetch: &Fetch, before: Option<&Self>) {
        let pulls = fetch.pull_requests.iter().filter_map(|number| self.pulls.get(number));
        let tips = self.branches.values().chain(self.tags.values().map(|tag| &tag.commit)).chain(pulls);
        let tips: Vec<CommitId> = tips.chain(&fetch.commits).cloned().collect();
        let reached: BTreeSet<CommitId> = tips.iter().flat_map(|tip| self.history(tip)).collect();
        self.commits.retain(|id, _| reached.contains(id));
        let mut pulls = before.map(|before| before.pulls.clone()).unwrap_or_default();
        pulls.extend(
            self.pulls.iter().filter(|(number, _)| fetch.pull_requests.contains(number)).map(|(n, c)| (*n, c.clone())),
        );
        self.pulls = pulls;
        if let Some(before) = before {
            self.commits.extend(before.commits.clone());
        }
    }
}

#[async_trait]
impl Git for FakeGit {
    async fn fetch(&self, fetch: &Fetch) -> Result<(), Error> {
        let mut state = self.state();
        let mut remote = state.check(fetch)?;
        remote.keep_reachable(fetch, state.mirrors.get(&fetch.url));
        state.mirrors.insert(fetch.url.clone(), remote);
        Ok(())
    }

    async fn resolve(&self, url: &RemoteUrl, revision: &Revision) -> Result<Option<CommitId>, Error> {
        let mirror = self.mirror(url)?;
        let tag = |name| mirror.tags.get(name).map(|tag| tag.commit.clone());
        Ok(match revision {
            Revision::Commit(commit) => mirror.commits.contains_key(commit).then(|| commit.clone()),
            Revision::Branch(name) => mirror.branches.get(name).cloned(),
            Revision::Tag(name) => tag(name),
            Revision::Named(name) => tag(name).or_else(|| mirror.branches.get(name).cloned()),
            Revision::PullRequest(number) => mirror.pulls.get(number).cloned(),
        })
    }

    async fn branches(&self, url: &RemoteUrl) -> Result<Vec<RefName>, Error> {
        Ok(self.mirror(url)?.branches.into_keys().collect())
    }

    async fn tags(&self, url: &RemoteUrl) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = self.mirror(url)?.tags.into_values().collect();
        tags.sort_by_key(|tag| std::cmp::Reverse(tag.made_at));
        Ok(tags)
    }

    async fn checkout(&self, url: &RemoteUrl, commit: &CommitId, into: &Path) -> Result<(), Error> {
        let (_, found) = self.with_commit(url, commit)?;
        write_work_tree(into, commit, &found.files)
            .map_err(|error| Error::retryable("GitFolder", "the work tree cannot be made").because(error))
    }

    async fn work_tree(&self, at: &Path, commit: &CommitId) -> Result<WorkTree, Error> {
        let Ok(head) = fs::read_to_string(at.join(".git/HEAD")) else { return Ok(WorkTree::Absent) };
        let head = CommitId::new(head.trim())?;
        if head != *commit {
            return Ok(WorkTree::Elsewhere(head));
        }
        let state = self.state();
        let files = state.mirrors.values().find_map(|mirror| mirror.commits.get(commit)).map(|found| &found.files);
        let mut expected: BTreeMap<String, Vec<u8>> = files
            .into_iter()
            .flatten()
            .filter(|(_, (kind, _))| *kind != FileKind::Submodule)
            .map(|(path, (_, content))| (path.to_string(), content.clone()))
            .collect();
        let mut changed = Vec::new();
        for (path, content) in files_below(at, at) {
            if expected.remove(&path).is_none_or(|expected| expected != content) {
                changed.push(path);
            }
        }
        changed.extend(expected.into_keys());
        Ok(if changed.is_empty() { WorkTree::Clean } else { WorkTree::Dirty(changed) })
    }

    async fn show(&self, url: &RemoteUrl, commit: &CommitId, path: &TreePath) -> Result<Option<Vec<u8>>, Error> {
        let (_, found) = self.with_commit(url, commit)?;
        match found.files.get(path) {
            Some((FileKind::Regular | FileKind::Executable, content)) if content.len() > FILE_BYTES_MAX => {
                Err(Error::terminal("FileTooLarge", format!("{path} is too large")))
            }
            Some((FileKind::Regular | FileKind::Executable, content)) => Ok(Some(content.clone())),
            _ => Ok(None),
        }
    }

    async fn files(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Vec<TreeFile>, Error> {
        let (_, found) = self.with_commit(url, commit)?;
        let files =
            found.files.into_iter().map(|(path, (kind, content))| TreeFile { path, kind, bytes: content.len() as u64 });
        Ok(files.collect())
    }

    async fn diff(&self, url: &RemoteUrl, from: &CommitId, to: &CommitId, bytes_max: usize) -> Result<Diff, Error> {
        let ((_, from), (_, to)) = (self.with_commit(url, from)?, self.with_commit(url, to)?);
        let mut patch = Vec::new();
        let paths: BTreeSet<&TreePath> = from.files.keys().chain(to.files.keys()).collect();
        for path in paths.into_iter().filter(|path| from.files.get(path) != to.files.get(path)) {
            patch.extend(format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n").into_bytes());
            for (sign, side) in [(b'-', &from), (b'+', &to)] {
                for line in
                    side.files.get(path).into_iter().flat_map(|(_, content)| content.split_inclusive(|b| *b == b'\n'))
                {
                    patch.push(sign);
                    patch.extend(line);
                }
            }
        }
        let is_cut_off = patch.len() > bytes_max;
        patch.truncate(bytes_max);
        Ok(Diff { patch, is_cut_off })
    }

    async fn merge_base(&self, url: &RemoteUrl, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>, Error> {
        let (mirror, _) = self.with_commit(url, one)?;
        self.with_commit(url, other)?;
        let history = mirror.history(one);
        Ok(mirror.history(other).into_iter().find(|commit| history.contains(commit)))
    }

    async fn is_ancestor(&self, url: &RemoteUrl, ancestor: &CommitId, commit: &CommitId) -> Result<bool, Error> {
        let (mirror, _) = self.with_commit(url, ancestor)?;
        self.with_commit(url, commit)?;
        Ok(mirror.history(commit).contains(ancestor))
    }

    async fn nearest_tag(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Option<NearestTag>, Error> {
        let (mirror, _) = self.with_commit(url, commit)?;
        for (distance, id) in (0..).zip(mirror.history(commit)) {
            let here = mirror.tags.values().filter(|tag| tag.is_annotated && tag.commit == id);
            if let Some(tag) = here.max_by_key(|tag| tag.made_at) {
                return Ok(Some(NearestTag { name: tag.name.clone(), distance }));
            }
        }
        Ok(None)
    }

    async fn other_mirrors(&self, kept: &[RemoteUrl]) -> Result<Vec<String>, Error> {
        let state = self.state();
        let mut names: Vec<String> =
            state.mirrors.keys().filter(|url| !kept.contains(url)).map(|url| url.to_string()).collect();
        names.sort();
        Ok(names)
    }

    async fn forget_mirror(&self, name: &str) -> Result<(), Error> {
        self.state().mirrors.retain(|url, _| url.as_str() != name);
        Ok(())
    }

    async fn forget(&self, url: &RemoteUrl) -> Result<(), Error> {
        self.state().mirrors.remove(url);
        Ok(())
    }
}

fn write_work_tree(into: &Path, commit: &CommitId, files: &FakeFiles) -> io::Result<()> {
    match fs::remove_dir_all(into) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // As with git, the folder that it lies in must be there.
    fs::create_dir(into)?;
    fs::create_dir(into.join(".git"))?;
    fs::write(into.join(".git/HEAD"), format!("{commit}\n"))?;
    for (path, (kind, content)) in files {
        let place = into.join(path.as_str());
        if *kind == FileKind::Submodule {
            fs::create_dir_all(place)?;
            continue;
        }
        fs::create_dir_all(place.parent().unwrap_or(into))?;
        fs::write(&place, content)?;
        if *kind == FileKind::Executable {
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn files_below(root: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path == root.join(".git") {
            continue;
        }
        if path.is_dir() {
            found.extend(files_below(root, &path));
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push((name, fs::read(&path).unwrap_or_default()));
        }
    }
    found
}
