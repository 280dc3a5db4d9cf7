//! What must not change a verdict or leave anything behind: ccd killed at every step, an engine that restarts, a run
//! that is cancelled, runs that go on at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::{Installation, ZONE, reason_of, status_of};
use tests::recipes::{RecipeRepository, Tree, replace, version};

const API: &str = "ci.coopcloud.tech/v1alpha1";
const BASE: &str = "1.0.0+1.0.0";
const HEAD: &str = "1.1.0+1.1.0";
/// Longest that runs may take, accidents included.
const RUN_WITHIN: Duration = Duration::from_mins(6);
/// Longest that a cancelled run may take to be clean.
const CLEAN_WITHIN: Duration = Duration::from_mins(1);
/// Longest that a run may take to say what it waits for.
const QUEUED_WITHIN: Duration = Duration::from_mins(1);
/// Every step of a run that upgrades, in its order; the last where there is a camera.
const STEPS: [&str; 21] = [
    "fetch",
    "head-render",
    "base-render",
    "base-pull",
    "base-deploy",
    "install-check",
    "upgrade-pull",
    "upgrade-seed",
    "upgrade-deploy",
    "upgrade-check",
    "backup-settle",
    "backup-seed",
    "backup-take",
    "backup-destroy",
    "backup-destroyed",
    "backup-restore",
    "backup-check",
    "functional-settle",
    "functional-check",
    "lint",
    "screenshot",
];

/// Returns the rungs that a run needs to get to `step`: no more, so that all of them are played in the time of a few.
fn rungs_to(step: &str) -> Value {
    match step.split_once('-').map_or(step, |(first, _)| first) {
        "backup" => json!(["install", "backup-restore"]),
        "functional" => json!(["install", "functional"]),
        "lint" | "screenshot" => json!(["install", "lint"]),
        _ => json!(["install", "upgrade"]),
    }
}

/// Returns the Recipe of the bundled guestbook whose newest version `edit` may break: with tests for its data, and one
/// that tells it from every other guestbook.
fn recipe(name: &str, folder: &Path, edit: fn(&mut Tree)) -> Value {
    let mut repository = RecipeRepository::new(&folder.join(name)).expect("git works");
    repository.publish_bundled("guestbook", &[BASE]).expect("git works");
    let mut head = version("guestbook", HEAD).expect("the bundled recipe is there");
    edit(&mut head);
    repository.commit(&head, "feat: what is tested").expect("git works");
    repository.publish(HEAD).expect("git works");
    let entries = json!({"path": "/cgi-bin/entries"});
    json!({
        "apiVersion": API, "kind": "Recipe", "metadata": {"name": name},
        "spec": {
            "source": {"url": repository.url()}, "zone": ZONE, "deployer": "Swarm",
            "env": {"LETS_ENCRYPT_ENV": "", "TITLE": format!("Guests of {name}.")},
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
                    "destroy": {"exec": {"service": "app", "command": ["sh", "-c", "rm -rf /data/dump; : >/data/entries"]}},
                    "expect": {"contains": ["backup"], "within": "10s"},
                },
                {
                    "name": "is-itself", "stage": "functional", "http": {"path": "/"},
                    "expect": {"contains": [format!("Guests of {name}.")], "within": "10s"},
                },
            ],
        },
    })
}

fn sound(_: &mut Tree) {}

/// The newest version ends as soon as it is started.
fn crashes(tree: &mut Tree) {
    let image = "    image: 127.0.0.1:5000/guestbook:1.1.0\n";
    let command = r#"    command: ["sh", "-c", "echo 'no database configured' >&2; exit 3"]"#;
    replace(tree, "compose.yml", image, &format!("{image}{command}\n"));
}

/// Returns a run of the newest version, with more in its spec.
fn run(name: &str, recipe: &str, more: &Value) -> Value {
    let mut spec = json!({"recipeRef": recipe, "source": {"version": HEAD}});
    for (key, value) in more.as_object().expect("a spec has members") {
        spec[key] = value.clone();
    }
    json!({"apiVersion": API, "kind": "TestRun", "metadata": {"name": name}, "spec": spec})
}

fn is_finished(run: &Value) -> bool {
    matches!(run["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"))
}

/// Returns the names of the steps that a run has begun.
fn begun(run: &Value) -> BTreeSet<String> {
    let steps = run["status"]["steps"].as_array();
    steps.into_iter().flatten().filter_map(|step| step["name"].as_str().map(str::to_owned)).collect()
}

/// Returns where a teardown is: the kinds of what is still there of an App that is going.
fn teardown_line(app: Option<&Value>) -> Option<String> {
    let app = app.filter(|app| !app["metadata"]["deletionTimestamp"].is_null())?;
    let remaining = app["status"]["remaining"].as_array().cloned().unwrap_or_default();
    let kind = |name: &Value| name.as_str().and_then(|name| name.split_once('/')).map(|(kind, _)| kind.to_owned());
    let kinds: BTreeSet<String> = remaining.iter().filter_map(kind).collect();
    Some(format!("teardown of {}", kinds.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Returns everything on the engine but the proxy, whose tasks are others after a restart.
fn inventory() -> BTreeSet<String> {
    engine::inventory().into_iter().filter(|name| !name.contains("/traefik_")).collect()
}

/// Says in which way a finished run is not clean, or has another verdict.
fn expect(run: &Value, phase: &str, level: u64, reason: &str) {
    let (name, status) = (&run["metadata"]["name"], &run["status"]);
    assert_eq!((&status["phase"], &status["level"]), (&json!(phase), &json!(level)), "{name}: {status:#}");
    if !reason.is_empty() {
        let rungs = status["rungs"].as_array().cloned().unwrap_or_default();
        assert!(rungs.iter().any(|rung| rung["reason"] == reason), "{name} has no rung with {reason}: {status:#}");
    }
    expect_clean(run);
}

fn expect_clean(run: &Value) {
    let (name, status) = (&run["metadata"]["name"], &run["status"]);
    assert_eq!(status_of(run, "CleanedUp"), "True", "{name}: {status:#}");
    assert_eq!(status["cleanup"]["remaining"], Value::Null, "{name}: {status:#}");
}

#[test]
fn killed_at_every_step_a_run_ends_as_it_would_have_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut installation = Installation::with_camera(folder.path(), 1).expect("the installation starts");
    let before = engine::inventory();
    let objects = [recipe("killed", folder.path(), sound), run("killed", "killed", &json!({}))];
    installation.apply(&objects).expect("they are accepted");

    let started = Instant::now();
    let mut survived = BTreeSet::new();
    let last = loop {
        let run = installation.get("testruns", "killed").expect("ccd answers").expect("the run is there");
        if is_finished(&run) {
            break run;
        }
        assert!(started.elapsed() < RUN_WITHIN, "{:#}\n{}", run["status"], installation.daemon.log());
        let mut places = begun(&run);
        places.extend(teardown_line(installation.get("apps", "killed").expect("ccd answers").as_ref()));
        let fresh: Vec<String> = places.difference(&survived).cloned().collect();
        if fresh.is_empty() {
            wait_a_moment();
            continue;
        }
        survived.extend(fresh);
        installation.kill_and_restart().expect("ccd starts again on what kill -9 left");
    };
    let missed: Vec<&&str> = STEPS.iter().filter(|step| !survived.contains(**step)).collect();
    // What takes a blink can be over when the kill comes: then it was killed right after it.
    assert!(missed.is_empty(), "ccd was not killed at {missed:?}, only at {survived:?}");
    let lines = survived.iter().filter(|place| place.starts_with("teardown of")).count();
    assert!(lines >= 3, "the teardown was cut off at these lines only: {survived:?}");
    expect(&last, "Succeeded", 5, "");
    let artifacts = last["status"]["artifacts"].as_array().expect("it has artifacts");
    let picture = artifacts.iter().find(|artifact| artifact["name"] == "screenshot.png");
    assert_eq!(picture.expect("it was looked at")["mediaType"], "image/png", "{artifacts:?}");
    assert_eq!(engine::inventory(), before, "the engine has what it had before the run");
    installation.remove().expect("the proxy goes as well");
}

/// How a recipe is made from the good one.
type Edit = fn(&mut Tree);

#[test]
fn killed_once_in_the_middle_of_a_deploy_good_and_bad_recipes_keep_their_verdicts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut installation = Installation::start(folder.path(), 3).expect("the installation starts");
    let before = engine::inventory();
    // Which run is killed at which step.
    let cases: [(&str, Edit, Value, &str); 3] = [
        ("green", sound, json!({"stages": ["install", "upgrade"]}), "upgrade-deploy"),
        ("rolls", crashes, json!({}), "upgrade-deploy"),
        ("loops", crashes, json!({"stages": ["install"]}), "head-deploy"),
    ];
    let recipes: Vec<Value> = cases.iter().map(|(name, edit, ..)| recipe(name, folder.path(), *edit)).collect();
    installation.apply(&recipes).expect("they are accepted");
    let runs: Vec<Value> = cases.iter().map(|(name, _, more, _)| run(name, name, more)).collect();
    installation.apply(&runs).expect("they are accepted");

    let mut waiting: BTreeMap<&str, &str> = cases.iter().map(|(name, _, _, step)| (*name, *step)).collect();
    let started = Instant::now();
    while !waiting.is_empty() {
        assert!(started.elapsed() < RUN_WITHIN, "never reached: {waiting:?}\n{}", installation.daemon.log());
        let reached = waiting.iter().find(|(name, step)| {
            let run = installation.get("testruns", name).expect("ccd answers").expect("the run is there");
            begun(&run).contains(**step)
        });
        let Some((name, _)) = reached.map(|(name, step)| (*name, *step)) else {
            wait_a_moment();
            continue;
        };
        waiting.remove(name);
        installation.kill_and_restart().expect("ccd starts again on what kill -9 left");
    }
    let verdicts =
        [("green", "Succeeded", 2, ""), ("rolls", "Failed", 1, "RolledBack"), ("loops", "Failed", 0, "CrashLoop")];
    for (name, phase, level, reason) in verdicts {
        let run = installation.wait("testruns", name, RUN_WITHIN, is_finished).expect("it ends");
        expect(&run, phase, level, reason);
    }
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}

/// Returns the Recipe of a run that is cancelled at `step`: its functional tests begin with a container that does not end.
fn lingering(step: &str, folder: &Path) -> Value {
    let mut recipe = recipe(step, folder, sound);
    let command = json!(["sleep", "600"]);
    let lingers = json!({
        "name": "lingers", "stage": "functional", "timeout": "10m",
        "container": {"image": engine::image(), "command": command},
    });
    if step == "functional-check" {
        recipe["spec"]["tests"].as_array_mut().expect("it has tests").insert(0, lingers);
    }
    recipe
}

/// Returns whether a run is in the middle of `step`, or past it.
fn is_at(run: &Value, step: &str) -> bool {
    let label = format!("label=ci.coopcloud.tech/run={}", run["metadata"]["uid"].as_str().unwrap_or_default());
    let is_in_it =
        || step != "functional-check" || !engine::docker(&["ps", "--quiet", "--filter", &label]).trim().is_empty();
    is_finished(run) || (begun(run).contains(step) && is_in_it())
}

#[test]
fn cancelled_at_every_step_a_run_is_clean_within_a_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::with_camera(folder.path(), 6).expect("the installation starts");
    let before = engine::inventory();
    // Runs of one commit share a domain and take turns: each has a recipe of its own. The latest steps come first,
    // because the queue takes those that were made first.
    let recipes: Vec<Value> = STEPS.iter().rev().map(|step| lingering(step, folder.path())).collect();
    installation.apply(&recipes).expect("they are accepted");
    let runs = STEPS.iter().rev().map(|step| run(step, step, &json!({"stages": rungs_to(step)})));
    installation.apply(&runs.collect::<Vec<_>>()).expect("they are accepted");

    let mut asked: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut took: BTreeMap<&str, Duration> = BTreeMap::new();
    let started = Instant::now();
    while took.len() < STEPS.len() {
        for run in installation.list("testruns").expect("ccd answers") {
            let step = STEPS.into_iter().find(|step| run["metadata"]["name"] == *step).expect("it is one of ours");
            match asked.get(step) {
                None if is_at(&run, step) => {
                    installation.change("testruns", step, &json!({"spec": {"cancel": true}})).expect("it is taken");
                    asked.insert(step, Instant::now());
                }
                Some(asked) if is_finished(&run) => {
                    took.entry(step).or_insert(asked.elapsed());
                }
                _ => {}
            }
        }
        let limit = RUN_WITHIN;
        assert!(started.elapsed() < limit, "asked {asked:?}, ended {took:?}\n{}", installation.daemon.log());
        wait_a_moment();
    }
    println!("clean after {took:?}");
    for step in STEPS {
        let run = installation.get("testruns", step).expect("ccd answers").expect("the run is there");
        // The last step of a run can be over before anybody has seen it begin: then the run has its verdict already.
        let may_be_over = step == "screenshot";
        if !may_be_over || run["status"]["phase"] != "Succeeded" {
            assert_eq!(run["status"]["phase"], "Cancelled", "{step}: {:#}", run["status"]);
            assert_eq!(reason_of(&run, "Succeeded"), "Cancelled", "{step}");
        }
        assert!(took[step] < CLEAN_WITHIN, "{step} was clean after {:?}: {:#}", took[step], run["status"]);
        expect_clean(&run);
    }
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}

#[test]
fn an_engine_that_restarts_in_the_middle_of_a_run_changes_no_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 1).expect("the installation starts");
    let before = inventory();
    let objects = [recipe("restarted", folder.path(), sound), run("restarted", "restarted", &json!({}))];
    installation.apply(&objects).expect("they are accepted");
    for (step, accident) in [("upgrade-deploy", engine::restart as fn()), ("backup-take", engine::kill_and_start)] {
        let reached = |run: &Value| begun(run).contains(step) || is_finished(run);
        installation.wait("testruns", "restarted", RUN_WITHIN, reached).expect("it gets so far");
        accident();
    }
    let run = installation.wait("testruns", "restarted", RUN_WITHIN, is_finished).expect("it ends");
    match run["status"]["phase"].as_str() {
        Some("Succeeded") => assert_eq!(run["status"]["level"], 5, "{:#}", run["status"]),
        // What was lost with the engine is nobody's fault; it must be said, and never be green or the recipe's.
        Some("Error") => {
            let rungs = run["status"]["rungs"].as_array().cloned().unwrap_or_default();
            assert!(rungs.iter().all(|rung| rung["status"] != "Fail"), "{:#}", run["status"]);
            assert!(!reason_of(&run, "Succeeded").is_empty(), "{:#}", run["status"]);
        }
        _ => panic!("the recipe is blamed for the engine: {:#}\n{}", run["status"], installation.daemon.log()),
    }
    expect_clean(&run);
    assert_eq!(inventory(), before, "the engine has what it had before the run");
    // The failures of the restart are history for what runs all the time as well.
    installation.wait_for("apps", "traefik", "Ready").expect("the proxy serves again");
    installation.remove().expect("the apps go");
}

#[test]
fn four_runs_of_two_recipes_take_turns_and_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 2).expect("the installation starts");
    let before = engine::inventory();
    // All come while the host is suspended, so that their order is the queue's choice.
    installation.change("hosts", "local", &json!({"spec": {"suspend": true}})).expect("it is taken");
    let recipes = ["left", "right"].map(|name| recipe(name, folder.path(), sound));
    installation.apply(&recipes).expect("they are accepted");
    let stages = json!({"stages": ["install", "functional"]});
    let older = json!({"stages": ["install", "functional"], "source": {"version": BASE}});
    let runs = [
        run("left-1", "left", &stages),
        run("left-2", "left", &older),
        run("right-1", "right", &stages),
        run("right-2", "right", &older),
    ];
    for run in runs {
        installation.apply(&[run]).expect("it is accepted");
    }
    let is_queued =
        |run: &Value| run["status"]["queue"]["reason"].as_str().is_some_and(|why| why.contains("suspended"));
    for name in ["left-1", "left-2", "right-1", "right-2"] {
        installation.wait("testruns", name, QUEUED_WITHIN, is_queued).expect("it waits and says why");
    }
    installation.change("hosts", "local", &json!({"spec": {"suspend": false}})).expect("it is taken");

    let started = Instant::now();
    let mut places = BTreeMap::new();
    let finished = loop {
        let runs = installation.list("testruns").expect("ccd answers");
        let running = runs.iter().filter(|run| run["status"]["phase"] == "Running").count();
        assert!(running <= 2, "{running} runs at once");
        for run in &runs {
            let (name, queue) = (run["metadata"]["name"].to_string(), &run["status"]["queue"]);
            if queue["reason"].as_str().is_some_and(|why| !why.contains("suspended")) {
                places.entry(name).or_insert_with(|| queue.clone());
            }
        }
        if runs.iter().all(is_finished) {
            break runs;
        }
        assert!(started.elapsed() < RUN_WITHIN, "{runs:#?}\n{}", installation.daemon.log());
        wait_a_moment();
    };
    for run in &finished {
        assert_eq!(run["status"]["phase"], "Succeeded", "{:#}", run["status"]);
        expect_clean(run);
    }
    let waited: Vec<&String> = places.keys().collect();
    assert_eq!(waited, ["\"left-2\"", "\"right-2\""], "the second ones say what they wait for: {places:?}");
    let domains: BTreeSet<&str> = finished.iter().filter_map(|run| run["status"]["domain"].as_str()).collect();
    assert_eq!(domains.len(), 4, "each has a domain of its own");
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}
