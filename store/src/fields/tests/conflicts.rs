//! Every form of the conflict answer, and of the answer to a configuration that does not fit.

use serde_json::{Value, json};

use super::{recipe, recipe_schema, writer};
use crate::fields::{apply, track_update};

const NOW: &str = "2026-11-21T10:00:00Z";

fn message(live: Option<&Value>, manager: &str, subresource: &str, configuration: &Value) -> String {
    let schema = recipe_schema();
    apply(&writer(&schema, manager, subresource, NOW), live, configuration, false).unwrap_err().message
}

#[test]
fn a_conflict_names_the_owner_the_way_it_came_to_own_the_field() {
    let schema = recipe_schema();
    let cases: [(&str, &str, &str); 4] = [
        ("an applier", "Apply ", "\"m\""),
        ("an updater, with the version", "Update ", "\"m\" using ci.coopcloud.tech/v1alpha1"),
        (
            "an updater through a subresource",
            "Update scale",
            "\"m\" with subresource \"scale\" using ci.coopcloud.tech/v1alpha1",
        ),
        ("an applier through a subresource", "Apply scale", "\"m\" with subresource \"scale\""),
    ];
    for (name, how, owner) in cases {
        let (operation, subresource) = how.split_once(' ').unwrap();
        let empty = recipe(json!({"version": "1"}));
        let holder = writer(&schema, "m", subresource, NOW);
        let wanted = recipe(json!({"replicas": 2}));
        let base = apply(&writer(&schema, "base", "", NOW), None, &empty, false).unwrap();
        let live = if operation == "Apply" {
            apply(&holder, Some(&base), &wanted, false).unwrap()
        } else {
            let mut live = base.clone();
            live["spec"]["replicas"] = json!(2);
            track_update(&holder, Some(&base), &mut live);
            live
        };
        let found = message(Some(&live), "other", "", &recipe(json!({"replicas": 3})));
        assert_eq!(found, format!("Apply failed with 1 conflict: conflict with {owner}: .spec.replicas"), "{name}");
    }
}

#[test]
fn several_conflicts_are_grouped_by_owner_and_listed_level_by_level() {
    let schema = recipe_schema();
    let one = recipe(json!({"version": "1", "env": {"A": "1"}, "tags": ["x"]}));
    let live = apply(&writer(&schema, "zeta", "", NOW), None, &one, false).unwrap();
    let two = recipe(json!({"replicas": 2, "ports": [{"name": "web", "port": 80}], "atom": {"k": "v"}}));
    let live = apply(&writer(&schema, "alpha", "", NOW), Some(&live), &two, false).unwrap();
    let wanted = recipe(json!({
        "version": "2", "env": {"A": "2"}, "tags": [], "replicas": 3,
        "ports": [{"name": "web", "port": 81}], "atom": {}
    }));
    let status = apply(&writer(&schema, "m", "", NOW), Some(&live), &wanted, false).unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 6 conflicts: conflicts with \"alpha\":\n- .spec.atom\n- .spec.replicas\n\
         - .spec.ports[name=\"web\"].port\nconflicts with \"zeta\":\n- .spec.tags\n- .spec.version\n- .spec.env.A"
    );
    assert_eq!(status.code, 409);
    let causes = status.details.unwrap().causes;
    assert_eq!(causes.len(), 6);
    assert_eq!(causes[2].field, ".spec.ports[name=\"web\"].port");
    assert!(causes.iter().all(|cause| cause.reason == "FieldManagerConflict"));
    assert_eq!(causes[5].message, "conflict with \"zeta\"");
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_the_path() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("unknown field", json!({"bogus": 1}), ".spec.bogus: field not declared in schema"),
        ("text for a number", json!({"replicas": "2"}), ".spec.replicas: expected numeric (int or float), got string"),
        (
            "list for a number",
            json!({"replicas": []}),
            ".spec.replicas: expected numeric (int or float), got []interface {}",
        ),
        (
            "number for text",
            json!({"version": 2.5}),
            ".spec.version: expected string, got &value.valueUnstructured{Value:2.5}",
        ),
        (
            "map for text",
            json!({"version": {"a": ["b"]}}),
            ".spec.version: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":[]interface {}{\"b\"}}}",
        ),
        ("text for a map", json!("x"), ".spec: expected map, got &{x}"),
        ("map for a list", json!({"tags": {"a": 1}}), ".spec.tags: expected list, got &{map[a:1]}"),
        ("list for a scalar", json!({"q": [1, null]}), ".spec.q: expected any scalar, got &{[1 <nil>]}"),
        (
            "wrong item of an atomic list",
            json!({"tags": [1]}),
            ".spec.tags[0]: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            "null in a set",
            json!({"uniq": [null]}),
            ".spec.uniq: element 0: associative list without keys has an element that's an explicit null",
        ),
        (
            "map in a set",
            json!({"uniq": [{}]}),
            ".spec.uniq: element 0: associative list without keys has an element that's a map type",
        ),
        ("item twice", json!({"uniq": ["z", "z"]}), ".spec.uniq: duplicate entries for key [=\"z\"]"),
        (
            "item without its key",
            json!({"ports": [{"port": 1}]}),
            ".spec.ports: element 0: associative list with keys has an element that omits all key fields [\"name\"] \
             (and doesn't have default values for any key fields)",
        ),
        (
            "item that is no map",
            json!({"ports": [1]}),
            ".spec.ports: element 0: associative list with keys may not have non-map elements",
        ),
        (
            "wrong member of an item",
            json!({"ports": [{"name": "web", "port": true}]}),
            ".spec.ports[name=\"web\"].port: expected numeric (int or float), got bool",
        ),
        (
            "two things",
            json!({"mode": 1, "version": false}),
            "errors:\n  .spec.mode: expected string, got &value.valueUnstructured{Value:1}\n  \
             .spec.version: expected string, got &value.valueUnstructured{Value:false}",
        ),
    ];
    for (name, spec, why) in cases {
        let expected =
            format!("failed to create typed patch object (/a; ci.coopcloud.tech/v1alpha1, Kind=Recipe): {why}");
        assert_eq!(message(None, "m", "", &recipe(spec)), expected, "{name}");
    }
}

#[test]
fn a_configuration_of_another_type_or_with_owners_is_refused() {
    let mut other_kind = recipe(json!({}));
    other_kind["kind"] = json!("Zork");
    let mut other_version = recipe(json!({}));
    other_version["apiVersion"] = json!("v1");
    let mut with_owners = recipe(json!({}));
    with_owners["metadata"]["managedFields"] = json!([]);
    let cases = [
        (json!({"metadata": {"name": "s1"}}), "invalid object type: /, Kind="),
        (other_kind, "invalid object type: ci.coopcloud.tech/v1alpha1, Kind=Zork"),
        (other_version, "invalid object type: /v1, Kind=Recipe"),
        (with_owners, "metadata.managedFields must be nil"),
    ];
    for (configuration, expected) in cases {
        assert_eq!(message(None, "m", "", &configuration), expected);
    }
}

#[test]
fn numbers_in_keys_are_ordered_as_numbers() {
    let set = json!({"f:ports": {"k:{\"port\":443}": {}, "k:{\"port\":80}": {}}, "f:uniq": {"v:\"b\"": {}, "v:1": {}}});
    assert_eq!(
        crate::fields::path::paths(set.as_object().unwrap()),
        [".ports[port=80]", ".ports[port=443]", ".uniq[=1]", ".uniq[=\"b\"]"]
    );
}
