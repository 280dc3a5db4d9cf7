//! From objects to the queue.

use api_types::kind::Kind as _;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::TestRun;
use serde_json::json;

use super::*;
use crate::kinds::test_run::queue::Place;

fn stored(resource: &str, value: Value) -> Arc<StoredObject> {
    Arc::new(StoredObject::new(resource, value).unwrap())
}

fn run(name: &str, status: Value) -> Arc<StoredObject> {
    stored(
        &TestRun::resource(),
        json!({"apiVersion": TestRun::api_version(), "kind": "TestRun",
            "metadata": {"name": name, "namespace": "default", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"recipeRef": "wordpress"}, "status": status}),
    )
}

fn scheduled(deployed: bool) -> Value {
    let word = if deployed { "True" } else { "False" };
    json!({"phase": "Running", "domain": "busy", "startedAt": "2026-01-01T00:00:00Z", "conditions": [
        {"type": "Scheduled", "status": "True"}, {"type": "Deployed", "status": word}]})
}

fn material(runs: Vec<Arc<StoredObject>>, host: Value) -> Material {
    let recipe = json!({"apiVersion": Recipe::api_version(), "kind": "Recipe",
        "metadata": {"name": "wordpress", "namespace": "default"},
        "spec": {"source": {"url": "https://example.com/r.git"}, "requires": {"memory": "1Gi", "disk": "2Gi"}}});
    let mut value = json!({"apiVersion": Host::api_version(), "kind": "Host", "metadata": {"name": "here"}});
    value["spec"] = host["spec"].clone();
    value["status"] = host["status"].clone();
    Material {
        runs,
        recipes: vec![stored(&Recipe::resource(), recipe)],
        hosts: vec![stored(&Host::resource(), value)],
        apps: Vec::new(),
        reserved: HashSet::new(),
        pulls_paused_until: None,
    }
}

fn host(conditions: Value) -> Value {
    let gibibytes = |count: i64| count << 30;
    json!({
        "spec": {"capacity": {"runs": 3}, "floors": {"diskBytes": "1Gi", "diskPercent": 10, "memory": "1Gi"}},
        "status": {"conditions": conditions, "memory": {"totalBytes": gibibytes(8), "availableBytes": gibibytes(4)},
            "disk": {"path": "/", "totalBytes": gibibytes(100), "freeBytes": gibibytes(15)}},
    })
}

fn active() -> Value {
    json!([{"type": "SwarmActive", "status": "True", "reason": "SwarmActive", "message": ""}])
}

#[test]
fn floors_are_taken_off_and_what_is_not_deployed_yet_is_set_aside() {
    let cases = [(Value::Null, 3), (scheduled(false), 2), (scheduled(true), 3)];
    for (status, gibibytes) in cases {
        let runs = if status.is_null() { Vec::new() } else { vec![run("busy", status)] };
        let room = material(runs, host(active())).queue("default/x", None).room;
        assert_eq!(room.memory_bytes_free, Some(gibibytes << 30));
        assert_eq!(room.disk_bytes_free, Some(5 << 30), "ten percent of a hundred are more than one");
    }
}

#[test]
fn who_waits_and_who_goes_on() {
    let refused = json!({"phase": "Pending", "conditions": [{"type": "Approved", "status": "False"}]});
    let runs = vec![
        run("new", Value::Null),
        run("queued", json!({"phase": "Queued", "domain": "d"})),
        run("refused", refused),
        run("done", json!({"phase": "Failed", "startedAt": "2026-01-01T00:00:09Z"})),
        run("going", scheduled(true)),
        run("reserved", json!({"phase": "Queued", "domain": "e"})),
    ];
    let mut material = material(runs, host(active()));
    material.reserved.insert("reserved".to_owned());
    let queue = material.queue("default/new", Some("mine"));
    let names = |keys: Vec<&String>| keys.into_iter().map(|key| key.replace("default/", "")).collect::<Vec<_>>();
    assert_eq!(names(queue.waiting.iter().map(|run| &run.key).collect()), ["new", "queued"]);
    assert_eq!(names(queue.active.iter().map(|run| &run.key).collect()), ["going", "reserved"]);
    assert_eq!(queue.last_begun["default/wordpress"], "2026-01-01T00:00:09Z");
    assert_eq!(queue.waiting[0].domain, "mine");
}

#[test]
fn a_host_that_takes_no_work_says_why() {
    let false_ =
        |type_: &str| json!([active()[0], {"type": type_, "status": "False", "reason": "X", "message": "It says so."}]);
    let cases = [
        (json!([]), reason::HOST_NOT_READY),
        (false_("NetworksReady"), reason::HOST_NOT_READY),
        (false_("InodesOk"), reason::BELOW_FLOOR),
    ];
    for (conditions, expected) in cases {
        let queue = material(vec![run("a", Value::Null)], host(conditions)).queue("default/a", None);
        let Place::Wait { reason, .. } = queue.place("default/a", Timestamp::UNIX_EPOCH) else { panic!("it waits") };
        assert_eq!(reason, expected);
    }
    let mut suspended = host(active());
    suspended["spec"]["suspend"] = json!(true);
    let queue = material(vec![run("a", Value::Null)], suspended).queue("default/a", None);
    assert!(matches!(queue.place("default/a", Timestamp::UNIX_EPOCH), Place::Wait { reason: reason::SUSPENDED, .. }));
}
