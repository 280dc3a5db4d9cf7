//! The publish step under every interleaving: a watcher that goes to sleep has seen everything, or is woken.
//!
//! The real code is `Committer::publish` (store the state, then ring) and `Watch::take` / `Watch::next` (silence the
//! bell, look at the state, then wait for the bell). This model has the same three steps on each side with loom's
//! types, because loom cannot look into tokio and arc-swap. The second test swaps the writer's steps and shows that the
//! model would find the mistake.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};

/// The bell: a version that goes up, as in `tokio::sync::watch`; and whether it will ever ring again.
#[derive(Default)]
struct Bell {
    version: Mutex<(u64, bool)>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        self.version.lock().unwrap().0 += 1;
        self.rung.notify_all();
    }

    fn fall_silent(&self) {
        self.version.lock().unwrap().1 = true;
        self.rung.notify_all();
    }

    fn version(&self) -> u64 {
        self.version.lock().unwrap().0
    }

    /// Waits for the next ring; returns whether there was one.
    fn wait_beyond(&self, seen: u64) -> bool {
        let mut version = self.version.lock().unwrap();
        while version.0 == seen && !version.1 {
            version = self.rung.wait(version).unwrap();
        }
        version.0 != seen
    }
}

#[derive(Default)]
struct Shared {
    published: AtomicU64,
    bell: Bell,
}

#[derive(Clone, Copy)]
enum Order {
    PublishThenRing,
    RingThenPublish,
}

const WRITES: u64 = 2;

fn model(order: Order) {
    loom::model(move || {
        let shared = Arc::new(Shared { published: AtomicU64::new(0), bell: Bell::default() });
        let writer = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                for revision in 1..=WRITES {
                    match order {
                        Order::PublishThenRing => {
                            shared.published.store(revision, Ordering::Release);
                            shared.bell.ring();
                        }
                        Order::RingThenPublish => {
                            shared.bell.ring();
                            shared.published.store(revision, Ordering::Release);
                        }
                    }
                }
                shared.bell.fall_silent();
            })
        };
        // The watcher ends when it has seen the last write; nobody but the bell wakes it.
        let mut seen = 0;
        while seen < WRITES {
            let version = shared.bell.version();
            let published = shared.published.load(Ordering::Acquire);
            assert!(published >= seen, "a watcher never goes back");
            if published == seen {
                assert!(shared.bell.wait_beyond(version), "the watcher slept through a write");
            }
            seen = published;
        }
        writer.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    model(Order::PublishThenRing);
}

#[test]
fn the_model_finds_a_bell_that_rings_too_early() {
    let result = std::panic::catch_unwind(|| model(Order::RingThenPublish));
    assert!(result.is_err(), "ringing before publishing must lose a wake-up");
}
