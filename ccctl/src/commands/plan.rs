//! `ccctl plan`: what applying files would change in objects, and what converging their Apps would do in the swarm.
//!
//! Nothing is changed. What changes in objects is the server's dry run; what an App would do is the answer of its `plan`,
//! for which the server is told the objects as they would be applied. Values of Secrets are not sent: of one that would
//! change, only that it would.

mod words;

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use super::apply::prune::{PruneArguments, Pruning};
use super::diff::{self, Difference};
use super::{FIELD_MANAGER, apply};
use crate::client::request::ApiRequest;
use crate::error::{CommandError, ErrorKind, Outcome, Result};
use crate::manifests::{FileArguments, Manifest};
use crate::session::{Failures, Session};

/// Exit code when the plan itself failed, as 1 means "something would change".
const FAILED: u8 = 2;
/// Kinds that decide what an App does. Of Secrets only the keys are told.
const TOLD: [&str; 4] = ["App", "Recipe", "Certificate", "Secret"];

/// Show what `apply` would change, and what would be done about it in the swarm
///
/// Objects are compared as `diff` does. For each App, the calls are shown that would follow: the server decides them as it
/// would decide them in earnest, and makes none. Exits with 0 when nothing would change, 1 when something would, 2 when
/// the server refused.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl plan -f infra/ -R\n  ccctl plan -f infra/ -R --prune\n  ccctl plan -f app.yaml && echo nothing to do"
)]
pub struct PlanArguments {
    /// Files that would be applied
    #[command(flatten)]
    pub files: FileArguments,
    /// What would be pruned
    #[command(flatten)]
    pub prune: PruneArguments,
    /// Show the result of taking over fields that belong to others
    #[arg(long)]
    pub force_conflicts: bool,
    /// Name to own the fields under
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    pub field_manager: String,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read; the server refuses an object or a plan.
pub async fn run(session: &Session, arguments: PlanArguments) -> Result<Outcome> {
    if !arguments.files.is_given() {
        return Err(CommandError::user("must specify -f").hint("for example `ccctl plan -f FOLDER -R`"));
    }
    let manifests = apply::order(arguments.files.read()?);
    let (prune, field_manager) = (&arguments.prune, &arguments.field_manager);
    let pruning = Pruning::asked_for(session, prune, &arguments.files, field_manager, &manifests).await?;
    let mut failures = Failures::default();
    let made = Made::by(&manifests);
    let (mut different, mut differences) = (false, Vec::new());
    let how = diff::How { field_manager: &arguments.field_manager, force: arguments.force_conflicts, managed: false };
    for manifest in &manifests {
        match difference(session, manifest, &how, &made, pruning.as_ref()).await {
            Ok(Some(found)) => {
                if let Some(text) = &found.text {
                    different = true;
                    session.print(text)?;
                }
                differences.push(found);
            }
            Ok(None) => different = true,
            Err(error) => failures.add(session, failed(error, &manifest.source))?,
        }
    }
    let apps = differences.iter().filter(|found| is_app(&found.merged));
    for app in apps {
        match plan(session, app, &differences).await {
            Ok(status) => {
                different |= status["calls"].as_array().is_some_and(|calls| !calls.is_empty());
                session.print(&words::of_app(&app.reference, &status))?;
            }
            Err(error) => failures.add(session, failed(error, &app.reference.text()))?,
        }
    }
    for reference in pruning.iter().flat_map(Pruning::going) {
        different = true;
        session.print(&words::of_pruned(reference))?;
    }
    failures.finish()?;
    Ok(Outcome::from_yes(!different))
}

fn failed(error: CommandError, what: &str) -> CommandError {
    let error = error.while_doing(&format!("error when planning \"{what}\""));
    if error.kind == ErrorKind::Server { error.exit_with(FAILED) } else { error }
}

fn is_app(object: &Value) -> bool {
    object["kind"] == "App"
        && object["apiVersion"].as_str().is_some_and(|version| version.starts_with("ci.coopcloud.tech/"))
}

/// What the files themselves make, so that a server without it cannot be asked about what needs it.
#[derive(Default)]
struct Made {
    namespaces: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Made {
    fn by(manifests: &[Manifest]) -> Self {
        let mut made = Self::default();
        for manifest in manifests {
            match manifest.object["kind"].as_str() {
                Some("Namespace") => {
                    made.namespaces.insert(manifest.name().to_owned());
                }
                Some("CustomResourceDefinition") => {
                    made.kinds.extend(manifest.object["spec"]["names"]["kind"].as_str().map(str::to_owned));
                }
                _ => {}
            }
        }
        made
    }

    fn makes_room_for(&self, manifest: &Manifest) -> bool {
        let namespace = manifest.object["metadata"]["namespace"].as_str().unwrap_or_default();
        let kind = manifest.object["kind"].as_str().unwrap_or_default();
        self.namespaces.contains(namespace) || self.kinds.contains(kind)
    }
}

/// Returns what would change; `None` for what cannot be asked about before the rest is there, which is said.
async fn difference(
    session: &Session,
    manifest: &Manifest,
    how: &diff::How<'_>,
    made: &Made,
    pruning: Option<&Pruning>,
) -> Result<Option<Difference>> {
    let label = |body: &mut Value| {
        if let Some(pruning) = pruning {
            pruning.label(body);
        }
    };
    match diff::difference(session, manifest, how, &label).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if made.makes_room_for(manifest) && (error.is_not_found() || error.status.is_none()) => {
            let kind = manifest.object["kind"].as_str().unwrap_or_default();
            let text = "is made with its namespace or kind, and cannot be looked into before that";
            session.print(&format!("{kind}/{} {text}\n", manifest.name()))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Asks what an App would do if all that is planned were applied.
async fn plan(session: &Session, app: &Difference, differences: &[Difference]) -> Result<Value> {
    let same_namespace = |found: &&Difference| {
        found.reference.namespace == app.reference.namespace
            && found.merged["kind"].as_str().is_some_and(|kind| TOLD.contains(&kind))
    };
    let objects: Vec<Value> = differences.iter().filter(same_namespace).map(told).collect();
    let body = json!({
        "apiVersion": app.merged["apiVersion"],
        "kind": "AppPlan",
        "spec": {"objects": objects},
    });
    let mut answer = session.client()?.json(ApiRequest::post(format!("{}/plan", app.reference.path()), &body)).await?;
    Ok(answer["status"].take())
}

/// Returns an object as a plan is told of it. The value of a Secret stays here: of one that would change the server is told
/// another, of one that would not, none.
fn told(found: &Difference) -> Value {
    let mut object = found.merged.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    if object["kind"] != "Secret" {
        return object;
    }
    let mut keys = json!({});
    for field in ["data", "stringData"] {
        for (key, value) in found.merged[field].as_object().into_iter().flatten() {
            let before = found.live.as_ref().map(|live| &live["data"][key.as_str()]);
            // "planned", in base64.
            keys[key] = if before == Some(value) { Value::Null } else { json!("cGxhbm5lZA==") };
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": object["type"], "data": keys,
        "metadata": {"name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::ResourceType;
    use crate::reference::ObjectReference;

    #[test]
    fn no_value_of_a_secret_is_told() {
        let secret = |data: Value| json!({"kind": "Secret", "metadata": {"name": "s"}, "type": "Opaque", "data": data});
        let found = Difference {
            reference: ObjectReference { resource: ResourceType::default(), namespace: None, name: "s".to_owned() },
            live: Some(secret(json!({"same": "c2VjcmV0", "other": "b2xk"}))),
            merged: secret(json!({"same": "c2VjcmV0", "other": "c2VjcmV0", "new": "c2VjcmV0"})),
            text: None,
        };
        let told = told(&found);
        assert_eq!(told["data"], json!({"same": null, "other": "cGxhbm5lZA==", "new": "cGxhbm5lZA=="}));
        assert!(!told.to_string().contains("c2VjcmV0"), "{told}");
    }
}
