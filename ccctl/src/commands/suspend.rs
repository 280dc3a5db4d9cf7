//! `ccctl suspend` and `ccctl resume`: `spec.suspend`, which every kind understands.

use clap::Args;
use serde_json::json;

use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{Outcome, Result};
use crate::objects;
use crate::reference::SelectionArguments;
use crate::session::{Failures, Session};

/// Stop the server from working on objects
///
/// What runs goes on running; nothing is changed, healed or started until `resume`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl suspend recipe/nextcloud\n  ccctl suspend apps --all")]
pub struct SuspendArguments {
    /// Objects to suspend
    #[command(flatten)]
    pub selection: SelectionArguments,
}

/// Let the server work on suspended objects again
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl resume recipe/nextcloud\n  ccctl resume apps --all")]
pub struct ResumeArguments {
    /// Objects to resume
    #[command(flatten)]
    pub selection: SelectionArguments,
}

/// The state to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The server leaves the object alone.
    Suspended,
    /// The server works on the object.
    Active,
}

/// Runs both commands.
///
/// # Errors
/// The server refuses.
pub async fn run(session: &Session, selection: SelectionArguments, wanted: Wanted) -> Result<Outcome> {
    let suspend = wanted == Wanted::Suspended;
    let verb = if suspend { "suspended" } else { "resumed" };
    let mut failures = Failures::default();
    for reference in selection.resolve(session).await? {
        let result = async {
            let object = objects::fetch(session, &reference).await?;
            if (object["spec"]["suspend"] == true) == suspend {
                return Ok((object, format!("already {verb}")));
            }
            let request = ApiRequest::patch(reference.path(), PatchType::Merge, &json!({"spec": {"suspend": suspend}}))
                .query("fieldManager", "ccctl-suspend")
                .query("fieldValidation", "Strict");
            Ok((session.client()?.json(request).await?, verb.to_owned()))
        };
        match result.await {
            Ok((object, verb)) => apply::report(session, None, &reference, object, &verb, DryRun::None)?,
            Err(error) => failures.add(session, error)?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}
