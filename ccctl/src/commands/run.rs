//! `ccctl run` and `ccctl rerun`: a new `TestRun`, from a recipe or from an older run.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

mod progress;

use super::wait;
use super::{DryRun, apply};
use crate::arguments::TimeLimit;
use crate::client::request::ApiRequest;
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::reference::{self, ObjectReference};
use crate::session::Session;

/// Phases in which a run has ended.
pub const ENDED: [&str; 4] = ["Succeeded", "Failed", "Error", "Cancelled"];
/// Names the run that a run repeats.
const RERUN_OF: &str = "ci.coopcloud.tech/rerun-of";
/// Annotations that say where a run came from, and on which forge it is told.
const ORIGIN: [&str; 2] = ["ci.coopcloud.tech/repository", "ci.coopcloud.tech/triggered-by"];

/// Test a recipe now
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl run nextcloud\n  ccctl run nextcloud --ref=main --lane=quick --wait\n  ccctl run nextcloud --pr=12 --commit=$(git rev-parse HEAD) --fork"
)]
pub struct RunArguments {
    /// Name of the recipe
    #[arg(value_name = "RECIPE")]
    pub recipe: String,
    /// Commit to test
    #[arg(long, value_name = "SHA", group = "what")]
    pub commit: Option<String>,
    /// Branch or tag to test
    #[arg(long = "ref", value_name = "REF", group = "what")]
    pub git_ref: Option<String>,
    /// Version to test, such as 1.2.0+3.4.5
    #[arg(long, value_name = "VERSION", group = "what")]
    pub version: Option<String>,
    /// Pull request that the commit belongs to
    #[arg(long, visible_alias = "pr", value_name = "NUMBER", requires = "commit")]
    pub pull_request: Option<u64>,
    /// The pull request comes from a fork: the recipe's trust in forks applies
    #[arg(long, requires = "pull_request")]
    pub fork: bool,
    /// Everything, or the short way
    #[arg(long, value_enum, value_name = "LANE")]
    pub lane: Option<Lane>,
    /// Only these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub stages: Vec<String>,
    /// Version to upgrade from, or `all` for every published one that is older
    #[arg(long, value_name = "VERSION")]
    pub base_version: Option<String>,
    /// Leave everything in place for so long when it fails, to look at it
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "30m", require_equals = true)]
    pub hold_on_failure: Option<String>,
    /// Name of the run; made from the recipe's when left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What happens afterwards
    #[command(flatten)]
    pub following: FollowArguments,
}

/// Test again what a test run tested
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl rerun nextcloud-pr12-3fa21c9-991 --wait")]
pub struct RerunArguments {
    /// Name of the test run
    #[arg(value_name = "TESTRUN", required = true)]
    pub words: Vec<String>,
    /// What happens afterwards
    #[command(flatten)]
    pub following: FollowArguments,
}

/// What happens after a run was started.
#[derive(Clone, Debug, Args)]
pub struct FollowArguments {
    /// Wait for the end and show each rung as it ends; exits with 6 when one failed, with 7 when the run could not be
    /// judged, with 8 when it was cancelled
    #[arg(short, long, visible_alias = "follow")]
    pub wait: bool,
    /// Longest wait, such as 2h; 0 waits for ever
    #[arg(long, value_name = "DURATION", default_value = "0", requires = "wait")]
    pub timeout: TimeLimit,
    /// Check and print, start nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
}

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lane {
    /// Everything, from nothing
    Cold,
    /// The short way
    Quick,
}

/// Runs `run`.
///
/// # Errors
/// The recipe does not exist; the server refuses.
pub async fn run(session: &Session, arguments: RunArguments) -> Result<Outcome> {
    let recipe = reference::single(session, std::slice::from_ref(&arguments.recipe), Some("recipe")).await?;
    // A run of a recipe that is not there would wait for it for ever.
    let found = objects::fetch(session, &recipe).await?;
    let mut source = Map::new();
    for (field, value) in [("commit", &arguments.commit), ("ref", &arguments.git_ref), ("version", &arguments.version)]
    {
        source.extend(value.iter().map(|value| (field.to_owned(), Value::from(value.clone()))));
    }
    if let Some(number) = arguments.pull_request {
        source.insert(
            "pullRequest".to_owned(),
            json!({"number": number, "headSHA": arguments.commit, "fork": arguments.fork}),
        );
    }
    if source.is_empty() {
        // Nothing named: the newest state of the recipe.
        let branch = found["spec"]["source"]["branch"].as_str().unwrap_or("main");
        source.insert("ref".to_owned(), Value::from(branch));
    }
    let mut spec = Map::from_iter([("recipeRef".to_owned(), Value::from(recipe.name.clone()))]);
    spec.insert("source".to_owned(), Value::Object(source));
    if let Some(lane) = arguments.lane {
        spec.insert("lane".to_owned(), Value::from(if lane == Lane::Cold { "Cold" } else { "Quick" }));
    }
    if !arguments.stages.is_empty() {
        spec.insert("stages".to_owned(), json!(arguments.stages));
    }
    spec.extend(arguments.base_version.clone().map(|version| ("baseVersion".to_owned(), Value::from(version))));
    spec.extend(arguments.hold_on_failure.clone().map(|time| ("holdOnFailure".to_owned(), Value::from(time))));
    let metadata = match &arguments.name {
        Some(name) => json!({"name": name}),
        None => json!({"generateName": name_stem(&recipe.name, &arguments)}),
    };
    start(session, metadata, Value::Object(spec), &arguments.following).await
}

/// Returns what a run's name begins with: `nextcloud-pr12-3fa21c9-`. The server adds five characters.
fn name_stem(recipe: &str, arguments: &RunArguments) -> String {
    let pull_request = arguments.pull_request.map(|number| format!("pr{number}-")).unwrap_or_default();
    let commit = arguments.commit.as_deref().and_then(|commit| commit.get(..7));
    let commit = commit.map(|short| format!("{}-", short.to_lowercase())).unwrap_or_default();
    format!("{recipe}-{pull_request}{commit}")
}

/// Runs `rerun`.
///
/// # Errors
/// The run does not exist; the server refuses.
pub async fn rerun(session: &Session, arguments: RerunArguments) -> Result<Outcome> {
    let old = reference::single(session, &arguments.words, Some("testrun")).await?;
    if old.resource.kind != "TestRun" {
        return Err(CommandError::user(format!("{} is no test run", old.text())));
    }
    let object = objects::fetch(session, &old).await?;
    let mut spec = object["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("cancel");
    }
    let mut metadata = json!({
        "generateName": format!("{}-", without_suffix(&old.name)),
        "annotations": {RERUN_OF: old.name},
    });
    for name in ORIGIN {
        if let Some(value) = object["metadata"]["annotations"][name].as_str() {
            metadata["annotations"][name] = Value::from(value);
        }
    }
    if let Some(labels) = object["metadata"]["labels"].as_object().filter(|labels| !labels.is_empty()) {
        metadata["labels"] = json!(labels);
    }
    start(session, metadata, spec, &arguments.following).await
}

/// Drops the five characters that the server adds to generated names, so that names do not grow with every rerun.
fn without_suffix(name: &str) -> &str {
    let generated =
        |suffix: &str| suffix.len() == 5 && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    match name.rsplit_once('-') {
        Some((stem, suffix)) if generated(suffix) => stem,
        _ => name,
    }
}

async fn start(session: &Session, mut metadata: Value, spec: Value, following: &FollowArguments) -> Result<Outcome> {
    let resource = session.resource_type("testruns").await?;
    let namespace = session.namespace()?;
    metadata["namespace"] = Value::from(namespace.clone());
    let object =
        json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata, "spec": spec});
    let name = metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or_default().to_owned();
    let mut reference = ObjectReference { namespace: Some(namespace), resource, name };
    if following.dry_run == DryRun::Client {
        apply::report(session, None, &reference, object, "created", following.dry_run)?;
        return Ok(Outcome::Success);
    }
    let request = ApiRequest::post(reference.resource.collection_path(reference.namespace.as_deref()), &object)
        .query("fieldManager", "ccctl-run")
        .query("fieldValidation", "Strict")
        .query_if("dryRun", following.dry_run.query());
    let created = session.client()?.json(request).await?;
    reference.name = fields::name(&created).to_owned();
    apply::report(session, None, &reference, created, "created", following.dry_run)?;
    if following.dry_run != DryRun::None || session.shows_requests() {
        return Ok(Outcome::Success);
    }
    if !following.wait {
        let within = reference.namespace_option();
        session.note(&format!("follow it with `ccctl logs -f {}{within}`", reference.name));
        return Ok(Outcome::Success);
    }
    let ended = |object: &Value| ENDED.contains(&fields::text(&object["status"], "phase"));
    let mut progress = progress::Progress::new(session);
    let object = wait::follow(session, &reference, following.timeout, &mut progress, ended).await?;
    let phase = fields::text(&object["status"], "phase");
    let level = object["status"]["level"].as_i64().map(|level| format!(", level {level}")).unwrap_or_default();
    session.print(&format!("{} {phase}{level}\n", reference.text()))?;
    if phase == "Succeeded" {
        return Ok(Outcome::Success);
    }
    session.note(&format!("find out why with `ccctl why testrun/{}{}`", reference.name, reference.namespace_option()));
    Ok(match phase {
        "Failed" => Outcome::RunFailed,
        "Cancelled" => Outcome::RunCancelled,
        _ => Outcome::RunUnjudged,
    })
}
