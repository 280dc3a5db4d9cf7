//! The store as its callers see it: verbs, lists, watches, collection, backup, and a model that it must agree with.

mod backup;
mod collector;
mod concurrency;
mod damage;
mod definitions;
mod faults;
mod groups;
mod lists;
mod model;
mod publication;
mod sealed;
mod space;
mod transactions;
mod versions;
mod watches;
mod writes;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api_types::status::Status;
use serde_json::{Value, json};

use crate::guards::Guards;
use crate::registry::{Origin, Registry, Resource};
use crate::request::{Body, DeleteOptions, Part, Patch, Target, WriteOptions, Written};
use crate::space::SpaceLimits;
use crate::state::HistoryLimits;
use crate::store::{OpenOptions, Sources, Store};

const GROUP: &str = "test.example.com";

/// A store in a temporary directory, with the namespaces `default` and `other` and the kinds Widget (namespaced, with a
/// status) and Gadget (cluster-scoped).
struct Bench {
    store: Store,
    dir: tempfile::TempDir,
    history: HistoryLimits,
    clock: Clock,
    guards: Guards,
}

/// Seconds since the start of 2026; each look advances it by one, so that nothing depends on the real clock.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn sources(&self) -> Sources {
        let ticks = self.0.clone();
        let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = move || {
            let seconds = i64::try_from(ticks.fetch_add(1, Ordering::Relaxed)).unwrap();
            start.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap()
        };
        Sources { now: Arc::new(now), ..Sources::system() }
    }
}

impl Bench {
    async fn new() -> Self {
        Self::with_history(HistoryLimits::default()).await
    }

    async fn with_history(history: HistoryLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::default();
        let store = Store::open(options(dir.path(), history, &clock)).unwrap();
        let bench = Self { store, dir, history, clock, guards: Guards::all() };
        for namespace in ["default", "other"] {
            let target = bench.target("namespaces", "", namespace);
            let body = Body::from(json!({"metadata": {"name": namespace}}));
            bench.store.create(&target, body, &WriteOptions::by("test")).await.unwrap();
        }
        for definition in [definition("Widget", "Namespaced"), definition("Gadget", "Cluster")] {
            let target = bench.target(crate::registry::DEFINITIONS, "", "");
            bench.store.create(&target, Body::from(definition), &WriteOptions::by("test")).await.unwrap();
        }
        bench
    }

    async fn reopen(mut self) -> Self {
        self.store.close().await;
        let options = options(self.dir.path(), self.history, &self.clock);
        self.store = Store::open(OpenOptions { guards: self.guards, ..options }).unwrap();
        self
    }

    fn resource(&self, key: &str) -> Arc<Resource> {
        self.store.registry().get(key).unwrap_or_else(|| panic!("{key} is not served")).clone()
    }

    fn target(&self, resource: &str, namespace: &str, name: &str) -> Target {
        Target::new(&self.resource(resource), namespace, name)
    }

    fn widget(&self, name: &str) -> Target {
        self.target("widgets.test.example.com", "default", name)
    }

    async fn create(&self, name: &str, spec: Value) -> Result<Written, Status> {
        self.create_with(name, json!({}), spec).await
    }

    async fn create_with(&self, name: &str, mut metadata: Value, spec: Value) -> Result<Written, Status> {
        metadata["name"] = Value::from(name);
        self.store.create(&self.widget(name), widget_body(metadata, spec), &WriteOptions::by("test")).await
    }

    async fn merge(&self, target: &Target, part: Part, patch: Value) -> Result<Written, Status> {
        self.store.patch(target, part, &Patch::Merge(patch), &WriteOptions::by("test")).await
    }

    async fn delete(&self, target: &Target) -> Result<Written, Status> {
        self.store.delete(target, &DeleteOptions::default()).await
    }

    fn names(&self) -> Vec<String> {
        self.store.state().objects_from("widgets.test.example.com", "").map(|object| object.key().to_owned()).collect()
    }
}

fn widget_body(metadata: Value, spec: Value) -> Body {
    Body::from(json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": metadata, "spec": spec}))
}

fn options(dir: &Path, history: HistoryLimits, clock: &Clock) -> OpenOptions {
    // Files that are written anew get so little of the history that it matters.
    let space = SpaceLimits { history_events_max: 5, ..SpaceLimits::default() };
    OpenOptions { history, space, sources: clock.sources(), ..OpenOptions::new(dir, built_in()) }
}

/// Options for a store that is not on a disk.
fn memory_options(clock: &Clock) -> OpenOptions {
    options(Path::new(""), HistoryLimits::default(), clock)
}

fn built_in() -> Registry {
    let kinds = [
        ("", "v1", "Namespace", "namespaces", "Cluster"),
        ("", "v1", "Event", "events", "Namespaced"),
        ("", "v1", "Secret", "secrets", "Namespaced"),
        ("", "v1", "ConfigMap", "configmaps", "Namespaced"),
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "Cluster"),
    ];
    Registry::new(kinds.map(|(group, version, kind, plural, scope)| {
        let spec = json!({
            "group": group, "scope": scope, "names": {"kind": kind, "plural": plural},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        });
        Resource::compile(&serde_json::from_value(spec).unwrap(), Origin::BuiltIn).unwrap()
    }))
}

fn definition(kind: &str, scope: &str) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": scope, "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "default": 1},
                        "text": {"type": "string"},
                        "ttlAfterFinished": {"type": "string"},
                    }},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}
