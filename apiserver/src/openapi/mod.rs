//! OpenAPI: what clients check manifests against and what `kubectl explain` prints, made from the kinds' schemas.

mod meta;
mod paths;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use store::registry::{Registry, Resource, ResourceVersion};

use crate::discovery::Group;
use crate::discovery::documents::Document;

const SCHEMAS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/definitions/";

/// Returns the documents of version 3 by the path behind `/openapi/v3/`.
pub(crate) fn documents(registry: &Registry, groups: &[Group]) -> BTreeMap<String, Document> {
    let mut documents = BTreeMap::new();
    for group in groups {
        for (version, entries) in &group.versions {
            let prefix =
                if group.name.is_empty() { format!("api/{version}") } else { format!("apis/{}/{version}", group.name) };
            let mut schemas = meta::schemas(SCHEMAS);
            let mut all_paths = Map::new();
            for entry in entries {
                let Some((resource, found)) = registry.find(&group.name, version, &entry.plural) else { continue };
                add_schemas(resource, found, SCHEMAS, &mut schemas);
                paths::add(&format!("/{prefix}"), resource, found, &schema_name(resource, found), &mut all_paths);
            }
            let document = json!({
                "openapi": "3.0.0", "info": info(),
                "paths": all_paths, "components": {"schemas": schemas},
            });
            documents.insert(prefix, Document::new(&document));
        }
    }
    documents
}

/// Returns the list of documents with the hashes under which they never change.
pub(crate) fn index(documents: &BTreeMap<String, Document>) -> Value {
    let paths: Map<String, Value> = documents
        .iter()
        .map(|(name, document)| {
            let url = format!("/openapi/v3/{name}?hash={}", document.hash);
            (name.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// Returns version 2 of the whole: the kinds' definitions, without paths.
pub(crate) fn version_2(registry: &Registry) -> Value {
    let mut definitions = meta::schemas(DEFINITIONS);
    for resource in registry.iter() {
        for version in resource.versions.iter().filter(|version| version.served) {
            add_schemas(resource, version, DEFINITIONS, &mut definitions);
        }
    }
    json!({"swagger": "2.0", "info": info(), "paths": {}, "definitions": definitions})
}

fn info() -> Value {
    json!({"title": "cc-ci", "version": env!("CARGO_PKG_VERSION")})
}

/// Adds the schema of a kind and of its list.
fn add_schemas(resource: &Resource, version: &ResourceVersion, references: &str, schemas: &mut Map<String, Value>) {
    let name = schema_name(resource, version);
    let names = &resource.names;
    let of_kind = |kind: &str| json!([{"group": names.group, "version": version.name, "kind": kind}]);
    let mut schema = serde_json::to_value(version.schema.schema()).expect("a schema always serialises");
    schema["type"] = json!("object");
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    properties["apiVersion"] = meta::api_version();
    properties["kind"] = meta::kind();
    properties["metadata"] = meta::reference(references, meta::OBJECT_META, "Standard object's metadata.");
    schema["x-kubernetes-group-version-kind"] = of_kind(&names.kind);
    let list = json!({
        "type": "object",
        "description": format!("{} is a list of {}.", resource.list_kind, names.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": meta::api_version(),
            "kind": meta::kind(),
            "metadata": meta::reference(references, meta::LIST_META, "Standard list metadata."),
            "items": {"type": "array", "items": {"allOf": [{"$ref": format!("{references}{name}")}], "default": {}}},
        },
        "x-kubernetes-group-version-kind": of_kind(&resource.list_kind),
    });
    schemas.insert(format!("{name}List"), list);
    schemas.insert(name, schema);
}

/// Returns the name of a kind's schema: its group's parts in reverse order, version, kind.
fn schema_name(resource: &Resource, version: &ResourceVersion) -> String {
    let names = &resource.names;
    let group = if names.group.is_empty() { "core.api.k8s.io" } else { &names.group };
    let reversed: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{}.{}", reversed.join("."), version.name, names.kind)
}
