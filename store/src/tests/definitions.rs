//! Definitions that ask for the same names: the first has them, the others wait, as in Kubernetes.

use std::sync::Arc;

use api_types::status::Reason;
use serde_json::{Value, json};

use super::Bench;
use crate::collector::{Collector, CollectorOptions};
use crate::registry::DEFINITIONS;
use crate::request::{Body, Part, WriteOptions};
use crate::selector::Selector;
use crate::watch::{WatchItem, WatchRequest, WatchStart};

fn asks_for(group: &str, names: Value) -> Value {
    let plural = names["plural"].as_str().unwrap().to_owned();
    json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        }]},
    })
}

async fn define(bench: &Bench, definition: Value) -> Result<(), api_types::status::Status> {
    let target = bench.target(DEFINITIONS, "", "");
    bench.store.create(&target, Body::from(definition), &WriteOptions::by("test")).await.map(drop)
}

/// Status, reason and message of both conditions, and whether the resource is served.
fn verdict(bench: &Bench, name: &str) -> (Vec<String>, bool) {
    let object = bench.store.get(&bench.resource(DEFINITIONS), name).unwrap();
    let value = object.value();
    let text = |condition: &Value| {
        let part = |name: &str| condition[name].as_str().unwrap().to_owned();
        format!("{}={} {}: {}", part("type"), part("status"), part("reason"), part("message"))
    };
    let conditions = value["status"]["conditions"].as_array().unwrap().iter().map(text).collect();
    (conditions, bench.store.registry().get(name).is_some())
}

fn accepted() -> (Vec<String>, bool) {
    let conditions = [
        "NamesAccepted=True NoConflicts: no conflicts found",
        "Established=True InitialNamesAccepted: the initial names have been accepted",
    ];
    (conditions.map(str::to_owned).to_vec(), true)
}

fn waiting(reason: &str, name: &str) -> (Vec<String>, bool) {
    let conditions = [
        format!("NamesAccepted=False {reason}: \"{name}\" is already in use"),
        "Established=False NotAccepted: not all names are accepted".to_owned(),
    ];
    (conditions.to_vec(), false)
}

async fn collect(bench: &Bench) {
    let mut collector = Collector::new(bench.store.clone(), CollectorOptions::default());
    for _ in 0..3 {
        collector.collect().await;
    }
}

#[tokio::test]
async fn a_taken_name_is_refused_and_named() {
    let bench = Bench::new().await;
    let taken = json!({"plural": "tools", "kind": "Tool", "singular": "tool", "shortNames": ["tl"]});
    define(&bench, asks_for("names.example.com", taken)).await.unwrap();
    assert_eq!(verdict(&bench, "tools.names.example.com"), accepted());
    let cases = [
        (json!({"plural": "a", "kind": "Tool"}), "ListKindConflict", "ToolList"),
        (json!({"plural": "f", "kind": "Tool", "singular": "f", "listKind": "FList"}), "KindConflict", "Tool"),
        (json!({"plural": "b", "kind": "B", "listKind": "ToolList"}), "ListKindConflict", "ToolList"),
        (json!({"plural": "c", "kind": "C", "singular": "tl"}), "SingularConflict", "tl"),
        (json!({"plural": "d", "kind": "D", "shortNames": ["x", "tools"]}), "ShortNamesConflict", "tools"),
        (json!({"plural": "tl", "kind": "E"}), "PluralConflict", "tl"),
    ];
    for (names, reason, name) in cases {
        let key = format!("{}.names.example.com", names["plural"].as_str().unwrap());
        define(&bench, asks_for("names.example.com", names)).await.unwrap();
        assert_eq!(verdict(&bench, &key), waiting(reason, name), "{key}");
    }
    let elsewhere = json!({"plural": "tools", "kind": "Tool", "shortNames": ["tl"]});
    define(&bench, asks_for("other.example.com", elsewhere)).await.unwrap();
    assert_eq!(verdict(&bench, "tools.other.example.com"), accepted());
    let bench = bench.reopen().await;
    assert_eq!(verdict(&bench, "a.names.example.com"), waiting("ListKindConflict", "ToolList"));
    assert_eq!(verdict(&bench, "tools.names.example.com"), accepted());
}

#[tokio::test]
async fn the_next_in_line_is_accepted_when_the_winner_goes() {
    let bench = Bench::new().await;
    for plural in ["firsts", "seconds", "thirds"] {
        let names = json!({"plural": plural, "kind": "Thing"});
        define(&bench, asks_for("names.example.com", names)).await.unwrap();
    }
    let body = json!({"apiVersion": "names.example.com/v1", "kind": "Thing", "metadata": {"name": "one"}});
    let object = bench.target("firsts.names.example.com", "default", "one");
    bench.store.create(&object, Body::from(body), &WriteOptions::by("test")).await.unwrap();
    collect(&bench).await;
    assert_eq!(verdict(&bench, "seconds.names.example.com"), waiting("ListKindConflict", "ThingList"));
    bench.delete(&bench.target(DEFINITIONS, "", "firsts.names.example.com")).await.unwrap();
    collect(&bench).await;
    assert!(bench.store.registry().get("firsts.names.example.com").is_none());
    let verdicts = ["seconds", "thirds"].map(|plural| verdict(&bench, &format!("{plural}.names.example.com")));
    let winners = verdicts.iter().filter(|verdict| **verdict == accepted()).count();
    assert!(winners == 1 && verdicts.contains(&waiting("ListKindConflict", "ThingList")), "{verdicts:?}");
}

#[tokio::test]
async fn one_that_waits_can_be_deleted() {
    let bench = Bench::new().await;
    for plural in ["firsts", "seconds"] {
        let names = json!({"plural": plural, "kind": "Thing"});
        define(&bench, asks_for("names.example.com", names)).await.unwrap();
    }
    bench.delete(&bench.target(DEFINITIONS, "", "seconds.names.example.com")).await.unwrap();
    collect(&bench).await;
    assert!(bench.store.get(&bench.resource(DEFINITIONS), "seconds.names.example.com").is_none());
    assert_eq!(verdict(&bench, "firsts.names.example.com"), accepted());
}

#[tokio::test]
async fn one_that_is_served_keeps_its_names_while_it_asks_for_taken_ones() {
    let bench = Bench::new().await;
    for (plural, kind) in [("firsts", "First"), ("seconds", "Second")] {
        define(&bench, asks_for("names.example.com", json!({"plural": plural, "kind": kind}))).await.unwrap();
    }
    let second = bench.target(DEFINITIONS, "", "seconds.names.example.com");
    let patch = json!({"spec": {"names": {"kind": "First", "shortNames": ["sec"]}}});
    bench.merge(&second, Part::Whole, patch).await.unwrap();
    let (conditions, is_served) = verdict(&bench, "seconds.names.example.com");
    assert_eq!(conditions[0], "NamesAccepted=False KindConflict: \"First\" is already in use");
    assert!(conditions[1].starts_with("Established=True") && is_served);
    let resource = bench.resource("seconds.names.example.com");
    assert_eq!((&*resource.names.kind, &*resource.short_names), ("Second", &["sec".to_owned()][..]));
    bench.delete(&bench.target(DEFINITIONS, "", "firsts.names.example.com")).await.unwrap();
    collect(&bench).await;
    assert_eq!(verdict(&bench, "seconds.names.example.com"), accepted());
    assert_eq!(bench.resource("seconds.names.example.com").names.kind, "First");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_ask_at_once_one_wins() {
    let bench = Arc::new(Bench::new().await);
    let asking = (0..16).map(|number| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let definition = asks_for("names.example.com", json!({"plural": format!("p{number}"), "kind": "Thing"}));
            loop {
                match define(&bench, definition.clone()).await {
                    Err(status) if status.reason == Some(Reason::Conflict) => {}
                    other => return other.unwrap(),
                }
            }
        })
    });
    futures::future::join_all(asking).await.into_iter().for_each(|asked| asked.unwrap());
    let served = bench.store.registry().iter().filter(|resource| resource.names.kind == "Thing").count();
    assert_eq!(served, 1);
    assert_eq!(bench.store.state().count(DEFINITIONS), 2 + 16);
}

#[tokio::test]
async fn a_watch_ends_with_its_kind_and_hears_of_every_object_before() {
    let bench = Bench::new().await;
    define(&bench, asks_for("names.example.com", json!({"plural": "tools", "kind": "Tool"}))).await.unwrap();
    let object = bench.target("tools.names.example.com", "default", "one");
    let body = json!({"apiVersion": "names.example.com/v1", "kind": "Tool", "metadata": {"name": "one"}});
    bench.store.create(&object, Body::from(body), &WriteOptions::by("test")).await.unwrap();
    let watch = |namespace: &str| {
        let request = WatchRequest {
            resource: object.resource.clone(),
            namespace: Some(namespace.to_owned()),
            selector: Selector::default(),
            start: WatchStart::After(bench.store.state().revision),
        };
        let mut watch = bench.store.watch(request).unwrap();
        async move {
            let mut seen = Vec::new();
            loop {
                match watch.next().await {
                    Ok(items) => seen.extend(items.into_iter().map(|item| match item {
                        WatchItem::Change(change) => format!("{} {}", change.kind.word(), change.object.name()),
                        WatchItem::Synced(_) => panic!("no sync was asked for"),
                    })),
                    Err(status) => {
                        seen.push(status.message);
                        return seen;
                    }
                }
            }
        }
    };
    let (busy, quiet) = (watch("default"), watch("other"));
    let end = async {
        bench.delete(&bench.target(DEFINITIONS, "", "tools.names.example.com")).await.unwrap();
        collect(&bench).await;
    };
    // They wait before anything happens, and are woken.
    let (busy, quiet, ()) = tokio::join!(busy, quiet, end);
    let gone = "tools.names.example.com is served no more";
    assert_eq!((busy, quiet), (vec!["DELETED one".to_owned(), gone.to_owned()], vec![gone.to_owned()]));
}
