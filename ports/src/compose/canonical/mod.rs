//! One form for everything that can be written in several: what `docker stack config` prints.
//!
//! Short forms become long ones, pairs become mappings, durations and sizes are read, variables without a value are
//! looked up. What says nothing (`""`, `0`, `false`, an empty list) is left out, unless it differs from not being
//! said. Every value keeps the spot where it is written.

mod service;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::source::RecipeFiles;
use super::stack::{Finding, LoadError, Severity};
use super::tree::{Map, Node, Spot, Value};

/// What the canonical form depends on besides the file.
pub(super) struct Surroundings<'a> {
    /// Variables.
    pub env: &'a BTreeMap<String, String>,
    /// Folder of the first compose file, relative to the checkout's root; empty for the root. All paths begin there.
    pub folder: &'a str,
    /// The same folder as an absolute path on the engine's machine.
    pub directory: &'a str,
    /// The checkout.
    pub files: &'a dyn RecipeFiles,
}

/// Brings a file that has been validated into its canonical form.
///
/// # Errors
///
/// Values that the schema lets pass and that mean nothing nevertheless, each with its place.
pub(super) fn canonical(
    root: &Node,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<Finding>,
) -> Result<Node, LoadError> {
    let mut reader = Reader { surroundings, findings: Vec::new() };
    let mut map = Map::new();
    for (key, node) in root.entries() {
        let section = match key {
            "services" => reader.section(node, Reader::service),
            "networks" => reader.section(node, Reader::network),
            "volumes" => reader.section(node, Reader::volume),
            "secrets" | "configs" => reader.section(node, Reader::object),
            _ => node.clone(),
        };
        map.insert(key.to_owned(), section);
    }
    let (errors, others): (Vec<_>, Vec<_>) =
        reader.findings.into_iter().partition(|finding| finding.severity == Severity::Error);
    warnings.extend(others);
    if errors.is_empty() { Ok(Node::new(Value::Map(map), &root.spot)) } else { Err(LoadError { findings: errors }) }
}

/// Reads values and gathers what is wrong with them.
struct Reader<'a> {
    surroundings: &'a Surroundings<'a>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn section(&mut self, node: &Node, each: fn(&mut Self, &str, &Node) -> Map) -> Node {
        let map = node
            .entries()
            .map(|(key, below)| (key.to_owned(), Node::new(Value::Map(each(self, key, below)), &below.spot)))
            .collect();
        Node::new(Value::Map(map), &node.spot)
    }

    fn finding(&mut self, severity: Severity, rule: &str, node: &Node, message: String) {
        self.findings.push(Finding { severity, rule: rule.to_owned(), place: node.place(), message });
    }

    fn error(&mut self, node: &Node, message: impl Into<String>) {
        self.finding(Severity::Error, "InvalidValue", node, message.into());
    }

    fn network(&mut self, key: &str, node: &Node) -> Map {
        let mut out = Map::new();
        self.texts(node, &["name", "driver"], &mut out);
        self.options(node, "driver_opts", &mut out);
        self.switches(node, &["internal", "attachable"], &mut out);
        self.pairs(node, "labels", &mut out);
        if let Some(ipam) = node.get("ipam") {
            let mut inner = Map::new();
            self.texts(ipam, &["driver"], &mut inner);
            let pools: Vec<Node> = ipam
                .get("config")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .map(|pool| {
                    let mut fields = Map::new();
                    self.texts(pool, &["subnet"], &mut fields);
                    Node::new(Value::Map(fields), &pool.spot)
                })
                .collect();
            if !pools.is_empty() {
                inner.insert("config".to_owned(), Node::new(Value::List(pools), &ipam.spot));
            }
            if !inner.is_empty() {
                out.insert("ipam".to_owned(), Node::new(Value::Map(inner), &ipam.spot));
            }
        }
        self.external(key, node, &mut out);
        own_keys(node, &mut out);
        out
    }

    fn volume(&mut self, key: &str, node: &Node) -> Map {
        let mut out = Map::new();
        self.texts(node, &["name", "driver"], &mut out);
        self.options(node, "driver_opts", &mut out);
        self.pairs(node, "labels", &mut out);
        if self.external(key, node, &mut out) {
            for field in ["driver", "driver_opts", "labels"] {
                if let Some(below) = out.get(field).cloned() {
                    self.error(&below, format!("an external volume has no `{field}`: whoever makes it chooses"));
                }
            }
        }
        own_keys(node, &mut out);
        out
    }

    fn object(&mut self, key: &str, node: &Node) -> Map {
        let mut out = Map::new();
        self.texts(node, &["name", "driver", "template_driver"], &mut out);
        self.options(node, "driver_opts", &mut out);
        self.pairs(node, "labels", &mut out);
        let file = node.get("file").and_then(|file| self.text(file).map(|text| (text, Arc::clone(&file.spot))));
        let is_external = self.external(key, node, &mut out);
        let (text, spot) = file.unwrap_or_else(|| (String::new(), Arc::clone(&node.spot)));
        if is_external || out.contains_key("driver") {
            if !is_external && !text.is_empty() {
                self.error(node, "`driver` and `file` cannot be given both: the driver provides the content");
            }
            if !text.is_empty() {
                out.insert("file".to_owned(), Node::text(text, &spot));
            }
        } else {
            let path = join(self.surroundings.directory, &text);
            out.insert("file".to_owned(), Node::text(path, &spot));
        }
        own_keys(node, &mut out);
        out
    }

    /// Reads `external`, in both of its forms, and the name that it stands for.
    fn external(&mut self, key: &str, node: &Node, out: &mut Map) -> bool {
        let Some(external) = node.get("external") else { return false };
        let (is_external, name) = match &external.value {
            Value::Bool(value) => (*value, None),
            _ => (true, external.get("name")),
        };
        if !is_external {
            return false;
        }
        let name = name.and_then(|name| self.text(name).filter(|text| !text.is_empty()).map(|text| (text, name)));
        match name {
            Some((_, written)) if out.contains_key("name") => {
                self.error(written, "`external.name` and `name` cannot be given both: keep `name`");
            }
            Some((text, written)) => {
                out.insert("name".to_owned(), Node::text(text, &written.spot));
            }
            None if !out.contains_key("name") => {
                out.insert("name".to_owned(), Node::text(key, &external.spot));
            }
            None => {}
        }
        out.insert("external".to_owned(), Node::new(Value::Bool(true), &external.spot));
        true
    }
}

/// Keeps the keys that begin with `x-`: they are the author's own.
fn own_keys(node: &Node, out: &mut Map) {
    for (key, below) in node.entries().filter(|(key, _)| key.starts_with("x-")) {
        out.insert(key.to_owned(), below.clone());
    }
}

/// Joins a path to a folder and cleans it, as Go does; an absolute path stays.
pub(super) fn join(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Returns an empty text at a spot: Docker's word for "as the image has it".
fn nothing(spot: &Arc<Spot>) -> Node {
    Node::new(Value::Null, spot)
}
