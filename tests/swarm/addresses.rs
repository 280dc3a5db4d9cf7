//! A network of fourteen addresses lasts for any number of apps: each teardown gives every address back.

use std::time::Duration;

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;
use tests::engine::{self, docker};
use tests::installation::Installation;

use crate::small;

const NETWORK: &str = "narrow";
/// Tasks that find an address on a `/28`: the gateway has one.
const ADDRESSES: usize = 13;
const ROUNDS: usize = 5;
const TOGETHER: usize = 4;
const WITHIN: Duration = Duration::from_mins(4);

/// It is on the shared network and on one of its own: that is what loses addresses when it is removed in a wrong order.
const COMPOSE: &str = "\
version: \"3.8\"
services:
  app:
    image: IMAGE
    command: [\"sleep\", \"86400\"]
    init: true
    networks: [narrow, inner]
    deploy: {endpoint_mode: dnsrr}
networks:
  narrow: {external: true}
  inner:
";

/// Waits until the network has room for so many tasks. They need no node: addresses are given before one is looked for.
fn expect_addresses(when: &str) {
    let network = ["--network", NETWORK, "--endpoint-mode", "dnsrr", "--constraint", "node.labels.nowhere==true"];
    let what = ["service", "create", "--detach", "--quiet", "--name", "narrow-fill", "--replicas", "16"];
    let image = engine::image();
    let _ = docker(&[what.as_slice(), &network, &[&image]].concat());
    let states = || docker(&["service", "ps", "narrow-fill", "--format", "{{.CurrentState}}"]);
    let started = std::time::Instant::now();
    let found = loop {
        let states = states();
        let found = states.lines().filter(|state| state.starts_with("Pending")).count();
        if found >= ADDRESSES || started.elapsed() > Duration::from_secs(30) {
            break found;
        }
        wait_a_moment();
    };
    let _ = docker(&["service", "rm", "narrow-fill"]);
    assert_eq!(found, ADDRESSES, "{when}: tasks that found an address");
    while !docker(&["service", "ls", "--quiet", "--filter", "name=narrow-fill"]).is_empty() {
        wait_a_moment();
    }
}

#[test]
fn twenty_apps_come_and_go_on_a_network_of_fourteen_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let create = ["network", "create", "--driver", "overlay", "--attachable", "--subnet", "10.66.0.0/28", NETWORK];
    let _ = docker(&create);
    expect_addresses("before");
    let before = engine::inventory_of(&["cycle-"]);
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let repository = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", small::recipe(COMPOSE))]);
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..TOGETHER).map(|number| format!("cycle-{round}-{number}")).collect();
        let app = |name: &String| small::app(name, &repository.url(), &format!("{name}.ci.test"), &json!({}));
        let apps: Vec<Value> = names.iter().map(app).collect();
        installation.apply(&apps).expect("they are accepted");
        for name in &names {
            installation.wait("apps", name, WITHIN, small::runs).expect("it runs");
        }
        installation.remove().expect("they go");
    }
    assert_eq!(engine::inventory_of(&["cycle-"]), before, "the engine has what it had before");
    expect_addresses("after twenty apps");
    let _ = docker(&["network", "rm", NETWORK]);
}
