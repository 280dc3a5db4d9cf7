//! Sets of field paths, kept in the very shape in which they are stored: the `FieldsV1` trie.
//!
//! A node is a JSON object whose keys name path elements: `f:spec` a field, `k:{"name":"web"}` an item of a keyed
//! list, `v:"a"` an item of a set, `i:0` an index. A node without keys is a member and has nothing below it; the key
//! `.` makes a node with children a member as well. Because the stored text *is* the set, entries that a write does
//! not touch are never parsed or rebuilt.

use serde_json::map::Entry;
use serde_json::{Map, Value};

/// One level of the trie.
pub(super) type Node = Map<String, Value>;

const SELF: &str = ".";

/// Returns a member with nothing below it.
pub(super) fn leaf() -> Value {
    Value::Object(Node::new())
}

/// Returns the node of a path that has `children`, or `None` when it is neither a member nor has any.
pub(super) fn assemble(member: bool, mut children: Node) -> Option<Value> {
    if children.is_empty() {
        return member.then(leaf);
    }
    if member {
        children.insert(SELF.to_owned(), leaf());
    }
    Some(Value::Object(children))
}

/// Returns the path element of a field.
pub(super) fn field_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 2);
    key.push_str("f:");
    key.push_str(name);
    key
}

/// Returns whether the path that leads to `node` is itself in the set.
pub(super) fn is_member(node: &Node) -> bool {
    node.is_empty() || node.contains_key(SELF)
}

/// Returns the node below `key`, if the set has anything there.
pub(super) fn child<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).and_then(Value::as_object)
}

/// Adds every member of `addition` to `target`.
pub(super) fn unite(target: &mut Node, addition: Node) {
    for (key, added) in addition {
        match target.entry(key) {
            Entry::Vacant(place) => {
                place.insert(added);
            }
            Entry::Occupied(mut place) => {
                if let (Value::Object(existing), Value::Object(added)) = (place.get_mut(), added) {
                    let member = is_member(existing) || is_member(&added);
                    unite(existing, added);
                    if member && !is_member(existing) {
                        existing.insert(SELF.to_owned(), leaf());
                    }
                }
            }
        }
    }
}

/// Removes every member of `removal` from `target`; what lies below a removed member stays.
pub(super) fn subtract(target: &mut Node, removal: &Node) {
    for (key, removed) in removal {
        let (Some(Value::Object(node)), Some(removed)) = (target.get_mut(key), removed.as_object()) else { continue };
        let stays = is_member(node) && !is_member(removed);
        if !stays {
            node.remove(SELF);
        }
        subtract(node, removed);
        let childless = node.is_empty() || (node.len() == 1 && node.contains_key(SELF));
        if childless && stays {
            node.clear();
        } else if childless {
            target.remove(key);
        }
    }
}

/// Returns the members that both sets have.
pub(super) fn intersect(left: &Node, right: &Node) -> Node {
    let (small, large) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let mut common = Node::new();
    for (key, one) in small {
        if key == SELF {
            continue;
        }
        if let (Some(one), Some(other)) = (one.as_object(), child(large, key)) {
            let member = is_member(one) && is_member(other);
            if let Some(node) = assemble(member, intersect(one, other)) {
                common.insert(key.clone(), node);
            }
        }
    }
    common
}

/// Brings a set that came from a client into the one form that this module writes, or says what is wrong with it.
pub(super) fn canonical(set: &Node) -> Result<Node, String> {
    let mut clean = Node::new();
    for (key, below) in set {
        if key == SELF {
            continue;
        }
        let below = below.as_object().ok_or_else(|| format!("{key:?} must be an object"))?;
        let key = super::path::canonical_key(key)?;
        let member = is_member(below);
        if let Some(node) = assemble(member, canonical(below)?) {
            let mut one = Node::new();
            one.insert(key, node);
            unite(&mut clean, one);
        }
    }
    Ok(clean)
}
