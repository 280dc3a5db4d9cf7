//! Wakes calls of sled that would sleep for ever.
//!
//! sled 0.34.7 writes in threads of its own. When such a write fails it notes the error, but on one of its paths forgets
//! to ring the bell that the call that waits for the write sleeps on (`exit_reservation`). Any further call of `flush`
//! sees the error and rings it. So while a call takes long, another one is made, from a thread of its own, because it
//! may have to wait as well: a disk that is merely slow is no error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks; a call that is seen at two of them is helped.
const PERIOD: Duration = Duration::from_millis(500);
/// After each attempt the next one waits this many times as long, so that a slow disk costs few threads.
const PATIENCE_FACTOR: u32 = 2;

/// What helps.
type Help = dyn Fn() + Send + Sync;

/// Watches over the calls of one database.
pub(super) struct Waker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Begun calls and ended calls together: odd while one is under way.
    calls: AtomicU64,
    is_stopped: Mutex<bool>,
    bell: Condvar,
}

impl Waker {
    /// Watches until it is dropped; `help` must make a call that hangs look again, and may itself take as long as that.
    pub(super) fn start(help: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        Self::start_with(PERIOD, Arc::new(help))
    }

    fn start_with(period: Duration, help: Arc<Help>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        let builder = std::thread::Builder::new().name("store-waker".to_owned());
        let thread = builder.spawn(move || watched.watch(period, &help))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Makes a call that may hang. One at a time.
    pub(super) fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        self.shared.calls.fetch_add(1, Ordering::AcqRel);
        let result = call();
        self.shared.calls.fetch_add(1, Ordering::AcqRel);
        result
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        *self.shared.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.bell.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread that wakes sled has panicked");
        }
    }
}

impl Shared {
    fn watch(&self, period: Duration, help: &Arc<Help>) {
        let mut helpers = Vec::new();
        let (mut seen, mut wait) = (0, period);
        while !self.rest(wait) {
            let calls = self.calls.load(Ordering::Acquire);
            let hangs = calls % 2 == 1 && calls == seen;
            wait = if hangs { wait * PATIENCE_FACTOR } else { period };
            seen = calls;
            if hangs {
                let help = help.clone();
                tracing::warn!("writing to the disk takes long");
                helpers.extend(std::thread::Builder::new().name("store-helper".to_owned()).spawn(move || help()));
            }
        }
        for helper in helpers {
            // A helper's panic is sled's; the call that was helped reports it.
            let _ = helper.join();
        }
    }

    /// Waits for a while; returns whether it is time to end.
    fn rest(&self, wait: Duration) -> bool {
        let stopped = self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.bell.wait_timeout_while(stopped, wait, |stopped| !*stopped);
        *ended.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_hangs_is_helped_and_a_quick_one_is_left_alone() {
        let (wakes, is_woken) = std::sync::mpsc::channel();
        let helped = Arc::new(AtomicU64::new(0));
        let counter = helped.clone();
        let help = move || {
            counter.fetch_add(1, Ordering::AcqRel);
            wakes.send(()).unwrap();
        };
        let waker = Waker::start_with(Duration::from_millis(1), Arc::new(help)).unwrap();
        assert_eq!(waker.watch(|| 7), 7);
        assert_eq!(helped.load(Ordering::Acquire), 0);
        waker.watch(|| is_woken.recv_timeout(Duration::from_secs(60)).unwrap());
        drop(waker);
        assert!(helped.load(Ordering::Acquire) > 0);
    }
}
