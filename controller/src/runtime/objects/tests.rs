//! Both stores keep the contract; keys and versions are compared as they should be.

use std::sync::Arc;

use api_types::status::Reason;
use jiff::Timestamp;
use ports::clock::FakeClock;
use serde_json::{Value, json};
use store::registry::{DEFINITIONS, Origin, Registry, Resource};
use store::request::{Body, Target, WriteOptions};
use store::store::{OpenOptions, Store};

use super::conformance::{WIDGETS, check, widget};
use super::memory::{MemoryObjects, SharedMemory};
use super::store_objects::StoreObjects;
use super::{ObjectKey, Objects, ServedResource, StoredObject};

fn memory(history: usize) -> Arc<dyn Objects> {
    let served = ServedResource {
        resource: WIDGETS.into(),
        api_version: "test.example.com/v1".to_owned(),
        kind: "Widget".to_owned(),
        namespaced: true,
    };
    let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
    Arc::new(SharedMemory(Arc::new(MemoryObjects::new(vec![served], clock, history))))
}

fn built_in() -> Registry {
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
        Resource::compile(&serde_json::from_value(spec).unwrap(), Origin::BuiltIn).unwrap()
    }))
}

pub(crate) async fn real(dir: &std::path::Path) -> Store {
    let store = Store::open(OpenOptions::new(dir, built_in())).unwrap();
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({"metadata": {"name": WIDGETS}, "spec": {
        "group": "test.example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}}}],
    }});
    for (resource, body) in [("namespaces", json!({"metadata": {"name": "default"}})), (DEFINITIONS, definition)] {
        let target = Target::new(store.registry().get(resource).unwrap(), "", "");
        store.create(&target, Body::from(body), &WriteOptions::by("test")).await.unwrap();
    }
    store
}

#[tokio::test]
async fn the_store_in_memory_conforms() {
    check(&memory(1000)).await;
}

#[tokio::test]
async fn the_real_store_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
    check(&objects).await;
    store.close().await;
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told_to_list_again() {
    let objects = memory(3);
    let mut watch = objects.watch(WIDGETS, 0).await.unwrap();
    for index in 0..5 {
        objects.create(WIDGETS, widget(&format!("widget-{index}"))).await.unwrap();
    }
    assert_eq!(watch.next().await.unwrap_err().reason, Some(Reason::Expired));
    assert_eq!(objects.watch(WIDGETS, 0).await.err().unwrap().reason, Some(Reason::Expired));
}

#[tokio::test]
async fn children_go_with_their_owner() {
    let objects = memory(100);
    let owner = objects.create(WIDGETS, widget("owner")).await.unwrap();
    let mut child = widget("child");
    child["metadata"]["ownerReferences"] = json!([owner.as_owner()]);
    objects.create(WIDGETS, child).await.unwrap();
    objects.delete(&owner.key, None).await.unwrap();
    assert!(objects.list(WIDGETS, None).await.unwrap().objects.is_empty());
}

#[test]
fn keys_know_their_parts() {
    let namespaced = ObjectKey::new("widgets", "default", "a");
    assert_eq!((namespaced.namespace(), namespaced.name(), &*namespaced.key), ("default", "a", "default/a"));
    let cluster = ObjectKey::new("hosts", "", "a");
    assert_eq!((cluster.namespace(), cluster.name(), &*cluster.key), ("", "a", "a"));
}

#[test]
fn only_a_difference_in_the_status_is_an_echo() {
    let base = json!({"metadata": {"name": "a", "generation": 1, "resourceVersion": "1"}, "spec": {}, "status": {}});
    let cases: [(&str, Value, bool); 6] = [
        ("/metadata/resourceVersion", json!("2"), false),
        ("/status", json!({"x": 1}), false),
        ("/metadata/generation", json!(2), true),
        ("/metadata/labels", json!({"a": "b"}), true),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"), true),
        ("/spec", json!({"x": 1}), true),
    ];
    let old = StoredObject::new("widgets", base.clone()).unwrap();
    for (path, value, differs) in cases {
        let mut changed = base.clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        let new = StoredObject::new("widgets", changed).unwrap();
        assert_eq!(new.differs_beyond_status(&old), differs, "{path}");
    }
}
