//! The recipe at the commit: fetched, rendered, judged, its images pulled, linted.

use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::identity::Identity;
use api_types::kinds::recipe::{RecipeSpec, RecipeVersion};
use api_types::kinds::test_run::{RungName, RungStatus, TestResult, TestRun};
use api_types::reason;
use ports::compose::stack::{Place, Severity};
use ports::compose::{CheckoutFiles, LoadError, RecipeFiles as _};
use ports::error::{Error, ErrorKind};
use ports::files::Area;
use ports::git::{CommitId, Fetch, RefName, RemoteUrl, Revision, Tag, TreePath};
use ports::recipe::app::compose_files;
use ports::recipe::backup;
use ports::recipe::env::EnvFile;
use ports::recipe::lint::{self, LintInput};
use ports::recipe::names::stack_name;
use ports::recipe::version::RecipeVersion as Version;
use ports::swarm::registries::Registries;
use ports::swarm::{Engine, RegistryAuth};

use super::super::app_spec;
use super::super::work::{Fetched, Outcome, Rendered, Side, bad};
use super::{Job, answer};
use crate::kinds::app::labels::Owner;
use crate::kinds::app::prepare::{self, Inputs, Target, recipe_name};
use crate::kinds::app::pull_secrets;
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::{Failure, sentence};
use crate::trust::Tier;

/// The pause before a registry that had a hiccup is asked again.
const PULL_RETRY: Duration = Duration::from_secs(5);
/// The folder, beside the App's own, in which a run looks at what would be deployed.
const CHECKOUT: &str = "looked-at";
/// How often a registry is asked before the order breaks.
const PULL_ATTEMPTS: u32 = 3;

/// Fetches the recipe and checks the head out.
pub(super) async fn fetch(job: &Job) -> Result<Outcome<Fetched>, Failure> {
    let recipe = &job.order.recipe.spec;
    let source = &job.order.run.spec.source;
    let url = match RemoteUrl::new(recipe.source.url.clone()) {
        Ok(url) => url,
        Err(error) => return answer(error, reason::INVALID_SPEC),
    };
    job.say(format!("fetching {}", url.as_str())).await;
    let mut wanted = Fetch::all(url.clone());
    let parsed = source.commit.as_ref().map(|commit| CommitId::new(commit.clone())).transpose();
    let commit = match parsed {
        Ok(commit) => commit,
        Err(error) => return answer(error, reason::INVALID_SPEC),
    };
    wanted.commits.extend(commit.clone());
    if let Some(pull_request) = &source.pull_request {
        wanted.pull_requests.extend(u64::try_from(pull_request.number));
    }
    if let Err(error) = job.outside.git.fetch(&wanted).await {
        let is_gone = matches!(error.reason, "CommitNotFound" | "PullRequestNotFound");
        let reason = if is_gone { reason::COMMIT_NOT_FOUND } else { reason::FETCH_FAILED };
        return answer(error, reason);
    }
    let Some(head) = resolve(job, &url, commit).await? else {
        let named = source.commit.as_ref().or(source.reference.as_ref()).or(source.version.as_ref());
        let message = format!(
            "The repository {} has no {}: push it, or name another.",
            url.as_str(),
            named.map_or("such commit", String::as_str)
        );
        job.say(&message).await;
        return Ok(bad(reason::COMMIT_NOT_FOUND, message));
    };
    let tags = job.outside.git.tags(&url).await?;
    let fetched = facts(job, &url, &head, &tags).await?;
    let into = job.outside.files.path(Area::Trees, &job.tree()?);
    job.outside.git.checkout(&url, &head, &into).await?;
    let version = fetched.version.as_deref().unwrap_or("no version");
    let published = match fetched.published.len() {
        1 => "one published version".to_owned(),
        count => format!("{count} published versions"),
    };
    job.say(format!("commit {head} ({version}), {published}")).await;
    Ok(Outcome::Good(fetched))
}

async fn resolve(job: &Job, url: &RemoteUrl, commit: Option<CommitId>) -> Result<Option<CommitId>, Failure> {
    let source = &job.order.run.spec.source;
    let revision = match (commit, &source.reference, &source.version) {
        (Some(commit), _, _) => Revision::Commit(commit),
        (None, Some(reference), _) => Revision::Named(RefName::new(reference.clone())?),
        (None, None, Some(version)) => Revision::Tag(RefName::new(version.clone())?),
        (None, None, None) => Revision::Branch(RefName::new(job.order.recipe.spec.source.branch.clone())?),
    };
    Ok(job.outside.git.resolve(url, &revision).await?)
}

async fn facts(job: &Job, url: &RemoteUrl, head: &CommitId, tags: &[Tag]) -> Result<Fetched, Failure> {
    let git = &job.outside.git;
    let versions = tags.iter().filter(|tag| tag.is_annotated && Version::parse(tag.name.as_str()).is_some());
    let published: Vec<RecipeVersion> =
        versions.map(|tag| RecipeVersion { version: tag.name.to_string(), commit: tag.commit.to_string() }).collect();
    let own = published.iter().find(|version| version.commit == head.to_string()).map(|found| found.version.clone());
    let branch = RefName::new(job.order.recipe.spec.source.branch.clone())?;
    let branch_tip = git.resolve(url, &Revision::Branch(branch)).await?;
    let named = job.order.run.spec.source.version.clone();
    let mut version = named.or_else(|| own.clone());
    if version.is_none() {
        let compose = git.show(url, head, &TreePath::new("compose.yml")?).await?;
        version = compose.and_then(|text| declared_version(&String::from_utf8_lossy(&text)));
    }
    if version.is_none() {
        version = git.nearest_tag(url, head).await?.map(|tag| tag.name.to_string());
    }
    Ok(Fetched {
        commit: head.to_string(),
        version,
        is_published: own.is_some(),
        published,
        branch_tip: branch_tip.map(|tip| tip.to_string()),
    })
}

/// Returns the version that a compose file says it is, by the label that recipes carry.
pub(super) fn declared_version(compose: &str) -> Option<String> {
    let label = "coop-cloud.${STACK_NAME}.version";
    let found = compose.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let (_, rest) = line.split_once(label)?;
        let rest = rest.trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix(['=', ':'])?.trim().trim_matches(['"', '\'']);
        Some(value.split_whitespace().next()?.trim_matches(['"', '\'']).to_owned())
    })?;
    Version::parse(&found).map(|_| found)
}

/// Reads and judges the compose files of one side, exactly as the App will.
pub(super) async fn render(job: &Job, side: Side, identity: Identity) -> Result<Outcome<Rendered>, Failure> {
    let inputs = inputs(job, side, &identity);
    let refusal = match prepare::prepare(&inputs, &job.outside).await? {
        Ok(prepared) => {
            let images: Vec<String> = prepared.wanted.stack.images().into_iter().map(str::to_owned).collect();
            job.say(format!("{}: {} Images: {}", side.word(), prepared.summary, images.join(", "))).await;
            for warning in &prepared.wanted.stack.warnings {
                job.say(format!("{}: warning: {warning}", side.word())).await;
            }
            let has_backup_label = backup::plan(&prepared.wanted.stack).is_capable();
            return Ok(Outcome::Good(Rendered { identity: prepared.identity.clone(), images, has_backup_label }));
        }
        Err(refusal) => refusal,
    };
    job.say(format!("{}: {}: {}", side.word(), refusal.reason, refusal.message)).await;
    Ok(bad(refusal.reason, job.clean(&refusal.message)))
}

fn inputs(job: &Job, side: Side, identity: &Identity) -> Inputs {
    let order = &job.order;
    inputs_of(&order.run, &order.recipe.spec, order.tier, &job.installation, side, identity)
}

/// Returns what the App of one side of a run is made of.
pub(crate) fn inputs_of(
    run: &Object<TestRun>,
    recipe: &RecipeSpec,
    tier: Tier,
    installation: &str,
    side: Side,
    identity: &Identity,
) -> Inputs {
    let spec = app_spec::under_test(run, recipe, side);
    let target = match (&spec.version, &spec.commit) {
        (Some(version), _) => Target::Version(Some(version.clone())),
        (None, Some(commit)) => Target::Commit(commit.clone()),
        (None, None) => Target::Commit(identity.commit.clone().unwrap_or_default()),
    };
    let mut env = recipe.env.clone();
    env.extend(spec.env.clone());
    Inputs {
        owner: Owner {
            app: format!("{}/{}", run.metadata.namespace, run.metadata.name),
            uid: run.metadata.uid.clone(),
            installation: installation.to_owned(),
            stack: stack_name(&spec.domain),
            run: Some(format!("{}/{}", run.metadata.namespace, run.metadata.name)),
        },
        checkout: CHECKOUT,
        url: recipe.source.url.clone(),
        recipe: recipe_name(&recipe.source.url),
        target,
        auto: api_types::kinds::app::AutoUpdate::None,
        window: None,
        current_version: None,
        gate: None,
        has_deployed: false,
        domain: spec.domain,
        env,
        compose_files: Vec::new(),
        overlays: spec.overlays,
        given_secrets: Default::default(),
        generated_secrets: Default::default(),
        application_to_come: None,
        rotations: Default::default(),
        kept: Default::default(),
        pull_secrets: Default::default(),
        tier,
        allow: recipe.trust.allow.clone(),
        goes_with_app: true,
        health: spec.health,
        recipe_health: Some(recipe.health.clone()),
        probes: spec.probes,
        pull_timeout: recipe.timeouts.pull.span(),
        converge_timeout: Some(recipe.timeouts.converge.span()),
        http_timeout: recipe.timeouts.http.span(),
    }
}

/// Pulls what the engine does not have.
pub(super) async fn pull(job: &Job, engine: &dyn Engine, images: &[String]) -> Result<Outcome<()>, Failure> {
    let may_use = pull_secrets::are_for(&job.order.recipe.spec, job.order.tier);
    let registries = if may_use { job.registries.clone()? } else { Registries::default() };
    for image in images {
        if let Err(error) = pull_one(job, engine, image, registries.of_image(image)).await {
            let is_missing = error.kind == ErrorKind::Terminal;
            job.say(format!("{image}: {}", ports::error::chain(&error))).await;
            if is_missing {
                let message = format!("The image {image} cannot be pulled: {}", ports::error::chain(&error));
                return Ok(bad(reason::IMAGE_NOT_FOUND, sentence(&message)));
            }
            return Err(error.into());
        }
    }
    Ok(Outcome::Good(()))
}

async fn pull_one(job: &Job, engine: &dyn Engine, image: &str, auth: Option<&RegistryAuth>) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        if engine.has_image(image).await? {
            job.say(format!("{image}: is here")).await;
            return Ok(());
        }
        match engine.pull_image(image, auth).await {
            Ok(()) => {
                job.say(format!("{image}: pulled")).await;
                return Ok(());
            }
            // A rate limit is a matter of the whole queue: it is not waited out here.
            Err(error) if error.reason == reason::RATE_LIMITED || attempt >= PULL_ATTEMPTS => return Err(error),
            Err(error) if error.kind == ErrorKind::Retryable => {
                job.say(format!("{image}: {}; trying again", ports::error::chain(&error))).await;
                tokio::time::sleep(PULL_RETRY).await;
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Lints the head: every rule that is broken is a result of its own.
pub(super) async fn lint(job: &Job) -> Result<Outcome<Vec<TestResult>>, Failure> {
    let identity = job.order.run.status.head.clone().unwrap_or_default();
    // What a fork may do is the policy's business, which has been asked before.
    let inputs = Inputs { tier: Tier::Trusted, ..inputs(job, Side::Head, &identity) };
    let prepared = prepare::prepare(&inputs, &job.outside).await?;
    let url = match RemoteUrl::new(job.order.recipe.spec.source.url.clone()) {
        Ok(url) => url,
        Err(error) => return answer(error, reason::INVALID_SPEC),
    };
    let tags = job.outside.git.tags(&url).await?;
    let tags: Vec<lint::Tag> =
        tags.iter().map(|tag| lint::Tag { name: tag.name.to_string(), is_annotated: tag.is_annotated }).collect();
    let tree = job.outside.files.path(Area::Trees, &job.tree()?);
    let looked = blocking(move || look(&tree, &inputs, prepared, &tags)).await?;
    let report = match looked {
        Ok(report) => report,
        Err(message) => return Err(Failure::retryable("WorkTreeUnreadable", message)),
    };
    for finding in &report.findings {
        job.say(format!("{} {}: {finding}", finding.severity.word(), finding.rule)).await;
    }
    let mut results = lint_results(&report);
    results.extend(super::abra_lint::look(job, &url).await?);
    Ok(Outcome::Good(results))
}

fn look(
    tree: &std::path::Path,
    inputs: &Inputs,
    prepared: prepare::Outcome,
    tags: &[lint::Tag],
) -> Result<lint::Report, String> {
    let files = CheckoutFiles::open(tree).map_err(|error| format!("the work tree cannot be read: {error}"))?;
    let sample = files.read(".env.sample", 1 << 20).unwrap_or_default();
    let mut variables = EnvFile::parse(".env.sample", &String::from_utf8_lossy(&sample))
        .map(|sample| sample.values())
        .unwrap_or_default();
    variables.extend(inputs.env.clone());
    let compose_files = compose_files(&variables).unwrap_or_else(|_| vec!["compose.yml".to_owned()]);
    let error;
    let stack = match &prepared {
        Ok(prepared) => Ok(&prepared.wanted.stack),
        Err(refusal) => {
            error = LoadError::one("C010", Place::file("compose.yml"), refusal.message.trim_end_matches('.'));
            Err(&error)
        }
    };
    Ok(lint::lint(&LintInput { files: &files, stack, compose_files: &compose_files, tags: Some(tags) }))
}

/// Returns a result for each rule that is broken or could not be looked at, and one for all the others.
pub(super) fn lint_results(report: &lint::Report) -> Vec<TestResult> {
    let result = |name: &str, status: RungStatus, message: String| TestResult {
        stage: RungName::Lint,
        name: name.to_owned(),
        status,
        message: Some(message),
        ..TestResult::default()
    };
    let mut results = Vec::new();
    let (mut broken, mut warnings) = (0, 0);
    for rule in lint::RULES {
        let found: Vec<String> =
            report.findings.iter().filter(|finding| finding.rule == rule.id).map(ToString::to_string).collect();
        let is_error = rule.severity == Severity::Error;
        if !found.is_empty() {
            broken += 1;
            warnings += usize::from(!is_error);
            let status = if is_error { RungStatus::Fail } else { RungStatus::Pass };
            let word = if is_error { "" } else { "warning: " };
            results.push(result(rule.id, status, format!("{word}{}", found.join(" · "))));
        } else if let Some((_, why)) = report.unverified.iter().find(|(id, _)| *id == rule.id && is_error) {
            broken += 1;
            results.push(result(rule.id, RungStatus::Unverified, why.clone()));
        }
    }
    let good = lint::RULES.len() - broken;
    let message = format!("{good} of {} rules are kept, {warnings} are warnings", lint::RULES.len());
    results.insert(0, result("generic/rules", RungStatus::Pass, message));
    results
}
