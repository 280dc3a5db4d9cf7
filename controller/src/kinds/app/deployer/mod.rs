//! Deployers: how a judged stack gets into the swarm. One trait, one effect at a time.
//!
//! ```text
//!   Wanted (stack, labels, values of secrets) ─┐
//!                                              ├─ missing ─► effects in order ─ apply ─► the swarm
//!   Live (what there is now) ──────────────────┘
//! ```
//!
//! `missing` is pure and says what is still to be done; when it says nothing, the stack has been handed over. So a deploy
//! that was cut off anywhere goes on where it was, and one that is not needed makes no call.

pub mod abra;
pub mod compare;
pub mod decorate;
pub mod swarm;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use ports::compose::stack::Stack;
use ports::swarm::spec::ServiceSpec;
use ports::swarm::{Engine, Network, Service, StackFile};

use super::labels::Owner;
use super::pull_secrets::PullSecrets;
use crate::runtime::outcome::Failure;

/// What should run: judged, labelled, with everything that it needs.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is.
    pub owner: Owner,
    /// The stack, with our labels and abra's.
    pub stack: Stack,
    /// Values of secrets that are ours to make, by their names in the swarm.
    pub secrets: BTreeMap<String, SecretValue>,
    /// Names of those whose value somebody gives, and who may give another one.
    pub given: BTreeSet<String>,
    /// What names of secrets begin with whose former versions go, once nothing mounts them.
    pub retired: Vec<String>,
    /// Whether secrets go with the App.
    pub goes_with_app: bool,
    /// Credentials for the registries of its images.
    pub pull_secrets: PullSecrets,
    /// Images that registries have been asked for: as the stack names them, to what is deployed.
    pub images: BTreeMap<String, String>,
}

/// The value of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub Vec<u8>);

impl fmt::Debug for SecretValue {
    /// Leaves the value out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue")
    }
}

/// What there is now, as far as a deploy has to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The stack's services.
    pub services: Vec<Service>,
    /// All networks of the engine.
    pub networks: Vec<Network>,
    /// The secrets whose names begin as the stack's do, and those it refers to.
    pub secrets: Vec<StackFile>,
    /// The same of configs, with their data.
    pub configs: Vec<StackFile>,
}

impl Live {
    /// Returns the service of a name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.spec.name == name)
    }

    /// Returns the names of networks by id.
    #[must_use]
    pub fn network_names(&self) -> BTreeMap<String, String> {
        self.networks.iter().map(|network| (network.id.clone(), network.name.clone())).collect()
    }
}

/// One thing to do in the swarm.
#[derive(Clone, PartialEq)]
pub enum Effect {
    /// Make a network of the stack, by its key.
    CreateNetwork(String),
    /// Make a secret, by its name in the swarm.
    CreateSecret(String),
    /// Make a config, by its key.
    CreateConfig(String),
    /// Let abra hand over the whole stack of a domain.
    DeployByAbra(String),
    /// Make a service.
    CreateService(Box<ServiceSpec>),
    /// Give a service another spec.
    UpdateService {
        /// Its id.
        id: String,
        /// Its version.
        version: u64,
        /// The spec.
        spec: Box<ServiceSpec>,
    },
    /// Remove a service that the compose file no longer names, by id and name.
    RemoveService(String, String),
    /// Remove a config that nothing uses any more, by id and name.
    RemoveConfig(String, String),
    /// Remove a secret that an earlier value was kept in, by id and name.
    RemoveSecret(String, String),
}

impl fmt::Debug for Effect {
    /// Names the object, without what it holds.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, name) = match self {
            Self::CreateNetwork(name) => ("CreateNetwork", name),
            Self::CreateSecret(name) => ("CreateSecret", name),
            Self::CreateConfig(name) => ("CreateConfig", name),
            Self::DeployByAbra(domain) => ("DeployByAbra", domain),
            Self::CreateService(spec) => ("CreateService", &spec.name),
            Self::UpdateService { spec, .. } => ("UpdateService", &spec.name),
            Self::RemoveService(_, name) => ("RemoveService", name),
            Self::RemoveConfig(_, name) => ("RemoveConfig", name),
            Self::RemoveSecret(_, name) => ("RemoveSecret", name),
        };
        write!(formatter, "{verb}({name})")
    }
}

/// Why a stack cannot be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A word of [`api_types::reason`].
    pub reason: &'static str,
    /// What is wrong and what to do: whole sentences.
    pub message: String,
}

/// Hands stacks over to the swarm.
#[async_trait]
pub trait Deploys: Send + Sync {
    /// Returns what is still to be done, in order; nothing when the stack has been handed over. Pure.
    ///
    /// # Errors
    /// What a person must change first.
    fn missing(&self, wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal>;

    /// Returns what the stack no longer needs, once it has converged. Pure.
    fn surplus(&self, wanted: &Wanted, live: &Live, prune: Prune) -> Vec<Effect>;

    /// Does one thing. It may have been done already.
    ///
    /// # Errors
    /// Those of [`Engine`].
    async fn apply(&self, engine: &dyn Engine, wanted: &Wanted, effect: &Effect) -> Result<(), Failure>;
}

/// Whether services go that the compose file no longer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// They do.
    Services,
    /// They stay.
    Nothing,
}

/// Returns the names of the secrets that a service mounts now.
fn mounted_secrets(service: &Service) -> impl Iterator<Item = &str> {
    service.spec.task_template.container_spec.secrets.iter().map(|secret| secret.name.as_str())
}

/// Returns the names that a live spec refers to, its previous one included: those must stay.
fn referenced(service: &Service) -> BTreeSet<&str> {
    let specs = std::iter::once(&service.spec).chain(&service.previous);
    specs
        .flat_map(|spec| {
            let container = &spec.task_template.container_spec;
            let secrets = container.secrets.iter().map(|secret| secret.name.as_str());
            secrets.chain(container.configs.iter().map(|config| config.name.as_str()))
        })
        .collect()
}
