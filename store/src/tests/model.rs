//! Random histories against a model of a few lines: whatever the store is asked, it answers as the model does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::Bench;
use crate::list::{ListAt, ListRequest};
use crate::request::Part;
use crate::selector::Selector;
use crate::state::{EventKind, HistoryLimits};
use crate::watch::{WatchItem, WatchRequest, WatchStart};

#[derive(Clone, Debug)]
enum Step {
    Create { name: u8, size: u8, large: bool },
    Patch { name: u8, size: u8 },
    Delete { name: u8 },
    Reopen,
    Rewrite,
    ListAt { back: u8 },
    ResumeAt { back: u8 },
}

/// All that the store promises, written as simply as possible: what is live, and what happened.
#[derive(Default)]
struct Model {
    live: BTreeMap<String, i64>,
    events: Vec<(EventKind, String, i64, u64)>,
}

impl Model {
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

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, 0..20_u8, any::<bool>()).prop_map(|(name, size, large)| Step::Create { name, size, large }),
        6 => (0..6_u8, 0..20_u8).prop_map(|(name, size)| Step::Patch { name, size }),
        4 => (0..6_u8).prop_map(|name| Step::Delete { name }),
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
            Step::Create { name, size, large } => {
                let name = format!("w{name}");
                let text = if large { "x".repeat(9000) } else { String::new() };
                let result = bench.create(&name, json!({"size": size, "text": text})).await;
                assert_eq!(result.is_ok(), !model.live.contains_key(&name));
                if let Ok(written) = result {
                    model.live.insert(name.clone(), i64::from(size));
                    model.events.push((EventKind::Added, name, i64::from(size), written.object.revision));
                }
            }
            Step::Patch { name, size } => {
                let name = format!("w{name}");
                let result = bench.merge(&bench.widget(&name), Part::Whole, json!({"spec": {"size": size}})).await;
                let before = model.live.get(&name).copied();
                assert_eq!(result.is_ok(), before.is_some());
                if let (Ok(written), Some(before)) = (result, before)
                    && before != i64::from(size)
                {
                    model.live.insert(name.clone(), i64::from(size));
                    model.events.push((EventKind::Modified, name, i64::from(size), written.object.revision));
                }
            }
            Step::Delete { name } => {
                let name = format!("w{name}");
                let result = bench.delete(&bench.widget(&name)).await;
                let size = model.live.remove(&name);
                assert_eq!(result.is_ok(), size.is_some());
                if let (Ok(written), Some(size)) = (result, size) {
                    model.events.push((EventKind::Deleted, name, size, written.object.revision));
                }
            }
        }
        check_list(&bench, &model, 0);
    }
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
