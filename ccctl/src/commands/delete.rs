//! `ccctl delete`: asks for deletion and, unless told otherwise, waits until the objects are gone.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::DryRun;
use crate::arguments::TimeLimit;
use crate::client::request::ApiRequest;
use crate::client::watch::{Change, Watcher};
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::reference::{ObjectReference, SelectionArguments};
use crate::session::{Failures, Session};

/// How long it is quiet before the first word about what a deletion waits for.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Delete objects
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl delete testrun/nextcloud-pr12-3fa21c9-991\n  ccctl delete testruns -l recipe=nextcloud\n  ccctl delete -f recipe.yaml\n  ccctl delete app cloud --cascade=orphan --wait=false"
)]
pub struct DeleteArguments {
    /// Objects to delete
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// What happens to the objects that these own
    #[arg(long, value_enum, default_value_t = Cascade::Background, num_args = 0..=1, default_missing_value = "background", require_equals = true)]
    pub cascade: Cascade,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub wait: bool,
    /// Longest wait, such as 5m; 0 waits for ever
    #[arg(long, value_name = "DURATION", default_value = "0")]
    pub timeout: TimeLimit,
    /// Missing objects are no error
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Check and print, delete nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
    /// name prints kind.group/name only
    #[arg(short, long, value_name = "FORMAT", value_parser = ["name"])]
    pub output: Option<String>,
}

/// What happens to owned objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cascade {
    /// They go after their owner
    #[value(alias = "true")]
    Background,
    /// They go before their owner
    Foreground,
    /// They stay
    #[value(alias = "false")]
    Orphan,
}

impl Cascade {
    fn policy(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

struct Going {
    reference: ObjectReference,
    uid: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// The server refuses; an object is still there when the time is over.
pub async fn run(session: &Session, arguments: DeleteArguments) -> Result<Outcome> {
    let references = arguments.selection.resolve(session).await?;
    if references.is_empty() {
        session.note("No resources found");
        return Ok(Outcome::Success);
    }
    let mut failures = Failures::default();
    let mut going = Vec::new();
    for reference in references {
        match delete_one(session, &arguments, &reference).await {
            Ok(uid) => {
                report(session, &arguments, &reference)?;
                going.push(Going { reference, uid });
            }
            Err(error) if error.is_not_found() && (arguments.ignore_not_found || arguments.selection.all) => {}
            Err(error) => failures.add(session, error)?,
        }
    }
    if arguments.wait && arguments.dry_run == DryRun::None && !session.shows_requests() {
        let waiting = async {
            for object in &going {
                wait_until_gone(session, object).await?;
            }
            Ok(())
        };
        match arguments.timeout.0 {
            None => waiting.await?,
            Some(limit) => tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| Err(still_there(&going)))?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

async fn delete_one(
    session: &Session,
    arguments: &DeleteArguments,
    reference: &ObjectReference,
) -> Result<Option<String>> {
    let mut options = json!({"propagationPolicy": arguments.cascade.policy()});
    if arguments.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    if arguments.dry_run == DryRun::Client {
        session.client()?.json(ApiRequest::get(reference.path())).await?;
        return Ok(None);
    }
    let answer = session.client()?.json(ApiRequest::delete(reference.path(), &options)).await?;
    let uid = answer["details"]["uid"].as_str().or_else(|| answer["metadata"]["uid"].as_str());
    Ok(uid.map(str::to_owned))
}

fn report(session: &Session, arguments: &DeleteArguments, reference: &ObjectReference) -> Result<()> {
    if arguments.output.is_some() {
        return session.print(&format!("{}\n", reference.text()));
    }
    let suffix = arguments.dry_run.suffix();
    session.print(&format!("{} \"{}\" deleted{suffix}\n", reference.resource.qualified_kind(), reference.name))
}

async fn wait_until_gone(session: &Session, going: &Going) -> Result<()> {
    let client = session.client()?;
    let object = match client.json(ApiRequest::get(going.reference.path())).await {
        Ok(object) if going.uid.as_deref().is_none_or(|uid| object["metadata"]["uid"] == uid) => object,
        // Somebody made a new one under the same name: ours is gone.
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    let uid = object["metadata"]["uid"].clone();
    let resource = &going.reference.resource;
    let request = ApiRequest::get(resource.collection_path(going.reference.namespace.as_deref()))
        .query("fieldSelector", format!("metadata.name={}", going.reference.name));
    let mut watcher = Watcher::new(client, request, &object);
    let mut last = obstacle(&object);
    let mut said = String::new();
    loop {
        match tokio::time::timeout(PROGRESS_AFTER, watcher.next()).await {
            Err(_) => {
                if said != last {
                    session.note(&format!("{} still there: {last}", going.reference.text()));
                    said.clone_from(&last);
                }
            }
            Ok(event) => {
                let event = event?;
                let same = event.object["metadata"]["uid"] == uid;
                if event.change == Change::Deleted || !same {
                    return Ok(());
                }
                last = obstacle(&event.object);
            }
        }
    }
}

/// Says what a deletion waits for.
fn obstacle(object: &Value) -> String {
    let finalizers: Vec<&str> =
        object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let conditions = fields::conditions(object);
    let told = conditions.iter().find(|condition| condition.is_bad() && !condition.message.is_empty());
    match (finalizers.is_empty(), told) {
        (false, Some(condition)) => format!("waits for {} ({})", finalizers.join(", "), condition.message),
        (false, None) => format!("waits for {}", finalizers.join(", ")),
        (true, _) => "waits for the server".to_owned(),
    }
}

fn still_there(going: &[Going]) -> CommandError {
    let names: Vec<String> = going.iter().map(|object| object.reference.text()).collect();
    let error = CommandError::timeout(format!("timed out waiting for the deletion of {}", names.join(", ")));
    match going.first() {
        Some(first) => error.hint(format!(
            "see what it waits for with `ccctl why {}/{}{}`",
            first.reference.resource.singular,
            first.reference.name,
            first.reference.namespace_option()
        )),
        None => error,
    }
}
