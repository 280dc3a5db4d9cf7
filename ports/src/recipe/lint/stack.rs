//! Rules about the stack.

use std::collections::BTreeMap;

use super::super::version::RecipeVersion;
use super::super::{backup, labels, names, secret};
use super::Lint;
use crate::compose::durations::{self, SECOND};
use crate::compose::{Place, Stack, StackService, secret_names};

/// Rules that cannot be looked at without a stack.
pub(super) const NEEDS_STACK: [&str; 19] = [
    "R002", "R003", "R004", "R005", "R009", "R010", "R015", "C001", "C002", "C003", "C004", "C005", "C006", "C008",
    "C009", "C011", "C012", "C013", "C015",
];

/// Tags that move.
const MOVING_TAGS: [&str; 10] =
    ["latest", "main", "master", "develop", "dev", "nightly", "edge", "stable", "unstable", "testing"];
/// Longest key of a secret that leaves room for the stack's name.
const SECRET_KEY_CHARACTERS_MAX: usize = 12;
/// What an engine does when a file says nothing, in nanoseconds.
const MONITOR_DEFAULT: i64 = 5 * SECOND;
/// As above.
const INTERVAL_DEFAULT: i64 = 30 * SECOND;
/// Failed checks in a row that mean unhealthy, when a file says nothing.
const RETRIES_DEFAULT: i64 = 3;

impl Lint<'_> {
    pub(super) fn stack(&mut self, stack: &Stack) {
        if stack.service("app").is_none() {
            self.breach("R009", stack.places.find(&["services"]), "no service is called `app`");
        }
        for service in &stack.services {
            self.image(stack, service);
            self.health(stack, service);
            self.update(stack, service);
            self.networks(stack, service);
            self.mounts(stack, service);
            for name in service.depends_on.iter().filter(|name| stack.service(name).is_none()) {
                let place = place(stack, service, &["depends_on", name]);
                self.breach("C006", place, format!("{} depends on {name:?}, which is not there", service.short_name));
            }
        }
        self.routing(stack);
        self.secrets(stack);
        self.version_label(stack);
        for finding in names::check_lengths(stack) {
            self.breach("C001", finding.place, finding.message);
        }
        for finding in backup::plan(stack).findings {
            self.breach("C011", finding.place, finding.message);
        }
        for finding in stack.warnings.iter().filter(|finding| finding.rule == "Ignored") {
            self.breach("C013", finding.place.clone(), finding.message.clone());
        }
    }

    fn image(&mut self, stack: &Stack, service: &StackService) {
        let image = service.image_as_written.split('@').next().unwrap_or_default();
        let name = service.short_name.as_str();
        let place = place(stack, service, &["image"]);
        let last = image.rsplit('/').next().unwrap_or_default();
        match last.split_once(':').map(|(_, tag)| tag) {
            None if service.image_as_written.contains('@') => {}
            None => self.breach("R003", place, format!("the image of {name} has no tag")),
            Some(tag) if MOVING_TAGS.contains(&tag.to_lowercase().as_str()) => {
                self.breach("R004", place, format!("the tag {tag:?} of {name} moves"));
            }
            Some(tag) if !tag.bytes().any(|byte| byte.is_ascii_digit()) => {
                self.breach("R005", place, format!("the tag {tag:?} of {name} says no version"));
            }
            Some(_) => {}
        }
    }

    fn health(&mut self, stack: &Stack, service: &StackService) {
        let check = service.spec.task_template.container_spec.healthcheck.as_ref();
        let is_off = check.is_none_or(|check| check.test.first().is_some_and(|word| word == "NONE"));
        if is_off && !service.spec.mode.is_job() {
            let place = place(stack, service, &["healthcheck"]);
            self.breach("R002", place, format!("{} has no health check", service.short_name));
        }
    }

    fn update(&mut self, stack: &Stack, service: &StackService) {
        let spec = &service.spec;
        let name = service.short_name.as_str();
        let Some(update) = &spec.update_config else { return };
        let ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
        if update.order == "start-first" && ports.into_iter().any(|port| port.publish_mode == "host") {
            let place = place(stack, service, &["deploy", "update_config", "order"]);
            self.breach("C002", place, format!("{name} publishes a host port and is started before it is stopped"));
        }
        let Some(check) = &spec.task_template.container_spec.healthcheck else { return };
        if update.failure_action != "rollback" || check.test.first().is_none_or(|word| word == "NONE") {
            return;
        }
        let or = |value: i64, default: i64| if value == 0 { default } else { value };
        let needed = check
            .start_period
            .saturating_add(or(check.interval, INTERVAL_DEFAULT).saturating_mul(or(check.retries, RETRIES_DEFAULT)));
        let monitor = or(update.monitor, MONITOR_DEFAULT);
        // A task counts as running when its first check is good: what fails later is what the monitor has to see.
        if monitor < needed {
            let place = place(stack, service, &["deploy", "update_config"]);
            let message = format!(
                "the update of {name} watches for {}, but its health takes {} to fail",
                durations::print(monitor),
                durations::print(needed)
            );
            self.breach("C005", place, message);
        }
    }

    fn networks(&mut self, stack: &Stack, service: &StackService) {
        let name = service.short_name.as_str();
        if name == "app" || is_routed(service) {
            return;
        }
        for attachment in &service.spec.task_template.networks {
            let shared = stack.networks.iter().find(|network| network.external && network.name == attachment.target);
            if let Some(shared) = shared {
                let place = place(stack, service, &["networks", &shared.key]);
                self.breach(
                    "C003",
                    place,
                    format!("{name} is on the shared network {} and is not routed", shared.name),
                );
            }
        }
    }

    fn mounts(&mut self, stack: &Stack, service: &StackService) {
        let name = service.short_name.as_str();
        for mount in &service.spec.task_template.container_spec.mounts {
            let place = place(stack, service, &["volumes", &mount.target]);
            if is_drive(&mount.source) || is_drive(&mount.target) {
                let written = if is_drive(&mount.source) { &mount.source } else { &mount.target };
                self.breach("C009", place, format!("{name} mounts {written:?}, which is read as a drive"));
            } else if mount.type_ == "bind" {
                self.breach("C008", place, format!("{name} mounts {:?} of the host", mount.source));
            }
        }
    }

    fn routing(&mut self, stack: &Stack) {
        let routed: Vec<&StackService> = stack.services.iter().filter(|service| is_routed(service)).collect();
        if routed.is_empty() {
            self.breach("R010", stack.places.find(&["services"]), "no service has `traefik.enable=true`");
        }
        for service in routed {
            let labels = service.spec.labels.keys().map(|label| label.to_lowercase());
            let mut ports =
                labels.filter(|label| label.starts_with("traefik.") && label.ends_with(".loadbalancer.server.port"));
            if ports.next().is_none() {
                let place = place(stack, service, &["deploy", "labels"]);
                self.breach("C004", place, format!("{} is routed and does not say its port", service.short_name));
            }
        }
    }

    fn secrets(&mut self, stack: &Stack) {
        let sample = self.sample();
        let variables = self.version_variables();
        for object in stack.secrets.iter().filter(|object| object.external) {
            let place = stack.places.find(&["secrets", &object.key]);
            if object.key.chars().count() > SECRET_KEY_CHARACTERS_MAX {
                let message = format!("the secret {} has {} characters", object.key, object.key.chars().count());
                self.breach("R015", place.clone(), message);
            }
            let Some(sample) = sample.as_ref().filter(|_| !object.used_by.is_empty()) else { continue };
            let by_convention = || vec![secret::version_variable(&object.key)];
            let used = variables.get(&object.key).cloned().unwrap_or_else(by_convention);
            for variable in used.iter().filter(|variable| sample.entry(variable).is_none()) {
                self.breach("C015", place.clone(), format!("`.env.sample` has no {variable}"));
            }
        }
    }

    /// Returns the variables that the versions of secrets are made of, as the compose files write their names: whatever they
    /// are called, and none for a name that is written out. The last file that names a secret counts.
    fn version_variables(&self) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        for file in self.input.compose_files {
            for (key, mut variables) in secret_names(file, &self.text(file).unwrap_or_default()) {
                variables.retain(|variable| variable.ends_with("VERSION"));
                found.insert(key, variables);
            }
        }
        found
    }

    fn version_label(&mut self, stack: &Stack) {
        let label = format!("coop-cloud.{}.version", stack.name);
        let place = stack.places.find(&["services", "app", "deploy", "labels", &label]);
        match labels::of_stack(stack).version {
            None => self.breach("C012", place, "no label says the recipe's version"),
            Some(version) if RecipeVersion::parse(&version).is_none() => {
                self.breach("C012", place, format!("{version:?} is not a version of a recipe"));
            }
            Some(_) => {}
        }
    }
}

/// Returns whether a path begins like `C:`, also behind the folder that a relative path is joined to.
fn is_drive(path: &str) -> bool {
    let is_letter_colon =
        |part: &str| part.as_bytes().get(1) == Some(&b':') && part.as_bytes()[0].is_ascii_alphabetic();
    is_letter_colon(path) || path.split('/').any(is_letter_colon)
}

fn is_routed(service: &StackService) -> bool {
    let labels = &service.spec.labels;
    labels
        .iter()
        .any(|(label, value)| label.eq_ignore_ascii_case("traefik.enable") && value.eq_ignore_ascii_case("true"))
}

fn place(stack: &Stack, service: &StackService, path: &[&str]) -> Place {
    stack.places.find(&[&["services", service.short_name.as_str()], path].concat())
}
