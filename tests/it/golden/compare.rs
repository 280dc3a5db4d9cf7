//! Comparing two answers: what must differ (identities, times, versions) is paired up, everything else must be equal.

use std::collections::{BTreeMap, HashMap, HashSet};

use regex::Regex;
use serde_json::{Map, Value, json};

/// What stands in our answers for what stands in the recorded ones, learned while comparing.
pub(super) struct Pairs {
    uids: HashMap<String, String>,
    versions: BTreeMap<u64, Version>,
    pub tokens: HashMap<String, String>,
    uuid: Regex,
    time: Regex,
    age: Regex,
    number_in_text: Regex,
    hash: Regex,
}

/// What stands in our answers for a recorded version.
#[derive(Clone, Copy)]
struct Version {
    ours: u64,
    /// Whether some object carries it: then a write of its own made it, and whatever is older has another one. The
    /// version of a list is only how far the server has come, and the real one comes further with what it writes for
    /// itself.
    is_of_object: bool,
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
            versions: BTreeMap::new(),
            tokens: HashMap::new(),
            uuid: Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap(),
            time: Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$").unwrap(),
            age: Regex::new(r"^(\d+[smhdy]){1,2}$").unwrap(),
            number_in_text: Regex::new(r"(current: |in record \(|version: \d+ \()\d+").unwrap(),
            hash: Regex::new(r"\?hash=[0-9A-F]+$").unwrap(),
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

    /// Returns our version for a recorded one.
    pub(super) fn version(&self, real: u64) -> Option<u64> {
        self.versions.get(&real).map(|version| version.ours)
    }

    /// Compares two documents; every difference becomes a line.
    pub(super) fn compare(&mut self, path: &str, real: &Value, ours: &Value, found: &mut Vec<Mismatch>) {
        match (real, ours) {
            (Value::Object(real_members), Value::Object(our_members)) => {
                self.compare_versions(path, real, ours, found);
                self.compare_members(path, real_members, our_members, found);
            }
            (Value::Array(real_items), Value::Array(our_items)) => {
                self.compare_items(path, real_items, our_items, found);
            }
            (Value::String(real), Value::String(ours)) => self.compare_texts(path, real, ours, found),
            _ if real == ours => {}
            _ => found.push(mismatch(path, real, ours)),
        }
    }

    fn compare_members(
        &mut self,
        path: &str,
        real_members: &Map<String, Value>,
        our_members: &Map<String, Value>,
        found: &mut Vec<Mismatch>,
    ) {
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
                None if is_index(path) => found.push(mismatch(&format!("{path}/real only: {name}"), real, &absent())),
                None => found.push(mismatch(&place, real, &absent())),
            }
        }
        for (name, ours) in our_members.iter().filter(|(name, _)| !real_members.contains_key(*name)) {
            let place = if is_index(path) { format!("{path}/ours only: {name}") } else { format!("{path}/{name}") };
            found.push(mismatch(&place, &absent(), ours));
        }
    }

    /// Compares lists: items that have names by their names, so that one that is missing leaves the others alone, and
    /// all others by their places.
    fn compare_items(&mut self, path: &str, real_items: &[Value], our_items: &[Value], found: &mut Vec<Mismatch>) {
        if let (Some(real_names), Some(our_names)) = (names(path, real_items), names(path, our_items)) {
            for (name, real) in real_names.iter().zip(real_items) {
                match our_names.iter().position(|candidate| candidate == name) {
                    Some(index) => self.compare(&format!("{path}/{name}"), real, &our_items[index], found),
                    None => found.push(mismatch(&format!("{path}/real only: {name}"), real, &absent())),
                }
            }
            for (name, ours) in our_names.iter().zip(our_items).filter(|(name, _)| !real_names.contains(name)) {
                found.push(mismatch(&format!("{path}/ours only: {name}"), &absent(), ours));
            }
            let real_order: Vec<&String> = real_names.iter().filter(|name| our_names.contains(name)).collect();
            let our_order: Vec<&String> = our_names.iter().filter(|name| real_names.contains(name)).collect();
            if real_order != our_order {
                found.push(mismatch(&format!("{path}/order"), &json!(real_order), &json!(our_order)));
            }
            return;
        }
        for (index, (real, ours)) in real_items.iter().zip(our_items).enumerate() {
            self.compare(&format!("{path}/{index}"), real, ours, found);
        }
        if real_items.len() != our_items.len() {
            found.push(mismatch(&format!("{path}/length"), &json!(real_items.len()), &json!(our_items.len())));
        }
    }

    /// Compares the versions of two objects or lists: the same recorded version is always the same one of ours, and
    /// what is newer there is newer here.
    fn compare_versions(&mut self, path: &str, real: &Value, ours: &Value, found: &mut Vec<Mismatch>) {
        let number = |object: &Value| object["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok();
        let (Some(real_version), Some(our_version)) = (number(real), number(ours)) else { return };
        let is_of_object = real["metadata"]["name"].is_string();
        let place = format!("{path}/metadata/resourceVersion/order");
        let mut differ = |relation: &str, other: u64, our_other: u64| {
            let real = format!("{real_version} is {relation} {other}");
            found.push(mismatch(&place, &json!(real), &json!(format!("{our_version} beside {our_other}"))));
        };
        if let Some(known) = self.versions.get_mut(&real_version) {
            known.is_of_object |= is_of_object;
            if known.ours != our_version {
                differ("the same as before:", real_version, known.ours);
            }
            return;
        }
        if let Some((other, older)) = self.versions.range(..real_version).next_back()
            && (older.ours > our_version || (is_of_object && older.ours == our_version))
        {
            differ("newer than", *other, older.ours);
        }
        if let Some((other, newer)) = self.versions.range(real_version..).next()
            && (newer.ours < our_version || (newer.is_of_object && newer.ours == our_version))
        {
            differ("older than", *other, newer.ours);
        }
        self.versions.insert(real_version, Version { ours: our_version, is_of_object });
    }

    fn compare_texts(&mut self, path: &str, real: &str, ours: &str, found: &mut Vec<Mismatch>) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_pair = match name {
            // How they stand to each other is compared where the whole object is.
            "resourceVersion" => {
                let is_number = |text: &str| text.parse::<u64>().is_ok();
                real == ours || (is_number(real) && is_number(ours))
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
            // Of its own kinds the real server leaves out there what stands above it anyway.
            "group" | "version" if real.is_empty() && !ours.is_empty() && path.contains("/responseKind/") => true,
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
        let text = self.hash.replace(&text, "?hash=H");
        self.number_in_text.replace_all(&text, "${1}N").into_owned()
    }
}

fn absent() -> Value {
    Value::from("(absent)")
}

/// Whether the members of an object are the entries of an index: those of OpenAPI version 3.
fn is_index(path: &str) -> bool {
    path == "body/paths"
}

/// Returns the names of a list's items, if each has one of its own.
fn names(path: &str, items: &[Value]) -> Option<Vec<String>> {
    let metadata = |metadata: &Value| {
        // What is generated is generated differently, and the recording has one of it.
        let name = metadata["name"].as_str().map(|name| if name.starts_with("gen-") { "gen-" } else { name })?;
        Some(metadata["namespace"].as_str().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
    };
    let first = |item: &Value, names: &[&str]| names.iter().find_map(|name| item[*name].as_str()).map(str::to_owned);
    let names: Option<Vec<String>> = items
        .iter()
        .map(|item| match path.rsplit('/').next() {
            Some("items") => metadata(&item["metadata"]),
            Some("rows") => metadata(&item["object"]["metadata"]),
            Some("resources") => first(item, &["name", "resource"]),
            Some("subresources") => first(item, &["subresource"]),
            Some("groups") => first(item, &["name"]),
            Some("versions") => first(item, &["groupVersion", "version"]),
            Some("paths") => item.as_str().map(str::to_owned),
            _ => None,
        })
        .collect();
    names.filter(|names| names.iter().collect::<HashSet<_>>().len() == names.len())
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
