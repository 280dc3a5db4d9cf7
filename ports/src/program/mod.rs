//! One program, run to its end: an argument list, a whole environment, bounded output, bounded time.
//!
//! For programs that end within minutes and whose result is wanted now; what may take longer, or must outlive ccd, is a
//! [job](crate::jobs). The program is a process group of its own: when its time is over, or nobody waits for it any more
//! because the future was dropped, the whole group is killed.

mod terminal;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::error::Error;

/// How long output is waited for once the program itself has ended: something it started may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// Bytes that are read at once.
const PIECE_BYTES: usize = 16 << 10;

/// What to run.
#[derive(Debug)]
pub struct Program {
    /// The program and its arguments; no shell. Must not contain secrets: everybody on the machine can read it.
    pub argv: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it reads.
    pub input: Input,
    /// Where it writes.
    pub output: Output,
    /// What it may use.
    pub bounds: Bounds,
}

/// Where a program writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Into two pipes.
    #[default]
    Pipes,
    /// On a terminal of 80 rows and 400 columns, from which it reads as well: everything comes as standard output, with
    /// escape sequences and `\r\n`. For programs that do not work without one.
    Terminal,
}

/// What a program reads from standard input.
#[derive(Debug)]
pub enum Input {
    /// Nothing: the end of the file at once.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// An open file. A lock on it is held until the program has ended, even if ccd is killed meanwhile.
    File(File),
}

/// What a program may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// After this time it is killed.
    pub time: Duration,
    /// Most bytes of standard output that are kept.
    pub stdout_bytes: usize,
    /// Most bytes of standard error that are kept; the rest is read and dropped.
    pub stderr_bytes: usize,
    /// What happens when standard output is longer.
    pub overflow: Overflow,
    /// Most bytes of any file that it writes; `None` for the machine's limit.
    pub file_bytes: Option<u64>,
    /// Most bytes of address space of each process; `None` for the machine's limit.
    pub memory_bytes: Option<u64>,
}

/// What happens when standard output is longer than what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The program is killed: nobody wants half of it.
    Kill,
    /// The rest is read and dropped.
    Drop,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            time: Duration::from_mins(1),
            stdout_bytes: 4 << 20,
            stderr_bytes: 64 << 10,
            overflow: Overflow::Kill,
            file_bytes: None,
            memory_bytes: None,
        }
    }
}

/// How a program ended, and what it wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output, or its first bytes.
    pub stdout: Vec<u8>,
    /// Standard error, or its first bytes.
    pub stderr: Vec<u8>,
    /// Whether standard output was longer than what is kept.
    pub is_cut_off: bool,
}

impl Finished {
    /// Returns whether the program ended by itself with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Program {
    /// Returns a program that reads nothing and has the usual bounds.
    #[must_use]
    pub fn new(argv: Vec<OsString>, cwd: PathBuf) -> Self {
        let (input, output, bounds) = (Input::Nothing, Output::Pipes, Bounds::default());
        Self { argv, env: BTreeMap::new(), cwd, input, output, bounds }
    }

    /// Runs the program to its end. Dropping the future kills it.
    ///
    /// # Errors
    /// `Terminal` when the program is not there; `Retryable` with the reason `TimedOut` when its time was over, or when
    /// the machine has no room for it. A program that fails is not an error here.
    pub async fn run(self) -> Result<Finished, Error> {
        let name = self.argv.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let (bounds, input) = (self.bounds.clone(), self.input_bytes());
        let Spawned { mut child, group, terminal } = self.spawn(&name)?;
        let (stderr, stdin) = (child.stderr.take(), child.stdin.take());
        let stdout: Option<Pipe> = match terminal {
            Some(terminal) => Some(Box::new(terminal)),
            None => child.stdout.take().map(|pipe| Box::new(pipe) as Pipe),
        };
        let write = async {
            if let (Some(mut stdin), Some(bytes)) = (stdin, input) {
                // A program that does not read to the end has its reasons.
                let _ = stdin.write_all(&bytes).await;
            }
        };
        let outputs = async {
            let kill = (bounds.overflow == Overflow::Kill).then_some(&group);
            tokio::join!(read(stdout, bounds.stdout_bytes, kill), read(stderr, bounds.stderr_bytes, None), write)
        };
        let whole = run_to_end(&mut child, &group, outputs);
        let Ok((status, outputs)) = tokio::time::timeout(bounds.time, whole).await else {
            let message = format!("{name} took longer than {} s and was ended", bounds.time.as_secs());
            return Err(Error::retryable("TimedOut", message));
        };
        let status = status.map_err(|error| {
            Error::retryable("ProgramLost", format!("the end of {name} cannot be waited for")).because(error)
        })?;
        group.disarm();
        let ((stdout, is_cut_off), (stderr, _), ()) = outputs;
        Ok(Finished { code: status.code(), signal: status.signal(), stdout, stderr, is_cut_off })
    }

    fn input_bytes(&self) -> Option<Vec<u8>> {
        match &self.input {
            Input::Bytes(bytes) => Some(bytes.clone()),
            Input::Nothing | Input::File(_) => None,
        }
    }

    fn spawn(self, name: &str) -> Result<Spawned, Error> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(Error::bug("InternalError", "an empty argument list names no program"));
        };
        let no_terminal = |error: io::Error| {
            Error::retryable("ProgramNotStarted", format!("there is no terminal for {name}")).because(error)
        };
        let terminal = match self.output {
            Output::Pipes => None,
            Output::Terminal => Some(terminal::open().map_err(no_terminal)?),
        };
        let (stdin, stdout, stderr) = match &terminal {
            Some(terminal) => terminal.streams().map_err(no_terminal)?,
            None => {
                let stdin = match self.input {
                    Input::Nothing => Stdio::null(),
                    Input::Bytes(_) => Stdio::piped(),
                    Input::File(file) => Stdio::from(file),
                };
                (stdin, Stdio::piped(), Stdio::piped())
            }
        };
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.cwd)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| not_started(name, &self.cwd, error))?;
        let group = Group::of(&child);
        group.limit(Resource::Fsize, self.bounds.file_bytes);
        group.limit(Resource::As, self.bounds.memory_bytes);
        let terminal = terminal.map(terminal::Terminal::into_reader).transpose().map_err(no_terminal)?;
        Ok(Spawned { child, group, terminal })
    }
}

/// Whatever output is read from.
type Pipe = Box<dyn AsyncRead + Send + Unpin>;

/// A program that runs.
struct Spawned {
    child: Child,
    group: Group,
    terminal: Option<tokio::net::unix::pipe::Receiver>,
}

/// Waits for the program and for its output; a pipe that stays open after the program has ended is given up.
async fn run_to_end<Outputs>(
    child: &mut Child,
    group: &Group,
    outputs: impl Future<Output = Outputs>,
) -> (io::Result<std::process::ExitStatus>, Outputs) {
    tokio::pin!(outputs);
    tokio::select! {
        outputs = &mut outputs => (child.wait().await, outputs),
        status = child.wait() => {
            if let Ok(outputs) = tokio::time::timeout(DRAIN, &mut outputs).await {
                return (status, outputs);
            }
            group.kill();
            (status, outputs.await)
        }
    }
}

fn not_started(name: &str, cwd: &std::path::Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound if !cwd.is_dir() => {
            Error::retryable("FolderNotFound", format!("the folder {} is not there", cwd.display()))
        }
        io::ErrorKind::NotFound => {
            Error::terminal("ProgramNotFound", format!("{name} is not installed: install it and restart ccd"))
        }
        _ => Error::retryable("ProgramNotStarted", format!("{name} cannot be started")).because(error),
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, bytes_max: usize, kill: Option<&Group>) -> (Vec<u8>, bool) {
    let (mut kept, mut is_cut_off) = (Vec::new(), false);
    let Some(mut pipe) = pipe else { return (kept, false) };
    let mut piece = vec![0; PIECE_BYTES];
    // An error is the end, as for a pipe whose writer is gone.
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        let room = bytes_max - kept.len();
        kept.extend_from_slice(&piece[..count.min(room)]);
        if count > room && !is_cut_off {
            is_cut_off = true;
            if let Some(group) = kill {
                group.kill();
            }
        }
    }
    (kept, is_cut_off)
}

/// The program's process group; killed when this is dropped before it was disarmed.
#[derive(Debug)]
pub(crate) struct Group(AtomicI32);

/// Stands for "there is nothing to kill".
const NOBODY: i32 = 0;

impl Group {
    /// Returns the group of a child that was started as the first of a group of its own.
    pub(crate) fn of(child: &Child) -> Self {
        Self(AtomicI32::new(child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(NOBODY)))
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn kill(&self) {
        if let Some(pid) = self.pid() {
            // Nobody is left: just as well.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }

    pub(crate) fn disarm(&self) {
        self.0.store(NOBODY, Ordering::Relaxed);
    }

    fn limit(&self, resource: Resource, most: Option<u64>) {
        if let (Some(pid), Some(most)) = (self.pid(), most) {
            // It may have ended already; then there is nothing to limit.
            let _ = rustix::process::prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) });
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
