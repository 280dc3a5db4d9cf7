//! The engine keeps the same of a stack that we deploy as of one that `docker stack deploy` does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ports::compose::{CheckoutFiles, LoadInput, Stack, load};
use ports::swarm::docker::DockerEngine;
use ports::swarm::{Engine as _, Filter, NewStackFile};
use serde_json::Value;

use crate::given;

/// Two names of the same length, so that what is sorted by name is sorted alike.
const DOCKERS: &str = "differ-docker";
const OURS: &str = "differ-ourown";

/// Returns the digit that tells the ports of one stack from those of the other.
fn digit(stack: &str) -> &'static str {
    if stack == OURS { "2" } else { "1" }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/deployed")
}

fn docker_says(arguments: &[&str], stack: &str) -> Output {
    Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", given::engine_address())
        .env("STACK_NAME", stack)
        .env("DIGIT", digit(stack))
        .output()
        .expect("docker runs")
}

/// Runs docker, which has to succeed, and returns what it prints.
fn docker(arguments: &[&str], stack: &str) -> String {
    let output = docker_says(arguments, stack);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("docker prints UTF-8")
}

fn our_stack(name: &str) -> Stack {
    let input = LoadInput {
        stack: name.to_owned(),
        files: vec!["compose.yml".to_owned()],
        env: [("STACK_NAME", name), ("DIGIT", digit(name))]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        directory: fixture().to_string_lossy().into_owned(),
        ..LoadInput::default()
    };
    let files = CheckoutFiles::open(&fixture()).expect("the fixture opens");
    load(&input, &files).expect("the fixture loads")
}

/// Deploys a stack in the order that Docker does.
async fn deploy(engine: &DockerEngine, stack: &Stack) {
    for network in stack.networks.iter().filter(|network| !network.external) {
        engine.create_network(&network.new).await.expect("the network is made");
    }
    let file = |object: &ports::compose::StackObject| {
        object.data.clone().map(|data| NewStackFile {
            name: object.name.clone(),
            labels: object.labels.clone(),
            data,
            is_template: object.is_template,
        })
    };
    for secret in stack.secrets.iter().filter_map(file) {
        engine.create_secret(&secret).await.expect("the secret is made");
    }
    for config in stack.configs.iter().filter_map(file) {
        engine.create_config(&config).await.expect("the config is made");
    }
    for service in &stack.services {
        engine.create_service(&service.spec, None).await.expect("the service is made");
    }
}

async fn external_secret(engine: &DockerEngine, stack: &str) {
    let secret = NewStackFile { name: format!("{stack}_key_v1"), data: b"key".to_vec(), ..NewStackFile::default() };
    engine.create_secret(&secret).await.expect("the secret is made");
}

/// Returns what the engine keeps of a stack's services, with names in place of ids and of the stack's own name.
async fn kept(engine: &DockerEngine, stack: &str) -> BTreeMap<String, Value> {
    let mut names: Vec<(String, String)> = Vec::new();
    let all = Filter::default();
    names.extend(engine.networks(&all).await.expect("networks").into_iter().map(|network| (network.id, network.name)));
    names.extend(engine.secrets(&all).await.expect("secrets").into_iter().map(|secret| (secret.id, secret.name)));
    names.extend(engine.configs(&all).await.expect("configs").into_iter().map(|config| (config.id, config.name)));
    let services = engine.services(&Filter::stack(stack)).await.expect("services");
    let mut kept = BTreeMap::new();
    for service in services {
        let mut text = docker(&["service", "inspect", "--format", "{{json .Spec}}", &service.id], stack);
        for (id, name) in &names {
            text = text.replace(&format!("\"{id}\""), &format!("\"{name}\""));
        }
        let text = text.replace(stack, "the-stack").replace(":262", ":261");
        let spec: Value = serde_json::from_str(&text).expect("docker prints JSON");
        kept.insert(service.spec.name.replace(stack, "the-stack"), spec);
    }
    kept
}

#[tokio::test]
async fn the_engine_keeps_the_same_of_either_deploy() {
    let engine = DockerEngine::at(&given::engine_address()).expect("the address is one");
    for stack in [DOCKERS, OURS] {
        external_secret(&engine, stack).await;
    }
    let file = fixture().join("compose.yml");
    let file = file.to_str().expect("a path that is text");
    docker(&["stack", "deploy", "--resolve-image", "never", "-c", file, DOCKERS], DOCKERS);
    deploy(&engine, &our_stack(OURS)).await;
    let (theirs, ours) = (kept(&engine, DOCKERS).await, kept(&engine, OURS).await);
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (name, spec) in &theirs {
        let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
        assert!(ours[name] == *spec, "{name} differs\nDocker's: {}\nours: {}", pretty(spec), pretty(&ours[name]));
    }

    // What Docker deployed is taken over without a change of its tasks.
    let filter = Filter::stack(DOCKERS);
    for service in engine.services(&filter).await.expect("services") {
        let short_name = service.spec.name.trim_start_matches(&format!("{DOCKERS}_")).to_owned();
        let stack = our_stack(DOCKERS);
        let spec = &stack.service(&short_name).expect("the service is ours as well").spec;
        engine.update_service(&service.id, service.version, spec, None).await.expect("the update is taken");
    }
    assert!(kept(&engine, DOCKERS).await == theirs, "an update with our spec changed what the engine keeps");

    for stack in [DOCKERS, OURS] {
        // It tries each network once, and a task that has not ended yet holds its own.
        while !docker_says(&["stack", "rm", stack], stack).status.success() {
            tokio::task::yield_now().await;
        }
        engine.remove_secret(&format!("{stack}_key_v1")).await.expect("the secret is removed");
    }
}
