//! [`WorkQueue`]: the queue with a lock and a bell, for tasks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Queue, QueueFigures, Rest, Taken, Wake};
use crate::runtime::backoff::Backoff;
use crate::runtime::guards::Guards;

/// A [`Queue`] that tasks share: any number wake keys, exactly one waits for the next.
#[derive(Debug)]
pub struct WorkQueue {
    queue: Mutex<Queue>,
    bell: Notify,
}

impl WorkQueue {
    /// Returns an empty queue; see [`Queue::new`].
    #[must_use]
    pub fn new(backoff: Backoff, resync: Duration, guards: Guards) -> Self {
        Self { queue: Mutex::new(Queue::new(backoff, resync, guards)), bell: Notify::new() }
    }

    /// Asks for a pass of `key`.
    pub fn wake(&self, key: &Arc<str>, wake: Wake) {
        self.lock().wake(key, wake, Instant::now());
        self.bell.notify_one();
    }

    /// Waits for the next key whose turn it is. Cancel safe.
    pub async fn next(&self) -> Taken {
        loop {
            let due = {
                let mut queue = self.lock();
                if let Some(taken) = queue.take(Instant::now()) {
                    return taken;
                }
                queue.next_due()
            };
            match due {
                Some(due) => {
                    // Either way the queue is looked at again.
                    let _ = tokio::time::timeout_at(due, self.bell.notified()).await;
                }
                None => self.bell.notified().await,
            }
        }
    }

    /// Ends the run of a key and returns when it runs next at the latest.
    pub fn finish(&self, taken: &Taken, rest: Rest) -> Option<Instant> {
        let next = self.lock().finish(taken, rest, Instant::now());
        self.bell.notify_one();
        next
    }

    /// Returns what the queue holds.
    #[must_use]
    pub fn figures(&self) -> QueueFigures {
        self.lock().figures(Instant::now())
    }

    /// Returns in words where a key is.
    #[must_use]
    pub fn place(&self, key: &str) -> String {
        self.lock().place(key, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue's methods do not panic halfway through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
