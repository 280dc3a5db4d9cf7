//! The Docker engine that `.ci/with-engine` gives to tests.

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
