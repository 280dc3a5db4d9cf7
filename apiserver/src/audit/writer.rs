//! The thread that owns the audit file: appends lines, puts full files aside, says how much was lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::clock::Clock;

/// How long lines gather before they are written together. A thread that slept for each line alone would have to be woken
/// by every request, which cost a busy server more than the lines themselves.
const GATHER: Duration = Duration::from_millis(20);

/// Where and how much is written.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// The log; older parts lie beside it with their time in the name.
    pub path: PathBuf,
    /// Size at which the log is put aside.
    pub file_bytes_max: u64,
    /// Older parts that are kept.
    pub files_max: usize,
    /// Lines that may wait for the disk. When they do, further lines are lost and counted.
    pub queue_max: usize,
}

/// Why the audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open audit log {path}: {source}; set audit.path to a place that can be written, or audit.enabled = false")]
pub struct AuditError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Takes lines from anywhere and writes them in one place.
pub struct AuditWriter {
    /// Emptied by `close`, which ends the thread once the queue is written.
    sender: ArcSwapOption<Sender<String>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
}

impl AuditWriter {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// When the file or its directory cannot be made.
    pub fn open(settings: WriterSettings, clock: Clock) -> Result<Self, AuditError> {
        let failed = |source| AuditError { path: settings.path.clone(), source };
        if let Some(directory) = settings.path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let file = open_append(&settings.path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        // This one takes memory as it fills; the standard library's takes it all at once.
        let (sender, receiver) = channel(settings.queue_max);
        let lost = Arc::new(AtomicU64::new(0));
        let log = LogFile { file: BufWriter::new(file), size, settings, clock, lost: Arc::clone(&lost), told: 0 };
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || log.run(receiver))
            .map_err(|source| AuditError { path: PathBuf::from("audit"), source })?;
        Ok(Self { sender: ArcSwapOption::from_pointee(sender), thread: Mutex::new(Some(thread)), lost })
    }

    /// Queues a line; never waits.
    pub(super) fn send(&self, line: String) {
        let sender = self.sender.load();
        let result = sender.as_ref().map_or(Err(TrySendError::Full(String::new())), |sender| sender.try_send(line));
        if result.is_err() {
            // The thread reports the number when it gets to the end of its queue.
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many lines were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes what is queued and ends the thread.
    pub(super) fn close(&self) {
        self.sender.store(None);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // The thread catches its own errors; a panic there has been printed already.
            let _ = thread.join();
        }
    }
}

struct LogFile {
    file: BufWriter<File>,
    size: u64,
    settings: WriterSettings,
    clock: Clock,
    lost: Arc<AtomicU64>,
    told: u64,
}

impl LogFile {
    fn run(mut self, mut receiver: Receiver<String>) {
        while let Some(line) = receiver.blocking_recv() {
            self.append(&line);
            gather();
            while let Ok(line) = receiver.try_recv() {
                self.append(&line);
            }
            self.tell_losses();
            if let Err(error) = self.file.flush() {
                self.failed(&error);
            }
        }
        self.tell_losses();
        let _ = self.file.flush();
        let _ = self.file.get_ref().sync_all();
    }

    fn append(&mut self, line: &str) {
        if self.size > 0
            && self.size + line.len() as u64 + 1 > self.settings.file_bytes_max
            && let Err(error) = self.rotate()
        {
            self.failed(&error);
        }
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        match written {
            Ok(()) => self.size += line.len() as u64 + 1,
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.failed(&error);
            }
        }
    }

    /// Puts the full log aside under its time and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let aside = free_name(&self.settings.path, self.clock.now());
        fs::rename(&self.settings.path, aside)?;
        self.file = BufWriter::new(open_append(&self.settings.path)?);
        self.size = 0;
        let older = older_parts(&self.settings.path)?;
        let surplus = older.len().saturating_sub(self.settings.files_max);
        older.iter().take(surplus).try_for_each(fs::remove_file)
    }

    fn tell_losses(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == self.told {
            return;
        }
        let new = lost - self.told;
        self.told = lost;
        tracing::error!("{new} audit events were lost because the disk was too slow; {lost} since the start");
        let line = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "Panic", "verb": "lost",
            "stageTimestamp": self.clock.now().to_string(),
            "annotations": {"ci.coopcloud.tech/events-lost": new.to_string()},
        });
        let text = format!("{line}\n");
        if self.file.write_all(text.as_bytes()).is_ok() {
            self.size += text.len() as u64;
        }
    }

    fn failed(&self, error: &io::Error) {
        tracing::error!("failed to write audit log {}: {error}", self.settings.path.display());
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread does nothing else, and closing waits this moment for it")]
fn gather() {
    std::thread::sleep(GATHER);
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Returns `audit-20261121T080500.000123Z.log` beside `audit.log`; names sort by time.
fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let time = now.strftime("%Y%m%dT%H%M%S.%6fZ");
    let mut number = 0;
    loop {
        let candidate = path.with_file_name(format!("{stem}-{time}-{number:04}.log"));
        if !candidate.exists() {
            return candidate;
        }
        number += 1;
    }
}

/// Returns the parts that were put aside, oldest first.
fn older_parts(path: &Path) -> io::Result<Vec<PathBuf>> {
    let stem = format!("{}-", path.file_stem().unwrap_or_default().to_string_lossy());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut parts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let time = name.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(".log"));
        if time.is_some_and(|time| time.starts_with(|first: char| first.is_ascii_digit())) {
            parts.push(directory.join(name));
        }
    }
    parts.sort();
    Ok(parts)
}
