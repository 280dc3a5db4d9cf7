//! A real disk without room: writes are refused and say why, reads go on, and all is well when there is room again.

use std::path::Path;

use api_types::status::{Reason, Status};
use serde_json::{Value, json};
use store::list::{ListAt, ListRequest};
use store::request::{Body, Part, Patch, WriteOptions};
use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchRequest, WatchStart};
use tests::small_disk::SmallDisk;
use tests::widgets;

/// Room for a store, its reserve, and what must stay free.
const SIZE: &str = "size=96m";

fn mount(options: &str) -> SmallDisk {
    SmallDisk::mount(Path::new(env!("CARGO_BIN_EXE_hold-mount")), options).unwrap_or_else(|error| panic!("{error:#}"))
}

async fn open(disk: &SmallDisk) -> Store {
    widgets::open_with(widgets::short_history(&disk.path().join("store"))).await.unwrap()
}

async fn create(store: &Store, name: &str, text_bytes: usize) -> Result<(), Status> {
    let body = Body::from(widgets::body(name, json!({"text": "x".repeat(text_bytes)})));
    store.create(&widgets::widget(store, name), body, &WriteOptions::by("test")).await.map(drop)
}

async fn mark(store: &Store, name: &str, status: Value) -> Result<(), Status> {
    let patch = Patch::Merge(json!({"status": status}));
    store.patch(&widgets::widget(store, name), Part::Status, &patch, &WriteOptions::by("test")).await.map(drop)
}

/// Returns the names of all widgets after reading them in every way there is.
fn read(store: &Store) -> Vec<String> {
    let resource = store.registry().get(widgets::WIDGETS).unwrap().clone();
    let selector = Selector::default();
    let request = ListRequest {
        resource: resource.clone(),
        namespace: None,
        selector: selector.clone(),
        limit: 0,
        at: ListAt::Latest,
    };
    let names: Vec<String> =
        store.list(&request).unwrap().objects.iter().map(|found| found.name().to_owned()).collect();
    for name in &names {
        assert!(store.get(&resource, &format!("default/{name}")).is_some());
    }
    let mut watch = store.watch(WatchRequest { resource, namespace: None, selector, start: WatchStart::Now }).unwrap();
    assert_eq!(watch.take().unwrap().len(), names.len().min(512));
    names
}

/// The answer of a store that has no room, and says of what.
#[track_caller]
fn expect_refused(store: &Store, result: Result<(), Status>, of_what: &str) {
    let status = result.expect_err("there is no room");
    assert_eq!((status.code, status.reason), (507, Some(Reason::StorageReadOnly)), "{status:?}");
    let message = &status.message;
    assert!(message.starts_with("the store is read-only: the disk of ") && message.contains(of_what), "{message}");
    assert!(message.ends_with("are needed; reads go on, free some space and try again"), "{message}");
    assert!(store.read_only_reason().is_some_and(|why| why.contains(of_what)) && !store.has_failed());
}

#[tokio::test]
async fn disk_full_of_other_things_refuses_writes_until_there_is_room() {
    let disk = mount(SIZE);
    let store = open(&disk).await;
    create(&store, "before", 20_000).await.unwrap();
    let ballast = disk.fill_bytes().unwrap();
    expect_refused(&store, create(&store, "during", 10).await, " MiB left");
    expect_refused(&store, mark(&store, "before", json!({"size": 1})).await, " MiB left");
    assert_eq!(read(&store), ["before"]);
    store.rewrite_files().await.unwrap_err();

    // Opening a store on a full disk shows what is there.
    store.close().await;
    drop(store);
    let store = open(&disk).await;
    assert_eq!(read(&store), ["before"]);
    expect_refused(&store, create(&store, "during", 10).await, " MiB left");

    std::fs::remove_file(ballast).unwrap();
    create(&store, "after", 10).await.unwrap();
    mark(&store, "before", json!({"size": 2})).await.unwrap();
    assert_eq!(store.read_only_reason(), None);
    store.rewrite_files().await.unwrap();
    store.close().await;
    drop(store);
    assert_eq!(read(&open(&disk).await), ["after", "before"]);
}

#[tokio::test]
async fn disk_full_of_the_store_itself_keeps_what_was_acknowledged() {
    let disk = mount(SIZE);
    let spare = disk.path().join("spare");
    std::fs::write(&spare, vec![1; 24 << 20]).unwrap();
    let store = open(&disk).await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let name = format!("w{:04}", acknowledged.len());
        match create(&store, &name, 100_000).await {
            Ok(()) => acknowledged.push(name),
            Err(status) => break Err(status),
        }
    };
    expect_refused(&store, refused, " MiB left");
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    assert_eq!(read(&store), acknowledged);
    std::fs::remove_file(spare).unwrap();
    create(&store, "x", 100_000).await.unwrap();
    acknowledged.push("x".to_owned());
    store.close().await;
    drop(store);
    assert_eq!(read(&open(&disk).await), acknowledged);
}

#[tokio::test]
async fn disk_full_of_files_refuses_writes_until_there_are_inodes() {
    let disk = mount("size=256m,nr_inodes=100");
    let store = open(&disk).await;
    create(&store, "before", 20_000).await.unwrap();
    let crowd = disk.fill_inodes().unwrap();
    expect_refused(&store, create(&store, "during", 10).await, " inodes left");
    assert_eq!(read(&store), ["before"]);
    store.close().await;
    drop(store);
    let store = open(&disk).await;
    assert_eq!(read(&store), ["before"]);
    expect_refused(&store, create(&store, "during", 10).await, " inodes left");
    std::fs::remove_dir_all(crowd).unwrap();
    create(&store, "after", 10).await.unwrap();
    assert_eq!(store.read_only_reason(), None);
    store.close().await;
    drop(store);
    assert_eq!(read(&open(&disk).await), ["after", "before"]);
}
