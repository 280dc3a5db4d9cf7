//! Keeping the files small: when they are much larger than what they hold, everything is written anew beside them.
//!
//! The bulk is copied by a thread of its own from an immutable state while writes go on, then what has changed meanwhile,
//! until that is little; the committer adds the rest and switches over. Readers notice nothing, writers wait for the last
//! step only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::commit::{Command, Committer};
use crate::engine::{Batch, EngineError, Generation};
use crate::keyring::Keyring;
use crate::object::Object;
use crate::rows;
use crate::shared::Shared;
use crate::state::State;

/// Records written to a new generation at once. sled keeps in memory whatever a batch replaces until the batch ends.
const COPY_BATCH_RECORDS: usize = 512;
/// How often the copying thread looks for what has changed meanwhile; writers that are faster than it wait for the rest.
const COPY_ROUNDS_MAX: u32 = 8;
/// Groups between two looks at the size on disk.
const LOOK_EVERY_GROUPS: u32 = 256;

/// When the files are written anew.
#[derive(Clone, Copy, Debug)]
pub struct SpaceLimits {
    /// Below this size on disk nothing is done.
    pub disk_bytes_min: u64,
    /// How many times larger than the records they hold the files may become.
    pub ratio_max: u64,
}

impl Default for SpaceLimits {
    fn default() -> Self {
        Self { disk_bytes_min: 64 << 20, ratio_max: 3 }
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

/// What a new generation holds so far: everything at one revision.
struct Copied {
    generation: Box<dyn Generation>,
    records: Vec<Arc<Object>>,
    revision: u64,
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
        let started = std::thread::Builder::new().name("store-rewriter".to_owned()).spawn(move || {
            let copied = copy(&shared, generation);
            drop(shared);
            report(&commands, copied);
        });
        if let Err(error) = started {
            self.rewriting_ended(&Err(EngineError::Io(format!("the copying thread does not start: {error}"))));
        }
    }

    fn finish_rewriting(&mut self, copied: Result<Copied, EngineError>) {
        let switched = copied.and_then(|mut copied| {
            self.catch_up(&mut copied)?;
            self.engine.switch_to(copied.generation)
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

    /// Adds the last that is missing.
    fn catch_up(&self, copied: &mut Copied) -> Result<(), EngineError> {
        copied.follow(&self.shared.state.load_full(), &self.shared.keyring)?;
        let mut batch = Batch::default();
        rows::put_meta(&mut batch, self.meta);
        copied.generation.write(batch)
    }
}

impl Copied {
    /// Adds what was written, and removes what was forgotten, until `state`.
    fn follow(&mut self, state: &State, keyring: &Keyring) -> Result<(), EngineError> {
        let (kept, forgotten): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.records).into_iter().partition(|object| is_stored(state, object));
        self.records = kept;
        for chunk in forgotten.chunks(COPY_BATCH_RECORDS) {
            let mut batch = Batch::default();
            chunk.iter().for_each(|object| rows::delete_record(&mut batch, object));
            self.generation.write(batch)?;
        }
        let new = stored_records(state, self.revision);
        for chunk in new.chunks(COPY_BATCH_RECORDS) {
            let mut batch = Batch::default();
            chunk.iter().for_each(|object| rows::put_record(&mut batch, object, keyring));
            self.generation.write(batch)?;
        }
        self.records.extend(new);
        self.revision = state.revision;
        Ok(())
    }
}

/// Copies everything, and then what is written meanwhile, until little of that is left.
fn copy(shared: &Shared, generation: Box<dyn Generation>) -> Result<Copied, EngineError> {
    let mut copied = Copied { generation, records: Vec::new(), revision: 0 };
    for _ in 0..COPY_ROUNDS_MAX {
        let state = shared.state.load_full();
        if state.revision - copied.revision <= COPY_BATCH_RECORDS as u64 {
            break;
        }
        copied.follow(&state, &shared.keyring)?;
    }
    Ok(copied)
}

fn report(commands: &mpsc::WeakSender<Command>, copied: Result<Copied, EngineError>) {
    let Some(commands) = commands.upgrade() else { return };
    let finish = Command::Exclusive(Box::new(move |committer: &mut Committer| committer.finish_rewriting(copied)));
    // The store is being closed: the half-made generation is removed at the next open.
    let _ = commands.blocking_send(finish);
}

/// Returns every record that must be on disk and is newer than `revision`, oldest first.
fn stored_records(state: &State, revision: u64) -> Vec<Arc<Object>> {
    let mut records: Vec<Arc<Object>> = state
        .all_objects()
        .filter(|object| object.revision > revision && object.revision <= state.compacted)
        .cloned()
        .collect();
    records.sort_unstable_by_key(|object| object.revision);
    records.extend(state.changes_after(revision.max(state.compacted)).map(|event| event.object.clone()));
    records
}

fn is_stored(state: &State, object: &Object) -> bool {
    object.revision > state.compacted
        || state.get(object.resource(), object.key()).is_some_and(|live| live.revision == object.revision)
}
