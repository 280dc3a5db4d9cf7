//! Days in a minute: endless status updates over few objects keep disk and memory bounded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::json;
use store::request::{Body, Part, Patch, WriteOptions};
use tests::widgets;

const OBJECTS: u64 = 1000;
const UPDATES: u64 = 1_000_000;
const WRITERS: u64 = 128;
/// History (at most 48 MiB) and objects, three times over before they are written anew, the journal (at most 64 MiB), and the
/// new copy beside them.
const DISK_BYTES_MAX: u64 = 240 << 20;
/// How often the directory is looked at, so that old and new files are seen side by side.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What memory may grow by after the history is full.
const MEMORY_GROWTH_MAX: u64 = 96 << 20;

#[test]
fn endurance_of_a_million_status_updates() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let open = || runtime.block_on(widgets::open(dir.path())).unwrap();
    let store = open();
    runtime.block_on(async {
        for index in 0..OBJECTS {
            let name = format!("w{index}");
            let body = Body::from(widgets::body(&name, json!({"text": "x".repeat(300)})));
            store.create(&widgets::widget(&store, &name), body, &WriteOptions::by("test")).await.unwrap();
        }
    });
    let mut memory_full_history = 0;
    let (finished, ended) = channel::<()>();
    let looker = std::thread::spawn({
        let dir = dir.path().to_owned();
        move || {
            let mut disk_max = 0;
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                disk_max = disk_bytes(&dir).max(disk_max);
            }
            disk_max
        }
    });
    const STAGES: u64 = 10;
    for stage in 0..STAGES {
        let next = Arc::new(AtomicU64::new(stage * UPDATES / STAGES));
        let end = (stage + 1) * UPDATES / STAGES;
        runtime.block_on(async {
            let writers = (0..WRITERS).map(|_| {
                let (store, next) = (store.clone(), next.clone());
                tokio::spawn(async move {
                    loop {
                        let update = next.fetch_add(1, Ordering::Relaxed);
                        if update >= end {
                            return;
                        }
                        let target = widgets::widget(&store, &format!("w{}", update % OBJECTS));
                        let patch = Patch::Merge(json!({"status": {"update": update}}));
                        store.patch(&target, Part::Status, &patch, &WriteOptions::by("test")).await.unwrap();
                    }
                })
            });
            let writers = futures::future::join_all(writers.collect::<Vec<_>>());
            // Sooner and more often than it would be worth it.
            let (written, rewritten) = tokio::join!(writers, store.rewrite_files());
            rewritten.unwrap();
            for writer in written {
                writer.unwrap();
            }
        });
        let (disk, memory) = (disk_bytes(dir.path()), memory_bytes());
        println!("{end} updates: disk {} MiB, memory {} MiB", disk >> 20, memory >> 20);
        if stage == 2 {
            memory_full_history = memory;
        }
        if stage > 2 {
            assert!(memory < memory_full_history + MEMORY_GROWTH_MAX, "memory grows: {} MiB", memory >> 20);
        }
    }
    drop(finished);
    let disk_max = looker.join().unwrap();
    println!("at most {} MiB on disk at any time", disk_max >> 20);
    assert!(disk_max < DISK_BYTES_MAX, "the directory grew to {} MiB", disk_max >> 20);
    let figures = store.figures();
    assert_eq!(figures.objects, OBJECTS + 2);
    assert!(figures.history_events <= 65_536);
    assert!(figures.generations_total >= STAGES, "{}", figures.generations_total);
    runtime.block_on(store.close());
    let reopened = open().figures();
    assert_eq!((reopened.revision, reopened.objects), (figures.revision, figures.objects));
    assert_eq!(reopened.live_bytes, figures.live_bytes);
}

fn disk_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
            // A generation that is being removed may vanish between the two looks.
            Err(_) => 0,
        })
        .sum()
}

fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
