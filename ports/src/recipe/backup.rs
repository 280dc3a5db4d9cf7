//! Backup labels: what is backed up, and what is run before and after.

use crate::compose::{Finding, Severity, Stack, StackService};
use crate::swarm::spec::Labels;

/// What the labels of a stack say about backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupPlan {
    /// The services that take part; without any, the stack cannot be backed up.
    pub services: Vec<BackupService>,
    /// Volumes that are backed up, by their names in the engine; sorted, each once.
    pub volumes: Vec<BackupVolume>,
    /// What looks wrong.
    pub findings: Vec<Finding>,
}

impl BackupPlan {
    /// Returns whether there is anything to back up.
    #[must_use]
    pub fn is_capable(&self) -> bool {
        !self.services.is_empty()
    }
}

/// A service that takes part in backups. Commands are lines for the shell in its container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupService {
    /// Its name in the compose file.
    pub service: String,
    /// Run before a backup.
    pub backup_before: Option<String>,
    /// Run after a backup.
    pub backup_after: Option<String>,
    /// Run before a restore.
    pub restore_before: Option<String>,
    /// Run after a restore.
    pub restore_after: Option<String>,
    /// Paths in the container that the older form of the labels names.
    pub legacy_paths: Vec<String>,
}

/// A volume that is backed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupVolume {
    /// Its name in the engine.
    pub name: String,
    /// Its name in the compose file.
    pub key: String,
    /// Paths below its root; the whole volume when empty.
    pub paths: Vec<String>,
}

/// Reads the backup labels of a stack, of both forms.
#[must_use]
pub fn plan(stack: &Stack) -> BackupPlan {
    let mut plan = BackupPlan::default();
    for service in &stack.services {
        let labels = &service.spec.labels;
        if labels.get("backupbot.backup").is_some_and(|value| is_true(value)) {
            plan.services.push(read_service(service, labels));
            add_volumes(stack, service, labels, &mut plan);
        } else if let Some((key, _)) = labels.iter().find(|(key, _)| key.starts_with("backupbot.")) {
            let is_off = labels.contains_key("backupbot.backup");
            if !is_off {
                let message = format!(
                    "the label `{key}` does nothing without `backupbot.backup=true` on the same service {}",
                    service.short_name
                );
                warn(stack, service, key, message, &mut plan);
            }
        }
    }
    plan.volumes.sort();
    plan.volumes.dedup();
    plan
}

fn is_true(value: &str) -> bool {
    matches!(value.trim().to_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

fn read_service(service: &StackService, labels: &Labels) -> BackupService {
    let get = |key: &str| labels.get(&format!("backupbot.{key}")).filter(|line| !line.is_empty()).cloned();
    BackupService {
        service: service.short_name.clone(),
        backup_before: get("backup.pre-hook"),
        backup_after: get("backup.post-hook"),
        restore_before: get("restore.pre-hook"),
        restore_after: get("restore.post-hook").or_else(|| get("restore")),
        legacy_paths: paths(get("backup.path").as_deref()),
    }
}

fn paths(list: Option<&str>) -> Vec<String> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn add_volumes(stack: &Stack, service: &StackService, labels: &Labels, plan: &mut BackupPlan) {
    let mounts = &service.spec.task_template.container_spec.mounts;
    let named = mounts.iter().filter(|mount| mount.type_ == "volume" && !mount.source.is_empty());
    let mut known = Vec::new();
    for mount in named {
        let Some(volume) = stack.volumes.iter().find(|volume| volume.name == mount.source) else { continue };
        known.push(volume.key.clone());
        let label = format!("backupbot.backup.volumes.{}", volume.key);
        let is_excluded = labels.get(&label).is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        let paths = paths(labels.get(&format!("{label}.path")).map(String::as_str));
        if paths.iter().any(|path| path.starts_with('/') || path.split('/').any(|part| part == "..")) {
            let message = format!("the paths of the volume {} must be relative to its root, without `..`", volume.key);
            warn(stack, service, &format!("{label}.path"), message, plan);
        }
        if !is_excluded {
            plan.volumes.push(BackupVolume { name: volume.name.clone(), key: volume.key.clone(), paths });
        }
    }
    for label in labels.keys().filter_map(|label| label.strip_prefix("backupbot.backup.volumes.")) {
        let volume = label.strip_suffix(".path").unwrap_or(label);
        if !known.iter().any(|key| key == volume) {
            let message = format!(
                "the service {} mounts no volume {volume:?}: its backup label does nothing",
                service.short_name
            );
            warn(stack, service, &format!("backupbot.backup.volumes.{label}"), message, plan);
        }
    }
}

fn warn(stack: &Stack, service: &StackService, label: &str, message: String, plan: &mut BackupPlan) {
    let place = stack.places.find(&["services", &service.short_name, "deploy", "labels", label]);
    let finding = Finding { severity: Severity::Warning, rule: "BackupLabel".to_owned(), place, message };
    plan.findings.push(finding);
}
