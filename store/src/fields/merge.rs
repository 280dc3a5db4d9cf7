//! Merging an applied configuration into the live object, and taking out what its manager no longer applies.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::set::{self, Node};
use super::typed::{Items, Kind, Members, Place};

/// Returns `live` with `applied` merged into it: maps member by member, lists with identities item by item, all else
/// as `applied` says.
pub(super) fn merge(place: Place<'_>, live: Value, applied: &Value) -> Value {
    match (place.kind(&live), place.kind(applied)) {
        (Kind::Map(_), Kind::Map(members)) => match (live, applied) {
            (Value::Object(mut live), Value::Object(applied)) if !live.is_empty() || !applied.is_empty() => {
                merge_members(members, &mut live, applied);
                Value::Object(live)
            }
            (Value::Object(live), _) if !live.is_empty() => Value::Object(live),
            _ => applied.clone(),
        },
        (Kind::List(_), Kind::List(items)) => match (live, applied) {
            (Value::Array(live), Value::Array(applied)) if !live.is_empty() || !applied.is_empty() => {
                Value::Array(merge_items(items, live, applied))
            }
            (Value::Array(live), _) if !live.is_empty() => Value::Array(live),
            _ => applied.clone(),
        },
        _ => applied.clone(),
    }
}

/// Takes out of `merged` what `last` has, unless `managed` (everybody's present claims) has it or something in it.
pub(super) fn prune(members: Members<'_>, merged: &mut Value, last: &Node, managed: &Node) {
    let Some(object) = merged.as_object_mut() else { return };
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        let key = set::field_key("metadata");
        // `metadata` itself belongs to nobody and always stays.
        let claims = Claims { last: set::child(last, &key), managed: set::child(managed, &key) };
        let inner = Members::of_map(super::typed::metadata_schema());
        metadata.retain(|name, value| claims.keeps_member(inner, name, value));
    }
    let claims = Claims { last: Some(last), managed: Some(managed) };
    object.retain(|name, value| name == "metadata" || claims.keeps_member(members, name, value));
}

/// Orders `live` and `wanted` as one list: wanted items in their own order, the other live items where they stand.
/// Each entry of the result is an index into `live` or into `wanted`.
pub(crate) fn interleave(live: &[Option<String>], wanted: &[String]) -> Vec<Slot> {
    let is_wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let is_live: HashSet<&str> = live.iter().flatten().map(String::as_str).collect();
    let mut order = Vec::with_capacity(live.len() + wanted.len());
    let mut emitted = 0;
    for (index, key) in live.iter().enumerate() {
        match key.as_deref() {
            Some(key) if is_wanted.contains(key) => {
                let next_shared = wanted[emitted..].iter().position(|key| is_live.contains(key.as_str()));
                if let Some(offset) = next_shared
                    && wanted[emitted + offset] == key
                {
                    order.extend((emitted..=emitted + offset).map(Slot::Wanted));
                    emitted += offset + 1;
                }
            }
            _ => order.push(Slot::Live(index)),
        }
    }
    order.extend((emitted..wanted.len()).map(Slot::Wanted));
    order
}

/// Where an item of a merged list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Only the live list has it.
    Live(usize),
    /// The other list has it, and perhaps the live one too.
    Wanted(usize),
}

fn merge_members(members: Members<'_>, live: &mut Map<String, Value>, applied: &Map<String, Value>) {
    for (name, value) in applied {
        let merged = match live.remove(name) {
            Some(present) => merge(members.member(name).place, present, value),
            None => value.clone(),
        };
        live.insert(name.clone(), merged);
    }
}

fn merge_items(items: Items<'_>, mut live: Vec<Value>, applied: &[Value]) -> Vec<Value> {
    let live_keys: Vec<Option<String>> = live.iter().map(|item| items.key(item).ok()).collect();
    let wanted: Vec<String> = applied.iter().map(|item| items.key(item).unwrap_or_default()).collect();
    let mut positions: HashMap<&str, Option<usize>> = HashMap::new();
    for (index, key) in live_keys.iter().enumerate() {
        if let Some(key) = key {
            // A live item that comes twice cannot be merged with: the applied one replaces all of them.
            positions.entry(key).and_modify(|place| *place = None).or_insert(Some(index));
        }
    }
    let order = interleave(&live_keys, &wanted);
    let mut merged = Vec::with_capacity(order.len());
    for slot in order {
        merged.push(match slot {
            Slot::Live(index) => live[index].take(),
            Slot::Wanted(index) => match positions.get(wanted[index].as_str()) {
                Some(Some(place)) => merge(items.place(), live[*place].take(), &applied[index]),
                _ => applied[index].clone(),
            },
        });
    }
    merged
}

/// Who claims a container that is being pruned.
#[derive(Clone, Copy)]
struct Claims<'n> {
    /// What the applying manager claimed last time.
    last: Option<&'n Node>,
    /// What anybody claims now, the applying manager included.
    managed: Option<&'n Node>,
}

impl<'n> Claims<'n> {
    fn below(&self, key: &str) -> Self {
        Self {
            last: self.last.and_then(|node| set::child(node, key)),
            managed: self.managed.and_then(|node| set::child(node, key)),
        }
    }

    fn keeps_member(&self, members: Members<'_>, name: &str, value: &mut Value) -> bool {
        if self.last.is_none() {
            // Never claimed, here or below: only a container that goes as a whole takes it along.
            return true;
        }
        let member = members.member(name);
        self.below(&set::field_key(name)).keeps(member.place, member.declared, value, &[])
    }

    /// Decides about one value whose own claims these are, and prunes what is below it. Members in `identity` always
    /// stay: without them an item that is kept would lose its identity.
    fn keeps(self, place: Place<'_>, declared: bool, value: &mut Value, identity: &[String]) -> bool {
        let Some(last) = self.last else { return true };
        let was_claimed = declared || set::is_member(last);
        if was_claimed && self.managed.is_none() {
            // An empty list with identities is in nobody's set, so it cannot have been claimed.
            return matches!(place.kind(value), Kind::List(_)) && value.as_array().is_some_and(Vec::is_empty);
        }
        let was_empty = is_empty(value);
        self.prune_inside(place, value, identity);
        let emptied = !was_empty && is_empty(value);
        !(emptied && was_claimed && !self.managed.is_some_and(set::is_member))
    }

    fn prune_inside(&self, place: Place<'_>, value: &mut Value, identity: &[String]) {
        match place.kind(value) {
            Kind::Leaf => {}
            Kind::Map(members) => {
                if let Some(map) = value.as_object_mut() {
                    map.retain(|name, value| identity.contains(name) || self.keeps_member(members, name, value));
                }
            }
            Kind::List(items) => {
                if let Some(list) = value.as_array_mut() {
                    list.retain_mut(|item| match items.key(item) {
                        Ok(key) => self.below(&key).keeps(items.place(), false, item, items.key_names()),
                        Err(_) => true,
                    });
                }
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
