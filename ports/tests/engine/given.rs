//! What `.ci/with-engine` gives a test.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// Returns the address of the engine that the test may spoil.
///
/// # Panics
/// When there is none: a test that needs an engine is never skipped.
pub(crate) fn engine_address() -> String {
    given("CC_TEST_ENGINE")
}

/// Returns the name of an image that the engine and its registry have.
pub(crate) fn image() -> String {
    given("CC_TEST_IMAGE")
}

/// Returns `host:port` of the registry.
pub(crate) fn registry() -> String {
    given("CC_TEST_REGISTRY")
}

#[expect(clippy::disallowed_methods, reason = "what .ci/with-engine made is told through the environment")]
fn given(variable: &str) -> String {
    let value = std::env::var(variable).unwrap_or_default();
    let command = ".ci/with-engine cargo nextest run -p ports --test engine";
    assert!(!value.is_empty(), "{variable} is not set: run this through `{command}`");
    value
}

#[test]
fn the_engine_answers() {
    let address = engine_address();
    let path = address.strip_prefix("unix://").expect("a Unix socket");
    let mut socket = UnixStream::connect(path).expect("the engine listens");
    socket.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("OK"), "{answer}");
}
