//! What a preparation rests on: everything that, when it changes, makes another stack.

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::allow::{Allow, AllowOption};
use api_types::kinds::app::{App, AppSecret, AutoUpdate, SecretCharset, UpdateWindow, VolumePolicy};
use api_types::kinds::app_upgrade::AppUpgrade;
use api_types::kinds::check::{Health, Probe};
use api_types::kinds::host::Host;
use api_types::kinds::overlay::{Overlay, OverlayType, ServiceOverlay, UpdateOrder};
use api_types::kinds::recipe::{Recipe, RecipeSpec};
use api_types::kinds::reference::SecretKeyReference;
use api_types::kinds::test_run::TestRun;
use api_types::reason;
use api_types::units::DurationText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::compose::policy::{self, Allowed, AllowedOption, Limits, Permissions};
use ports::compose::stack::{Finding, ServiceChange, Severity, Stack};
use ports::recipe::secret::{Charset, Rule};
use ports::recipe::version::RecipeVersion;
use serde::Deserialize as _;

use super::super::Apps;
use super::super::application;
use super::super::dependencies;
use super::super::deployer::decorate::hash;
use super::super::deployer::{Refusal, SecretValue};
use super::super::generated::{self, Kept};
use super::super::labels::Owner;
use super::super::place;
use super::super::pull_secrets::{self, PullSecrets};
use super::super::rotation;
use super::super::upgrade::{self, Gate};
use crate::kinds::certificate::share;
use crate::kinds::forge::connection;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;
use crate::trust::{Tier, tier};

/// The network of the reverse proxy, as every recipe names it.
const PROXY_NETWORK: &str = "proxy";
/// The resource of Secrets.
const SECRETS: &str = "secrets";
/// What pulling may take when no Recipe says so.
const PULL_TIMEOUT: Duration = Duration::from_mins(15);
/// What answering may take when no Recipe says so.
const HTTP_TIMEOUT: Duration = Duration::from_mins(5);

/// Stands for a client ID in a plan for an app that has none yet.
const CLIENT_ID_TO_COME: &str = "client-id-to-come";

/// The folder, in an App's own, in which its recipe is checked out.
const CHECKOUT: &str = "recipe";

/// Which state of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A published version; the latest when it is not named.
    Version(Option<String>),
    /// A commit.
    Commit(String),
    /// Whatever a branch or tag stands for.
    Named(String),
}

/// What a preparation rests on.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Whose stack it is.
    pub owner: Owner,
    /// The folder, in the App's own, in which the recipe is checked out: whoever prepares the same stack at the same time
    /// has another, because a checkout is replaced while others may read it. No part of the key.
    pub checkout: &'static str,
    /// Where the recipe is fetched from.
    pub url: String,
    /// The recipe's name.
    pub recipe: String,
    /// Which state of it.
    pub target: Target,
    /// Which newer versions are taken.
    pub auto: AutoUpdate,
    /// And when.
    pub window: Option<UpdateWindow>,
    /// The version that was chosen before. No part of the key: it follows from the rest.
    pub current_version: Option<String>,
    /// What stands before upgrades; `None` for an App that is under test. Of it only the failed
    /// version, and what a person says with annotations, are part of the key.
    pub gate: Option<Gate>,
    /// Whether anything was deployed before, so that an old state is better than none. No part of the key.
    pub has_deployed: bool,
    /// Where the app answers.
    pub domain: String,
    /// Environment besides `.env.sample`.
    pub env: BTreeMap<String, String>,
    /// Compose files; empty for what `COMPOSE_FILE` says.
    pub compose_files: Vec<String>,
    /// Changes to them.
    pub overlays: Vec<Overlay>,
    /// Values that Secrets and Certificates give, by the secret's name in the compose file.
    pub given_secrets: BTreeMap<String, SecretValue>,
    /// Rules that the App sets itself, likewise.
    pub generated_secrets: BTreeMap<String, Rule>,
    /// In a plan: the variable and the secret of an OAuth2 application that is not there yet.
    pub(crate) application_to_come: Option<(String, String)>,
    /// By how much versions of generated secrets are ahead of the recipe's, likewise.
    pub rotations: BTreeMap<String, u32>,
    /// The key from which versions of given secrets follow. No part of the key: it never changes.
    pub(crate) kept: Kept,
    /// Credentials for registries.
    pub pull_secrets: PullSecrets,
    /// By which rules the stack is judged.
    pub tier: Tier,
    /// What its Recipe permits besides what everybody may.
    pub allow: Option<Allow>,
    /// Whether volumes, secrets and files go with the App.
    pub goes_with_app: bool,
    /// What the App says of its health.
    pub health: Option<Health>,
    /// What its Recipe says.
    pub recipe_health: Option<Health>,
    /// Further signs.
    pub probes: Vec<Probe>,
    /// How long it may take to pull.
    pub pull_timeout: Duration,
    /// To converge; what the recipe's label says, or what is reckoned, when `None`.
    pub converge_timeout: Option<Duration>,
    /// To answer.
    pub http_timeout: Duration,
}

impl Inputs {
    /// Returns what changes exactly when another stack may come of it.
    #[must_use]
    pub fn key(&self) -> String {
        let secrets: Vec<(&String, String)> =
            self.given_secrets.iter().map(|(key, value)| (key, hash(&value.0))).collect();
        let what = (&self.owner, &self.url, &self.target, &self.auto, &self.window, &self.domain, &self.env);
        let how =
            (&self.compose_files, &self.overlays, secrets, &self.generated_secrets, self.tier, self.goes_with_app);
        let checks = (&self.health, &self.recipe_health, &self.probes);
        let times = (self.pull_timeout, self.converge_timeout, self.http_timeout);
        // The Secrets' revision stands for what they hold.
        let trust = (&self.allow, &self.pull_secrets.revision);
        let failed = self.gate.as_ref().map(|gate| (&gate.failed, gate.takes_snapshot, &gate.retry));
        let rotations = &self.rotations;
        hash(format!("{what:?}{how:?}{rotations:?}{checks:?}{times:?}{trust:?}{failed:?}").as_bytes())
    }

    /// Puts what an OAuth2 application will bring in its place, if there is none yet, and returns its name. For plans.
    pub(in super::super) fn foresee_application(&mut self, app: &Object<App>) -> Option<String> {
        let application = app.spec.oauth_application.as_ref()?;
        if self.given_secrets.contains_key(&application.client_secret) {
            return None;
        }
        self.env.insert(application.client_id_env.clone(), CLIENT_ID_TO_COME.to_owned());
        self.given_secrets.insert(application.client_secret.clone(), SecretValue(Vec::new()));
        self.application_to_come = Some((application.client_id_env.clone(), application.client_secret.clone()));
        Some(application.name.clone().unwrap_or_else(|| self.domain.clone()))
    }

    /// Returns the id of the operation that prepares.
    #[must_use]
    pub fn operation_id(&self, uid: &str) -> String {
        format!("app/{uid}/prepare/{}", self.key())
    }

    /// Returns whether another state may be chosen later although nothing here changes.
    #[must_use]
    pub fn may_step(&self) -> bool {
        match &self.target {
            Target::Version(None) | Target::Named(_) => true,
            // One that is named stays; but people want to know of newer ones, and what it waits for may have come.
            Target::Version(Some(_)) => self.auto != AutoUpdate::None || self.gate.is_some(),
            Target::Commit(_) => false,
        }
    }

    /// Returns whether a version is named and none is taken by itself.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(self.target, Target::Version(Some(_))) && self.auto == AutoUpdate::None
    }

    /// Returns the changes to services that overlays make, for a version.
    #[must_use]
    pub fn changes(&self, version: Option<&str>) -> BTreeMap<String, ServiceChange> {
        let mut changes: BTreeMap<String, ServiceChange> = BTreeMap::new();
        let applies = |overlay: &&Overlay| match overlay.type_ {
            OverlayType::Environment => true,
            OverlayType::BaseRepair => overlay.base_versions.iter().any(|named| Some(named.as_str()) == version),
        };
        for overlay in self.overlays.iter().filter(applies) {
            for (service, overlay) in &overlay.services {
                change(changes.entry(service.clone()).or_default(), overlay);
            }
        }
        changes
    }

    /// Returns what the rules of its tier say of a stack.
    pub(super) fn findings(&self, stack: &Stack) -> Vec<Finding> {
        policy::judge(stack, &self.permissions())
    }

    fn permissions(&self) -> Permissions {
        Permissions {
            tier: match self.tier {
                Tier::Untrusted => policy::Tier::Untrusted,
                Tier::Trusted => policy::Tier::Trusted,
            },
            domains: vec![self.domain.clone()],
            proxy_network: PROXY_NETWORK.to_owned(),
            allowed: self.allow.as_ref().map(allowed).unwrap_or_default(),
        }
    }

    /// Judges a stack by the rules of its tier, and takes in one of an untrusted author.
    ///
    /// # Errors
    /// `PolicyRefused`, with file and line of everything that is not allowed.
    pub(super) fn judge(&self, stack: &mut Stack) -> Result<(), Refusal> {
        let permissions = self.permissions();
        let findings = policy::judge(stack, &permissions);
        let (errors, warnings): (Vec<Finding>, Vec<Finding>) =
            findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(super::refused(reason::POLICY_REFUSED, &errors));
        }
        stack.warnings.extend(warnings);
        if self.tier == Tier::Untrusted {
            let changes = policy::harden(stack, &permissions, &Limits::default());
            stack.warnings.extend(changes);
        }
        Ok(())
    }
}

/// Returns what a Recipe permits, in the words of the policy.
fn allowed(allow: &Allow) -> Allowed {
    let option = |option: &AllowOption| {
        Some(match option {
            AllowOption::GlobalMode => AllowedOption::GlobalMode,
            AllowOption::Placement => AllowedOption::Placement,
            AllowOption::ManyReplicas => AllowedOption::ManyReplicas,
            AllowOption::AnyTimes => AllowedOption::AnyTimes,
            AllowOption::Ulimits => AllowedOption::Ulimits,
            AllowOption::NetworkOptions => AllowedOption::NetworkOptions,
            AllowOption::Aliases => AllowedOption::Aliases,
            AllowOption::Routers => AllowedOption::Routers,
            // It permits nothing that a compose file says.
            AllowOption::PullSecrets => return None,
        })
    };
    Allowed {
        host_binds: allow.host_binds.clone(),
        volume_drivers: allow.volume_drivers.clone(),
        networks: allow.networks.clone(),
        names: allow.names.clone(),
        capabilities: allow.capabilities.clone(),
        sysctls: allow.sysctls.clone(),
        ports: allow.ports.clone(),
        hosts: allow.hosts.clone(),
        options: allow.options.iter().filter_map(option).collect(),
    }
}

fn change(change: &mut ServiceChange, overlay: &ServiceOverlay) {
    let nanoseconds = |text: &Option<DurationText>| {
        text.as_ref().map(|text| i64::try_from(text.span().as_nanos()).unwrap_or(i64::MAX))
    };
    change.image = overlay.image.clone().or_else(|| change.image.take());
    change.env.extend(overlay.env.clone());
    change.health_start_period = nanoseconds(&overlay.health_start_period).or(change.health_start_period);
    change.health_interval = nanoseconds(&overlay.health_interval).or(change.health_interval);
    change.health_timeout = nanoseconds(&overlay.health_timeout).or(change.health_timeout);
    change.health_retries = overlay.health_retries.or(change.health_retries);
    change.stop_grace_period = nanoseconds(&overlay.stop_grace_period).or(change.stop_grace_period);
    change.update_order = overlay
        .update_order
        .map(|order| match order {
            UpdateOrder::StartFirst => ports::compose::UpdateOrder::StartFirst,
            UpdateOrder::StopFirst => ports::compose::UpdateOrder::StopFirst,
        })
        .or(change.update_order);
}

/// Returns what an App names: its Recipe, its Secrets, the run that owns it.
pub(in super::super) fn references(app: &Object<App>) -> Vec<ObjectKey> {
    let namespace = &app.metadata.namespace;
    let mut keys: Vec<ObjectKey> = dependencies::references(app).collect();
    if let Some(recipe) = &app.spec.recipe.recipe_ref {
        keys.push(ObjectKey::new(&Recipe::resource(), namespace, recipe));
    }
    for reference in app.spec.secrets.iter().filter_map(|secret| secret.value_from.as_ref()) {
        keys.push(ObjectKey::new(SECRETS, namespace, &reference.name));
    }
    keys.push(generated::key(namespace, &app.metadata.name));
    if let Some(application) = &app.spec.oauth_application {
        keys.push(application::key(namespace, &app.metadata.name));
        keys.push(connection::key(&application.forge_ref));
    }
    keys.extend(app.spec.image_pull_secrets.iter().map(|secret| ObjectKey::new(SECRETS, namespace, &secret.name)));
    keys
}

impl Apps {
    /// Returns what a preparation of an App rests on.
    ///
    /// # Errors
    /// `Blocked` when an object that it names is missing.
    pub(in super::super) fn inputs(&self, app: &Object<App>, stack: &str) -> Result<Inputs, Failure> {
        let recipe = self.recipe(app)?;
        let spec = &app.spec;
        let url = recipe.as_ref().map(|recipe| recipe.source.url.clone()).or_else(|| spec.recipe.url.clone());
        let url = url.unwrap_or_default();
        let mut env = recipe.as_ref().map(|recipe| recipe.env.clone()).unwrap_or_default();
        env.extend(spec.env.clone());
        let mut given_secrets = self.given_secrets(app)?;
        if let Some(application) = &spec.oauth_application
            && let Some(own) = application::credentials(&self.cache, app)
        {
            env.insert(application.client_id_env.clone(), own.client_id);
            given_secrets.insert(application.client_secret.clone(), own.client_secret);
        }
        let target = match (&spec.version, &spec.commit, &spec.reference) {
            (_, Some(commit), _) => Target::Commit(commit.clone()),
            (_, _, Some(reference)) => Target::Named(reference.clone()),
            (version, None, None) => Target::Version(version.clone()),
        };
        let policy = spec.update_policy.clone().unwrap_or_default();
        let timeouts = recipe.as_ref().map(|recipe| &recipe.timeouts);
        let tier = self.tier(app, recipe.as_ref());
        let kept = self.kept(app)?;
        Ok(Inputs {
            owner: self.owner_of(app, stack)?,
            checkout: CHECKOUT,
            recipe: recipe_name(&url),
            url,
            target,
            auto: policy.auto,
            window: policy.window,
            current_version: upgrade::current_version(&app.status),
            gate: self.gate(app)?,
            has_deployed: app.status.deployed_hash.is_some(),
            domain: spec.domain.clone(),
            env,
            compose_files: spec.compose_files.clone(),
            overlays: spec.overlays.clone(),
            given_secrets,
            application_to_come: None,
            generated_secrets: spec.secrets.iter().filter_map(rule).collect(),
            rotations: rotation::steps(&kept.history),
            kept,
            pull_secrets: self.pull_secrets(app, recipe.as_ref(), tier)?,
            tier,
            allow: recipe.as_ref().and_then(|recipe| recipe.trust.allow.clone()),
            goes_with_app: spec.volumes == VolumePolicy::Delete,
            health: spec.health.clone(),
            recipe_health: recipe.as_ref().map(|recipe| recipe.health.clone()),
            probes: spec.probes.clone(),
            pull_timeout: timeouts.map_or(PULL_TIMEOUT, |timeouts| timeouts.pull.span()),
            converge_timeout: timeouts.map(|timeouts| timeouts.converge.span()),
            http_timeout: timeouts.map_or(HTTP_TIMEOUT, |timeouts| timeouts.http.span()),
        })
    }

    /// Returns what stands before upgrades of an App.
    fn gate(&self, app: &Object<App>) -> Result<Option<Gate>, Failure> {
        if is_of_run(app) {
            return Ok(None);
        }
        let host = place::choose(&self.cache, app)?;
        let stored = self.cache.get(&ObjectKey::new(&Host::resource(), "", &host.name));
        let host_seen = stored.and_then(|stored| Object::<Host>::deserialize(&stored.value).ok());
        let annotations = &app.metadata.annotations;
        let retry = annotations.get(upgrade::RETRY_ANNOTATION);
        let deployed = app.status.deployed_version.as_deref();
        Ok(Some(Gate {
            engine: host.engine,
            bytes_free: host_seen.as_ref().and_then(place::bytes_free),
            deployed: deployed.and_then(RecipeVersion::parse),
            failed: upgrade::failed_version(&app.status, app.metadata.generation, retry),
            leaves: upgrade::left_version(&app.status),
            retry: retry.cloned(),
            is_under_way: app.status.upgrade.as_ref().is_some_and(AppUpgrade::is_under_way),
            takes_snapshot: annotations.get(upgrade::SNAPSHOT_ANNOTATION).is_none_or(|value| value != "false"),
        }))
    }

    fn recipe(&self, app: &Object<App>) -> Result<Option<RecipeSpec>, Failure> {
        let Some(name) = &app.spec.recipe.recipe_ref else { return Ok(None) };
        let key = ObjectKey::new(&Recipe::resource(), &app.metadata.namespace, name);
        let stored = self.cache.get(&key).filter(|stored| !stored.is_being_deleted());
        let recipe = stored.and_then(|stored| Object::<Recipe>::deserialize(&stored.value).ok());
        match recipe {
            Some(recipe) => Ok(Some(recipe.spec)),
            None => {
                let message =
                    format!("there is no Recipe {name} in this namespace: apply it, or correct spec.recipe.recipeRef");
                Err(Failure::blocked(reason::DEPENDENCY_NOT_READY, message, vec![key]))
            }
        }
    }

    /// Returns by which rules the stack of an App is judged: those of the run that owns it. One whose run is gone is going
    /// as well, and is trusted with nothing meanwhile.
    fn tier(&self, app: &Object<App>, recipe: Option<&RecipeSpec>) -> Tier {
        let Some(owner) = app.metadata.owner_references.iter().find(|owner| owner.kind == TestRun::KIND) else {
            return Tier::Trusted;
        };
        let key = ObjectKey::new(&TestRun::resource(), &app.metadata.namespace, &owner.name);
        let stored = self.cache.get(&key).filter(|stored| stored.metadata.uid == owner.uid);
        let run = stored.and_then(|stored| Object::<TestRun>::deserialize(&stored.value).ok());
        match (run, recipe) {
            (Some(run), Some(recipe)) => tier(&run.spec, recipe),
            _ => Tier::Untrusted,
        }
    }

    /// Returns the App's own credentials, and its Recipe's as far as its author is trusted with them.
    fn pull_secrets(&self, app: &Object<App>, recipe: Option<&RecipeSpec>, tier: Tier) -> Result<PullSecrets, Failure> {
        let of_recipe = recipe.filter(|recipe| pull_secrets::are_for(recipe, tier));
        let of_recipe = of_recipe.map(|recipe| recipe.image_pull_secrets.as_slice()).unwrap_or_default();
        let names = app.spec.image_pull_secrets.iter().chain(of_recipe);
        pull_secrets::read(&self.cache, &app.metadata.namespace, names)
    }

    fn given_secrets(&self, app: &Object<App>) -> Result<BTreeMap<String, SecretValue>, Failure> {
        let of_certificates = match is_of_run(app) {
            // What is under test gets no key of anybody's.
            true => BTreeMap::new(),
            false => share::values(&self.cache, &app.metadata.namespace, &app.metadata.name)?,
        };
        let mut values: BTreeMap<String, SecretValue> =
            of_certificates.into_iter().map(|(name, value)| (name, SecretValue(value))).collect();
        for secret in &app.spec.secrets {
            let Some(reference) = &secret.value_from else { continue };
            // What a Certificate gives counts: it is the one that is looked after.
            if values.contains_key(&secret.name) {
                continue;
            }
            let key = ObjectKey::new(SECRETS, &app.metadata.namespace, &reference.name);
            let stored = self.cache.get(&key);
            let data = stored.as_ref().and_then(|stored| stored.value["data"].as_object());
            let value = data.and_then(|data| pick(data, reference));
            match value {
                Some(value) => values.insert(secret.name.clone(), SecretValue(value)),
                None => {
                    let wanted = match &reference.key {
                        Some(key) => format!("the key {key} of the Secret {}", reference.name),
                        None => format!("the Secret {}, with a single key", reference.name),
                    };
                    let message = format!(
                        "the secret {} of the recipe is taken from {wanted}, which is not there: create it",
                        secret.name
                    );
                    return Err(Failure::blocked(reason::SECRET_MISSING, message, vec![key]));
                }
            };
        }
        Ok(values)
    }
}

/// Returns whether an App is the child of a run.
pub(crate) fn is_of_run(app: &Object<App>) -> bool {
    app.metadata.owner_references.iter().any(|owner| owner.kind == TestRun::KIND)
}

fn pick(data: &serde_json::Map<String, serde_json::Value>, reference: &SecretKeyReference) -> Option<Vec<u8>> {
    let value = match &reference.key {
        Some(key) => data.get(key)?,
        None if data.len() == 1 => data.values().next()?,
        None => return None,
    };
    STANDARD.decode(value.as_str()?).ok()
}

fn rule(secret: &AppSecret) -> Option<(String, Rule)> {
    let generate = secret.generate.as_ref()?;
    let charset = match generate.charset {
        SecretCharset::Default => Charset::Plain,
        SecretCharset::SafeSpecial => Charset::PlainAndSafeSpecial,
        SecretCharset::Special => Charset::PlainAndSpecial,
        SecretCharset::Hex => Charset::Hex,
    };
    Some((secret.name.clone(), Rule::Password { length: generate.length, charset }))
}

/// Returns the name of a recipe: the last part of its address.
pub(crate) fn recipe_name(url: &str) -> String {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(url);
    last.strip_suffix(".git").unwrap_or(last).to_owned()
}
