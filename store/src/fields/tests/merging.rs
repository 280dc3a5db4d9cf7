//! What an apply puts in, keeps and takes out.

use serde_json::{Value, json};

use super::{owned, recipe, recipe_schema, writer};
use crate::fields::merge::{Slot, interleave};
use crate::fields::{apply, same_but_for_times, scale, track_update};

const NOW: &str = "2026-11-21T10:00:00Z";
const LATER: &str = "2026-11-21T11:00:00Z";

fn applied(live: Option<&Value>, manager: &str, spec: Value) -> Value {
    let schema = recipe_schema();
    apply(&writer(&schema, manager, "", NOW), live, &recipe(spec), true).unwrap()
}

fn updated(live: &Value, manager: &str, change: impl FnOnce(&mut Value)) -> Value {
    let schema = recipe_schema();
    let mut new = live.clone();
    change(&mut new);
    track_update(&writer(&schema, manager, "", NOW), Some(live), &mut new);
    new
}

#[test]
fn lists_keep_the_applied_order_and_the_neighbourhood_of_other_items() {
    let cases = [
        ("a new item goes before the next shared one", "a b", "c b", "a c b"),
        ("new items at the end", "a b", "b c", "a b c"),
        ("the applied order wins", "a b c", "c a", "b c a"),
        ("nothing shared", "a b", "x y", "a b x y"),
        ("nothing live", "", "x y", "x y"),
        ("nothing applied", "a b", "", "a b"),
        ("live items between shared ones stay there", "a x b y", "a b", "a x b y"),
    ];
    for (name, live, wanted, expected) in cases {
        let live: Vec<&str> = live.split_whitespace().collect();
        let wanted: Vec<&str> = wanted.split_whitespace().collect();
        let live_keys: Vec<Option<String>> = live.iter().map(|key| Some((*key).to_owned())).collect();
        let wanted_keys: Vec<String> = wanted.iter().map(|key| (*key).to_owned()).collect();
        let order: Vec<&str> = interleave(&live_keys, &wanted_keys)
            .into_iter()
            .map(|slot| match slot {
                Slot::Live(index) => live[index],
                Slot::Wanted(index) => wanted[index],
            })
            .collect();
        assert_eq!(order.join(" "), expected, "{name}");
    }
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_has_it() {
    let both = json!({"version": "1", "env": {"A": "1", "B": "2"}, "uniq": ["x", "y"]});
    let live = applied(None, "one", both);
    let live = applied(Some(&live), "two", json!({"env": {"B": "2"}, "uniq": ["y"]}));
    let live = applied(Some(&live), "one", json!({"version": "1"}));
    assert_eq!(live["spec"], json!({"version": "1", "env": {"B": "2"}, "uniq": ["y"]}));
    let live = applied(Some(&live), "two", json!({}));
    assert_eq!(live["spec"], json!({"version": "1"}));
    assert_eq!(owned(&live, "two"), json!({"f:spec": {}}), "an empty map is a claim");
}

#[test]
fn an_applied_empty_list_empties_the_list_and_stays() {
    let live = applied(None, "m", json!({"version": "1", "uniq": ["x"], "ports": [{"name": "web"}]}));
    let live = applied(Some(&live), "m", json!({"version": "1", "uniq": [], "ports": []}));
    assert_eq!(live["spec"], json!({"version": "1", "uniq": [], "ports": []}));
}

#[test]
fn an_applier_of_nothing_is_forgotten() {
    let schema = recipe_schema();
    let live = applied(None, "one", json!({"version": "1"}));
    let live = applied(Some(&live), "two", json!({"version": "1"}));
    let mut nothing = recipe(json!({}));
    nothing.as_object_mut().unwrap().remove("spec");
    let live = apply(&writer(&schema, "two", "", NOW), Some(&live), &nothing, false).unwrap();
    assert_eq!(owned(&live, "two"), Value::Null);
    assert_eq!(live["spec"], json!({"version": "1"}));
}

#[test]
fn an_item_in_which_somebody_changed_a_field_stays_with_its_identity() {
    let live = applied(None, "one", json!({"version": "1", "ports": [{"name": "web", "port": 80}]}));
    let live = updated(&live, "editor", |new| new["spec"]["ports"][0]["port"] = json!(81));
    let live = applied(Some(&live), "one", json!({"version": "1"}));
    assert_eq!(live["spec"]["ports"], json!([{"name": "web", "port": 81}]));
}

#[test]
fn what_nobody_owns_stays_while_its_container_does() {
    let live = applied(None, "one", json!({"version": "1", "env": {"A": "1"}}));
    let mut live = applied(Some(&live), "two", json!({"env": {"C": "3"}}));
    live["spec"]["env"]["nobody"] = json!("x");
    let live = applied(Some(&live), "one", json!({"version": "1"}));
    assert_eq!(live["spec"]["env"], json!({"C": "3", "nobody": "x"}));
    let live = applied(Some(&live), "two", json!({}));
    assert_eq!(live["spec"], json!({"version": "1"}), "the last owner takes the container along");
}

#[test]
fn a_container_that_somebody_made_stays_when_it_is_emptied() {
    let live = applied(None, "one", json!({"version": "1"}));
    let live = updated(&live, "maker", |new| new["spec"]["env"] = json!({}));
    let live = applied(Some(&live), "one", json!({"version": "1", "env": {"A": "1"}}));
    let live = applied(Some(&live), "one", json!({"version": "1"}));
    assert_eq!(live["spec"]["env"], json!({}));
    assert_eq!(owned(&live, "maker"), json!({"f:spec": {"f:env": {}}}));
}

#[test]
fn free_maps_have_an_owner_for_each_entry_and_atomic_ones_one_owner() {
    let live = applied(None, "m", json!({"any": {"x": {"y": [1]}, "e": {}}, "atom": {"k": "v"}, "uniq": []}));
    assert_eq!(owned(&live, "m"), json!({"f:spec": {"f:any": {"f:e": {}, "f:x": {".": {}, "f:y": {}}}, "f:atom": {}}}));
}

#[test]
fn metadata_lists_merge_by_identity() {
    let schema = recipe_schema();
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid});
    let with = |finalizer: &str, uid: &str| {
        let mut configuration = recipe(json!({"version": "1"}));
        configuration["metadata"]["finalizers"] = json!([finalizer]);
        configuration["metadata"]["ownerReferences"] = json!([owner(uid)]);
        configuration
    };
    let live = apply(&writer(&schema, "one", "", NOW), None, &with("x.io/a", "1"), false).unwrap();
    let live = apply(&writer(&schema, "two", "", NOW), Some(&live), &with("x.io/b", "2"), false).unwrap();
    assert_eq!(live["metadata"]["finalizers"], json!(["x.io/a", "x.io/b"]));
    assert_eq!(
        owned(&live, "two")["f:metadata"],
        json!({"f:finalizers": {"v:\"x.io/b\"": {}}, "f:ownerReferences": {"k:{\"uid\":\"2\"}": {}}})
    );
    let only_name = recipe(json!({"version": "1"}));
    let live = apply(&writer(&schema, "one", "", NOW), Some(&live), &only_name, false).unwrap();
    assert_eq!(live["metadata"]["ownerReferences"], json!([owner("2")]));
    assert_eq!(live["metadata"]["name"], "a");
}

#[test]
fn applying_again_later_changes_nothing_not_even_the_time() {
    let schema = recipe_schema();
    let configuration = recipe(json!({"version": "1", "env": {"A": "1"}}));
    let live = apply(&writer(&schema, "m", "", NOW), None, &configuration, false).unwrap();
    let again = apply(&writer(&schema, "m", "", LATER), Some(&live), &configuration, false).unwrap();
    assert_eq!(again, live);
}

#[test]
fn only_the_times_of_entries_do_not_count_as_a_difference() {
    let live = applied(None, "m", json!({"version": "1"}));
    let with = |path: &str, value: Value| {
        let mut other = live.clone();
        *other.pointer_mut(path).unwrap() = value;
        other
    };
    assert!(same_but_for_times(&live, &with("/metadata/managedFields/0/time", json!(LATER))));
    for (path, value) in [
        ("/spec/version", json!("2")),
        ("/metadata/name", json!("b")),
        ("/metadata/managedFields/0/manager", json!("n")),
        ("/metadata/managedFields/0/fieldsV1", json!({"f:spec": {}})),
        ("/metadata/managedFields", json!([])),
    ] {
        assert!(!same_but_for_times(&live, &with(path, value)), "{path}");
    }
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_client_side() {
    let schema = recipe_schema();
    let last = r#"{"apiVersion":"ci.coopcloud.tech/v1alpha1","kind":"Recipe","metadata":{"name":"a"},"spec":{"version":"1","mode":"a"}}"#;
    let mut live = recipe(json!({"version": "1", "mode": "a"}));
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    track_update(&writer(&schema, "kubectl-client-side-apply", "", NOW), None, &mut live);
    let wanted = recipe(json!({"version": "2"}));
    let refused = apply(&writer(&schema, "other", "", NOW), Some(&live), &wanted, false);
    assert!(refused.is_err(), "others get the conflict");

    let taken = apply(&writer(&schema, "kubectl", "", NOW), Some(&live), &wanted, false).unwrap();
    assert_eq!(taken["spec"]["version"], "2");
    let remembered = taken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str();
    assert_eq!(remembered.unwrap(), format!("{wanted}\n"), "the annotation is kept in step");

    let edited = updated(&live, "editor", |new| new["spec"]["version"] = json!("3"));
    let refused = apply(&writer(&schema, "kubectl", "", NOW), Some(&edited), &wanted, false).unwrap_err();
    assert!(refused.message.ends_with("conflict with \"editor\" using ci.coopcloud.tech/v1alpha1: .spec.version"));
}

#[test]
fn the_first_apply_finds_one_owner_of_all_that_was_there() {
    let schema = recipe_schema();
    let live = recipe(json!({"version": "1", "env": {"A": "1"}}));
    let result = apply(&writer(&schema, "m", "", NOW), Some(&live), &recipe(json!({"mode": "a"})), false).unwrap();
    assert_eq!(
        owned(&result, "before-first-apply"),
        json!({"f:spec": {".": {}, "f:env": {".": {}, "f:A": {}}, "f:version": {}}})
    );
}

#[test]
fn a_status_apply_touches_nothing_but_the_status() {
    let schema = recipe_schema();
    let live = applied(None, "m", json!({"version": "1"}));
    let mut configuration = recipe(json!({"version": "9"}));
    configuration["metadata"]["labels"] = json!({"a": "b"});
    configuration["status"] = json!({"phase": "Up"});
    let result = apply(&writer(&schema, "c", "status", NOW), Some(&live), &configuration, false).unwrap();
    assert_eq!(result["spec"], live["spec"]);
    assert_eq!(result["metadata"]["labels"], Value::Null);
    assert_eq!(owned(&result, "c"), json!({"f:status": {"f:phase": {}}}));
    let main = apply(&writer(&schema, "d", "", NOW), Some(&result), &configuration, true).unwrap();
    assert_eq!(main["status"], json!({"phase": "Up"}));
    assert_eq!(owned(&main, "d")["f:status"], Value::Null);
}

#[test]
fn a_scale_is_a_configuration_of_its_parent() {
    let parent = applied(None, "m", json!({"version": "1"}));
    let scale = |spec: Value| json!({"kind": "Scale", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": spec});
    let of = |spec: Value| scale::configuration_for_parent(&parent, ".spec.deep.replicas", &scale(spec));
    assert_eq!(of(json!({"replicas": 3})), recipe(json!({"deep": {"replicas": 3}})));
    let mut nothing = recipe(json!({}));
    nothing.as_object_mut().unwrap().remove("spec");
    assert_eq!(of(json!({})), nothing, "no count, no claim");
}
