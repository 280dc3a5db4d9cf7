//! Any order of comments, tags, rings, polls, restarts and outages comes to the same: one run a command and a tag, one
//! comment and one status.

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::test_run::{Phase, TestRun};
use ports::forge::fake::FaultKind;
use proptest::prelude::*;

use super::super::names;
use super::world::{REPO, World};

const HEADS: [&str; 3] = [
    "aaaaaaa000000000000000000000000000000001",
    "bbbbbbb000000000000000000000000000000002",
    "ccccccc000000000000000000000000000000003",
];

#[derive(Clone, Debug)]
enum Step {
    /// A member gives a command under one of two pull requests.
    Command(i64),
    /// Somebody says something that is none.
    Talk(usize),
    /// A delivery comes: duplicate, late or out of order, it says the same.
    Ring,
    /// Time passes.
    Wait(u64),
    /// ccd is killed and started again.
    Restart,
    /// ccd is down for a while.
    Down(u64),
    /// The forge misbehaves for some requests.
    Outage(usize, usize),
    /// Somebody pushes.
    Push(i64, usize),
    /// Somebody pushes a tag.
    Tag,
    /// A run goes on or ends.
    Advance(usize, usize),
    /// Somebody deletes the bot's comment.
    Delete(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let pull_request = prop_oneof![Just(7_i64), Just(8)];
    prop_oneof![
        4 => pull_request.clone().prop_map(Step::Command),
        1 => (0..4_usize).prop_map(Step::Talk),
        3 => Just(Step::Ring),
        4 => (0..90_000_u64).prop_map(Step::Wait),
        2 => Just(Step::Restart),
        1 => (1..400_u64).prop_map(Step::Down),
        2 => ((0..6_usize), (1..8_usize)).prop_map(|(kind, times)| Step::Outage(kind, times)),
        1 => (pull_request.clone(), 0..3_usize).prop_map(|(number, head)| Step::Push(number, head)),
        2 => Just(Step::Tag),
        3 => ((0..8_usize), (0..4_usize)).prop_map(|(run, phase)| Step::Advance(run, phase)),
        1 => pull_request.prop_map(Step::Delete),
    ]
}

fn fault(kind: usize) -> FaultKind {
    match kind {
        0 => FaultKind::Refused,
        1 => FaultKind::ReplyLost,
        2 => FaultKind::Truncated,
        3 => FaultKind::Status(500, Vec::new(), String::new()),
        4 => FaultKind::Status(429, vec![("retry-after".to_owned(), "17".to_owned())], String::new()),
        _ => FaultKind::Slow(Duration::from_secs(3)),
    }
}

/// Writes something that starts nothing.
fn talk(world: &World, kind: usize) {
    let (pull_request, author, text) = match kind {
        0 => (7, "mallory", "!testme"),
        1 => (7, "ada", "> !testme"),
        2 => (9, "ada", "!testme"),
        _ => (8, "bot", "!testme"),
    };
    world.comment(pull_request, author, text);
}

async fn play(steps: Vec<Step>) {
    let trigger = serde_json::json!({"on": "Tag", "pattern": "v*", "run": {"recipeRef": "wiki"}});
    let mut world = World::with_triggers(serde_json::json!([trigger])).await;
    let mut commands = Vec::new();
    let mut tags = Vec::new();
    for step in steps {
        match step {
            Step::Command(number) => commands.push((world.comment(number, "ada", "!testme"), number)),
            Step::Talk(kind) => talk(&world, kind),
            Step::Ring => world.ring(),
            Step::Wait(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            Step::Restart => world.run(),
            Step::Down(seconds) => {
                world.kill();
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                world.run();
            }
            Step::Outage(kind, times) => world.forge.fail("/api/v1/repos/", times, fault(kind)),
            Step::Push(number, head) => {
                world.forge.world().push(REPO, number, &format!("{number}{}", &HEADS[head][1..]));
            }
            Step::Tag => {
                let tag = format!("v{}", tags.len());
                world.forge.world().tag(REPO, &tag, HEADS[tags.len() % HEADS.len()]);
                tags.push(tag);
            }
            Step::Advance(index, phase) => {
                let runs = world.runs().await;
                let Some(run) = runs.get(index) else { continue };
                match phase {
                    0 => world.set_status(&run.metadata.name, serde_json::json!({"phase": "Running"})).await,
                    1 => world.finish(&run.metadata.name, "Failed", 2).await,
                    _ => world.finish(&run.metadata.name, "Succeeded", 5).await,
                }
            }
            Step::Delete(number) => {
                for (comment, _) in world.reports(number) {
                    world.forge.world().delete_comment(comment);
                }
            }
        }
    }
    world.forge.heal();
    let wanted = commands.len() + tags.len();
    world.until("every command and tag has its run", || async { world.runs().await.len() >= wanted }).await;
    for run in world.runs().await {
        if !run.status.phase.is_some_and(Phase::is_finished) {
            world.finish(&run.metadata.name, "Succeeded", 5).await;
        }
    }
    // Longer than anything is waited for, and looked after.
    tokio::time::sleep(Duration::from_mins(25)).await;
    let of_tag = |run: &Object<TestRun>| run.metadata.annotations.get(names::TRIGGERED_BY_ANNOTATION).cloned();
    let (begun, asked): (Vec<_>, Vec<_>) = world.runs().await.into_iter().partition(|run| of_tag(run).is_some());
    let of_tags = begun;
    let mut begun: Vec<String> = of_tags.iter().filter_map(of_tag).collect();
    begun.sort_by_key(|tag| tag[1..].parse::<usize>().unwrap());
    assert_eq!(begun, tags, "one run a tag, and no other");
    check_tags(&world, &of_tags);
    check(&world, &commands, asked).await;
    let accepted = world.status().await.counts.accepted;
    assert_eq!(usize::try_from(accepted).unwrap(), commands.len() + tags.len());
}

/// Each tagged commit has a status, which is the newest run's.
fn check_tags(world: &World, runs: &[Object<TestRun>]) {
    for commit in HEADS {
        let of_it = runs.iter().filter(|run| run.spec.source.commit.as_deref() == Some(commit));
        let newest = of_it.max_by_key(|run| names::age(run));
        let told = world.forge.world().status_history(REPO, commit, "cc-ci/wiki").pop().map(|(state, _)| state);
        let expected = newest.map(|run| match run.status.phase {
            Some(Phase::Succeeded) => "success".to_owned(),
            _ => "failure".to_owned(),
        });
        assert_eq!(told, expected, "{commit}");
    }
}

async fn check(world: &World, commands: &[(i64, i64)], runs: Vec<Object<TestRun>>) {
    let mut of: BTreeMap<i64, usize> = BTreeMap::new();
    for run in &runs {
        *of.entry(names::comment_of(run).expect("it has a comment")).or_default() += 1;
    }
    let expected: BTreeMap<i64, usize> = commands.iter().map(|(comment, _)| (*comment, 1)).collect();
    assert_eq!(of, expected, "one run a command, and no other");
    for number in [7, 8] {
        let mut of_it: Vec<_> = runs
            .iter()
            .filter(|run| run.spec.source.pull_request.as_ref().is_some_and(|of| of.number == number))
            .collect();
        of_it.sort_by_cached_key(|run| names::age(run));
        let reports = world.reports(number);
        let Some(newest) = of_it.last() else {
            assert!(reports.is_empty());
            continue;
        };
        assert_eq!(reports.len(), 1, "one comment: {reports:#?}");
        assert!(reports[0].1.contains(&newest.metadata.name), "about the newest run: {}", reports[0].1);
        let level = newest.status.level.unwrap();
        assert!(reports[0].1.contains(&format!("level {level} of 5")), "{}", reports[0].1);
        for run in &of_it {
            let sha = &run.spec.source.pull_request.as_ref().unwrap().head_sha;
            let speaker = of_it.iter().rfind(|other| other.spec.source == run.spec.source).unwrap();
            let state = if speaker.status.phase == Some(Phase::Succeeded) { "success" } else { "failure" };
            let history = world.forge.world().status_history(REPO, sha, "cc-ci/wiki");
            assert_eq!(history.last().map(|(state, _)| state.as_str()), Some(state), "{history:?}");
            assert!(run.status.report.as_ref().is_some_and(|report| report.hash.is_some()));
        }
        assert_eq!(world.answers(number).len(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn one_command_one_run_one_comment_one_status(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}
