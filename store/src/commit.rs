//! The committer: one thread that decides the order of all writes and puts them on disk in groups.
//!
//! It takes whatever waits, checks every write against the newest state *including the writes before it in the same
//! group*, gives out revisions, makes one batch durable, publishes one new state, wakes the watchers and answers.
//! There is no timer: a lone writer waits for nobody, many writers share one sync of the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::engine::{Batch, Engine, EngineError};
use crate::error::{CommitError, ResourceChange};
use crate::guards::{Guard, Guards};
use crate::keyring::Keyring;
use crate::object::{Draft, Object};
use crate::registry::{DEFINITIONS, Definition, NAMESPACES, Registry, Resource};
use crate::rows::{self, Meta};
use crate::shared::Shared;
use crate::space::{Progress, SpaceLimits};
use crate::state::{Event, HistoryLimits, State};

/// Most transactions in one group.
const GROUP_TRANSACTIONS_MAX: usize = 1024;
/// A group is closed when its records reach this size.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// The objects as written, in the order of the writes; or why nothing was.
pub(crate) type Committed = Result<Vec<Arc<Object>>, CommitError>;

/// What a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// No object under this key.
    Absent,
    /// The object at exactly this revision.
    Revision(u64),
}

/// What a write does to the set of resources, beside writing a definition object.
#[derive(Clone, Debug)]
pub(crate) enum RegistryChange {
    /// Adds or replaces a definition, and serves its resource if it has all of its names.
    Define(Definition),
    /// Stops serving a resource and frees its names.
    Remove(Arc<str>),
}

/// One write of a transaction.
#[derive(Debug)]
pub(crate) struct Write {
    /// The resource as it was when the write was admitted.
    pub resource: Arc<Resource>,
    pub key: Arc<str>,
    pub expected: Expected,
    pub draft: Draft,
    /// The object goes; `draft` is its last state.
    pub deletes: bool,
    /// The namespace that must exist and not be going, for creations.
    pub namespace: Option<Arc<str>>,
    pub registry: Option<RegistryChange>,
}

/// Writes that happen together or not at all.
pub(crate) struct Transaction {
    pub writes: Vec<Write>,
    pub reply: oneshot::Sender<Committed>,
}

/// What the committer is told.
pub(crate) enum Command {
    Commit(Transaction),
    /// Runs on the committer thread between two groups, with nothing in flight.
    Exclusive(Box<dyn FnOnce(&mut Committer) + Send>),
    Close,
}

/// The committer's own state.
pub(crate) struct Committer {
    pub engine: Box<dyn Engine>,
    pub shared: Arc<Shared>,
    pub meta: Meta,
    pub limits: HistoryLimits,
    pub space: SpaceLimits,
    pub progress: Progress,
    /// The committer's own queue, for threads that report back to it.
    pub commands: mpsc::WeakSender<Command>,
}

/// A caller and what it will be told.
type Answer = (oneshot::Sender<Committed>, Committed);

/// A group of writes on its way to the disk.
struct Group {
    state: State,
    meta: Meta,
    batch: Batch,
    bytes: usize,
    events: Vec<Arc<Event>>,
    /// Resources that are served no more.
    removed: Vec<Arc<str>>,
    answers: Vec<Answer>,
    guards: Guards,
    keyring: Arc<Keyring>,
}

impl Committer {
    /// Serves commands until the store is closed.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Close => break,
                Command::Exclusive(work) => work(&mut self),
                Command::Commit(first) => {
                    if self.commit_group(first, &mut commands) {
                        break;
                    }
                }
            }
        }
        commands.close();
    }

    /// Commits `first` and whatever else waits; returns whether the store is to be closed afterwards.
    fn commit_group(&mut self, first: Transaction, commands: &mut mpsc::Receiver<Command>) -> bool {
        let mut group = self.begin();
        group.take(first);
        let mut after: Option<Command> = None;
        while group.answers.len() < GROUP_TRANSACTIONS_MAX && group.bytes < GROUP_BYTES_MAX {
            match commands.try_recv() {
                Ok(Command::Commit(transaction)) => group.take(transaction),
                Ok(other) => {
                    after = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.finish(group);
        match after {
            Some(Command::Exclusive(work)) => work(self),
            Some(Command::Close) => return true,
            Some(Command::Commit(_)) | None => {}
        }
        false
    }

    fn begin(&self) -> Group {
        Group {
            state: State::clone(&self.shared.state.load()),
            meta: self.meta,
            batch: Batch::default(),
            bytes: 0,
            events: Vec::new(),
            removed: Vec::new(),
            answers: Vec::new(),
            guards: self.shared.guards,
            keyring: self.shared.keyring.clone(),
        }
    }

    fn finish(&mut self, mut group: Group) {
        let mut before = None;
        if !group.events.is_empty() {
            group.compact(self.limits);
            group.meta.revision = group.state.revision;
            rows::put_meta(&mut group.batch, group.meta);
            if !group.guards.has(Guard::PublishAfterSync) {
                drop(self.publish(group.state.clone(), &group.events, &group.removed));
            }
            if !group.guards.has(Guard::AnswerAfterSync) {
                answer(&mut group.answers);
            }
            if let Err(error) = self.engine.commit(std::mem::take(&mut group.batch)) {
                let error = self.refused(&error);
                for (reply, _) in group.answers {
                    // A caller that has gone away does not need its answer.
                    let _ = reply.send(Err(error.clone()));
                }
                return;
            }
            self.meta = group.meta;
            self.shared.read_only.store(None);
            self.shared.figures.groups_total.fetch_add(1, Ordering::Relaxed);
            self.shared.figures.writes_total.fetch_add(group.events.len() as u64, Ordering::Relaxed);
            before = Some(self.publish(group.state, &group.events, &group.removed));
        }
        answer(&mut group.answers);
        // What only the state before held is let go when everybody has an answer: it takes as long as a small write.
        drop(before);
        self.consider_rewriting();
    }

    /// Returns the state that everybody saw until now.
    fn publish(&self, state: State, events: &[Arc<Event>], removed: &[Arc<str>]) -> Arc<State> {
        let revision = state.revision;
        let before = self.shared.state.swap(Arc::new(state));
        self.shared.notifiers.changed(revision, events);
        self.shared.notifiers.removed(revision, removed);
        before
    }

    fn refused(&self, error: &EngineError) -> CommitError {
        let error = match error {
            EngineError::Full(why) => CommitError::Full(why.clone()),
            other => CommitError::Failed(other.to_string()),
        };
        tracing::error!(%error, "a group of writes was refused");
        self.shared.read_only.store(Some(Arc::new(error.clone())));
        error
    }
}

impl Group {
    fn take(&mut self, transaction: Transaction) {
        let answer = self.check(&transaction.writes).map(|()| self.write(transaction.writes));
        self.answers.push((transaction.reply, answer));
    }

    fn check(&self, writes: &[Write]) -> Result<(), CommitError> {
        let mut registry = self.state.registry.clone();
        for (index, write) in writes.iter().enumerate() {
            if let Err(change) = self.check_resource(&registry, write) {
                return Err(CommitError::ResourceChanged { index, change });
            }
            let found = self.state.get(&write.resource.key, &write.key).map(|object| object.revision);
            let matches = match write.expected {
                Expected::Absent => found.is_none(),
                Expected::Revision(revision) => found == Some(revision),
            };
            if !matches && self.guards.has(Guard::CheckExpectations) {
                return Err(CommitError::Stale { index });
            }
            if let Some(RegistryChange::Define(definition)) = &write.registry {
                if registry.conflicts(definition) {
                    return Err(CommitError::NamesTaken { index });
                }
                if self.state.left_out_versions(definition).next().is_some() {
                    // An object was stored with the version after the write had been admitted.
                    return Err(CommitError::Stale { index });
                }
                // The next definition of the same transaction may ask for the same names.
                registry = Arc::new(registry.with(definition.clone()));
            }
            if let Some(namespace) = &write.namespace
                && self.state.get(NAMESPACES, namespace).is_none_or(|namespace| namespace.is_deleting())
            {
                return Err(CommitError::NamespaceGone { index });
            }
        }
        Ok(())
    }

    /// Checks that the resource is still what it was when the write was admitted, as far as what is written depends on it.
    fn check_resource(&self, registry: &Registry, write: &Write) -> Result<(), ResourceChange> {
        let admitted = &write.resource;
        let present = registry.get(&admitted.key).ok_or(ResourceChange::Gone)?;
        let is_new = write.expected == Expected::Absent;
        if is_new && self.state.get(DEFINITIONS, &admitted.key).is_some_and(|definition| definition.is_deleting()) {
            return Err(ResourceChange::Terminating);
        }
        // What is stored with a version that the definition no longer names would be shown as if it were another one.
        if !Arc::ptr_eq(present, admitted) && !present.stored_versions.contains(&admitted.storage_version().name) {
            return Err(ResourceChange::Version);
        }
        Ok(())
    }

    fn write(&mut self, writes: Vec<Write>) -> Vec<Arc<Object>> {
        let mut written = Vec::with_capacity(writes.len());
        for write in writes {
            let draft = match (write.expected, write.deletes) {
                (_, true) => write.draft.deleted(),
                (Expected::Absent, false) => write.draft.created(),
                (Expected::Revision(_), false) => write.draft,
            };
            let object = Arc::new(draft.finish(self.state.revision + 1));
            self.bytes += object.size_bytes();
            rows::put_record(&mut self.batch, &object, &self.keyring);
            self.meta.add(&object);
            let event = self.state.record(&write.resource.key, &write.key, &object);
            if let Some(previous) = &event.previous
                && previous.revision <= self.meta.compacted
            {
                // The history on disk does not need it; one that it needs goes with its change.
                self.forget(previous);
            }
            match write.registry {
                Some(RegistryChange::Define(definition)) => {
                    self.state.registry = Arc::new(self.state.registry.with(definition));
                }
                Some(RegistryChange::Remove(key)) => {
                    self.state.registry = Arc::new(self.state.registry.without(&key));
                    self.removed.push(key);
                }
                None => {}
            }
            self.events.push(event);
            written.push(object);
        }
        written
    }

    fn compact(&mut self, limits: HistoryLimits) {
        for object in self.state.compact(limits) {
            // What a rewriting left out of the history on disk went when it was replaced, or was never copied.
            if object.revision > self.meta.compacted {
                self.forget(&object);
            }
        }
        self.meta.compacted = self.meta.compacted.max(self.state.compacted);
    }

    fn forget(&mut self, object: &Object) {
        rows::delete_record(&mut self.batch, object);
        self.meta.remove(object);
    }
}

fn answer(answers: &mut Vec<Answer>) {
    for (reply, answer) in answers.drain(..) {
        // A caller that has gone away does not need its answer.
        let _ = reply.send(answer);
    }
}
