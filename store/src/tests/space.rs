//! Rewriting the files: they shrink, nothing is lost, writes go on.

use std::sync::Arc;

use serde_json::json;

use super::Bench;
use crate::backup::verify;
use crate::request::Part;
use crate::selector::Selector;
use crate::state::{HistoryLimits, State};
use crate::watch::{WatchRequest, WatchStart};

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
