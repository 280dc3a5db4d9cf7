//! Rewriting the files: they shrink, nothing is lost, writes go on.

use std::sync::Arc;

use serde_json::json;

use super::Bench;
use crate::backup::verify;
use crate::request::Part;
use crate::state::HistoryLimits;

#[tokio::test]
async fn the_files_are_written_anew_while_writes_go_on() {
    let bench = Bench::with_history(HistoryLimits { events_max: 50, bytes_max: 1 << 20 }).await;
    for index in 0..200 {
        bench.create(&format!("w{index}"), json!({"text": "x".repeat(5000)})).await.unwrap();
    }
    for round in 0..3 {
        let (store, mut size) = (bench.store.clone(), 0);
        let rewriting = tokio::spawn(async move { store.rewrite_files().await });
        while bench.store.figures().generations_total <= round {
            size += 1;
            let name = format!("w{}", size % 200);
            bench.merge(&bench.widget(&name), Part::Whole, json!({"spec": {"size": size + 1}})).await.unwrap();
        }
        rewriting.await.unwrap().unwrap();
    }
    for index in 150..200 {
        bench.delete(&bench.widget(&format!("w{index}"))).await.unwrap();
    }
    let before = bench.store.state();
    bench.store.close().await;
    let summary = verify(bench.dir.path(), super::built_in(), &Arc::default()).unwrap();
    assert_eq!(summary.revision, before.revision);
    let bench = bench.reopen().await;
    let after = bench.store.state();
    assert_eq!(after.compacted, before.compacted);
    let contents = |state: &crate::state::State| -> Vec<bytes::Bytes> {
        let mut all: Vec<_> = state.all_objects().map(|object| object.json()).collect();
        all.sort();
        all
    };
    assert_eq!(contents(&before), contents(&after));
}
