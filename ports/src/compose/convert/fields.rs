//! Reading a tree that is known to be in canonical form.

use std::collections::BTreeMap;

use super::super::durations;
use super::super::tree::{Node, Value};

/// Returns a text that is not empty.
pub(super) fn text<'node>(node: &'node Node, key: &str) -> Option<&'node str> {
    node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty())
}

/// Returns a text, or an empty one.
pub(super) fn text_or_empty(node: &Node, key: &str) -> String {
    text(node, key).unwrap_or_default().to_owned()
}

/// Returns whether a boolean is true.
pub(super) fn switch(node: &Node, key: &str) -> bool {
    node.get(key).is_some_and(Node::is_true)
}

/// Returns a count.
pub(super) fn count(node: &Node, key: &str) -> Option<u64> {
    match node.get(key)?.value {
        Value::Int(number) => u64::try_from(number).ok(),
        Value::Unsigned(number) => Some(number),
        _ => None,
    }
}

/// Returns a whole number.
pub(super) fn number(node: &Node, key: &str) -> i64 {
    node.get(key).and_then(Node::as_int).unwrap_or_default()
}

/// Returns the nanoseconds of a duration.
pub(super) fn duration(node: &Node, key: &str) -> Option<i64> {
    durations::parse(node.get(key)?.as_text()?)
}

/// Returns the texts of a list.
pub(super) fn texts(node: &Node) -> Vec<String> {
    node.items().iter().filter_map(Node::as_text).map(str::to_owned).collect()
}

/// Returns the texts of a list below a key.
pub(super) fn list(node: &Node, key: &str) -> Vec<String> {
    node.get(key).map(texts).unwrap_or_default()
}

/// Returns a mapping of texts.
pub(super) fn pairs(node: &Node) -> BTreeMap<String, String> {
    node.entries().map(|(key, value)| (key.to_owned(), value.as_text().unwrap_or_default().to_owned())).collect()
}
