//! How single values are read.

use super::super::tree::{Map, Node, Value};
use super::super::{durations, scalar};
use super::{Reader, nothing};

impl Reader<'_> {
    /// Returns a text. A date is none: it has to be quoted.
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Null => None,
            Value::Time(_) => {
                self.error(node, "a date is not text: put it in quotes");
                None
            }
            other => {
                let message = format!("must be text, not {}: put it in quotes", other.kind());
                self.error(node, message);
                None
            }
        }
    }

    /// Copies the texts of a mapping that say something.
    pub(super) fn texts(&mut self, node: &Node, keys: &[&str], out: &mut Map) {
        for key in keys {
            let Some(below) = node.get(key) else { continue };
            if let Some(text) = self.text(below).filter(|text| !text.is_empty()) {
                out.insert((*key).to_owned(), Node::text(text, &below.spot));
            }
        }
    }

    /// Copies the booleans of a mapping that are true.
    pub(super) fn switches(&mut self, node: &Node, keys: &[&str], out: &mut Map) {
        for key in keys {
            if let Some(below) = node.get(key).filter(|below| below.is_true()) {
                out.insert((*key).to_owned(), below.clone());
            }
        }
    }

    /// Copies durations. A zero is kept, because it may replace something: which ones count is up to the merge.
    pub(super) fn durations(&mut self, node: &Node, keys: &[&str], out: &mut Map) {
        for key in keys {
            let Some(below) = node.get(key) else { continue };
            let Some(text) = self.text(below) else { continue };
            match durations::parse(&text) {
                Some(nanoseconds) => {
                    out.insert((*key).to_owned(), Node::text(durations::print(nanoseconds), &below.spot));
                }
                None => self.error(below, format!("{text:?} is not a duration such as `1m30s`")),
            }
        }
    }

    /// Returns a whole number that is not negative; decimals are cut off, as Docker does.
    pub(super) fn count(&mut self, node: &Node, most: u64) -> Option<u64> {
        let number = match &node.value {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Unsigned(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
            Value::Float(number) if (0.0..9e15).contains(number) => Some(*number as u64),
            _ => None,
        };
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            self.error(node, format!("must be a whole number from 0 to {most}"));
        }
        number
    }

    /// Copies counts; zeros as well when `keep_zero`.
    pub(super) fn counts(&mut self, node: &Node, keys: &[&str], most: u64, keep_zero: bool, out: &mut Map) {
        for key in keys {
            let Some(below) = node.get(key) else { continue };
            if let Some(number) = self.count(below, most).filter(|number| keep_zero || *number != 0) {
                let value = i64::try_from(number).map_or(Value::Unsigned(number), Value::Int);
                out.insert((*key).to_owned(), Node::new(value, &below.spot));
            }
        }
    }

    /// Copies a signed whole number that is not zero.
    pub(super) fn number(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(below) = node.get(key) else { return };
        match below.as_int() {
            Some(0) => {}
            Some(number) => {
                out.insert(key.to_owned(), Node::new(Value::Int(number), &below.spot));
            }
            None => self.error(below, "must be a whole number"),
        }
    }

    /// Copies a list of texts, or one text as a list of one.
    pub(super) fn list(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(below) = node.get(key) else { return };
        let items = match &below.value {
            Value::List(items) => items.clone(),
            _ => vec![below.clone()],
        };
        let items: Vec<Node> = items.iter().filter_map(|item| Some(Node::text(self.text(item)?, &item.spot))).collect();
        if !items.is_empty() {
            out.insert(key.to_owned(), Node::new(Value::List(items), &below.spot));
        }
    }

    /// Copies pairs, written as a mapping or as a list of `key=value`; a key without a value has an empty one.
    pub(super) fn pairs(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(below) = node.get(key) else { return };
        let pairs = self.pair_nodes(below, "").0;
        if !pairs.is_empty() {
            out.insert(key.to_owned(), Node::new(Value::Map(pairs), &below.spot));
        }
    }

    /// Copies a mapping of options.
    pub(super) fn options(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(below) = node.get(key) else { return };
        let map: Map = below
            .entries()
            .map(|(key, value)| {
                (key.to_owned(), Node::text(scalar::print(&value.value).unwrap_or_default(), &value.spot))
            })
            .collect();
        if !map.is_empty() {
            out.insert(key.to_owned(), Node::new(Value::Map(map), &below.spot));
        }
    }

    /// Returns pairs: with `absent` for keys without a value, and those keys by themselves.
    pub(super) fn pair_nodes(&mut self, node: &Node, absent: &str) -> (Map, Vec<String>) {
        let mut pairs = Map::new();
        let mut without = Vec::new();
        for (key, value) in node.entries() {
            let text = scalar::print(&value.value);
            if text.is_none() {
                without.push(key.to_owned());
            }
            pairs.insert(key.to_owned(), Node::text(text.unwrap_or_else(|| absent.to_owned()), &value.spot));
        }
        for item in node.items() {
            let Some(text) = self.text(item) else { continue };
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, value),
                None => {
                    without.push(text.clone());
                    (text.as_str(), absent)
                }
            };
            if text.contains('=') {
                without.retain(|known| known != key);
            }
            pairs.insert(key.to_owned(), Node::text(value, &item.spot));
        }
        (pairs, without)
    }

    /// Returns pairs in which a key without a value stays without.
    pub(super) fn nullable_pairs(&mut self, node: &Node) -> Map {
        let (mut pairs, without) = self.pair_nodes(node, "");
        for key in without {
            if let Some(value) = pairs.get_mut(&key) {
                *value = nothing(&value.spot);
            }
        }
        pairs
    }
}
