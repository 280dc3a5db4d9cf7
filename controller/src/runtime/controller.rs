//! [`Controller`]: everything that belongs to one kind while it runs: its reconciler, its queue, who wakes whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ports::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::cache::{Cache, Difference};
use super::erased::{ErasedReconciler, KindFacts};
use super::events::{Recorder, seconds};
use super::guards::Guards;
use super::leader::Fence;
use super::metrics::{ControllerMetrics, Metrics};
use super::objects::{ObjectKey, Objects, StoredObject};
use super::pass::Ended;
use super::queue::{Wake, WorkQueue};
use super::references::References;

/// Most keys that `/debug/state` lists for one controller.
const DEBUG_KEYS_MAX: usize = 1000;

/// How a kind's controller works.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// Most passes at the same time.
    pub concurrency: usize,
    /// A pass that takes longer is cut off.
    pub pass_time_limit: Duration,
    /// How often an object gets a pass although nothing changed, spread out by a quarter each way.
    pub resync: Duration,
    /// Backoff after failures.
    pub backoff: Backoff,
    /// Resources (`plural.group`) of children: a change wakes the owner.
    pub owns: Vec<String>,
    /// Resources of objects that `references` and failures name: a change wakes those that name it.
    pub watches: Vec<String>,
}

impl Default for ControllerOptions {
    fn default() -> Self {
        Self {
            concurrency: 8,
            pass_time_limit: Duration::from_secs(30),
            resync: Duration::from_mins(10),
            backoff: Backoff::default(),
            owns: Vec::new(),
            watches: Vec::new(),
        }
    }
}

/// What controllers share.
#[derive(Clone)]
pub struct Shared {
    /// The store.
    pub objects: Arc<dyn Objects>,
    /// The newest known versions.
    pub cache: Arc<Cache>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether we may write.
    pub fence: Fence,
    /// Which guards are up.
    pub guards: Guards,
    /// Rings when an object of some controller's kind is gone.
    pub gone: Arc<Notify>,
}

#[derive(Clone, Debug)]
struct LastPass {
    result: &'static str,
    ended_at: Timestamp,
    took: Duration,
}

/// One kind's controller.
pub struct Controller {
    pub(crate) reconciler: Arc<dyn ErasedReconciler>,
    pub(crate) options: ControllerOptions,
    pub(crate) queue: Arc<WorkQueue>,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: ControllerMetrics,
    pub(crate) fence: Fence,
    pub(crate) guards: Guards,
    gone: Arc<Notify>,
    /// What the objects name, by `references`.
    references: Mutex<References>,
    /// What the last failures wait for.
    waiting: Mutex<References>,
    last_passes: Mutex<HashMap<Arc<str>, LastPass>>,
}

impl Controller {
    /// Returns a controller that has nothing to do yet.
    #[must_use]
    pub fn new(reconciler: Arc<dyn ErasedReconciler>, options: ControllerOptions, shared: &Shared) -> Self {
        let queue = Arc::new(WorkQueue::new(options.backoff, options.resync, shared.guards));
        let metrics = shared.metrics.add_controller(&reconciler.facts().controller, &queue);
        Self {
            reconciler,
            options,
            queue,
            objects: shared.objects.clone(),
            cache: shared.cache.clone(),
            clock: shared.clock.clone(),
            recorder: shared.recorder.clone(),
            metrics,
            fence: shared.fence.clone(),
            guards: shared.guards,
            gone: shared.gone.clone(),
            references: Mutex::default(),
            waiting: Mutex::default(),
            last_passes: Mutex::default(),
        }
    }

    /// Returns what the loop knows of the kind.
    #[must_use]
    pub fn facts(&self) -> &KindFacts {
        self.reconciler.facts()
    }

    /// Returns every resource whose changes concern this controller, each once.
    #[must_use]
    pub fn resources(&self) -> Vec<Arc<str>> {
        let mut resources = vec![self.facts().resource.clone()];
        resources.extend(self.options.owns.iter().chain(&self.options.watches).map(|name| Arc::from(name.as_str())));
        resources.sort();
        resources.dedup();
        resources
    }

    /// Wakes whom a change concerns: the object itself, its owner, those that name it, those that it names.
    pub(crate) fn notice(&self, difference: &Difference) {
        let facts = self.facts();
        if difference.key.resource == facts.resource {
            let named = difference.after.as_ref().map(|object| self.reconciler.references(object)).unwrap_or_default();
            lock(&self.references).set(&difference.key.key, named);
            self.queue.wake(&difference.key.key, difference.wake());
            if difference.after.is_none() {
                self.gone.notify_one();
            }
        }
        if self.options.owns.iter().any(|owned| **owned == *difference.key.resource) {
            for version in [&difference.before, &difference.after].into_iter().flatten() {
                for owner in self.owners(version) {
                    self.queue.wake(&owner, Wake::Changed);
                }
            }
        }
        let mut dependents: Vec<Arc<str>> = lock(&self.references).dependents(&difference.key).cloned().collect();
        dependents.extend(lock(&self.waiting).dependents(&difference.key).cloned());
        if difference.key.resource != facts.resource {
            // Whom it named before is concerned as much as whom it names now.
            for version in [&difference.before, &difference.after].into_iter().flatten() {
                let named = self.reconciler.named_by(version).into_iter();
                dependents.extend(named.filter(|key| self.cache.get(key).is_some()).map(|key| key.key));
            }
        }
        for key in dependents {
            self.queue.wake(&key, Wake::Changed);
        }
    }

    /// Wakes a key because somebody outside rang: a webhook, a job that ended.
    pub(crate) fn ring(&self, key: &Arc<str>) {
        self.queue.wake(key, Wake::Changed);
    }

    pub(crate) fn key(&self, key: &Arc<str>) -> ObjectKey {
        ObjectKey { resource: self.facts().resource.clone(), key: key.clone() }
    }

    pub(crate) fn set_waiting(&self, key: &Arc<str>, waits_for: Vec<ObjectKey>) {
        lock(&self.waiting).set(key, waits_for);
    }

    /// Forgets everything about an object that is gone.
    pub(crate) fn forget(&self, key: &Arc<str>) {
        lock(&self.references).set(key, Vec::new());
        lock(&self.waiting).set(key, Vec::new());
        lock(&self.last_passes).remove(key);
        self.reconciler.gone(&self.key(key));
    }

    pub(crate) fn note_pass(&self, key: &Arc<str>, ended: &Ended, took: Duration) {
        if ended.rest == super::queue::Rest::Gone {
            return;
        }
        let last = LastPass { result: ended.result.word(), ended_at: self.clock.now(), took };
        lock(&self.last_passes).insert(key.clone(), last);
    }

    /// Returns queue, running passes and the last pass of every key: those in trouble first, at most a thousand.
    #[must_use]
    pub fn debug_state(&self) -> Value {
        let figures = self.queue.figures();
        let running: Vec<Value> = figures
            .running
            .iter()
            .map(|(key, since)| json!({"key": **key, "forSeconds": since.as_secs_f64()}))
            .collect();
        let mut passes: Vec<(Arc<str>, LastPass)> =
            lock(&self.last_passes).iter().map(|(key, last)| (key.clone(), last.clone())).collect();
        passes.sort_by(|left, right| {
            let is_fine = |last: &LastPass| last.result == "ok";
            is_fine(&left.1).cmp(&is_fine(&right.1)).then_with(|| left.0.cmp(&right.0))
        });
        let known = passes.len();
        let passes: Vec<Value> = passes
            .into_iter()
            .take(DEBUG_KEYS_MAX)
            .map(|(key, last)| {
                json!({
                    "key": *key,
                    "result": last.result,
                    "endedAt": seconds(last.ended_at),
                    "tookSeconds": last.took.as_secs_f64(),
                    "next": self.queue.place(&key),
                })
            })
            .collect();
        json!({
            "controller": *self.facts().controller,
            "resource": *self.facts().resource,
            "synced": self.cache.is_synced(&self.facts().resource),
            "queue": {"ready": figures.ready, "delayed": figures.delayed, "stalled": figures.parked,
                "longestWaitSeconds": figures.longest_wait.as_secs_f64()},
            "running": running,
            "keys": known,
            "lastPasses": passes,
        })
    }

    /// Returns the keys of those owners that are of our kind.
    fn owners(&self, child: &StoredObject) -> Vec<Arc<str>> {
        let facts = self.facts();
        let owners = child.metadata.owner_references.iter().filter(|owner| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            owner.kind == facts.kind && group == facts.group
        });
        // An owner is in the child's namespace or, when its kind is cluster-scoped, in none. One that the cache does
        // not have gets its pass when it comes.
        let namespaces = [&*child.metadata.namespace, ""];
        owners
            .flat_map(|owner| namespaces.map(|namespace| ObjectKey::new(&facts.resource, namespace, &owner.name)))
            .filter(|owner| self.cache.get(owner).is_some())
            .map(|owner| owner.key)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it was only reading or had finished writing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
