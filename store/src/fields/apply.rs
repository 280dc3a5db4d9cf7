//! Server-side apply.

use api_types::status::{Reason, Status};
use serde_json::{Map, Value};

use super::Writer;
use super::check::check;
use super::compare::compare;
use super::conflict;
use super::from_value::claimed;
use super::managed::{Identity, Ledger, fields};
use super::merge::{merge, prune};
use super::scope::Scope;
use super::set::{self, Node};
use super::typed::same;

/// Owns whatever was there before the first apply to an object that nobody tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager that takes over from its own client-side apply.
const KUBECTL: &str = "kubectl";
/// Where client-side apply remembers what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// See [`super::apply()`].
pub(super) fn apply(
    writer: &Writer<'_>,
    live: Option<&Value>,
    configuration: &Value,
    force: bool,
) -> Result<Value, Status> {
    let scope = Scope::of(writer);
    check_configuration(writer, &scope, configuration)?;
    let (live, mut ledger) = match live {
        Some(live) => (Some(without_entries(live)), starting_ledger(writer, &scope, live)),
        None => (None, Ledger::default()),
    };
    let applier = Identity::applier(writer);
    let owned = claimed(&scope, configuration);
    let mut result = merged(&scope, live.as_ref(), configuration, &ledger, applier);
    let changed = compare(&scope, live.as_ref(), &result);

    if !force {
        let mut conflicts = conflict::find(&ledger, applier, &changed.gained);
        if writer.manager == KUBECTL
            && let Some(live) = &live
            && let Some(allowed) = unchanged_since_client_side_apply(writer, &scope, live)
        {
            conflicts = conflict::without(conflicts, &allowed);
        }
        if !conflicts.is_empty() {
            return Err(conflict::status(&conflicts, writer.subresource));
        }
    }
    ledger.yield_fields(&changed, Some(applier));
    let is_change = live.as_ref().is_none_or(|live| !same(live, &result));
    let time = if is_change { writer.entry_time() } else { None };
    ledger.replace(applier, writer.entry_version(&result), owned, time);
    if writer.manager == KUBECTL {
        refresh_last_applied(&mut result, configuration);
    }
    ledger.write(&mut result);
    Ok(result)
}

fn check_configuration(writer: &Writer<'_>, scope: &Scope<'_>, configuration: &Value) -> Result<(), Status> {
    let text = |name: &str| configuration.get(name).and_then(Value::as_str).unwrap_or_default();
    let given = type_text(text("apiVersion"), text("kind"));
    // A scale is applied to its parent, which the caller has translated it for.
    if writer.subresource != "scale" && (text("apiVersion") != writer.api_version || text("kind") != writer.kind) {
        return Err(Status::failure(Reason::BadRequest, format!("invalid object type: {given}")));
    }
    let metadata = configuration.get("metadata");
    if metadata.and_then(|metadata| metadata.get("managedFields")).is_some_and(|entries| !entries.is_null()) {
        return Err(Status::failure(Reason::BadRequest, "metadata.managedFields must be nil"));
    }
    check(scope.root(), configuration).map_err(|why| {
        let named = |name: &str| metadata.and_then(|metadata| metadata.get(name)?.as_str()).unwrap_or_default();
        let message =
            format!("failed to create typed patch object ({}/{}; {given}): {why}", named("namespace"), named("name"));
        Status::failure(Reason::BadRequest, message)
    })
}

/// Returns `group/version, Kind=kind` of a type; the core group is empty.
fn type_text(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    format!("{group}/{version}, Kind={kind}")
}

/// Returns a copy of the object without its entries.
fn without_entries(object: &Value) -> Value {
    let mut bare = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = match value {
            Value::Object(metadata) if name == "metadata" => {
                let kept = metadata.iter().filter(|(name, _)| *name != "managedFields");
                Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            other => other.clone(),
        };
        bare.insert(name.clone(), value);
    }
    Value::Object(bare)
}

/// Returns who owns what before the apply. An object that nobody tracked so far belongs to one made-up manager.
fn starting_ledger(writer: &Writer<'_>, scope: &Scope<'_>, live: &Value) -> Ledger {
    let mut ledger = Ledger::of_stored(live);
    if ledger.is_empty() {
        let everything = compare(scope, None, live).gained;
        if !everything.is_empty() {
            let api_version = writer.entry_version(live);
            let who = Identity::updater(BEFORE_FIRST_APPLY, api_version, writer.subresource);
            ledger.add(who, api_version, everything, writer.entry_time());
        }
    }
    ledger
}

fn merged(
    scope: &Scope<'_>,
    live: Option<&Value>,
    configuration: &Value,
    ledger: &Ledger,
    applier: Identity<'_>,
) -> Value {
    let configuration = within(scope, configuration);
    let Some(live) = live else { return configuration };
    let mut result = merge(scope.root(), live.clone(), &configuration);
    if let Some(last) = ledger.fields(applier) {
        // All of the configuration counts, also what cannot be claimed: an applied empty list is not taken out again.
        let mut managed = compare(scope, None, &configuration).gained;
        for entry in ledger.entries().iter().filter(|entry| Identity::of(entry) != applier) {
            set::unite(&mut managed, fields(entry).cloned().unwrap_or_default());
        }
        prune(scope.members(), &mut result, last, &managed);
    }
    result
}

/// Returns the part of the configuration that the writer may change. Through a subresource that is not the metadata
/// either, but for what identifies the object.
fn within(scope: &Scope<'_>, configuration: &Value) -> Value {
    let mut part = Map::new();
    for (name, value) in configuration.as_object().into_iter().flatten() {
        if !scope.accepts(name) {
            continue;
        }
        let value = match value {
            Value::Object(metadata) if name == "metadata" && !scope.tracks(name) => {
                let identity = ["name", "namespace", "uid", "resourceVersion"];
                let kept = metadata.iter().filter(|(name, _)| identity.contains(&name.as_str()));
                Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            other => other.clone(),
        };
        part.insert(name.clone(), value);
    }
    Value::Object(part)
}

/// Returns the fields that client-side apply set and nobody has changed since: kubectl may take those without force.
fn unchanged_since_client_side_apply(writer: &Writer<'_>, scope: &Scope<'_>, live: &Value) -> Option<Node> {
    let text = live.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion")?.as_str()? != writer.api_version || check(scope.root(), &last).is_err() {
        return None;
    }
    let mut unchanged = claimed(scope, &last);
    let since = compare(scope, Some(&last), live);
    set::subtract(&mut unchanged, &since.gained);
    set::subtract(&mut unchanged, &since.removed);
    Some(unchanged)
}

/// Keeps what client-side apply remembers in step, so that people can go back to it.
fn refresh_last_applied(result: &mut Value, configuration: &Value) {
    let Some(Value::String(remembered)) = result
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(|annotations| annotations.get_mut(LAST_APPLIED))
    else {
        return;
    };
    if remembered.is_empty() {
        return;
    }
    let mut configuration = configuration.clone();
    if let Some(metadata) = configuration.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
    {
        annotations.remove(LAST_APPLIED);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    *remembered = format!("{configuration}\n");
}
