//! What the other tests stand on.

use tests::engine;

#[test]
fn the_engine_is_given_and_its_socket_exists() {
    let address = engine::address();
    let path = address.strip_prefix("unix://").expect("a Unix socket");
    assert!(std::path::Path::new(path).exists(), "{path}");
    assert!(engine::image().starts_with("127.0.0.1:"), "{}", engine::image());
}
