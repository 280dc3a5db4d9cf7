//! [`Inventory`]: everything in the swarm, and on the node that is asked, that belongs to one stack.
//!
//! Everything is listed and sorted out here, by label *and* by name, because neither finds all: secrets that abra made
//! have no label, what a task makes may have another name, and anonymous volumes have neither.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use ports::error::Error;
use ports::swarm::spec::Labels;
use ports::swarm::{Container, Engine, Filter, STACK_LABEL, Service, Task};

use super::labels::{DELETE, VOLUMES_LABEL, belongs, is_anonymous};

/// Something with a name that can be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// What it is removed by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

impl Item {
    /// Returns whether its labels say that it goes with its App.
    #[must_use]
    pub fn goes_with_app(&self) -> bool {
        self.labels.get(VOLUMES_LABEL).is_some_and(|value| value == DELETE)
    }
}

/// What belongs to one stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Services.
    pub services: Vec<Service>,
    /// Tasks, those of removed services included.
    pub tasks: Vec<Task>,
    /// Containers of the node, ended ones included.
    pub containers: Vec<Container>,
    /// Networks.
    pub networks: Vec<Item>,
    /// Configs.
    pub configs: Vec<Item>,
    /// Secrets.
    pub secrets: Vec<Item>,
    /// Volumes of the node, with those that are known by name alone.
    pub volumes: Vec<Item>,
    /// Whether the App has files of its own on the disk.
    pub has_files: bool,
    /// Nodes that are down: nothing on them can be waited for.
    pub nodes_down: BTreeSet<String>,
}

impl Inventory {
    /// Returns whether nothing is there that a deployed stack always has.
    #[must_use]
    pub fn is_undeployed(&self) -> bool {
        self.services.is_empty()
            && self.tasks.iter().all(|task| task.state.is_terminal())
            && self.containers.is_empty()
            && self.networks.is_empty()
            && self.configs.is_empty()
    }

    /// Returns names of volumes that nobody but the engine named, and that the stack's containers use.
    pub fn anonymous_volumes(&self) -> impl Iterator<Item = &str> {
        self.containers
            .iter()
            .flat_map(|container| &container.volumes)
            .map(String::as_str)
            .filter(|name| is_anonymous(name))
    }
}

/// Everything in the swarm and on the node, before it is sorted out. One listing of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub(super) services: Vec<Service>,
    pub(super) tasks: Vec<Task>,
    pub(super) containers: Vec<Container>,
    pub(super) networks: Vec<Item>,
    pub(super) configs: Vec<Item>,
    pub(super) secrets: Vec<Item>,
    pub(super) volumes: Vec<Item>,
    pub(super) nodes_down: BTreeSet<String>,
}

impl World {
    /// Lists everything.
    ///
    /// # Errors
    /// Those of [`Engine`].
    pub async fn read(engine: &dyn Engine) -> Result<Self, Error> {
        let all = Filter::default();
        // Services first: what a service that goes meanwhile leaves is listed after it.
        let services = engine.services(&all).await?;
        let tasks = engine.tasks(&all).await?;
        let containers = engine.containers(&all).await?;
        let networks = engine.networks(&all).await?;
        let configs = engine.configs(&all).await?;
        let secrets = engine.secrets(&all).await?;
        let volumes = engine.volumes(&all).await?;
        let nodes = engine.nodes().await?;
        Ok(Self {
            services,
            tasks,
            containers,
            networks: networks.into_iter().map(|found| item(found.id, found.name, found.labels)).collect(),
            configs: configs.into_iter().map(|found| item(found.id, found.name, found.labels)).collect(),
            secrets: secrets.into_iter().map(|found| item(found.id, found.name, found.labels)).collect(),
            volumes: volumes.into_iter().map(|found| item(found.name.clone(), found.name, found.labels)).collect(),
            nodes_down: nodes.into_iter().filter(|node| node.state == "down").map(|node| node.id).collect(),
        })
    }

    /// Returns every stack that something here is labelled with.
    #[must_use]
    pub fn stacks(&self) -> BTreeSet<String> {
        let items = [&self.networks, &self.configs, &self.secrets, &self.volumes].into_iter().flatten();
        let labels = self.services.iter().map(|service| &service.spec.labels);
        let labels = labels.chain(self.containers.iter().map(|container| &container.labels));
        let labels = labels.chain(items.map(|item| &item.labels));
        labels.filter_map(|labels| labels.get(STACK_LABEL)).filter(|stack| !stack.is_empty()).cloned().collect()
    }

    /// Returns what carries one of our labels, with its stack.
    pub fn labelled(&self, label: &str) -> impl Iterator<Item = (&str, &Labels)> {
        let services = self.services.iter().map(|service| &service.spec.labels);
        let containers = self.containers.iter().map(|container| &container.labels);
        let always = self.networks.iter().chain(&self.configs).map(|item| &item.labels);
        let by_policy = self.secrets.iter().chain(&self.volumes).filter(|item| item.goes_with_app());
        let all = services.chain(containers).chain(always).chain(by_policy.map(|item| &item.labels));
        let wanted = label.to_owned();
        all.filter_map(move |labels| labels.get(&wanted).map(|value| (value.as_str(), labels)))
    }

    /// Returns what belongs to one stack. `known_stacks` are those that exist elsewhere than in the swarm; `recorded` are
    /// volumes that are known by name alone, because containers that are gone used them.
    #[must_use]
    pub fn of_stack(&self, stack: &str, known_stacks: &BTreeSet<String>, recorded: &BTreeSet<String>) -> Inventory {
        let mut stacks = self.stacks();
        stacks.extend(known_stacks.iter().cloned());
        let ours = |name: &str, labels: &Labels| belongs(stack, &stacks, name, labels);
        let items = |items: &[Item]| -> Vec<Item> {
            items.iter().filter(|item| ours(&item.name, &item.labels)).cloned().collect()
        };
        let services: Vec<Service> =
            self.services.iter().filter(|service| ours(&service.spec.name, &service.spec.labels)).cloned().collect();
        let ids: BTreeSet<&str> = services.iter().map(|service| service.id.as_str()).collect();
        let tasks = self.tasks.iter().filter(|task| task.stack == stack || ids.contains(task.service_id.as_str()));
        // Containers of services have names of their own making: the label alone tells.
        let containers =
            self.containers.iter().filter(|found| found.labels.get(STACK_LABEL).is_some_and(|label| label == stack));
        let containers: Vec<Container> = containers.cloned().collect();
        let foreign_use: BTreeSet<&str> = self
            .containers
            .iter()
            .filter(|found| found.labels.get(STACK_LABEL).is_none_or(|label| label != stack))
            .flat_map(|found| found.volumes.iter().map(String::as_str))
            .collect();
        let mut volumes = items(&self.volumes);
        let anonymous = self.volumes.iter().filter(|volume| {
            let used = containers.iter().any(|container| container.volumes.contains(&volume.name));
            is_anonymous(&volume.name) && (used || recorded.contains(&volume.name))
        });
        for volume in anonymous.filter(|volume| !foreign_use.contains(volume.name.as_str())) {
            if !volumes.iter().any(|known| known.name == volume.name) {
                volumes.push(volume.clone());
            }
        }
        Inventory {
            services: services.clone(),
            tasks: tasks.cloned().collect(),
            containers,
            networks: items(&self.networks),
            configs: items(&self.configs),
            secrets: items(&self.secrets),
            volumes,
            has_files: false,
            nodes_down: self.nodes_down.clone(),
        }
    }
}

fn item(id: String, name: String, labels: Labels) -> Item {
    Item { id, name, labels }
}
