//! A kind with two versions, as kubectl sees it while the storage version moves from one to the other.

use std::path::Path;

use serde_json::{Value, json};
use tests::daemon::Daemon;

const GROUP: &str = "versions.example.com";
const DEFINITION: &str = "tools.versions.example.com";

fn definition(storage: &str, names: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"}, "color": {"type": "string"}}}}});
    let version = |name: &&str| {
        json!({"name": name, "served": true, "storage": *name == storage, "schema": {"openAPIV3Schema": schema},
               "additionalPrinterColumns": [{"name": format!("Size in {name}"), "type": "integer", "jsonPath": ".spec.size"}]})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": DEFINITION},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "tools", "kind": "Tool"},
                 "versions": names.iter().map(version).collect::<Value>()},
    })
}

fn tool(name: &str, version: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/{version}"), "kind": "Tool", "metadata": {"name": name}, "spec": spec})
}

/// Runs kubectl, which must succeed, and returns what it printed.
fn kubectl(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.kubectl(arguments).unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Gives kubectl an object in a file.
fn with_file(daemon: &Daemon, dir: &Path, verb: &[&str], object: &Value) -> String {
    let file = dir.join("object.json");
    std::fs::write(&file, object.to_string()).unwrap();
    kubectl(daemon, &[verb, &["--filename", file.to_str().unwrap()]].concat())
}

/// Returns the `apiVersion` of every object that a list and a watch of one version show, and the head of its table.
fn shown(daemon: &Daemon, version: &str) -> (Vec<String>, String) {
    let path = format!("/apis/{GROUP}/{version}/namespaces/default/tools");
    let list: Value = serde_json::from_str(&kubectl(daemon, &["get", "--raw", &path])).unwrap();
    let api_version = |object: &Value| object["apiVersion"].as_str().unwrap().to_owned();
    let mut versions: Vec<String> = list["items"].as_array().unwrap().iter().map(api_version).collect();
    let watch = format!("{path}?watch=true&resourceVersion=0&timeoutSeconds=1");
    let events = kubectl(daemon, &["get", "--raw", &watch]);
    versions.extend(events.lines().map(|line| api_version(&serde_json::from_str::<Value>(line).unwrap()["object"])));
    let name = versions.len().to_string();
    let table = kubectl(daemon, &["get", &format!("tools.{version}.{GROUP}"), "a"]);
    versions.sort_unstable();
    versions.dedup();
    (versions, format!("{name} times, {}", table.lines().next().unwrap()))
}

#[test]
fn objects_follow_when_the_storage_version_moves() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&dir.path().join("data")).unwrap();
    with_file(&daemon, dir.path(), &["apply"], &definition("v1", &["v1", "v2"]));
    kubectl(&daemon, &["wait", "--for=condition=Established", "crd", DEFINITION]);
    let spec = json!({"size": 1, "color": "red"});
    with_file(&daemon, dir.path(), &["apply", "--server-side"], &tool("a", "v1", &spec));
    with_file(&daemon, dir.path(), &["create"], &tool("b", "v2", &spec));
    let both = |daemon: &Daemon| ["v1", "v2"].map(|version| shown(daemon, version));
    let expected = ["v1", "v2"].map(|version| {
        (vec![format!("{GROUP}/{version}")], format!("4 times, NAME   SIZE IN {}", version.to_uppercase()))
    });
    assert_eq!(both(&daemon), expected);

    with_file(&daemon, dir.path(), &["apply"], &definition("v2", &["v1", "v2"]));
    assert_eq!(both(&daemon), expected, "objects that were stored before");
    // Its manager takes back a field that it had set through the other version.
    with_file(&daemon, dir.path(), &["apply", "--server-side"], &tool("a", "v2", &json!({"size": 2})));
    let spec = kubectl(&daemon, &["get", "tools", "a", "--output", "jsonpath={.apiVersion} {.spec}"]);
    assert_eq!(spec, format!("{GROUP}/v2 {{\"size\":2}}"));
    daemon.stop().unwrap();
    let daemon = Daemon::start(&dir.path().join("data")).unwrap();
    assert_eq!(both(&daemon), expected, "after a restart");

    let leave_out = ["patch", "crd", DEFINITION, "--subresource=status", "--type=merge", "--patch"];
    let leave_out = [&leave_out[..], &[r#"{"status":{"storedVersions":["v2"]}}"#]].concat();
    let refused = daemon.kubectl(&leave_out).unwrap();
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains("1 objects are still stored as v1, the first is default/b"), "{refused}");
    // What the refusal says.
    let everything = kubectl(&daemon, &["get", DEFINITION, "--all-namespaces", "--output", "json"]);
    with_file(&daemon, dir.path(), &["replace"], &serde_json::from_str(&everything).unwrap());
    kubectl(&daemon, &leave_out);
    with_file(&daemon, dir.path(), &["apply"], &definition("v2", &["v2"]));
    assert_eq!(shown(&daemon, "v2"), expected[1]);
    assert!(!daemon.kubectl(&["get", &format!("tools.v1.{GROUP}")]).unwrap().status.success());
}
