//! Canaries: a good recipe reaches level 5, and each recipe that is broken on purpose is red at exactly its rung, with
//! the earlier ones green and its own reason. All run at once on one installation, four at a time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, ZONE};
use tests::recipes::{RecipeRepository, Tree, replace, version};

/// Longest that all of them together may take.
const ALL_WITHIN: Duration = Duration::from_mins(12);
const BASE: &str = "1.0.0+1.0.0";
const HEAD: &str = "1.1.0+1.1.0";
const OLDER: &str = "0.9.0+1.0.0";

/// The result that a rung must have: its status and, if one is named, its reason.
type Expected = (&'static str, &'static str, &'static str);

/// One recipe, and what must come of a run of its newest commit.
struct Canary {
    name: &'static str,
    /// What is broken in the version to upgrade from; `None` when there is no such version.
    base: Option<fn(&mut Tree)>,
    /// The same of an even older version.
    older: Option<fn(&mut Tree)>,
    /// What is broken in the newest commit.
    head: fn(&mut Tree),
    /// What its Recipe says besides.
    recipe: fn() -> Value,
    /// What its TestRun says besides.
    run: fn() -> Value,
    phase: &'static str,
    level: u64,
    rungs: &'static [Expected],
}

fn sound(_: &mut Tree) {}

fn nothing() -> Value {
    json!({})
}

const SOUND: Canary = Canary {
    name: "",
    base: Some(sound),
    older: None,
    head: sound,
    recipe: nothing,
    run: nothing,
    phase: "Failed",
    level: 1,
    rungs: &[],
};

/// Replaces how the app of the newest version is started.
fn start_with(tree: &mut Tree, command: &str) {
    let image = "    image: 127.0.0.1:5000/guestbook:1.1.0\n";
    replace(tree, "compose.yml", image, &format!("{image}    command: {command}\n"));
}

fn update_config(tree: &mut Tree, to: &str) {
    replace(tree, "compose.yml", "        failure_action: rollback\n        order: start-first\n", to);
}

const CRASH: &str = r#"["sh", "-c", "echo 'no database configured' >&2; exit 3"]"#;

fn canaries() -> Vec<Canary> {
    [installs(), upgrades(), higher_rungs()].into_iter().flatten().collect()
}

/// Those that show at once whether they can be installed.
fn installs() -> Vec<Canary> {
    vec![
        Canary {
            name: "good",
            phase: "Succeeded",
            level: 5,
            rungs: &[
                ("install", "Pass", ""),
                ("upgrade", "Pass", ""),
                ("backup-restore", "Pass", ""),
                ("functional", "Pass", ""),
                ("lint", "Pass", ""),
            ],
            ..SOUND
        },
        Canary {
            name: "crashes",
            base: None,
            head: |tree| start_with(tree, CRASH),
            level: 0,
            rungs: &[("install", "Fail", "CrashLoop")],
            ..SOUND
        },
        Canary {
            name: "boots-slowly",
            base: None,
            head: |tree| {
                start_with(tree, r#"["sh", "-c", "sleep 25; exec /bin/guestbook"]"#);
                replace(tree, "compose.yml", "start_period: 1s", "start_period: 60s");
            },
            phase: "Succeeded",
            level: 5,
            rungs: &[("install", "Pass", ""), ("upgrade", "Skip", "NoOlderVersion")],
            ..SOUND
        },
        Canary {
            name: "misses-its-image",
            base: None,
            head: |tree| replace(tree, "compose.yml", "guestbook:1.1.0", "guestbook:9.9.9"),
            level: 0,
            rungs: &[("install", "Fail", "ImageNotFound")],
            ..SOUND
        },
        Canary {
            name: "fits-no-node",
            base: None,
            head: |tree| {
                let deploy = "    deploy:\n";
                let constraint = "    deploy:\n      placement:\n        constraints: [node.labels.nowhere == true]\n";
                replace(tree, "compose.yml", deploy, constraint);
            },
            level: 0,
            rungs: &[("install", "Fail", "Unschedulable")],
            ..SOUND
        },
        Canary {
            name: "is-unhealthy",
            base: None,
            head: |tree| {
                let test = r#"["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]"#;
                replace(tree, "compose.yml", test, r#"["CMD", "false"]"#);
            },
            level: 0,
            rungs: &[("install", "Fail", "Unhealthy")],
            ..SOUND
        },
    ]
}

/// Those that are installed, and then fail to become the newest version.
fn upgrades() -> Vec<Canary> {
    vec![
        Canary {
            name: "loses-data",
            head: |tree| replace(tree, "compose.yml", "entries:/data", "entries:/elsewhere"),
            rungs: &[("install", "Pass", ""), ("upgrade", "Fail", "DataLost")],
            ..SOUND
        },
        Canary {
            name: "rolls-back",
            head: |tree| start_with(tree, CRASH),
            rungs: &[("install", "Pass", ""), ("upgrade", "Fail", "RolledBack")],
            ..SOUND
        },
        Canary {
            name: "pauses",
            head: |tree| {
                start_with(tree, CRASH);
                update_config(tree, "        failure_action: pause\n        order: start-first\n");
            },
            rungs: &[("install", "Pass", ""), ("upgrade", "Fail", "Paused")],
            ..SOUND
        },
        Canary {
            name: "holds-its-port",
            base: Some(|tree| host_port(tree, 26_181)),
            head: |tree| host_port(tree, 26_181),
            rungs: &[("install", "Pass", ""), ("upgrade", "Fail", "Unschedulable")],
            ..SOUND
        },
        Canary {
            name: "upgrades-nothing",
            run: || json!({"baseVersion": HEAD, "source": {"version": HEAD}}),
            rungs: &[("upgrade", "Fail", "NothingUpgraded")],
            level: 1,
            ..SOUND
        },
        Canary {
            name: "upgrades-from-all",
            older: Some(sound),
            run: || json!({"baseVersion": "all", "stages": ["install", "upgrade"]}),
            phase: "Succeeded",
            level: 2,
            rungs: &[("install", "Pass", ""), ("upgrade", "Pass", "ChecksPassed")],
            ..SOUND
        },
        Canary {
            name: "lost-its-base",
            base: Some(|tree| replace(tree, "compose.yml", "guestbook:1.0.0", "guestbook:0.0.1")),
            phase: "Error",
            rungs: &[("install", "Pass", ""), ("upgrade", "Unverified", "BaseUnavailable")],
            ..SOUND
        },
    ]
}

/// Those that fail only when they are backed up, used or read.
fn higher_rungs() -> Vec<Canary> {
    vec![
        Canary {
            name: "backs-up-nothing",
            head: |tree| {
                replace(tree, "compose.yml", "volumes.entries.path=dump", "volumes.entries.path=nothing");
            },
            level: 2,
            rungs: &[("install", "Pass", ""), ("upgrade", "Pass", ""), ("backup-restore", "Fail", "EmptyBackup")],
            ..SOUND
        },
        Canary {
            name: "restores-nothing",
            head: |tree| replace(tree, "compose.yml", "backupbot.restore.post-hook=/backup.sh restore", "no=hook"),
            level: 2,
            rungs: &[("install", "Pass", ""), ("upgrade", "Pass", ""), ("backup-restore", "Fail", "DataLost")],
            ..SOUND
        },
        Canary {
            name: "does-not-work",
            head: |tree| replace(tree, "index.html.tmpl", "Guestbook 1.1.0", "Guestbook 9"),
            level: 3,
            rungs: &[
                ("install", "Pass", ""),
                ("upgrade", "Pass", ""),
                ("backup-restore", "Pass", ""),
                ("functional", "Fail", "ChecksFailed"),
            ],
            ..SOUND
        },
        Canary {
            name: "tests-nothing",
            recipe: || json!({"tests": data_tests()}),
            phase: "Failed",
            level: 3,
            rungs: &[("backup-restore", "Pass", ""), ("functional", "Unverified", "NoChecks"), ("lint", "Pass", "")],
            ..SOUND
        },
        Canary {
            name: "lints-badly",
            head: |tree| {
                replace(tree, "abra.sh", "export BACKUP_VERSION=v1\n", "");
                replace(tree, "compose.yml", "${BACKUP_VERSION}", "${BACKUP_VERSION:-v1}");
            },
            level: 4,
            rungs: &[("functional", "Pass", ""), ("lint", "Fail", "LintFailed")],
            ..SOUND
        },
    ]
}

/// Publishes a port of the host by an app whose update starts the new task first: it can never have the port.
fn host_port(tree: &mut Tree, port: u16) {
    let networks = "    networks:\n      - proxy\n    environment:";
    let ports = format!(
        "    networks:\n      - proxy\n    ports:\n      - {{target: 8080, published: {port}, mode: host}}\n    environment:"
    );
    replace(tree, "compose.yml", networks, &ports);
}

/// The tests that look for data after an upgrade and a restore.
fn data_tests() -> Value {
    let entries = json!({"path": "/cgi-bin/entries"});
    json!([
        {
            "name": "entries-survive", "stage": "upgrade", "http": entries,
            "seed": {"http": {"method": "POST", "path": "/cgi-bin/entries", "body": "before the upgrade\n"}},
            "expect": {"contains": ["before the upgrade"], "within": "10s"},
        },
        {
            "name": "entries-come-back", "stage": "backup-restore", "http": entries,
            "seed": {"exec": {"service": "app", "command": ["sh", "-c", "echo 'before the backup' >>/data/entries"]}},
            "destroy": {"exec": {"service": "app", "command": ["sh", "-c", "rm -rf /data/dump; : >/data/entries"]}},
            "expect": {"contains": ["before the backup"], "within": "10s"},
        },
    ])
}

/// Returns the tests with which the bundled guestbook reaches level 5.
pub(crate) fn tests() -> Value {
    let mut tests = data_tests();
    tests.as_array_mut().expect("they are a list").push(json!({
        "name": "shows-its-version", "stage": "functional", "http": {"path": "/"},
        "expect": {"contains": ["Guestbook 1."]},
    }));
    tests
}

/// Lays `changes` over `value`, member by member.
fn lay_over(value: &mut Value, changes: &Value) {
    match (value, changes) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                lay_over(members.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (value, changes) => *value = changes.clone(),
    }
}

/// Makes the canary's repository and returns its Recipe and TestRun.
fn objects(canary: &Canary, folder: &std::path::Path) -> [Value; 2] {
    let mut repository = RecipeRepository::new(&folder.join(canary.name)).expect("git works");
    if let Some(edit) = canary.older {
        let mut tree = version("guestbook", BASE).expect("the bundled recipe is there");
        replace(&mut tree, "compose.yml", BASE, OLDER);
        edit(&mut tree);
        repository.commit(&tree, "chore: publish an older version").expect("git works");
        repository.publish(OLDER).expect("git works");
    }
    if let Some(edit) = canary.base {
        let mut tree = version("guestbook", BASE).expect("the bundled recipe is there");
        edit(&mut tree);
        repository.commit(&tree, "chore: publish the base").expect("git works");
        repository.publish(BASE).expect("git works");
    }
    let mut tree = version("guestbook", HEAD).expect("the bundled recipe is there");
    (canary.head)(&mut tree);
    let commit = repository.commit(&tree, "feat: what is tested").expect("git works");
    repository.publish(HEAD).expect("git works");
    let api = "ci.coopcloud.tech/v1alpha1";
    let mut recipe = json!({
        "apiVersion": api, "kind": "Recipe", "metadata": {"name": canary.name},
        "spec": {
            "source": {"url": repository.url()}, "zone": ZONE, "deployer": "Swarm",
            "env": {"LETS_ENCRYPT_ENV": "", "TITLE": "Canary"},
            "timeouts": {"pull": "1m", "converge": "3m", "http": "1m", "run": "10m"},
            "tests": tests(),
        },
    });
    lay_over(&mut recipe["spec"], &(canary.recipe)());
    let mut run = json!({
        "apiVersion": api, "kind": "TestRun", "metadata": {"name": canary.name},
        "spec": {"recipeRef": canary.name},
    });
    let more = (canary.run)();
    if more["source"].is_null() {
        run["spec"]["source"] = json!({"commit": commit});
    }
    lay_over(&mut run["spec"], &more);
    [recipe, run]
}

/// Says in which way a finished run is not as expected.
fn differences(canary: &Canary, run: &Value) -> Vec<String> {
    let status = &run["status"];
    let mut found = Vec::new();
    let mut compare = |what: &str, is: &Value, should: Value| {
        if *is != should {
            found.push(format!("{}: {what} is {is}, not {should}", canary.name));
        }
    };
    compare("the phase", &status["phase"], json!(canary.phase));
    compare("the level", &status["level"], json!(canary.level));
    compare("what remains", &status["cleanup"]["remaining"], Value::Null);
    if canary.older.is_some() {
        let upgrades = status["upgrades"].as_array().into_iter().flatten();
        let told: Vec<String> =
            upgrades.map(|upgrade| format!("{} {}", upgrade["version"], upgrade["status"])).collect();
        compare(
            "what was upgraded from",
            &json!(told),
            json!([format!("{OLDER:?} \"Pass\""), format!("{BASE:?} \"Pass\"")]),
        );
    }
    for (name, wanted, reason) in canary.rungs {
        let rungs = status["rungs"].as_array();
        let rung = rungs.into_iter().flatten().find(|rung| rung["name"] == *name).cloned().unwrap_or_default();
        compare(&format!("the rung {name} ({})", rung["message"]), &rung["status"], json!(wanted));
        if !reason.is_empty() {
            compare(&format!("the reason of {name} ({})", rung["message"]), &rung["reason"], json!(reason));
        }
    }
    found
}

fn is_finished(run: &Value) -> bool {
    matches!(run["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"))
}

/// Reads what the good run wrote with `kubectl logs`: all of it, followed to its end, by stage, and from its end.
fn kubectl_prints_logs(installation: &Installation, runs: &[Value]) {
    let kubectl = |line: &str| {
        installation.kubectl(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"))
    };
    let run = runs.iter().find(|run| run["metadata"]["name"] == "good").expect("there is a good run");
    let pod = kubectl("get pod good");
    assert!(pod.contains("Succeeded") || pod.contains("Completed"), "{pod}");
    let whole = kubectl("logs good");
    assert_eq!(kubectl("logs good -f --since=2h"), whole, "a finished log has an end");
    let last = whole.lines().next_back().expect("a run writes something");
    assert_eq!(kubectl("logs good --tail=1").trim_end(), last);
    let stages: Vec<&str> =
        run["status"]["logs"].as_array().into_iter().flatten().filter_map(|log| log["name"].as_str()).collect();
    assert!(stages.contains(&"install") && stages.contains(&"upgrade"), "{stages:?}");
    for stage in stages {
        let mark = format!("[{stage}] ");
        let lines: Vec<&str> = whole.lines().filter_map(|line| line.strip_prefix(&mark)).collect();
        assert_eq!(kubectl(&format!("logs good -c {stage}")).lines().collect::<Vec<_>>(), lines, "{stage}");
    }
}

#[test]
fn each_canary_is_green_or_red_where_it_should_be_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 4).expect("the installation starts");
    let before = engine::inventory();
    let canaries = canaries();
    let objects: Vec<Value> = canaries.iter().flat_map(|canary| objects(canary, folder.path())).collect();
    installation.apply(&objects).expect("the canaries are accepted");

    let started = Instant::now();
    let runs = loop {
        let runs = installation.list("testruns").expect("ccd answers");
        if runs.len() == canaries.len() && runs.iter().all(is_finished) {
            break runs;
        }
        let waiting: Vec<String> = runs
            .iter()
            .filter(|run| !is_finished(run))
            .map(|run| format!("{} {}", run["metadata"]["name"], run["status"]))
            .collect();
        assert!(started.elapsed() < ALL_WITHIN, "not finished: {waiting:#?}\n{}", installation.daemon.log());
        tests::daemon::wait_a_moment();
    };
    let found: Vec<String> = canaries
        .iter()
        .flat_map(|canary| {
            let run = runs.iter().find(|run| run["metadata"]["name"] == canary.name).expect("every canary has a run");
            differences(canary, run)
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    kubectl_prints_logs(&installation, &runs);
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}
