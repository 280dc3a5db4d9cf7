//! Faults: calls that fail, hang, take long, lose their reply, or are the last thing the process does.
//!
//! Every await of the loop and of the simulated reconcilers that reaches outside goes through [`Faults::call`], so a
//! kill may come before the effect, or after the effect and before anybody knows of it. All of it is decided by one
//! seeded generator: the same seed, the same faults.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::status::{Reason, Status};
use async_trait::async_trait;
use controller::runtime::objects::{Change, Listing, ObjectKey, ObjectWatch, Objects, ServedResource, StoredObject};
use controller::runtime::outcome::Failure;
use serde_json::Value;
use tokio::sync::Notify;

use crate::seed::Random;

/// What can go wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Refused,
    ReplyLost,
    Hangs,
    KilledBefore,
    KilledAfter,
}

/// The source of all faults of one run; shared by every incarnation of the process.
pub struct Faults {
    random: Mutex<Random>,
    on: AtomicBool,
    /// Rings when the process is to be killed.
    pub kill: Notify,
    /// Of a thousand calls so many go wrong.
    per_mille: u64,
}

impl Faults {
    /// Returns faults that are on.
    #[must_use]
    pub fn new(seed: u64, per_mille: u64) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(Random::new(seed)),
            on: AtomicBool::new(true),
            kill: Notify::new(),
            per_mille,
        })
    }

    /// Ends all faults: from now on everything works, but still takes its time.
    pub fn end(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// Returns a number below `bound` from the run's generator.
    pub fn below(&self, bound: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(bound)
    }

    /// Makes a call that may go wrong; `refuse` makes the error.
    ///
    /// # Errors
    /// The call's own, and those that are made up.
    pub async fn call<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        refuse: impl FnOnce(&str) -> E,
    ) -> Result<T, E> {
        let fault = self.draw().await;
        match fault {
            Fault::Refused => return Err(refuse("made up: refused")),
            Fault::Hangs => std::future::pending::<()>().await,
            Fault::KilledBefore => self.die().await,
            Fault::None | Fault::ReplyLost | Fault::KilledAfter => {}
        }
        let result = call.await;
        match fault {
            Fault::ReplyLost => Err(refuse("made up: the reply was lost")),
            Fault::KilledAfter => {
                self.die().await;
                result
            }
            _ => result,
        }
    }

    async fn draw(&self) -> Fault {
        // Half of all calls take no time: what happens between two awaits of others matters as much as long waits.
        let milliseconds = if self.below(2) == 0 { 0 } else { self.below(40) };
        if milliseconds > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        if !self.on.load(Ordering::Relaxed) || self.below(1000) >= self.per_mille {
            return Fault::None;
        }
        match self.below(20) {
            0..9 => Fault::Refused,
            9..15 => Fault::ReplyLost,
            15 => Fault::Hangs,
            16 | 17 => Fault::KilledBefore,
            _ => Fault::KilledAfter,
        }
    }

    async fn die(&self) {
        self.kill.notify_one();
        std::future::pending::<()>().await;
    }
}

/// Returns the failure of an outside system.
#[must_use]
pub fn refused(why: &str) -> Failure {
    Failure::retryable("Outage", why)
}

fn unavailable(why: &str) -> Status {
    Status::failure(Reason::ServiceUnavailable, why)
}

/// A store whose calls go wrong.
pub struct FaultyObjects {
    /// The store.
    pub inner: Arc<dyn Objects>,
    /// What goes wrong.
    pub faults: Arc<Faults>,
}

struct FaultyWatch {
    inner: Box<dyn ObjectWatch>,
    faults: Arc<Faults>,
    pending: Vec<Change>,
}

#[async_trait]
impl ObjectWatch for FaultyWatch {
    async fn next(&mut self) -> Result<Vec<Change>, Status> {
        if self.pending.is_empty() {
            // Cut off here, nothing is lost: the changes are still to come.
            self.pending = self.inner.next().await?;
        }
        let on = self.faults.on.load(Ordering::Relaxed);
        // A watcher that falls behind loses the history; one that is cut off watches again.
        let milliseconds = if on && self.faults.below(40) == 0 { 4000 } else { self.faults.below(30) };
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        if on && self.faults.below(300) == 0 {
            return Err(unavailable("made up: the watch was cut off"));
        }
        Ok(std::mem::take(&mut self.pending))
    }
}

#[async_trait]
impl Objects for FaultyObjects {
    fn served(&self) -> Vec<ServedResource> {
        self.inner.served()
    }

    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status> {
        self.faults.call(self.inner.list(resource, namespace), unavailable).await
    }

    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status> {
        let inner = self.inner.watch(resource, after).await?;
        Ok(Box::new(FaultyWatch { inner, faults: self.faults.clone(), pending: Vec::new() }))
    }

    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        self.faults.call(self.inner.get(key), unavailable).await
    }

    async fn create(&self, resource: &str, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.faults.call(self.inner.create(resource, value), unavailable).await
    }

    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.faults.call(self.inner.update(key, value), unavailable).await
    }

    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status> {
        self.faults.call(self.inner.update_status(object, status), unavailable).await
    }

    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status> {
        self.faults.call(self.inner.finalize_namespace(key, value), unavailable).await
    }

    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status> {
        self.faults.call(self.inner.delete(key, uid), unavailable).await
    }
}
