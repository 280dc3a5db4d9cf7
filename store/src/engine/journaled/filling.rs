//! A generation that is being filled beside the rows in use, and how both share the engine.
//!
//! sled does one thing at a time, and what is copied while writers go on must arrive faster than they write, or it is
//! never all there: the copy gets four of five bytes. So the rows in use fall behind, and writers that are faster than
//! their share wait a little each time, until the generation takes over.

use std::any::Any;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::{Batch, EngineError, Generation};

/// How many times as much the generation gets as the rows.
const SHARE: usize = 4;
/// A copy that writes nothing for so long is busy elsewhere, or done: the rows need not wait for it.
pub(super) const IDLE_AFTER: Duration = Duration::from_millis(20);

/// Whose turn it is.
#[derive(Default)]
pub(super) struct Turns {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    /// Generations that are being filled: one, or none.
    filling: usize,
    is_writing: bool,
    /// Bytes that the generation got since the rows got some.
    bytes: usize,
    /// Nobody waits any more.
    is_closing: bool,
}

impl Turns {
    /// Returns when it is the turn of the rows, which are to get `bytes`.
    pub(super) fn wait(&self, bytes: usize) {
        let mut now = self.now();
        while !now.is_for_rows(bytes) {
            let waited = self.changed.wait_timeout(now, IDLE_AFTER).unwrap_or_else(PoisonError::into_inner);
            now = waited.0;
            if waited.1.timed_out() && !now.is_writing {
                break;
            }
        }
        now.bytes = 0;
    }

    /// Lets the rows go first from now on.
    pub(super) fn close(&self) {
        self.change(|now| now.is_closing = true);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // It is changed in single steps: there is nothing half-done in it.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now());
        self.changed.notify_all();
    }
}

impl Now {
    /// Whether the generation has had its share, when the rows are to get `bytes`.
    fn is_for_rows(&self, bytes: usize) -> bool {
        self.filling == 0 || self.is_closing || self.bytes >= bytes.saturating_mul(SHARE)
    }
}

/// A generation of the engine below.
pub(super) struct Filling {
    /// Taken when it comes into use.
    generation: Option<Box<dyn Generation>>,
    turns: Arc<Turns>,
}

impl Filling {
    pub(super) fn new(generation: Box<dyn Generation>, turns: &Arc<Turns>) -> Self {
        turns.change(|now| now.filling += 1);
        Self { generation: Some(generation), turns: turns.clone() }
    }

    /// Returns the generation that is in `any`, if it was filled by these `turns`.
    pub(super) fn take(any: Box<dyn Generation>, turns: &Arc<Turns>) -> Result<Box<dyn Generation>, EngineError> {
        any.into_any()
            .downcast::<Self>()
            .ok()
            .filter(|filling| Arc::ptr_eq(&filling.turns, turns))
            .and_then(|mut filling| filling.generation.take())
            .ok_or_else(|| EngineError::Invalid("the generation was made by another engine".to_owned()))
    }
}

impl Generation for Filling {
    fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        let generation = self.generation.as_mut().expect("it is taken with all of this");
        self.turns.change(|now| now.is_writing = true);
        let bytes = batch.size_bytes();
        let written = generation.write(batch);
        self.turns.change(|now| {
            now.is_writing = false;
            now.bytes += bytes;
        });
        written
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.turns.change(|now| now.filling -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_wait_until_the_copy_has_had_its_share() {
        // Generations, bytes that they got, whether the engine is being closed, and whether the rows may have 10 bytes.
        let cases = [
            (0, 0, false, true),
            (1, 0, false, false),
            (1, 39, false, false),
            (1, 40, false, true),
            (1, 0, true, true),
        ];
        for (filling, bytes, is_closing, expected) in cases {
            let now = Now { filling, is_writing: true, bytes, is_closing };
            assert_eq!(now.is_for_rows(10), expected, "{now:?}");
        }
    }

    #[test]
    fn a_copy_that_is_busy_elsewhere_holds_nobody_up() {
        let turns = Turns::default();
        turns.change(|now| now.filling = 1);
        turns.wait(usize::MAX);
        std::thread::scope(|threads| {
            turns.change(|now| now.is_writing = true);
            let rows = threads.spawn(|| turns.wait(1));
            // However long its batch takes, the rows wait for it.
            turns.change(|now| (now.is_writing, now.bytes) = (false, SHARE));
            rows.join().unwrap();
        });
        assert_eq!(turns.now().bytes, 0);
    }
}
