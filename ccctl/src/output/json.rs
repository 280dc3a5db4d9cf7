//! JSON as kubectl writes it: indented by four spaces.

use serde::Serialize as _;
use serde_json::Value;

/// Returns a value as indented JSON with a line end.
///
/// # Panics
/// Never: values can always be written to memory.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).expect("values can always be written to memory");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}
