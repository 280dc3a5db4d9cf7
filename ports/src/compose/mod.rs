//! Compose files as Docker's `stack deploy` understands them: from text to the services that the engine is asked for.
//!
//! One tree goes the whole way: parse → interpolate → validate → bring to one form → merge → change → convert. What
//! policy judges is what is deployed, and everything that is said about a file names the file, the line and the path.
//!
//! Nothing here talks to an engine, and files are read through [`RecipeFiles`] only, which never leaves the checkout.
//! The rules are those of docker/cli's loader, odd ones included: `docker stack config` is the oracle of the tests.

mod canonical;
mod change;
mod convert;
pub mod durations;
pub mod interpolate;
mod merge;
mod mounts;
pub mod policy;
pub mod ports;
pub mod quantities;
pub mod scalar;
mod schema;
pub mod source;
pub mod stack;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
mod yaml;

pub use source::{CheckoutFiles, InMemoryFiles, ReadError, RecipeFiles};
pub use stack::{
    Finding, LoadError, LoadInput, Place, Places, ServiceChange, Severity, Stack, StackNetwork, StackObject,
    StackService, StackVolume, UpdateOrder,
};

use std::collections::BTreeMap;

use source::TEXT_BYTES_MAX;
use tree::Node;

/// Files that have been read, merged and changed, and not been converted yet.
#[derive(Clone, Debug)]
pub struct Merged {
    root: Node,
    warnings: Vec<Finding>,
}

impl Merged {
    /// Returns the tree as JSON: what `docker stack config` prints, which any YAML reader takes as it is.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// Returns a compose file that means the same to any program, whatever its environment: dollar signs are doubled.
    #[must_use]
    pub fn to_compose_file(&self) -> String {
        let mut json = self.root.to_json();
        double_dollars(&mut json);
        let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn double_dollars(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => *text = text.replace('$', "$$"),
        serde_json::Value::Array(items) => items.iter_mut().for_each(double_dollars),
        serde_json::Value::Object(map) => map.values_mut().for_each(double_dollars),
        _ => {}
    }
}

/// Loads compose files: everything from reading them to the services that the engine is asked for.
///
/// # Errors
///
/// Whatever is wrong with the files, each finding with file, line and path. What Docker would refuse is refused, and
/// files outside the checkout are besides.
pub fn load(input: &LoadInput, files: &dyn RecipeFiles) -> Result<Stack, LoadError> {
    let merged = merge_files(input, files)?;
    convert::convert(&merged.root, input, files, merged.warnings)
}

/// Reads, interpolates, validates, merges and changes compose files.
///
/// # Errors
///
/// As [`load`].
pub fn merge_files(input: &LoadInput, files: &dyn RecipeFiles) -> Result<Merged, LoadError> {
    let Some(first) = input.files.first() else {
        return Err(LoadError::one("NoFiles", Place::default(), "no compose file is given"));
    };
    let first = source::clean(first).unwrap_or_default();
    let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
    let directory = canonical::join(&input.directory, folder);
    let surroundings = canonical::Surroundings { env: &input.env, folder, directory: &directory, files };
    let mut warnings = Vec::new();
    let mut merged: Option<(Node, u8)> = None;
    for file in &input.files {
        let (node, minor) = read_file(file, &surroundings, &mut warnings)?;
        match &mut merged {
            None => merged = Some((node, minor)),
            Some((_, first_minor)) if *first_minor != minor => {
                let place = node.get("version").map_or_else(|| Place::file(file), Node::place);
                let message = format!(
                    "the files are of different versions: 3.{first_minor} and 3.{minor}; a file without `version` counts as 3.{}",
                    schema::NEWEST_MINOR
                );
                return Err(LoadError::one("VersionMismatch", place, message));
            }
            Some((base, _)) => merge::merge(base, node),
        }
    }
    let Some((mut root, _)) = merged else {
        return Err(LoadError::one("NoFiles", Place::default(), "no compose file is given"));
    };
    change::apply(&mut root, &input.changes)?;
    Ok(Merged { root, warnings })
}

/// Brings one file into its canonical form.
fn read_file(
    file: &str,
    surroundings: &canonical::Surroundings<'_>,
    warnings: &mut Vec<Finding>,
) -> Result<(Node, u8), LoadError> {
    let unreadable = |message: String| LoadError::one("UnreadableFile", Place::file(file), message);
    let bytes = surroundings
        .files
        .read(file, TEXT_BYTES_MAX)
        .map_err(|error| unreadable(format!("the compose file cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("the compose file is not UTF-8".to_owned()))?;
    let mut root = yaml::parse(file, &text)?;
    if !matches!(root.value, tree::Value::Map(_)) {
        let message = format!("the file is {}, but must be a mapping with `services`", root.value.kind());
        return Err(LoadError::one("WrongType", Place::file(file), message));
    }
    let minor = schema::version(&root)?;
    refuse_forbidden(&root)?;
    interpolate::interpolate(&mut root, surroundings.env, warnings)?;
    schema::validate(&root, minor)?;
    Ok((canonical::canonical(&root, surroundings, warnings)?, minor))
}

/// Keys of older formats that a swarm refuses, with what takes their place.
const FORBIDDEN: [(&str, &str); 8] = [
    ("extends", "repeat what the other service says, or use YAML anchors"),
    ("volume_driver", "declare a volume under `volumes`, and the driver there"),
    ("volumes_from", "declare a volume under `volumes`, and mount it in both services"),
    ("cpu_quota", "use `deploy.resources`"),
    ("cpu_shares", "use `deploy.resources`"),
    ("cpuset", "use `deploy.resources`"),
    ("mem_limit", "use `deploy.resources`"),
    ("memswap_limit", "use `deploy.resources`"),
];

fn refuse_forbidden(root: &Node) -> Result<(), LoadError> {
    let forbidden: BTreeMap<&str, &str> = FORBIDDEN.into_iter().collect();
    let services = root.get("services").into_iter().flat_map(Node::entries);
    let findings: Vec<Finding> = services
        .flat_map(|(_, service)| service.entries())
        .filter_map(|(key, node)| {
            let instead = forbidden.get(key)?;
            Some(Finding {
                severity: Severity::Error,
                rule: "ForbiddenKey".to_owned(),
                place: node.place(),
                message: format!("the key `{key}` is not for swarms: {instead}"),
            })
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(LoadError { findings }) }
}

/// Returns the durations of a file that come from variables. They mean something here and to `docker stack deploy`;
/// abra reads them before variables are replaced, and refuses them.
///
/// # Errors
///
/// The file is not YAML.
pub fn durations_from_variables(file: &str, text: &str) -> Result<Vec<Place>, LoadError> {
    const DURATIONS: [&str; 8] =
        ["interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window"];
    let root = yaml::parse(file, text)?;
    let mut places = Vec::new();
    let mut open: Vec<(&str, &Node)> = root.get("services").into_iter().flat_map(Node::entries).collect();
    while let Some((key, node)) = open.pop() {
        if DURATIONS.contains(&key) && node.as_text().is_some_and(|text| interpolate::variables(text).next().is_some())
        {
            places.push(node.place());
        }
        // Labels and variables of one's own may have any of these names.
        open.extend(node.entries().filter(|(key, _)| !matches!(*key, "labels" | "environment" | "sysctls" | "args")));
    }
    places.sort();
    Ok(places)
}

/// The name of a config, before variables are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigName {
    /// The variables that it is made of.
    pub variables: Vec<String>,
    /// Where it is written.
    pub place: Place,
}

/// Returns the names of the configs that a file declares and that are not external; none when it is not YAML.
#[must_use]
pub fn config_names(file: &str, text: &str) -> Vec<(String, ConfigName)> {
    let Ok(root) = yaml::parse(file, text) else { return Vec::new() };
    let configs = root.get("configs").into_iter().flat_map(Node::entries);
    configs
        .filter(|(_, config)| config.get("external").is_none())
        .map(|(key, config)| {
            let name = config.get("name");
            let text = name.and_then(Node::as_text).unwrap_or_default();
            let variables = interpolate::variables(text).map(str::to_owned).collect();
            (key.to_owned(), ConfigName { variables, place: name.unwrap_or(config).place() })
        })
        .collect()
}

/// Returns the variables that the names of external secrets are made of, before variables are replaced; none when the file
/// is not YAML.
#[must_use]
pub fn secret_names(file: &str, text: &str) -> Vec<(String, Vec<String>)> {
    let Ok(root) = yaml::parse(file, text) else { return Vec::new() };
    let secrets = root.get("secrets").into_iter().flat_map(Node::entries);
    secrets
        .filter_map(|(key, secret)| {
            let text = secret.get("name").and_then(Node::as_text)?;
            Some((key.to_owned(), interpolate::variables(text).map(str::to_owned).collect()))
        })
        .collect()
}
