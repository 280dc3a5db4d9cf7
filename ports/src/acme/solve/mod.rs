//! [`Solver`]: publishes what an authority wants to see before it believes that a name is ours.
//!
//! Over HTTP we answer ourselves: a port is open while somebody has answers on it, and gives away nothing but those. In the
//! DNS a program writes: one that the configuration names (so that whoever writes Certificates starts no programs of their
//! own choice), or `nsupdate` for dynamic updates.
//!
//! What such a program sees: the arguments of the configuration, then `present` or `cleanup`, the record's name and its
//! value; the same in its environment as `ACME_ACTION`, `ACME_RECORD` and `ACME_VALUE`, with the name that is proved as
//! `ACME_DOMAIN`. Both actions may come twice. `present` adds a value and leaves others of the record alone; it ends with 0
//! when authorities can see it.

mod dns;
pub mod fake;
mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::redact::Redactor;

/// A program that writes DNS records failed, or is none that may be started.
pub const HOOK_FAILED: &str = "HookFailed";
/// A port cannot be opened.
pub const PORT_IN_USE: &str = "PortInUse";

/// What is answered over HTTP: the last part of the path, and the content.
pub type Answers = BTreeMap<String, String>;

/// Who writes DNS records.
#[derive(Clone, PartialEq, Eq)]
pub enum Writer {
    /// A program of the configuration, by its name there.
    Hook(String),
    /// Dynamic updates (RFC 2136).
    Updates {
        /// The name server: `HOST:PORT`.
        server: String,
        /// Name of the TSIG key.
        key_name: String,
        /// The key in base64, with its algorithm and a colon before it if it is not `hmac-sha256`.
        key: String,
    },
}

impl fmt::Debug for Writer {
    /// Leaves the key out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(name) => write!(formatter, "Hook({name})"),
            Self::Updates { server, key_name, .. } => write!(formatter, "Updates({server}, {key_name})"),
        }
    }
}

/// A TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name that it proves, without `*.`.
    pub domain: String,
    /// Its own name: `_acme-challenge.DOMAIN`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It is added beside others of its name.
    Present,
    /// It goes.
    Cleanup,
}

impl Change {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Cleanup => "cleanup",
        }
    }
}

/// Publishes what authorities want to see.
#[async_trait]
pub trait Solver: Send + Sync {
    /// Answers over HTTP for `owner` from now on, in the place of what it answered before. Nothing: no longer.
    ///
    /// # Errors
    /// `Retryable`: the port is in use. `Terminal`: it is none that may be opened, or there are too many.
    fn answer(&self, owner: &str, port: u16, answers: &Answers) -> Result<(), Error>;

    /// Returns what is answered for `owner`: the last parts of paths.
    fn answers(&self, owner: &str) -> BTreeSet<String>;

    /// Returns whether records can be written at all in this way; starts nothing.
    ///
    /// # Errors
    /// `Terminal`: there is no such program.
    fn check(&self, writer: &Writer) -> Result<(), Error>;

    /// Changes a record, and returns when it can be seen. May be done again.
    ///
    /// # Errors
    /// The program failed; what it said is in the text, without secrets.
    async fn write(&self, writer: &Writer, change: Change, record: &Record) -> Result<(), Error>;
}

/// How the real solver works.
#[derive(Clone, Debug)]
pub struct SolverSettings {
    /// Address on which answers over HTTP are given.
    pub listen: IpAddr,
    /// Ports that may be opened; empty: 80, and all from 1024 on.
    pub ports: Vec<u16>,
    /// Programs that write DNS records, by name: their argument lists.
    pub hooks: BTreeMap<String, Vec<String>>,
    /// How long such a program may take.
    pub hook_time_max: Duration,
    /// `nsupdate`, where it is installed.
    pub nsupdate: Option<PathBuf>,
    /// `PATH` of such programs.
    pub path: String,
}

/// Answers over the network, and starts programs.
pub struct NetworkSolver {
    settings: SolverSettings,
    desk: http::Desk,
    redactor: Redactor,
}

impl NetworkSolver {
    /// Returns a solver; it opens and starts nothing yet.
    #[must_use]
    pub fn new(settings: SolverSettings, redactor: Redactor) -> Self {
        Self { desk: http::Desk::default(), settings, redactor }
    }

    fn check_port(&self, port: u16) -> Result<(), Error> {
        let is_allowed = match self.settings.ports.as_slice() {
            [] => port == 80 || port >= 1024,
            ports => ports.contains(&port),
        };
        if is_allowed {
            return Ok(());
        }
        let message = format!(
            "port {port} is none that may be opened for answers to authorities: choose another in \
             spec.source.acme.http01.port, or add it to certificates.challenge_ports of ccd's configuration"
        );
        Err(Error::terminal("InvalidSpec", message))
    }
}

#[async_trait]
impl Solver for NetworkSolver {
    fn answer(&self, owner: &str, port: u16, answers: &Answers) -> Result<(), Error> {
        if !answers.is_empty() {
            self.check_port(port)?;
        }
        self.desk.answer(self.settings.listen, owner, port, answers)
    }

    fn answers(&self, owner: &str) -> BTreeSet<String> {
        self.desk.answers(owner)
    }

    fn check(&self, writer: &Writer) -> Result<(), Error> {
        dns::check(&self.settings, writer)
    }

    async fn write(&self, writer: &Writer, change: Change, record: &Record) -> Result<(), Error> {
        dns::write(&self.settings, &self.redactor, writer, change, record).await
    }
}
