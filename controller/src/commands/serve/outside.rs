//! The real outside, as the configuration says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use apiserver::config::Config;
use apiserver::config::work::ProbeConfig;
use apiserver::data_dir::DataPaths;
use ports::abra::Abra;
use ports::abra::process::ProcessAbra;
use ports::acme::network::{AcmeTimes, NetworkAcme};
use ports::acme::solve::{NetworkSolver, SolverSettings};
use ports::camera::{Camera, ChromiumCamera};
use ports::clock::SystemClock;
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileRoot, GivenFiles, RunFiles};
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::git::process::{GitSettings, ProcessGit};
use ports::host::system::SystemHost;
use ports::jobs::Jobs;
use ports::jobs::process::ProcessJobs;
use ports::outbound::Outbound;
use ports::probe::ConnectRules;
use ports::probe::network::NetworkProbe;
use ports::redact::Redactor;
use ports::sops::IdentityFile;
use ports::swarm::docker::DockerEngines;

use crate::environment::Environment;
use crate::outside::Outside;
use crate::pictures::AppCamera;
use crate::runtime::operations::Operations;
use crate::sops_secrets::SopsFiles;

/// Name of systemd's credential with identities of age.
const AGE_CREDENTIAL: &str = "age-identity";

/// Opens everything that reconcilers may touch. Nothing is asked over the network yet.
pub(super) async fn open(
    paths: &DataPaths,
    config: &Config,
    environment: &Environment,
    redactor: Redactor,
) -> anyhow::Result<Outside> {
    let folder = config.runs.folder.clone().unwrap_or_else(|| paths.root().join("files"));
    let clock = Arc::new(SystemClock);
    let files = FileRoot::open(&folder, Faults::default()).context("open the files of runs")?;
    let limits = RunLimits {
        stage_log_bytes: config.runs.stage_log_bytes_max,
        artifact_bytes: config.runs.artifact_bytes_max,
        artifacts: config.runs.artifacts_max,
    };
    let anywhere = config.runs.file_urls.then(|| PathBuf::from("/"));
    let outbound = Outbound::allowing(&config.outbound.allow).context("read outbound.allow")?;
    let git = GitSettings {
        protocols: config.git.protocols.clone(),
        file_roots: config.git.file_roots.iter().cloned().chain(anywhere).collect(),
        fetch_time_max: Duration::from_secs(config.git.fetch_seconds),
        repository_bytes_max: config.git.repository_bytes_max,
        outbound: outbound.clone(),
        ..GitSettings::new(absolute(paths.root().join("git"))?)
    };
    let connect = connect_rules(&config.probe)?;
    let probe = NetworkProbe::open(connect.clone(), outbound, &config.probe.ca_files);
    let probe = probe.context("prepare probes")?;
    let abra = environment.find_program(&config.abra.program).map(|program| {
        let abra: Arc<dyn Abra> = Arc::new(ProcessAbra::new(program, &path_of(environment), redactor.clone()));
        abra
    });
    let forges = HttpForges::open(&config.probe.ca_files, ForgeTimes::default()).context("prepare forges")?;
    let acme = NetworkAcme::open(&config.probe.ca_files, AcmeTimes::default()).context("prepare authorities")?;
    Ok(Outside {
        abra,
        acme: Arc::new(acme),
        solver: Arc::new(NetworkSolver::new(solver_settings(config, environment)?, redactor.clone())),
        engines: Arc::new(DockerEngines::default()),
        figures: Arc::new(SystemHost),
        forges: Arc::new(forges),
        git: Arc::new(ProcessGit::open(git).context("prepare git")?),
        probe: Arc::new(probe),
        camera: camera(environment).map(|camera| AppCamera { camera, connect }),
        runs: RunFiles::new(files.clone(), redactor.clone(), clock.clone(), limits),
        files,
        given: given_files(paths, config, environment),
        jobs: open_jobs(paths, environment).await?,
        redactor,
        zone: config.runs.zone.clone(),
        public_url: config.server.public_url().map(str::to_owned),
        operations: Operations::default(),
        clock,
    })
}

fn path_of(environment: &Environment) -> String {
    environment.path.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":")
}

fn solver_settings(config: &Config, environment: &Environment) -> anyhow::Result<SolverSettings> {
    let settings = &config.certificates;
    Ok(SolverSettings {
        listen: settings.challenge_address.parse().context("read certificates.challenge_address")?,
        ports: settings.challenge_ports.clone(),
        hooks: settings.dns_hooks.clone(),
        hook_time_max: Duration::from_secs(settings.dns_hook_seconds),
        nsupdate: environment.find_program("nsupdate"),
        path: path_of(environment),
    })
}

/// The keys of ccd itself are none that an object may name.
fn given_files(paths: &DataPaths, config: &Config, environment: &Environment) -> GivenFiles {
    GivenFiles::beneath(config.certificates.file_roots.clone(), never(paths, environment))
}

fn never(paths: &DataPaths, environment: &Environment) -> Vec<PathBuf> {
    let mut never = vec![paths.root().to_owned(), paths.store_key()];
    never.extend(environment.credentials.clone());
    never
}

/// Returns where Secrets may come from.
pub(super) fn sops_files(paths: &DataPaths, config: &Config, environment: &Environment) -> SopsFiles {
    let credential = environment.credentials.as_ref().map(|folder| folder.join(AGE_CREDENTIAL));
    let given = GivenFiles::beneath(config.secrets.sops_file_roots.clone(), never(paths, environment));
    SopsFiles {
        given: given.named_by("secrets.sops_file_roots"),
        identities: credential
            .map(|path| IdentityFile { path, is_credential: true })
            .into_iter()
            .chain(
                config.secrets.age_identities.iter().cloned().map(|path| IdentityFile { path, is_credential: false }),
            )
            .collect(),
    }
}

/// Returns what takes pictures, where there is a Chromium. It never runs without its own sandbox, so root needs a
/// program that makes somebody else of it.
pub(super) fn camera(environment: &Environment) -> Option<Arc<dyn Camera>> {
    let chromium = environment.chromium.clone()?;
    let setpriv = environment.find_program("setpriv");
    if environment.is_root && setpriv.is_none() {
        tracing::warn!("no pictures are taken: CC_CHROMIUM is set, but root needs the program setpriv (util-linux)");
        return None;
    }
    let as_nobody = setpriv.filter(|_| environment.is_root);
    Some(Arc::new(ChromiumCamera::new(chromium, as_nobody, environment.temporary.clone())))
}

/// Opens the jobs of this data directory; their supervisors are this very program.
async fn open_jobs(paths: &DataPaths, environment: &Environment) -> anyhow::Result<Arc<dyn Jobs>> {
    let program = environment.program.clone().context("find this program, to start jobs with it")?;
    let supervisor = vec![program.into_os_string(), "job-supervisor".into()];
    let jobs = ProcessJobs::open(&paths.jobs(), supervisor).await;
    Ok(Arc::new(jobs.map_err(|error| anyhow::anyhow!(ports::error::chain(&error))).context("open the jobs")?))
}

/// Git is told paths, and runs elsewhere.
fn absolute(path: PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(&path).with_context(|| format!("find {}", path.display()))
}

fn connect_rules(config: &ProbeConfig) -> anyhow::Result<ConnectRules> {
    let zones = config.connect.iter().map(|(zone, address)| {
        let address = address.parse().with_context(|| format!("read probe.connect: {zone}"))?;
        Ok((zone.clone(), address))
    });
    Ok(ConnectRules { zones: zones.collect::<anyhow::Result<_>>()? })
}
