//! A plan is what happens then, and a folder that is applied with --prune is the whole truth.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::daemon::{program, wait_a_moment};
use tests::engine;
use tests::installation::Installation;

use crate::small;

const COMPOSE: &str = "\
version: \"3.8\"
services:
  app:
    image: IMAGE
    command: [\"sleep\", \"86400\"]
    init: true
    environment: {WORD: one}
    secrets: [token]
    networks: [inner]
    deploy: {endpoint_mode: dnsrr}
networks:
  inner:
secrets:
  token: {external: true, name: \"${STACK_NAME}_token_${SECRET_TOKEN_VERSION}\"}
";

/// Runs ccctl and returns its exit code with all that it printed.
fn ccctl(installation: &Installation, arguments: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(program("ccctl"));
    command.arg("--kubeconfig").arg(installation.daemon.kubeconfig()).args(arguments);
    let output = command.output().expect("ccctl runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it was not killed"), String::from_utf8_lossy(&text).into_owned())
}

fn write_app(folder: &Path, url: &str, version: &str) {
    let app = small::app("planned", url, "planned.ci.test", &json!({"version": version}));
    std::fs::write(folder.join("app.json"), app.to_string()).expect("a file can be written");
}

fn expect(found: &(i32, String), code: i32, words: &[&str]) {
    let (exit, text) = found;
    assert_eq!(*exit, code, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

#[test]
fn what_a_plan_says_is_what_happens_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let versions = [
        ("1.0.0+1.0.0", small::recipe(COMPOSE)),
        ("1.1.0+1.1.0", small::recipe(&COMPOSE.replace("WORD: one", "WORD: two"))),
    ];
    let url = small::publish(&folder.path().join("small"), &versions).url();
    let infra = folder.path().join("infra");
    std::fs::create_dir(&infra).expect("a folder can be made");
    let path = infra.to_string_lossy().into_owned();
    let plan = || ccctl(&installation, &["plan", "-f", &path, "--prune"]);
    let apply = || ccctl(&installation, &["apply", "-f", &path, "--prune"]);

    write_app(&infra, &url, "1.0.0+1.0.0");
    let words = [
        "version 1.0.0+1.0.0",
        "generate secret planned_ci_test_token_v1",
        "create network planned_ci_test_inner",
        "create service planned_ci_test_app",
    ];
    expect(&plan(), 1, &words);
    let inventory = engine::inventory_of(&["planned"]);
    assert!(inventory.is_empty(), "the plan was carried out: {inventory:?}");
    assert!(installation.get("apps", "planned").expect("ccd answers").is_none());

    expect(&apply(), 0, &["planned serverside-applied"]);
    installation.wait_for("apps", "planned", "Ready").expect("it runs");
    expect(&plan(), 0, &["nothing to do", "version 1.1.0+1.1.0 is there and is not taken"]);

    write_app(&infra, &url, "1.1.0+1.1.0");
    let found = plan();
    expect(&found, 1, &["update service planned_ci_test_app", "WORD"]);
    assert!(!found.1.contains("create "), "{}", found.1);

    std::fs::remove_file(infra.join("app.json")).expect("it can be removed");
    let rest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rest"}});
    std::fs::write(infra.join("rest.json"), rest.to_string()).expect("a file can be written");
    expect(&plan(), 1, &["planned -n default would be pruned"]);
    expect(&apply(), 0, &["planned pruned"]);
    let started = std::time::Instant::now();
    while installation.get("apps", "planned").expect("ccd answers").is_some() {
        assert!(started.elapsed() < Duration::from_secs(60), "the App that was pruned does not go");
        wait_a_moment();
    }
    let inventory = engine::inventory_of(&["planned"]);
    assert!(inventory.is_empty(), "the App left: {inventory:?}");
}
