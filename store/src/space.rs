//! Keeping the files small: when they are much larger than what they hold, everything is written anew beside them.
//!
//! The bulk is copied by a thread of its own from an immutable state while writes go on, then what has changed meanwhile,
//! until that is little; the committer adds the rest and switches over. Readers notice nothing, writers wait for the last
//! step only.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::commit::{Command, Committer};
use crate::engine::{Batch, EngineError, Generation};
use crate::guards::{Guard, Guards};
use crate::keyring::{self, Keyring};
use crate::object::Object;
use crate::rows::{self, Meta};
use crate::shared::Shared;
use crate::state::State;

/// Most records written to a new generation at once: while sled has a batch, it frees no memory, for nobody.
const COPY_BATCH_RECORDS: usize = 512;
/// Bytes at which a batch is written even with fewer records.
const COPY_BATCH_BYTES: usize = 512 << 10;
/// Records for which the copying thread keeps one state: what it keeps, the history cannot let go.
const COPY_STEP_RECORDS: usize = 8192;
/// Steps of a large store, which takes larger ones; writers that are faster than these wait for the rest.
const COPY_STEPS: usize = 16;
/// Groups between two looks at the size on disk.
const LOOK_EVERY_GROUPS: u32 = 256;

/// When the files are written anew, and what of the history they get.
#[derive(Clone, Copy, Debug)]
pub struct SpaceLimits {
    /// Below this size on disk nothing is done.
    pub disk_bytes_min: u64,
    /// How many times larger than the records they hold the files may become.
    pub ratio_max: u64,
    /// Most changes that the new files keep, for watches that were up to date when the store was stopped.
    pub history_events_max: usize,
}

impl Default for SpaceLimits {
    fn default() -> Self {
        Self { disk_bytes_min: 64 << 20, ratio_max: 3, history_events_max: 4096 }
    }
}

/// How a rewriting ended; the error is a sentence.
pub(crate) type Rewritten = Result<(), String>;

/// Where a rewriting stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    running: bool,
    groups_since_look: u32,
    /// Those who want to know how it ends.
    waiters: Vec<oneshot::Sender<Rewritten>>,
}

/// What a new generation holds so far: everything that is needed up to a revision.
struct Copied {
    generation: Box<dyn Generation>,
    history_events_max: usize,
    records: Vec<Record>,
    revision: u64,
    guards: Guards,
}

/// A record that was copied.
struct Record {
    revision: u64,
    bytes: usize,
    hash: u64,
}

impl Committer {
    /// Looks at the size on disk now and then, and starts a rewriting when it is worth it.
    pub(crate) fn consider_rewriting(&mut self) {
        self.progress.groups_since_look += 1;
        if self.progress.running || self.progress.groups_since_look < LOOK_EVERY_GROUPS {
            return;
        }
        self.progress.groups_since_look = 0;
        let state = self.shared.state.load();
        let held = state.live_bytes + state.history_bytes as u64;
        drop(state);
        let bound = self.space.disk_bytes_min.max(self.space.ratio_max * held);
        if self.engine.disk_bytes() > bound {
            self.start_rewriting();
        }
    }

    /// Starts a rewriting, or joins the one that is under way, and tells `waiter` how it ended.
    pub(crate) fn rewrite(&mut self, waiter: oneshot::Sender<Rewritten>) {
        self.progress.waiters.push(waiter);
        if !self.progress.running {
            self.start_rewriting();
        }
    }

    /// Writes everything anew because records are not sealed as they would be now.
    pub(crate) fn seal_anew(&mut self) {
        if !self.progress.running {
            self.start_rewriting();
        }
    }

    /// Starts the copying thread.
    fn start_rewriting(&mut self) {
        let generation = match self.engine.new_generation() {
            Ok(generation) => generation,
            Err(error) => return self.rewriting_ended(&Err(error)),
        };
        self.progress.running = true;
        let (shared, commands) = (self.shared.clone(), self.commands.clone());
        let history_events_max = self.space.history_events_max;
        let started = std::thread::Builder::new().name("store-rewriter".to_owned()).spawn(move || {
            let copied = copy(&shared, generation, history_events_max);
            drop(shared);
            report(&commands, copied);
        });
        if let Err(error) = started {
            self.rewriting_ended(&Err(EngineError::Io(format!("the copying thread does not start: {error}"))));
        }
    }

    fn finish_rewriting(&mut self, copied: Result<Copied, EngineError>) {
        let switched = copied.and_then(|mut copied| {
            let meta = self.catch_up(&mut copied)?;
            self.engine.switch_to(copied.generation)?;
            self.meta = meta;
            Ok(())
        });
        self.rewriting_ended(&switched);
    }

    fn rewriting_ended(&mut self, ended: &Result<(), EngineError>) {
        self.progress.running = false;
        match ended {
            Ok(()) => {
                self.shared.figures.generations_total.fetch_add(1, Ordering::Relaxed);
                tracing::info!(disk_bytes = self.engine.disk_bytes(), "the files were written anew");
            }
            Err(error) => tracing::warn!(%error, "the files could not be written anew, will try again"),
        }
        for waiter in self.progress.waiters.drain(..) {
            // A waiter that has gone away does not need to know.
            let _ = waiter.send(ended.clone().map_err(|error| error.to_string()));
        }
    }

    /// Adds the last that is missing, and returns what the rows add up to then.
    fn catch_up(&self, copied: &mut Copied) -> Result<Meta, EngineError> {
        let state = self.shared.state.load_full();
        copied.add(copied.missing(&state), &self.shared.keyring)?;
        copied.forget(&state)?;
        let meta = copied.meta(&state);
        let mut batch = Batch::default();
        rows::put_meta(&mut batch, meta);
        copied.generation.write(batch)?;
        Ok(meta)
    }
}

impl Copied {
    /// Returns the revision after which the new files have every change of `state`.
    fn history_start(&self, state: &State) -> u64 {
        let others = state.history.len().saturating_sub(self.history_events_max);
        let newest_of_others = others.checked_sub(1).and_then(|at| state.history.get(at));
        newest_of_others.map_or(state.compacted, |event| event.revision())
    }

    /// Returns every record that is needed in `state` and newer than all that is there, oldest first.
    fn missing(&self, state: &State) -> Vec<Arc<Object>> {
        let history = self.history_start(state);
        let is_settled = |object: &&Arc<Object>| object.revision > self.revision && object.revision <= history;
        let mut records: Vec<Arc<Object>> = state.all_objects().filter(is_settled).cloned().collect();
        records.sort_unstable_by_key(|object| object.revision);
        let changed = state.changes_after(self.revision.max(history)).map(|event| &event.object);
        let is_kept = |object: &&Arc<Object>| !object.is_deleted() || self.guards.has(Guard::KeepDeletions);
        records.extend(changed.filter(is_kept).cloned());
        records
    }

    /// Adds records that are newer than all that is there, oldest first.
    fn add(&mut self, records: Vec<Arc<Object>>, keyring: &Keyring) -> Result<(), EngineError> {
        let (mut batch, mut batch_bytes) = (Batch::default(), 0);
        for object in records {
            rows::put_record(&mut batch, &object, keyring);
            let (revision, bytes) = (object.revision, keyring::bytes_max(&object));
            self.records.push(Record { revision, bytes, hash: rows::record_hash(&object) });
            self.revision = revision;
            batch_bytes += object.size_bytes();
            if batch.puts.len() >= COPY_BATCH_RECORDS || batch_bytes >= COPY_BATCH_BYTES {
                self.generation.write(std::mem::take(&mut batch))?;
                batch_bytes = 0;
            }
        }
        if batch.puts.is_empty() { Ok(()) } else { self.generation.write(batch) }
    }

    /// Removes what is not needed in `state`.
    fn forget(&mut self, state: &State) -> Result<(), EngineError> {
        let history = self.history_start(state);
        let live: HashSet<u64> = state.all_objects().map(|object| object.revision).collect();
        let (needed, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.records)
            .into_iter()
            .partition(|record| record.revision > history || live.contains(&record.revision));
        self.records = needed;
        for chunk in others.chunks(COPY_BATCH_RECORDS) {
            let mut batch = Batch::default();
            for record in chunk {
                rows::delete_rows(&mut batch, record.revision, record.bytes);
            }
            self.generation.write(batch)?;
        }
        Ok(())
    }

    /// Returns what the records that are needed in `state` add up to.
    fn meta(&self, state: &State) -> Meta {
        let hash = self.records.iter().fold(0, |hash, record| hash ^ record.hash);
        let records = self.records.len() as u64;
        Meta { revision: state.revision, compacted: self.history_start(state), records, hash }
    }
}

/// Copies everything, and then what is written meanwhile, until little of that is left.
fn copy(shared: &Shared, generation: Box<dyn Generation>, history_events_max: usize) -> Result<Copied, EngineError> {
    let mut copied = Copied { generation, history_events_max, records: Vec::new(), revision: 0, guards: shared.guards };
    let mut step = 0;
    for _ in 0..COPY_STEPS {
        let state = shared.state.load_full();
        let mut missing = copied.missing(&state);
        drop(state);
        if missing.len() <= COPY_BATCH_RECORDS {
            break;
        }
        step = step.max(COPY_STEP_RECORDS).max(missing.len() / (COPY_STEPS / 2));
        missing.truncate(step);
        copied.add(missing, &shared.keyring)?;
    }
    copied.forget(&shared.state.load_full())?;
    Ok(copied)
}

fn report(commands: &mpsc::WeakSender<Command>, copied: Result<Copied, EngineError>) {
    let Some(commands) = commands.upgrade() else { return };
    let finish = Command::Exclusive(Box::new(move |committer: &mut Committer| committer.finish_rewriting(copied)));
    // The store is being closed: the half-made generation is removed at the next open.
    let _ = commands.blocking_send(finish);
}
