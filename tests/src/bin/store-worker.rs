//! Writes and watches until it is killed, saying on standard output what it was told: `ack REVISION NAME STEP` for each
//! acknowledged write, `denies NAME …` when the store contradicts one, `saw WATCHER REVISION` for each event, `rewrites` and
//! `rewrote` around each time that the files are written anew.
//!
//! Usage: `store-worker WORK`, see `tests::crash::Work`. Each writer owns a widget and has one write in flight.

use std::io::Write as _;

use anyhow::Context as _;
use api_types::status::Reason;
use serde_json::json;
use store::request::{Body, DeleteOptions, Part, Patch, WriteOptions};
use store::selector::Selector;
use store::store::{OpenOptions, Store};
use store::watch::{WatchItem, WatchRequest, WatchStart};
use tests::crash::Work;
use tests::history::{Operation, Sizes, operation, spec};
use tests::widgets;

/// How many looks longer each watcher goes on than the one before it, of which the first resumes after every one.
const LOOKS: usize = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let work: Work = serde_json::from_str(&std::env::args().nth(1).context("the first argument is the work")?)?;
    let options = OpenOptions { guards: work.guards()?, ..widgets::short_history(&work.dir) };
    let store = widgets::open_with(options).await?;
    let revision = store.state().revision;
    say(&format!("open {revision}"));
    if store.registry().get(widgets::WIDGETS).is_none() {
        say(&format!("denies {}: its definition was acknowledged, and it is not served", widgets::WIDGETS));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..work.watchers {
        tasks.spawn(follow(store.clone(), revision, number));
    }
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
        say("rewrites");
        // A disk that fails is noticed by the writers.
        let _ = store.rewrite_files().await;
        say("rewrote");
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
                store.create(&target, body, &options).await
            }
            Operation::Update => {
                let patch = Patch::Merge(json!({"spec": spec(&name, step, sizes)}));
                store.patch(&target, Part::Whole, &patch, &options).await
            }
            Operation::Delete => store.delete(&target, &DeleteOptions::default()).await,
        };
        // Nobody else writes this widget: it is as this writer left it.
        if let Err(status) = &written
            && matches!(status.reason, Some(Reason::NotFound | Reason::AlreadyExists | Reason::Conflict))
        {
            say(&format!("denies {name} before step {step}: {}", status.message));
        }
        let written = written?;
        say(&format!("ack {} {name} {step}", written.object.revision));
        step += 1;
    }
}

/// Watches everything, and after some looks, each watcher after others, breaks off and resumes with what it saw last.
async fn follow(store: Store, mut revision: u64, number: usize) -> anyhow::Result<()> {
    let resource = store.registry().get(widgets::WIDGETS).context("defined at open")?.clone();
    loop {
        let (resource, start) = (resource.clone(), WatchStart::After(revision));
        let mut watch =
            store.watch(WatchRequest { resource, namespace: None, selector: Selector::default(), start })?;
        for _ in 0..=LOOKS * number {
            for item in watch.next().await? {
                if let WatchItem::Change(change) = item {
                    revision = change.object.revision;
                    say(&format!("saw {number} {revision}"));
                }
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
