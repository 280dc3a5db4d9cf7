//! Random histories against a model of a few lines: whatever the store is asked, it answers as the model does.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use proptest::prelude::*;
use serde_json::json;

use super::{Bench, built_in, options};
use crate::backup::{restore_backup, write_backup};
use crate::keyring::Keyring;
use crate::list::{List, ListAt, ListRequest};
use crate::object::Object;
use crate::request::{Outcome, Part, Written};
use crate::selector::Selector;
use crate::state::{EventKind, HistoryLimits};
use crate::store::Store;
use crate::watch::{WatchItem, WatchRequest, WatchStart};

/// What one client asks for.
#[derive(Clone, Debug)]
enum Act {
    Create {
        name: u8,
        size: u8,
        large: bool,
        held: bool,
    },
    Patch {
        name: u8,
        size: u8,
    },
    /// Writes the status.
    Report {
        name: u8,
        seen: u8,
    },
    Delete {
        name: u8,
    },
    /// Takes the finalizer away.
    Release {
        name: u8,
    },
}

#[derive(Clone, Debug)]
enum Step {
    /// Several clients at once.
    Together(Vec<Act>),
    Reopen,
    /// Goes on in a store that was restored from a backup.
    Restore,
    Rewrite,
    /// A list in pages, with writes between the first and the others.
    Pages {
        limit: usize,
        meanwhile: Vec<Act>,
    },
    ListAt {
        back: u8,
    },
    ResumeAt {
        back: u8,
    },
}

/// What a widget says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Widget {
    size: i64,
    seen: Option<i64>,
    /// A finalizer keeps it.
    is_held: bool,
    /// It was deleted, and waits for its finalizer.
    is_going: bool,
}

impl Widget {
    fn of(object: &Object) -> Self {
        let value = object.value();
        Self {
            size: value["spec"]["size"].as_i64().unwrap(),
            seen: value["status"]["seen"].as_i64(),
            is_held: value["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()),
            is_going: value["metadata"]["deletionTimestamp"].is_string(),
        }
    }
}

/// All that the store promises, written as simply as possible: what is live, and what happened.
#[derive(Default)]
struct Model {
    live: BTreeMap<String, Widget>,
    events: Vec<(EventKind, String, Widget, u64)>,
}

impl Model {
    /// Does what was acknowledged, which must have been possible.
    fn apply(&mut self, act: &Act, revision: u64) {
        let name = name_of(act);
        let before = self.live.get(&name).cloned();
        let there = || before.clone().unwrap_or_else(|| panic!("{act:?} at {revision}: it was not there"));
        let (kind, widget) = match act {
            Act::Create { size, held, .. } => {
                let widget = Widget { size: i64::from(*size), seen: None, is_held: *held, is_going: false };
                (EventKind::Added, widget)
            }
            Act::Patch { size, .. } => (EventKind::Modified, Widget { size: i64::from(*size), ..there() }),
            Act::Report { seen, .. } => (EventKind::Modified, Widget { seen: Some(i64::from(*seen)), ..there() }),
            Act::Delete { .. } if there().is_held => (EventKind::Modified, Widget { is_going: true, ..there() }),
            Act::Delete { .. } => (EventKind::Deleted, there()),
            Act::Release { .. } if there().is_going => (EventKind::Deleted, Widget { is_held: false, ..there() }),
            Act::Release { .. } => (EventKind::Modified, Widget { is_held: false, ..there() }),
        };
        assert_eq!(before.is_none(), kind == EventKind::Added, "{act:?} at {revision}");
        match kind {
            EventKind::Deleted => self.live.remove(&name),
            EventKind::Added | EventKind::Modified => self.live.insert(name.clone(), widget.clone()),
        };
        self.events.push((kind, name, widget, revision));
    }

    fn at(&self, revision: u64) -> BTreeMap<String, Widget> {
        let mut live = BTreeMap::new();
        for (kind, name, widget, _) in self.events.iter().filter(|(_, _, _, at)| *at <= revision) {
            match kind {
                EventKind::Deleted => live.remove(name),
                EventKind::Added | EventKind::Modified => live.insert(name.clone(), widget.clone()),
            };
        }
        live
    }
}

fn act() -> impl Strategy<Value = Act> {
    let creation = (0..6_u8, 0..20_u8, any::<bool>(), any::<bool>());
    prop_oneof![
        3 => creation.prop_map(|(name, size, large, held)| Act::Create { name, size, large, held }),
        3 => (0..6_u8, 0..20_u8).prop_map(|(name, size)| Act::Patch { name, size }),
        2 => (0..6_u8, 0..20_u8).prop_map(|(name, seen)| Act::Report { name, seen }),
        2 => (0..6_u8).prop_map(|name| Act::Delete { name }),
        1 => (0..6_u8).prop_map(|name| Act::Release { name }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pages = (1..4_usize, prop::collection::vec(act(), 0..4));
    prop_oneof![
        20 => act().prop_map(|act| Step::Together(vec![act])),
        12 => prop::collection::vec(act(), 2..6).prop_map(Step::Together),
        2 => Just(Step::Reopen),
        1 => Just(Step::Restore),
        2 => Just(Step::Rewrite),
        4 => pages.prop_map(|(limit, meanwhile)| Step::Pages { limit, meanwhile }),
        4 => (0..20_u8).prop_map(|back| Step::ListAt { back }),
        4 => (0..20_u8).prop_map(|back| Step::ResumeAt { back }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_the_model(steps in prop::collection::vec(step(), 1..60), events_max in 3..40_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps, events_max));
    }
}

async fn run(steps: Vec<Step>, events_max: usize) {
    let mut bench = Bench::with_history(HistoryLimits { events_max, bytes_max: 1 << 20 }).await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => bench = bench.reopen().await,
            Step::Restore => bench = restored(bench).await,
            Step::Pages { limit, meanwhile } => check_pages(&bench, &mut model, limit, &meanwhile).await,
            Step::Rewrite => rewrite(&bench).await,
            Step::ListAt { back } => check_list(&bench, &model, u64::from(back)),
            Step::ResumeAt { back } => check_resume(&bench, &model, u64::from(back)),
            Step::Together(acts) => together(&bench, &mut model, &acts).await,
        }
        check_list(&bench, &model, 0);
    }
}

/// Lets all clients act at once. What they are told must be what some order of their acts would have told them: the
/// order of the revisions for what was written, and for the rest any moment in between.
async fn together(bench: &Bench, model: &mut Model, acts: &[Act]) {
    let told = futures::future::join_all(acts.iter().map(|act| perform(bench, act))).await;
    let mut written = Vec::new();
    let mut refused = Vec::new();
    for (act, told) in acts.iter().zip(told) {
        match told {
            Ok(told) if told.outcome != Outcome::Unchanged => written.push((told.object.revision, act)),
            Ok(_) => refused.push((act, None)),
            Err(status) => refused.push((act, status.reason)),
        }
    }
    // Who deletes what is going already is shown how it is: what another act made of it, or an earlier one.
    written.sort_by_key(|(revision, act)| (*revision, matches!(act, Act::Delete { .. })));
    let mut moments = vec![model.live.clone()];
    for (revision, act) in written {
        let is_shown = model.events.iter().any(|(_, _, _, at)| *at == revision);
        if is_shown && matches!(act, Act::Delete { .. }) {
            refused.push((act, None));
            continue;
        }
        model.apply(act, revision);
        moments.push(model.live.clone());
    }
    for (act, reason) in refused {
        let fits = |live: &BTreeMap<String, Widget>| match (act, live.get(&name_of(act))) {
            (Act::Create { .. }, found) => reason == Some(Reason::AlreadyExists) && found.is_some(),
            (_, None) => reason == Some(Reason::NotFound),
            (Act::Patch { size, .. }, Some(found)) => reason.is_none() && found.size == i64::from(*size),
            (Act::Report { seen, .. }, Some(found)) => reason.is_none() && found.seen == Some(i64::from(*seen)),
            (Act::Delete { .. }, Some(found)) => reason.is_none() && found.is_going,
            (Act::Release { .. }, Some(found)) => reason.is_none() && !found.is_held,
        };
        assert!(moments.iter().any(fits), "{act:?} was told {reason:?} among {acts:?}");
    }
}

async fn perform(bench: &Bench, act: &Act) -> Result<Written, Status> {
    let name = name_of(act);
    let widget = bench.widget(&name);
    match act {
        Act::Create { size, large, held, .. } => {
            let text = if *large { "x".repeat(9000) } else { String::new() };
            let finalizers = if *held { json!(["test.example.com/hold"]) } else { json!([]) };
            bench.create_with(&name, json!({"finalizers": finalizers}), json!({"size": size, "text": text})).await
        }
        Act::Patch { size, .. } => bench.merge(&widget, Part::Whole, json!({"spec": {"size": size}})).await,
        Act::Report { seen, .. } => bench.merge(&widget, Part::Status, json!({"status": {"seen": seen}})).await,
        Act::Delete { .. } => bench.delete(&widget).await,
        Act::Release { .. } => bench.merge(&widget, Part::Whole, json!({"metadata": {"finalizers": null}})).await,
    }
}

fn name_of(act: &Act) -> String {
    let (Act::Create { name, .. }
    | Act::Patch { name, .. }
    | Act::Report { name, .. }
    | Act::Delete { name }
    | Act::Release { name }) = act;
    format!("w{name}")
}

/// Returns the store that a backup of this one becomes.
async fn restored(bench: Bench) -> Bench {
    let mut file = Vec::new();
    write_backup(&bench.store.state(), &Keyring::default(), &mut file).unwrap();
    bench.store.close().await;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("restored");
    restore_backup(&mut Cursor::new(&file), &dir, built_in(), &Arc::default()).unwrap();
    let emptied = bench.dir.path();
    std::fs::remove_dir_all(emptied).unwrap();
    std::fs::rename(&dir, emptied).unwrap();
    let store = Store::open(options(emptied, bench.history, &bench.clock)).unwrap();
    Bench { store, ..bench }
}

async fn rewrite(bench: &Bench) {
    let before = bench.store.figures().generations_total;
    bench.store.rewrite_files().await.unwrap();
    assert_eq!(bench.store.figures().generations_total, before + 1);
}

fn list(bench: &Bench, limit: usize, at: ListAt) -> Result<List, Status> {
    let (resource, namespace) = (bench.resource("widgets.test.example.com"), Some("default".to_owned()));
    bench.store.list(&ListRequest { resource, namespace, selector: Selector::default(), limit, at })
}

fn widgets(objects: &[Arc<Object>]) -> BTreeMap<String, Widget> {
    objects.iter().map(|object| (object.name().to_owned(), Widget::of(object))).collect()
}

fn check_list(bench: &Bench, model: &Model, back: u64) {
    let revision = bench.store.state().revision.saturating_sub(back);
    match list(bench, 0, ListAt::Exact(revision)) {
        Ok(list) => assert_eq!(widgets(&list.objects), model.at(revision), "the list at {revision}"),
        Err(status) => {
            assert_eq!(status.code, 410);
            assert!(back > 0, "the present state can always be listed");
        }
    }
}

/// Lists in pages. All of them show the revision of the first, unless the history has lost it.
async fn check_pages(bench: &Bench, model: &mut Model, limit: usize, meanwhile: &[Act]) {
    let first = list(bench, limit, ListAt::Latest).unwrap();
    let expected = model.live.clone();
    let (revision, mut token, mut objects) = (first.revision, first.continue_token, first.objects);
    together(bench, model, meanwhile).await;
    while let Some(next) = token {
        assert_eq!(objects.len() % limit, 0, "only the last page may be short");
        match list(bench, limit, ListAt::Continue(next)) {
            Ok(page) => {
                assert_eq!(page.revision, revision);
                objects.extend(page.objects);
                token = page.continue_token;
            }
            Err(status) => {
                assert_eq!(status.code, 410);
                assert!(revision < bench.store.state().compacted, "only what is forgotten may be refused");
                return;
            }
        }
    }
    let names: Vec<&str> = objects.iter().map(|object| object.name()).collect();
    assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
    assert_eq!(widgets(&objects), expected, "the pages at {revision}");
}

fn check_resume(bench: &Bench, model: &Model, back: u64) {
    let revision = bench.store.state().revision.saturating_sub(back);
    let request = WatchRequest {
        resource: bench.resource("widgets.test.example.com"),
        namespace: None,
        selector: Selector::default(),
        start: WatchStart::After(revision),
    };
    let Ok(mut watch) = bench.store.watch(request) else {
        assert!(revision < bench.store.state().compacted, "only what is forgotten may be refused");
        return;
    };
    let mut seen = Vec::new();
    for item in watch.take().unwrap() {
        let WatchItem::Change(change) = item else { continue };
        seen.push((change.kind, change.object.name().to_owned(), Widget::of(&change.object), change.object.revision));
    }
    let expected: Vec<_> = model.events.iter().filter(|(_, _, _, at)| *at > revision).cloned().collect();
    assert_eq!(seen, expected, "the watch after {revision}");
}
