//! An engine whose batches are in a journal before its rows have them: one small write and one sync on the way of a
//! writer, everything else later and for many at once.
//!
//! [`Journaled::commit`] appends to the [journal](super::journal) and returns. A thread of its own, the applier, reads
//! what has gathered there, keeps of each row only what was written last, and commits it to the rows together with the
//! number of the last frame that is in it; `journaled/pace.rs` says when. An open goes on where that number says. So the
//! rows are always what they would be without a journal, only a little behind; and whatever can be said of them after a
//! power cut is still true.
//!
//! When the rows have no room, what is in the journal waits, and the next commit is refused unless they have some again.
//! Any other failure of theirs ends all writing; what the journal has is there after the next open.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::journal::{Changes, Frame, Journal};
use super::room::Room;
use super::{Batch, Engine, EngineError, EngineOptions, Generation, Visit};

mod filling;
mod pace;
#[cfg(test)]
mod tests;

use filling::{Filling, Turns};
use pace::Pace;

/// The row that says up to which frame the rows have everything. No row of the store begins with a zero.
const APPLIED_KEY: &[u8] = b"\0applied";

/// A writer waits while so many times [`JournalLimits::apply_bytes`] wait: each a little, rather than some for long.
const BACKLOG_MAX: usize = 28;

/// How large the journal becomes, and how far the rows may be behind it.
#[derive(Clone, Copy, Debug)]
pub struct JournalLimits {
    /// Size of each of its two files, in bytes; four times as much while the rows do not have all of the other one, and
    /// more for a single larger batch.
    pub part_bytes: u64,
    /// Most bytes that are brought to the rows at once. From so many on they follow many writers; a lone one may leave some
    /// times as much behind until it pauses.
    pub apply_bytes: usize,
    /// They follow after this time even if it is less.
    pub apply_after: Duration,
}

impl Default for JournalLimits {
    fn default() -> Self {
        // Many times more would cost memory: sled keeps what a batch replaces until the batch ends.
        Self { part_bytes: 8 << 20, apply_bytes: 1 << 20, apply_after: Duration::from_millis(500) }
    }
}

/// `E` behind a journal.
pub(crate) struct Journaled<E: Engine + 'static> {
    writer: Mutex<Writer>,
    rows: Arc<Rows<E>>,
}

/// What writes the journal.
struct Writer {
    journal: Journal,
    room: Room,
    /// Why nothing more is written.
    failed: Option<EngineError>,
    /// Started by the first commit, so that an engine that is only read changes nothing.
    applier: Option<JoinHandle<()>>,
}

/// The engine below, and what it does not have yet. Shared with the applier.
struct Rows<E> {
    engine: E,
    limits: JournalLimits,
    /// Whose turn it is while a generation is being filled.
    turns: Arc<Turns>,
    /// Held while something is under way from the backlog to the rows. Taken before `backlog`.
    turn: Mutex<()>,
    backlog: Mutex<Backlog>,
    /// Rung for the applier.
    work: Condvar,
    /// Rung by the applier after each attempt.
    attempted: Condvar,
}

/// What is in the journal, and not yet in the rows.
#[derive(Default)]
struct Backlog {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Bytes of all frames that there have been since the open.
    arrived: u64,
    /// Number of the last frame that the rows have.
    applied: u64,
    /// Somebody waits for the attempt that is to come, or is under way.
    is_urgent: bool,
    is_closing: bool,
    /// Ended attempts.
    attempts: u64,
    /// What the last attempt ended with, if the rows had no room.
    full: Option<EngineError>,
    /// Why the rows take nothing more.
    failed: Option<EngineError>,
}

impl<E: Engine + 'static> Journaled<E> {
    /// Puts the journal in `dir` before `engine`, whose rows lie in the same directory.
    ///
    /// # Errors
    /// As [`super::open`].
    pub(crate) fn open(engine: E, dir: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        let applied = match engine.get(APPLIED_KEY)? {
            Some(row) => Some(u64::from_le_bytes(row.as_slice().try_into().map_err(|_| {
                EngineError::Corrupt("the row that says what was taken from the journal is malformed".to_owned())
            })?)),
            None => None,
        };
        let limits = options.journal;
        let (journal, frames) = Journal::open(dir, applied, limits.part_bytes, options.guards)?;
        if applied.is_none() {
            // From now on a journal that is missing is a loss. Rows without room are shown all the same, and told later.
            match engine.commit(Batch { puts: vec![applied_row(0)], deletes: Vec::new() }) {
                Ok(()) | Err(EngineError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let backlog = Backlog {
            bytes: frames.iter().map(|frame| frame.bytes).sum(),
            frames: frames.into(),
            applied: applied.unwrap_or_default(),
            ..Backlog::default()
        };
        let rows = Rows {
            engine,
            limits,
            turns: Arc::default(),
            turn: Mutex::default(),
            backlog: Mutex::new(backlog),
            work: Condvar::new(),
            attempted: Condvar::new(),
        };
        let room = Room::new(dir, options.free_bytes_min);
        let writer = Writer { journal, room, failed: None, applier: None };
        Ok(Self { writer: Mutex::new(writer), rows: Arc::new(rows) })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Nothing that the lock protects is half-changed by a panic: a frame counts when it is whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine + 'static> Engine for Journaled<E> {
    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut writer = self.writer();
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        writer.start_applier(&self.rows)?;
        self.rows.make_room()?;
        writer.room.check(&batch)?;
        let frame = writer.append(&batch, &self.rows)?;
        self.rows.push(frame);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let _turn = self.rows.turn();
        match self.rows.changes()?.rows()?.get(key) {
            Some(value) => Ok(value.as_ref().map(|value| value.to_vec())),
            None => self.rows.engine.get(key),
        }
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let _turn = self.rows.turn();
        let changes = self.rows.changes()?;
        let mut newer = changes.rows()?.into_iter().peekable();
        self.rows.engine.scan(&mut |key, value| {
            while let Some((newer_key, newer_value)) = newer.next_if(|(newer_key, _)| *newer_key < key) {
                newer_value.map_or(Ok(()), |value| visit(newer_key, &value))?;
            }
            match newer.next_if(|(newer_key, _)| *newer_key == key) {
                Some((key, value)) => value.map_or(Ok(()), |value| visit(key, &value)),
                None if key == APPLIED_KEY => Ok(()),
                None => visit(key, value),
            }
        })?;
        newer.try_for_each(|(key, value)| value.map_or(Ok(()), |value| visit(key, &value)))
    }

    fn disk_bytes(&self) -> u64 {
        self.rows.engine.disk_bytes()
    }

    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError> {
        let generation = self.rows.engine.new_generation()?;
        Ok(Box::new(Filling::new(generation, &self.rows.turns)))
    }

    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError> {
        let mut generation = Filling::take(generation, &self.rows.turns)?;
        let mut writer = self.writer();
        if let Some(error) = &writer.failed {
            return Err(error.clone());
        }
        let _turn = self.rows.turn();
        let last = writer.journal.last();
        generation.write(Batch { puts: vec![applied_row(last)], deletes: Vec::new() })?;
        if let Err(error) = self.rows.engine.switch_to(generation) {
            self.rows.learn_whether_they_go_on();
            return Err(error);
        }
        self.rows.forget_up_to(last);
        if let Err(error) = writer.journal.begin_afresh() {
            tracing::warn!(%error, "the journal keeps what the rows have already, until it is written over");
        }
        Ok(())
    }
}

impl<E: Engine + 'static> Drop for Journaled<E> {
    fn drop(&mut self) {
        let Some(applier) = self.writer().applier.take() else { return };
        self.rows.turns.close();
        self.rows.backlog().is_closing = true;
        self.rows.work.notify_all();
        if applier.join().is_err() {
            tracing::error!("the thread that writes rows has panicked");
        }
    }
}

impl Writer {
    fn append<E: Engine>(&mut self, batch: &Batch, rows: &Rows<E>) -> Result<Frame, EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let applied = rows.backlog().applied;
        let appended = self.journal.append(batch, applied, |number| rows.wait_for(number));
        appended.inspect_err(|error| {
            if !matches!(error, EngineError::Full(_)) {
                tracing::error!(%error, "the journal takes no more; a restart shows what is on disk");
                self.failed = Some(error.clone());
            }
        })
    }

    fn start_applier<E: Engine + 'static>(&mut self, rows: &Arc<Rows<E>>) -> Result<(), EngineError> {
        if self.applier.is_none() {
            let rows = rows.clone();
            let started = std::thread::Builder::new().name("store-applier".to_owned()).spawn(move || rows.follow());
            self.applier = Some(started.map_err(|error| EngineError::Io(format!("cannot start a thread: {error}")))?);
        }
        Ok(())
    }
}

impl<E> Rows<E> {
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        // It is changed in single steps: there is nothing half-done in it.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when not too much waits for the rows, or why they take nothing. Rows without room are asked once more.
    fn make_room(&self) -> Result<(), EngineError> {
        let mut backlog = self.backlog();
        while backlog.full.is_some() || backlog.bytes > self.limits.apply_bytes.saturating_mul(BACKLOG_MAX) {
            let (after, outcome) = self.attempt(backlog);
            outcome?;
            backlog = after;
        }
        backlog.failed.clone().map_or(Ok(()), Err)
    }

    /// Returns when the rows have the frame `number`, or why they do not take it.
    fn wait_for(&self, number: u64) -> Result<(), EngineError> {
        let mut backlog = self.backlog();
        while backlog.applied < number {
            let (after, outcome) = self.attempt(backlog);
            outcome?;
            backlog = after;
        }
        Ok(())
    }

    /// Lets the applier try now, and returns what came of it.
    fn attempt<'a>(&self, mut backlog: MutexGuard<'a, Backlog>) -> (MutexGuard<'a, Backlog>, Result<(), EngineError>) {
        let before = backlog.attempts;
        backlog.is_urgent = true;
        self.work.notify_all();
        while backlog.attempts == before && backlog.failed.is_none() {
            backlog = self.attempted.wait(backlog).unwrap_or_else(PoisonError::into_inner);
        }
        let outcome = backlog.failed.clone().or_else(|| backlog.full.clone()).map_or(Ok(()), Err);
        (backlog, outcome)
    }

    fn push(&self, frame: Frame) {
        let mut backlog = self.backlog();
        let (before, after) = (backlog.bytes, backlog.bytes + frame.bytes);
        // The applier sleeps until there is something, and then until there is much, or time has passed.
        let reaches = |bytes: usize| before < bytes && after >= bytes;
        let is_news =
            backlog.frames.is_empty() || reaches(self.limits.apply_bytes) || reaches(pace::gather_bytes(self.limits));
        backlog.bytes = after;
        backlog.arrived += frame.bytes as u64;
        backlog.frames.push_back(frame);
        drop(backlog);
        if is_news {
            self.work.notify_all();
        }
    }

    fn forget_up_to(&self, number: u64) {
        let mut backlog = self.backlog();
        backlog.done(number);
        backlog.full = None;
    }

    /// Returns what the rows do not have yet.
    fn changes(&self) -> Result<Changes, EngineError> {
        Changes::read(self.backlog().frames.make_contiguous())
    }
}

impl<E: Engine> Rows<E> {
    /// Brings the rows up to the journal until the engine is closed: what the applier does.
    fn follow(&self) {
        let mut pace = Pace::new(self.limits);
        while self.wait_for_work(&mut pace) {
            self.turns.wait(pace.batch_bytes);
            let attempted = catch_unwind(AssertUnwindSafe(|| self.apply(pace.batch_bytes)));
            pace.attempted(matches!(attempted, Ok(Ok(()))));
            let mut backlog = self.backlog();
            match attempted {
                Ok(Ok(())) => backlog.full = None,
                Ok(Err(full @ EngineError::Full(_))) => backlog.full = Some(full),
                Ok(Err(error)) => backlog.failed = Some(error),
                Err(_) => backlog.failed = Some(EngineError::Panic("writing rows panicked".to_owned())),
            }
            // Whoever came meanwhile looks again, too.
            backlog.is_urgent = false;
            backlog.attempts += 1;
            self.attempted.notify_all();
            if backlog.failed.is_some() || (backlog.is_closing && backlog.full.is_some()) {
                break;
            }
        }
    }

    /// Returns when it is time for an attempt; `false` says that the engine is being closed and all is done.
    fn wait_for_work(&self, pace: &mut Pace) -> bool {
        let asleep = |backlog: &mut Backlog| {
            let has_work = !backlog.frames.is_empty() && backlog.full.is_none();
            !has_work && !backlog.is_urgent && !backlog.is_closing
        };
        let is_due = pace.due_bytes > 0;
        let gathering = |backlog: &mut Backlog| {
            !is_due && backlog.bytes < self.limits.apply_bytes && !backlog.is_urgent && !backlog.is_closing
        };
        let backlog = self.backlog();
        let backlog = self.work.wait_while(backlog, asleep).unwrap_or_else(PoisonError::into_inner);
        let waited = self.work.wait_timeout_while(backlog, self.limits.apply_after, gathering);
        let (mut backlog, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !is_due {
            backlog = self.wait_for_pause(backlog, pace);
            pace.decide(backlog.bytes, backlog.arrived, Instant::now());
        }
        // There may be nothing left to do, because another generation of rows has come into use.
        backlog.is_urgent || !backlog.is_closing || !backlog.frames.is_empty()
    }

    /// Returns when a lone writer has paused, or has left as much behind as it may; for many there is nothing to wait for.
    fn wait_for_pause<'a>(&self, mut backlog: MutexGuard<'a, Backlog>, pace: &Pace) -> MutexGuard<'a, Backlog> {
        let gathering = |backlog: &mut Backlog| {
            backlog.bytes < pace::gather_bytes(self.limits) && !backlog.is_urgent && !backlog.is_closing
        };
        let mut watched = pace.clone();
        let began = Instant::now();
        while gathering(&mut backlog) && !watched.is_busy(backlog.arrived, Instant::now()) {
            let arrived = backlog.arrived;
            watched.look(arrived, Instant::now());
            let waited = self.work.wait_timeout_while(backlog, pace::PAUSE, gathering);
            backlog = waited.unwrap_or_else(PoisonError::into_inner).0;
            if backlog.arrived == arrived || began.elapsed() > pace::GATHER_FOR {
                break;
            }
        }
        backlog
    }

    /// Writes what changes nothing, to learn whether the rows take more. After a switch of which nobody knows whether it
    /// happened they do not, and then no frame may follow either: a restart might find it behind rows that it does not
    /// belong to.
    fn learn_whether_they_go_on(&self) {
        let applied = self.backlog().applied;
        match self.engine.commit(Batch { puts: vec![applied_row(applied)], deletes: Vec::new() }) {
            Ok(()) | Err(EngineError::Full(_)) => {}
            Err(error) => self.backlog().failed = Some(error),
        }
    }

    /// Commits the oldest frames of the backlog to the rows: of `bytes_max`, or a single larger one.
    fn apply(&self, bytes_max: usize) -> Result<(), EngineError> {
        let _turn = self.turn();
        let frames = self.backlog().oldest(bytes_max);
        let Some(number) = frames.last().map(|frame| frame.number) else { return Ok(()) };
        let mut batch = Batch::default();
        for (key, value) in Changes::read(&frames)?.rows()? {
            match value {
                Some(value) => batch.puts.push((key.to_vec(), value)),
                None => batch.deletes.push(key.to_vec()),
            }
        }
        batch.puts.push(applied_row(number));
        self.engine.commit(batch)?;
        self.backlog().done(number);
        Ok(())
    }
}

impl Backlog {
    /// Returns the oldest frames, of `bytes_max` or a single larger one.
    fn oldest(&self, bytes_max: usize) -> Vec<Frame> {
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            let is_first = bytes == 0;
            bytes += frame.bytes;
            is_first || bytes <= bytes_max
        };
        self.frames.iter().take_while(fits).cloned().collect()
    }

    /// Forgets the frames up to `number`, which the rows have.
    fn done(&mut self, number: u64) {
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.number <= number) {
            self.bytes -= frame.bytes;
        }
        self.applied = number;
    }
}

fn applied_row(number: u64) -> (Vec<u8>, Bytes) {
    (APPLIED_KEY.to_vec(), Bytes::copy_from_slice(&number.to_le_bytes()))
}
