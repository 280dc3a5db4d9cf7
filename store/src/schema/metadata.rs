//! What every kind demands of `metadata`.

use api_types::names;
use api_types::status::StatusCause;
use serde_json::{Map, Value};

use super::path::Path;
use super::text::{cause, forbidden, invalid, quote, required, too_long};
use super::validate::wrong_type;

/// Finalizers that Kubernetes itself uses without a domain.
const STANDARD_FINALIZERS: &[&str] = &["orphan", "foregroundDeletion", "kubernetes"];
/// Kinds that may not own anything, by `apiVersion` and `kind`.
const BANNED_OWNERS: &[(&str, &str)] = &[("v1", "Event"), ("events.k8s.io/v1", "Event")];

/// What the name of an object may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameGrammar {
    /// RFC 1123 subdomain, at most 253 characters: nearly every kind.
    Subdomain,
    /// RFC 1123 label, at most 63 characters: namespaces.
    Label,
    /// Anything that fits between two slashes of a URL: roles and bindings.
    PathSegment,
}

/// What a kind says about the metadata of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataRules {
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Grammar of names.
    pub name: NameGrammar,
}

/// Returns every violation in `object.metadata`, and warnings for whoever sent it.
///
/// With `old`, what cannot change is compared instead of parsed again.
#[must_use]
pub fn validate_metadata(
    object: &Value,
    old: Option<&Value>,
    rules: &MetadataRules,
) -> (Vec<StatusCause>, Vec<String>) {
    let root = Path::Root;
    let path = Path::Member(&root, "metadata");
    let empty = Map::new();
    let metadata = match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        None | Some(Value::Null) => &empty,
        Some(other) => return (vec![wrong_type(path, other, "object")], Vec::new()),
    };
    let mut causes = check_types(metadata, path);
    if !causes.is_empty() {
        // The rest reads members as what they must be.
        return (causes, Vec::new());
    }
    let old = old.and_then(|old| old.get("metadata")).and_then(Value::as_object);
    match old {
        None => identity(metadata, rules, path, &mut causes),
        Some(old) => immutable(metadata, old, path, &mut causes),
    }
    labels(metadata, path, &mut causes);
    annotations(metadata, path, &mut causes);
    owners(metadata, path, &mut causes);
    let warnings = finalizers(metadata, old, path, &mut causes);
    (causes, warnings)
}

fn text<'a>(metadata: &'a Map<String, Value>, name: &str) -> &'a str {
    metadata.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn identity(metadata: &Map<String, Value>, rules: &MetadataRules, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    let grammar = |name: &str| match rules.name {
        NameGrammar::Subdomain => names::dns_subdomain_problems(name),
        NameGrammar::Label => names::dns_label_problems(name),
        NameGrammar::PathSegment => names::path_segment_problems(name),
    };
    let mut check = |member: &str, shown: &str, parsed: &str, grammar: &dyn Fn(&str) -> Vec<String>| {
        let shown = Value::String(shown.to_owned());
        causes.extend(grammar(parsed).iter().map(|problem| invalid(Path::Member(&path, member), &shown, problem)));
    };
    let (name, prefix, namespace) =
        (text(metadata, "name"), text(metadata, "generateName"), text(metadata, "namespace"));
    if !prefix.is_empty() {
        // A prefix may end in the dash that a name may not end in.
        let masked = prefix.strip_suffix('-').map_or_else(|| prefix.to_owned(), |stem| format!("{stem}a"));
        check("generateName", prefix, &masked, &grammar);
    }
    if !name.is_empty() {
        check("name", name, name, &grammar);
    }
    if rules.namespaced && !namespace.is_empty() {
        check("namespace", namespace, namespace, &names::dns_label_problems);
    }
    if name.is_empty() {
        causes.push(required(Path::Member(&path, "name"), "name or generateName is required"));
    }
    match (rules.namespaced, namespace.is_empty()) {
        (true, true) => causes.push(required(Path::Member(&path, "namespace"), "")),
        (false, false) => causes.push(forbidden(Path::Member(&path, "namespace"), "not allowed on this type")),
        (true, false) | (false, true) => {}
    }
}

fn immutable(metadata: &Map<String, Value>, old: &Map<String, Value>, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    let generation = |metadata: &Map<String, Value>| metadata.get("generation").and_then(Value::as_i64);
    if let (Some(new), Some(before)) = (generation(metadata), generation(old))
        && new < before
    {
        causes.push(invalid(Path::Member(&path, "generation"), &new.into(), "must not be decremented"));
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let changed = metadata.get(name).filter(|value| !value.is_null() && old.get(name) != Some(value));
        if let Some(value) = changed {
            causes.push(invalid(Path::Member(&path, name), value, "field is immutable"));
        }
    }
}

fn labels(metadata: &Map<String, Value>, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    let Some(Value::Object(labels)) = metadata.get("labels") else { return };
    let path = Path::Member(&path, "labels");
    for (key, value) in labels {
        let key_problems = names::label_key_problems(key);
        if !key_problems.is_empty() {
            let shown = Value::String(key.clone());
            causes.extend(key_problems.iter().map(|problem| invalid(path, &shown, problem)));
        }
        let problems = names::label_value_problems(value.as_str().unwrap_or_default());
        causes.extend(problems.iter().map(|problem| invalid(path, value, problem)));
    }
}

fn annotations(metadata: &Map<String, Value>, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    let Some(Value::Object(annotations)) = metadata.get("annotations") else { return };
    let path = Path::Member(&path, "annotations");
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.as_str().unwrap_or_default().len();
        let problems = names::annotation_key_problems(key);
        if !problems.is_empty() {
            let shown = Value::String(key.clone());
            causes.extend(problems.iter().map(|problem| invalid(path, &shown, problem)));
        }
    }
    if bytes > names::ANNOTATIONS_BYTES_MAX {
        causes.push(too_long(path, names::ANNOTATIONS_BYTES_MAX as u64));
    }
}

fn owners(metadata: &Map<String, Value>, path: Path<'_>, causes: &mut Vec<StatusCause>) {
    let Some(Value::Array(owners)) = metadata.get("ownerReferences") else { return };
    let path = Path::Member(&path, "ownerReferences");
    let mut controller: Option<&Value> = None;
    for owner in owners.iter().filter_map(Value::as_object) {
        let whole = canonical_owner(owner);
        let version = text(owner, "apiVersion");
        if version.is_empty() || version.ends_with('/') {
            let shown = Value::String(version.to_owned());
            causes.push(invalid(Path::Member(&path, "apiVersion"), &shown, "version must not be empty"));
        }
        for name in ["kind", "name", "uid"] {
            if text(owner, name).is_empty() {
                causes.push(invalid(Path::Member(&path, name), &Value::String(String::new()), "must not be empty"));
            }
        }
        if BANNED_OWNERS.contains(&(version, text(owner, "kind"))) {
            let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
            let why = format!("{group}/{version}, Kind=Event is disallowed from being an owner");
            causes.push(cause_of_json(path, &whole, &why));
        }
    }
    for owner in owners.iter().filter(|owner| owner["controller"] == Value::Bool(true)) {
        if let Some(first) = controller {
            let named = |owner: &Value| {
                let part = |name: &str| owner[name].as_str().unwrap_or_default().to_owned();
                format!("{}/{}", part("kind"), part("name"))
            };
            let why = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                named(first),
                named(owner)
            );
            let all: Vec<String> = owners.iter().filter_map(Value::as_object).map(canonical_owner).collect();
            causes.push(cause_of_json(path, &format!("[{}]", all.join(",")), &why));
            return;
        }
        controller = Some(owner);
    }
}

/// Writes an owner in the order of Go's struct, which clients see in messages.
fn canonical_owner(owner: &Map<String, Value>) -> String {
    let mut members: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|name| format!("\"{name}\":{}", Value::String(text(owner, name).to_owned())))
        .collect();
    for name in ["controller", "blockOwnerDeletion"] {
        if let Some(Value::Bool(value)) = owner.get(name) {
            members.push(format!("\"{name}\":{value}"));
        }
    }
    format!("{{{}}}", members.join(","))
}

fn cause_of_json(path: Path<'_>, json: &str, why: &str) -> StatusCause {
    cause(super::text::INVALID, path, format!("Invalid value: {json}: {why}"))
}

fn finalizers(
    metadata: &Map<String, Value>,
    old: Option<&Map<String, Value>>,
    path: Path<'_>,
    causes: &mut Vec<StatusCause>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(Value::Array(finalizers)) = metadata.get("finalizers") else { return warnings };
    let path = Path::Member(&path, "finalizers");
    for finalizer in finalizers {
        let name = finalizer.as_str().unwrap_or_default();
        causes.extend(names::qualified_name_problems(name).iter().map(|problem| invalid(path, finalizer, problem)));
        let is_old =
            || old.and_then(|old| old.get("finalizers")?.as_array()).is_some_and(|before| before.contains(finalizer));
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) && !is_old() {
            warnings.push(format!(
                "{path}: {}: prefer a domain-qualified finalizer name to avoid accidental conflicts with other \
                 finalizer writers",
                quote(name)
            ));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let shown = Value::Array(finalizers.clone());
        causes.push(invalid(path, &shown, "finalizer orphan and foregroundDeletion cannot be both set"));
    }
    if causes.iter().any(|cause| cause.field == "metadata.finalizers") {
        // A refused finalizer needs no advice.
        warnings.clear();
    }
    warnings
}

fn check_types(metadata: &Map<String, Value>, path: Path<'_>) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    for (name, value) in metadata {
        let at = Path::Member(&path, name);
        let mut expect = |at: Path<'_>, value: &Value, fits: bool, want: &str| {
            if !fits && !value.is_null() {
                causes.push(wrong_type(at, value, want));
            }
        };
        match name.as_str() {
            "name" | "generateName" | "namespace" | "selfLink" | "uid" | "resourceVersion" | "creationTimestamp"
            | "deletionTimestamp" => expect(at, value, value.is_string(), "string"),
            "generation" | "deletionGracePeriodSeconds" => expect(at, value, value.is_i64(), "integer"),
            "labels" | "annotations" => {
                expect(at, value, value.is_object(), "object");
                for (key, value) in value.as_object().into_iter().flatten() {
                    expect(Path::Member(&at, key), value, value.is_string(), "string");
                }
            }
            "finalizers" | "ownerReferences" | "managedFields" => {
                expect(at, value, value.is_array(), "array");
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    let (fits, want) =
                        if name == "finalizers" { (item.is_string(), "string") } else { (item.is_object(), "object") };
                    expect(Path::Index(&at, index), item, fits, want);
                    if name == "ownerReferences" {
                        for (key, member) in item.as_object().into_iter().flatten() {
                            let is_switch = matches!(key.as_str(), "controller" | "blockOwnerDeletion");
                            let (fits, want) = if is_switch {
                                (member.is_boolean(), "boolean")
                            } else {
                                (member.is_string(), "string")
                            };
                            let item_path = Path::Index(&at, index);
                            expect(Path::Member(&item_path, key), member, fits, want);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    causes
}
