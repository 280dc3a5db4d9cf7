//! Whatever happens to a run, it goes when it is deleted, and nothing of it is left: stories that nobody thought of.

use std::time::Duration;

use api_types::kind::Kind as _;
use api_types::kinds::app::App;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{RungStatus, TestRun};
use proptest::prelude::*;
use serde_json::json;

use super::goes_with_everything;
use super::stage::{HEAD, Reply, Stage};
use crate::runtime::objects::ObjectKey;

/// What people do. After each, ccd is killed and started again.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Cancel,
    RemoveRecipe,
    RemoveApp,
    Restart,
}

/// A deed, and how many milliseconds after the one before.
type Moment = (Deed, u64);

#[derive(Clone, Debug)]
struct Story {
    /// How steps go; those that are not here go well.
    replies: Vec<(&'static str, Reply)>,
    is_held: bool,
    moments: Vec<Moment>,
    deleted_after: u64,
}

fn reply(step: &'static str) -> impl Strategy<Value = (&'static str, Reply)> {
    let hiccups = Just(Reply::Broke("Unreachable", 2));
    // What ends a run is tried until it succeeds, so that it must; a check may say no, and everything else may hang.
    let reply = match step {
        "teardown" | "results" | "files" => hiccups.boxed(),
        "works" => prop_oneof![hiccups, Just(Reply::Result(RungStatus::Fail)), Just(Reply::Hangs)].boxed(),
        _ => prop_oneof![hiccups, Just(Reply::Hangs)].boxed(),
    };
    reply.prop_map(move |reply| (step, reply))
}

fn story() -> impl Strategy<Value = Story> {
    let steps = ["fetch", "backup-take", "works", "evidence", "teardown", "results", "files"];
    let replies = prop::sample::subsequence(steps.to_vec(), 0..=steps.len())
        .prop_flat_map(|steps| steps.into_iter().map(reply).collect::<Vec<_>>());
    let deed = prop_oneof![Just(Deed::Cancel), Just(Deed::RemoveRecipe), Just(Deed::RemoveApp), Just(Deed::Restart)];
    let moments = prop::collection::vec((deed, 0..12_000_u64), 0..4);
    (replies, any::<bool>(), moments, 0..40_000_u64).prop_map(|(replies, is_held, moments, deleted_after)| Story {
        replies,
        is_held,
        moments,
        deleted_after,
    })
}

async fn play(story: Story) {
    let told = format!("{story:?}");
    let stage = Stage::new(2).await;
    stage.script(|script| script.replies.extend(story.replies));
    let short = json!({"pull": "1m", "converge": "1m", "http": "1m", "run": "3m"});
    stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["timeouts"] = short.clone()).await;
    stage.run_named("run", "wordpress", HEAD).await;
    if story.is_held {
        stage.change(&TestRun::resource(), "run", |run| run["spec"]["holdOnFailure"] = json!("1h")).await;
    }
    for (deed, after) in story.moments {
        pass(&stage, after).await;
        let key = |resource: &str, name: &str| ObjectKey::new(resource, "default", name);
        // What is not there, or not any more, cannot be removed.
        match deed {
            Deed::Cancel => {
                stage.change(&TestRun::resource(), "run", |run| run["spec"]["cancel"] = json!(true)).await;
            }
            Deed::RemoveRecipe => drop(stage.objects.delete(&key(&Recipe::resource(), "wordpress"), None).await),
            Deed::RemoveApp => drop(stage.objects.delete(&key(&App::resource(), "run"), None).await),
            Deed::Restart => {}
        }
    }
    pass(&stage, story.deleted_after).await;
    goes_with_everything(&stage, &told).await;
}

async fn pass(stage: &Stage, milliseconds: u64) {
    let (began, wait) = (tokio::time::Instant::now(), Duration::from_millis(milliseconds));
    stage.play(None, |_| began.elapsed() >= wait).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happened_to_a_run_it_goes_when_it_is_deleted(story in story()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(story));
    }
}
