//! Many clients at once: what each was told, and what watchers saw, must be one history.

use std::collections::BTreeMap;

use serde_json::json;

use super::Bench;
use crate::guards::{Guard, Guards};
use crate::request::{Outcome, Part, Patch, WriteOptions};
use crate::selector::Selector;
use crate::state::EventKind;
use crate::watch::{Watch, WatchItem, WatchRequest, WatchStart};

/// Lets 32 writers add 10 each to one object and returns what came of it.
async fn storm(bench: &Bench) -> i64 {
    bench.create("a", json!({"size": 0})).await.unwrap();
    let target = bench.widget("a");
    let writers = (0..32).map(|_| {
        let (store, target) = (bench.store.clone(), target.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                let increment = Patch::Function(Box::new(|value| {
                    let mut value = value.clone();
                    value["spec"]["size"] = json!(value["spec"]["size"].as_i64().unwrap() + 1);
                    Ok(value)
                }));
                store.patch(&target, Part::Whole, &increment, &WriteOptions::by("test")).await.unwrap();
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    bench.store.get(&target.resource, "default/a").unwrap().value()["spec"]["size"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_patches_on_one_object_loses_none() {
    assert_eq!(storm(&Bench::new().await).await, 320);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_last_look_at_races_patches_are_lost() {
    let mut bench = Bench::new().await;
    bench.guards = Guards::without(Guard::CheckExpectations);
    assert!(storm(&bench.reopen().await).await < 320);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn watchers_that_come_and_go_see_one_history() {
    let bench = Bench::new().await;
    let start = bench.store.state().revision;
    let resource = bench.resource("widgets.test.example.com");
    let watchers: Vec<_> = (0..8)
        .map(|number| {
            let request = WatchRequest {
                resource: resource.clone(),
                namespace: None,
                selector: Selector::default(),
                start: WatchStart::After(start),
            };
            let store = bench.store.clone();
            tokio::spawn(async move { follow(store, request, number).await })
        })
        .collect();
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let store = bench.store.clone();
            let targets: Vec<_> = (0..4).map(|index| bench.widget(&format!("w{index}"))).collect();
            tokio::spawn(async move {
                let mut told = Vec::new();
                for round in 0..60_usize {
                    let target = &targets[(round * 7 + number) % targets.len()];
                    let body = super::widget_body(json!({"name": target.name}), json!({"size": round}));
                    let options = WriteOptions::by("test");
                    let written = match round % 3 {
                        0 => store.create(target, body, &options).await,
                        1 => {
                            let patch = Patch::Merge(json!({"spec": {"size": number * 1000 + round}}));
                            store.patch(target, Part::Whole, &patch, &options).await
                        }
                        _ => store.delete(target, &crate::request::DeleteOptions::default()).await,
                    };
                    if let Ok(written) = written
                        && written.outcome != Outcome::Unchanged
                    {
                        told.push(written.object.revision);
                    }
                }
                told
            })
        })
        .collect();
    let mut told: Vec<u64> = Vec::new();
    for writer in writers {
        told.extend(writer.await.unwrap());
    }
    told.sort_unstable();
    let end = bench.create("end", json!({})).await.unwrap().object.revision;
    told.push(end);
    for watcher in watchers {
        let seen = watcher.await.unwrap();
        assert_eq!(seen, told);
    }
}

/// Follows until the object `end` appears, breaking off and resuming now and then; returns the revisions seen after
/// checking that the events fit together.
async fn follow(store: crate::store::Store, mut request: WatchRequest, number: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut live: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let mut watch: Watch = store.watch(request.clone()).unwrap();
        for _ in 0..=number {
            for item in watch.next().await.unwrap() {
                let WatchItem::Change(change) = item else { continue };
                let (name, revision) = (change.object.name().to_owned(), change.object.revision);
                assert!(seen.last().is_none_or(|last| *last < revision), "revisions go up");
                seen.push(revision);
                let before = match change.kind {
                    EventKind::Deleted => live.remove(&name),
                    EventKind::Added | EventKind::Modified => live.insert(name.clone(), revision),
                };
                assert_eq!(before.is_none(), change.kind == EventKind::Added, "{name} {:?}", change.kind);
                if name == "end" {
                    return seen;
                }
            }
        }
        request.start = WatchStart::After(*seen.last().unwrap());
    }
}
