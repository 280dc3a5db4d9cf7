//! The directory of an engine: which generation counts, in what format, and who holds it.
//!
//! ```text
//! DIR/LOCK              locked while open; holds the process id of the holder
//! DIR/CURRENT           "format 3", "generation gen-000001": the only truth about which rows count
//! DIR/RESERVE           room for recovering from a full disk
//! DIR/journal-0, -1     what the rows do not have yet, see journal.rs
//! DIR/gen-000001/       one sled database
//! DIR/gen-000002/       being filled; FILLING inside says that its rows never counted
//! ```
//!
//! Each step is on disk before the next begins, so whatever moment the power fails at, the next open finds either the
//! old generation or the new one, whole. A directory without `CURRENT` is new only if no generation in it ever counted:
//! a lost `CURRENT` is reported, never taken for an empty store.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::{EngineError, EngineOptions, file_error};
use crate::guards::{Guard, Guards};

/// The format that this program writes.
pub(super) const FORMAT: u32 = 3;
/// Step `n` brings a directory of format `n + OLDEST` to the next one.
const MIGRATIONS: [Migration; 2] = [add_journal, sum_journal_headers];

const LOCK: &str = "LOCK";
const CURRENT: &str = "CURRENT";
const CURRENT_UNFINISHED: &str = "CURRENT.unfinished";
const FILLING: &str = "FILLING";
const DATA: &str = "db";
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// The longest wait for what a dead process has left its lock to.
const DEAD_HOLDER_WAIT: Duration = Duration::from_secs(30);

/// Brings a directory to the next format. Must be repeatable: it runs again if it was cut short.
pub(super) type Migration = fn(&Path) -> Result<(), EngineError>;

/// The formats that are read.
#[derive(Clone, Copy)]
pub(super) struct Formats<'a> {
    /// What is written.
    pub newest: u32,
    /// The steps from the oldest format to the newest.
    pub migrations: &'a [Migration],
}

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Current {
    format: u32,
    generation: u32,
}

/// Why a generation did not become the current one.
pub(super) enum AdoptError {
    /// The old one still counts.
    Unchanged(EngineError),
    /// Which one counts shows at the next open.
    Unknown(EngineError),
}

/// A directory that is held by this process.
pub(super) struct Layout {
    dir: PathBuf,
    /// Set when its engine is closed, so that those who fill a generation stop.
    closed: AtomicBool,
    guards: Guards,
    /// Locked until it is dropped.
    _lock: File,
}

impl AdoptError {
    /// Returns what went wrong, for those to whom both cases are one.
    pub(super) fn into_error(self) -> EngineError {
        match self {
            Self::Unchanged(error) | Self::Unknown(error) => error,
        }
    }
}

impl Default for Formats<'static> {
    fn default() -> Self {
        Self { newest: FORMAT, migrations: &MIGRATIONS }
    }
}

impl Formats<'_> {
    fn oldest(&self) -> u32 {
        self.newest - u32::try_from(self.migrations.len()).expect("there are few migrations")
    }
}

impl Layout {
    /// Takes hold of `dir`, and makes it if it is missing.
    pub(super) fn hold(dir: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        make_directory(dir, options.guards)?;
        let path = dir.join(LOCK);
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| file_error(&format!("open {}", path.display()), &error))?;
        let started = Instant::now();
        while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(file_error(&format!("lock {}", path.display()), &error.into()));
            }
            let holder = read_holder(&mut lock);
            if started.elapsed() >= patience(holder, options) {
                return Err(EngineError::Locked { dir: dir.to_owned(), holder });
            }
            pause();
        }
        // The id only serves the message of the next one who tries; a full disk must not keep us from opening.
        let written = lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the process id cannot be written into LOCK");
        }
        Ok(Self { dir: dir.to_owned(), closed: AtomicBool::new(false), guards: options.guards, _lock: lock })
    }

    /// Returns the number of the generation that counts, or `None` in a new directory, and removes what an earlier
    /// process left half-made.
    pub(super) fn settle(&self, formats: Formats<'_>) -> Result<Option<u32>, EngineError> {
        let current = self.read_current()?;
        if let Some(current) = current {
            self.migrate(current, formats)?;
        }
        let generations = self.generations()?;
        let Some(current) = current else {
            if let Some(lost) = generations.iter().find(|number| self.has_counted(**number)) {
                return Err(EngineError::Corrupt(format!(
                    "{} is missing, but {} holds rows: if it is the newest, put the two lines `format {FORMAT}` and \
                     `generation {}` into that file",
                    self.dir.join(CURRENT).display(),
                    self.generation_dir(*lost).display(),
                    name(*lost)
                )));
            }
            self.remove_leftovers(&generations, None);
            return Ok(None);
        };
        let data = self.generation_dir(current.generation).join(DATA);
        if !data.is_file() {
            return Err(EngineError::Corrupt(format!("{} is missing", data.display())));
        }
        self.unmark(current.generation);
        self.remove_leftovers(&generations, Some(current.generation));
        Ok(Some(current.generation))
    }

    /// Makes the directory of generation `number`, marked as one that does not count.
    pub(super) fn begin(&self, number: u32) -> Result<PathBuf, EngineError> {
        let dir = self.generation_dir(number);
        fs::create_dir(&dir)
            .and_then(|()| File::create(dir.join(FILLING)))
            .and_then(|marker| marker.sync_all())
            .and_then(|()| sync_directory(&dir, self.guards))
            .and_then(|()| sync_directory(&self.dir, self.guards))
            .map_err(|error| file_error(&format!("make {}", dir.display()), &error))?;
        Ok(dir)
    }

    /// Makes generation `number`, whose files are on disk, the one that counts.
    pub(super) fn adopt(&self, number: u32) -> Result<(), AdoptError> {
        self.write_current(Current { format: FORMAT, generation: number })?;
        self.unmark(number);
        Ok(())
    }

    /// Removes generation `number`. What cannot be removed is tried again at the next open.
    pub(super) fn remove(&self, number: u32) {
        let dir = self.generation_dir(number);
        if let Err(error) = fs::remove_dir_all(&dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, dir = %dir.display(), "an old generation cannot be removed, will try again");
        }
    }

    /// Returns the directory of generation `number`.
    pub(super) fn generation_dir(&self, number: u32) -> PathBuf {
        self.dir.join(name(number))
    }

    /// Tells those who fill a generation to stop.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether the engine was closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn read_current(&self) -> Result<Option<Current>, EngineError> {
        let path = self.dir.join(CURRENT);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error(&format!("read {}", path.display()), &error)),
        };
        let current = Current::parse(&text)
            .ok_or_else(|| EngineError::Corrupt(format!("{} does not name a generation: {text:?}", path.display())))?;
        Ok(Some(current))
    }

    fn write_current(&self, current: Current) -> Result<(), AdoptError> {
        let (path, unfinished) = (self.dir.join(CURRENT), self.dir.join(CURRENT_UNFINISHED));
        File::create(&unfinished)
            .and_then(|mut file| file.write_all(current.to_text().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| AdoptError::Unchanged(file_error(&format!("write {}", path.display()), &error)))?;
        sync_directory(&self.dir, self.guards)
            .map_err(|error| AdoptError::Unknown(EngineError::Io(format!("cannot write {}: {error}", path.display()))))
    }

    fn migrate(&self, current: Current, formats: Formats<'_>) -> Result<(), EngineError> {
        let (oldest, newest) = (formats.oldest(), formats.newest);
        if current.format < oldest || current.format > newest {
            return Err(EngineError::Format { dir: self.dir.clone(), found: current.format, oldest, newest });
        }
        let done = usize::try_from(current.format - oldest).expect("there are few migrations");
        for (format, migration) in (current.format + 1..).zip(&formats.migrations[done..]) {
            tracing::info!(format, dir = %self.dir.display(), "bringing the store to a newer format");
            migration(&self.dir)?;
            self.write_current(Current { format, ..current }).map_err(AdoptError::into_error)?;
        }
        Ok(())
    }

    fn generations(&self) -> Result<Vec<u32>, EngineError> {
        let explain = |error: io::Error| file_error(&format!("read {}", self.dir.display()), &error);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            numbers.extend(entry.file_name().to_str().and_then(parse_name));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Whether the rows of generation `number` were ever those in use.
    fn has_counted(&self, number: u32) -> bool {
        let dir = self.generation_dir(number);
        dir.join(DATA).exists() && !dir.join(FILLING).exists()
    }

    /// Removes the mark of a generation that counts. Where this fails, the mark only weakens the check for a lost
    /// `CURRENT`, and the next open tries again.
    fn unmark(&self, number: u32) {
        let dir = self.generation_dir(number);
        let removed = match fs::remove_file(dir.join(FILLING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            removed => removed.and_then(|()| sync_directory(&dir, self.guards)),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, dir = %dir.display(), "the mark of a new generation stays until the next open");
        }
    }

    fn remove_leftovers(&self, generations: &[u32], current: Option<u32>) {
        for number in generations.iter().filter(|number| Some(**number) != current) {
            self.remove(*number);
        }
        // Overwritten when it is next needed; harmless until then.
        let _ = fs::remove_file(self.dir.join(CURRENT_UNFINISHED));
    }
}

impl Current {
    fn to_text(self) -> String {
        format!("format {}\ngeneration {}\n", self.format, name(self.generation))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let format = lines.next()?.strip_prefix("format ")?.parse().ok()?;
        let generation = lines.next()?.strip_prefix("generation ").and_then(parse_name)?;
        Some(Self { format, generation })
    }
}

/// Puts every file below `dir`, and the directories that name them, on disk.
pub(super) fn sync_tree(dir: &Path, guards: Guards) -> Result<(), EngineError> {
    fn sync(dir: &Path, guards: Guards) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                sync(&entry.path(), guards)?;
            } else {
                File::open(entry.path())?.sync_all()?;
            }
        }
        sync_directory(dir, guards)
    }
    sync(dir, guards).map_err(|error| file_error(&format!("sync {}", dir.display()), &error))
}

/// Returns the bytes that the files below `dir` take on disk; what vanishes while we look counts nothing.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
            Err(_) => 0,
        })
        .sum()
}

/// Format 2 has a journal before the rows. Nothing needs to be done: it is made when it is missing from rows that have
/// never had one. But a program that knows of none must not open such a directory.
fn add_journal(_: &Path) -> Result<(), EngineError> {
    Ok(())
}

/// Format 3 has journals whose headers say more. Those of before are read as they are, until they are made anew with the
/// files of rows.
fn sum_journal_headers(_: &Path) -> Result<(), EngineError> {
    Ok(())
}

/// Returns whether rows were ever kept in `dir`.
pub(super) fn holds_rows(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(|name| name == CURRENT || parse_name(name).is_some()))
}

/// Puts on disk which files `dir` holds.
pub(super) fn sync_directory(dir: &Path, guards: Guards) -> io::Result<()> {
    if guards.has(Guard::SyncDirectories) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Makes `dir` and what it lies in, each on disk before the next.
fn make_directory(dir: &Path, guards: Guards) -> Result<(), EngineError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    make_directory(parent, guards)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        made => made.and_then(|()| sync_directory(parent, guards)),
    }
    .map_err(|error| file_error(&format!("make {}", dir.display()), &error))
}

/// How long to wait for the lock. A holder that has died leaves it to a child that it was just starting, which has it
/// until its own program begins: a moment, but on a busy machine a long one.
fn patience(holder: Option<u32>, options: &EngineOptions) -> Duration {
    let holder = holder.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let is_dead = holder.is_some_and(|id| rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH));
    if is_dead { options.lock_wait.max(DEAD_HOLDER_WAIT) } else { options.lock_wait }
}

fn read_holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn name(number: u32) -> String {
    format!("gen-{number:06}")
}

fn parse_name(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("gen-")?;
    let is_number = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[expect(clippy::disallowed_methods, reason = "flock has no time limit of its own; the caller bounds the tries")]
fn pause() {
    std::thread::sleep(LOCK_PAUSE);
}

#[cfg(test)]
mod tests {
    use super::{DEAD_HOLDER_WAIT, EngineOptions, patience};

    #[test]
    fn a_dead_holder_is_given_more_time_than_a_living_one() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let id = child.id();
        child.wait().unwrap();
        let options = EngineOptions::default();
        let waits = [Some(id), Some(std::process::id()), Some(0), None].map(|holder| patience(holder, &options));
        assert_eq!(waits, [DEAD_HOLDER_WAIT, options.lock_wait, options.lock_wait, options.lock_wait]);
    }
}
