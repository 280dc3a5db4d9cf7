//! Writes and watches until it is killed, saying on standard output what it was told: `ack REVISION NAME STEP` for each
//! acknowledged write and `saw REVISION` for each event.
//!
//! Usage: `store-worker WORK`, see `tests::crash::Work`. Each writer owns a widget and has one write in flight.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::json;
use store::request::{Body, DeleteOptions, Part, Patch, WriteOptions};
use store::selector::Selector;
use store::store::{OpenOptions, Store};
use store::watch::{WatchItem, WatchRequest, WatchStart};
use tests::crash::Work;
use tests::history::{Operation, Sizes, operation, spec};
use tests::widgets;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let work: Work = serde_json::from_str(&std::env::args().nth(1).context("the first argument is the work")?)?;
    let options = OpenOptions { guards: work.guards()?, ..widgets::short_history(&work.dir) };
    let store = widgets::open_with(options).await?;
    let revision = store.state().revision;
    say(&format!("open {revision}"));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(follow(store.clone(), revision));
    for number in 0..work.writers {
        tasks.spawn(write(store.clone(), format!("w{number}"), work.sizes));
    }
    if let Some(revisions) = work.rewrite_every {
        tasks.spawn(rewrite(store.clone(), revisions));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Writes the files anew again and again, some `revisions` apart.
async fn rewrite(store: Store, revisions: u64) -> anyhow::Result<()> {
    let mut changes = store.changes();
    loop {
        let next = store.state().revision + revisions;
        // A disk that fails is noticed by the writers.
        let _ = store.rewrite_files().await;
        changes.wait_for(|revision| *revision >= next).await?;
    }
}

async fn write(store: Store, name: String, sizes: Sizes) -> anyhow::Result<()> {
    let target = widgets::widget(&store, &name);
    let found = store.get(&target.resource, &target.key());
    let mut step = match found {
        Some(object) => object.value()["spec"]["step"].as_u64().context("a step")? + 1,
        // A widget that is gone begins a life that nobody has seen: its first step follows from the revision.
        None => store.state().revision * 10,
    };
    loop {
        let options = WriteOptions::by("worker");
        let written = match operation(step) {
            Operation::Create => {
                let body = Body::from(widgets::body(&name, spec(&name, step, sizes)));
                store.create(&target, body, &options).await?
            }
            Operation::Update => {
                let patch = Patch::Merge(json!({"spec": spec(&name, step, sizes)}));
                store.patch(&target, Part::Whole, &patch, &options).await?
            }
            Operation::Delete => store.delete(&target, &DeleteOptions::default()).await?,
        };
        say(&format!("ack {} {name} {step}", written.object.revision));
        step += 1;
    }
}

async fn follow(store: Store, revision: u64) -> anyhow::Result<()> {
    let resource = store.registry().get(widgets::WIDGETS).context("defined at open")?.clone();
    let start = WatchStart::After(revision);
    let request = WatchRequest { resource, namespace: None, selector: Selector::default(), start };
    let mut watch = store.watch(request)?;
    loop {
        for item in watch.next().await? {
            if let WatchItem::Change(change) = item {
                say(&format!("saw {}", change.object.revision));
            }
        }
    }
}

/// One write(2) for one line, so that a kill leaves no half of one.
fn say(line: &str) {
    let line = format!("{line}\n");
    // The parent that no longer listens is about to kill this process.
    let _ = std::io::stdout().lock().write_all(line.as_bytes()).and_then(|()| std::io::stdout().flush());
}
