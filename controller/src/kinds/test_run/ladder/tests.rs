//! Levels never overstate, and verdicts say what happened.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

use RungStatus::{Fail, Pass, Skip, Unverified};

fn rungs(statuses: [RungStatus; 5]) -> Vec<Rung> {
    ORDER
        .into_iter()
        .zip(statuses)
        .map(|(name, status)| Rung {
            name,
            status,
            message: Some(format!("{} says so.", word(name))),
            ..Rung::default()
        })
        .collect()
}

#[test]
fn worked_examples() {
    let cases = [
        ("everything passed", [Pass; 5], 5, None),
        ("install failed", [Fail, Pass, Pass, Pass, Pass], 0, Some("Install failed: install says so.")),
        ("the upgrade failed, whatever is above", [Pass, Fail, Pass, Pass, Pass], 1, Some("Upgrade failed")),
        ("a stateless recipe with its backup declared off", [Pass, Pass, Skip, Pass, Pass], 5, None),
        (
            "the backup was not verified",
            [Pass, Pass, Unverified, Pass, Pass],
            2,
            Some("Backup-restore was not verified"),
        ),
        ("the linter was missing", [Pass, Pass, Pass, Pass, Unverified], 4, Some("Lint was not verified")),
        ("only one version is published", [Pass, Skip, Pass, Pass, Pass], 5, None),
        ("nothing ran", [Unverified; 5], 0, Some("Install was not verified")),
        ("a skipped top earns nothing", [Pass, Pass, Pass, Pass, Skip], 4, Some("Nothing above was checked: lint")),
        (
            "two skipped on top",
            [Pass, Pass, Pass, Skip, Skip],
            3,
            Some("Nothing above was checked: lint and functional"),
        ),
        ("skipped, then failed", [Pass, Skip, Fail, Pass, Pass], 1, Some("Backup-restore failed")),
    ];
    for (name, statuses, expected, cap_begins) in cases {
        let rungs = rungs(statuses);
        assert_eq!(level(&rungs), expected, "{name}");
        match (cap(&rungs), cap_begins) {
            (None, None) => {}
            (Some(cap), Some(begins)) => assert!(cap.starts_with(begins), "{name}: {cap}"),
            (cap, _) => panic!("{name}: {cap:?}"),
        }
    }
}

#[test]
fn a_rung_that_is_missing_is_unverified() {
    assert_eq!(level(&[]), 0);
    let only_lint = vec![Rung { name: RungName::Lint, status: Pass, ..Rung::default() }];
    assert_eq!(level(&only_lint), 0);
    assert_eq!(cap(&only_lint).unwrap(), "Install was not verified: It has no result.");
}

#[test]
fn what_is_left_out_or_declared_says_so_from_the_start() {
    let expected_skips = BTreeMap::from([(RungName::Lint, "no linter".to_owned())]);
    let recipe = RecipeSpec { expected_skips, ..RecipeSpec::default() };
    let spec = TestRunSpec { stages: vec![RungName::Install, RungName::Lint], ..TestRunSpec::default() };
    let found: Vec<(RungStatus, Option<String>)> =
        initial(&spec, &recipe).into_iter().map(|rung| (rung.status, rung.reason)).collect();
    let expected = [
        (Unverified, reason::NOT_REACHED),
        (Unverified, reason::NOT_SELECTED),
        (Unverified, reason::NOT_SELECTED),
        (Unverified, reason::NOT_SELECTED),
        (Skip, reason::EXPECTED_SKIP),
    ];
    assert_eq!(found, expected.map(|(status, reason)| (status, Some(reason.to_owned()))));
}

#[test]
fn the_quick_lane_can_never_reach_level_three() {
    let spec = TestRunSpec { lane: Lane::Quick, ..TestRunSpec::default() };
    let mut rungs = initial(&spec, &RecipeSpec::default());
    for rung in rungs.iter_mut().filter(|rung| is_selected(&spec, rung.name)) {
        rung.status = Pass;
    }
    assert_eq!(level(&rungs), 2);
    let verdict = verdict(&spec, &rungs, None);
    assert_eq!(verdict.phase, Phase::Succeeded);
    let status = TestRunStatus { phase: Some(Phase::Succeeded), ..TestRunStatus::default() };
    assert!(!counts_as_green(&spec, &status));
}

fn with_reason(statuses: [RungStatus; 5], name: RungName, reason: &str) -> Vec<Rung> {
    let mut rungs = rungs(statuses);
    for rung in rungs.iter_mut().filter(|rung| rung.name == name) {
        rung.reason = Some(reason.to_owned());
    }
    rungs
}

#[test]
fn verdicts() {
    let all = TestRunSpec::default();
    let some = TestRunSpec { stages: vec![RungName::Install, RungName::Upgrade], ..TestRunSpec::default() };
    let functional = RungName::Functional;
    let cases = [
        ("all passed", &all, rungs([Pass; 5]), Phase::Succeeded, reason::ALL_PASSED),
        ("all passed or skipped", &all, rungs([Pass, Skip, Skip, Pass, Skip]), Phase::Succeeded, reason::ALL_PASSED),
        ("one failed", &all, rungs([Pass, Pass, Fail, Pass, Pass]), Phase::Failed, reason::RUNG_FAILED),
        (
            "what was left out does not count",
            &some,
            rungs([Pass, Pass, Unverified, Unverified, Unverified]),
            Phase::Succeeded,
            reason::ALL_PASSED,
        ),
        (
            "no tests are no pass",
            &all,
            with_reason([Pass, Pass, Pass, Unverified, Pass], functional, reason::NO_CHECKS),
            Phase::Failed,
            reason::RUNG_UNVERIFIED,
        ),
        (
            "our own trouble is an error",
            &all,
            with_reason([Pass, Pass, Pass, Unverified, Pass], functional, reason::RATE_LIMITED),
            Phase::Error,
            reason::RATE_LIMITED,
        ),
        (
            "a failure outranks our own trouble",
            &all,
            with_reason([Pass, Fail, Pass, Unverified, Pass], functional, reason::RATE_LIMITED),
            Phase::Failed,
            reason::RUNG_FAILED,
        ),
    ];
    for (name, spec, rungs, phase, reason) in cases {
        let verdict = verdict(spec, &rungs, None);
        assert_eq!((verdict.phase, &*verdict.reason), (phase, reason), "{name}");
        assert!(verdict.message.ends_with('.'), "{name}: {}", verdict.message);
    }
}

#[test]
fn green_is_a_whole_clean_cold_run_outside_a_pull_request() {
    let spec = TestRunSpec::default();
    let cleanup = Some(api_types::kinds::test_run::Cleanup::default());
    let good = TestRunStatus { phase: Some(Phase::Succeeded), cleanup, ..TestRunStatus::default() };
    assert!(counts_as_green(&spec, &good));
    let mut partial = spec.clone();
    partial.stages = vec![RungName::Install];
    assert!(!counts_as_green(&partial, &good));
    let mut of_pull_request = spec.clone();
    of_pull_request.source.pull_request = Some(Default::default());
    assert!(!counts_as_green(&of_pull_request, &good));
    let mut failed = good.clone();
    failed.phase = Some(Phase::Failed);
    assert!(!counts_as_green(&spec, &failed));
    let mut leaking = good.clone();
    leaking.cleanup.as_mut().unwrap().remaining.push("volume/x".to_owned());
    assert!(!counts_as_green(&spec, &leaking));
    let unproven = TestRunStatus { cleanup: None, ..good };
    assert!(!counts_as_green(&spec, &unproven));
}

fn any_status() -> impl Strategy<Value = RungStatus> {
    prop_oneof![Just(Pass), Just(Fail), Just(Skip), Just(Unverified)]
}

fn strength(status: RungStatus) -> u8 {
    match status {
        Fail | Unverified => 0,
        Skip => 1,
        Pass => 2,
    }
}

proptest! {
    #[test]
    fn the_level_is_exactly_its_definition(statuses in proptest::array::uniform5(any_status())) {
        let level = usize::from(level(&rungs(statuses)));
        let earned = |rung: usize| {
            statuses[rung - 1] == Pass && statuses[..rung - 1].iter().all(|below| matches!(below, Pass | Skip))
        };
        let highest = (1..=5).rev().find(|rung| earned(*rung)).unwrap_or(0);
        prop_assert_eq!(level, highest);
        prop_assert_eq!(cap(&rungs(statuses)).is_none(), level == 5);
    }

    #[test]
    fn a_worse_result_never_raises_the_level(
        statuses in proptest::array::uniform5(any_status()), at in 0_usize..5, worse in any_status()
    ) {
        prop_assume!(strength(worse) <= strength(statuses[at]));
        let mut changed = statuses;
        changed[at] = worse;
        prop_assert!(level(&rungs(changed)) <= level(&rungs(statuses)));
    }

    #[test]
    fn only_passes_and_declared_skips_succeed(statuses in proptest::array::uniform5(any_status())) {
        let verdict = verdict(&TestRunSpec::default(), &rungs(statuses), None);
        let good = statuses.iter().all(|status| matches!(status, Pass | Skip));
        prop_assert_eq!(verdict.phase == Phase::Succeeded, good);
    }

    #[test]
    fn shortened_texts_fit(text in ".{0,60}", most in 4_usize..40) {
        prop_assert!(shortened(&text, most).len() <= most);
    }
}
