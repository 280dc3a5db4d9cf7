//! Definitions: names and versions that can be served, and a status that says they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_types::definition::{DefinitionNames, DefinitionSpec};
use api_types::status::StatusCause;
use serde_json::{Value, json};

use super::{cause, names};
use crate::commit::RegistryChange;
use crate::registry::{Claim, Definition, Origin, Registry, Resource, resource_key};
use crate::request::Part;

/// Finalizer that keeps a definition until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Conditions that nobody else writes.
const OWN_CONDITIONS: [&str; 2] = ["NamesAccepted", "Established"];

/// Fills in names and writes the status: a definition that passes validation and gets its names is served at once.
///
/// Of the status, users write only `storedVersions`, and only to say that a version is no longer stored.
pub(super) fn prepare(value: &mut Value, old: Option<&Value>, part: Part, now: &str, registry: &Registry) {
    let names = &mut value["spec"]["names"];
    if !names.is_object() {
        return;
    }
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].as_str().is_none_or(str::is_empty) {
        names["singular"] = Value::String(kind.to_lowercase());
    }
    if names["listKind"].as_str().is_none_or(str::is_empty) {
        names["listKind"] = Value::String(format!("{kind}List"));
    }
    // Names of a wrong form are refused by validation.
    let Ok(requested) = serde_json::from_value::<DefinitionNames>(names.clone()) else { return };
    if !value["spec"]["conversion"].is_object() {
        value["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let taken = registry.taken(text("/spec/group"), text("/metadata/name"));
    let before = old.map(accepted_names).unwrap_or_default();
    let judged = names::judge(&requested, &before, &taken);
    let established = if judged.conflict.is_none() || old.is_some_and(|old| has(old, "Established")) {
        ("True", "InitialNamesAccepted", "the initial names have been accepted")
    } else {
        ("False", "NotAccepted", "not all names are accepted")
    };
    let accepted = match &judged.conflict {
        None => ("True", "NoConflicts", "no conflicts found"),
        Some((reason, message)) => ("False", *reason, message.as_str()),
    };
    let own = OWN_CONDITIONS.into_iter().zip([accepted, established]);
    let mut conditions: Vec<Value> = own.map(|(name, verdict)| condition(name, verdict, old, now)).collect();
    let others = value["status"]["conditions"].as_array().into_iter().flatten();
    conditions.extend(others.filter(|other| !OWN_CONDITIONS.iter().any(|own| other["type"] == *own)).cloned());
    let stored = match part {
        Part::Status => value["status"]["storedVersions"].take(),
        _ => stored_versions(value, old),
    };
    value["status"] = json!({"acceptedNames": judged.accepted, "conditions": conditions, "storedVersions": stored});
}

/// Returns a condition that has changed when its status has.
fn condition(name: &str, (status, reason, message): (&str, &str, &str), old: Option<&Value>, now: &str) -> Value {
    let before = old.and_then(|old| find(old, name)).filter(|before| before["status"] == status);
    let since = before.and_then(|before| before["lastTransitionTime"].as_str()).unwrap_or(now);
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
}

fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

fn has(value: &Value, name: &str) -> bool {
    find(value, name).is_some_and(|condition| condition["status"] == "True")
}

/// Returns the names that a definition has; what is malformed is none.
fn accepted_names(value: &Value) -> DefinitionNames {
    serde_json::from_value(value["status"]["acceptedNames"].clone()).unwrap_or_default()
}

pub(super) fn prepare_delete(value: &mut Value) {
    let finalizers = &mut value["metadata"]["finalizers"];
    if !finalizers.is_array() {
        *finalizers = json!([]);
    }
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER)
    {
        finalizers.push(Value::from(CLEANUP_FINALIZER));
    }
}

pub(super) fn validate(value: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    let Ok(spec) = parse(value) else { return Vec::new() };
    let mut causes = validate_names(value, &spec);
    causes.extend(validate_versions(&spec));
    causes.extend(validate_stored_versions(value, &spec));
    if let Some(strategy) = spec.conversion.as_ref().map(|conversion| conversion.strategy.as_str())
        && strategy != "None"
    {
        causes.push(cause(
            "FieldValueNotSupported",
            "spec.conversion.strategy",
            format!("Unsupported value: \"{strategy}\": supported values: \"None\""),
        ));
    }
    if spec.preserve_unknown_fields == Some(true) {
        let message = "Invalid value: true: must be false; use x-kubernetes-preserve-unknown-fields in the schema";
        causes.push(cause("FieldValueInvalid", "spec.preserveUnknownFields", message));
    }
    if let Some(old) = old {
        for (field, path) in
            [("group", "/spec/group"), ("scope", "/spec/scope"), ("names.plural", "/spec/names/plural")]
        {
            if value.pointer(path) != old.pointer(path) {
                let shown = value.pointer(path).cloned().unwrap_or_default();
                let message = format!("Invalid value: {shown}: field is immutable");
                causes.push(cause("FieldValueInvalid", format!("spec.{field}"), message));
            }
        }
    }
    causes
}

/// Returns what a stored definition stands for: it is served under the names that it has, not those it asks for.
///
/// # Errors
/// Every cause why it cannot be served.
pub(crate) fn definition_of(value: &Value) -> Result<Definition, Vec<StatusCause>> {
    let mut spec =
        parse(value).map_err(|why| vec![cause("FieldValueInvalid", "spec", format!("Invalid value: {why}"))])?;
    let key = resource_key(&spec.group, &spec.names.plural);
    let names = accepted_names(value);
    let claim = Claim::new(&spec.group, &names, !has(value, "NamesAccepted"));
    let is_established = has(value, "Established");
    if is_established {
        spec.names = names;
    }
    let mut resource = Resource::compile(&spec, Origin::Definition)?;
    resource.stored_versions = text_list(&value["status"]["storedVersions"]).into_iter().map(str::to_owned).collect();
    Ok(Definition { key, claim, resource: is_established.then(|| Arc::new(resource)) })
}

pub(super) fn removal(value: &Value) -> RegistryChange {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    RegistryChange::Remove(resource_key(text("/spec/group"), text("/spec/names/plural")))
}

fn parse(value: &Value) -> Result<DefinitionSpec, serde_json::Error> {
    serde_json::from_value(value["spec"].clone())
}

fn validate_names(value: &Value, spec: &DefinitionSpec) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let expected = format!("{}.{}", spec.names.plural, spec.group);
    if name != expected {
        let message = format!("Invalid value: \"{name}\": must be spec.names.plural+\".\"+spec.group");
        causes.push(cause("FieldValueInvalid", "metadata.name", message));
    }
    if !spec.group.contains('.') {
        let message = format!("Invalid value: \"{}\": should be a domain with at least one dot", spec.group);
        causes.push(cause("FieldValueInvalid", "spec.group", message));
    }
    for (field, text) in [("plural", &spec.names.plural), ("kind", &spec.names.kind)] {
        if text.is_empty() {
            causes.push(cause("FieldValueRequired", format!("spec.names.{field}"), "Required value"));
        }
    }
    causes
}

fn validate_versions(spec: &DefinitionSpec) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, version) in spec.versions.iter().enumerate() {
        if !seen.insert(&version.name) {
            let message = format!("Invalid value: \"{}\": must contain unique version names", version.name);
            causes.push(cause("FieldValueInvalid", "spec.versions", message));
        }
        if version.schema.is_none() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(cause("FieldValueRequired", field, "Required value: schemas are required"));
        }
    }
    let storage = spec.versions.iter().filter(|version| version.storage).count();
    if storage != 1 {
        let message = "Invalid value: must have exactly one version marked as storage version";
        causes.push(cause("FieldValueInvalid", "spec.versions", message));
    }
    causes
}

fn stored_versions(value: &Value, old: Option<&Value>) -> Value {
    let mut stored: Vec<Value> =
        old.and_then(|old| old["status"]["storedVersions"].as_array()).cloned().unwrap_or_default();
    let versions = value["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(storage) = versions.iter().find(|version| version["storage"] == true)
        && !stored.contains(&storage["name"])
    {
        stored.push(storage["name"].clone());
    }
    Value::Array(stored)
}

/// What is stored must stay readable: every version that objects may be stored with is one of the definition's.
fn validate_stored_versions(value: &Value, spec: &DefinitionSpec) -> Vec<StatusCause> {
    const FIELD: &str = "status.storedVersions";
    let stored = text_list(&value["status"]["storedVersions"]);
    let mut causes = Vec::new();
    let shown =
        || format!("[]string{{{}}}", stored.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "));
    if stored.is_empty() {
        let message = format!("Invalid value: {}: must have at least one stored version", shown());
        causes.push(cause("FieldValueInvalid", FIELD, message));
    }
    for (index, name) in stored.iter().enumerate() {
        if !spec.versions.iter().any(|version| version.name == *name) {
            let message = format!(
                "Invalid value: \"{name}\": missing from spec.versions; {name} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains persisted in {name} and \
                 removes {name} from status.storedVersions"
            );
            causes.push(cause("FieldValueInvalid", format!("{FIELD}[{index}]"), message));
        }
    }
    for version in spec.versions.iter().filter(|version| version.storage && !stored.contains(&version.name.as_str())) {
        let message = format!("Invalid value: {}: must have the storage version {}", shown(), version.name);
        causes.push(cause("FieldValueInvalid", FIELD, message));
    }
    causes
}

fn text_list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
