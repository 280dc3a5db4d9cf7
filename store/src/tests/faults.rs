//! Every call of the engine fails once, in a story of everything that a store does: what was acknowledged is there, what
//! was refused is not, watches have no gap, and the store opens again.

use std::sync::Arc;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use api_types::status::Status;
use serde_json::{Value, json};

use super::{Clock, built_in, definition, memory_options, widget_body};
use crate::backup::{fill, write_backup};
use crate::collector::{Collector, CollectorOptions};
use crate::engine::memory::{Call, Effect, Fault, MemoryEngine};
use crate::engine::{Engine, EngineError, EngineOptions, JournalLimits, Journaled};
use crate::guards::{Guard, Guards};
use crate::keyring::Keyring;
use crate::open::load;
use crate::registry::DEFINITIONS;
use crate::request::{Body, DeleteOptions, Outcome, Part, Patch, Target, WriteOptions, Written};
use crate::selector::Selector;
use crate::state::{HistoryLimits, State};
use crate::store::{OpenOptions, Store};
use crate::watch::{Watch, WatchItem, WatchRequest, WatchStart};

const WIDGETS: &str = "widgets.test.example.com";
/// So few that the story forgets most of its history.
const HISTORY: HistoryLimits = HistoryLimits { events_max: 8, bytes_max: 1 << 20 };

fn open(engine: &MemoryEngine, guards: Guards) -> Result<Store, String> {
    let options = OpenOptions { history: HISTORY, guards, ..memory_options(&Clock::default()) };
    Store::with_engine(Box::new(engine.clone()), options).map_err(|error| error.to_string())
}

/// What is between a store and the rows whose calls fail.
#[derive(Clone, Copy)]
enum Between {
    Nothing,
    /// A journal, which the rows follow at once.
    Journal,
}

/// What a store is opened on again and again.
struct Ground {
    rows: MemoryEngine,
    between: Between,
    /// Where the journal lies.
    dir: tempfile::TempDir,
}

impl Ground {
    fn new(between: Between) -> Self {
        Self { rows: MemoryEngine::default(), between, dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self, guards: Guards) -> Result<Store, String> {
        let engine: Box<dyn Engine> = match self.between {
            Between::Nothing => return open(&self.rows, guards),
            Between::Journal => {
                let journal = JournalLimits { part_bytes: 16 << 10, apply_bytes: 1, apply_after: Duration::ZERO };
                let options = EngineOptions { journal, guards, ..EngineOptions::default() };
                let opened = Journaled::open(self.rows.clone(), self.dir.path(), &options);
                Box::new(opened.map_err(|error| error.to_string())?)
            }
        };
        let options = OpenOptions { history: HISTORY, guards, ..memory_options(&Clock::default()) };
        Store::with_engine(engine, options).map_err(|error| error.to_string())
    }

    /// Returns what a restart finds.
    fn restarted(self) -> Self {
        Self { rows: self.rows.reopened(), ..self }
    }
}

/// Every live object, by resource and key.
fn contents(state: &State) -> BTreeMap<(String, String), String> {
    let named = |object: &crate::object::Object| (object.resource().to_owned(), object.key().to_owned());
    state.all_objects().map(|object| (named(object), String::from_utf8_lossy(&object.json()).into_owned())).collect()
}

/// Somebody who uses a store, remembers what was acknowledged, and watches widgets.
struct Player {
    store: Store,
    acknowledged: BTreeMap<(String, String), String>,
    told: Vec<u64>,
    watch: Option<Watch>,
    seen: Vec<u64>,
}

impl Player {
    fn new(store: Store) -> Self {
        Self { store, acknowledged: BTreeMap::new(), told: Vec::new(), watch: None, seen: Vec::new() }
    }

    fn target(&self, resource: &str, namespace: &str, name: &str) -> Option<Target> {
        Some(Target::new(self.store.registry().get(resource)?, namespace, name))
    }

    fn learn(&mut self, result: Result<Written, Status>) {
        if let Ok(written) = result
            && written.outcome != Outcome::Unchanged
        {
            let object = written.object;
            let place = (object.resource().to_owned(), object.key().to_owned());
            match written.outcome {
                Outcome::Deleted => self.acknowledged.remove(&place),
                _ => self.acknowledged.insert(place, String::from_utf8_lossy(&object.json()).into_owned()),
            };
            if object.resource() == WIDGETS {
                self.told.push(object.revision);
            }
        }
        self.look();
    }

    fn look(&mut self) {
        if let Some(watch) = &mut self.watch {
            self.seen.extend(revisions(watch));
        }
    }

    async fn create(&mut self, resource: &str, namespace: &str, name: &str, body: Value) {
        if let Some(target) = self.target(resource, namespace, name) {
            let created = self.store.create(&target, Body::from(body), &WriteOptions::by("test")).await;
            self.learn(created);
        }
    }

    async fn widget(&mut self, name: &str, text_bytes: usize) {
        if let Some(target) = self.target(WIDGETS, "default", name) {
            let body = widget_body(json!({"name": name}), json!({"text": "x".repeat(text_bytes)}));
            let created = self.store.create(&target, body, &WriteOptions::by("test")).await;
            self.learn(created);
        }
    }

    async fn resize(&mut self, name: &str, size: u64) {
        if let Some(target) = self.target(WIDGETS, "default", name) {
            let patch = Patch::Merge(json!({"spec": {"size": size}}));
            let patched = self.store.patch(&target, Part::Whole, &patch, &WriteOptions::by("test")).await;
            self.learn(patched);
        }
    }

    async fn delete(&mut self, resource: &str, namespace: &str, name: &str) {
        if let Some(target) = self.target(resource, namespace, name) {
            let deleted = self.store.delete(&target, &DeleteOptions::default()).await;
            self.learn(deleted);
        }
    }

    /// The collector acts by itself: what it has done is acknowledged to nobody, but must last as well.
    async fn collect(&mut self) {
        let mut collector = Collector::new(self.store.clone(), CollectorOptions::default());
        for _ in 0..2 {
            collector.collect().await;
        }
        self.acknowledged = contents(&self.store.state());
        self.look();
    }

    fn begin_watch(&mut self) {
        let state = self.store.state();
        self.watch = watch(&self.store, state.revision);
        self.told.clear();
    }

    /// Creates, updates, deletes, compaction, files written anew, backup, definitions that come and go.
    async fn play(&mut self) {
        self.create("namespaces", "", "default", json!({"metadata": {"name": "default"}})).await;
        self.create(DEFINITIONS, "", "", definition("Widget", "Namespaced")).await;
        self.begin_watch();
        for (name, text_bytes) in [("a", 10), ("b", 9000), ("c", 10)] {
            self.widget(name, text_bytes).await;
        }
        for size in 2..6 {
            self.resize("a", size).await;
        }
        self.delete(WIDGETS, "default", "b").await;
        // Refused or done: nothing may depend on it.
        let _ = self.store.rewrite_files().await;
        self.resize("c", 7).await;
        let _ = write_backup(&self.store.state(), &Keyring::default(), &mut Vec::new());
        self.create(DEFINITIONS, "", "", definition("Gadget", "Cluster")).await;
        let gadget = json!({"apiVersion": "test.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}});
        self.create("gadgets.test.example.com", "", "g", gadget).await;
        self.delete(DEFINITIONS, "", "gadgets.test.example.com").await;
        self.collect().await;
        for size in 20..24 {
            self.resize("a", size).await;
        }
        let _ = self.store.rewrite_files().await;
        self.widget("d", 5000).await;
    }
}

fn watch(store: &Store, after: u64) -> Option<Watch> {
    let resource = store.registry().get(WIDGETS)?.clone();
    let start = WatchStart::After(after);
    store.watch(WatchRequest { resource, namespace: None, selector: Selector::default(), start }).ok()
}

fn revisions(watch: &mut Watch) -> Vec<u64> {
    let mut seen = Vec::new();
    while let Ok(items) = watch.take()
        && !items.is_empty()
    {
        seen.extend(items.iter().filter_map(|item| match item {
            WatchItem::Change(change) => Some(change.object.revision),
            WatchItem::Synced(_) => None,
        }));
    }
    seen
}

/// Plays the story while `fault` is to come; the error says what is wrong afterwards.
async fn play_with(call: Call, n: u64, fault: Fault, guards: Guards, between: Between) -> Result<(), String> {
    let ground = Ground::new(between);
    let effect = fault.effect;
    let mut opened = ground.open(guards)?;
    if call == Call::Scan {
        opened.close().await;
        ground.rows.fail(call, n, fault);
        let refused = ground.open(guards);
        if refused.is_ok() {
            return Err("opened without reading".to_owned());
        }
        opened = ground.open(guards)?;
    } else {
        ground.rows.fail(call, n, fault);
    }
    let mut player = Player::new(opened);
    player.play().await;
    player.store.close().await;
    let shown = contents(&player.store.state());
    if shown != player.acknowledged {
        return Err(format!("shown is not what was acknowledged: {:?} {:?}", shown.keys(), player.acknowledged.keys()));
    }
    if player.seen != player.told {
        return Err(format!("the watch saw {:?}, told was {:?}", player.seen, player.told));
    }
    let ground = ground.restarted();
    let reopened = ground.open(guards).map_err(|error| format!("it does not open: {error}"))?;
    let found = contents(&reopened.state());
    // A commit that failed on its way back may be there.
    let one_more = usize::from(effect == Effect::Whole && call == Call::Commit);
    if found != player.acknowledged && one_more == 0 {
        return Err(format!("found is not what was acknowledged: {:?} {:?}", found.keys(), player.acknowledged.keys()));
    }
    check_resume(&reopened, &player, one_more)?;
    let mut again = Player::new(reopened);
    again.create("namespaces", "", "after", json!({"metadata": {"name": "after"}})).await;
    again.store.close().await;
    if again.acknowledged.is_empty() { Err("it does not write after a restart".to_owned()) } else { Ok(()) }
}

/// A watch that goes on after the restart, from what was seen last or one before, sees what comes then and no more.
fn check_resume(store: &Store, player: &Player, one_more: usize) -> Result<(), String> {
    let mut last = player.seen.iter().rev();
    let (Some(newest), Some(before)) = (last.next(), last.next()) else { return Ok(()) };
    for (after, expected) in [(newest, 0), (before, 1)] {
        let Some(mut watch) = watch(store, *after) else { return Err(format!("no watch resumes after {after}")) };
        let seen = revisions(&mut watch);
        if seen.len() < expected || seen.len() > expected + one_more {
            return Err(format!("resumed after {after} the watch saw {seen:?}"));
        }
    }
    Ok(())
}

fn faults() -> [Fault; 3] {
    let broken = EngineError::Io("no disk".to_owned());
    [
        Fault { error: EngineError::Full("no room".to_owned()), effect: Effect::None },
        Fault { error: broken.clone(), effect: Effect::None },
        Fault { error: broken, effect: Effect::Whole },
    ]
}

/// Plays the story with every fault at every call; returns what went wrong, and how many calls there were.
async fn sweep(guards: Guards, between: Between) -> (Vec<String>, u64) {
    let counted = Ground::new(between);
    let mut player = Player::new(counted.open(guards).unwrap());
    player.play().await;
    player.store.close().await;
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for call in Call::ALL {
        for n in 1..=counted.rows.calls(call) {
            calls += 1;
            for fault in faults() {
                let what = format!("{call:?} {n} {fault:?}");
                if let Err(why) = play_with(call, n, fault, guards, between).await {
                    wrong.push(format!("{what}: {why}"));
                }
            }
        }
    }
    (wrong, calls)
}

#[tokio::test]
async fn any_call_may_fail() {
    let (wrong, calls) = sweep(Guards::all(), Between::Nothing).await;
    assert_eq!(wrong, Vec::<String>::new());
    assert!(calls >= 30, "the story is short: {calls}");
}

#[tokio::test]
async fn any_call_below_a_journal_may_fail() {
    let (wrong, calls) = sweep(Guards::all(), Between::Journal).await;
    assert_eq!(wrong, Vec::<String>::new());
    assert!(calls >= 10, "the story is short: {calls}");
}

#[tokio::test]
async fn the_sweep_misses_each_guard() {
    for guard in [Guard::AnswerAfterSync, Guard::PublishAfterSync, Guard::ResumeExactly] {
        let (wrong, _) = sweep(Guards::without(guard), Between::Nothing).await;
        assert!(!wrong.is_empty(), "nobody misses {guard:?}");
    }
}

#[tokio::test]
async fn a_restore_that_fails_anywhere_makes_no_store() {
    let store = open(&MemoryEngine::default(), Guards::all()).unwrap();
    let mut player = Player::new(store);
    for number in 0..600 {
        let name = format!("n{number}");
        player.create("namespaces", "", &name, json!({"metadata": {"name": name}})).await;
    }
    let mut backup = Vec::new();
    write_backup(&player.store.state(), &Keyring::default(), &mut backup).unwrap();
    let whole = MemoryEngine::default();
    fill(&mut Cursor::new(&backup), &whole, &Keyring::default()).unwrap();
    assert_eq!(load(&whole, built_in(), Guards::all(), &Arc::default()).unwrap().state.count("namespaces"), 600);
    assert!(whole.calls(Call::Commit) > 1);
    for n in 1..=whole.calls(Call::Commit) {
        for fault in &faults()[..2] {
            let engine = MemoryEngine::default();
            engine.fail(Call::Commit, n, fault.clone());
            assert!(fill(&mut Cursor::new(&backup), &engine, &Keyring::default()).is_err(), "{n} {fault:?}");
            let left = load(&engine.reopened(), built_in(), Guards::all(), &Arc::default());
            assert!(left.is_err() || left.unwrap().state.count("namespaces") == 0, "{n} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_says_so() {
    struct Narrow(usize);
    impl std::io::Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let written = bytes.len().min(self.0);
            self.0 -= written;
            if written > 0 { Ok(written) } else { Err(std::io::ErrorKind::StorageFull.into()) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut player = Player::new(open(&MemoryEngine::default(), Guards::all()).unwrap());
    player.play().await;
    let mut whole = Vec::new();
    write_backup(&player.store.state(), &Keyring::default(), &mut whole).unwrap();
    for room in (1..whole.len()).step_by(37) {
        assert!(write_backup(&player.store.state(), &Keyring::default(), &mut Narrow(room)).is_err(), "{room}");
        assert!(
            fill(&mut Cursor::new(&whole[..room]), &MemoryEngine::default(), &Keyring::default()).is_err(),
            "{room}"
        );
    }
}
