//! What readers see: one immutable picture of everything at one revision.
//!
//! The committer makes a new [`State`] for each batch and publishes it whole; the old one lives on as long as somebody
//! reads it. Maps and vectors are persistent (`imbl`), so a new state shares all that did not change.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::object::Object;
use crate::registry::{Definition, Registry, api_version};

/// Everything at one revision.
#[derive(Clone, Debug)]
pub struct State {
    /// The newest revision in this picture.
    pub revision: u64,
    /// Which resources are served.
    pub registry: Arc<Registry>,
    /// Revisions up to and including this one may be missing from the history.
    pub compacted: u64,
    /// Every change that watches may still resume from, oldest first, over all resources.
    pub(crate) history: imbl::Vector<Arc<Event>>,
    /// Bytes of the objects that only the history keeps alive.
    pub(crate) history_bytes: usize,
    pub(crate) resources: HashMap<Arc<str>, Arc<ResourceState>>,
    /// Bytes of all live records.
    pub(crate) live_bytes: u64,
}

/// The objects and the recent changes of one resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceState {
    /// Live objects by `namespace/name`, in the order in which they are listed.
    pub(crate) objects: imbl::OrdMap<Arc<str>, Arc<Object>>,
    /// Recent changes, oldest first.
    pub(crate) events: imbl::Vector<Arc<Event>>,
    /// Revision of the newest change that is no longer in `events`.
    pub(crate) compacted: u64,
    /// Revision of the newest change.
    pub(crate) revision: u64,
}

/// A version that objects are stored with although their definition no longer names it.
pub(crate) struct LeftOut<'a> {
    pub version: &'a str,
    /// One that is stored with it.
    pub first: &'a Object,
    /// How many are.
    pub objects: usize,
}

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It came into being.
    Added,
    /// It was changed.
    Modified,
    /// It is gone; the event's object is its last state with the revision of its end.
    Deleted,
}

impl EventKind {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// How the object changed.
    pub kind: EventKind,
    /// The object after the change; for `Deleted` its last state.
    pub object: Arc<Object>,
    /// The object before the change; unknown for the oldest changes after a restart.
    pub(crate) previous: Option<Arc<Object>>,
    line: OnceLock<Bytes>,
}

impl Event {
    pub(crate) fn new(kind: EventKind, object: Arc<Object>, previous: Option<Arc<Object>>) -> Self {
        Self { kind, object, previous, line: OnceLock::new() }
    }

    /// Returns the revision of the change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.object.revision
    }

    /// Returns the watch line `{"type":…,"object":…}\n`, made once for all watchers.
    #[must_use]
    pub fn line(&self) -> Bytes {
        self.line.get_or_init(|| watch_line(self.kind, &self.object.json())).clone()
    }

    /// Returns the bytes that are kept alive by the history alone once a newer version exists.
    fn bytes(&self) -> usize {
        self.object.size_bytes()
    }
}

/// Returns one line of a watch stream.
#[must_use]
pub fn watch_line(kind: EventKind, json: &[u8]) -> Bytes {
    let word = kind.word();
    let mut line = Vec::with_capacity(json.len() + word.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(word.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(json);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}

/// How much history is kept for watches to resume from.
#[derive(Clone, Copy, Debug)]
pub struct HistoryLimits {
    /// Most changes kept.
    pub events_max: usize,
    /// Most bytes kept.
    pub bytes_max: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { events_max: 65_536, bytes_max: 48 << 20 }
    }
}

impl State {
    pub(crate) fn empty(registry: Registry) -> Self {
        Self {
            revision: 0,
            registry: Arc::new(registry),
            compacted: 0,
            history: imbl::Vector::new(),
            history_bytes: 0,
            resources: HashMap::new(),
            live_bytes: 0,
        }
    }

    /// Returns the live object `key` (`namespace/name`) of `resource`.
    #[must_use]
    pub fn get(&self, resource: &str, key: &str) -> Option<&Arc<Object>> {
        self.resources.get(resource)?.objects.get(key)
    }

    /// Returns the number of live objects of `resource`.
    #[must_use]
    pub fn count(&self, resource: &str) -> usize {
        self.resources.get(resource).map_or(0, |resource| resource.objects.len())
    }

    /// Iterates over the live objects of `resource` whose keys start at `from`, in order.
    pub fn objects_from<'a>(
        &'a self,
        resource: &str,
        from: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.resources.get(resource).into_iter().flat_map(move |resource| {
            resource.objects.range::<_, str>((Bound::Included(from), Bound::Unbounded)).map(|(_, object)| object)
        })
    }

    /// Returns the versions that `definition` no longer names although objects are still stored with them: their stored
    /// bytes would be shown as those of another version.
    pub(crate) fn left_out_versions(&self, definition: &Definition) -> impl Iterator<Item = LeftOut<'_>> {
        let (before, after) = (self.registry.get(&definition.key), definition.resource.clone());
        let stored = before.into_iter().flat_map(|before| &before.stored_versions);
        stored.filter_map(move |version| {
            let after = after.as_ref().filter(|after| !after.stored_versions.contains(version))?;
            let api_version = api_version(&after.names.group, version);
            let mut objects =
                self.objects_from(&after.key, "").filter(|object| object.api_version() == api_version.as_str());
            let first = objects.next()?;
            Some(LeftOut { version, first, objects: 1 + objects.count() })
        })
    }

    /// Iterates over every live object of every resource.
    pub fn all_objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.resources.values().flat_map(|resource| resource.objects.values())
    }

    /// Iterates over the changes of every resource after `revision`, oldest first.
    pub fn changes_after(&self, revision: u64) -> impl Iterator<Item = &Arc<Event>> {
        events_after(&self.history, revision)
    }

    /// Returns the newest revision at which `resource` changed.
    #[must_use]
    pub fn resource_revision(&self, resource: &str) -> u64 {
        self.resources.get(resource).map_or(0, |resource| resource.revision)
    }

    /// Returns the objects of `resource` that differ at the older `revision`: `None` means "was not there".
    ///
    /// Returns `None` when the history does not reach back that far.
    pub(crate) fn differences_at(
        &self,
        resource: &str,
        revision: u64,
    ) -> Option<BTreeMap<Arc<str>, Option<Arc<Object>>>> {
        let mut differences = BTreeMap::new();
        let Some(state) = self.resources.get(resource) else { return Some(differences) };
        if revision < state.compacted {
            return None;
        }
        for event in events_after(&state.events, revision) {
            if event.kind != EventKind::Added && event.previous.is_none() {
                return None;
            }
            differences.entry(Arc::from(event.object.key())).or_insert_with(|| event.previous.clone());
        }
        Some(differences)
    }

    /// Adds one committed version of an object; the caller has checked that it may.
    pub(crate) fn record(&mut self, resource: &Arc<str>, key: &Arc<str>, object: &Arc<Object>) -> Arc<Event> {
        let state = Arc::make_mut(self.resources.entry(resource.clone()).or_default());
        let previous = if object.is_deleted() {
            state.objects.remove(&**key)
        } else {
            self.live_bytes += object.size_bytes() as u64;
            state.objects.insert(key.clone(), object.clone())
        };
        if let Some(previous) = &previous {
            previous.supersede();
            self.live_bytes -= previous.size_bytes() as u64;
        }
        let kind = if object.is_deleted() {
            EventKind::Deleted
        } else if object.is_created() {
            EventKind::Added
        } else {
            EventKind::Modified
        };
        let event = Arc::new(Event::new(kind, object.clone(), previous));
        state.events.push_back(event.clone());
        state.revision = object.revision;
        self.history.push_back(event.clone());
        self.history_bytes += event.bytes();
        self.revision = object.revision;
        event
    }

    /// Forgets the oldest changes until the limits hold; returns the records that no longer need to be stored.
    pub(crate) fn compact(&mut self, limits: HistoryLimits) -> Vec<Arc<Object>> {
        let mut unneeded = Vec::new();
        while self.history.len() > limits.events_max || self.history_bytes > limits.bytes_max {
            let Some(event) = self.history.pop_front() else { break };
            self.history_bytes -= event.bytes();
            self.compacted = event.revision();
            let Some(state) = self.resources.get_mut(event.object.resource()) else { continue };
            let state = Arc::make_mut(state);
            state.compacted = event.revision();
            state.events.pop_front();
            let is_in_place =
                |object: &Object| state.objects.get(object.key()).is_some_and(|live| live.revision == object.revision);
            let is_live =
                !event.object.is_deleted() && (!event.object.may_be_superseded() || is_in_place(&event.object));
            if !is_live {
                unneeded.push(event.object.clone());
            }
        }
        unneeded
    }
}

impl ResourceState {
    /// Returns the changes after `revision`, or `None` when some of them are forgotten.
    pub(crate) fn events_after(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        (revision >= self.compacted).then(|| events_after(&self.events, revision))
    }
}

fn events_after(events: &imbl::Vector<Arc<Event>>, revision: u64) -> impl Iterator<Item = &Arc<Event>> {
    let start = events.binary_search_by(|event| event.revision().cmp(&revision)).map_or_else(|at| at, |at| at + 1);
    events.focus().narrow(start..).into_iter()
}
