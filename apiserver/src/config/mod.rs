//! The configuration file: TOML, every field optional, unknown fields refused with their line.
//!
//! `docs/config.md` is generated from the comments in this file; a test compares them.

pub mod reference;
pub mod work;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use work::{
    AbraConfig, CertificatesConfig, GitConfig, OutboundConfig, ProbeConfig, ReaperConfig, RunsConfig, SecretsConfig,
};

/// First segments of the paths that [`AnonymousConfig::open_paths`] may open: what a public namespace shows, and the
/// schemas.
const OPENABLE: [&str; 4] = ["badge", "recipes", "runs", "openapi"];

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the daemon listens.
    pub server: ServerConfig,
    /// Certificates of the HTTPS listener.
    pub tls: TlsConfig,
    /// What callers without a token may see.
    pub anonymous: AnonymousConfig,
    /// How much one caller may ask for.
    pub limits: LimitsConfig,
    /// What is written to the audit log.
    pub audit: AuditConfig,
    /// What the daemon writes to standard error.
    pub log: LogConfig,
    /// Where runs answer, and what they leave.
    pub runs: RunsConfig,
    /// How apps are looked at from outside.
    pub probe: ProbeConfig,
    /// What recipes may be fetched from.
    pub git: GitConfig,
    /// Where recipes and probes may lead this machine.
    pub outbound: OutboundConfig,
    /// The program `abra`.
    pub abra: AbraConfig,
    /// Stacks whose App is gone, and files whose run is.
    pub reaper: ReaperConfig,
    /// Where certificates may come from.
    pub certificates: CertificatesConfig,
    /// Where Secrets may come from.
    pub secrets: SecretsConfig,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address of the listener without TLS; `""` turns it off. The flag `--http` wins.
    pub http: String,
    /// Address of the listener with TLS; `""` turns it off. The flag `--https` wins.
    pub https: String,
    /// Lets the listener without TLS bind an address that other machines can reach. Tokens then travel readable.
    pub insecure_http: bool,
    /// Where people reach the web pages, such as `https://ci.example.org`: what is told on pull requests links there.
    /// `""`: it links nowhere.
    pub public_url: String,
    /// Seconds that a stop may take: requests finish, watches end, then what is left is cut off. 1 to 600.
    pub drain_seconds: u64,
    /// Connections that may be open at the same time; one more is closed at once.
    pub connections_max: usize,
}

/// `[tls]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// DNS names and IP addresses of the serving certificate, besides localhost and this machine's name.
    pub names: Vec<String>,
    /// Asks clients for a certificate of our authority. Those without one are still welcome with a token.
    pub client_certificates: bool,
}

/// `[anonymous]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnonymousConfig {
    /// Paths that answer a GET without a token, besides health, version and metrics; a trailing `*` matches any rest.
    /// `/`, and what lies below `/badge/`, `/recipes/`, `/runs/` (with logs and artifacts) and `/openapi/`, in whatever
    /// namespace; nothing else can be opened. For the API bind a role to the group `system:unauthenticated`.
    pub open_paths: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Memory that large answers may take at the same time while they are read, in bytes; one user may take half of it, and
    /// then gets 429. Lists are made piece by piece, and do not count.
    pub answer_bytes_total: usize,
    /// Seconds that a client may take to read nothing of an answer.
    pub answer_seconds: u64,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// Memory that request bodies and what is made of them may take at the same time, in bytes; more of them wait,
    /// then get 429.
    pub body_bytes_total: usize,
    /// Largest request head in bytes.
    pub header_bytes_max: usize,
    /// Changing requests of one user that may be in work at the same time.
    pub mutating_per_user: usize,
    /// Reading requests of one user that may be in work at the same time.
    pub reading_per_user: usize,
    /// Changing requests of all users that may be in work at the same time.
    pub mutating_total: usize,
    /// Reading requests of all users that may be in work at the same time.
    pub reading_total: usize,
    /// Watches and followed logs of one user that may be open at the same time.
    pub streams_per_user: usize,
    /// Requests a second of one user, averaged; administrators (`system:masters`) are exempt. 0 is no limit.
    pub rate_per_second: u32,
    /// Requests that one user may send at once on top of the rate.
    pub rate_burst: u32,
    /// Requests a second of all callers without a token, or with a wrong one, together. 0 is no limit.
    pub anonymous_rate_per_second: u32,
    /// Seconds until a request that is no stream is given up.
    pub request_seconds: u64,
    /// Seconds that a client may take to send a request's head.
    pub header_seconds: u64,
    /// Seconds that a client may take to send a request's body.
    pub body_seconds: u64,
    /// Seconds that a connection may rest between two requests.
    pub idle_seconds: u64,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Whether an audit log is written at all.
    pub enabled: bool,
    /// File; default `DIR/audit/audit.log`.
    pub path: Option<PathBuf>,
    /// Size in bytes at which the log is put aside and a new one begun.
    pub file_bytes_max: u64,
    /// Logs put aside that are kept.
    pub files_max: usize,
    /// First rule that matches decides how much is written; without a match it is `Metadata`. The default leaves out
    /// health probes, discovery and the renewing of leases.
    pub rules: Vec<AuditRule>,
}

/// `[[audit.rules]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditRule {
    /// `None`, `Metadata`, `Request` (with the request's body) or `RequestResponse` (with both bodies). Bodies of
    /// Secrets and tokens are never written.
    pub level: AuditLevel,
    /// User names; empty matches all.
    pub users: Vec<String>,
    /// Groups, one of which the user is in; empty matches all.
    pub groups: Vec<String>,
    /// Verbs; empty matches all.
    pub verbs: Vec<String>,
    /// `resource` or `resource/subresource`, `*` for all; empty matches all requests, also those for no resource.
    pub resources: Vec<String>,
    /// API groups of these resources; empty matches all.
    pub api_groups: Vec<String>,
    /// Namespaces; empty matches all.
    pub namespaces: Vec<String>,
    /// Paths that are no resource; a trailing `*` matches any rest.
    pub paths: Vec<String>,
}

/// How much of a request is written to the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AuditLevel {
    /// Nothing.
    None,
    /// Who, what, when, and how it ended.
    #[default]
    Metadata,
    /// And the request's body.
    Request,
    /// And the answer's body.
    RequestResponse,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Least level: `error`, `warn`, `info`, `debug`, `trace`, or per module as in `info,apiserver=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or has a field that does not exist or has the wrong type.
    #[error("read configuration {path}: {problem}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// With line, column and the line itself.
        problem: String,
    },
    /// A value makes no sense.
    #[error("use configuration: {field} {problem}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8180".to_owned(),
            https: "127.0.0.1:8443".to_owned(),
            insecure_http: false,
            public_url: String::new(),
            drain_seconds: 10,
            connections_max: 20_000,
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { names: Vec::new(), client_certificates: true }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            answer_bytes_total: 256 * 1024 * 1024,
            answer_seconds: 60,
            body_bytes_max: 3 * 1024 * 1024,
            body_bytes_total: 128 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            mutating_per_user: 512,
            reading_per_user: 1024,
            mutating_total: 1024,
            reading_total: 2048,
            streams_per_user: 16_384,
            rate_per_second: 2_000,
            rate_burst: 4_000,
            anonymous_rate_per_second: 200,
            request_seconds: 60,
            header_seconds: 10,
            body_seconds: 30,
            idle_seconds: 75,
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        let quiet = |verbs: &[&str], paths: &[&str]| AuditRule {
            level: AuditLevel::None,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            ..AuditRule::default()
        };
        let probes = ["/healthz*", "/livez*", "/readyz*", "/version*", "/metrics*", "/openapi/*", "/api*"];
        let leases = AuditRule {
            level: AuditLevel::None,
            verbs: ["get", "update", "patch", "watch", "list"].map(str::to_owned).to_vec(),
            resources: vec!["leases".to_owned()],
            api_groups: vec!["coordination.k8s.io".to_owned()],
            ..AuditRule::default()
        };
        Self {
            enabled: true,
            path: None,
            file_bytes_max: 64 * 1024 * 1024,
            files_max: 8,
            rules: vec![quiet(&["get"], &probes), leases],
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl ServerConfig {
    /// Returns where people reach the web pages, without a slash at its end, if that is known.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        Some(self.public_url.trim_end_matches('/')).filter(|url| !url.is_empty())
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has unknown fields, or values that make no sense.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parses and checks a file's text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: error.to_string() })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone cannot.
    ///
    /// # Errors
    /// Naming the first field whose value makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem: &str| Err(ConfigError::Value { field, problem: problem.to_owned() });
        if !(1..=600).contains(&self.server.drain_seconds) {
            return wrong("server.drain_seconds", "must be 1 to 600");
        }
        if self.server.connections_max == 0 {
            return wrong("server.connections_max", "must be at least 1");
        }
        if !self.server.public_url.is_empty() && !is_web_address(&self.server.public_url) {
            let problem = format!(
                "{:?} is no address of the web; write SCHEME://HOST such as \"https://ci.example.org\"",
                self.server.public_url
            );
            return wrong("server.public_url", &problem);
        }
        for (field, address) in [("server.http", &self.server.http), ("server.https", &self.server.https)] {
            if !address.is_empty() && address.parse::<std::net::SocketAddr>().is_err() {
                let problem =
                    format!("{address:?} is no address; write IP:PORT such as \"127.0.0.1:8443\" or \"[::1]:8443\"");
                return Err(ConfigError::Value { field, problem });
            }
        }
        if let Some(path) = self.anonymous.open_paths.iter().find(|path| !can_be_opened(path)) {
            let below: Vec<String> = OPENABLE.iter().map(|root| format!("\"/{root}/*\"")).collect();
            let problem = format!("{path:?} cannot be opened; write \"/\", or a path in {}", below.join(", "));
            return wrong("anonymous.open_paths", &problem);
        }
        self.limits.check()?;
        if self.audit.file_bytes_max < 4096 {
            return wrong("audit.file_bytes_max", "must be at least 4096");
        }
        self.runs.check()?;
        self.probe.check()?;
        self.certificates.check()?;
        self.secrets.check()?;
        self.git.check()
    }
}

impl LimitsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("limits.answer_bytes_total", self.answer_bytes_total),
            ("limits.body_bytes_max", self.body_bytes_max),
            ("limits.mutating_per_user", self.mutating_per_user),
            ("limits.reading_per_user", self.reading_per_user),
            ("limits.mutating_total", self.mutating_total),
            ("limits.reading_total", self.reading_total),
            ("limits.streams_per_user", self.streams_per_user),
        ];
        let seconds = [
            ("limits.answer_seconds", self.answer_seconds),
            ("limits.idle_seconds", self.idle_seconds),
            ("limits.request_seconds", self.request_seconds),
            ("limits.header_seconds", self.header_seconds),
            ("limits.body_seconds", self.body_seconds),
        ];
        let zero = at_least_one.iter().find(|(_, value)| *value == 0).map(|(field, _)| *field);
        let zero = zero.or_else(|| seconds.iter().find(|(_, value)| *value == 0).map(|(field, _)| *field));
        if let Some(field) = zero {
            return Err(ConfigError::Value { field, problem: "must be at least 1".to_owned() });
        }
        if self.body_bytes_total < self.body_bytes_max {
            let problem = "must be at least limits.body_bytes_max".to_owned();
            return Err(ConfigError::Value { field: "limits.body_bytes_total", problem });
        }
        if self.header_bytes_max < 8192 {
            let problem = "must be at least 8192".to_owned();
            return Err(ConfigError::Value { field: "limits.header_bytes_max", problem });
        }
        Ok(())
    }
}

/// Returns whether a path may be read by everybody. What may is listed, so that nothing that is added elsewhere can be
/// opened by accident.
fn can_be_opened(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    rest.is_empty() || rest.split_once('/').is_some_and(|(root, _)| OPENABLE.contains(&root))
}

/// Returns whether pages can be found below an address: scheme, host, perhaps a path, nothing else.
fn is_web_address(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    is_web
        && uri.authority().is_some_and(|host| !host.as_str().contains('@'))
        && uri.query().is_none()
        && !text.contains('#')
}
