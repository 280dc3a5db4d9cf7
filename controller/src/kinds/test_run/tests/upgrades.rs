//! Runs that upgrade from every older version.

use api_types::kinds::recipe::RecipeVersion;
use api_types::kinds::test_run::{Phase, RungName, RungStatus, TestRun, TestRunStatus};
use serde_json::json;

use super::super::steps::Step;
use super::stage::{BASE, HEAD, Reply, Script, Stage, object};
use super::{reason_of, rungs};

use RungStatus::{Fail, Pass, Unverified};

const FIRST: &str = "2222222222222222222222222222222222222222";
const SECOND: &str = "3333333333333333333333333333333333333333";

async fn begun(hold: Option<&str>, change: impl FnOnce(&mut Script)) -> Stage {
    let stage = Stage::new(2).await;
    stage.script(|script| {
        let version = |version: &str, commit: &str| RecipeVersion { version: version.into(), commit: commit.into() };
        // As a forge lists them: in no order, with one that is newer than the head.
        script.published = vec![
            version("0.9.0+1", SECOND),
            version("1.2.0+1", "4444444444444444444444444444444444444444"),
            version("1.0.0+1", BASE),
            version("0.8.0+1", FIRST),
        ];
        change(script);
    });
    let mut spec = json!({"recipeRef": "wordpress", "source": {"commit": HEAD}, "lane": "Cold", "baseVersion": "all"});
    if let Some(hold) = hold {
        spec["holdOnFailure"] = json!(hold);
    }
    stage.put(&<TestRun as api_types::kind::Kind>::resource(), object::<TestRun>("run", spec)).await;
    stage
}

fn upgrades(status: &TestRunStatus) -> Vec<(&str, RungStatus, &str)> {
    status
        .upgrades
        .iter()
        .map(|upgrade| (upgrade.version.as_str(), upgrade.status, upgrade.reason.as_deref().unwrap_or_default()))
        .collect()
}

fn message(status: &TestRunStatus, rung: RungName) -> String {
    status.rungs.iter().find(|found| found.name == rung).and_then(|found| found.message.clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn every_older_version_is_upgraded_from_on_clean_ground() {
    let stage = begun(None, |_| ()).await;
    let (status, _) = stage.finish(None).await;
    assert_eq!(
        (status.phase, status.level, rungs(&status)),
        (Some(Phase::Succeeded), Some(5), [Pass; 5]),
        "{status:#?}"
    );
    let good = "ChecksPassed";
    assert_eq!(upgrades(&status), [("0.8.0+1", Pass, good), ("0.9.0+1", Pass, good), ("1.0.0+1", Pass, good)]);
    assert!(status.upgrades.iter().all(|upgrade| upgrade.started_at.is_some() && upgrade.finished_at.is_some()));
    for step in [Step::BaseRender, Step::BasePull, Step::UpgradePull, Step::UpgradeSeed] {
        assert_eq!(stage.ordered_step(step), 3, "{}", step.name());
    }
    // The rest of the run happens once, and so does the proof of an installation.
    assert_eq!((stage.ordered("survives"), stage.ordered("login"), stage.ordered("backup-take")), (3, 1, 1));
    assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 1, "never two at once");
    assert_eq!(status.base.as_ref().unwrap().commit.as_deref(), Some(BASE));
    assert_eq!(message(&status, RungName::Upgrade), "It passes from each of 3 versions: 0.8.0+1, 0.9.0+1, 1.0.0+1.");
    assert!(status.base_reason.unwrap().contains("each of the 3 published versions from 0.8.0+1 to 1.0.0+1"));
}

#[tokio::test(start_paused = true)]
async fn the_version_from_which_no_upgrade_works_is_named_and_the_others_are_tried() {
    let stage = begun(None, |script| {
        script.replies.insert("survives@0.9.0+1", Reply::Result(Fail));
    })
    .await;
    let (status, _) = stage.finish(None).await;
    assert_eq!((status.phase, rungs(&status)), (Some(Phase::Failed), [Pass, Fail, Pass, Pass, Pass]), "{status:#?}");
    let results: Vec<RungStatus> = status.upgrades.iter().map(|upgrade| upgrade.status).collect();
    assert_eq!((results, reason_of(&status, RungName::Upgrade).as_str()), (vec![Pass, Fail, Pass], "DataLost"));
    let message = message(&status, RungName::Upgrade);
    assert!(message.starts_with("Of 3 upgrades 1 failed. From 0.9.0+1 (DataLost): "), "{message}");
    let failed: Vec<&str> =
        status.tests.iter().filter(|test| test.status == Fail).map(|test| test.name.as_str()).collect();
    assert_eq!(failed, ["survives from 0.9.0+1"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_deployed_any_more_blames_nobody_and_stops_nothing() {
    for (broken, position) in [(FIRST, 0), (BASE, 2)] {
        let stage = begun(None, |script| {
            script.apps.insert(broken, "CrashLoop");
        })
        .await;
        let (status, _) = stage.finish(None).await;
        assert_eq!(rungs(&status), [Pass, Unverified, Pass, Pass, Pass], "{broken}: {status:#?}");
        assert_eq!(status.phase, Some(Phase::Error));
        for (index, upgrade) in status.upgrades.iter().enumerate() {
            let expected = if index == position { (Unverified, "BaseUnavailable") } else { (Pass, "ChecksPassed") };
            assert_eq!((upgrade.status, upgrade.reason.as_deref().unwrap()), expected, "{}", upgrade.version);
        }
        let message = message(&status, RungName::Upgrade);
        assert_eq!(message.contains("installed from nothing instead"), broken == BASE, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_hold_the_first_that_fails_is_the_last_and_stays_for_a_look() {
    let stage = begun(Some("30m"), |script| {
        script.replies.insert("survives@0.9.0+1", Reply::Result(Fail));
    })
    .await;
    let held = |stage: &Stage| stage.status("run").is_some_and(|status| status.held_until.is_some());
    stage.play(None, held).await;
    assert_eq!(stage.status("run").unwrap().base.unwrap().version.as_deref(), Some("0.9.0+1"));
    assert_eq!(stage.outside.stacks.lock().unwrap().len(), 1, "it is kept");
    let (status, _) = stage.finish(None).await;
    assert_eq!(status.phase, Some(Phase::Failed));
    let results: Vec<RungStatus> = status.upgrades.iter().map(|upgrade| upgrade.status).collect();
    assert_eq!(results, [Pass, Fail, Unverified]);
    assert_eq!(status.upgrades[2].reason.as_deref(), Some("NotReached"));
    assert_eq!(stage.ordered("survives"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_call_repeats_no_version_and_forgets_none() {
    let mut kill_at = 5;
    loop {
        let stage = begun(None, |script| {
            script.replies.insert("survives@0.8.0+1", Reply::Result(Fail));
        })
        .await;
        let (status, calls) = stage.finish(Some(kill_at)).await;
        let results: Vec<RungStatus> = status.upgrades.iter().map(|upgrade| upgrade.status).collect();
        assert_eq!(results, [Fail, Pass, Pass], "killed at {kill_at}: {:#?}", status.upgrades);
        assert_eq!(rungs(&status), [Pass, Fail, Pass, Pass, Pass], "killed at {kill_at}");
        assert_eq!(*stage.outside.stacks_max.lock().unwrap(), 1, "killed at {kill_at}");
        // What had begun is begun again once, and nothing else.
        assert!((3..=4).contains(&stage.ordered("survives")), "killed at {kill_at}");
        if calls <= kill_at {
            break;
        }
        kill_at += 11;
    }
    assert!(kill_at > 150, "only {kill_at} calls");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_between_two_versions_leaves_nothing() {
    for step in ["upgrade-seed", "survives"] {
        for times in [1, 2] {
            let stage = begun(None, |_| ()).await;
            stage.play(None, |stage| stage.ordered(step) >= times).await;
            let resource = <TestRun as api_types::kind::Kind>::resource();
            stage.change(&resource, "run", |run| run["spec"]["cancel"] = json!(true)).await;
            let (status, _) = stage.finish(None).await;
            assert_eq!(status.phase, Some(Phase::Cancelled), "{step} {times}");
            assert_eq!(status.upgrades.len(), 3);
        }
    }
}
