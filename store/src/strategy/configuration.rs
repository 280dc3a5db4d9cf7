//! Secrets and ConfigMaps: base64, write-only text, size, immutability.

use std::collections::BTreeMap;

use api_types::status::StatusCause;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::cause;

/// Most bytes of all values together.
const DATA_BYTES_MAX: usize = 1 << 20;
const KEY_BYTES_MAX: usize = 253;

/// Moves `stringData` into `data` and fills in the type.
pub(super) fn prepare_secret(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    if let Some(Value::Object(texts)) = object.remove("stringData") {
        let data = object.entry("data").or_insert_with(|| Value::Object(Map::new()));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let text = text.as_str().unwrap_or_default();
                data.insert(key, Value::String(STANDARD.encode(text)));
            }
        }
    }
    if object.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
        object.insert("type".to_owned(), Value::from("Opaque"));
    }
}

pub(super) fn validate_secret(value: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = validate_keys("data", &value["data"]);
    let mut bytes = 0;
    for (key, encoded) in value["data"].as_object().into_iter().flatten() {
        match STANDARD.decode(encoded.as_str().unwrap_or_default()) {
            Ok(decoded) => bytes += decoded.len(),
            Err(error) => causes.push(cause(
                "FieldValueInvalid",
                format!("data[{key}]"),
                format!("Invalid value: must be base64, or put the text into stringData: {error}"),
            )),
        }
    }
    if bytes > DATA_BYTES_MAX {
        causes.push(too_long("data"));
    }
    if let Some(old) = old {
        if value["type"] != old["type"] {
            causes.push(immutable("type", &value["type"], "field is immutable"));
        }
        causes.extend(frozen(value, old, &["data"]));
    }
    causes
}

pub(super) fn validate_config_map(value: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let mut causes = validate_keys("data", &value["data"]);
    causes.extend(validate_keys("binaryData", &value["binaryData"]));
    let lengths: BTreeMap<&str, usize> = ["data", "binaryData"]
        .into_iter()
        .flat_map(|field| value[field].as_object().into_iter().flatten())
        .map(|(key, text)| (key.as_str(), text.as_str().map_or(0, str::len)))
        .collect();
    if lengths.values().sum::<usize>() > DATA_BYTES_MAX {
        causes.push(too_long("[]"));
    }
    if let Some(old) = old {
        causes.extend(frozen(value, old, &["data", "binaryData"]));
    }
    causes
}

fn validate_keys(field: &str, data: &Value) -> Vec<StatusCause> {
    let is_good = |key: &str| {
        !key.is_empty()
            && key.len() <= KEY_BYTES_MAX
            && key != "."
            && !key.starts_with("..")
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let keys = data.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.filter(|key| !is_good(key))
        .map(|key| {
            cause(
                "FieldValueInvalid",
                format!("{field}[{key}]"),
                format!(
                    "Invalid value: \"{key}\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                ),
            )
        })
        .collect()
}

/// Once `immutable` is set neither it nor the data may change.
fn frozen(value: &Value, old: &Value, fields: &[&str]) -> Vec<StatusCause> {
    if old["immutable"] != true {
        return Vec::new();
    }
    let message = "field is immutable when `immutable` is set";
    let mut causes = Vec::new();
    if value["immutable"] != true {
        causes.push(cause("FieldValueForbidden", "immutable", format!("Forbidden: {message}")));
    }
    for field in fields {
        if value[*field] != old[*field] {
            causes.push(cause("FieldValueForbidden", *field, format!("Forbidden: {message}")));
        }
    }
    causes
}

fn immutable(field: &str, value: &Value, why: &str) -> StatusCause {
    cause("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"))
}

fn too_long(field: &str) -> StatusCause {
    cause("FieldValueTooLong", field, format!("Too long: may not be more than {DATA_BYTES_MAX} bytes"))
}
