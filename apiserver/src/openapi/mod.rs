//! OpenAPI: what clients check manifests against and what `kubectl explain` prints, made from the kinds' schemas.

mod meta;
mod paths;
mod protobuf;

use std::collections::BTreeMap;

use api_types::definition::Subresources;
use api_types::status::ResourceNames;
use serde_json::{Map, Value, json};
use store::registry::{Registry, Resource};

use crate::discovery::Group;
use crate::discovery::documents::Document;
use crate::events;

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
                let Some(kind) = Described::find(registry, &group.name, version, &entry.plural) else { continue };
                kind.add_schemas(SCHEMAS, &mut schemas);
                paths::add(&format!("/{prefix}"), &kind, &mut all_paths);
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

/// Returns version 2 of the whole: the kinds' definitions, and of each kind the operation that tells old clients what
/// the server can check.
pub(crate) fn version_2(registry: &Registry, groups: &[Group]) -> Value {
    let mut definitions = meta::schemas(DEFINITIONS);
    let mut all_paths = Map::new();
    for group in groups {
        for (version, entries) in &group.versions {
            let prefix =
                if group.name.is_empty() { format!("api/{version}") } else { format!("apis/{}/{version}", group.name) };
            for entry in entries {
                let Some(kind) = Described::find(registry, &group.name, version, &entry.plural) else { continue };
                kind.add_schemas(DEFINITIONS, &mut definitions);
                paths::add_version_2(&format!("/{prefix}"), &kind, &mut all_paths);
            }
        }
    }
    json!({"swagger": "2.0", "info": info(), "paths": all_paths, "definitions": definitions})
}

/// Returns version 2, given as JSON, in protobuf.
pub(crate) fn version_2_protobuf(document: &Value) -> Vec<u8> {
    protobuf::encode(document)
}

fn info() -> Value {
    json!({"title": "cc-ci", "version": env!("CARGO_PKG_VERSION")})
}

/// A kind as it is described: most by their own schema, Events of `events.k8s.io` by the core one under their names.
struct Described<'a> {
    resource: &'a Resource,
    names: ResourceNames,
    version: String,
    schema: Value,
    subresources: &'a Subresources,
}

impl<'a> Described<'a> {
    fn find(registry: &'a Registry, group: &str, version: &str, plural: &str) -> Option<Self> {
        let is_new_event = (group, version, plural) == (events::NEW_GROUP, "v1", "events");
        let stored_group = if is_new_event { "" } else { group };
        let (resource, found) = registry.find(stored_group, version, plural)?;
        let mut schema = serde_json::to_value(found.schema.schema()).expect("a schema always serialises");
        if is_new_event {
            events::schema_to_new(&mut schema);
        }
        Some(Self {
            resource,
            names: ResourceNames { group: group.to_owned(), ..resource.names.clone() },
            version: found.name.clone(),
            schema,
            subresources: &found.subresources,
        })
    }

    /// Adds the schema of the kind and of its list.
    fn add_schemas(&self, references: &str, schemas: &mut Map<String, Value>) {
        let (name, list_kind) = (self.schema_name(), &self.resource.list_kind);
        let of_kind = |kind: &str| json!([{"group": self.names.group, "version": self.version, "kind": kind}]);
        let mut schema = self.schema.clone();
        schema["type"] = json!("object");
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        let properties = &mut schema["properties"];
        properties["apiVersion"] = meta::api_version();
        properties["kind"] = meta::kind();
        properties["metadata"] = meta::reference(references, meta::OBJECT_META, "Standard object's metadata.");
        schema["x-kubernetes-group-version-kind"] = of_kind(&self.names.kind);
        let list = json!({
            "type": "object",
            "description": format!("{list_kind} is a list of {}.", self.names.kind),
            "required": ["items"],
            "properties": {
                "apiVersion": meta::api_version(),
                "kind": meta::kind(),
                "metadata": meta::reference(references, meta::LIST_META, "Standard list metadata."),
                "items": {"type": "array", "items": {"allOf": [{"$ref": format!("{references}{name}")}], "default": {}}},
            },
            "x-kubernetes-group-version-kind": of_kind(list_kind),
        });
        schemas.insert(format!("{name}List"), list);
        schemas.insert(name, schema);
    }

    /// Returns the name of the schema: its group's parts in reverse order, version, kind.
    fn schema_name(&self) -> String {
        let group = if self.names.group.is_empty() { "core.api.k8s.io" } else { &self.names.group };
        let reversed: Vec<&str> = group.split('.').rev().collect();
        format!("{}.{}.{}", reversed.join("."), self.version, self.names.kind)
    }
}
