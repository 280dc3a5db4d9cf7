//! What becomes of a Secret that names a file of sops. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::runtime::events::EventKind;
use crate::runtime::objects::StoredObject;

/// The file that the values come from, on the machine that ccd runs on.
pub(super) const FILE: &str = "ci.coopcloud.tech/sops-file";
/// Which part of it: keys joined by dots. Absent: the top.
pub(super) const PATH: &str = "ci.coopcloud.tech/sops-path";
/// What became of it; written by ccd.
pub(super) const STATE: &str = "ci.coopcloud.tech/sops-state";
/// Most characters of the state.
const STATE_CHARACTERS_MAX: usize = 1024;

/// What a Secret asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub file: String,
    pub path: String,
}

/// What is written, and what is told about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub value: Value,
    pub kind: EventKind,
    /// A sentence.
    pub message: String,
}

impl Wanted {
    /// Returns what a Secret asks for; `None` when it comes from no file.
    pub(super) fn of(secret: &StoredObject) -> Option<Self> {
        let annotations = &secret.value["metadata"]["annotations"];
        let text = |name: &str| annotations[name].as_str().map(str::to_owned);
        Some(Self { file: text(FILE)?, path: text(PATH).unwrap_or_default() })
    }

    fn place(&self) -> String {
        match self.path.as_str() {
            "" => format!("the top of {}", self.file),
            path => format!("{path} in {}", self.file),
        }
    }
}

/// Decides what to write; `None` when all is as it should be, or told already. `found` holds the values, or what is wrong:
/// lower case, no full stop. What is wrong never takes the place of what was good.
pub(super) fn decide(
    secret: &StoredObject,
    wanted: &Wanted,
    found: Result<BTreeMap<String, String>, String>,
) -> Option<Change> {
    let found = found.and_then(|values| usable(wanted, values));
    let mut value = secret.value.clone();
    let before = value["metadata"]["annotations"][STATE].as_str().map(str::to_owned);
    let (state, kind, message, is_changed) = match found {
        Ok(values) => {
            let data: Map<String, Value> =
                values.iter().map(|(key, text)| (key.clone(), json!(STANDARD.encode(text)))).collect();
            let is_changed = secret.value["data"].as_object() != Some(&data);
            let keys: Vec<&str> = values.keys().map(String::as_str).collect();
            let message = format!("The values are those at {}: {}.", wanted.place(), keys.join(", "));
            value["data"] = Value::Object(data);
            ("Read".to_owned(), EventKind::Normal, message, is_changed)
        }
        Err(why) => {
            let message = format!("The values stay as they were: {why}.");
            (format!("Failed: {why}"), EventKind::Warning, message, false)
        }
    };
    let state: String = state.chars().take(STATE_CHARACTERS_MAX).collect();
    if !is_changed && before.as_ref() == Some(&state) {
        return None;
    }
    value["metadata"]["annotations"][STATE] = json!(state);
    Some(Change { value, kind, message })
}

fn usable(wanted: &Wanted, values: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    if values.is_empty() {
        return Err(format!("there are no values at {}: correct the annotation {PATH}", wanted.place()));
    }
    let is_key = |key: &String| {
        (1..=253).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match values.keys().find(|key| !is_key(key)) {
        Some(key) => Err(format!(
            "the key {key:?} at {} cannot be one of a Secret: use letters, digits, '-', '_' and '.'",
            wanted.place()
        )),
        None => Ok(values),
    }
}
