//! The test's handle on a disk: its process, its mount, its failures. Dropped, it leaves nothing behind.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use super::control::{Answer, Command, ErrorKind};
use super::disk::{Cut, Operation};

/// A mounted disk. Its process ends, and unmounts, when its standard input does: also when the test is killed.
pub struct PowerDisk {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    mount_point: TempDir,
}

impl PowerDisk {
    /// Starts the program `power-disk` at `program` and mounts an empty disk.
    ///
    /// # Errors
    /// When this machine cannot: it takes root and `/dev/fuse`.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let device = std::fs::File::options().read(true).write(true).open("/dev/fuse");
        device.context("the power-cut suite mounts a file system: it needs root and /dev/fuse (modprobe fuse)")?;
        let mount_point = tempfile::Builder::new().prefix("cc-ci-power-").tempdir()?;
        let mut child = std::process::Command::new(program)
            .arg(mount_point.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever kills the test's group must not kill the one that cleans up after it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("piped")?);
        let mut disk = Self { child, commands, answers, mount_point };
        disk.expect_done().context("the power-cut suite mounts a file system: it needs root and /dev/fuse")?;
        Ok(disk)
    }

    /// Returns where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.mount_point.path().to_owned()
    }

    /// Lets one in `pages` written pages reach the disk unasked.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn write_back(&mut self, pages: u64, seed: u64) -> anyhow::Result<()> {
        self.tell(Command::WriteBack { pages, seed })
    }

    /// Cuts the power before the call that comes after `calls` that change something.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn cut_after(&mut self, cut: Cut, calls: u64, seed: u64) -> anyhow::Result<()> {
        self.tell(Command::CutAfter { cut, calls, seed })
    }

    /// Cuts the power now, if it is not cut already.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn cut(&mut self, cut: Cut, seed: u64) -> anyhow::Result<()> {
        self.tell(Command::Cut { cut, seed })
    }

    /// Lets `count` calls fail after `skip` that go well.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn fail(&mut self, operation: Operation, skip: u64, count: u64, error: ErrorKind) -> anyhow::Result<()> {
        self.tell(Command::Fail { operation, skip, count, error })
    }

    /// Ends all faults.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn heal(&mut self) -> anyhow::Result<()> {
        self.tell(Command::Heal)
    }

    /// Unmounts, turns the power on and mounts again. Whoever had files open must have ended.
    ///
    /// # Errors
    /// When somebody still has a file open, or the process does not answer.
    pub fn remount(&mut self) -> anyhow::Result<()> {
        self.tell(Command::Remount)
    }

    /// Returns how many calls of a sort there were.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn count(&mut self, operation: Operation) -> anyhow::Result<u64> {
        match self.ask(Command::Count { operation })? {
            Answer::Counted { calls, .. } => Ok(calls),
            other => anyhow::bail!("the disk answers {other:?}"),
        }
    }

    /// Returns whether the power is on.
    ///
    /// # Errors
    /// When the process does not answer.
    pub fn has_power(&mut self) -> anyhow::Result<bool> {
        match self.ask(Command::Count { operation: Operation::Write })? {
            Answer::Counted { has_power, .. } => Ok(has_power),
            other => anyhow::bail!("the disk answers {other:?}"),
        }
    }

    fn tell(&mut self, command: Command) -> anyhow::Result<()> {
        self.send(command)?;
        self.expect_done().with_context(|| format!("{command:?}"))
    }

    fn ask(&mut self, command: Command) -> anyhow::Result<Answer> {
        self.send(command)?;
        self.answer()
    }

    fn send(&mut self, command: Command) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&command)?;
        line.push(b'\n');
        self.commands.as_mut().context("the disk is gone")?.write_all(&line).context("the disk is gone")
    }

    fn expect_done(&mut self) -> anyhow::Result<()> {
        match self.answer()? {
            Answer::Done => Ok(()),
            Answer::Failed(why) => anyhow::bail!(why),
            other @ Answer::Counted { .. } => anyhow::bail!("the disk answers {other:?}"),
        }
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "the disk's process has ended");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        // The end of its input tells it to unmount and end; then the mount point can be removed.
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}
