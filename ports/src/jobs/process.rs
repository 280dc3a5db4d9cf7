//! [`ProcessJobs`]: jobs as supervised child processes that outlive ccd.
//!
//! Each job has a folder under one root; [`supervisor`](super::supervisor) describes the files in it. Whether a job runs
//! is not guessed from a pid: its supervisor holds a lock as long as it lives, and the kernel lets go of it however the
//! supervisor ends.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::broadcast;

use super::fake::{absent, still_running};
use super::supervisor::{ANSWER_KNOWN, ANSWER_STARTED, CANCEL, EXIT, LOCK, LOG, STARTED, Started, boot_id, start_time};
use super::{Ending, Exit, JobId, JobSpec, JobState, Jobs, LogChunk};
use crate::error::Error;

/// How long a supervisor may take to say that the job has begun.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a job that an earlier ccd started is looked at.
const ADOPTED_PERIOD: Duration = Duration::from_millis(250);
/// Endings that a slow receiver may fall behind before it misses some.
const ENDINGS_MAX: usize = 256;

/// Jobs as supervised child processes.
#[derive(Debug)]
pub struct ProcessJobs {
    root: PathBuf,
    supervisor: Vec<OsString>,
    endings: broadcast::Sender<Ending>,
}

impl ProcessJobs {
    /// Opens the jobs under `root` and listens for the ends of those that run. `supervisor` is the program, and its
    /// first arguments, that becomes a job's supervisor when the job's folder is added: for ccd its own path and
    /// `job-supervisor`.
    ///
    /// # Errors
    /// `Terminal` when the folder cannot be made or read.
    pub async fn open(root: &Path, supervisor: Vec<OsString>) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|error| {
            Error::terminal("JobsFolder", format!("the folder {} cannot be made", root.display())).because(error)
        })?;
        let jobs = Self { root: root.to_owned(), supervisor, endings: broadcast::Sender::new(ENDINGS_MAX) };
        for id in jobs.list().await? {
            if let Some(started) = started(&jobs.folder(&id)) {
                jobs.listen(&id, &started);
            }
        }
        Ok(jobs)
    }

    fn folder(&self, id: &JobId) -> PathBuf {
        self.root.join(id.as_str())
    }

    async fn look(&self, id: &JobId) -> Result<JobState, Error> {
        let folder = self.folder(id);
        let looked = tokio::task::spawn_blocking(move || look(&folder)).await;
        looked
            .map_err(|error| Error::bug("InternalError", "looking at a job panicked").because(error))?
            .map_err(|error| Error::retryable("JobState", format!("job {id} cannot be looked at")).because(error))
    }

    /// Starts the supervisor and waits for its one line of answer.
    async fn launch(&self, spec: &JobSpec, folder: &Path) -> Result<Child, Error> {
        let no_supervisor = |error: io::Error| {
            Error::retryable("JobSupervisor", format!("the supervisor of job {} does not start", spec.id))
                .because(error)
        };
        let (program, arguments) = self
            .supervisor
            .split_first()
            .ok_or_else(|| Error::bug("InternalError", "no supervisor program is configured"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(folder)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(no_supervisor)?;
        let text = serde_json::to_vec(spec)
            .map_err(|error| Error::bug("InternalError", "the specification cannot be written").because(error))?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&text).await.map_err(no_supervisor)?;
            // Dropping it tells the supervisor that this was all.
        }
        let mut answer = String::new();
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output);
            tokio::time::timeout(START_TIME_MAX, output.read_line(&mut answer))
                .await
                .map_err(|_| Error::retryable("JobSupervisor", format!("the supervisor of {} is silent", spec.id)))?
                .map_err(no_supervisor)?;
        }
        match answer.trim_end() {
            ANSWER_STARTED | ANSWER_KNOWN => Ok(child),
            other if other.starts_with("not found: ") => {
                Err(Error::terminal("ProgramNotFound", other.trim_start_matches("not found: ")))
            }
            other => Err(Error::retryable("JobNotStarted", format!("job {} did not start: {other}", spec.id))),
        }
    }

    /// Announces the end of a job that an earlier ccd started: not our child, so nobody tells us and we look.
    fn listen(&self, id: &JobId, started: &Started) {
        let ending = Ending { id: id.clone(), owner: started.owner.clone() };
        let endings = self.endings.clone();
        let (supervisor, start) = (started.supervisor, started.supervisor_start);
        tokio::spawn(async move {
            while start_time(supervisor) == Some(start) {
                tokio::time::sleep(ADOPTED_PERIOD).await;
            }
            // Nobody may be listening.
            let _ = endings.send(ending);
        });
    }
}

#[async_trait]
impl Jobs for ProcessJobs {
    async fn start(&self, spec: &JobSpec) -> Result<(), Error> {
        if self.look(&spec.id).await? != JobState::Absent {
            return Ok(());
        }
        let folder = self.folder(&spec.id);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
            Error::retryable("JobFolder", format!("the folder of job {} cannot be made", spec.id)).because(error)
        })?;
        match self.launch(spec, &folder).await {
            Ok(mut child) => {
                let ending = Ending { id: spec.id.clone(), owner: spec.owner.clone() };
                let endings = self.endings.clone();
                tokio::spawn(async move {
                    // However it ended: look at the job.
                    let _ = child.wait().await;
                    let _ = endings.send(ending);
                });
                Ok(())
            }
            Err(error) => {
                if self.look(&spec.id).await? == JobState::Absent {
                    // A folder that stays behind does no harm: the job in it never began.
                    let _ = tokio::fs::remove_dir_all(&folder).await;
                }
                Err(error)
            }
        }
    }

    async fn state(&self, id: &JobId) -> Result<JobState, Error> {
        self.look(id).await
    }

    async fn cancel(&self, id: &JobId) -> Result<(), Error> {
        if self.look(id).await? != JobState::Running {
            return Ok(());
        }
        let folder = self.folder(id);
        let unreachable =
            |error: io::Error| Error::retryable("JobCancel", format!("job {id} cannot be cancelled")).because(error);
        File::create(folder.join(CANCEL)).map_err(unreachable)?;
        // A supervisor that has not written down its start yet will find the mark.
        if let Some(started) = started(&folder)
            && start_time(started.supervisor) == Some(started.supervisor_start)
            && let Some(pid) = Pid::from_raw(started.supervisor)
        {
            match rustix::process::kill_process(pid, Signal::TERM) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(unreachable(error.into())),
            }
        }
        Ok(())
    }

    async fn log(&self, id: &JobId, offset: u64, bytes_max: usize) -> Result<LogChunk, Error> {
        if self.look(id).await? == JobState::Absent {
            return Err(absent(id));
        }
        let path = self.folder(id).join(LOG);
        let read = move || -> io::Result<LogChunk> {
            let mut file = match File::open(path) {
                // The supervisor has not come to it yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(LogChunk { bytes: Vec::new(), next_offset: offset });
                }
                file => file?,
            };
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(bytes_max as u64).read_to_end(&mut bytes)?;
            let next_offset = offset + bytes.len() as u64;
            Ok(LogChunk { bytes, next_offset })
        };
        let chunk = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
        chunk.map_err(|error| Error::retryable("JobLog", format!("the log of job {id} cannot be read")).because(error))
    }

    async fn list(&self) -> Result<Vec<JobId>, Error> {
        let unreadable =
            |error: io::Error| Error::retryable("JobsFolder", "the jobs' folder cannot be read").because(error);
        let mut ids = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.root).await.map_err(unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
            if let Some(id) = entry.file_name().to_str().and_then(|name| JobId::new(name).ok())
                && self.look(&id).await? != JobState::Absent
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    async fn owner(&self, id: &JobId) -> Result<Option<String>, Error> {
        let path = self.folder(id).join(STARTED);
        let unreadable =
            |error: io::Error| Error::retryable("JobState", format!("job {id} cannot be looked at")).because(error);
        match tokio::fs::read(path).await {
            Ok(text) => {
                let started: Started = serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
                Ok(Some(started.owner))
            }
            // A job that is just beginning has not said yet whose it is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    async fn remove(&self, id: &JobId) -> Result<(), Error> {
        if self.look(id).await? == JobState::Running {
            return Err(still_running(id));
        }
        match tokio::fs::remove_dir_all(self.folder(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::retryable("JobFolder", format!("the folder of job {id} cannot be removed")).because(error))
            }
            _ => Ok(()),
        }
    }

    fn endings(&self) -> broadcast::Receiver<Ending> {
        self.endings.subscribe()
    }
}

/// Looks at a job's folder. A job whose supervisor has died is put down before it is called lost.
fn look(folder: &Path) -> io::Result<JobState> {
    if let Some(exit) = exit(folder)? {
        return Ok(JobState::Exited(exit));
    }
    if is_supervised(folder)? {
        return Ok(JobState::Running);
    }
    // It may have ended between the two looks.
    if let Some(exit) = exit(folder)? {
        return Ok(JobState::Exited(exit));
    }
    let Some(started) = started(folder) else { return Ok(JobState::Absent) };
    if started.boot == boot_id()
        && start_time(started.job) == Some(started.job_start)
        && let Some(group) = Pid::from_raw(started.job)
    {
        // It may end by itself at this very moment.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    Ok(JobState::Lost)
}

fn exit(folder: &Path) -> io::Result<Option<Exit>> {
    match fs::read(folder.join(EXIT)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn started(folder: &Path) -> Option<Started> {
    serde_json::from_slice(&fs::read(folder.join(STARTED)).ok()?).ok()
}

fn is_supervised(folder: &Path) -> io::Result<bool> {
    let lock = match OpenOptions::new().write(true).open(folder.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
