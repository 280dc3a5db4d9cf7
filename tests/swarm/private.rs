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

/// The one service of an App of this name.
struct Service(String);

impl Service {
    fn new(app: &str) -> Self {
        Self(format!("{app}_ci_test_app"))
    }

    fn label(&self) -> String {
        let format = r#"{{index .Spec.Labels "ci.coopcloud.tech/pull-secrets"}}"#;
        engine::docker(&["service", "inspect", &self.0, "--format", format])
    }

    fn containers(&self, options: &[&str]) -> String {
        let label = format!("label=com.docker.swarm.service.name={}", self.0);
        engine::docker(&[&["ps", "--quiet", "--filter", &label][..], options].concat())
    }

    fn running(&self) -> String {
        self.containers(&["--filter=status=running"])
    }

    fn scale(&self, replicas: u32) {
        let _ = engine::docker(&["service", "scale", "--detach", &format!("{}={replicas}", self.0)]);
    }
}

/// Takes the image off the node and lets the swarm start the services there again.
fn pull_again(services: &[Service], image: &str) {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(["--host", &engine::address()]).args(arguments).output();
        output.expect("docker runs")
    };
    for service in services {
        service.scale(0);
    }
    until("their containers go", || {
        let all: Vec<String> = services.iter().map(|service| service.containers(&["--all"])).collect();
        let ids: Vec<&str> = all.iter().flat_map(|ids| ids.split_whitespace()).collect();
        // The swarm keeps those that have ended for a while.
        docker(&[&["rm"][..], &ids].concat());
        ids.is_empty()
    });
    let repository = image.rsplit_once(':').expect("a tag").0;
    let digests = engine::docker(&["image", "ls", "--digests", "--format={{.Repository}}@{{.Digest}}", repository]);
    assert!(!digests.trim().is_empty(), "the node has it");
    for name in digests.lines().chain([image]) {
        // One name more or less: what counts is that none is left.
        docker(&["rmi", name]);
    }
    assert_eq!(engine::docker(&["image", "ls", "--quiet", repository]), "", "the node still has it");
    for service in services {
        service.scale(1);
        until("it is pulled again", || !service.running().trim().is_empty());
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

#[test]
fn other_credentials_reach_the_nodes_at_once_and_restart_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let image = registry.publish(folder.path());
    let configuration = format!("[abra]\nprogram = \"{}\"\n", env!("CARGO_BIN_EXE_abra_stub"));
    let installation = Installation::plain(folder.path(), 1, &configuration).expect("the installation starts");
    let tree = small::recipe(&SLEEPER.replace("IMAGE", &image));
    let url = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", tree)]).url();
    let deployers = [("native", "Swarm"), ("told", "Abra")];
    let services = deployers.map(|(name, _)| Service::new(name));
    let login = |user: &str| {
        let config = json!({"auths": {&registry.host: {"username": user, "password": PASSWORD}}});
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config.to_string()},
        });
        installation.apply(&[secret]).unwrap();
    };
    let are_ready = || {
        for (name, _) in deployers {
            installation.wait_for("apps", name, "Ready").expect("the image is pulled");
        }
    };
    let suspend = |is_so: bool| {
        for (name, _) in deployers {
            installation.change("apps", name, &json!({"spec": {"suspend": is_so}})).unwrap();
        }
    };
    let htpasswd = folder.path().join("registry/htpasswd");
    login("robot");
    let apps = deployers.map(|(name, deployer)| {
        let more = json!({"deployer": deployer, "imagePullSecrets": [{"name": "login"}]});
        small::app(name, &url, &format!("{name}.ci.test"), &more)
    });
    installation.apply(&apps).unwrap();
    are_ready();
    let told = || services.iter().map(|service| service.label().trim().to_owned()).collect::<Vec<_>>();
    let running = || services.iter().map(Service::running).collect::<Vec<_>>();
    let (labels, tasks) = (told(), running());
    assert!(labels.iter().all(|label| label.len() == 32) && tasks.iter().all(|ids| !ids.is_empty()), "{labels:?}");

    std::fs::write(&htpasswd, [HTPASSWD, NEXT_HTPASSWD].concat()).unwrap();
    login("droid");
    until("the nodes are told", || told().iter().zip(&labels).all(|(now, before)| now != before));
    are_ready();
    assert_eq!(running(), tasks, "other credentials are no reason to restart anything");

    // abra has been told nothing.
    let apps = folder.path().join("data/files/apps");
    let found = Command::new("grep").args(["-rlF", "-e", PASSWORD, "-e", "droid"]).arg(&apps).output().unwrap();
    assert!(
        apps.join("told_ci_test").is_dir() && found.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&found.stdout)
    );

    // From here on the registry knows the droid alone, and only the swarm pulls.
    std::fs::write(&htpasswd, NEXT_HTPASSWD).unwrap();
    suspend(true);
    pull_again(&services, &image);
    suspend(false);
    installation.remove().unwrap();
    let left = engine::inventory_of(&["native_ci_test", "told_ci_test"]);
    assert!(left.is_empty(), "{left:?}");
    let log = installation.daemon.log();
    assert!(!log.contains(PASSWORD), "{log}");
}
