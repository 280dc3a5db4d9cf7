//! The journal: two files that take turns, in which a batch is on disk before the rows have it.
//!
//! ```text
//! DIR/journal-0    header in the first 4 KiB, then frames, each at a multiple of 8 bytes
//! DIR/journal-1    the same
//!
//! header           magic | salt u64 | after u64 | crc32c u32
//! frame            salt u64 | number u64 | payload bytes u32 | crc32c u32 | payload | zeros up to a multiple of 8
//! payload          puts u32, each: key bytes u16 | value bytes u16 | key | value; deletes u32, each: key bytes u16 | key
//! ```
//!
//! A file is left alone until the rows have all of its frames; then it is written again from its beginning. Until then the
//! other one grows, up to some times the size at which it would have stopped. Files never shrink, and grow by zeros ahead
//! of their frames: so a sync mostly has no metadata to write, which halves the time it takes. Frames have consecutive
//! numbers, and one is synced before the next is written. So a frame that does not add up is the last one, never
//! acknowledged; or, if a frame with a higher number adds up, damage.
//!
//! `after` is the number of a batch that the rows had on disk, with all before it, when the file was made. Rows that have
//! less have lost something: without it, rows that a broken disk has emptied would pass for new ones when there is no
//! frame to miss any. Files of format 2 of the directory have neither it nor a checksum.
//!
//! The salt is random and secret: nothing that a client lets us store can pass for a frame.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::layout::sync_directory;
use super::{Batch, EngineError, file_error};
use crate::guards::{Guard, Guards};

#[cfg(test)]
mod tests;

const NAMES: [&str; 2] = ["journal-0", "journal-1"];
/// What a file that is being made is called, behind its name.
const UNFINISHED: &str = ".unfinished";
/// Says what the file is, and in which format.
const MAGIC: &[u8; 8] = b"ccjrnl\0\x02";
/// The same, of a header with nothing but the salt.
const MAGIC_SALT_ONLY: &[u8; 8] = b"ccjrnl\0\x01";
/// What the checksum of the header covers.
const HEADER_SUMMED_BYTES: usize = 24;
/// Where the first frame begins: the header's page is never written again.
const FRAMES_AT: usize = 4096;
const FRAME_HEADER_BYTES: usize = 24;
const ALIGNMENT: usize = 8;
/// How far a file grows ahead of its frames. The sync after it has metadata to write: it is to be one of a thousand.
const GROWTH_BYTES: u64 = 1 << 20;

/// How many times [`JournalLimits::part_bytes`](super::JournalLimits::part_bytes) a file may have while the rows do not have
/// all of the other one.
const PART_MAX: u64 = 4;

/// A batch in the journal, and its place in the order of all batches, from 1.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub number: u64,
    /// Of the whole frame.
    pub bytes: usize,
    file: Arc<File>,
    salt: u64,
    at: u64,
}

/// Changes of rows, as frames have them.
pub(super) struct Changes {
    buffers: Vec<Bytes>,
    /// Buffer and place of each frame's payload, in the order of the frames.
    payloads: Vec<(usize, Range<usize>)>,
}

/// An open journal.
pub(super) struct Journal {
    dir: PathBuf,
    parts: [Part; 2],
    /// The part that is written.
    current: usize,
    /// Number of the frame that was written last.
    last: u64,
    /// Size at which the other part's turn comes, in bytes.
    part_bytes: u64,
    guards: Guards,
    /// The frame that is being written; kept for its memory.
    buffer: Vec<u8>,
}

/// One of the files.
struct Part {
    path: PathBuf,
    file: Arc<File>,
    salt: u64,
    /// Where the next frame goes.
    end: u64,
    /// Bytes that the file has.
    length: u64,
    /// Number of its newest frame; 0 if there is none that counts.
    newest: u64,
}

/// What a file was found to hold.
struct Found {
    part: Part,
    frames: Vec<Frame>,
    /// The rows must have the batches up to this one.
    after: u64,
}

impl Journal {
    /// Opens the journal in `dir`, of whose frames the rows have those up to `applied`; returns the others in their order.
    ///
    /// Rows that have never had a frame (`None`) have no journal yet: it is made.
    ///
    /// # Errors
    /// `Corrupt` when a file is missing or frames are, `Full` and `Io` when the file system refuses.
    pub(super) fn open(
        dir: &Path,
        applied: Option<u64>,
        part_bytes: u64,
        guards: Guards,
    ) -> Result<(Self, Vec<Frame>), EngineError> {
        let counts = applied.unwrap_or_default();
        for name in NAMES {
            // Left by a first open that was cut short; there is nothing in it, and it matters to nobody.
            let _ = fs::remove_file(dir.join(format!("{name}{UNFINISHED}")));
        }
        let [first, second] = NAMES.map(|name| {
            let path = dir.join(name);
            if applied.is_none() && !path.exists() {
                let part = Part::make(dir, path, 0, guards)?;
                return Ok(Found { part, frames: Vec::new(), after: 0 });
            }
            Part::read(path, counts, guards)
        });
        let (first, second) = (first?, second?);
        let after = first.after.max(second.after);
        if after > counts {
            return Err(EngineError::Corrupt(format!(
                "the rows have batches up to {counts} only, although the journal in {} was begun when they had those up to \
                 {after}",
                dir.display()
            )));
        }
        let mut parts = [first.part, second.part];
        let mut frames = first.frames;
        frames.extend(second.frames);
        frames.sort_unstable_by_key(|frame| frame.number);
        for (expected, frame) in (counts + 1..).zip(&frames) {
            if frame.number != expected {
                return Err(EngineError::Corrupt(format!(
                    "batch {expected} is missing in the journal in {}, although it holds batch {}",
                    dir.display(),
                    frame.number
                )));
            }
        }
        if frames.is_empty() {
            // Nothing in them counts any more.
            for part in &mut parts {
                part.end = FRAMES_AT as u64;
            }
        }
        let last = frames.last().map_or(counts, |frame| frame.number);
        let current = usize::from(parts[1].newest > parts[0].newest);
        let journal = Self { dir: dir.to_owned(), parts, current, last, part_bytes, guards, buffer: Vec::new() };
        Ok((journal, frames))
    }

    /// Puts `batch` on disk and returns its frame; the rows have the frames up to `applied`. When a file must be written
    /// again, `wait` is asked to return once they have the frame with the number it is given.
    ///
    /// # Errors
    /// Those of `wait`, and `Full`, leave the journal as it was. `Io` is final: what is on disk shows at the next open.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        applied: u64,
        wait: impl FnOnce(u64) -> Result<(), EngineError>,
    ) -> Result<Frame, EngineError> {
        let number = self.last + 1;
        let (mut current, mut at) = (self.current, self.parts[self.current].end);
        encode(batch, &mut self.buffer);
        let bytes = self.buffer.len() as u64;
        if at + bytes > self.part_bytes && at > FRAMES_AT as u64 {
            let newest = self.parts[1 - current].newest;
            let is_last_chance = at + bytes > self.part_bytes.saturating_mul(PART_MAX);
            if newest > applied && is_last_chance {
                wait(newest)?;
            }
            if newest <= applied || is_last_chance {
                current = 1 - current;
                at = FRAMES_AT as u64;
            }
        }
        let part = &mut self.parts[current];
        seal(&mut self.buffer, part.salt, number);
        part.grow(at + bytes, self.part_bytes)?;
        part.write(&self.buffer, at)?;
        part.sync(self.guards)?;
        part.end = at + bytes;
        part.newest = number;
        self.current = current;
        self.last = number;
        Ok(Frame { number, bytes: self.buffer.len(), file: part.file.clone(), salt: part.salt, at })
    }

    /// Returns the number of the frame that was written last.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Begins afresh, in new files: the rows have everything, and nothing of the old files is to remain on disk.
    ///
    /// # Errors
    /// `Full` or `Io`; the old files go on being used then, which is as good but for what remains.
    pub(super) fn begin_afresh(&mut self) -> Result<(), EngineError> {
        for part in &mut self.parts {
            *part = Part::make(&self.dir, part.path.clone(), self.last, self.guards)?;
        }
        self.current = 0;
        Ok(())
    }
}

impl Part {
    /// Makes an empty file at `path`, in the place of one that may be there; the rows have the batches up to `after`.
    fn make(dir: &Path, path: PathBuf, after: u64, guards: Guards) -> Result<Self, EngineError> {
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let salt = uuid::Uuid::new_v4().as_u64_pair().0;
        let mut header = vec![0; FRAMES_AT];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&salt.to_le_bytes());
        header[16..24].copy_from_slice(&after.to_le_bytes());
        let sum = crc32c::crc32c(&header[..HEADER_SUMMED_BYTES]);
        header[24..28].copy_from_slice(&sum.to_le_bytes());
        let made =
            File::options().read(true).write(true).create(true).truncate(true).open(&unfinished).and_then(|file| {
                file.write_all_at(&header, 0)?;
                file.sync_all()?;
                fs::rename(&unfinished, &path)?;
                sync_directory(dir, guards)?;
                Ok(file)
            });
        let file = made.map_err(|error| file_error(&format!("make {}", path.display()), &error))?;
        Ok(Self { path, file: Arc::new(file), salt, end: FRAMES_AT as u64, length: FRAMES_AT as u64, newest: 0 })
    }

    /// Reads the file at `path` with those of its frames that come after `applied`.
    fn read(path: PathBuf, applied: u64, guards: Guards) -> Result<Found, EngineError> {
        let explain = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                return EngineError::Corrupt(format!("{} is missing; it may hold the newest changes", path.display()));
            }
            file_error(&format!("read {}", path.display()), &error)
        };
        let file = Arc::new(File::options().read(true).write(true).open(&path).map_err(explain)?);
        let bytes = fs::read(&path).map_err(explain)?;
        let Some((salt, after)) = header_of(&bytes) else {
            return Err(EngineError::Corrupt(format!("{} is no journal of this program", path.display())));
        };
        let (mut end, mut newest, mut frames) = (FRAMES_AT, 0, Vec::new());
        let mut at = FRAMES_AT;
        while at + FRAME_HEADER_BYTES <= bytes.len() {
            let Some((number, payload)) = frame_at(&bytes[at..], salt, guards) else {
                at += ALIGNMENT;
                continue;
            };
            let bytes = frame_bytes(payload.len());
            if number > applied {
                visit_rows(payload, |_, _| ()).ok_or_else(|| {
                    EngineError::Corrupt(format!("batch {number} in {} is malformed", path.display()))
                })?;
                frames.push(Frame { number, bytes, file: file.clone(), salt, at: at as u64 });
            }
            at += bytes;
            if number > newest {
                newest = number;
                end = at;
            }
        }
        let part = Self { path, file, salt, end: end as u64, length: bytes.len() as u64, newest };
        Ok(Found { part, frames, after })
    }

    /// Makes the file at least `end` bytes long, and longer, but not beyond `part_bytes` without need.
    fn grow(&mut self, end: u64, part_bytes: u64) -> Result<(), EngineError> {
        if end <= self.length {
            return Ok(());
        }
        let length = end.max((self.length + GROWTH_BYTES).min(part_bytes));
        let zeros = vec![0; usize::try_from(length - self.length).expect("files are of a few MiB")];
        self.write(&zeros, self.length)?;
        self.length = length;
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), EngineError> {
        // Of a frame that is refused not everything is written: it does not add up.
        self.file.write_all_at(bytes, at).map_err(|error| file_error("write rows into the journal", &error))
    }

    /// An error is final: the kernel forgets what it could not write.
    fn sync(&self, guards: Guards) -> Result<(), EngineError> {
        if !guards.has(Guard::SyncJournal) {
            return Ok(());
        }
        match rustix::fs::fdatasync(&self.file) {
            Err(error) if guards.has(Guard::StopAfterFailedSync) => {
                Err(EngineError::Io(format!("cannot sync the journal to disk: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Frame {
    /// Where the frame ends.
    fn end(&self) -> u64 {
        self.at + self.bytes as u64
    }

    fn is_followed_by(&self, next: &Self) -> bool {
        Arc::ptr_eq(&self.file, &next.file) && self.end() == next.at
    }
}

impl Changes {
    /// Reads `frames`, which are in the order of their numbers.
    ///
    /// # Errors
    /// `Io` when a file cannot be read, `Corrupt` when it does not hold what was written.
    pub(super) fn read(frames: &[Frame]) -> Result<Self, EngineError> {
        let mut changes = Self { buffers: Vec::new(), payloads: Vec::with_capacity(frames.len()) };
        for together in frames.chunk_by(Frame::is_followed_by) {
            let (first, last) = (&together[0], &together[together.len() - 1]);
            let mut buffer = vec![0; usize::try_from(last.end() - first.at).expect("files are of a few MiB")];
            first.file.read_exact_at(&mut buffer, first.at).map_err(|error| {
                EngineError::Io(format!("cannot read batches {} to {} back: {error}", first.number, last.number))
            })?;
            let mut start = 0;
            for frame in together {
                let payload = match frame_at(&buffer[start..start + frame.bytes], frame.salt, Guards::all()) {
                    Some((number, payload)) if number == frame.number => payload.len(),
                    _ => return Err(EngineError::Corrupt(format!("batch {} is not what was written", frame.number))),
                };
                let payload_at = start + FRAME_HEADER_BYTES;
                changes.payloads.push((changes.buffers.len(), payload_at..payload_at + payload));
                start += frame.bytes;
            }
            changes.buffers.push(Bytes::from(buffer));
        }
        Ok(changes)
    }

    /// Returns each row that is changed as it was left last: its value, or `None` if it went.
    ///
    /// # Errors
    /// `Corrupt` when a frame is malformed, although its checksum is right.
    pub(super) fn rows(&self) -> Result<BTreeMap<&[u8], Option<Bytes>>, EngineError> {
        let mut rows = BTreeMap::new();
        for (buffer, payload) in &self.payloads {
            let buffer = &self.buffers[*buffer];
            let whole = visit_rows(&buffer[payload.clone()], |key, value| {
                rows.insert(key, value.map(|value| buffer.slice_ref(value)));
            });
            whole.ok_or_else(|| EngineError::Corrupt("a batch of the journal is malformed".to_owned()))?;
        }
        Ok(rows)
    }
}

/// Writes `batch` into `frame`, with room for what [`seal`] adds.
fn encode(batch: &Batch, frame: &mut Vec<u8>) {
    frame.clear();
    frame.resize(FRAME_HEADER_BYTES, 0);
    frame.extend_from_slice(&count(batch.puts.len()).to_le_bytes());
    for (key, value) in &batch.puts {
        frame.extend_from_slice(&short(key.len()).to_le_bytes());
        frame.extend_from_slice(&short(value.len()).to_le_bytes());
        frame.extend_from_slice(key);
        frame.extend_from_slice(value);
    }
    frame.extend_from_slice(&count(batch.deletes.len()).to_le_bytes());
    for key in &batch.deletes {
        frame.extend_from_slice(&short(key.len()).to_le_bytes());
        frame.extend_from_slice(key);
    }
    let payload = count(frame.len() - FRAME_HEADER_BYTES);
    frame[16..20].copy_from_slice(&payload.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGNMENT), 0);
}

/// Gives the frame that [`encode`] wrote its number and its checksum.
fn seal(frame: &mut [u8], salt: u64, number: u64) {
    frame[..8].copy_from_slice(&salt.to_le_bytes());
    frame[8..16].copy_from_slice(&number.to_le_bytes());
    let end = FRAME_HEADER_BYTES + read_u32(frame, 16) as usize;
    let sum = checksum(frame, end);
    frame[20..24].copy_from_slice(&sum.to_le_bytes());
}

/// Returns salt and `after` of a file that begins with a header which adds up.
fn header_of(bytes: &[u8]) -> Option<(u64, u64)> {
    let header = bytes.get(..FRAMES_AT)?;
    match header.first_chunk()? {
        MAGIC if read_u32(header, 24) == crc32c::crc32c(&header[..HEADER_SUMMED_BYTES]) => {
            Some((read_u64(header, 8), read_u64(header, 16)))
        }
        MAGIC_SALT_ONLY => Some((read_u64(header, 8), 0)),
        _ => None,
    }
}

/// Returns number and payload of the frame that `bytes` begin with, if one does that adds up.
fn frame_at(bytes: &[u8], salt: u64, guards: Guards) -> Option<(u64, &[u8])> {
    if bytes.get(..8)? != salt.to_le_bytes() || bytes.len() < FRAME_HEADER_BYTES {
        return None;
    }
    let end = FRAME_HEADER_BYTES.checked_add(read_u32(bytes, 16) as usize)?;
    if end > bytes.len() || (checksum(bytes, end) != read_u32(bytes, 20) && guards.has(Guard::JournalChecksum)) {
        return None;
    }
    Some((read_u64(bytes, 8), &bytes[FRAME_HEADER_BYTES..end]))
}

/// Over all of a frame but the checksum itself.
fn checksum(frame: &[u8], end: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..20]), &frame[FRAME_HEADER_BYTES..end])
}

/// Shows every row that `payload` changes, in the order of the changes: its value, or `None` for one that goes. Returns
/// `None` when it is malformed.
fn visit_rows<'a>(payload: &'a [u8], mut visit: impl FnMut(&'a [u8], Option<&'a [u8]>)) -> Option<()> {
    let mut rest = payload;
    for _ in 0..u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?) {
        let (key, value) = (take_short(&mut rest)?, take_short(&mut rest)?);
        visit(rest.split_off(..key)?, Some(rest.split_off(..value)?));
    }
    for _ in 0..u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?) {
        let key = take_short(&mut rest)?;
        visit(rest.split_off(..key)?, None);
    }
    rest.is_empty().then_some(())
}

fn take_short(rest: &mut &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*rest.split_off(..2)?.first_chunk()?)))
}

/// Returns the bytes that a frame with `payload` bytes takes.
fn frame_bytes(payload: usize) -> usize {
    (FRAME_HEADER_BYTES + payload).next_multiple_of(ALIGNMENT)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("the committer bounds its groups to a few MiB")
}

fn short(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("the batch was checked: keys and rows are short")
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller looked at the length"))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller looked at the length"))
}
