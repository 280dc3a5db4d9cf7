//! Labels by which an app says which recipe and version it is.

use std::time::Duration;

use crate::compose::Stack;
use crate::swarm::spec::Labels;

/// Longest time to converge that a recipe may ask for.
const TIMEOUT_SECONDS_MAX: u64 = 24 * 3600;

/// What is written on the service `app`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name of the recipe.
    pub recipe: String,
    /// Its version; `None` keeps what the compose file says.
    pub version: Option<String>,
    /// The commit, when it is not a published version that is deployed.
    pub chaos_commit: Option<String>,
}

/// Writes on the service `app` what the stack is. Without such a service nothing is written.
pub fn write(stack: &mut Stack, identity: &Identity) {
    let name = stack.name.clone();
    let Some(service) = stack.service_mut("app") else { return };
    let labels = &mut service.spec.labels;
    let key = |suffix: &str| format!("coop-cloud.{name}.{suffix}");
    labels.insert(key("recipe"), identity.recipe.clone());
    if let Some(version) = &identity.version {
        labels.insert(key("version"), version.clone());
    }
    labels.insert(key("chaos"), identity.chaos_commit.is_some().to_string());
    match &identity.chaos_commit {
        Some(commit) => {
            labels.insert(key("chaos-version"), commit.chars().take(8).collect());
        }
        None => {
            labels.remove(&key("chaos-version"));
        }
    }
}

/// What labels say about a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Name of the recipe.
    pub recipe: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Whether it is some commit rather than a published version.
    pub is_chaos: bool,
    /// The commit, shortened to 8 characters; a mark of uncommitted changes is taken away.
    pub chaos_commit: Option<String>,
    /// How long it may take to converge.
    pub timeout: Option<Duration>,
}

/// Reads what the labels of a stack's service say.
#[must_use]
pub fn read(labels: &Labels, stack: &str) -> Written {
    let get = |suffix: &str| labels.get(&format!("coop-cloud.{stack}.{suffix}")).filter(|value| !value.is_empty());
    let seconds = get("timeout").and_then(|text| text.parse().ok());
    Written {
        recipe: get("recipe").cloned(),
        version: get("version").cloned(),
        is_chaos: get("chaos").is_some_and(|value| value == "true"),
        chaos_commit: get("chaos-version").map(|commit| commit.trim_end_matches("+U").to_owned()),
        timeout: seconds.filter(|seconds| (1..=TIMEOUT_SECONDS_MAX).contains(seconds)).map(Duration::from_secs),
    }
}

/// Reads what the labels of a stack that is to be deployed say, wherever they stand.
#[must_use]
pub fn of_stack(stack: &Stack) -> Written {
    let mut services: Vec<_> = stack.services.iter().collect();
    // The service `app` comes first; recipes that label another one are understood as well.
    services.sort_by_key(|service| service.short_name != "app");
    let mut written = Written::default();
    for service in services {
        let found = read(&service.spec.labels, &stack.name);
        written.recipe = written.recipe.or(found.recipe);
        written.version = written.version.or(found.version);
        written.timeout = written.timeout.or(found.timeout);
    }
    written
}
