//! `deploy/examples/cc-ci-server`: a whole server as a folder is taken by the API as it is, and holds together.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tests::daemon::{Daemon, program};

use super::{root, text};

const FOLDER: &str = "deploy/examples/cc-ci-server";

fn ccctl(daemon: &Daemon, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program("ccctl"));
    command.args(arguments).arg("--kubeconfig").arg(daemon.kubeconfig()).arg("--cache-dir").arg(folder);
    command.current_dir(root()).output().unwrap()
}

/// Returns the objects that the server would store, with what it fills in.
fn objects(daemon: &Daemon, folder: &Path) -> Vec<Value> {
    let output = ccctl(daemon, &["apply", "-f", FOLDER, "--dry-run=server", "--output=json"], folder);
    assert!(output.status.success(), "{}", text(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    printed["items"].as_array().cloned().unwrap()
}

fn names(objects: &[Value], kind: &str) -> BTreeSet<String> {
    let of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Returns every value under a pointer of the objects of a kind, lists taken apart.
fn values(objects: &[Value], kind: &str, list: &str, member: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects.iter().filter(|object| object["kind"] == kind) {
        let Some(there) = object.pointer(list) else { continue };
        let items = there.as_array().cloned().unwrap_or_else(|| vec![there.clone()]);
        found.extend(items.iter().filter_map(|item| item.pointer(member)?.as_str().map(str::to_owned)));
    }
    found
}

#[test]
fn the_folder_of_a_whole_server_is_valid_and_names_nothing_that_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&folder.path().join("data")).unwrap();
    let objects = objects(&daemon, folder.path());
    let apps = names(&objects, "App");
    let expected = ["backup-bot", "dashboard", "drone", "keycloak", "traefik"].map(str::to_owned);
    assert_eq!(apps, BTreeSet::from(expected));
    for kind in ["Host", "Forge", "Certificate", "Recipe", "Repository", "Secret"] {
        assert!(!names(&objects, kind).is_empty(), "a server has a {kind}");
    }
    let references = [
        ("App", "/spec/dependsOn", "/name", "App"),
        ("App", "/spec/oauthApplication", "/forgeRef", "Forge"),
        ("App", "/spec/secrets", "/valueFrom/name", "Secret"),
        ("Certificate", "/spec/distribute", "/appRef", "App"),
        ("Forge", "/spec/tokenSecretRef", "/name", "Secret"),
        ("Repository", "/spec/triggers", "/run/recipeRef", "Recipe"),
        ("Repository", "/spec", "/forgeRef", "Forge"),
        ("Recipe", "/spec", "/repositoryRef", "Repository"),
    ];
    for (kind, list, member, named) in references {
        let found = values(&objects, kind, list, member);
        assert!(!found.is_empty(), "no {kind} has {list}{member}");
        let missing: Vec<_> = found.difference(&names(&objects, named)).cloned().collect();
        assert_eq!(missing, Vec::<String>::new(), "{kind}{list}{member} names no {named} of the folder");
    }
    // Its README names every file.
    let readme = super::read(&format!("{FOLDER}/README.md"));
    for entry in std::fs::read_dir(root().join(FOLDER)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || readme.contains(&format!("`{name}`")), "{name} is not in the README");
    }
}
