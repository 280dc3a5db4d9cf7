//! A small world of kinds for tests that need a store and no meaning: namespaces, definitions, and `Widget`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use store::registry::{DEFINITIONS, Origin, Registry, Resource};
use store::request::{Body, Target, WriteOptions};
use store::space::SpaceLimits;
use store::state::HistoryLimits;
use store::store::{JournalLimits, OpenOptions, Store};

/// Key of the resource that holds widgets.
pub const WIDGETS: &str = "widgets.test.example.com";

/// Returns the kinds that are there before any definition.
#[must_use]
pub fn built_in() -> Registry {
    let kinds = [
        ("", "Namespace", "namespaces"),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ];
    Registry::new(kinds.map(|(group, kind, plural)| {
        let spec = json!({
            "group": group, "scope": "Cluster", "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        });
        let spec = serde_json::from_value(spec).expect("the definition above is well-formed");
        Resource::compile(&spec, Origin::BuiltIn).expect("the definition above can be served")
    }))
}

/// Returns options with a short history and a journal that is full after a few writes, for suites that open a store many
/// times and stop it at any moment.
#[must_use]
pub fn short_history(dir: &Path) -> OpenOptions {
    // More than is written between two openings: a watch from the first of them can always go on.
    let history = HistoryLimits { events_max: 20_000, bytes_max: 16 << 20 };
    let space = SpaceLimits { disk_bytes_min: 16 << 20, ..SpaceLimits::default() };
    let journal = JournalLimits { part_bytes: 16 << 10, apply_bytes: 8 << 10, apply_after: Duration::from_millis(5) };
    OpenOptions { history, space, journal, ..OpenOptions::new(dir, built_in()) }
}

/// Opens the store in `dir`; on first use it makes the namespace `default` and the kind `Widget`.
///
/// # Errors
/// What the store says.
pub async fn open(dir: &Path) -> anyhow::Result<Store> {
    open_with(OpenOptions::new(dir, built_in())).await
}

/// Opens a store as [`open`] does, with other options.
///
/// # Errors
/// What the store says.
pub async fn open_with(options: OpenOptions) -> anyhow::Result<Store> {
    let store = Store::open(options)?;
    ensure(&store, "namespaces", "default", json!({"metadata": {"name": "default"}})).await?;
    ensure(&store, DEFINITIONS, WIDGETS, definition()).await?;
    Ok(store)
}

async fn ensure(store: &Store, resource: &str, name: &str, body: Value) -> anyhow::Result<()> {
    let registry = store.registry();
    let resource = registry.get(resource).expect("built in");
    if store.get(resource, name).is_none() {
        store.create(&Target::new(resource, "", name), Body::from(body), &WriteOptions::by("test")).await?;
    }
    Ok(())
}

/// Returns the widget `name` as a target.
#[must_use]
pub fn widget(store: &Store, name: &str) -> Target {
    Target::new(store.registry().get(WIDGETS).expect("defined at open"), "default", name)
}

/// Returns the body of the widget `name` with `spec`.
#[must_use]
pub fn body(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "test.example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// Returns the whole definition of widgets, for servers that are started with definitions.
#[must_use]
pub fn definition_object() -> Value {
    let mut object = definition();
    object["apiVersion"] = json!("apiextensions.k8s.io/v1");
    object["kind"] = json!("CustomResourceDefinition");
    object
}

fn definition() -> Value {
    json!({
        "metadata": {"name": WIDGETS},
        "spec": {
            "group": "test.example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}},
            }],
        },
    })
}
