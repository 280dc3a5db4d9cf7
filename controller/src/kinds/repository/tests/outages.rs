//! A forge that misbehaves: the right condition, the right wait, nothing lost, no storm.

use std::time::Duration;

use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::TestRun;
use ports::forge::fake::FaultKind;

use super::world::{REPO, World};

fn status(code: u16, after: Option<&str>) -> FaultKind {
    let headers = after.map(|after| ("retry-after".to_owned(), after.to_owned())).into_iter().collect();
    FaultKind::Status(code, headers, String::new())
}

/// Every way in which a forge misbehaves, and the reason that is told.
fn troubles() -> Vec<(FaultKind, &'static str)> {
    vec![
        (status(302, None), "Redirected"),
        (status(401, None), "Unauthorized"),
        (status(403, None), "Forbidden"),
        (status(404, None), "NotFound"),
        (status(409, None), "Conflict"),
        (status(422, None), "Rejected"),
        (status(429, Some("40")), "RateLimited"),
        (status(500, None), "Unreachable"),
        (status(503, Some("20")), "RateLimited"),
        (FaultKind::Status(200, Vec::new(), "<html>Welcome</html>".to_owned()), "BadAnswer"),
        (FaultKind::Refused, "Unreachable"),
        (FaultKind::ReplyLost, "Unreachable"),
        (FaultKind::Truncated, "BadAnswer"),
        (FaultKind::Oversized, "AnswerTooLarge"),
        (FaultKind::Slow(Duration::from_mins(10)), "TimedOut"),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_trouble_is_told_waited_for_and_over_when_it_is_over() {
    for (fault, reason) in troubles() {
        let world = World::start().await;
        world.forge.fail("issues/comments?", usize::MAX, fault.clone());
        let comment = world.comment(7, "ada", "!testme");
        world
            .until("it is told", || async {
                world.condition::<Repository>("default", "wiki", "Polled").await.1 == reason
            })
            .await;
        world.forge.forget_seen();
        tokio::time::sleep(Duration::from_mins(10)).await;
        let asked = world.forge.seen().iter().filter(|seen| seen.what.contains("issues/comments?")).count();
        assert!((1..=25).contains(&asked), "{fault:?}: asked {asked} times in ten minutes");
        assert!(world.runs().await.is_empty());
        assert_eq!(world.condition::<Repository>("default", "wiki", "Ready").await.0, "False");
        world.forge.heal();
        world.run_of(comment).await;
        assert_eq!(world.condition::<Repository>("default", "wiki", "Ready").await.0, "True", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_one_poll_can_read_is_read_by_several() {
    let world = World::start().await;
    world.forge.fail("issues/comments?", usize::MAX, FaultKind::Refused);
    // Fifty a page and forty pages, all within the time by which polls overlap.
    for number in 0..2100 {
        world.comment(7, "mallory", &format!("Talk {number}"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let comment = world.comment(7, "ada", "!testme");
    world.forge.heal();
    world.run_of(comment).await;
    assert_eq!(world.runs().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_somebody_is_judged_is_no_rejection() {
    for path in ["/members/ada", "/pulls/7"] {
        let world = World::start().await;
        world.forge.fail(path, 3, status(502, None));
        let comment = world.comment(7, "ada", "!testme");
        let run = world.run_of(comment).await;
        assert_eq!(world.status().await.counts.rejected, 0, "{path}");
        assert!(world.status().await.counts.failed_polls >= 1);
        assert_eq!(world.runs().await.len(), 1, "{}", run.metadata.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ringing_bell_does_not_wake_a_forge_that_wants_to_be_left_alone() {
    let world = World::start().await;
    world.forge.fail("issues/comments?", 1, status(429, Some("120")));
    world.ring();
    world
        .until("it is told", || async {
            world.condition::<Repository>("default", "wiki", "Polled").await.1 == "RateLimited"
        })
        .await;
    world.forge.forget_seen();
    for _ in 0..200 {
        world.ring();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(world.forge.seen().len(), 0, "{:?}", world.forge.seen());
}

#[tokio::test(start_paused = true)]
async fn a_report_that_fails_says_so_and_touches_no_verdict() {
    let world = World::start().await;
    world.forge.fail("POST", usize::MAX, status(403, None));
    let run = world.run_of(world.comment(7, "ada", "!testme")).await;
    let name = &run.metadata.name;
    world.finish(name, "Succeeded", 5).await;
    world
        .until("it is told", || async {
            world.condition::<TestRun>("default", name, "Reported").await.1 == "Forbidden"
        })
        .await;
    assert_eq!(world.condition::<TestRun>("default", name, "Succeeded").await.0, "True");
    assert_eq!(world.condition::<TestRun>("default", name, "Stalled").await.0, "Unknown", "there is none");
    world.forge.heal();
    world
        .until("it is reported", || async { world.condition::<TestRun>("default", name, "Reported").await.0 == "True" })
        .await;
    assert_eq!(world.reports(7).len(), 1);
}

/// Whatever the forge answers to what is told: it is said in the run, there is no storm, and in the end one comment and one
/// status stand there.
#[tokio::test(start_paused = true)]
async fn every_trouble_while_it_is_told_ends_with_one_comment_and_one_status() {
    for (fault, reason) in troubles() {
        let world = World::start().await;
        let run = world.run_of(world.comment(7, "ada", "!testme")).await;
        let name = &run.metadata.name;
        let told = || async { world.condition::<TestRun>("default", name, "Reported").await };
        world.until("it is told", || async { told().await.0 == "True" }).await;
        // Everything that is asked for the report, and nothing that polls ask.
        for what in ["/issues/comments/", "/issues/7/comments", "/statuses/", "/status"] {
            world.forge.fail(what, usize::MAX, fault.clone());
        }
        world.finish(name, "Failed", 3).await;
        world.until(&format!("{reason} is told"), || async { told().await.1 == reason }).await;
        world.forge.forget_seen();
        tokio::time::sleep(Duration::from_mins(10)).await;
        let seen = world.forge.seen();
        let asked = seen.iter().filter(|seen| !seen.what.contains("issues/comments?")).count();
        assert!((1..=80).contains(&asked), "{fault:?}: asked {asked} times in ten minutes");
        assert_eq!(
            world.condition::<TestRun>("default", name, "Succeeded").await.0,
            "False",
            "the verdict is left alone"
        );
        world.forge.heal();
        world.until("it is told in the end", || async { told().await.0 == "True" }).await;
        assert_eq!(world.reports(7).len(), 1, "{fault:?}");
        assert!(world.reports(7)[0].1.contains("level 3 of 5"), "{fault:?}");
        let history = world.forge.world().status_history(REPO, super::world::HEAD, "cc-ci/wiki");
        assert_eq!(history.last().map(|(state, _)| state.as_str()), Some("failure"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_no_second_comment() {
    let world = World::start().await;
    world.forge.fail("POST /api/v1/repos/coop/wiki/issues/7/comments", 2, FaultKind::ReplyLost);
    let run = world.run_of(world.comment(7, "ada", "!testme")).await;
    world.finish(&run.metadata.name, "Failed", 0).await;
    world
        .until("it is reported", || async {
            world.condition::<TestRun>("default", &run.metadata.name, "Reported").await.0 == "True"
        })
        .await;
    assert_eq!(world.reports(7).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn reports_of_a_hundred_runs_stay_within_ten_calls_a_second() {
    let world = World::start().await;
    for number in 100..200 {
        world.forge.world().pull_request(REPO, number, "ada", &format!("{number:040x}"), false);
        world.comment(number, "ada", "!testme");
    }
    world.until("all have begun", || async { world.runs().await.len() == 100 }).await;
    world.forge.forget_seen();
    for run in world.runs().await {
        world.finish(&run.metadata.name, "Succeeded", 5).await;
    }
    world
        .until("all are told", || async {
            (100..200).all(|number| world.reports(number).iter().any(|(_, text)| text.contains("level 5 of 5")))
        })
        .await;
    let times: Vec<_> = world.forge.seen().iter().map(|seen| seen.at).collect();
    for window in times.windows(11) {
        assert!(window[10].duration_since(window[0]) >= Duration::from_millis(990), "more than ten in a second");
    }
    let posts = world
        .forge
        .seen()
        .iter()
        .filter(|seen| seen.what.starts_with("POST") && seen.what.ends_with("/comments"))
        .count();
    assert!(posts <= 100, "{posts} comments for a hundred runs");
}
