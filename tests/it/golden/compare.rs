//! Comparing two answers: what must differ (identities, times, versions) is paired up, everything else must be equal.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

/// What stands in our answers for what stands in the recorded ones, learned while comparing.
pub(super) struct Pairs {
    uids: HashMap<String, String>,
    pub versions: HashMap<String, String>,
    pub tokens: HashMap<String, String>,
    uuid: Regex,
    time: Regex,
    age: Regex,
    number_in_text: Regex,
}

/// One place where the answers differ.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub path: String,
    pub real: String,
    pub ours: String,
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self {
            uids: HashMap::new(),
            versions: HashMap::new(),
            tokens: HashMap::new(),
            uuid: Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap(),
            time: Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$").unwrap(),
            age: Regex::new(r"^(\d+[smhdy]){1,2}$").unwrap(),
            number_in_text: Regex::new(r"(current: |in record \(|version: \d+ \()\d+").unwrap(),
        }
    }

    /// Returns a recorded text with what it says about identities replaced by what we said.
    pub(super) fn ours(&self, text: &str) -> String {
        self.uuid
            .replace_all(text, |found: &regex::Captures<'_>| {
                self.uids.get(&found[0]).cloned().unwrap_or_else(|| found[0].to_owned())
            })
            .into_owned()
    }

    /// Compares two documents; every difference becomes a line.
    pub(super) fn compare(&mut self, path: &str, real: &Value, ours: &Value, found: &mut Vec<Mismatch>) {
        match (real, ours) {
            (Value::Object(real_members), Value::Object(our_members)) => {
                for (name, real) in real_members {
                    let place = format!("{path}/{name}");
                    match our_members.get(name) {
                        Some(ours) if name == "verbs" => {
                            self.compare(&place, &sorted(real, verb_key), &sorted(ours, verb_key), found);
                        }
                        // Their order depends on which second of the clock a write fell into.
                        Some(ours) if name == "managedFields" => {
                            self.compare(&place, &sorted(real, manager_key), &sorted(ours, manager_key), found);
                        }
                        Some(ours) => self.compare(&place, real, ours, found),
                        // An empty continue token may be left out.
                        None if name == "continue" && real == "" => {}
                        None => found.push(mismatch(&place, real, &Value::from("(absent)"))),
                    }
                }
                for (name, ours) in our_members.iter().filter(|(name, _)| !real_members.contains_key(*name)) {
                    found.push(mismatch(&format!("{path}/{name}"), &Value::from("(absent)"), ours));
                }
            }
            (Value::Array(real_items), Value::Array(our_items)) => {
                for (index, (real, ours)) in real_items.iter().zip(our_items).enumerate() {
                    self.compare(&format!("{path}/{index}"), real, ours, found);
                }
                if real_items.len() != our_items.len() {
                    let lengths = (Value::from(real_items.len()), Value::from(our_items.len()));
                    found.push(mismatch(&format!("{path}/length"), &lengths.0, &lengths.1));
                }
            }
            (Value::String(real), Value::String(ours)) => self.compare_texts(path, real, ours, found),
            _ if real == ours => {}
            _ => found.push(mismatch(path, real, ours)),
        }
    }

    fn compare_texts(&mut self, path: &str, real: &str, ours: &str, found: &mut Vec<Mismatch>) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_pair = match name {
            "resourceVersion" => {
                let is_number = |text: &str| text.parse::<u64>().is_ok();
                self.versions.insert(real.to_owned(), ours.to_owned());
                is_number(real) && is_number(ours)
            }
            "continue" => {
                self.tokens.insert(real.to_owned(), ours.to_owned());
                real.is_empty() == ours.is_empty()
            }
            "uid" if self.is_uuid(real) && self.is_uuid(ours) => {
                let known = self.uids.entry(real.to_owned()).or_insert_with(|| ours.to_owned());
                known == ours
            }
            "serverAddress" => true,
            // The recording used short tokens and small numbers as identities.
            "token" => true,
            "name" if real.starts_with("gen-") => ours.starts_with("gen-") && real.len() == ours.len(),
            _ => {
                (self.time.is_match(real) && self.time.is_match(ours))
                    || (path.contains("/cells/") && self.age.is_match(real) && self.age.is_match(ours))
                    || self.masked(real) == self.masked(ours)
            }
        };
        if !is_pair {
            found.push(mismatch(path, &Value::from(real), &Value::from(ours)));
        }
    }

    fn is_uuid(&self, text: &str) -> bool {
        self.uuid.find(text).is_some_and(|found| found.len() == text.len())
    }

    fn masked(&self, text: &str) -> String {
        let text = self.uuid.replace_all(text, "<uid>");
        self.number_in_text.replace_all(&text, "${1}N").into_owned()
    }
}

fn sorted(list: &Value, key: fn(&Value) -> String) -> Value {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.sort_by_key(key);
    Value::Array(items)
}

fn verb_key(verb: &Value) -> String {
    verb.to_string()
}

fn manager_key(entry: &Value) -> String {
    let parts = ["operation", "manager", "subresource", "apiVersion"];
    parts.iter().map(|part| format!("{} ", entry[*part])).collect()
}

fn mismatch(path: &str, real: &Value, ours: &Value) -> Mismatch {
    let short = |value: &Value| value.to_string().chars().take(400).collect();
    Mismatch { path: path.to_owned(), real: short(real), ours: short(ours) }
}
