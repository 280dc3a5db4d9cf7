//! What must hold whatever is written, by whom, in whatever order. `proptest` prints the seed of a failure and keeps it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{recipe, recipe_schema, writer};
use crate::fields::managed::{Identity, fields};
use crate::fields::{apply, same_but_for_times, set, track_update};

const NOW: &str = "2026-11-21T10:00:00Z";

/// Configurations over few names and values, so that managers meet often.
fn specs() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec!["1", "2"]);
    let env = prop::collection::btree_map(prop::sample::select(vec!["A", "B", "C"]), value.clone(), 0..3);
    let ports = prop::collection::btree_map(prop::sample::select(vec!["p", "q"]), prop::option::of(1..3), 0..3);
    let uniq = prop::collection::btree_set(prop::sample::select(vec!["x", "y", "z"]), 0..3);
    let tags = prop::collection::vec(value.clone(), 0..2);
    (
        prop::option::of(value.clone()),
        prop::option::of(env.clone()),
        prop::option::of(ports),
        prop::option::of(uniq),
        prop::option::of(tags),
        prop::option::of(env.clone()),
        prop::option::of(prop::collection::btree_map(prop::sample::select(vec!["k", "l"]), env, 0..2)),
    )
        .prop_map(|(version, env, ports, uniq, tags, atom, any)| {
            let mut spec = Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    spec.insert(name.to_owned(), value);
                }
            };
            let port = |(name, port): (&str, Option<i32>)| match port {
                Some(port) => json!({"name": name, "port": port}),
                None => json!({"name": name}),
            };
            put("version", version.map(Value::from));
            put("env", env.map(|env| json!(env)));
            put("ports", ports.map(|ports| ports.into_iter().map(port).collect()));
            put("uniq", uniq.map(|uniq| json!(uniq)));
            put("tags", tags.map(|tags| json!(tags)));
            put("atom", atom.map(|atom| json!(atom)));
            put("any", any.map(|any| json!(any)));
            Value::Object(spec)
        })
}

#[derive(Clone, Debug)]
enum Step {
    Apply { manager: usize, spec: Value, force: bool },
    Update { manager: usize, spec: Value },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let apply =
        (0..3_usize, specs(), any::<bool>()).prop_map(|(manager, spec, force)| Step::Apply { manager, spec, force });
    let update = (0..2_usize, specs()).prop_map(|(manager, spec)| Step::Update { manager, spec });
    prop::collection::vec(prop_oneof![3 => apply, 1 => update], 1..8)
}

const MANAGERS: [&str; 3] = ["one", "two", "three"];

fn take(live: Option<&Value>, step: &Step) -> Option<Value> {
    let schema = recipe_schema();
    match step {
        Step::Apply { manager, spec, force } => {
            apply(&writer(&schema, MANAGERS[*manager], "", NOW), live, &recipe(spec.clone()), *force).ok()
        }
        Step::Update { manager, spec } => {
            let mut new = live.cloned().unwrap_or_else(|| recipe(json!({})));
            new["spec"] = spec.clone();
            track_update(&writer(&schema, MANAGERS[*manager], "", NOW), live, &mut new);
            Some(new)
        }
    }
}

fn after(steps: &[Step]) -> Option<Value> {
    let mut live = None;
    for step in steps {
        live = take(live.as_ref(), step).or(live);
    }
    live
}

/// Follows a stored path into an object; `None` when there is nothing.
fn lookup<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let (kind, rest) = key.split_once(':')?;
    match kind {
        "f" => value.get(rest),
        "k" => {
            let keys: Value = serde_json::from_str(rest).ok()?;
            let same = |item: &&Value| keys.as_object().unwrap().iter().all(|(name, value)| item[name] == *value);
            value.as_array()?.iter().find(same)
        }
        _ => {
            let wanted: Value = serde_json::from_str(rest).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
    }
}

/// Every member of `owned` with its value in `object`.
fn members<'v>(
    owned: &Map<String, Value>,
    object: Option<&'v Value>,
    path: &str,
    found: &mut Vec<(String, Option<&'v Value>)>,
) {
    for (key, below) in owned.iter().filter(|(key, _)| *key != ".") {
        let below = below.as_object().unwrap();
        let value = object.and_then(|object| lookup(object, key));
        let path = format!("{path}/{key}");
        if set::is_member(below) {
            found.push((path.clone(), value));
        }
        members(below, value, &path, found);
    }
}

fn owned_members<'v>(object: &'v Value, who: &str, operation: &str) -> Vec<(String, Option<&'v Value>)> {
    let mut found = Vec::new();
    for entry in super::entries(object) {
        if entry["manager"] == who && entry["operation"] == operation {
            members(fields(entry).unwrap(), Some(object), "", &mut found);
        }
    }
    found
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["", "Apply", "Update", "FieldsV1", "g/v1", "2026-11-21T10:00:00Z"])
            .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "status",
        "name",
        "managedFields",
        "manager",
        "operation",
        "fieldsType",
        "fieldsV1",
        "time",
        "labels",
        "finalizers",
        "ownerReferences",
        "uid",
        "version",
        "env",
        "ports",
        "uniq",
        "any",
        "atom",
        "port",
        "conditions",
        "type",
        "f:spec",
        "k:{\"name\":1}",
        ".",
        "v:",
        "",
    ]);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(history in steps(), manager in 0..3_usize, spec in specs()) {
        let live = after(&history);
        let step = Step::Apply { manager, spec, force: true };
        let once = take(live.as_ref(), &step).unwrap();
        // Who applies nothing that can be owned is forgotten, and the next apply takes the object for an untracked one:
        // as in Kubernetes, that gives it a made-up owner.
        prop_assume!(once["metadata"].get("managedFields").is_some());
        let twice = take(Some(&once), &step).unwrap();
        prop_assert!(same_but_for_times(&once, &twice), "{once}\n{twice}");
    }

    #[test]
    fn disjoint_applies_commute(one in specs(), two in specs()) {
        let schema = recipe_schema();
        let base = apply(&writer(&schema, "base", "", NOW), None, &recipe(json!({})), false).unwrap();
        let mut two = two;
        two.as_object_mut().unwrap().retain(|name, _| one.get(name).is_none());
        let put = |live: &Value, manager: &str, spec: &Value| {
            apply(&writer(&schema, manager, "", NOW), Some(live), &recipe(spec.clone()), false).unwrap()
        };
        let forth = put(&put(&base, "one", &one), "two", &two);
        let back = put(&put(&base, "two", &two), "one", &one);
        prop_assert_eq!(&forth["spec"], &back["spec"]);
        prop_assert!(same_but_for_times(&forth, &back), "{forth}\n{back}");
    }

    #[test]
    fn what_an_applier_owns_has_the_value_that_it_applied(history in steps(), manager in 0..3_usize, spec in specs()) {
        // With force nobody keeps a claim on another value: two Apply owners of a path want the same.
        let live = after(&history);
        let configuration = recipe(spec.clone());
        let result = take(live.as_ref(), &Step::Apply { manager, spec, force: true }).unwrap();
        let applied = owned_members(&result, MANAGERS[manager], "Apply");
        for (path, value) in &applied {
            let mut wanted = Some(&configuration);
            for key in path.split('/').skip(1) {
                wanted = wanted.and_then(|wanted| lookup(wanted, key));
            }
            if wanted.is_some_and(|wanted| !wanted.is_object()) {
                prop_assert_eq!(*value, wanted, "{}", path);
            }
        }
    }

    #[test]
    fn removal_never_deletes_what_somebody_else_owns(history in steps(), manager in 0..3_usize) {
        let live = after(&history);
        prop_assume!(live.is_some());
        let live = live.unwrap();
        let result = take(Some(&live), &Step::Apply { manager, spec: json!({}), force: true }).unwrap();
        for entry in super::entries(&live) {
            if Identity::of(entry).manager == MANAGERS[manager] && Identity::of(entry).operation == "Apply" {
                continue;
            }
            let (mut before, mut now) = (Vec::new(), Vec::new());
            members(fields(entry).unwrap(), Some(&live), "", &mut before);
            members(fields(entry).unwrap(), Some(&result), "", &mut now);
            for ((path, before), (_, now)) in before.iter().zip(&now) {
                if before.is_some_and(|before| !before.is_object() && !before.is_array()) {
                    prop_assert_eq!(before, now, "{} of {}", path, entry["manager"].clone());
                }
            }
        }
    }

    #[test]
    fn every_owned_leaf_exists(history in steps()) {
        let Some(live) = after(&history) else { return Ok(()) };
        for entry in super::entries(&live) {
            let mut found = Vec::new();
            members(fields(entry).unwrap(), Some(&live), "", &mut found);
            for (path, value) in found {
                prop_assert!(value.is_some(), "{} of {} in {}", path, entry["manager"].clone(), live);
            }
        }
    }

    #[test]
    fn nothing_that_is_sent_makes_us_panic(old in arbitrary_json(), new in arbitrary_json(), force in any::<bool>()) {
        let schema = recipe_schema();
        for subresource in ["", "status", "scale"] {
            let writer = writer(&schema, "m", subresource, NOW);
            let mut first = old.clone();
            track_update(&writer, None, &mut first);
            let mut second = new.clone();
            track_update(&writer, Some(&first), &mut second);
            let mut third = new.clone();
            track_update(&writer, Some(&old), &mut third);
            let _ = apply(&writer, Some(&old), &new, force);
            let mut typed = new.clone();
            if typed.is_object() {
                typed["apiVersion"] = json!("ci.coopcloud.tech/v1alpha1");
                typed["kind"] = json!("Recipe");
                let _ = apply(&writer, Some(&old), &typed, force);
                let _ = apply(&writer, None, &typed, force);
            }
        }
    }
}
