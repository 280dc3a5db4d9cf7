//! OpenAPI: what clients check manifests against and what `kubectl explain` prints, made from the kinds' schemas.

mod meta;
mod paths;
mod protobuf;
mod unstored;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use store::registry::{Origin, Registry};

use crate::discovery::documents::Document;
use crate::discovery::{Entry, Group, Subresource};
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
                let Some(kind) = Described::find(registry, entry) else { continue };
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
                let Some(kind) = Described::find(registry, entry) else { continue };
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

/// A kind as it is described: most by their own schema, Events of `events.k8s.io` by the core one under their names,
/// and what is not stored by [`unstored`].
struct Described<'a> {
    /// Its names, verbs and subresources.
    entry: &'a Entry,
    list_kind: String,
    schema: Value,
    origin: Origin,
}

impl<'a> Described<'a> {
    fn find(registry: &Registry, entry: &'a Entry) -> Option<Self> {
        let is_new_event = (&*entry.group, &*entry.version, &*entry.plural) == (events::NEW_GROUP, "v1", "events");
        let stored_group = if is_new_event { "" } else { &entry.group };
        let Some((resource, found)) = registry.find(stored_group, &entry.version, &entry.plural) else {
            let schema = unstored::schema(&entry.group, &entry.kind)?;
            return Some(Self { entry, list_kind: format!("{}List", entry.kind), schema, origin: Origin::BuiltIn });
        };
        let mut schema = serde_json::to_value(found.schema.schema()).expect("a schema always serialises");
        if is_new_event {
            events::schema_to_new(&mut schema);
        }
        Some(Self { entry, list_kind: resource.list_kind.clone(), schema, origin: resource.origin })
    }

    /// Adds the schema of the kind, of its list, and of what its subresources show.
    fn add_schemas(&self, references: &str, schemas: &mut Map<String, Value>) {
        let (name, list_kind, entry) = (self.schema_name(), &self.list_kind, self.entry);
        if entry.verbs.contains(&"list") {
            let list = json!({
                "type": "object",
                "description": format!("{list_kind} is a list of {}.", entry.kind),
                "required": ["items"],
                "properties": {
                    "apiVersion": meta::api_version(),
                    "kind": meta::kind(),
                    "metadata": meta::reference(references, meta::LIST_META, "Standard list metadata."),
                    "items": {"type": "array", "items": {"allOf": [{"$ref": format!("{references}{name}")}], "default": {}}},
                },
                "x-kubernetes-group-version-kind":
                    [{"group": entry.group, "version": entry.version, "kind": list_kind}],
            });
            schemas.insert(format!("{name}List"), list);
        }
        for shown in entry.subresources.iter().filter(|shown| shown.kind != entry.kind) {
            if let Some(schema) = unstored::schema(&shown.group, &shown.kind) {
                let whole = whole_object(references, schema, &shown.group, &shown.version, &shown.kind);
                schemas.insert(schema_name(&shown.group, &shown.version, &shown.kind), whole);
            }
        }
        let whole = whole_object(references, self.schema.clone(), &entry.group, &entry.version, &entry.kind);
        schemas.insert(name, whole);
    }

    fn schema_name(&self) -> String {
        schema_name(&self.entry.group, &self.entry.version, &self.entry.kind)
    }

    /// Returns the name of the schema of what a subresource shows.
    fn schema_name_of(subresource: &Subresource) -> String {
        match &*subresource.kind {
            "Scale" => meta::SCALE.to_owned(),
            kind => schema_name(&subresource.group, &subresource.version, kind),
        }
    }
}

/// Returns the schema with what every object has.
fn whole_object(references: &str, mut schema: Value, group: &str, version: &str, kind: &str) -> Value {
    schema["type"] = json!("object");
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    properties["apiVersion"] = meta::api_version();
    properties["kind"] = meta::kind();
    properties["metadata"] = meta::reference(references, meta::OBJECT_META, "Standard object's metadata.");
    schema["x-kubernetes-group-version-kind"] = json!([{"group": group, "version": version, "kind": kind}]);
    schema
}

/// Returns the name of a schema: its group's parts in reverse order, version, kind.
fn schema_name(group: &str, version: &str, kind: &str) -> String {
    let group = if group.is_empty() { "core.api.k8s.io" } else { group };
    let reversed: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}
