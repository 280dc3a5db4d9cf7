//! Turns a Rust type into a structural schema: no references, no `null` beside a type, only what Kubernetes knows.
//!
//! The type's serde and schemars attributes are the contract. Doc comments become descriptions; defaults are those
//! that serde fills in, but for empty ones, which say nothing.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::schema::Schema;

#[cfg(test)]
mod tests;

/// Why a type has no structural schema; a mistake in the type's attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct StructuralError {
    /// Where in the schema, as `spec.triggers[]`.
    pub path: String,
    /// What cannot be expressed.
    pub message: String,
}

/// Keywords that [`Schema`] has, under the names of JSON.
const KEYWORDS: [&str; 31] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// Formats that say more than the type; `uint32` and its like are Rust's own.
const FORMATS: [&str; 6] = ["int32", "int64", "double", "date-time", "byte", "float"];

/// Returns the structural schema of a type.
///
/// # Errors
/// Types that need what structural schemas do not have: references (types within themselves), choices between types,
/// tuples.
pub fn structural<T: JsonSchema>() -> Result<Schema, StructuralError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    convert(&mut value, "")?;
    serde_json::from_value(value).map_err(|error| StructuralError { path: String::new(), message: error.to_string() })
}

fn convert(value: &mut Value, path: &str) -> Result<(), StructuralError> {
    let fail = |message: String| Err(StructuralError { path: path.to_owned(), message });
    if *value == Value::Bool(true) {
        *value = json!({"x-kubernetes-preserve-unknown-fields": true});
        return Ok(());
    }
    let Some(node) = value.as_object_mut() else { return fail(format!("{value} is no schema")) };
    for keyword in ["$schema", "$defs", "title"] {
        node.remove(keyword);
    }
    if node.contains_key("$ref") {
        return fail("a type may not contain itself".to_owned());
    }
    take_null_away(node);
    join_words(node);
    if let Some(constant) = node.remove("const") {
        node.insert("enum".to_owned(), json!([constant]));
    }
    if node.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
        node.remove("format");
    }
    if node.get("additionalProperties") == Some(&Value::Bool(false)) {
        node.remove("additionalProperties");
    }
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = unwrapped(description);
    }
    whole_bounds(node);
    drop_defaults(node);
    let says_what = ["type", "enum", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    if !says_what.iter().any(|keyword| node.contains_key(*keyword)) {
        node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
    if let Some(unknown) = node.keys().find(|key| !is_known(key)) {
        return fail(format!("the keyword {unknown} cannot be expressed"));
    }
    descend(node, path)
}

fn is_known(keyword: &str) -> bool {
    KEYWORDS.contains(&keyword)
        || ["x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"]
            .contains(&keyword)
}

fn descend(node: &mut Map<String, Value>, path: &str) -> Result<(), StructuralError> {
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        for (name, property) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            convert(property, &format!("{path}{dot}{name}"))?;
        }
    }
    if let Some(items) = node.get_mut("items") {
        convert(items, &format!("{path}[]"))?;
    }
    if let Some(members) = node.get_mut("additionalProperties").filter(|members| !members.is_boolean()) {
        convert(members, &format!("{path}{{}}"))?;
    }
    Ok(())
}

/// An absent field says what `null` would: `Option` needs no `null`.
fn take_null_away(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|type_| type_ != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            node.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(words)) = node.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(choices)) = node.get_mut(keyword) else { continue };
        choices.retain(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
        if let [Value::Object(one)] = choices.as_slice() {
            let mut one = one.clone();
            node.remove(keyword);
            // What the field says about itself wins over what its type says.
            one.append(node);
            *node = one;
        }
    }
}

/// Makes one `enum` of a choice between constants, and tells what each means in the description.
fn join_words(node: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = node.get("oneOf") else { return };
    let mut words = Vec::new();
    let mut lines = Vec::new();
    for choice in choices {
        match (choice.get("const"), choice.get("enum").and_then(Value::as_array)) {
            (Some(word), _) => words.push(word.clone()),
            (None, Some(several)) => words.extend(several.iter().cloned()),
            (None, None) => return,
        }
        if let (Some(word), Some(meaning)) =
            (choice.get("const").and_then(Value::as_str), choice.get("description").and_then(Value::as_str))
        {
            lines.push(format!("`{word}`: {}", unwrapped(meaning)));
        }
    }
    node.remove("oneOf");
    node.insert("type".to_owned(), Value::from("string"));
    node.insert("enum".to_owned(), Value::Array(words));
    let description = node.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    lines.insert(0, description);
    node.insert("description".to_owned(), Value::from(lines.join("\n\n").trim()));
}

/// Bounds of integers have no fraction.
fn whole_bounds(node: &mut Map<String, Value>) {
    for keyword in ["minimum", "maximum"] {
        if let Some(bound) = node.get_mut(keyword)
            && let Some(number) = bound.as_f64()
            && number.fract() == 0.0
            && number.abs() < 9e15
        {
            *bound = Value::from(number as i64);
        }
    }
}

/// A default that is empty says nothing, and what is required has none.
fn drop_defaults(node: &mut Map<String, Value>) {
    let is_empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0s",
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    };
    let required = node.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        for (name, property) in properties {
            let is_required = required.iter().any(|required| required == name);
            if let Some(property) = property.as_object_mut()
                && property.get("default").is_some_and(|default| is_required || is_empty(default))
            {
                property.remove("default");
            }
        }
    }
    node.remove("required")
        .filter(|_| !required.is_empty())
        .map(|required| node.insert("required".to_owned(), required));
}

/// Lines of one paragraph become one line.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
