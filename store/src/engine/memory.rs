//! The fake: rows in memory, and faults to order.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Engine, EngineError, Generation, Visit};

/// Rows in memory. A clone is the same engine, so that a test keeps a hand on what it gave away.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryEngine {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Commits asked for so far, refused ones included.
    commits: u64,
    /// What the commit with that number answers.
    faults: BTreeMap<u64, EngineError>,
    failed: Option<EngineError>,
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
        let mut inner = self.inner();
        let number = inner.commits + n;
        inner.faults.insert(number, error);
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

impl Engine for MemoryEngine {
    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut inner = self.inner();
        batch.check()?;
        inner.commits += 1;
        if let Some(error) = &inner.failed {
            return Err(error.clone());
        }
        let number = inner.commits;
        if let Some(error) = inner.faults.remove(&number) {
            if !matches!(error, EngineError::Full(_)) {
                inner.failed = Some(error.clone());
            }
            return Err(error);
        }
        apply(&mut inner.rows, batch);
        Ok(())
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.inner().rows.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn disk_bytes(&self) -> u64 {
        self.inner().rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError> {
        Ok(Box::new(MemoryGeneration { rows: BTreeMap::new(), owner: self.clone() }))
    }

    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError> {
        let other = || EngineError::Invalid("the generation was made by another engine".to_owned());
        let generation = generation.into_any().downcast::<MemoryGeneration>().map_err(|_| other())?;
        if !Arc::ptr_eq(&generation.owner.inner, &self.inner) {
            return Err(other());
        }
        let mut inner = self.inner();
        if let Some(error) = &inner.failed {
            return Err(error.clone());
        }
        inner.rows = generation.rows;
        Ok(())
    }
}

impl Generation for MemoryGeneration {
    fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        batch.check()?;
        apply(&mut self.rows, batch);
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn apply(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: Batch) {
    rows.extend(batch.puts);
    for key in &batch.deletes {
        rows.remove(key);
    }
}
