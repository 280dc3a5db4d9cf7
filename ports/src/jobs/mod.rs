//! Long work: programs that are started under a computed id, looked at again, and outlive a restart of ccd.
//!
//! ```text
//!   Absent ──start──► Running ──ends──► Exited(code) ──remove──► Absent
//!                        └──its supervisor is gone──► Lost ──remove──► Absent
//! ```
//!
//! - [`Jobs::start`] is idempotent by id: whoever starts a job that is there, in whatever state, changes nothing. So a
//!   reconciler that was cut off just starts it again.
//! - A job is a whole process group in a session of its own. What it leaves behind when its first process ends is
//!   killed.
//! - A job's end is announced ([`Jobs::endings`]) with the `owner` text it was started with; an announcement may be
//!   lost over a restart, the state never is.

pub mod conformance;
pub mod fake;
pub mod process;
pub mod supervisor;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::error::Error;

/// Longest id in bytes; an id is a file name.
const ID_BYTES_MAX: usize = 200;

/// Names a job: lower-case letters, digits, `-` and `.`, beginning with a letter or digit, at most 200 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Checks and returns an id.
    ///
    /// # Errors
    /// `Bug`: ids are computed by us.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = id.len() <= ID_BYTES_MAX
            && id.bytes().next().is_some_and(fits)
            && id.bytes().all(|byte| fits(byte) || byte == b'-' || byte == b'.');
        if is_valid { Ok(Self(id)) } else { Err(Error::bug("InvalidJobId", format!("\"{id}\" cannot be a job's id"))) }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self, Error> {
        Self::new(id)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a job may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// After this time the job is ended.
    pub wall_time: Duration,
    /// How long a job that is asked to end (SIGTERM) has before it is killed.
    pub grace: Duration,
    /// Most bytes of output that are kept; the rest is read and dropped, and the log says so.
    pub output_bytes: u64,
    /// Added to the job's nice value, 0 to 19.
    pub nice: i32,
    /// Most bytes of address space for each process; `None` for the machine's limit.
    pub memory_bytes: Option<u64>,
    /// Most open files for each process; `None` for the machine's limit.
    pub open_files: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_time: Duration::from_hours(1),
            grace: Duration::from_secs(10),
            output_bytes: 16 << 20,
            nice: 5,
            memory_bytes: None,
            open_files: None,
        }
    }
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Under which id.
    pub id: JobId,
    /// Comes back with the announcement of the end; opaque.
    pub owner: String,
    /// The program and its arguments; no shell. Must not contain secrets: everybody on the machine can read it.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited. Never written to disk.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it may use.
    pub limits: Limits,
}

/// Why a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// By itself.
    Finished,
    /// It was cancelled.
    Cancelled,
    /// Its wall time was over.
    TimedOut,
    /// Its supervisor was asked to end by somebody else, as at a shutdown of the machine.
    Stopped,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended.
    pub cause: EndCause,
}

impl Exit {
    /// Returns whether the job ended by itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && self.cause == EndCause::Finished
    }
}

/// What has become of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It was never started, or has been removed.
    Absent,
    /// It runs.
    Running,
    /// It has ended.
    Exited(Exit),
    /// Nobody knows how it ended: its supervisor was killed, or the machine went down. Nothing of it runs any more.
    Lost,
}

/// A piece of a job's log: standard output and standard error as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next_offset: u64,
}

/// The announcement that a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which job.
    pub id: JobId,
    /// What [`JobSpec::owner`] said.
    pub owner: String,
}

/// Long work.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Starts a job, unless a job with its id is there already, in whatever state.
    ///
    /// # Errors
    /// `Terminal` when the program or the folder is not there; `Retryable` when the machine has no room for it.
    async fn start(&self, spec: &JobSpec) -> Result<(), Error>;

    /// Returns what has become of a job.
    ///
    /// # Errors
    /// `Retryable` when the state cannot be read.
    async fn state(&self, id: &JobId) -> Result<JobState, Error>;

    /// Asks a job to end: SIGTERM to all of it, SIGKILL after its grace. Returns at once; the state tells when it has
    /// ended. A job that is not running is left as it is.
    ///
    /// # Errors
    /// `Retryable` when the job could not be reached.
    async fn cancel(&self, id: &JobId) -> Result<(), Error>;

    /// Returns at most `bytes_max` bytes of the log from `offset` on; an empty piece when there is no more (yet).
    ///
    /// # Errors
    /// `Terminal` when the job is not there.
    async fn log(&self, id: &JobId, offset: u64, bytes_max: usize) -> Result<LogChunk, Error>;

    /// Returns every job that is there, in the order of their ids.
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    async fn list(&self) -> Result<Vec<JobId>, Error>;

    /// Returns what [`JobSpec::owner`] said; `None` when the job is absent.
    ///
    /// # Errors
    /// `Retryable` when it cannot be read.
    async fn owner(&self, id: &JobId) -> Result<Option<String>, Error>;

    /// Forgets a job that has ended, and its log. Does nothing for an absent one.
    ///
    /// # Errors
    /// `Blocked` while it runs.
    async fn remove(&self, id: &JobId) -> Result<(), Error>;

    /// Returns a receiver of endings from now on. One that falls behind misses some: a bell, not a letter.
    fn endings(&self) -> broadcast::Receiver<Ending>;
}
