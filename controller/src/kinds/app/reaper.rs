//! The reaper: takes down what carries our labels and has no App in the store any more.
//!
//! That happens when an App is taken out of the store by force, when the store is an older one, or when ccd ended between
//! two writes. What carries no label of ours is never touched; data goes only if its labels say that it goes with its
//! App. An orphan must be seen twice, with a pause, before anything is done to it. What was there already when the store
//! was restored from a backup may belong to an App that is newer than the backup: a person decides about it.
//! Secrets in the store that such an App left are `left.rs`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{ConditionType, is_true};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::Host;
use api_types::reason;
use api_types::status::Reason;
use jiff::Timestamp;
use ports::swarm::spec::Labels;
use ports::swarm::{Engine, STACK_LABEL};
use serde::Deserialize as _;

use super::act::take_step;
use super::inventory::{Inventory, World};
use super::labels::{APP_LABEL, INSTALLATION_LABEL, OWN_STACK_LABEL, RUN_LABEL, belongs};
use super::left::Sweep;
use super::teardown::{self, Progress, Scope, Step};
use super::{ADOPT_ANNOTATION, installation_key, stack_name};
use crate::outside::Outside;
use crate::runtime::controller::Shared;
use crate::runtime::events::{EventKind, Recorder};
use crate::runtime::objects::{ObjectKey, Objects, StoredObject};
use crate::runtime::outcome::Failure;

/// How often it looks.
const TICK: Duration = Duration::from_mins(1);
/// Most orphans that one tick takes down.
const ORPHANS_MAX: usize = 3;
/// The most that one orphan may take of a tick; the next one goes on with it.
const ORPHAN_TIME_MAX: Duration = Duration::from_mins(2);
/// The pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(500);

/// Whether it acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Act,
    /// It only says what it would do.
    DryRun,
}

/// What has no App any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// The App that it belonged to, as `namespace/name`.
    pub app: String,
    /// The stack.
    pub stack: String,
    /// The ccd.
    pub installation: String,
}

/// The reaper.
pub struct Reaper {
    objects: Arc<dyn Objects>,
    recorder: Recorder,
    outside: Outside,
    mode: Mode,
    restored_at: Option<Timestamp>,
    /// What the last tick saw, by Host.
    seen: BTreeMap<String, BTreeSet<Orphan>>,
    /// Looks after Secrets.
    sweep: Sweep,
}

impl Reaper {
    /// Returns a reaper that has seen nothing yet.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside, mode: Mode) -> Self {
        let (objects, recorder) = (shared.objects.clone(), shared.recorder.clone());
        let sweep = Sweep {
            objects: objects.clone(),
            cache: shared.cache.clone(),
            recorder: recorder.clone(),
            outside: outside.clone(),
            mode,
            seen: BTreeSet::new(),
        };
        Self { objects, recorder, outside, mode, restored_at: None, seen: BTreeMap::new(), sweep }
    }

    /// Says when the store was last restored from a backup.
    #[must_use]
    pub fn restored_at(self, restored_at: Option<Timestamp>) -> Self {
        Self { restored_at, ..self }
    }

    /// Looks every minute until it is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick().await;
        }
    }

    /// Looks once at every Host, and at Secrets.
    pub async fn tick(&mut self) {
        // The store is asked, and not the cache: one that is not filled yet would make everything an orphan.
        let hosts = match self.objects.list(&Host::resource(), None).await {
            Ok(hosts) => hosts.objects,
            Err(status) => {
                tracing::debug!(error = %status, "the reaper cannot read the store");
                return;
            }
        };
        for host in hosts {
            if let Err(failure) = self.look_at(&host).await {
                tracing::debug!(host = host.key.name(), error = failure.message, "the reaper cannot look");
            }
        }
        if let Err(failure) = self.sweep.look().await {
            tracing::debug!(error = failure.message, "the reaper cannot look at secrets");
        }
    }

    async fn look_at(&mut self, stored: &Arc<StoredObject>) -> Result<(), Failure> {
        let Ok(host) = Object::<Host>::deserialize(&stored.value) else { return Ok(()) };
        let is_active = is_true(&host.status.conditions, ConditionType::SwarmActive.word());
        if !is_active || host.spec.suspend || host.is_being_deleted() {
            return Ok(());
        }
        let engine = self.outside.engines.connect(&host.spec.engine)?;
        let world = World::read(&*engine).await?;
        let found = self.orphans(&world).await?;
        let before = self.seen.insert(host.metadata.name.clone(), found.clone()).unwrap_or_default();
        let (doubtful, orphans): (Vec<&Orphan>, Vec<&Orphan>) =
            found.intersection(&before).partition(|orphan| self.may_be_newer_than_the_backup(&world, orphan));
        for Orphan { app, stack, .. } in doubtful {
            let message = format!(
                "The stack {stack} has no App ({app}) and is older than the restore of the store: its App may be newer than \
                 the backup. To keep it as it runs, apply that App again with the annotation {ADOPT_ANNOTATION}=true; or \
                 take the stack down: docker stack rm {stack}"
            );
            self.recorder.record("reaper", stored, EventKind::Warning, reason::ORPHAN_KEPT, &message);
        }
        for orphan in orphans.into_iter().take(ORPHANS_MAX) {
            self.reap(stored, &*engine, orphan).await?;
        }
        Ok(())
    }

    /// Returns whether a stack was there when the store was restored. A run's is nothing that anybody wants to keep.
    fn may_be_newer_than_the_backup(&self, world: &World, orphan: &Orphan) -> bool {
        let Some(restored_at) = self.restored_at else { return false };
        world.services.iter().any(|service| {
            let labels = &service.spec.labels;
            labels.get(APP_LABEL) == Some(&orphan.app)
                && labels.get(STACK_LABEL) == Some(&orphan.stack)
                && !labels.contains_key(RUN_LABEL)
                && service.created_at.is_none_or(|created_at| created_at <= restored_at)
        })
    }

    /// Returns what carries our labels and belongs to no App of the store.
    async fn orphans(&self, world: &World) -> Result<BTreeSet<Orphan>, Failure> {
        // Another ccd on the same engine looks after its own.
        let installation = self.objects.get(&installation_key()).await?.metadata.uid.clone();
        let ours = |labels: &Labels| labels.get(INSTALLATION_LABEL) == Some(&installation);
        let labelled: BTreeSet<Orphan> = world
            .labelled(APP_LABEL)
            .filter(|(_, labels)| ours(labels))
            .filter_map(|(app, labels)| orphan(app, labels))
            .collect();
        if labelled.is_empty() {
            return Ok(labelled);
        }
        let apps = self.objects.list(&App::resource(), None).await?.objects;
        // Whoever has the stack now looks after everything in it.
        let claimed: BTreeSet<String> =
            apps.iter().filter_map(|app| app.value["spec"]["domain"].as_str().map(stack_name)).collect();
        let names: BTreeSet<&str> = apps.iter().map(|app| &*app.key.key).collect();
        let mut orphans = labelled;
        orphans.retain(|orphan| !names.contains(orphan.app.as_str()) && !claimed.contains(&orphan.stack));
        Ok(orphans)
    }

    async fn reap(&self, host: &StoredObject, engine: &dyn Engine, orphan: &Orphan) -> Result<(), Failure> {
        let Orphan { app, stack, .. } = orphan;
        if self.mode == Mode::DryRun {
            let message = format!(
                "The stack {stack} has no App ({app}); it would be taken down if the reaper did not only look."
            );
            self.recorder.record("reaper", host, EventKind::Normal, reason::ORPHAN_FOUND, &message);
            return Ok(());
        }
        let message = format!("The stack {stack} has no App ({app}) any more and is taken down.");
        self.recorder.record("reaper", host, EventKind::Warning, reason::ORPHAN_REAPED, &message);
        let work = self.take_down(engine, orphan);
        // What is not done by then is done by the next tick.
        tokio::time::timeout(ORPHAN_TIME_MAX, work).await.unwrap_or(Ok(()))
    }

    async fn take_down(&self, engine: &dyn Engine, orphan: &Orphan) -> Result<(), Failure> {
        let key = ObjectKey { resource: App::resource().into(), key: orphan.app.as_str().into() };
        let mut progress = Progress::default();
        loop {
            // Somebody may have created the App again meanwhile.
            match self.objects.get(&key).await {
                Err(status) if status.reason == Some(Reason::NotFound) => {}
                Ok(_) => return Ok(()),
                Err(status) => return Err(status.into()),
            }
            let world = World::read(engine).await?;
            let inventory = labelled_only(world.of_stack(&orphan.stack, &BTreeSet::new(), &BTreeSet::new()), orphan);
            let now = self.outside.clock.now();
            progress = progress.after(&inventory, Scope::AsLabelled, now);
            let step = teardown::next(&inventory, Scope::AsLabelled, &progress, now);
            tracing::info!(stack = orphan.stack, ?step, "reaping");
            if step == Step::Done {
                return Ok(());
            }
            take_step(engine, &step).await?;
            tokio::time::sleep(STEP_PAUSE).await;
        }
    }
}

fn orphan(app: &str, labels: &Labels) -> Option<Orphan> {
    let stack = labels.get(STACK_LABEL).or_else(|| labels.get(OWN_STACK_LABEL))?;
    let installation = labels.get(INSTALLATION_LABEL)?;
    Some(Orphan { app: app.to_owned(), stack: stack.clone(), installation: installation.clone() })
}

/// Leaves out what does not carry our label for the App.
fn labelled_only(mut inventory: Inventory, orphan: &Orphan) -> Inventory {
    let is_ours = |labels: &Labels| {
        labels.get(APP_LABEL) == Some(&orphan.app) && labels.get(INSTALLATION_LABEL) == Some(&orphan.installation)
    };
    let services: BTreeSet<String> = inventory
        .services
        .iter()
        .filter(|service| is_ours(&service.spec.labels))
        .map(|service| service.id.clone())
        .collect();
    let foreign_services = inventory.services.iter().any(|service| {
        !services.contains(&service.id)
            && belongs(&orphan.stack, &BTreeSet::new(), &service.spec.name, &service.spec.labels)
    });
    inventory.services.retain(|service| services.contains(&service.id));
    inventory.containers.retain(|container| is_ours(&container.labels));
    if foreign_services {
        // Tasks carry no label of ours: those of somebody else's services are not waited for.
        inventory.tasks.retain(|task| services.contains(&task.service_id));
    }
    inventory.networks.retain(|item| is_ours(&item.labels));
    inventory.configs.retain(|item| is_ours(&item.labels));
    inventory.secrets.retain(|item| is_ours(&item.labels));
    inventory.volumes.retain(|item| is_ours(&item.labels));
    inventory
}
