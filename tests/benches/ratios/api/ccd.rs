//! The real `ccd`, started as users start it, as one more side of the comparison.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tests::daemon::Daemon;

use super::http::{BodyType, Call, Connection, Door, Protocol};
use crate::load::{self, Answer, Client, Side};
use crate::store::memory_bytes;

/// Where gadgets are.
pub(super) const GADGETS: &str = "/apis/bench.example.com/v1/namespaces/default/gadgets";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// So many clients share one HTTP/2 connection.
const CLIENTS_PER_CONNECTION: usize = 64;

/// What one client does over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    MergePatch,
    Apply,
}

/// A running server and open connections to it.
pub(super) struct Ccd {
    daemon: Daemon,
    door: Door,
    shared: Vec<Connection>,
    next: std::sync::atomic::AtomicUsize,
    write: Write,
}

impl Ccd {
    /// Starts `program` on `dir` with the kind `Gadget` defined; the time is that until it was ready.
    pub(super) async fn start(program: &Path, dir: &Path) -> anyhow::Result<(Self, Duration)> {
        let started = Instant::now();
        let (program, directory): (PathBuf, PathBuf) = (program.to_owned(), dir.to_owned());
        let daemon = tokio::task::spawn_blocking(move || {
            let mut daemon = Daemon::spawn(&program, &directory, &[])?;
            daemon.wait_until_ready()?;
            anyhow::Ok(daemon)
        })
        .await??;
        let ready = started.elapsed();
        let door = Door::from_kubeconfig(&std::fs::read_to_string(daemon.kubeconfig())?)?;
        let mut side = Self { daemon, door, shared: Vec::new(), next: 0.into(), write: Write::Create };
        side.shared.push(side.door.connect(Protocol::Http2).await?);
        side.define().await?;
        Ok((side, ready))
    }

    /// Opens as many connections as `clients` clients share.
    pub(super) async fn connect(&mut self, clients: usize) -> anyhow::Result<()> {
        while self.shared.len() < clients.div_ceil(CLIENTS_PER_CONNECTION) {
            self.shared.push(self.door.connect(Protocol::Http2).await?);
        }
        Ok(())
    }

    /// Opens a connection of its own for each of `clients` clients.
    pub(super) async fn separate(&self, clients: usize, protocol: Protocol) -> anyhow::Result<Vec<Box<dyn Client>>> {
        let mut separate: Vec<Box<dyn Client>> = Vec::new();
        for _ in 0..clients {
            let connection = self.door.connect(protocol).await?;
            separate.push(Box::new(CcdClient { connection, write: self.write, counter: 0 }));
        }
        Ok(separate)
    }

    /// What the clients made from now on write.
    pub(super) fn set_write(&mut self, write: Write) {
        self.write = write;
    }

    pub(super) fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn memory_bytes(&self) -> anyhow::Result<u64> {
        memory_bytes(self.daemon.id())
    }

    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.daemon.kill()
    }

    /// Reads one page and returns its bytes.
    pub(super) async fn read(&self, path: &str, headers: &[(http::HeaderName, &'static str)]) -> anyhow::Result<Bytes> {
        self.handle().call(Call { headers, ..Call::get(path) }).await
    }

    fn handle(&self) -> Connection {
        let next = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.shared[next % self.shared.len()].share().expect("shared connections are HTTP/2")
    }

    async fn define(&self) -> anyhow::Result<()> {
        let mut connection = self.handle();
        let path = format!("{DEFINITIONS}/gadgets.bench.example.com");
        if connection.call(Call::get(&path)).await.is_err() {
            let body = Bytes::from(definition().to_string());
            connection.call(Call::with_body(Method::POST, DEFINITIONS, BodyType::Json, body)).await?;
        }
        Ok(())
    }
}

impl Side for Ccd {
    fn client(&self) -> Box<dyn Client> {
        Box::new(CcdClient { connection: self.handle(), write: self.write, counter: 0 })
    }

    fn list(&self, _count: usize) -> Answer<'_, usize> {
        Box::pin(async move { Ok(self.read(GADGETS, &[]).await?.len()) })
    }
}

struct CcdClient {
    connection: Connection,
    write: Write,
    counter: u64,
}

impl Client for CcdClient {
    fn create(&mut self, name: String, bytes: usize) -> Answer<'_, ()> {
        Box::pin(async move {
            self.counter += 1;
            match self.write {
                Write::Create => {
                    let path = format!("{GADGETS}?fieldManager=bench");
                    let body = Bytes::from(gadget(&name, bytes, 1).to_string());
                    self.connection.call(Call::with_body(Method::POST, &path, BodyType::Json, body)).await?;
                }
                Write::MergePatch => {
                    let path = format!("{GADGETS}/{}?fieldManager=bench", existing(&name));
                    let body = Bytes::from(json!({"spec": {"count": self.counter % 1000}}).to_string());
                    self.connection.call(Call::with_body(Method::PATCH, &path, BodyType::Merge, body)).await?;
                }
                Write::Apply => {
                    let name = existing(&name);
                    let path = format!("{GADGETS}/{name}?fieldManager=bench-apply&force=true");
                    let body = Bytes::from(gadget(&name, bytes, self.counter % 1000).to_string());
                    self.connection.call(Call::with_body(Method::PATCH, &path, BodyType::Apply, body)).await?;
                }
            }
            Ok(())
        })
    }

    fn get(&mut self, name: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let bytes = self.connection.call(Call::get(&format!("{GADGETS}/{name}"))).await?;
            anyhow::ensure!(bytes.starts_with(b"{"), "an object is not empty");
            Ok(())
        })
    }

    fn watch(&mut self, seen: Arc<dyn Fn() + Send + Sync>) -> Answer<'_, Box<dyn Send>> {
        Box::pin(async move {
            let list = self.connection.call(Call::get(&format!("{GADGETS}?limit=1"))).await?;
            let list: Value = serde_json::from_slice(&list)?;
            let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            let mut connection = self.connection.share().expect("watches share HTTP/2 connections");
            let task = tokio::spawn(async move {
                let path = format!("{GADGETS}?watch=true&resourceVersion={revision}");
                connection.watch(&path, seen).await
            });
            Ok(Box::new(load::Abort(task)) as Box<dyn Send>)
        })
    }
}

/// Each client changes objects of its own, of which `fill` has made enough.
fn existing(name: &str) -> String {
    // c<clients>-r<round>-n<client>-<sample>
    let mut parts = name.split('-').skip(2).map(|part| part.trim_start_matches('n').parse::<usize>().unwrap_or(0));
    let (client, sample) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    format!("f{:06}", client * 8 + sample % 8)
}

fn gadget(name: &str, bytes: usize, count: u64) -> Value {
    json!({
        "apiVersion": "bench.example.com/v1", "kind": "Gadget",
        "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"text": load::text(bytes), "count": count, "parts": [{"name": "a", "size": 1}, {"name": "b", "size": 2}]},
    })
}

/// A kind with types, bounds, defaults, a list map and a rule, as real kinds have them.
fn definition() -> Value {
    let parts = json!({"type": "array", "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "maxLength": 63}, "size": {"type": "integer", "minimum": 0}}}});
    let spec = json!({"type": "object", "required": ["text"], "properties": {
            "text": {"type": "string", "maxLength": 8192}, "count": {"type": "integer", "minimum": 0, "default": 1},
            "mode": {"type": "string", "enum": ["Fast", "Slow"], "default": "Fast"}, "parts": parts},
        "x-kubernetes-validations": [{"rule": "self.count < 100000", "message": "count must be small"}]});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.bench.example.com"},
        "spec": {
            "group": "bench.example.com", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Count", "type": "integer", "jsonPath": ".spec.count"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": spec,
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
            }],
        },
    })
}
