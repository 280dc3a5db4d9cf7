//! What must not change a verdict or leave anything behind: ccd killed at every step, an engine that restarts, a run
//! that is cancelled.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::{Installation, ZONE, reason_of, status_of};
use tests::recipes::RecipeRepository;

const API: &str = "ci.coopcloud.tech/v1alpha1";
const VERSIONS: [&str; 2] = ["1.0.0+1.0.0", "1.1.0+1.1.0"];
/// Longest that one run may take, accidents included.
const RUN_WITHIN: Duration = Duration::from_mins(6);
/// Longest that a cancelled run may take to be clean.
const CLEAN_WITHIN: Duration = Duration::from_mins(1);

/// Returns the Recipe of the bundled guestbook, with data tests and a functional one.
fn recipe(name: &str, folder: &Path) -> Value {
    let mut repository = RecipeRepository::new(&folder.join(name)).expect("git works");
    repository.publish_bundled("guestbook", &VERSIONS).expect("git works");
    let entries = json!({"path": "/cgi-bin/entries"});
    json!({
        "apiVersion": API, "kind": "Recipe", "metadata": {"name": name},
        "spec": {
            "source": {"url": repository.url()}, "zone": ZONE, "deployer": "Swarm",
            "env": {"LETS_ENCRYPT_ENV": "", "TITLE": name},
            "timeouts": {"pull": "1m", "converge": "3m", "http": "1m", "run": "20m"},
            "tests": [
                {
                    "name": "entries-survive", "stage": "upgrade", "http": entries,
                    "seed": {"http": {"method": "POST", "path": "/cgi-bin/entries", "body": "before the upgrade\n"}},
                    "expect": {"contains": ["before the upgrade"], "within": "10s"},
                },
                {
                    "name": "entries-come-back", "stage": "backup-restore", "http": entries,
                    "seed": {"exec": {"service": "app", "command": ["sh", "-c", "echo backup >>/data/entries"]}},
                    "destroy": {"exec": {"service": "app", "command": ["rm", "-rf", "/data/dump", "/data/entries"]}},
                    "expect": {"contains": ["backup"], "within": "10s"},
                },
                {"name": "counts", "stage": "functional", "http": {"path": "/cgi-bin/count"}},
            ],
        },
    })
}

fn run(name: &str, recipe: &str) -> Value {
    json!({
        "apiVersion": API, "kind": "TestRun", "metadata": {"name": name},
        "spec": {"recipeRef": recipe, "source": {"version": VERSIONS[1]}},
    })
}

fn is_finished(run: &Value) -> bool {
    matches!(run["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"))
}

/// Returns the names of the steps that a run has begun.
fn begun(run: &Value) -> BTreeSet<String> {
    let steps = run["status"]["steps"].as_array();
    steps.into_iter().flatten().filter_map(|step| step["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn killed_at_every_step_a_run_ends_as_it_would_have_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut installation = Installation::start(folder.path(), 1).expect("the installation starts");
    let before = engine::inventory();
    installation.apply(&[recipe("killed", folder.path()), run("killed", "killed")]).expect("they are accepted");

    let started = Instant::now();
    let mut survived = BTreeSet::new();
    let last = loop {
        let run = installation.get("testruns", "killed").expect("ccd answers").expect("the run is there");
        if is_finished(&run) {
            break run;
        }
        assert!(started.elapsed() < RUN_WITHIN, "{:#}\n{}", run["status"], installation.daemon.log());
        let fresh: Vec<String> = begun(&run).difference(&survived).cloned().collect();
        if fresh.is_empty() {
            wait_a_moment();
            continue;
        }
        survived.extend(fresh);
        installation.kill_and_restart().expect("ccd starts again on what kill -9 left");
    };
    assert!(survived.len() >= 12, "ccd was killed at these steps only: {survived:?}");
    assert_eq!(last["status"]["phase"], "Succeeded", "{:#}", last["status"]);
    assert_eq!(last["status"]["level"], 5, "{:#}", last["status"]);
    assert_eq!(engine::inventory(), before, "the engine has what it had before the run");
    installation.remove().expect("the proxy goes as well");
}

#[test]
fn cancelled_at_any_step_a_run_is_clean_within_a_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 8).expect("the installation starts");
    let before = engine::inventory();
    installation.apply(&[recipe("cancelled", folder.path())]).expect("it is accepted");
    let steps = ["fetch", "base-deploy", "upgrade-seed", "upgrade-deploy", "backup-take", "functional-check"];
    let runs: Vec<Value> = steps.iter().map(|step| run(step, "cancelled")).collect();
    installation.apply(&runs).expect("they are accepted");

    let mut waiting: BTreeSet<&str> = steps.into_iter().collect();
    let started = Instant::now();
    while !waiting.is_empty() {
        assert!(started.elapsed() < RUN_WITHIN, "never reached: {waiting:?}\n{}", installation.daemon.log());
        for step in waiting.clone() {
            let run = installation.get("testruns", step).expect("ccd answers").expect("the run is there");
            if begun(&run).contains(step) || is_finished(&run) {
                let patch = r#"{"spec":{"cancel":true}}"#;
                installation
                    .kubectl(&["patch", "testrun", step, "--type=merge", "--patch", patch])
                    .expect("it is taken");
                waiting.remove(step);
            }
        }
        wait_a_moment();
    }
    for step in steps {
        let run = installation.wait("testruns", step, CLEAN_WITHIN, is_finished).expect("it ends soon");
        assert_eq!(run["status"]["phase"], "Cancelled", "{step}: {:#}", run["status"]);
        assert_eq!(status_of(&run, "CleanedUp"), "True", "{step}: {:#}", run["status"]);
        assert_eq!(reason_of(&run, "Succeeded"), "Cancelled", "{step}");
    }
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}

#[test]
fn an_engine_that_restarts_in_the_middle_of_a_run_changes_no_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 1).expect("the installation starts");
    installation
        .apply(&[recipe("restarted", folder.path()), run("restarted", "restarted")])
        .expect("they are accepted");
    let reached = |run: &Value| begun(run).contains("upgrade-deploy");
    installation.wait("testruns", "restarted", RUN_WITHIN, reached).expect("it gets so far");
    engine::restart();
    let run = installation.wait("testruns", "restarted", RUN_WITHIN, is_finished).expect("it ends");
    match run["status"]["phase"].as_str() {
        Some("Succeeded") => assert_eq!(run["status"]["level"], 5, "{:#}", run["status"]),
        // What was lost with the engine is nobody's fault; it must be said, and never be green or the recipe's.
        Some("Error") => assert!(!reason_of(&run, "Succeeded").is_empty(), "{:#}", run["status"]),
        _ => panic!("the recipe is blamed for the engine: {:#}", run["status"]),
    }
    installation.remove().expect("the apps go");
}

#[test]
fn four_runs_of_two_recipes_take_turns_and_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 2).expect("the installation starts");
    let before = engine::inventory();
    let recipes = ["left", "right"].map(|name| recipe(name, folder.path()));
    installation.apply(&recipes).expect("they are accepted");
    let names = ["left-1", "left-2", "left-3", "right-1"];
    let runs: Vec<Value> = names.iter().map(|name| run(name, name.split_once('-').expect("a number").0)).collect();
    installation.apply(&runs).expect("they are accepted");

    let started = Instant::now();
    let mut reasons = BTreeSet::new();
    let finished = loop {
        let runs = installation.list("testruns").expect("ccd answers");
        let running = runs.iter().filter(|run| run["status"]["phase"] == "Running").count();
        assert!(running <= 2, "{running} runs at once");
        reasons.extend(runs.iter().filter_map(|run| run["status"]["queue"]["reason"].as_str().map(str::to_owned)));
        if runs.iter().all(is_finished) {
            break runs;
        }
        assert!(started.elapsed() < RUN_WITHIN, "{runs:#?}\n{}", installation.daemon.log());
        wait_a_moment();
    };
    for run in &finished {
        assert_eq!(run["status"]["level"], 5, "{:#}", run["status"]);
    }
    assert!(!reasons.is_empty(), "those that waited said why");
    let begun_at = |name: &str| {
        let run = finished.iter().find(|run| run["metadata"]["name"] == name).expect("it is there");
        run["status"]["startedAt"].as_str().expect("it has begun").to_owned()
    };
    assert!(begun_at("right-1") <= begun_at("left-3"), "the other recipe does not wait for all of the first one's");
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}
