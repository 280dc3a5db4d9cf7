//! When the applier brings how much to the rows.

use std::time::{Duration, Instant};

use super::JournalLimits;

/// [`JournalLimits::apply_bytes`] that gather within this time are many writers.
const BUSY_WITHIN: Duration = Duration::from_millis(50);
/// For many writers they are brought to the rows in so many batches, until more than [`BUSY_MAX`] times as much waits.
const BUSY_BATCHES: usize = 2;
const BUSY_MAX: usize = 4;

/// How much the applier brings to the rows at a time.
///
/// While sled syncs, the journal waits for the disk, and while sled has a batch, it has a core. A lone writer is best
/// served by few large batches, because few of its writes meet one: measured, with small ones its slowest hundredth takes
/// three times as long. Among many writers one always waits, and what counts is how long: with small batches half as long.
#[derive(Debug)]
pub(super) struct Pace {
    limits: JournalLimits,
    /// When it was decided last.
    pub(super) decided: Instant,
    /// Most bytes of the next batch.
    pub(super) batch_bytes: usize,
    /// What is to follow without further waiting, in bytes.
    pub(super) due_bytes: usize,
}

impl Pace {
    pub(super) fn new(limits: JournalLimits) -> Self {
        Self { limits, decided: Instant::now(), batch_bytes: limits.apply_bytes, due_bytes: 0 }
    }

    /// Decides about the next [`JournalLimits::apply_bytes`], when `waiting` bytes are there.
    pub(super) fn decide(&mut self, waiting: usize, now: Instant) {
        let enough = self.limits.apply_bytes;
        let is_busy = (enough..enough.saturating_mul(BUSY_MAX)).contains(&waiting)
            && now.duration_since(self.decided) < BUSY_WITHIN;
        self.batch_bytes = self.limits.apply_bytes / if is_busy { BUSY_BATCHES } else { 1 };
        self.due_bytes = waiting.min(self.limits.apply_bytes);
        self.decided = now;
    }

    /// Takes note of a batch. After one that failed nothing is due before it is decided again.
    pub(super) fn attempted(&mut self, succeeded: bool) {
        self.due_bytes = if succeeded { self.due_bytes.saturating_sub(self.batch_bytes) } else { 0 };
    }
}
