//! What runs and is well costs next to nothing: the engine says when to look.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine;
use tests::installation::Installation;
use tests::recipes::SLEEPER;

use crate::small;

const APPS: usize = 20;
const WINDOW: Duration = Duration::from_secs(30);
/// Two a second.
const CALLS_MAX: u64 = 60;
const WITHIN: Duration = Duration::from_mins(8);

#[test]
fn twenty_apps_that_run_cost_less_than_two_requests_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let before = engine::inventory();
    let repository = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", small::recipe(SLEEPER))]);
    let names: Vec<String> = (0..APPS).map(|number| format!("idle-{number}")).collect();
    let app = |name: &String| small::app(name, &repository.url(), &format!("{name}.ci.test"), &json!({}));
    let apps: Vec<Value> = names.iter().map(app).collect();
    installation.apply(&apps).expect("they are accepted");
    for name in &names {
        let ready = |app: &Value| tests::installation::status_of(app, "Ready") == "True";
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
    installation.remove().expect("they go");
    assert_eq!(engine::inventory(), before, "the engine has what it had before");
}
