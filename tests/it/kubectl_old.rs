//! Debian's own `kubectl` 1.20: it reads OpenAPI version 2 in protobuf and nothing else, asks for old discovery, and is
//! what people have who type `apt install kubernetes-client`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tests::daemon::Daemon;

/// `.ci/setup` puts it there.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kubectl-debian/usr/bin/kubectl");
    assert!(path.exists(), "{} is missing: run .ci/setup", path.display());
    path
}

const RECIPE: &str = "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: Recipe\nmetadata: {name: old}\nspec:\n  source: {url: \"https://git.example/old.git\"}\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {a: \"1\"}\n";

/// One command, what it prints, and whether it must fail.
struct Step {
    line: &'static str,
    says: &'static str,
    fails: bool,
}

const fn well(line: &'static str, says: &'static str) -> Step {
    Step { line, says, fails: false }
}

const fn refused(line: &'static str, says: &'static str) -> Step {
    Step { line, says, fails: true }
}

const STEPS: &[Step] = &[
    well("version", "Server Version"),
    well("api-resources", "recipes"),
    well("api-versions", "ci.coopcloud.tech/v1alpha1"),
    well("create -f recipe.yaml", "recipe.ci.coopcloud.tech/old created"),
    refused("create -f recipe.yaml", "already exists"),
    refused("create -f bogus.yaml", "unknown field \"bogus\""),
    refused("create -f number.yaml", "invalid type"),
    well("create configmap other --from-literal=k=v", "configmap/other created"),
    well("create secret generic s --from-literal=k=v", "secret/s created"),
    well("create namespace elsewhere", "namespace/elsewhere created"),
    well("apply -f map.yaml", "configmap/map created"),
    well("apply -f map2.yaml", "configmap/map configured"),
    well("apply -f map2.yaml", "configmap/map unchanged"),
    well("apply -f map.yaml --dry-run=server", "configmap/map configured (server dry run)"),
    well("apply -f recipe.yaml", "recipe.ci.coopcloud.tech/old configured"),
    well("apply -f recipe.yaml --dry-run=server", "(server dry run)"),
    well("diff -f map2.yaml", ""),
    well("get recipes", "old"),
    well("get recipe old -o yaml", "git.example/old.git"),
    well("get configmap map -o jsonpath={.data.b}", "2"),
    well("get all", ""),
    well("describe recipe old", "Name:"),
    well("label recipe old colour=red", "labeled"),
    well("annotate recipe old a=b", "annotated"),
    well("get recipes -l colour=red -o name", "recipe.ci.coopcloud.tech/old"),
    well("patch recipe old --type=merge -p {\"spec\":{\"suspend\":true}}", "patched"),
    well("patch configmap map -p {\"data\":{\"c\":\"3\"}}", "patched"),
    well("explain recipe", "KIND:     Recipe"),
    well("explain recipe.spec.source", "url"),
    well("explain recipe --recursive", "source"),
    well("explain recipe.metadata.labels", "FIELD:    labels"),
    well("explain events --api-version=events.k8s.io/v1", "regarding"),
    well("explain configmap.data", "FIELD:    data"),
    well("auth can-i create recipes", "yes"),
    well("delete recipe old", "deleted"),
    refused("get recipe old", "NotFound"),
    well("delete -f map.yaml", "configmap \"map\" deleted"),
];

#[test]
fn debians_own_kubectl_creates_applies_explains_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data")).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("recipe.yaml", RECIPE.to_owned());
    write("bogus.yaml", RECIPE.replace("name: old", "name: bogus") + "  bogus: 1\n");
    write("number.yaml", RECIPE.replace("name: old", "name: number").replace("\"https://git.example/old.git\"", "5"));
    write("map.yaml", MAP.to_owned());
    write("map2.yaml", MAP.replace("a: \"1\"", "b: \"2\""));
    let mut failures = String::new();
    for Step { line, says, fails } in STEPS {
        let output = Command::new(program())
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .env("KUBECONFIG", daemon.kubeconfig())
            .args(line.split(' '))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() == *fails || !printed.contains(says) {
            failures.push_str(&format!("\nkubectl {line}\n{}: {printed}\nwanted: {says}\n", output.status));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
