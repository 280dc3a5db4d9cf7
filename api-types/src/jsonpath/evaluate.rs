//! Follows paths through values.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Comparison, Filter, JsonPath, Node, Operand, RESULTS_MAX, Step, plain_text};

/// Returns what `path` finds from `current`, where `$` is `root`.
pub(super) fn find<'a>(path: &JsonPath, root: &'a Value, current: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![current];
    for step in &path.steps {
        let mut next = Vec::new();
        for value in found {
            follow(step, root, value, &mut next);
            if next.len() > RESULTS_MAX {
                next.truncate(RESULTS_MAX);
                break;
            }
        }
        found = next;
    }
    found
}

pub(super) fn render(nodes: &[Node], root: &Value, current: &Value, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(plain) => text.push_str(plain),
            Node::Path(path) => {
                let found: Vec<String> = find(path, root, current).into_iter().map(plain_text).collect();
                text.push_str(&found.join(" "));
            }
            Node::Range(path, body) => {
                for item in find(path, root, current) {
                    render(body, root, item, text);
                }
            }
        }
    }
}

fn follow<'a>(step: &Step, root: &'a Value, value: &'a Value, found: &mut Vec<&'a Value>) {
    match step {
        Step::Root => found.push(root),
        Step::Fields(names) => found.extend(names.iter().filter_map(|name| value.as_object()?.get(name))),
        Step::Indices(indices) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            found.extend(indices.iter().filter_map(|index| items.get(position(*index, items.len())?)));
        }
        Step::Slice { start, end, stride } => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let start = bound(start.unwrap_or(0), items.len());
            let end = bound(end.unwrap_or(i64::MAX), items.len());
            if start < end {
                found.extend(items[start..end].iter().step_by(*stride));
            }
        }
        Step::Wildcard => found.extend(children(value)),
        Step::Descendants => descend(value, found),
        Step::Filter(filter) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            found.extend(items.iter().filter(|item| holds(filter, root, item)));
        }
    }
}

/// Every value and everything within, outer before inner; recursion is bounded by the depth of parsed JSON.
fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if found.len() > RESULTS_MAX {
        return;
    }
    found.push(value);
    for child in children(value) {
        descend(child, found);
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// Negative indices count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn bound(index: i64, length: usize) -> usize {
    position(index, length).unwrap_or(0).min(length)
}

fn holds(filter: &Filter, root: &Value, item: &Value) -> bool {
    let left = operand(&filter.left, root, item);
    let Some((comparison, right)) = &filter.comparison else {
        return !left.is_empty();
    };
    let right = operand(right, root, item);
    match (left.first(), right.first()) {
        (Some(left), Some(right)) => compares(left, *comparison, right),
        _ => false,
    }
}

fn operand<'a>(operand: &'a Operand, root: &'a Value, item: &'a Value) -> Vec<&'a Value> {
    match operand {
        Operand::Path(path) => find(path, root, item),
        Operand::Literal(value) => vec![value],
    }
}

fn compares(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right))
        }
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (left, right) => (left == right).then_some(Ordering::Equal),
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}
