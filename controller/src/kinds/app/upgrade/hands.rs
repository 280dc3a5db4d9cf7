//! Looking at volumes, and what is done with them around an upgrade.

use std::collections::BTreeSet;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::app::App;
use api_types::kinds::app_upgrade::UpgradePhase;
use ports::swarm::STACK_LABEL;
use ports::swarm::spec::Labels;
use ports::swarm::{Engine, Filter, Service, Task, Volume, VolumeCopy};
use serde_json::{Value, json};

use super::after::{Made, Seen, Work, is_retired};
use super::{SNAPSHOT_LABEL, copy_name, mounts, own_volumes};
use crate::kinds::app::act::take_step;
use crate::kinds::app::labels::UID_LABEL;
use crate::kinds::app::prepare::Prepared;
use crate::kinds::app::teardown::Step;
use crate::kinds::app::{Apps, place, stack_name};
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;

/// What copying the volumes of one App may take.
const COPY_TIME_MAX: Duration = Duration::from_hours(2);
/// The pause before copying is tried again that came to nothing.
const RETRY_PAUSE: Duration = Duration::from_secs(15);
/// States of containers that use no volume any more.
const ENDED: [&str; 3] = ["created", "exited", "dead"];

impl Apps {
    /// Looks at what an upgrade has to know, as far as one goes on, may begin, or has left copies.
    pub(in super::super) async fn look_at_upgrade(
        &self,
        app: &Object<App>,
        prepared: &Prepared,
        services: &[Service],
        engine: &dyn Engine,
    ) -> Result<Seen, Failure> {
        let now = self.outside.clock.now();
        let upgrade = app.status.upgrade.as_ref();
        let is_under_way = upgrade.is_some_and(|upgrade| {
            matches!(upgrade.phase, UpgradePhase::Saving | UpgradePhase::GoingBack)
                && upgrade.snapshot.as_ref().is_some_and(|snapshot| snapshot.restored_at.is_none())
        });
        let may_begin = prepared.is_gated
            && app.status.deployed_version.is_some()
            && app.status.deployed_version != prepared.version;
        let is_retired = upgrade.is_some_and(|upgrade| upgrade.snapshot.is_some() && is_retired(upgrade, now));
        let before = upgrade
            .filter(|upgrade| upgrade.phase == UpgradePhase::Failed)
            .and_then(|upgrade| upgrade.volumes_before.as_ref());
        let mut seen = Seen::default();
        if !is_under_way && !may_begin && !is_retired && before.is_none() {
            return Ok(seen);
        }
        let stack = stack_name(&app.spec.domain);
        let volumes = engine.volumes(&Filter::name_prefix(&format!("{stack}_"))).await?;
        seen.volumes = own_volumes(&stack, services, &volumes).iter().map(|volume| volume.name.clone()).collect();
        let others = volumes.iter().filter(|volume| !volume.labels.contains_key(SNAPSHOT_LABEL));
        seen.all = others.map(|volume| volume.name.clone()).collect();
        if let Some(before) = before {
            seen.made = made_since(app, before, services, &volumes, engine).await?;
        }
        if is_retired {
            let copies = volumes.iter().filter(|volume| volume.labels.contains_key(SNAPSHOT_LABEL));
            seen.copies = copies.map(|volume| volume.name.clone()).collect();
        }
        let snapshot = upgrade.filter(|_| is_under_way).and_then(|upgrade| upgrade.snapshot.as_ref());
        if let Some(snapshot) = snapshot {
            let names: BTreeSet<&str> = snapshot.volumes.iter().map(String::as_str).collect();
            let users = services.iter().filter(|service| mounts(service, |source| names.contains(source)));
            seen.users = users.map(|service| service.id.clone()).collect();
            let tasks = engine.tasks(&Filter::stack(&stack)).await?;
            let is_here = |task: &Task| services.iter().any(|service| service.id == task.service_id);
            seen.is_used = tasks.iter().any(|task| !task.state.is_terminal() && !is_here(task));
            for container in engine.containers(&Filter::default()).await? {
                if !container.volumes.iter().any(|volume| names.contains(volume.as_str())) {
                    continue;
                }
                // Those that copies are made through are nobody's but the copy's.
                if container.labels.contains_key(SNAPSHOT_LABEL) {
                    continue;
                }
                match ENDED.contains(&container.state.as_str()) {
                    true => seen.ended.push(container.id),
                    false => seen.is_used = true,
                }
            }
            seen.work = self.upgrade_work(app);
        }
        Ok(seen)
    }

    fn upgrade_work(&self, app: &Object<App>) -> Work {
        let id = operation_id(app);
        let now = self.outside.clock.now();
        match self.outside.operations.state(&id) {
            OperationState::Absent => Work::Absent,
            OperationState::Running(_) => Work::Running,
            OperationState::Done(Ok(value)) => Work::Done(value["bytes"].as_u64()),
            OperationState::Done(Err(failure)) => {
                let since = self.with_memory(app, |memory| *memory.copying_failed_at.get_or_insert(now));
                let waited = now.duration_since(since).unsigned_abs();
                match RETRY_PAUSE.checked_sub(waited).filter(|left| !left.is_zero()) {
                    Some(left) => Work::Failed(failure, left),
                    None => {
                        self.outside.operations.forget(&id);
                        self.with_memory(app, |memory| memory.copying_failed_at = None);
                        Work::Absent
                    }
                }
            }
        }
    }

    /// Stops services, or removes containers that have ended.
    pub(in super::super) async fn stop_users(
        &self,
        app: &Object<App>,
        services: Vec<String>,
        containers: Vec<String>,
    ) -> Result<(), Failure> {
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        tracing::info!(app = %self.key(app).key, ?services, ?containers, "stopping what uses volumes");
        if !services.is_empty() {
            take_step(&*engine, &Step::RemoveServices(services)).await?;
        }
        if !containers.is_empty() {
            take_step(&*engine, &Step::RemoveContainers(containers)).await?;
        }
        Ok(())
    }

    /// Begins to copy volumes.
    pub(in super::super) fn begin_to_copy(
        &self,
        app: &Object<App>,
        volumes: Vec<String>,
        direction: Direction,
    ) -> Result<(), Failure> {
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        let stack = stack_name(&app.spec.domain);
        let owner = self.owner_of(app, &stack)?;
        let mut labels = Labels::from([(STACK_LABEL.to_owned(), stack.clone())]);
        owner.put_on(&mut labels);
        tracing::info!(app = %self.key(app).key, ?volumes, ?direction, "copying volumes");
        let work = async move { copy_all(&*engine, &stack, &volumes, &labels, direction).await };
        self.outside.operations.start(&operation_id(app), &self.key(app), COPY_TIME_MAX, work);
        Ok(())
    }

    /// Removes volumes, and containers that have ended and keep them.
    pub(in super::super) async fn drop_volumes(
        &self,
        app: &Object<App>,
        volumes: Vec<String>,
        containers: Vec<String>,
    ) -> Result<(), Failure> {
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        tracing::info!(app = %self.key(app).key, ?volumes, "removing volumes that are needed no longer");
        take_step(&*engine, &Step::RemoveContainers(containers)).await?;
        take_step(&*engine, &Step::RemoveVolumes(volumes)).await
    }
}

/// Returns the volumes that an App has got since it had those of `before`, and that nothing uses which should run.
async fn made_since(
    app: &Object<App>,
    before: &[String],
    services: &[Service],
    volumes: &[Volume],
    engine: &dyn Engine,
) -> Result<Made, Failure> {
    let is_own = |volume: &&Volume| {
        volume.labels.get(UID_LABEL) == Some(&app.metadata.uid) && !volume.labels.contains_key(SNAPSHOT_LABEL)
    };
    let is_mounted = |name: &str| services.iter().any(|service| mounts(service, |source| source == name));
    let is_new = |name: &&str| !before.iter().any(|known| known == name) && !is_mounted(name);
    let mut names: BTreeSet<&str> =
        volumes.iter().filter(is_own).map(|volume| volume.name.as_str()).filter(is_new).collect();
    let mut made = Made::default();
    if names.is_empty() {
        return Ok(made);
    }
    for container in engine.containers(&Filter::default()).await? {
        if !container.volumes.iter().any(|volume| names.contains(volume.as_str())) {
            continue;
        }
        match ENDED.contains(&container.state.as_str()) {
            true => made.containers.push(container.id),
            false => {
                made.is_used = true;
                names.retain(|name| !container.volumes.iter().any(|volume| volume == name));
            }
        }
    }
    made.volumes = names.into_iter().map(str::to_owned).collect();
    Ok(made)
}

/// Which way volumes are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Direction {
    /// Into their copies.
    Save,
    /// Back.
    Restore,
}

async fn copy_all(
    engine: &dyn Engine,
    stack: &str,
    volumes: &[String],
    labels: &Labels,
    direction: Direction,
) -> Result<Value, Failure> {
    let known = engine.volumes(&Filter::name_prefix(&format!("{stack}_"))).await?;
    let labels_of = |name: &str| known.iter().find(|volume| volume.name == name).map(|volume| &volume.labels);
    for name in volumes {
        let copy = copy_name(name);
        // The copy keeps the labels of the volume: it may be made anew from the copy alone.
        let original = labels_of(name).or_else(|| labels_of(&copy)).cloned().unwrap_or_default();
        let mut of_copy: Labels = original.into_iter().chain(labels.clone()).collect();
        of_copy.insert(SNAPSHOT_LABEL.to_owned(), name.clone());
        let is_copy = labels_of(&copy).map(|labels| labels.contains_key(SNAPSHOT_LABEL));
        let (from, to, of_target) = match direction {
            Direction::Save if is_copy == Some(false) => {
                let message = format!("the volume {copy} is there already, and is no copy of {name}");
                return Err(Failure::terminal(api_types::reason::SNAPSHOT_IMPOSSIBLE, message));
            }
            // One that was there when the upgrade began, and that somebody removed since.
            Direction::Save if labels_of(name).is_none() => continue,
            Direction::Save => (name.clone(), copy, of_copy.clone()),
            Direction::Restore if is_copy != Some(true) => {
                let message = format!(
                    "the copy {copy} of the volume {name} is gone; put back what you have of it, and remove \
                     status.upgrade.snapshot"
                );
                return Err(Failure::terminal(api_types::reason::SNAPSHOT_FAILED, message));
            }
            Direction::Restore => {
                let mut of_volume = labels_of(&copy).cloned().unwrap_or_default();
                of_volume.remove(SNAPSHOT_LABEL);
                (copy, name.clone(), of_volume)
            }
        };
        let to = Volume { name: to, labels: of_target, ..Volume::default() };
        engine.copy_volume(&VolumeCopy { from, to, labels: of_copy }).await?;
    }
    let sizes = engine.volume_bytes().await.unwrap_or_default();
    let bytes: u64 = volumes.iter().filter_map(|name| sizes.get(name)).sum();
    Ok(json!({"bytes": bytes}))
}

/// Returns the id of the operation that copies: another for each upgrade and direction.
fn operation_id(app: &Object<App>) -> String {
    let upgrade = app.status.upgrade.clone().unwrap_or_default();
    let started = upgrade.started_at.unwrap_or_default();
    format!("app/{}/copy/{started}/{:?}", app.metadata.uid, upgrade.phase)
}
