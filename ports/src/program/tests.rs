//! A program's output, time and children are bounded.

use std::ffi::OsString;
use std::time::Duration;

use super::{Bounds, Input, Output, Overflow, Program};
use crate::error::ErrorKind;

fn shell(script: &str) -> Program {
    let argv = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
    let mut program = Program::new(argv, "/".into());
    program.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    program
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn until_dead(pid: &str) {
    let dead = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dead).await.unwrap();
}

#[tokio::test]
async fn both_streams_the_code_and_the_input() {
    let mut program = shell("cat; echo bad >&2; exit 3");
    program.input = Input::Bytes(b"good".to_vec());
    let finished = program.run().await.unwrap();
    assert_eq!((finished.code, &*finished.stdout, &*finished.stderr), (Some(3), &b"good"[..], &b"bad\n"[..]));
    assert!(!finished.is_success() && !finished.is_cut_off);
}

#[tokio::test]
async fn the_environment_is_only_what_was_given() {
    let finished = shell("env | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL=").run().await.unwrap();
    assert_eq!(String::from_utf8(finished.stdout).unwrap(), "PATH=/usr/bin:/bin\n");
}

#[tokio::test]
async fn too_much_output_ends_the_program_or_is_dropped() {
    let mut endless = shell("yes");
    endless.bounds = Bounds { stdout_bytes: 1000, ..Bounds::default() };
    let finished = endless.run().await.unwrap();
    assert_eq!((finished.stdout.len(), finished.is_cut_off, finished.signal), (1000, true, Some(9)));
    let mut long = shell("head -c 200000 /dev/zero; echo x >&2");
    long.bounds = Bounds { stdout_bytes: 1000, overflow: Overflow::Drop, ..Bounds::default() };
    let finished = long.run().await.unwrap();
    assert_eq!((finished.stdout.len(), finished.is_cut_off, finished.code), (1000, true, Some(0)));
}

#[tokio::test]
async fn a_program_whose_time_is_over_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let mut program = shell(&format!("sleep 1000 & echo $! > {p}.new; mv {p}.new {p}; wait", p = pids.display()));
    program.bounds.time = Duration::from_secs(3);
    let error = program.run().await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "TimedOut"));
    until_dead(std::fs::read_to_string(pids).unwrap().trim()).await;
}

#[tokio::test]
async fn a_future_that_is_dropped_takes_the_program_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let program = shell(&format!("echo $$ > {p}.new; mv {p}.new {p}; sleep 1000", p = pids.display()));
    let run = tokio::spawn(program.run());
    let started = async {
        while !pids.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), started).await.unwrap();
    run.abort();
    until_dead(std::fs::read_to_string(pids).unwrap().trim()).await;
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_does_not_hold_us() {
    let finished = shell("sleep 1000 & echo done").run().await.unwrap();
    assert_eq!((finished.code, &*finished.stdout), (Some(0), &b"done\n"[..]));
}

#[tokio::test]
async fn files_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    // The limit is set just after the start.
    let mut program = shell("sleep 0.3; head -c 100000 /dev/zero > big");
    program.cwd = folder.path().to_owned();
    program.bounds.file_bytes = Some(4096);
    assert!(!program.run().await.unwrap().is_success());
    assert_eq!(std::fs::metadata(folder.path().join("big")).unwrap().len(), 4096);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let absent = Program::new(vec!["no-such-program".into()], "/".into()).run().await.unwrap_err();
    assert_eq!((absent.kind, absent.reason), (ErrorKind::Terminal, "ProgramNotFound"));
    let nowhere = Program::new(vec!["/bin/true".into()], "/nowhere/at/all".into()).run().await.unwrap_err();
    assert_eq!((nowhere.kind, nowhere.reason), (ErrorKind::Retryable, "FolderNotFound"));
}

#[tokio::test]
async fn a_terminal_is_one() {
    let mut program = shell("test -t 0 && test -t 1 && test -t 2 && stty size && echo bad >&2; exit 4");
    program.output = Output::Terminal;
    let finished = program.run().await.unwrap();
    assert_eq!((finished.code, String::from_utf8_lossy(&finished.stdout)), (Some(4), "80 400\r\nbad\r\n".into()));
    assert!(!shell("test -t 1").run().await.unwrap().is_success());
}
