//! The real `kubectl` against our server: over a hundred commands, one after another, each with what it must print.
//!
//! The programs are the `kubectl` on the PATH, or the one that `CCD_TEST_KUBECTL` names, and the newest one, which
//! `.ci/setup` fetches; any from 1.27 on will do.

mod script;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_types::status::Status;
use apiserver::pods::{LogRequest, LogSource, LogStream};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use script::{COMMANDS, Command, Ends, FILES};
use serde_json::Value;
use tempfile::TempDir;
use tests::daemon::{get, wait_a_moment};
use tests::server::{Namespaces, ServerOptions, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;

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
    server: TestServer,
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
    let world = World::new(TestServer::start(options).await.unwrap(), kubectl);
    assert!(COMMANDS.len() >= 100, "the script has {} commands", COMMANDS.len());
    let minor = world.minor_version().await;
    let mut failures = String::new();
    for command in COMMANDS.iter().filter(|command| command.since_minor <= minor) {
        if let Err(why) = world.run(command).await {
            failures.push_str(&format!("\nkubectl {}\n{why}\n", command.line));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

impl World {
    fn new(server: TestServer, kubectl: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        server.write_kubeconfig(&dir.path().join("config")).unwrap();
        for (name, text) in FILES {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        make_editor(&dir.path().join("editor"));
        Self { dir, kubectl, server }
    }

    /// Returns the 36 of 1.36.
    async fn minor_version(&self) -> u32 {
        let version: Value = serde_json::from_str(&self.output_of("version --client -o json").await.unwrap()).unwrap();
        let minor = version["clientVersion"]["minor"].as_str().unwrap();
        minor.trim_end_matches('+').parse().unwrap()
    }

    async fn run(&self, command: &Command) -> Result<(), String> {
        let input = self.with_uids(command.input).await?;
        if let Some(live) = &command.live {
            self.until_watches(live.watched, |open| open == 0).await?;
        }
        let mut child = self.start(command.line)?;
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.map_err(|error| error.to_string())?;
        drop(stdin);
        let Some(live) = &command.live else {
            let output = finish(child).await?;
            return judge(command, output.status, &text_of(&output));
        };
        self.until_watches(live.watched, |open| open > 0).await?;
        for write in live.writes {
            self.output_of(write).await.map_err(|why| format!("kubectl {write}, while it runs: {why}"))?;
        }
        if live.ends == Ends::ByItself {
            let output = finish(child).await?;
            return judge(command, output.status, &text_of(&output));
        }
        let text = read_until_shown(&mut child, command.shows).await?;
        child.kill().await.map_err(|error| error.to_string())?;
        judge(command, ExitStatus::default(), &text)
    }

    fn start(&self, line: &str) -> Result<Child, String> {
        tokio::process::Command::new(&self.kubectl)
            .args(["--kubeconfig", "config", "--cache-dir", "cache"])
            .args(words(line))
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("KUBE_EDITOR", self.dir.path().join("editor"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())
    }

    /// Runs a command that must end well and returns what it prints.
    async fn output_of(&self, line: &str) -> Result<String, String> {
        let mut child = self.start(line)?;
        drop(child.stdin.take());
        let output = finish(child).await?;
        if output.status.success() { Ok(text_of(&output)) } else { Err(text_of(&output)) }
    }

    /// Returns an input with `UID(KIND/NAME)` replaced by the uid of that object, for one such place.
    async fn with_uids(&self, input: &str) -> Result<String, String> {
        let found = input.split_once("UID(").and_then(|(before, rest)| Some((before, rest.split_once(')')?)));
        let Some((before, (object, after))) = found else { return Ok(input.to_owned()) };
        let uid = self.output_of(&format!("get {object} -o jsonpath={{.metadata.uid}}")).await?;
        Ok(format!("{before}{uid}{after}"))
    }

    /// Waits until the server counts so many open watches of a resource.
    async fn until_watches(&self, resource: &str, is_right: impl Fn(u64) -> bool) -> Result<(), String> {
        let label = format!("cc_api_watches{{resource=\"{resource}\"}} ");
        let begun = Instant::now();
        loop {
            let metrics = get(&self.server.address.to_string(), "/metrics").unwrap_or_default();
            let open = metrics.lines().find_map(|line| line.strip_prefix(&label)?.trim().parse().ok()).unwrap_or(0);
            if is_right(open) {
                return Ok(());
            }
            if begun.elapsed() > COMMAND_WITHIN {
                return Err(format!("{open} watches of {resource} are open"));
            }
            wait_a_moment();
        }
    }
}

/// Waits for the end of a command.
async fn finish(child: Child) -> Result<Output, String> {
    let waited = tokio::time::timeout(COMMAND_WITHIN, child.wait_with_output()).await;
    waited.map_err(|_| "does not end".to_owned())?.map_err(|error| error.to_string())
}

/// Reads what a command prints until everything that it shall show is there, or until it ends.
async fn read_until_shown(child: &mut Child, shows: &[&str]) -> Result<String, String> {
    let mut stdout = child.stdout.take().unwrap();
    let mut text = String::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while !shows.iter().all(|wanted| text.contains(wanted)) {
            match stdout.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            }
        }
    };
    match tokio::time::timeout(COMMAND_WITHIN, reading).await {
        Ok(()) => Ok(text),
        Err(_) => Err(format!("does not show {shows:?}; prints:\n{text}")),
    }
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compares what a command did with what it should do. Whoever must show nothing must print nothing.
fn judge(command: &Command, status: ExitStatus, text: &str) -> Result<(), String> {
    let missing: Vec<&&str> = command.shows.iter().filter(|wanted| !text.contains(**wanted)).collect();
    let unwanted: Vec<&&str> = command.hides.iter().filter(|unwanted| text.contains(**unwanted)).collect();
    let is_silent = !command.shows.is_empty() || text.is_empty();
    if status.code() == Some(command.code) && missing.is_empty() && unwanted.is_empty() && is_silent {
        return Ok(());
    }
    let silence = if is_silent { "" } else { " should print nothing;" };
    Err(format!(
        "ends with {status}, expected {};{silence} lacks {missing:?}; must not have {unwanted:?}; prints:\n{text}",
        command.code
    ))
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
