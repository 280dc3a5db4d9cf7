//! `ccctl cancel`: `spec.cancel` of test runs.

use clap::Args;
use serde_json::json;

use super::run::ENDED;
use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::reference::{ObjectReference, SelectionArguments};
use crate::session::{Failures, Session};

/// Stop a test run
///
/// What it deployed is torn down; the run ends as Cancelled.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl cancel nextcloud-pr12-3fa21c9-991\n  ccctl cancel testruns --all")]
pub struct CancelArguments {
    /// Names of test runs, or a selection
    #[command(flatten)]
    pub selection: SelectionArguments,
}

/// Runs the command.
///
/// # Errors
/// The run does not exist; the server refuses.
pub async fn run(session: &Session, mut arguments: CancelArguments) -> Result<Outcome> {
    let words = &mut arguments.selection.words;
    let is_type = match words.first() {
        Some(first) => first.contains('/') || session.discovery().await?.find(first).is_some(),
        None => true,
    };
    if !is_type {
        words.insert(0, "testruns".to_owned());
    }
    let mut failures = Failures::default();
    for reference in arguments.selection.resolve(session).await? {
        if let Err(error) = cancel(session, &reference).await {
            failures.add(session, error)?;
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

/// Asks for the end of one run; one that has ended stays as it is.
///
/// # Errors
/// It is no test run; the server refuses.
pub async fn cancel(session: &Session, reference: &ObjectReference) -> Result<()> {
    if reference.resource.kind != "TestRun" {
        return Err(CommandError::user(format!("{} is no test run and cannot be cancelled", reference.text()))
            .hint(format!("to remove it: `ccctl delete {}/{}`", reference.resource.singular, reference.name)));
    }
    let object = objects::fetch(session, reference).await?;
    let phase = fields::text(&object["status"], "phase").to_owned();
    if ENDED.contains(&phase.as_str()) {
        return session.print(&format!("{} has ended already ({phase})\n", reference.text()));
    }
    let request = ApiRequest::patch(reference.path(), PatchType::Merge, &json!({"spec": {"cancel": true}}))
        .query("fieldManager", "ccctl-cancel")
        .query("fieldValidation", "Strict");
    let patched = session.client()?.json(request).await?;
    apply::report(session, None, reference, patched, "cancelled", DryRun::None)
}
