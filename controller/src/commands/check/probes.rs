//! The single checks. Each looks and changes nothing, but that reading the store brings it to this program's format.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver::authentication::token_file;
use apiserver::config::Config;
use apiserver::data_dir::DataPaths;
use apiserver::data_dir::space::{free_space, open_files_max};
use apiserver::data_dir::store_key::{self, KeySource, WhenMissing};
use apiserver::tls::Identity;
use jiff::{SignedDuration, Timestamp};
use ports::error::chain;
use ports::swarm::docker::DockerEngine;
use ports::swarm::{Engine as _, SwarmState};
use store::backup::{BackupSummary, verify};
use store::error::OpenError;

use super::{Arguments, Finding, authorities, forges};
use crate::commands::read_config;
use crate::environment::Environment;

const MEBIBYTE: u64 = 1 << 20;
/// Below this the store will soon be read-only.
const BYTES_FAIL: u64 = 256 * MEBIBYTE;
const BYTES_WARN: u64 = 5 * 1024 * MEBIBYTE;
const INODES_FAIL: u64 = 1_000;
const INODES_WARN: u64 = 20_000;
const OPEN_FILES_WARN: u64 = 4_096;
/// Somebody waits for the table.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(5);
/// Private key files must be closed to others.
const OTHERS: u32 = 0o077;
/// This program did not exist before.
const CLOCK_MIN: &str = "2026-11-01T00:00:00Z";

pub(super) fn all(arguments: &Arguments, environment: &Environment) -> Vec<Finding> {
    let paths = arguments.data_dir.paths(environment);
    let now = environment.clock.now();
    let (config, finding) = config(arguments.config.as_deref(), &paths);
    let mut findings = vec![finding, data_directory(&paths), permissions(&paths)];
    findings.extend(space(&paths));
    findings.push(open_files());
    findings.push(clock(&paths, now));
    findings.extend(ports(&config, &paths));
    findings.push(store_key(&paths, environment));
    if arguments.store {
        findings.push(store(&paths, environment));
    }
    findings.push(certificates(&paths, now));
    findings.push(authorities::records(&config, environment));
    findings.push(tokens(&paths, now));
    findings.push(engine(environment));
    findings.extend(forges::look(&config, &paths, environment, now));
    for (program, need) in [
        ("git", "recipes cannot be fetched"),
        ("abra", "the Swarm deployer is used"),
        ("nix", "flakes cannot be built"),
    ] {
        findings.push(match environment.find_program(program) {
            Some(path) => Finding::ok(program, path.display().to_string()),
            None => {
                Finding::warn(program, format!("not found: {need}"), format!("install {program} or add it to PATH"))
            }
        });
    }
    findings
}

fn config(named: Option<&Path>, paths: &DataPaths) -> (Config, Finding) {
    const CHECK: &str = "configuration";
    let shown = match named {
        Some(path) => path.display().to_string(),
        None if paths.config().exists() => paths.config().display().to_string(),
        None => "defaults".to_owned(),
    };
    match read_config(named, paths) {
        Ok(config) => (config, Finding::ok(CHECK, shown)),
        Err(error) => (
            Config::default(),
            Finding::fail(CHECK, error.to_string(), "mend the file; docs/config.md lists all fields"),
        ),
    }
}

fn data_directory(paths: &DataPaths) -> Finding {
    const CHECK: &str = "data directory";
    let shown = paths.root().display().to_string();
    if !paths.root().exists() {
        return Finding::ok(CHECK, format!("{shown} will be made at the first start"));
    }
    if !paths.root().is_dir() {
        return Finding::fail(CHECK, format!("{shown} is no directory"), "choose another --data-dir");
    }
    match paths.holder() {
        Some(pid) => Finding::ok(CHECK, format!("{shown}, used by pid {pid}")),
        None => Finding::ok(CHECK, format!("{shown}, not in use")),
    }
}

fn permissions(paths: &DataPaths) -> Finding {
    const CHECK: &str = "permissions";
    let private = [
        paths.root().to_owned(),
        paths.tokens(),
        paths.kubeconfig(),
        paths.pki(),
        paths.pki().join("ca.pem"),
        paths.pki().join("serving.pem"),
    ];
    let open: Vec<String> = private
        .iter()
        .filter(|path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0))
        .map(|path| path.display().to_string())
        .collect();
    if open.is_empty() {
        return Finding::ok(CHECK, "nobody else can read keys and tokens");
    }
    Finding::fail(CHECK, format!("open to others: {}", open.join(" ")), format!("chmod go= {}", open.join(" ")))
}

/// Says where the key lies under which Secrets are sealed, and whether it can be used.
fn store_key(paths: &DataPaths, environment: &Environment) -> Finding {
    const CHECK: &str = "store key";
    let credentials = environment.credentials.as_deref();
    if let Err(error) = store_key::open(paths, credentials, WhenMissing::LeaveIt) {
        return Finding::fail(CHECK, error.to_string(), "docs/operate.md says what may stand there");
    }
    let path = paths.store_key();
    match store_key::source(paths, credentials) {
        KeySource::Credential => Finding::ok(CHECK, format!("systemd's credential {}", store_key::CREDENTIAL)),
        KeySource::Linked(target) => Finding::ok(CHECK, format!("{} -> {}", path.display(), target.display())),
        KeySource::Missing => Finding::ok(CHECK, format!("{} will be made at the first start", path.display())),
        KeySource::Beside => Finding::warn(
            CHECK,
            format!("{} lies beside what it protects", path.display()),
            format!("mv {0} /etc/ccd-store.key && ln -s /etc/ccd-store.key {0}", path.display()),
        ),
    }
}

/// Reads everything that is stored.
fn store(paths: &DataPaths, environment: &Environment) -> Finding {
    const CHECK: &str = "store";
    let keyring = match store_key::open(paths, environment.credentials.as_deref(), WhenMissing::LeaveIt) {
        Ok(keyring) => Arc::new(keyring),
        Err(error) => return Finding::fail(CHECK, error.to_string(), "mend the store key first, see above"),
    };
    match verify(&paths.store(), apiserver::built_in::registry(), &keyring) {
        Ok(BackupSummary { revision, objects }) => {
            Finding::ok(CHECK, format!("{objects} objects as of revision {revision}, every checksum is right"))
        }
        Err(OpenError::Missing(dir)) => Finding::ok(CHECK, format!("{dir} will be made at the first start")),
        Err(error @ OpenError::Locked(_)) => {
            Finding::warn(CHECK, error.to_string(), "stop ccd first; while it runs, `ccd backup` reads every object")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), "docs/operate.md says what to do, under Disasters"),
    }
}

fn space(paths: &DataPaths) -> Vec<Finding> {
    let existing = paths.root().ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let place = existing.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let free = match free_space(&place) {
        Ok(free) => free,
        Err(error) => return vec![Finding::warn("disk space", error.to_string(), "look at the file system by hand")],
    };
    let detail =
        format!("{} MiB free of {} MiB at {}", free.bytes / MEBIBYTE, free.bytes_total / MEBIBYTE, place.display());
    let fix = "free some space: `docker system df` shows what images take";
    let bytes = match free.bytes {
        bytes if bytes < BYTES_FAIL => Finding::fail("disk space", detail, fix),
        bytes if bytes < BYTES_WARN => Finding::warn("disk space", detail, fix),
        _ => Finding::ok("disk space", detail),
    };
    let inodes = match free.inodes {
        None => Finding::ok("inodes", "this file system does not count them"),
        Some(free) if free < INODES_FAIL => {
            Finding::fail("inodes", format!("{free} left"), "delete small files: `du --inodes -x / | sort -n | tail`")
        }
        Some(free) if free < INODES_WARN => {
            Finding::warn("inodes", format!("{free} left"), "delete small files: `du --inodes -x / | sort -n | tail`")
        }
        Some(free) => Finding::ok("inodes", format!("{free} left")),
    };
    vec![bytes, inodes]
}

fn open_files() -> Finding {
    const CHECK: &str = "open files";
    match open_files_max() {
        Some(limit) if limit < OPEN_FILES_WARN => Finding::warn(
            CHECK,
            format!("at most {limit}; each connection is one"),
            "the daemon raises this as far as it may; set LimitNOFILE=65536 in its unit",
        ),
        Some(limit) => Finding::ok(CHECK, format!("at most {limit}")),
        None => Finding::ok(CHECK, "no limit"),
    }
}

/// A clock that stands wrong breaks certificates and tokens in ways that are hard to see.
fn clock(paths: &DataPaths, now: Timestamp) -> Finding {
    const CHECK: &str = "clock";
    let fix = "set it: `timedatectl set-ntp true`";
    let earliest: Timestamp = CLOCK_MIN.parse().expect("the constant above is a time");
    if now < earliest {
        return Finding::fail(CHECK, format!("it says {now}"), fix);
    }
    let files = [paths.tokens(), paths.kubeconfig(), paths.addresses(), paths.pki().join("serving.pem")];
    let newest = files
        .iter()
        .filter_map(|path| Timestamp::try_from(fs::metadata(path).ok()?.modified().ok()?).ok())
        .max()
        .filter(|newest| *newest > now + SignedDuration::from_mins(5));
    match newest {
        Some(newest) => Finding::fail(CHECK, format!("it says {now}, but files were written at {newest}"), fix),
        None => Finding::ok(CHECK, now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
    }
}

fn ports(config: &Config, paths: &DataPaths) -> Vec<Finding> {
    let own = paths.holder().is_some().then(|| paths.read_addresses().ok().flatten()).flatten();
    let check = |check: &'static str, address: &str, own: Option<SocketAddr>, flag: &str| {
        let Ok(address) = address.parse::<SocketAddr>() else {
            return Finding::ok(check, "turned off");
        };
        if let Some(own) = own {
            return Finding::ok(check, format!("the daemon listens on {own}"));
        }
        match TcpListener::bind(address) {
            Ok(_) => Finding::ok(check, format!("{address} is free")),
            Err(error) => Finding::fail(
                check,
                format!("{address}: {error}"),
                format!("stop what listens there (`ss -ltnp`) or choose another with {flag}"),
            ),
        }
    };
    vec![
        check("port http", &config.server.http, own.as_ref().and_then(|own| own.http), "--http"),
        check("port https", &config.server.https, own.as_ref().and_then(|own| own.https), "--https"),
    ]
}

fn certificates(paths: &DataPaths, now: Timestamp) -> Finding {
    const CHECK: &str = "certificates";
    let (authority, serving) = (paths.pki().join("ca.pem"), paths.pki().join("serving.pem"));
    if !authority.exists() {
        return Finding::ok(CHECK, "will be made at the first start");
    }
    let parse = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Identity::parse(&text).map_err(|error| error.to_string())
    };
    if let Err(error) = parse(&authority) {
        let fix = "restore it from a copy; deleting it makes a new one that every client must fetch";
        return Finding::fail(CHECK, format!("{}: {error}", authority.display()), fix);
    }
    match parse(&serving) {
        Err(_) => Finding::ok(CHECK, "a new serving certificate will be made at the next start"),
        Ok(identity) if identity.expires <= now => Finding::warn(
            CHECK,
            format!("the serving certificate ended {}", identity.expires),
            "start the daemon: it makes a new one",
        ),
        Ok(identity) => Finding::ok(
            CHECK,
            format!("serving until {} for {}", identity.expires.strftime("%Y-%m-%d"), identity.names.join(" ")),
        ),
    }
}

fn tokens(paths: &DataPaths, now: Timestamp) -> Finding {
    const CHECK: &str = "tokens";
    match token_file::read(&paths.tokens()) {
        Err(error) => {
            Finding::fail(CHECK, error.to_string(), "mend or delete the file; then make tokens with `ccd token create`")
        }
        Ok(records) => {
            let expired = records.iter().filter(|record| record.is_expired(now)).count();
            Finding::ok(CHECK, format!("{} valid, {expired} expired", records.len() - expired))
        }
    }
}

fn engine(environment: &Environment) -> Finding {
    const CHECK: &str = "docker engine";
    let address = environment.docker_host.as_deref().unwrap_or("unix:///var/run/docker.sock");
    let engine = match DockerEngine::at(address) {
        Ok(engine) => engine,
        Err(error) => {
            let fix = "name it in spec.engine of a Host as unix:///path or ssh://user@host";
            return Finding::warn(CHECK, format!("DOCKER_HOST: {error}"), fix);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Finding::warn(CHECK, error.to_string(), "look at it by hand: `docker info`"),
    };
    let asked = runtime.block_on(async { tokio::time::timeout(ENGINE_TIME_MAX, engine.info()).await });
    let info = match asked {
        Ok(Ok(info)) => info,
        Ok(Err(error)) => return Finding::warn(CHECK, chain(&error), engine_fix(&chain(&error))),
        Err(_) => {
            let detail = format!("{address} did not answer within {} s", ENGINE_TIME_MAX.as_secs());
            return Finding::warn(CHECK, detail, "restart it: `systemctl restart docker`");
        }
    };
    let found = format!("Docker {} at {address}", info.engine_version);
    match info.swarm {
        SwarmState::Manager => Finding::ok(CHECK, format!("{found}, which manages a swarm")),
        SwarmState::Inactive => Finding::warn(
            CHECK,
            format!("{found}, which is in no swarm"),
            "`docker swarm init`, or apply a Host with spec.swarm.init: true",
        ),
        SwarmState::Locked => {
            Finding::warn(CHECK, format!("{found}, whose swarm is locked"), "unlock it: `docker swarm unlock`")
        }
        SwarmState::Worker | SwarmState::Pending => Finding::warn(
            CHECK,
            format!("{found}, which does not manage its swarm"),
            "name a manager in spec.engine of a Host, or `docker node promote` this one",
        ),
        SwarmState::Error => {
            Finding::warn(CHECK, format!("{found}: {}", info.swarm_error), "bring enough of its managers back")
        }
    }
}

fn engine_fix(error: &str) -> &'static str {
    if error.contains("may not use it") {
        "let this user use it: `usermod -aG docker USER`, then sign in again"
    } else if error.contains("there is none") {
        "install it: `apt-get install docker.io`, then `docker swarm init`"
    } else {
        "start it: `systemctl start docker`"
    }
}
