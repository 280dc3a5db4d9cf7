//! Reading JSON strictly: every duplicate member is reported, depth is bounded, errors read like Go's.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::go_json;
use super::path::Path;

/// Deepest nesting that [`decode_json`] reads. Walks over objects recurse, so this bounds their stack too.
pub const MAX_DEPTH: usize = 128;

/// A document and what was odd about it.
#[derive(Debug)]
pub struct Decoded {
    /// The document; of duplicate members the last one.
    pub value: Value,
    /// Paths of members that appeared more than once, as `spec.version`, in document order.
    pub duplicates: Vec<String>,
}

/// Reads one JSON document in a single pass. Integers stay integers.
///
/// # Errors
/// Says what is wrong in Go's words, to be put behind `couldn't get version/kind; json parse error: `.
pub fn decode_json(bytes: &[u8]) -> Result<Decoded, String> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Strict { path: Path::Root, duplicates: &mut duplicates };
    let read = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) => Ok(Decoded { value, duplicates }),
        Err(error) => Err(go_json::explain(bytes).unwrap_or_else(|| {
            let text = error.to_string();
            if text.starts_with("recursion limit") { "exceeded max depth".to_owned() } else { text }
        })),
    }
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
            match access.next_element_seed(Strict { path, duplicates: &mut *self.duplicates })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let path = Path::Member(&self.path, &name);
            let is_duplicate = members.contains_key(&name);
            if is_duplicate {
                self.duplicates.push(path.to_string());
            }
            let member = access.next_value_seed(Strict { path, duplicates: &mut *self.duplicates })?;
            members.insert(name, member);
        }
        Ok(Value::Object(members))
    }
}
