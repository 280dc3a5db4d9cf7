//! `ccctl enroll`: watches a repository on a forge, so that comments on its pull requests start test runs.

use clap::Args;
use serde_json::{Value, json};

use super::{DryRun, FIELD_MANAGER, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::reference::ObjectReference;
use crate::session::Session;

/// Let comments on a repository's pull requests start test runs
///
/// Applies a Repository with a trigger on comments, and names it in the Recipe, which is made if there is none. It takes
/// effect at once; what was written before does not count.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl enroll coop-cloud/wordpress --forge=coopcloud --recipe=wordpress\n  ccctl enroll coop-cloud/wordpress --forge=coopcloud --recipe=wordpress --team=maintainers --allow=ada\n  ccctl enroll ada/notes --forge=coopcloud --recipe=notes --allow=ada --webhook-secret=notes-webhook"
)]
pub struct EnrollArguments {
    /// Owner and name on the forge
    #[arg(value_name = "OWNER/REPOSITORY")]
    pub repository: String,
    /// Name of the Forge
    #[arg(long, value_name = "NAME")]
    pub forge: String,
    /// Name of the Recipe that is tested
    #[arg(long, value_name = "NAME")]
    pub recipe: String,
    /// Name of the Repository object; the recipe's when left out
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Members of this organisation give commands; those of OWNER when nobody is named
    #[arg(long, value_name = "ORGANIZATION")]
    pub organization: Option<String>,
    /// Only members of this team of the organisation
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    /// This person gives commands; may be given more than once
    #[arg(long = "allow", value_name = "LOGIN")]
    pub users: Vec<String>,
    /// First word of the command
    #[arg(long, value_name = "PHRASE", default_value = "!testme")]
    pub phrase: String,
    /// How often the forge is asked
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub poll_interval: String,
    /// Secret with which the forge signs what it delivers
    #[arg(long, value_name = "SECRET")]
    pub webhook_secret: Option<String>,
    /// End unfinished runs of older commits when a newer one is tested
    #[arg(long)]
    pub cancel_superseded: bool,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
}

/// Runs the command.
///
/// # Errors
/// The name is none of a repository; the server refuses.
pub async fn run(session: &Session, arguments: EnrollArguments) -> Result<Outcome> {
    let name = arguments.name.clone().unwrap_or_else(|| arguments.recipe.clone());
    let spec = spec(&arguments)?;
    let namespace = session.namespace()?;
    let repository = ObjectReference {
        resource: session.resource_type("repositories").await?,
        namespace: Some(namespace.clone()),
        name: name.clone(),
    };
    let object = json!({
        "apiVersion": repository.resource.api_version(),
        "kind": repository.resource.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    put(session, &repository, &object, arguments.dry_run, "enrolled").await?;
    enroll_recipe(session, &arguments, &namespace, &name).await?;
    if let Some(secret) = &arguments.webhook_secret {
        session.note(&format!(
            "on the forge, add a webhook for pull request comments to URL-OF-CCD/hooks/{namespace}/{name}, with the \
             secret that lies in Secret {secret}"
        ));
    }
    Ok(Outcome::Success)
}

fn spec(arguments: &EnrollArguments) -> Result<Value> {
    let parts: Vec<&str> = arguments.repository.split('/').collect();
    let [owner, repository] = parts[..] else {
        return Err(CommandError::user(format!("\"{}\" is no repository on a forge", arguments.repository))
            .hint("write OWNER/REPOSITORY, such as coop-cloud/wordpress"));
    };
    let mut authorize = json!({});
    match (&arguments.organization, arguments.users.is_empty(), &arguments.team) {
        (Some(organization), ..) => authorize["organization"] = json!(organization),
        (None, true, _) | (None, false, Some(_)) => authorize["organization"] = json!(owner),
        (None, false, None) => {}
    }
    if let Some(team) = &arguments.team {
        authorize["team"] = json!(team);
    }
    if !arguments.users.is_empty() {
        authorize["users"] = json!(arguments.users);
    }
    let mut trigger = json!({
        "on": "Comment", "phrase": arguments.phrase, "authorize": authorize,
        "run": {"recipeRef": arguments.recipe},
    });
    if arguments.cancel_superseded {
        trigger["cancelSuperseded"] = json!(true);
    }
    let mut spec = json!({
        "forgeRef": arguments.forge, "owner": owner, "name": repository,
        "pollInterval": arguments.poll_interval, "triggers": [trigger],
    });
    if let Some(secret) = &arguments.webhook_secret {
        spec["webhook"] = json!({"mode": "Optional", "secretRef": {"name": secret}});
    }
    Ok(spec)
}

/// Names the Repository in the Recipe, and makes the Recipe if there is none.
async fn enroll_recipe(session: &Session, arguments: &EnrollArguments, namespace: &str, name: &str) -> Result<()> {
    let recipe = ObjectReference {
        resource: session.resource_type("recipes").await?,
        namespace: Some(namespace.to_owned()),
        name: arguments.recipe.clone(),
    };
    match objects::fetch(session, &recipe).await {
        Ok(found) if found["spec"]["repositoryRef"] == name => Ok(()),
        Ok(_) => {
            let change = json!({"spec": {"repositoryRef": name}});
            let request = ApiRequest::patch(recipe.path(), PatchType::Merge, &change)
                .query("fieldManager", "ccctl-enroll")
                .query("fieldValidation", "Strict")
                .query_if("dryRun", arguments.dry_run.query());
            if arguments.dry_run == DryRun::Client {
                return Ok(());
            }
            let patched = session.client()?.json(request).await?;
            apply::report(session, None, &recipe, patched, "enrolled", arguments.dry_run)
        }
        Err(error) if error.is_not_found() => {
            let url = clone_url(session, arguments).await?;
            let object = json!({
                "apiVersion": recipe.resource.api_version(),
                "kind": recipe.resource.kind,
                "metadata": {"name": recipe.name, "namespace": namespace},
                "spec": {"source": {"url": url}, "repositoryRef": name},
            });
            put(session, &recipe, &object, arguments.dry_run, "created").await
        }
        Err(error) => Err(error),
    }
}

/// Returns from where git fetches the repository.
async fn clone_url(session: &Session, arguments: &EnrollArguments) -> Result<String> {
    let forge = ObjectReference {
        resource: session.resource_type("forges").await?,
        namespace: None,
        name: arguments.forge.clone(),
    };
    let found = objects::fetch(session, &forge).await?;
    let url = fields::text(&found["spec"], "url").trim_end_matches('/').to_owned();
    Ok(format!("{url}/{}.git", arguments.repository))
}

async fn put(
    session: &Session,
    reference: &ObjectReference,
    object: &Value,
    dry_run: DryRun,
    word: &str,
) -> Result<()> {
    if dry_run == DryRun::Client {
        return apply::report(session, None, reference, object.clone(), word, dry_run);
    }
    let request = apply::request(reference, object, FIELD_MANAGER, true)
        .query("fieldValidation", "Strict")
        .query_if("dryRun", dry_run.query());
    let applied = session.client()?.json(request).await?;
    apply::report(session, None, reference, applied, word, dry_run)
}
