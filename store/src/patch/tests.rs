//! Tests of the patches; the replay of recordings in `fields` covers them as well.

use api_types::schema::Schema;
use serde_json::{Value, json};

use super::{json_patch, merge_patch, require_object, strategic_merge_patch};

#[test]
fn a_merge_patch_merges_maps_and_replaces_the_rest() {
    let cases = [
        ("a map merges", json!({"a": {"x": 1}}), json!({"a": {"y": 2}}), json!({"a": {"x": 1, "y": 2}})),
        ("null deletes", json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
        ("null in new content is dropped", json!({}), json!({"a": {"x": null, "y": 1}}), json!({"a": {"y": 1}})),
        ("a list is replaced", json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        ("a map replaces a leaf", json!({"a": 1}), json!({"a": {"x": 1}}), json!({"a": {"x": 1}})),
        ("nothing changes nothing", json!({"a": 1}), json!({}), json!({"a": 1})),
    ];
    for (name, target, patch, expected) in cases {
        assert_eq!(merge_patch(&target, &patch), expected, "{name}");
    }
}

#[test]
fn a_patch_of_an_object_must_be_an_object() {
    let message = "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}";
    assert_eq!(require_object(&json!("x")).unwrap_err().message, message);
    assert_eq!(require_object(&json!("x")).unwrap_err().code, 400);
    assert!(require_object(&json!({})).is_ok());
}

#[test]
fn a_json_patch_does_all_or_nothing() {
    let target = json!({"a": {"b": 1}, "l": [1, 2], "n": null});
    let ok = [
        ("nothing", json!([]), target.clone()),
        ("null is no operations", Value::Null, target.clone()),
        (
            "append",
            json!([{"op": "add", "path": "/l/-", "value": 3}]),
            json!({"a": {"b": 1}, "l": [1, 2, 3], "n": null}),
        ),
        ("test of what is missing", json!([{"op": "test", "path": "/a/x", "value": null}]), target.clone()),
        ("test without a value", json!([{"op": "test", "path": "/a/x"}]), target.clone()),
        ("test of a null", json!([{"op": "test", "path": "/n", "value": null}]), target.clone()),
        ("test of an equal number", json!([{"op": "test", "path": "/a/b", "value": 1.0}]), target.clone()),
        (
            "move",
            json!([{"op": "move", "from": "/a/b", "path": "/c"}]),
            json!({"a": {}, "c": 1, "l": [1, 2], "n": null}),
        ),
    ];
    for (name, patch, expected) in ok {
        assert_eq!(json_patch(&target, &patch).unwrap(), expected, "{name}");
    }
    let refused = [
        ("test of another value", json!([{"op": "test", "path": "/a/b", "value": 2}])),
        ("null test of something", json!([{"op": "test", "path": "/a/b", "value": null}])),
        ("null test below nothing", json!([{"op": "test", "path": "/x/y", "value": null}])),
        ("null test below a leaf", json!([{"op": "test", "path": "/a/b/c", "value": null}])),
        ("remove of nothing", json!([{"op": "remove", "path": "/x"}])),
        ("replace of nothing", json!([{"op": "replace", "path": "/x", "value": 1}])),
        ("add below nothing", json!([{"op": "add", "path": "/x/y", "value": 1}])),
        ("an index beyond the end", json!([{"op": "add", "path": "/l/9", "value": 1}])),
        ("a path without a slash", json!([{"op": "add", "path": "x", "value": 1}])),
        ("no path", json!([{"op": "remove"}])),
        ("an unknown operation", json!([{"op": "zork", "path": "/a"}])),
        ("the second fails", json!([{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/a"}])),
    ];
    for (name, patch) in refused {
        let status = json_patch(&target, &patch).expect_err(name);
        assert_eq!(status.code, 422, "{name}");
        assert_eq!(status.message, "the server rejected our request due to an error in our request", "{name}");
    }
}

#[test]
fn a_json_patch_has_limits() {
    let many: Value = (0..10_001).map(|_| json!({"op": "test", "path": "/a", "value": 1})).collect();
    let status = json_patch(&json!({"a": 1}), &many).unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (413, "The allowed maximum operations in a JSON patch is 10000, got 10001")
    );
    let doubling: Value = (0..64).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"})).collect();
    assert_eq!(json_patch(&json!({"a": [1]}), &doubling).unwrap_err().code, 422, "a list copied into itself");
    let mut deepening = vec![];
    let mut deepest = "/a".to_owned();
    for _ in 0..17 {
        deepening.push(json!({"op": "copy", "from": "/a", "path": format!("{deepest}/a")}));
        deepest = format!("{deepest}{deepest}");
    }
    let status = json_patch(&json!({"a": {}}), &Value::from(deepening)).unwrap_err();
    assert_eq!(status.code, 422, "a map copied below itself doubles its depth each time");
    for (patch, found) in [(json!({}), "object"), (json!("x"), "string"), (json!(1), "number"), (json!(true), "bool")] {
        let message = format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        );
        assert_eq!(json_patch(&json!({}), &patch).unwrap_err().message, message);
    }
    let message = "error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp";
    assert_eq!(json_patch(&json!({}), &json!(["x"])).unwrap_err().message, message);
}

fn schema() -> Schema {
    let named = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "integer"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}});
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    serde_json::from_value(json!({"type": "object", "properties": {
        "secrets": named, "plain": {"type": "array", "items": text}, "data": texts,
        "status": {"type": "object", "properties": {"conditions": {"type": "array", "items": {"type": "object"}}}}
    }}))
    .unwrap()
}

fn all_hold(cases: Vec<(&str, Value, Value, Value)>) {
    for (name, target, patch, expected) in cases {
        assert_eq!(strategic_merge_patch(&target, &patch, &schema()).unwrap(), expected, "{name}");
    }
}

fn two_secrets() -> Value {
    json!({"secrets": [{"name": "a", "value": 1, "tags": ["x"]}, {"name": "b", "value": 2}]})
}

#[test]
fn a_strategic_patch_merges_lists_by_identity() {
    let two = two_secrets();
    let cases: Vec<(&str, Value, Value, Value)> = vec![
        (
            "an item merges",
            two.clone(),
            json!({"secrets": [{"name": "b", "value": 3}]}),
            json!({"secrets": [{"name": "a", "value": 1, "tags": ["x"]}, {"name": "b", "value": 3}]}),
        ),
        (
            "a new item goes to the end, sets merge",
            two.clone(),
            json!({"secrets": [{"name": "c", "value": null}, {"name": "a", "tags": ["y", "x"]}]}),
            json!({"secrets": [{"name": "a", "value": 1, "tags": ["x", "y"]}, {"name": "b", "value": 2}, {"name": "c"}]}),
        ),
        (
            "an item is deleted",
            two.clone(),
            json!({"secrets": [{"name": "a", "$patch": "delete"}]}),
            json!({"secrets": [{"name": "b", "value": 2}]}),
        ),
        (
            "a list is replaced",
            two.clone(),
            json!({"secrets": [{"$patch": "replace"}, {"name": "z"}]}),
            json!({"secrets": [{"name": "z"}]}),
        ),
        ("a list goes with null", two, json!({"secrets": null}), json!({})),
        (
            "a list without identity is replaced",
            json!({"plain": ["a"]}),
            json!({"plain": ["b"]}),
            json!({"plain": ["b"]}),
        ),
    ];
    all_hold(cases);
}

#[test]
fn a_strategic_patch_obeys_directives_and_knows_metadata_and_conditions() {
    let cases: Vec<(&str, Value, Value, Value)> = vec![
        (
            "a map is replaced",
            json!({"data": {"a": "1"}}),
            json!({"data": {"$patch": "replace", "b": "2"}}),
            json!({"data": {"b": "2"}}),
        ),
        ("a map is emptied", json!({"data": {"a": "1"}}), json!({"data": {"$patch": "delete"}}), json!({"data": {}})),
        (
            "merge is the default",
            json!({"data": {"a": "1"}}),
            json!({"data": {"$patch": "merge", "b": "2"}}),
            json!({"data": {"a": "1", "b": "2"}}),
        ),
        (
            "only the named members are retained",
            json!({"data": {"a": "1", "b": "2"}}),
            json!({"data": {"$retainKeys": ["b", "c"], "c": "3"}}),
            json!({"data": {"b": "2", "c": "3"}}),
        ),
        (
            "items leave a list of scalars",
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d"]}}),
            json!({"metadata": {"finalizers": ["a", "c", "d"]}}),
        ),
        (
            "a list is brought into order",
            json!({"metadata": {"finalizers": ["a", "x", "b"]}}),
            json!({"metadata": {"$setElementOrder/finalizers": ["b", "c", "a"], "finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["x", "b", "c", "a"]}}),
        ),
        (
            "items are brought into order",
            two_secrets(),
            json!({"$setElementOrder/secrets": [{"name": "b"}, {"name": "a"}], "secrets": [{"name": "a", "value": 5}]}),
            json!({"secrets": [{"name": "b", "value": 2}, {"name": "a", "value": 5, "tags": ["x"]}]}),
        ),
        (
            "owner references merge by uid",
            json!({"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}]}}),
            json!({"metadata": {"ownerReferences": [{"uid": "1", "name": "b"}, {"uid": "2"}]}}),
            json!({"metadata": {"ownerReferences": [{"uid": "1", "name": "b"}, {"uid": "2"}]}}),
        ),
        (
            "conditions merge by type whatever the schema says",
            json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B"}]}}),
            json!({"status": {"conditions": [{"type": "A", "status": "False"}]}}),
            json!({"status": {"conditions": [{"type": "A", "status": "False"}, {"type": "B"}]}}),
        ),
    ];
    all_hold(cases);
}

#[test]
fn a_malformed_strategic_patch_is_refused_with_the_reason() {
    let cases = [
        (
            json!([]),
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (json!({"data": {"$patch": "zork"}}), 400, "Unknown patch type: \"zork\" in map: {\"$patch\":\"zork\"}"),
        (json!({"data": {"$retainKeys": "a"}}), 400, "invalid patch format of retainKeys"),
        (json!({"data": {"$retainKeys": ["a"], "b": "1"}}), 422, "patch content doesn't match retainKeys list"),
        (
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
            400,
            "invalid patch format of primitive list",
        ),
        (
            json!({"metadata": {"$setElementOrder/finalizers": "a", "finalizers": ["a"]}}),
            400,
            "invalid patch format of setElementOrder list",
        ),
        (
            json!({"status": {"conditions": [{"status": "True"}]}}),
            400,
            "map: {\"status\":\"True\"} does not contain declared merge key: type",
        ),
    ];
    for (patch, code, message) in cases {
        let status = strategic_merge_patch(&json!({}), &patch, &schema()).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, message), "{patch}");
    }
}
