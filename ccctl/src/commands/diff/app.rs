//! How what runs of an app differs from what should, by its status.

use serde_json::{Map, Value, json};

use super::unified;
use crate::error::{CommandError, Outcome, Result};
use crate::objects;
use crate::output::yaml;
use crate::reference;
use crate::session::Session;

/// Compares one app.
///
/// # Errors
/// It is no app, or the server refuses.
pub(super) async fn run(session: &Session, words: &[String]) -> Result<Outcome> {
    let reference = reference::single(session, words, Some("app")).await?;
    if reference.resource.kind != "App" {
        let text = format!("{} have nothing that runs to compare with", reference.resource.qualified_plural());
        return Err(CommandError::user(text).hint("compare a file with `ccctl diff -f FILE`"));
    }
    let app = objects::fetch(session, &reference).await?;
    let status = &app["status"];
    let (wanted, found) = (side(&status["desired"], status, true), side(&status["observed"], status, false));
    let drifted = condition(status, "Drifted").filter(|drifted| drifted["status"] == "True");
    if let Some(drifted) = drifted {
        session.note(drifted["message"].as_str().unwrap_or_default());
    }
    if status["desired"].is_null() {
        let ready = condition(status, "Ready").and_then(|ready| ready["message"].as_str()).unwrap_or_default();
        session.note(&format!("It is not known yet what should run. {ready}"));
        return Ok(Outcome::from_yes(false));
    }
    // A digest that the recipe does not name is nothing that could differ.
    let (before, after) = (yaml::to_string(&found), yaml::to_string(&comparable(wanted, &found)));
    if before == after {
        // A label, or what else has no line here: the note has said what it is.
        return Ok(Outcome::from_yes(drifted.is_none()));
    }
    let name = reference.text();
    let text = unified(
        &before,
        &after,
        &format!("{name} (what runs)"),
        &format!("{name} (what should)"),
        session.stdout_colours(),
    );
    session.print(&text)?;
    Ok(Outcome::from_yes(false))
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// Returns one side: version, commit, and for each service image, digest and tasks.
fn side(identity: &Value, status: &Value, is_wanted: bool) -> Value {
    let mut services = Map::new();
    for image in identity["images"].as_array().into_iter().flatten() {
        let name = image["service"].as_str().unwrap_or_default();
        let mut service = json!({"image": image["image"]});
        if !image["digest"].is_null() {
            service["digest"] = image["digest"].clone();
        }
        let mut states = status["services"].as_array().into_iter().flatten();
        if let Some(state) = states.find(|state| state["name"] == name) {
            service["tasks"] = if is_wanted { state["desired"].clone() } else { state["running"].clone() };
        }
        services.insert(name.to_owned(), service);
    }
    let mut found = json!({"version": identity["version"], "commit": identity["commit"], "services": services});
    let secrets = secrets(status, is_wanted);
    if !secrets.is_empty() {
        found["secrets"] = secrets.into();
    }
    found
}

/// Returns the versions of the app's secrets: those that it should have, or those that it runs with.
fn secrets(status: &Value, is_wanted: bool) -> Map<String, Value> {
    let stack = status["stack"].as_str().unwrap_or_default();
    let used = || status["secretNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut versions = Map::new();
    for secret in status["secrets"].as_array().into_iter().flatten() {
        let name = secret["name"].as_str().unwrap_or_default();
        let prefix = format!("{stack}_{name}_");
        let runs = used().find_map(|used| used.strip_prefix(&prefix).filter(|rest| !rest.contains('_')));
        // A name that is not of the usual form says nothing of a version.
        let should = secret["version"].as_str().filter(|version| runs.is_some() || !version.is_empty());
        if let Some(version) = if is_wanted { should } else { runs } {
            versions.insert(name.to_owned(), version.into());
        }
    }
    versions
}

fn comparable(mut wanted: Value, found: &Value) -> Value {
    for (name, service) in wanted["services"].as_object_mut().into_iter().flatten() {
        let digest = &found["services"][name.as_str()]["digest"];
        if service.get("digest").is_none()
            && !digest.is_null()
            && found["services"][name.as_str()]["image"] == service["image"]
        {
            service["digest"] = digest.clone();
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_has_not_its_new_version_yet_is_a_difference() {
        let status = json!({
            "stack": "x_example", "secretNames": ["x_example_db_root_v1", "x_example_db_v1"],
            "secrets": [{"name": "db", "version": "v2"}, {"name": "db_root", "version": "v1"}],
        });
        assert_eq!(side(&Value::Null, &status, true)["secrets"], json!({"db": "v2", "db_root": "v1"}));
        assert_eq!(side(&Value::Null, &status, false)["secrets"], json!({"db": "v1", "db_root": "v1"}));
        assert_eq!(side(&Value::Null, &json!({}), true).get("secrets"), None);
    }

    #[test]
    fn a_digest_that_nobody_named_is_no_difference_and_an_image_is() {
        let status = json!({
            "desired": {"version": "1", "commit": "c", "images": [
                {"service": "app", "image": "a:1"}, {"service": "db", "image": "d:2"}]},
            "observed": {"version": "1", "commit": "c", "images": [
                {"service": "app", "image": "a:1", "digest": "sha256:1"}, {"service": "db", "image": "d:1", "digest": "sha256:2"}]},
            "services": [{"name": "app", "desired": 1, "running": 1}, {"name": "db", "desired": 1, "running": 0}],
        });
        let found = side(&status["observed"], &status, false);
        let wanted = comparable(side(&status["desired"], &status, true), &found);
        assert_eq!(wanted["services"]["app"], found["services"]["app"]);
        assert_eq!(wanted["services"]["db"], json!({"image": "d:2", "tasks": 1}));
        assert_eq!(found["services"]["db"], json!({"image": "d:1", "digest": "sha256:2", "tasks": 0}));
    }
}
