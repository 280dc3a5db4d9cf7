//! [`Manager`]: starts the controllers, feeds them, stops them.
//!
//! Everything it starts lives in one [`JoinSet`] inside [`Manager::run`]: dropping that future ends every task at its
//! present await, as a kill would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ports::clock::Clock;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cache::{Cache, Difference};
use super::controller::{Controller, ControllerOptions, Shared};
use super::erased::Erased;
use super::events::Recorder;
use super::guards::Guards;
use super::informer::Informer;
use super::journal::Journal;
use super::leader::{Election, Fence, LeaderOptions};
use super::metrics::Metrics;
use super::objects::{ObjectKey, Objects};
use super::queue::Taken;
use super::reconciler::Reconciler;

/// How long running passes may go on after a stop was asked for; then they are cut off, which they must bear anyway.
const STOP_GRACE: Duration = Duration::from_secs(8);
/// How long the last events may take to be written.
const EVENTS_GRACE: Duration = Duration::from_secs(1);

/// Starts, feeds and stops controllers.
pub struct Manager {
    shared: Shared,
    leader: Option<LeaderOptions>,
    controllers: Vec<Arc<Controller>>,
}

/// Wakes objects from outside: for webhooks, for jobs that end, for people who ask. Cheap to clone.
#[derive(Clone)]
pub struct Bell {
    controllers: Arc<[Arc<Controller>]>,
}

impl Bell {
    /// Asks for a pass over an object. Unknown resources are ignored: a bell carries no data and no promise.
    pub fn ring(&self, key: &ObjectKey) {
        for controller in self.controllers.iter().filter(|controller| controller.facts().resource == key.resource) {
            controller.ring(&key.key);
        }
    }
}

impl Manager {
    /// Returns a manager without controllers. With `leader`, nothing is reconciled until an election is won.
    #[must_use]
    pub fn new(
        objects: Arc<dyn Objects>,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
        leader: Option<LeaderOptions>,
        guards: Guards,
    ) -> Self {
        let metrics = Metrics::new(registry);
        let fence = if leader.is_some() { Fence::closed() } else { Fence::open() };
        let recorder = Recorder::new(clock.clone(), metrics.clone());
        let cache = Arc::new(Cache::default());
        Self {
            shared: Shared { objects, cache, clock, recorder, metrics, fence, guards, gone: Arc::default() },
            leader,
            controllers: Vec::new(),
        }
    }

    /// Adds a kind.
    pub fn register<R: Reconciler>(&mut self, reconciler: R, options: ControllerOptions) {
        let controller = Controller::new(Arc::new(Erased::new(reconciler)), options, &self.shared);
        self.controllers.push(Arc::new(controller));
    }

    /// Returns what reconcilers may share: the store, the cache, the clock.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the journal of this store.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::new(self.shared.objects.clone(), self.shared.clock.clone(), self.shared.guards)
    }

    /// Returns a bell for all controllers that are registered so far.
    #[must_use]
    pub fn bell(&self) -> Bell {
        Bell { controllers: self.controllers.clone().into() }
    }

    /// Returns whether every controller has seen all objects: part of `/readyz`.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let cache = &self.shared.cache;
        self.controllers.iter().flat_map(|controller| controller.resources()).all(|resource| cache.is_synced(&resource))
    }

    /// Returns the longest that any key was ready before its turn came.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let waits = self.controllers.iter().map(|controller| controller.queue.figures().longest_wait);
        waits.max().unwrap_or_default()
    }

    /// Returns queues, running passes and the last pass of each key, for `/debug/state`.
    #[must_use]
    pub fn debug_state(&self) -> Value {
        let controllers: Vec<Value> = self.controllers.iter().map(|controller| controller.debug_state()).collect();
        json!({"leading": self.shared.fence.is_open(), "controllers": controllers})
    }

    /// Reconciles until `stop` fires or leadership is lost, then lets running passes finish, for at most 10 s in all.
    ///
    /// A ccd that has lost leadership should exit and be started again: its caches are of no use to a standby.
    pub async fn run(&self, stop: CancellationToken) {
        let Some(options) = &self.leader else {
            self.reconcile(&stop).await;
            return;
        };
        let Shared { objects, clock, fence, .. } = &self.shared;
        let mut election = Election::new(options.clone(), objects.clone(), clock.clone(), fence.clone());
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = election.win() => {}
        }
        let lost = stop.child_token();
        let release = CancellationToken::new();
        let hold = async {
            election.hold(&release).await;
            lost.cancel();
        };
        let work = async {
            self.reconcile(&lost).await;
            release.cancel();
        };
        tokio::join!(hold, work);
    }

    async fn reconcile(&self, stop: &CancellationToken) {
        let mut feeders = JoinSet::new();
        for (resource, controllers) in self.routes() {
            let sink = Arc::new(move |difference: &Difference| {
                for controller in &controllers {
                    controller.notice(difference);
                }
            });
            let informer = Informer {
                resource,
                objects: self.shared.objects.clone(),
                cache: self.shared.cache.clone(),
                sink,
                guards: self.shared.guards,
            };
            feeders.spawn(informer.run());
        }
        let (recorder, objects) = (self.shared.recorder.clone(), self.shared.objects.clone());
        feeders.spawn(async move { recorder.run(&objects).await });
        feeders.spawn(report_open_intents(self.journal()));
        let mut dispatchers = JoinSet::new();
        for controller in &self.controllers {
            dispatchers.spawn(dispatch(controller.clone(), stop.clone()));
        }
        while let Some(ended) = dispatchers.join_next().await {
            joined(Some(ended));
        }
        drop(feeders);
        let write_events = self.shared.recorder.write_all(&self.shared.objects);
        // Events are for the record; a stop does not wait long for them.
        let _ = tokio::time::timeout(EVENTS_GRACE, write_events).await;
    }

    /// Returns who wants to hear of which resource.
    fn routes(&self) -> BTreeMap<Arc<str>, Vec<Arc<Controller>>> {
        let mut routes: BTreeMap<Arc<str>, Vec<Arc<Controller>>> = BTreeMap::new();
        for controller in &self.controllers {
            for resource in controller.resources() {
                routes.entry(resource).or_default().push(controller.clone());
            }
        }
        routes
    }
}

/// Says what was cut off last time. The passes that follow resolve it.
async fn report_open_intents(journal: Journal) {
    match journal.open().await {
        Ok(open) => {
            for intent in open {
                let (owner, effect) = (intent.owner.to_string(), intent.effect);
                tracing::warn!(owner, effect, since = intent.announced_at, "an effect was cut off; looking for it");
            }
        }
        Err(status) => tracing::debug!(error = %status, "the journal cannot be read yet"),
    }
}

/// Hands keys to passes, as many at once as the kind allows, until it is stopped.
async fn dispatch(controller: Arc<Controller>, stop: CancellationToken) {
    let mut passes = JoinSet::new();
    loop {
        while passes.len() >= controller.options.concurrency {
            joined(passes.join_next().await);
        }
        let taken: Taken = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = passes.join_next() => {
                joined(Some(ended));
                continue;
            }
            taken = controller.queue.next() => taken,
        };
        let controller = controller.clone();
        passes.spawn(async move { controller.run_pass(taken).await });
    }
    let finish = async { while passes.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finish).await.is_err() {
        tracing::warn!(controller = &*controller.facts().controller, running = passes.len(), "passes are cut off");
    }
}

/// A panic of a pass is caught in the pass; one of the loop itself must not be lost.
fn joined(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
