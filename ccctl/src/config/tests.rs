//! Tests of the kubeconfig: which file wins, and what the command line replaces.

use std::path::PathBuf;

use super::KubeConfig;
use crate::arguments::GlobalArguments;

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_first_file_that_names_something_wins() {
    let folder = tempfile::tempdir().unwrap();
    let first =
        write(&folder, "a", "contexts: [{name: x, context: {cluster: c, user: u, namespace: first}}]\nusers: null\n");
    let second = write(
        &folder,
        "b",
        "current-context: x\ncontexts: [{name: x, context: {cluster: other, user: other}}]\nclusters: [{name: c, cluster: {server: 'https://one/'}}]\nusers: [{name: u, user: {tokenFile: token}}]\n",
    );
    write(&folder, "token", "from-file\n");
    let missing = folder.path().join("missing");
    let config = KubeConfig::merge(vec![first, missing, second]).unwrap();
    let connection = config.connection(&GlobalArguments::default()).unwrap();
    assert_eq!(connection.server, "https://one");
    assert_eq!(connection.namespace, "first");
    // Relative to the file that names it.
    assert_eq!(connection.token.as_deref(), Some("from-file"));
}

#[test]
fn the_command_line_replaces_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        &folder,
        "a",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}, {name: y, context: {cluster: c, user: u, namespace: why}}]\nclusters: [{name: c, cluster: {server: 'https://one'}}]\nusers: [{name: u, user: {token: t}}]\n",
    );
    let config = KubeConfig::merge(vec![file]).unwrap();
    let given = GlobalArguments {
        context: Some("y".to_owned()),
        server: Some("localhost:8180".to_owned()),
        token: Some("other".to_owned()),
        insecure_skip_tls_verify: true,
        ..GlobalArguments::default()
    };
    let connection = config.connection(&given).unwrap();
    assert_eq!(connection.server, "http://localhost:8180");
    assert_eq!(connection.namespace, "why");
    assert_eq!(connection.token.as_deref(), Some("other"));
    assert!(connection.insecure);
}
