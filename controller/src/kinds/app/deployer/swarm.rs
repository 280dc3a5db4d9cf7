//! The native deployer: what `docker stack deploy` does, through the engine's API, in its order.
//!
//! ```text
//!   external networks are there ─► networks ─► secrets ─► configs ─► services, by name
//! ```

use std::collections::BTreeSet;

use api_types::reason;
use async_trait::async_trait;
use ports::compose::stack::StackObject;
use ports::error::{Error, ErrorKind};
use ports::swarm::spec::{Labels, ServiceSpec};
use ports::swarm::{Engine, NewStackFile, RegistryAuth, Removal, STACK_LABEL};

use super::compare::{differences, fit};
use super::decorate::CONTENT_LABEL;
use super::{Deploys, Effect, Live, Prune, Refusal, Wanted, mounted_secrets, referenced};
use crate::kinds::app::labels::{APP_LABEL, DELETE, GIVEN_LABEL, OWN_STACK_LABEL, VOLUMES_LABEL};
use crate::kinds::app::rotation::is_former;
use crate::runtime::outcome::Failure;

/// Networks that every engine has.
const PREDEFINED: [&str; 3] = ["host", "bridge", "none"];

/// Hands stacks over through the engine's API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

#[async_trait]
impl Deploys for Native {
    fn missing(&self, wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal> {
        let mut effects = networks(wanted, live)?;
        effects.extend(secrets(wanted, live)?);
        effects.extend(configs(wanted, live)?);
        let names = live.network_names();
        for service in &wanted.stack.services {
            let present = live.service(&service.spec.name);
            let spec = fit(&service.spec, present, &wanted.images, &names);
            match present {
                None => effects.push(Effect::CreateService(Box::new(spec))),
                Some(present)
                    if !differences(&spec, &present.spec, &names).is_empty() || spec.labels != present.spec.labels =>
                {
                    effects.push(Effect::UpdateService {
                        id: present.id.clone(),
                        version: present.version,
                        spec: Box::new(spec),
                    });
                }
                Some(_) => {}
            }
        }
        Ok(effects)
    }

    fn surplus(&self, wanted: &Wanted, live: &Live, prune: Prune) -> Vec<Effect> {
        let names: BTreeSet<&str> = wanted.stack.services.iter().map(|service| service.spec.name.as_str()).collect();
        let dropped = live.services.iter().filter(|service| !names.contains(service.spec.name.as_str()));
        if prune == Prune::Services && dropped.clone().next().is_some() {
            return dropped
                .map(|service| Effect::RemoveService(service.id.clone(), service.spec.name.clone()))
                .collect();
        }
        let mut used: BTreeSet<&str> = live.services.iter().flat_map(referenced).collect();
        used.extend(wanted.stack.configs.iter().map(|config| config.name.as_str()));
        let mut effects = Vec::new();
        for config in live.configs.iter().filter(|config| is_of(&config.labels, &wanted.owner.stack)) {
            if !used.contains(config.name.as_str()) {
                effects.push(Effect::RemoveConfig(config.id.clone(), config.name.clone()));
            }
        }
        // Only secrets that we made: those of people and of abra cannot be made again. Of a value that is given, what only
        // a rollback by hand would use goes as well: a key that was replaced is to be nowhere any more.
        let wanted_secrets: BTreeSet<&str> = wanted.stack.secrets.iter().map(|secret| secret.name.as_str()).collect();
        let mounted: BTreeSet<&str> = live.services.iter().flat_map(mounted_secrets).collect();
        for secret in &live.secrets {
            let name = secret.name.as_str();
            let is_unneeded = !mounted.contains(name) && !wanted_secrets.contains(name);
            if is_unneeded && is_former(name, &wanted.retired) {
                effects.push(Effect::RemoveSecret(secret.id.clone(), secret.name.clone()));
                continue;
            }
            if secret.labels.get(APP_LABEL) != Some(&wanted.owner.app) {
                continue;
            }
            let is_given = secret.labels.contains_key(GIVEN_LABEL);
            let is_ours = is_given || secret.labels.contains_key(CONTENT_LABEL);
            let is_needed = if is_given { mounted.contains(name) } else { used.contains(name) };
            if is_ours && !is_needed && !wanted_secrets.contains(name) {
                effects.push(Effect::RemoveSecret(secret.id.clone(), secret.name.clone()));
            }
        }
        effects
    }

    async fn apply(&self, engine: &dyn Engine, wanted: &Wanted, effect: &Effect) -> Result<(), Failure> {
        match effect {
            Effect::CreateNetwork(key) => {
                let network = wanted.stack.networks.iter().find(|network| &network.key == key);
                let Some(network) = network else { return Ok(()) };
                created(engine.create_network(&network.new).await)
            }
            Effect::CreateSecret(name) => match new_secret(wanted, name) {
                Some(secret) => created(engine.create_secret(&secret).await),
                None => Ok(()),
            },
            Effect::CreateConfig(key) => {
                let config = wanted.stack.configs.iter().find(|config| &config.key == key);
                match config.and_then(new_file) {
                    Some(config) => created(engine.create_config(&config).await),
                    None => Ok(()),
                }
            }
            // Nobody asks us for it: it comes from another deployer.
            Effect::DeployByAbra(_) => Ok(()),
            Effect::CreateService(spec) => created(engine.create_service(spec, auth(wanted, spec)).await),
            Effect::UpdateService { id, version, spec } => {
                updated(engine.update_service(id, *version, spec, auth(wanted, spec)).await)
            }
            Effect::RemoveService(id, _) => removed(engine.remove_service(id).await),
            Effect::RemoveConfig(id, _) => removed(engine.remove_config(id).await),
            Effect::RemoveSecret(id, _) => removed(engine.remove_secret(id).await),
        }
    }
}

fn networks(wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal> {
    let present = |name: &str| live.networks.iter().find(|network| network.name == name);
    let mut effects = Vec::new();
    for network in &wanted.stack.networks {
        if network.external {
            if !PREDEFINED.contains(&network.name.as_str()) && present(&network.name).is_none() {
                return Err(Refusal {
                    reason: reason::DEPENDENCY_NOT_READY,
                    message: format!(
                        "The stack uses the network {0}, which the swarm does not have: add {0} to spec.networks of the \
                         Host, or make it by hand.",
                        network.name
                    ),
                });
            }
        } else if present(&network.name).is_none() {
            effects.push(Effect::CreateNetwork(network.key.clone()));
        }
    }
    Ok(effects)
}

fn secrets(wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal> {
    let mut effects = Vec::new();
    for secret in &wanted.stack.secrets {
        let present = live.secrets.iter().find(|present| present.name == secret.name);
        if let (Some(present), Some(data)) = (present, &secret.data) {
            let known = present.labels.get(CONTENT_LABEL);
            if known.is_some_and(|known| *known != super::decorate::hash(data)) {
                return Err(changed("secret", secret));
            }
        }
        if present.is_some() {
            continue;
        }
        if secret.data.is_none() && !wanted.secrets.contains_key(&secret.name) {
            return Err(Refusal {
                reason: reason::SECRET_MISSING,
                message: format!(
                    "The stack needs the secret {}, which is in the swarm under no such name, and which the recipe does \
                     not let us make: put its value into a Secret and name that in spec.secrets of the App ({}).",
                    secret.name, secret.key
                ),
            });
        }
        effects.push(Effect::CreateSecret(secret.name.clone()));
    }
    Ok(effects)
}

fn configs(wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal> {
    let mut effects = Vec::new();
    for config in &wanted.stack.configs {
        let present = live.configs.iter().find(|present| present.name == config.name);
        match (present, &config.data) {
            (Some(present), Some(data)) if present.data.as_ref().is_some_and(|present| present != data) => {
                return Err(changed("config", config));
            }
            (Some(_), _) => {}
            (None, Some(_)) => effects.push(Effect::CreateConfig(config.key.clone())),
            (None, None) => {
                return Err(Refusal {
                    reason: reason::DEPENDENCY_NOT_READY,
                    message: format!(
                        "The stack uses the config {}, which the swarm does not have and which no file of the recipe \
                         gives: make it by hand.",
                        config.name
                    ),
                });
            }
        }
    }
    Ok(effects)
}

/// The engine would answer "only updates to Labels are allowed", which nobody understands.
fn changed(kind: &str, object: &StackObject) -> Refusal {
    let file = object.file.as_ref().map(|file| format!(" ({file})")).unwrap_or_default();
    let variable = format!("{}_VERSION", object.key.to_uppercase().replace('-', "_"));
    Refusal {
        reason: reason::CONFIG_CHANGED_WITHOUT_VERSION,
        message: format!(
            "The content of the {kind} {}{file} changed, but its name is still {}: the swarm cannot replace what a {kind} \
             holds. Raise {variable} in abra.sh of the recipe (or whatever the `name:` of the {kind} is made of).",
            object.key, object.name
        ),
    }
}

pub(super) fn new_secret(wanted: &Wanted, name: &str) -> Option<NewStackFile> {
    let declared = wanted.stack.secrets.iter().find(|secret| secret.name == name)?;
    let mut labels: Labels = declared.labels.clone();
    wanted.owner.put_on(&mut labels);
    // Not the stack's own label: `docker stack rm` and abra would take it along, and with it the way to the data.
    labels.insert(OWN_STACK_LABEL.to_owned(), wanted.owner.stack.clone());
    if wanted.goes_with_app {
        labels.insert(VOLUMES_LABEL.to_owned(), DELETE.to_owned());
    }
    if wanted.given.contains(name) {
        labels.insert(GIVEN_LABEL.to_owned(), "true".to_owned());
    }
    let data = declared.data.clone().or_else(|| wanted.secrets.get(name).map(|value| value.0.clone()))?;
    Some(NewStackFile { name: name.to_owned(), labels, data, is_template: declared.is_template })
}

fn new_file(object: &StackObject) -> Option<NewStackFile> {
    Some(NewStackFile {
        name: object.name.clone(),
        labels: object.labels.clone(),
        data: object.data.clone()?,
        is_template: object.is_template,
    })
}

fn is_of(labels: &Labels, stack: &str) -> bool {
    labels.get(STACK_LABEL).is_some_and(|label| label == stack)
}

/// Returns the credentials with which every node pulls a service's image.
fn auth<'a>(wanted: &'a Wanted, spec: &ServiceSpec) -> Option<&'a RegistryAuth> {
    wanted.pull_secrets.registries.of_image(&spec.task_template.container_spec.image)
}

/// What is there already was made by the pass before, which was cut off.
fn created(result: Result<String, Error>) -> Result<(), Failure> {
    match result {
        Err(error) if error.reason == "AlreadyExists" => Ok(()),
        Err(error) if error.kind == ErrorKind::Terminal => {
            Err(Failure::terminal(reason::DEPLOY_FAILED, ports::error::chain(&error)))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Somebody was faster: the next pass sees what they made of it.
fn updated(result: Result<(), Error>) -> Result<(), Failure> {
    match result {
        Err(error) if error.reason == "OutOfSequence" => Err(Failure::outdated(error.message)),
        Err(error) if error.kind == ErrorKind::Terminal => {
            Err(Failure::terminal(reason::DEPLOY_FAILED, ports::error::chain(&error)))
        }
        other => Ok(other?),
    }
}

/// What is in use goes at a later pass.
fn removed(result: Result<Removal, Error>) -> Result<(), Failure> {
    result.map(|_| ()).map_err(Failure::from)
}
