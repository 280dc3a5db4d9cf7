//! Reading JSON strictly: every duplicate member is reported, depth and memory are bounded, errors read like Go's.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::go_json;
use super::path::Path;
use super::prune::COMPLAINTS_MAX;

/// Deepest nesting that [`decode_json`] reads. Walks over objects recurse, so this bounds their stack too.
pub const MAX_DEPTH: usize = 128;

/// Most memory that the values of one document may take, in bytes, beside their text. `{"":0}` costs a hundred times
/// its length, so the length alone bounds nothing.
pub const VALUE_BYTES_MAX: usize = 32 << 20;
/// What a map takes with its first members: one node of the tree behind it.
const MAP_BYTES: usize = 640;
const MAP_MEMBERS: usize = 11;
/// What each further member takes: nodes are at least half full.
const MEMBER_BYTES: usize = 108;
/// What an item of a list takes.
const ITEM_BYTES: usize = 32;

/// Why a document was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is no JSON, in Go's words.
    #[error("{0}")]
    Malformed(String),
    /// It has more values than fit into [`VALUE_BYTES_MAX`].
    #[error("it has too many maps, members and items: together they take more than {VALUE_BYTES_MAX} bytes")]
    TooLarge,
}

/// Returns a bound of what the values of a document will take, from a look at its bytes alone; never more than
/// [`VALUE_BYTES_MAX`], because decoding ends there.
#[must_use]
pub fn estimated_value_bytes(document: &[u8]) -> usize {
    let count = |wanted: u8| document.iter().filter(|byte| **byte == wanted).count();
    // Block style YAML has neither braces nor commas, but lines.
    let estimate = (MAP_BYTES * count(b'{')).saturating_add(MEMBER_BYTES * (count(b',') + count(b'\n')));
    estimate.min(VALUE_BYTES_MAX)
}

/// What is left of [`VALUE_BYTES_MAX`].
struct Budget {
    left: usize,
    is_spent: bool,
}

impl Budget {
    fn new() -> Self {
        Self { left: VALUE_BYTES_MAX, is_spent: false }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), &'static str> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_spent = true,
        }
        if self.is_spent { Err("too many values") } else { Ok(()) }
    }
}

fn member_bytes(members_before: usize) -> usize {
    if members_before < MAP_MEMBERS { 0 } else { MEMBER_BYTES }
}

/// A document and what was odd about it.
#[derive(Debug)]
pub struct Decoded {
    /// The document; of duplicate members the last one.
    pub value: Value,
    /// Paths of the first members that appeared more than once, as `spec.version`, in document order.
    pub duplicates: Vec<String>,
}

/// Reads one JSON document in a single pass. Integers stay integers.
///
/// # Errors
/// Says what is wrong in Go's words, to be put behind `couldn't get version/kind; json parse error: `; or that there
/// is too much of it.
pub fn decode_json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut duplicates = Vec::new();
    let mut budget = Budget::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Strict { path: Path::Root, duplicates: &mut duplicates, budget: &mut budget };
    let read = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) => Ok(Decoded { value, duplicates }),
        Err(_) if budget.is_spent => Err(DecodeError::TooLarge),
        Err(error) => Err(DecodeError::Malformed(go_json::explain(bytes).unwrap_or_else(|| {
            let text = error.to_string();
            if text.starts_with("recursion limit") { "exceeded max depth".to_owned() } else { text }
        }))),
    }
}

/// Whether the values of a document take more than [`VALUE_BYTES_MAX`]: patches can build what [`decode_json`] would
/// not read. Only for values that are not [`is_too_deep`].
#[must_use]
pub fn is_too_large(value: &Value) -> bool {
    fn spend(value: &Value, budget: &mut Budget) -> Result<(), &'static str> {
        match value {
            Value::Array(items) => {
                budget.spend(ITEM_BYTES * items.len())?;
                items.iter().try_for_each(|item| spend(item, budget))
            }
            Value::Object(members) => {
                budget.spend(MAP_BYTES + MEMBER_BYTES * members.len().saturating_sub(MAP_MEMBERS))?;
                members.values().try_for_each(|member| spend(member, budget))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }
    spend(value, &mut Budget::new()).is_err()
}

/// Whether a value nests deeper than [`MAX_DEPTH`]: patches can build what [`decode_json`] would not read.
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    is_deeper_than(value, MAX_DEPTH)
}

/// Whether a value nests deeper than `levels`. Recurses no further than that.
pub(crate) fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => true,
        Value::Array(items) => items.iter().any(|item| is_deeper_than(item, levels - 1)),
        Value::Object(members) => members.values().any(|member| is_deeper_than(member, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Builds a [`Value`] and remembers duplicates; the path lives on the stack and is written out only for them.
struct Strict<'walk> {
    path: Path<'walk>,
    duplicates: &'walk mut Vec<String>,
    budget: &'walk mut Budget,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = Path::Index(&self.path, items.len());
            let seed = Strict { path, duplicates: &mut *self.duplicates, budget: &mut *self.budget };
            match access.next_element_seed(seed)? {
                Some(item) => {
                    self.budget.spend(ITEM_BYTES).map_err(de::Error::custom)?;
                    items.push(item);
                }
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        self.budget.spend(MAP_BYTES).map_err(de::Error::custom)?;
        while let Some(name) = access.next_key::<String>()? {
            let path = Path::Member(&self.path, &name);
            let is_duplicate = members.contains_key(&name);
            if is_duplicate && self.duplicates.len() < COMPLAINTS_MAX {
                self.duplicates.push(path.to_string());
            }
            self.budget.spend(member_bytes(members.len())).map_err(de::Error::custom)?;
            let seed = Strict { path, duplicates: &mut *self.duplicates, budget: &mut *self.budget };
            let member = access.next_value_seed(seed)?;
            members.insert(name, member);
        }
        Ok(Value::Object(members))
    }
}
