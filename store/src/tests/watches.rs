//! Watches: resume without gap or duplicate, also over a restart; starts; ends.

use serde_json::json;

use super::Bench;
use crate::request::Part;
use crate::selector::Selector;
use crate::state::{EventKind, HistoryLimits};
use crate::watch::{Watch, WatchItem, WatchRequest, WatchStart};

fn watch(bench: &Bench, start: WatchStart) -> Result<Watch, api_types::status::Status> {
    let resource = bench.resource("widgets.test.example.com");
    bench.store.watch(WatchRequest {
        resource,
        namespace: Some("default".to_owned()),
        selector: Selector::default(),
        start,
    })
}

/// Everything that is there without waiting, as `(kind, name, revision)`.
fn drain(watch: &mut Watch) -> Vec<(EventKind, String, u64)> {
    let mut seen = Vec::new();
    loop {
        let items = watch.take().unwrap();
        if items.is_empty() {
            return seen;
        }
        for item in items {
            if let WatchItem::Change(change) = item {
                seen.push((change.kind, change.object.name().to_owned(), change.object.revision));
            }
        }
    }
}

#[tokio::test]
async fn a_watch_sees_every_change_once_in_order() {
    let bench = Bench::new().await;
    let mut watch = watch(&bench, WatchStart::After(bench.store.state().revision)).unwrap();
    let a = bench.create("a", json!({})).await.unwrap().object.revision;
    let b = bench.create("b", json!({})).await.unwrap().object.revision;
    let changed = bench.merge(&bench.widget("a"), Part::Whole, json!({"spec": {"size": 2}})).await.unwrap();
    let gone = bench.delete(&bench.widget("b")).await.unwrap();
    let expected = [
        (EventKind::Added, "a".to_owned(), a),
        (EventKind::Added, "b".to_owned(), b),
        (EventKind::Modified, "a".to_owned(), changed.object.revision),
        (EventKind::Deleted, "b".to_owned(), gone.object.revision),
    ];
    assert_eq!(drain(&mut watch), expected);
    assert_eq!(watch.revision(), bench.store.state().revision);
}

#[tokio::test]
async fn a_watch_resumes_from_every_revision_also_after_a_restart() {
    let bench = Bench::new().await;
    let start = bench.store.state().revision;
    for round in 0..5 {
        bench.create(&format!("w{round}"), json!({})).await.unwrap();
        bench.merge(&bench.widget("w0"), Part::Whole, json!({"spec": {"size": round + 2}})).await.unwrap();
        if round > 0 {
            bench.delete(&bench.widget(&format!("w{round}"))).await.unwrap();
        }
    }
    let all = drain(&mut watch(&bench, WatchStart::After(start)).unwrap());
    assert_eq!(all.len(), 14);
    let bench = bench.reopen().await;
    for resume in 0..=all.len() {
        let after = if resume == 0 { start } else { all[resume - 1].2 };
        assert_eq!(drain(&mut watch(&bench, WatchStart::After(after)).unwrap()), all[resume..], "after {after}");
    }
}

#[tokio::test]
async fn a_watch_from_now_begins_with_what_is_there() {
    let bench = Bench::new().await;
    bench.create("a", json!({})).await.unwrap();
    let mut watch = watch(&bench, WatchStart::NowWithSync).unwrap();
    bench.create("b", json!({})).await.unwrap();
    let items = watch.next().await.unwrap();
    assert!(matches!(&items[0], WatchItem::Change(change) if change.object.name() == "a"));
    assert!(matches!(items[1], WatchItem::Synced(_)));
    let items = watch.next().await.unwrap();
    assert!(matches!(&items[0], WatchItem::Change(change) if change.object.name() == "b"));
}

#[tokio::test]
async fn a_watcher_behind_the_history_is_told_to_list_again() {
    let bench = Bench::with_history(HistoryLimits { events_max: 4, bytes_max: 1 << 20 }).await;
    let start = bench.store.state().revision;
    let mut slow = watch(&bench, WatchStart::After(start)).unwrap();
    for index in 0..6 {
        bench.create(&format!("w{index}"), json!({})).await.unwrap();
    }
    assert_eq!(slow.take().unwrap_err().code, 410);
    assert_eq!(watch(&bench, WatchStart::After(start)).err().unwrap().code, 410);
    let newest = bench.store.state().revision;
    assert!(drain(&mut watch(&bench, WatchStart::After(newest - 4)).unwrap()).len() == 4);
}

#[tokio::test]
async fn changes_of_other_kinds_do_not_expire_a_quiet_watch() {
    let bench = Bench::with_history(HistoryLimits { events_max: 4, bytes_max: 1 << 20 }).await;
    let created = bench.create("a", json!({})).await.unwrap().object.revision;
    let gadget = bench.target("gadgets.test.example.com", "", "g");
    let body = json!({"apiVersion": "test.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {}});
    let options = crate::request::WriteOptions::by("test");
    bench.store.create(&gadget, crate::request::Body::from(body), &options).await.unwrap();
    for size in 2..20 {
        bench.merge(&gadget, Part::Whole, json!({"spec": {"size": size}})).await.unwrap();
    }
    assert!(drain(&mut watch(&bench, WatchStart::After(created)).unwrap()).is_empty());
}

#[tokio::test]
async fn a_waiting_watch_is_woken() {
    let bench = Bench::new().await;
    let mut watch = watch(&bench, WatchStart::After(bench.store.state().revision)).unwrap();
    let (items, _) = tokio::join!(watch.next(), bench.create("a", json!({})));
    assert_eq!(items.unwrap().len(), 1);
}

#[tokio::test]
async fn all_watchers_share_one_line() {
    let bench = Bench::new().await;
    let start = bench.store.state().revision;
    let (mut one, mut two) =
        (watch(&bench, WatchStart::After(start)).unwrap(), watch(&bench, WatchStart::After(start)).unwrap());
    let written = bench.create("a", json!({})).await.unwrap();
    let line = |items: Vec<WatchItem>| match &items[0] {
        WatchItem::Change(change) => change.line(),
        WatchItem::Synced(_) => panic!("no sync was asked for"),
    };
    let (one, two) = (line(one.take().unwrap()), line(two.take().unwrap()));
    assert_eq!(one.as_ptr(), two.as_ptr());
    let expected = format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", String::from_utf8_lossy(&written.object.json()));
    assert_eq!(String::from_utf8_lossy(&one), expected);
}
