//! Real processes keep the contract of jobs, outlive whoever started them, and leave nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ports::jobs::conformance::{Behaviour, Harness, check, end_of, spec};
use ports::jobs::process::ProcessJobs;
use ports::jobs::{EndCause, Exit, JobState, Jobs};
use rustix::process::{Pid, Signal};
use tokio::task::JoinSet;

struct Real {
    jobs: ProcessJobs,
    folder: tempfile::TempDir,
}

impl Real {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { jobs: open(folder.path()).await, folder }
    }

    fn started(&self, id: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.folder.path().join(id).join("started.json")).unwrap()).unwrap()
    }
}

impl Harness for Real {
    fn jobs(&self) -> &dyn Jobs {
        &self.jobs
    }

    fn argv(&self, behaviour: Behaviour) -> Vec<String> {
        match behaviour {
            Behaviour::Exit(code) => shell(&format!("exit {code}")),
            Behaviour::SayHello => vec!["echo".to_owned(), "hello".to_owned()],
            Behaviour::Sleep => vec!["sleep".to_owned(), "86400".to_owned()],
            Behaviour::Stubborn => shell("trap '' TERM; while :; do sleep 1; done"),
            Behaviour::Flood(bytes) => shell(&format!("head -c {bytes} /dev/zero")),
            Behaviour::Missing => vec!["/nowhere/at/all".to_owned()],
        }
    }
}

async fn open(folder: &Path) -> ProcessJobs {
    let supervisor = PathBuf::from(env!("CARGO_BIN_EXE_job-supervisor"));
    ProcessJobs::open(folder, vec![supervisor.into()]).await.unwrap()
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(ToOwned::to_owned).to_vec()
}

fn kill(pid: &serde_json::Value, with: Signal) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), with).unwrap();
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Waits until a file that a job writes is there, and returns what it says.
async fn written(path: &Path) -> String {
    let wait = async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap()
}

#[tokio::test]
async fn real_processes_conform() {
    check(&Real::new().await).await;
}

#[tokio::test]
async fn a_job_outlives_its_ccd_and_its_exit_code_is_found_by_the_next() {
    let real = Real::new().await;
    let gate = real.folder.path().join("gate");
    let script = format!("while ! test -e {}; do sleep 0.02; done; exit 7", gate.display());
    let spec = spec("outlives", shell(&script));
    real.jobs.start(&spec).await.unwrap();
    let Real { jobs, folder } = real;
    drop(jobs);
    let next = open(folder.path()).await;
    let mut endings = next.endings();
    assert_eq!(next.state(&spec.id).await.unwrap(), JobState::Running);
    fs::write(gate, "").unwrap();
    let exit = Exit { code: Some(7), signal: None, cause: EndCause::Finished };
    assert_eq!(end_of(&next, &spec.id).await, JobState::Exited(exit));
    assert_eq!(endings.recv().await.unwrap().owner, spec.owner);
}

#[tokio::test]
async fn a_job_whose_supervisor_is_killed_is_put_down_and_lost() {
    let real = Real::new().await;
    let spec = spec("orphan", real.argv(Behaviour::Sleep));
    real.jobs.start(&spec).await.unwrap();
    let started = real.started("orphan");
    let mut endings = real.jobs.endings();
    kill(&started["supervisor"], Signal::KILL);
    assert_eq!(endings.recv().await.unwrap().id, spec.id);
    assert_eq!(end_of(&real.jobs, &spec.id).await, JobState::Lost);
    let job = i32::try_from(started["job"].as_i64().unwrap()).unwrap();
    let gone = async {
        while is_alive(job) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    real.jobs.start(&spec).await.unwrap();
    assert_eq!(real.jobs.state(&spec.id).await.unwrap(), JobState::Lost, "a lost job is not started again by itself");
}

#[tokio::test]
async fn what_a_job_leaves_behind_is_ended_even_in_another_session() {
    let real = Real::new().await;
    let pids = real.folder.path().join("pids");
    let script = format!(
        "setsid sleep 86400 & sleep 86400 & echo $! $(pgrep -n -x sleep) > {p}.new; mv {p}.new {p}",
        p = pids.display()
    );
    let spec = spec("leaver", shell(&script));
    real.jobs.start(&spec).await.unwrap();
    let text = written(&pids).await;
    let ended = end_of(&real.jobs, &spec.id).await;
    assert!(matches!(&ended, JobState::Exited(exit) if exit.is_success()), "{ended:?}");
    for pid in text.split_whitespace() {
        assert!(!is_alive(pid.parse().unwrap()), "process {pid} is still there");
    }
}

#[tokio::test]
async fn a_job_that_was_stopped_from_outside_says_so() {
    let real = Real::new().await;
    let spec = spec("shutdown", real.argv(Behaviour::Sleep));
    real.jobs.start(&spec).await.unwrap();
    kill(&real.started("shutdown")["supervisor"], Signal::TERM);
    let exit = Exit { code: None, signal: Some(15), cause: EndCause::Stopped };
    assert_eq!(end_of(&real.jobs, &spec.id).await, JobState::Exited(exit));
}

#[tokio::test]
async fn the_environment_is_only_what_was_given_and_is_not_on_disk() {
    let real = Real::new().await;
    let mut spec = spec("secretive", vec!["env".to_owned()]);
    spec.env.insert("TOKEN".to_owned(), "not-for-the-disk".to_owned());
    real.jobs.start(&spec).await.unwrap();
    end_of(&real.jobs, &spec.id).await;
    let log = real.jobs.log(&spec.id, 0, 1 << 16).await.unwrap();
    assert_eq!(String::from_utf8(log.bytes).unwrap(), "PATH=/usr/bin:/bin\nTOKEN=not-for-the-disk\n");
    for entry in fs::read_dir(real.folder.path().join("secretive")).unwrap() {
        let path = entry.unwrap().path();
        let is_log = path.file_name().is_some_and(|name| name == "log");
        assert!(is_log || !fs::read_to_string(&path).unwrap().contains("not-for-the-disk"), "{}", path.display());
    }
}

#[tokio::test]
async fn limits_reach_the_job() {
    let real = Real::new().await;
    let mut spec = spec("limited", shell("ulimit -n; nice"));
    spec.limits.open_files = Some(77);
    spec.limits.nice = 7;
    real.jobs.start(&spec).await.unwrap();
    end_of(&real.jobs, &spec.id).await;
    let log = real.jobs.log(&spec.id, 0, 100).await.unwrap();
    // A job is nicer than who starts it.
    let own = std::process::Command::new("nice").output().unwrap().stdout;
    let own: i32 = String::from_utf8(own).unwrap().trim().parse().unwrap();
    assert_eq!(String::from_utf8(log.bytes).unwrap(), format!("77\n{}\n", (own + 7).min(19)));
}

#[tokio::test]
async fn twenty_starts_of_one_job_at_once_are_one_job() {
    let real = Real::new().await;
    let count = real.folder.path().join("count");
    let spec = spec("crowd", shell(&format!("echo started >> {}", count.display())));
    let jobs = Arc::new(open(real.folder.path()).await);
    let mut starts = JoinSet::new();
    for _ in 0..20 {
        let (jobs, spec) = (jobs.clone(), spec.clone());
        starts.spawn(async move { jobs.start(&spec).await });
    }
    for started in starts.join_all().await {
        started.unwrap();
    }
    end_of(&real.jobs, &spec.id).await;
    assert_eq!(fs::read_to_string(count).unwrap(), "started\n");
}
