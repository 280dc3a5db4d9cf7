//! Taking in what an untrusted stack asks for: limits, logs, times and names.

use super::{AllowedOption, Permissions, RULES, TIME_CAP};
use crate::compose::durations;
use crate::compose::stack::{Finding, Severity, Stack};
use crate::swarm::spec::{Driver, Placement, ResourceAmounts, Resources, ServiceSpec};

/// What each service of an untrusted stack may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Processes.
    pub pids: i64,
    /// Size at which a log file is begun anew, as json-file takes it.
    pub log_size: String,
    /// Log files that are kept.
    pub log_files: u32,
    /// Constraints that every service gets, such as `node.labels.trust==untrusted`.
    pub constraints: Vec<String>,
}

impl Default for Limits {
    /// Two processors, 2 GiB, 2048 processes, and 20 MB of log.
    fn default() -> Self {
        Self {
            nano_cpus: 2_000_000_000,
            memory_bytes: 2 << 30,
            pids: 2048,
            log_size: "10m".to_owned(),
            log_files: 2,
            constraints: Vec::new(),
        }
    }
}

impl Limits {
    /// Returns the log driver that keeps no more than this of what a container writes.
    #[must_use]
    pub fn log_driver(&self) -> Driver {
        let options = [("max-size", self.log_size.clone()), ("max-file", self.log_files.to_string())];
        Driver {
            name: "json-file".to_owned(),
            options: options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}

/// Takes in every service of a stack, and returns what was changed that its author wrote otherwise.
///
/// Doing it twice changes nothing more.
pub fn harden(stack: &mut Stack, permissions: &Permissions, limits: &Limits) -> Vec<Finding> {
    let mut changes: Vec<(String, Vec<&str>, &str, String)> = Vec::new();
    let permits = |option| permissions.allowed.options.contains(&option);
    let shared: Vec<String> =
        stack.networks.iter().filter(|network| network.external).map(|network| network.name.clone()).collect();
    let own = format!("{}_", stack.name);
    for service in &mut stack.services {
        let name = service.short_name.clone();
        let mut note = |path: Vec<&'static str>, rule, message| changes.push((name.clone(), path, rule, message));
        limit_resources(&mut service.spec, limits, &mut note);
        limit_log(&mut service.spec, limits, &mut note);
        if !permits(AllowedOption::AnyTimes) {
            limit_times(&mut service.spec, &mut note);
        }
        if !permits(AllowedOption::Aliases) {
            for attachment in service.spec.task_template.networks.iter_mut() {
                if shared.contains(&attachment.target) {
                    attachment.aliases.retain(|alias| alias.starts_with(&own));
                }
            }
        }
        add_constraints(&mut service.spec, limits);
    }
    changes
        .into_iter()
        .map(|(service, path, rule, message)| {
            debug_assert!(RULES.iter().any(|known| known.id == rule), "{rule} is in the list of rules");
            let place = stack.places.find(&[&["services", service.as_str()], path.as_slice()].concat());
            Finding { severity: Severity::Info, rule: rule.to_owned(), place, message }
        })
        .collect()
}

/// Says what was changed: the path in the service, the rule, and a message.
type Note<'a> = dyn FnMut(Vec<&'static str>, &'static str, String) + 'a;

fn limit_resources(spec: &mut ServiceSpec, limits: &Limits, note: &mut Note<'_>) {
    let resources = spec.task_template.resources.get_or_insert_with(Resources::default);
    let amounts = resources.limits.get_or_insert_with(ResourceAmounts::default);
    let mut cut = |have: &mut i64, most: i64, what: &'static str, key: &'static str| {
        if *have > most {
            let message = format!("the limit of {what} is cut from {have} to {most}");
            note(vec!["deploy", "resources", "limits", key], "ResourceLimits", message);
        }
        if *have <= 0 || *have > most {
            *have = most;
        }
    };
    cut(&mut amounts.nano_cpus, limits.nano_cpus, "billionths of a processor", "cpus");
    cut(&mut amounts.memory_bytes, limits.memory_bytes, "bytes of memory", "memory");
    cut(&mut amounts.pids, limits.pids, "processes", "pids");
    let (nano_cpus, memory_bytes) = (amounts.nano_cpus, amounts.memory_bytes);
    // What is set aside can be no more than what may be used.
    if let Some(reserved) = &mut resources.reservations {
        reserved.nano_cpus = reserved.nano_cpus.min(nano_cpus);
        reserved.memory_bytes = reserved.memory_bytes.min(memory_bytes);
    }
}

fn limit_log(spec: &mut ServiceSpec, limits: &Limits, note: &mut Note<'_>) {
    let driver = limits.log_driver();
    let task = &mut spec.task_template;
    if let Some(written) = task.log_driver.as_ref().filter(|written| **written != driver) {
        let message = format!("the log driver {:?} is replaced by json-file with a size limit", written.name);
        note(vec!["logging"], "LogDriver", message);
    }
    task.log_driver = Some(driver);
}

fn limit_times(spec: &mut ServiceSpec, note: &mut Note<'_>) {
    let mut cut = |time: &mut i64, path: Vec<&'static str>| {
        if *time > TIME_CAP {
            let (have, most) = (durations::print(*time), durations::print(TIME_CAP));
            let message = format!("{} is cut from {have} to {most}", path.join("."));
            note(path, "Times", message);
            *time = TIME_CAP;
        }
    };
    if let Some(grace) = &mut spec.task_template.container_spec.stop_grace_period {
        cut(grace, vec!["stop_grace_period"]);
    }
    for (key, config) in [("update_config", &mut spec.update_config), ("rollback_config", &mut spec.rollback_config)] {
        if let Some(config) = config {
            cut(&mut config.monitor, vec!["deploy", key, "monitor"]);
            cut(&mut config.delay, vec!["deploy", key, "delay"]);
        }
    }
}

fn add_constraints(spec: &mut ServiceSpec, limits: &Limits) {
    let placement = spec.task_template.placement.get_or_insert_with(Placement::default);
    for constraint in &limits.constraints {
        if !placement.constraints.contains(constraint) {
            placement.constraints.push(constraint.clone());
        }
    }
}
