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

const FORGE: &str = "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: Forge\nmetadata: {name: old}\nspec:\n  url: \"https://git.example\"\n  tokenSecretRef: {namespace: default, name: token, key: token}\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {a: \"1\"}\n";
const REVIEW: &str = "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\nspec: {resourceAttributes: {verb: get, resource: pods}}\n";
const TOKEN: &str = "apiVersion: authentication.ci.coopcloud.tech/v1alpha1\nkind: Token\nmetadata: {name: jane}\nspec: {user: jane, groups: [devs], expiresAt: '2999-01-01T00:00:00Z'}\n";

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
    well("api-resources", "forges"),
    well("api-versions", "ci.coopcloud.tech/v1alpha1"),
    well("create -f forge.yaml", "forge.ci.coopcloud.tech/old created"),
    refused("create -f forge.yaml", "already exists"),
    refused("create -f bogus.yaml", "unknown field \"bogus\""),
    refused("create -f number.yaml", "must be of type string"),
    well("create configmap other --from-literal=k=v", "configmap/other created"),
    well("create secret generic s --from-literal=k=v", "secret/s created"),
    well("create namespace elsewhere", "namespace/elsewhere created"),
    well("apply -f map.yaml", "configmap/map created"),
    well("apply -f map2.yaml", "configmap/map configured"),
    well("apply -f map2.yaml", "configmap/map unchanged"),
    well("apply -f map.yaml --dry-run=server", "configmap/map configured (server dry run)"),
    well("apply -f forge.yaml", "forge.ci.coopcloud.tech/old configured"),
    well("apply -f forge.yaml --dry-run=server", "(server dry run)"),
    well("diff -f map2.yaml", ""),
    well("get forges", "old"),
    well("get forge old -o yaml", "git.example"),
    well("get configmap map -o jsonpath={.data.b}", "2"),
    well("get all", ""),
    well("describe forge old", "Name:"),
    well("label forge old colour=red", "labeled"),
    well("annotate forge old a=b", "annotated"),
    well("get forges -l colour=red -o name", "forge.ci.coopcloud.tech/old"),
    well("patch forge old --type=merge -p {\"spec\":{\"suspend\":true}}", "patched"),
    well("patch configmap map -p {\"data\":{\"c\":\"3\"}}", "patched"),
    well("explain forge", "KIND:     Forge"),
    well("explain forge.spec.url", "FIELD:    url"),
    well("explain forge --recursive", "url"),
    well("explain forge.metadata.labels", "FIELD:    labels"),
    well("explain events --api-version=events.k8s.io/v1", "regarding"),
    well("explain configmap.data", "FIELD:    data"),
    well("explain pods.status.containerStatuses.state", "terminated"),
    well("explain selfsubjectaccessreviews.spec", "resourceAttributes"),
    well("create -f review.yaml -o jsonpath={.status.allowed}", "true"),
    refused("create -f question.yaml", "unknown field \"resourceAttribute\""),
    well("create -f token.yaml -o jsonpath={.status.token}", "ccd_"),
    well("auth can-i create forges", "yes"),
    well("delete forge old", "deleted"),
    refused("get forge old", "NotFound"),
    well("delete -f map.yaml", "configmap \"map\" deleted"),
];

#[test]
fn debians_own_kubectl_creates_applies_explains_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data")).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("forge.yaml", FORGE.to_owned());
    write("bogus.yaml", FORGE.replace("name: old", "name: bogus") + "  bogus: 1\n");
    write("number.yaml", FORGE.replace("name: old", "name: number").replace("\"https://git.example\"", "5"));
    write("map.yaml", MAP.to_owned());
    write("map2.yaml", MAP.replace("a: \"1\"", "b: \"2\""));
    write("review.yaml", REVIEW.to_owned());
    write("question.yaml", REVIEW.replace("Attributes", "Attribute"));
    write("token.yaml", TOKEN.to_owned());
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
