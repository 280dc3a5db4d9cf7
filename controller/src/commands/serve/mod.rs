//! `ccd serve`: everything in one process, from the lock on the data directory to the last answered request.

mod assembly;
mod outside;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use apiserver::config::Config;
use apiserver::data_dir::administrator::keep_kubeconfig;
use apiserver::data_dir::{DataDir, DataPaths, reachable, space};
use apiserver::serve::systemd::{Notice, notify};
use apiserver::serve::{Drained, Listeners, Server};
use apiserver::tls::Pki;
use ports::redact::Redactor;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webui::router::answers;

use super::{Additions, DataDirArgument, logging, read_config};
use crate::commands::Outcome;
use crate::environment::Environment;
use assembly::{Assembly, Beside};

/// How often certificates and the kubeconfig are looked after.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);
/// How long background tasks may take to end once requests have ended.
const TASKS_END: Duration = Duration::from_secs(2);

/// Arguments of `ccd serve`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgument,
    /// Address without TLS, for this machine only [default: 127.0.0.1:8180]; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Address with TLS [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) https: Option<String>,
    /// Configuration file [default: DIR/config.toml when it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, environment: &Environment, additions: &Additions) -> anyhow::Result<Outcome> {
    let root = arguments.data_dir.path(environment);
    let mut config = read_config(arguments.config.as_deref(), &DataPaths::new(&root))?;
    if let Some(http) = &arguments.http {
        config.server.http.clone_from(http);
    }
    if let Some(https) = &arguments.https {
        config.server.https.clone_from(https);
    }
    config.check()?;
    let redactor = Redactor::default();
    logging::start(&config.log, &redactor)?;
    space::raise_open_files_max();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let outcome = runtime.block_on(serve(&root, config, environment, additions, redactor));
    // What still runs after the drain's time has had its chance.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn serve(
    root: &std::path::Path,
    config: Config,
    environment: &Environment,
    additions: &Additions,
    redactor: Redactor,
) -> anyhow::Result<Outcome> {
    let stop = stop_on_signals()?;
    let directory = DataDir::open(root)?;
    let listeners = Listeners::bind(&config.server).await?;
    let (http, https) = listeners.addresses();
    let mut names = config.tls.names.clone();
    names.extend(environment.hostname.clone());
    names.extend(https.filter(|address| !address.ip().is_unspecified()).map(|address| address.ip().to_string()));
    names.sort();
    names.dedup();
    let client_certificates = config.tls.client_certificates;
    let pki = Arc::new(Pki::open(&directory.paths().pki(), &names, client_certificates, environment.clock.clone())?);
    let server_url = match (https, http) {
        (Some(address), _) => format!("https://{}", reachable(address)),
        (None, Some(address)) => format!("http://{}", reachable(address)),
        (None, None) => String::new(),
    };
    let keeper = Keeper {
        paths: directory.paths().clone(),
        pki: Arc::clone(&pki),
        server_url,
        clock: environment.clock.clone(),
    };
    keeper.keep_kubeconfig()?;

    let background = CancellationToken::new();
    let tasks = TaskTracker::new();
    let beside = Beside { stop: stop.clone(), background: background.clone(), tasks: tasks.clone(), redactor };
    let assembly = Assembly::build(directory.paths(), &config, environment, &beside, additions).await?;
    assembly.add_certificate_figures(&pki);
    tasks.spawn(keeper.maintain(background.clone()));

    directory.write_addresses(http, https)?;
    assembly.lifecycle.health.set_started();
    announce(environment, Notice::Ready);
    for (name, address) in [("http", http), ("https", https)] {
        if let Some(address) = address {
            println!("{name}://{address}");
        }
    }
    tracing::info!("ready; kubectl --kubeconfig {}", directory.paths().kubeconfig().display());

    let server = Server {
        listeners,
        answers: answers(Arc::clone(&assembly.web)),
        pki: Some(pki),
        config: config.server,
        limits: config.limits,
        lifecycle: assembly.lifecycle.clone(),
        metrics: assembly.access.metrics.clone(),
    };
    let announced = async {
        stop.cancelled().await;
        tracing::info!("stopping: finishing requests");
        announce(environment, Notice::Stopping);
    };
    let (drained, ()) = tokio::join!(server.run(stop.clone()), announced);
    if let Drained::CutOff(count) = drained {
        tracing::warn!("{count} connections did not end in time and were cut off");
    }
    background.cancel();
    tasks.close();
    if tokio::time::timeout(TASKS_END, tasks.wait()).await.is_err() {
        tracing::warn!("{} background tasks did not end in time", tasks.len());
    }
    assembly.close().await;
    directory.remove_addresses();
    tracing::info!("stopped");
    Ok(Outcome::Well)
}

/// Returns a token that the first SIGTERM or SIGINT cancels; a second one ends the process at once, which loses
/// nothing that was acknowledged.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let stop = CancellationToken::new();
    let first = stop.clone();
    // It lives as long as the process: there is nothing to wait for.
    drop(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first.is_cancelled() {
                eprintln!("ccd: stopped at once");
                std::process::exit(130);
            }
            first.cancel();
        }
    }));
    Ok(stop)
}

fn announce(environment: &Environment, notice: Notice) {
    if let Some(socket) = &environment.notify_socket
        && let Err(error) = notify(socket, notice)
    {
        tracing::warn!("failed to tell systemd: {error}");
    }
}

/// Keeps certificates and the kubeconfig from ending.
struct Keeper {
    paths: DataPaths,
    pki: Arc<Pki>,
    server_url: String,
    clock: apiserver::clock::Clock,
}

impl Keeper {
    fn keep_kubeconfig(&self) -> anyhow::Result<()> {
        let authorities = self.pki.authorities_pem();
        Ok(keep_kubeconfig(&self.paths, &self.server_url, &authorities, self.clock.now())?)
    }

    async fn maintain(self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(MAINTENANCE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.pki.maintain() {
                tracing::error!("failed to renew certificates: failed to {error}");
            }
            if let Err(error) = self.keep_kubeconfig() {
                tracing::error!("failed to renew the kubeconfig: failed to {error:#}");
            }
        }
    }
}
