//! What runs and is well costs next to nothing, and what happens to it is seen all the same: the engine says when to look.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::{Installation, status_of};
use tests::recipes::SLEEPER;

use crate::small;

const APPS: usize = 20;
const WINDOW: Duration = Duration::from_secs(30);
/// Two a second.
const CALLS_MAX: u64 = 60;
const WITHIN: Duration = Duration::from_mins(8);
/// Apps whose service is removed behind their back.
const HARMED: usize = 6;
/// Longest until that is seen, and put right. Who asked often enough to see it without being told would ask the engine
/// more than twice a second; who asks as seldom as that allows would see all of them in time by chance once in thousands.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Returns the names of the engine's services that are not about to go.
fn services() -> String {
    engine::docker(&["service", "ls", "--format={{.Name}}"])
}

#[test]
fn twenty_apps_that_run_cost_less_than_two_requests_a_second_and_are_looked_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let before = engine::inventory();
    let repository = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", small::recipe(SLEEPER))]);
    let names: Vec<String> = (0..APPS).map(|number| format!("idle-{number}")).collect();
    let app = |name: &String| small::app(name, &repository.url(), &format!("{name}.ci.test"), &json!({}));
    let apps: Vec<Value> = names.iter().map(app).collect();
    installation.apply(&apps).expect("they are accepted");
    let ready = |app: &Value| status_of(app, "Ready") == "True";
    for name in &names {
        installation.wait("apps", name, WITHIN, ready).expect("it is ready");
    }
    let calls = || installation.engine_calls().expect("it says");
    // The echoes of the last events fade first.
    let (mut last, mut since) = (calls(), Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        let now = calls();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        wait_a_moment();
    }
    let (first, started) = (calls(), Instant::now());
    while started.elapsed() < WINDOW {
        wait_a_moment();
    }
    let made = calls() - first;
    assert!(made < CALLS_MAX, "{made} requests in {WINDOW:?}\n{}", installation.daemon.log());

    let harmed: Vec<String> = (0..HARMED).map(|number| format!("idle-{number}_ci_test_app")).collect();
    let gone: Vec<&str> = ["service", "rm"].into_iter().chain(harmed.iter().map(String::as_str)).collect();
    let _ = engine::docker(&gone);
    let started = Instant::now();
    loop {
        let there = services();
        let missing: Vec<&String> = harmed.iter().filter(|name| !there.lines().any(|line| line == **name)).collect();
        if missing.is_empty() {
            break;
        }
        let log = || installation.daemon.log();
        assert!(started.elapsed() < SEEN_WITHIN, "nobody saw that {missing:?} are gone\n{}", log());
        wait_a_moment();
    }
    installation.remove().expect("they go");
    assert_eq!(engine::inventory(), before, "the engine has what it had before");
}
