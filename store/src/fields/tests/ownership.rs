//! Who owns what after writes that are not applies.

use serde_json::{Value, json};

use super::{entries, owned, recipe, recipe_schema, writer};
use crate::fields::track_update;

const NOW: &str = "2026-11-21T10:00:00Z";
const LATER: &str = "2026-11-21T11:00:00Z";

fn created(spec: Value) -> Value {
    let schema = recipe_schema();
    let mut object = recipe(spec);
    track_update(&writer(&schema, "creator", "", NOW), None, &mut object);
    object
}

fn updated(live: &Value, manager: &str, change: impl FnOnce(&mut Value)) -> Value {
    let schema = recipe_schema();
    let mut new = live.clone();
    change(&mut new);
    track_update(&writer(&schema, manager, "", LATER), Some(live), &mut new);
    new
}

#[test]
fn changes_move_fields_between_owners() {
    let live = created(json!({"version": "1", "tags": ["a"], "uniq": ["x"], "env": {"A": "1"}, "any": {"k": 1}}));
    let all = json!({".": {}, "f:any": {".": {}, "f:k": {}}, "f:env": {".": {}, "f:A": {}}, "f:tags": {},
        "f:uniq": {".": {}, "v:\"x\"": {}}, "f:version": {}});
    assert_eq!(owned(&live, "creator")["f:spec"], all);
    type Change = fn(&mut Value);
    let cases: [(&str, Change, Value, Value); 7] = [
        (
            "a modified leaf moves",
            |new| new["spec"]["version"] = json!("2"),
            json!({"f:version": {}}),
            json!({"f:version": null}),
        ),
        ("an added leaf is new", |new| new["spec"]["mode"] = json!("a"), json!({"f:mode": {}}), json!({})),
        (
            "an atomic list moves as a whole",
            |new| new["spec"]["tags"] = json!(["a", "b"]),
            json!({"f:tags": {}}),
            json!({"f:tags": null}),
        ),
        (
            "a set item is new",
            |new| new["spec"]["uniq"] = json!(["x", "y"]),
            json!({"f:uniq": {"v:\"y\"": {}}}),
            json!({}),
        ),
        ("a removed leaf belongs to nobody", |new| new["spec"]["env"] = json!({}), Value::Null, json!({"f:env": {}})),
        (
            "a free leaf that becomes a map moves with what is in it",
            |new| new["spec"]["any"]["k"] = json!({"d": 1}),
            json!({"f:any": {"f:k": {".": {}, "f:d": {}}}}),
            json!({"f:any": {}}),
        ),
        ("one and one point nought are the same", |new| new["spec"]["any"]["k"] = json!(1.0), Value::Null, json!({})),
    ];
    for (name, change, gained, lost) in cases {
        let new = updated(&live, "editor", change);
        assert_eq!(owned(&new, "editor")["f:spec"], gained, "{name}");
        let mut rest = all.clone();
        for (key, left) in lost.as_object().unwrap() {
            match left {
                Value::Null => drop(rest.as_object_mut().unwrap().remove(key)),
                left => rest[key] = left.clone(),
            }
        }
        assert_eq!(owned(&new, "creator")["f:spec"], rest, "{name}");
    }
}

#[test]
fn a_time_moves_when_its_owner_adds_or_modifies_and_only_then() {
    let live = created(json!({"version": "1", "env": {"A": "1"}}));
    let time = |object: &Value| entries(object)[0]["time"].clone();
    let modified = updated(&live, "creator", |new| new["spec"]["version"] = json!("2"));
    assert_eq!(time(&modified), LATER);
    let removed = updated(&live, "creator", |new| drop(new["spec"].as_object_mut().unwrap().remove("env")));
    assert_eq!(time(&removed), NOW);
    let untouched = updated(&live, "creator", |_| {});
    assert_eq!(untouched, live);
}

#[test]
fn clients_may_replace_or_empty_the_list_but_not_spoil_it() {
    let live = created(json!({"version": "1"}));
    let sent = json!({"manager": "x", "operation": "Apply", "apiVersion": "g/v1", "fieldsType": "FieldsV1",
        "time": "2026-11-21T12:00:00+02:00", "bogus": 1,
        "fieldsV1": {"f:spec": {"f:ports": {"k:{ \"name\" : \"web\" }": {".": {}}}}}});
    let stored = json!([{"manager": "x", "operation": "Apply", "apiVersion": "g/v1", "fieldsType": "FieldsV1",
        "time": "2026-11-21T10:00:00Z", "fieldsV1": {"f:spec": {"f:ports": {"k:{\"name\":\"web\"}": {}}}}}]);
    let with = |name: &str, value: Value| {
        let mut entry = sent.clone();
        entry[name] = value;
        json!([entry])
    };
    let kept = live["metadata"]["managedFields"].clone();
    let cases = [
        ("a well-formed list counts, in our spelling", json!([sent]), stored),
        ("an empty list empties", json!([]), Value::Null),
        ("an empty entry empties", json!([{}]), Value::Null),
        ("an entry that says nothing empties", json!([{"manager": "", "time": null}]), Value::Null),
        ("null keeps", Value::Null, kept.clone()),
        ("no list keeps", json!("x"), kept.clone()),
        ("an entry that is no object keeps", json!([1]), kept.clone()),
        ("an unknown operation keeps", with("operation", json!("Zork")), kept.clone()),
        ("no version keeps", with("apiVersion", json!("")), kept.clone()),
        ("another encoding keeps", with("fieldsType", json!("FieldsV2")), kept.clone()),
        ("a number for a manager keeps", with("manager", json!(1)), kept.clone()),
        ("a bad time keeps", with("time", json!("yesterday")), kept.clone()),
        ("fields that are no object keep", with("fieldsV1", json!([])), kept.clone()),
        ("an unknown path element keeps", with("fieldsV1", json!({"x:y": {}})), kept.clone()),
        ("a bad key keeps", with("fieldsV1", json!({"k:[1]": {}})), kept.clone()),
        ("a bad leaf keeps", with("fieldsV1", json!({"f:a": 1})), kept),
    ];
    for (name, value, expected) in cases {
        let new = updated(&live, "editor", |new| new["metadata"]["managedFields"] = value);
        assert_eq!(new["metadata"].get("managedFields").cloned().unwrap_or_default(), expected, "{name}");
    }
}

#[test]
fn the_list_cannot_be_changed_through_a_subresource() {
    let schema = recipe_schema();
    let live = created(json!({"version": "1"}));
    let mut new = live.clone();
    new["metadata"]["managedFields"] = json!([]);
    track_update(&writer(&schema, "editor", "status", LATER), Some(&live), &mut new);
    assert_eq!(new, live);
}

#[test]
fn the_oldest_of_more_than_ten_updaters_become_one() {
    let schema = recipe_schema();
    let mut live = created(json!({"version": "1"}));
    for index in 0..12 {
        let now = format!("2026-11-21T12:00:{index:02}Z");
        let manager = format!("m{index:02}");
        let mut new = live.clone();
        new["spec"]["env"][format!("K{index:02}")] = json!("1");
        track_update(&writer(&schema, &manager, "", &now), Some(&live), &mut new);
        live = new;
    }
    let managers: Vec<&str> = entries(&live).iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
    let expected = ["ancient-changes", "m03", "m04", "m05", "m06", "m07", "m08", "m09", "m10", "m11"];
    assert_eq!(managers, expected);
    assert_eq!(
        owned(&live, "ancient-changes"),
        json!({"f:spec": {".": {}, "f:env": {".": {}, "f:K00": {}, "f:K01": {}, "f:K02": {}}, "f:version": {}}})
    );
    assert_eq!(entries(&live)[0]["time"], "2026-11-21T12:00:02Z", "the newest of the united ones");
}

#[test]
fn a_new_object_ignores_the_list_that_came_with_it() {
    let schema = recipe_schema();
    let mut object = recipe(json!({"version": "1"}));
    object["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    track_update(&writer(&schema, "creator", "", NOW), None, &mut object);
    assert_eq!(object, created(json!({"version": "1"})));
}
