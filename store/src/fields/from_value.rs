//! The set of paths of a value: what a new value brings, and what an applied configuration claims.

use serde_json::Value;

use super::scope::Scope;
use super::set::{self, Node};
use super::typed::{Kind, Members, Place};

/// Returns the node of a value that is new as a whole: every container, item and leaf is a member.
pub(super) fn everything(place: Place<'_>, value: &Value) -> Value {
    let mut below = Node::new();
    match place.kind(value) {
        Kind::Leaf => {}
        Kind::Map(members) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                below.insert(set::field_key(name), everything(members.member(name).place, value));
            }
        }
        Kind::List(items) => {
            for item in value.as_array().into_iter().flatten() {
                let Ok(key) = items.key(item) else { continue };
                // An item that comes twice cannot be told apart: both are one leaf.
                let node = if below.contains_key(&key) { set::leaf() } else { everything(items.place(), item) };
                below.insert(key, node);
            }
        }
    }
    set::assemble(true, below).expect("a member has a node")
}

/// Returns what an applied configuration claims: its leaves, its list items and its free map entries, but not the
/// declared maps around them, which several managers share.
pub(super) fn claimed(scope: &Scope<'_>, configuration: &Value) -> Node {
    let mut claims = Node::new();
    for (name, value) in configuration.as_object().into_iter().flatten() {
        if !scope.tracks(name) {
            continue;
        }
        let mut below = Node::new();
        if name == "metadata" {
            for (name, value) in value.as_object().into_iter().flatten() {
                if scope.tracks_metadata(name) {
                    claim_member(scope.metadata_members(), name, value, &mut below);
                }
            }
            if let Some(node) = set::assemble(false, below) {
                claims.insert(set::field_key(name), node);
            }
        } else {
            claim_member(scope.members(), name, value, &mut claims);
        }
    }
    claims
}

fn claim_member(members: Members<'_>, name: &str, value: &Value, claims: &mut Node) {
    let member = members.member(name);
    let (leaf, below) = claim(member.place, value);
    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    if let Some(node) = set::assemble(leaf || empty || !member.declared, below) {
        claims.insert(set::field_key(name), node);
    }
}

/// Returns whether the value is a leaf, and what it claims below itself.
fn claim(place: Place<'_>, value: &Value) -> (bool, Node) {
    let mut below = Node::new();
    match place.kind(value) {
        Kind::Leaf => return (true, below),
        Kind::Map(members) => {
            for (name, value) in value.as_object().into_iter().flatten() {
                claim_member(members, name, value, &mut below);
            }
        }
        Kind::List(items) => {
            for item in value.as_array().into_iter().flatten() {
                let Ok(key) = items.key(item) else { continue };
                let (_, claims) = claim(items.place(), item);
                let node = if below.contains_key(&key) { set::leaf() } else { item_node(claims) };
                below.insert(key, node);
            }
        }
    }
    (false, below)
}

fn item_node(claims: Node) -> Value {
    set::assemble(true, claims).expect("a member has a node")
}
