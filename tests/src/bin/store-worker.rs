//! Writes and watches until it is killed, saying on standard output what it was told: `ack REVISION NAME STEP` for each
//! acknowledged write and `saw REVISION` for each event.
//!
//! Usage: `store-worker DIR WRITERS`. Each writer owns a widget and has one write in flight.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;
use store::request::{Body, DeleteOptions, Part, Patch, WriteOptions};
use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchItem, WatchRequest, WatchStart};
use tests::history::{Operation, operation, spec};
use tests::widgets;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().context("the first argument is the directory")?);
    let writers: usize = arguments.next().and_then(|count| count.to_str()?.parse().ok()).context("then the writers")?;
    let store = widgets::open_with(widgets::short_history(&dir)).await?;
    let revision = store.state().revision;
    say(&format!("open {revision}"));
    let mut tasks = vec![tokio::spawn(follow(store.clone(), revision))];
    tasks.extend((0..writers).map(|number| tokio::spawn(write(store.clone(), format!("w{number}")))));
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn write(store: Store, name: String) -> anyhow::Result<()> {
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
                let body = Body::from(widgets::body(&name, spec(&name, step)));
                store.create(&target, body, &options).await?
            }
            Operation::Update => {
                let patch = Patch::Merge(json!({"spec": spec(&name, step)}));
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
