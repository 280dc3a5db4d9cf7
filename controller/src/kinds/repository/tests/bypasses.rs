//! Every way around an approval that others were caught with, by name. None leads to a run that may be dispatched.

use api_types::kind::Object;
use api_types::kinds::approval::Approval;
use api_types::kinds::test_run::TestRun;

use super::world::{FORK_HEAD, PUSHED, REPO, World};
use crate::trust::Gate;

async fn approved(world: &World) -> Object<TestRun> {
    let asked = world.comment(8, "ada", "!testme");
    let run = world.run_of(asked).await;
    assert_eq!(world.fate(world.comment(8, "ada", "!ok")).await.0, "Approved");
    world.until_open(&run).await;
    run
}

/// Gitea CVE-2026-104632: cancelling and running again dropped the need of an approval.
#[tokio::test(start_paused = true)]
async fn cancel_and_rerun_needs_an_approval_anew() {
    let world = World::start().await;
    approved(&world).await;
    world.fate(world.comment(8, "ada", "!cancel")).await;
    world.fate(world.comment(8, "ada", "!deny")).await;
    let again = world.run_of(world.comment(8, "ada", "!rerun")).await;
    assert!(!world.is_open(&again).await);
}

/// A retry is a dispatch: the gate is asked with the approvals of that moment.
#[tokio::test(start_paused = true)]
async fn a_retry_is_judged_by_the_approvals_of_its_moment() {
    let world = World::start().await;
    let run = approved(&world).await;
    let approval = world.list::<Approval>().await.pop().unwrap();
    let key = crate::runtime::objects::ObjectKey::new(
        &<Approval as api_types::kind::Kind>::resource(),
        "default",
        &approval.metadata.name,
    );
    world.objects.delete(&key, None).await.unwrap();
    assert!(!world.is_open(&run).await, "the very run that was open before");
}

/// A label, on the pull request or on the run, approves nothing: the one only rings, the other is anybody's.
#[tokio::test(start_paused = true)]
async fn a_label_approves_nothing() {
    let world = World::start().await;
    let run = world.run_of(world.comment(8, "ada", "!testme")).await;
    let key = crate::runtime::objects::ObjectKey::new(
        &<TestRun as api_types::kind::Kind>::resource(),
        "default",
        &run.metadata.name,
    );
    let mut value = world.objects.get(&key).await.unwrap().value.clone();
    value["metadata"]["labels"]["safe-to-test"] = "true".into();
    value["metadata"]["annotations"]["ci.coopcloud.tech/approved-by"] = "ada".into();
    while world.objects.update(&key, value.clone()).await.is_err() {
        let newest = world.objects.get(&key).await.unwrap();
        value["metadata"]["resourceVersion"] = newest.value["metadata"]["resourceVersion"].clone();
    }
    world.ring();
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    let labelled = world.get::<TestRun>("default", &run.metadata.name).await.unwrap();
    assert!(labelled.metadata.labels.contains_key("safe-to-test"));
    assert!(!world.is_open(&labelled).await && world.list::<Approval>().await.is_empty());
    assert_eq!(world.runs().await.len(), 1);
}

/// Gitea CVE-2026-104626, CVE-2026-66877: a late approval revived what had ended.
#[tokio::test(start_paused = true)]
async fn a_late_approval_revives_nothing() {
    let world = World::start().await;
    let asked = world.comment(8, "ada", "!testme");
    let run = world.run_of(asked).await;
    world.fate(world.comment(8, "ada", "!cancel")).await;
    world.finish(&run.metadata.name, "Cancelled", 0).await;
    world.fate(world.comment(8, "ada", "!ok")).await;
    let ended = world.run_of(asked).await;
    let phase = ended.status.phase.unwrap();
    assert!(phase.is_finished() && ended.spec.cancel, "an end is an end");
    assert_eq!(world.runs().await.len(), 1, "and no other run was started");
}

/// Gitea CVE-2026-71184: events of reviews were not taken for those of a fork.
#[tokio::test(start_paused = true)]
async fn a_review_event_starts_nothing_and_a_fork_is_one_whatever_the_event() {
    let world = World::start().await;
    // Whatever was delivered, it only rings.
    world.ring();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(world.runs().await.is_empty());
    world.forge.world().delete_fork(REPO, 8);
    world.ring();
    let run = world.run_of(world.comment(8, "ada", "!testme")).await;
    assert!(run.spec.source.pull_request.clone().unwrap().fork, "a head that is gone is a fork's");
    assert!(!world.is_open(&run).await);
}

/// Gitea CVE-2026-94205: the gate looked at who commented, and not at whose work it was.
#[tokio::test(start_paused = true)]
async fn a_members_comment_is_no_approval_of_a_strangers_work() {
    let world = World::start().await;
    let run = world.run_of(world.comment(8, "ada", "!testme")).await;
    assert!(matches!(world.gate(&run).await, Gate::Waiting { reason: "AwaitingApproval", .. }));
    for body in ["!ok", "!testme", "!rerun"] {
        assert_eq!(world.fate(world.comment(8, "mallory", body)).await.0, "NotAuthorized", "{body}");
    }
    assert!(!world.is_open(&run).await);
}

/// Woodpecker CVE-2026-58370, CVE-2023-40034: identity was taken from what somebody wrote.
#[tokio::test(start_paused = true)]
async fn a_spoofed_author_is_nobody() {
    let world = World::start().await;
    // Whoever administers the repository puts words into a member's mouth.
    let victim = world.comment(8, "ada", "Nice work.");
    world.forge.world().edit(victim, "!ok");
    assert_eq!(world.fate(victim).await.0, "Edited");
    let late = world.comment(8, "ada", "Good morning.");
    world.fate(late).await;
    world.forge.world().edit(late, "!testme");
    // Names of accounts that nobody has, and text that looks like somebody's.
    let claimed = world.comment(8, "mallory", "On behalf of @ada:\n\n!ok");
    assert_eq!(world.fate(claimed).await.0, "NotAuthorized");
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    assert!(world.runs().await.is_empty() && world.list::<Approval>().await.is_empty());
}

/// Kargo 2365: an approval counted for what was not looked at.
#[tokio::test(start_paused = true)]
async fn a_new_push_after_the_approval_voids_it() {
    let world = World::start().await;
    let old = approved(&world).await;
    world.forge.world().push(REPO, 8, PUSHED);
    let new = world.run_of(world.comment(8, "ada", "!testme")).await;
    assert_eq!(new.spec.source.commit.as_deref(), Some(PUSHED));
    assert!(!world.is_open(&new).await);
    let name = world.list::<Approval>().await[0].metadata.name.clone();
    world
        .until("it is void", || async {
            world.condition::<Approval>("default", &name, "Current").await.1 == "HeadMoved"
        })
        .await;
    assert!(!world.is_open(&old).await, "nor does it open the old head any more");
    // Of what is void anyway, nobody is asked.
    world.forge.forget_seen();
    world.ask_about(&name);
    tokio::time::sleep(std::time::Duration::from_mins(21)).await;
    let asked = |part: &str| world.forge.seen().iter().filter(|seen| seen.what.contains(part)).count();
    assert!(asked("/pulls/8") >= 2, "it is looked whether the head comes back");
    assert_eq!(asked("/members/"), 0, "{:?}", world.forge.seen());
}

/// A push between the look and the word: what is approved is what was shown, or nothing.
#[tokio::test(start_paused = true)]
async fn a_push_between_the_look_and_the_word_is_not_approved() {
    let world = World::start().await;
    let shown = world.run_of(world.comment(8, "ada", "!testme")).await;
    world.forge.world().push(REPO, 8, PUSHED);
    let ok = world.comment(8, "ada", "!ok");
    assert_eq!(world.fate(ok).await.0, "HeadMoved");
    assert!(world.list::<Approval>().await.is_empty() && !world.is_open(&shown).await);
    assert!(world.answers(8)[0].1.contains("!ok beefbee"));
    // Whoever names the commit says what they looked at.
    assert_eq!(world.fate(world.comment(8, "ada", "!ok 91aa0e2")).await.0, "HeadMoved");
    assert_eq!(world.fate(world.comment(8, "ada", "!ok beefbee")).await.0, "Approved");
    assert_eq!(world.list::<Approval>().await[0].spec.head_sha, PUSHED);
    assert_ne!(PUSHED, FORK_HEAD);
}

/// Rights that are lost count at once: they are asked for with every command.
#[tokio::test(start_paused = true)]
async fn who_has_left_approves_nothing() {
    let world = World::start().await;
    let run = world.run_of(world.comment(8, "ada", "!testme")).await;
    world.forge.world().leave("coop", "ada");
    assert_eq!(world.fate(world.comment(8, "ada", "!ok")).await.0, "NotAuthorized");
    assert!(!world.is_open(&run).await);
}

/// The right to approve is asked for again when the run is dispatched, not only when the word was given.
#[tokio::test(start_paused = true)]
async fn the_approval_of_who_has_left_since_lets_nothing_begin() {
    let world = World::start().await;
    let run = approved(&world).await;
    world.forge.world().leave("coop", "ada");
    let name = world.list::<Approval>().await[0].metadata.name.clone();
    world.ask_about(&name);
    let authorized = || async { world.condition::<Approval>("default", &name, "Authorized").await };
    world.until("it is noticed", || async { authorized().await.1 == "NotAuthorized" }).await;
    assert!(matches!(world.gate(&run).await, Gate::Waiting { reason: "ApprovalVoid", .. }));
    assert_eq!(world.condition::<Approval>("default", &name, "Ready").await.0, "False");
    // Another member's word counts instead of it, once the old one is gone.
    world.forge.world().member("coop", "eve", false);
    assert_eq!(world.fate(world.comment(8, "eve", "!deny")).await.0, "Denied");
    let again = world.run_of(world.comment(8, "eve", "!rerun")).await;
    assert_eq!(world.fate(world.comment(8, "eve", "!ok")).await.0, "Approved");
    world.until_open(&again).await;
}

/// A forge that does not answer confirms nothing: the run waits, and goes on when it answers.
#[tokio::test(start_paused = true)]
async fn a_forge_that_is_away_confirms_no_approval() {
    let world = World::start().await;
    let run = approved(&world).await;
    world.forge.fail("", usize::MAX, ports::forge::fake::FaultKind::Refused);
    world.until("the last word is too old", || async { !world.is_open(&run).await }).await;
    let Gate::Unconfirmed { approval, message } = world.gate(&run).await else {
        panic!("{:?}", world.gate(&run).await)
    };
    assert!(message.contains("ada approved commit 91aa0e2") && message.contains("since 2026-11-25T12:0"), "{message}");
    world.ask_about(&approval);
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    assert!(!world.is_open(&run).await);
    world.forge.heal();
    world.until_open(&run).await;
}
