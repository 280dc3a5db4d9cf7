//! The Docker engine that `.ci/with-engine` gives to tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Returns the address of an engine that the test may spoil: `unix://…`.
///
/// # Panics
/// When there is none: a test that needs an engine is never skipped.
#[must_use]
pub fn address() -> String {
    given("CC_TEST_ENGINE")
}

/// Returns the name of an image that the engine has: a busybox with one name per applet.
///
/// # Panics
/// When there is no engine.
#[must_use]
pub fn image() -> String {
    given("CC_TEST_IMAGE")
}

/// Returns `host:port` of a registry without passwords that the engine reaches; the images of tests are named after it.
///
/// # Panics
/// When there is no engine.
#[must_use]
pub fn registry() -> String {
    given("CC_TEST_REGISTRY")
}

#[expect(clippy::disallowed_methods, reason = "what .ci/with-engine made is told through the environment")]
fn given(variable: &str) -> String {
    let value = std::env::var(variable).unwrap_or_default();
    let command = ".ci/with-engine cargo nextest run -p tests --test swarm";
    assert!(!value.is_empty(), "{variable} is not set: run this through `{command}`");
    value
}

/// Runs `docker` on the engine and returns what it printed.
///
/// # Panics
/// When it fails: with what it said.
#[must_use]
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").arg("--host").arg(address()).args(arguments).output().expect("docker runs");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names are text")
}

/// Returns everything that the engine has under names that begin like one of `prefixes`: what other tests make at the same
/// time is theirs.
///
/// # Panics
/// When the engine does not answer.
#[must_use]
pub fn inventory_of(prefixes: &[&str]) -> BTreeSet<String> {
    let is_theirs = |item: &String| {
        let name = item.split_once('/').map_or(item.as_str(), |(_, name)| name);
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    inventory().into_iter().filter(is_theirs).collect()
}

/// Returns everything that the engine has and that a run could leave behind, as `kind/name`.
///
/// # Panics
/// When the engine does not answer.
#[must_use]
pub fn inventory() -> BTreeSet<String> {
    const KINDS: [(&str, &[&str]); 6] = [
        ("service", &["service", "ls", "--format={{.Name}}"]),
        ("container", &["ps", "--all", "--format={{.Names}}"]),
        ("volume", &["volume", "ls", "--format={{.Name}}"]),
        ("network", &["network", "ls", "--format={{.Name}}"]),
        ("secret", &["secret", "ls", "--format={{.Name}}"]),
        ("config", &["config", "ls", "--format={{.Name}}"]),
    ];
    let mut found = BTreeSet::new();
    for (kind, arguments) in KINDS {
        let names = docker(arguments);
        found.extend(names.lines().map(|name| format!("{kind}/{name}")));
    }
    found
}

/// Stops the engine and starts it again.
///
/// # Panics
/// When it does not start again.
pub fn restart() {
    daemon("restart");
}

/// Kills the engine as kill -9 does and starts it again; its containers go on meanwhile.
///
/// # Panics
/// When it does not start again.
pub fn kill_and_start() {
    daemon("kill");
    daemon("start");
}

fn daemon(order: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/with-engine");
    let status = Command::new(script).args(["--daemon", order]).status().expect("the script runs");
    assert!(status.success(), "the engine does not {order}: {status}");
}
