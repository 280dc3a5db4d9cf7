//! Serves a disk that loses its power, as a mounted file system, until its standard input ends.
//!
//! Usage: `power-disk MOUNT_POINT`. Commands and answers are lines of JSON, see `tests::power::control`.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fuser::{BackgroundSession, Config, Errno, MountOption};
use tests::daemon::wait_a_moment;
use tests::power::control::{Answer, Command, ErrorKind};
use tests::power::disk::Fault;
use tests::power::server::{DiskServer, SharedDisk};

/// So long the disk may be in use after everybody has closed what they had.
const STILL_IN_USE_MAX: Duration = Duration::from_secs(20);

struct Mounted {
    disk: SharedDisk,
    mount_point: PathBuf,
    session: Option<BackgroundSession>,
}

fn main() -> anyhow::Result<()> {
    let mount_point = PathBuf::from(std::env::args_os().nth(1).context("the first argument is the mount point")?);
    let mut mounted = Mounted { disk: SharedDisk::default(), mount_point, session: None };
    let mut answer = mounted.mount();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        say(&answer.unwrap_or_else(|error| Answer::Failed(format!("{error:#}"))))?;
        // A test that is gone, in whatever way, needs no disk.
        let Some(Ok(line)) = lines.next() else { return Ok(()) };
        answer = serde_json::from_str(&line).map_err(Into::into).and_then(|command| mounted.obey(command));
    }
}

impl Mounted {
    fn obey(&mut self, command: Command) -> anyhow::Result<Answer> {
        if command == Command::Remount {
            return self.remount();
        }
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        match command {
            Command::WriteBack { pages, seed } => disk.set_write_back(pages, seed),
            Command::CutAfter { cut, calls, seed } => disk.plan_cut(cut, calls, seed),
            Command::Cut { cut, seed } => disk.cut(cut, seed),
            Command::Fail { operation, skip, count, error } => {
                disk.fail(Fault { operation, skip, count, errno: errno(error) });
            }
            Command::Heal => disk.heal(),
            Command::Count { operation } => {
                return Ok(Answer::Counted { calls: disk.count(operation), has_power: disk.has_power() });
            }
            Command::Remount => {}
        }
        Ok(Answer::Done)
    }

    fn remount(&mut self) -> anyhow::Result<Answer> {
        if let Some(session) = self.session.take() {
            if let Err(why) = unmount(&self.mount_point) {
                self.session = Some(session);
                return Err(why);
            }
            session.join().context("serve the disk")?;
        }
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).power_on();
        self.mount()
    }

    fn mount(&mut self) -> anyhow::Result<Answer> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("cc-ci-power-disk".to_owned()), MountOption::NoAtime];
        let session = fuser::spawn_mount(DiskServer::new(Arc::clone(&self.disk)), &self.mount_point, &config)
            .with_context(|| format!("cannot mount {}", self.mount_point.display()))?;
        self.session = Some(session);
        Ok(Answer::Done)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if session.umount_and_join().is_err() {
            detach(&self.mount_point);
        }
        // A test that was killed does not remove what it made.
        let _ = std::fs::remove_dir(&self.mount_point);
    }
}

/// Unmounts the disk. Threads of sled that met an error close its files a moment after their store was closed.
fn unmount(mount_point: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let output = std::process::Command::new("umount").arg(mount_point).output().context("umount does not run")?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(begun.elapsed() < STILL_IN_USE_MAX, "the disk is still in use: {why}");
        wait_a_moment();
    }
}

/// Takes the mount away from whoever still uses it.
fn detach(mount_point: &Path) {
    let detached = std::process::Command::new("umount").arg("--lazy").arg(mount_point).status();
    if !detached.is_ok_and(|status| status.success()) {
        eprintln!("power-disk: {} stays mounted", mount_point.display());
    }
}

fn errno(error: ErrorKind) -> Errno {
    match error {
        ErrorKind::Io => Errno::EIO,
        ErrorKind::NoSpace => Errno::ENOSPC,
    }
}

fn say(answer: &Answer) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line)?;
    Ok(output.flush()?)
}
