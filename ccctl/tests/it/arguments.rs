//! Arguments that cannot be understood: what is said, what is hinted, which exit code.

use crate::program::Home;
use crate::server::Server;

#[test]
fn what_cannot_be_understood_is_said_with_the_next_thing_to_type() {
    let cases: &[&[&str]] = &[
        &["get"],
        &["get", "recipe-s"],
        &["get", "recipe", "recipe/a"],
        &["get", "recipe/"],
        &["get", "recipe/a", "-A"],
        &["get", "recipe/a", "-l", "a=b"],
        &["get", "recipes,apps", "-w"],
        &["get", "recipes", "-o", "toml"],
        &["get", "recipes", "-o", "go-template={{.}}"],
        &["get", "recipes", "-o", "jsonpath"],
        &["get", "recipes", "-o", "jsonpath={.a"],
        &["get", "recipes", "-o", "custom-columns=NAME"],
        &["apply"],
        &["apply", "-f", "nowhere.yaml"],
        &["apply", "-f", "https://example.org/a.yaml"],
        &["patch", "recipe/a"],
        &["patch", "recipe/a", "-p", "{a: [}"],
        &["patch", "recipe/a", "--type=json", "-p", "{}"],
        &["label", "recipe/a"],
        &["label", "recipe", "a", "x=y", "b"],
        &["delete", "recipes"],
        &["wait", "recipe/a", "--for=ready"],
        &["wait", "recipe/a", "--for=delete", "--timeout=soon"],
        &["logs", "recipe/a"],
        &["get", "recipes", "--context=nowhere"],
        &["get", "recipes", "--kubeconfig=nowhere"],
        &["approve", "--repository=r", "--pull-request=1", "--sha=abc"],
        &["token", "list"],
        &["create", "configmap", "a", "--from-literal=b"],
    ];
    let server = Server::start();
    let home = Home::new(&server);
    insta::assert_snapshot!("refused_arguments", home.transcript(cases));
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_place() {
    let cases = [
        ("file_broken_yaml", "a: [\n"),
        ("file_twice_the_same_key", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, name: b}\n"),
        ("file_without_kind", "apiVersion: v1\nmetadata: {name: a}\n"),
        ("file_with_a_list", "- a\n- b\n"),
        ("file_with_unknown_kind", "apiVersion: v1\nkind: Zork\nmetadata: {name: a}\n"),
        ("file_of_another_namespace", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"),
    ];
    let server = Server::start();
    let home = Home::new(&server);
    for (name, content) in cases {
        home.write("a.yaml", content);
        insta::assert_snapshot!(name, home.run(&["apply", "-f", "a.yaml", "-n", "default"]));
    }
}

#[test]
fn kubeconfigs_that_cannot_be_used_say_why() {
    let cases = [
        ("config_empty", ""),
        ("config_not_yaml", "a: [\n"),
        ("config_other_kind", "kind: Recipe\n"),
        ("config_no_current", "clusters: [{name: c, cluster: {server: 'http://x'}}]\n"),
        ("config_dangling_cluster", "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n"),
        (
            "config_exec",
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\nclusters: [{name: b, cluster: {server: 'http://x'}}]\nusers: [{name: c, user: {exec: {command: x}}}]\n",
        ),
        (
            "config_no_url",
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: ''}}]\nclusters: [{name: b, cluster: {server: 'ftp://x'}}]\n",
        ),
        (
            "config_broken_authority",
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: ''}}]\nclusters: [{name: b, cluster: {server: 'https://x', certificate-authority-data: '!'}}]\n",
        ),
        (
            "config_certificate_without_key",
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\nclusters: [{name: b, cluster: {server: 'https://x'}}]\nusers: [{name: c, user: {client-certificate-data: YQ==}}]\n",
        ),
    ];
    for (name, content) in cases {
        let home = Home::empty();
        home.write(".kube/config", content);
        insta::assert_snapshot!(name, home.run(&["get", "recipes"]));
    }
    insta::assert_snapshot!("config_none", Home::empty().run(&["get", "recipes"]));
}
