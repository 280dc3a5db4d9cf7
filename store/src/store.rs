//! [`Store`]: the one door to everything that is kept.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use api_types::status::{Reason, Status};
use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot};

use crate::commit::{Command, Committer, Transaction, Write};
use crate::engine::{Engine, EngineOptions};
use crate::error::{CommitError, OpenError};
use crate::guards::Guards;
use crate::keyring::Keyring;
use crate::object::Object;
use crate::open::{Loaded, load, open_error};
use crate::registry::{Registry, Resource};
use crate::shared::{Figures, Notifiers, Shared};
use crate::space::{Progress, SpaceLimits};
use crate::state::{HistoryLimits, State};
use crate::watch::{Watch, WatchRequest};
use crate::write::Gathered;

pub use crate::engine::JournalLimits;

/// Most transactions that wait for the committer; more are refused as `TooManyRequests`.
pub(crate) const QUEUE_TRANSACTIONS_MAX: usize = 8192;

/// Where time and identity come from, so that tests decide both.
#[derive(Clone)]
pub struct Sources {
    /// Returns the present moment.
    pub now: Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>,
    /// Returns a new UUID.
    pub uid: Arc<dyn Fn() -> uuid::Uuid + Send + Sync>,
}

impl Sources {
    /// Returns the machine's clock and random UUIDs.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where the store's clock is wired to the machine's")]
        let now = || jiff::Timestamp::now();
        Self { now: Arc::new(now), uid: Arc::new(uuid::Uuid::new_v4) }
    }
}

/// How a store is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// The directory; made if it is missing.
    pub dir: PathBuf,
    /// Kinds that are always served, beside those that definitions in the store add.
    pub built_in: Registry,
    /// How much history is kept for watches.
    pub history: HistoryLimits,
    /// When the files are written anew.
    pub space: SpaceLimits,
    /// How large the journal becomes.
    pub journal: JournalLimits,
    /// Clock and identities.
    pub sources: Sources,
    /// Which safety measures are taken: all of them, but in tests of the tests.
    pub guards: Guards,
    /// What secrets are sealed with.
    pub keyring: Arc<Keyring>,
}

impl OpenOptions {
    /// Returns the usual options for the directory `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, built_in: Registry) -> Self {
        Self {
            dir: dir.into(),
            built_in,
            history: HistoryLimits::default(),
            space: SpaceLimits::default(),
            journal: JournalLimits::default(),
            sources: Sources::system(),
            guards: Guards::all(),
            keyring: Arc::default(),
        }
    }
}

/// Figures for metrics and `/readyz`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// The newest revision.
    pub revision: u64,
    /// Changes up to this revision may be forgotten.
    pub compacted: u64,
    /// Live objects.
    pub objects: u64,
    /// Bytes of their records.
    pub live_bytes: u64,
    /// Changes kept for watches.
    pub history_events: u64,
    /// Groups of writes made durable since the start.
    pub groups_total: u64,
    /// Writes made durable since the start.
    pub writes_total: u64,
    /// Times the files were written anew to save space.
    pub generations_total: u64,
}

/// A handle to the store; cheap to clone.
///
/// Reads come from an immutable picture and never wait. Writes return when their data is on disk.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Where the writes of this handle are gathered instead of being committed one by one.
    pub(crate) gathered: Option<Arc<Gathered>>,
}

pub(crate) struct Inner {
    pub shared: Arc<Shared>,
    pub commands: mpsc::Sender<Command>,
    pub sources: Sources,
    /// Held by those who lost a race and try again, so that a storm of patches on one object ends.
    pub retry_locks: [tokio::sync::Mutex<()>; 64],
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in `options.dir`, alone.
    ///
    /// # Errors
    /// [`OpenError`] says whether somebody else has it open, a newer program wrote it, it is damaged (nothing is
    /// changed then), or the file system refused.
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let engine_options =
            EngineOptions { guards: options.guards, journal: options.journal, ..EngineOptions::default() };
        let engine = crate::engine::open(&options.dir, &engine_options).map_err(|error| open_error(&error))?;
        Self::with_engine(Box::new(engine), options)
    }

    pub(crate) fn with_engine(engine: Box<dyn Engine>, options: OpenOptions) -> Result<Self, OpenError> {
        let Loaded { state, meta, is_stale } = load(&*engine, options.built_in, options.guards, &options.keyring)?;
        tracing::info!(revision = state.revision, records = meta.records, "store is open");
        let shared = Arc::new(Shared {
            notifiers: Notifiers::new(state.revision),
            state: ArcSwap::from_pointee(state),
            read_only: ArcSwapOption::empty(),
            figures: Figures::default(),
            guards: options.guards,
            keyring: options.keyring,
        });
        let (commands, receiver) = mpsc::channel(QUEUE_TRANSACTIONS_MAX);
        let committer = Committer {
            engine,
            shared: shared.clone(),
            meta,
            limits: options.history,
            space: options.space,
            progress: Progress::default(),
            commands: commands.downgrade(),
        };
        let thread = std::thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || committer.run(receiver))
            .map_err(|error| OpenError::Io(format!("the committer thread does not start: {error}")))?;
        if is_stale {
            tracing::info!("secrets are sealed anew: the files are written with the present key");
            // The queue is empty; if it cannot be done now, the next open tries again.
            let _ = commands.try_send(Command::Exclusive(Box::new(Committer::seal_anew)));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                commands,
                sources: options.sources,
                retry_locks: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
                thread: Mutex::new(Some(thread)),
            }),
            gathered: None,
        })
    }

    /// Returns a handle whose writes are gathered.
    pub(crate) fn gathering(&self, gathered: Arc<Gathered>) -> Self {
        Self { inner: self.inner.clone(), gathered: Some(gathered) }
    }

    /// Returns the present picture of everything.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.inner.shared.state.load_full()
    }

    /// Returns what secrets are sealed with.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.shared.keyring
    }

    /// Returns the resources that are served at present.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.shared.state.load().registry.clone()
    }

    /// Returns the live object `key` (`namespace/name`) of `resource`.
    #[must_use]
    pub fn get(&self, resource: &Resource, key: &str) -> Option<Arc<Object>> {
        self.inner.shared.state.load().get(&resource.key, key).cloned()
    }

    /// Begins a watch.
    ///
    /// # Errors
    /// `Expired` when the history does not reach back to the revision asked for.
    pub fn watch(&self, request: WatchRequest) -> Result<Watch, Status> {
        Watch::new(self.inner.shared.clone(), request)
    }

    /// Returns a bell that rings with the newest revision whenever anything has changed.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.shared.notifiers.subscribe_all()
    }

    /// Returns why writes are refused at present, if they are.
    #[must_use]
    pub fn read_only_reason(&self) -> Option<String> {
        self.inner.shared.read_only.load().as_ref().map(ToString::to_string)
    }

    /// Returns whether the engine has failed so that only a restart helps.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.inner.shared.read_only.load().as_ref().is_some_and(|error| matches!(**error, CommitError::Failed(_)))
    }

    /// Returns figures for metrics.
    #[must_use]
    pub fn figures(&self) -> StoreFigures {
        let state = self.inner.shared.state.load();
        let figures = &self.inner.shared.figures;
        StoreFigures {
            revision: state.revision,
            compacted: state.compacted,
            objects: state.resources.values().map(|resource| resource.objects.len() as u64).sum(),
            live_bytes: state.live_bytes,
            history_events: state.history.len() as u64,
            groups_total: figures.groups_total.load(Ordering::Relaxed),
            writes_total: figures.writes_total.load(Ordering::Relaxed),
            generations_total: figures.generations_total.load(Ordering::Relaxed),
        }
    }

    /// Commits `writes` together and returns the objects as written.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Object>>, CommitError> {
        let (reply, answer) = oneshot::channel();
        match self.inner.commands.try_send(Command::Commit(Transaction { writes, reply })) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(CommitError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CommitError::Closed),
        }
        answer.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Writes the files anew, as happens by itself when they are much larger than what they hold. Writes go on
    /// meanwhile.
    ///
    /// # Errors
    /// When the store is closed, or the disk refused; the old files stay in use then.
    pub async fn rewrite_files(&self) -> Result<(), Status> {
        let (waiter, ended) = oneshot::channel();
        self.exclusive(move |committer| committer.rewrite(waiter)).await.map_err(CommitError::into_status)?;
        match ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => {
                Err(Status::failure(Reason::InternalError, format!("the files could not be written anew: {why}")))
            }
            Err(_) => Err(CommitError::Closed.into_status()),
        }
    }

    /// Runs `work` on the committer thread while no write is in flight.
    async fn exclusive<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Committer) -> T + Send + 'static,
    ) -> Result<T, CommitError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Exclusive(Box::new(move |committer| {
            // A caller that has gone away does not need its answer.
            let _ = reply.send(work(committer));
        }));
        self.inner.commands.send(command).await.map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)
    }

    /// Finishes the writes that are waiting, then closes the files. Later writes are refused; reads go on.
    pub async fn close(&self) {
        // The receiver is gone when the store was closed before.
        let _ = self.inner.commands.send(Command::Close).await;
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the committer has been reported by its own refusals.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
