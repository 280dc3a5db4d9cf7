//! The paths of a kind: for each the operations with their parameters, which tell clients what the server can check.

use serde_json::{Map, Value, json};
use store::registry::{NAMESPACES, Resource, ResourceVersion};

use super::{SCHEMAS, meta};

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
pub(super) fn add(
    prefix: &str,
    resource: &Resource,
    version: &ResourceVersion,
    schema: &str,
    paths: &mut Map<String, Value>,
) {
    let plural = &resource.names.plural;
    let base = if resource.is_namespaced() {
        format!("{prefix}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{prefix}/{plural}")
    };
    let list_schema = format!("{schema}List");
    let list = Operation { method: "get", action: "list", parameters: &LIST, body: None, answer: &list_schema };
    if resource.is_namespaced() {
        let all = path(resource, version, &[&list], &[]);
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
    paths.insert(base.clone(), path(resource, version, &on_collection.iter().collect::<Vec<_>>(), of_path));
    let mut on_item = read_and_write(schema);
    on_item.push(Operation {
        method: "delete",
        action: "delete",
        parameters: &DELETE,
        body: Some(meta::DELETE_OPTIONS),
        answer: meta::STATUS,
    });
    let item = format!("{base}/{{name}}");
    paths.insert(item.clone(), path(resource, version, &on_item.iter().collect::<Vec<_>>(), of_item));
    for (name, exists, schema) in [
        ("status", version.subresources.status.is_some(), schema),
        ("scale", version.subresources.scale.is_some(), meta::SCALE),
    ] {
        if exists {
            let operations = read_and_write(schema);
            let value = path(resource, version, &operations.iter().collect::<Vec<_>>(), of_item);
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

fn path(resource: &Resource, version: &ResourceVersion, operations: &[&Operation<'_>], in_path: &[&str]) -> Value {
    let names = &resource.names;
    let mut value = Map::new();
    for operation in operations {
        let parameters: Vec<Value> = operation.parameters.iter().map(|name| parameter(name, "query")).collect();
        let reference = |schema: &str| json!({"schema": {"$ref": format!("{SCHEMAS}{schema}")}});
        let mut described = json!({
            "description": format!("{} {}", operation.action, names.kind),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": names.group, "version": version.name, "kind": names.kind},
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

fn parameter(name: &str, place: &str) -> Value {
    let type_ = match name {
        "allowWatchBookmarks" | "watch" | "sendInitialEvents" | "force" | "orphanDependents" => "boolean",
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
        _ => "string",
    };
    let mut value = json!({"name": name, "in": place, "schema": {"type": type_, "uniqueItems": true}});
    if place == "path" {
        value["required"] = json!(true);
    }
    value
}
