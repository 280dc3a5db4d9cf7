//! The queue of keys that want a pass: deduplicating, delayed, fair; a key never runs twice at once.
//!
//! ```text
//!              wake                  take                    finish
//!   (unknown) ──────► Ready ──────────────────► Running ───────────────┐
//!                      ▲  ▲                        │ woken meanwhile   │
//!                      │  └────────────────────────┘ (remembered)      │
//!                      │ due, or woken                                 ▼
//!                      └──────────────────────────── Delayed · Parked · (unknown)
//! ```
//!
//! [`Queue`] is a plain data structure without clock or task, so that a test can play every order of calls;
//! [`WorkQueue`] puts a lock and a bell around it.
//!
//! **Fairness.** Ready keys run in the order in which they became ready; a key that wants to go on stands in line
//! again. Work that nobody waits for (resync) has a line of its own, which gets every `BACKGROUND_EVERY`th turn at
//! least: users do not wait for resync, and resync does not starve. A key that runs `BURST_MAX` times without a
//! second's pause is slowed to one run a second.

mod work_queue;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Backoff, spread};
use super::guards::{Guard, Guards};

pub use work_queue::WorkQueue;

/// Every so many turns the background line comes first.
const BACKGROUND_EVERY: u32 = 8;
/// Runs of one key in a row, each within [`BURST_PAUSE`] of the last, before it is slowed down.
const BURST_MAX: u32 = 200;
/// The pause that ends a burst, and the pace of a key that is slowed down.
const BURST_PAUSE: Duration = Duration::from_secs(1);

/// Why a key is put on the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Nothing has changed as far as we know; it is time to look again.
    Resync,
    /// The status changed, most likely because we wrote it. Does not end a backoff.
    Echo,
    /// The spec, the metadata, a child or an awaited object changed, or somebody rang. Ends backoff and parking.
    Changed,
}

/// What becomes of a key after its pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Run again as soon as it is its turn.
    Now,
    /// Run again after this time, or when woken.
    After(Duration),
    /// Run again when woken, and at the next resync.
    OnChange,
    /// It failed: run again after a backoff, which is no shorter than the time given.
    Backoff {
        /// What the other side asked for.
        at_least: Duration,
    },
    /// It waits for something that has a name: look again after this time, or when that changes.
    Blocked(Duration),
    /// Nothing helps but a change.
    Parked,
    /// The object is gone; forget the key.
    Gone,
}

/// A key whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The key.
    pub key: Arc<str>,
    /// How long it was ready before its turn came.
    pub waited: Duration,
    /// Failures in a row so far.
    pub failures: u32,
    run: u64,
}

/// Figures for metrics and `/debug/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Keys whose turn has come.
    pub ready: usize,
    /// Keys that wait for a moment.
    pub delayed: usize,
    /// Keys that wait for a change because nothing else helps.
    pub parked: usize,
    /// Keys that are running, with the time since when; the longest first.
    pub running: Vec<(Arc<str>, Duration)>,
    /// The longest that any key was ready before its turn came, since the start.
    pub longest_wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Foreground,
    Background,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delay {
    Requested,
    Resync,
    Backoff,
    Blocked,
    Paced,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Idle,
    Ready { lane: Lane, since: Instant, turn: u64 },
    Delayed { due: Instant, turn: u64, delay: Delay },
    Parked,
    Running { since: Instant, run: u64, again: Option<Wake> },
}

#[derive(Clone, Debug)]
struct Entry {
    place: Place,
    failures: u32,
    burst: u32,
    last_finish: Option<Instant>,
}

/// The queue as a plain data structure: every method takes the time.
#[derive(Debug)]
pub struct Queue {
    entries: HashMap<Arc<str>, Entry>,
    foreground: VecDeque<(u64, Arc<str>)>,
    background: VecDeque<(u64, Arc<str>)>,
    delayed: BTreeSet<(Instant, u64, Arc<str>)>,
    turns: u64,
    foreground_streak: u32,
    longest_wait: Duration,
    backoff: Backoff,
    resync: Duration,
    guards: Guards,
}

impl Queue {
    /// Returns an empty queue; a key that rests is looked at again after about `resync` (three to five quarters of it).
    #[must_use]
    pub fn new(backoff: Backoff, resync: Duration, guards: Guards) -> Self {
        Self {
            entries: HashMap::new(),
            foreground: VecDeque::new(),
            background: VecDeque::new(),
            delayed: BTreeSet::new(),
            turns: 0,
            foreground_streak: 0,
            longest_wait: Duration::ZERO,
            backoff,
            resync,
            guards,
        }
    }

    /// Asks for a pass of `key`. Waking a key that is ready already changes nothing.
    pub fn wake(&mut self, key: &Arc<str>, wake: Wake, now: Instant) {
        let place = self.entry(key).place;
        match place {
            Place::Running { since, run, again } if self.guards.has(Guard::OneRunPerKey) => {
                if self.guards.has(Guard::RunAgainAfterWake) {
                    self.entry(key).place = Place::Running { since, run, again: again.max(Some(wake)) };
                }
            }
            Place::Idle | Place::Running { .. } => self.make_ready(key, lane_of(wake), now),
            Place::Ready { lane: Lane::Background, .. } if wake != Wake::Resync => {
                self.make_ready(key, Lane::Foreground, now);
            }
            Place::Ready { .. } => {}
            Place::Delayed { delay, .. } => {
                let resets = wake == Wake::Changed && self.guards.has(Guard::BackoffReset);
                match delay {
                    Delay::Paced => {}
                    Delay::Requested | Delay::Resync if wake == Wake::Resync => {}
                    Delay::Requested | Delay::Resync => self.make_ready(key, Lane::Foreground, now),
                    Delay::Backoff | Delay::Blocked if resets => self.wake_reset(key, now),
                    Delay::Backoff | Delay::Blocked => {}
                }
            }
            Place::Parked => {
                if wake == Wake::Changed && self.guards.has(Guard::BackoffReset) {
                    self.wake_reset(key, now);
                }
            }
        }
    }

    /// Returns the key whose turn it is, and marks it as running.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        self.promote_due(now);
        let (lane, key, since) = self.pop()?;
        self.foreground_streak = if lane == Lane::Foreground { self.foreground_streak + 1 } else { 0 };
        self.turns += 1;
        let run = self.turns;
        let entry = self.entry(&key);
        let in_burst = entry.last_finish.is_some_and(|finish| now.duration_since(finish) < BURST_PAUSE);
        entry.burst = if in_burst { entry.burst + 1 } else { 0 };
        entry.place = Place::Running { since: now, run, again: None };
        let failures = entry.failures;
        let waited = now.duration_since(since);
        self.longest_wait = self.longest_wait.max(waited);
        Some(Taken { key, waited, failures, run })
    }

    /// Ends the run of a key that [`take`](Self::take) returned and returns when it runs next at the latest.
    pub fn finish(&mut self, taken: &Taken, rest: Rest, now: Instant) -> Option<Instant> {
        let key = &taken.key;
        let (backoff, resync) = (self.backoff, self.resync);
        let reset_allowed = self.guards.has(Guard::BackoffReset);
        let entry = self.entry(key);
        let Place::Running { run, again, .. } = entry.place else { return None };
        if run != taken.run {
            return None;
        }
        entry.last_finish = Some(now);
        entry.place = Place::Idle;
        let changed = again == Some(Wake::Changed);
        match rest {
            Rest::Gone => {
                entry.failures = 0;
                if again.is_some() {
                    self.make_ready(key, Lane::Foreground, now);
                } else {
                    self.entries.remove(key);
                }
            }
            Rest::Now => {
                entry.failures = 0;
                self.make_ready(key, Lane::Foreground, now);
            }
            Rest::OnChange | Rest::After(_) if again.is_some_and(|wake| wake != Wake::Resync) => {
                entry.failures = 0;
                self.make_ready(key, Lane::Foreground, now);
            }
            Rest::OnChange => {
                entry.failures = 0;
                self.delay(key, now + spread(resync, key, taken.run), Delay::Resync);
            }
            Rest::After(delay) => {
                entry.failures = 0;
                self.delay(key, now + delay, Delay::Requested);
            }
            Rest::Backoff { .. } | Rest::Blocked(_) | Rest::Parked if changed && reset_allowed => {
                self.wake_reset(key, now);
            }
            Rest::Backoff { at_least } => {
                entry.failures = entry.failures.saturating_add(1);
                let failures = entry.failures;
                let delay = backoff.delay(key, failures).max(at_least);
                self.delay(key, now + delay, Delay::Backoff);
            }
            Rest::Blocked(poll) => {
                entry.failures = 0;
                self.delay(key, now + spread(poll, key, taken.run), Delay::Blocked);
            }
            Rest::Parked => entry.place = Place::Parked,
        }
        match self.entries.get(key)?.place {
            Place::Delayed { due, .. } => Some(due),
            Place::Ready { .. } => Some(now),
            _ => None,
        }
    }

    /// Returns the earliest moment at which [`take`](Self::take) may return something that is not ready yet.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, ..)| *due)
    }

    /// Returns whether a key is known and neither idle nor parked.
    #[must_use]
    pub fn is_pending(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| !matches!(entry.place, Place::Idle | Place::Parked))
    }

    /// Returns what the queue holds.
    #[must_use]
    pub fn figures(&self, now: Instant) -> QueueFigures {
        let (delayed, longest_wait) = (self.delayed.len(), self.longest_wait);
        let mut figures = QueueFigures { delayed, longest_wait, ..QueueFigures::default() };
        for (key, entry) in &self.entries {
            match entry.place {
                Place::Ready { .. } => figures.ready += 1,
                Place::Parked => figures.parked += 1,
                Place::Running { since, .. } => figures.running.push((key.clone(), now.duration_since(since))),
                Place::Idle | Place::Delayed { .. } => {}
            }
        }
        figures.running.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        figures
    }

    /// Returns in words where a key is, for `/debug/state`.
    #[must_use]
    pub fn place(&self, key: &str, now: Instant) -> String {
        match self.entries.get(key).map(|entry| entry.place) {
            None | Some(Place::Idle) => "waits for a change".to_owned(),
            Some(Place::Ready { since, .. }) => {
                format!("ready for {:.1} s", now.duration_since(since).as_secs_f64())
            }
            Some(Place::Running { since, .. }) => {
                format!("running for {:.1} s", now.duration_since(since).as_secs_f64())
            }
            Some(Place::Parked) => "stalled until it is changed".to_owned(),
            Some(Place::Delayed { due, delay, .. }) => {
                let why = match delay {
                    Delay::Requested | Delay::Resync => "looks again",
                    Delay::Backoff => "tries again",
                    Delay::Blocked => "looks again for what it waits for",
                    Delay::Paced => "slowed down, runs again",
                };
                format!("{why} in {:.1} s", due.saturating_duration_since(now).as_secs_f64())
            }
        }
    }

    fn entry(&mut self, key: &Arc<str>) -> &mut Entry {
        self.entries.entry(key.clone()).or_insert(Entry {
            place: Place::Idle,
            failures: 0,
            burst: 0,
            last_finish: None,
        })
    }

    fn wake_reset(&mut self, key: &Arc<str>, now: Instant) {
        self.entry(key).failures = 0;
        self.make_ready(key, Lane::Foreground, now);
    }

    fn make_ready(&mut self, key: &Arc<str>, lane: Lane, now: Instant) {
        self.leave_delay(key);
        let burst = self.entry(key).burst;
        if burst >= BURST_MAX {
            self.delay(key, now + BURST_PAUSE, Delay::Paced);
            return;
        }
        self.turns += 1;
        let turn = self.turns;
        // A key that moves from the background to the foreground keeps its waiting time.
        let since = match self.entry(key).place {
            Place::Ready { since, .. } => since,
            _ => now,
        };
        self.entry(key).place = Place::Ready { lane, since, turn };
        let line = if lane == Lane::Foreground { &mut self.foreground } else { &mut self.background };
        if self.guards.has(Guard::FirstComeFirstServed) {
            line.push_back((turn, key.clone()));
        } else {
            line.push_front((turn, key.clone()));
        }
    }

    fn delay(&mut self, key: &Arc<str>, due: Instant, delay: Delay) {
        self.leave_delay(key);
        self.turns += 1;
        let turn = self.turns;
        self.entry(key).place = Place::Delayed { due, turn, delay };
        self.delayed.insert((due, turn, key.clone()));
    }

    fn leave_delay(&mut self, key: &Arc<str>) {
        if let Place::Delayed { due, turn, .. } = self.entry(key).place {
            self.delayed.remove(&(due, turn, key.clone()));
        }
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some((due, _, key)) = self.delayed.first().cloned()
            && due <= now
        {
            let entry = self.entry(&key);
            let lane = match entry.place {
                Place::Delayed { delay: Delay::Resync, .. } => Lane::Background,
                _ => Lane::Foreground,
            };
            // A key that was slowed down has had its pause.
            entry.burst = 0;
            self.make_ready(&key, lane, due);
        }
    }

    /// Takes the first key of the line whose turn it is; turns that were given up are skipped.
    fn pop(&mut self) -> Option<(Lane, Arc<str>, Instant)> {
        let background_first = self.foreground_streak >= BACKGROUND_EVERY;
        let order =
            if background_first { [Lane::Background, Lane::Foreground] } else { [Lane::Foreground, Lane::Background] };
        for lane in order {
            let line = if lane == Lane::Foreground { &mut self.foreground } else { &mut self.background };
            while let Some((turn, key)) = line.pop_front() {
                if let Some(Entry { place: Place::Ready { turn: current, since, .. }, .. }) = self.entries.get(&key)
                    && *current == turn
                {
                    return Some((lane, key, *since));
                }
            }
        }
        None
    }
}

fn lane_of(wake: Wake) -> Lane {
    if wake == Wake::Resync { Lane::Background } else { Lane::Foreground }
}
