//! `ccctl patch`: changes of single fields.

use clap::Args;
use serde_json::Value;

use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::output::Format;
use crate::reference::SelectionArguments;
use crate::session::{Failures, Session};

/// Change fields of objects
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl patch recipe/nextcloud -p '{\"spec\":{\"suspend\":true}}'\n  ccctl patch recipe nextcloud --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/schedule\"}]'\n  ccctl patch app/cloud --subresource=status -p 'status: {phase: Ready}'"
)]
pub struct PatchArguments {
    /// Objects to change
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// The patch, JSON or YAML
    #[arg(short, long, value_name = "PATCH", conflicts_with = "patch_file")]
    pub patch: Option<String>,
    /// File with the patch
    #[arg(long, value_name = "FILE")]
    pub patch_file: Option<String>,
    /// How the patch is meant
    #[arg(long = "type", value_enum, default_value_t = PatchType::Merge)]
    pub patch_type: PatchType,
    /// Change a subresource, such as status
    #[arg(long, value_name = "NAME")]
    pub subresource: Option<String>,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
    /// Name to own the fields under
    #[arg(long, value_name = "NAME", default_value = "ccctl-patch")]
    pub field_manager: String,
    /// Print the resulting object: yaml, json, name, jsonpath=…
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// The patch cannot be understood; the server refuses it.
pub async fn run(session: &Session, arguments: PatchArguments) -> Result<Outcome> {
    let format = arguments.output.as_deref().map(Format::parse).transpose()?;
    let patch = read_patch(&arguments)?;
    if arguments.dry_run == DryRun::Client {
        return Err(CommandError::user("a patch is worked out by the server").hint("use --dry-run=server"));
    }
    let mut failures = Failures::default();
    for reference in arguments.selection.resolve(session).await? {
        let path = match &arguments.subresource {
            Some(subresource) => format!("{}/{subresource}", reference.path()),
            None => reference.path(),
        };
        let request = ApiRequest::patch(path, arguments.patch_type, &patch)
            .query("fieldManager", arguments.field_manager.clone())
            .query("fieldValidation", "Strict")
            .query_if("dryRun", arguments.dry_run.query());
        match session.client()?.json(request).await {
            Ok(patched) => apply::report(session, format.as_ref(), &reference, patched, "patched", arguments.dry_run)?,
            Err(error) if error.has_code(415) => failures.add(
                session,
                error.hint("strategic patches are for built-in kinds; use --type=merge or --type=json"),
            )?,
            Err(error) => failures.add(session, error)?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

fn read_patch(arguments: &PatchArguments) -> Result<Value> {
    let text = match (&arguments.patch, &arguments.patch_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| CommandError::user(format!("cannot read {file}: {error}")))?
        }
        (None, None) => {
            return Err(CommandError::user(
                "must specify --patch or --patch-file containing the contents of the patch",
            ));
        }
    };
    let patch: Value = crate::manifests::value(&text)
        .map_err(|error| CommandError::user(format!("unable to parse the patch: {error}")))?;
    match (arguments.patch_type, &patch) {
        (PatchType::Json, Value::Array(_)) | (PatchType::Merge | PatchType::Strategic, Value::Object(_)) => Ok(patch),
        (PatchType::Json, _) => Err(CommandError::user("a patch of type json is a list of operations")
            .hint("for example '[{\"op\":\"replace\",\"path\":\"/spec/suspend\",\"value\":true}]'")),
        _ => Err(CommandError::user("the patch must be an object with the fields to change")
            .hint("for example '{\"spec\":{\"suspend\":true}}'; a list of operations is --type=json")),
    }
}
