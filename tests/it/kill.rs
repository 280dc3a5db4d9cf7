//! kill -9 at any moment: every acknowledged write is there, nothing is half there, revisions never repeat, resumed
//! watches have no gap and no duplicate, and the store always opens again.
//!
//! Each round starts a process with writers and a watcher on the same directory, kills it after a random time, opens
//! the store in this process and compares it with what the other had said.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchItem, WatchRequest, WatchStart};
use tests::history::{Operation, operation, spec};
use tests::widgets;

const ROUNDS: u64 = 300;
const WRITERS: usize = 6;

/// What one process said before it was killed.
#[derive(Default)]
struct Said {
    opened_at: u64,
    /// Revision, name, step.
    acknowledged: Vec<(u64, String, u64)>,
    seen: Vec<u64>,
}

#[test]
fn kill_nine_loses_nothing() {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = tests::seed::Random::new(seed);
    let mut revision_before = 0;
    let mut ever_acknowledged = BTreeSet::new();
    let mut writes = 0;
    for round in 0..ROUNDS {
        let said = run_and_kill(dir.path(), Duration::from_micros(20_000 + random.below(120_000)));
        let store = runtime.block_on(widgets::open_with(widgets::short_history(dir.path()))).unwrap_or_else(|error| {
            panic!("round {round}: the store does not open: {error:#}");
        });
        assert!(said.opened_at >= revision_before, "round {round}: the revision went back");
        for (revision, _, _) in &said.acknowledged {
            assert!(*revision > said.opened_at, "round {round}: revision {revision} was given out before");
            assert!(ever_acknowledged.insert(*revision), "round {round}: revision {revision} was given out twice");
        }
        check_contents(&store, &said, round);
        check_watch(&store, &said, round);
        revision_before = store.state().revision;
        writes += said.acknowledged.len();
        runtime.block_on(store.close());
    }
    println!("{ROUNDS} rounds, {writes} acknowledged writes");
    assert!(writes > 1000, "the writers hardly wrote: {writes}");
}

fn run_and_kill(dir: &Path, after: Duration) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_store-worker"))
        .arg(dir)
        .arg(WRITERS.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the worker starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (opened, has_opened) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut said = Said::default();
        for line in output.lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["open", revision] => {
                    said.opened_at = revision.parse().unwrap();
                    opened.send(()).unwrap();
                }
                ["ack", revision, name, step] => {
                    said.acknowledged.push((revision.parse().unwrap(), (*name).to_owned(), step.parse().unwrap()));
                }
                ["saw", revision] => said.seen.push(revision.parse().unwrap()),
                other => panic!("the worker said {other:?}"),
            }
        }
        said
    });
    has_opened.recv_timeout(Duration::from_secs(30)).expect("the worker opens the store");
    // Waiting for a moment nobody announces is the point: the kill must come at any instant.
    let _ = has_opened.recv_timeout(after);
    child.kill().expect("the worker is running");
    child.wait().expect("the worker was killed");
    reader.join().expect("the reader ends with the pipe")
}

fn check_contents(store: &Store, said: &Said, round: u64) {
    let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (revision, name, step) in &said.acknowledged {
        last.insert(name, (*revision, *step));
    }
    for (name, (revision, step)) in last {
        let found = store.get(&widgets::widget(store, name).resource, &format!("default/{name}"));
        // At most one write was in flight and may have reached the disk without its acknowledgement.
        let found_step = found.as_ref().map(|object| object.value()["spec"]["step"].as_u64().unwrap());
        let is_right = match (operation(step), found_step) {
            (Operation::Delete, None) => true,
            (Operation::Delete, Some(new_life)) => operation(new_life) == Operation::Create,
            (_, Some(found)) => found == step || found == step + 1,
            (_, None) => operation(step + 1) == Operation::Delete,
        };
        assert!(is_right, "round {round}: {name} was acknowledged at step {step}, found {found_step:?}");
        if let Some(object) = &found {
            assert!(object.revision >= revision, "round {round}: {name} went back");
        }
    }
    for object in store.state().objects_from(widgets::WIDGETS, "") {
        let value = object.value();
        let step = value["spec"]["step"].as_u64().unwrap();
        assert_eq!(value["spec"], spec(object.name(), step), "round {round}: half of {}", object.name());
    }
}

fn check_watch(store: &Store, said: &Said, round: u64) {
    assert!(said.seen.is_sorted_by(|left, right| left < right), "round {round}: the watcher saw disorder");
    let after = said.seen.last().copied().unwrap_or(said.opened_at);
    let resource = store.registry().get(widgets::WIDGETS).unwrap().clone();
    let request =
        WatchRequest { resource, namespace: None, selector: Selector::default(), start: WatchStart::After(after) };
    let mut watch = store.watch(request).unwrap();
    let mut all: BTreeSet<u64> = said.seen.iter().copied().collect();
    loop {
        let items = watch.take().unwrap();
        if items.is_empty() {
            break;
        }
        for item in items {
            let WatchItem::Change(change) = item else { continue };
            assert!(all.insert(change.object.revision), "round {round}: {} came twice", change.object.revision);
        }
    }
    for (revision, name, step) in &said.acknowledged {
        assert!(all.contains(revision), "round {round}: the watch misses step {step} of {name} at {revision}");
    }
    let first = said.opened_at + 1;
    let expected: BTreeSet<u64> = (first..=store.state().revision).collect();
    assert_eq!(all, expected, "round {round}: the watch has a gap or invents revisions");
}
