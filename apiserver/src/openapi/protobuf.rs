//! OpenAPI version 2 in protobuf: what kubectl before 1.30 asks for and reads in no other form.
//!
//! The JSON document is written again by the field numbers of `openapi.v2.Document`, those parts of it that clients
//! read: the definitions, and for each kind the operations with their parameters.

use serde_json::Value;

#[cfg(test)]
mod tests;

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn bytes(&mut self, number: u64, content: &[u8]) {
        self.varint(number << 3 | 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
    }

    /// Writes a text that is there.
    fn text(&mut self, number: u64, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u64, values: &Value) {
        values.as_array().into_iter().flatten().for_each(|value| self.text(number, value));
    }

    fn message(&mut self, number: u64, message: &Self) {
        self.bytes(number, &message.0);
    }

    fn flag(&mut self, number: u64, value: &Value) {
        if value.as_bool() == Some(true) {
            self.varint(number << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, number: u64, value: &Value) {
        if let Some(integer) = value.as_i64().filter(|integer| *integer != 0) {
            self.varint(number << 3);
            self.varint(integer.cast_unsigned());
        }
    }

    fn double(&mut self, number: u64, value: &Value) {
        if let Some(double) = value.as_f64().filter(|double| *double != 0.0) {
            self.varint(number << 3 | 1);
            self.0.extend_from_slice(&double.to_le_bytes());
        }
    }

    /// Writes `openapi.v2.Any`: the value as YAML, of which JSON is a part.
    fn any(&mut self, number: u64, value: &Value) {
        let mut any = Self::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(number, &any);
    }

    /// Writes a pair of a name and a message.
    fn named(&mut self, number: u64, name: &str, message: &Self) {
        let mut pair = Self::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, message);
        self.message(number, &pair);
    }

    /// Writes every member that begins with `x-`.
    fn extensions(&mut self, number: u64, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
            let mut any = Self::default();
            any.bytes(2, value.to_string().as_bytes());
            self.named(number, name, &any);
        }
    }
}

/// Returns the document, given as JSON, in protobuf.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut encoded = Message::default();
    encoded.text(1, &document["swagger"]);
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    encoded.message(2, &info);
    let mut paths = Message::default();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        paths.named(2, path, &path_item(item));
    }
    encoded.message(8, &paths);
    let mut definitions = Message::default();
    for (name, definition) in document["definitions"].as_object().into_iter().flatten() {
        definitions.named(1, name, &schema(definition));
    }
    encoded.message(9, &definitions);
    encoded.0
}

fn path_item(item: &Value) -> Message {
    let mut encoded = Message::default();
    for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if item[method].is_object() {
            encoded.message(number, &operation(&item[method]));
        }
    }
    encoded
}

fn operation(operation: &Value) -> Message {
    let mut encoded = Message::default();
    encoded.text(3, &operation["description"]);
    encoded.texts(7, &operation["consumes"]);
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        // ParametersItem { Parameter { NonBodyParameter { QueryParameterSubSchema } } }
        let mut query = Message::default();
        query.text(2, &parameter["in"]);
        query.text(4, &parameter["name"]);
        query.text(6, &parameter["type"]);
        let (mut other, mut wrapped, mut outer) = (Message::default(), Message::default(), Message::default());
        other.message(3, &query);
        wrapped.message(2, &other);
        outer.message(1, &wrapped);
        encoded.message(8, &outer);
    }
    encoded.extensions(13, operation);
    encoded
}

fn schema(schema_: &Value) -> Message {
    let mut encoded = Message::default();
    for (name, value) in schema_.as_object().into_iter().flatten() {
        match name.as_str() {
            "$ref" => encoded.text(1, value),
            "format" => encoded.text(2, value),
            "title" => encoded.text(3, value),
            "description" => encoded.text(4, value),
            "default" => encoded.any(5, value),
            "multipleOf" => encoded.double(6, value),
            "maximum" => encoded.double(7, value),
            "exclusiveMaximum" => encoded.flag(8, value),
            "minimum" => encoded.double(9, value),
            "exclusiveMinimum" => encoded.flag(10, value),
            "maxLength" => encoded.integer(11, value),
            "minLength" => encoded.integer(12, value),
            "pattern" => encoded.text(13, value),
            "maxItems" => encoded.integer(14, value),
            "minItems" => encoded.integer(15, value),
            "uniqueItems" => encoded.flag(16, value),
            "maxProperties" => encoded.integer(17, value),
            "minProperties" => encoded.integer(18, value),
            "required" => encoded.texts(19, value),
            "enum" => value.as_array().into_iter().flatten().for_each(|value| encoded.any(20, value)),
            "additionalProperties" => {
                let mut item = Message::default();
                match value {
                    Value::Object(_) => item.message(1, &schema(value)),
                    _ => item.flag(2, value),
                }
                encoded.message(21, &item);
            }
            "type" => {
                let mut item = Message::default();
                item.text(1, value);
                encoded.message(22, &item);
            }
            "items" => {
                let mut item = Message::default();
                item.message(1, &schema(value));
                encoded.message(23, &item);
            }
            // Readers of version 2 follow references only where they stand alone.
            "allOf" if value.as_array().is_some_and(|parts| parts.len() == 1) && value[0]["$ref"].is_string() => {
                encoded.text(1, &value[0]["$ref"]);
            }
            "allOf" => value.as_array().into_iter().flatten().for_each(|part| encoded.message(24, &schema(part))),
            "properties" => {
                let mut properties = Message::default();
                for (name, property) in value.as_object().into_iter().flatten() {
                    properties.named(1, name, &schema(property));
                }
                encoded.message(25, &properties);
            }
            _ => {}
        }
    }
    encoded.extensions(31, schema_);
    encoded
}
