//! The environment of an app: what its files are interpolated with.

use std::collections::BTreeMap;

use super::{abra_sh, names};
use crate::compose::Stack;
use crate::compose::source::clean;

/// What the environment of an app is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppEnvironment<'a> {
    /// Name of the recipe.
    pub recipe: &'a str,
    /// The version or commit that is deployed.
    pub version: &'a str,
    /// The app's domain; empty for an app without.
    pub domain: &'a str,
    /// The values of `.env.sample`, over which `env` wins.
    pub sample: BTreeMap<String, String>,
    /// The app's own variables.
    pub env: BTreeMap<String, String>,
    /// The text of `abra.sh`; empty when there is none. Its exports win over everything, as with abra.
    pub abra_sh: &'a str,
}

impl AppEnvironment<'_> {
    /// Returns the name of the app's stack: the app's own `STACK_NAME`, else that of its domain. A sample has no say,
    /// because with it a recipe could reach for another app's objects.
    #[must_use]
    pub fn stack(&self) -> String {
        let own = self.env.get("STACK_NAME").filter(|name| !name.is_empty());
        own.cloned().unwrap_or_else(|| names::stack_name(self.domain))
    }

    /// Returns all variables, among them `STACK_NAME`, `DOMAIN` and `TYPE`.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.sample.clone();
        if !self.domain.is_empty() {
            variables.insert("DOMAIN".to_owned(), self.domain.to_owned());
        }
        variables.extend(self.env.clone());
        variables.extend(abra_sh::exports(self.abra_sh));
        variables.insert("TYPE".to_owned(), type_value(self.recipe, self.version));
        variables.insert("STACK_NAME".to_owned(), self.stack());
        variables
    }
}

/// Returns a sample in which `<recipe>.example.com` is the app's domain, as `abra app new` writes it.
#[must_use]
pub fn fill_sample(text: &str, recipe: &str, domain: &str) -> String {
    text.replace(&format!("{recipe}.example.com"), domain)
}

/// Returns what `TYPE` says: `<recipe>:<version>`, or the recipe alone.
#[must_use]
pub fn type_value(recipe: &str, version: &str) -> String {
    if version.is_empty() { recipe.to_owned() } else { format!("{recipe}:{version}") }
}

/// Splits what `TYPE` says into the recipe and the version.
#[must_use]
pub fn split_type(value: &str) -> (&str, Option<&str>) {
    value.split_once(':').map_or((value, None), |(recipe, version)| (recipe, Some(version)))
}

/// Returns the compose files that `COMPOSE_FILE` names, `compose.yml` without it; each once, cleaned.
///
/// # Errors
///
/// The name of a file that is absolute or leads out of the recipe.
pub fn compose_files(variables: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let written = variables.get("COMPOSE_FILE").map(String::as_str).unwrap_or_default();
    let mut files = Vec::new();
    for name in written.split(':').map(str::trim).filter(|name| !name.is_empty()) {
        let file = clean(name).map_err(|_| name.to_owned())?;
        if !files.contains(&file) {
            files.push(file);
        }
    }
    if files.is_empty() {
        files.push("compose.yml".to_owned());
    }
    Ok(files)
}

/// Adds to the environment of the service `app` every variable that it does not set itself, as abra does.
pub fn expose(stack: &mut Stack, variables: &BTreeMap<String, String>) {
    let Some(service) = stack.service_mut("app") else { return };
    let env = &mut service.spec.task_template.container_spec.env;
    let is_set = |env: &[String], key: &str| {
        env.iter().any(|line| line.split_once('=').map_or(line.as_str(), |(name, _)| name) == key)
    };
    for (key, value) in variables {
        if !is_set(env, key) {
            env.push(format!("{key}={value}"));
        }
    }
    env.sort();
}
