//! `ccctl diff`: what `apply` would change, as a unified diff between the object now and after a server dry run; and of an
//! app, how what runs differs from what should.

mod app;

use clap::Args;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{FIELD_MANAGER, apply};
use crate::error::{CommandError, ErrorKind, Outcome, Result};
use crate::manifests::{FileArguments, Manifest};
use crate::objects;
use crate::output::text::{Colour, coloured};
use crate::output::yaml;
use crate::reference::ObjectReference;
use crate::session::{Failures, Session};

/// Lines around each change.
const CONTEXT_LINES: usize = 3;
/// Exit code when the comparison itself failed, as 1 means "different".
const FAILED: u8 = 2;

/// Show what `apply` would change, or how what runs of an app differs from what should
///
/// Exits with 0 when nothing would change or differs, 1 when something would or does, 2 when the server refused.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl diff -f infra/\n  ccctl diff -f recipe.yaml && echo nothing to do\n  ccctl diff app/cloud"
)]
pub struct DiffArguments {
    /// An app, as TYPE/NAME or TYPE NAME, instead of files
    #[arg(value_name = "APP")]
    pub words: Vec<String>,
    /// Files to compare
    #[command(flatten)]
    pub files: FileArguments,
    /// Show the result of taking over fields that belong to others
    #[arg(long)]
    pub force_conflicts: bool,
    /// Name to own the fields under
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    pub field_manager: String,
    /// Print managedFields too
    #[arg(long)]
    pub show_managed_fields: bool,
    /// Accepted for kubectl's sake: the comparison is always made by the server
    #[arg(long, hide = true)]
    pub server_side: bool,
}

/// Where `kubectl apply` keeps the whole object as it was applied.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Runs the command.
///
/// # Errors
/// A file cannot be read; the server refuses an object.
pub async fn run(session: &Session, arguments: DiffArguments) -> Result<Outcome> {
    if !arguments.words.is_empty() && arguments.files.is_given() {
        return Err(CommandError::user("an app and files cannot be compared at once").hint("leave out one of them"));
    }
    if !arguments.words.is_empty() {
        return app::run(session, &arguments.words).await;
    }
    if !arguments.files.is_given() {
        return Err(
            CommandError::user("must specify -f").hint("for example `ccctl diff -f FILE`, or `ccctl diff app/NAME`")
        );
    }
    let how = How {
        field_manager: &arguments.field_manager,
        force: arguments.force_conflicts,
        managed: arguments.show_managed_fields,
    };
    let mut different = false;
    let mut failures = Failures::default();
    for manifest in arguments.files.read()? {
        match difference(session, &manifest, &how, &|_| ()).await {
            Ok(Difference { text: Some(text), .. }) => {
                different = true;
                session.print(&text)?;
            }
            Ok(_) => {}
            Err(error) => {
                let error = error.while_doing(&format!("error when comparing \"{}\"", manifest.source));
                failures.add(session, if error.kind == ErrorKind::Server { error.exit_with(FAILED) } else { error })?;
            }
        }
    }
    failures.finish()?;
    Ok(Outcome::from_yes(!different))
}

/// How objects are compared.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Name to own the fields under.
    pub field_manager: &'a str,
    /// Whether fields that belong to others are taken over.
    pub force: bool,
    /// Whether managedFields are compared, too.
    pub managed: bool,
}

/// What applying an object would change.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which object.
    pub reference: ObjectReference,
    /// The object as it is.
    pub live: Option<Value>,
    /// The object as it would be.
    pub merged: Value,
    /// The difference as a unified diff; `None` when there is none.
    pub text: Option<String>,
}

/// Finds out what applying a manifest would change; `prepare` has the last word about what would be sent.
///
/// # Errors
/// The server refuses.
pub async fn difference(
    session: &Session,
    manifest: &Manifest,
    how: &How<'_>,
    prepare: &dyn Fn(&mut Value),
) -> Result<Difference> {
    let reference = apply::reference_of(session, manifest).await?;
    let live = match objects::fetch(session, &reference).await {
        Ok(live) => Some(live),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let mut body = apply::body_of(manifest, &reference);
    prepare(&mut body);
    let request = apply::request(&reference, &body, how.field_manager, how.force)
        .query("fieldValidation", "Strict")
        .query("dryRun", "All");
    let merged = session.client()?.json(request).await?;
    let (shown_live, shown_merged) = masked(live.clone(), merged.clone());
    let shown = |object: &Value| yaml::to_string(&comparable(object, how.managed));
    let (before, after) = (shown_live.as_ref().map(shown).unwrap_or_default(), shown(&shown_merged));
    let text = (before != after).then(|| {
        let label = match &reference.namespace {
            Some(namespace) => format!("{}/{} in {namespace}", reference.resource.kind, reference.name),
            None => format!("{}/{}", reference.resource.kind, reference.name),
        };
        let was = if live.is_some() { "live" } else { "live: does not exist" };
        let (old, new) = (format!("{label} ({was})"), format!("{label} (applied)"));
        unified(&before, &after, &old, &new, session.stdout_colours())
    });
    Ok(Difference { reference, live, merged, text })
}

/// Hides what a Secret holds, but not whether it changes: this is printed where pipelines keep it.
fn masked(mut live: Option<Value>, mut merged: Value) -> (Option<Value>, Value) {
    const SAME: &str = "***";
    if merged["kind"] != "Secret" || merged["apiVersion"] != "v1" {
        return (live, merged);
    }
    let before = live.as_ref().map(|live| live["data"].clone()).unwrap_or_default();
    let after = merged["data"].clone();
    let mask = |object: &mut Value, other: &Value, differs: &str| {
        for (key, value) in object["data"].as_object_mut().into_iter().flatten() {
            let is_other = other.get(key).is_some_and(|other| other != value);
            *value = Value::from(if is_other { differs } else { SAME });
        }
        if let Some(applied) = object.pointer_mut(LAST_APPLIED) {
            *applied = Value::from(SAME);
        }
    };
    if let Some(live) = &mut live {
        mask(live, &after, "*** (before)");
    }
    mask(&mut merged, &before, "*** (after)");
    (live, merged)
}

/// Leaves out what changes with every write and says nothing.
fn comparable(object: &Value, with_managed_fields: bool) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["resourceVersion", "generation", "uid", "creationTimestamp"] {
            metadata.remove(field);
        }
        if !with_managed_fields {
            metadata.remove("managedFields");
        }
    }
    object
}

/// Returns a unified diff, coloured by line when colours are on.
#[must_use]
pub fn unified(before: &str, after: &str, before_label: &str, after_label: &str, colours: bool) -> String {
    let difference = TextDiff::from_lines(before, after);
    let mut text = coloured(&format!("--- {before_label}"), Colour::Bold, colours) + "\n";
    text += &(coloured(&format!("+++ {after_label}"), Colour::Bold, colours) + "\n");
    for hunk in difference.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        text += &(coloured(&hunk.header().to_string(), Colour::Cyan, colours) + "\n");
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches('\n');
            text += &match change.tag() {
                ChangeTag::Equal => format!(" {line}\n"),
                ChangeTag::Insert => coloured(&format!("+{line}"), Colour::Green, colours) + "\n",
                ChangeTag::Delete => coloured(&format!("-{line}"), Colour::Red, colours) + "\n",
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_secret_holds_is_hidden_and_whether_it_changes_is_not() {
        let secret = |data: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": {"annotations":
                {"kubectl.kubernetes.io/last-applied-configuration": "canary"}}})
        };
        let live = secret(json!({"same": "Y2FuYXJ5", "changed": "Y2FuYXJ5MQ==", "gone": "Y2FuYXJ5"}));
        let merged = secret(json!({"same": "Y2FuYXJ5", "changed": "Y2FuYXJ5Mg==", "new": "Y2FuYXJ5"}));
        let (live, merged) = masked(Some(live), merged);
        let live = live.unwrap();
        assert_eq!(live["data"], json!({"same": "***", "changed": "*** (before)", "gone": "***"}));
        assert_eq!(merged["data"], json!({"same": "***", "changed": "*** (after)", "new": "***"}));
        assert!(!format!("{live}{merged}").contains("canary"));
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(masked(None, other.clone()), (None, other));
    }
}
