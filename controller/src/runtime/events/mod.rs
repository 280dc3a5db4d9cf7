//! Events: what happened to which object, as `v1` Event objects that `kubectl get events` shows.
//!
//! Recording never blocks and never fails a pass. Equal events (same object, type, reason and message) are one Event
//! whose count grows; its name is computed, so that a restart goes on counting. What is recorded while an equal event
//! waits to be written is only counted. At most `WAITING_MAX` different events wait; more are dropped and counted in
//! `cc_events_dropped_total`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::status::{Reason, Status};
use futures::StreamExt as _;
use jiff::Timestamp;
use ports::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::backoff::hash;
use super::metrics::Metrics;
use super::objects::{ObjectKey, Objects, StoredObject};

#[cfg(test)]
mod tests;

/// Most different events that wait to be written.
const WAITING_MAX: usize = 4096;
/// Events written at the same time.
const WRITES_MAX: usize = 16;
/// The pause between two rounds of writing, in which equal events come together.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts to write one event.
const ATTEMPTS: u32 = 3;
/// An event that takes longer to write is dropped.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Characters of a message that are kept, as in Kubernetes.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

/// The resource of events.
pub const EVENTS: &str = "events";

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// For the record.
    Normal,
    /// Something is wrong.
    Warning,
}

impl EventKind {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

#[derive(Debug)]
struct Waiting {
    value: Value,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: HashMap<ObjectKey, Waiting>,
    order: VecDeque<ObjectKey>,
}

/// Records events; cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Mutex<Queue>,
    bell: Notify,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Recorder {
    /// Returns a recorder whose events wait until [`run`](Self::run) writes them.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self { inner: Arc::new(Inner { queue: Mutex::default(), bell: Notify::new(), clock, metrics }) }
    }

    /// Records that something happened to an object; `reason` is one CamelCase word.
    pub fn record(&self, controller: &str, object: &StoredObject, kind: EventKind, reason: &str, message: &str) {
        let now = self.inner.clock.now();
        let message: String = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        let value = event(controller, object, kind, reason, &message);
        let Ok(stored) = StoredObject::new(EVENTS, value) else { return };
        let mut queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = queue.waiting.get_mut(&stored.key) {
            waiting.count += 1;
            waiting.last = now;
            return;
        }
        if queue.waiting.len() >= WAITING_MAX {
            self.inner.metrics.event_dropped();
            return;
        }
        queue.order.push_back(stored.key.clone());
        queue.waiting.insert(stored.key, Waiting { value: stored.value, count: 1, first: now, last: now });
        drop(queue);
        self.inner.bell.notify_one();
    }

    /// Writes events until it is dropped.
    pub async fn run(&self, objects: &Arc<dyn Objects>) {
        loop {
            self.inner.bell.notified().await;
            self.write_all(objects).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes what waits now.
    pub async fn write_all(&self, objects: &Arc<dyn Objects>) {
        let waiting: Vec<_> = {
            let mut queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let order = std::mem::take(&mut queue.order);
            order.into_iter().filter_map(|key| queue.waiting.remove_entry(&key)).collect()
        };
        futures::stream::iter(waiting)
            .for_each_concurrent(WRITES_MAX, async |(key, waiting)| {
                match tokio::time::timeout(WRITE_TIME_MAX, write(&**objects, &key, &waiting)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(status)) => {
                        tracing::debug!(event = %key, error = %status, "the event was not recorded");
                        self.inner.metrics.event_dropped();
                    }
                    Err(_) => self.inner.metrics.event_dropped(),
                }
            })
            .await;
    }
}

async fn write(objects: &dyn Objects, key: &ObjectKey, waiting: &Waiting) -> Result<(), Status> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let result = match objects.get(key).await {
            Ok(present) => {
                let mut value = present.value.clone();
                let count = value["count"].as_u64().unwrap_or(1) + waiting.count;
                value["count"] = Value::from(count);
                value["lastTimestamp"] = Value::from(seconds(waiting.last));
                objects.update(key, value).await
            }
            Err(status) if status.reason == Some(Reason::NotFound) => {
                let mut value = waiting.value.clone();
                value["count"] = Value::from(waiting.count);
                value["firstTimestamp"] = Value::from(seconds(waiting.first));
                value["lastTimestamp"] = Value::from(seconds(waiting.last));
                objects.create(EVENTS, value).await
            }
            Err(status) => Err(status),
        };
        match result {
            Ok(_) => return Ok(()),
            Err(status)
                if attempt < ATTEMPTS
                    && matches!(status.reason, Some(Reason::Conflict | Reason::AlreadyExists | Reason::NotFound)) => {}
            Err(status) => return Err(status),
        }
    }
}

fn event(controller: &str, object: &StoredObject, kind: EventKind, reason: &str, message: &str) -> Value {
    let metadata = &object.metadata;
    // Events of cluster-scoped objects live in `default`, as in Kubernetes.
    let namespace = if metadata.namespace.is_empty() { "default" } else { &metadata.namespace };
    let identity = format!("{}\n{}\n{reason}\n{message}", metadata.uid, kind.word());
    // The name of the event must fit even when the object's name is as long as names can be.
    let stem: String = metadata.name.chars().take(200).collect();
    let component = format!("{controller}-controller");
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{}.{:016x}", stem.trim_end_matches(['.', '-']), hash(&identity, 0)), "namespace": namespace},
        "involvedObject": {
            "apiVersion": object.value["apiVersion"],
            "kind": object.value["kind"],
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": kind.word(),
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "ccd",
    })
}

/// Returns a moment as Kubernetes writes it: RFC 3339 in whole seconds, UTC.
#[must_use]
pub fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
