//! An engine behind `ssh`: the program is played, what it starts on the other machine is real.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures::StreamExt as _;
use ports::error::ErrorKind;
use ports::swarm::docker::DockerEngine;
use ports::swarm::{Engine as _, ExecSpec, Filter, SwarmState, Volume};

use crate::given;

const ADDRESS: &str = "ssh://somebody@elsewhere.example:2222";

/// Writes a program that takes the place of `ssh`.
fn ssh(folder: &tempfile::TempDir, body: &str) -> DockerEngine {
    let program = folder.path().join("ssh");
    fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
    DockerEngine::at(ADDRESS).expect("an address").through(&program)
}

#[tokio::test]
async fn an_engine_behind_ssh_is_the_same_engine() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let (address, log_path) = (given::engine_address(), log.display());
    let engine = ssh(&folder, &format!("echo \"$*\" >>{log_path}\nexec docker --host {address} system dial-stdio"));
    let mut events = engine.events().await.expect("it can be listened to");
    let info = engine.info().await.expect("it answers");
    assert_eq!(info.swarm, SwarmState::Manager);
    let volume = Volume { name: "through-ssh".to_owned(), driver: "local".to_owned(), ..Volume::default() };
    engine.create_volume(&volume).await.expect("it is made");
    let heard = async {
        while let Some(event) = events.next().await {
            let event = event.expect("it goes on");
            if (event.kind.as_str(), event.action.as_str(), event.id.as_str()) == ("volume", "create", "through-ssh") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it is announced");
    engine.remove_volume("through-ssh").await.expect("it is removed");
    assert!(engine.volumes(&Filter::name_prefix("through-ssh")).await.expect("they can be listed").is_empty());
    let error = engine.exec("none", &ExecSpec { command: vec!["true".to_owned()], ..ExecSpec::default() }).await;
    assert_eq!(error.expect_err("there is no such container").reason, "ContainerNotRunning");
    let calls = fs::read_to_string(&log).expect("it was called");
    let wanted = "-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=20 -p 2222 -- somebody@elsewhere.example \
                  docker system dial-stdio";
    assert!(calls.lines().all(|line| line == wanted), "{calls}");
    assert!(calls.lines().count() <= 3, "connections are used again: {calls}");
}

#[tokio::test]
async fn what_ssh_complains_about_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = ssh(&folder, "sleep 0.2; echo 'Permission denied (publickey).' >&2; exit 255");
    let error = engine.info().await.expect_err("it lets nobody in");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "EngineUnreachable"));
    assert!(error.message.contains(ADDRESS), "{error}");
    assert!(error.message.contains("Permission denied (publickey)."), "{error}");
    let missing = DockerEngine::at(ADDRESS).expect("an address").through("/nowhere/ssh".as_ref());
    assert_eq!(missing.info().await.expect_err("there is no ssh").reason, "EngineUnreachable");
}
