//! `ccctl apply`: server-side apply of files under the field manager `ccctl`.

pub mod prune;
pub mod set;

use clap::Args;
use serde_json::{Value, json};

use self::prune::{PruneArguments, Pruning};
use super::{DryRun, FIELD_MANAGER};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::manifests::{FileArguments, Manifest};
use crate::output::{self, Format};
use crate::reference::ObjectReference;
use crate::session::{Failures, Session};

/// Make objects what files say
///
/// The fields in the files become ours; fields that others set stay theirs. Applying the same file again changes
/// nothing. With --prune, a folder is the whole truth: what was applied from it and is no longer in it is deleted.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl apply -f recipe.yaml\n  ccctl apply -f infra/ -R --dry-run=server\n  ccctl apply -f infra/ -R --prune\n  ccctl create configmap a --from-literal=k=v --dry-run=client -o yaml | ccctl apply -f -"
)]
pub struct ApplyArguments {
    /// Files to apply
    #[command(flatten)]
    pub files: FileArguments,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
    /// Take over fields that belong to others
    #[arg(long)]
    pub force_conflicts: bool,
    /// Name to own the fields under
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    pub field_manager: String,
    /// Accepted for kubectl's sake: apply is always server-side
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    pub server_side: Option<bool>,
    /// What becomes of what the files no longer name
    #[command(flatten)]
    pub prune: PruneArguments,
    /// Accept unknown fields: ignore drops them, warn says so
    #[arg(long, value_enum, default_value_t = Validation::Strict, value_name = "HOW")]
    pub validate: Validation,
    /// Print the resulting objects: yaml, json, name, jsonpath=…
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
}

impl ApplyArguments {
    /// Says whether lines for people are printed, not objects.
    fn prints_lines(&self) -> bool {
        self.output.as_deref().is_none_or(|output| matches!(output, "name" | "table" | "wide"))
    }
}

/// What happens to unknown fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Validation {
    /// They are an error
    #[value(alias = "true")]
    Strict,
    /// They are dropped with a warning
    Warn,
    /// They are dropped
    #[value(alias = "false")]
    Ignore,
}

impl Validation {
    /// Returns the value of the query parameter `fieldValidation`.
    #[must_use]
    pub fn query(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

/// Runs the command: every object is tried, the first error decides the exit code.
///
/// # Errors
/// A file cannot be read; the server refuses an object.
pub async fn run(session: &Session, arguments: ApplyArguments) -> Result<Outcome> {
    if !arguments.files.is_given() {
        return Err(CommandError::user("must specify -f").hint("for example `ccctl apply -f FILE`"));
    }
    if arguments.server_side == Some(false) {
        return Err(CommandError::user("ccctl has no client-side apply").hint("leave --server-side out"));
    }
    let format = arguments.output.as_deref().map(Format::parse).transpose()?;
    let manifests = order(arguments.files.read()?);
    let (prune, field_manager) = (&arguments.prune, &arguments.field_manager);
    let pruning = Pruning::asked_for(session, prune, &arguments.files, field_manager, &manifests).await?;
    let mut failures = Failures::default();
    let mut applied = Vec::new();
    // The set's record may live in a namespace that is among the files.
    let namespaces = manifests.iter().take_while(|manifest| rank(manifest) == 0).count();
    for (index, manifest) in manifests.iter().enumerate() {
        if let Some(pruning) = pruning.as_ref().filter(|_| index == namespaces) {
            pruning.begin(session, &arguments).await?;
        }
        match apply_one(session, &arguments, manifest, pruning.as_ref()).await {
            Ok((_, object)) if !arguments.prints_lines() => applied.push(object),
            Ok((reference, object)) => {
                report(session, format.as_ref(), &reference, object, "serverside-applied", arguments.dry_run)?;
            }
            Err(error) => {
                failures.add(session, error.while_doing(&format!("error when applying \"{}\"", manifest.source)))?;
            }
        }
    }
    if let Some(format) = &format {
        print_applied(session, format, applied)?;
    }
    if let Err(error) = failures.finish() {
        if pruning.is_some() {
            session.note("nothing was pruned, because not everything could be applied");
        }
        return Err(error);
    }
    if let Some(pruning) = &pruning {
        pruning.finish(session, &arguments).await?;
    }
    Ok(Outcome::Success)
}

/// Puts what others need first: namespaces and definitions, then everything else as it was written.
#[must_use]
pub fn order(mut manifests: Vec<Manifest>) -> Vec<Manifest> {
    manifests.sort_by_key(rank);
    manifests
}

fn rank(manifest: &Manifest) -> u8 {
    match manifest.object["kind"].as_str() {
        Some("Namespace") => 0,
        Some("CustomResourceDefinition") => 1,
        _ => 2,
    }
}

/// Prints the objects that the server gave back: one as it is, several as one list, as kubectl does.
fn print_applied(session: &Session, format: &Format, mut applied: Vec<Value>) -> Result<()> {
    applied.iter_mut().for_each(output::hide_managed_fields);
    match applied.len() {
        0 => Ok(()),
        1 => session.print_object(format, &applied[0]),
        _ => {
            let mut list = output::list_of(applied);
            // There is no revision at which they were read together.
            list["metadata"] = json!({});
            session.print_object(format, &list)
        }
    }
}

/// Applies an object, and returns it as it is then.
async fn apply_one(
    session: &Session,
    arguments: &ApplyArguments,
    manifest: &Manifest,
    pruning: Option<&Pruning>,
) -> Result<(ObjectReference, Value)> {
    let reference = reference_of(session, manifest).await?;
    if manifest.name().is_empty() {
        return Err(CommandError::user("metadata.name is missing: apply needs it to find the object again")
            .hint("objects with generateName are made with `ccctl create -f`"));
    }
    let mut body = body_of(manifest, &reference);
    if let Some(pruning) = pruning {
        pruning.label(&mut body);
    }
    if arguments.dry_run == DryRun::Client {
        return Ok((reference, body));
    }
    let request = request(&reference, &body, &arguments.field_manager, arguments.force_conflicts)
        .query("fieldValidation", arguments.validate.query())
        .query_if("dryRun", arguments.dry_run.query());
    match session.client()?.json(request).await {
        Ok(applied) => Ok((reference, applied)),
        Err(error) if is_conflict(&error) => Err(explain_conflict(error)),
        Err(error) => Err(error),
    }
}

/// Returns the reference to the object that a file means.
///
/// # Errors
/// The server does not have the kind; the namespaces contradict each other.
pub async fn reference_of(session: &Session, manifest: &Manifest) -> Result<ObjectReference> {
    let resource = manifest.resource_type(session).await?;
    let namespace = manifest.namespace(session, &resource)?;
    Ok(ObjectReference { resource, namespace, name: manifest.name().to_owned() })
}

/// Returns the object as it is sent: with its namespace, without what only the server sets.
#[must_use]
pub fn body_of(manifest: &Manifest, reference: &ObjectReference) -> Value {
    let mut body = manifest.object.clone();
    if let Some(metadata) = body["metadata"].as_object_mut() {
        if let Some(namespace) = &reference.namespace {
            metadata.insert("namespace".to_owned(), Value::from(namespace.clone()));
        }
        metadata.remove("managedFields");
    }
    body
}

/// Returns the apply request for an object.
#[must_use]
pub fn request(reference: &ObjectReference, body: &Value, field_manager: &str, force: bool) -> ApiRequest {
    ApiRequest::patch(reference.path(), PatchType::Apply, body)
        .query("fieldManager", field_manager)
        .query("force", force.to_string())
}

fn is_conflict(error: &CommandError) -> bool {
    error.status.as_ref().is_some_and(|status| {
        let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
        status.code == 409 && causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
    })
}

fn explain_conflict(mut error: CommandError) -> CommandError {
    let causes = error.status.as_ref().and_then(|status| status.details.clone()).unwrap_or_default().causes;
    let lines: Vec<String> = causes.iter().map(|cause| format!("\n* {}: {}", cause.field, cause.message)).collect();
    if let Some(status) = error.status.as_mut() {
        status.message = format!("Apply failed with {} conflict(s):{}", causes.len(), lines.concat());
    }
    error
}

/// Prints what became of an object: a line for people, or the object itself in a format.
///
/// # Errors
/// Stdout is gone.
pub fn report(
    session: &Session,
    format: Option<&Format>,
    reference: &ObjectReference,
    mut object: Value,
    verb: &str,
    dry_run: DryRun,
) -> Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or(&reference.name).to_owned();
    let reference = ObjectReference { name, ..reference.clone() };
    match format {
        None | Some(Format::Table | Format::Wide) => {
            session.print(&format!("{} {verb}{}\n", reference.text(), dry_run.suffix()))
        }
        Some(Format::Name) => session.print(&format!("{}\n", reference.text())),
        Some(format) => {
            output::hide_managed_fields(&mut object);
            session.print_object(format, &object)
        }
    }
}
