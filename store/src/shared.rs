//! What the committer thread and everybody else share: the published state, the bells, the figures.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::error::CommitError;
use crate::guards::Guards;
use crate::keyring::Keyring;
use crate::state::{Event, State};

/// Shared by the committer thread and all handles.
pub(crate) struct Shared {
    pub state: ArcSwap<State>,
    pub notifiers: Notifiers,
    /// Why writes are refused at the moment.
    pub read_only: ArcSwapOption<CommitError>,
    pub figures: Figures,
    pub guards: Guards,
    pub keyring: Arc<Keyring>,
}

/// Counters for metrics.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub groups_total: AtomicU64,
    pub writes_total: AtomicU64,
    pub generations_total: AtomicU64,
}

/// One bell for each resource and one for all: it carries the revision that was published last.
pub(crate) struct Notifiers {
    all: watch::Sender<u64>,
    resources: RwLock<HashMap<Arc<str>, watch::Sender<u64>>>,
}

impl Notifiers {
    pub(crate) fn new(revision: u64) -> Self {
        Self { all: watch::Sender::new(revision), resources: RwLock::default() }
    }

    /// Returns a bell that rings when anything changes.
    pub(crate) fn subscribe_all(&self) -> watch::Receiver<u64> {
        self.all.subscribe()
    }

    /// Returns a bell that rings when `resource` changes.
    pub(crate) fn subscribe(&self, resource: &Arc<str>) -> watch::Receiver<u64> {
        if let Some(sender) = self.resources.read().unwrap_or_else(PoisonError::into_inner).get(resource) {
            return sender.subscribe();
        }
        let mut resources = self.resources.write().unwrap_or_else(PoisonError::into_inner);
        resources.entry(resource.clone()).or_insert_with(|| watch::Sender::new(*self.all.borrow())).subscribe()
    }

    /// Rings for the resources of `events`, after their state was published.
    pub(crate) fn changed(&self, revision: u64, events: &[Arc<Event>]) {
        let resources = self.resources.read().unwrap_or_else(PoisonError::into_inner);
        let mut last_rung = "";
        for event in events {
            let resource = event.object.resource();
            // A group mostly writes one resource; ringing twice is harmless, a set would cost more.
            if resource != last_rung
                && let Some(sender) = resources.get(resource)
            {
                sender.send_replace(revision);
            }
            last_rung = resource;
        }
        self.all.send_replace(revision);
    }

    /// Rings for resources that are served no more, so that those who watch them look once more and end.
    pub(crate) fn removed(&self, revision: u64, removed: &[Arc<str>]) {
        let resources = self.resources.read().unwrap_or_else(PoisonError::into_inner);
        for sender in removed.iter().filter_map(|resource| resources.get(resource)) {
            sender.send_replace(revision);
        }
    }
}
