//! What is known about a host: few questions, because nothing happens most of the time.
//!
//! A look is five requests to the engine: what it is, its nodes, networks and images. Only a disk that is too full costs
//! two more, for what uses the images. The shared event stream (`ears.rs`) says when to look before the time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::Host;
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::error::{Error, chain};
use ports::host::{DiskFigures, MemoryFigures};
use ports::swarm::{Engine, EngineInfo, Filter, Image, Network, SwarmState};
use serde::Deserialize as _;

use super::Hosts;
use super::prune::{self, Unused};
use crate::runtime::outcome::{Failure, sentence};

/// Why something could not be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { reason: error.reason, message: sentence(&chain(&error)) }
    }
}

/// The swarm as a manager sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// Nodes that are ready.
    pub ready: u32,
    /// Names of those that are not.
    pub missing: Vec<String>,
}

/// What is known about a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What the engine says of itself.
    pub engine: Result<EngineInfo, Trouble>,
    /// The swarm, when the engine manages one.
    pub swarm: Option<Result<Swarm, Trouble>>,
    /// Every network, when the engine answers.
    pub networks: Option<Result<Vec<Network>, Trouble>>,
    /// Every image, when the engine answers.
    pub images: Option<Vec<Image>>,
    /// The disk with the engine's data; `None` when it is another machine's.
    pub disk: Option<Result<(PathBuf, DiskFigures), Trouble>>,
    /// The memory; `None` when it is another machine's.
    pub memory: Option<Result<MemoryFigures, Trouble>>,
    /// Runs that are deployed there.
    pub running: u32,
    /// Images that nothing uses; only looked for when the disk is too full.
    pub unused: Vec<Unused>,
    /// When images were removed last.
    pub last_pruned: Option<Timestamp>,
}

impl Hosts {
    /// Looks at a host.
    pub(super) async fn look(&self, host: &Object<Host>) -> Result<Observed, Failure> {
        let engine = self.engines.connect(&host.spec.engine)?;
        let is_here = host.spec.engine.starts_with("unix://");
        let info = engine.info().await.map_err(Trouble::from);
        let data_root = match &info {
            Ok(info) => Some(PathBuf::from(&info.data_root)),
            Err(_) => host.status.disk.as_ref().map(|disk| PathBuf::from(&disk.path)),
        };
        let disk = match data_root.filter(|_| is_here) {
            Some(path) => Some(self.disk(&path).await),
            None => None,
        };
        let memory = if is_here { Some(self.figures.memory().await.map_err(Trouble::from)) } else { None };
        let mut observed = Observed {
            engine: info,
            swarm: None,
            networks: None,
            images: None,
            disk,
            memory,
            running: self.running(host),
            unused: Vec::new(),
            last_pruned: None,
        };
        if let Ok(info) = &observed.engine {
            if info.swarm == SwarmState::Manager {
                observed.swarm = Some(swarm(&*engine).await);
            }
            observed.networks = Some(engine.networks(&Filter::default()).await.map_err(Trouble::from));
            let images = engine.images().await?;
            self.note_uses(host, &images);
            if self.is_too_full(host, &observed) {
                observed.unused = self.unused(host, &*engine, &images).await?;
            }
            observed.images = Some(images);
        }
        observed.last_pruned = self.with_memory(host, |memory| memory.last_pruned);
        Ok(observed)
    }

    async fn disk(&self, path: &Path) -> Result<(PathBuf, DiskFigures), Trouble> {
        let figures = self.figures.disk(path).await?;
        Ok((path.to_owned(), figures))
    }

    fn is_too_full(&self, host: &Object<Host>, observed: &Observed) -> bool {
        let Some(prune) = &host.spec.image_prune else { return false };
        matches!(&observed.disk, Some(Ok((_, disk))) if prune::used_percent(disk) > prune.above)
    }

    /// Returns how many runs are deployed on the host: the Apps there that belong to one.
    fn running(&self, host: &Object<Host>) -> u32 {
        let apps = self.cache.list(&App::resource());
        let is_run = |stored: &&std::sync::Arc<crate::runtime::objects::StoredObject>| {
            let owners = &stored.metadata.owner_references;
            stored.value["status"]["host"].as_str() == Some(&*host.metadata.name)
                && owners.iter().any(|owner| owner.kind == TestRun::KIND)
        };
        u32::try_from(apps.iter().filter(is_run).count()).unwrap_or(u32::MAX)
    }

    /// Returns every image that an App runs or a run that has not ended needs.
    fn wanted(&self) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for stored in self.cache.list(&App::resource()) {
            let Ok(app) = Object::<App>::deserialize(&stored.value) else { continue };
            for identity in [app.status.desired, app.status.observed].into_iter().flatten() {
                wanted.extend(
                    identity.images.into_iter().map(|image| prune::reference(&image.image, image.digest.as_deref())),
                );
            }
        }
        for stored in self.cache.list(&TestRun::resource()) {
            let Ok(run) = Object::<TestRun>::deserialize(&stored.value) else { continue };
            if run.status.phase.unwrap_or_default().is_finished() {
                continue;
            }
            for identity in [run.status.base, run.status.head].into_iter().flatten() {
                wanted.extend(
                    identity.images.into_iter().map(|image| prune::reference(&image.image, image.digest.as_deref())),
                );
            }
        }
        wanted
    }

    /// Remembers that what is wanted is used now, and what is new was.
    fn note_uses(&self, host: &Object<Host>, images: &[Image]) {
        let (wanted, now) = (self.wanted(), self.clock.now());
        self.with_memory(host, |memory| memory.uses.note(images, &wanted, now));
    }

    async fn unused(&self, host: &Object<Host>, engine: &dyn Engine, images: &[Image]) -> Result<Vec<Unused>, Failure> {
        let mut wanted = self.wanted();
        wanted.extend(engine.containers(&Filter::default()).await?.into_iter().map(|container| container.image));
        if matches!(engine.info().await?.swarm, SwarmState::Manager) {
            for service in engine.services(&Filter::default()).await? {
                // What a rollback would need stays as well.
                for spec in [Some(service.spec), service.previous].into_iter().flatten() {
                    wanted.insert(spec.task_template.container_spec.image);
                }
            }
        }
        let now = self.clock.now();
        Ok(self.with_memory(host, |memory| {
            memory.uses.note(images, &wanted, now);
            memory.uses.unused(images, &wanted)
        }))
    }
}

async fn swarm(engine: &dyn Engine) -> Result<Swarm, Trouble> {
    let nodes = engine.nodes().await?;
    let (ready, missing): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.state == "ready");
    let missing = missing.into_iter().map(|node| format!("{} is {}", node.hostname, node.state)).collect();
    Ok(Swarm { ready: u32::try_from(ready.len()).unwrap_or(u32::MAX), missing })
}
