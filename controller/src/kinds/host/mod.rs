//! Host: a machine with a Docker engine, ready for work and not too full. See `README.md` beside this file.

pub mod decide;
pub mod ears;
pub mod observe;
pub mod prune;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::{Host, HostStatus};
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::clock::Clock;
use ports::host::HostFigures;
use ports::swarm::{Engines, NewNetwork};

use crate::runtime::cache::Cache;
use crate::runtime::controller::ControllerOptions;
use crate::runtime::manager::Manager;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler};

use observe::Observed;
use prune::Uses;

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a swarm.
    InitSwarm,
    /// Make a network.
    CreateNetwork(NewNetwork),
    /// Remove images, the first ones first, until less of the disk is used.
    PruneImages {
        /// Their ids.
        images: Vec<String>,
        /// Until so much of the disk is used, in percent.
        until_percent: u8,
    },
}

/// What is remembered of a host between passes.
#[derive(Clone, Debug, Default)]
struct Memory {
    uses: Uses,
    last_pruned: Option<Timestamp>,
}

/// The reconciler.
pub struct Hosts {
    cache: Arc<Cache>,
    engines: Arc<dyn Engines>,
    figures: Arc<dyn HostFigures>,
    clock: Arc<dyn Clock>,
    /// By uid.
    memories: Mutex<HashMap<String, Memory>>,
}

impl Hosts {
    /// Returns the reconciler of the Hosts that `manager` looks after.
    #[must_use]
    pub fn new(manager: &Manager, engines: Arc<dyn Engines>, figures: Arc<dyn HostFigures>) -> Self {
        let shared = manager.shared();
        let (cache, clock) = (shared.cache.clone(), shared.clock.clone());
        Self { cache, engines, figures, clock, memories: Mutex::default() }
    }

    /// Returns how their controller works: it sees Apps and TestRuns, whose images must stay.
    #[must_use]
    pub fn options() -> ControllerOptions {
        ControllerOptions { watches: vec![App::resource(), TestRun::resource()], ..ControllerOptions::default() }
    }

    fn with_memory<Output>(&self, host: &Object<Host>, use_it: impl FnOnce(&mut Memory) -> Output) -> Output {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(memories.entry(host.metadata.uid.clone()).or_default())
    }

    async fn prune(&self, host: &Object<Host>, images: Vec<String>, until_percent: u8) -> Result<(), Failure> {
        let engine = self.engines.connect(&host.spec.engine)?;
        let path = engine.info().await?.data_root;
        self.with_memory(host, |memory| memory.last_pruned = Some(self.clock.now()));
        for image in images {
            let disk = self.figures.disk(path.as_ref()).await?;
            if prune::used_percent(&disk) <= until_percent {
                break;
            }
            let removal = engine.remove_image(&image).await?;
            tracing::info!(host = host.metadata.name, image, ?removal, "pruned an image");
        }
        Ok(())
    }
}

impl Reconciler for Hosts {
    type Kind = Host;
    type Observed = Observed;
    type Action = Action;

    async fn observe(&self, host: &Object<Host>) -> Result<Observed, Failure> {
        self.look(host).await
    }

    fn decide(host: &Object<Host>, observed: &Observed, now: Timestamp) -> Decision<HostStatus, Action> {
        decide::decide(host, observed, now)
    }

    async fn act(&self, host: &Object<Host>, action: Action) -> Result<(), Failure> {
        let engine = self.engines.connect(&host.spec.engine)?;
        match action {
            Action::InitSwarm => Ok(engine.init_swarm(host.spec.swarm.advertise_addr.as_deref()).await?),
            Action::CreateNetwork(network) => match engine.create_network(&network).await {
                // Somebody was faster; the next pass sees whether it is as described.
                Err(error) if error.reason == "AlreadyExists" => Ok(()),
                result => Ok(result.map(|_| ())?),
            },
            Action::PruneImages { images, until_percent } => self.prune(host, images, until_percent).await,
        }
    }
}
