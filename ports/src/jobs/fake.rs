//! [`FakeJobs`]: jobs that are played, in tokio's time, with faults.
//!
//! The argv says what a job does: `["exit", code]`, `["say", text, code]`, `["sleep", seconds, code]`, `["stubborn"]`
//! (sleeps for ever and ends only when killed), `["flood", bytes]`. A program of another name is not there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::{EndCause, Ending, Exit, JobId, JobSpec, JobState, Jobs, LogChunk};
use crate::error::Error;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

#[derive(Clone, Debug)]
struct FakeJob {
    spec: JobSpec,
    log: Vec<u8>,
    ends_at: Instant,
    exit: Exit,
    lost: bool,
}

#[derive(Debug, Default)]
struct Contents {
    jobs: BTreeMap<JobId, FakeJob>,
    starts: HashMap<JobId, u32>,
}

/// Jobs that are played.
#[derive(Debug)]
pub struct FakeJobs {
    contents: Mutex<Contents>,
    endings: broadcast::Sender<Ending>,
}

impl Default for FakeJobs {
    fn default() -> Self {
        Self { contents: Mutex::default(), endings: broadcast::Sender::new(64) }
    }
}

impl FakeJobs {
    /// Makes a running job lose its supervisor; returns whether it was running.
    pub fn lose(&self, id: &JobId) -> bool {
        let mut contents = self.lock();
        let now = Instant::now();
        match contents.jobs.get_mut(id) {
            Some(job) if job.ends_at > now && !job.lost => {
                job.lost = true;
                true
            }
            _ => false,
        }
    }

    /// Returns how often a job with this id was really started, over all its lives.
    #[must_use]
    pub fn starts(&self, id: &JobId) -> u32 {
        self.lock().starts.get(id).copied().unwrap_or(0)
    }

    /// Returns how many jobs run now.
    #[must_use]
    pub fn running(&self) -> usize {
        let now = Instant::now();
        self.lock().jobs.values().filter(|job| job.ends_at > now && !job.lost).count()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Jobs for FakeJobs {
    async fn start(&self, spec: &JobSpec) -> Result<(), Error> {
        let mut contents = self.lock();
        if contents.jobs.contains_key(&spec.id) {
            return Ok(());
        }
        let job = play(spec, Instant::now())?;
        contents.jobs.insert(spec.id.clone(), job);
        *contents.starts.entry(spec.id.clone()).or_default() += 1;
        Ok(())
    }

    async fn state(&self, id: &JobId) -> Result<JobState, Error> {
        let contents = self.lock();
        Ok(match contents.jobs.get(id) {
            None => JobState::Absent,
            Some(job) if job.lost => JobState::Lost,
            Some(job) if job.ends_at > Instant::now() => JobState::Running,
            Some(job) => {
                let ending = Ending { id: id.clone(), owner: job.spec.owner.clone() };
                // Nobody may be listening.
                let _ = self.endings.send(ending);
                JobState::Exited(job.exit.clone())
            }
        })
    }

    async fn cancel(&self, id: &JobId) -> Result<(), Error> {
        let mut contents = self.lock();
        let now = Instant::now();
        if let Some(job) = contents.jobs.get_mut(id)
            && job.ends_at > now
            && !job.lost
            && job.exit.cause != EndCause::Cancelled
        {
            let stubborn = job.spec.argv.first().is_some_and(|program| program == "stubborn");
            let (after, signal) = if stubborn { (job.spec.limits.grace, SIGKILL) } else { (Duration::ZERO, SIGTERM) };
            job.ends_at = now + after;
            job.exit = Exit { code: None, signal: Some(signal), cause: EndCause::Cancelled };
        }
        Ok(())
    }

    async fn log(&self, id: &JobId, offset: u64, bytes_max: usize) -> Result<LogChunk, Error> {
        let contents = self.lock();
        let job = contents.jobs.get(id).ok_or_else(|| absent(id))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(job.log.len());
        let end = start.saturating_add(bytes_max).min(job.log.len());
        Ok(LogChunk { bytes: job.log[start..end].to_vec(), next_offset: end as u64 })
    }

    async fn list(&self) -> Result<Vec<JobId>, Error> {
        Ok(self.lock().jobs.keys().cloned().collect())
    }

    async fn owner(&self, id: &JobId) -> Result<Option<String>, Error> {
        Ok(self.lock().jobs.get(id).map(|job| job.spec.owner.clone()))
    }

    async fn remove(&self, id: &JobId) -> Result<(), Error> {
        let mut contents = self.lock();
        match contents.jobs.get(id) {
            Some(job) if job.ends_at > Instant::now() && !job.lost => Err(still_running(id)),
            _ => {
                contents.jobs.remove(id);
                Ok(())
            }
        }
    }

    fn endings(&self) -> broadcast::Receiver<Ending> {
        self.endings.subscribe()
    }
}

pub(super) fn absent(id: &JobId) -> Error {
    Error::terminal("JobNotFound", format!("there is no job {id}"))
}

pub(super) fn still_running(id: &JobId) -> Error {
    Error::blocked("JobRunning", format!("job {id} is still running; cancel it first"))
}

fn play(spec: &JobSpec, now: Instant) -> Result<FakeJob, Error> {
    let argument = |index: usize| spec.argv.get(index).map(String::as_str).unwrap_or_default();
    let number = |index: usize| argument(index).parse::<u64>().unwrap_or(0);
    let code = |index: usize| argument(index).parse::<i32>().unwrap_or(0);
    let (log, lasts, code) = match argument(0) {
        "exit" => (Vec::new(), Duration::ZERO, code(1)),
        "say" => (format!("{}\n", argument(1)).into_bytes(), Duration::ZERO, code(2)),
        "sleep" => (Vec::new(), Duration::from_secs(number(1)), code(2)),
        "stubborn" => (Vec::new(), Duration::MAX, 0),
        "flood" => {
            let kept = number(1).min(spec.limits.output_bytes);
            (vec![b'x'; usize::try_from(kept).unwrap_or(usize::MAX)], Duration::ZERO, 0)
        }
        program => return Err(Error::terminal("ProgramNotFound", format!("the program {program} is not there"))),
    };
    let timed_out = lasts > spec.limits.wall_time;
    let (lasts, exit) = if timed_out {
        let stubborn = argument(0) == "stubborn";
        let (more, signal) = if stubborn { (spec.limits.grace, SIGKILL) } else { (Duration::ZERO, SIGTERM) };
        (spec.limits.wall_time + more, Exit { code: None, signal: Some(signal), cause: EndCause::TimedOut })
    } else {
        (lasts, Exit { code: Some(code), signal: None, cause: EndCause::Finished })
    };
    Ok(FakeJob { spec: spec.clone(), log, ends_at: now + lasts, exit, lost: false })
}
