//! `metadata.managedFields`: who owns which fields, in the order and form in which it is stored.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::Writer;
use super::compare::Difference;
use super::set::{self, Node};

/// Most entries of operation `Update`; older ones are united.
const UPDATE_ENTRIES_MAX: usize = 10;
/// Manager of the united entries.
const ANCIENT_MANAGER: &str = "ancient-changes";
const APPLY: &str = "Apply";
const UPDATE: &str = "Update";

/// The entries of one object.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Value>,
}

/// Who an entry belongs to. The time is never part of it, and the version only for updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity<'a> {
    pub(super) manager: &'a str,
    pub(super) operation: &'a str,
    pub(super) api_version: &'a str,
    pub(super) subresource: &'a str,
}

impl<'a> Identity<'a> {
    /// Returns who an entry belongs to.
    pub(super) fn of(entry: &'a Value) -> Self {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let operation = text("operation");
        Self {
            manager: text("manager"),
            operation,
            api_version: if operation == APPLY { "" } else { text("apiVersion") },
            subresource: text("subresource"),
        }
    }

    /// Returns whose entry a server-side apply by `writer` writes.
    pub(super) fn applier(writer: &Writer<'a>) -> Self {
        Self { manager: writer.manager, operation: APPLY, api_version: "", subresource: writer.subresource }
    }

    /// Returns whose entry any other write of an object of `api_version` by `manager` writes.
    pub(super) fn updater(manager: &'a str, api_version: &'a str, subresource: &'a str) -> Self {
        Self { manager, operation: UPDATE, api_version, subresource }
    }
}

impl Ledger {
    /// Returns the entries of a stored object.
    pub(super) fn of_stored(object: &Value) -> Self {
        Self { entries: stored_entries(object).cloned().unwrap_or_default() }
    }

    /// Returns the entries that an update starts from. A client may replace the list by a well-formed one, or empty it
    /// with `[]` or `[{}]`; anything else it sends there is ignored, as is all of it through a subresource.
    pub(super) fn of_update(stored: &Value, sent: Option<Value>, subresource: &str) -> Self {
        let kept = stored_entries(stored);
        match sent {
            Some(Value::Array(entries)) if kept == Some(&entries) => Self { entries },
            Some(Value::Array(entries)) if subresource.is_empty() => {
                if is_reset(&entries) {
                    return Self::default();
                }
                match decode(&entries) {
                    Ok(entries) if !entries.is_empty() => Self { entries },
                    _ => Self { entries: kept.cloned().unwrap_or_default() },
                }
            }
            _ => Self { entries: kept.cloned().unwrap_or_default() },
        }
    }

    /// Returns whether nobody owns anything: the object is not tracked.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns every entry.
    pub(super) fn entries(&self) -> &[Value] {
        &self.entries
    }

    /// Returns what the entry of `who` owns.
    pub(super) fn fields(&self, who: Identity<'_>) -> Option<&Node> {
        self.entries.iter().find(|entry| Identity::of(entry) == who).and_then(fields)
    }

    /// Takes what changed from every owner but `except`; owners of nothing vanish.
    pub(super) fn yield_fields(&mut self, changed: &Difference, except: Option<Identity<'_>>) {
        self.entries.retain_mut(|entry| {
            if Some(Identity::of(entry)) == except {
                return true;
            }
            let Some(Value::Object(owned)) = entry.get_mut("fieldsV1") else { return false };
            set::subtract(owned, &changed.gained);
            set::subtract(owned, &changed.removed);
            !owned.is_empty()
        });
    }

    /// Adds `gained` to what `who` owns, as of `time`. Without a time an old entry keeps its own and a new one has none.
    pub(super) fn add(&mut self, who: Identity<'_>, api_version: &str, gained: Node, time: Option<&str>) {
        match self.entries.iter_mut().find(|entry| Identity::of(entry) == who) {
            Some(entry) => {
                match entry.get_mut("fieldsV1") {
                    Some(Value::Object(owned)) => set::unite(owned, gained),
                    _ => entry["fieldsV1"] = Value::Object(gained),
                }
                stamp(entry, api_version, time);
            }
            None => self.entries.push(new_entry(who, api_version, gained, time)),
        }
    }

    /// Makes `owned` all that `who` owns; nothing means no entry. Times as in [`Self::add`].
    pub(super) fn replace(&mut self, who: Identity<'_>, api_version: &str, owned: Node, time: Option<&str>) {
        let place = self.entries.iter().position(|entry| Identity::of(entry) == who);
        match (place, owned.is_empty()) {
            (Some(place), true) => {
                self.entries.remove(place);
            }
            (None, true) => {}
            (Some(place), false) => {
                let entry = &mut self.entries[place];
                entry["fieldsV1"] = Value::Object(owned);
                stamp(entry, api_version, time);
            }
            (None, false) => self.entries.push(new_entry(who, api_version, owned, time)),
        }
    }

    /// Unites the oldest updates of each version until at most [`UPDATE_ENTRIES_MAX`] are left.
    pub(super) fn cap(&mut self) {
        let is_update = |entry: &&Value| Identity::of(entry).operation == UPDATE;
        let count = self.entries.iter().filter(is_update).count();
        if count <= UPDATE_ENTRIES_MAX {
            return;
        }
        let (mut updates, others): (Vec<Value>, Vec<Value>) =
            std::mem::take(&mut self.entries).into_iter().partition(|entry| is_update(&entry));
        updates.sort_by(|left, right| {
            time(left).cmp(time(right)).then_with(|| Identity::of(left).cmp(&Identity::of(right)))
        });
        let mut waiting = updates.into_iter();
        let mut left = count;
        let mut buckets: Vec<Bucket> = Vec::new();
        while left > UPDATE_ENTRIES_MAX
            && let Some(entry) = waiting.next()
        {
            let version = Identity::of(&entry).api_version.to_owned();
            match buckets.iter_mut().find(|bucket| bucket.api_version == version) {
                Some(bucket) => {
                    bucket.entries.push(entry);
                    left -= 1;
                }
                None => buckets.push(Bucket { api_version: version, entries: vec![entry] }),
            }
        }
        self.entries = others;
        self.entries.extend(waiting);
        for bucket in buckets {
            self.pour(bucket);
        }
    }

    /// Writes the entries into the object; none means no list.
    pub(super) fn write(mut self, object: &mut Value) {
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
        if self.entries.is_empty() {
            metadata.remove("managedFields");
            return;
        }
        self.entries.sort_by(order);
        metadata.insert("managedFields".to_owned(), Value::Array(self.entries));
    }

    fn pour(&mut self, bucket: Bucket) {
        let Bucket { api_version, mut entries } = bucket;
        if entries.len() == 1 {
            self.entries.append(&mut entries);
            return;
        }
        let who = Identity::updater(ANCIENT_MANAGER, &api_version, "");
        for mut entry in entries {
            let newest = time(&entry).to_owned();
            let owned = match entry.get_mut("fieldsV1").map(Value::take) {
                Some(Value::Object(owned)) => owned,
                _ => Map::new(),
            };
            self.add(who, &api_version, owned, (!newest.is_empty()).then_some(&newest));
        }
    }
}

/// Old updates of one version that become one entry.
struct Bucket {
    api_version: String,
    entries: Vec<Value>,
}

/// Returns what an entry owns.
pub(super) fn fields(entry: &Value) -> Option<&Node> {
    entry.get("fieldsV1").and_then(Value::as_object)
}

/// Returns whether two objects differ in nothing but the times of their `managedFields` entries.
pub(super) fn same_but_for_times(left: &Value, right: &Value) -> bool {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else { return left == right };
    left.len() == right.len()
        && left.iter().all(|(name, one)| match (right.get(name), name.as_str()) {
            (Some(other), "metadata") => same_metadata(one, other),
            // How the object is seen, not what it is.
            (Some(_), "apiVersion") => true,
            (other, _) => other == Some(one),
        })
}

fn same_metadata(left: &Value, right: &Value) -> bool {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else { return left == right };
    let compared =
        |metadata: &Map<String, Value>| metadata.len() - usize::from(metadata.contains_key("resourceVersion"));
    compared(left) == compared(right)
        && left.iter().all(|(name, one)| match (right.get(name), name.as_str()) {
            // The store's, not the writer's.
            (_, "resourceVersion") => true,
            (Some(Value::Array(other)), "managedFields") => one.as_array().is_some_and(|one| {
                one.len() == other.len()
                    && one.iter().all(|entry| other.iter().any(|candidate| same_entry(entry, candidate)))
            }),
            (other, _) => other == Some(one),
        })
}

/// Identities are unique within a list, so finding each entry of one list in the other means that they are equal.
fn same_entry(left: &Value, right: &Value) -> bool {
    Identity::of(left) == Identity::of(right)
        && left.get("apiVersion") == right.get("apiVersion")
        && fields(left) == fields(right)
}

fn stored_entries(object: &Value) -> Option<&Vec<Value>> {
    object.get("metadata")?.get("managedFields")?.as_array()
}

fn time(entry: &Value) -> &str {
    entry.get("time").and_then(Value::as_str).unwrap_or_default()
}

/// Times are RFC 3339 in UTC with whole seconds, so text order is time order; no time comes first.
fn order(left: &Value, right: &Value) -> Ordering {
    let version = |entry: &Value| entry.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (one, other) = (Identity::of(left), Identity::of(right));
    one.operation
        .cmp(other.operation)
        .then_with(|| time(left).cmp(time(right)))
        .then_with(|| one.manager.cmp(other.manager))
        .then_with(|| version(left).cmp(&version(right)))
        .then_with(|| one.subresource.cmp(other.subresource))
}

fn stamp(entry: &mut Value, api_version: &str, time: Option<&str>) {
    let Some(entry) = entry.as_object_mut() else { return };
    entry.insert("apiVersion".to_owned(), Value::from(api_version));
    if let Some(time) = time {
        entry.insert("time".to_owned(), Value::from(time));
    }
}

fn new_entry(who: Identity<'_>, api_version: &str, owned: Node, time: Option<&str>) -> Value {
    let mut entry = Map::new();
    entry.insert("apiVersion".to_owned(), Value::from(api_version));
    entry.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
    entry.insert("fieldsV1".to_owned(), Value::Object(owned));
    if !who.manager.is_empty() {
        entry.insert("manager".to_owned(), Value::from(who.manager));
    }
    entry.insert("operation".to_owned(), Value::from(who.operation));
    if !who.subresource.is_empty() {
        entry.insert("subresource".to_owned(), Value::from(who.subresource));
    }
    if let Some(time) = time {
        entry.insert("time".to_owned(), Value::from(time));
    }
    Value::Object(entry)
}

fn is_reset(entries: &[Value]) -> bool {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    match entries {
        [] => true,
        [one] => one.as_object().is_some_and(|entry| entry.values().all(says_nothing)),
        _ => false,
    }
}

/// Reads a list that a client sent. Of several entries with the same identity the last one counts.
fn decode(entries: &[Value]) -> Result<Vec<Value>, String> {
    let mut decoded: Vec<Value> = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = decode_entry(entry)?;
        decoded.retain(|other| Identity::of(other) != Identity::of(&entry));
        decoded.push(entry);
    }
    Ok(decoded)
}

fn decode_entry(entry: &Value) -> Result<Value, String> {
    let members = entry.as_object().ok_or("an entry must be an object")?;
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(format!("{name} must be a string")),
    };
    let operation = text("operation")?;
    if operation != APPLY && operation != UPDATE {
        return Err("operation must be Apply or Update".to_owned());
    }
    let api_version = text("apiVersion")?;
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    if text("fieldsType")? != "FieldsV1" {
        return Err("fieldsType must be FieldsV1".to_owned());
    }
    let owned = match members.get("fieldsV1") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(owned)) => set::canonical(owned)?,
        Some(_) => return Err("fieldsV1 must be an object".to_owned()),
    };
    let time = match text("time")? {
        "" => None,
        time => Some(meta_time(time)?),
    };
    let who = Identity { manager: text("manager")?, operation, api_version, subresource: text("subresource")? };
    Ok(new_entry(who, api_version, owned, time.as_deref()))
}

fn meta_time(time: &str) -> Result<String, String> {
    let instant: jiff::Timestamp = time.parse().map_err(|error| format!("time: {error}"))?;
    Ok(instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
