//! Keeping the files small: when they are much larger than what they hold, everything is written anew beside them.
//!
//! The bulk is copied by a thread of its own from an immutable state while writes go on; the committer then adds what
//! has changed since and switches over. Readers notice nothing, writers wait for the last step only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use crate::commit::{Command, Committer};
use crate::engine::{Batch, EngineError, Generation};
use crate::keyring::Keyring;
use crate::object::Object;
use crate::rows;
use crate::state::State;

/// Rows written to a new generation at once.
const COPY_BATCH_RECORDS: usize = 512;
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

/// What a new generation holds so far.
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
        let state = self.shared.state.load_full();
        let held = state.live_bytes + state.history_bytes as u64;
        let bound = self.space.disk_bytes_min.max(self.space.ratio_max * held);
        if self.engine.disk_bytes() > bound {
            self.start_rewriting(&state);
        }
    }

    /// Starts a rewriting, or joins the one that is under way, and tells `waiter` how it ended.
    pub(crate) fn rewrite(&mut self, waiter: oneshot::Sender<Rewritten>) {
        self.progress.waiters.push(waiter);
        if !self.progress.running {
            let state = self.shared.state.load_full();
            self.start_rewriting(&state);
        }
    }

    /// Writes everything anew because records are not sealed as they would be now.
    pub(crate) fn seal_anew(&mut self) {
        if !self.progress.running {
            let state = self.shared.state.load_full();
            self.start_rewriting(&state);
        }
    }

    /// Starts the copying thread.
    fn start_rewriting(&mut self, state: &Arc<State>) {
        let generation = match self.engine.new_generation() {
            Ok(generation) => generation,
            Err(error) => return self.rewriting_ended(&Err(error)),
        };
        self.progress.running = true;
        let (state, commands, keyring) = (state.clone(), self.commands.clone(), self.shared.keyring.clone());
        let started = std::thread::Builder::new().name("store-rewriter".to_owned()).spawn(move || {
            let copied = copy(&state, generation, &keyring);
            drop(state);
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

    /// Adds what was written, and removes what was forgotten, since the copy was taken.
    fn catch_up(&self, copied: &mut Copied) -> Result<(), EngineError> {
        let state = self.shared.state.load_full();
        let mut batch = Batch::default();
        for object in copied.records.iter().filter(|object| !is_stored(&state, object)) {
            rows::delete_record(&mut batch, object);
        }
        for object in stored_records(&state, copied.revision) {
            rows::put_record(&mut batch, &object, &self.shared.keyring);
        }
        rows::put_meta(&mut batch, self.meta);
        copied.generation.write(batch)
    }
}

fn copy(state: &State, mut generation: Box<dyn Generation>, keyring: &Keyring) -> Result<Copied, EngineError> {
    let records = stored_records(state, 0);
    for chunk in records.chunks(COPY_BATCH_RECORDS) {
        let mut batch = Batch::default();
        for object in chunk {
            rows::put_record(&mut batch, object, keyring);
        }
        generation.write(batch)?;
    }
    Ok(Copied { generation, records, revision: state.revision })
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
