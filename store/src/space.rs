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
use crate::keyring::{self, Keyring};
use crate::object::Object;
use crate::rows;
use crate::shared::Shared;
use crate::state::State;

/// Records written to a new generation at once: more than what the old one takes at a time, or it would grow as fast.
const COPY_BATCH_RECORDS: usize = 4096;
/// Bytes at which a batch is written even with fewer records.
const COPY_BATCH_BYTES: usize = 4 << 20;
/// Records for which the copying thread keeps one state: what it keeps, the history cannot let go.
const COPY_STEP_RECORDS: usize = 8192;
/// Steps of a large store, which takes larger ones; writers that are faster than these wait for the rest.
const COPY_STEPS: usize = 16;
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

/// What a new generation holds so far: everything that was there up to a revision.
struct Copied {
    generation: Box<dyn Generation>,
    /// Revision and bytes of each record.
    records: Vec<(u64, usize)>,
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
        let state = self.shared.state.load_full();
        copied.add(stored_records(&state, copied.revision), &self.shared.keyring)?;
        copied.forget(&state)?;
        let mut batch = Batch::default();
        rows::put_meta(&mut batch, self.meta);
        copied.generation.write(batch)
    }
}

impl Copied {
    /// Adds records that are newer than all that is there, oldest first.
    fn add(&mut self, records: Vec<Arc<Object>>, keyring: &Keyring) -> Result<(), EngineError> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        for object in records {
            rows::put_record(&mut batch, &object, keyring);
            self.records.push((object.revision, keyring::bytes_max(&object)));
            self.revision = object.revision;
            bytes += object.size_bytes();
            if batch.puts.len() >= COPY_BATCH_RECORDS || bytes >= COPY_BATCH_BYTES {
                self.generation.write(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if batch.puts.is_empty() { Ok(()) } else { self.generation.write(batch) }
    }

    /// Removes what need not be stored in `state`.
    fn forget(&mut self, state: &State) -> Result<(), EngineError> {
        let live: HashSet<u64> = state.all_objects().map(|object| object.revision).collect();
        let (kept, forgotten): (Vec<_>, Vec<_>) = std::mem::take(&mut self.records)
            .into_iter()
            .partition(|(revision, _)| *revision > state.compacted || live.contains(revision));
        self.records = kept;
        for chunk in forgotten.chunks(COPY_BATCH_RECORDS) {
            let mut batch = Batch::default();
            for (revision, bytes) in chunk {
                rows::delete_rows(&mut batch, *revision, *bytes);
            }
            self.generation.write(batch)?;
        }
        Ok(())
    }
}

/// Copies everything, and then what is written meanwhile, until little of that is left.
fn copy(shared: &Shared, generation: Box<dyn Generation>) -> Result<Copied, EngineError> {
    let mut copied = Copied { generation, records: Vec::new(), revision: 0 };
    let mut step = 0;
    for _ in 0..COPY_STEPS {
        let state = shared.state.load_full();
        let mut missing = stored_records(&state, copied.revision);
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
