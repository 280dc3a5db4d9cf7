//! The parts of the daemon, put together in the order in which they need each other.

use std::sync::Arc;

use crate::commands::Additions;
use crate::environment::Environment;
use crate::forge_accounts::StoredForges;
use crate::kinds::app::reaper::{Mode, Reaper};
use crate::kinds::host::ears;
use crate::kinds::recipe::mirrors::MirrorKeeper;
use crate::kinds::repository::doorbell::Doorbells;
use crate::kinds::test_run::left::LeftFiles;
use crate::logs::RunLogs;
use crate::logs::apps::AppLogs;
use crate::outside::Outside;
use crate::pictures::CameraPainter;
use crate::plans::Plans;
use crate::reviews::StoredReviews;
use crate::runtime::guards::Guards;
use crate::runtime::job_keeper::JobKeeper;
use crate::runtime::manager::{Bell, Manager};
use crate::runtime::objects::store_objects::StoreObjects;
use crate::runtime::objects::{ObjectKey, Objects};
use crate::secrets_in_use;
use crate::sops_secrets::{SopsFiles, SopsKeeper};
use anyhow::Context as _;
use api_types::kind::Kind as _;
use api_types::kinds::repository::Repository;
use apiserver::access::Access;
use apiserver::api::Api;
use apiserver::audit::policy::Policy;
use apiserver::audit::{Audit, AuditWriter, WriterSettings};
use apiserver::authentication::Authenticator;
use apiserver::authentication::tokens::TokenTable;
use apiserver::authorization::{Authorizer, follow};
use apiserver::bootstrap;
use apiserver::clock::Clock;
use apiserver::config::Config;
use apiserver::data_dir::DataPaths;
use apiserver::data_dir::space::free_space;
use apiserver::data_dir::store_key::{self, WhenMissing};
use apiserver::health::Severity;
use apiserver::hooks::Doorbell;
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::metrics::figures::Figure;
use apiserver::serve::Lifecycle;
use apiserver::tls::Pki;
use ports::redact::Redactor;
use store::collector::{Collector, CollectorOptions};
use store::store::{OpenOptions, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webui::pictures::Painter;
use webui::router::{Surroundings, Web};
use webui::session::SessionKey;

use super::outside;

/// Audit lines that may wait for the disk: at 1 KiB each, 16 MiB.
const AUDIT_QUEUE_MAX: usize = 16 * 1024;
/// Readiness is lost when the disk has less room.
const DISK_BYTES_MIN: u64 = 64 << 20;

/// What runs beside the requests, and until when.
pub(super) struct Beside {
    /// Fires when the daemon is asked to stop.
    pub(super) stop: CancellationToken,
    /// Fires when requests have ended.
    pub(super) background: CancellationToken,
    /// What is waited for at the end.
    pub(super) tasks: TaskTracker,
    /// Takes secrets out of what is logged, and of what everything else says.
    pub(super) redactor: Redactor,
}

/// The daemon without its sockets.
pub(super) struct Assembly {
    pub(super) web: Arc<Web>,
    pub(super) lifecycle: Lifecycle,
    pub(super) access: Access,
    store: Store,
}

/// Starts what keeps Secrets as their files of sops say.
fn follow_sops_files(files: SopsFiles, manager: &Manager, beside: &Beside) {
    let shared = manager.shared();
    let keeper = SopsKeeper::new(shared.cache.clone(), shared.objects.clone(), shared.recorder.clone(), files);
    let keeping = beside.background.clone();
    beside.tasks.spawn(async move { keeping.run_until_cancelled(keeper.run()).await });
}

/// Starts what removes whatever has lost its owner.
fn look_for_what_is_left(
    outside: Outside,
    manager: &Manager,
    config: &Config,
    restored_at: Option<jiff::Timestamp>,
    beside: &Beside,
) {
    let mode = if config.reaper.dry_run { Mode::DryRun } else { Mode::Act };
    let shared = manager.shared();
    let files = LeftFiles::new(shared, outside.files.clone(), outside.runs.clone(), mode).restored_at(restored_at);
    let reaper = Reaper::new(shared, outside, mode).restored_at(restored_at);
    let until = beside.background.clone();
    beside.tasks.spawn(async move { until.run_until_cancelled(reaper.run()).await });
    let until = beside.background.clone();
    beside.tasks.spawn(async move { until.run_until_cancelled(files.run()).await });
}

async fn open_store(paths: &DataPaths, environment: &Environment) -> anyhow::Result<Store> {
    let keyring = store_key::open(paths, environment.credentials.as_deref(), WhenMissing::Make)?;
    let options =
        OpenOptions { keyring: Arc::new(keyring), ..OpenOptions::new(paths.store(), apiserver::built_in::registry()) };
    // Reading 100 000 objects takes a while: not on a thread that serves.
    let opened = tokio::task::spawn_blocking(move || Store::open(options)).await.context("open the store")?;
    opened.context("open the store")
}

impl Assembly {
    /// Opens the store, prepares it, and starts what runs beside the requests.
    pub(super) async fn build(
        paths: &DataPaths,
        config: &Config,
        environment: &Environment,
        beside: &Beside,
        additions: &Additions,
    ) -> anyhow::Result<Self> {
        let (clock, Beside { stop, background, tasks, redactor }) = (&environment.clock, beside);
        let store = open_store(paths, environment).await?;
        let mut definitions = apiserver::built_in::own_definitions();
        definitions.extend(additions.definitions.iter().cloned());
        bootstrap::prepare(&store, &definitions).await?;

        let outside = outside::open(paths, config, environment, redactor.clone()).await?;
        secrets_in_use::load(&outside.redactor, &store.state());
        tasks.spawn(secrets_in_use::follow(outside.redactor.clone(), store.clone(), background.clone()));
        let metrics = Metrics::new();
        let authorizer = Arc::new(Authorizer::new(&config.anonymous.open_paths));
        follow::load(&authorizer, &store.state());
        let access = Access {
            authenticator: Arc::new(
                Authenticator::new(TokenTable::open(paths.tokens()), clock.clone())
                    .with_service_accounts(TokenTable::open(paths.account_tokens()), store.clone()),
            ),
            authorizer: Arc::clone(&authorizer),
            limits: Limits::new(config.limits.clone()),
            audit: audit(paths, config, clock, &outside.redactor)?,
            metrics,
        };
        let lifecycle = Lifecycle::default();
        tasks.spawn(follow::follow(authorizer, store.clone(), background.clone()));
        let collector = Collector::new(store.clone(), CollectorOptions::default());
        tasks.spawn(collector.run(background.clone()));
        let surroundings = surroundings(&store, &outside, environment);
        let doorbells = Doorbells::default();
        let manager = manager(&store, &access.metrics, &outside, &doorbells, additions);
        let apps = AppLogs::new(manager.shared().objects.clone(), outside.engines.clone(), outside.redactor.clone());
        let logs = Arc::new(RunLogs::new(outside.runs.clone()).with_apps(apps));
        tasks.spawn(JobKeeper::new(outside.jobs.clone(), &manager).run(background.clone()));
        let (engines, cache) = (outside.engines.clone(), manager.shared().cache.clone());
        tasks.spawn(ears::listen(engines.clone(), cache, manager.bell(), background.clone()));
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        access.metrics.add_figure("cc_engine_calls", "Requests made to Docker engines since the start", move || {
            engines.calls() as f64
        });
        let mirrors = MirrorKeeper::new(manager.shared().objects.clone(), outside.git.clone());
        let keeping = background.clone();
        tasks.spawn(async move { keeping.run_until_cancelled(mirrors.run()).await });
        follow_sops_files(outside::sops_files(paths, config, environment), &manager, beside);
        let plans = Arc::new(Plans::new(manager.shared(), outside.clone()));
        look_for_what_is_left(outside, &manager, config, paths.read_restored()?.map(|restored| restored.at), beside);
        let reconciling = Arc::clone(&manager);
        // Passes finish while requests are finished: both have the same ten seconds.
        let stop = stop.clone();
        tasks.spawn(async move { reconciling.run(stop).await });
        let synced = Arc::clone(&manager);
        lifecycle.health.add("reconcilers-synced", Severity::Ready, move || {
            if synced.is_synced() { Ok(()) } else { Err("the reconcilers have not seen all objects yet".to_owned()) }
        });
        let bell = Arc::new(HookBell { doorbells, bell: manager.bell(), clock: clock.clone() });
        let api = Api::new(store.clone(), access.clone(), lifecycle.clone(), clock.clone(), logs)
            .with_planner(plans)
            .with_doorbell(bell, &paths.deliveries())
            .with_debug_state(Arc::new(move || manager.debug_state()));
        let key = SessionKey::open(&paths.web_key()).context("open the key of the web pages' sessions")?;
        let web = Web::new(Arc::new(api), key, surroundings);
        let warm = Arc::clone(&web);
        // Nobody waits for it: the first page would take as long.
        tasks.spawn_blocking(move || warm.warm());
        let assembly = Self { web, lifecycle, access, store };
        assembly.add_checks(paths);
        assembly.add_figures();
        Ok(assembly)
    }

    /// Writes what waits and closes the files.
    pub(super) async fn close(self) {
        self.store.close().await;
        let audit = self.access.audit.clone();
        // Waiting for the disk is no work for this thread. A panic of the writer has been reported already.
        let _ = tokio::task::spawn_blocking(move || audit.close()).await;
    }

    pub(super) fn add_certificate_figures(&self, pki: &Arc<Pki>) {
        let pki = Arc::clone(pki);
        let help = "When the serving certificate ends, in seconds since 1970";
        #[expect(clippy::cast_precision_loss, reason = "exact up to the year 285 million")]
        self.access
            .metrics
            .add_figure("cc_tls_serving_expires_seconds", help, move || pki.serving_expires().as_second() as f64);
    }

    fn add_checks(&self, paths: &DataPaths) {
        let health = &self.lifecycle.health;
        let store = self.store.clone();
        health.add("store", Severity::Live, move || {
            if store.has_failed() { Err("the store has failed; restart ccd".to_owned()) } else { Ok(()) }
        });
        let store = self.store.clone();
        health.add("store-writable", Severity::Ready, move || {
            store.read_only_reason().map_or(Ok(()), |_| Err("the store is read-only; see the log".to_owned()))
        });
        let root = paths.root().to_owned();
        health.add("disk", Severity::Ready, move || match free_space(&root) {
            Ok(free) if free.bytes < DISK_BYTES_MIN => Err("the disk is nearly full".to_owned()),
            Ok(_) => Ok(()),
            Err(_) => Err("the data directory cannot be reached".to_owned()),
        });
    }

    fn add_figures(&self) {
        let metrics = &self.access.metrics;
        let store = self.store.clone();
        metrics.add_source(Box::new(move || {
            let figures = store.figures();
            let figure = |name, help, value: u64| {
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
                Figure { name, help, value: value as f64 }
            };
            vec![
                figure("cc_store_revision", "Newest revision", figures.revision),
                figure(
                    "cc_store_compacted_revision",
                    "Oldest revision that watches may resume from",
                    figures.compacted,
                ),
                figure("cc_store_objects", "Live objects", figures.objects),
                figure("cc_store_live_bytes", "Bytes of live objects", figures.live_bytes),
                figure("cc_store_history_events", "Changes kept for watches", figures.history_events),
                figure("cc_store_groups", "Groups of writes made durable since the start", figures.groups_total),
                figure("cc_store_writes", "Writes made durable since the start", figures.writes_total),
                figure("cc_store_generations", "Times the files were written anew", figures.generations_total),
            ]
        }));
        let audit = self.access.audit.clone();
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        metrics.add_figure("cc_audit_events_lost", "Audit events lost since the start", move || audit.lost() as f64);
    }
}

/// Lets webhooks ring for Repositories.
struct HookBell {
    doorbells: Doorbells,
    bell: Bell,
    clock: Clock,
}

impl Doorbell for HookBell {
    fn ring(&self, namespace: &str, repository: &str) {
        let key = ObjectKey::new(&Repository::resource(), namespace, repository);
        self.doorbells.ring(&key, self.clock.now());
        self.bell.ring(&key);
    }
}

/// What the pages are told of the world.
fn surroundings(store: &Store, outside: &Outside, environment: &Environment) -> Surroundings {
    let (git, redactor) = (outside.git.clone(), outside.redactor.clone());
    Surroundings {
        public_url: outside.public_url.clone(),
        accounts: Some(Arc::new(StoredForges::new(store.clone(), outside.forges.clone(), redactor.clone()))),
        reviews: Some(Arc::new(StoredReviews::new(store.clone(), git, redactor, outside.zone.clone()))),
        painter: outside::camera(environment).map(|camera| -> Arc<dyn Painter> { Arc::new(CameraPainter(camera)) }),
    }
}

/// The reconcilers. The lock on the data directory already makes this the only process, so there is no election.
fn manager(
    store: &Store,
    metrics: &Metrics,
    outside: &Outside,
    doorbells: &Doorbells,
    additions: &Additions,
) -> Arc<Manager> {
    let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
    let mut manager = None;
    metrics.register(|registry| {
        let clock = Arc::new(ports::clock::SystemClock);
        manager = Some(Manager::new(objects.clone(), clock, registry, None, Guards::all()));
    });
    let mut manager = manager.expect("made just above");
    crate::kinds::register(&mut manager, &objects, outside, doorbells);
    if let Some(register) = additions.register {
        register(&mut manager, outside);
    }
    // It rings for those that are registered by now.
    outside.operations.set_bell(manager.bell());
    Arc::new(manager)
}

fn audit(paths: &DataPaths, config: &Config, clock: &Clock, redactor: &Redactor) -> anyhow::Result<Audit> {
    if !config.audit.enabled {
        return Ok(Audit::off());
    }
    let settings = WriterSettings {
        path: config.audit.path.clone().unwrap_or_else(|| paths.audit().join("audit.log")),
        file_bytes_max: config.audit.file_bytes_max,
        files_max: config.audit.files_max,
        queue_max: AUDIT_QUEUE_MAX,
    };
    let writer = AuditWriter::open(settings, clock.clone())?;
    let redactor = redactor.clone();
    let mask: apiserver::audit::Redactor = Arc::new(move |line| redactor.text(&line));
    Ok(Audit::new(Policy::new(config.audit.rules.clone()), writer, clock.clone(), Some(mask)))
}
