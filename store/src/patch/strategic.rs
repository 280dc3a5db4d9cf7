//! Strategic merge patch: a merge patch that knows which lists have items with identities, and obeys directives.

use api_types::schema::Schema;
use api_types::status::{Reason, Status};
use serde_json::{Map, Value};

use crate::fields::merge::{Slot, interleave};
use crate::fields::typed::{Expected, Items, Place};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// See [`super::strategic_merge_patch`].
pub(super) fn apply(target: &Value, patch: &Value, schema: &Schema) -> Result<Value, Status> {
    merge_value(Spot { place: Place::Object(schema), status: false }, target.clone(), patch)
}

/// A place in the object.
#[derive(Clone, Copy)]
struct Spot<'s> {
    place: Place<'s>,
    /// Whether this is the status, whose conditions merge by type whatever the schema says.
    status: bool,
}

/// How the list at a spot merges.
enum ListMerge<'s> {
    Replace,
    Items { items: Items<'s>, item: Spot<'s> },
    Conditions,
}

impl<'s> Spot<'s> {
    fn member(self, name: &str) -> Self {
        let place = match self.place.expected() {
            Expected::Map(members) => members.member(name).place,
            _ => Place::Free,
        };
        Self { place, status: matches!(self.place, Place::Object(_)) && name == "status" }
    }

    fn list(self, parent: Self, name: &str) -> ListMerge<'s> {
        match self.place.expected() {
            Expected::List(place, Some(items)) => ListMerge::Items { items, item: Spot { place, status: false } },
            _ if parent.status && name == "conditions" => ListMerge::Conditions,
            _ => ListMerge::Replace,
        }
    }
}

impl<'s> ListMerge<'s> {
    /// Returns what identifies an item.
    fn key(&self, item: &Value) -> Result<String, String> {
        match self {
            Self::Items { items, .. } => items.key(item),
            Self::Conditions => match item.get("type").and_then(Value::as_str) {
                Some(type_) => Ok(type_.to_owned()),
                None => Err(format!("map: {item} does not contain declared merge key: type")),
            },
            Self::Replace => Err("the list has no identities".to_owned()),
        }
    }

    fn item(&self) -> Spot<'s> {
        match self {
            Self::Items { item, .. } => *item,
            Self::Conditions | Self::Replace => Spot { place: Place::Free, status: false },
        }
    }
}

fn merge_value(spot: Spot<'_>, target: Value, patch: &Value) -> Result<Value, Status> {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_map(spot, target, patch).map(Value::Object),
        (_, Value::Object(patch)) => merge_map(spot, Map::new(), patch).map(Value::Object),
        (_, other) => Ok(other.clone()),
    }
}

fn merge_map(
    spot: Spot<'_>,
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, Status> {
    match patch.get(PATCH).map(Value::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("delete")) => return Ok(Map::new()),
        Some(Some("replace")) => target = Map::new(),
        Some(_) => {
            let shown = Value::Object(patch.clone());
            return Err(bad(format!("Unknown patch type: {} in map: {shown}", patch[PATCH])));
        }
    }
    if let Some(kept) = patch.get(RETAIN_KEYS) {
        retain(&mut target, kept, patch)?;
    }
    for (name, value) in patch {
        if name == PATCH || name == RETAIN_KEYS {
            continue;
        }
        if let Some(field) = name.strip_prefix(DELETE_FROM) {
            delete_from_list(&mut target, field, value)?;
            continue;
        }
        if name.starts_with(SET_ORDER) {
            continue;
        }
        let member = spot.member(name);
        let merged = match value {
            Value::Null => {
                target.remove(name);
                continue;
            }
            Value::Array(items) => {
                let present = match target.remove(name) {
                    Some(Value::Array(present)) => present,
                    _ => Vec::new(),
                };
                Value::Array(merge_list(&member.list(spot, name), present, items)?)
            }
            other => merge_value(member, target.remove(name).unwrap_or_default(), other)?,
        };
        target.insert(name.clone(), merged);
    }
    for (name, wanted) in patch {
        if let Some(field) = name.strip_prefix(SET_ORDER) {
            reorder(&spot.member(field).list(spot, field), &mut target, field, wanted)?;
        }
    }
    Ok(target)
}

fn merge_list(list: &ListMerge<'_>, present: Vec<Value>, patch: &[Value]) -> Result<Vec<Value>, Status> {
    let directive = |item: &Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    let replaces = patch.iter().any(|item| directive(item).as_deref() == Some("replace"));
    if replaces || matches!(list, ListMerge::Replace) {
        let is_marker = |item: &&Value| directive(item).is_none();
        return Ok(patch.iter().filter(is_marker).map(without_directives).collect());
    }
    let mut merged = present;
    for item in patch {
        let directive = directive(item);
        let key = list.key(item).map_err(bad)?;
        let place = merged.iter().position(|present| list.key(present).is_ok_and(|present| present == key));
        match (directive.as_deref(), place) {
            (Some("delete"), _) => merged.retain(|present| list.key(present).map_or(true, |present| present != key)),
            (None | Some("merge"), Some(place)) => {
                let present = merged[place].take();
                merged[place] = merge_value(list.item(), present, item)?;
            }
            (None | Some("merge"), None) => merged.push(merge_value(list.item(), Value::Null, item)?),
            (Some(other), _) => return Err(bad(format!("Unknown patch type: {other} in map: {item}"))),
        }
    }
    Ok(merged)
}

/// Brings a list into the wanted order; items that the order does not name keep their neighbourhood.
fn reorder(list: &ListMerge<'_>, target: &mut Map<String, Value>, field: &str, wanted: &Value) -> Result<(), Status> {
    let wanted = wanted.as_array().ok_or_else(|| bad("invalid patch format of setElementOrder list"))?;
    let Some(Value::Array(items)) = target.get_mut(field) else { return Ok(()) };
    let present: Vec<Option<String>> = items.iter().map(|item| list.key(item).ok()).collect();
    let mut order: Vec<String> = Vec::new();
    for item in wanted {
        let key = list.key(item).map_err(bad)?;
        if present.iter().flatten().any(|present| *present == key) && !order.contains(&key) {
            order.push(key);
        }
    }
    let mut sorted = Vec::with_capacity(items.len());
    for slot in interleave(&present, &order) {
        match slot {
            Slot::Live(index) => sorted.push(items[index].take()),
            Slot::Wanted(index) => {
                for (place, key) in present.iter().enumerate() {
                    if key.as_ref() == Some(&order[index]) {
                        sorted.push(items[place].take());
                    }
                }
            }
        }
    }
    *items = sorted;
    Ok(())
}

fn delete_from_list(target: &mut Map<String, Value>, field: &str, gone: &Value) -> Result<(), Status> {
    let gone = gone.as_array().ok_or_else(|| bad("invalid patch format of primitive list"))?;
    if let Some(Value::Array(items)) = target.get_mut(field) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

fn retain(target: &mut Map<String, Value>, kept: &Value, patch: &Map<String, Value>) -> Result<(), Status> {
    let names: Option<Vec<&str>> = kept.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
    let names = names.ok_or_else(|| bad("invalid patch format of retainKeys"))?;
    let sets_other =
        patch.iter().any(|(name, value)| !name.starts_with('$') && !value.is_null() && !names.contains(&name.as_str()));
    if sets_other {
        return Err(Status::failure(Reason::Invalid, "patch content doesn't match retainKeys list"));
    }
    target.retain(|name, _| names.contains(&name.as_str()));
    Ok(())
}

/// Returns new content as it is stored: directives are instructions, and `null` in them deletes nothing.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, value)| !is_directive(name) && !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_directives(value))).collect())
        }
        other => other.clone(),
    }
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER)
}

fn bad(why: impl Into<String>) -> Status {
    Status::failure(Reason::BadRequest, why)
}
