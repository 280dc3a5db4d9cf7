//! `ccctl` as people see it: in a real terminal (tmux) of 60, 100 and 200 columns. Nothing wraps, no column is lost in
//! silence, colours are for terminals, and what goes on is shown while it goes on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use store::request::{Body, Part, Target, WriteOptions};
use tests::daemon::{program, wait_a_moment};
use tests::server::{ServerOptions, TestServer};

const WIDTHS: [usize; 3] = [60, 100, 200];
const PATIENCE: Duration = Duration::from_secs(60);
const RUNS: &str = "testruns.ci.coopcloud.tech";
const ESCAPE: char = '\u{1b}';

/// A server without reconcilers, so that objects are as the test says, and a home folder.
struct Cli {
    server: TestServer,
    home: tempfile::TempDir,
}

impl Cli {
    async fn start() -> Self {
        let cli = Self {
            server: TestServer::start(ServerOptions::default()).await.unwrap(),
            home: tempfile::tempdir().unwrap(),
        };
        let cluster = json!({"server": cli.server.url("")});
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": cli.server.admin}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(cli.kubeconfig(), kubeconfig.to_string()).unwrap();
        cli
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("kubeconfig")
    }

    async fn create(&self, resource: &str, value: Value) {
        let resource = self.server.store.registry().get(resource).unwrap().clone();
        let target = Target::new(&resource, "default", "");
        self.server.store.create(&target, Body::from(value), &WriteOptions::by("test")).await.unwrap();
    }

    async fn set_status(&self, resource: &str, name: &str, status: Value) {
        let registry = self.server.store.registry();
        let resource = registry.get(resource).unwrap();
        let object = self.server.store.get(resource, &format!("default/{name}")).unwrap();
        let mut value = object.value();
        value["status"] = status;
        let target = Target::new(resource, "default", name);
        self.server.store.update(&target, Part::Status, Body::from(value), &WriteOptions::by("test")).await.unwrap();
    }

    /// Runs ccctl without a terminal.
    fn piped(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program("ccctl"));
        command.args(words).env_clear().env("HOME", self.home.path()).env("KUBECONFIG", self.kubeconfig());
        command.stdin(Stdio::null()).output().expect("ccctl runs")
    }
}

/// A terminal in which one command runs. It goes with its value.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(cli: &Cli, columns: usize, words: &str) -> Self {
        let socket = cli.home.path().join(format!("tmux-{columns}-{}", words.len()));
        let ccctl = program("ccctl");
        let line = format!("{} {words}; echo \"end $?\"; exec sleep 1000", ccctl.display());
        let terminal = Self { socket };
        let size = ["-x", &columns.to_string(), "-y", "50"].map(str::to_owned);
        let mut command = terminal.tmux();
        command.args(["new-session", "-d"]).args(size).arg(line);
        command.env_clear().env("HOME", cli.home.path()).env("KUBECONFIG", cli.kubeconfig());
        command.env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        assert!(command.status().expect("tmux runs").success());
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(&self.socket);
        command
    }

    fn screen(&self, more: &[&str]) -> String {
        let output = self.tmux().args(["capture-pane", "-p"]).args(more).output().expect("tmux runs");
        String::from_utf8(output.stdout).expect("a terminal shows text")
    }

    /// Waits until the screen shows something.
    fn wait_for(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen(&[]);
            if screen.contains(what) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "no {what:?} on the screen:\n{screen}");
            wait_a_moment();
        }
    }

    fn lines(&self, more: &[&str]) -> usize {
        self.screen(more).trim_end().lines().count()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The server may have ended by itself.
        let _ = self.tmux().arg("kill-server").output();
    }
}

fn run(name: &str) -> Value {
    json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": name},
        "spec": {"recipeRef": "nextcloud", "source": {"version": "1.0.0+29.0.1"}}})
}

fn recipe() -> Value {
    json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "metadata": {"name": "nextcloud"},
        "spec": {"source": {"url": "https://git.coopcloud.tech/coop-cloud/nextcloud.git"}}})
}

fn failed() -> Value {
    json!({
        "phase": "Failed", "level": 1,
        "rungs": [
            {"name": "install", "status": "Pass", "startedAt": "2026-11-21T08:00:00Z", "finishedAt": "2026-11-21T08:02:10Z"},
            {"name": "upgrade", "status": "Fail", "reason": "RolledBack",
                "message": "The service app was rolled back because its health check failed six times in a row."},
        ],
        "conditions": [{"type": "Succeeded", "status": "False", "reason": "RungFailed",
            "message": "The rung upgrade failed: the service app was rolled back because its health check failed.",
            "lastTransitionTime": "2026-11-21T08:03:00Z"}],
    })
}

/// Returns the headings of the tables in an output that no terminal has narrowed.
fn headings(output: &str) -> Vec<String> {
    let table_heads = output.lines().filter(|line| line.starts_with("NAME") || line.starts_with("LAST SEEN"));
    let words = table_heads.flat_map(|line| line.split("  ").map(str::trim).filter(|word| !word.is_empty()));
    words.map(str::to_owned).collect()
}

/// Says whether a screen shows a heading, whole or cut, or says that it does not show it.
fn is_shown(screen: &str, heading: &str) -> bool {
    let cut = |length: usize| format!("{}…", heading.chars().take(length).collect::<String>());
    screen.contains(heading) || (2..heading.len()).any(|length| screen.contains(&cut(length)))
}

async fn with_objects() -> Cli {
    let cli = Cli::start().await;
    cli.create("recipes.ci.coopcloud.tech", recipe()).await;
    for name in ["nextcloud-pr12-3fa21c9-991", "nextcloud-9f3c2d1-x7k2p"] {
        cli.create(RUNS, run(name)).await;
    }
    cli.set_status(RUNS, "nextcloud-pr12-3fa21c9-991", failed()).await;
    let app = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App", "metadata": {"name": "cloud"},
        "spec": {"recipe": {"recipeRef": "nextcloud"}, "version": "1.0.0+29.0.1", "domain": "cloud.example.coop"}});
    cli.create("apps.ci.coopcloud.tech", app).await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "cloud.1"}, "type": "Warning", "reason": "RolledBack",
        "involvedObject": {"kind": "App", "namespace": "default", "name": "cloud"},
        "message": "The service app was rolled back because its health check failed six times in a row, as its log says.",
    });
    cli.create("events", event).await;
    cli
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_tables_fit_and_lose_nothing_in_silence() {
    let cli = with_objects().await;
    let commands = [
        "get testruns",
        "get testruns -A -o wide",
        "get all",
        "get recipes,apps -A --show-labels",
        "top apps",
        "events -A",
        "api-resources",
    ];
    for words in commands {
        let split: Vec<&str> = words.split(' ').collect();
        let piped = cli.piped(&split);
        let whole = String::from_utf8(piped.stdout).unwrap();
        assert!(piped.status.success(), "{words}: {}", String::from_utf8_lossy(&piped.stderr));
        assert!(!whole.contains(ESCAPE), "{words}: colours without a terminal");
        assert!(!headings(&whole).is_empty(), "{words}:\n{whole}");
        for columns in WIDTHS {
            let terminal = Terminal::start(&cli, columns, words);
            let screen = terminal.wait_for("end 0");
            // Joined lines are fewer when one was wrapped.
            assert_eq!(terminal.lines(&[]), terminal.lines(&["-J"]), "{words} wraps at {columns} columns:\n{screen}");
            for heading in headings(&whole) {
                assert!(is_shown(&screen, &heading), "{words} loses {heading} at {columns} columns:\n{screen}");
            }
            assert!(terminal.screen(&["-e"]).contains(ESCAPE), "{words} has no colours at {columns} columns");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_texts_for_people_fit_into_the_screen() {
    let cli = with_objects().await;
    for words in ["why testrun/nextcloud-pr12-3fa21c9-991", "describe testrun/nextcloud-pr12-3fa21c9-991", "get nope"] {
        for columns in WIDTHS {
            let terminal = Terminal::start(&cli, columns, words);
            let screen = terminal.wait_for("end ");
            assert!(screen.contains("nextcloud-pr12") || screen.contains("nope"), "{words}:\n{screen}");
        }
    }
    let terminal = Terminal::start(&cli, 100, "why testrun/nextcloud-pr12-3fa21c9-991");
    let screen = terminal.wait_for("end 0");
    assert!(screen.contains("RungFailed") && screen.contains("next: "), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_watch_keeps_its_columns_and_shows_changes() {
    let cli = with_objects().await;
    let terminal = Terminal::start(&cli, 60, "watch testruns");
    terminal.wait_for("nextcloud-9f3c2d1-x7k2p");
    cli.set_status(RUNS, "nextcloud-9f3c2d1-x7k2p", json!({"phase": "Running"})).await;
    let screen = terminal.wait_for("Run");
    assert_eq!(terminal.lines(&[]), terminal.lines(&["-J"]), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_run_shows_each_rung_as_it_ends() {
    let cli = with_objects().await;
    let terminal = Terminal::start(&cli, 100, "run nextcloud --version=1.0.0+29.0.1 --name=watched --wait");
    terminal.wait_for("created");
    let queue = json!({"phase": "Queued", "queue": {"position": 2, "reason": "another run is on this host"}});
    cli.set_status(RUNS, "watched", queue).await;
    terminal.wait_for("Queued, place 2: another run is on this host");
    let mut status = json!({"phase": "Running", "domain": "next-3fa21c.ci.example", "rungs": [
        {"name": "install", "status": "Pass", "startedAt": "2026-11-21T08:00:00Z", "finishedAt": "2026-11-21T08:02:10Z"},
        {"name": "upgrade", "status": "Unverified", "startedAt": "2026-11-21T08:02:10Z"},
    ]});
    cli.set_status(RUNS, "watched", status.clone()).await;
    terminal.wait_for("Running at https://next-3fa21c.ci.example");
    terminal.wait_for("✔ install 2m10s");
    // The last line is alive.
    terminal.wait_for("/ upgrade ");
    status["phase"] = json!("Failed");
    status["level"] = json!(1);
    status["rungs"][1] = failed()["rungs"][1].clone();
    cli.set_status(RUNS, "watched", status).await;
    let screen = terminal.wait_for("end 6");
    assert!(screen.contains("✘ upgrade (Fail) RolledBack: The service app was rolled back"), "{screen}");
    assert!(screen.contains("testrun.ci.coopcloud.tech/watched Failed, level 1"), "{screen}");
    let alive = ["| ", "/ ", "- ", "\\ "].map(|wheel| format!("{wheel}upgrade"));
    assert!(!alive.iter().any(|line| screen.contains(line)), "the wheel is gone:\n{screen}");
    assert!(screen.contains("ccctl why testrun/watched"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_followed_ends_with_the_code_of_its_verdict() {
    let cli = with_objects().await;
    for (phase, code) in [("Succeeded", 0), ("Failed", 6), ("Error", 7), ("Cancelled", 8)] {
        let name = format!("ends-{}", phase.to_lowercase());
        cli.create(RUNS, run(&name)).await;
        cli.set_status(RUNS, &name, json!({"phase": phase})).await;
        let following = tokio::task::spawn_blocking({
            let (ccctl, home, kubeconfig) = (program("ccctl"), cli.home.path().to_owned(), cli.kubeconfig());
            move || rerun(&ccctl, &home, &kubeconfig, &name)
        });
        let began = Instant::now();
        let created = loop {
            let registry = cli.server.store.registry();
            let resource = registry.get(RUNS).unwrap();
            let prefix = format!("ends-{}-", phase.to_lowercase());
            let found = cli.server.store.state().objects_from(&resource.key, "").find_map(|object| {
                let name = object.name().to_owned();
                name.starts_with(&prefix).then_some(name)
            });
            if let Some(name) = found {
                break name;
            }
            assert!(began.elapsed() < PATIENCE, "rerun makes no run");
            wait_a_moment();
        };
        cli.set_status(RUNS, &created, json!({"phase": phase})).await;
        let output = following.await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{phase}: {stderr}");
        assert!(!stderr.contains(ESCAPE) && !stderr.contains('\r'), "{stderr:?}");
    }
}

fn rerun(ccctl: &Path, home: &Path, kubeconfig: &Path, name: &str) -> Output {
    let mut command = Command::new(ccctl);
    command.args(["rerun", name, "--wait"]).env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig);
    command.stdin(Stdio::null()).output().expect("ccctl runs")
}
