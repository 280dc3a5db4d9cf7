//! The paths of a kind: for each the operations with their parameters, which tell clients what the server can check.

use serde_json::{Map, Value, json};
use store::registry::NAMESPACES;

use super::{Described, SCHEMAS, meta};

/// One operation: HTTP method, what Kubernetes calls it, its query parameters, schema of the body if it has one.
struct Operation<'a> {
    method: &'a str,
    action: &'a str,
    parameters: &'a [&'a str],
    body: Option<&'a str>,
    answer: &'a str,
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

/// Adds every path of a kind below `prefix`.
pub(super) fn add(prefix: &str, kind: &Described<'_>, paths: &mut Map<String, Value>) {
    let (resource, schema) = (kind.resource, &*kind.schema_name());
    let plural = &kind.names.plural;
    let base = if resource.is_namespaced() {
        format!("{prefix}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{prefix}/{plural}")
    };
    let list_schema = format!("{schema}List");
    let list = Operation { method: "get", action: "list", parameters: &LIST, body: None, answer: &list_schema };
    if resource.is_namespaced() {
        let all = path(kind, &[&list], &[]);
        paths.insert(format!("{prefix}/{plural}"), all);
    }
    let mut on_collection = vec![
        list,
        Operation { method: "post", action: "post", parameters: &WRITE, body: Some(schema), answer: schema },
    ];
    if &*resource.key != NAMESPACES {
        on_collection.push(Operation {
            method: "delete",
            action: "deletecollection",
            parameters: &DELETE,
            body: Some(meta::DELETE_OPTIONS),
            answer: meta::STATUS,
        });
    }
    let of_path: &[&str] = if resource.is_namespaced() { &["namespace"] } else { &[] };
    let of_item: &[&str] = if resource.is_namespaced() { &["namespace", "name"] } else { &["name"] };
    paths.insert(base.clone(), path(kind, &on_collection.iter().collect::<Vec<_>>(), of_path));
    let mut on_item = read_and_write(schema);
    on_item.push(Operation {
        method: "delete",
        action: "delete",
        parameters: &DELETE,
        body: Some(meta::DELETE_OPTIONS),
        answer: meta::STATUS,
    });
    let item = format!("{base}/{{name}}");
    paths.insert(item.clone(), path(kind, &on_item.iter().collect::<Vec<_>>(), of_item));
    for (name, exists, schema) in [
        ("status", kind.subresources.status.is_some(), schema),
        ("scale", kind.subresources.scale.is_some(), meta::SCALE),
    ] {
        if exists {
            let operations = read_and_write(schema);
            let value = path(kind, &operations.iter().collect::<Vec<_>>(), of_item);
            paths.insert(format!("{item}/{name}"), value);
        }
    }
}

fn read_and_write(schema: &str) -> Vec<Operation<'_>> {
    vec![
        Operation { method: "get", action: "get", parameters: &READ, body: None, answer: schema },
        Operation { method: "put", action: "put", parameters: &WRITE, body: Some(schema), answer: schema },
        Operation { method: "patch", action: "patch", parameters: &PATCH, body: Some(meta::PATCH), answer: schema },
    ]
}

/// Adds the one path of a kind that clients of version 2 look at, for which parameters a patch may have.
pub(super) fn add_version_2(prefix: &str, kind: &Described<'_>, paths: &mut Map<String, Value>) {
    let plural = &kind.names.plural;
    let item = if kind.resource.is_namespaced() {
        format!("{prefix}/namespaces/{{namespace}}/{plural}/{{name}}")
    } else {
        format!("{prefix}/{plural}/{{name}}")
    };
    let parameters: Vec<Value> =
        PATCH.iter().map(|name| json!({"name": name, "in": "query", "type": type_of(name)})).collect();
    let operation = |action: &str| {
        json!({
            "description": format!("{action} {}", kind.names.kind),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind":
                {"group": kind.names.group, "version": kind.version, "kind": kind.names.kind},
            "parameters": parameters,
        })
    };
    paths.insert(item, json!({"patch": operation("patch"), "put": operation("put")}));
}

fn path(kind: &Described<'_>, operations: &[&Operation<'_>], in_path: &[&str]) -> Value {
    let names = &kind.names;
    let mut value = Map::new();
    for operation in operations {
        let parameters: Vec<Value> = operation.parameters.iter().map(|name| parameter(name, "query")).collect();
        let reference = |schema: &str| json!({"schema": {"$ref": format!("{SCHEMAS}{schema}")}});
        let mut described = json!({
            "description": format!("{} {}", operation.action, names.kind),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": names.group, "version": kind.version, "kind": names.kind},
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": reference(operation.answer)}}},
        });
        if let Some(body) = operation.body {
            let types: &[&str] = if operation.method == "patch" {
                &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
            } else {
                &["application/json"]
            };
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
        "allowWatchBookmarks" | "watch" | "sendInitialEvents" | "force" | "orphanDependents" => "boolean",
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
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
