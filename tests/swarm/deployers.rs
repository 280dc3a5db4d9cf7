//! Two deployers, one stack: what plays abra and the native one pass the same life of an App, and each takes over what
//! the other deployed, or what `docker stack deploy` did, without restarting a task whose spec is equal.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ports::abra::process::ProcessAbra;
use ports::abra::{Abra as _, AbraApp, Target};
use ports::redact::Redactor;
use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine::{self, docker};
use tests::installation::{Installation, status_of};
use tests::recipes::{Tree, replace};

use crate::small;

const BASE: &str = "1.0.0+1.0.0";
const HEAD: &str = "1.1.0+1.1.0";
const WITHIN: Duration = Duration::from_mins(3);

const COMPOSE: &str = "\
version: \"3.8\"
services:
  app:
    image: IMAGE
    command: [\"sh\", \"-c\", \"echo first >>/data/starts; exec sleep 86400\"]
    init: true
    networks: [inner]
    volumes: [\"data:/data\"]
    secrets: [token]
    configs: [{source: conf, target: /conf}]
    deploy: {endpoint_mode: dnsrr}
  db:
    image: IMAGE
    command: [\"sleep\", \"86400\"]
    init: true
    environment: {A: \"1\"}
    networks: [inner]
    deploy: {endpoint_mode: dnsrr}
networks:
  inner:
volumes:
  data:
secrets:
  token: {external: true, name: \"${STACK_NAME}_token_${SECRET_TOKEN_VERSION}\"}
configs:
  conf: {name: \"${STACK_NAME}_conf_${CONF_VERSION}\", file: conf.tmpl, template_driver: golang}
";

fn versions() -> [(&'static str, Tree); 2] {
    let base = small::recipe(COMPOSE);
    let mut head = base.clone();
    replace(&mut head, "compose.yml", "echo first", "echo second");
    [(BASE, base), (HEAD, head)]
}

/// An installation with what plays abra, and a recipe of two versions.
struct Bench {
    installation: Installation,
    folder: tempfile::TempDir,
    url: String,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = format!("[abra]\nprogram = \"{}\"\n", env!("CARGO_BIN_EXE_abra_stub"));
        let installation = Installation::plain(folder.path(), 1, &configuration).expect("the installation starts");
        let url = small::publish(&folder.path().join("small"), &versions()).url();
        Self { installation, folder, url }
    }

    /// Creates an App at the first version, or changes the one that there is.
    fn apply(&self, name: &str, deployer: &str, adopts: bool, more: &Value) {
        let mut app = small::app(name, &self.url, &domain(name), &json!({"deployer": deployer, "version": BASE}));
        if adopts {
            app["metadata"]["annotations"] = json!({"ci.coopcloud.tech/adopt": "true"});
        }
        for (key, value) in more.as_object().expect("an object") {
            app["spec"][key] = value.clone();
        }
        self.installation.apply(&[app]).expect("it is accepted");
    }

    /// Waits until an App is ready, as its present spec says and by that deployer.
    fn ready(&self, name: &str, deployer: &str) -> Value {
        let is_so = |app: &Value| {
            status_of(app, "Ready") == "True"
                && app["status"]["observedGeneration"] == app["metadata"]["generation"]
                && app["status"]["deployer"] == deployer
        };
        self.installation.wait("apps", name, WITHIN, is_so).expect("it is ready")
    }

    /// Deletes an App and expects that nothing is left.
    fn remove(&self, name: &str) {
        self.installation.kubectl(&["delete", "app", name, "--timeout=120s"]).expect("it goes");
        let left = engine::inventory_of(&[&stack(name)]);
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

fn domain(name: &str) -> String {
    format!("{name}.ci.test")
}

fn stack(name: &str) -> String {
    domain(name).replace('.', "_")
}

/// Returns the tasks of a stack that should run, with the services that they are of.
fn tasks(name: &str) -> Vec<String> {
    let format = "{{.ID}} {{.Name}}";
    let arguments =
        ["stack", "ps", &stack(name), "--no-trunc", "--filter", "desired-state=running", "--format", format];
    let mut tasks: Vec<String> = docker(&arguments).lines().map(str::to_owned).collect();
    tasks.sort();
    tasks
}

fn of_service(tasks: &[String], service: &str) -> Vec<String> {
    tasks.iter().filter(|task| task.contains(&format!("_{service}."))).cloned().collect()
}

fn spec(name: &str, service: &str) -> Value {
    let service = format!("{}_{service}", stack(name));
    serde_json::from_str(&docker(&["service", "inspect", &service, "--format", "{{json .Spec}}"])).expect("JSON")
}

fn starts(name: &str) -> String {
    let filter = format!("label=com.docker.swarm.service.name={}_app", stack(name));
    let container = docker(&["ps", "--quiet", "--filter", &filter, "--filter", "status=running"]);
    docker(&["exec", container.trim(), "cat", "/data/starts"])
}

/// Deployed, upgraded in place, put right after somebody changed it, removed.
fn whole_life(bench: &Bench, deployer: &str) {
    let name = format!("life-{}", deployer.to_lowercase());
    bench.apply(&name, deployer, false, &json!({}));
    let app = bench.ready(&name, deployer);
    assert_eq!(app["status"]["observed"]["version"], BASE, "{deployer}");
    let labels = spec(&name, "app")["Labels"].clone();
    assert_eq!(labels[format!("coop-cloud.{}.version", stack(&name))], BASE, "{deployer}: {labels}");
    assert_eq!(labels[format!("coop-cloud.{}.recipe", stack(&name))], "small", "{deployer}: {labels}");
    assert_eq!(labels["ci.coopcloud.tech/app"], format!("default/{name}"), "{deployer}: {labels}");
    let environment = spec(&name, "app")["TaskTemplate"]["ContainerSpec"]["Env"].clone();
    let exposed = format!("DOMAIN={}", domain(&name));
    assert!(environment.as_array().expect("a list").contains(&json!(exposed)), "{deployer}: {environment}");
    assert_eq!(starts(&name), "first\n", "{deployer}");
    assert_eq!(tasks(&name).len(), 2, "{deployer}: each task was started once");

    let database = of_service(&tasks(&name), "db");
    bench.apply(&name, deployer, false, &json!({"version": HEAD}));
    let is_upgraded = |app: &Value| status_of(app, "Ready") == "True" && app["status"]["observed"]["version"] == HEAD;
    bench.installation.wait("apps", &name, WITHIN, is_upgraded).expect("it is upgraded");
    assert_eq!(starts(&name), "first\nsecond\n", "{deployer}: the same volume");
    assert_eq!(of_service(&tasks(&name), "db"), database, "{deployer}: what did not change goes on");

    let changed = format!("{}_db", stack(&name));
    let _ = docker(&["service", "update", "--detach", "--quiet", "--env-add", "A=2", &changed]);
    let environment = || spec(&name, "db")["TaskTemplate"]["ContainerSpec"]["Env"].clone();
    let started = std::time::Instant::now();
    while environment() != json!(["A=1"]) {
        assert!(started.elapsed() < WITHIN, "{deployer}: it is not put right: {}", environment());
        wait_a_moment();
    }
    bench.ready(&name, deployer);
    bench.remove(&name);
}

/// One deployer takes over from the other, there and back.
fn changes_hands(bench: &Bench, name: &str, first: &str, second: &str) {
    bench.apply(name, first, false, &json!({}));
    bench.ready(name, first);
    let before = tasks(name);
    for deployer in [second, first] {
        bench.apply(name, deployer, false, &json!({}));
        bench.ready(name, deployer);
        assert_eq!(tasks(name), before, "{name}: {deployer} restarts nothing");
    }
    bench.remove(name);
}

/// What somebody deployed with abra, by hand.
fn from_abra(bench: &Bench, name: &str, deployer: &str) {
    let folder = bench.folder.path().join(format!("by-hand-{name}"));
    #[expect(clippy::disallowed_methods, reason = "docker and git are where the tests find them")]
    let path = std::env::var("PATH").expect("there is one");
    let abra = ProcessAbra::new(env!("CARGO_BIN_EXE_abra_stub").to_owned(), &path, Redactor::default());
    let app = AbraApp::new(folder, &domain(name), "small", &engine::address()).expect("the names are fine");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let env = format!("TYPE=small\nDOMAIN={}\nSECRET_TOKEN_VERSION=v1 # length=20\n", domain(name));
        abra.prepare(&app, &env).await.expect("a folder");
        clone(bench, &app.recipe_folder());
        abra.generate_secrets(&app).await.expect("it has secrets");
        abra.deploy(&app, &Target::Version(BASE.to_owned())).await.expect("it deploys");
    });
    let before = settled(name);
    bench.apply(name, deployer, true, &json!({}));
    bench.ready(name, deployer);
    assert_eq!(tasks(name), before, "{name}: nothing is restarted");
    assert_eq!(spec(name, "db")["Labels"]["ci.coopcloud.tech/app"], format!("default/{name}"));
    bench.remove(name);
}

/// What somebody deployed with `docker stack deploy`, by hand: abra's additions are what it lacks.
fn from_docker(bench: &Bench, name: &str, deployer: &str) {
    let folder = bench.folder.path().join(format!("plain-{name}"));
    clone(bench, &folder);
    let (stack, token) = (stack(name), format!("{}_token_v1", stack(name)));
    std::fs::write(folder.join("token"), "a secret of old").expect("a file");
    let _ = docker(&["secret", "create", &token, &folder.join("token").to_string_lossy()]);
    let deployed = Command::new("docker")
        .args(["--host", &engine::address(), "stack", "deploy", "--compose-file"])
        .arg(folder.join("compose.yml"))
        .arg(&stack)
        .envs([("STACK_NAME", stack.as_str()), ("SECRET_TOKEN_VERSION", "v1"), ("CONF_VERSION", "v1")])
        .output()
        .expect("docker runs");
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let before = settled(name);
    bench.apply(name, deployer, true, &json!({}));
    bench.ready(name, deployer);
    let after = tasks(name);
    assert_eq!(of_service(&after, "db"), of_service(&before, "db"), "{name}: its spec is equal");
    assert_ne!(of_service(&after, "app"), of_service(&before, "app"), "{name}: abra exposes the environment to it");
    assert_eq!(starts(name), "first\nfirst\n", "{name}: the data stays");
    bench.remove(name);
}

fn clone(bench: &Bench, into: &Path) {
    let source = bench.url.trim_start_matches("file://");
    let version = format!("refs/tags/{BASE}");
    let git = |folder: &Path, arguments: &[&str]| {
        let done = Command::new("git").arg("-C").arg(folder).args(arguments).status().expect("git runs");
        assert!(done.success(), "git {arguments:?}");
    };
    std::fs::create_dir_all(into).expect("a folder");
    git(into, &["clone", "--quiet", source, "."]);
    git(into, &["checkout", "--quiet", "--detach", &version]);
}

/// Waits until both services run, and returns their tasks.
fn settled(name: &str) -> Vec<String> {
    let label = format!("label=com.docker.stack.namespace={}", stack(name));
    let replicas = || docker(&["service", "ls", "--filter", &label, "--format", "{{.Replicas}}"]);
    let started = std::time::Instant::now();
    while replicas() != "1/1\n1/1\n" {
        assert!(started.elapsed() < WITHIN, "{name} does not run: {}", replicas());
        wait_a_moment();
    }
    tasks(name)
}

#[test]
fn both_deployers_pass_the_same_life_and_take_over_from_each_other() {
    let bench = Bench::start();
    std::thread::scope(|scope| {
        let lives = ["Swarm", "Abra"].map(|deployer| {
            let bench = &bench;
            scope.spawn(move || whole_life(bench, deployer))
        });
        let others = [
            scope.spawn(|| changes_hands(&bench, "hands-a", "Swarm", "Abra")),
            scope.spawn(|| changes_hands(&bench, "hands-b", "Abra", "Swarm")),
            scope.spawn(|| from_abra(&bench, "made-a", "Swarm")),
            scope.spawn(|| from_abra(&bench, "made-b", "Abra")),
            scope.spawn(|| from_docker(&bench, "made-c", "Swarm")),
            scope.spawn(|| from_docker(&bench, "made-d", "Abra")),
        ];
        let all: Vec<_> = lives.into_iter().chain(others).map(std::thread::ScopedJoinHandle::join).collect();
        assert!(all.iter().all(Result::is_ok), "see above\n{}", bench.installation.daemon.log());
    });
}
