//! Whole runs in simulated time: what they come to, and that no kill changes it.

mod stage;
mod stories;
mod upgrades;

use std::cell::Cell;

use api_types::condition::{self, ConditionStatus};
use api_types::kind::Kind as _;
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{Phase, RungName, RungStatus, TestRun, TestRunStatus};
use api_types::reason;
use futures::FutureExt as _;
use serde_json::json;

use super::steps::Step;
use crate::runtime::objects::ObjectKey;
use stage::{BASE, HEAD, Reply, Script, Stage, object, recipe};

use RungStatus::{Fail, Pass, Skip, Unverified};

fn rungs(status: &TestRunStatus) -> [RungStatus; 5] {
    let found: Vec<RungStatus> = status.rungs.iter().map(|rung| rung.status).collect();
    found.try_into().unwrap()
}

fn reason_of(status: &TestRunStatus, rung: RungName) -> String {
    status.rungs.iter().find(|found| found.name == rung).and_then(|found| found.reason.clone()).unwrap_or_default()
}

async fn played(change: impl FnOnce(&mut Script)) -> (Stage, TestRunStatus) {
    let stage = Stage::new(2).await;
    stage.script(change);
    stage.run_named("run", "wordpress", HEAD).await;
    let (status, _) = stage.finish(None).await;
    (stage, status)
}

#[tokio::test(start_paused = true)]
async fn a_good_recipe_reaches_level_five_with_one_deploy() {
    let (stage, status) = played(|_| ()).await;
    assert_eq!(status.phase, Some(Phase::Succeeded), "{status:#?}");
    assert_eq!((status.level, rungs(&status)), (Some(5), [Pass; 5]));
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 1);
    assert_eq!(status.base.unwrap().commit.as_deref(), Some(BASE));
    assert_eq!(status.head.unwrap().commit.as_deref(), Some(HEAD));
    assert_eq!(status.cleanup.unwrap().removed, ["service/x"]);
    for condition in ["Accepted", "Approved", "Scheduled", "Fetched", "Tested", "CleanedUp", "Succeeded"] {
        assert!(condition::is_true(&status.conditions, condition), "{condition}");
    }
    for step in [Step::UpgradeSeed, Step::BackupTake, Step::BackupDestroy, Step::BackupRestore, Step::Lint] {
        assert_eq!(stage.ordered_step(step), 1, "{}", step.name());
    }
    assert!(status.steps.iter().all(|step| step.finished_at.is_some()), "{:#?}", status.steps);
}

/// What goes wrong, the phase, the rungs, and one rung's reason.
type Case = (&'static str, Box<dyn FnOnce(&mut Script)>, Phase, [RungStatus; 5], (RungName, &'static str));

fn reply(name: &'static str, reply: Reply) -> Box<dyn FnOnce(&mut Script)> {
    Box::new(move |script| {
        script.replies.insert(name, reply);
    })
}

fn app(commit: &'static str, reason: &'static str) -> Box<dyn FnOnce(&mut Script)> {
    Box::new(move |script| {
        script.apps.insert(commit, reason);
    })
}

async fn check_cases(cases: Vec<Case>) {
    for (name, change, phase, expected, (rung, reason)) in cases {
        let (_, status) = played(change).await;
        assert_eq!(rungs(&status), expected, "{name}: {:#?}", status.rungs);
        assert_eq!(reason_of(&status, rung), reason, "{name}");
        assert_eq!(status.phase, Some(phase), "{name}");
        assert!(status.finished_at.is_some() && status.level.is_some(), "{name}");
    }
}

const STUCK: [RungStatus; 5] = [Pass, Fail, Unverified, Unverified, Pass];

#[tokio::test(start_paused = true)]
async fn a_bad_recipe_is_red_at_its_own_rung() {
    use RungName::{BackupRestore, Functional, Install, Lint, Upgrade};
    let no = [Fail, Unverified, Unverified, Unverified, Pass];
    let upgrade = [Pass, Fail, Pass, Pass, Pass];
    let backup = [Pass, Pass, Fail, Pass, Pass];
    let nobody = [Pass, Pass, Unverified, Pass, Pass];
    type Bad = (&'static str, Box<dyn FnOnce(&mut Script)>, [RungStatus; 5], (RungName, &'static str));
    let cases: [Bad; 11] = [
        ("a test", reply("login", Reply::Result(Fail)), [Fail, Pass, Pass, Pass, Pass], (Install, "ChecksFailed")),
        ("the policy", reply("head-render", Reply::Bad("PolicyViolation")), no, (Install, "PolicyViolation")),
        ("a crash in the upgrade", app(HEAD, "CrashLoop"), STUCK, (Upgrade, "CrashLoop")),
        ("a rollback", app(HEAD, "RolledBack"), STUCK, (Upgrade, "RolledBack")),
        ("a missing image", reply("upgrade-pull", Reply::Bad("ImageNotFound")), STUCK, (Upgrade, "ImageNotFound")),
        ("lost data", reply("survives", Reply::Result(Fail)), upgrade, (Upgrade, "DataLost")),
        ("an empty backup", reply("backup-take", Reply::Bad("EmptyBackup")), backup, (BackupRestore, "EmptyBackup")),
        ("an empty restore", reply("kept", Reply::Result(Fail)), backup, (BackupRestore, "DataLost")),
        (
            "nothing destroyed",
            reply("backup-destroyed", Reply::Bad("NotDestroyed")),
            nobody,
            (BackupRestore, "NotDestroyed"),
        ),
        (
            "a function",
            reply("works", Reply::Result(Fail)),
            [Pass, Pass, Pass, Fail, Pass],
            (Functional, "ChecksFailed"),
        ),
        ("the linter", reply("lint", Reply::Bad("LintFailed")), [Pass, Pass, Pass, Pass, Fail], (Lint, "LintFailed")),
    ];
    let failed = |(name, change, rungs, reason)| (name, change, Phase::Failed, rungs, reason);
    check_cases(cases.into_iter().map(failed).collect()).await;
}

#[tokio::test(start_paused = true)]
async fn our_own_trouble_is_never_held_against_a_recipe() {
    use RungName::{BackupRestore, Functional, Upgrade};
    let no_base = [Pass, Unverified, Pass, Pass, Pass];
    let cases: Vec<Case> = vec![
        (
            "a test that could not run",
            reply("works", Reply::Result(Unverified)),
            Phase::Error,
            [Pass, Pass, Pass, Unverified, Pass],
            (Functional, "InfrastructureFailed"),
        ),
        (
            "the engine is gone",
            reply("backup-take", Reply::Broke("EngineUnreachable", 99)),
            Phase::Error,
            [Pass, Pass, Unverified, Pass, Pass],
            (BackupRestore, "EngineUnreachable"),
        ),
        (
            "no addresses",
            app(HEAD, "AllocatorStuck"),
            Phase::Error,
            [Pass, Unverified, Unverified, Unverified, Pass],
            (Upgrade, "AllocatorStuck"),
        ),
        ("the base crashes", app(BASE, "CrashLoop"), Phase::Error, no_base, (Upgrade, "BaseUnavailable")),
        (
            "the base's image vanished",
            reply("base-pull", Reply::Bad("ImageNotFound")),
            Phase::Error,
            no_base,
            (Upgrade, "BaseUnavailable"),
        ),
    ];
    check_cases(cases).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_must_end_at_the_head_and_begin_somewhere() {
    let other: Box<dyn FnOnce(&mut Script)> = Box::new(|script| {
        script.runs_instead.insert(HEAD, BASE);
    });
    let first: Box<dyn FnOnce(&mut Script)> = Box::new(|script| script.published.clear());
    check_cases(vec![
        ("something else runs", other, Phase::Failed, STUCK, (RungName::Upgrade, "HeadNotRunning")),
        (
            "nothing is published",
            first,
            Phase::Succeeded,
            [Pass, Skip, Pass, Pass, Pass],
            (RungName::Upgrade, "NoOlderVersion"),
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn hiccups_are_tried_again() {
    let (stage, status) = played(|script| {
        script.replies.insert("fetch", Reply::Broke("Unreachable", 2));
        script.replies.insert("works", Reply::Broke("EngineUnreachable", 3));
    })
    .await;
    assert_eq!(status.phase, Some(Phase::Succeeded), "{status:#?}");
    assert_eq!((stage.ordered("fetch"), stage.ordered("works")), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_does_not_exist_ends_the_run_at_once() {
    let (stage, status) = played(|script| {
        script.replies.insert("fetch", Reply::Bad(reason::COMMIT_NOT_FOUND));
    })
    .await;
    assert_eq!(status.phase, Some(Phase::Error));
    let succeeded = condition::find(&status.conditions, "Succeeded").unwrap();
    assert_eq!(succeeded.reason, reason::COMMIT_NOT_FOUND);
    assert_eq!((rungs(&status), *stage.outside.stacks_max.lock().unwrap()), ([Unverified; 5], 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_ends_as_error() {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        script.replies.insert("backup-take", Reply::Hangs);
    });
    let short = json!({"pull": "1m", "converge": "1m", "http": "1m", "run": "3m"});
    stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["timeouts"] = short.clone()).await;
    stage.run_named("run", "wordpress", HEAD).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!(status.phase, Some(Phase::Error), "{status:#?}");
    assert_eq!(rungs(&status)[..2], [Pass, Pass]);
    assert_eq!(reason_of(&status, RungName::BackupRestore), reason::TIMED_OUT);
}

/// Whatever becomes of the picture, and however long it takes, the verdict is the same.
#[tokio::test(start_paused = true)]
async fn a_picture_of_the_app_changes_no_verdict() {
    for reply in [None, Some(Reply::Bad("NoPicture")), Some(Reply::Broke("Unreachable", 99)), Some(Reply::Hangs)] {
        let stage = Stage::new(2).await;
        stage.script(|script| {
            script.takes_pictures = true;
            script.replies.extend(reply.clone().map(|reply| ("screenshot", reply)));
        });
        // A picture that hangs is waited for longer than the run may take.
        let short = json!({"pull": "1m", "converge": "1m", "http": "1m", "run": "90s"});
        stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["timeouts"] = short.clone()).await;
        stage.run_named("run", "wordpress", HEAD).await;
        let (status, _) = stage.finish(None).await;
        assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(5)), "{reply:?} {status:#?}");
        assert_eq!(rungs(&status), [Pass; 5], "{reply:?}");
        assert!(stage.ordered_step(Step::Screenshot) >= 1, "{reply:?}");
        assert!(condition::is_true(&status.conditions, "CleanedUp"), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_picture_is_taken_without_a_camera_of_what_is_not_installed_or_of_a_strangers_work() {
    let (stage, _) = played(|_| ()).await;
    assert_eq!(stage.ordered_step(Step::Screenshot), 0, "there is no camera");
    let (stage, _) = played(|script| {
        script.takes_pictures = true;
        script.replies.insert("generic/health", Reply::Result(Fail));
    })
    .await;
    assert_eq!(stage.ordered_step(Step::Screenshot), 0, "it was not installed");
    let stage = Stage::new(2).await;
    stage.script(|script| script.takes_pictures = true);
    stage.put(&Approval::resource(), approval()).await;
    stage.put(&TestRun::resource(), fork("run")).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(5)), "{status:#?}");
    assert_eq!(stage.ordered_step(Step::Screenshot), 0, "an approval lets it run, and no browser look at it");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_keeps_the_run_from_ending() {
    let (stage, status) = played(|script| script.leftovers = 5).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
    assert_eq!(stage.outside.script.lock().unwrap().leftovers, 0);
    assert!(status.cleanup.unwrap().remaining.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_call_changes_no_verdict() {
    type Change = fn(&mut Script);
    // Every third call of a good run (before the effects of some, after those of others), and a sample of those of two that fail.
    let cases: [(&str, u64, Change); 3] = [
        ("good", 3, |_| ()),
        ("the base crashes", 7, |script| {
            script.apps.insert(BASE, "CrashLoop");
        }),
        ("a functional test fails", 11, |script| {
            script.replies.insert("works", Reply::Result(Fail));
        }),
    ];
    for (name, stride, change) in cases {
        let (_, expected) = played(change).await;
        let mut kill_at = 0;
        loop {
            let stage = Stage::new(2).await;
            stage.script(change);
            stage.run_named("run", "wordpress", HEAD).await;
            let (status, calls) = stage.finish(Some(kill_at)).await;
            assert_eq!(rungs(&status), rungs(&expected), "{name}, killed at {kill_at}: {:#?}", status.steps);
            assert_eq!((status.phase, status.level), (expected.phase, expected.level), "{name}, killed at {kill_at}");
            assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 1, "{name}, killed at {kill_at}");
            let names: Vec<_> = status.tests.iter().map(|test| (test.stage, test.name.clone())).collect();
            let expected_names: Vec<_> = expected.tests.iter().map(|test| (test.stage, test.name.clone())).collect();
            assert_eq!(names, expected_names, "{name}, killed at {kill_at}");
            if calls <= kill_at {
                break;
            }
            kill_at += stride;
        }
        assert!(kill_at > 100, "{name}: only {kill_at} calls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_any_moment_ends_within_a_minute_and_leaves_nothing() {
    let mut moment = 0;
    loop {
        let stage = Stage::new(2).await;
        stage.run_named("run", "wordpress", HEAD).await;
        let began = tokio::time::Instant::now();
        let after = std::time::Duration::from_millis(moment * 1300);
        stage.play(None, |stage| began.elapsed() >= after || stage.is_finished("run")).await;
        if stage.is_finished("run") {
            break;
        }
        stage.change(&TestRun::resource(), "run", |run| run["spec"]["cancel"] = json!(true)).await;
        let asked = tokio::time::Instant::now();
        let (status, _) = stage.finish(None).await;
        assert!(asked.elapsed() < std::time::Duration::from_secs(60), "{moment}: {:?}", asked.elapsed());
        // In its last steps a run has its verdict already.
        let ends: Vec<Phase> = vec![Phase::Cancelled, Phase::Succeeded];
        assert!(ends.contains(&status.phase.unwrap()), "{moment}: {status:#?}");
        if status.phase == Some(Phase::Succeeded) {
            assert_eq!(rungs(&status), [Pass; 5], "{moment}");
        }
        moment += 1;
    }
    assert!(moment > 10, "the run was over after {moment} looks");
}

/// Deletes the run, waits until it is gone, and checks that nothing of it is left; how long that took.
async fn goes_with_everything(stage: &Stage, what: &str) {
    let key = ObjectKey::new(&TestRun::resource(), "default", "run");
    stage.objects.delete(&key, None).await.unwrap();
    let asked = tokio::time::Instant::now();
    let is_late = || asked.elapsed() > std::time::Duration::from_mins(2);
    stage.play(None, |stage| stage.status("run").is_none() || is_late()).await;
    assert!(!is_late(), "{what}: it does not go: {:#?}", stage.status("run").map(|status| status.steps));
    assert!(stage.outside.stacks.lock().unwrap().is_empty(), "{what}");
    assert!(stage.memory.all(&App::resource()).is_empty(), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_deleted_at_any_moment_takes_everything_with_it() {
    type Change = fn(&mut Script);
    let hiccups: Change = |script| {
        for step in ["teardown", "results", "files"] {
            script.replies.insert(step, Reply::Broke("Unreachable", 2));
        }
    };
    // What happens before, and how many milliseconds lie between two moments.
    let cases: [(&str, Option<Step>, Change, u64); 4] = [
        ("good", None, |_| (), 700),
        ("with hiccups", None, hiccups, 700),
        ("cancelled", Some(Step::UpgradeDeploy), |_| (), 250),
        ("cancelled, with hiccups", Some(Step::Fetch), hiccups, 250),
    ];
    for (name, cancelled_at, change, stride) in cases {
        let mut moment = 0;
        loop {
            let what = format!("{name}, moment {moment}");
            let stage = Stage::new(2).await;
            stage.script(change);
            stage.run_named("run", "wordpress", HEAD).await;
            if let Some(step) = cancelled_at {
                stage.play(None, |stage| stage.is_at("run", step)).await;
                stage.change(&TestRun::resource(), "run", |run| run["spec"]["cancel"] = json!(true)).await;
            }
            let began = tokio::time::Instant::now();
            let after = std::time::Duration::from_millis(moment * stride);
            stage.play(None, |stage| began.elapsed() >= after || stage.is_finished("run")).await;
            let was_over = stage.is_finished("run");
            goes_with_everything(&stage, &what).await;
            if was_over {
                break;
            }
            moment += 1;
        }
        assert!(moment > 8, "{name}: the run was over after {moment} looks");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_run_is_at_when_it_is_deleted_is_cut_off_before_its_files_go() {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        // The run takes too long, and then its evidence is not to be had.
        script.replies.insert("backup-take", Reply::Hangs);
        script.replies.insert("evidence", Reply::Hangs);
    });
    let short = json!({"pull": "1m", "converge": "1m", "http": "1m", "run": "3m"});
    stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["timeouts"] = short.clone()).await;
    stage.run_named("run", "wordpress", HEAD).await;
    let key = ObjectKey::new(&TestRun::resource(), "default", "run");
    let (is_deleted, at_the_files) = (Cell::new(false), Cell::new(None));
    let watched = |stage: &Stage| {
        if !is_deleted.get() && stage.is_at("run", Step::Evidence) && stage.hanging() == 1 {
            stage.objects.delete(&key, None).now_or_never().unwrap().unwrap();
            is_deleted.set(true);
        }
        if stage.is_at("run", Step::Files) {
            at_the_files.set(Some(stage.hanging()));
        }
        is_deleted.get() && stage.status("run").is_none()
    };
    stage.play(None, watched).await;
    assert_eq!(at_the_files.get(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_for_a_run_that_is_taken_out_by_force() {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        script.replies.insert("works", Reply::Hangs);
    });
    stage.run_named("run", "wordpress", HEAD).await;
    let key = ObjectKey::new(&TestRun::resource(), "default", "run");
    let gone_at = Cell::new(None);
    let watched = |stage: &Stage| {
        if gone_at.get().is_none() && stage.hanging() == 1 {
            let mut run = stage.objects.get(&key).now_or_never().unwrap().unwrap().value.clone();
            run["metadata"]["finalizers"] = json!([]);
            stage.objects.update(&key, run).now_or_never().unwrap().unwrap();
            stage.objects.delete(&key, None).now_or_never().unwrap().unwrap();
            gone_at.set(Some(tokio::time::Instant::now()));
        }
        gone_at.get().is_some() && stage.hanging() == 0
    };
    stage.play(None, watched).await;
    assert!(stage.status("run").is_none());
    let took = gone_at.get().unwrap().elapsed();
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_files_cannot_be_removed_says_so_and_goes_once_they_can() {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        script.replies.insert("files", Reply::Broke("DiskFull", 20));
    });
    stage.run_named("run", "wordpress", HEAD).await;
    stage.finish(None).await;
    let key = ObjectKey::new(&TestRun::resource(), "default", "run");
    stage.objects.delete(&key, None).await.unwrap();
    let cleaned_up = |status: &TestRunStatus| condition::find(&status.conditions, "CleanedUp").cloned();
    let is_left = |stage: &Stage| {
        let found = stage.status("run").and_then(|status| cleaned_up(&status));
        found.is_some_and(|found| found.reason == reason::LEFTOVERS && found.message.ends_with("It is tried again."))
    };
    stage.play(None, is_left).await;
    stage.play(None, |stage| stage.status("run").is_none()).await;
    assert!(stage.ordered("files") > 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_looked_at_again_however_often_it_was() {
    let stage = Stage::new(2).await;
    stage.script(|script| script.leftovers = 5);
    stage.run_named("run", "wordpress", HEAD).await;
    stage.play(None, |stage| stage.outside.script.lock().unwrap().leftovers == 4).await;
    // As after a weekend with a node that is down: as often as the status can tell.
    let run = stage.memory.all(&TestRun::resource()).pop().unwrap();
    let mut status = run.value["status"].clone();
    let teardown = status["steps"].as_array_mut().unwrap().iter_mut().find(|step| step["name"] == "teardown").unwrap();
    teardown["attempts"] = json!(999);
    stage.objects.update_status(&run, status).await.unwrap();
    let (status, _) = stage.finish(None).await;
    assert_eq!(status.phase, Some(Phase::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_held_goes_when_it_is_deleted() {
    for (name, step, reply) in [
        ("it failed", "works", Reply::Result(Fail)),
        ("it took too long", "backup-take", Reply::Hangs),
        ("its evidence hangs", "evidence", Reply::Hangs),
    ] {
        let stage = Stage::new(2).await;
        stage.script(|script| {
            script.replies.insert("works", Reply::Result(Fail));
            script.replies.insert(step, reply);
        });
        let short = json!({"pull": "1m", "converge": "1m", "http": "1m", "run": "3m"});
        stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["timeouts"] = short.clone()).await;
        stage.run_named("run", "wordpress", HEAD).await;
        stage.change(&TestRun::resource(), "run", |run| run["spec"]["holdOnFailure"] = json!("1h")).await;
        stage.play(None, |stage| stage.is_at("run", Step::Hold) || stage.is_at("run", Step::Evidence)).await;
        if step != "evidence" {
            stage.play(None, |stage| stage.is_at("run", Step::Hold)).await;
        }
        goes_with_everything(&stage, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_app_is_held_for_a_look_and_a_cancel_ends_the_hold() {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        script.replies.insert("works", Reply::Result(Fail));
    });
    stage.run_named("run", "wordpress", HEAD).await;
    stage.change(&TestRun::resource(), "run", |run| run["spec"]["holdOnFailure"] = json!("30m")).await;
    let held = |stage: &Stage| stage.status("run").is_some_and(|status| status.held_until.is_some());
    stage.play(None, held).await;
    let began = tokio::time::Instant::now();
    stage.play(None, |_| began.elapsed().as_secs() > 300).await;
    assert_eq!(stage.outside.stacks.lock().unwrap().len(), 1, "it is still there after five minutes");
    stage.change(&TestRun::resource(), "run", |run| run["spec"]["cancel"] = json!(true)).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!((status.phase, status.held_until), (Some(Phase::Failed), None), "the verdict stands");
}

#[tokio::test(start_paused = true)]
async fn four_runs_of_two_recipes_with_room_for_two_take_turns() {
    let stage = Stage::new(2).await;
    stage.put(&Recipe::resource(), recipe("keycloak")).await;
    for (name, recipe, commit) in
        [("w1", "wordpress", HEAD), ("w2", "wordpress", BASE), ("k1", "keycloak", HEAD), ("k2", "keycloak", BASE)]
    {
        stage.run_named(name, recipe, commit).await;
    }
    let names = ["w1", "w2", "k1", "k2"];
    stage.play(None, |stage| names.iter().all(|name| stage.is_finished(name))).await;
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 2);
    let started = |name: &str| stage.status(name).unwrap().started_at.unwrap();
    assert!(started("w1") < started("w2") && started("k1") < started("k2"));
    assert!(started("k1") < started("w2") && started("w1") < started("k2"), "recipes take turns");
}

#[tokio::test(start_paused = true)]
async fn runs_of_the_same_commit_take_turns() {
    let stage = Stage::new(2).await;
    stage.run_named("a", "wordpress", HEAD).await;
    stage.run_named("b", "wordpress", HEAD).await;
    let waits = |stage: &Stage| stage.status("b").is_some_and(|status| status.queue.is_some());
    stage.play(None, waits).await;
    let queue = stage.status("b").unwrap().queue.unwrap();
    assert!(queue.position == 1 && queue.reason.contains("default/a"), "{queue:?}");
    stage.play(None, |stage| stage.is_finished("a") && stage.is_finished("b")).await;
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 1);
}

fn fork(name: &str) -> serde_json::Value {
    let pull_request = json!({"number": 7, "headSHA": HEAD, "author": "mallory", "fork": true});
    object::<TestRun>(name, json!({"recipeRef": "wordpress", "source": {"commit": HEAD, "pullRequest": pull_request}}))
}

fn approval() -> serde_json::Value {
    object::<Approval>(
        "a",
        json!({"repositoryRef": "repository", "pullRequest": 7, "headSHA": HEAD, "approvedBy": "alice"}),
    )
}

#[tokio::test(start_paused = true)]
async fn a_fork_waits_for_its_approval_and_stops_when_it_is_taken_back() {
    let stage = Stage::new(2).await;
    stage.put(&TestRun::resource(), fork("run")).await;
    let began = tokio::time::Instant::now();
    stage.play(None, |_| began.elapsed().as_secs() > 120).await;
    let status = stage.status("run").unwrap();
    assert_eq!(status.phase, Some(Phase::Pending));
    assert!(stage.outside.orders.lock().unwrap().is_empty(), "nothing was fetched");
    stage.put(&Approval::resource(), approval()).await;
    stage.play(None, |stage| stage.ordered_step(Step::BasePull) > 0).await;
    let key = ObjectKey::new(&Approval::resource(), "default", "a");
    stage.objects.delete(&key, None).await.unwrap();
    let (status, _) = stage.finish(None).await;
    assert_eq!(status.phase, Some(Phase::Cancelled), "{status:#?}");
    assert_eq!(stage.ordered_step(Step::UpgradePull), 0, "the head was never deployed");
}

/// Labels, annotations and names are anybody's: whatever they say, the run waits.
#[tokio::test(start_paused = true)]
async fn a_label_lets_no_fork_begin() {
    let stage = Stage::new(2).await;
    let mut labelled = fork("run");
    labelled["metadata"]["labels"] = json!({"approved": "true", "ci.coopcloud.tech/approved": "true", "safe-to-test": "true",
        "ci.coopcloud.tech/comment-id": "17", "ci.coopcloud.tech/trigger": "tag"});
    labelled["metadata"]["annotations"] =
        json!({"ci.coopcloud.tech/approved-by": "alice", "ci.coopcloud.tech/requested-by": "alice"});
    stage.put(&TestRun::resource(), labelled).await;
    // Nor does an Approval of something else that is labelled as if it were of this.
    let mut other = approval();
    other["metadata"]["labels"] = json!({"ci.coopcloud.tech/pull-request": "7"});
    other["spec"]["pullRequest"] = json!(6);
    stage.put(&Approval::resource(), other).await;
    let began = tokio::time::Instant::now();
    stage.play(None, |_| began.elapsed().as_secs() > 120).await;
    let status = stage.status("run").unwrap();
    assert_eq!(status.phase, Some(Phase::Pending), "{status:#?}");
    assert!(stage.outside.orders.lock().unwrap().is_empty(), "nothing was fetched");
}

#[tokio::test(start_paused = true)]
async fn a_fork_begins_only_once_the_forge_has_confirmed_who_approved_it() {
    let stage = Stage::new(2).await;
    let mut of_comment = approval();
    of_comment["metadata"]["labels"] = json!({"ci.coopcloud.tech/comment-id": "17"});
    stage.put(&Approval::resource(), of_comment).await;
    stage.put(&TestRun::resource(), fork("run")).await;
    let began = tokio::time::Instant::now();
    stage.play(None, |_| began.elapsed().as_secs() > 120).await;
    let status = stage.status("run").unwrap();
    let approved = condition::find(&status.conditions, "Approved").unwrap();
    assert_eq!((approved.status, approved.reason.as_str()), (ConditionStatus::Unknown, "ApproverUnconfirmed"));
    assert!(approved.message.contains("alice") && status.phase == Some(Phase::Pending), "{status:#?}");
    assert!(stage.outside.orders.lock().unwrap().is_empty(), "nothing was fetched");
    let key = ObjectKey::new(&Approval::resource(), "default", "a");
    let stored = stage.objects.get(&key).await.unwrap();
    let now = stage.clock.now().to_string();
    let authorized = json!({"type": "Authorized", "status": "True", "reason": "Approved", "message": "",
        "lastTransitionTime": now});
    stage.objects.update_status(&stored, json!({"lastChecked": now, "conditions": [authorized]})).await.unwrap();
    stage.play(None, |stage| stage.ordered_step(Step::BasePull) > 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_recipe_without_functional_tests_does_not_pass_for_want_of_failures() {
    let stage = Stage::new(2).await;
    stage.change(&Recipe::resource(), "wordpress", |recipe| recipe["spec"]["tests"] = json!([])).await;
    stage.run_named("run", "wordpress", HEAD).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!(rungs(&status), [Pass, Pass, Pass, Unverified, Pass]);
    assert_eq!((status.phase, status.level), (Some(Phase::Failed), Some(3)));
    assert_eq!(reason_of(&status, RungName::Functional), reason::NO_CHECKS);
}

#[tokio::test(start_paused = true)]
async fn the_quick_lane_runs_upgrade_and_functional_tests_alone() {
    let stage = Stage::new(2).await;
    let spec = json!({"recipeRef": "wordpress", "source": {"commit": HEAD}, "lane": "Quick"});
    stage.put(&TestRun::resource(), object::<TestRun>("run", spec)).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!(rungs(&status), [Pass, Pass, Unverified, Pass, Unverified]);
    assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(2)));
    assert_eq!(stage.ordered_step(Step::BackupTake) + stage.ordered_step(Step::Lint), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_linter_needs_no_stack() {
    let stage = Stage::new(2).await;
    let spec = json!({"recipeRef": "wordpress", "source": {"commit": HEAD}, "stages": ["lint"]});
    stage.put(&TestRun::resource(), object::<TestRun>("run", spec)).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(0)));
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn tests_that_need_a_dependency_are_unverified_without_it() {
    let stage = Stage::new(2).await;
    stage
        .change(&Recipe::resource(), "wordpress", |recipe| {
            recipe["spec"]["dependencies"] = json!([{"name": "sso", "recipeRef": "missing"}]);
            recipe["spec"]["tests"][3]["requires"] = json!(["sso"]);
        })
        .await;
    stage.run_named("run", "wordpress", HEAD).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!(rungs(&status), [Pass, Pass, Pass, Unverified, Pass], "{:#?}", status.rungs);
    assert_eq!(status.phase, Some(Phase::Error));
}

#[tokio::test(start_paused = true)]
async fn dependencies_are_deployed_beside_the_app_and_go_with_it() {
    let stage = Stage::new(2).await;
    stage.put(&Recipe::resource(), recipe("keycloak")).await;
    stage
        .change(&Recipe::resource(), "wordpress", |recipe| {
            recipe["spec"]["dependencies"] =
                json!([{"name": "sso", "recipeRef": "keycloak", "env": {"OIDC": "${url}/realms/x"}}]);
            recipe["spec"]["tests"][3]["requires"] = json!(["sso"]);
        })
        .await;
    stage.run_named("run", "wordpress", HEAD).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(5)), "{status:#?}");
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_finished_run_goes_when_its_time_is_over() {
    let stage = Stage::new(2).await;
    stage.run_named("run", "wordpress", HEAD).await;
    stage.change(&TestRun::resource(), "run", |run| run["spec"]["ttlAfterFinished"] = json!("10m")).await;
    stage.finish(None).await;
    let ended = tokio::time::Instant::now();
    stage.play(None, |stage| stage.status("run").is_none()).await;
    assert!(ended.elapsed().as_secs() >= 590, "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_without_recipe_or_host_waits_and_says_for_what() {
    let stage = Stage::new(0).await;
    stage.run_named("run", "missing", HEAD).await;
    stage.run_named("full", "wordpress", HEAD).await;
    let began = tokio::time::Instant::now();
    stage.play(None, |_| began.elapsed().as_secs() > 30).await;
    let message = |name: &str, condition: &str| {
        let status = stage.status(name).unwrap();
        condition::find(&status.conditions, condition).unwrap().message.clone()
    };
    assert!(message("run", "Accepted").contains("Recipe missing does not exist"));
    assert!(message("full", "Scheduled").contains("capacity.runs is 0"));
}
