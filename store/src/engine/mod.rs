//! STUB so that the crate compiles until the real module lands: on a merge conflict take the real one (yours) whole.
use std::path::Path;
pub(crate) const ROW_BYTES_MAX: usize = 4096;
#[derive(Default)]
pub(crate) struct Batch {
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    pub deletes: Vec<Vec<u8>>,
}
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("full {0}")]
    Full(String),
    #[error("{0}")]
    Io(String),
    #[error("{0}")]
    Corrupt(String),
    #[error("locked")]
    Locked {},
    #[error("format")]
    Format {},
    #[error("{0}")]
    Panic(String),
}
pub(crate) trait Generation: Send {
    fn write(&mut self, batch: Batch) -> Result<(), EngineError>;
}
pub(crate) trait Engine: Send + Sync {
    fn commit(&self, batch: Batch) -> Result<(), EngineError>;
    fn scan(&self, visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), EngineError>) -> Result<(), EngineError>;
    fn disk_bytes(&self) -> u64;
    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError>;
    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError>;
}
#[derive(Default)]
pub(crate) struct EngineOptions {}
#[derive(Default)]
pub(crate) struct MemoryEngine {
    rows: std::sync::Mutex<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>,
}
pub(crate) fn open(_dir: &Path, _o: &EngineOptions) -> Result<MemoryEngine, EngineError> {
    Ok(MemoryEngine::default())
}
impl Engine for MemoryEngine {
    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut r = self.rows.lock().unwrap();
        for (k, v) in batch.puts {
            r.insert(k, v);
        }
        for k in batch.deletes {
            r.remove(&k);
        }
        Ok(())
    }
    fn scan(&self, visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), EngineError>) -> Result<(), EngineError> {
        for (k, v) in self.rows.lock().unwrap().iter() {
            visit(k, v)?;
        }
        Ok(())
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError> {
        Err(EngineError::Io(String::new()))
    }
    fn switch_to(&self, _g: Box<dyn Generation>) -> Result<(), EngineError> {
        Ok(())
    }
}
