//! `ccctl secret rotate`: asks for other values of an App's generated secrets, by annotations that ccd acts upon once.

use api_types::kind::Kind as _;
use api_types::kinds::app::{App, ROTATE_ANNOTATION_PREFIX};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::client::request::{ApiRequest, PatchType};
use crate::commands::{DryRun, apply};
use crate::error::{CommandError, Outcome, Result};
use crate::objects;
use crate::reference::ObjectReference;
use crate::session::Session;

/// Which secrets.
#[derive(Clone, Debug, Default, Args)]
pub struct RotateArguments {
    /// The app, as NAME or app/NAME
    #[arg(value_name = "APP")]
    pub app: String,
    /// Names of secrets in its compose file
    #[arg(value_name = "SECRET", required_unless_present = "all")]
    pub secrets: Vec<String>,
    /// Every secret whose value was generated
    #[arg(long, conflicts_with = "secrets")]
    pub all: bool,
    /// Check and print, change nothing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server", require_equals = true)]
    pub dry_run: DryRun,
}

/// Runs the command.
///
/// # Errors
/// There is no such App; it has no such secret; the server refuses.
pub(super) async fn run(session: &Session, arguments: RotateArguments) -> Result<Outcome> {
    let (type_, name) = arguments.app.split_once('/').unwrap_or(("apps.ci.coopcloud.tech", &arguments.app));
    let resource = session.resource_type(type_).await?;
    if resource.kind != App::KIND {
        return Err(CommandError::user(format!("{type_} have no secrets of their own to rotate"))
            .hint("name an App: ccctl secret rotate app/NAME SECRET"));
    }
    let reference = ObjectReference { namespace: Some(session.namespace()?), name: name.to_owned(), resource };
    let object = objects::fetch(session, &reference).await?;
    let secrets = chosen(&object, &arguments, name)?;
    let word = session.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let annotations: Map<String, Value> =
        secrets.iter().map(|secret| (format!("{ROTATE_ANNOTATION_PREFIX}{secret}"), json!(word))).collect();
    let patch = json!({"metadata": {"annotations": annotations}});
    let verb = format!("asked to rotate {}", secrets.join(", "));
    let rotated = if arguments.dry_run == DryRun::Client {
        object.clone()
    } else {
        let request = ApiRequest::patch(reference.path(), PatchType::Merge, &patch)
            .query("fieldManager", "ccctl-rotate")
            .query_if("dryRun", arguments.dry_run.query());
        session.client()?.json(request).await?
    };
    apply::report(session, None, &reference, rotated, &verb, arguments.dry_run)?;
    let is_of_forge = |secret: &Value| {
        secret["source"] == "Application" && secrets.iter().any(|name| secret["name"] == name.as_str())
    };
    if known_secrets(&object).iter().any(is_of_forge) {
        session.note("a forge takes the old secret of an OAuth2 application no longer once it has made another one");
    }
    session.note(&format!(
        "the old value stays until the app is ready with the new one: ccctl get app {name}{} -o yaml shows how far it is under status.secrets",
        reference.namespace_option()
    ));
    Ok(Outcome::Success)
}

/// Returns what an App says of its secrets.
fn known_secrets(object: &Value) -> &[Value] {
    object["status"]["secrets"].as_array().map_or(&[][..], Vec::as_slice)
}

/// Returns the names of the secrets that are meant.
fn chosen(object: &Value, arguments: &RotateArguments, app: &str) -> Result<Vec<String>> {
    let known = known_secrets(object);
    let name = |secret: &Value| secret["name"].as_str().unwrap_or_default().to_owned();
    let can_be = |secret: &&Value| secret["source"] != "Given";
    let possible: Vec<String> = known.iter().filter(can_be).map(name).collect();
    if arguments.all {
        // What a forge made is asked for by name: it has no way back.
        let is_own = |secret: &&Value| can_be(secret) && secret["source"] != "Application";
        let possible: Vec<String> = known.iter().filter(is_own).map(name).collect();
        return match possible.is_empty() {
            true => Err(CommandError::user(format!("app {app:?} has no secret that is generated"))
                .hint("those that Secrets give are changed there; an app that was never deployed has none yet")),
            false => Ok(possible),
        };
    }
    for secret in &arguments.secrets {
        if !possible.contains(secret) {
            let is_given = known.iter().any(|found| name(found) == *secret);
            let why = if is_given { "is given by a Secret or a Certificate" } else { "is not a secret of it" };
            let hint = match possible.is_empty() {
                true => "the app has none that are generated, or was never deployed".to_owned(),
                false => format!("those that can be rotated: {}", possible.join(", ")),
            };
            return Err(CommandError::user(format!("app {app:?}: {secret} {why}")).hint(hint));
        }
    }
    Ok(arguments.secrets.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(secrets: &[&str], all: bool) -> Result<Vec<String>> {
        let object = json!({"status": {"secrets": [
            {"name": "pass", "source": "Generated"}, {"name": "found", "source": "Found"}, {"name": "cert", "source": "Given"},
            {"name": "oauth", "source": "Application"},
        ]}});
        let secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
        chosen(&object, &RotateArguments { secrets, all, ..RotateArguments::default() }, "x")
    }

    #[test]
    fn what_can_be_rotated_is_chosen_and_the_rest_is_told_why_not() {
        assert_eq!(ask(&["pass"], false).unwrap(), ["pass"]);
        assert_eq!(ask(&["oauth"], false).unwrap(), ["oauth"]);
        assert_eq!(ask(&[], true).unwrap(), ["pass", "found"]);
        for (secret, why) in [("cert", "is given by"), ("zork", "is not a secret")] {
            let error = ask(&[secret], false).unwrap_err().message;
            assert!(error.contains(why), "{error}");
        }
    }
}
