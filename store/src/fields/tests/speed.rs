//! How long the bookkeeping of one write takes. Run it by hand, optimised:
//! `cargo test --release -p store fields::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use serde_json::{Value, json};

use super::{recipe, recipe_schema, writer};
use crate::fields::{apply, track_update};

const NOW: &str = "2026-11-21T10:00:00Z";
const ROUNDS: u32 = 20_000;

/// About 1.5 KiB, like the objects of a busy controller.
fn sample() -> Value {
    let env: Value = (0..12).map(|index| (format!("VARIABLE_{index}"), json!("some value of a variable"))).collect();
    let ports: Value = (0..6).map(|index| json!({"name": format!("port-{index}"), "port": 8000 + index})).collect();
    let mut object = recipe(json!({
        "version": "1.2.3", "replicas": 2, "mode": "a", "tags": ["one", "two"], "uniq": ["a", "b", "c"],
        "env": env, "ports": ports, "any": {"deep": {"er": {"still": [1, 2, 3]}}, "flag": true}
    }));
    object["metadata"]["labels"] = json!({"app": "sample", "tier": "test", "example.org/owner": "somebody"});
    let condition = |name: &str| {
        json!({"type": name, "status": "True", "reason": "Good", "message": "all is well",
        "lastTransitionTime": NOW})
    };
    object["status"] = json!({"phase": "Up", "replicas": 2, "conditions": [condition("Ready"), condition("Synced")]});
    object
}

fn measure(name: &str, inputs: Value, mut work: impl FnMut(Value)) {
    // Cloning is not what is measured, so it is done before.
    let inputs: Vec<Value> = (0..ROUNDS).map(|_| inputs.clone()).collect();
    let start = Instant::now();
    inputs.into_iter().for_each(&mut work);
    println!("{name}: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

#[test]
#[ignore = "a measurement, not a check"]
fn the_bookkeeping_of_one_write() {
    let schema = recipe_schema();
    let main = writer(&schema, "creator", "", NOW);
    let status = writer(&schema, "controller", "status", NOW);
    let fresh = sample();
    let mut created = fresh.clone();
    track_update(&main, None, &mut created);
    let mut live = created.clone();
    live["status"]["phase"] = json!("Starting");
    track_update(&status, Some(&created), &mut live);
    println!("object: {} bytes, with owners {} bytes", fresh.to_string().len(), live.to_string().len());

    measure("create", fresh, |mut new| track_update(&main, None, &mut new));
    let mut changed = live.clone();
    changed["spec"]["replicas"] = json!(3);
    measure("update one field", changed, |mut new| track_update(&main, Some(&live), &mut new));
    let mut changed = live.clone();
    changed["status"]["conditions"][0]["status"] = json!("False");
    measure("status update", changed, |mut new| track_update(&status, Some(&live), &mut new));
    measure("update that changes nothing", live.clone(), |mut new| track_update(&main, Some(&live), &mut new));
    let configuration = recipe(sample()["spec"].clone());
    let applier = writer(&schema, "applier", "", NOW);
    let applied = apply(&applier, Some(&live), &configuration, true).unwrap();
    measure("apply that changes nothing", configuration, |wanted| {
        drop(apply(&applier, Some(&applied), &wanted, false).unwrap());
    });
}
