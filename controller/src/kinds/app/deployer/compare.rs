//! What a service should be against what it is: so that nothing is called when nothing differs, and no task is restarted
//! for the sake of a label of ours.

use std::collections::BTreeMap;

use ports::swarm::spec::{
    Labels, Mount, ResourceAmounts, RestartPolicy, ServiceMode, ServiceSpec, TaskSpec, UpdateConfig, VolumeOptions,
};
use ports::swarm::{IMAGE_LABEL, Service};
use serde_json::Value;

use super::decorate::spec_hash;
use crate::kinds::app::labels::{OWN_PREFIX, SPEC_LABEL, without_own};

/// The engine's own monitor, in nanoseconds.
const MONITOR: i64 = 5_000_000_000;
/// The engine's own grace period, in nanoseconds.
const GRACE: i64 = 10_000_000_000;
/// The engine's own pause before a restart, in nanoseconds.
const RESTART_DELAY: i64 = 5_000_000_000;
/// Fields whose values may be shown: everything else could hold a secret.
const SHOWN: [&str; 8] = ["Image", "Replicas", "Order", "FailureAction", "Parallelism", "Condition", "Mode", "Name"];

/// Returns the spec that is asked for, fitted to what runs already, and marked with its hash.
///
/// - An image whose text in the compose file is unchanged keeps the digest that it was pinned to: what a tag points to
///   is looked up when the text changes, and not at every deploy. Otherwise `images` says to what it is pinned.
/// - `ForceUpdate` is kept: it counts restarts that people asked for.
/// - Our labels on containers and volumes are taken from what runs if nothing else differs there: a stack that somebody
///   else deployed is taken over without a restart.
#[must_use]
pub fn fit(
    wanted: &ServiceSpec,
    live: Option<&Service>,
    images: &BTreeMap<String, String>,
    networks: &BTreeMap<String, String>,
) -> ServiceSpec {
    let mut spec = wanted.clone();
    let image = &mut spec.task_template.container_spec.image;
    let pinned = live.and_then(|live| pinned(wanted, &live.spec)).or_else(|| images.get(image).map(String::as_str));
    if let Some(pinned) = pinned {
        pinned.clone_into(image);
    }
    spec.labels.insert(SPEC_LABEL.to_owned(), spec_hash(&spec));
    let Some(live) = live else { return spec };
    let force = live.spec.task_template.force_update;
    spec.task_template.force_update = spec.task_template.force_update.max(force);
    let bare = |template: &TaskSpec| normal_template(&without_own_labels(template), networks);
    if bare(&spec.task_template) == bare(&live.spec.task_template) {
        take_own_labels(&mut spec.task_template, &live.spec.task_template);
    }
    spec
}

/// Returns the pinned image of a live service, if the compose file still says the same as when it was pinned.
#[must_use]
pub fn pinned<'a>(wanted: &ServiceSpec, live: &'a ServiceSpec) -> Option<&'a str> {
    let image = &wanted.task_template.container_spec.image;
    let running = &live.task_template.container_spec.image;
    let same_text = live.labels.get(IMAGE_LABEL) == wanted.labels.get(IMAGE_LABEL);
    let same_image = running.split_once('@').map_or(running.as_str(), |(name, _)| name) == image;
    (same_text && same_image && !image.contains('@')).then_some(running)
}

/// Returns in what a live service differs from what was asked for, as sentences without values that could be secret.
#[must_use]
pub fn differences(wanted: &ServiceSpec, live: &ServiceSpec, networks: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    compare("", &normal(wanted, networks), &normal(live, networks), &mut found);
    found
}

/// Returns a spec's JSON with everything left out that the engine takes for the same, and names instead of ids.
fn normal(spec: &ServiceSpec, networks: &BTreeMap<String, String>) -> Value {
    let mut spec = spec.clone();
    spec.labels.remove(SPEC_LABEL);
    if let ServiceMode::Replicated { replicas } = &mut spec.mode {
        *replicas = Some(replicas.unwrap_or(1));
    }
    if let ServiceMode::ReplicatedJob { max_concurrent, total_completions } = &mut spec.mode {
        *max_concurrent = Some(max_concurrent.unwrap_or(1));
        *total_completions = Some(total_completions.unwrap_or(1));
    }
    spec.update_config = Some(normal_update(spec.update_config.take()));
    spec.rollback_config = Some(normal_update(spec.rollback_config.take()));
    let mut endpoint = spec.endpoint_spec.take().unwrap_or_default();
    if endpoint.mode.is_empty() {
        "vip".clone_into(&mut endpoint.mode);
    }
    for port in &mut endpoint.ports {
        default_word(&mut port.protocol, "tcp");
        default_word(&mut port.publish_mode, "ingress");
    }
    endpoint.ports.sort_by(|left, right| {
        (left.target_port, left.published_port, &left.protocol).cmp(&(
            right.target_port,
            right.published_port,
            &right.protocol,
        ))
    });
    spec.endpoint_spec = Some(endpoint);
    let template = normal_template(&spec.task_template, networks);
    spec.task_template = TaskSpec::default();
    let mut value = serde_json::to_value(&spec).unwrap_or_default();
    value["TaskTemplate"] = template;
    without_empty(value)
}

fn normal_update(update: Option<UpdateConfig>) -> UpdateConfig {
    let mut update = update.unwrap_or_default();
    default_word(&mut update.failure_action, "pause");
    default_word(&mut update.order, "stop-first");
    if update.monitor == 0 {
        update.monitor = MONITOR;
    }
    update
}

/// Writes out the word that the engine takes an empty one for.
fn default_word(text: &mut String, word: &str) {
    if text.is_empty() {
        word.clone_into(text);
    }
}

fn normal_template(template: &TaskSpec, networks: &BTreeMap<String, String>) -> Value {
    let mut template = template.clone();
    for network in &mut template.networks {
        if let Some(name) = networks.get(&network.target) {
            network.target.clone_from(name);
        }
        network.aliases.sort();
        network.aliases.dedup();
    }
    template.networks.sort_by(|left, right| left.target.cmp(&right.target));
    let restart = template.restart_policy.get_or_insert_with(RestartPolicy::default);
    if restart.condition.is_empty() {
        "any".clone_into(&mut restart.condition);
    }
    restart.delay = Some(restart.delay.unwrap_or(RESTART_DELAY));
    restart.max_attempts = restart.max_attempts.filter(|attempts| *attempts > 0);
    restart.window = restart.window.filter(|window| *window > 0);
    if let Some(placement) = &mut template.placement {
        placement.platforms.clear();
        placement.constraints.sort();
    }
    if let Some(resources) = &mut template.resources {
        let filled = |amounts: &mut Option<ResourceAmounts>| {
            *amounts = amounts.take().filter(|amounts| *amounts != ResourceAmounts::default());
        };
        filled(&mut resources.limits);
        filled(&mut resources.reservations);
    }
    let container = &mut template.container_spec;
    container.stop_grace_period = Some(container.stop_grace_period.unwrap_or(GRACE));
    if container.isolation == "default" {
        container.isolation.clear();
    }
    container.env.sort();
    container.capability_add.sort();
    container.capability_drop.sort();
    container.secrets.sort_by(|left, right| (&left.name, &left.file.name).cmp(&(&right.name, &right.file.name)));
    container.configs.sort_by(|left, right| (&left.name, &left.file.name).cmp(&(&right.name, &right.file.name)));
    for secret in &mut container.secrets {
        secret.id.clear();
    }
    for config in &mut container.configs {
        config.id.clear();
    }
    container.mounts.sort_by(|left, right| left.target.cmp(&right.target));
    for mount in &mut container.mounts {
        normal_mount(mount);
    }
    without_empty(serde_json::to_value(&template).unwrap_or_default())
}

fn normal_mount(mount: &mut Mount) {
    if mount.consistency == "default" {
        mount.consistency.clear();
    }
    if let Some(driver) = mount.volume_options.as_mut().and_then(|options| options.driver_config.as_mut())
        && driver.name == "local"
        && driver.options.is_empty()
    {
        driver.name.clear();
    }
}

/// Leaves out what is empty, zero, false or null.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(name, value)| (name, without_empty(value)));
            // No replicas is something else than the engine's default.
            Value::Object(kept.filter(|(name, value)| name == "Replicas" || !is_empty(value)).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}

fn compare(path: &str, wanted: &Value, live: &Value, found: &mut Vec<String>) {
    if wanted == live {
        return;
    }
    if let (Value::Object(wanted), Value::Object(live)) = (wanted, live) {
        let names: std::collections::BTreeSet<&String> = wanted.keys().chain(live.keys()).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (wanted, live) = (wanted.get(name).unwrap_or(&Value::Null), live.get(name).unwrap_or(&Value::Null));
            compare(&path, wanted, live, found);
        }
        return;
    }
    let last = path.rsplit('.').next().unwrap_or(path);
    found.push(if last == "Env" {
        format!("the variables {} differ", variables(wanted, live).join(", "))
    } else if SHOWN.contains(&last) {
        format!("{last} is {} instead of {}", shown(live), shown(wanted))
    } else {
        format!("{path} differs")
    });
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the names of variables that differ.
fn variables(wanted: &Value, live: &Value) -> Vec<String> {
    let set = |value: &Value| -> std::collections::BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (wanted, live) = (set(wanted), set(live));
    let differing = wanted.symmetric_difference(&live);
    let names = differing.map(|line| line.split_once('=').map_or(line.as_str(), |(name, _)| name).to_owned());
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

fn without_own_labels(template: &TaskSpec) -> TaskSpec {
    let mut template = template.clone();
    let container = &mut template.container_spec;
    container.labels = without_own(&container.labels);
    for options in container.mounts.iter_mut().filter_map(|mount| mount.volume_options.as_mut()) {
        options.labels = without_own(&options.labels);
    }
    template
}

/// Takes our labels from what runs, where it has any, and none where it has none.
fn take_own_labels(template: &mut TaskSpec, live: &TaskSpec) {
    replace_own(&mut template.container_spec.labels, &live.container_spec.labels);
    for mount in &mut template.container_spec.mounts {
        let same = live.container_spec.mounts.iter().find(|other| other.target == mount.target);
        let empty = VolumeOptions::default();
        let theirs = same.and_then(|other| other.volume_options.as_ref()).unwrap_or(&empty);
        if let Some(options) = &mut mount.volume_options {
            replace_own(&mut options.labels, &theirs.labels);
        }
    }
}

fn replace_own(labels: &mut Labels, theirs: &Labels) {
    let mut replaced = without_own(labels);
    replaced.extend(
        theirs
            .iter()
            .filter(|(name, _)| name.starts_with(OWN_PREFIX))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    *labels = replaced;
}
