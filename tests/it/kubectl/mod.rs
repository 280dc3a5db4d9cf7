//! The real `kubectl` against our server: over a hundred commands, one after another, each with what it must print.
//!
//! The programs are the `kubectl` on the PATH, or the one that `CCD_TEST_KUBECTL` names, and the newest one, which
//! `.ci/setup` fetches; any from 1.27 on will do.

mod script;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use api_types::status::Status;
use apiserver::pods::{LogRequest, LogSource, LogStream};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use script::{COMMANDS, Command, FILES};
use tempfile::TempDir;
use tests::server::{Namespaces, ServerOptions, TestServer};
use tokio::io::AsyncWriteExt as _;

/// How long one command may take on a busy machine.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Says which part of which log it was asked for.
struct EchoLogs;

impl LogSource for EchoLogs {
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        let stage = request.stage.unwrap_or_else(|| "everything".to_owned());
        let follow = if request.follow { " followed" } else { "" };
        let lines = (1..=3).map(|line| format!("{} {stage} line {line}{follow}\n", request.name));
        let kept: Vec<String> = lines.collect();
        let from = kept.len() - request.tail_lines.map_or(kept.len(), |lines| usize::try_from(lines).unwrap()).min(3);
        let stream = futures::stream::iter(kept.into_iter().skip(from).map(|line| Ok(Bytes::from(line))));
        Box::pin(async { Ok(stream.boxed()) })
    }
}

/// A directory with a configuration, manifests and a cache of its own.
struct World {
    dir: TempDir,
    kubectl: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_a_kubernetes_server() {
    play(find_kubectl()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_of_the_newest_version_finds_a_kubernetes_server() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kubectl-newest");
    assert!(path.exists(), "{} is missing: run .ci/setup", path.display());
    play(path).await;
}

/// Plays the whole script with one program.
async fn play(kubectl: PathBuf) {
    let options = ServerOptions { logs: Arc::new(EchoLogs), namespaces: Namespaces::Go, ..ServerOptions::default() };
    let server = TestServer::start(options).await.unwrap();
    let world = World::new(&server, kubectl);
    assert!(COMMANDS.len() >= 100, "the script has {} commands", COMMANDS.len());
    let mut failures = String::new();
    for command in COMMANDS {
        if let Err(why) = world.run(command).await {
            failures.push_str(&format!("\nkubectl {}\n{why}\n", command.line));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

impl World {
    fn new(server: &TestServer, kubectl: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        server.write_kubeconfig(&dir.path().join("config")).unwrap();
        for (name, text) in FILES {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        make_editor(&dir.path().join("editor"));
        Self { dir, kubectl }
    }

    async fn run(&self, command: &Command) -> Result<(), String> {
        let mut process = tokio::process::Command::new(&self.kubectl);
        process
            .args(["--kubeconfig", "config", "--cache-dir", "cache"])
            .args(words(command.line))
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("KUBE_EDITOR", self.dir.path().join("editor"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = process.spawn().map_err(|error| error.to_string())?;
        let mut input = child.stdin.take().unwrap();
        input.write_all(command.input.as_bytes()).await.map_err(|error| error.to_string())?;
        drop(input);
        let waited = tokio::time::timeout(COMMAND_WITHIN, child.wait_with_output()).await;
        let output = waited.map_err(|_| "does not end".to_owned())?.map_err(|error| error.to_string())?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let missing: Vec<&&str> = command.shows.iter().filter(|wanted| !text.contains(**wanted)).collect();
        let unwanted: Vec<&&str> = command.hides.iter().filter(|unwanted| text.contains(**unwanted)).collect();
        if output.status.code() == Some(command.code) && missing.is_empty() && unwanted.is_empty() {
            return Ok(());
        }
        Err(format!(
            "ends with {}, expected {}; lacks {missing:?}; must not have {unwanted:?}; prints:\n{text}",
            output.status, command.code
        ))
    }
}

fn find_kubectl() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "which kubectl is tested is the caller's choice")]
    let chosen = std::env::var_os("CCD_TEST_KUBECTL").map(PathBuf::from);
    let candidates = ["/usr/local/bin/kubectl", "/usr/bin/kubectl"].map(PathBuf::from);
    let found = chosen.into_iter().chain(candidates).find(|path| path.exists());
    let path = found.expect("kubectl is not installed: install it, or name it with CCD_TEST_KUBECTL");
    std::fs::canonicalize(path).unwrap()
}

/// An editor that changes one number in the file that it is given.
fn make_editor(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, "#!/bin/sh\nsed -i 's/size: 4/size: 5/' \"$1\"\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Splits a line at blanks outside single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is always one").push(other),
        }
    }
    words
}
