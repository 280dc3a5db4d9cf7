//! The wall clock: what time it is for people and for deadlines that are written down.
//!
//! Waiting is not the clock's business: it is tokio's, whose time tests pause. [`PausedClock`] follows tokio's time, so
//! that a test has one notion of time.

use std::sync::Mutex;

use jiff::Timestamp;

#[cfg(test)]
mod tests;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Returns the present moment. It may jump in both directions when the machine's clock is set.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct FakeClock {
    now: Mutex<Timestamp>,
}

impl FakeClock {
    /// Returns a clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: Mutex::new(now) }
    }

    /// Sets the clock, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A clock that runs with tokio's time: in a test with paused time both move together.
#[derive(Clone, Copy, Debug)]
pub struct PausedClock {
    start: Timestamp,
    start_instant: tokio::time::Instant,
}

impl PausedClock {
    /// Returns a clock that shows `start` now; to be called inside a tokio runtime.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, start_instant: tokio::time::Instant::now() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        // Simulated time stays within a few thousand years of its start.
        self.start.saturating_add(self.start_instant.elapsed()).unwrap_or(Timestamp::MAX)
    }
}
