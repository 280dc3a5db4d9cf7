//! From a recipe's repository to a stack that may be deployed: choose the version, fetch, read, judge, label.
//!
//! ```text
//!   Inputs (spec, Recipe, Secrets, trust) ─► fetch ─► commit ─► checkout ─► .env, abra.sh, compose ─► Stack ─► policy ─► Prepared
//! ```

mod inputs;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use api_types::kinds::app_upgrade::HeldVersion;
use api_types::kinds::identity::{Identity, ServiceImage};
use api_types::reason;
use ports::compose::stack::{Finding, Place, Severity, Stack};
use ports::compose::{CheckoutFiles, LoadError, LoadInput, RecipeFiles, load};
use ports::error::{Error, ErrorKind};
use ports::files::Area;
use ports::git::{CommitId, Fetch, RefName, RemoteUrl, Revision};
use ports::recipe::app::{AppEnvironment, compose_files, expose};
use ports::recipe::env::EnvFile;
use ports::recipe::secret::{Rule, VersionVariables, WantedSecret, wanted};
use ports::recipe::version::RecipeVersion;
use ports::recipe::{labels, names};

use super::deployer::abra::{Order, env_text};
use super::deployer::decorate::{Origin, decorate, stack_hash};
use super::deployer::{Refusal, SecretValue, Wanted};
use super::health::Checks;
use super::images::LastError;
use super::{generated, rotation, secrets, upgrade};
use crate::commit_files::CommitFiles;
use crate::outside::Outside;
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::{Failure, sentence};
use crate::trust::Tier;

pub(super) use inputs::references;
pub use inputs::{Inputs, Target};
pub(crate) use inputs::{is_of_run, recipe_name};

/// Most bytes of a text file of a recipe.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The version of a secret that nobody names, as recipes have it.
const FIRST_VERSION: &str = "v1";
/// Findings that a message names; the rest is counted.
const FINDINGS_SHOWN: usize = 5;

/// What should run, ready to be handed over.
#[derive(Debug)]
pub struct Prepared {
    /// The hash of the stack.
    pub hash: String,
    /// What exactly it is.
    pub identity: Identity,
    /// The same in a sentence.
    pub summary: String,
    /// The published version that it is; `None` for a commit or a branch.
    pub version: Option<String>,
    /// Whether upgrades of it pass gates.
    pub is_gated: bool,
    /// Whether its volumes are copied before an upgrade.
    pub takes_snapshot: bool,
    /// A newer version that is not taken.
    pub available_version: Option<String>,
    /// What it waits for.
    pub held: Option<HeldVersion>,
    /// Whether that is the version that the spec names.
    pub is_named_held: bool,
    /// The stack, and whose it is.
    pub wanted: Wanted,
    /// What abra would be told to deploy; why it cannot be, otherwise.
    pub order: Result<Order, String>,
    /// How secrets are made that nobody gives, by their names in the swarm.
    pub secret_rules: BTreeMap<String, Rule>,
    /// Its secrets, in the order of their names in the compose file.
    pub secrets: Vec<PreparedSecret>,
    /// How it shows that it serves.
    pub checks: Checks,
    /// How long it may take to pull.
    pub pull_timeout: Duration,
    /// How long it may take to converge, if anybody says so.
    pub converge_timeout: Option<Duration>,
    /// How long it may take to answer after that.
    pub http_timeout: Duration,
    /// Why the last try to pull came to nothing.
    pub(super) last_pull_error: LastError,
}

/// A secret of the recipe that no file of it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedSecret {
    /// Its name in the compose file.
    pub key: String,
    /// Its name in the swarm.
    pub name: String,
    /// Its version, the last part of that name.
    pub version: String,
    /// Whether somebody gives its value.
    pub is_given: bool,
    /// How its value is made, if nobody gives it.
    pub rule: Rule,
}

/// What a preparation came to: a stack, or what a person must change.
pub(crate) type Outcome = Result<std::sync::Arc<Prepared>, Refusal>;

/// Prepares a stack.
///
/// # Errors
/// What may pass: the forge is away, the disk is full.
pub(crate) async fn prepare(inputs: &Inputs, outside: &Outside) -> Result<Outcome, Failure> {
    let (url, chosen) = match choose_of(inputs, outside).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (files, folder) = (outside.files.clone(), secrets::folder(&inputs.owner.stack)?);
    let checkout = blocking(move || files.make(Area::Apps, &folder)).await??.join(inputs.checkout);
    outside.git.checkout(&url, &chosen.commit, &checkout).await?;
    let inputs = inputs.clone();
    let work = move || {
        let mut versions = BTreeMap::new();
        for (key, value) in &inputs.given_secrets {
            let Some(version) = inputs.kept.version_of(&value.0) else {
                return Err(Failure::outdated("the key for versions of given secrets is not known yet"));
            };
            versions.insert(key.clone(), version);
        }
        let files = match open(&checkout) {
            Ok(files) => files,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(read(&inputs, &chosen, (&files, &checkout), versions).map(std::sync::Arc::new))
    };
    let prepared: Result<Outcome, Failure> = blocking(work).await?;
    if let Ok(Ok(prepared)) = &prepared {
        for (name, value) in &prepared.wanted.secrets {
            outside.redactor.insert(&format!("app/{}/{name}", prepared.wanted.owner.uid), &value.0);
        }
    }
    prepared
}

/// Returns what [`prepare`] would come to, without a checkout and without a key for the versions of given secrets.
///
/// # Errors
/// As [`prepare`].
pub(super) async fn foresee(inputs: &Inputs, outside: &Outside) -> Result<Outcome, Failure> {
    let (url, chosen) = match choose_of(inputs, outside).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let content = CommitFiles::read(&*outside.git, &url, &chosen.commit).await?;
    let checkout = outside.files.path(Area::Apps, &secrets::folder(&inputs.owner.stack)?).join(inputs.checkout);
    let inputs = inputs.clone();
    let work = move || {
        let versions = versions_in_advance(&inputs);
        Ok(read(&inputs, &chosen, (&content, &checkout), versions).map(std::sync::Arc::new))
    };
    blocking(work).await?
}

/// Returns why a published version could not be deployed; `None` when it could. What is checked out stays as it is: it is
/// what runs.
///
/// # Errors
/// Those of the mirror.
pub(super) async fn refusal_of(
    inputs: &Inputs,
    outside: &Outside,
    url: &RemoteUrl,
    (version, commit): (&RecipeVersion, &CommitId),
) -> Result<Option<Refusal>, Error> {
    let content = CommitFiles::read(&*outside.git, url, commit).await?;
    let checkout = outside.files.path(Area::Apps, &secrets::folder(&inputs.owner.stack)?).join(inputs.checkout);
    let chosen = Chosen {
        commit: commit.clone(),
        version: Some(version.to_string()),
        nearest: Some(version.to_string()),
        available: None,
        held: None,
        is_named_held: false,
    };
    let inputs = inputs.clone();
    let work = move || read(&inputs, &chosen, (&content, &checkout), versions_in_advance(&inputs)).err();
    blocking(work).await.map_err(|failure| Error::bug("InternalError", failure.message))
}

/// Returns versions for the values that are given, as far as they can be told before there is a key.
fn versions_in_advance(inputs: &Inputs) -> BTreeMap<String, String> {
    let version = |(key, value): (&String, &SecretValue)| {
        let is_to_come = inputs.application_to_come.as_ref().is_some_and(|(_, secret)| secret == key);
        let version = inputs.kept.version_of(&value.0).filter(|_| !is_to_come);
        (key.clone(), version.unwrap_or_else(|| generated::VERSION_TO_COME.to_owned()))
    };
    inputs.given_secrets.iter().map(version).collect()
}

/// Returns what a commit would be refused for, and what would be noted, without anything being made of it. Blocks.
pub(crate) fn findings(inputs: &Inputs, commit: &CommitId, files: &dyn RecipeFiles) -> Vec<Finding> {
    let chosen = Chosen {
        commit: commit.clone(),
        version: None,
        nearest: None,
        available: None,
        held: None,
        is_named_held: false,
    };
    match load_stack(inputs, &chosen, (files, Path::new("/")), BTreeMap::new()) {
        Ok(loaded) => {
            let mut found = inputs.findings(&loaded.stack);
            found.extend(loaded.stack.warnings);
            found
        }
        Err(refusal) => vec![Finding {
            severity: Severity::Error,
            rule: refusal.reason.to_owned(),
            place: Place::default(),
            message: refusal.message,
        }],
    }
}

/// What was chosen.
#[derive(Clone, Debug)]
struct Chosen {
    commit: CommitId,
    /// The published version that the commit is.
    version: Option<String>,
    /// The published version that is nearest before it.
    nearest: Option<String>,
    available: Option<String>,
    held: Option<HeldVersion>,
    is_named_held: bool,
}

enum Trouble {
    Refused(Refusal),
    Failed(Failure),
}

impl From<Error> for Trouble {
    /// What is wrong with a repository is for a person; what may pass is tried again.
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::Retryable | ErrorKind::Bug => Self::Failed(error.into()),
            ErrorKind::Blocked | ErrorKind::Terminal => {
                Self::Refused(refusal(reason::FETCH_FAILED, &ports::error::chain(&error)))
            }
        }
    }
}

async fn choose_of(inputs: &Inputs, outside: &Outside) -> Result<Result<(RemoteUrl, Chosen), Refusal>, Failure> {
    let url = match RemoteUrl::new(inputs.url.clone()) {
        Ok(url) => url,
        Err(error) => return Ok(Err(refusal(reason::INVALID_SPEC, &error.to_string()))),
    };
    match choose(inputs, outside, &url).await {
        Ok(chosen) => Ok(Ok((url, chosen))),
        Err(Trouble::Refused(refusal)) => Ok(Err(refusal)),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

async fn choose(inputs: &Inputs, outside: &Outside, url: &RemoteUrl) -> Result<Chosen, Trouble> {
    let git = &*outside.git;
    let revision = fixed_revision(&inputs.target)?;
    let mut commit = match &revision {
        // What a name stands for may change; a commit does not.
        Some(revision @ (Revision::Commit(_) | Revision::Tag(_))) => git.resolve(url, revision).await.unwrap_or(None),
        _ => None,
    };
    // One that is named is not looked for anew before it runs for the first time.
    let is_settled = commit.is_some() && (!inputs.may_step() || inputs.is_fixed() && !inputs.has_deployed);
    if !is_settled {
        let mut fetch = Fetch::all(url.clone());
        if let Some(Revision::Commit(id)) = &revision {
            fetch.commits.push(id.clone());
        }
        if let Err(error) = git.fetch(&fetch).await {
            // A forge that is away does not keep us from what is here.
            let may_pass = error.kind == ErrorKind::Retryable;
            let is_here = git.tags(url).await.is_ok();
            if !(may_pass && is_here && inputs.has_deployed) {
                return Err(error.into());
            }
            tracing::info!(url = url.as_str(), error = %error, "the forge is away; the mirror serves");
        }
    }
    let tags = git.tags(url).await?;
    let mut published: BTreeMap<String, (RecipeVersion, CommitId)> = BTreeMap::new();
    for tag in tags.iter().filter(|tag| tag.is_annotated) {
        if let Some(version) = RecipeVersion::parse(tag.name.as_str()) {
            published.insert(tag.name.as_str().to_owned(), (version, tag.commit.clone()));
        }
    }
    let choice = upgrade::before::choose(inputs, outside, url, &published).await?;
    if let Target::Version(named) = &inputs.target {
        let named = named.as_deref().and_then(RecipeVersion::parse);
        let wanted = choice.version.as_ref().or(named.as_ref());
        if let Some(version) = wanted {
            commit = published.get(&version.to_string()).map(|(_, commit)| commit.clone());
        }
        if commit.is_none() {
            return Err(Trouble::Refused(no_version(inputs, wanted, &tags)));
        }
    } else if let Some(revision) = &revision {
        commit = git.resolve(url, revision).await?;
    }
    let Some(commit) = commit else {
        let text = format!("the repository {} has no {}", url.as_str(), inputs.target);
        return Err(Trouble::Refused(refusal(reason::COMMIT_NOT_FOUND, &text)));
    };
    let newest =
        published.iter().filter(|(_, (_, tagged))| *tagged == commit).max_by(|one, other| one.1.0.cmp(&other.1.0));
    let version = newest.map(|(name, _)| name.clone());
    let nearest = match &version {
        Some(version) => Some(version.clone()),
        None => git.nearest_tag(url, &commit).await?.map(|tag| tag.name.as_str().to_owned()),
    };
    // A commit that is named as such is not a release, whatever tags it has.
    let version = version.filter(|_| matches!(inputs.target, Target::Version(_) | Target::Named(_)));
    let available = choice.available.map(|version| version.to_string());
    Ok(Chosen { commit, version, nearest, available, held: choice.held, is_named_held: choice.is_named_held })
}

fn fixed_revision(target: &Target) -> Result<Option<Revision>, Trouble> {
    Ok(match target {
        Target::Version(None) => None,
        Target::Version(Some(version)) => Some(Revision::Tag(RefName::new(version.clone())?)),
        Target::Commit(commit) => Some(Revision::Commit(CommitId::new(commit.clone())?)),
        Target::Named(name) => Some(Revision::Named(RefName::new(name.clone())?)),
    })
}

fn no_version(inputs: &Inputs, version: Option<&RecipeVersion>, tags: &[ports::git::Tag]) -> Refusal {
    let Some(version) = version else {
        let text = format!(
            "the recipe {} has published no version: set commit or ref of the App, or push an annotated tag such as 1.0.0+1.2.3",
            inputs.url
        );
        return refusal(reason::COMMIT_NOT_FOUND, &text);
    };
    let is_plain = tags.iter().any(|tag| tag.name.as_str() == version.to_string());
    let text = if is_plain {
        format!("the tag {version} is not annotated, so that it is no version: tag it with `git tag -a`")
    } else {
        format!("the recipe {} has no version {version}", inputs.url)
    };
    refusal(reason::COMMIT_NOT_FOUND, &text)
}

fn open(checkout: &Path) -> Result<CheckoutFiles, Refusal> {
    CheckoutFiles::open(checkout)
        .map_err(|error| refusal(reason::COMPOSE_INVALID, &format!("the checkout cannot be read: {error}")))
}

/// Reads the files of a recipe that are, or would be, checked out somewhere. Blocks.
fn read(
    inputs: &Inputs,
    chosen: &Chosen,
    (files, checkout): (&dyn RecipeFiles, &Path),
    secret_versions: BTreeMap<String, String>,
) -> Result<Prepared, Refusal> {
    let Loaded { mut stack, sample, converge_timeout, order, version_variables } =
        load_stack(inputs, chosen, (files, checkout), secret_versions)?;
    let (wanted_secrets, wrong) = wanted(&stack, &sample, &version_variables);
    if !wrong.is_empty() {
        return Err(refused(reason::COMPOSE_INVALID, &wrong));
    }
    inputs.judge(&mut stack)?;
    let identity = labels::Identity {
        recipe: inputs.recipe.clone(),
        version: chosen.version.clone(),
        chaos_commit: chosen.version.is_none().then(|| chosen.commit.as_str().to_owned()),
    };
    labels::write(&mut stack, &identity);
    let images = images(&stack);
    let origin = Origin {
        version: chosen.nearest.clone().unwrap_or_default(),
        commit: chosen.commit.as_str().to_owned(),
        goes_with_app: inputs.goes_with_app,
    };
    decorate(&mut stack, &inputs.owner, &origin);
    inputs.pull_secrets.put_on(&mut stack);
    let (secrets, secret_rules) = share_out(inputs, &wanted_secrets);
    let listed = listed(inputs, &wanted_secrets);
    let short: String = chosen.commit.as_str().chars().take(8).collect();
    Ok(Prepared {
        order,
        hash: stack_hash(&stack, &BTreeMap::new()),
        identity: Identity { version: chosen.nearest.clone(), commit: Some(chosen.commit.as_str().to_owned()), images },
        summary: match &chosen.version {
            Some(version) => format!("Version {version} (commit {short}) should run."),
            None => format!("Commit {short} should run."),
        },
        version: chosen.version.clone().filter(|_| matches!(inputs.target, Target::Version(_))),
        is_gated: inputs.gate.is_some(),
        takes_snapshot: inputs.gate.as_ref().is_some_and(|gate| gate.takes_snapshot),
        available_version: chosen.available.clone(),
        held: chosen.held.clone(),
        is_named_held: chosen.is_named_held,
        checks: checks(inputs, &stack),
        wanted: Wanted {
            owner: inputs.owner.clone(),
            stack,
            given: secrets.keys().cloned().collect(),
            secrets,
            retired: Vec::new(),
            goes_with_app: inputs.goes_with_app,
            pull_secrets: inputs.pull_secrets.clone(),
            images: BTreeMap::new(),
        },
        secret_rules,
        secrets: listed,
        pull_timeout: inputs.pull_timeout,
        converge_timeout,
        http_timeout: inputs.http_timeout,
        last_pull_error: LastError::default(),
    })
}

/// What the files of a checkout say.
struct Loaded {
    stack: Stack,
    sample: EnvFile,
    converge_timeout: Option<Duration>,
    order: Result<Order, String>,
    version_variables: VersionVariables,
}

fn load_stack(
    inputs: &Inputs,
    chosen: &Chosen,
    (files, checkout): (&dyn RecipeFiles, &Path),
    secret_versions: BTreeMap<String, String>,
) -> Result<Loaded, Refusal> {
    let sample = EnvFile::parse(".env.sample", &text(files, ".env.sample")?)
        .map_err(|findings| refused(reason::COMPOSE_INVALID, &findings))?;
    let abra_sh = text(files, "abra.sh")?;
    let version = chosen.version.clone().unwrap_or_else(|| chosen.commit.as_str().chars().take(8).collect());
    let environment = AppEnvironment {
        recipe: &inputs.recipe,
        version: &version,
        domain: &inputs.domain,
        sample: sample.values(),
        env: inputs.env.clone(),
        abra_sh: &abra_sh,
    };
    let mut variables = environment.variables();
    // The stack's name is the App's to choose: everything that is found again is found by it.
    variables.insert("STACK_NAME".to_owned(), inputs.owner.stack.clone());
    let compose = if inputs.compose_files.is_empty() {
        compose_files(&variables).map_err(|name| {
            refusal(reason::COMPOSE_INVALID, &format!("COMPOSE_FILE names {name}, which lies outside of the recipe"))
        })?
    } else {
        inputs.compose_files.clone()
    };
    let version_variables = version_variables(&compose, files);
    set_versions(inputs, &version_variables, secret_versions, &mut variables);
    let input = LoadInput {
        stack: inputs.owner.stack.clone(),
        files: compose,
        env: variables.clone(),
        directory: checkout.to_string_lossy().into_owned(),
        changes: inputs.changes(chosen.version.as_deref()),
    };
    let mut stack =
        load(&input, files).map_err(|LoadError { findings }| refused(reason::COMPOSE_INVALID, &findings))?;
    let too_long = names::check_lengths(&stack);
    if !too_long.is_empty() {
        return Err(refused(reason::NAME_TOO_LONG, &too_long));
    }
    let converge_timeout = inputs.converge_timeout.or_else(|| labels::of_stack(&stack).timeout);
    expose(&mut stack, &variables);
    let env = env_text(&sample, &inputs.recipe, &variables, |name| {
        ports::recipe::abra_sh::exports(&abra_sh).contains_key(name)
    });
    let order = order(inputs, chosen, checkout, &env);
    Ok(Loaded { stack, sample, converge_timeout, order, version_variables })
}

/// Returns which variables hold the versions of secrets. What is wrong with a file is told when it is loaded.
fn version_variables(compose: &[String], files: &dyn RecipeFiles) -> VersionVariables {
    let mut variables = VersionVariables::default();
    for file in compose {
        if let Ok(text) = text(files, file) {
            variables.read(file, &text);
        }
    }
    variables
}

/// Sets the versions of secrets: `given` ones, by names in the compose file, and those that rotations are ahead by.
fn set_versions(
    inputs: &Inputs,
    of: &VersionVariables,
    given: BTreeMap<String, String>,
    variables: &mut BTreeMap<String, String>,
) {
    for (key, step) in inputs.rotations.iter().filter(|(key, _)| !given.contains_key(*key)) {
        let variable = of.of(key);
        let version = variables.get(&variable).map_or(FIRST_VERSION, String::as_str);
        let version = rotation::ahead(version, *step);
        variables.insert(variable, version);
    }
    variables.extend(given.into_iter().map(|(key, version)| (of.of(&key), version)));
}

/// Returns the values that are given, and the rules for those that are made, by the names of secrets in the swarm.
fn share_out(inputs: &Inputs, wanted: &[WantedSecret]) -> (BTreeMap<String, SecretValue>, BTreeMap<String, Rule>) {
    let (mut values, mut rules) = (BTreeMap::new(), BTreeMap::new());
    for secret in wanted {
        if let Some(value) = inputs.given_secrets.get(&secret.key) {
            values.insert(secret.name.clone(), SecretValue(value.0.clone()));
            continue;
        }
        let rule = inputs.generated_secrets.get(&secret.key).copied().unwrap_or(secret.rule);
        if rule != Rule::ByHand {
            rules.insert(secret.name.clone(), rule);
        }
    }
    (values, rules)
}

/// Returns the secrets with what is known of them.
fn listed(inputs: &Inputs, wanted: &[WantedSecret]) -> Vec<PreparedSecret> {
    let listed = wanted.iter().map(|secret| PreparedSecret {
        key: secret.key.clone(),
        name: secret.name.clone(),
        version: secret.version.clone(),
        is_given: inputs.given_secrets.contains_key(&secret.key),
        rule: inputs.generated_secrets.get(&secret.key).copied().unwrap_or(secret.rule),
    });
    let mut listed: Vec<PreparedSecret> = listed.collect();
    listed.sort_by(|left, right| left.key.cmp(&right.key));
    listed
}

/// Returns what abra would be told to deploy, or why it cannot be: it reads the recipe's files itself, so that they must
/// say everything, and what it deploys is not the very stack that was judged.
fn order(inputs: &Inputs, chosen: &Chosen, checkout: &Path, env: &str) -> Result<Order, String> {
    if inputs.tier != Tier::Trusted {
        return Err("what untrusted people wrote is deployed exactly as it was judged".to_owned());
    }
    if !inputs.changes(chosen.version.as_deref()).is_empty() {
        return Err("overlays change what the recipe's files say".to_owned());
    }
    if !inputs.compose_files.is_empty() {
        return Err("composeFiles overrule what the recipe says".to_owned());
    }
    Ok(Order {
        url: RemoteUrl::new(inputs.url.clone()).map_err(|error| error.message)?,
        commit: chosen.commit.clone(),
        version: chosen.version.clone(),
        recipe: inputs.recipe.clone(),
        domain: inputs.domain.clone(),
        env: env.to_owned(),
        folder: checkout.parent().unwrap_or(checkout).to_owned(),
    })
}

/// Returns a text file of the recipe; nothing when there is none.
fn text(files: &dyn RecipeFiles, path: &str) -> Result<String, Refusal> {
    match files.read(path, TEXT_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(ports::compose::ReadError::Missing) => Ok(String::new()),
        Err(error) => Err(refusal(reason::COMPOSE_INVALID, &format!("{path}: {error}"))),
    }
}

/// What is asked of a running app: what the App says, else what its Recipe says if there is a route for the domain.
fn checks(inputs: &Inputs, stack: &Stack) -> Checks {
    let has_route = stack.services.iter().any(|service| {
        let labels = service.spec.labels.iter();
        labels.clone().any(|(name, value)| {
            name.starts_with("traefik.") && value.contains("Host") && value.contains(&inputs.domain)
        })
    });
    let by_default = || has_route.then(|| inputs.recipe_health.clone().unwrap_or_default());
    Checks { reach: inputs.health.clone().or_else(by_default), probes: inputs.probes.clone() }
}

fn images(stack: &Stack) -> Vec<ServiceImage> {
    let images = stack.services.iter().map(|service| {
        let written = &service.image_as_written;
        ServiceImage {
            service: service.short_name.clone(),
            image: written.clone(),
            digest: written.split_once('@').map(|(_, digest)| digest.to_owned()),
        }
    });
    images.take(128).collect()
}

fn refusal(reason: &'static str, text: &str) -> Refusal {
    Refusal { reason, message: sentence(text) }
}

/// Returns a refusal that names what was found, with file and line.
pub(super) fn refused(reason: &'static str, findings: &[Finding]) -> Refusal {
    let shown: Vec<String> =
        findings.iter().take(FINDINGS_SHOWN).map(|finding| sentence(&finding.to_string())).collect();
    let more = findings.len().saturating_sub(FINDINGS_SHOWN);
    let more = if more == 0 { String::new() } else { format!(" And {more} more.") };
    Refusal { reason, message: format!("{}{more}", shown.join(" ")) }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(Some(version)) => write!(formatter, "version {version}"),
            Self::Version(None) => formatter.write_str("version"),
            Self::Commit(commit) => write!(formatter, "commit {commit}"),
            Self::Named(name) => write!(formatter, "branch or tag {name}"),
        }
    }
}
