//! What a run itself has on the swarm and on the disk: removed, and proven gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use ports::files::{Area, FileName};
use ports::recipe::names::stack_name;
use ports::swarm::{Engine, Filter};

use super::super::domain::dependency_domain;
use super::super::steps::{self, Step};
use super::super::work::{Inventory, Outcome};
use super::{Job, RUN_LABEL, container};
use crate::kinds::app::inventory::{self, World};
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::Failure;

/// Lists what the run has, and removes what no App removes.
pub(super) async fn own_things(job: &Job, engine: Result<Arc<dyn Engine>, Failure>) -> Result<Inventory, Failure> {
    let mut objects = Vec::new();
    if has_deployed(job) {
        let engine = engine?;
        objects = on_the_swarm(job, &*engine).await?;
        remove_own(job, &*engine).await?;
    }
    for folder in folders(job)? {
        if remove_folder(job, Area::Trees, folder.clone()).await? {
            objects.push(format!("worktree/{folder}"));
        }
    }
    for object in &objects {
        job.say(format!("to be removed: {object}")).await;
    }
    Ok(Inventory { objects })
}

/// Lists what is still there once the Apps are gone.
pub(super) async fn leftovers(job: &Job, engine: Result<Arc<dyn Engine>, Failure>) -> Result<Inventory, Failure> {
    let mut objects = Vec::new();
    if has_deployed(job) {
        let engine = engine?;
        remove_own(job, &*engine).await?;
        objects = on_the_swarm(job, &*engine).await?;
    }
    // Only Apps write there, and theirs are gone; a stack that was refused left its checkout.
    for stack in stacks(job) {
        remove_folder(job, Area::Apps, FileName::new(stack)?).await?;
    }
    let (files, wanted) = (job.outside.files.clone(), folders(job)?);
    let trees = blocking(move || files.list(Area::Trees)).await??;
    let left = wanted.iter().filter(|folder| trees.iter().any(|name| name == folder.as_str()));
    objects.extend(left.map(|folder| format!("worktree/{folder}")));
    match objects.is_empty() {
        true => job.say("nothing is left").await,
        false => job.say(format!("still there: {}", objects.join(", "))).await,
    }
    Ok(Inventory { objects })
}

/// Removes every file of the run.
pub(super) async fn files(job: &Job) -> Result<Outcome<()>, Failure> {
    for folder in folders(job)? {
        remove_folder(job, Area::Trees, folder).await?;
    }
    let (files, key) = (job.outside.runs.clone(), job.key.clone());
    blocking(move || files.remove(&key)).await??;
    Ok(Outcome::Good(()))
}

/// A run that never came to a deploy has nothing on any swarm, and may not even have one.
fn has_deployed(job: &Job) -> bool {
    let status = &job.order.run.status;
    let has_begun = |step| steps::find(status, step).is_some();
    // Between two versions to upgrade from, no step says so.
    !status.upgrades.is_empty() || [Step::Dependencies, Step::BaseDeploy, Step::HeadDeploy].into_iter().any(has_begun)
}

fn folders(job: &Job) -> Result<[FileName; 3], Failure> {
    Ok([job.tree()?, job.backup_folder()?, job.abra_folder()?])
}

fn stacks(job: &Job) -> Vec<String> {
    let dependencies = job.order.recipe.spec.dependencies.iter();
    let mut stacks: Vec<String> =
        dependencies.map(|found| stack_name(&dependency_domain(&job.domain, &found.name))).collect();
    stacks.push(job.stack.clone());
    stacks.retain(|stack| !stack.is_empty());
    stacks
}

/// Returns whether it was there.
async fn remove_folder(job: &Job, area: Area, folder: FileName) -> Result<bool, Failure> {
    let files = job.outside.files.clone();
    let removed = move || {
        let was_there = files.list(area)?.iter().any(|name| name == folder.as_str());
        if was_there {
            files.remove(area, &folder)?;
        }
        Ok::<bool, ports::error::Error>(was_there)
    };
    Ok(blocking(removed).await??)
}

/// Lists everything of the run's stacks, by label and by name, and what carries the run's own label.
async fn on_the_swarm(job: &Job, engine: &dyn Engine) -> Result<Vec<String>, Failure> {
    let world = World::read(engine).await?;
    let mut objects = BTreeSet::new();
    for stack in stacks(job) {
        objects.extend(named(&world.of_stack(&stack, &BTreeSet::new(), &BTreeSet::new())));
    }
    let own = Filter { labels: vec![(RUN_LABEL.to_owned(), job.order.run.metadata.uid.clone())], ..Filter::default() };
    objects.extend(engine.services(&own).await?.into_iter().map(|found| format!("service/{}", found.spec.name)));
    objects.extend(engine.containers(&own).await?.into_iter().map(|found| format!("container/{}", found.name)));
    Ok(objects.into_iter().collect())
}

fn named(inventory: &inventory::Inventory) -> Vec<String> {
    let items = [
        ("network", &inventory.networks),
        ("config", &inventory.configs),
        ("secret", &inventory.secrets),
        ("volume", &inventory.volumes),
    ];
    let mut names: Vec<String> =
        inventory.services.iter().map(|service| format!("service/{}", service.spec.name)).collect();
    names.extend(inventory.containers.iter().map(|container| format!("container/{}", container.name)));
    for (kind, items) in items {
        names.extend(items.iter().map(|item| format!("{kind}/{}", item.name)));
    }
    names
}

/// Removes the run's own containers.
async fn remove_own(job: &Job, engine: &dyn Engine) -> Result<(), Failure> {
    let own = Filter { labels: vec![(RUN_LABEL.to_owned(), job.order.run.metadata.uid.clone())], ..Filter::default() };
    for service in engine.services(&own).await? {
        container::remove(engine, &service.spec.name).await?;
    }
    for found in engine.containers(&own).await? {
        engine.remove_container(&found.id).await?;
    }
    Ok(())
}
