//! How much one caller may ask for, so that nobody can starve the rest.
//!
//! Four independent bounds on a request: a token bucket per user (rate), counts of requests in work per user and in
//! all (by reading, changing, streaming), and memory budgets for the bodies of all requests and for their answers. What
//! does not fit is refused at once with 429 and `Retry-After`, except that bodies wait a moment for memory. A user's
//! share is smaller than the whole, so one user alone cannot take the last place. Whoever shows a wrong credential spends
//! the share of those who show none.

pub mod body;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use api_types::status::{Reason, Status, StatusDetails};
use tokio::sync::Semaphore;

use crate::authentication::{ANONYMOUS, Credential, MASTERS, User};
use crate::config::LimitsConfig;
use crate::request::RequestInfo;

/// Users whose state is kept before idle ones are swept.
const USERS_BEFORE_SWEEP: usize = 1024;
/// The grain of the body budget: permits are counted in kibibytes.
const BODY_GRAIN_BYTES: usize = 1024;

/// The limits of a server, shared by all its connections.
#[derive(Clone)]
pub struct Limits {
    shared: Arc<Shared>,
}

struct Shared {
    config: LimitsConfig,
    state: Mutex<State>,
    bodies: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    users: HashMap<String, UserState>,
    total: [usize; 3],
    answer_bytes: usize,
}

struct UserState {
    in_flight: [usize; 3],
    answer_bytes: usize,
    tokens: f64,
    refilled: Instant,
}

/// What a request does, as far as limits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads and ends.
    Reading,
    /// Changes something.
    Mutating,
    /// A watch or a followed log.
    Stream,
}

/// A place that a request holds while it is in work; dropped with the answer, by large ones and streams with their last
/// byte.
#[must_use]
pub struct Permit {
    shared: Arc<Shared>,
    user: String,
    class: Class,
    answer_bytes: usize,
}

impl Class {
    /// Returns the class of a request.
    #[must_use]
    pub fn of(request: &RequestInfo) -> Self {
        match (request.is_long_running(), request.is_mutating()) {
            (true, _) => Self::Stream,
            (false, true) => Self::Mutating,
            (false, false) => Self::Reading,
        }
    }
}

impl Limits {
    /// Returns limits with nothing in use.
    #[must_use]
    pub fn new(config: LimitsConfig) -> Self {
        let grains = (config.body_bytes_total / BODY_GRAIN_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let bodies = Arc::new(Semaphore::new(grains));
        Self { shared: Arc::new(Shared { config, state: Mutex::default(), bodies }) }
    }

    /// Returns the configured numbers.
    #[must_use]
    pub fn config(&self) -> &LimitsConfig {
        &self.shared.config
    }

    /// Takes a place for a request.
    ///
    /// # Errors
    /// 429 when the user or all users together have too much in work, or the user asks too often.
    pub fn admit(&self, user: &User, request: &RequestInfo, now: Instant) -> Result<Permit, Status> {
        let class = Class::of(request);
        // Impersonating many names must not multiply one's share.
        let name = &user.impersonator.as_deref().unwrap_or(user).name;
        let mut state = self.shared.lock();
        if state.users.len() > USERS_BEFORE_SWEEP {
            self.shared.sweep(&mut state, now);
        }
        let burst = f64::from(self.shared.burst(name));
        let total = state.total[class as usize];
        let entry = state.users.entry(name.clone()).or_insert_with(|| UserState {
            in_flight: [0; 3],
            answer_bytes: 0,
            tokens: burst,
            refilled: now,
        });
        if !is_exempt(user) && !self.shared.take_token(entry, name, now) {
            return Err(too_many("the client sends requests too fast"));
        }
        let (own_max, total_max) = self.shared.bounds(class);
        if entry.in_flight[class as usize] >= own_max {
            return Err(too_many("the client has too many requests in work"));
        }
        if total >= total_max {
            return Err(too_many("the server has too many requests in work"));
        }
        entry.in_flight[class as usize] += 1;
        state.total[class as usize] += 1;
        drop(state);
        Ok(Permit { shared: Arc::clone(&self.shared), user: name.clone(), class, answer_bytes: 0 })
    }

    /// Charges a request whose credential was wrong to those who have none: a made-up one must not buy more than no
    /// credential at all. Their share is one for all addresses, so it is the same behind a proxy.
    ///
    /// # Errors
    /// As [`Limits::admit`].
    pub fn charge_stranger(&self, request: &RequestInfo, now: Instant) -> Result<(), Status> {
        self.admit(&User::anonymous(), request, now).map(drop)
    }

    /// Returns how many requests of a class are in work.
    #[must_use]
    pub fn in_flight(&self, class: Class) -> usize {
        self.shared.lock().total[class as usize]
    }

    /// Returns how long a request of this class may take; `None` for streams.
    #[must_use]
    pub fn request_timeout(&self, request: &RequestInfo) -> Option<Duration> {
        (Class::of(request) != Class::Stream).then(|| Duration::from_secs(self.shared.config.request_seconds))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn bounds(&self, class: Class) -> (usize, usize) {
        match class {
            Class::Reading => (self.config.reading_per_user, self.config.reading_total),
            Class::Mutating => (self.config.mutating_per_user, self.config.mutating_total),
            Class::Stream => (self.config.streams_per_user, usize::MAX),
        }
    }

    fn rate(&self, name: &str) -> u32 {
        if name == ANONYMOUS { self.config.anonymous_rate_per_second } else { self.config.rate_per_second }
    }

    fn burst(&self, name: &str) -> u32 {
        if name == ANONYMOUS { self.config.anonymous_rate_per_second } else { self.config.rate_burst.max(1) }
    }

    fn take_token(&self, entry: &mut UserState, name: &str, now: Instant) -> bool {
        let rate = self.rate(name);
        if rate == 0 {
            return true;
        }
        let elapsed = now.saturating_duration_since(entry.refilled).as_secs_f64();
        entry.tokens = elapsed.mul_add(f64::from(rate), entry.tokens).min(f64::from(self.burst(name)));
        entry.refilled = now;
        if entry.tokens < 1.0 {
            return false;
        }
        entry.tokens -= 1.0;
        true
    }

    /// Forgets users who have nothing in work and whose bucket is full again: forgetting them changes nothing.
    fn sweep(&self, state: &mut State, now: Instant) {
        state.users.retain(|name, user| {
            let rate = f64::from(self.rate(name).max(1));
            let elapsed = now.saturating_duration_since(user.refilled).as_secs_f64();
            user.in_flight != [0; 3] || elapsed.mul_add(rate, user.tokens) < f64::from(self.burst(name))
        });
    }
}

impl Permit {
    /// Counts an answer that is whole in memory until it has been read. One that is larger than a user's share counts as the
    /// share.
    ///
    /// # Errors
    /// 429 when the user's or all users' answers take too much. What has changed something is not refused any more.
    pub fn hold_answer(&mut self, bytes: usize) -> Result<(), Status> {
        let total_max = self.shared.config.answer_bytes_total;
        let own_max = total_max / 2;
        let bytes = bytes.min(own_max);
        let mut state = self.shared.lock();
        let State { users, answer_bytes: total, .. } = &mut *state;
        // Nobody who holds a place is forgotten.
        let Some(UserState { answer_bytes: own, .. }) = users.get_mut(&self.user) else { return Ok(()) };
        if self.class != Class::Mutating && *own + bytes > own_max {
            return Err(too_many("the client does not read its answers"));
        }
        if self.class != Class::Mutating && *total + bytes > total_max {
            return Err(too_many("answers that are not read yet take all memory for answers"));
        }
        *own += bytes;
        *total += bytes;
        self.answer_bytes += bytes;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.total[self.class as usize] -= 1;
        state.answer_bytes -= self.answer_bytes;
        if let Some(user) = state.users.get_mut(&self.user) {
            user.in_flight[self.class as usize] -= 1;
            user.answer_bytes -= self.answer_bytes;
        }
    }
}

/// Administrators and the process itself are not slowed down; their requests in work are still counted.
fn is_exempt(user: &User) -> bool {
    user.credential == Credential::Internal || user.impersonator.as_deref().unwrap_or(user).is_in(MASTERS)
}

/// Returns 429; the answer must carry `Retry-After: 1`, which [`retry_after_seconds`] tells.
#[must_use]
pub fn too_many(why: &str) -> Status {
    let mut status =
        Status::failure(Reason::TooManyRequests, format!("too many requests, please try again later: {why}"));
    status.details = Some(StatusDetails { retry_after_seconds: 1, ..StatusDetails::default() });
    status
}

/// Returns the value of the `Retry-After` header that goes with an answer.
#[must_use]
pub fn retry_after_seconds(status: &Status) -> Option<u32> {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    let always = matches!(status.reason, Some(Reason::TooManyRequests | Reason::Timeout)).then_some(1);
    if seconds > 0 { Some(seconds) } else { always }
}
