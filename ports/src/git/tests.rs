//! The program and the fake keep the contract; names and complaints are understood.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::conformance::{Harness, check, name};
use super::fake::FakeGit;
use super::process::{GitSettings, ProcessGit, classify};
use super::{CommitId, Credential, Fetch, FileKind, Git, RefName, RemoteUrl, Revision, TreePath, WorkTree};
use crate::error::ErrorKind;
use crate::outbound::Outbound;
use crate::program::Finished;

/// A repository made by the program itself.
struct Upstream {
    folder: tempfile::TempDir,
    seconds: AtomicU64,
}

impl Upstream {
    fn new() -> Self {
        let upstream = Self { folder: tempfile::tempdir().unwrap(), seconds: AtomicU64::new(1_700_000_000) };
        fs::create_dir(upstream.path()).unwrap();
        upstream.git(&["init", "--quiet", "--bare"], "");
        upstream.git(&["config", "uploadpack.allowReachableSHA1InWant", "true"], "");
        upstream
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("upstream.git")
    }

    fn url(&self) -> RemoteUrl {
        RemoteUrl::new(format!("file://{}", self.path().display())).unwrap()
    }

    /// Runs git there, a second later than the last time, and returns what it wrote.
    fn git(&self, arguments: &[&str], input: &str) -> String {
        let moment = format!("{} +0000", self.seconds.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        for (key, value) in [("PATH", "/usr/bin:/bin:/usr/local/bin"), ("HOME", "/nonexistent"), ("LC_ALL", "C")] {
            command.env(key, value);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "A").env(format!("GIT_{role}_EMAIL"), "a@example.org");
            command.env(format!("GIT_{role}_DATE"), &moment);
        }
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes the tree of some paths below `prefix` and returns its name.
    fn tree(&self, files: &[(&str, FileKind, &str)]) -> String {
        let mut entries = String::new();
        let mut folders: Vec<&str> = Vec::new();
        for (path, kind, content) in files {
            if let Some((folder, _)) = path.split_once('/') {
                if folders.contains(&folder) {
                    continue;
                }
                folders.push(folder);
                let inner: Vec<_> = files
                    .iter()
                    .filter_map(|(path, kind, content)| {
                        Some((path.strip_prefix(folder)?.strip_prefix('/')?, *kind, *content))
                    })
                    .collect();
                entries.push_str(&format!("040000 tree {}\t{folder}\n", self.tree(&inner)));
                continue;
            }
            let mode = match kind {
                FileKind::Executable => "100755",
                FileKind::Link => "120000",
                _ => "100644",
            };
            let blob = self.git(&["hash-object", "-w", "--stdin"], content);
            entries.push_str(&format!("{mode} blob {blob}\t{path}\n"));
        }
        self.git(&["mktree"], &entries)
    }

    fn commit(&self, branch: &str, files: &[(&str, FileKind, &str)]) -> CommitId {
        let tree = self.tree(files);
        let reference = format!("refs/heads/{branch}");
        let parent = self.git(&["for-each-ref", "--format=%(objectname)", &reference], "");
        let mut arguments = vec!["commit-tree", &tree, "-m", "Change something"];
        if !parent.is_empty() {
            arguments.extend(["-p", &parent]);
        }
        let commit = self.git(&arguments, "");
        self.git(&["update-ref", &reference, &commit], "");
        CommitId::new(commit).unwrap()
    }

    fn tag(&self, name: &str, commit: &CommitId, is_annotated: bool) {
        let mut arguments = vec!["tag", "--force"];
        arguments.extend(is_annotated.then_some(["--annotate", "-m", "Release"]).into_iter().flatten());
        arguments.extend([name, commit.as_str()]);
        self.git(&arguments, "");
    }
}

struct Real {
    upstream: Upstream,
    git: ProcessGit,
    root: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let (upstream, root) = (Upstream::new(), tempfile::tempdir().unwrap());
        let git = open(root.path(), upstream.folder.path());
        Self { upstream, git, root }
    }
}

fn open(root: &Path, allowed: &Path) -> ProcessGit {
    let settings = GitSettings { file_roots: vec![allowed.to_owned()], ..GitSettings::new(root.join("git")) };
    ProcessGit::open(settings).unwrap()
}

impl Harness for Real {
    fn git(&self) -> &dyn Git {
        &self.git
    }

    fn url(&self) -> RemoteUrl {
        self.upstream.url()
    }

    fn nowhere(&self) -> RemoteUrl {
        let empty = self.upstream.folder.path().join("empty");
        fs::create_dir_all(&empty).unwrap();
        RemoteUrl::new(format!("file://{}", empty.display())).unwrap()
    }

    fn folder(&self) -> &Path {
        self.root.path()
    }

    fn commit(&self, branch: &str, files: &[(&str, FileKind, &str)]) -> CommitId {
        self.upstream.commit(branch, files)
    }

    fn tag(&self, name: &str, commit: &CommitId, is_annotated: bool) {
        self.upstream.tag(name, commit, is_annotated);
    }

    fn remove_tag(&self, name: &str) {
        self.upstream.git(&["tag", "--delete", name], "");
    }

    fn remove_branch(&self, name: &str) {
        self.upstream.git(&["update-ref", "-d", &format!("refs/heads/{name}")], "");
    }

    fn pull_request(&self, number: u64, commit: &CommitId) {
        self.upstream.git(&["update-ref", &format!("refs/pull/{number}/head"), commit.as_str()], "");
    }
}

struct Fake {
    git: FakeGit,
    folder: tempfile::TempDir,
}

const FAKE_URL: &str = "https://git.example.org/recipes/demo.git";

impl Harness for Fake {
    fn git(&self) -> &dyn Git {
        &self.git
    }

    fn url(&self) -> RemoteUrl {
        RemoteUrl::new(FAKE_URL).unwrap()
    }

    fn nowhere(&self) -> RemoteUrl {
        RemoteUrl::new("https://git.example.org/recipes/absent.git").unwrap()
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn commit(&self, branch: &str, files: &[(&str, FileKind, &str)]) -> CommitId {
        let files = files
            .iter()
            .map(|(path, kind, content)| (TreePath::new(*path).unwrap(), (*kind, content.as_bytes().to_vec())));
        self.git.commit(&self.url(), &name(branch), files.collect())
    }

    fn tag(&self, text: &str, commit: &CommitId, is_annotated: bool) {
        self.git.tag(&self.url(), &name(text), commit, is_annotated);
    }

    fn remove_tag(&self, text: &str) {
        self.git.remove_tag(&self.url(), &name(text));
    }

    fn remove_branch(&self, text: &str) {
        self.git.remove_branch(&self.url(), &name(text));
    }

    fn pull_request(&self, number: u64, commit: &CommitId) {
        self.git.pull_request(&self.url(), number, commit);
    }
}

#[tokio::test]
async fn the_program_conforms() {
    check(&Real::new()).await;
}

#[tokio::test]
async fn the_fake_conforms() {
    check(&Fake { git: FakeGit::default(), folder: tempfile::tempdir().unwrap() }).await;
}

#[tokio::test]
async fn local_folders_need_permission_whatever_links_lead_to_them() {
    let (upstream, root, other) = (Upstream::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    upstream.commit("main", &[("a", FileKind::Regular, "a")]);
    let link = other.path().join("link.git");
    std::os::unix::fs::symlink(upstream.path(), &link).unwrap();
    let git = open(root.path(), other.path());
    for url in [upstream.url().to_string(), format!("file://{}", link.display())] {
        let error = git.fetch(&Fetch::all(RemoteUrl::new(url).unwrap())).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "UrlNotAllowed"), "{error}");
    }
}

#[tokio::test]
async fn protocols_and_credentials_that_do_not_belong_are_refused_before_anything_happens() {
    let real = Real::new();
    let error = real.git.fetch(&Fetch::all(RemoteUrl::new("git://localhost/a").unwrap())).await.unwrap_err();
    assert_eq!(error.reason, "UrlNotAllowed");
    let credential = Credential {
        origin: "https://git.example.org".to_owned(),
        user: "bot".to_owned(),
        secret: "s3cret-value".to_owned(),
    };
    assert!(!format!("{credential:?}").contains("s3cret-value"));
    let url = RemoteUrl::new("https://git.example.org.evil.test/a").unwrap();
    let fetch = Fetch { credential: Some(credential), ..Fetch::all(url) };
    assert_eq!(real.git.fetch(&fetch).await.unwrap_err().reason, "CredentialNotForHost");
}

#[tokio::test]
async fn hooks_and_filters_of_a_repository_do_not_run() {
    let real = Real::new();
    let mark = real.root.path().join("mark");
    let attributes = (".gitattributes", FileKind::Regular, "* filter=evil\n");
    let commit = real.upstream.commit("main", &[attributes, ("a", FileKind::Regular, "a")]);
    real.git.fetch(&Fetch::all(real.url())).await.unwrap();
    let at = real.root.path().join("tree");
    real.git.checkout(&real.url(), &commit, &at).await.unwrap();
    // As if something had got hold of the work tree's own configuration.
    let touch = format!("touch {}", mark.display());
    let evil = format!("[core]\n\tfsmonitor = {touch}\n\thooksPath = .\n[filter \"evil\"]\n\tclean = {touch}; cat\n");
    fs::write(at.join(".git/config"), format!("[core]\n\tbare = false\n{}", evil.split("[filter").next().unwrap()))
        .unwrap();
    assert_eq!(real.git.work_tree(&at, &commit).await.unwrap(), WorkTree::Clean);
    assert!(!mark.exists());
}

#[tokio::test]
async fn many_users_of_one_mirror_do_not_disturb_each_other() {
    let real = Real::new();
    let first = real.upstream.commit("main", &[("a", FileKind::Regular, "1")]);
    let git = Arc::new(open(real.root.path(), real.upstream.folder.path()));
    git.fetch(&Fetch::all(real.url())).await.unwrap();
    let second = real.upstream.commit("main", &[("a", FileKind::Regular, "2")]);
    let mut users = JoinSet::new();
    for index in 0..12 {
        let (git, url, first, second) = (git.clone(), real.url(), first.clone(), second.clone());
        let at = real.root.path().join(format!("tree-{index}"));
        users.spawn(async move {
            if index % 3 == 0 {
                git.fetch(&Fetch::all(url.clone())).await.unwrap();
                assert_eq!(git.resolve(&url, &Revision::Branch(name("main"))).await.unwrap(), Some(second));
                return;
            }
            git.checkout(&url, &first, &at).await.unwrap();
            assert_eq!(git.work_tree(&at, &first).await.unwrap(), WorkTree::Clean);
        });
    }
    users.join_all().await;
}

#[tokio::test]
async fn what_a_killed_git_left_does_not_stop_the_next() {
    let real = Real::new();
    real.upstream.commit("main", &[("a", FileKind::Regular, "1")]);
    real.git.fetch(&Fetch::all(real.url())).await.unwrap();
    let mirrors = fs::read_dir(real.root.path().join("git/mirrors")).unwrap();
    let repository = mirrors.into_iter().next().unwrap().unwrap().path().join("repository.git");
    for leftover in ["packed-refs.lock", "refs/heads/main.lock", "objects/pack/tmp_pack_x", "config.lock"] {
        fs::write(repository.join(leftover), "").unwrap();
    }
    let second = real.upstream.commit("main", &[("a", FileKind::Regular, "2")]);
    real.git.fetch(&Fetch::all(real.url())).await.unwrap();
    let found = real.git.resolve(&real.url(), &Revision::Branch(name("main"))).await.unwrap();
    assert_eq!(found, Some(second));
    assert!(!repository.join("objects/pack/tmp_pack_x").exists());
}

#[tokio::test]
async fn what_only_this_machine_can_reach_is_no_repository() {
    let root = tempfile::tempdir().unwrap();
    let settings = GitSettings {
        protocols: ["https", "http", "ssh", "git"].map(str::to_owned).to_vec(),
        ..GitSettings::new(root.path().join("git"))
    };
    let git = ProcessGit::open(settings.clone()).unwrap();
    for url in [
        "https://127.0.0.1/a.git",
        "http://169.254.169.254/latest/meta-data/a.git",
        "http://[::1]:3000/a.git",
        "http://[::ffff:127.0.0.1]/a.git",
        "https://localhost:8443/a.git",
        "ssh://git@0.0.0.0/a.git",
        "git://127.1/a.git",
        "https://git.example.org:99999/a.git",
    ] {
        let error = git.fetch(&Fetch::all(RemoteUrl::new(url).unwrap())).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "UrlNotAllowed"), "{url}: {error}");
    }
    // Permitted, it is asked; nobody is there.
    let outbound = Outbound::allowing(&["127.0.0.0/8".to_owned()]).unwrap();
    let git = ProcessGit::open(GitSettings { outbound, ..settings }).unwrap();
    let error = git.fetch(&Fetch::all(RemoteUrl::new("http://127.0.0.1:9/a.git").unwrap())).await.unwrap_err();
    assert_eq!(error.reason, "GitUnreachable", "{error}");
}

#[tokio::test]
async fn git_connects_to_the_address_that_was_judged() {
    let (root, server) = (tempfile::tempdir().unwrap(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = server.local_addr().unwrap().port();
    let outbound = Outbound::allowing(&["127.0.0.1".to_owned()]).unwrap();
    let protocols = vec!["http".to_owned()];
    let settings = GitSettings { protocols, outbound, ..GitSettings::new(root.path().join("git")) };
    let git = ProcessGit::open(settings).unwrap();
    let url = RemoteUrl::new(format!("http://localhost:{port}/a.git")).unwrap();
    let (asked, answered) = tokio::join!(
        async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let count = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        },
        async { git.fetch(&Fetch::all(url)).await.unwrap_err() }
    );
    assert!(asked.contains(&format!("Host: localhost:{port}")), "{asked}");
    assert_eq!(answered.reason, "RepositoryNotFound", "{answered}");
}

#[tokio::test]
async fn a_repository_that_is_too_large_is_refused_and_leaves_nothing() {
    let (upstream, root) = (Upstream::new(), tempfile::tempdir().unwrap());
    // Not compressible.
    let mut content = String::new();
    let mut state = 1_u64;
    while content.len() < 200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        content.push_str(&format!("{state:x}"));
    }
    upstream.commit("main", &[("big", FileKind::Regular, &content)]);
    let settings = GitSettings {
        file_roots: vec![upstream.folder.path().to_owned()],
        repository_bytes_max: 50_000,
        ..GitSettings::new(root.path().join("git"))
    };
    let git = ProcessGit::open(settings).unwrap();
    let error = git.fetch(&Fetch::all(upstream.url())).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "RepositoryTooLarge"), "{error}");
}

#[test]
fn urls_have_a_grammar() {
    let good = [
        ("https://git.example.org/a/b.git", "https://git.example.org"),
        ("https://Git.Example.org:8443/a", "https://git.example.org:8443"),
        ("ssh://git@git.example.org:2222/a/b", "ssh://git.example.org:2222"),
        ("file:///srv/recipes/a", "file://"),
        ("http://[::1]:3000/a", "http://[::1]:3000"),
    ];
    let places = good.map(|(url, _)| RemoteUrl::new(url).unwrap().host_and_port());
    let place = |host: &str, port: u16| Some((host.to_owned(), port));
    let wanted = [
        place("git.example.org", 443),
        place("git.example.org", 8443),
        place("git.example.org", 2222),
        None,
        place("::1", 3000),
    ];
    assert_eq!(places, wanted);
    for (url, origin) in good {
        assert_eq!(RemoteUrl::new(url).unwrap().origin(), origin);
    }
    let bad = [
        "",
        "a/b",
        "-u",
        "https://user:secret@host/a",
        "https://token@host/a",
        "https://-host/a",
        "ssh://-oProxyCommand=x/a",
        "ssh://-a@host/a",
        "ext::sh -c x",
        "file://host/a",
        "https://host",
        "https://host /a",
        "https:///a",
        "https://host/a\nb",
        "ssh://git:pw@host/a",
        "fd::1/",
        "https://ho%73t/a",
    ];
    for url in bad {
        let error = RemoteUrl::new(url).unwrap_err();
        assert!(!error.message.contains("secret"), "{error}");
    }
}

#[test]
fn names_and_paths_have_a_grammar() {
    for good in ["main", "1.0.0+2", "feature/a_b", "v1.2-rc.1", "1.7.1+1.27.2"] {
        RefName::new(good).unwrap();
    }
    for bad in [
        "",
        "-x",
        "--upload-pack=x",
        "a..b",
        "a b",
        "a/",
        "/a",
        "a//b",
        ".a",
        "a.lock",
        "a~1",
        "a^",
        "a:b",
        "@{1}",
        "+a",
    ] {
        RefName::new(bad).unwrap_err();
    }
    for good in ["compose.yml", "a/b/c", "-x", ".env.sample", "mit Leerzeichen"] {
        TreePath::new(good).unwrap();
    }
    for bad in ["", "/a", "a/", "../a", "a/../b", "a/./b", "a//b", "a\0b", "a\nb"] {
        TreePath::new(bad).unwrap_err();
    }
    for bad in ["", "abc", &"g".repeat(40), &"A".repeat(40), &"a".repeat(41)] {
        CommitId::new(bad).unwrap_err();
    }
}

#[test]
fn complaints_are_understood() {
    let fetch = Fetch::all(RemoteUrl::new(FAKE_URL).unwrap());
    let cases = [
        (
            "fatal: could not read Username for 'https://git.example.org': terminal prompts disabled",
            "GitAuthentication",
        ),
        ("fatal: Authentication failed for 'https://git.example.org/a/'", "GitAuthentication"),
        ("fatal: unable to access 'https://a/': The requested URL returned error: 403", "GitAuthentication"),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "GitAuthentication"),
        ("remote: Not found.\nfatal: repository 'https://git.example.org/a/' not found", "RepositoryNotFound"),
        ("fatal: unable to access 'https://a/': The requested URL returned error: 301", "GitRedirected"),
        ("fatal: unable to access 'https://a/': Could not resolve host: a", "GitUnreachable"),
        ("fatal: unable to access 'https://a/': Failed to connect to a port 443: Connection refused", "GitUnreachable"),
        ("fatal: unable to access 'https://a/': The requested URL returned error: 502", "GitUnreachable"),
        ("fatal: unable to access 'https://a/': SSL certificate problem: certificate has expired", "GitUnreachable"),
        ("error: RPC failed; curl 18 transfer closed\nfatal: early EOF", "GitUnreachable"),
        ("fatal: transport 'file' not allowed", "UrlNotAllowed"),
        ("fatal: write error: No space left on device", "DiskFull"),
        ("fatal: remote error: upload-pack: not our ref dddd", "CommitNotFound"),
        ("", "GitUnreachable"),
    ];
    for (text, reason) in cases {
        let finished = Finished { code: Some(128), stderr: text.as_bytes().to_vec(), ..Finished::default() };
        let error = classify(&fetch, &finished);
        assert_eq!(error.reason, reason, "{text}");
        let is_retryable = matches!(reason, "GitUnreachable" | "DiskFull");
        assert_eq!(error.kind == ErrorKind::Retryable, is_retryable, "{text}");
    }
}
