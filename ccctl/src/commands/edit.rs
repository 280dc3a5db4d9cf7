//! `ccctl edit`: an object in the person's editor, again and again until the server takes it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, ErrorKind, Outcome, Result};
use crate::objects;
use crate::output::{self, yaml};
use crate::reference::{self, ObjectReference};
use crate::session::Session;

/// What stands on top of the text.
const HEADING: &str = "\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

/// Change an object in your editor
///
/// The editor is $KUBE_EDITOR, $VISUAL, $EDITOR or vi. What the server refuses is opened again with its reasons.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl edit recipe/nextcloud\n  EDITOR='code --wait' ccctl edit app cloud")]
pub struct EditArguments {
    /// TYPE/NAME or TYPE NAME
    #[arg(value_name = "TYPE/NAME", required = true)]
    pub words: Vec<String>,
    /// Change a subresource, such as status
    #[arg(long, value_name = "NAME")]
    pub subresource: Option<String>,
    /// Show managedFields too
    #[arg(long)]
    pub show_managed_fields: bool,
}

/// Runs the command.
///
/// # Errors
/// The editor cannot be started or fails; the server refuses and the person gives up.
pub async fn run(session: &Session, arguments: EditArguments) -> Result<Outcome> {
    let reference = reference::single(session, &arguments.words, None).await?;
    let mut base = objects::fetch(session, &reference).await?;
    if !arguments.show_managed_fields {
        output::hide_managed_fields(&mut base);
    }
    let original = yaml::to_string(&base);
    let mut text = original.clone();
    let mut problem: Option<CommandError> = None;
    loop {
        let file = write_file(&text, problem.as_ref())?;
        open_editor(session, file.path())?;
        let edited = std::fs::read_to_string(file.path())
            .map_err(|error| CommandError::user(format!("cannot read the edited file: {error}")))?;
        let stripped = without_comments(&edited);
        if stripped.trim().is_empty() {
            return Err(CommandError::user("Edit cancelled, the file is empty.").exit_with(1));
        }
        if stripped == text && problem.is_some() {
            return Err(gave_up(file, problem));
        }
        if stripped == original {
            session.note("Edit cancelled, no changes made.");
            return Ok(Outcome::Success);
        }
        text = stripped;
        match save(session, &arguments, &reference, &base, &text).await {
            Ok(Some(object)) => {
                apply::report(session, None, &reference, object, "edited", DryRun::None)?;
                return Ok(Outcome::Success);
            }
            Ok(None) => {
                session.note("Edit cancelled, no changes made.");
                return Ok(Outcome::Success);
            }
            Err(error) if matches!(error.kind, ErrorKind::Server | ErrorKind::User) => problem = Some(error),
            Err(error) => {
                keep(file);
                return Err(error);
            }
        }
    }
}

/// Sends what changed; `None` when nothing did.
async fn save(
    session: &Session,
    arguments: &EditArguments,
    reference: &ObjectReference,
    base: &Value,
    text: &str,
) -> Result<Option<Value>> {
    let edited: Value =
        crate::manifests::value(text).map_err(|error| CommandError::user(format!("the text is not YAML: {error}")))?;
    for field in ["apiVersion", "kind"] {
        if edited[field] != base[field] {
            return Err(CommandError::user(format!("{field} cannot be changed")));
        }
    }
    for field in ["name", "namespace"] {
        if edited["metadata"][field] != base["metadata"][field] {
            return Err(CommandError::user(format!("metadata.{field} cannot be changed")));
        }
    }
    let Some(mut patch) = merge_patch(base, &edited) else { return Ok(None) };
    // Whoever changed the object in the meantime must not be overwritten unseen.
    patch["metadata"]["resourceVersion"] = base["metadata"]["resourceVersion"].clone();
    let path = match &arguments.subresource {
        Some(subresource) => format!("{}/{subresource}", reference.path()),
        None => reference.path(),
    };
    let request = ApiRequest::patch(path, PatchType::Merge, &patch)
        .query("fieldManager", "ccctl-edit")
        .query("fieldValidation", "Strict");
    match session.client()?.json(request).await {
        Err(error) if error.has_code(409) => {
            Err(error.hint(format!("somebody changed {} meanwhile: save nothing, then edit again", reference.text())))
        }
        other => other.map(Some),
    }
}

/// Returns the RFC 7386 patch that makes `before` into `after`; `None` when they are equal.
#[must_use]
pub fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = serde_json::Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(previous) => patch.extend(merge_patch(previous, value).map(|change| (key.clone(), change))),
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(json!(patch))
}

fn write_file(text: &str, problem: Option<&CommandError>) -> Result<tempfile::NamedTempFile> {
    let failed = |error: std::io::Error| CommandError::user(format!("cannot write a file to edit: {error}"));
    let mut file = tempfile::Builder::new().prefix("ccctl-edit-").suffix(".yaml").tempfile().map_err(failed)?;
    let mut content = HEADING.to_owned();
    if let Some(problem) = problem {
        for line in problem.message.lines().chain(problem.hints.iter().map(String::as_str)) {
            content += &format!("# {line}\n");
        }
        content += "#\n";
    }
    file.write_all((content + text).as_bytes()).map_err(failed)?;
    file.flush().map_err(failed)?;
    Ok(file)
}

/// Runs the editor; its command line may carry options, as in `code --wait`.
fn open_editor(session: &Session, path: &Path) -> Result<()> {
    let command_line = session.environment.editor().to_owned();
    let mut words = command_line.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(path).status().map_err(|error| {
        CommandError::user(format!("cannot start the editor \"{command_line}\": {error}"))
            .hint("name another one: EDITOR=nano ccctl edit …")
    })?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::user(format!("the editor \"{command_line}\" failed: {status}; nothing was changed")))
}

fn without_comments(text: &str) -> String {
    // Only the heading's comments are ours; a `#` within the object may be part of a block of text.
    let body: Vec<&str> = text.lines().skip_while(|line| line.starts_with('#')).collect();
    if body.is_empty() { String::new() } else { body.join("\n") + "\n" }
}

fn keep(file: tempfile::NamedTempFile) -> Option<String> {
    file.keep().ok().map(|(_, path)| path.display().to_string())
}

fn gave_up(file: tempfile::NamedTempFile, problem: Option<CommandError>) -> CommandError {
    let error = problem.unwrap_or_else(|| CommandError::user("Edit cancelled"));
    match keep(file) {
        Some(path) => error.hint(format!("Edit cancelled, no valid changes were saved; your text is in {path}")),
        None => error,
    }
}
