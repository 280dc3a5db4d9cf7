//! What the daemon does besides serving: runs, probes, git.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api_types::grammar::{DOMAIN, PART_NAME};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// `[runs]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunsConfig {
    /// DNS zone of run domains, for Recipes without one of their own: a run answers at `<4 letters>-<6 hex>.<zone>`, so
    /// `*.<zone>` must lead to the proxy of this machine.
    pub zone: Option<String>,
    /// Folder of logs, artifacts and work trees; default `DIR/files`.
    pub folder: Option<PathBuf>,
    /// Lets recipes be fetched from `file:///` URLs anywhere on this machine: for tests and demonstrations. To allow some
    /// folders only, leave it off and name them in `git.file_roots`.
    pub file_urls: bool,
    /// Most bytes of the log of one stage of a run; of a longer one the middle is dropped.
    pub stage_log_bytes_max: u64,
    /// Most bytes of one artifact of a run.
    pub artifact_bytes_max: u64,
    /// Most artifacts of one run. 1 to 64.
    pub artifacts_max: usize,
}

/// `[probe]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Files in PEM with authorities that vouch for the apps' certificates, besides those that this machine trusts.
    pub ca_files: Vec<PathBuf>,
    /// Where probes connect to instead of asking the DNS: for each zone, and every name in it, `"IP:PORT"` of its proxy.
    pub connect: BTreeMap<String, String>,
}

/// `[outbound]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundConfig {
    /// Addresses, or ranges such as `"127.0.0.0/8"`, that repositories and probes may be at although nobody but this
    /// machine can reach them: the machine itself, its own link, and where clouds hand out credentials. What
    /// `probe.connect` names is always reached.
    pub allow: Vec<String>,
}

/// `[git]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitConfig {
    /// Protocols that recipes may be fetched with: `https`, `ssh`, `http`, `git`. The last two can be tampered with on
    /// the way.
    pub protocols: Vec<String>,
    /// Folders beneath which recipes may be fetched from with `file:///` URLs. Whoever may write Recipes can read every
    /// repository in them.
    pub file_roots: Vec<PathBuf>,
    /// Seconds that one fetch may take.
    pub fetch_seconds: u64,
    /// Most bytes of one repository.
    pub repository_bytes_max: u64,
}

/// `[abra]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AbraConfig {
    /// The program: a name on the PATH, or a path; `""` turns it off. Apps with the deployer `Auto` take it when it is
    /// there.
    pub program: String,
}

/// `[reaper]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReaperConfig {
    /// Whether stacks whose App is gone are only reported, as events of their Host, and not taken down. Files of runs that
    /// are gone are then only named in the log.
    pub dry_run: bool,
}

/// `[certificates]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificatesConfig {
    /// Folders beneath which Certificates may name files. Whoever may write Certificates can use every pair of a
    /// certificate and a key in them that ccd may read. The data directory never counts.
    pub file_roots: Vec<PathBuf>,
    /// Address on which authorities get their answers over HTTP while they may ask; `"::"` is every address.
    pub challenge_address: String,
    /// Ports on which Certificates may have them answered; empty: 80, and all from 1024 on.
    pub challenge_ports: Vec<u16>,
    /// Programs that write TXT records for authorities, by the name that Certificates use: argument lists, as in
    /// `hetzner = ["/usr/local/bin/dns-hetzner", "example.org"]`. They run as ccd does, with `present` or `cleanup`, the
    /// record's name and its value added.
    pub dns_hooks: BTreeMap<String, Vec<String>>,
    /// Seconds that such a program may take for one record: until every name server has it. 1 to 3600.
    pub dns_hook_seconds: u64,
}

impl Default for CertificatesConfig {
    fn default() -> Self {
        Self {
            file_roots: vec![PathBuf::from("/")],
            challenge_address: "::".to_owned(),
            challenge_ports: Vec::new(),
            dns_hooks: BTreeMap::new(),
            dns_hook_seconds: 300,
        }
    }
}

impl CertificatesConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(folder) = self.file_roots.iter().find(|folder| !folder.is_absolute()) {
            return Err(wrong("certificates.file_roots", format!("{} must begin with /", folder.display())));
        }
        if self.challenge_address.parse::<std::net::IpAddr>().is_err() {
            let problem = format!("{:?} is no address; write one such as \"127.0.0.1\"", self.challenge_address);
            return Err(wrong("certificates.challenge_address", problem));
        }
        if self.challenge_ports.contains(&0) {
            return Err(wrong("certificates.challenge_ports", "must be 1 to 65535"));
        }
        for (name, argv) in &self.dns_hooks {
            PART_NAME.check(name).map_err(|error| wrong("certificates.dns_hooks", error.to_string()))?;
            if !argv.first().is_some_and(|program| program.starts_with('/')) {
                let problem = format!("{name}: must begin with the path of a program, such as \"/usr/local/bin/hook\"");
                return Err(wrong("certificates.dns_hooks", problem));
            }
        }
        if !(1..=3600).contains(&self.dns_hook_seconds) {
            return Err(wrong("certificates.dns_hook_seconds", "must be 1 to 3600"));
        }
        Ok(())
    }
}

/// `[secrets]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    /// Folders beneath which Secrets may name files of sops. Whoever may write Secrets can have every value in them that
    /// `age_identities` open. Empty: none.
    pub sops_file_roots: Vec<PathBuf>,
    /// Files with what opens them: identities of age, or unencrypted ed25519 keys of OpenSSH. The systemd credential
    /// `age-identity` comes before them.
    pub age_identities: Vec<PathBuf>,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self { sops_file_roots: Vec::new(), age_identities: vec![PathBuf::from("/etc/ssh/ssh_host_ed25519_key")] }
    }
}

impl SecretsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let named =
            [("secrets.sops_file_roots", &self.sops_file_roots), ("secrets.age_identities", &self.age_identities)];
        for (field, paths) in named {
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                return Err(wrong(field, format!("{} must begin with /", path.display())));
            }
        }
        Ok(())
    }
}

const PROTOCOLS: [&str; 4] = ["https", "ssh", "http", "git"];

impl Default for RunsConfig {
    fn default() -> Self {
        Self {
            zone: None,
            folder: None,
            file_urls: false,
            stage_log_bytes_max: 4 * 1024 * 1024,
            artifact_bytes_max: 32 * 1024 * 1024,
            artifacts_max: 64,
        }
    }
}

impl Default for GitConfig {
    fn default() -> Self {
        Self {
            protocols: vec!["https".to_owned(), "ssh".to_owned()],
            file_roots: Vec::new(),
            fetch_seconds: 600,
            repository_bytes_max: 2 * 1024 * 1024 * 1024,
        }
    }
}

impl Default for AbraConfig {
    fn default() -> Self {
        Self { program: "abra".to_owned() }
    }
}

impl RunsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(zone) = &self.zone {
            DOMAIN.check(zone).map_err(|error| wrong("runs.zone", error.to_string()))?;
        }
        if self.stage_log_bytes_max < 64 * 1024 {
            return Err(wrong("runs.stage_log_bytes_max", "must be at least 65536"));
        }
        if !(1..=64).contains(&self.artifacts_max) {
            return Err(wrong("runs.artifacts_max", "must be 1 to 64"));
        }
        if self.artifact_bytes_max == 0 {
            return Err(wrong("runs.artifact_bytes_max", "must be at least 1"));
        }
        Ok(())
    }
}

impl ProbeConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (zone, address) in &self.connect {
            DOMAIN.check(zone).map_err(|error| wrong("probe.connect", error.to_string()))?;
            if address.parse::<std::net::SocketAddr>().is_err() {
                let problem = format!("{zone}: {address:?} is no address; write IP:PORT such as \"127.0.0.1:443\"");
                return Err(wrong("probe.connect", problem));
            }
        }
        Ok(())
    }
}

impl GitConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(unknown) = self.protocols.iter().find(|protocol| !PROTOCOLS.contains(&protocol.as_str())) {
            let problem = format!("{unknown:?} is none of {}", PROTOCOLS.join(", "));
            return Err(wrong("git.protocols", problem));
        }
        if let Some(folder) = self.file_roots.iter().find(|folder| !folder.is_absolute()) {
            return Err(wrong("git.file_roots", format!("{} must begin with /", folder.display())));
        }
        if self.fetch_seconds == 0 || self.repository_bytes_max == 0 {
            return Err(wrong("git.fetch_seconds", "and git.repository_bytes_max must be at least 1"));
        }
        Ok(())
    }
}

fn wrong(field: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Value { field, problem: problem.into() }
}
