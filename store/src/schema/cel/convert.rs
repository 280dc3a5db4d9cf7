//! JSON to CEL values, typed by the schema, with field names escaped the way Kubernetes escapes them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api_types::schema::SchemaType;
use base64::Engine as _;
use kube_cel::cel::Value as CelValue;
use kube_cel::cel::functions;
use kube_cel::cel::objects::{Key, Map as CelMap};
use serde_json::{Map, Value};

use super::super::formats::Format;
use super::super::node::{Additional, Node};

/// Words that CEL keeps for itself; a field of that name is written `__word__`.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Returns the name under which a rule reaches the field `name`.
pub(in crate::schema) fn escape(name: &str) -> Cow<'_, str> {
    if RESERVED.contains(&name) {
        return Cow::Owned(format!("__{name}__"));
    }
    if !name.contains("__") && !name.contains(['.', '-', '/']) {
        return Cow::Borrowed(name);
    }
    let escaped = name
        .replace("__", "\u{0}")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
        .replace('\u{0}', "__underscores__");
    Cow::Owned(escaped)
}

/// Converts `value`, of an object only the members that `reads` names (by their escaped names).
pub(super) fn to_cel_partly(node: &Node, value: &Value, is_object: bool, reads: Reads<'_>) -> CelValue {
    match (value, reads) {
        (Value::Object(members), Reads::Members(_)) => object(Some(node), members, is_object || node.embedded, reads),
        _ => to_cel(Some(node), value, is_object),
    }
}

/// What rules read of the part that they stand at.
#[derive(Clone, Copy)]
pub(super) enum Reads<'rules> {
    /// The whole value.
    All,
    /// Some members.
    Members(&'rules BTreeSet<String>),
}

impl Reads<'_> {
    fn include(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Members(members) => members.contains(name),
        }
    }
}

/// Converts `value`; `node` is its schema, where there is one. `is_object`: it has `apiVersion`, `kind`, `metadata`.
fn to_cel(node: Option<&Node>, value: &Value, is_object: bool) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(boolean) => CelValue::Bool(*boolean),
        Value::Number(number) => {
            let is_float = node.is_some_and(|node| node.kind == Some(SchemaType::Number));
            match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) if !is_float => CelValue::Int(integer),
                (_, Some(float)) => whole(node, float),
                _ => CelValue::Null,
            }
        }
        Value::String(text) => string(node, text),
        Value::Array(items) => {
            let schema = node.and_then(|node| node.items.as_deref());
            CelValue::List(Arc::new(items.iter().map(|item| to_cel(schema, item, false)).collect()))
        }
        Value::Object(members) => {
            object(node, members, is_object || node.is_some_and(|node| node.embedded), Reads::All)
        }
    }
}

/// `1.0` in an integer field is the integer 1.
fn whole(node: Option<&Node>, float: f64) -> CelValue {
    let is_integer = node.is_some_and(|node| node.kind == Some(SchemaType::Integer));
    if is_integer && float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "the line above proves that it fits")]
        return CelValue::Int(float as i64);
    }
    CelValue::Float(float)
}

fn string(node: Option<&Node>, text: &str) -> CelValue {
    let plain = || CelValue::String(Arc::new(text.to_owned()));
    match node.and_then(|node| node.strings.as_ref()?.format) {
        Some(Format::DateTime) => functions::timestamp(Arc::new(text.to_owned())).unwrap_or_else(|_| plain()),
        Some(Format::Duration) => functions::duration(Arc::new(text.to_owned())).unwrap_or_else(|_| plain()),
        Some(Format::Byte) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_or_else(|_| plain(), |bytes| CelValue::Bytes(Arc::new(bytes))),
        _ => plain(),
    }
}

fn object(node: Option<&Node>, members: &Map<String, Value>, is_object: bool, reads: Reads<'_>) -> CelValue {
    let mut map = HashMap::new();
    // Keys of a map are data and stay as they are; field names are identifiers.
    let is_map = node.is_none_or(|node| !matches!(node.additional, Additional::Unspecified));
    for (name, member) in members {
        let key = if is_map { Cow::Borrowed(name.as_str()) } else { escape(name) };
        if !reads.include(&key) {
            continue;
        }
        let converted = if is_object && name == "metadata" {
            metadata(member)
        } else {
            to_cel(node.and_then(|node| node.member(name)), member, false)
        };
        map.insert(Key::String(Arc::new(key.into_owned())), converted);
    }
    CelValue::Map(CelMap { map: Arc::new(map) })
}

/// Of metadata, rules see the names only: everything else may change without the rules being asked.
fn metadata(value: &Value) -> CelValue {
    let mut map = HashMap::new();
    for name in ["name", "generateName"] {
        if let Some(Value::String(text)) = value.get(name) {
            map.insert(Key::String(Arc::new(name.to_owned())), CelValue::String(Arc::new(text.clone())));
        }
    }
    CelValue::Map(CelMap { map: Arc::new(map) })
}
