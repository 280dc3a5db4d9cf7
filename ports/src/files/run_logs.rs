//! Logs of runs: one for each stage, appended to line by line, each line with its moment.
//!
//! A stage's log is a row of segments, `logs/<stage>/000000` and on. The first is kept, and the last two; those between
//! go as new ones come, and whoever reads is told. A line is `<RFC 3339 moment> <text>`. After a crash the last line may
//! be torn: it is ended when the log is opened again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use tokio::sync::watch;

use super::plain;
use super::runs::{COMPLETE, RunFiles, RunKey};
use super::{FileName, FileRoot, failure};
use crate::error::Error;
use crate::redact::Redacted;

/// Longest line in bytes; a longer one is broken.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Segments of which a full log consists.
const SEGMENTS: u64 = 3;

/// Logs that are open for writing.
#[derive(Default)]
pub(super) struct StageLogs {
    open: Mutex<HashMap<(RunKey, FileName), SharedLog>>,
}

/// A log that stays open as long as somebody writes to it.
type SharedLog = Weak<Mutex<StageLog>>;

/// One stage's log, open for writing.
struct StageLog {
    root: FileRoot,
    folder: PathBuf,
    segment: u32,
    file: File,
    bytes: u64,
    segment_bytes_max: u64,
    /// Whether the last write failed in the middle of a line.
    is_torn: bool,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Of which stage.
    pub stage: FileName,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only of this stage; `None` for all.
    pub stage: Option<FileName>,
    /// Only those written at this moment or later.
    pub since: Option<Timestamp>,
    /// Of those that are there at the beginning, only so many from the end.
    pub tail: Option<u64>,
}

/// What there is of one stage's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// The stage.
    pub stage: FileName,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Whether the middle was dropped.
    pub is_truncated: bool,
    /// Whether nothing will be added any more.
    pub is_complete: bool,
}

impl RunFiles {
    /// Opens the log of a stage for writing. Several writers at once do not cut into each other's lines.
    ///
    /// # Errors
    /// `Retryable` with `DiskFull`, or when it cannot be opened.
    pub fn log(&self, key: &RunKey, stage: &FileName) -> Result<LogWriter, Error> {
        let mut open = self.stages.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, log| log.strong_count() > 0);
        let place = (key.clone(), stage.clone());
        let log = match open.get(&place).and_then(Weak::upgrade) {
            Some(log) => log,
            None => {
                let folder = stage_folder(key, stage);
                let segment_bytes_max = self.limits.stage_log_bytes.div_ceil(SEGMENTS);
                let log = StageLog::open(self.root.clone(), folder, segment_bytes_max)?;
                let log = Arc::new(Mutex::new(log));
                open.insert(place, Arc::downgrade(&log));
                log
            }
        };
        Ok(LogWriter {
            files: self.clone(),
            key: key.clone(),
            log,
            redacted: self.redactor.stream(),
            partial: Vec::new(),
        })
    }

    /// Says that nothing will be added to a stage's log any more: who follows it alone comes to an end.
    ///
    /// # Errors
    /// `Retryable` with `DiskFull`.
    pub fn complete_stage(&self, key: &RunKey, stage: &FileName) -> Result<(), Error> {
        self.root.write(&stage_folder(key, stage).join(COMPLETE), b"")?;
        self.ring(key);
        Ok(())
    }

    /// Returns what there is of each stage's log, in the order in which they began.
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    pub fn logs(&self, key: &RunKey) -> Result<Vec<LogInfo>, Error> {
        let is_run_complete = self.is_complete(key)?;
        let mut logs = Vec::new();
        for stage in self.stage_names(key)? {
            let folder = stage_folder(key, &stage);
            let segments = segments(&self.root, &folder)?;
            let mut bytes = 0;
            for segment in &segments {
                let file = self.root.open_file(&folder.join(segment_name(*segment)))?;
                bytes += file.and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
            }
            let is_truncated = segments.windows(2).any(|pair| pair[1] != pair[0] + 1);
            let is_complete = is_run_complete || self.root.open_file(&folder.join(COMPLETE))?.is_some();
            let began = Cursor::new(self.root.clone(), stage.clone(), folder).peek()?.map(|line| line.at);
            logs.push((began, LogInfo { stage, bytes, is_truncated, is_complete }));
        }
        logs.sort_by(|one, other| (one.0, &one.1.stage).cmp(&(other.0, &other.1.stage)));
        Ok(logs.into_iter().map(|(_, info)| info).collect())
    }

    /// Begins to read the log of a run.
    ///
    /// # Errors
    /// `Retryable` when it cannot be read.
    pub fn read_log(&self, key: &RunKey, filter: LogFilter) -> Result<LogReader, Error> {
        let bell = self.bell(key);
        let mut reader = LogReader {
            files: self.clone(),
            key: key.clone(),
            filter,
            cursors: BTreeMap::new(),
            tail: VecDeque::new(),
            bell,
            is_gone: false,
        };
        if let Some(count) = reader.filter.tail {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let mut tail = VecDeque::new();
            while let Some(line) = reader.next_line()? {
                tail.push_back(line);
                if tail.len() > count {
                    tail.pop_front();
                }
            }
            reader.tail = tail;
        }
        Ok(reader)
    }

    fn stage_names(&self, key: &RunKey) -> Result<Vec<FileName>, Error> {
        let names = self.root.names(&key.folder().join("logs"))?;
        Ok(names.into_iter().filter_map(|name| FileName::new(name).ok()).collect())
    }
}

fn stage_folder(key: &RunKey, stage: &FileName) -> PathBuf {
    key.folder().join("logs").join(stage.as_str())
}

fn segment_name(number: u32) -> String {
    format!("{number:06}")
}

fn segments(root: &FileRoot, folder: &std::path::Path) -> Result<Vec<u32>, Error> {
    Ok(root.names(folder)?.iter().filter_map(|name| name.parse().ok()).collect())
}

impl StageLog {
    fn open(root: FileRoot, folder: PathBuf, segment_bytes_max: u64) -> Result<Self, Error> {
        let segment = segments(&root, &folder)?.last().copied().unwrap_or(0);
        let file = root.open_to_append(&folder.join(segment_name(segment)))?;
        let looked = || -> io::Result<(u64, bool)> {
            let bytes = file.metadata()?.len();
            let mut last = [b'\n'];
            if bytes > 0 {
                std::os::unix::fs::FileExt::read_exact_at(&file, &mut last, bytes - 1)?;
            }
            Ok((bytes, last[0] != b'\n'))
        };
        let (bytes, is_torn) = looked().map_err(|error| failure("the log cannot be opened", error))?;
        Ok(Self { root, folder, segment, file, bytes, segment_bytes_max, is_torn })
    }

    /// Appends whole lines.
    fn append(&mut self, lines: &[u8]) -> Result<(), Error> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.segment_bytes_max {
            self.next_segment()?;
        }
        let ended;
        let lines = if self.is_torn {
            ended = [b"\n", lines].concat();
            &ended
        } else {
            lines
        };
        let before = self.bytes;
        let appended = self.root.append(&mut self.file, lines);
        // What was written of it is found by its length, whatever was said.
        self.bytes = self.file.metadata().map_or(before + lines.len() as u64, |metadata| metadata.len());
        if appended.is_err() {
            self.is_torn |= self.bytes != before;
        } else {
            self.is_torn = false;
        }
        appended.map_err(|error| failure("the log cannot be written", error))
    }

    fn next_segment(&mut self) -> Result<(), Error> {
        let next = self.segment + 1;
        self.file = self.root.open_to_append(&self.folder.join(segment_name(next)))?;
        (self.segment, self.bytes, self.is_torn) = (next, 0, false);
        let oldest_kept = next - 1;
        for dropped in segments(&self.root, &self.folder)?.into_iter().filter(|one| (1..oldest_kept).contains(one)) {
            self.root.remove_path(&self.folder.join(segment_name(dropped)))?;
        }
        Ok(())
    }
}

/// Writes to the log of a stage. What it is given is redacted, made plain and broken into lines.
pub struct LogWriter {
    files: RunFiles,
    key: RunKey,
    log: Arc<Mutex<StageLog>>,
    redacted: Redacted,
    /// The beginning of a line.
    partial: Vec<u8>,
}

impl LogWriter {
    /// Adds output of something, as it comes. Whole lines can be read at once, but for what may be a secret's beginning.
    ///
    /// # Errors
    /// `Retryable` with `DiskFull`: what was given is lost, what comes later need not be.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let clean = self.redacted.push(bytes);
        self.partial.extend(clean);
        let mut lines = Vec::new();
        let mut at = 0;
        loop {
            let rest = &self.partial[at..];
            let end = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
            let length = match end {
                Some(end) => end + 1,
                None if rest.len() >= LINE_BYTES_MAX => LINE_BYTES_MAX,
                None => break,
            };
            lines.push(plain::line(&rest[..length]));
            at += length;
        }
        self.partial.drain(..at);
        self.append(&lines)
    }

    /// Adds a sentence of our own, after what is there of an unfinished line.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn line(&mut self, text: &str) -> Result<(), Error> {
        self.flush()?;
        let lines: Vec<String> = text.lines().map(|line| plain::line(line.as_bytes())).collect();
        self.append(&lines)
    }

    /// Ends an unfinished line.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn flush(&mut self) -> Result<(), Error> {
        let rest = self.redacted.finish();
        self.partial.extend(rest);
        if self.partial.is_empty() {
            return Ok(());
        }
        let partial = std::mem::take(&mut self.partial);
        let lines: Vec<String> = partial.split(|byte| *byte == b'\n').map(plain::line).collect();
        self.append(&lines)
    }

    fn append(&self, lines: &[String]) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = self.files.clock.now();
        let mut bytes = Vec::new();
        for line in lines {
            // Once more: making it plain may have put the parts of a secret together.
            let line = self.files.redactor.text(line);
            bytes.extend(format!("{moment:.6} {line}\n").into_bytes());
        }
        log.append(&bytes)?;
        drop(log);
        self.files.ring(&self.key);
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.flush();
    }
}

/// Reads the log of a run: the stages together, by the moments of their lines.
pub struct LogReader {
    files: RunFiles,
    key: RunKey,
    filter: LogFilter,
    cursors: BTreeMap<FileName, Cursor>,
    tail: VecDeque<LogLine>,
    bell: watch::Receiver<u64>,
    /// Whether the run was removed.
    is_gone: bool,
}

impl LogReader {
    /// Returns the next lines, at most about `bytes_max` bytes of them; none when there are no more (yet).
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    pub fn read(&mut self, bytes_max: usize) -> Result<Vec<LogLine>, Error> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        // What is rung from here on is for the next time.
        self.bell.mark_unchanged();
        while bytes < bytes_max {
            let line = match self.tail.pop_front() {
                Some(line) => Some(line),
                None => self.next_line()?,
            };
            let Some(line) = line else { break };
            bytes += line.text.len() + 1;
            lines.push(line);
        }
        Ok(lines)
    }

    /// Waits until something was added since the last [`read`](Self::read), or the run was removed. Cancel safe.
    pub async fn changed(&mut self) {
        self.is_gone |= self.bell.changed().await.is_err();
    }

    /// Returns whether nothing will be added any more to what is read. Ask before the last [`read`](Self::read).
    ///
    /// # Errors
    /// `Retryable` when that cannot be told.
    pub fn is_complete(&self) -> Result<bool, Error> {
        if self.is_gone || self.files.is_complete(&self.key)? {
            return Ok(true);
        }
        let Some(stage) = &self.filter.stage else { return Ok(false) };
        let mark = stage_folder(&self.key, stage).join(COMPLETE);
        Ok(self.files.root.open_file(&mark)?.is_some())
    }

    fn next_line(&mut self) -> Result<Option<LogLine>, Error> {
        loop {
            self.find_stages()?;
            let mut oldest: Option<(&FileName, Timestamp)> = None;
            for (stage, cursor) in &mut self.cursors {
                let Some(line) = cursor.peek()? else { continue };
                if oldest.is_none_or(|(_, at)| line.at < at) {
                    oldest = Some((stage, line.at));
                }
            }
            let Some((stage, at)) = oldest else { return Ok(None) };
            let stage = stage.clone();
            let line = self.cursors.get_mut(&stage).and_then(|cursor| cursor.peeked.take());
            if self.filter.since.is_none_or(|since| at >= since) {
                return Ok(line);
            }
        }
    }

    /// Looks for stages that began since.
    fn find_stages(&mut self) -> Result<(), Error> {
        let waits = self.cursors.values().any(|cursor| cursor.peeked.is_some());
        if waits {
            return Ok(());
        }
        for stage in self.files.stage_names(&self.key)? {
            let is_wanted = self.filter.stage.as_ref().is_none_or(|wanted| *wanted == stage);
            if is_wanted && !self.cursors.contains_key(&stage) {
                let cursor = Cursor::new(self.files.root.clone(), stage.clone(), stage_folder(&self.key, &stage));
                self.cursors.insert(stage, cursor);
            }
        }
        Ok(())
    }
}

/// A place in the log of one stage.
struct Cursor {
    root: FileRoot,
    stage: FileName,
    folder: PathBuf,
    segment: Option<u32>,
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    peeked: Option<LogLine>,
    last: Timestamp,
}

impl Cursor {
    fn new(root: FileRoot, stage: FileName, folder: PathBuf) -> Self {
        let (segment, file, partial, peeked) = (None, None, Vec::new(), None);
        Self { root, stage, folder, segment, file, partial, peeked, last: Timestamp::UNIX_EPOCH }
    }

    /// Returns the next line without taking it.
    fn peek(&mut self) -> Result<Option<&LogLine>, Error> {
        while self.peeked.is_none() && !self.read_line()? {
            let numbers = segments(&self.root, &self.folder)?;
            let next = numbers.into_iter().find(|number| self.segment.is_none_or(|now| *number > now));
            let Some(next) = next else { break };
            // Only now is this segment certain to be at its end.
            if !self.read_line()? {
                self.go_to(next)?;
            }
        }
        Ok(self.peeked.as_ref())
    }

    /// Reads a line from the present segment, if it has a whole one.
    fn read_line(&mut self) -> Result<bool, Error> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let read = file.read_until(b'\n', &mut self.partial);
        read.map_err(|error| failure("the log cannot be read", error))?;
        let is_whole = self.partial.ends_with(b"\n");
        if is_whole {
            let line = std::mem::take(&mut self.partial);
            self.peeked = Some(self.parse(&line));
        }
        Ok(is_whole)
    }

    /// Goes on to another segment, and says so when there were some between.
    fn go_to(&mut self, next: u32) -> Result<(), Error> {
        // It may have been dropped between the two looks; then a later one is there.
        let Some(file) = self.root.open_file(&self.folder.join(segment_name(next)))? else { return Ok(()) };
        let left_out = next - self.segment.map_or(0, |now| now + 1);
        (self.segment, self.file) = (Some(next), Some(BufReader::new(file)));
        self.partial.clear();
        if left_out > 0 {
            let text = format!("[the log was too long: {left_out} parts of it were left out here]");
            self.peeked = Some(LogLine { stage: self.stage.clone(), at: self.last, text });
        }
        Ok(())
    }

    fn parse(&mut self, line: &[u8]) -> LogLine {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\n');
        let parsed = text.split_once(' ').and_then(|(moment, rest)| Some((moment.parse::<Timestamp>().ok()?, rest)));
        // A line that was torn has the moment of the one before it.
        let (at, text) = parsed.unwrap_or((self.last, text));
        self.last = at;
        LogLine { stage: self.stage.clone(), at, text: text.to_owned() }
    }
}
