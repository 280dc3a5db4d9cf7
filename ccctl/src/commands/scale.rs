//! `ccctl scale`: the number of replicas, for kinds with a scale subresource.

use clap::Args;
use serde_json::json;

use super::{DryRun, apply};
use crate::client::request::{ApiRequest, PatchType};
use crate::error::{CommandError, Outcome, Result};
use crate::reference::SelectionArguments;
use crate::session::{Failures, Session};

/// Set the number of replicas
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl scale runner/builder --replicas=3\n  ccctl scale runner/builder --replicas=3 --current-replicas=2"
)]
pub struct ScaleArguments {
    /// Objects to scale
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// Number of replicas to have
    #[arg(long, value_name = "COUNT")]
    pub replicas: u32,
    /// Only if there are this many now
    #[arg(long, value_name = "COUNT")]
    pub current_replicas: Option<u32>,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
}

/// Runs the command.
///
/// # Errors
/// The kind does not scale; the number is another; the server refuses.
pub async fn run(session: &Session, arguments: ScaleArguments) -> Result<Outcome> {
    let mut failures = Failures::default();
    for reference in arguments.selection.resolve(session).await? {
        if !reference.resource.has_subresource("scale") {
            return Err(CommandError::user(format!("{} cannot be scaled", reference.resource.qualified_plural()))
                .hint(format!("see what can be set with `ccctl explain {}.spec`", reference.resource.singular)));
        }
        let path = format!("{}/scale", reference.path());
        let result = async {
            let mut patch = json!({"spec": {"replicas": arguments.replicas}});
            if let Some(expected) = arguments.current_replicas {
                let scale = session.client()?.json(ApiRequest::get(path.clone())).await?;
                let current = scale["spec"]["replicas"].as_u64().unwrap_or(0);
                if current != u64::from(expected) {
                    return Err(
                        CommandError::user(format!("Expected replicas to be {expected}, was {current}")).exit_with(1)
                    );
                }
                patch["metadata"] = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
            }
            let request = ApiRequest::patch(path.clone(), PatchType::Merge, &patch)
                .query("fieldManager", "ccctl-scale")
                .query_if("dryRun", arguments.dry_run.query());
            if arguments.dry_run == DryRun::Client { Ok(patch) } else { session.client()?.json(request).await }
        };
        match result.await {
            Ok(scaled) => apply::report(session, None, &reference, scaled, "scaled", arguments.dry_run)?,
            Err(error) => failures.add(session, error)?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}
