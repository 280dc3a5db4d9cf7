//! [`Pace`]: how fast one forge may be asked, whoever asks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::error::Error;

/// Requests that one forge gets in a second, from everybody together.
pub const CALLS_PER_SECOND: u32 = 10;
/// Requests to one forge at the same time.
const AT_ONCE_MAX: usize = 4;
/// Longest pause that a forge can ask for.
pub(super) const PAUSE_MAX: Duration = Duration::from_hours(1);

/// The pace of one forge, and the pause that it asked for.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
    paused_until: Mutex<Option<Instant>>,
    places: Semaphore,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gap: Duration::from_secs(1) / CALLS_PER_SECOND,
            next: Mutex::default(),
            paused_until: Mutex::default(),
            places: Semaphore::new(AT_ONCE_MAX),
        }
    }
}

impl Pace {
    /// Waits for a turn. While the forge wants to be left alone nothing is asked at all, and the answer comes at once.
    pub(super) async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
        self.check()?;
        let place = self.places.acquire().await.expect("the places are never closed");
        let turn = {
            let mut next = lock(&self.next);
            let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(turn + self.gap);
            turn
        };
        tokio::time::sleep_until(turn).await;
        self.check()?;
        Ok(place)
    }

    /// Leaves the forge alone for a while, as it asked.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time.min(PAUSE_MAX);
        let mut paused = lock(&self.paused_until);
        *paused = (*paused).max(Some(until));
    }

    fn check(&self) -> Result<(), Error> {
        let left = lock(&self.paused_until).map(|until| until.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            None => Ok(()),
            Some(left) => Err(rate_limited(left)),
        }
    }
}

/// Returns the error of a forge that wants to be left alone for a while.
pub(super) fn rate_limited(left: Duration) -> Error {
    let seconds = left.as_secs().max(1);
    let mut error =
        Error::retryable("RateLimited", format!("the forge wants to be asked again in {seconds} s, and not before"));
    error.retry_after = Some(left);
    error
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
