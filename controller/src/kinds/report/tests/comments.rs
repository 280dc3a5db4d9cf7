//! Whole comments, as people read them under a pull request.

use api_types::condition::{Condition, ConditionStatus};
use api_types::kind::Object;
use api_types::kinds::test_run::{Lane, RungName, TestRun};
use ports::redact::Redactor;
use serde_json::{Value, json};

use super::super::render::{self, Around};
use super::{SHA, failed, run, rung};

const PAGE: &str = "https://ci.example.org/runs/default/nextcloud-pr7-3fa21c9-12";

/// Returns the comment about a run that comes after `green`.
fn told(run: &Object<TestRun>, green: Option<&Object<TestRun>>) -> String {
    render::comment(run, &Around { green, ..Around::default() }, &Redactor::default())
}

fn identity(commit: &str, version: &str, images: &[(&str, &str, &str)]) -> Value {
    let image = |(service, image, digest): &(&str, &str, &str)| match *digest {
        "" => json!({"service": service, "image": image}),
        digest => json!({"service": service, "image": image, "digest": format!("sha256:{}", digest.repeat(32))}),
    };
    json!({"commit": commit, "version": version, "images": images.iter().map(image).collect::<Vec<_>>()})
}

fn with_head(mut run: Object<TestRun>, head: Value) -> Object<TestRun> {
    run.status.head = serde_json::from_value(head).unwrap();
    run
}

/// Returns the last green run: two days before [`failed`].
fn green() -> Object<TestRun> {
    let before =
        run("nextcloud-schedule-20261123", json!({"phase": "Succeeded", "finishedAt": "2026-11-23T11:00:00Z"}));
    let images = [
        ("app", "nextcloud:29.0.4", "aa"),
        ("cache", "redis:7", "bb"),
        ("cron", "nextcloud:29.0.4", "aa"),
        ("db", "postgres:16", "cc"),
    ];
    with_head(before, identity("91aa0e2000000000000000000000000000000002", "1.1.0+29.0.4", &images))
}

/// Returns [`failed`] with other inputs than the last green one.
fn changed() -> Object<TestRun> {
    let images = [
        ("app", "nextcloud:29.0.5", "dd"),
        ("cache", "redis:7", "ee"),
        ("db", "postgres:16", "cc"),
        ("push", "notify-push:1", ""),
    ];
    with_head(failed(), identity(SHA, "1.2.0+29.0.5", &images))
}

#[test]
fn a_failed_run_says_what_changed_since_the_last_green_one_and_how_to_reproduce_it() {
    let earlier = [run("nextcloud-pr7-3fa21c9-9", json!({"phase": "Succeeded", "level": 5}))];
    let (run, green) = (changed(), green());
    let around = Around { earlier: &earlier, green: Some(&green), page: Some(PAGE), elsewhere: None };
    insta::assert_snapshot!(render::comment(&run, &around, &Redactor::default()), @r"
    <!-- cc-ci:report default/nextcloud -->
    🥀 **nextcloud** · level 4 of 5 · PR head `3fa21c9` · cold · 11m42 — [run](https://ci.example.org/runs/default/nextcloud-pr7-3fa21c9-12)

    install ✔ 2m10 · upgrade ✔ 2m10 · backup-restore skipped 2m10 · functional ✔ 2m10 · lint ✘ 2m10

    - ✘ **lint** `LintFailed` `nginx.conf changed but NGINX_CONF_VERSION is still v7`

    Since the last green run `nextcloud-schedule-20261123` (2 days earlier): commit `91aa0e2` → `3fa21c9`, version `1.1.0+29.0.4` → `1.2.0+29.0.5`, image of `app` `nextcloud:29.0.4` → `nextcloud:29.0.5`, image of `cache` `redis:7` has another content (`sha256:bbbbbbbbbbbb` → `sha256:eeeeeeeeeeee`), new service `push` (`notify-push:1`), service `cron` is gone.

    Teardown: clean (2 objects removed, 0 left).

    Log: [page](https://ci.example.org/runs/default/nextcloud-pr7-3fa21c9-12/log) · `ccctl logs testrun/nextcloud-pr7-3fa21c9-12 -n default`

    Reproduce: `ccctl run nextcloud -n default --commit=3fa21c9000000000000000000000000000000001 --pr=7 --hold-on-failure=30m`

    Next: `!rerun failed` · `!why` · `!help`

    <details><summary>Earlier runs (1)</summary>

    - `nextcloud-pr7-3fa21c9-9` · `3fa21c9` · succeeded · level 5

    </details>
    ");
}

#[test]
fn where_nothing_changed_since_the_last_green_run_it_says_so() {
    let run = with_head(failed(), serde_json::to_value(green().status.head).unwrap());
    let text = told(&run, Some(&green()));
    let expected = "Since the last green run `nextcloud-schedule-20261123` (2 days earlier): the very same went in.";
    assert!(text.lines().any(|line| line == expected), "{text}");
    assert!(!told(&run, None).contains("Since the last green"));
    assert!(!told(&failed(), Some(&green())).contains("Since the last green"), "it is not known what was tested");
}

#[test]
fn a_run_that_was_never_rendered_does_not_say_that_all_images_are_gone() {
    let run = with_head(failed(), identity(SHA, "1.1.0+29.0.4", &[]));
    let text = told(&run, Some(&green()));
    assert!(text.contains("(2 days earlier): commit `91aa0e2` → `3fa21c9`.\n"), "{text}");
}

#[test]
fn only_so_many_images_are_named() {
    let names: Vec<(String, String)> = (0..30).map(|at| (format!("s{at:02}"), format!("image:{at}"))).collect();
    let images: Vec<_> = names.iter().map(|(service, image)| (service.as_str(), image.as_str(), "")).collect();
    let text = told(&with_head(failed(), identity(SHA, "1.1.0+29.0.4", &images)), Some(&green()));
    let paragraph = text.lines().find(|line| line.starts_with("Since")).unwrap();
    assert_eq!(paragraph.matches("new service").count(), 8, "{paragraph}");
    assert!(paragraph.ends_with("and 26 more images."), "{paragraph}");
}

#[test]
fn a_green_run_reads_so() {
    let pass = |name: &str| rung(name, "Pass", "ChecksPassed", "ok");
    let rungs: Vec<Value> = ["install", "upgrade", "backup-restore", "functional", "lint"].map(pass).into();
    let run = run(
        "nextcloud-pr7-3fa21c9-12",
        json!({
            "phase": "Succeeded", "level": 5, "startedAt": "2026-11-25T12:00:00Z", "finishedAt": "2026-11-25T12:11:42Z",
            "rungs": rungs, "cleanup": {"removed": ["service/a"]}
        }),
    );
    let run = with_head(run, identity(SHA, "1.1.0+29.0.4", &[]));
    insta::assert_snapshot!(told(&run, Some(&green())), @r"
    <!-- cc-ci:report default/nextcloud -->
    🌻 **nextcloud** · level 5 of 5 · PR head `3fa21c9` · cold · 11m42 — run `nextcloud-pr7-3fa21c9-12`

    install ✔ 2m10 · upgrade ✔ 2m10 · backup-restore ✔ 2m10 · functional ✔ 2m10 · lint ✔ 2m10

    Since the last green run `nextcloud-schedule-20261123` (2 days earlier): commit `91aa0e2` → `3fa21c9`.

    Teardown: clean (1 object removed, 0 left).

    Log: `ccctl logs testrun/nextcloud-pr7-3fa21c9-12 -n default`

    Reproduce: `ccctl run nextcloud -n default --commit=3fa21c9000000000000000000000000000000001 --pr=7`

    Next: `!testme` · `!help`
    ");
}

#[test]
fn a_run_at_work_reads_so() {
    let mut upgrade = rung("upgrade", "Unverified", "Progressing", "It is under way.");
    upgrade["finishedAt"] = Value::Null;
    let rungs = json!([rung("install", "Pass", "ChecksPassed", "ok"), upgrade]);
    let run = run(
        "nextcloud-pr7-3fa21c9-12",
        json!({"phase": "Running", "startedAt": "2026-11-25T12:00:00Z", "rungs": rungs}),
    );
    insta::assert_snapshot!(told(&with_head(run, identity(SHA, "1.1.0+29.0.4", &[])), Some(&green())), @r"
    <!-- cc-ci:report default/nextcloud -->
    🌱 **nextcloud** · runs · PR head `3fa21c9` · cold — run `nextcloud-pr7-3fa21c9-12`

    install ✔ 2m10 · upgrade … · backup-restore – · functional – · lint –

    Since the last green run `nextcloud-schedule-20261123` (2 days earlier): commit `91aa0e2` → `3fa21c9`.

    Log: `ccctl logs testrun/nextcloud-pr7-3fa21c9-12 -n default`

    Next: `!cancel` · `!status` · `!help`
    ");
}

#[test]
fn a_run_that_waits_for_an_approval_reads_so() {
    let waiting = [Condition::new("Approved", ConditionStatus::False, "AwaitingApproval", "Nobody has looked.")];
    let mut run = run("nextcloud-pr7-3fa21c9-12", json!({"phase": "Pending", "conditions": waiting}));
    if let Some(pull_request) = &mut run.spec.source.pull_request {
        pull_request.fork = true;
    }
    insta::assert_snapshot!(told(&run, None), @r"
    <!-- cc-ci:report default/nextcloud -->
    🌱 **nextcloud** · waits for an approval · PR head `3fa21c9` · cold — run `nextcloud-pr7-3fa21c9-12`

    install – · upgrade – · backup-restore – · functional – · lint –

    It comes from a fork: a maintainer looks at the commit and comments `!ok` (or `!ok 3fa21c9`).

    Next: `!cancel` · `!status` · `!help`
    ");
}

#[test]
fn a_run_that_could_not_be_judged_reads_so() {
    let why = [Condition::new("Succeeded", ConditionStatus::False, "EngineUnreachable", "The engine did not answer.")];
    let mut run = run(
        "nextcloud-pr7-3fa21c9-12",
        json!({"phase": "Error", "level": 0, "startedAt": "2026-11-25T12:00:00Z", "finishedAt": "2026-11-25T12:00:42Z",
            "conditions": why, "cleanup": {"removed": [], "remaining": ["volume/next-3fa21c_data"]}}),
    );
    run.spec.lane = Lane::Quick;
    run.spec.stages = vec![RungName::Upgrade, RungName::BackupRestore];
    run.spec.base_version = Some("1.0.0+29.0.1".to_owned());
    if let Some(pull_request) = &mut run.spec.source.pull_request {
        pull_request.fork = true;
    }
    insta::assert_snapshot!(told(&run, None), @r"
    <!-- cc-ci:report default/nextcloud -->
    🍂 **nextcloud** · could not be judged · PR head `3fa21c9` · quick: a hint, no proof · 42s — run `nextcloud-pr7-3fa21c9-12`

    install – · upgrade – · backup-restore – · functional – · lint –

    - `The engine did not answer`

    Teardown: 1 object is left: `volume/next-3fa21c_data`.

    Log: `ccctl logs testrun/nextcloud-pr7-3fa21c9-12 -n default`

    Reproduce: `ccctl run nextcloud -n default --commit=3fa21c9000000000000000000000000000000001 --pr=7 --fork --lane=quick --stages=upgrade,backup-restore --base-version=1.0.0+29.0.1 --hold-on-failure=30m`

    Next: `!rerun` · `!why` · `!help`
    ");
}

#[test]
fn a_secret_that_is_cut_joined_or_escaped_is_still_taken_out() {
    // In a code span two spaces become one and a back quote another; a long text is cut.
    let secret = "open `sesame`  and-a-tail-that-is-long";
    let redactor = Redactor::default();
    redactor.insert("a", secret.as_bytes());
    let long = format!("{}{secret}", "x".repeat(590));
    let run = run(
        "a",
        json!({
            "phase": "Error", "level": 0, "rungs": [rung("install", "Fail", "CrashLoop", &long)],
            "tests": [{"stage": "install", "name": "t", "status": "Fail", "message": secret}],
            "cleanup": {"remaining": [secret]},
            "conditions": [Condition::new("Succeeded", ConditionStatus::False, "RungFailed", secret)],
        }),
    );
    let mut green = run.clone();
    green.status.head = serde_json::from_value(identity(SHA, "1", &[("app", "nginx:1", "")])).unwrap();
    let run = with_head(run, identity(SHA, secret, &[("app", secret, "")]));
    let text = render::comment(&run, &Around { green: Some(&green), ..Around::default() }, &redactor);
    assert!(!text.contains("open") && !text.contains("sesame") && text.matches("[redacted]").count() == 6, "{text}");
    assert!(!render::status(&run, None, &redactor, None).description.contains("sesame"));
}

#[test]
fn a_command_is_safe_to_copy() {
    let mut run = failed();
    assert!(told(&run, None).contains("Reproduce: `ccctl run nextcloud "));
    for hostile in ["1.0; rm -rf ~", "$(id)", "1'2", "a`b`", "1\n2"] {
        run.spec.base_version = Some(hostile.to_owned());
        assert!(!told(&run, None).contains("Reproduce"), "{hostile}");
    }
}
