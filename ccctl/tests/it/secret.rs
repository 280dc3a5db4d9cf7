//! `secret scan` as people see it, in folders, work trees and pipelines.

use crate::program::Home;

/// Looks random, and opens nothing.
const VALUE: [&str; 2] = ["q7Zr2LxW9bTs", "4KfYh8Nd3VcJ"];

fn random() -> String {
    VALUE.concat()
}

#[test]
fn what_is_found_is_told_without_its_value_and_what_is_meant_is_not_told() {
    let home = Home::empty();
    let key = format!("-----BEGIN {}-----\n{}\n", "PRIVATE KEY", random().repeat(3));
    home.write("tree/deploy/.env", &format!("TYPE=demo\nDB_PASSWORD={}\n", random()));
    home.write("tree/keys/host.pem", &key);
    home.write("tree/ok.yaml", "password: ${DB_PASSWORD}\n");
    std::os::unix::fs::symlink("/etc", home.path("tree/etc")).unwrap();
    let seen = home.transcript(&[
        &["secret", "scan", "tree"],
        &["secret", "scan", "tree/ok.yaml"],
        &["secret", "scan", "tree", "-o", "json"],
        &["secret", "scan", "tree", "-o", "name", "-q"],
        &["secret", "scan", "missing", "tree"],
        &["secret", "scan", "tree", "--baseline", "baseline"],
        &["secret", "scan", "tree", "--write-baseline", "baseline"],
        &["secret", "scan", "tree", "--baseline", "baseline"],
    ]);
    home.write("tree/deploy/.env", &format!("TYPE=demo\nDB_PASSWORD={}x\n", random()));
    let later = home.transcript(&[&["secret", "scan", "tree", "--baseline", "baseline"]]);
    home.write("baseline", "nonsense");
    let broken = home.transcript(&[&["secret", "scan", "tree", "--baseline", "baseline"]]);
    let seen = format!("{seen}{later}{broken}");
    assert!(!seen.contains(VALUE[0]) && !seen.contains(VALUE[1]), "{seen}");
    insta::assert_snapshot!("secret_scan", seen);
}

#[test]
fn a_work_tree_is_what_git_would_keep_and_runs_nothing_of_its_own() {
    let home = Home::empty();
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(home.path("tree"))
            .output()
            .unwrap();
        assert!(status.status.success(), "{arguments:?}");
    };
    home.write("tree/.gitignore", "built/\n");
    home.write("tree/built/x", &format!("token={}", random()));
    home.write("tree/new", &format!("token={}", random()));
    home.write("tree/tracked", &format!("secret={}", random()));
    git(&["init", "-q"]);
    git(&["add", "tracked"]);
    let program = home.write("monitor", "#!/bin/sh\ntouch ran\n");
    std::process::Command::new("chmod").arg("755").arg(&program).status().unwrap();
    git(&["config", "core.fsmonitor", &program.display().to_string()]);
    git(&["config", "remote.origin.url", "https://bot:correct9horse@git.example/r.git"]);
    let mut command = home.command(&["secret", "scan", "-o", "name", "-q"]);
    let output = command.env("PATH", "/usr/bin:/bin").current_dir(home.path("tree")).output().unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    insta::assert_snapshot!(seen, @r"
    .git/config:8:20
    new:1:7
    tracked:1:8
    ");
    assert_eq!(output.status.code(), Some(1));
    assert!(!home.path("tree/ran").exists(), "a program of the work tree ran");
}
