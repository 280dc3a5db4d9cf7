//! Deliveries that were seen, for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Remembers marks for a time, and so many of them at most: the oldest go first.
pub(super) struct Seen {
    most: usize,
    window: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    at: HashMap<String, Instant>,
    order: VecDeque<(String, Instant)>,
}

impl Seen {
    pub(super) fn new(most: usize, window: Duration) -> Self {
        Self { most, window, state: Mutex::default() }
    }

    /// Returns whether one of `marks` is known, and knows all of them from now on.
    pub(super) fn is_known(&self, marks: Vec<String>, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, at)) = state.order.front()
            && now.saturating_duration_since(*at) >= self.window
        {
            state.forget_oldest();
        }
        let is_known = marks.iter().any(|mark| state.at.contains_key(mark));
        for mark in marks {
            if !state.at.contains_key(&mark) {
                state.at.insert(mark.clone(), now);
                state.order.push_back((mark, now));
            }
        }
        while state.order.len() > self.most {
            state.forget_oldest();
        }
        is_known
    }
}

impl State {
    fn forget_oldest(&mut self) {
        if let Some((mark, _)) = self.order.pop_front() {
            self.at.remove(&mark);
        }
    }
}
