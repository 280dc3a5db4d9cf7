//! Several files → one, by Docker's rules.
//!
//! Services are merged field by field; networks, volumes, secrets and configs are replaced as a whole. What a later
//! file does not say, or says with nothing (`""`, `0`, `false`), stays as it was: a later file can add a capability
//! or a mount, but never take one away.

use super::tree::{Node, Value};

/// How a field of a service is merged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Scalars are replaced by what says something, lists are appended to, mappings are merged field by field.
    Deep,
    /// What the later file has wins, key by key, whatever it says.
    Entries,
    /// As `Entries`, but an empty value changes nothing that is set.
    Environment,
    /// Items with the same value of this key replace each other; the outcome is sorted by it.
    Keyed(&'static str),
    /// The later file's wins as a whole.
    Whole,
    /// A number that replaces even when it is 0.
    Number,
    /// Networks of a service.
    Networks,
    /// Limits by name; each is replaced as a whole.
    Ulimits,
    /// Options are merged when the driver is the same.
    Logging,
}

/// Returns the rule of a field, by its path in the service.
fn rule(path: &str) -> Rule {
    match path {
        "labels" | "deploy.labels" | "sysctls" | "build.labels" | "logging.options" => Rule::Entries,
        "environment" | "build.args" => Rule::Environment,
        "ports" => Rule::Keyed("published"),
        "volumes" => Rule::Keyed("target"),
        "secrets" | "configs" => Rule::Keyed("source"),
        "command" | "entrypoint" => Rule::Whole,
        "networks" => Rule::Networks,
        "ulimits" => Rule::Ulimits,
        "logging" => Rule::Logging,
        "deploy.replicas"
        | "deploy.update_config.parallelism"
        | "deploy.rollback_config.parallelism"
        | "deploy.restart_policy.max_attempts"
        | "healthcheck.retries" => Rule::Number,
        _ => Rule::Deep,
    }
}

/// Merges the canonical form of a later file into that of the earlier ones.
pub(super) fn merge(base: &mut Node, over: Node) {
    let (Value::Map(base), Value::Map(over)) = (&mut base.value, over.value) else { return };
    for (key, section) in over {
        let is_service = key == "services";
        if key == "version" || (key.starts_with("x-") && !base.contains_key(&key)) {
            continue;
        }
        let Some(known) = base.get_mut(&key) else {
            base.insert(key, section);
            continue;
        };
        if key.starts_with("x-") {
            continue;
        }
        let (Value::Map(known), Value::Map(more)) = (&mut known.value, section.value) else { continue };
        for (name, node) in more {
            match known.get_mut(&name) {
                Some(service) if is_service => fields(service, node, ""),
                _ => {
                    known.insert(name, node);
                }
            }
        }
    }
}

/// Merges the fields of a mapping.
fn fields(base: &mut Node, over: Node, path: &str) {
    // Docker sorts these, and drops doubles, as soon as two files speak of the service.
    if path.is_empty()
        && let Value::Map(known) = &mut base.value
    {
        for (key, node) in known.iter_mut() {
            if let Rule::Keyed(by) = rule(key) {
                keyed(node, Vec::new(), by);
            }
        }
    }
    let (Value::Map(known), Value::Map(more)) = (&mut base.value, over.value) else { return };
    for (key, node) in more {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match known.get_mut(&key) {
            Some(field) => apply(field, node, &below),
            None => {
                known.insert(key, node);
            }
        }
    }
}

fn apply(base: &mut Node, over: Node, path: &str) {
    match rule(path) {
        Rule::Whole | Rule::Number => *base = over,
        Rule::Entries => entries(base, over),
        Rule::Environment => environment(base, over),
        Rule::Keyed(by) => {
            let items = if let Value::List(items) = over.value { items } else { Vec::new() };
            keyed(base, items, by);
        }
        Rule::Networks => networks(base, over),
        Rule::Ulimits => entries(base, over),
        Rule::Logging => logging(base, over),
        Rule::Deep => match (&mut base.value, over.value) {
            (Value::List(known), Value::List(more)) => known.extend(more),
            (Value::Map(_), Value::Map(map)) => fields(base, Node::new(Value::Map(map), &over.spot), path),
            (_, value) if is_zero(&value) => {}
            (_, value) => *base = Node::new(value, &over.spot),
        },
    }
}

/// Returns whether a scalar says nothing in the eyes of the merge.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) => true,
        Value::Text(text) => text.is_empty() || text == "0s",
        _ => false,
    }
}

fn entries(base: &mut Node, over: Node) {
    if let (Value::Map(known), Value::Map(more)) = (&mut base.value, over.value) {
        known.extend(more);
    }
}

fn environment(base: &mut Node, over: Node) {
    let is_empty = |node: &Node| node.value == Value::Null || node.as_text() == Some("");
    let (Value::Map(known), Value::Map(more)) = (&mut base.value, over.value) else { return };
    for (key, value) in more {
        match known.get(&key) {
            Some(set) if !is_empty(set) && is_empty(&value) => {}
            _ => {
                known.insert(key, value);
            }
        }
    }
}

/// Merges lists of mappings by one of their keys, and sorts by it: numbers as numbers, texts as texts.
fn keyed(base: &mut Node, more: Vec<Node>, by: &str) {
    let Value::List(items) = &mut base.value else { return };
    let key = |item: &Node| match item.get(by).map(|node| &node.value) {
        Some(Value::Int(number)) => (*number, String::new()),
        Some(Value::Text(text)) => (0, text.clone()),
        _ => (0, String::new()),
    };
    let mut sorted = std::collections::BTreeMap::new();
    for item in items.drain(..).chain(more) {
        sorted.insert(key(&item), item);
    }
    items.extend(sorted.into_values());
}

/// Merges the networks of a service: of one that both name with fields, the later file's aliases count alone, and
/// its addresses when it has any.
fn networks(base: &mut Node, over: Node) {
    let (Value::Map(known), Value::Map(more)) = (&mut base.value, over.value) else { return };
    for (name, node) in more {
        match (known.get_mut(&name).map(|set| &mut set.value), node.value) {
            (Some(Value::Map(set)), Value::Map(mut fields)) => {
                set.remove("aliases");
                fields.remove("driver_opts");
                set.extend(fields);
            }
            (Some(Value::Map(_)), _) => {}
            (_, value) => {
                known.insert(name, Node::new(value, &node.spot));
            }
        }
    }
}

fn logging(base: &mut Node, over: Node) {
    let driver = |node: &Node| node.get("driver").and_then(Node::as_text).unwrap_or_default().to_owned();
    let (ours, theirs) = (driver(base), driver(&over));
    if !ours.is_empty() && !theirs.is_empty() && ours != theirs {
        *base = over;
        return;
    }
    let (Value::Map(known), Value::Map(more)) = (&mut base.value, over.value) else { return };
    for (key, node) in more {
        match known.get_mut(&key) {
            Some(options) if key == "options" => entries(options, node),
            // Docker loses the options of a later file when the earlier one has a driver and none.
            None if key == "options" => {}
            _ => {
                known.insert(key, node);
            }
        }
    }
}
