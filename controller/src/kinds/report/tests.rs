//! What is told: comments, statuses, and that nothing of others gets out of its place.

use api_types::condition::{self, Condition, ConditionStatus};
use api_types::kind::Object;
use api_types::kinds::test_run::{Lane, PullRequest, Report, TestRun, TestRunSpec, TestRunStatus, TestSource};
use jiff::{SignedDuration, Timestamp};
use ports::forge::{COMMENT_BYTES_MAX, DESCRIPTION_CHARACTERS_MAX};
use ports::redact::Redactor;
use serde_json::{Value, json};

use super::decide::{self, Action, Observed, Told, Wanted};
use super::render::{self, Around};
use super::subject::Subject;
use crate::kinds::repository::names;

mod comments;

const SHA: &str = "3fa21c9000000000000000000000000000000001";

fn run(name: &str, status: Value) -> Object<TestRun> {
    let pull_request = PullRequest { number: 7, head_sha: SHA.to_owned(), author: Some("ada".into()), fork: false };
    let source = TestSource { commit: Some(SHA.to_owned()), pull_request: Some(pull_request), ..TestSource::default() };
    let spec = TestRunSpec { recipe_ref: "nextcloud".to_owned(), source, ..TestRunSpec::default() };
    let mut run = Object::<TestRun>::new("default", name, spec);
    run.metadata.uid = name.to_owned();
    run.status = serde_json::from_value::<TestRunStatus>(status).unwrap();
    run
}

fn rung(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"name": name, "status": status, "reason": reason, "message": message,
        "startedAt": "2026-11-25T12:00:00Z", "finishedAt": "2026-11-25T12:02:10Z"})
}

fn failed() -> Object<TestRun> {
    run(
        "nextcloud-pr7-3fa21c9-12",
        json!({
            "phase": "Failed", "level": 4, "startedAt": "2026-11-25T12:00:00Z", "finishedAt": "2026-11-25T12:11:42Z",
            "rungs": [
                rung("install", "Pass", "ChecksPassed", "ok"), rung("upgrade", "Pass", "ChecksPassed", "ok"),
                rung("backup-restore", "Skip", "ExpectedSkip", "no data"), rung("functional", "Pass", "ChecksPassed", "ok"),
                rung("lint", "Fail", "LintFailed", "nginx.conf changed but NGINX_CONF_VERSION is still v7"),
            ],
            "cleanup": {"removed": ["service/a", "volume/b"]},
        }),
    )
}

#[test]
fn upgrades_from_several_versions_are_counted() {
    let upgrade =
        |version: &str| json!({"version": version, "commit": SHA, "status": "Pass", "reason": "ChecksPassed"});
    let upgrades = json!([upgrade("1.0.0+1"), upgrade("1.1.0+1"), upgrade("1.2.0+1")]);
    let rungs = json!([rung("upgrade", "Pass", "ChecksPassed", "ok")]);
    let run = run("a", json!({"phase": "Succeeded", "level": 5, "rungs": rungs, "upgrades": upgrades}));
    let text = render::comment(&run, &Around::default(), &Redactor::default());
    assert!(text.contains("upgrade ✔ (from 3 versions) 2m10 ·"), "{text}");
}

#[test]
fn every_phase_has_a_state_and_less_proof_another_name() {
    let waiting = [Condition::new("Approved", ConditionStatus::False, "AwaitingApproval", "Nobody has looked.")];
    for (status, state, part) in [
        (json!({}), "pending", "looked at"),
        (json!({"phase": "Pending", "conditions": waiting}), "pending", "!ok"),
        (json!({"phase": "Queued", "queue": {"position": 3, "reason": "full"}}), "pending", "turn"),
        (
            json!({"phase": "Running", "rungs": [{"name": "upgrade", "status": "Unverified", "reason": "Progressing"}]}),
            "pending",
            "upgrade",
        ),
        (json!({"phase": "Succeeded", "level": 5}), "success", "Level 5"),
        (json!({"phase": "Failed", "level": 1}), "failure", "Level 1"),
        (json!({"phase": "Error"}), "error", "Not judged"),
        (json!({"phase": "Cancelled"}), "error", "Cancelled"),
    ] {
        let told = render::status(&run("a", status.clone()), None, &Redactor::default(), None);
        assert_eq!(told.state, state, "{status}");
        assert!(told.description.contains(part), "{status}: {}", told.description);
    }
    let mut quick = failed();
    quick.spec.lane = Lane::Quick;
    assert_eq!(render::context(&quick), "cc-ci/nextcloud/quick");
    let mut partial = failed();
    partial.spec.stages = vec![api_types::kinds::test_run::RungName::Lint];
    assert_eq!(render::context(&partial), "cc-ci/nextcloud/partial");
}

#[test]
fn hostile_text_stays_in_its_place_and_secrets_are_taken_out() {
    let hostile =
        "`</details>\n# All green\n@everyone [x](javascript:1) <script>1</script> ```\n\u{202e}hunter2-secret";
    let status = json!({
        "phase": "Failed", "level": 0, "levelCap": hostile,
        "rungs": [rung("install", "Fail", "CrashLoop", hostile)],
        "tests": [{"stage": "install", "name": hostile, "status": "Fail", "message": hostile}],
        "queue": {"position": 1, "reason": hostile}, "cleanup": {"remaining": [hostile]},
        "head": {"commit": SHA, "version": hostile, "images": [{"service": "app", "image": hostile}]},
        "conditions": [Condition::new("Succeeded", ConditionStatus::False, "RungFailed", hostile)],
    });
    let redactor = Redactor::default();
    redactor.insert("a", b"hunter2-secret");
    let hostile_run = run("a", status);
    let mut green = hostile_run.clone();
    let images = json!([{"service": "app", "image": "nginx:1"}]);
    green.status.head = serde_json::from_value(json!({"commit": SHA, "version": "1", "images": images})).unwrap();
    let around = Around { green: Some(&green), ..Around::default() };
    for text in [render::comment(&hostile_run, &around, &redactor), redactor.text(&render::why(&hostile_run))] {
        assert!(!text.contains("hunter2"), "{text}");
        for line in text.lines() {
            // Outside of code spans there is nothing of it.
            let outside: String = line.split('`').step_by(2).collect();
            for part in ["@everyone", "<script>", "javascript", "All green", "\u{202e}"] {
                assert!(!outside.contains(part), "{line}");
            }
            assert!(!line.starts_with('#') && line.matches('`').count() % 2 == 0, "{line}");
        }
    }
    let status = render::status(&hostile_run, None, &redactor, None);
    assert!(!status.description.contains(['\n', '\u{202e}']) && !status.description.contains("hunter2"));
}

#[test]
fn what_is_told_is_bounded() {
    let long = "wörd ".repeat(4000);
    let tests: Vec<Value> = (0..256)
        .map(|index| json!({"stage": "install", "name": format!("t{index}"), "status": "Fail", "message": long}))
        .collect();
    let earlier: Vec<_> = (0..500).map(|index| run(&format!("run-{index}"), json!({}))).collect();
    let large = run(
        "a",
        json!({"phase": "Failed", "level": 1, "tests": tests, "levelCap": long,
        "rungs": [rung("install", "Fail", "X", &long)]}),
    );
    let text = render::comment(&large, &Around { earlier: &earlier, ..Around::default() }, &Redactor::default());
    assert!(text.len() <= COMMENT_BYTES_MAX, "{}", text.len());
    assert!(text.contains("Earlier runs (500)") && text.contains("and 246 more tests"));
    let description = render::status(&large, None, &Redactor::default(), None).description;
    assert!(description.chars().count() <= DESCRIPTION_CHARACTERS_MAX);
}

#[test]
fn the_newest_run_has_the_comment_and_speaks_for_its_commit() {
    let (old, new) = (failed(), run("b", json!({"phase": "Running"})));
    let mut elsewhere = run("c", json!({}));
    if let Some(pull_request) = &mut elsewhere.spec.source.pull_request {
        pull_request.head_sha = SHA.replace('3', "4");
    }
    let siblings = [elsewhere.clone(), new.clone(), old.clone()];
    let of = |run: &Object<TestRun>| Wanted::of(run, &siblings, None, &Redactor::default(), None);
    assert!(of(&elsewhere).comment.is_some() && of(&elsewhere).status.is_some());
    assert!(of(&new).comment.is_none() && of(&new).status.is_some());
    assert_eq!(of(&old), Wanted { comment: None, status: None });
    assert_eq!(of(&old).hash(), "-.-");
    assert_ne!(of(&new).hash(), of(&elsewhere).hash());
}

#[test]
fn reported_is_true_only_when_the_end_has_been_told() {
    let now: Timestamp = "2026-11-25T12:12:00Z".parse().unwrap();
    let reported = Condition::new("Reported", ConditionStatus::True, "Reported", "It was told.");
    let decided = |phase: &str, hash: &str| {
        let mut run = failed();
        run.status.phase = serde_json::from_value(json!(phase)).unwrap();
        run.status.conditions = vec![reported.clone()];
        let wanted = Wanted::of(&run, &[], None, &Redactor::default(), None);
        let hash = if hash == "wanted" { wanted.hash() } else { hash.to_owned() };
        let report = Report { hash: Some(hash), ..Report::default() };
        let long_ago = now.checked_sub(SignedDuration::from_secs(10)).unwrap();
        let told = Some(Told { report, at: long_ago });
        let decision = decide::decide(&run, &Observed { wanted: Some(wanted), told }, now);
        (condition::find(&decision.status.conditions, "Reported").unwrap().status, decision.action)
    };
    assert_eq!(decided("Failed", "wanted"), (ConditionStatus::True, None));
    assert_eq!(decided("Failed", "of.before"), (ConditionStatus::Unknown, Some(Action::Tell)));
    assert_eq!(decided("Running", "of.before"), (ConditionStatus::True, Some(Action::Tell)));
}

#[test]
fn runs_that_ended_long_ago_are_left_alone_once_they_are_told() {
    let left_alone = |ended: &str, told: bool| {
        let mut status = failed().status;
        status.finished_at = Some(ended.to_owned());
        status.report = told.then(Report::default);
        decide::is_left_alone(&status, "2026-11-25T12:00:00Z".parse().unwrap())
    };
    assert!(left_alone("2026-11-24T11:59:59Z", true));
    assert!(!left_alone("2026-11-24T12:00:01Z", true), "a day has not passed");
    assert!(!left_alone("2026-11-20T00:00:00Z", false), "nobody was told");
}

#[test]
fn what_is_told_links_to_the_page_of_the_run() {
    let of = |url: Option<&str>| Wanted::of(&failed(), &[], None, &Redactor::default(), url);
    let (linked, plain) = (of(Some("https://ci.example.org")), of(None));
    let page = "https://ci.example.org/runs/default/nextcloud-pr7-3fa21c9-12";
    let comment = linked.comment.as_deref().unwrap_or_default();
    assert!(comment.contains(&format!("— [run]({page})\n")), "{comment}");
    assert!(comment.contains(&format!("[page]({page}/log) · `ccctl logs")), "{comment}");
    assert_eq!(linked.status.as_ref().map(|status| status.target_url.as_str()), Some(page));
    let halves = |wanted: &Wanted| wanted.hash().split_once('.').map(|(one, two)| (one.to_owned(), two.to_owned()));
    let (linked, plain) = (halves(&linked).unwrap(), halves(&plain).unwrap());
    assert!(linked.0 != plain.0 && linked.1 != plain.1, "a new address is told");
}

#[test]
fn pull_requests_with_one_head_share_its_status_and_say_whose_run_it_tells() {
    let (mut other, own) = (run("other", json!({"phase": "Succeeded", "level": 5})), failed());
    if let Some(pull_request) = &mut other.spec.source.pull_request {
        pull_request.number = 8;
    }
    let siblings = [other.clone(), own.clone()];
    let of = |run: &Object<TestRun>, siblings: &[Object<TestRun>]| {
        Wanted::of(run, siblings, None, &Redactor::default(), None)
    };
    let (newer, older) = (of(&other, &siblings), of(&own, &siblings));
    assert_eq!(newer.status.unwrap().description, "Pull request 8: Level 5 of 5.");
    let told = "Pull request 8 has the same head commit";
    assert!(!newer.comment.unwrap().contains(told));
    assert!(older.status.is_none());
    let comment = older.comment.unwrap();
    assert!(comment.contains(told) && comment.contains("run `other`") && comment.contains("level 4 of 5"), "{comment}");
    // Alone, a status needs no such words, and another context is another status.
    assert_eq!(of(&other, &siblings[..1]).status.unwrap().description, "Level 5 of 5.");
    let mut quick = other.clone();
    quick.spec.lane = Lane::Quick;
    let apart = of(&own, &[quick, own.clone()]);
    assert!(apart.status.is_some() && !apart.comment.unwrap().contains(told));
}

/// Returns a run that something other than a comment started.
fn triggered(name: &str, label: &str, by: &str, status: Value) -> Object<TestRun> {
    let mut run = run(name, status);
    run.spec.source.pull_request = None;
    run.metadata.labels.insert(names::TRIGGER_LABEL.to_owned(), label.to_owned());
    run.metadata.annotations.insert(names::TRIGGERED_BY_ANNOTATION.to_owned(), by.to_owned());
    run
}

#[test]
fn what_a_run_is_about() {
    let of = |run: &Object<TestRun>| Subject::of(run).map(|of| (of.thread, of.commit == SHA, of.words));
    assert_eq!(of(&failed()), Some((Some(7), true, "Pull request 7".to_owned())));
    for (label, by, words) in [
        ("tag", "1.2.0+6.4.3", "Tag 1.2.0+6.4.3"),
        ("push", "main", "Push to main"),
        ("schedule", "0 3 * * 0", "Schedule 0 3 * * 0"),
    ] {
        assert_eq!(of(&triggered("a", label, by, json!({}))), Some((None, true, words.to_owned())));
    }
    let mut by_hand = failed();
    by_hand.spec.source.pull_request = None;
    assert_eq!(of(&by_hand), None);
    assert_eq!(of(&triggered("a", "anything", "x", json!({}))), None);
    let mut of_branch = triggered("a", "schedule", "@daily", json!({}));
    of_branch.spec.source.commit = None;
    assert_eq!(of(&of_branch), None, "the tip of the branch has not been read");
    of_branch.status = serde_json::from_value(json!({"head": {"commit": SHA, "images": []}})).unwrap();
    assert!(of(&of_branch).is_some());
}

#[test]
fn a_hostile_tag_stays_in_its_place_and_secrets_are_taken_out() {
    let redactor = Redactor::default();
    redactor.insert("a", b"hunter2-secret");
    let tag = "v1\u{202e}-hunter2-secret\n@everyone `x";
    let newer = triggered("tagged", "tag", tag, json!({"phase": "Succeeded", "level": 5}));
    let own = failed();
    let siblings = [newer.clone(), own.clone()];
    let status = Wanted::of(&newer, &siblings, None, &redactor, None).status.unwrap();
    assert!(status.description.starts_with("Tag v1 -") && status.description.ends_with("Level 5 of 5."), "{status:?}");
    let comment = Wanted::of(&own, &siblings, None, &redactor, None).comment.unwrap();
    for text in [&status.description, &comment] {
        assert!(!text.contains("hunter2") && !text.contains('\u{202e}'), "{text}");
    }
    assert!(comment.lines().all(|line| !line.starts_with("@everyone")), "{comment}");
    assert!(comment.contains("because of `Tag v1 -"), "{comment}");
}
