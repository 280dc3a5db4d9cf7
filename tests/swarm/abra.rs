//! What plays abra keeps abra's contract on a real engine; `CC_TEST_ABRA` puts a real one in its place.

use std::path::Path;
use std::process::Command;

use ports::abra::conformance::{Harness, check};
use ports::abra::process::ProcessAbra;
use ports::abra::{Abra, AbraApp, Target};
use ports::redact::Redactor;
use tests::engine;

const DOMAIN: &str = "abra-test.ci.test";
const STACK: &str = "abra-test_ci_test";
const ENV: &str =
    "TYPE=demo\nDOMAIN=abra-test.ci.test\nSECRET_DB_PASSWORD_VERSION=v1\nSECRET_TOKEN_VERSION=v1 # length=20\n";

struct Played {
    abra: ProcessAbra,
    app: AbraApp,
    _folder: tempfile::TempDir,
}

impl Played {
    fn new(domain: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = AbraApp::new(folder.path().join("abra"), domain, "demo", &engine::address()).unwrap();
        let recipe = app.recipe_folder();
        std::fs::create_dir_all(&recipe).unwrap();
        let compose = format!(
            "version: \"3.8\"\nservices:\n  app:\n    image: {}\n    command: [\"sleep\", \"86400\"]\n    init: true\n    \
             secrets: [db_password, token]\n    volumes: [\"data:/data\"]\n    deploy: {{endpoint_mode: dnsrr}}\n\
             volumes:\n  data:\nsecrets:\n  db_password:\n    external: true\n    \
             name: ${{STACK_NAME}}_db_password_${{SECRET_DB_PASSWORD_VERSION}}\n  token:\n    external: true\n    \
             name: ${{STACK_NAME}}_token_${{SECRET_TOKEN_VERSION}}\n",
            engine::image()
        );
        std::fs::write(recipe.join("compose.yml"), compose).unwrap();
        std::fs::write(recipe.join(".env.sample"), ENV).unwrap();
        git(&recipe, &["init", "--quiet"]);
        git(&recipe, &["add", "."]);
        git(&recipe, &["commit", "--quiet", "-m", "Begin"]);
        git(&recipe, &["tag", "-a", "1.0.0+1", "-m", "Release"]);
        Self { abra: ProcessAbra::new(program(), &path(), Redactor::default()), app, _folder: folder }
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment chooses what is tested")]
fn program() -> String {
    std::env::var("CC_TEST_ABRA").unwrap_or_else(|_| env!("CARGO_BIN_EXE_abra_stub").to_owned())
}

#[expect(clippy::disallowed_methods, reason = "docker and git are where the tests find them")]
fn path() -> String {
    std::env::var("PATH").unwrap()
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let done = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).status().unwrap();
    assert!(done.success(), "git {arguments:?}");
}

fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Removes what abra leaves, as soon as the engine lets it go: the network when a task still ends in it, and the volume when a
/// task was about to begin, which makes it once more.
fn remove_leftovers(stack: &str) {
    // What the swarm wants of tasks whose service is gone.
    while docker(&["node", "ps", "self", "--format={{.DesiredState}}"]).lines().any(|state| state == "Remove") {
        tests::daemon::wait_a_moment();
    }
    let filter = format!("label=com.docker.stack.namespace={stack}");
    for kind in ["network", "volume"] {
        while let Some(id) = docker(&[kind, "ls", "--quiet", "--filter", &filter]).lines().next() {
            let _ = Command::new("docker").args([kind, "rm", id]).output().unwrap();
            tests::daemon::wait_a_moment();
        }
    }
}

/// What the bot runs: it keeps archives of the volumes of the app's stack.
const BACKUP: &str = r#"#!/bin/sh
set -eu
stack=$(echo "$SERVICE" | tr . _)
cd /volumes
case $2 in
  create)
    id=$(printf '%08x' $((0xb00000 + $(ls /tmp | grep -c tar || true))))
    set -- "$stack"_*
    # What was deployed just now may have no task yet, and so no volume.
    while [ ! -e "$1" ]; do sleep 0.1; set -- "$stack"_*; done
    tar -cf "/tmp/$id.tar" "$@"
    echo "{\"message_type\": \"summary\", \"snapshot_id\": \"$id\"}"
    ;;
  restore) tar -xf "/tmp/${SNAPSHOT:-none}.tar" ;;
esac
"#;
const BOT: &str = "abra-test-bot";

/// A backup bot on the engine. Goes with the test, and is waited for: other tests look at all that the engine has.
struct BackupBot;

impl BackupBot {
    fn start(folder: &Path) -> Self {
        let file = folder.join("backup");
        std::fs::write(&file, BACKUP).unwrap();
        docker(&["config", "create", BOT, &file.to_string_lossy()]);
        let volumes = docker(&["info", "--format={{.DockerRootDir}}/volumes"]);
        let mount = format!("type=bind,source={},target=/volumes", volumes.trim());
        let config = format!("source={BOT},target=/usr/bin/backup,mode=0755");
        let label = "coop-cloud.backupbot.enabled=true";
        let arguments =
            ["service", "create", "--quiet", "--init", "--no-resolve-image", "--endpoint-mode=dnsrr", "--name", BOT];
        let image = engine::image();
        let rest = ["--label", label, "--mount", &mount, "--config", &config, &image, "sleep", "86400"];
        // It returns when the task runs.
        docker(&[&arguments[..], &rest[..]].concat());
        Self
    }
}

impl Drop for BackupBot {
    fn drop(&mut self) {
        docker(&["service", "rm", BOT]);
        let label = format!("label=com.docker.swarm.service.name={BOT}");
        while !docker(&["ps", "--all", "--quiet", "--filter", &label]).trim().is_empty() {
            tests::daemon::wait_a_moment();
        }
        docker(&["config", "rm", BOT]);
    }
}

impl Harness for Played {
    fn abra(&self) -> &dyn Abra {
        &self.abra
    }

    fn app(&self) -> AbraApp {
        self.app.clone()
    }

    fn env(&self) -> String {
        ENV.to_owned()
    }

    fn has_backup_bot(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn abra_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let _bot = BackupBot::start(folder.path());
    check(&Played::new("abra-conforms.ci.test")).await;
    remove_leftovers("abra-conforms_ci_test");
    data_comes_back(&Played::new("abra-restores.ci.test")).await;
    remove_leftovers("abra-restores_ci_test");
}

/// What is lost after a backup is there again after the restore of that very backup.
async fn data_comes_back(played: &Played) {
    let (abra, app) = (&played.abra, &played.app);
    abra.prepare(app, ENV).await.unwrap();
    abra.generate_secrets(app).await.unwrap();
    abra.deploy(app, &Target::WorkTree).await.unwrap();
    let label = "label=com.docker.swarm.service.name=abra-restores_ci_test_app";
    let container = loop {
        let found = docker(&["ps", "--quiet", "--filter=status=running", "--filter", label]);
        if let Some(id) = found.lines().next() {
            break id.to_owned();
        }
        tests::daemon::wait_a_moment();
    };
    let write = |text: &str| docker(&["exec", &container, "sh", "-c", &format!("echo {text} >/data/kept")]);
    write("precious");
    let snapshot = abra.back_up(app).await.unwrap().expect("it is named");
    write("worthless");
    abra.back_up(app).await.unwrap();
    abra.restore(app, &snapshot).await.unwrap();
    assert_eq!(docker(&["exec", &container, "cat", "/data/kept"]).trim(), "precious");
    abra.undeploy(app).await.unwrap();
    abra.remove_secrets(app).await.unwrap();
    abra.remove_volumes(app).await.unwrap();
}

#[tokio::test]
async fn an_app_is_labelled_and_its_environment_exposed_as_abra_does() {
    let played = Played::new(DOMAIN);
    let (abra, app) = (&played.abra, &played.app);
    abra.prepare(app, ENV).await.unwrap();
    abra.generate_secrets(app).await.unwrap();
    abra.deploy(app, &Target::Version("1.0.0+1".to_owned())).await.unwrap();
    let spec = || {
        let text = docker(&["service", "inspect", &format!("{STACK}_app"), "--format", "{{json .Spec}}"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let label = |suffix: &str| spec()["Labels"][format!("coop-cloud.{STACK}.{suffix}")].as_str().map(str::to_owned);
    assert_eq!((label("version").as_deref(), label("chaos").as_deref()), (Some("1.0.0+1"), Some("false")));
    assert_eq!((label("recipe").as_deref(), label("chaos-version")), (Some("demo"), None));
    let exposed = spec()["TaskTemplate"]["ContainerSpec"]["Env"].clone();
    let exposes = |line: &str| exposed.as_array().unwrap().iter().any(|one| one == line);
    assert!(exposes(&format!("DOMAIN={DOMAIN}")) && exposes("TYPE=demo:1.0.0+1"), "{exposed}");
    assert!(std::fs::read_to_string(app.env_file()).unwrap().contains("TYPE=demo:1.0.0+1"));
    std::fs::write(app.recipe_folder().join("untracked"), "").unwrap();
    let refused = abra.deploy(app, &Target::Version("1.0.0+1".to_owned())).await.unwrap_err();
    assert_eq!(refused.reason, "WorkTreeDirty", "{refused}");
    abra.deploy(app, &Target::WorkTree).await.unwrap();
    assert!(label("chaos-version").unwrap().ends_with("+U"));
    let rules = abra.lint(app).await.unwrap();
    assert!(rules.iter().any(|rule| rule.reference == "R014" && rule.is_satisfied), "{rules:?}");
    abra.undeploy(app).await.unwrap();
    abra.remove_secrets(app).await.unwrap();
    abra.remove_volumes(app).await.unwrap();
    remove_leftovers(STACK);
}
