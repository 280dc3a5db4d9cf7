//! Path elements: reading their stored form, ordering them, and writing paths as people read them.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::set::{self, Node};

/// One step of a path. The derived order of the variants is the order in which conflicts are listed.
#[derive(Clone, Debug, PartialEq)]
enum Element {
    Field(String),
    Key(Map<String, Value>),
    Item(Value),
    Index(u64),
}

/// Returns every member of `set` as text (`.spec.ports[name="web"].port`): at each level first the members, then
/// what lies below, both in order.
pub(super) fn paths(set: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(set, "", &mut found);
    found
}

/// Writes one stored path element as a person reads it.
pub(super) fn describe_key(key: &str) -> String {
    parse(key).map_or_else(|_| format!("{{{key}}}"), |element| describe(&element))
}

/// Returns the stored form of `key` in its one spelling: compact JSON, members sorted.
pub(super) fn canonical_key(key: &str) -> Result<String, String> {
    Ok(match parse(key)? {
        Element::Field(name) => set::field_key(&name),
        Element::Key(keys) => keyed_item_key(keys),
        Element::Item(value) => set_item_key(&value),
        Element::Index(index) => format!("i:{index}"),
    })
}

/// Returns the stored path element of an item of a keyed list.
pub(super) fn keyed_item_key(keys: Map<String, Value>) -> String {
    format!("k:{}", Value::Object(keys))
}

/// Returns the stored path element of an item of a set.
pub(super) fn set_item_key(item: &Value) -> String {
    format!("v:{item}")
}

fn collect(node: &Node, prefix: &str, found: &mut Vec<String>) {
    let mut elements: Vec<(Element, &Node)> =
        node.iter().filter_map(|(key, below)| Some((parse(key).ok()?, below.as_object()?))).collect();
    elements.sort_by(|left, right| compare_elements(&left.0, &right.0));
    for (element, below) in &elements {
        if set::is_member(below) {
            found.push(format!("{prefix}{}", describe(element)));
        }
    }
    for (element, below) in &elements {
        if !below.is_empty() {
            collect(below, &format!("{prefix}{}", describe(element)), found);
        }
    }
}

fn parse(key: &str) -> Result<Element, String> {
    let wrong = || format!("{key:?} is not a path element: expected f:NAME, k:{{KEYS}}, v:VALUE or i:INDEX");
    let (kind, rest) = key.split_once(':').ok_or_else(wrong)?;
    match kind {
        "f" => Ok(Element::Field(rest.to_owned())),
        "k" => match serde_json::from_str(rest) {
            Ok(Value::Object(keys)) if keys.values().all(is_scalar) => Ok(Element::Key(keys)),
            _ => Err(wrong()),
        },
        "v" => serde_json::from_str(rest).map(Element::Item).map_err(|_| wrong()),
        "i" => rest.parse().map(Element::Index).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn describe(element: &Element) -> String {
    match element {
        Element::Field(name) => format!(".{name}"),
        Element::Key(keys) => {
            let parts: Vec<String> =
                sorted(keys).iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
            format!("[{}]", parts.join(","))
        }
        Element::Item(value) => format!("[={}]", text(value)),
        Element::Index(index) => format!("[{index}]"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => super::go_text::quoted(text),
        other => other.to_string(),
    }
}

fn sorted(keys: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut pairs: Vec<_> = keys.iter().collect();
    pairs.sort_by(|left, right| left.0.cmp(right.0));
    pairs
}

fn compare_elements(left: &Element, right: &Element) -> Ordering {
    match (left, right) {
        (Element::Field(left), Element::Field(right)) => left.cmp(right),
        (Element::Key(left), Element::Key(right)) => compare_keys(&sorted(left), &sorted(right)),
        (Element::Item(left), Element::Item(right)) => compare_scalars(left, right),
        (Element::Index(left), Element::Index(right)) => left.cmp(right),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn compare_keys(left: &[(&String, &Value)], right: &[(&String, &Value)]) -> Ordering {
    for (one, other) in left.iter().zip(right) {
        let order = one.0.cmp(other.0).then_with(|| compare_scalars(one.1, other.1));
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

fn rank(element: &Element) -> u8 {
    match element {
        Element::Field(_) => 0,
        Element::Key(_) => 1,
        Element::Item(_) => 2,
        Element::Index(_) => 3,
    }
}

/// Numbers come before text, text before booleans, booleans before everything else.
fn compare_scalars(left: &Value, right: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        _ => 3,
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().unwrap_or(0.0).total_cmp(&right.as_f64().unwrap_or(0.0)),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => kind(left).cmp(&kind(right)),
    }
}
