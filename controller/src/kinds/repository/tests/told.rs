//! Runs that no comment started are told on their commit: one status, no comment, whatever happens in between.

use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::test_run::TestRun;
use ports::forge::fake::FaultKind;
use serde_json::{Value, json};

use super::super::names;
use super::world::{HEAD, PUSHED, REPO, World};

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

fn triggers() -> Value {
    let run = json!({"recipeRef": "wiki"});
    json!([
        {"on": "Tag", "pattern": "v*", "run": run}, {"on": "Push", "branch": "main", "run": run},
        {"on": "Schedule", "cron": "30 12 * * *", "run": run},
    ])
}

/// Returns the runs that something other than a comment started.
async fn all(world: &World, word: &str) -> Vec<Object<TestRun>> {
    let is_of =
        |run: &Object<TestRun>| run.metadata.labels.get(names::TRIGGER_LABEL).is_some_and(|found| found == word);
    world.runs().await.into_iter().filter(is_of).collect()
}

/// Returns the only one, once it is there.
async fn begun(world: &World, word: &str) -> Object<TestRun> {
    world.until(&format!("there is a run of a {word}"), || async { all(world, word).await.len() == 1 }).await;
    all(world, word).await.remove(0)
}

fn history(world: &World, commit: &str) -> Vec<(String, String)> {
    world.forge.world().status_history(REPO, commit, "cc-ci/wiki")
}

async fn until_told(world: &World, commit: &str, state: &str) {
    let last = || history(world, commit).last().is_some_and(|(found, _)| found == state);
    world.until(&format!("{commit} is {state}"), || async { last() }).await;
}

async fn reported(world: &World, name: &str) -> (String, String) {
    let (word, _, message) = world.condition::<TestRun>("default", name, "Reported").await;
    (word, message)
}

fn comments(world: &World) -> usize {
    [5, 7, 8, 9].into_iter().map(|number| world.forge.world().comments_by(REPO, number, "bot").len()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_tag_and_a_push_have_one_status_on_their_commit_and_no_comment() {
    let world = World::with_triggers(triggers()).await;
    world.forge.world().tag(REPO, "v1", OTHER).branch(REPO, "main", PUSHED);
    for (word, commit, phase, state, words) in [
        ("tag", OTHER, "Failed", "failure", "Level 2 of 5: It ended"),
        ("push", PUSHED, "Succeeded", "success", "Level 2 of 5."),
    ] {
        let name = begun(&world, word).await.metadata.name;
        until_told(&world, commit, "pending").await;
        world.finish(&name, phase, 2).await;
        until_told(&world, commit, state).await;
        // Where nobody can comment, nobody is told to.
        assert_eq!(history(&world, commit).last().unwrap().1, words);
        world.until("it is reported", || async { reported(&world, &name).await.0 == "True" }).await;
        assert_eq!(reported(&world, &name).await.1, "The commit status says how it is.");
        let report = world.get::<TestRun>("default", &name).await.unwrap().status.report.unwrap();
        assert_eq!((report.comment_id, report.status_context.as_deref()), (None, Some("cc-ci/wiki")));
        assert!(history(&world, commit).len() <= 3, "{:?}", history(&world, commit));
    }
    assert_eq!(comments(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn the_run_of_a_time_is_told_once_its_commit_is_known() {
    let world = World::with_triggers(json!([triggers()[2]])).await;
    world.forge.world().branch(REPO, "main", HEAD);
    let name = begun(&world, "schedule").await.metadata.name;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(history(&world, HEAD).is_empty(), "nobody knows yet what it is about");
    world.set_status(&name, json!({"phase": "Running", "head": {"commit": HEAD, "images": []}})).await;
    until_told(&world, HEAD, "pending").await;
    world.finish(&name, "Succeeded", 5).await;
    until_told(&world, HEAD, "success").await;
    assert_eq!(comments(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_tells_nothing_twice_and_what_was_overwritten_is_put_right() {
    let mut world = World::with_triggers(triggers()).await;
    world.forge.world().tag(REPO, "v1", OTHER);
    let name = begun(&world, "tag").await.metadata.name;
    world.finish(&name, "Succeeded", 4).await;
    until_told(&world, OTHER, "success").await;
    // ccd ended after it had told it, and before it noted so.
    world.kill();
    world.set_status(&name, json!({"report": null})).await;
    let told = history(&world, OTHER).len();
    world.run();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(history(&world, OTHER).len(), told, "{:?}", history(&world, OTHER));
    world.forge.world().set_status(REPO, OTHER, "cc-ci/wiki", "error");
    until_told(&world, OTHER, "success").await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_or_a_missing_right_is_told_in_the_run_and_made_up_for() {
    let world = World::with_triggers(triggers()).await;
    let forbidden = FaultKind::Status(403, Vec::new(), String::new());
    world.forge.fail("POST /api/v1/repos/coop/wiki/statuses/", usize::MAX, forbidden);
    world.forge.world().tag(REPO, "v1", OTHER);
    let name = begun(&world, "tag").await.metadata.name;
    world.finish(&name, "Succeeded", 5).await;
    let reason = || async { world.condition::<TestRun>("default", &name, "Reported").await.1 };
    world.until("it says why", || async { reason().await == "Forbidden" }).await;
    world.forge.forget_seen();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let posts = world.forge.seen().iter().filter(|seen| seen.what.starts_with("POST")).count();
    assert!((1..=30).contains(&posts), "asked {posts} times in ten minutes");
    assert_eq!(world.condition::<TestRun>("default", &name, "Succeeded").await.0, "True", "the verdict is left alone");
    world.forge.heal();
    until_told(&world, OTHER, "success").await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_on_the_head_of_a_pull_request_shares_its_status_and_both_say_so() {
    let world = World::with_triggers(triggers()).await;
    let of_comment = world.run_of(world.comment(7, "ada", "!testme")).await.metadata.name;
    world.finish(&of_comment, "Failed", 1).await;
    until_told(&world, HEAD, "failure").await;
    world.forge.world().tag(REPO, "v1", HEAD);
    let of_tag = begun(&world, "tag").await.metadata.name;
    until_told(&world, HEAD, "pending").await;
    world.finish(&of_tag, "Succeeded", 5).await;
    until_told(&world, HEAD, "success").await;
    assert_eq!(history(&world, HEAD).last().unwrap().1, "Tag v1: Level 5 of 5.");
    let says = || world.reports(7)[0].1.contains("because of `Tag v1`, and forges keep one status");
    world.until("the comment says whose run it is", || async { says() }).await;
    assert!(world.reports(7)[0].1.contains("level 1 of 5"), "the comment stays about its own run");
    // The next one of the pull request is newer, and has the word.
    let again = world.run_of(world.comment(7, "ada", "!testme")).await.metadata.name;
    world.finish(&again, "Succeeded", 4).await;
    let last = || history(&world, HEAD).last().unwrap().1.clone();
    world.until("it speaks again", || async { last() == "Pull request 7: Level 4 of 5." }).await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_started_by_hand_is_told_nobody_and_a_repeated_run_is() {
    let world = World::with_triggers(triggers()).await;
    world.forge.world().tag(REPO, "v1", OTHER);
    let first = begun(&world, "tag").await;
    world.finish(&first.metadata.name, "Failed", 0).await;
    until_told(&world, OTHER, "failure").await;
    let spec = json!({"recipeRef": "wiki", "source": {"commit": OTHER}, "lane": "Cold"});
    world.create::<TestRun>("default", "by-hand", spec.clone()).await;
    world.finish("by-hand", "Succeeded", 5).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(history(&world, OTHER).last().unwrap().0, "failure", "nobody asked for it on the forge");
    // As `ccctl rerun` makes it: where the old one was told, the new one is.
    let (labels, annotations) = (&first.metadata.labels, &first.metadata.annotations);
    let metadata = json!({"name": "again", "namespace": "default", "labels": labels, "annotations": annotations});
    let object =
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": metadata, "spec": spec});
    world.objects.create(&<TestRun as api_types::kind::Kind>::resource(), object).await.unwrap();
    world.finish("again", "Succeeded", 5).await;
    until_told(&world, OTHER, "success").await;
}
