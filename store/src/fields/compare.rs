//! What a write changed, as sets of paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::from_value::everything;
use super::scope::Scope;
use super::set::{self, Node};
use super::typed::{Items, Kind, Members, Place, same};

/// The paths that a write changed.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Added or modified: they belong to the writer now.
    pub(super) gained: Node,
    /// Gone: they belong to nobody.
    pub(super) removed: Node,
}

impl Difference {
    /// Returns whether nothing that can have an owner changed.
    pub(super) fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.removed.is_empty()
    }
}

/// Compares two objects within `scope`. Without an old one, everything is gained.
pub(super) fn compare(scope: &Scope<'_>, old: Option<&Value>, new: &Value) -> Difference {
    let mut difference = Difference::default();
    let old_members = old.and_then(Value::as_object);
    let new_members = new.as_object();
    each_name(old_members, new_members, |name, old, new| {
        if !scope.tracks(name) {
            return;
        }
        if name == "metadata" {
            compare_metadata(scope, old, new, &mut difference);
        } else {
            visit(scope.members().member(name).place, || set::field_key(name), old, new, &mut difference);
        }
    });
    difference
}

/// `metadata` exists in every object, so it is never a member itself.
fn compare_metadata(scope: &Scope<'_>, old: Option<&Value>, new: Option<&Value>, out: &mut Difference) {
    let mut below = Difference::default();
    each_name(old.and_then(Value::as_object), new.and_then(Value::as_object), |name, old, new| {
        if scope.tracks_metadata(name) {
            let place = scope.metadata_members().member(name).place;
            visit(place, || set::field_key(name), old, new, &mut below);
        }
    });
    attach(|| set::field_key("metadata"), false, below, out);
}

fn visit(place: Place<'_>, key: impl Fn() -> String, old: Option<&Value>, new: Option<&Value>, out: &mut Difference) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let mut below = Difference::default();
            let modified = compare_values(place, old, new, &mut below);
            attach(key, modified, below, out);
        }
        (None, Some(new)) => {
            out.gained.insert(key(), everything(place, new));
        }
        (Some(old), None) => {
            out.removed.insert(key(), everything(place, old));
        }
        (None, None) => {}
    }
}

fn attach(key: impl Fn() -> String, modified: bool, below: Difference, out: &mut Difference) {
    if let Some(node) = set::assemble(modified, below.gained) {
        out.gained.insert(key(), node);
    }
    if let Some(node) = set::assemble(false, below.removed) {
        out.removed.insert(key(), node);
    }
}

/// Compares two values at the same place. Returns whether the place itself was modified; changes below go to `out`.
fn compare_values(place: Place<'_>, old: &Value, new: &Value, out: &mut Difference) -> bool {
    match (place.kind(old), place.kind(new)) {
        (Kind::Leaf, Kind::Leaf) => !same(old, new),
        (Kind::Map(_), Kind::Map(members)) => {
            if is_empty(old) && is_empty(new) {
                // Keeps the difference between nothing and an empty map.
                return old != new;
            }
            compare_members(members, old.as_object(), new.as_object(), out);
            false
        }
        (Kind::List(_), Kind::List(items)) => {
            if is_empty(old) && is_empty(new) {
                return old != new;
            }
            if old != new {
                compare_items(items, old.as_array(), new.as_array(), out);
            }
            false
        }
        // A free place that changed its nature: the old content is gone and the new one has come.
        (old_kind, new_kind) => {
            if let Kind::Map(members) = old_kind {
                compare_members(members, old.as_object(), None, out);
            }
            if let Kind::Map(members) = new_kind {
                compare_members(members, None, new.as_object(), out);
            }
            true
        }
    }
}

fn compare_members(
    members: Members<'_>,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    out: &mut Difference,
) {
    each_name(old, new, |name, old, new| {
        visit(members.member(name).place, || set::field_key(name), old, new, out);
    });
}

fn compare_items(items: Items<'_>, old: Option<&Vec<Value>>, new: Option<&Vec<Value>>, out: &mut Difference) {
    let old = by_key(items, old);
    let new = by_key(items, new);
    let none = Vec::new();
    for (key, before) in &old {
        compare_same_key(items, key, before, new.get(key).unwrap_or(&none), out);
    }
    for (key, after) in &new {
        if !old.contains_key(key) {
            compare_same_key(items, key, &none, after, out);
        }
    }
}

/// Items with the same key are one item; if there are several, all of them together are one leaf.
fn compare_same_key(items: Items<'_>, key: &str, old: &[&Value], new: &[&Value], out: &mut Difference) {
    let name = || key.to_owned();
    match (old, new) {
        (old, new) if old.len() <= 1 && new.len() <= 1 => {
            visit(items.place(), name, old.first().copied(), new.first().copied(), out);
        }
        (old, new) if old.len() > 1 && new.len() > 1 => {
            if old != new {
                out.gained.insert(name(), set::leaf());
            }
        }
        (old, new) if old.len() > 1 => {
            out.removed.insert(name(), set::leaf());
            visit(items.place(), name, None, new.first().copied(), out);
        }
        (old, _) => {
            visit(items.place(), name, old.first().copied(), None, out);
            out.gained.insert(name(), set::leaf());
        }
    }
}

fn by_key<'v>(items: Items<'_>, list: Option<&'v Vec<Value>>) -> BTreeMap<String, Vec<&'v Value>> {
    let mut found: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in list.into_iter().flatten() {
        if let Ok(key) = items.key(item) {
            found.entry(key).or_default().push(item);
        }
    }
    found
}

fn each_name<'v>(
    old: Option<&'v Map<String, Value>>,
    new: Option<&'v Map<String, Value>>,
    mut visit: impl FnMut(&'v str, Option<&'v Value>, Option<&'v Value>),
) {
    for (name, value) in new.into_iter().flatten() {
        visit(name, old.and_then(|old| old.get(name)), Some(value));
    }
    for (name, value) in old.into_iter().flatten() {
        if !new.is_some_and(|new| new.contains_key(name)) {
            visit(name, Some(value), None);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}
