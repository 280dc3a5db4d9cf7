//! Images from a registry that wants to know who asks: `docker-registry` with a password.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::Installation;
use tests::recipes::SLEEPER;

use crate::small;

const WITHIN: Duration = Duration::from_mins(2);
const PASSWORD: &str = "pull-secret-canary";
/// `robot:pull-secret-canary`, for the registry.
const HTPASSWD: &str = "robot:$2b$05$abcdefghijklmnopqrstuuy83XQIC9tqG9uAZocw8Io5KEVSxsxEG\n";
/// The same, for clients.
const AUTH: &str = "cm9ib3Q6cHVsbC1zZWNyZXQtY2FuYXJ5";

/// The robot that comes after it, with the same password.
const NEXT_HTPASSWD: &str = "droid:$2b$05$abcdefghijklmnopqrstuuy83XQIC9tqG9uAZocw8Io5KEVSxsxEG\n";

/// A registry. Ends with the test.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let folder = folder.join("registry");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("htpasswd"), HTPASSWD).unwrap();
        let config = json!({
            "version": "0.1", "log": {"level": "error", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": folder.join("data")}}, "http": {"addr": host},
            "auth": {"htpasswd": {"realm": "private", "path": folder.join("htpasswd")}},
        });
        // JSON is YAML.
        std::fs::write(folder.join("config.yml"), config.to_string()).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("with-engine has looked for it");
        let registry = Self { process, host };
        let started = Instant::now();
        while std::net::TcpStream::connect(&registry.host).is_err() {
            assert!(started.elapsed() < WITHIN, "{}", std::fs::read_to_string(folder.join("log")).unwrap());
            wait_a_moment();
        }
        registry
    }

    /// Puts the engine's image into the registry under a name that the engine does not have afterwards.
    fn publish(&self, folder: &Path) -> String {
        let client = folder.join("client");
        std::fs::create_dir_all(&client).unwrap();
        let config = json!({"auths": {&self.host: {"auth": AUTH}}});
        std::fs::write(client.join("config.json"), config.to_string()).unwrap();
        let image = format!("{}/team/private:1", self.host);
        let done = engine::docker(&["tag", &engine::image(), &image]);
        let pushed = engine::docker(&["--config", &client.to_string_lossy(), "push", "--quiet", &image]);
        let removed = engine::docker(&["rmi", &image]);
        assert!(removed.contains("Untagged"), "{done}{pushed}{removed}");
        image
    }
}

/// The one service of an App with this domain.
struct Service {
    name: String,
    image: String,
}

impl Service {
    fn new(name: &str, image: &str) -> Self {
        Self { name: format!("{name}_ci_test_app"), image: image.to_owned() }
    }

    fn label(&self) -> String {
        let format = r#"{{index .Spec.Labels "ci.coopcloud.tech/pull-secrets"}}"#;
        engine::docker(&["service", "inspect", &self.name, "--format", format])
    }

    fn running(&self) -> String {
        let label = format!("label=com.docker.swarm.service.name={}", self.name);
        engine::docker(&["ps", "--quiet", "--filter=status=running", "--filter", &label])
    }

    fn scale(&self, replicas: &str) {
        let _ = engine::docker(&["service", "scale", "--detach", &format!("{}={replicas}", self.name)]);
    }

    /// Takes the image off the node and lets the swarm start the service there again.
    fn pull_again(&self) {
        self.scale("0");
        let label = format!("label=com.docker.swarm.service.name={}", self.name);
        let there = || engine::docker(&["ps", "--all", "--quiet", "--filter", &label]);
        until("its container goes", || {
            let ids = there();
            let _ =
                Command::new("docker").args(["--host", &engine::address(), "rm"]).args(ids.split_whitespace()).output();
            ids.trim().is_empty()
        });
        let repository = self.image.rsplit_once(':').expect("a tag").0;
        let ids = engine::docker(&["image", "ls", "--quiet", "--no-trunc", repository]);
        let digests = engine::docker(&["image", "ls", "--digests", "--format={{.Repository}}@{{.Digest}}", repository]);
        assert!(!ids.trim().is_empty(), "the node has it");
        for name in digests.lines().chain([self.image.as_str()]) {
            // One name more or less: what counts is that none is left.
            let _ = Command::new("docker").args(["--host", &engine::address(), "rmi", name]).output();
        }
        assert_eq!(engine::docker(&["image", "ls", "--quiet", repository]), "", "the node still has it");
        self.scale("1");
        until("it is pulled again", || !self.running().trim().is_empty());
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < WITHIN, "{what}");
        wait_a_moment();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn says(object: &Value, reason: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["reason"] == reason))
}

#[test]
fn private_images_are_pulled_with_the_secrets_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let image = registry.publish(folder.path());
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let tree = small::recipe(&SLEEPER.replace("IMAGE", &image));
    let repository = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", tree)]);
    let app = |more: &Value| small::app("private", &repository.url(), "private.ci.test", more);
    let named = json!({"imagePullSecrets": [{"name": "login"}]});

    installation.apply(&[app(&json!({}))]).unwrap();
    installation.wait("apps", "private", WITHIN, |app| says(app, "ImageNotFound")).expect("it has no credentials");
    installation.apply(&[app(&named)]).unwrap();
    installation.wait("apps", "private", WITHIN, |app| says(app, "PullSecretInvalid")).expect("there is no Secret");
    let create = |server: &str| {
        let (server, password) = (format!("--docker-server={server}"), format!("--docker-password={PASSWORD}"));
        let arguments = ["create", "secret", "docker-registry", "login", "--docker-username=robot"];
        installation.kubectl(&[&arguments[..], &[server.as_str(), password.as_str()]].concat()).unwrap();
    };
    create("registry.example.org");
    installation.wait("apps", "private", WITHIN, |app| says(app, "ImageNotFound")).expect("those of another registry");
    installation.kubectl(&["delete", "secret", "login"]).unwrap();
    create(&registry.host);
    installation.wait_for("apps", "private", "Ready").expect("the image is pulled");
    let found = engine::docker(&["image", "ls", "--digests", "--format={{.Repository}}"]);
    assert!(found.contains(&registry.host), "{found}");
    installation.remove().unwrap();

    // A run pulls with the credentials of its Recipe.
    let recipe = json!({
        "apiVersion": small::API, "kind": "Recipe", "metadata": {"name": "private"},
        "spec": {"source": {"url": repository.url()}, "deployer": "Swarm", "imagePullSecrets": [{"name": "login"}]},
    });
    let run = json!({
        "apiVersion": small::API, "kind": "TestRun", "metadata": {"name": "private"},
        "spec": {"recipeRef": "private", "source": {"version": "1.0.0+1.0.0"}, "stages": ["install"]},
    });
    installation.apply(&[recipe, run]).unwrap();
    let has_pulled = |run: &Value| {
        let steps = run["status"]["steps"].as_array();
        steps.is_some_and(|all| all.iter().any(|step| step["name"] == "head-deploy"))
    };
    installation.wait("testruns", "private", WITHIN, has_pulled).expect("its images are there");
    installation.change("testruns", "private", &json!({"spec": {"cancel": true}})).unwrap();
    installation.remove().unwrap();
    let left = engine::inventory_of(&["private_ci_test"]);
    assert!(left.is_empty(), "{left:?}");
    let log = installation.daemon.log();
    assert!(!log.contains(PASSWORD) && !log.contains(AUTH), "{log}");
}

/// The Secret of an App gets another user, and the registry forgets the one before.
fn changes_credentials(installation: &Installation, registry: &Registry, folder: &Path, deployer: &str, image: &str) {
    let name = deployer.to_lowercase();
    let tree = small::recipe(&SLEEPER.replace("IMAGE", image));
    let url = small::publish(&folder.join(&name), &[("1.0.0+1.0.0", tree)]).url();
    let login = |user: &str| {
        let auth = json!({"auths": {&registry.host: {"username": user, "password": PASSWORD}}});
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("login-{name}")},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": auth.to_string()},
        });
        installation.apply(&[secret]).unwrap();
    };
    let htpasswd = folder.join("registry/htpasswd");
    std::fs::write(&htpasswd, HTPASSWD).unwrap();
    login("robot");
    let more = json!({"deployer": deployer, "imagePullSecrets": [{"name": format!("login-{name}")}]});
    installation.apply(&[small::app(&name, &url, &format!("{name}.ci.test"), &more)]).unwrap();
    installation.wait_for("apps", &name, "Ready").expect("the image is pulled");
    let service = Service::new(&name, image);
    let (label, task) = (service.label(), service.running());
    assert!(label.trim().len() == 32 && !task.trim().is_empty(), "{label} {task}");

    std::fs::write(&htpasswd, [HTPASSWD, NEXT_HTPASSWD].concat()).unwrap();
    login("droid");
    until("the nodes are told", || service.label() != label);
    installation.wait_for("apps", &name, "Ready").expect("it runs as before");
    assert_eq!(service.running(), task, "other credentials are no reason to restart anything");

    // Only the one after it is known by now, and only the swarm pulls: whoever looks after the App is told not to.
    std::fs::write(&htpasswd, NEXT_HTPASSWD).unwrap();
    installation.change("apps", &name, &json!({"spec": {"suspend": true}})).unwrap();
    service.pull_again();
    installation.change("apps", &name, &json!({"spec": {"suspend": false}})).unwrap();
    installation.remove().unwrap();
}

#[test]
fn other_credentials_reach_the_nodes_at_once_and_restart_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let image = registry.publish(folder.path());
    let configuration = format!("[abra]\nprogram = \"{}\"\n", env!("CARGO_BIN_EXE_abra_stub"));
    let installation = Installation::plain(folder.path(), 1, &configuration).expect("the installation starts");
    for deployer in ["Swarm", "Abra"] {
        changes_credentials(&installation, &registry, folder.path(), deployer, &image);
    }
    let left = engine::inventory_of(&["swarm_ci_test", "abra_ci_test"]);
    assert!(left.is_empty(), "{left:?}");
    let log = installation.daemon.log();
    assert!(!log.contains(PASSWORD), "{log}");
    let data = folder.path().join("data/apps");
    let found = Command::new("grep").args(["-rlF", PASSWORD]).arg(&data).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}
