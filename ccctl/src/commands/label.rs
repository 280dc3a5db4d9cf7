//! `ccctl label` and `ccctl annotate`: `KEY=VALUE` sets, `KEY-` removes.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::objects;
use crate::output::Format;
use crate::reference::SelectionArguments;
use crate::session::{Failures, Session};

/// Set, change or remove labels
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl label recipe nextcloud tier=one\n  ccctl label recipes --all tier=two --overwrite\n  ccctl label recipe/nextcloud tier-"
)]
pub struct LabelArguments {
    /// Objects and changes
    #[command(flatten)]
    pub common: MetadataArguments,
}

/// Set, change or remove annotations
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl annotate recipe nextcloud contact=alice\n  ccctl annotate recipe/nextcloud contact-"
)]
pub struct AnnotateArguments {
    /// Objects and changes
    #[command(flatten)]
    pub common: MetadataArguments,
}

/// What both commands take.
#[derive(Clone, Debug, Args)]
pub struct MetadataArguments {
    /// TYPE NAME… KEY=VALUE… KEY-…
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// Replace values that are there
    #[arg(long)]
    pub overwrite: bool,
    /// Print what is there, change nothing
    #[arg(long)]
    pub list: bool,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
    /// Print the resulting objects: yaml, json, name, jsonpath=…
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
}

struct Kind {
    field: &'static str,
    word: &'static str,
    done: &'static str,
}

/// Runs `label`.
///
/// # Errors
/// A change cannot be understood; a value is there already; the server refuses.
pub async fn run_label(session: &Session, arguments: LabelArguments) -> Result<Outcome> {
    run(session, arguments.common, Kind { field: "labels", word: "label", done: "labeled" }).await
}

/// Runs `annotate`.
///
/// # Errors
/// A change cannot be understood; a value is there already; the server refuses.
pub async fn run_annotate(session: &Session, arguments: AnnotateArguments) -> Result<Outcome> {
    run(session, arguments.common, Kind { field: "annotations", word: "annotation", done: "annotated" }).await
}

async fn run(session: &Session, mut arguments: MetadataArguments, kind: Kind) -> Result<Outcome> {
    let format = arguments.output.as_deref().map(Format::parse).transpose()?;
    let changes = take_changes(&mut arguments.selection.words, &kind)?;
    if changes.is_empty() && !arguments.list {
        return Err(CommandError::user(format!("at least one {} update is required", kind.word))
            .hint("KEY=VALUE sets, KEY- removes; --list shows what is there"));
    }
    let mut failures = Failures::default();
    for reference in arguments.selection.resolve(session).await? {
        let object = match objects::fetch(session, &reference).await {
            Ok(object) => object,
            Err(error) => {
                failures.add(session, error)?;
                continue;
            }
        };
        let present = object["metadata"][kind.field].as_object().cloned().unwrap_or_default();
        if arguments.list {
            let lines = present.iter().map(|(key, value)| format!("{key}={}\n", value.as_str().unwrap_or_default()));
            session.print(&lines.collect::<String>())?;
            continue;
        }
        if let Err(error) = check_overwrite(&present, &changes, &arguments, &kind) {
            failures.add(session, error)?;
            continue;
        }
        let changed = changes.iter().any(|(key, value)| present.get(key).unwrap_or(&Value::Null) != value);
        let verb = if changed { kind.done.to_owned() } else { format!("not {}", kind.done) };
        let patch = json!({"metadata": {kind.field: changes}});
        if !changed || arguments.dry_run == DryRun::Client {
            apply::report(session, format.as_ref(), &reference, object, &verb, arguments.dry_run)?;
            continue;
        }
        let request = ApiRequest::patch(reference.path(), PatchType::Merge, &patch)
            .query("fieldManager", "ccctl-label")
            .query_if("dryRun", arguments.dry_run.query());
        match session.client()?.json(request).await {
            Ok(patched) => apply::report(session, format.as_ref(), &reference, patched, &verb, arguments.dry_run)?,
            Err(error) => failures.add(session, error)?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

/// Takes `KEY=VALUE` and `KEY-` off the words; what is left names objects.
fn take_changes(words: &mut Vec<String>, kind: &Kind) -> Result<Map<String, Value>> {
    let mut changes = Map::new();
    // The first word is always a type or an object, also when it ends in a dash.
    let first_change = words.iter().skip(1).position(|word| word.contains('=') || word.ends_with('-')).map(|at| at + 1);
    let Some(at) = first_change.or_else(|| words.first().filter(|word| word.contains('=')).map(|_| 0)) else {
        return Ok(changes);
    };
    for word in words.split_off(at) {
        let (key, value) = match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => (key.to_owned(), Value::from(value)),
            (None, Some(key)) => (key.to_owned(), Value::Null),
            (None, None) => {
                return Err(CommandError::user(format!(
                    "all resources must be specified before {} changes: {word}",
                    kind.word
                )));
            }
        };
        if key.is_empty() {
            return Err(CommandError::user(format!("\"{word}\" has no key")));
        }
        if changes.insert(key.clone(), value).is_some() {
            return Err(CommandError::user(format!("the {} \"{key}\" is changed twice", kind.word)));
        }
    }
    Ok(changes)
}

fn check_overwrite(
    present: &Map<String, Value>,
    changes: &Map<String, Value>,
    arguments: &MetadataArguments,
    kind: &Kind,
) -> Result<()> {
    if arguments.overwrite {
        return Ok(());
    }
    let taken = changes.iter().find_map(|(key, value)| {
        let there = present.get(key)?;
        (!value.is_null() && there != value).then_some((key, there))
    });
    match taken {
        None => Ok(()),
        Some((key, there)) => Err(CommandError::user(format!(
            "'{key}' already has a value ({}), and --overwrite is false",
            there.as_str().unwrap_or_default()
        ))
        .exit_with(1)
        .hint(format!("replace the {} with --overwrite", kind.word))),
    }
}
