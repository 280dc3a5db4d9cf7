//! [`ProcessGit`]: the `git` program, by argument list, with a home and configuration of its own.
//!
//! Files under the root: `home/` (git's and ssh's configuration; an ssh key and `known_hosts` may be put there by the
//! operator), `mirrors/<name>/lock` and `mirrors/<name>/repository.git`.
//!
//! The lock is given to a fetch as its standard input: should ccd be killed, a git that goes on alone holds it until it
//! has ended, and the next ccd waits for it. What a killed git left half done is removed under the lock.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::FlockOperation;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{
    CommitId, Diff, FILE_BYTES_MAX, FILES_MAX, Fetch, Git, NearestTag, RefName, RemoteUrl, Revision, TAGS_MAX, Tag,
    TreeFile, TreePath, WorkTree,
};
use crate::error::Error;
use crate::outbound::Outbound;
use crate::program::{Bounds, Finished, Input, Program};

mod configuration;
mod failure;
mod parse;

pub(super) use failure::classify;

/// Longest that anything but a fetch may take.
const LOCAL_TIME_MAX: Duration = Duration::from_mins(2);
/// Fetches at the same time; more of them wait.
const FETCHES_MAX: usize = 4;
/// Other calls of git at the same time.
const LOCAL_MAX: usize = 8;
/// How often a lock that an earlier ccd's git holds is tried.
const LOCK_PERIOD: Duration = Duration::from_millis(100);
/// Packs after which a mirror is packed anew.
const PACKS_MAX: usize = 50;
/// Most bytes of git's listings.
const LISTING_BYTES_MAX: usize = 32 << 20;
/// Most bytes of address space of each process of git.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
const ALL_REFS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// How git is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    /// Folder for everything; made when it is not there.
    pub root: PathBuf,
    /// The program: a name on `path`, or a path.
    pub program: OsString,
    /// `PATH` of git itself.
    pub path: String,
    /// Protocols that may be fetched from.
    pub protocols: Vec<String>,
    /// Folders beneath which `file:///` URLs may lie.
    pub file_roots: Vec<PathBuf>,
    /// Longest that a fetch may take.
    pub fetch_time_max: Duration,
    /// Largest mirror, in bytes.
    pub repository_bytes_max: u64,
    /// Which addresses may be fetched from.
    pub outbound: Outbound,
}

impl GitSettings {
    /// Returns the usual settings: https and ssh, no local folders, ten minutes, 2 GiB.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            program: "git".into(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin".to_owned(),
            protocols: vec!["https".to_owned(), "ssh".to_owned()],
            file_roots: Vec::new(),
            fetch_time_max: Duration::from_mins(10),
            repository_bytes_max: 2 << 30,
            outbound: Outbound::default(),
        }
    }
}

/// Where exactly a host is: git connects to the address that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    protocol: String,
    host: String,
    port: u16,
    address: IpAddr,
}

impl Pin {
    /// Returns under which name ssh knows the key of the host.
    fn known_as(&self) -> String {
        if self.port == 22 { self.host.clone() } else { format!("[{}]:{}", self.host, self.port) }
    }
}

/// The `git` program.
#[derive(Debug)]
pub struct ProcessGit {
    settings: GitSettings,
    turns: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    fetches: Semaphore,
    local: Semaphore,
}

impl ProcessGit {
    /// Prepares the root.
    ///
    /// # Errors
    /// `Terminal` when its folders and files cannot be written.
    pub fn open(settings: GitSettings) -> Result<Self, Error> {
        configuration::write(&settings.root).map_err(|error| {
            let message = format!("the folder {} for git cannot be prepared", settings.root.display());
            Error::terminal("GitFolder", message).because(error)
        })?;
        let (fetches, local) = (Semaphore::new(FETCHES_MAX), Semaphore::new(LOCAL_MAX));
        Ok(Self { settings, turns: Mutex::default(), fetches, local })
    }

    fn mirror_folder(&self, url: &RemoteUrl) -> PathBuf {
        self.settings.root.join("mirrors").join(parse::mirror_name(url))
    }

    fn repository(&self, url: &RemoteUrl) -> PathBuf {
        self.mirror_folder(url).join("repository.git")
    }

    /// Returns the mirror's repository if there is one.
    fn mirror(&self, url: &RemoteUrl) -> Result<PathBuf, Error> {
        let repository = self.repository(url);
        if repository.join("HEAD").is_file() {
            return Ok(repository);
        }
        Err(Error::blocked("NotFetched", format!("{url} has not been fetched yet")))
    }

    fn program(&self, arguments: &[&str], cwd: &Path) -> Program {
        let mut argv = vec![self.settings.program.clone()];
        argv.extend(arguments.iter().map(OsString::from));
        let mut program = Program::new(argv, cwd.to_owned());
        program.env = configuration::environment(&self.settings.root, &self.settings.path);
        program.bounds = Bounds {
            time: LOCAL_TIME_MAX,
            stdout_bytes: LISTING_BYTES_MAX,
            memory_bytes: Some(MEMORY_BYTES_MAX),
            ..Bounds::default()
        };
        program
    }

    /// Runs git on a repository, without network.
    async fn local(&self, repository: &Path, arguments: &[&str]) -> Result<Finished, Error> {
        self.local_bounded(repository, arguments, LISTING_BYTES_MAX).await
    }

    async fn local_bounded(&self, repository: &Path, arguments: &[&str], most: usize) -> Result<Finished, Error> {
        let _place = self.local.acquire().await.map_err(closed)?;
        let git_dir = format!("--git-dir={}", repository.display());
        let mut all = vec![&*git_dir, "--literal-pathspecs"];
        all.extend(arguments);
        let mut program = self.program(&all, &self.settings.root);
        program.bounds.stdout_bytes = most;
        program.run().await
    }

    /// Runs git on a repository; anything but success is a failure.
    async fn local_output(&self, repository: &Path, arguments: &[&str]) -> Result<String, Error> {
        let finished = self.local(repository, arguments).await?;
        if finished.is_success() {
            return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
        }
        Err(failure::local(arguments.first().copied().unwrap_or_default(), &finished))
    }

    async fn has_commit(&self, repository: &Path, commit: &CommitId) -> Result<bool, Error> {
        let object = format!("{commit}^{{commit}}");
        Ok(self.local(repository, &["cat-file", "-e", &object]).await?.is_success())
    }

    async fn must_have(&self, url: &RemoteUrl, commits: &[&CommitId]) -> Result<PathBuf, Error> {
        let repository = self.mirror(url)?;
        for commit in commits {
            if !self.has_commit(&repository, commit).await? {
                return Err(failure::commit_not_found(url, commit));
            }
        }
        Ok(repository)
    }

    fn check_allowed(&self, fetch: &Fetch) -> Result<(), Error> {
        let url = &fetch.url;
        if let Some(path) = url.local_path() {
            // Without symbolic links, so that none leads out of the allowed folders.
            let real = fs::canonicalize(path);
            let is_beneath = |root: &PathBuf| {
                let root = fs::canonicalize(root);
                matches!((&real, &root), (Ok(real), Ok(root)) if real.starts_with(root))
            };
            if self.settings.file_roots.iter().any(is_beneath) {
                return Ok(());
            }
            let message = format!(
                "{url} is not beneath one of the folders in git.file_roots of the configuration (and runs.file_urls is off)"
            );
            return Err(Error::terminal("UrlNotAllowed", message));
        }
        if !self.settings.protocols.iter().any(|protocol| protocol == url.protocol()) {
            let message = format!(
                "{} is not among the protocols that may be fetched from ({}): use another URL, or add it to \
                 git.protocols in the configuration",
                url.protocol(),
                self.settings.protocols.join(", ")
            );
            return Err(Error::terminal("UrlNotAllowed", message));
        }
        match &fetch.credential {
            Some(credential) if credential.origin.to_ascii_lowercase() != url.origin() => {
                let message = format!("the credential is for {}, not for {}", credential.origin, url.origin());
                Err(Error::terminal("CredentialNotForHost", message))
            }
            _ => Ok(()),
        }
    }

    /// Returns where exactly the host of a URL is, once that may be reached; `None` for a folder of this machine.
    async fn pin(&self, url: &RemoteUrl) -> Result<Option<Pin>, Error> {
        if url.local_path().is_some() {
            return Ok(None);
        }
        let Some((host, port)) = url.host_and_port() else {
            return Err(Error::terminal("UrlNotAllowed", format!("{url} names no port that a host could have")));
        };
        let refused = |error: Error| match error.reason {
            "AddressNotAllowed" => Error::terminal("UrlNotAllowed", error.message),
            _ => Error::retryable("GitUnreachable", error.message),
        };
        let addresses = self.settings.outbound.addresses(&host, port).await.map_err(refused)?;
        let address = addresses.first().copied();
        Ok(address.map(|address| Pin { protocol: url.protocol().to_owned(), host, port, address: address.ip() }))
    }

    /// Waits for this process's turn, and for a git that an earlier ccd left behind.
    async fn lock(&self, folder: &Path) -> Result<(tokio::sync::OwnedMutexGuard<()>, File), Error> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(folder.to_owned()).or_default())
        };
        let turn = turn.lock_owned().await;
        fs::create_dir_all(folder).map_err(|error| failure::disk("the mirror's folder cannot be made", error))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(folder.join("lock"))
            .map_err(|error| failure::disk("the mirror's lock cannot be opened", error))?;
        let until = Instant::now() + self.settings.fetch_time_max;
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if Instant::now() >= until {
                let message = "another git still holds the lock of the mirror: look for it with ps and end it";
                return Err(Error::retryable("MirrorLocked", message));
            }
            tokio::time::sleep(LOCK_PERIOD).await;
        }
        Ok((turn, file))
    }

    async fn prepare(&self, folder: &Path) -> Result<PathBuf, Error> {
        let repository = folder.join("repository.git");
        if repository.join("HEAD").is_file() {
            configuration::remove_leftovers(&repository)
                .map_err(|error| failure::disk("what an earlier git left cannot be removed", error))?;
            return Ok(repository);
        }
        let new = folder.join("new.git");
        configuration::remove_folder(&new).map_err(|error| failure::disk("an unfinished mirror stays", error))?;
        self.local_output(&new, &["init", "--bare", "--quiet"]).await?;
        fs::rename(&new, &repository).map_err(|error| failure::disk("the new mirror cannot be put in place", error))?;
        Ok(repository)
    }

    /// Fetches some references into a mirror; the lock is held until git has ended, whoever lives on.
    async fn fetch_references(
        &self,
        fetch: &Fetch,
        pin: Option<&Pin>,
        repository: &Path,
        references: &[&str],
        lock: &File,
    ) -> Result<(), Error> {
        let git_dir = format!("--git-dir={}", repository.display());
        let mut arguments = vec![&*git_dir, "fetch", "--quiet", "--force", "--atomic", "--no-tags"];
        arguments.extend(["--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--prune"]);
        arguments.extend(["--", fetch.url.as_str()]);
        arguments.extend(references);
        let mut program = self.program(&arguments, &self.settings.root);
        let protocol = fetch.url.protocol().to_owned();
        program.env.insert("GIT_ALLOW_PROTOCOL".to_owned(), protocol);
        if let Some(credential) = &fetch.credential {
            configuration::add_credential(&mut program.env, credential);
        }
        if let Some(pin) = pin {
            configuration::add_pin(&mut program.env, pin, &self.settings.root);
        }
        let input = lock.try_clone().map_err(|error| failure::disk("the mirror's lock cannot be shared", error))?;
        program.input = Input::File(input);
        program.bounds.time = self.settings.fetch_time_max;
        program.bounds.file_bytes = Some(self.settings.repository_bytes_max);
        let finished = program.run().await?;
        if finished.is_success() {
            return Ok(());
        }
        // Whatever git says when it may not write more: what it wrote tells.
        let reached = configuration::pack_figures(repository).map_or(0, |(_, bytes)| bytes);
        if reached >= self.settings.repository_bytes_max {
            // What stays is removed before the next try.
            let _ = configuration::remove_folder(repository);
            return Err(failure::too_large(&fetch.url, self.settings.repository_bytes_max));
        }
        Err(classify(fetch, &finished))
    }

    async fn remove_mirror(&self, folder: &Path) -> Result<(), Error> {
        let (_turn, _lock) = self.lock(folder).await?;
        configuration::remove_folder(folder).map_err(|error| failure::disk("the mirror cannot be removed", error))
    }

    async fn keep_small(&self, url: &RemoteUrl, repository: &Path) -> Result<(), Error> {
        let (packs, bytes) = configuration::pack_figures(repository)
            .map_err(|error| failure::disk("the size of the mirror cannot be told", error))?;
        if bytes > self.settings.repository_bytes_max {
            configuration::remove_folder(repository)
                .map_err(|error| failure::disk("the mirror cannot be removed", error))?;
            return Err(failure::too_large(url, self.settings.repository_bytes_max));
        }
        if packs > PACKS_MAX {
            // Unreachable objects stay: somebody may be using them.
            self.local_output(repository, &["repack", "-a", "-d", "-k", "-q"]).await?;
        }
        Ok(())
    }

    /// Makes a new repository beside `into` and checks the commit out.
    async fn clone_into(&self, mirror: &Path, commit: &CommitId, new: &Path) -> Result<(), Error> {
        let git_dir = new.join(".git");
        let work_tree = format!("--work-tree={}", new.display());
        fs::create_dir(new).map_err(|error| failure::disk("the work tree cannot be made", error))?;
        self.local_output(&git_dir, &["init", "--quiet"]).await?;
        let (source, wanted) = (mirror.display().to_string(), format!("+{commit}:refs/ci/head"));
        let (git_dir_option, [branches, tags]) = (format!("--git-dir={}", git_dir.display()), ALL_REFS);
        let mut arguments = vec![&*git_dir_option, "fetch", "--quiet", "--no-tags", "--update-head-ok"];
        arguments.extend(["--no-write-fetch-head", "--no-auto-maintenance", "--", &source, branches, tags, &wanted]);
        let mut program = self.program(&arguments, &self.settings.root);
        program.env.insert("GIT_ALLOW_PROTOCOL".to_owned(), "file".to_owned());
        let finished = program.run().await?;
        if !finished.is_success() {
            return Err(failure::local("fetch", &finished));
        }
        let checkout = ["checkout", "--force", "--detach", "--quiet", commit.as_str()];
        let mut arguments = vec![&*work_tree];
        arguments.extend(checkout);
        self.local_output(&git_dir, &arguments).await?;
        match self.work_tree(new, commit).await? {
            WorkTree::Clean => Ok(()),
            other => {
                Err(Error::retryable("CheckoutFailed", format!("the work tree is not as it should be: {other:?}")))
            }
        }
    }
}

#[async_trait]
impl Git for ProcessGit {
    async fn fetch(&self, fetch: &Fetch) -> Result<(), Error> {
        self.check_allowed(fetch)?;
        let pin = self.pin(&fetch.url).await?;
        let _place = self.fetches.acquire().await.map_err(closed)?;
        let (_turn, lock) = self.lock(&self.mirror_folder(&fetch.url)).await?;
        let repository = self.prepare(&self.mirror_folder(&fetch.url)).await?;
        self.fetch_references(fetch, pin.as_ref(), &repository, &ALL_REFS, &lock).await?;
        for number in &fetch.pull_requests {
            let reference = format!("+refs/pull/{number}/head:refs/pull/{number}/head");
            self.fetch_references(fetch, pin.as_ref(), &repository, &[&reference], &lock).await?;
        }
        for commit in &fetch.commits {
            if !self.has_commit(&repository, commit).await? {
                let reference = format!("+{commit}:refs/ci/commits/{commit}");
                self.fetch_references(fetch, pin.as_ref(), &repository, &[&reference], &lock).await?;
            }
        }
        self.keep_small(&fetch.url, &repository).await
    }

    async fn resolve(&self, url: &RemoteUrl, revision: &Revision) -> Result<Option<CommitId>, Error> {
        let repository = self.mirror(url)?;
        let candidates = match revision {
            Revision::Commit(commit) => vec![commit.to_string()],
            Revision::Branch(name) => vec![format!("refs/heads/{name}")],
            Revision::Tag(name) => vec![format!("refs/tags/{name}")],
            Revision::Named(name) => vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")],
            Revision::PullRequest(number) => vec![format!("refs/pull/{number}/head")],
        };
        for candidate in candidates {
            let object = format!("{candidate}^{{commit}}");
            let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &object];
            let finished = self.local(&repository, &arguments).await?;
            if finished.is_success() {
                return CommitId::new(String::from_utf8_lossy(&finished.stdout).trim()).map(Some);
            }
        }
        Ok(None)
    }

    async fn branches(&self, url: &RemoteUrl) -> Result<Vec<RefName>, Error> {
        let repository = self.mirror(url)?;
        let output = self.local_output(&repository, &["for-each-ref", "--format=%(refname)", "refs/heads"]).await?;
        let names = output.lines().filter_map(|line| RefName::new(line.strip_prefix("refs/heads/")?).ok());
        Ok(names.collect())
    }

    async fn tags(&self, url: &RemoteUrl) -> Result<Vec<Tag>, Error> {
        let repository = self.mirror(url)?;
        let count = format!("--count={TAGS_MAX}");
        let arguments = ["for-each-ref", parse::TAG_FORMAT, "--sort=-creatordate", &count, "refs/tags"];
        let output = self.local_output(&repository, &arguments).await?;
        Ok(output.lines().filter_map(parse::tag).collect())
    }

    async fn checkout(&self, url: &RemoteUrl, commit: &CommitId, into: &Path) -> Result<(), Error> {
        let mirror = self.must_have(url, &[commit]).await?;
        let (Some(parent), Some(name)) = (into.parent(), into.file_name()) else {
            return Err(Error::bug("InternalError", "a work tree needs a folder and a name"));
        };
        let new = parent.join(format!(".{}.new", name.to_string_lossy()));
        let stays = |error: io::Error| failure::disk("an earlier work tree cannot be removed", error);
        configuration::remove_folder(&new).map_err(stays)?;
        let made = self.clone_into(&mirror, commit, &new).await;
        if let Err(error) = made {
            // It is replaced at the next try anyhow.
            let _ = configuration::remove_folder(&new);
            return Err(error);
        }
        configuration::remove_folder(into).map_err(stays)?;
        fs::rename(&new, into).map_err(|error| failure::disk("the work tree cannot be put in place", error))
    }

    async fn work_tree(&self, at: &Path, commit: &CommitId) -> Result<WorkTree, Error> {
        let git_dir = at.join(".git");
        if !git_dir.is_dir() {
            return Ok(WorkTree::Absent);
        }
        let head = self.local(&git_dir, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await?;
        let Ok(head) = CommitId::new(String::from_utf8_lossy(&head.stdout).trim()) else {
            return Ok(WorkTree::Absent);
        };
        if head != *commit {
            return Ok(WorkTree::Elsewhere(head));
        }
        let work_tree = format!("--work-tree={}", at.display());
        let arguments = [&*work_tree, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"];
        let output = self.local_output(&git_dir, &arguments).await?;
        let changed = parse::status(&output);
        Ok(if changed.is_empty() { WorkTree::Clean } else { WorkTree::Dirty(changed) })
    }

    async fn show(&self, url: &RemoteUrl, commit: &CommitId, path: &TreePath) -> Result<Option<Vec<u8>>, Error> {
        let repository = self.must_have(url, &[commit]).await?;
        let arguments = ["ls-tree", "-z", "--full-tree", commit.as_str(), "--", path.as_str()];
        let listing = self.local_output(&repository, &arguments).await?;
        let Some(blob) = parse::blob(&listing) else { return Ok(None) };
        let finished = self.local_bounded(&repository, &["cat-file", "blob", blob], FILE_BYTES_MAX).await?;
        if finished.is_cut_off {
            let message = format!("{path} is larger than {} MiB", FILE_BYTES_MAX >> 20);
            return Err(Error::terminal("FileTooLarge", message));
        }
        if finished.is_success() { Ok(Some(finished.stdout)) } else { Err(failure::local("cat-file", &finished)) }
    }

    async fn files(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Vec<TreeFile>, Error> {
        let repository = self.must_have(url, &[commit]).await?;
        let arguments = ["ls-tree", "-r", "-z", "-l", "--full-tree", commit.as_str()];
        let finished = self.local(&repository, &arguments).await?;
        if !finished.is_success() && !finished.is_cut_off {
            return Err(failure::local("ls-tree", &finished));
        }
        let listing = String::from_utf8_lossy(&finished.stdout);
        if finished.is_cut_off || listing.matches('\0').count() > FILES_MAX {
            return Err(Error::terminal("TooManyFiles", format!("the commit has more than {FILES_MAX} files")));
        }
        listing.split_terminator('\0').map(parse::tree_file).collect()
    }

    async fn diff(&self, url: &RemoteUrl, from: &CommitId, to: &CommitId, bytes_max: usize) -> Result<Diff, Error> {
        let repository = self.must_have(url, &[from, to]).await?;
        let mut arguments = vec!["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "-M"];
        arguments.extend([from.as_str(), to.as_str(), "--"]);
        let finished = self.local_bounded(&repository, &arguments, bytes_max).await?;
        if finished.is_success() || finished.is_cut_off {
            return Ok(Diff { patch: finished.stdout, is_cut_off: finished.is_cut_off });
        }
        Err(failure::local("diff", &finished))
    }

    async fn merge_base(&self, url: &RemoteUrl, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>, Error> {
        let repository = self.must_have(url, &[one, other]).await?;
        let finished = self.local(&repository, &["merge-base", one.as_str(), other.as_str()]).await?;
        match finished.code {
            Some(0) => CommitId::new(String::from_utf8_lossy(&finished.stdout).trim().to_owned()).map(Some),
            Some(1) => Ok(None),
            _ => Err(failure::local("merge-base", &finished)),
        }
    }

    async fn is_ancestor(&self, url: &RemoteUrl, ancestor: &CommitId, commit: &CommitId) -> Result<bool, Error> {
        let repository = self.must_have(url, &[ancestor, commit]).await?;
        let arguments = ["merge-base", "--is-ancestor", ancestor.as_str(), commit.as_str()];
        let finished = self.local(&repository, &arguments).await?;
        match finished.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(failure::local("merge-base", &finished)),
        }
    }

    async fn nearest_tag(&self, url: &RemoteUrl, commit: &CommitId) -> Result<Option<NearestTag>, Error> {
        let repository = self.must_have(url, &[commit]).await?;
        let finished = self.local(&repository, &["describe", "--long", "--abbrev=40", commit.as_str()]).await?;
        if finished.is_success() {
            return Ok(parse::description(String::from_utf8_lossy(&finished.stdout).trim()));
        }
        // With the commit there, there is only one reason left.
        if finished.code == Some(128) { Ok(None) } else { Err(failure::local("describe", &finished)) }
    }

    async fn other_mirrors(&self, kept: &[RemoteUrl]) -> Result<Vec<String>, Error> {
        let kept: BTreeSet<String> = kept.iter().map(parse::mirror_name).collect();
        let list = || {
            let mut names = Vec::new();
            for entry in fs::read_dir(self.settings.root.join("mirrors"))? {
                names.extend(entry?.file_name().into_string().ok());
            }
            Ok(names)
        };
        let mut names: Vec<String> =
            list().map_err(|error: io::Error| failure::disk("the mirrors cannot be listed", error))?;
        names.retain(|name| !kept.contains(name));
        names.sort();
        Ok(names)
    }

    async fn forget_mirror(&self, name: &str) -> Result<(), Error> {
        crate::files::FileName::new(name)?;
        self.remove_mirror(&self.settings.root.join("mirrors").join(name)).await
    }

    async fn forget(&self, url: &RemoteUrl) -> Result<(), Error> {
        self.remove_mirror(&self.mirror_folder(url)).await
    }
}

fn closed(_: tokio::sync::AcquireError) -> Error {
    Error::bug("InternalError", "a semaphore that is never closed was closed")
}
