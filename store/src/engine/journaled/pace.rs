//! When the applier brings how much to the rows.
//!
//! While sled syncs, the journal waits for the disk, and while sled has a batch, it has a core. Among many writers one
//! always meets that, and what counts is how long it waits: they get small batches, one after the other. A lone writer
//! meets it only while sled works: so sled waits until the writer pauses, as clients do, or has left much behind. Then
//! the batches are large, because they cost less.

use std::time::{Duration, Instant};

use super::JournalLimits;

/// [`JournalLimits::apply_bytes`] that arrive within this time are of many writers.
const BUSY_WITHIN: Duration = Duration::from_millis(50);
/// For many writers they are brought to the rows in so many batches, until more than [`BUSY_MAX`] times as much waits.
const BUSY_BATCHES: usize = 2;
const BUSY_MAX: usize = 4;
/// A lone writer leaves so many times as much behind before it has paused.
const GATHER_MAX: usize = 24;
/// What does not write for so long has paused.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for a pause.
pub(super) const GATHER_FOR: Duration = Duration::from_secs(10);

/// Returns what a lone writer may leave behind, in bytes.
pub(super) fn gather_bytes(limits: JournalLimits) -> usize {
    limits.apply_bytes.saturating_mul(GATHER_MAX)
}

/// How much the applier brings to the rows at a time.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    limits: JournalLimits,
    /// When it was looked last.
    looked: Instant,
    /// What had arrived by then since the open, in bytes.
    arrived: u64,
    /// Most bytes of the next batch.
    pub(super) batch_bytes: usize,
    /// What is to follow without further waiting, in bytes.
    pub(super) due_bytes: usize,
}

impl Pace {
    pub(super) fn new(limits: JournalLimits) -> Self {
        Self { limits, looked: Instant::now(), arrived: 0, batch_bytes: limits.apply_bytes, due_bytes: 0 }
    }

    /// Whether so much has `arrived` since the last look that there must be many writers.
    pub(super) fn is_busy(&self, arrived: u64, now: Instant) -> bool {
        let bytes = u128::from(arrived - self.arrived);
        let within = now.duration_since(self.looked);
        bytes * BUSY_WITHIN.as_nanos() >= self.limits.apply_bytes as u128 * within.as_nanos().max(1)
    }

    /// Begins to count anew.
    pub(super) fn look(&mut self, arrived: u64, now: Instant) {
        (self.looked, self.arrived) = (now, arrived);
    }

    /// Decides about the next batches, when `waiting` bytes are there.
    pub(super) fn decide(&mut self, waiting: usize, arrived: u64, now: Instant) {
        let enough = self.limits.apply_bytes;
        let is_busy = self.is_busy(arrived, now);
        let is_behind = waiting >= enough.saturating_mul(BUSY_MAX);
        self.batch_bytes = enough / if is_busy && !is_behind { BUSY_BATCHES } else { 1 };
        self.due_bytes = if is_busy { waiting.min(enough) } else { waiting };
        self.look(arrived, now);
    }

    /// Takes note of a batch. After one that failed nothing is due before it is decided again.
    pub(super) fn attempted(&mut self, succeeded: bool) {
        self.due_bytes = if succeeded { self.due_bytes.saturating_sub(self.batch_bytes) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_get_small_batches_and_few_get_large_ones() {
        let limits = JournalLimits { apply_bytes: 2048, ..JournalLimits::default() };
        // Milliseconds since the last decision, bytes that came meanwhile, bytes that wait, and the batches that follow.
        let cases: [(u64, u64, usize, &[usize]); 8] = [
            (500, 100, 100, &[2048]),
            (60, 2048, 2048, &[2048]),
            (600, 6000, 6000, &[2048, 2048, 2048]),
            (10, 400, 2048, &[2048]),
            (10, 410, 2048, &[1024, 1024]),
            (100, 5000, 8191, &[1024, 1024]),
            // There are many, and the rows are too slow: the faster way is taken.
            (10, 2048, 8192, &[2048]),
            // A lone writer has left much behind: all of it follows.
            (1000, 9000, 9000, &[2048, 2048, 2048, 2048, 2048]),
        ];
        let mut pace = Pace::new(limits);
        let mut arrived = 0;
        for (after, bytes, waiting, batches) in cases {
            arrived += bytes;
            pace.decide(waiting, arrived, pace.looked + Duration::from_millis(after));
            let mut found = Vec::new();
            while pace.due_bytes > 0 {
                found.push(pace.batch_bytes);
                pace.attempted(true);
            }
            assert_eq!(found, batches, "{waiting} bytes wait, {bytes} came in {after} ms");
        }
        pace.decide(2048, arrived, pace.looked);
        pace.attempted(false);
        assert_eq!(pace.due_bytes, 0, "what failed waits");
    }
}
