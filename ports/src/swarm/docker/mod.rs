//! [`DockerEngine`]: a real engine, over its HTTP API.
//!
//! | file | what |
//! |---|---|
//! | `address.rs` | where it listens: a Unix socket, or `ssh` |
//! | `client.rs` | requests, connections, the version of the API, time limits |
//! | `refusal.rs` | what the engine's refusals mean |
//! | `wire.rs` | its JSON |
//! | `streams.rs` | answers that go on |
//! | `services.rs`, `containers.rs`, `images.rs`, `volumes.rs` | calls that take more than one request |
//!
//! Why this is not a client from a crate: `docs/decisions/0003-docker-client.md`.

mod address;
mod client;
mod containers;
mod images;
mod refusal;
mod services;
mod streams;
mod volumes;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::json;

use self::address::Address;
use self::client::{Client, Request};
use self::refusal::{CallError, removal};
use self::streams::Pieces;
use super::spec::ServiceSpec;
use super::{
    Container, ContainerDetails, Engine, EngineEvent, EngineInfo, Engines, ExecResult, ExecSpec, Filter, Image,
    LogOptions, Network, NewNetwork, NewStackFile, Node, RegistryAuth, Removal, Service, StackFile, SwarmState, Task,
    Volume, VolumeCopy,
};
use crate::error::Error;

/// Ended tasks that the swarm remembers per slot. Each keeps a dead container, and that its volumes.
const TASK_HISTORY: u32 = 2;
/// What is listened for. Health checks alone would be three events each (`exec_create`, `exec_start`, `exec_die`).
/// `health_status` makes the engine compare beginnings, which is the only way to hear of it at all.
const EVENTS: [&str; 13] = [
    "create",
    "update",
    "remove",
    "start",
    "die",
    "oom",
    "destroy",
    "health_status",
    "pull",
    "delete",
    "untag",
    "reload",
    "shutdown",
];

/// Real engines; one per address.
#[derive(Default)]
pub struct DockerEngines {
    engines: Mutex<HashMap<String, Arc<DockerEngine>>>,
}

impl Engines for DockerEngines {
    fn connect(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(address) {
            return Ok(engine.clone());
        }
        let engine = Arc::new(DockerEngine::at(address)?);
        engines.insert(address.to_owned(), engine.clone());
        Ok(engine)
    }

    fn calls(&self) -> u64 {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.values().map(|engine| engine.client.calls()).sum()
    }
}

/// A real engine.
pub struct DockerEngine {
    client: Arc<Client>,
}

impl DockerEngine {
    /// Returns the engine at an address, `unix:///path` or `ssh://user@host`. Does not ask whether it is there.
    ///
    /// # Errors
    /// `Terminal` with `EngineAddressInvalid`.
    pub fn at(address: &str) -> Result<Self, Error> {
        Ok(Self { client: Arc::new(Client::new(Address::parse(address)?)) })
    }

    /// Returns the same engine, reached through another program in the place of `ssh`. Does nothing to one behind a
    /// Unix socket.
    #[must_use]
    pub fn through(self, ssh: &Path) -> Self {
        let mut address = self.client.address().clone();
        if let Address::Ssh { program, .. } = &mut address {
            ssh.clone_into(program);
        }
        Self { client: Arc::new(Client::new(address)) }
    }

    /// Reads a list and turns it into ours.
    async fn list<Raw: serde::de::DeserializeOwned, Ours: From<Raw>>(
        &self,
        path: &str,
        filter: &Filter,
    ) -> Result<Vec<Ours>, Error> {
        let raw: Vec<Raw> = self.client.json(&filtered(Request::get(path), filter)).await?;
        Ok(raw.into_iter().map(Ours::from).collect())
    }

    /// Makes something that has a name and returns its id.
    async fn create(&self, path: &str, what: &str, body: &serde_json::Value) -> Result<String, Error> {
        let created: Result<wire::Created, _> = self.client.json(&Request::post(path).json(body)?).await;
        match created {
            Ok(created) => Ok(created.id),
            Err(CallError::Refused(refusal)) if refusal.is_conflict() => Err(already_exists(what, &refusal.message)),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self, path: &str) -> Result<Removal, Error> {
        removal(self.client.call(&Request::delete(path)).await)
    }

    async fn stack_files(&self, path: &str, filter: &Filter) -> Result<Vec<StackFile>, Error> {
        let mut files: Vec<StackFile> = self.list::<wire::RawStackFile, _>(path, filter).await?;
        keep_prefix(&mut files, filter, |file| &file.name);
        Ok(files)
    }
}

/// Returns the error of a name that is taken.
fn already_exists(what: &str, message: &str) -> Error {
    Error::retryable("AlreadyExists", format!("{what} is there already: {message}"))
}

/// Adds a filter to a request.
fn filtered(request: Request, filter: &Filter) -> Request {
    let mut filters = serde_json::Map::new();
    let mut labels: Vec<String> = filter.has_labels.clone();
    labels.extend(filter.labels.iter().map(|(key, value)| format!("{key}={value}")));
    if !labels.is_empty() {
        filters.insert("label".to_owned(), labels.into());
    }
    if let Some(prefix) = &filter.name_prefix {
        filters.insert("name".to_owned(), json!([prefix]));
    }
    if let Some(service) = &filter.service {
        filters.insert("service".to_owned(), json!([service]));
    }
    if filters.is_empty() { request } else { request.query("filters", &serde_json::Value::from(filters).to_string()) }
}

/// Drops what merely contains the prefix, and sorts by name.
fn keep_prefix<T>(list: &mut Vec<T>, filter: &Filter, name: impl Fn(&T) -> &String) {
    if let Some(prefix) = &filter.name_prefix {
        list.retain(|item| name(item).starts_with(prefix));
    }
    list.sort_by(|left, right| name(left).cmp(name(right)));
}

fn stack_file_body(file: &NewStackFile) -> serde_json::Value {
    let mut body = json!({
        "Name": file.name,
        "Labels": file.labels,
        "Data": base64::engine::general_purpose::STANDARD.encode(&file.data),
    });
    if file.is_template {
        body["Templating"] = json!({"Name": "golang"});
    }
    body
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        let info: wire::RawInfo = self.client.json(&Request::get("/info")).await?;
        Ok(info.into_info(self.client.api().await?.to_string()))
    }

    async fn init_swarm(&self, advertise_address: Option<&str>) -> Result<(), Error> {
        if self.info().await?.swarm != SwarmState::Inactive {
            return Ok(());
        }
        let advertise = advertise_address.unwrap_or_default();
        // A swarm that tells nobody where it is need not be reachable from elsewhere either.
        let listen = if advertise.starts_with("127.") { advertise } else { "0.0.0.0" };
        let body = json!({
            "ListenAddr": format!("{listen}:2377"),
            "AdvertiseAddr": advertise,
            "Spec": {"Orchestration": {"TaskHistoryRetentionLimit": TASK_HISTORY}},
        });
        match self.client.call(&Request::post("/swarm/init").json(&body)?).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(refusal)) if refusal.says("already part of a swarm") => Ok(()),
            Err(CallError::Refused(refusal)) if refusal.says("could not choose an IP address") => {
                let message = format!("the engine cannot tell under which address it is reached: {}", refusal.message);
                Err(Error::terminal("AdvertiseAddressNeeded", message))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.list::<wire::RawNode, _>("/nodes", &Filter::default()).await
    }

    async fn services(&self, filter: &Filter) -> Result<Vec<Service>, Error> {
        let mut services: Vec<Service> = self.list::<wire::RawService, _>("/services", filter).await?;
        keep_prefix(&mut services, filter, |service| &service.spec.name);
        Ok(services)
    }

    async fn create_service(&self, spec: &ServiceSpec, auth: Option<&RegistryAuth>) -> Result<String, Error> {
        services::create(&self.client, spec, auth).await
    }

    async fn update_service(
        &self,
        id: &str,
        version: u64,
        spec: &ServiceSpec,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), Error> {
        services::update(&self.client, id, version, spec, auth).await
    }

    async fn remove_service(&self, id: &str) -> Result<Removal, Error> {
        self.remove(&format!("/services/{id}")).await
    }

    async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>, Error> {
        services::tasks(&self.client, filter).await
    }

    async fn secrets(&self, filter: &Filter) -> Result<Vec<StackFile>, Error> {
        self.stack_files("/secrets", filter).await
    }

    async fn create_secret(&self, secret: &NewStackFile) -> Result<String, Error> {
        self.create("/secrets/create", &format!("secret {}", secret.name), &stack_file_body(secret)).await
    }

    async fn remove_secret(&self, id: &str) -> Result<Removal, Error> {
        self.remove(&format!("/secrets/{id}")).await
    }

    async fn configs(&self, filter: &Filter) -> Result<Vec<StackFile>, Error> {
        self.stack_files("/configs", filter).await
    }

    async fn create_config(&self, config: &NewStackFile) -> Result<String, Error> {
        self.create("/configs/create", &format!("config {}", config.name), &stack_file_body(config)).await
    }

    async fn remove_config(&self, id: &str) -> Result<Removal, Error> {
        self.remove(&format!("/configs/{id}")).await
    }

    async fn networks(&self, filter: &Filter) -> Result<Vec<Network>, Error> {
        // Engines up to 20.10 take the name of a network in the swarm for the whole of it, not for its beginning.
        let asked = Filter { name_prefix: None, ..filter.clone() };
        let mut networks: Vec<Network> = self.list::<wire::RawNetwork, _>("/networks", &asked).await?;
        keep_prefix(&mut networks, filter, |network| &network.name);
        Ok(networks)
    }

    async fn create_network(&self, network: &NewNetwork) -> Result<String, Error> {
        let config: Vec<_> = network.subnets.iter().map(|subnet| json!({"Subnet": subnet})).collect();
        let body = json!({
            "Name": network.name,
            "CheckDuplicate": true,
            "Driver": if network.driver.is_empty() { "overlay" } else { &network.driver },
            "Options": network.driver_opts,
            "Attachable": network.attachable,
            "Internal": network.internal,
            "IPAM": {"Driver": "default", "Config": config},
            "Labels": network.labels,
        });
        self.create("/networks/create", &format!("network {}", network.name), &body).await
    }

    async fn remove_network(&self, id: &str) -> Result<Removal, Error> {
        self.remove(&format!("/networks/{id}")).await
    }

    async fn volumes(&self, filter: &Filter) -> Result<Vec<Volume>, Error> {
        let raw: wire::RawVolumes = self.client.json(&filtered(Request::get("/volumes"), filter)).await?;
        let mut volumes: Vec<Volume> = raw.volumes.into_iter().map(Volume::from).collect();
        keep_prefix(&mut volumes, filter, |volume| &volume.name);
        Ok(volumes)
    }

    async fn create_volume(&self, volume: &Volume) -> Result<(), Error> {
        let driver = if volume.driver.is_empty() { "local" } else { &volume.driver };
        let body = json!({
            "Name": volume.name, "Driver": driver, "Labels": volume.labels, "DriverOpts": volume.options,
        });
        self.client.call(&Request::post("/volumes/create").json(&body)?).await?;
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<Removal, Error> {
        self.remove(&format!("/volumes/{name}")).await
    }

    async fn volume_bytes(&self) -> Result<BTreeMap<String, u64>, Error> {
        volumes::bytes(&self.client).await
    }

    async fn copy_volume(&self, copy: &VolumeCopy) -> Result<(), Error> {
        volumes::copy(self, &self.client, copy).await
    }

    async fn containers(&self, filter: &Filter) -> Result<Vec<Container>, Error> {
        let request = filtered(Request::get("/containers/json").query("all", "1"), filter);
        let raw: Vec<wire::RawContainer> = self.client.json(&request).await?;
        let mut containers: Vec<Container> = raw.into_iter().map(Container::from).collect();
        keep_prefix(&mut containers, filter, |container| &container.name);
        Ok(containers)
    }

    async fn container(&self, id: &str) -> Result<Option<ContainerDetails>, Error> {
        let request = Request::get(&format!("/containers/{id}/json"));
        match self.client.json::<wire::RawContainerDetails>(&request).await {
            Ok(raw) => Ok(Some(raw.into())),
            Err(CallError::Refused(refusal)) if refusal.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_container(&self, id: &str) -> Result<Removal, Error> {
        let request = Request::delete(&format!("/containers/{id}")).query("v", "1").query("force", "1");
        match self.client.call(&request).await {
            Err(CallError::Refused(refusal)) if refusal.says("already in progress") => Ok(Removal::Gone),
            result => removal(result),
        }
    }

    async fn exec(&self, container_id: &str, exec: &ExecSpec) -> Result<ExecResult, Error> {
        containers::exec(&self.client, container_id, exec).await
    }

    async fn read_archive(&self, container_id: &str, path: &str, bytes_max: usize) -> Result<Bytes, Error> {
        containers::read_archive(&self.client, container_id, path, bytes_max).await
    }

    async fn write_archive(&self, container_id: &str, path: &str, archive: Bytes) -> Result<(), Error> {
        containers::write_archive(&self.client, container_id, path, archive).await
    }

    async fn service_log(
        &self,
        service: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        services::log(&self.client, service, options).await
    }

    async fn images(&self) -> Result<Vec<Image>, Error> {
        self.list::<wire::RawImage, _>("/images/json", &Filter::default()).await
    }

    async fn has_image(&self, reference: &str) -> Result<bool, Error> {
        images::inspect(&self.client, reference).await.map(|image| image.is_some())
    }

    async fn pull_image(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<(), Error> {
        images::pull(&self.client, reference, auth).await
    }

    async fn resolve_digest(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<Option<String>, Error> {
        images::resolve_digest(&self.client, reference, auth).await
    }

    async fn remove_image(&self, id: &str) -> Result<Removal, Error> {
        images::remove(&self.client, id).await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, Error>>, Error> {
        let request = Request::get("/events").query("filters", &json!({"event": EVENTS}).to_string());
        let response = self.client.open(&request).await?;
        let pieces = Pieces::new(response.into_body(), self.client.clone());
        let events = streams::documents::<wire::RawEvent>(pieces);
        Ok(events.map(|event| event.map(EngineEvent::from)).boxed())
    }
}
