//! A comment becomes a run, and the run is told, to the end.

use std::time::Duration;

use api_types::kinds::approval::Approval;
use api_types::kinds::forge::Forge;
use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::{Lane, TestRun};
use jiff::SignedDuration;
use serde_json::json;

use super::world::{FORK_HEAD, HEAD, PUSHED, REPO, TOKEN, World};

#[tokio::test(start_paused = true)]
async fn a_comment_becomes_a_run_a_comment_and_a_green_tick() {
    let world = World::start().await;
    assert_eq!(world.condition::<Forge>("", "home", "Ready").await.0, "True");
    let comment = world.comment(7, "ada", "Thanks!\n\n!testme");
    let run = world.run_of(comment).await;
    assert_eq!(run.metadata.name, format!("wiki-pr7-3fa21c9-{comment}"));
    assert_eq!(run.spec.source.commit.as_deref(), Some(HEAD));
    let pull_request = run.spec.source.pull_request.clone().unwrap();
    assert_eq!((pull_request.author.as_deref(), pull_request.fork), (Some("ada"), false));
    assert_eq!(world.forge.world().reactions(comment), [("bot".to_owned(), "eyes".to_owned())]);
    let name = &run.metadata.name;
    world.until("it is told", || async { world.reports(7).len() == 1 }).await;
    world
        .set_status(
            name,
            json!({"phase": "Running", "startedAt": "2026-11-25T12:00:10Z",
        "rungs": [{"name": "install", "status": "Unverified", "reason": "Progressing"}]}),
        )
        .await;
    world.until("it says that it runs", || async { world.reports(7)[0].1.contains("install …") }).await;
    world.finish(name, "Succeeded", 5).await;
    world.until("it says how it ended", || async { world.reports(7)[0].1.contains("level 5 of 5") }).await;
    let history = || world.forge.world().status_history(REPO, HEAD, "cc-ci/wiki");
    world.until("so does the status", || async { history().last().is_some_and(|(state, _)| state == "success") }).await;
    let history = history();
    let states: Vec<&str> = history.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!((states.first(), states.last()), (Some(&"pending"), Some(&"success")));
    assert!(states.len() <= 4, "{states:?}");
    world
        .until("the run says so", || async {
            world.condition::<TestRun>("default", name, "Reported").await.1 == "Reported"
        })
        .await;
    let run = world.get::<TestRun>("default", name).await.unwrap();
    let report = run.status.report.unwrap();
    assert_eq!(report.comment_id, Some(world.reports(7)[0].0));
    assert_eq!(report.status_context.as_deref(), Some("cc-ci/wiki"));
    assert_eq!(run.status.level, Some(5), "the verdict is left alone");
    let everything = format!("{:?}", world.forge.world().comments_by(REPO, 7, "bot"));
    assert!(!everything.contains(TOKEN));
}

#[tokio::test(start_paused = true)]
async fn the_comment_says_what_changed_since_the_last_green_run() {
    let world = World::start().await;
    let tested = async |body: &str, image: &str, phase: &str| {
        let name = world.run_of(world.comment(7, "ada", body)).await.metadata.name;
        let began = crate::runtime::events::seconds(world.clock.now());
        let head = json!({"commit": HEAD, "images": [{"service": "app", "image": image}]});
        world.set_status(&name, json!({"phase": "Running", "startedAt": began, "head": head})).await;
        world.finish(&name, phase, 5).await;
        name
    };
    let told = async |words: &str| {
        let is_told = || world.reports(7).first().is_some_and(|(_, text)| text.contains(words));
        world.until(words, || async { is_told() }).await;
    };
    tested("!testme", "wiki:0", "Failed").await;
    told("Reproduce: `ccctl run wiki -n default").await;
    assert!(!world.reports(7)[0].1.contains("Since the last green"), "{:?}", world.reports(7));
    let green = tested("!testme", "wiki:1", "Succeeded").await;
    // None of these is proof.
    tested("!testme --quick", "wiki:2", "Succeeded").await;
    tested("!testme --only lint", "wiki:3", "Succeeded").await;
    tested("!testme", "wiki:4", "Failed").await;
    tested("!testme", "wiki:5", "Failed").await;
    told(&format!("Since the last green run `{green}` (2 minutes earlier): image of `app` `wiki:1` → `wiki:5`.")).await;
    assert_eq!(world.reports(7).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_the_first_sight_does_not_count() {
    let world = World::unseen(json!({})).await;
    let early = world.comment(7, "ada", "!testme");
    world.until_seen().await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(world.runs().await.is_empty());
    let later = world.comment(7, "ada", "!testme");
    world.run_of(later).await;
    assert!(world.status().await.cursor.unwrap().comment_id >= early.max(later));
    assert_eq!(world.condition::<Repository>("default", "wiki", "Polled").await.1, "Polled");
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_answered_within_the_interval_and_at_once_when_the_bell_rings() {
    let world = World::start().await;
    let mut polled = Vec::new();
    let mut rung = Vec::new();
    for round in 0..20_u64 {
        for (with_bell, times) in [(false, &mut polled), (true, &mut rung)] {
            tokio::time::sleep(Duration::from_millis(700 * (round % 13) + 1)).await;
            let began = world.clock.now();
            let comment = world.comment(7, "ada", "!testme");
            if with_bell {
                world.ring();
            }
            world
                .until("there is a run", || async {
                    world.runs().await.iter().any(|run| super::super::names::comment_of(run) == Some(comment))
                })
                .await;
            times.push(world.clock.now().duration_since(began));
        }
    }
    polled.sort_unstable();
    rung.sort_unstable();
    assert!(polled[10] < SignedDuration::from_secs(30), "p50 {:?}", polled[10]);
    assert!(rung[10] < SignedDuration::from_secs(1), "p50 {:?}", rung[10]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_stands_in_the_inbox_with_its_reason() {
    let world = World::start().await;
    let talk = world.comment(7, "ada", "Nice work.");
    let stranger = world.comment(7, "mallory", "!testme");
    let issue = world.comment(9, "ada", "!testme");
    world.forge.world().pull_request(REPO, 5, "ada", HEAD, false).close(REPO, 5, true);
    let closed = world.comment(5, "ada", "!testme");
    let bot = world.comment(7, "bot", "!testme");
    for (comment, reason) in
        [(talk, "NotACommand"), (stranger, "NotAuthorized"), (issue, "NotACommand"), (closed, "PullRequestClosed")]
    {
        assert_eq!(world.fate(comment).await.0, reason);
    }
    let status = world.status().await;
    assert_eq!((status.counts.rejected, status.counts.accepted), (1, 0));
    assert!(!status.ignored.iter().any(|event| event.comment_id == Some(bot)));
    assert!(world.runs().await.is_empty() && world.answers(7).is_empty(), "strangers are not answered");
}

#[tokio::test(start_paused = true)]
async fn options_become_the_run() {
    let world = World::start().await;
    let quick = world.comment(7, "ada", "!testme --quick --hold-on-fail 10m");
    let run = world.run_of(quick).await;
    assert_eq!((run.spec.lane, run.spec.hold_on_failure.unwrap().span().as_secs()), (Lane::Quick, 600));
    let part = world.comment(7, "ada", "!testme --only lint --from 1.0.0+2.0.0");
    let run = world.run_of(part).await;
    assert_eq!((run.spec.stages.len(), run.spec.base_version.as_deref()), (1, Some("1.0.0+2.0.0")));
    let all = world.comment(7, "ada", "!testme --from all");
    let run = world.run_of(all).await;
    assert_eq!((run.spec.base_version.as_deref(), run.spec.lane), (Some("all"), Lane::Cold));
    for comment in [quick, part, all] {
        let run = world.run_of(comment).await;
        world.finish(&run.metadata.name, "Succeeded", 5).await;
    }
    world.until("all are told", || async { world.forge.world().status_contexts(REPO, HEAD).len() == 3 }).await;
    // What proves less has a name of its own; what proves more may speak for the recipe.
    let contexts = world.forge.world().status_contexts(REPO, HEAD);
    assert_eq!(contexts.into_iter().collect::<Vec<_>>(), ["cc-ci/wiki", "cc-ci/wiki/partial", "cc-ci/wiki/quick"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_words_get_one_answer_and_questions_theirs() {
    let world = World::start().await;
    for _ in 0..5 {
        let wrong = world.comment(7, "ada", "!tetsme");
        assert_eq!(world.fate(wrong).await.0, "BadCommand");
    }
    assert_eq!(world.answers(7).len(), 1, "{:?}", world.answers(7));
    assert!(world.answers(7)[0].1.contains("Did you mean `!testme`"));
    for (body, part) in
        [("!help", "stand on a line of their own"), ("!status", "There are no runs"), ("!why", "There are no runs")]
    {
        let asked = world.comment(7, "ada", body);
        assert_eq!(world.fate(asked).await.0, "Succeeded");
        let (_, answer) = world.answers(7).pop().unwrap();
        assert!(answer.contains(part) && answer.contains(&format!("cc-ci:answer {asked}")), "{answer}");
    }
    assert_eq!(world.answers(7).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn runs_are_cancelled_and_run_again() {
    let world = World::start().await;
    let first = world.comment(7, "ada", "!testme");
    let run = world.run_of(first).await;
    world.fate(world.comment(7, "ada", "!cancel")).await;
    assert!(world.run_of(first).await.spec.cancel);
    world
        .set_status(
            &run.metadata.name,
            json!({"rungs": [
        {"name": "install", "status": "Pass"}, {"name": "upgrade", "status": "Fail", "reason": "RolledBack"},
        {"name": "backup-restore", "status": "Skip"}, {"name": "functional", "status": "Unverified"},
        {"name": "lint", "status": "Pass"}]}),
        )
        .await;
    world.finish(&run.metadata.name, "Failed", 1).await;
    world.forge.world().push(REPO, 7, PUSHED);
    let again = world.comment(7, "ada", "!rerun failed");
    let again = world.run_of(again).await;
    assert_eq!(again.spec.source.commit.as_deref(), Some(PUSHED), "the head as it is now");
    assert_eq!(json!(again.spec.stages), json!(["upgrade", "functional"]));
    let same = world.comment(7, "ada", "!rerun");
    assert_eq!(world.run_of(same).await.spec.stages, again.spec.stages);
    // The newest run speaks; the earlier ones are folded.
    world.until("all are told", || async { world.reports(7)[0].1.contains("Earlier runs (2)") }).await;
    assert_eq!(world.reports(7).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn older_heads_are_ended_when_the_trigger_says_so() {
    let world = World::unseen(json!({"cancelSuperseded": true})).await;
    world.until_seen().await;
    let old = world.comment(7, "ada", "!testme");
    let other = world.comment(8, "ada", "!testme");
    world.run_of(other).await;
    world.run_of(old).await;
    world.forge.world().push(REPO, 7, PUSHED);
    let new = world.comment(7, "ada", "!testme");
    let new = world.run_of(new).await;
    let old = world.run_of(old).await;
    assert!(old.spec.cancel && !new.spec.cancel && !world.run_of(other).await.spec.cancel);
    let by = old.metadata.annotations.get(super::super::names::SUPERSEDED_BY_ANNOTATION);
    assert_eq!(by, Some(&new.metadata.name));
}

#[tokio::test(start_paused = true)]
async fn a_fork_waits_until_its_head_is_approved() {
    let world = World::start().await;
    let asked = world.comment(8, "ada", "!testme");
    let run = world.run_of(asked).await;
    assert!(run.spec.source.pull_request.clone().unwrap().fork && !world.is_open(&run).await);
    let ok = world.comment(8, "ada", "!ok");
    assert_eq!(world.fate(ok).await.0, "Approved");
    world.until_open(&run).await;
    let approval = world.list::<Approval>().await.pop().unwrap();
    assert_eq!((approval.spec.head_sha.as_str(), approval.spec.approved_by.as_str()), (FORK_HEAD, "ada"));
    let name = approval.metadata.name.clone();
    world
        .until("it is current", || async { world.condition::<Approval>("default", &name, "Current").await.0 == "True" })
        .await;
    let deny = world.comment(8, "ada", "!deny");
    assert_eq!(world.fate(deny).await.0, "Denied");
    assert!(!world.is_open(&run).await && world.run_of(asked).await.spec.cancel);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_overwritten_is_told_again() {
    let world = World::start().await;
    let comment = world.comment(7, "ada", "!testme");
    let run = world.run_of(comment).await;
    world.finish(&run.metadata.name, "Failed", 2).await;
    world.until("it is told", || async { world.reports(7).iter().any(|(_, text)| text.contains("level 2")) }).await;
    let (first, text) = world.reports(7).pop().unwrap();
    world.forge.world().delete_comment(first);
    world.forge.world().set_status(REPO, HEAD, "cc-ci/wiki", "success");
    world.until("it is written again", || async { world.reports(7).len() == 1 }).await;
    assert_eq!(world.reports(7)[0].1, text);
    let last = || world.forge.world().status_history(REPO, HEAD, "cc-ci/wiki").pop().unwrap().0;
    world.until("the status is repaired", || async { last() == "failure" }).await;
    let second = world.reports(7)[0].0;
    world.forge.world().edit(second, "All is well, merge it!");
    world.until("it says the truth again", || async { world.reports(7).iter().any(|(_, found)| *found == text) }).await;
    assert_eq!(world.reports(7).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_its_comment_by_the_hidden_mark() {
    let mut world = World::start().await;
    let comment = world.comment(7, "ada", "!testme");
    let run = world.run_of(comment).await;
    world.until("it is told", || async { world.reports(7).len() == 1 }).await;
    // ccd ended after it wrote the comment, and before it noted the number.
    world.kill();
    world.set_status(&run.metadata.name, json!({"report": null, "conditions": []})).await;
    let other = "<!-- cc-ci:report default/wiki -->\nall is well";
    world.comment(7, "mallory", other);
    world.run();
    world.finish(&run.metadata.name, "Succeeded", 4).await;
    world.until("it is told", || async { world.reports(7)[0].1.contains("level 4") }).await;
    assert_eq!(world.reports(7).len(), 1);
    assert_eq!(world.forge.world().comments_by(REPO, 7, "mallory")[0].1, other, "others' comments are left alone");
}
