//! `ccctl approve` and `ccctl deny`: the `Approval` of one pull request's head commit.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::cancel;
use super::{DryRun, FIELD_MANAGER, apply};
use crate::client::request::ApiRequest;
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::reference::{self, ObjectReference};
use crate::session::Session;

/// Let a pull request's head commit be tested
///
/// The approval is for this one commit: a new push needs a new one.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl approve keycloak-pr4-91aa0e2-17\n  ccctl approve --repository=keycloak --pull-request=4 --sha=91aa0e2… --scope=author"
)]
pub struct ApproveArguments {
    /// Which commit
    #[command(flatten)]
    pub head: HeadArguments,
    /// This commit only, or everything by its author
    #[arg(long, value_enum, default_value_t = Scope::Once)]
    pub scope: Scope,
}

/// Take an approval back
///
/// Deletes the approval of the commit; given a test run, cancels it too.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl deny keycloak-pr4-91aa0e2-17")]
pub struct DenyArguments {
    /// Which commit
    #[command(flatten)]
    pub head: HeadArguments,
}

/// Names a head commit.
#[derive(Clone, Debug, Args)]
pub struct HeadArguments {
    /// Test run of the commit
    #[arg(value_name = "TESTRUN", required_unless_present = "repository")]
    pub words: Vec<String>,
    /// Repository object, when no test run is named
    #[arg(long, value_name = "NAME", requires_all = ["pull_request", "sha"], conflicts_with = "words")]
    pub repository: Option<String>,
    /// Number of the pull request
    #[arg(long, visible_alias = "pr", value_name = "NUMBER")]
    pub pull_request: Option<u64>,
    /// Whole head commit
    #[arg(long, value_name = "SHA")]
    pub sha: Option<String>,
}

/// How far an approval reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// This commit
    Once,
    /// Everything by the commit's author
    Author,
}

struct Head {
    repository: String,
    pull_request: u64,
    sha: String,
    run: Option<ObjectReference>,
}

/// Runs `approve`.
///
/// # Errors
/// The run is of no pull request; the server refuses.
pub async fn approve(session: &Session, arguments: ApproveArguments) -> Result<Outcome> {
    let head = head(session, &arguments.head).await?;
    let approval = approval(session, &head).await?;
    let spec = json!({
        "repositoryRef": head.repository,
        "pullRequest": head.pull_request,
        "headSHA": head.sha,
        "approvedBy": who_am_i(session).await?,
        "scope": if arguments.scope == Scope::Once { "Once" } else { "Author" },
    });
    let object = json!({
        "apiVersion": approval.resource.api_version(),
        "kind": approval.resource.kind,
        "metadata": {"name": approval.name, "namespace": approval.namespace},
        "spec": spec,
    });
    let request = apply::request(&approval, &object, FIELD_MANAGER, true).query("fieldValidation", "Strict");
    let applied = session.client()?.json(request).await?;
    apply::report(session, None, &approval, applied, "approved", DryRun::None)?;
    Ok(Outcome::Success)
}

/// Runs `deny`.
///
/// # Errors
/// The run is of no pull request; the server refuses.
pub async fn deny(session: &Session, arguments: DenyArguments) -> Result<Outcome> {
    let head = head(session, &arguments.head).await?;
    let approval = approval(session, &head).await?;
    match session.client()?.json(ApiRequest::delete(approval.path(), &json!({}))).await {
        Ok(_) => session.print(&format!("{} deleted\n", approval.text()))?,
        Err(error) if error.is_not_found() => session.note("this commit was not approved"),
        Err(error) => return Err(error),
    }
    if let Some(run) = &head.run {
        cancel::cancel(session, run).await?;
    }
    Ok(Outcome::Success)
}

async fn head(session: &Session, arguments: &HeadArguments) -> Result<Head> {
    if let (Some(repository), Some(pull_request), Some(sha)) =
        (&arguments.repository, arguments.pull_request, &arguments.sha)
    {
        let is_whole = [40, 64].contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_whole {
            return Err(CommandError::user(format!("\"{sha}\" is not a whole commit id"))
                .hint("an approval must name exactly one commit: git rev-parse gives its 40 characters"));
        }
        return Ok(Head { repository: repository.clone(), pull_request, sha: sha.clone(), run: None });
    }
    let run = reference::single(session, &arguments.words, Some("testrun")).await?;
    let object = objects::fetch(session, &run).await?;
    let source = &object["spec"]["source"]["pullRequest"];
    let sha = fields::text(source, "headSHA").to_owned();
    let (Some(pull_request), false) = (source["number"].as_u64(), sha.is_empty()) else {
        return Err(CommandError::user(format!("{} is not about a pull request: it needs no approval", run.text())));
    };
    let repository = repository_of(session, &run, &object).await?;
    Ok(Head { repository, pull_request, sha, run: Some(run) })
}

/// Finds the repository of a run, through its recipe.
async fn repository_of(session: &Session, run: &ObjectReference, object: &Value) -> Result<String> {
    let recipe_name = fields::text(&object["spec"], "recipeRef").to_owned();
    let resource = session.resource_type("recipes").await?;
    let recipe = ObjectReference { resource, namespace: run.namespace.clone(), name: recipe_name };
    let recipe_object = objects::fetch(session, &recipe).await?;
    let repository = match &recipe_object["spec"]["repositoryRef"] {
        Value::String(name) => name.clone(),
        other => fields::text(other, "name").to_owned(),
    };
    if repository.is_empty() {
        return Err(CommandError::user(format!("{} names no repository (spec.repositoryRef)", recipe.text()))
            .hint("name it: `ccctl approve --repository=NAME --pull-request=N --sha=SHA`"));
    }
    Ok(repository)
}

/// Returns the approval of a head: its name is computed, so that approving twice is approving once.
async fn approval(session: &Session, head: &Head) -> Result<ObjectReference> {
    let resource = session.resource_type("approvals").await?;
    let namespace = match &head.run {
        Some(run) => run.namespace.clone(),
        None => Some(session.namespace()?),
    };
    let short: String = head.sha.to_lowercase().chars().take(12).collect();
    Ok(ObjectReference { resource, namespace, name: format!("{}-pr{}-{short}", head.repository, head.pull_request) })
}

async fn who_am_i(session: &Session) -> Result<String> {
    let review = super::auth::self_review(session).await?;
    Ok(fields::text(&review["status"]["userInfo"], "username").to_owned())
}
