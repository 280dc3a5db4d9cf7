//! Protobuf request bodies of Kubernetes' own kinds, which current kubectl and client-go send and nothing else.
//!
//! A body is decoded straight into the JSON that the same client would have sent, by tables of field numbers
//! ([`tables`]). The generated types of all of Kubernetes would be a hundred times larger, and would still need a
//! mapping to JSON for each kind.

mod tables;
#[cfg(test)]
mod tests;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use tables::{Kind, Message, TYPES};
use wire::{Field, Reader};

/// What every body begins with.
const MAGIC: &[u8; 4] = b"k8s\0";
/// Deepest nesting that is read; the messages of the tables need eight.
const DEPTH_MAX: usize = 16;
/// Most messages in one body, maps' entries among them: each becomes a map a hundred times its size.
const MESSAGES_MAX: usize = 50_000;

/// Decodes a whole body: the envelope and the object in it.
///
/// # Errors
/// What is wrong with the bytes, or that the kind is not one that is read as protobuf.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let Some(envelope) = bytes.strip_prefix(MAGIC) else {
        return Err("it does not begin with the four bytes \"k8s\\0\"".to_owned());
    };
    let (mut api_version, mut kind, mut raw): (String, String, &[u8]) = Default::default();
    let mut reader = Reader::new(envelope);
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (1, Field::Bytes(type_meta)) => (api_version, kind) = read_type(type_meta)?,
            (2, Field::Bytes(object)) => raw = object,
            (3, Field::Bytes(encoding)) if !encoding.is_empty() => {
                return Err("compressed bodies are not read".to_owned());
            }
            _ => {}
        }
    }
    let found =
        TYPES.iter().find(|(version, name, _)| *name == kind && (version.is_empty() || *version == api_version));
    let Some((_, _, message)) = found else {
        return Err(format!("{kind:?} of {api_version:?} is not read as protobuf; send it as application/json"));
    };
    let mut object = Decoder { messages_left: MESSAGES_MAX }.message(raw, message, 0)?;
    object.insert("kind".to_owned(), Value::String(kind));
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    Ok(Value::Object(object))
}

fn read_type(bytes: &[u8]) -> Result<(String, String), String> {
    let (mut api_version, mut kind) = (String::new(), String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (1, Field::Bytes(text)) => api_version = utf8(text)?,
            (2, Field::Bytes(text)) => kind = utf8(text)?,
            _ => {}
        }
    }
    Ok((api_version, kind))
}

/// Reads the objects of one body.
struct Decoder {
    messages_left: usize,
}

impl Decoder {
    /// Decodes one message. Fields that the table does not know are left out, as protobuf asks.
    fn message(&mut self, bytes: &[u8], message: &Message, depth: usize) -> Result<Map<String, Value>, String> {
        if depth == DEPTH_MAX {
            return Err("it is nested too deeply".to_owned());
        }
        self.messages_left = self.messages_left.checked_sub(1).ok_or("it has too many parts")?;
        let mut object = Map::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            let Some((_, name, kind)) = message.iter().find(|(known, _, _)| *known == number) else { continue };
            let place = |error: String| format!("{name}: {error}");
            match kind {
                Kind::List(item) => {
                    let item = self.value(&field, item, depth).map_err(place)?.unwrap_or_else(|| empty(item));
                    let list = object.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(items) = list {
                        items.push(item);
                    }
                }
                Kind::Map(value) => {
                    let (key, value) = self.entry(&field, value, depth).map_err(place)?;
                    let map = object.entry(*name).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(members) = map {
                        members.insert(key, value);
                    }
                }
                scalar => {
                    if let Some(value) = self.value(&field, scalar, depth).map_err(place)? {
                        object.insert((*name).to_owned(), value);
                    }
                }
            }
        }
        Ok(object)
    }

    /// Decodes one value; `None` for one that Go writes although it is not set.
    fn value(&mut self, field: &Field<'_>, kind: &Kind, depth: usize) -> Result<Option<Value>, String> {
        Ok(match (kind, field) {
            (Kind::Text, Field::Bytes(text)) => Some(Value::String(utf8(text)?)).filter(|text| text != ""),
            (Kind::Pointer(inner), field) => Some(match (inner, field) {
                (Kind::Text, Field::Bytes(text)) => Value::String(utf8(text)?),
                (Kind::Integer, Field::Varint(number)) => integer(*number),
                (Kind::Bool, Field::Varint(number)) => Value::Bool(*number != 0),
                _ => return Err("it has another wire type than its kind has".to_owned()),
            }),
            (Kind::Integer, Field::Varint(number)) => (*number != 0).then(|| integer(*number)),
            (Kind::Bool, Field::Varint(number)) => (*number != 0).then_some(Value::Bool(true)),
            (Kind::Bytes, Field::Bytes(bytes)) => Some(Value::String(STANDARD.encode(bytes))),
            (Kind::Json, Field::Bytes(bytes)) => json(bytes)?,
            (Kind::Time, Field::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
            (Kind::MicroTime, Field::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
            (Kind::Message(message), Field::Bytes(bytes)) => {
                Some(Value::Object(self.message(bytes, message, depth + 1)?))
            }
            (Kind::Texts, Field::Bytes(bytes)) => {
                let mut items = Vec::new();
                let mut reader = Reader::new(bytes);
                while let Some((number, field)) = reader.next()? {
                    if let (1, Field::Bytes(text)) = (number, field) {
                        items.push(Value::String(utf8(text)?));
                    }
                }
                Some(Value::Array(items))
            }
            _ => return Err("it has another wire type than its kind has".to_owned()),
        })
    }

    fn entry(&mut self, field: &Field<'_>, kind: &Kind, depth: usize) -> Result<(String, Value), String> {
        self.messages_left = self.messages_left.checked_sub(1).ok_or("it has too many parts")?;
        let Field::Bytes(bytes) = field else { return Err("a map entry is no message".to_owned()) };
        let (mut key, mut value) = (String::new(), empty(kind));
        let mut reader = Reader::new(bytes);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => match field {
                    Field::Bytes(text) => key = utf8(text)?,
                    _ => return Err("a map key is no text".to_owned()),
                },
                2 => value = self.value(&field, kind, depth)?.unwrap_or_else(|| empty(kind)),
                _ => {}
            }
        }
        Ok((key, value))
    }
}

fn empty(kind: &Kind) -> Value {
    match kind {
        Kind::Texts => Value::Array(Vec::new()),
        _ => Value::String(String::new()),
    }
}

/// Seconds and nanoseconds since 1970; nothing at all is no moment.
fn time(bytes: &[u8], format: &str) -> Result<Option<Value>, String> {
    let (mut seconds, mut nanoseconds) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (1, Field::Varint(value)) => seconds = Some(value.cast_signed()),
            (2, Field::Varint(value)) => {
                nanoseconds = i32::try_from(value.cast_signed()).map_err(|error| error.to_string())?;
            }
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(None) };
    let moment = Timestamp::new(seconds, nanoseconds).map_err(|error| error.to_string())?;
    Ok(Some(Value::String(moment.strftime(format).to_string())))
}

/// A message with one field that holds JSON.
fn json(bytes: &[u8]) -> Result<Option<Value>, String> {
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        if let (1, Field::Bytes(json)) = (number, field) {
            return serde_json::from_slice(json).map(Some).map_err(|error| error.to_string());
        }
    }
    Ok(None)
}

fn integer(number: u64) -> Value {
    Value::Number(Number::from(number.cast_signed()))
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "text is not UTF-8".to_owned())
}
