//! The fake: rows in memory, and faults to order.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::{Batch, Engine, EngineError, Generation, Visit};

/// Rows in memory. A clone is the same engine, so that a test keeps a hand on what it gave away.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryEngine {
    inner: Arc<Mutex<Inner>>,
}

/// Sorts of calls that can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Commit,
    Scan,
    NewGeneration,
    /// Writing to a generation that is being filled.
    Fill,
    Switch,
}

impl Call {
    /// Every sort.
    pub(crate) const ALL: [Self; 5] = [Self::Commit, Self::Scan, Self::NewGeneration, Self::Fill, Self::Switch];
}

/// What a call that fails has done nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// All that was asked for: it failed on the way back.
    Whole,
}

/// A fault to come.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub error: EngineError,
    pub effect: Effect,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Calls so far, refused ones included.
    calls: BTreeMap<Call, u64>,
    /// What the call with that number answers.
    faults: BTreeMap<(Call, u64), Fault>,
    failed: Option<EngineError>,
    /// What the rows take on disk, if a test says so.
    claimed_bytes: Option<u64>,
    /// What every commit passes, if a test holds them.
    gate: Option<Arc<Gate>>,
}

/// Each commit says here that it has begun, and goes on when it is let, or when nobody is left to let it.
#[derive(Debug)]
struct Gate {
    begun: tokio::sync::mpsc::UnboundedSender<()>,
    goes_on: Mutex<mpsc::Receiver<()>>,
}

impl Gate {
    fn pass(&self) {
        // A test that has seen enough does not listen any more.
        let _ = self.begun.send(());
        let _ = self.goes_on.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

#[derive(Debug)]
struct MemoryGeneration {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    owner: MemoryEngine,
}

impl MemoryEngine {
    /// Lets the `n`-th commit from now, the next being the first, fail with `error`. `Full` is passing, as on disk;
    /// any other error is final.
    pub(crate) fn fail_commit(&self, n: u64, error: EngineError) {
        self.fail(Call::Commit, n, Fault { error, effect: Effect::None });
    }

    /// Lets the `n`-th call of a sort from now fail.
    pub(crate) fn fail(&self, call: Call, n: u64, fault: Fault) {
        let mut inner = self.inner();
        let number = inner.calls.get(&call).copied().unwrap_or_default() + n;
        inner.faults.insert((call, number), fault);
    }

    /// Holds every commit from now on. Each is told of when it begins, and goes on for one message; all do when what is
    /// returned second is dropped.
    pub(crate) fn hold_commits(&self) -> (tokio::sync::mpsc::UnboundedReceiver<()>, mpsc::Sender<()>) {
        let (begun, told) = tokio::sync::mpsc::unbounded_channel();
        let (let_go_on, goes_on) = mpsc::channel();
        self.inner().gate = Some(Arc::new(Gate { begun, goes_on: Mutex::new(goes_on) }));
        (told, let_go_on)
    }

    /// Claims that the rows take so many bytes on disk.
    pub(crate) fn claim_disk_bytes(&self, bytes: u64) {
        self.inner().claimed_bytes = Some(bytes);
    }

    /// Returns how many calls of a sort there were.
    pub(crate) fn calls(&self, call: Call) -> u64 {
        self.inner().calls.get(&call).copied().unwrap_or_default()
    }

    /// Returns an engine with the same rows and no failure: what a restart finds.
    pub(crate) fn reopened(&self) -> Self {
        let rows = self.inner().rows.clone();
        Self { inner: Arc::new(Mutex::new(Inner { rows, ..Inner::default() })) }
    }

    /// Changes the rows behind the engine's back, as a broken disk would.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        change(&mut self.inner().rows);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Counts a call and makes it, unless it is to fail. A failed commit or switch is final, but for a full disk.
    fn call(&mut self, call: Call, effect: impl FnOnce(&mut Self)) -> Result<(), EngineError> {
        let number = self.calls.entry(call).or_default();
        *number += 1;
        let place = (call, *number);
        // Reading goes on after a failure.
        if let (Some(error), true) = (&self.failed, call != Call::Scan) {
            return Err(error.clone());
        }
        let Some(fault) = self.faults.remove(&place) else {
            effect(self);
            return Ok(());
        };
        if fault.effect == Effect::Whole {
            effect(self);
        }
        let is_final = matches!(call, Call::Commit | Call::Switch) && !matches!(fault.error, EngineError::Full(_));
        if is_final {
            self.failed = Some(fault.error.clone());
        }
        Err(fault.error)
    }
}

impl Engine for MemoryEngine {
    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let gate = self.inner().gate.clone();
        if let Some(gate) = gate {
            gate.pass();
        }
        let mut inner = self.inner();
        batch.check()?;
        inner.call(Call::Commit, |inner| apply(&mut inner.rows, batch))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.inner().rows.get(key).cloned())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let mut inner = self.inner();
        inner.call(Call::Scan, |_| ())?;
        inner.rows.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn disk_bytes(&self) -> u64 {
        let inner = self.inner();
        let held = || inner.rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        inner.claimed_bytes.unwrap_or_else(held)
    }

    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError> {
        self.inner().call(Call::NewGeneration, |_| ())?;
        Ok(Box::new(MemoryGeneration { rows: BTreeMap::new(), owner: self.clone() }))
    }

    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError> {
        let other = || EngineError::Invalid("the generation was made by another engine".to_owned());
        let generation = generation.into_any().downcast::<MemoryGeneration>().map_err(|_| other())?;
        if !Arc::ptr_eq(&generation.owner.inner, &self.inner) {
            return Err(other());
        }
        self.inner().call(Call::Switch, |inner| inner.rows = generation.rows)
    }
}

impl Generation for MemoryGeneration {
    fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        batch.check()?;
        self.owner.inner().call(Call::Fill, |_| apply(&mut self.rows, batch))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn apply(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: Batch) {
    rows.extend(batch.puts.into_iter().map(|(key, value)| (key, value.to_vec())));
    for key in &batch.deletes {
        rows.remove(key);
    }
}
