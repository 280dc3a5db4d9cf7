//! The engine on disk: sled, made to refuse in time, to recover from a full disk, and to start afresh beside itself.

use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::layout::{self, AdoptError, Formats, Layout};
use super::room::Room;
use super::sled::Database;
use super::{Batch, Engine, EngineError, EngineOptions, Generation, Visit};

/// sled 0.34.7 in a directory of ours.
pub(crate) struct SledEngine {
    layout: Arc<Layout>,
    room: Room,
    options: EngineOptions,
    next_generation: AtomicU32,
    /// Number of the generation in use; changed under the lock of `used`, and read without it by who must not wait.
    number: AtomicU32,
    used: Mutex<Used>,
}

/// The generation in use.
struct Used {
    /// `None` after a failure during which it had to be closed; `failed` says which.
    database: Option<Database>,
    /// Why nothing more is written.
    failed: Option<EngineError>,
    reserve_is_kept: bool,
    /// Removes the generation before this one.
    cleaner: Option<JoinHandle<()>>,
}

/// A generation that is being filled.
struct NewGeneration {
    layout: Arc<Layout>,
    room: Room,
    number: u32,
    /// Taken when it comes into use.
    database: Option<Database>,
    failed: Option<EngineError>,
}

impl SledEngine {
    /// Opens the engine in `dir`. See [`super::open`].
    pub(super) fn open(dir: &Path, options: &EngineOptions) -> Result<Self, EngineError> {
        Self::open_formats(dir, options, Formats::default())
    }

    pub(super) fn open_formats(dir: &Path, options: &EngineOptions, formats: Formats<'_>) -> Result<Self, EngineError> {
        let layout = Arc::new(Layout::hold(dir, options)?);
        let room = Room::new(dir, options.free_bytes_min);
        let (number, database) = match layout.settle(formats)? {
            Some(number) => (number, open_with_reserve(&layout, &room, number, options)?),
            None => (1, make_first(&layout, options)?),
        };
        let used = Used { database: Some(database), failed: None, reserve_is_kept: room.keep_reserve(), cleaner: None };
        let next_generation = AtomicU32::new(number + 1);
        let number = AtomicU32::new(number);
        Ok(Self { layout, room, options: *options, next_generation, number, used: Mutex::new(used) })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Whoever panicked was looking at rows: nothing that the lock protects was half-changed.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out what became of `batch` after the file system refused some of it: sled is of no use after such an
    /// error, so it is opened anew, and shows whether it kept the batch.
    fn recover(&self, used: &mut Used, batch: &Batch, why: EngineError) -> Result<(), EngineError> {
        tracing::warn!(error = %why, "the disk is full, opening the database again");
        // Closing comes first: the descriptor outlives the database and reports what the kernel failed to write.
        let descriptor = used.database()?.descriptor()?;
        used.database = None;
        self.room.release_reserve();
        used.reserve_is_kept = false;
        rustix::fs::fdatasync(&descriptor)
            .map_err(|error| EngineError::Io(format!("{why}; then the database could not be synced: {error}")))?;
        let dir = self.layout.generation_dir(self.number.load(Ordering::Relaxed));
        let database = Database::open(&dir, &self.options)
            .map_err(|error| EngineError::Io(format!("{why}; then the database could not be opened again: {error}")))?;
        let is_kept = database
            .holds(batch)
            .map_err(|error| EngineError::Io(format!("{why}; then the rows could not be read: {error}")))?;
        used.database = Some(database);
        if is_kept { Ok(()) } else { Err(why) }
    }
}

impl Engine for SledEngine {
    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut used = self.used();
        batch.check()?;
        let mut written = used.database().and_then(|database| {
            self.room.check(&batch)?;
            match database.apply(&batch) {
                Ok(()) => database.sync().map(|()| None),
                Err(why @ EngineError::Full(_)) => Ok(Some(why)),
                Err(error) => Err(error),
            }
        });
        if let Ok(Some(why)) = written {
            written = match self.recover(&mut used, &batch, why.clone()) {
                Err(EngineError::Full(_)) => return Err(why),
                recovered => recovered.map(|()| None),
            };
        }
        match written {
            Ok(_) => {
                if !used.reserve_is_kept {
                    used.reserve_is_kept = self.room.keep_reserve();
                }
                Ok(())
            }
            Err(full @ EngineError::Full(_)) => Err(full),
            Err(error) => Err(used.fail(error)),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let used = self.used();
        used.database.as_ref().map_or_else(|| Err(used.failure()), |database| database.get(key))
    }

    fn scan(&self, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let used = self.used();
        match &used.database {
            Some(database) => database.scan(visit),
            None => Err(used.failure()),
        }
    }

    fn disk_bytes(&self) -> u64 {
        layout::disk_bytes(&self.layout.generation_dir(self.number.load(Ordering::Relaxed)))
    }

    fn new_generation(&self) -> Result<Box<dyn Generation>, EngineError> {
        self.room.check(&Batch::default())?;
        let number = self.next_generation.fetch_add(1, Ordering::Relaxed);
        let made = self.layout.begin(number).and_then(|dir| {
            // It is written in order and never read: the cache would be wasted.
            Database::open(&dir, &self.options)
        });
        let database = made.inspect_err(|_| self.layout.remove(number))?;
        Ok(Box::new(NewGeneration {
            layout: self.layout.clone(),
            room: self.room.clone(),
            number,
            database: Some(database),
            failed: None,
        }))
    }

    fn switch_to(&self, generation: Box<dyn Generation>) -> Result<(), EngineError> {
        let mut used = self.used();
        used.database()?;
        let mut generation = generation
            .into_any()
            .downcast::<NewGeneration>()
            .map_err(|_| EngineError::Invalid("the generation was made by another engine".to_owned()))?;
        if !Arc::ptr_eq(&generation.layout, &self.layout) {
            return Err(EngineError::Invalid("the generation was made by another engine".to_owned()));
        }
        generation.database()?.sync_everything()?;
        match self.layout.adopt(generation.number) {
            Ok(()) => {}
            Err(AdoptError::Unchanged(error)) => return Err(error),
            Err(AdoptError::Unknown(error)) => {
                // It may be the one that counts: its files must stay.
                drop(generation.database.take());
                return Err(used.fail(error));
            }
        }
        let old = used.database.replace(generation.database.take().expect("its database was synced above"));
        let old_number = self.number.swap(generation.number, Ordering::Relaxed);
        used.remove_in_background(&self.layout, old, old_number);
        Ok(())
    }
}

impl Drop for SledEngine {
    fn drop(&mut self) {
        self.layout.close();
        let mut used = self.used();
        drop(used.database.take());
        used.finish_removing();
    }
}

impl Used {
    fn database(&self) -> Result<&Database, EngineError> {
        match (&self.failed, &self.database) {
            (None, Some(database)) => Ok(database),
            _ => Err(self.failure()),
        }
    }

    /// Remembers `error` as the end of all writing.
    fn fail(&mut self, error: EngineError) -> EngineError {
        if self.failed.is_none() {
            tracing::error!(%error, "the storage engine writes no more; a restart shows what is on disk");
            self.failed = Some(error.clone());
        }
        error
    }

    fn failure(&self) -> EngineError {
        self.failed.clone().unwrap_or_else(|| EngineError::Io("the storage engine is closed".to_owned()))
    }

    fn remove_in_background(&mut self, layout: &Arc<Layout>, old: Option<Database>, number: u32) {
        self.finish_removing();
        let layout = layout.clone();
        let started = std::thread::Builder::new().name("store-cleaner".to_owned()).spawn(move || {
            drop(old);
            layout.remove(number);
        });
        match started {
            Ok(cleaner) => self.cleaner = Some(cleaner),
            Err(error) => tracing::warn!(%error, "an old generation stays until the next open"),
        }
    }

    fn finish_removing(&mut self) {
        if let Some(cleaner) = self.cleaner.take()
            && cleaner.join().is_err()
        {
            tracing::warn!("removing an old generation panicked; the next open tries again");
        }
    }
}

impl NewGeneration {
    fn database(&self) -> Result<&Database, EngineError> {
        match (&self.failed, &self.database) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(database)) => Ok(database),
            (None, None) => Err(EngineError::Invalid("the generation is in use already".to_owned())),
        }
    }
}

impl Generation for NewGeneration {
    fn write(&mut self, batch: Batch) -> Result<(), EngineError> {
        batch.check()?;
        if self.layout.is_closed() {
            return Err(EngineError::Invalid("the engine was closed".to_owned()));
        }
        let written = self.database().and_then(|database| {
            self.room.check(&batch)?;
            database.apply(&batch)?;
            // Synced as it grows, so that coming into use need not wait for all of it.
            database.sync()
        });
        written.inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Drop for NewGeneration {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            drop(database);
            self.layout.remove(self.number);
        }
    }
}

/// Opens generation `number`; on a full disk with what was kept in reserve.
fn open_with_reserve(
    layout: &Layout,
    room: &Room,
    number: u32,
    options: &EngineOptions,
) -> Result<Database, EngineError> {
    let dir = layout.generation_dir(number);
    match Database::open(&dir, options) {
        Err(EngineError::Full(why)) => {
            tracing::warn!(why, "the disk is full, opening the database with the reserve");
            room.release_reserve();
            Database::open(&dir, options)
        }
        opened => opened,
    }
}

fn make_first(layout: &Layout, options: &EngineOptions) -> Result<Database, EngineError> {
    let dir = layout.begin(1)?;
    let database = Database::open(&dir, options)?;
    layout.adopt(1).map_err(AdoptError::into_error)?;
    Ok(database)
}
