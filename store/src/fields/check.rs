//! Whether an applied configuration fits the schema well enough to be merged.

use std::collections::HashSet;

use serde_json::Value;

use super::go_text;
use super::path::describe_key;
use super::typed::{Expected, Items, Members, Place, Scalar};

/// Everything that is wrong, each with its path: `.spec.version: expected string, got …`.
pub(super) fn check(place: Place<'_>, configuration: &Value) -> Result<(), String> {
    let mut complaints = Vec::new();
    check_value(place, configuration, "", &mut complaints);
    match complaints.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn check_value(place: Place<'_>, value: &Value, path: &str, complaints: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match place.expected() {
        Expected::Anything => {}
        Expected::Scalar(scalar) => {
            if let Some(complaint) = check_scalar(scalar, value) {
                complain(path, &complaint, complaints);
            }
        }
        Expected::Map(members) => check_map(members, value, path, complaints),
        Expected::List(item, items) => check_list(item, items, value, path, complaints),
    }
}

fn check_scalar(scalar: Scalar, value: &Value) -> Option<String> {
    match scalar {
        Scalar::Text if !value.is_string() => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_text::literal(value)))
        }
        Scalar::Number if !value.is_number() => {
            Some(format!("expected numeric (int or float), got {}", go_text::type_name(value)))
        }
        Scalar::Boolean if !value.is_boolean() => Some(format!("expected boolean, got &{{{}}}", go_text::plain(value))),
        Scalar::Any if value.is_array() || value.is_object() => {
            Some(format!("expected any scalar, got &{{{}}}", go_text::plain(value)))
        }
        _ => None,
    }
}

fn check_map(members: Members<'_>, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let Some(map) = value.as_object() else {
        complain(path, &format!("expected map, got &{{{}}}", go_text::plain(value)), complaints);
        return;
    };
    for (name, value) in map {
        let member = members.member(name);
        let path = format!("{path}.{name}");
        if member.allowed {
            check_value(member.place, value, &path, complaints);
        } else {
            complain(&path, "field not declared in schema", complaints);
        }
    }
}

fn check_list(item: Place<'_>, items: Option<Items<'_>>, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let Some(list) = value.as_array() else {
        complain(path, &format!("expected list, got &{{{}}}", go_text::plain(value)), complaints);
        return;
    };
    let Some(items) = items else {
        for (index, value) in list.iter().enumerate() {
            check_value(item, value, &format!("{path}[{index}]"), complaints);
        }
        return;
    };
    let mut seen = HashSet::new();
    for (index, value) in list.iter().enumerate() {
        match items.key(value) {
            Ok(key) => {
                let name = describe_key(&key);
                check_value(item, value, &format!("{path}{name}"), complaints);
                if !seen.insert(key) {
                    complain(path, &format!("duplicate entries for key {name}"), complaints);
                }
            }
            // Without a key there is no path for what is wrong inside.
            Err(why) => return complain(path, &format!("element {index}: {why}"), complaints),
        }
    }
}

fn complain(path: &str, complaint: &str, complaints: &mut Vec<String>) {
    complaints.push(if path.is_empty() { complaint.to_owned() } else { format!("{path}: {complaint}") });
}
