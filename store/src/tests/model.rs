//! Random histories against a model of a few lines: whatever the store is asked, it answers as the model does.

use std::collections::BTreeMap;

use api_types::status::{Reason, Status};
use proptest::prelude::*;
use serde_json::json;

use super::Bench;
use crate::list::{ListAt, ListRequest};
use crate::request::{Outcome, Part, Written};
use crate::selector::Selector;
use crate::state::{EventKind, HistoryLimits};
use crate::watch::{WatchItem, WatchRequest, WatchStart};

/// What one client asks for.
#[derive(Clone, Debug)]
enum Act {
    Create { name: u8, size: u8, large: bool },
    Patch { name: u8, size: u8 },
    Delete { name: u8 },
}

#[derive(Clone, Debug)]
enum Step {
    /// Several clients at once.
    Together(Vec<Act>),
    Reopen,
    Rewrite,
    ListAt {
        back: u8,
    },
    ResumeAt {
        back: u8,
    },
}

/// All that the store promises, written as simply as possible: what is live, and what happened.
#[derive(Default)]
struct Model {
    live: BTreeMap<String, i64>,
    events: Vec<(EventKind, String, i64, u64)>,
}

impl Model {
    /// Does what was acknowledged, which must have been possible.
    fn apply(&mut self, act: &Act, revision: u64) {
        let (kind, name, size) = match act {
            Act::Create { name, size, .. } => (EventKind::Added, name_of(*name), i64::from(*size)),
            Act::Patch { name, size } => (EventKind::Modified, name_of(*name), i64::from(*size)),
            Act::Delete { name } => (EventKind::Deleted, name_of(*name), self.live[&name_of(*name)]),
        };
        let before = match kind {
            EventKind::Deleted => self.live.remove(&name),
            EventKind::Added | EventKind::Modified => self.live.insert(name.clone(), size),
        };
        assert_eq!(before.is_none(), kind == EventKind::Added, "{act:?} at {revision}");
        self.events.push((kind, name, size, revision));
    }

    fn at(&self, revision: u64) -> BTreeMap<String, i64> {
        let mut live = BTreeMap::new();
        for (kind, name, size, _) in self.events.iter().filter(|(_, _, _, at)| *at <= revision) {
            match kind {
                EventKind::Deleted => live.remove(name),
                EventKind::Added | EventKind::Modified => live.insert(name.clone(), *size),
            };
        }
        live
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..6_u8, 0..20_u8, any::<bool>()).prop_map(|(name, size, large)| Act::Create { name, size, large }),
        3 => (0..6_u8, 0..20_u8).prop_map(|(name, size)| Act::Patch { name, size }),
        2 => (0..6_u8).prop_map(|name| Act::Delete { name }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => act().prop_map(|act| Step::Together(vec![act])),
        6 => prop::collection::vec(act(), 2..6).prop_map(Step::Together),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rewrite),
        2 => (0..20_u8).prop_map(|back| Step::ListAt { back }),
        2 => (0..20_u8).prop_map(|back| Step::ResumeAt { back }),
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
    written.sort_unstable_by_key(|(revision, _)| *revision);
    let mut moments = vec![model.live.clone()];
    for (revision, act) in written {
        model.apply(act, revision);
        moments.push(model.live.clone());
    }
    for (act, reason) in refused {
        let fits = |live: &BTreeMap<String, i64>| match act {
            Act::Create { name, .. } => reason == Some(Reason::AlreadyExists) && live.contains_key(&name_of(*name)),
            Act::Patch { name, size } => match live.get(&name_of(*name)) {
                None => reason == Some(Reason::NotFound),
                Some(found) => reason.is_none() && *found == i64::from(*size),
            },
            Act::Delete { name } => reason == Some(Reason::NotFound) && !live.contains_key(&name_of(*name)),
        };
        assert!(moments.iter().any(fits), "{act:?} was told {reason:?} among {acts:?}");
    }
}

async fn perform(bench: &Bench, act: &Act) -> Result<Written, Status> {
    match act {
        Act::Create { name, size, large } => {
            let text = if *large { "x".repeat(9000) } else { String::new() };
            bench.create(&name_of(*name), json!({"size": size, "text": text})).await
        }
        Act::Patch { name, size } => {
            bench.merge(&bench.widget(&name_of(*name)), Part::Whole, json!({"spec": {"size": size}})).await
        }
        Act::Delete { name } => bench.delete(&bench.widget(&name_of(*name))).await,
    }
}

fn name_of(name: u8) -> String {
    format!("w{name}")
}

async fn rewrite(bench: &Bench) {
    let before = bench.store.figures().generations_total;
    bench.store.rewrite_files().await.unwrap();
    assert_eq!(bench.store.figures().generations_total, before + 1);
}

fn check_list(bench: &Bench, model: &Model, back: u64) {
    let revision = bench.store.state().revision.saturating_sub(back);
    let request = ListRequest {
        resource: bench.resource("widgets.test.example.com"),
        namespace: Some("default".to_owned()),
        selector: Selector::default(),
        limit: 0,
        at: ListAt::Exact(revision),
    };
    match bench.store.list(&request) {
        Ok(list) => {
            let found: BTreeMap<String, i64> = list
                .objects
                .iter()
                .map(|object| (object.name().to_owned(), object.value()["spec"]["size"].as_i64().unwrap()))
                .collect();
            assert_eq!(found, model.at(revision), "the list at {revision}");
        }
        Err(status) => {
            assert_eq!(status.code, 410);
            assert!(back > 0, "the present state can always be listed");
        }
    }
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
        let size = change.object.value()["spec"]["size"].as_i64().unwrap();
        seen.push((change.kind, change.object.name().to_owned(), size, change.object.revision));
    }
    let expected: Vec<_> = model.events.iter().filter(|(_, _, _, at)| *at > revision).cloned().collect();
    assert_eq!(seen, expected, "the watch after {revision}");
}
