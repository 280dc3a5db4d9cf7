//! What is decided about a namespace, and that on a store it takes everything with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::is_true;
use api_types::kind::Object;
use api_types::kinds::built_in::namespace::{Namespace, NamespacePhase};
use api_types::status::Reason;
use jiff::Timestamp;
use ports::clock::SystemClock;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Action, CONTENT_REMAINING, Contents, FINALIZERS_REMAINING, Namespaces};
use crate::runtime::controller::ControllerOptions;
use crate::runtime::guards::Guards;
use crate::runtime::manager::Manager;
use crate::runtime::objects::conformance::{WIDGETS, widget};
use crate::runtime::objects::store_objects::StoreObjects;
use crate::runtime::objects::tests::real;
use crate::runtime::objects::{ObjectKey, Objects};
use crate::runtime::reconciler::{Next, Reconciler as _};

fn namespace(deleted: bool, finalizers: &[&str]) -> Object<Namespace> {
    let mut value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"},
        "spec": {"finalizers": finalizers}});
    if deleted {
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    serde_json::from_value(value).unwrap()
}

fn contents(count: usize, untouched: usize, finalizers: usize) -> Contents {
    let counted = |name: &str, count: usize| BTreeMap::from_iter((count > 0).then(|| (name.to_owned(), count)));
    Contents { resources: counted("widgets", count), finalizers: counted("hold", finalizers), untouched }
}

#[test]
fn what_is_decided() {
    let cases = [
        ("it stays", false, &["kubernetes"][..], contents(0, 0, 0), NamespacePhase::Active, None, Next::OnChange),
        (
            "it has contents",
            true,
            &["kubernetes"],
            contents(3, 2, 0),
            NamespacePhase::Terminating,
            Some(Action::DeleteContents),
            Next::Now,
        ),
        (
            "its contents are going",
            true,
            &["kubernetes"],
            contents(1, 0, 1),
            NamespacePhase::Terminating,
            None,
            Next::After(super::POLL),
        ),
        (
            "it is empty",
            true,
            &["kubernetes"],
            contents(0, 0, 0),
            NamespacePhase::Terminating,
            Some(Action::Finalize),
            Next::OnChange,
        ),
        (
            "others have not finished",
            true,
            &["theirs"],
            contents(0, 0, 0),
            NamespacePhase::Terminating,
            None,
            Next::OnChange,
        ),
    ];
    for (name, deleted, finalizers, seen, phase, action, next) in cases {
        let decision = Namespaces::decide(&namespace(deleted, finalizers), &seen, Timestamp::UNIX_EPOCH);
        assert_eq!((decision.status.phase, decision.action, decision.next), (Some(phase), action, next), "{name}");
        assert_eq!(is_true(&decision.status.conditions, CONTENT_REMAINING), !seen.resources.is_empty(), "{name}");
        assert_eq!(is_true(&decision.status.conditions, FINALIZERS_REMAINING), !seen.finalizers.is_empty(), "{name}");
    }
}

#[test]
fn the_conditions_name_what_is_left() {
    let decision = Namespaces::decide(&namespace(true, &["kubernetes"]), &contents(3, 0, 2), Timestamp::UNIX_EPOCH);
    let messages: Vec<_> = decision.status.conditions.iter().map(|condition| &*condition.message).collect();
    assert_eq!(
        messages,
        [
            "Some resources are remaining: widgets has 3 resource instances.",
            "Some content in the namespace has finalizers remaining: hold in 2 resource instances.",
        ]
    );
}

async fn until_gone(objects: &Arc<dyn Objects>, key: &ObjectKey) {
    let gone = async {
        while objects.get(key).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
}

#[tokio::test]
async fn a_namespace_takes_its_contents_with_it_and_leaves_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = real(dir.path()).await;
    let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
    let example: serde_json::Value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "example"}});
    let namespace = objects.create("namespaces", example).await.unwrap();
    let mut held = None;
    for index in 0..20 {
        let mut widget = widget(&format!("widget-{index}"));
        objects.create(WIDGETS, widget.clone()).await.unwrap();
        widget["metadata"]["namespace"] = json!("example");
        if index == 0 {
            widget["metadata"]["finalizers"] = json!(["test.example.com/hold"]);
            held = Some(objects.create(WIDGETS, widget).await.unwrap());
        } else {
            objects.create(WIDGETS, widget).await.unwrap();
        }
    }
    let mut manager =
        Manager::new(objects.clone(), Arc::new(SystemClock), &mut Registry::default(), None, Guards::all());
    manager.register(Namespaces::new(objects.clone()), ControllerOptions::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { manager.run(stop).await }
    });
    objects.delete(&namespace.key, None).await.unwrap();
    let late = json!({"apiVersion": "test.example.com/v1", "kind": "Widget",
        "metadata": {"name": "late", "namespace": "example"}, "spec": {}});
    assert_eq!(objects.create(WIDGETS, late).await.unwrap_err().reason, Some(Reason::Forbidden));
    until_gone(&objects, &ObjectKey::new(WIDGETS, "example", "widget-19")).await;
    let held = objects.get(&held.unwrap().key).await.unwrap();
    assert!(held.is_being_deleted());
    assert!(objects.get(&namespace.key).await.is_ok(), "the namespace waits for the finalizer");
    let mut released = held.value.clone();
    released["metadata"]["finalizers"] = json!([]);
    objects.update(&held.key, released).await.unwrap();
    until_gone(&objects, &namespace.key).await;
    assert_eq!(objects.list(WIDGETS, None).await.unwrap().objects.len(), 20, "those of the other namespace");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    store.close().await;
}

#[test]
fn the_example_is_a_namespace() {
    let text = include_str!("example.yaml");
    assert!(text.starts_with("apiVersion: v1\nkind: Namespace\n"));
}
