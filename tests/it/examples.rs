//! The example manifests are taken by a real server.

use std::process::{Command, Stdio};

use tests::daemon::program;
use tests::server::{ServerOptions, TestServer};

use crate::tidy::root;

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_taken_by_a_server() {
    let server = TestServer::start(ServerOptions::default()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let examples = root().join("deploy/examples/kinds");
    let mut command = Command::new(program("ccctl"));
    command.args(["--server", &server.url(""), "--token", &server.admin, "apply", "-f"]).arg(&examples);
    command.env_clear().env("HOME", home.path()).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("ccctl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let applied: Vec<&str> = told.lines().filter(|line| line.ends_with(" serverside-applied")).collect();
    assert_eq!(applied.len(), std::fs::read_dir(examples).unwrap().count(), "one object for each file:\n{told}");
}
