//! Rewriting the files: they shrink, nothing is lost, writes go on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Bench, Clock, memory_options, options};
use crate::backup::verify;
use crate::engine::memory::{Call, MemoryEngine};
use crate::guards::{Guard, Guards};
use crate::request::{Body, Part, Patch, Target, WriteOptions};
use crate::selector::Selector;
use crate::space::SpaceLimits;
use crate::state::{EventKind, HistoryLimits, State};
use crate::store::{JournalLimits, OpenOptions, Store};
use crate::watch::{WatchItem, WatchRequest, WatchStart};

#[tokio::test]
async fn the_files_are_written_anew_while_writes_go_on() {
    let bench = Bench::with_history(HistoryLimits { events_max: 50, bytes_max: 1 << 20 }).await;
    // More than the committer copies by itself.
    for index in 0..700 {
        bench
            .create(&format!("w{index}"), json!({"text": "x".repeat(if index % 5 == 0 { 5000 } else { 5 })}))
            .await
            .unwrap();
    }
    for round in 0..3 {
        let (store, mut size) = (bench.store.clone(), 0);
        let rewriting = tokio::spawn(async move { store.rewrite_files().await });
        while bench.store.figures().generations_total <= round {
            size += 1;
            let name = format!("w{}", size % 700);
            bench.merge(&bench.widget(&name), Part::Whole, json!({"spec": {"size": size + 1}})).await.unwrap();
        }
        rewriting.await.unwrap().unwrap();
    }
    for index in 650..700 {
        bench.delete(&bench.widget(&format!("w{index}"))).await.unwrap();
    }
    let before = bench.store.state();
    let bench = reopened(bench).await;
    assert_eq!(bench.store.state().compacted, before.compacted);
}

#[tokio::test]
async fn files_that_were_written_anew_have_the_newest_changes_only() {
    let mut bench = Bench::with_history(HistoryLimits { events_max: 40, bytes_max: 1 << 20 }).await;
    for index in 0..10 {
        bench.create(&format!("w{index}"), json!({"text": "x".repeat(5000)})).await.unwrap();
    }
    let mut compacted = 0;
    // Changes after the files were written anew: the history in memory forgets none, some, all that they do not have.
    for (round, changes) in [0, 3, 33, 34, 36, 80].into_iter().enumerate() {
        for size in 0..30 {
            let patch = json!({"spec": {"size": round * 100 + size}});
            bench.merge(&bench.widget(&format!("w{}", size % 7)), Part::Whole, patch).await.unwrap();
        }
        bench.store.rewrite_files().await.unwrap();
        let rewritten = bench.store.state().revision;
        for change in 0..changes {
            // One goes for good; each of the others goes and comes again.
            let name = if change == 0 { "w9".to_owned() } else { format!("w{}", (change - 1) / 2 % 9) };
            if change == 0 || change % 2 == 1 {
                bench.delete(&bench.widget(&name)).await.unwrap();
            } else {
                bench.create(&name, json!({"size": change})).await.unwrap();
            }
        }
        let state = bench.store.state();
        // In memory nothing is missing.
        assert_eq!(state.compacted, compacted.max(state.revision.saturating_sub(40)), "{changes} changes");
        bench = reopened(bench).await;
        compacted = state.compacted.max(rewritten - 5);
        assert_eq!(bench.store.state().compacted, compacted, "{changes} changes");
        for (revision, is_there) in [(compacted, true), (compacted - 1, false)] {
            let resource = bench.resource("widgets.test.example.com");
            let (start, selector) = (WatchStart::After(revision), Selector::default());
            let watch = bench.store.watch(WatchRequest { resource, namespace: None, selector, start });
            assert_eq!(watch.is_ok(), is_there, "{changes} changes, after {revision}");
        }
        for index in 0..10 {
            // Of what is there this changes nothing.
            let _ = bench.create(&format!("w{index}"), json!({"size": 1})).await;
        }
    }
}

/// Deletes a widget, writes the files anew and restarts; returns what a watch sees that resumes before the deletion.
async fn seen_after_a_rewriting(guards: Guards) -> Vec<(EventKind, String)> {
    let mut bench = Bench::new().await;
    bench.guards = guards;
    let bench = bench.reopen().await;
    for name in ["a", "b"] {
        bench.create(name, json!({})).await.unwrap();
    }
    let before = bench.store.state().revision;
    bench.delete(&bench.widget("a")).await.unwrap();
    bench.merge(&bench.widget("b"), Part::Whole, json!({"spec": {"size": 7}})).await.unwrap();
    bench.store.rewrite_files().await.unwrap();
    let bench = bench.reopen().await;
    let resource = bench.resource("widgets.test.example.com");
    let (start, selector) = (WatchStart::After(before), Selector::default());
    let mut watch = bench.store.watch(WatchRequest { resource, namespace: None, selector, start }).unwrap();
    let changes = watch.take().unwrap().into_iter().filter_map(|item| match item {
        WatchItem::Change(change) => Some((change.kind, change.object.name().to_owned())),
        WatchItem::Synced(_) => None,
    });
    changes.collect()
}

#[tokio::test]
async fn files_that_were_written_anew_have_the_deletions_of_their_history() {
    let all = [(EventKind::Deleted, "a".to_owned()), (EventKind::Modified, "b".to_owned())];
    assert_eq!(seen_after_a_rewriting(Guards::all()).await, all);
    assert_eq!(seen_after_a_rewriting(Guards::without(Guard::KeepDeletions)).await, all[1..]);
}

/// Groups after which the committer has looked at the size on disk once more, and has done what it then does.
const GROUPS_OF_A_LOOK: u64 = 256 + 1;

/// Lets the files be `surplus` bytes larger than the larger of `disk_bytes_min` and three times what a store holds;
/// returns how often they were begun to be written anew.
async fn times_written_anew(disk_bytes_min: u64, surplus: u64) -> u64 {
    let engine = MemoryEngine::default();
    engine.claim_disk_bytes(0);
    let history = HistoryLimits { events_max: 4, bytes_max: 1 << 20 };
    let space = SpaceLimits { disk_bytes_min, ratio_max: 3, history_events_max: 4 };
    let options = OpenOptions { history, space, ..memory_options(&Clock::default()) };
    let store = Store::with_engine(Box::new(engine.clone()), options).unwrap();
    let target = Target::new(store.registry().get("namespaces").unwrap(), "", "default");
    let body = Body::from(json!({"metadata": {"name": "default"}}));
    store.create(&target, body, &WriteOptions::by("test")).await.unwrap();
    // Every number has three digits, and when the history is full so has every revision in it: what is held stays as large
    // as it is then.
    let held = || store.state().live_bytes + store.state().history_bytes as u64;
    let change = async |number: u64| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"number": number.to_string()}}}));
        store.patch(&target, Part::Whole, &patch, &WriteOptions::by("test")).await.unwrap();
    };
    for number in 100..220 {
        change(number).await;
    }
    let full = held();
    engine.claim_disk_bytes(disk_bytes_min.max(3 * full) + surplus);
    for number in 220..220 + GROUPS_OF_A_LOOK {
        change(number).await;
    }
    assert_eq!(held(), full);
    engine.calls(Call::NewGeneration)
}

#[tokio::test]
async fn files_are_written_anew_when_larger_than_the_least_size_and_than_three_times_what_they_hold() {
    for (case, disk_bytes_min, surplus, expected) in [
        ("as large as the least size", 1 << 20, 0, 0),
        ("larger than the least size", 1 << 20, 1, 1),
        ("three times as large as what they hold", 1, 0, 0),
        ("larger than three times what they hold", 1, 1, 1),
    ] {
        assert_eq!(times_written_anew(disk_bytes_min, surplus).await, expected, "{case}");
    }
}

#[tokio::test]
async fn files_are_written_anew_by_themselves() {
    let mut bench = Bench::with_history(HistoryLimits { events_max: 50, bytes_max: 1 << 20 }).await;
    bench.create("a", json!({})).await.unwrap();
    bench.store.close().await;
    let space = SpaceLimits { disk_bytes_min: 1 << 20, ..SpaceLimits::default() };
    // sled has every write soon, as it does when many write.
    let journal = JournalLimits { part_bytes: 64 << 10, apply_bytes: 1, apply_after: Duration::ZERO };
    let options = options(bench.dir.path(), bench.history, &bench.clock);
    bench.store = Store::open(OpenOptions { space, journal, ..options }).unwrap();
    let mut writes = 0;
    while bench.store.figures().generations_total == 0 {
        writes += 1;
        assert!(writes < 20_000, "nobody writes the files anew");
        let spec = json!({"size": writes, "text": "x".repeat(3000)});
        bench.merge(&bench.widget("a"), Part::Whole, json!({"spec": spec})).await.unwrap();
    }
    reopened(bench).await;
}

/// Closes the store and returns it opened again, with the same objects, after its files were found to be whole.
async fn reopened(bench: Bench) -> Bench {
    let before = bench.store.state();
    bench.store.close().await;
    let summary = verify(bench.dir.path(), super::built_in(), &Arc::default()).unwrap();
    assert_eq!(summary.revision, before.revision);
    let bench = bench.reopen().await;
    let contents = |state: &State| -> Vec<bytes::Bytes> {
        let mut all: Vec<_> = state.all_objects().map(|object| object.json()).collect();
        all.sort();
        all
    };
    assert_eq!(contents(&before), contents(&bench.store.state()));
    bench
}
