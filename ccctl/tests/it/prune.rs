//! `ccctl apply --prune`: what goes, what stays, and what is refused before anything is changed.

use serde_json::json;

use crate::program::Home;
use crate::server::{Fault, Server};

fn recipe(name: &str) -> String {
    format!(
        "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: Recipe\nmetadata: {{name: {name}}}\nspec: {{zone: ci.example.coop}}\n"
    )
}

/// A folder `infra` with recipes of these names, applied once.
fn applied(names: &[&str]) -> (Server, Home) {
    let server = Server::start();
    let home = Home::new(&server);
    for name in names {
        home.write(&format!("infra/{name}.yaml"), &recipe(name));
    }
    let shown = home.run(&["apply", "-f", "infra", "--prune"]);
    assert!(shown.ends_with("[exit 0]\n"), "{shown}");
    (server, home)
}

fn remove(home: &Home, names: &[&str]) {
    for name in names {
        std::fs::remove_file(home.path(&format!("infra/{name}.yaml"))).unwrap();
    }
}

#[test]
fn what_the_folder_no_longer_names_goes_and_nothing_else() {
    let (server, home) = applied(&["a", "b", "c"]);
    // Somebody else's, and one that only looks like ours.
    home.write("other.yaml", &recipe("other"));
    home.run(&["apply", "-f", "other.yaml"]);
    let label = home.run(&["get", "recipe/a", "-o", "jsonpath={.metadata.labels.applyset\\.kubernetes\\.io/part-of}"]);
    let id = label.trim_end_matches("[exit 0]\n").to_owned();
    server.put(
        "recipes",
        json!({
            "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe",
            "metadata": {"name": "copied", "labels": {"applyset.kubernetes.io/part-of": id}}, "spec": {},
        }),
    );
    remove(&home, &["b"]);
    home.write("infra/d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndata: {k: v}\n");
    insta::assert_snapshot!(
        "prune",
        home.transcript(&[
            &["apply", "-f", "infra", "--prune", "--dry-run=client"],
            &["apply", "-f", "infra", "--prune", "--dry-run=server"],
            &["apply", "-f", "infra"],
            &["get", "recipe/b", "-o", "name"],
            &["apply", "-f", "infra", "--prune"],
            &["apply", "-f", "infra", "--prune", "-q"],
            &["get", "recipes", "-o", "name"],
            &["get", "configmap/infra", "-o", "yaml"],
        ])
    );
}

#[test]
fn more_than_the_limit_is_refused_before_anything_is_changed() {
    let (server, home) = applied(&["a", "b", "c", "d"]);
    remove(&home, &["b", "c", "d"]);
    home.write("infra/new.yaml", &recipe("new"));
    let before = server.requests().len();
    insta::assert_snapshot!(home.run(&["apply", "-f", "infra", "--prune", "--prune-max=2"]));
    let changes: Vec<String> =
        server.requests().split_off(before).into_iter().filter(|request| !request.starts_with("GET")).collect();
    assert_eq!(changes, Vec::<String>::new());
    let shown = home.run(&["apply", "-f", "infra", "--prune", "--prune-max=3"]);
    assert_eq!(shown.matches(" pruned").count(), 3, "{shown}");
}

#[test]
fn nothing_is_pruned_when_something_could_not_be_applied() {
    let (server, home) = applied(&["a", "b"]);
    remove(&home, &["b"]);
    server.fail(
        "recipes/a?fieldManager",
        Fault::Answer(422, r#"{"kind":"Status","reason":"Invalid","code":422,"message":"bad zone"}"#),
    );
    insta::assert_snapshot!(home.run(&["apply", "-f", "infra", "--prune"]));
    assert!(home.run(&["get", "recipe/b", "-o", "name"]).ends_with("[exit 0]\n"));
    // It is still known, so that the next time it goes.
    assert!(home.run(&["apply", "-f", "infra", "--prune"]).contains("recipe.ci.coopcloud.tech/b pruned"));
}

#[test]
fn sets_do_not_take_from_each_other_and_namespaces_stay() {
    let (server, home) = applied(&["a"]);
    home.write("more/a.yaml", &recipe("a"));
    home.write("fresh/b.yaml", &recipe("b"));
    home.write("ns/team.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n");
    home.write("ns/x.yaml", &recipe("x").replace("name: x", "name: x, namespace: team"));
    home.run(&["apply", "-f", "ns", "--prune"]);
    std::fs::remove_file(home.path("ns/team.yaml")).unwrap();
    home.write("ns/x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\n");
    server.put("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken"}}));
    insta::assert_snapshot!(
        "prune_sets",
        home.transcript(&[
            &["apply", "-f", "more", "--prune"],
            &["apply", "-f", "fresh", "--prune", "--applyset=taken"],
            &["apply", "-f", "infra", "--prune", "--applyset=Infra"],
            &["apply", "-f", "infra/a.yaml", "--prune"],
            &["apply", "-f", "infra", "--prune-max=3"],
            &["apply", "-f", "ns", "--prune"],
            &["apply", "-f", "ns", "--prune"],
        ])
    );
}
