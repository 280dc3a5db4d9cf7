//! The merged tree → what the engine is asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::source::RecipeFiles;
use super::stack::{
    Finding, LoadError, LoadInput, Places, Severity, Stack, StackNetwork, StackObject, StackService, StackVolume,
};
use super::tree::{Node, Value};
use crate::swarm::spec::Labels;
use crate::swarm::{NewNetwork, STACK_LABEL};

mod fields;
mod service;

/// Most bytes of a secret; the engine takes fewer than 512 000.
const SECRET_BYTES_MAX: usize = 511_999;
/// Most bytes of a config; the engine takes fewer than 1 024 000.
const CONFIG_BYTES_MAX: usize = 1_023_999;

/// Keys of a service that a swarm does not heed.
const IGNORED: [&str; 20] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "container_name",
    "devices",
    "domainname",
    "expose",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "oom_score_adj",
    "pid",
    "privileged",
    "security_opt",
    "shm_size",
    "tmpfs",
    "userns_mode",
    "depends_on",
];

/// What converting needs besides the tree.
pub(super) struct Converter<'a> {
    input: &'a LoadInput,
    files: &'a dyn RecipeFiles,
    root: &'a Node,
    findings: Vec<Finding>,
}

/// Converts a merged tree.
///
/// # Errors
///
/// What refers to something that is not there, and what no engine would take, each with its place.
pub(super) fn convert(
    root: &Node,
    input: &LoadInput,
    files: &dyn RecipeFiles,
    warnings: Vec<Finding>,
) -> Result<Stack, LoadError> {
    let mut converter = Converter { input, files, root, findings: warnings };
    let mut stack = Stack { name: input.stack.clone(), ..Stack::default() };
    record(&mut stack.places, root, "");
    if let Some(services) = root.get("services") {
        for (name, service) in services.entries() {
            let service = converter.service(name, service);
            stack.services.push(service);
        }
    }
    stack.networks = converter.networks(&stack);
    stack.volumes = converter.volumes();
    stack.secrets = converter.objects("secrets", SECRET_BYTES_MAX);
    stack.configs = converter.objects("configs", CONFIG_BYTES_MAX);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        converter.findings.into_iter().partition(|finding| finding.severity == Severity::Error);
    stack.warnings = warnings;
    if errors.is_empty() { Ok(stack) } else { Err(LoadError { findings: errors }) }
}

/// Remembers where everything is written, by what it is.
fn record(places: &mut Places, node: &Node, key: &str) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    if node.spot.line != 0 || !node.spot.path.is_empty() {
        places.insert(key.to_owned(), node.place());
    }
    for (name, entry) in node.entries() {
        record(places, entry, &below(name));
    }
    for (position, item) in node.items().iter().enumerate() {
        let named = ["published", "target", "source", "subnet", "spread"]
            .iter()
            .find_map(|field| item.get(field))
            .unwrap_or(item);
        let name = super::scalar::print(&named.value).unwrap_or_else(|| position.to_string());
        record(places, item, &below(&name));
    }
}

impl Converter<'_> {
    fn error(&mut self, rule: &str, node: &Node, message: impl Into<String>) {
        self.findings.push(Finding {
            severity: Severity::Error,
            rule: rule.to_owned(),
            place: node.place(),
            message: message.into(),
        });
    }

    fn warn(&mut self, rule: &str, node: &Node, message: impl Into<String>) {
        self.findings.push(Finding {
            severity: Severity::Warning,
            rule: rule.to_owned(),
            place: node.place(),
            message: message.into(),
        });
    }

    /// Returns an object's name in the engine.
    fn scoped(&self, key: &str) -> String {
        format!("{}_{key}", self.input.stack)
    }

    /// Returns the entry of a top-level section.
    fn declared(&self, section: &str, key: &str) -> Option<&Node> {
        self.root.get(section)?.get(key)
    }

    /// Returns the name in the engine of something that a section declares.
    fn name_of(&self, key: &str, node: Option<&Node>) -> String {
        node.and_then(|node| fields::text(node, "name")).map_or_else(|| self.scoped(key), str::to_owned)
    }

    /// Returns labels together with the stack's own.
    fn labels(&self, labels: Option<&Node>) -> Labels {
        let mut labels = labels.map(fields::pairs).unwrap_or_default();
        labels.insert(STACK_LABEL.to_owned(), self.input.stack.clone());
        labels
    }

    fn networks(&self, stack: &Stack) -> Vec<StackNetwork> {
        let mut used: BTreeSet<String> = BTreeSet::new();
        let written = self.root.get("services");
        for service in &stack.services {
            let networks = written.and_then(|services| services.at(&[&service.short_name, "networks"]));
            match networks {
                Some(networks) => used.extend(networks.entries().map(|(key, _)| key.to_owned())),
                None => {
                    used.insert("default".to_owned());
                }
            }
        }
        used.into_iter()
            .map(|key| {
                let node = self.declared("networks", &key);
                let name = self.name_of(&key, node);
                let external = node.is_some_and(|node| fields::switch(node, "external"));
                let pools = node.and_then(|node| node.at(&["ipam", "config"])).map(Node::items).unwrap_or_default();
                let subnets = pools.iter().filter_map(|pool| fields::text(pool, "subnet").map(str::to_owned)).collect();
                let new = NewNetwork {
                    name: name.clone(),
                    driver: node.and_then(|node| fields::text(node, "driver")).unwrap_or_default().to_owned(),
                    driver_opts: node.and_then(|node| node.get("driver_opts")).map(fields::pairs).unwrap_or_default(),
                    attachable: node.is_some_and(|node| fields::switch(node, "attachable")),
                    internal: node.is_some_and(|node| fields::switch(node, "internal")),
                    subnets,
                    labels: self.labels(node.and_then(|node| node.get("labels"))),
                };
                StackNetwork { key, name, external, new }
            })
            .collect()
    }

    fn volumes(&self) -> Vec<StackVolume> {
        let Some(section) = self.root.get("volumes") else { return Vec::new() };
        section
            .entries()
            .map(|(key, node)| StackVolume {
                key: key.to_owned(),
                name: self.name_of(key, Some(node)),
                external: fields::switch(node, "external"),
                driver: fields::text(node, "driver").unwrap_or_default().to_owned(),
                driver_opts: node.get("driver_opts").map(fields::pairs).unwrap_or_default(),
                labels: self.labels(node.get("labels")),
            })
            .collect()
    }

    fn objects(&mut self, section: &str, bytes_max: usize) -> Vec<StackObject> {
        let Some(objects) = self.root.get(section) else { return Vec::new() };
        let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let services = self.root.get("services");
        for (service, node) in services.iter().flat_map(|services| services.entries()) {
            for reference in node.get(section).map(Node::items).unwrap_or_default() {
                let source = fields::text(reference, "source").unwrap_or_default();
                users.entry(source).or_default().push(service.to_owned());
            }
        }
        objects
            .entries()
            .map(|(key, node)| {
                let external = fields::switch(node, "external");
                let mut object = StackObject {
                    key: key.to_owned(),
                    name: self.name_of(key, Some(node)),
                    external,
                    is_template: fields::text(node, "template_driver") == Some("golang"),
                    labels: self.labels(node.get("labels")),
                    used_by: users.remove(key).unwrap_or_default(),
                    ..StackObject::default()
                };
                if let Some(driver) = node.get("template_driver").filter(|_| !object.is_template) {
                    self.error("UnknownDriver", driver, "the only template driver is `golang`");
                }
                if let Some(driver) = node.get("driver").filter(|_| !external) {
                    self.error("UnknownDriver", driver, "secret drivers are not supported: give the secret a `file`");
                } else if !external {
                    self.read(node, &mut object, bytes_max);
                }
                object
            })
            .collect()
    }

    /// Reads an object's file, which must lie in the checkout.
    fn read(&mut self, node: &Node, object: &mut StackObject, bytes_max: usize) {
        let path = fields::text(node, "file").unwrap_or_default();
        let root = super::canonical::join(&self.input.directory, "");
        let beneath = if root == "/" { Some(path) } else { path.strip_prefix(root.as_str()) };
        let relative =
            beneath.filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|rest| &rest[1.min(rest.len())..]);
        let place = node.get("file").unwrap_or(node);
        let Some(relative) = relative else {
            let message = format!("the file {path:?} lies outside the recipe: only files of the recipe are read");
            return self.error("OutsideRecipe", place, message);
        };
        match self.files.read(relative, bytes_max) {
            Ok(data) => {
                object.data = Some(data);
                object.file = Some(relative.to_owned());
            }
            Err(_) if relative.is_empty() => {
                self.error("MissingKey", node, "it needs a `file`, or `external: true`");
            }
            Err(super::source::ReadError::Outside) => {
                let message =
                    format!("the file {relative:?} lies outside the recipe: only files of the recipe are read");
                self.error("OutsideRecipe", place, message);
            }
            Err(error) => {
                self.error("UnreadableFile", place, format!("the file {relative:?} cannot be read: {error}"));
            }
        }
    }

    /// Returns what a service says that a swarm does not heed, and warns of it.
    fn ignored(&mut self, node: &Node) -> BTreeMap<String, serde_json::Value> {
        let mut ignored = BTreeMap::new();
        for key in IGNORED {
            let Some(below) = node.get(key) else { continue };
            ignored.insert(key.to_owned(), below.to_json());
            if key != "depends_on" {
                self.warn("Ignored", below, format!("a swarm does not heed `{key}`: remove it"));
            }
        }
        ignored
    }
}

/// Returns the service's parts that the stack's own type carries.
fn stack_service(name: &str, node: &Node, spec: crate::swarm::spec::ServiceSpec) -> StackService {
    StackService {
        short_name: name.to_owned(),
        spec,
        image_as_written: fields::text(node, "image").unwrap_or_default().to_owned(),
        depends_on: node.get("depends_on").map(fields::texts).unwrap_or_default(),
        ignored: BTreeMap::new(),
    }
}

/// Returns whether a value is there and is a mapping.
fn is_map(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.value), Some(Value::Map(_)))
}
