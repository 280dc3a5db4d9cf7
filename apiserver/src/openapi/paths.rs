//! The paths of a kind: for each the operations with their parameters, which tell clients what the server can check.

use serde_json::{Map, Value, json};
use store::registry::Origin;

use super::{Described, SCHEMAS, meta};

/// One operation: HTTP method, what Kubernetes calls it, its query parameters, schema of the body if it has one, schema
/// of the answer if it is no text.
struct Operation<'a> {
    method: &'static str,
    action: &'static str,
    parameters: &'static [&'static str],
    body: Option<&'a str>,
    answer: Option<&'a str>,
}

/// What the operations of one path are about, and how it may be patched.
struct Subject<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    patch_types: &'static [&'static str],
}

const WRITE: [&str; 4] = ["pretty", "dryRun", "fieldManager", "fieldValidation"];
const PATCH: [&str; 5] = ["pretty", "dryRun", "fieldManager", "fieldValidation", "force"];
const READ: [&str; 1] = ["pretty"];
const LIST: [&str; 11] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "pretty",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
const DELETE: [&str; 5] = ["pretty", "dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
const LOG: [&str; 7] = ["container", "follow", "limitBytes", "sinceSeconds", "sinceTime", "tailLines", "timestamps"];

/// What our own kinds and those of users take. Strategic patches need lists with merge keys, as built-in kinds have.
const PATCH_TYPES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
const BUILT_IN_PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

const COLLECTION_VERBS: [&str; 3] = ["list", "create", "deletecollection"];
const ITEM_VERBS: [&str; 4] = ["get", "update", "patch", "delete"];

/// Adds every path of a kind below `prefix`, with an operation for each verb that discovery names.
pub(super) fn add(prefix: &str, kind: &Described<'_>, paths: &mut Map<String, Value>) {
    let entry = kind.entry;
    let plural = &entry.plural;
    let (schema, list_schema) = (kind.schema_name(), format!("{}List", kind.schema_name()));
    let patch_types: &[&str] = if kind.origin == Origin::BuiltIn { &BUILT_IN_PATCH_TYPES } else { &PATCH_TYPES };
    let subject = Subject { group: &entry.group, version: &entry.version, kind: &entry.kind, patch_types };
    let (base, of_path, of_item): (_, &[&str], &[&str]) = if entry.namespaced {
        (format!("{prefix}/namespaces/{{namespace}}/{plural}"), &["namespace"], &["namespace", "name"])
    } else {
        (format!("{prefix}/{plural}"), &[], &["name"])
    };
    let mut add = |path: String, subject: &Subject<'_>, operations: Vec<Operation<'_>>, in_path: &[&str]| {
        if !operations.is_empty() {
            paths.insert(path, path_item(subject, &operations, in_path));
        }
    };
    let operations = |wanted: &[&str]| -> Vec<Operation<'_>> {
        let offered = wanted.iter().filter(|verb| entry.verbs.contains(verb));
        offered.map(|verb| operation(verb, &schema, &list_schema, &entry.verbs)).collect()
    };
    if entry.namespaced {
        add(format!("{prefix}/{plural}"), &subject, operations(&["list"]), &[]);
    }
    let item = format!("{base}/{{name}}");
    add(base, &subject, operations(&COLLECTION_VERBS), of_path);
    for subresource in &entry.subresources {
        let shown = Described::schema_name_of(subresource);
        let (group, version) = (&*subresource.group, &*subresource.version);
        let subject = Subject { group, version, kind: &subresource.kind, patch_types };
        let operations = if subresource.name == "log" {
            vec![Operation { method: "get", action: "get", parameters: &LOG, body: None, answer: None }]
        } else {
            subresource.verbs.iter().map(|verb| operation(verb, &shown, "", &[])).collect()
        };
        add(format!("{item}/{}", subresource.name), &subject, operations, of_item);
    }
    add(item, &subject, operations(&ITEM_VERBS), of_item);
}

/// Returns the operation for a verb. Whether lists can be watched depends on which other `verbs` there are.
fn operation<'a>(verb: &str, schema: &'a str, list_schema: &'a str, verbs: &[&str]) -> Operation<'a> {
    let (method, action, parameters, body, answer): (_, _, &'static [&'static str], _, _) = match verb {
        "list" if verbs.contains(&"watch") => ("get", "list", &LIST, None, list_schema),
        "list" => ("get", "list", &READ, None, list_schema),
        "create" => ("post", "post", &WRITE, Some(schema), schema),
        "update" => ("put", "put", &WRITE, Some(schema), schema),
        "patch" => ("patch", "patch", &PATCH, Some(meta::PATCH), schema),
        "delete" => ("delete", "delete", &DELETE, Some(meta::DELETE_OPTIONS), meta::STATUS),
        "deletecollection" => ("delete", "deletecollection", &DELETE, Some(meta::DELETE_OPTIONS), meta::STATUS),
        _ => ("get", "get", &READ, None, schema),
    };
    Operation { method, action, parameters, body, answer: Some(answer) }
}

/// Adds the one path of a kind that clients of version 2 look at, for which parameters a patch may have.
pub(super) fn add_version_2(prefix: &str, kind: &Described<'_>, paths: &mut Map<String, Value>) {
    let entry = kind.entry;
    let plural = &entry.plural;
    let item = if entry.namespaced {
        format!("{prefix}/namespaces/{{namespace}}/{plural}/{{name}}")
    } else {
        format!("{prefix}/{plural}/{{name}}")
    };
    let parameters: Vec<Value> =
        PATCH.iter().map(|name| json!({"name": name, "in": "query", "type": type_of(name)})).collect();
    let mut operations = Map::new();
    for (verb, action) in [("patch", "patch"), ("update", "put")] {
        if entry.verbs.contains(&verb) {
            let described = json!({
                "description": format!("{action} {}", entry.kind),
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind":
                    {"group": entry.group, "version": entry.version, "kind": entry.kind},
                "parameters": parameters,
            });
            operations.insert(action.to_owned(), described);
        }
    }
    if !operations.is_empty() {
        paths.insert(item, Value::Object(operations));
    }
}

fn path_item(subject: &Subject<'_>, operations: &[Operation<'_>], in_path: &[&str]) -> Value {
    let Subject { group, version, kind, patch_types } = subject;
    let mut value = Map::new();
    for operation in operations {
        let parameters: Vec<Value> = operation.parameters.iter().map(|name| parameter(name, "query")).collect();
        let reference = |schema: &str| json!({"schema": {"$ref": format!("{SCHEMAS}{schema}")}});
        let content = match operation.answer {
            Some(answer) => json!({"application/json": reference(answer)}),
            None => json!({"text/plain": {"schema": {"type": "string"}}}),
        };
        let mut described = json!({
            "description": format!("{} {kind}", operation.action),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
        });
        if let Some(body) = operation.body {
            let types = if operation.method == "patch" { *patch_types } else { &["application/json"] };
            let content: Map<String, Value> =
                types.iter().map(|type_| ((*type_).to_owned(), reference(body))).collect();
            described["requestBody"] = json!({"content": content});
        }
        value.insert(operation.method.to_owned(), described);
    }
    if !in_path.is_empty() {
        value.insert("parameters".to_owned(), in_path.iter().map(|name| parameter(name, "path")).collect());
    }
    Value::Object(value)
}

fn type_of(parameter: &str) -> &'static str {
    match parameter {
        "allowWatchBookmarks"
        | "watch"
        | "sendInitialEvents"
        | "force"
        | "orphanDependents"
        | "follow"
        | "timestamps" => "boolean",
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" | "limitBytes" | "sinceSeconds" | "tailLines" => "integer",
        _ => "string",
    }
}

fn parameter(name: &str, place: &str) -> Value {
    let type_ = type_of(name);
    let mut value = json!({"name": name, "in": place, "schema": {"type": type_, "uniqueItems": true}});
    if place == "path" {
        value["required"] = json!(true);
    }
    value
}
