//! The supervisor of one job: a small process between ccd and the job that outlives ccd and keeps the exit code.
//!
//! It is our own binary, started again under a hidden subcommand. It makes a session of its own, takes the lock of the
//! job's folder, reads the specification from standard input (it may hold secrets, so it is never written down), starts
//! the job in a process group of its own, copies its output to the log, ends it when it is asked to (SIGTERM) or its
//! time is over, and writes `exit.json`. It adopts what the job leaves behind and ends that too.
//!
//! Files in the job's folder: `lock` (held while the supervisor lives), `started.json` (pids and start times, written
//! once), `cancel` (somebody wants the job to end), `log`, `exit.json`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{EndCause, Exit, JobSpec, Limits};

pub(super) const LOCK: &str = "lock";
pub(super) const STARTED: &str = "started.json";
pub(super) const CANCEL: &str = "cancel";
pub(super) const LOG: &str = "log";
pub(super) const EXIT: &str = "exit.json";
/// What a supervisor answers on standard output once the job runs.
pub(super) const ANSWER_STARTED: &str = "started";
/// What it answers when the job was started before.
pub(super) const ANSWER_KNOWN: &str = "known";
/// Attempts to take the lock, and the pause between them.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How long output that is still in the pipes is waited for once the whole job is gone.
const DRAIN: Duration = Duration::from_secs(2);

/// Who runs, as written to `started.json`. A pid alone may be reused; with the start time it may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Started {
    /// Pid of the supervisor.
    pub supervisor: i32,
    /// Its start, in clock ticks since boot.
    pub supervisor_start: u64,
    /// Pid of the job's first process, which is its process group.
    pub job: i32,
    /// Its start, in clock ticks since boot.
    pub job_start: u64,
    /// The boot these numbers belong to.
    pub boot: String,
    /// What [`JobSpec::owner`] said.
    pub owner: String,
    /// For people who look.
    pub argv: Vec<String>,
}

/// Runs the supervisor in `folder` and returns the exit code of the program.
///
/// This is the whole of `ccd job-supervisor FOLDER`; the answer on standard output is one line.
#[must_use]
pub fn run(folder: &Path) -> u8 {
    match supervise(folder) {
        Ok(()) => 0,
        Err(error) => {
            answer(&error);
            1
        }
    }
}

fn answer(text: &str) {
    let mut output = io::stdout().lock();
    // ccd may be gone already; then nobody wants to know.
    let _ = writeln!(output, "{}", text.replace('\n', " "));
    let _ = output.flush();
}

fn supervise(folder: &Path) -> Result<(), String> {
    let spec = read_spec()?;
    // Fails only for a process group leader, which is then in nobody's way.
    let _ = rustix::process::setsid();
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))
        .map_err(|error| format!("the job's folder cannot be locked: {error}"))?;
    if !take(&lock) || folder.join(STARTED).exists() {
        answer(ANSWER_KNOWN);
        return Ok(());
    }
    let own = Pid::as_raw(Some(rustix::process::getpid()));
    // Without this, processes that leave the job's group would escape; the kernel has had it since 2012.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| format!("the kernel refuses to let us adopt orphans: {error}"))?;
    limit(&spec.limits)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the supervisor does not start: {error}"))?;
    runtime.block_on(async {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| format!("signals cannot be received: {error}"))?;
        let mut child = spawn(&spec)?;
        let job = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("the job ended before it began")?;
        let started = Started {
            supervisor: own,
            supervisor_start: start_time(own).unwrap_or(0),
            job,
            job_start: start_time(job).unwrap_or(0),
            boot: boot_id(),
            owner: spec.owner.clone(),
            argv: spec.argv.clone(),
        };
        if let Err(error) = write_json(folder, STARTED, &started) {
            kill_all(job, Signal::KILL);
            return Err(format!("the start cannot be written down: {error}"));
        }
        answer(ANSWER_STARTED);
        let log = Log::open(folder, spec.limits.output_bytes).map_err(|error| format!("no log: {error}"))?;
        let copy = tokio::spawn(log.copy(child.stdout.take(), child.stderr.take()));
        let (status, cause) = wait(folder, &mut child, job, &spec.limits, &mut terminate).await;
        end_leftovers(job).await;
        // Somebody outside may hold the pipe; the log then ends here.
        let _ = tokio::time::timeout(DRAIN, copy).await;
        let exit = Exit { code: status.and_then(|s| s.code()), signal: status.and_then(|s| s.signal()), cause };
        write_json(folder, EXIT, &exit).map_err(|error| format!("the end cannot be written down: {error}"))
    })
}

fn read_spec() -> Result<JobSpec, String> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(|error| format!("no specification arrived: {error}"))?;
    // ccd was killed while it was writing: nothing has begun.
    serde_json::from_slice(&text).map_err(|error| format!("the specification is cut off: {error}"))
}

/// Takes the lock unless another supervisor has it. Whoever only looks at the job holds it for an instant.
fn take(lock: &File) -> bool {
    for _ in 0..LOCK_ATTEMPTS {
        if rustix::fs::flock(lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "this is a program without a runtime yet, and nothing to await")]
        std::thread::sleep(LOCK_PAUSE);
    }
    false
}

fn limit(limits: &Limits) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let set = |resource: Resource, value: Option<u64>| match value {
        Some(value) => setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }),
        None => Ok(()),
    };
    set(Resource::Nofile, limits.open_files)
        .and_then(|()| set(Resource::As, limits.memory_bytes))
        .and_then(|()| rustix::process::nice(limits.nice.clamp(0, 19)).map(|_| ()))
        .map_err(|error| format!("the limits cannot be set: {error}"))
}

fn spawn(spec: &JobSpec) -> Result<Child, String> {
    let (program, arguments) = spec.argv.split_first().ok_or("the job has no program")?;
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Command::from(command).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !spec.cwd.is_dir() => {
            format!("not found: the folder {} is not there", spec.cwd.display())
        }
        io::ErrorKind::NotFound => format!("not found: the program {program} is not there"),
        _ => format!("the program {program} does not start: {error}"),
    })
}

/// Waits for the job's end, and brings it about when it is due.
async fn wait(
    folder: &Path,
    child: &mut Child,
    job: i32,
    limits: &Limits,
    terminate: &mut tokio::signal::unix::Signal,
) -> (Option<ExitStatus>, EndCause) {
    let asked = async {
        // A cancel that came before we could hear the signal has left its mark.
        if !folder.join(CANCEL).exists() {
            terminate.recv().await;
        }
        if folder.join(CANCEL).exists() { EndCause::Cancelled } else { EndCause::Stopped }
    };
    let cause = tokio::select! {
        status = child.wait() => return (status.ok(), EndCause::Finished),
        cause = asked => cause,
        () = tokio::time::sleep(limits.wall_time) => EndCause::TimedOut,
    };
    signal_group(job, Signal::TERM);
    let status = match tokio::time::timeout(limits.grace, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            kill_all(job, Signal::KILL);
            child.wait().await
        }
    };
    (status.ok(), cause)
}

/// Kills what the job has left behind: the rest of its group, and whatever has become our child.
async fn end_leftovers(job: i32) {
    for _ in 0..100 {
        kill_all(job, Signal::KILL);
        reap();
        if adopted().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn kill_all(job: i32, with: Signal) {
    signal_group(job, with);
    for pid in adopted() {
        signal_group(pid, with);
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended by itself meanwhile.
            let _ = rustix::process::kill_process(pid, with);
        }
    }
}

fn signal_group(group: i32, with: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        // Nobody may be left in it.
        let _ = rustix::process::kill_process_group(group, with);
    }
}

fn reap() {
    use rustix::process::{WaitOptions, wait};
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Returns our children: after the job's own end, orphans that the kernel gave us.
fn adopted() -> Vec<i32> {
    let own = Pid::as_raw(Some(rustix::process::getpid()));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == own && !stat.has_ended)).collect()
}

/// What `/proc/PID/stat` says.
struct Stat {
    has_ended: bool,
    parent: i32,
    start: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may contain anything.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat { has_ended, parent, start })
}

struct Log {
    file: File,
    room: u64,
}

impl Log {
    fn open(folder: &Path, room: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(LOG))?;
        Ok(Self { file, room })
    }

    async fn copy(mut self, stdout: Option<tokio::process::ChildStdout>, stderr: Option<tokio::process::ChildStderr>) {
        // Bounded: a job that writes faster than the disk waits.
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(16);
        if let Some(stdout) = stdout {
            tokio::spawn(pump(stdout, sender.clone()));
        }
        if let Some(stderr) = stderr {
            tokio::spawn(pump(stderr, sender.clone()));
        }
        drop(sender);
        while let Some(bytes) = receiver.recv().await {
            self.write(&bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.room == 0 {
            return;
        }
        let kept = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        // A full disk must not end the job; its exit code is worth more than its log.
        let _ = self.file.write_all(&bytes[..kept]);
        self.room -= kept as u64;
        if self.room == 0 {
            let _ = self.file.write_all(b"\n[the rest of the output was dropped: the limit is reached]\n");
        }
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || to.send(buffer[..count].to_vec()).await.is_err() {
            return;
        }
    }
}

/// Writes a file so that it is there whole or not at all, also after a power cut.
pub(super) fn write_json<T: Serialize>(folder: &Path, name: &str, value: &T) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Returns when a process started, in clock ticks since boot; `None` if there is none (zombies count as none).
pub(super) fn start_time(pid: i32) -> Option<u64> {
    stat(pid).filter(|stat| !stat.has_ended).map(|stat| stat.start)
}

/// Returns which boot of the machine this is.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
