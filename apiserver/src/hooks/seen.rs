//! Deliveries that were seen, for a while, and over a restart.
//!
//! What is known stands in a file of records, 24 bytes each: the time in seconds, and the beginning of the mark's SHA-256.
//! New ones are put behind the others without waiting for the disk: after a power cut the last few may be unknown, and a
//! delivery that comes again rings once more, which makes a Repository ask its forge and nothing else.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};

use crate::data_dir::write_private_file;

/// Bytes of a record.
const RECORD_BYTES: usize = 24;
/// The file is written anew when it holds so many times the marks that are known at most.
const FILE_FACTOR: usize = 4;

/// What a delivery is known by: the beginning of a hash, long enough that no two are alike.
type Mark = [u8; 16];

/// Remembers marks for a time, and so many of them at most: the oldest go first.
pub(super) struct Seen {
    most: usize,
    window: SignedDuration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashSet<Mark>,
    order: VecDeque<(Mark, Timestamp)>,
    file: Option<SeenFile>,
}

/// The file, open at its end.
struct SeenFile {
    path: PathBuf,
    open: File,
    records: usize,
}

impl Seen {
    /// Returns a memory that ends with the process.
    pub(super) fn new(most: usize, window: SignedDuration) -> Self {
        Self { most, window, state: Mutex::default() }
    }

    /// Returns a memory that goes on from a file. Without one that can be used it ends with the process.
    pub(super) fn kept_in(path: &Path, most: usize, window: SignedDuration, now: Timestamp) -> Self {
        let seen = Self::new(most, window);
        let mut state = State::default();
        match read(path, most * FILE_FACTOR) {
            Ok(records) => {
                for (mark, at) in records {
                    state.insert(mark, at);
                }
                state.forget(most, window, now);
                state.open(path, most);
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "deliveries of webhooks are not known over a restart");
            }
        }
        Self { state: Mutex::new(state), ..seen }
    }

    /// Returns whether one of `marks` is known, and knows all of them from now on.
    pub(super) fn is_known(&self, marks: &[String], now: Timestamp) -> bool {
        let marks: Vec<Mark> = marks.iter().map(|mark| short(mark)).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(self.most, self.window, now);
        let is_known = marks.iter().any(|mark| state.known.contains(mark));
        let new: Vec<Mark> = marks.into_iter().filter(|mark| state.insert(*mark, now)).collect();
        state.forget(self.most, self.window, now);
        state.append(&new, now, self.most);
        is_known
    }
}

impl State {
    /// Returns whether it is new.
    fn insert(&mut self, mark: Mark, at: Timestamp) -> bool {
        let is_new = self.known.insert(mark);
        if is_new {
            self.order.push_back((mark, at));
        }
        is_new
    }

    /// Forgets what is too old, and what is too much. A clock that was put back a long way counts as one that went on.
    fn forget(&mut self, most: usize, window: SignedDuration, now: Timestamp) {
        while let Some((mark, at)) = self.order.front()
            && (self.order.len() > most || now.duration_since(*at).abs() >= window)
        {
            self.known.remove(mark);
            self.order.pop_front();
        }
    }

    fn append(&mut self, new: &[Mark], now: Timestamp, most: usize) {
        let Some(file) = &mut self.file else { return };
        if file.records + new.len() > most * FILE_FACTOR {
            let path = file.path.clone();
            self.write_anew(&path);
            return;
        }
        let bytes: Vec<u8> = new.iter().flat_map(|mark| record(mark, now)).collect();
        file.records += new.len();
        if let Err(error) = file.open.write_all(&bytes) {
            // Half a record would make all that follow unreadable.
            tracing::warn!(path = %file.path.display(), %error, "deliveries of webhooks are not known over a restart");
            self.file = None;
        }
    }

    /// Opens the file at its end. One that ends in the middle of a record, or is long, is written anew.
    fn open(&mut self, path: &Path, most: usize) {
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let length = opened.as_ref().ok().and_then(|open| open.metadata().ok()).map(|found| found.len());
        let records = length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default() / RECORD_BYTES;
        let is_whole = length.is_some_and(|length| length % RECORD_BYTES as u64 == 0);
        match opened {
            Ok(open) if is_whole && records <= most * FILE_FACTOR / 2 => {
                self.file = Some(SeenFile { path: path.to_owned(), open, records });
            }
            _ => self.write_anew(path),
        }
    }

    /// Writes a file with what is known and nothing else.
    fn write_anew(&mut self, path: &Path) {
        let bytes: Vec<u8> = self.order.iter().flat_map(|(mark, at)| record(mark, *at)).collect();
        let opened = write_private_file(path, &bytes).and_then(|()| OpenOptions::new().append(true).open(path));
        self.file = match opened {
            Ok(open) => Some(SeenFile { path: path.to_owned(), open, records: self.order.len() }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "deliveries of webhooks are not known over a restart");
                None
            }
        };
    }
}

fn short(mark: &str) -> Mark {
    let hash = digest(&SHA256, mark.as_bytes());
    let mut short = Mark::default();
    short.copy_from_slice(&hash.as_ref()[..16]);
    short
}

fn record(mark: &Mark, at: Timestamp) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&at.as_second().to_be_bytes());
    record[8..].copy_from_slice(mark);
    record
}

/// Reads at most so many records. Half a record at the end is left out, and so are times that are none.
fn read(path: &Path, most: usize) -> io::Result<Vec<(Mark, Timestamp)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take((most * RECORD_BYTES) as u64).read_to_end(&mut bytes)?;
    let records = bytes.chunks_exact(RECORD_BYTES).filter_map(|record| {
        let (seconds, mark) = record.split_at(8);
        let at = Timestamp::from_second(i64::from_be_bytes(seconds.try_into().ok()?)).ok()?;
        Some((Mark::try_from(mark).ok()?, at))
    });
    Ok(records.collect())
}
