//! ccd as it is installed: as a service of the swarm that it looks after, and anew from a backup beside running apps.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tests::daemon::{Daemon, program, wait_a_moment};
use tests::engine;
use tests::installation::{Installation, ZONE};
use tests::recipes::RecipeRepository;

/// Longest that a container may take to get healthy, or a service to go.
const PATIENCE: Duration = Duration::from_mins(3);
const IMAGE: &str = "127.0.0.1:5000/cc-ci:test";
const STACK: &str = "deploytest";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs docker with the variables of the stack file.
fn docker(arguments: &[&str], input: Option<&Path>) -> Output {
    let mut command = Command::new("docker");
    let engine = engine::address();
    let settings = [
        ("DOCKER_HOST", engine.as_str()),
        ("STACK_NAME", STACK),
        ("CCD_IMAGE", IMAGE),
        ("CCD_PORT", "18443"),
        ("CCD_SOCKET", engine.trim_start_matches("unix://")),
        ("DOMAIN", "ci.example.org"),
        ("CONFIG_VERSION", "v1"),
    ];
    command.args(arguments).envs(settings).current_dir(root()).stdin(Stdio::null());
    if let Some(path) = input {
        command.stdin(std::fs::File::open(path).unwrap());
    }
    command.output().unwrap()
}

fn done(arguments: &[&str]) -> String {
    let output = docker(arguments, None);
    assert!(output.status.success(), "docker {arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits until it is so; says how things stand when it does not get so in time.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        let service = format!("{STACK}_app");
        let stand = || text(&docker(&["service", "ps", "--no-trunc", &service], None)) + &container_log();
        assert!(started.elapsed() < PATIENCE, "{what}:\n{}", stand());
        wait_a_moment();
    }
}

fn container() -> Option<String> {
    let name = format!("--filter=name={STACK}_app");
    let found = done(&["ps", "--quiet", &name, "--filter=health=healthy"]);
    found.lines().next().map(str::to_owned)
}

fn container_log() -> String {
    text(&docker(&["service", "logs", "--raw", &format!("{STACK}_app")], None))
}

/// Runs ccctl in the container, as an operator does.
fn ccctl(arguments: &[&str], input: Option<&Path>) -> Output {
    let Some(container) = container() else { return docker(&["container", "inspect", "none"], None) };
    let mut command = vec!["exec", "--interactive", &container, "ccctl", "--kubeconfig=/var/lib/ccd/kubeconfig"];
    command.push("--cache-dir=/tmp/cache");
    command.extend(arguments);
    docker(&command, input)
}

/// Takes the stack away, however the test ends: other tests look at all that the engine has.
struct Deployed;

impl Drop for Deployed {
    fn drop(&mut self) {
        // The engine goes with the tests: what cannot be removed does no harm after them.
        let _ = docker(&["stack", "rm", STACK], None);
        let started = Instant::now();
        let volume = format!("{STACK}_data");
        while started.elapsed() < PATIENCE && !docker(&["volume", "rm", "--force", &volume], None).status.success() {
            wait_a_moment();
        }
    }
}

#[test]
fn the_stack_runs_a_ccd_that_keeps_its_data_and_looks_after_its_own_swarm() {
    let folder = tempfile::tempdir().unwrap();
    let programs = program("ccd").parent().unwrap().to_owned();
    let build = Command::new(root().join("deploy/image/build"))
        .args(["--programs", &programs.to_string_lossy(), IMAGE])
        .env("DOCKER_HOST", engine::address())
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", text(&build));
    for program in [["git", "--version"], ["ssh", "-V"], ["ccctl", "--version"]] {
        done(&["run", "--rm", "--network=none", "--entrypoint", program[0], IMAGE, program[1]]);
    }
    done(&["stack", "config", "--compose-file", "deploy/recipe/compose.yml"]);
    let engine_root = done(&["info", "--format", "{{.DockerRootDir}}"]);
    let stack = std::fs::read_to_string(root().join("deploy/stack/compose.yml")).unwrap();
    let file = folder.path().join("compose.yml");
    std::fs::write(&file, stack.replace("${CCD_ENGINE_ROOT:-/var/lib/docker}", &engine_root)).unwrap();
    std::fs::copy(root().join("deploy/stack/config.toml"), folder.path().join("config.toml")).unwrap();
    done(&["stack", "config", "--compose-file", "deploy/stack/compose.yml"]);
    let _deployed = Deployed;
    done(&["stack", "deploy", "--compose-file", &file.to_string_lossy(), STACK]);
    wait("ccd gets healthy in its container", || container().is_some());

    let host = std::fs::read_to_string(root().join("deploy/nixos/test/host.yaml")).unwrap();
    let manifest = folder.path().join("host.yaml");
    std::fs::write(&manifest, host).unwrap();
    let applied = ccctl(&["apply", "--filename=-"], Some(&manifest));
    assert!(applied.status.success(), "{}", text(&applied));
    let ready = ccctl(&["wait", "host/local", "--for=condition=Ready", "--timeout=60s"], None);
    let described = || text(&ccctl(&["describe", "host", "local"], None));
    assert!(ready.status.success(), "{}{}", text(&ready), described());
    assert!(described().contains(&engine_root), "the disk of the engine is measured: {}", described());

    let before = container().unwrap();
    done(&["service", "update", "--force", "--detach", "--quiet", &format!("{STACK}_app")]);
    wait("a new container takes over", || container().is_some_and(|now| now != before));
    let kept = ccctl(&["get", "hosts", "--output=name"], None);
    assert!(text(&kept).contains("local"), "{}", text(&kept));
    let log = container_log();
    assert!(!log.contains("it is used by pid"), "the old process ends before the new one begins: {log}");
}

fn containers_of(app: &str) -> BTreeSet<String> {
    let all = done(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"]);
    all.lines().filter(|line| line.contains(app)).map(str::to_owned).collect()
}

/// Returns what the app's container reads as its generated secret, once a container of it runs; nothing before.
fn token_in(stack: &str) -> Option<String> {
    let name = format!("--filter=name={stack}_app");
    let found = done(&["ps", "--quiet", "--filter=status=running", &name]);
    let container = found.lines().next()?;
    // It may end at this very moment.
    let read = docker(&["exec", container, "cat", "/run/secrets/admin_token"], None);
    read.status.success().then(|| text(&read)).filter(|token| !token.is_empty())
}

/// Takes a stack and its secrets out of the swarm, as if the swarm had been made anew.
fn lose(stack: &str) {
    for (kind, verb) in [("service", "rm"), ("secret", "rm")] {
        let filter = format!("--filter=name={stack}");
        let names = done(&[kind, "ls", "--quiet", &filter]);
        let started = Instant::now();
        for id in names.lines() {
            // A secret is in use until the last task has ended.
            while !docker(&[kind, verb, id], None).status.success() {
                assert!(started.elapsed() < PATIENCE, "{kind} {id} does not go");
                wait_a_moment();
            }
        }
    }
}

/// With a swarm that was made anew and a data directory without the files of apps: what was generated comes from the backup.
/// Returns what it is.
fn generated_comes_from_the_backup(installation: &mut Installation, directory: &Path, stack: &str) -> String {
    let token = token_in(stack).unwrap();
    installation.daemon.kill().unwrap();
    lose(stack);
    std::fs::remove_dir_all(directory.join("files/apps")).unwrap();
    installation.daemon =
        Daemon::start_with(directory, &["--config", &directory.with_file_name("config.toml").to_string_lossy()])
            .unwrap();
    let started = Instant::now();
    let again = loop {
        if let Some(again) = token_in(stack) {
            break again;
        }
        assert!(started.elapsed() < PATIENCE, "it does not come back: {}", installation.daemon.log());
        wait_a_moment();
    };
    assert_eq!(again, token);
    again
}

/// Another value is given when somebody asks, and the old one retires.
fn another_value_is_given(installation: &Installation, stack: &str, token: &str) {
    let rotate = Command::new(program("ccctl"))
        .args(["secret", "rotate", "app/book", "admin_token", "--kubeconfig"])
        .arg(installation.daemon.kubeconfig())
        .output()
        .unwrap();
    assert!(rotate.status.success(), "{}", text(&rotate));
    installation
        .wait("apps", "book", PATIENCE, |found| {
            found["status"]["secrets"][0]["rotation"]["result"] == "Succeeded"
                && tests::installation::status_of(found, "Ready") == "True"
        })
        .unwrap();
    assert_ne!(token_in(stack).unwrap(), token);
    let name = format!("--filter=name={stack}_admin_token");
    let started = Instant::now();
    while done(&["secret", "ls", "--format={{.Name}}", &name]) != format!("{stack}_admin_token_v2") {
        assert!(started.elapsed() < PATIENCE, "the old value stays");
        wait_a_moment();
    }
}

#[test]
fn a_restored_ccd_finds_its_apps_and_restarts_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut installation = Installation::start(folder.path(), 1).unwrap();
    let mut guestbook = RecipeRepository::new(&folder.path().join("guestbook")).unwrap();
    guestbook.publish_bundled("guestbook", &["1.0.0+1.0.0"]).unwrap();
    installation
        .apply(&[json!({
            "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App", "metadata": {"name": "book"},
            "spec": {
                "recipe": {"url": guestbook.url()}, "version": "1.0.0+1.0.0", "domain": format!("book.{ZONE}"),
                "deployer": "Swarm", "env": {"TITLE": "Kept"}, "volumes": "Delete",
            },
        })])
        .unwrap();
    let app = installation.wait_for("apps", "book", "Ready").unwrap();
    let before = containers_of(app["status"]["stack"].as_str().unwrap());
    assert!(!before.is_empty());

    let (old, new) = (folder.path().join("data"), folder.path().join("restored"));
    let file = folder.path().join("backup");
    let ccd = |arguments: &[&str], directory: &Path| {
        let output = Command::new(program("ccd")).args(arguments).arg("--data-dir").arg(directory).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    ccd(&["backup", &file.to_string_lossy()], &old);
    installation.daemon.kill().unwrap();
    // The key is no part of the backup: it is kept elsewhere.
    std::fs::DirBuilder::new().mode(0o700).create(&new).unwrap();
    std::fs::copy(old.join("store.key"), new.join("store.key")).unwrap();
    ccd(&["restore", &file.to_string_lossy()], &new);
    assert!(new.join("restored.json").exists(), "the reaper is told");
    let configuration = folder.path().join("config.toml");
    installation.daemon = Daemon::start_with(&new, &["--config", &configuration.to_string_lossy()]).unwrap();

    // A change that concerns nobody but the new process: it has looked at the app when it has seen it.
    let patch = r#"{"spec":{"health":{"path":"/index.html"}}}"#;
    installation.kubectl(&["patch", "apps", "book", "--type=merge", "--patch", patch]).unwrap();
    let found = installation
        .wait("apps", "book", PATIENCE, |found| {
            let is_seen = found["status"]["observedGeneration"] == found["metadata"]["generation"];
            is_seen && tests::installation::status_of(found, "Ready") == "True"
        })
        .unwrap();
    assert_eq!(found["metadata"]["uid"], app["metadata"]["uid"]);
    let stack = found["status"]["stack"].as_str().unwrap();
    assert_eq!(containers_of(stack), before);

    let token = generated_comes_from_the_backup(&mut installation, &new, stack);
    another_value_is_given(&installation, stack, &token);
    installation.remove().unwrap();
}
