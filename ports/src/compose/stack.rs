//! [`Stack`]: what compose files mean, ready for the engine, and [`Finding`]: what is said about them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::swarm::NewNetwork;
use crate::swarm::spec::{Labels, ServiceSpec};

/// What is to be loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadInput {
    /// Name of the stack; every object's name begins with it and `_`.
    pub stack: String,
    /// Compose files, relative to the checkout's root, in the order in which later ones win.
    pub files: Vec<String>,
    /// Variables that files are interpolated with, and that fill in `environment` keys without a value. Nothing
    /// else is looked at, least of all the environment of this process.
    pub env: BTreeMap<String, String>,
    /// Absolute path of the checkout's root on the engine's machine: relative bind mounts begin there.
    pub directory: String,
    /// Changes that are made to services after all files are merged, by the service's name in the compose file. A
    /// name that no file knows is an error.
    pub changes: BTreeMap<String, ServiceChange>,
}

/// Changes to one service, after all files are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// Another image.
    pub image: Option<String>,
    /// Variables that are added or replaced.
    pub env: BTreeMap<String, String>,
    /// Nanoseconds after the start while failed health checks do not count.
    pub health_start_period: Option<i64>,
    /// Nanoseconds between two health checks.
    pub health_interval: Option<i64>,
    /// Nanoseconds for one health check.
    pub health_timeout: Option<i64>,
    /// Failed health checks in a row that mean unhealthy.
    pub health_retries: Option<u32>,
    /// What an update does first.
    pub update_order: Option<UpdateOrder>,
    /// Nanoseconds between the stop signal and the kill.
    pub stop_grace_period: Option<i64>,
}

/// What an update does first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateOrder {
    /// Starts the new task, then stops the old one.
    StartFirst,
    /// Stops the old task, then starts the new one.
    StopFirst,
}

impl UpdateOrder {
    /// Returns the compose file's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::StartFirst => "start-first",
            Self::StopFirst => "stop-first",
        }
    }
}

/// A stack, ready for the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its services, sorted by name.
    pub services: Vec<StackService>,
    /// The networks that its services use, sorted by key.
    pub networks: Vec<StackNetwork>,
    /// The volumes that its files declare, sorted by key.
    pub volumes: Vec<StackVolume>,
    /// The secrets that its files declare, sorted by key.
    pub secrets: Vec<StackObject>,
    /// The configs that its files declare, sorted by key.
    pub configs: Vec<StackObject>,
    /// What a person should know, though it does not stop a deploy.
    pub warnings: Vec<Finding>,
    /// Where things are written.
    pub places: Places,
}

impl Stack {
    /// Returns the service of that short name.
    #[must_use]
    pub fn service(&self, short_name: &str) -> Option<&StackService> {
        self.services.iter().find(|service| service.short_name == short_name)
    }

    /// Returns the service of that short name, to be changed.
    #[must_use]
    pub fn service_mut(&mut self, short_name: &str) -> Option<&mut StackService> {
        self.services.iter_mut().find(|service| service.short_name == short_name)
    }

    /// Returns the images of all services as the engine is asked for them, sorted, each once.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        let mut images: Vec<&str> =
            self.services.iter().map(|service| service.spec.task_template.container_spec.image.as_str()).collect();
        images.sort_unstable();
        images.dedup();
        images
    }
}

/// A service of a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackService {
    /// Its name in the compose file.
    pub short_name: String,
    /// What the engine is asked for. Secrets and configs are referred to by name: their ids are empty and are filled
    /// in right before a create or update.
    pub spec: ServiceSpec,
    /// Its image as the file writes it, after interpolation.
    pub image_as_written: String,
    /// Services it says it depends on. The engine knows no such thing; lint does.
    pub depends_on: Vec<String>,
    /// Keys that are written and that a swarm does not heed, such as `privileged`, with what they say.
    pub ignored: BTreeMap<String, serde_json::Value>,
}

/// A network that services use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackNetwork {
    /// Its name in the compose file.
    pub key: String,
    /// Its name in the engine.
    pub name: String,
    /// Whether somebody else makes it.
    pub external: bool,
    /// What to make; meaningless when `external`.
    pub new: NewNetwork,
}

/// A secret or config.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StackObject {
    /// Its name in the compose file.
    pub key: String,
    /// Its name in the engine.
    pub name: String,
    /// Whether somebody else makes it.
    pub external: bool,
    /// Its content; `None` when `external`, or when a driver provides it.
    pub data: Option<Vec<u8>>,
    /// The file that the content was read from, relative to the checkout's root.
    pub file: Option<String>,
    /// Whether each container expands it as a Go template (`template_driver: golang`).
    pub is_template: bool,
    /// Its labels, the stack's own included.
    pub labels: Labels,
    /// Names of the services that use it.
    pub used_by: Vec<String>,
}

impl fmt::Debug for StackObject {
    /// Leaves the data out: it may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StackObject")
            .field("key", &self.key)
            .field("name", &self.name)
            .field("external", &self.external)
            .finish_non_exhaustive()
    }
}

/// A volume that the files declare. Tasks make it; the engine is not asked for it before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackVolume {
    /// Its name in the compose file.
    pub key: String,
    /// Its name in the engine.
    pub name: String,
    /// Whether somebody else makes it.
    pub external: bool,
    /// Its driver; empty is `local`.
    pub driver: String,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels, the stack's own included.
    pub labels: Labels,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Probably a mistake.
    Warning,
    /// It cannot, or may not, be deployed like this.
    Error,
}

impl Severity {
    /// Returns the word for reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something to say about a file of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that it breaks, such as `HostBind`; one CamelCase word, or a lint rule's id.
    pub rule: String,
    /// Where.
    pub place: Place,
    /// What is wrong and what to do: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// File, relative to the checkout's root; empty when it is written nowhere.
    pub file: String,
    /// Line, from 1; 0 when it is the file as a whole.
    pub line: u32,
    /// Path in the file, such as `services.app.volumes[0]`; empty for the file as a whole.
    pub path: String,
}

impl Place {
    /// Returns the place of a whole file.
    #[must_use]
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }
}

impl fmt::Display for Place {
    /// Writes `compose.yml:12 services.app.image`, without the parts that are empty.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, 0) => parts.push(file.to_owned()),
            (file, line) => parts.push(format!("{file}:{line}")),
        }
        if !self.path.is_empty() {
            parts.push(self.path.clone());
        }
        formatter.write_str(&parts.join(" "))
    }
}

/// Where things of a stack are written, found by what they are once all files are merged.
///
/// Keys are paths without positions in lists: `services.app.ports.8080`, `services.app.cap_add.NET_ADMIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    by_key: BTreeMap<String, Place>,
}

impl Places {
    /// Remembers where something is written.
    pub fn insert(&mut self, key: String, place: Place) {
        self.by_key.insert(key, place);
    }

    /// Returns where something is written, or else the nearest thing around it that is written somewhere.
    #[must_use]
    pub fn find(&self, parts: &[&str]) -> Place {
        (1..=parts.len())
            .rev()
            .find_map(|length| self.by_key.get(&parts[..length].join(".")).cloned())
            .unwrap_or_else(|| Place { path: parts.join("."), ..Place::default() })
    }
}

/// Why files could not be loaded: at least one finding of [`Severity::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}

impl LoadError {
    /// Returns the error of one finding.
    #[must_use]
    pub fn one(rule: &str, place: Place, message: impl Into<String>) -> Self {
        let finding = Finding { severity: Severity::Error, rule: rule.to_owned(), place, message: message.into() };
        Self { findings: vec![finding] }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.split_first() {
            None => formatter.write_str("the compose files cannot be loaded"),
            Some((first, [])) => write!(formatter, "{first}"),
            Some((first, others)) => write!(formatter, "{first} (and {} more)", others.len()),
        }
    }
}

impl std::error::Error for LoadError {}
