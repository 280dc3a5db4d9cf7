//! The calls of [`FakeEngine`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::broadcast::error::RecvError;

use super::world::{FakeContainer, FakeNetwork, FakeService, HOSTNAME, NODE, World, digest_of, without_digest};
use super::{FakeEngine, unreachable};
use crate::error::Error;
use crate::swarm::spec::{Labels, ServiceSpec};
use crate::swarm::{
    CALL_TIME_MAX, Container, ContainerDetails, EXEC_OUTPUT_BYTES_MAX, Engine, EngineEvent, EngineInfo, ExecResult,
    ExecSpec, Filter, Image, LogOptions, Network, NewNetwork, NewStackFile, Node, RegistryAuth, Removal, Service,
    StackFile, SwarmState, Task, TaskState, Volume, VolumeCopy,
};

/// How often a followed log looks for more.
const LOG_POLL: std::time::Duration = std::time::Duration::from_millis(200);
/// What copying a volume takes.
const COPY_TIME: std::time::Duration = std::time::Duration::from_secs(3);
/// Addresses of a network without a subnet.
const CAPACITY_DEFAULT: usize = 252;

fn fits(filter: &Filter, labels: &Labels, name: &str) -> bool {
    filter.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && filter.has_labels.iter().all(|key| labels.contains_key(key))
        && filter.name_prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix))
}

fn sorted<T>(mut list: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
    list.sort_by_key(name);
    list
}

fn already_exists(what: &str, name: &str) -> Error {
    Error::retryable("AlreadyExists", format!("{what} {name} is there already"))
}

fn missing(reason: &'static str, what: &str, name: &str) -> Error {
    Error::retryable(reason, format!("the swarm has no {what} {name}"))
}

fn gone(id: &str) -> Error {
    Error::retryable("ServiceNotFound", format!("the service {id} is gone"))
}

impl World {
    fn needs_manager(&self) -> Result<(), Error> {
        match self.swarm {
            SwarmState::Manager => Ok(()),
            SwarmState::Locked => Err(Error::blocked("SwarmLocked", "the swarm is locked")),
            SwarmState::Error => Err(Error::retryable("NoLeader", "the swarm has no leader at the moment")),
            _ => Err(Error::blocked("SwarmInactive", "the engine is no manager of a swarm")),
        }
    }

    /// Puts ids beside names.
    fn resolve(&self, spec: &ServiceSpec) -> Result<ServiceSpec, Error> {
        let mut spec = spec.clone();
        let by_name = |files: &BTreeMap<String, StackFile>, name: &str| {
            files.values().find(|file| file.name == name).map(|file| file.id.clone())
        };
        let container = &mut spec.task_template.container_spec;
        for reference in container.secrets.iter_mut().filter(|reference| !reference.name.is_empty()) {
            let found = by_name(&self.secrets, &reference.name);
            reference.id = found.ok_or_else(|| missing("SecretNotFound", "secret", &reference.name))?;
        }
        for reference in container.configs.iter_mut().filter(|reference| !reference.name.is_empty()) {
            let found = by_name(&self.configs, &reference.name);
            reference.id = found.ok_or_else(|| missing("ConfigNotFound", "config", &reference.name))?;
        }
        for attachment in &mut spec.task_template.networks {
            let target = &attachment.target;
            let is_it = |network: &&FakeNetwork| network.network.name == *target || network.network.id == *target;
            // One that is being removed is still listed and not found any more.
            let found = self.networks.values().filter(|network| !network.is_removing).find(is_it);
            let found = found.ok_or_else(|| missing("NetworkNotFound", "network", target))?;
            attachment.target = found.network.id.clone();
        }
        if let Some(normalise) = &self.normalise {
            (normalise.0)(&mut spec);
        }
        Ok(spec)
    }

    fn service_id(&self, id_or_name: &str) -> Option<String> {
        let is_it =
            |service: &&FakeService| service.service.id == id_or_name || service.service.spec.name == id_or_name;
        self.services.values().find(is_it).map(|service| service.service.id.clone())
    }

    fn create_service(&mut self, spec: &ServiceSpec) -> Result<String, Error> {
        self.needs_manager()?;
        let spec = self.resolve(spec)?;
        if self.services.values().any(|service| service.service.spec.name == spec.name) {
            return Err(already_exists("service", &spec.name));
        }
        let (id, version, moment) = (self.id("service"), self.version(), self.moment());
        let (created_at, updated_at) = (Some(moment), Some(moment));
        let service = Service { id: id.clone(), version, created_at, updated_at, spec, previous: None, update: None };
        let made = FakeService { service, generation: version, previous_generation: version, rollout: None };
        self.services.insert(id.clone(), made);
        self.announce_service("create", &id);
        self.reconcile_service(&id);
        Ok(id)
    }

    fn update_service(&mut self, id: &str, version: u64, spec: &ServiceSpec) -> Result<(), Error> {
        self.needs_manager()?;
        let mut spec = self.resolve(spec)?;
        let id = self.service_id(id).ok_or_else(|| gone(id))?;
        let (new_version, moment) = (self.version(), self.moment());
        let Some(service) = self.services.get_mut(&id) else { return Err(gone(&id)) };
        if service.service.version != version {
            let message = format!("service {} was changed by somebody else meanwhile", spec.name);
            return Err(Error::retryable("OutOfSequence", message));
        }
        let old = service.service.spec.clone();
        let forced = old.task_template.force_update;
        spec.task_template.force_update = spec.task_template.force_update.max(forced);
        service.previous_generation = service.generation;
        if old.task_template != spec.task_template || old.endpoint_spec != spec.endpoint_spec {
            service.generation = new_version;
        }
        service.service.spec = spec;
        service.service.previous = Some(old);
        service.service.update = None;
        service.service.version = new_version;
        service.service.updated_at = Some(moment);
        self.announce_service("update", &id);
        self.reconcile_service(&id);
        Ok(())
    }

    fn remove_service(&mut self, id: &str) -> Result<Removal, Error> {
        self.needs_manager()?;
        let Some(id) = self.service_id(id) else { return Ok(Removal::Gone) };
        self.announce_service("remove", &id);
        self.services.remove(&id);
        let tasks = self.tasks.values().filter(|task| task.task.service_id == id);
        for task in tasks.map(|task| task.task.id.clone()).collect::<Vec<_>>() {
            self.stop(&task, TaskState::Remove);
        }
        Ok(Removal::Gone)
    }

    fn user(&self, uses: impl Fn(&ServiceSpec) -> bool) -> Option<String> {
        self.services
            .values()
            .find(|service| uses(&service.service.spec))
            .map(|service| service.service.spec.name.clone())
    }

    fn create_file(&mut self, kind: &str, new: &NewStackFile) -> Result<String, Error> {
        self.needs_manager()?;
        let files = if kind == "secret" { &self.secrets } else { &self.configs };
        if files.values().any(|file| file.name == new.name) {
            return Err(already_exists(kind, &new.name));
        }
        let bytes_max = if kind == "secret" { 512_000 } else { 1_024_000 };
        if new.name.len() > 64 || new.data.len() >= bytes_max || (new.data.is_empty() && kind == "secret") {
            let message = format!("the engine refuses: the name or data of the {kind} is not valid");
            return Err(Error::terminal("EngineRefused", message));
        }
        let id = self.id(kind);
        let data = (kind == "config").then(|| new.data.clone());
        let (name, labels, is_template) = (new.name.clone(), new.labels.clone(), new.is_template);
        let file = StackFile { id: id.clone(), name, labels, data, is_template };
        let files = if kind == "secret" { &mut self.secrets } else { &mut self.configs };
        files.insert(id.clone(), file);
        self.announce(kind, "create", &id, [("name".to_owned(), new.name.clone())].into());
        Ok(id)
    }

    fn remove_file(&mut self, kind: &str, id: &str) -> Result<Removal, Error> {
        self.needs_manager()?;
        let files = if kind == "secret" { &self.secrets } else { &self.configs };
        let Some(file) = files.values().find(|file| file.id == id || file.name == id).cloned() else {
            return Ok(Removal::Gone);
        };
        let user = self.user(|spec| {
            let container = &spec.task_template.container_spec;
            if kind == "secret" {
                container.secrets.iter().any(|reference| reference.id == file.id)
            } else {
                container.configs.iter().any(|reference| reference.id == file.id)
            }
        });
        if let Some(user) = user {
            return Ok(Removal::InUse(format!("{kind} '{}' is in use by the following service: {user}", file.name)));
        }
        let files = if kind == "secret" { &mut self.secrets } else { &mut self.configs };
        files.remove(&file.id);
        self.announce(kind, "remove", &file.id, [("name".to_owned(), file.name)].into());
        Ok(Removal::Gone)
    }

    fn create_network(&mut self, new: &NewNetwork) -> Result<String, Error> {
        let driver = if new.driver.is_empty() { "overlay".to_owned() } else { new.driver.clone() };
        if driver == "overlay" {
            self.needs_manager()?;
        }
        if self.networks.values().any(|network| network.network.name == new.name) {
            return Err(already_exists("network", &new.name));
        }
        let prefixes = new.subnets.iter().map(|subnet| {
            let bits = subnet.split_once('/').and_then(|(_, bits)| bits.parse::<u32>().ok());
            bits.filter(|bits| (8..=30).contains(bits))
        });
        let mut capacity = if new.subnets.is_empty() { CAPACITY_DEFAULT } else { 0 };
        for prefix in prefixes {
            let Some(bits) = prefix else {
                return Err(Error::terminal("EngineRefused", "the engine refuses: invalid subnet"));
            };
            // The network's own, broadcast, the gateway and the load balancer take one each.
            capacity += (1_usize << (32 - bits)) - 4;
        }
        let subnets = if new.subnets.is_empty() { vec!["10.0.1.0/24".to_owned()] } else { new.subnets.clone() };
        let id = self.id("network");
        let network = Network {
            id: id.clone(),
            name: new.name.clone(),
            scope: if driver == "overlay" { "swarm" } else { "local" }.to_owned(),
            driver,
            attachable: new.attachable,
            internal: new.internal,
            subnets,
            labels: new.labels.clone(),
        };
        let made = FakeNetwork { network, capacity, users: [].into(), leaked: 0, is_removing: false };
        self.networks.insert(id.clone(), made);
        self.announce("network", "create", &id, [("name".to_owned(), new.name.clone())].into());
        Ok(id)
    }

    fn drop_network(&mut self, id: &str) -> Result<Removal, Error> {
        let Some(network) = self.networks.get(id).map(|network| network.network.clone()) else {
            return Ok(Removal::Gone);
        };
        let user = self.user(|spec| spec.task_template.networks.iter().any(|attachment| attachment.target == id));
        if let Some(user) = user {
            return Ok(Removal::InUse(format!("network {} is in use by service {user}", network.name)));
        }
        self.remove_network(id);
        self.announce("network", "remove", id, [("name".to_owned(), network.name)].into());
        Ok(Removal::Gone)
    }

    fn begin_copy(&mut self, copy: &VolumeCopy) -> Result<(), Error> {
        let uses = |name: &str| {
            let has_it = |container: &FakeContainer| container.container.volumes.iter().any(|volume| volume == name);
            self.containers.values().find(|container| has_it(container)).map(|container| container.container.id.clone())
        };
        if let Some(user) = uses(&copy.to.name) {
            let message = format!("the volume {} is in use by the container {user}", copy.to.name);
            return Err(Error::retryable("VolumeInUse", message));
        }
        let mut new = copy.to.clone();
        if new.driver.is_empty() {
            "local".clone_into(&mut new.driver);
        }
        self.volumes.insert(new.name.clone(), new);
        self.volume_data.insert(copy.to.name.clone(), b"half a copy".to_vec());
        Ok(())
    }

    fn service_of(&self, filter: &Filter, task: &Task) -> bool {
        let Some(wanted) = &filter.service else { return true };
        let named = self.services.get(&task.service_id).is_some_and(|service| service.service.spec.name == *wanted);
        task.service_id == *wanted || named
    }

    fn list_tasks(&self, filter: &Filter) -> Vec<Task> {
        let listed = self.tasks.values().filter(|task| {
            let name = self.services.get(&task.task.service_id);
            let name = name.map(|service| service.service.spec.name.as_str()).unwrap_or_default();
            fits(filter, &task.spec.container_spec.labels, name) && self.service_of(filter, &task.task)
        });
        let listed = listed.map(|task| {
            let service = self.services.get(&task.task.service_id);
            let is_up_to_date = service.is_some_and(|service| service.generation == task.generation);
            Task { is_up_to_date, ..task.task.clone() }
        });
        listed.collect()
    }

    fn running(&self, container_id: &str) -> Result<Container, Error> {
        let found = self.containers.get(container_id).filter(|container| container.details.is_running);
        found.map(|container| container.container.clone()).ok_or_else(|| {
            Error::retryable("ContainerNotRunning", format!("the container {container_id} does not run"))
        })
    }

    fn log(&self, service: &str, options: &LogOptions) -> Vec<Bytes> {
        let of_service = |task: &&super::world::FakeTask| task.task.service_id == service;
        let containers =
            self.tasks.values().filter(of_service).filter_map(|task| self.containers.get(&task.task.container_id));
        let mut lines: Vec<_> = containers.flat_map(|container| container.log.iter()).collect();
        lines.retain(|(moment, _)| options.since.is_none_or(|since| *moment >= since));
        lines.sort_by_key(|(moment, _)| *moment);
        let skip =
            options.tail.map_or(0, |tail| lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)));
        let line = |(moment, text): &(jiff::Timestamp, String)| {
            Bytes::from(if options.timestamps { format!("{moment} {text}\n") } else { format!("{text}\n") })
        };
        lines.into_iter().skip(skip).map(line).collect()
    }
}

/// Returns the name of the first file of a tar archive.
fn first_name(archive: &[u8]) -> String {
    let name = archive.get(..100).unwrap_or_default();
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.call("info", |world| {
            let error = world.swarm == SwarmState::Error;
            Ok(EngineInfo {
                engine_version: "20.10.24".to_owned(),
                api_version: "1.41".to_owned(),
                hostname: HOSTNAME.to_owned(),
                data_root: "/var/lib/docker".to_owned(),
                swarm: world.swarm,
                node_id: if world.swarm == SwarmState::Inactive { String::new() } else { NODE.to_owned() },
                swarm_error: if error { "The swarm does not have a leader.".to_owned() } else { String::new() },
                images: world.images.len() as u64,
                memory_bytes: world.memory_bytes,
                processors: 2,
            })
        })
        .await
    }

    async fn init_swarm(&self, _: Option<&str>) -> Result<(), Error> {
        self.call("init_swarm", |world| {
            if world.swarm == SwarmState::Inactive {
                world.swarm = SwarmState::Manager;
            }
            Ok(())
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.call("nodes", |world| {
            world.needs_manager()?;
            let (id, hostname) = (NODE.to_owned(), HOSTNAME.to_owned());
            let (state, availability) = ("ready".to_owned(), "active".to_owned());
            Ok(vec![Node { id, hostname, state, availability, is_manager: true }])
        })
        .await
    }

    async fn services(&self, filter: &Filter) -> Result<Vec<Service>, Error> {
        self.call("services", |world| {
            world.needs_manager()?;
            let services = world.services.values().map(|service| service.service.clone());
            let fitting = services.filter(|service| fits(filter, &service.spec.labels, &service.spec.name));
            Ok(sorted(fitting.collect(), |service| service.spec.name.clone()))
        })
        .await
    }

    async fn create_service(&self, spec: &ServiceSpec, _: Option<&RegistryAuth>) -> Result<String, Error> {
        self.call("create_service", |world| world.create_service(spec)).await
    }

    async fn update_service(
        &self,
        id: &str,
        version: u64,
        spec: &ServiceSpec,
        _: Option<&RegistryAuth>,
    ) -> Result<(), Error> {
        self.call("update_service", |world| world.update_service(id, version, spec)).await
    }

    async fn remove_service(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_service", |world| world.remove_service(id)).await
    }

    async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>, Error> {
        self.call("tasks", |world| {
            world.needs_manager()?;
            Ok(world.list_tasks(filter))
        })
        .await
    }

    async fn secrets(&self, filter: &Filter) -> Result<Vec<StackFile>, Error> {
        self.call("secrets", |world| {
            world.needs_manager()?;
            let files = world.secrets.values().filter(|file| fits(filter, &file.labels, &file.name));
            Ok(sorted(files.cloned().collect(), |file| file.name.clone()))
        })
        .await
    }

    async fn create_secret(&self, secret: &NewStackFile) -> Result<String, Error> {
        self.call("create_secret", |world| world.create_file("secret", secret)).await
    }

    async fn remove_secret(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_secret", |world| world.remove_file("secret", id)).await
    }

    async fn configs(&self, filter: &Filter) -> Result<Vec<StackFile>, Error> {
        self.call("configs", |world| {
            world.needs_manager()?;
            let files = world.configs.values().filter(|file| fits(filter, &file.labels, &file.name));
            Ok(sorted(files.cloned().collect(), |file| file.name.clone()))
        })
        .await
    }

    async fn create_config(&self, config: &NewStackFile) -> Result<String, Error> {
        self.call("create_config", |world| world.create_file("config", config)).await
    }

    async fn remove_config(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_config", |world| world.remove_file("config", id)).await
    }

    async fn networks(&self, filter: &Filter) -> Result<Vec<Network>, Error> {
        self.call("networks", |world| {
            let networks = world.networks.values().map(|network| network.network.clone());
            let fitting = networks.filter(|network| fits(filter, &network.labels, &network.name));
            Ok(sorted(fitting.collect(), |network| network.name.clone()))
        })
        .await
    }

    async fn create_network(&self, network: &NewNetwork) -> Result<String, Error> {
        self.call("create_network", |world| world.create_network(network)).await
    }

    async fn remove_network(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_network", |world| world.drop_network(id)).await
    }

    async fn volumes(&self, filter: &Filter) -> Result<Vec<Volume>, Error> {
        self.call("volumes", |world| {
            let volumes = world.volumes.values().filter(|volume| fits(filter, &volume.labels, &volume.name));
            Ok(volumes.cloned().collect())
        })
        .await
    }

    async fn create_volume(&self, volume: &Volume) -> Result<(), Error> {
        self.call("create_volume", |world| {
            let mut new = volume.clone();
            if new.driver.is_empty() {
                "local".clone_into(&mut new.driver);
            }
            world.volumes.entry(new.name.clone()).or_insert(new);
            Ok(())
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<Removal, Error> {
        self.call("remove_volume", |world| {
            let has_it = |container: &&FakeContainer| container.container.volumes.iter().any(|volume| volume == name);
            if let Some(user) = world.containers.values().find(has_it) {
                return Ok(Removal::InUse(format!("remove {name}: volume is in use - [{}]", user.container.id)));
            }
            world.volume_data.remove(name);
            if world.volumes.remove(name).is_some() {
                world.announce("volume", "destroy", name, Labels::new());
            }
            Ok(Removal::Gone)
        })
        .await
    }

    async fn volume_bytes(&self) -> Result<BTreeMap<String, u64>, Error> {
        self.call("volume_bytes", |world| {
            let bytes = |name: &String| world.volume_data.get(name).map_or(0, |data| data.len() as u64);
            Ok(world.volumes.keys().map(|name| (name.clone(), bytes(name))).collect())
        })
        .await
    }

    async fn copy_volume(&self, copy: &VolumeCopy) -> Result<(), Error> {
        // It takes a while, and may be cut off halfway: then the volume is there, with a part of what it should hold.
        self.call("copy_volume", |world| world.begin_copy(copy)).await?;
        tokio::time::sleep(COPY_TIME).await;
        self.call("copy_volume_end", |world| {
            let data = world.volume_data.get(&copy.from).cloned().unwrap_or_default();
            world.volume_data.insert(copy.to.name.clone(), data);
            Ok(())
        })
        .await
    }

    async fn containers(&self, filter: &Filter) -> Result<Vec<Container>, Error> {
        self.call("containers", |world| {
            let containers = world.containers.values().map(|container| container.container.clone());
            let fitting = containers.filter(|container| fits(filter, &container.labels, &container.name));
            Ok(sorted(fitting.collect(), |container| container.name.clone()))
        })
        .await
    }

    async fn container(&self, id: &str) -> Result<Option<ContainerDetails>, Error> {
        self.call("container", |world| Ok(world.containers.get(id).map(|container| container.details.clone()))).await
    }

    async fn remove_container(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_container", |world| {
            let runs = |task: &&super::world::FakeTask| task.task.container_id == id && !task.task.state.is_terminal();
            if let Some(task) = world.tasks.values().find(runs).map(|task| task.task.id.clone()) {
                world.exit(&task, 137, false);
            }
            world.remove_container(id);
            Ok(Removal::Gone)
        })
        .await
    }

    async fn exec(&self, container_id: &str, exec: &ExecSpec) -> Result<ExecResult, Error> {
        let container = self.call("exec", |world| world.running(container_id)).await?;
        let shell = self.inner.shell.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let played = shell(&container, exec);
        let Some(mut result) = played.result else {
            let program = exec.command.first().map(String::as_str).unwrap_or_default();
            let message =
                format!("the command cannot be started in the container: {program}: executable file not found");
            return Err(Error::terminal("CommandNotFound", message));
        };
        let time_max = if exec.time_max.is_zero() { CALL_TIME_MAX } else { exec.time_max };
        tokio::time::sleep(played.after.min(time_max)).await;
        if played.after > time_max {
            let message = format!("the command did not end within {} s", time_max.as_secs_f64());
            return Err(Error::retryable("ExecTimeout", message));
        }
        result.is_truncated |= result.output.len() > EXEC_OUTPUT_BYTES_MAX;
        result.output.truncate(EXEC_OUTPUT_BYTES_MAX);
        Ok(result)
    }

    async fn read_archive(&self, container_id: &str, path: &str, bytes_max: usize) -> Result<Bytes, Error> {
        self.call("read_archive", |world| {
            world.running(container_id)?;
            let found = world.containers[container_id].files.get(path).cloned();
            let archive = found.ok_or_else(|| {
                Error::terminal("PathNotFound", format!("there is no {path} in the container {container_id}"))
            })?;
            if archive.len() > bytes_max {
                let message = format!("{path} of the container {container_id} is larger than {bytes_max} bytes");
                return Err(Error::terminal("ArchiveTooLarge", message));
            }
            Ok(archive)
        })
        .await
    }

    async fn write_archive(&self, container_id: &str, path: &str, archive: Bytes) -> Result<(), Error> {
        self.call("write_archive", |world| {
            world.running(container_id)?;
            let Some(container) = world.containers.get_mut(container_id) else { return Ok(()) };
            let is_mount = container.mounts.iter().any(|mount| path.starts_with(&mount.target));
            if !is_mount && !["/", "/tmp", "/root", "/var", "/srv", "/etc"].contains(&path) {
                let message = format!("there is no {path} in the container {container_id}");
                return Err(Error::terminal("PathNotFound", message));
            }
            let name = format!("{}/{}", path.trim_end_matches('/'), first_name(&archive));
            container.files.insert(name, archive);
            Ok(())
        })
        .await
    }

    async fn service_log(
        &self,
        service: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let service_id =
            self.call("service_log", |world| world.service_id(service).ok_or_else(|| gone(service))).await?;
        let first = self.lock().log(&service_id, options);
        let begin = futures::stream::iter(first).map(Ok);
        if !options.follow {
            return Ok(begin.boxed());
        }
        let whole = LogOptions { tail: None, ..options.clone() };
        let seen = self.lock().log(&service_id, &whole).len();
        let follow = futures::stream::unfold((self.clone(), seen), move |(engine, seen)| {
            let (service_id, whole) = (service_id.clone(), whole.clone());
            async move {
                loop {
                    if !*engine.inner.is_reachable.borrow() {
                        return None;
                    }
                    let lines = engine.lock().log(&service_id, &whole);
                    if lines.len() > seen {
                        let more: Vec<u8> = lines[seen..].concat();
                        return Some((Ok(Bytes::from(more)), (engine, lines.len())));
                    }
                    tokio::time::sleep(LOG_POLL).await;
                }
            }
        });
        Ok(begin.chain(follow).boxed())
    }

    async fn images(&self) -> Result<Vec<Image>, Error> {
        self.call("images", |world| Ok(world.images.values().cloned().collect())).await
    }

    async fn has_image(&self, reference: &str) -> Result<bool, Error> {
        self.call("has_image", |world| Ok(world.image(reference).is_some())).await
    }

    async fn pull_image(&self, reference: &str, _: Option<&RegistryAuth>) -> Result<(), Error> {
        let pull = self.call("pull_image", |world| Ok(world.pull_time(reference))).await?;
        let Some(time) = pull else {
            let message = format!("{reference} cannot be pulled: not found (it is missing, or nobody may read it)");
            return Err(Error::terminal("ImageNotFound", message));
        };
        tokio::time::sleep(time).await;
        if !*self.inner.is_reachable.borrow() {
            return Err(unreachable());
        }
        let mut world = self.lock();
        world.add_image(reference);
        self.tell(&mut world);
        Ok(())
    }

    async fn resolve_digest(&self, reference: &str, _: Option<&RegistryAuth>) -> Result<Option<String>, Error> {
        self.call("resolve_digest", |world| {
            let is_there = world.is_in_registry(reference);
            Ok(is_there.then(|| digest_of(without_digest(reference))))
        })
        .await
    }

    async fn remove_image(&self, id: &str) -> Result<Removal, Error> {
        self.call("remove_image", |world| {
            let Some(image) = world.image(id).cloned() else { return Ok(Removal::Gone) };
            let uses = |container: &&FakeContainer| {
                let used = &container.container.image;
                image.tags.contains(&without_digest(used).to_owned()) || image.digests.contains(used)
            };
            let users = world.containers.values().filter(uses).count();
            if users > 0 {
                return Ok(Removal::InUse(format!("{users} containers use the image")));
            }
            world.images.remove(&image.id);
            world.announce("image", "delete", &image.id, Labels::new());
            Ok(Removal::Gone)
        })
        .await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, Error>>, Error> {
        self.call("events", |_| Ok(())).await?;
        let (receiver, reachable) = (self.inner.events.subscribe(), self.inner.is_reachable.subscribe());
        let state = (self.clone(), receiver, reachable);
        let events = futures::stream::unfold(state, async |(engine, mut receiver, mut reachable)| {
            loop {
                let due = {
                    let mut world = engine.lock();
                    engine.tell(&mut world);
                    world.next_due()
                };
                let next_due = async {
                    match due {
                        Some(due) => tokio::time::sleep_until(due).await,
                        // What others do may make something due; they announce it.
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    received = receiver.recv() => match received {
                        Ok(event) => return Some((Ok(event), (engine, receiver, reachable))),
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    },
                    changed = reachable.changed() => {
                        let _ = changed;
                        return None;
                    }
                    () = next_due => {}
                }
            }
        });
        Ok(events.boxed())
    }
}

impl World {
    fn pull_time(&self, reference: &str) -> Option<std::time::Duration> {
        if self.image(reference).is_some() {
            return Some(std::time::Duration::ZERO);
        }
        let queue = self.behaviours.get(without_digest(reference));
        queue.and_then(|queue| queue.front()).cloned().unwrap_or_default().pull
    }

    fn is_in_registry(&self, reference: &str) -> bool {
        let queue = self.behaviours.get(without_digest(reference));
        queue.and_then(|queue| queue.front()).is_none_or(|behaviour| behaviour.pull.is_some())
    }
}
