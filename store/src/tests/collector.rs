//! The collector: owners and dependents, definitions, time to live.

use serde_json::{Value, json};

use super::Bench;
use crate::collector::{Collector, CollectorOptions};
use crate::object::Object;
use crate::request::{DeleteOptions, Outcome, Part, Propagation};

fn owned_by(owners: &[(&Object, bool)]) -> Value {
    let references: Vec<Value> = owners
        .iter()
        .map(|(owner, blocks)| {
            json!({"apiVersion": "test.example.com/v1", "kind": "Widget", "name": owner.name(), "uid": owner.uid(),
                "blockOwnerDeletion": blocks})
        })
        .collect();
    json!({"ownerReferences": references})
}

async fn family() -> Bench {
    let bench = Bench::new().await;
    let parent = bench.create("parent", json!({})).await.unwrap().object;
    let child = bench.create_with("child", owned_by(&[(&parent, true)]), json!({})).await.unwrap().object;
    bench.create_with("grandchild", owned_by(&[(&child, true)]), json!({})).await.unwrap();
    bench
}

fn collector(bench: &Bench) -> Collector {
    Collector::new(bench.store.clone(), CollectorOptions::default())
}

async fn delete(bench: &Bench, name: &str, propagation: Propagation) -> Outcome {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    bench.store.delete(&bench.widget(name), &options).await.unwrap().outcome
}

#[tokio::test]
async fn dependents_follow_their_owner_in_the_background() {
    let bench = family().await;
    let mut collector = collector(&bench);
    assert_eq!(delete(&bench, "parent", Propagation::Background).await, Outcome::Deleted);
    collector.collect().await;
    assert!(bench.names().is_empty());
}

#[tokio::test]
async fn dependents_go_first_in_the_foreground() {
    let bench = family().await;
    let mut collector = collector(&bench);
    let hold = json!({"metadata": {"finalizers": ["test.example.com/hold"]}});
    bench.merge(&bench.widget("grandchild"), Part::Whole, hold).await.unwrap();
    assert_eq!(delete(&bench, "parent", Propagation::Foreground).await, Outcome::Deleting);
    collector.collect().await;
    assert_eq!(bench.names(), ["default/child", "default/grandchild", "default/parent"]);
    bench.merge(&bench.widget("grandchild"), Part::Whole, json!({"metadata": {"finalizers": null}})).await.unwrap();
    collector.collect().await;
    assert!(bench.names().is_empty());
}

#[tokio::test]
async fn orphans_forget_their_owner_and_stay() {
    let bench = family().await;
    let mut collector = collector(&bench);
    assert_eq!(delete(&bench, "parent", Propagation::Orphan).await, Outcome::Deleting);
    collector.collect().await;
    assert_eq!(bench.names(), ["default/child", "default/grandchild"]);
    let child = bench.store.get(&bench.widget("child").resource, "default/child").unwrap();
    assert!(child.owner_uids().is_empty());
}

#[tokio::test]
async fn one_of_two_owners_keeps_an_object_and_the_reference_to_the_other_goes() {
    let bench = Bench::new().await;
    let one = bench.create("one", json!({})).await.unwrap().object;
    let two = bench.create("two", json!({})).await.unwrap().object;
    bench.create_with("shared", owned_by(&[(&one, false), (&two, false)]), json!({})).await.unwrap();
    let mut collector = collector(&bench);
    delete(&bench, "one", Propagation::Background).await;
    collector.collect().await;
    let shared = bench.store.get(&bench.widget("shared").resource, "default/shared").unwrap();
    assert_eq!(shared.owner_uids(), [two.uid()]);
    delete(&bench, "two", Propagation::Background).await;
    collector.collect().await;
    assert!(bench.names().is_empty());
}

#[tokio::test]
async fn an_owner_of_another_life_is_no_owner() {
    let bench = family().await;
    delete(&bench, "parent", Propagation::Background).await;
    bench.create("parent", json!({})).await.unwrap();
    let bench = bench.reopen().await;
    collector(&bench).collect().await;
    assert_eq!(bench.names(), ["default/parent"]);
}

#[tokio::test]
async fn a_definition_takes_its_objects_with_it() {
    let bench = family().await;
    let mut collector = collector(&bench);
    let definition = bench.target(crate::registry::DEFINITIONS, "", "widgets.test.example.com");
    bench.delete(&definition).await.unwrap();
    for _ in 0..3 {
        collector.collect().await;
    }
    assert!(bench.store.registry().get("widgets.test.example.com").is_none());
    assert_eq!(bench.store.state().count("widgets.test.example.com"), 0);
}

#[tokio::test]
async fn events_are_gone_an_hour_after_they_were_last_seen() {
    let bench = Bench::new().await;
    let event = |name: &str, last: &str| json!({"metadata": {"name": name}, "lastTimestamp": last, "involvedObject": {"namespace": "default"}});
    let options = crate::request::WriteOptions::by("test");
    for (name, last) in [("once", "2026-01-01T00:00:00Z"), ("again", "2026-01-01T00:30:00Z")] {
        let target = bench.target("events", "default", name);
        bench.store.create(&target, crate::request::Body::from(event(name, last)), &options).await.unwrap();
    }
    let mut collector = collector(&bench);
    let left = || -> Vec<String> {
        bench.store.state().objects_from("events", "").map(|event| event.name().to_owned()).collect()
    };
    collector.collect().await;
    assert_eq!(left(), ["again", "once"]);
    bench.clock.advance(3600);
    collector.collect().await;
    assert_eq!(left(), ["again"]);
    bench.clock.advance(1800);
    collector.collect().await;
    assert_eq!(left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_finished_run_is_gone_when_its_time_to_live_is_over() {
    let bench = Bench::new().await;
    let run = json!({"ttlAfterFinished": "10m"});
    for name in ["finished", "running", "forever"] {
        let spec = if name == "forever" { json!({}) } else { run.clone() };
        bench.create(name, spec).await.unwrap();
        let verdict = if name == "running" { "Unknown" } else { "True" };
        let condition = json!({"type": "Succeeded", "status": verdict, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"status": {"conditions": [condition]}});
        bench.merge(&bench.widget(name), Part::Status, status).await.unwrap();
    }
    let mut collector = collector(&bench);
    collector.collect().await;
    assert_eq!(bench.names(), ["default/finished", "default/forever", "default/running"]);
    bench.clock.advance(600);
    collector.collect().await;
    assert_eq!(bench.names(), ["default/forever", "default/running"]);
}
