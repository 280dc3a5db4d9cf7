//! JSON without members that occur twice: which of the two was meant nobody knows.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Document, ManifestError};

/// A JSON value each of whose members occurs once.
struct Unique(Value);

/// Reads JSON values that stand one after another.
pub(super) fn documents(text: &str, documents_max: usize) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Unique>();
    loop {
        let offset = stream.byte_offset();
        let Some(value) = stream.next() else { return Ok(documents) };
        let Unique(object) = value.map_err(|error| ManifestError {
            line: error.line() as u64,
            column: error.column() as u64,
            message: error.to_string(),
        })?;
        if documents.len() >= documents_max {
            let message = format!("there are more than {documents_max} objects");
            return Err(ManifestError { line: 0, column: 0, message });
        }
        let spaces = text[offset..].len() - text[offset..].trim_start().len();
        let line = text[..offset + spaces].bytes().filter(|byte| *byte == b'\n').count() as u64 + 1;
        documents.push(Document { line, object });
    }
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            found.push(item);
        }
        Ok(Value::Array(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut found = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if found.contains_key(&name) {
                return Err(A::Error::custom(format!("the member {name:?} occurs twice")));
            }
            let Unique(value) = members.next_value()?;
            found.insert(name, value);
        }
        Ok(Value::Object(found))
    }
}
