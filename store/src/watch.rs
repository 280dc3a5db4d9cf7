//! Streams of changes that resume from any revision still kept, without gap and without duplicate.
//!
//! A watch holds no queue: only the revision it has reached. When the bell of its resource rings it takes what is new
//! from the published state. A slow watcher therefore costs nothing and blocks nobody; if it falls behind the history
//! it ends with `Expired` and the client lists again.

use std::collections::VecDeque;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use bytes::Bytes;
use tokio::sync::watch;

use crate::guards::Guard;
use crate::object::Object;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::shared::Shared;
use crate::state::{Event, EventKind, State, watch_line};

/// Most events taken from the state at once.
const TAKE_MAX: usize = 512;

/// What to watch, and from where.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Only this namespace; `None` for all.
    pub namespace: Option<String>,
    /// Only what matches.
    pub selector: Selector,
    /// Where to begin.
    pub start: WatchStart,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With the changes after this revision.
    After(u64),
    /// With an `Added` for every object there is, then what changes.
    Now,
    /// Like `Now`, followed by a [`WatchItem::Synced`] when all objects have been sent.
    NowWithSync,
}

/// One item of a watch.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// A change, or an object that was there at the start.
    Change(Change),
    /// All objects that were there at the start have been sent; they are the state at this revision.
    Synced(u64),
}

/// A change as one watcher sees it: an object that leaves the selection looks deleted, one that enters looks added.
#[derive(Clone, Debug)]
pub struct Change {
    /// How the object changed in the eyes of this watcher.
    pub kind: EventKind,
    /// The object.
    pub object: Arc<Object>,
    shared_line: Option<Arc<Event>>,
}

impl Change {
    /// Returns the watch line `{"type":…,"object":…}\n`; shared with all watchers where they see the same.
    #[must_use]
    pub fn line(&self) -> Bytes {
        match &self.shared_line {
            Some(event) => event.line(),
            None => watch_line(self.kind, &self.object.json()),
        }
    }
}

/// A running watch.
pub struct Watch {
    shared: Arc<Shared>,
    bell: watch::Receiver<u64>,
    request: WatchRequest,
    key_prefix: String,
    initial: VecDeque<Arc<Object>>,
    sync_pending: bool,
    revision: u64,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, request: WatchRequest) -> Result<Self, Status> {
        // The bell is taken before the state is read: a change in between rings it.
        let bell = shared.notifiers.subscribe(&request.resource.key);
        let state = shared.state.load_full();
        let key_prefix = request.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let mut watch = Self {
            shared,
            bell,
            key_prefix,
            initial: VecDeque::new(),
            sync_pending: request.start == WatchStart::NowWithSync,
            revision: state.revision,
            request,
        };
        match watch.request.start {
            WatchStart::After(revision) => {
                let is_exact = watch.shared.guards.has(Guard::ResumeExactly);
                watch.revision = if is_exact { revision } else { revision + 1 };
                let oldest = state.resources.get(&watch.request.resource.key).map_or(0, |found| found.compacted);
                if revision < oldest {
                    return Err(expired(revision, oldest));
                }
            }
            WatchStart::Now | WatchStart::NowWithSync => {
                watch.initial = state
                    .objects_from(&watch.request.resource.key, &watch.key_prefix)
                    .take_while(|object| object.key().starts_with(&watch.key_prefix))
                    .filter(|object| watch.request.selector.matches(object))
                    .cloned()
                    .collect();
            }
        }
        Ok(watch)
    }

    /// Returns the revision up to which everything has been delivered: what a bookmark says.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Waits for changes and returns at least one item, at most a few hundred.
    ///
    /// Cancel safe: what was not returned comes with the next call.
    ///
    /// # Errors
    /// `Expired` when the watcher has fallen behind the history; the caller lists again. `NotFound` when the resource is
    /// served no more and everything that happened to its objects has been returned.
    pub async fn next(&mut self) -> Result<Vec<WatchItem>, Status> {
        loop {
            let items = self.take()?;
            if !items.is_empty() {
                return Ok(items);
            }
            if self.bell.changed().await.is_err() {
                return Err(Status::failure(Reason::ServiceUnavailable, "the store is closed: ccd is shutting down"));
            }
        }
    }

    /// Returns what there is without waiting; empty when nothing is new.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn take(&mut self) -> Result<Vec<WatchItem>, Status> {
        if !self.initial.is_empty() || self.sync_pending {
            return Ok(self.take_initial());
        }
        self.bell.mark_unchanged();
        let state = self.shared.state.load_full();
        let items = self.take_changes(&state)?;
        let key = &self.request.resource.key;
        if items.is_empty() && state.registry.get(key).is_none() {
            return Err(Status::failure(Reason::NotFound, format!("{key} is served no more")));
        }
        Ok(items)
    }

    fn take_changes(&mut self, state: &State) -> Result<Vec<WatchItem>, Status> {
        let Some(resource) = state.resources.get(&self.request.resource.key) else {
            self.revision = self.revision.max(state.revision);
            return Ok(Vec::new());
        };
        let Some(events) = resource.events_after(self.revision) else {
            return Err(expired(self.revision, resource.compacted));
        };
        let mut items = Vec::new();
        let mut reached = state.revision;
        for event in events {
            if items.len() == TAKE_MAX {
                reached = self.revision;
                break;
            }
            self.revision = event.revision();
            items.extend(self.seen_as(event).map(WatchItem::Change));
        }
        self.revision = self.revision.max(reached);
        Ok(items)
    }

    fn take_initial(&mut self) -> Vec<WatchItem> {
        let count = self.initial.len().min(TAKE_MAX);
        let mut items: Vec<WatchItem> = self
            .initial
            .drain(..count)
            .map(|object| WatchItem::Change(Change { kind: EventKind::Added, object, shared_line: None }))
            .collect();
        if self.initial.is_empty() && self.sync_pending {
            self.sync_pending = false;
            items.push(WatchItem::Synced(self.revision));
        }
        items
    }

    fn seen_as(&self, event: &Arc<Event>) -> Option<Change> {
        let object = &event.object;
        if !object.key().starts_with(&self.key_prefix) {
            return None;
        }
        let selector = &self.request.selector;
        if selector.is_everything() {
            return Some(Change { kind: event.kind, object: object.clone(), shared_line: Some(event.clone()) });
        }
        let before = match (&event.previous, event.kind) {
            (Some(previous), _) => selector.matches(previous),
            (None, EventKind::Added) => false,
            // After a restart the oldest changes do not know what was before: claim it, clients ignore surplus ends.
            (None, EventKind::Modified | EventKind::Deleted) => true,
        };
        let after = event.kind != EventKind::Deleted && selector.matches(object);
        match (before, after) {
            (false, false) => None,
            (true, true) => Some(Change { kind: event.kind, object: object.clone(), shared_line: Some(event.clone()) }),
            (false, true) => Some(Change { kind: EventKind::Added, object: object.clone(), shared_line: None }),
            (true, false) => {
                let last = event.previous.as_ref().unwrap_or(object).at_revision(event.revision());
                Some(Change { kind: EventKind::Deleted, object: Arc::new(last), shared_line: None })
            }
        }
    }
}

fn expired(revision: u64, oldest: u64) -> Status {
    Status::failure(Reason::Expired, format!("too old resource version: {revision} ({oldest})"))
}
