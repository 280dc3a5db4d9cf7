//! The parts that all kinds share: metadata, lists, statuses, options.

use serde_json::{Map, Value, json};

pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const PREFIX: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Returns a reference with a description, as `kubectl explain` follows it.
pub(super) fn reference(references: &str, name: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [{"$ref": format!("{references}{name}")}], "default": {}})
}

pub(super) fn api_version() -> Value {
    json!({
        "type": "string",
        "description": "APIVersion defines the versioned schema of this representation of an object: its group and version.",
    })
}

pub(super) fn kind() -> Value {
    json!({"type": "string", "description": "Kind says what the object is. In CamelCase; cannot be changed."})
}

/// Returns the shared schemas; `references` is where references point to.
pub(super) fn schemas(references: &str) -> Map<String, Value> {
    let own = |name: &str| format!("{references}{PREFIX}{name}");
    let mut schemas = Map::new();
    let mut add = |name: &str, schema: Value| {
        let name = if name.starts_with("io.") { name.to_owned() } else { format!("{PREFIX}{name}") };
        schemas.insert(name, schema);
    };
    add("Time", json!({"type": "string", "format": "date-time", "description": "A moment in RFC 3339."}));
    add(
        "FieldsV1",
        json!({"type": "object", "description": "A set of fields as a tree: `f:` members, `k:` list items by key, `v:` set members."}),
    );
    add("Patch", json!({"type": "object", "description": "A change to an object, in one of the patch formats."}));
    add("ObjectMeta", object_meta(&own));
    add("ManagedFieldsEntry", managed_fields_entry(&own));
    add("OwnerReference", owner_reference());
    add(
        "ListMeta",
        json!({
            "type": "object",
            "description": "What a list says about itself.",
            "properties": {
                "resourceVersion": text("The state that the list shows."),
                "continue": text("Token of the next page; empty on the last."),
                "remainingItemCount": {"type": "integer", "format": "int64", "description": "How many objects follow."},
                "selfLink": text("Not filled."),
            },
        }),
    );
    add(
        "Status",
        json!({
            "type": "object",
            "description": "The answer to a request that returns no object.",
            "properties": {
                "apiVersion": api_version(), "kind": kind(),
                "metadata": {"allOf": [{"$ref": own("ListMeta")}], "default": {}},
                "status": text("Success or Failure."), "message": text("A sentence for people."),
                "reason": text("A word for programs."),
                "details": {"type": "object", "description": "What it is about."},
                "code": {"type": "integer", "format": "int32", "description": "The HTTP status code."},
            },
            "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Status"}],
        }),
    );
    add("DeleteOptions", delete_options());
    add(SCALE, scale(references));
    schemas
}

fn object_meta(own: &dyn Fn(&str) -> String) -> Value {
    let time = |description: &str| json!({"description": description, "allOf": [{"$ref": own("Time")}]});
    let texts = |description: &str| json!({"type": "object", "description": description, "additionalProperties": {"type": "string", "default": ""}});
    json!({
        "type": "object",
        "description": "ObjectMeta is metadata that all persisted resources must have.",
        "properties": {
            "name": text("Unique within a namespace. Cannot be changed."),
            "generateName": text("Prefix of a name that the server completes, used when there is no name."),
            "namespace": text("The namespace in which the name is unique. Cannot be changed."),
            "uid": text("Unique over all time and space, given by the server."),
            "resourceVersion": text("Changes with every change of the object; opaque to clients."),
            "generation": {"type": "integer", "format": "int64", "description": "Counts changes of the desired state."},
            "creationTimestamp": time("When the object was created."),
            "deletionTimestamp": time("When its deletion was asked for; it goes when its finalizers are gone."),
            "deletionGracePeriodSeconds": {"type": "integer", "format": "int64", "description": "Always 0 here."},
            "labels": texts("Keys and values by which objects are selected."),
            "annotations": texts("Keys and values for everything else that tools attach."),
            "ownerReferences": {
                "type": "array", "description": "Objects whose deletion deletes this one.",
                "items": {"allOf": [{"$ref": own("OwnerReference")}], "default": {}},
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-merge-key": "uid", "x-kubernetes-patch-strategy": "merge",
            },
            "finalizers": {
                "type": "array", "description": "Who must clean up before the object goes.",
                "items": {"type": "string", "default": ""},
                "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge",
            },
            "managedFields": {
                "type": "array", "description": "Who has set which fields.",
                "items": {"allOf": [{"$ref": own("ManagedFieldsEntry")}], "default": {}},
                "x-kubernetes-list-type": "atomic",
            },
            "selfLink": text("Not filled."),
        },
    })
}

fn delete_options() -> Value {
    json!({
        "type": "object",
        "description": "How to delete.",
        "properties": {
            "apiVersion": api_version(), "kind": kind(),
            "dryRun": {"type": "array", "items": {"type": "string"}, "description": "All: do everything but the deletion."},
            "gracePeriodSeconds": {"type": "integer", "format": "int64", "description": "Accepted; objects go at once."},
            "orphanDependents": {"type": "boolean", "description": "Old form of propagationPolicy Orphan."},
            "propagationPolicy": text("Background, Foreground or Orphan."),
            "preconditions": {
                "type": "object", "description": "Delete only an object that is still so.",
                "properties": {"uid": text("Identity."), "resourceVersion": text("Version.")},
            },
        },
        "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "DeleteOptions"}],
    })
}

fn scale(references: &str) -> Value {
    let number =
        |description: &str| json!({"type": "integer", "format": "int32", "description": description, "default": 0});
    json!({
        "type": "object",
        "description": "Scale represents a scaling request for a resource.",
        "properties": {
            "apiVersion": api_version(), "kind": kind(),
            "metadata": reference(references, OBJECT_META, "Standard object metadata."),
            "spec": {"type": "object", "description": "What is wanted.", "properties": {"replicas": number("How many are wanted.")}},
            "status": {
                "type": "object", "description": "What there is.", "required": ["replicas"],
                "properties": {"replicas": number("How many there are."), "selector": text("Which objects are counted.")},
            },
        },
        "x-kubernetes-group-version-kind": [{"group": "autoscaling", "version": "v1", "kind": "Scale"}],
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn managed_fields_entry(own: &dyn Fn(&str) -> String) -> Value {
    json!({
        "type": "object",
        "description": "Which fields one manager has set, and how.",
        "properties": {
            "manager": text("Who set the fields."),
            "operation": text("How: Apply or Update."),
            "apiVersion": text("The version in which the fields are named."),
            "time": {"description": "When the set of fields last changed.", "allOf": [{"$ref": own("Time")}]},
            "fieldsType": text("Always FieldsV1."),
            "fieldsV1": {"description": "The fields.", "allOf": [{"$ref": own("FieldsV1")}]},
            "subresource": text("Through which subresource, if any."),
        },
    })
}

fn owner_reference() -> Value {
    json!({
        "type": "object",
        "description": "An object whose deletion deletes this one.",
        "required": ["apiVersion", "kind", "name", "uid"],
        "properties": {
            "apiVersion": text("Group and version of the owner."),
            "kind": text("Kind of the owner."),
            "name": text("Name of the owner."),
            "uid": text("Identity of the owner."),
            "controller": {"type": "boolean", "description": "Whether the owner manages this object."},
            "blockOwnerDeletion": {"type": "boolean", "description": "Whether a foreground deletion of the owner waits for this object."},
        },
        "x-kubernetes-map-type": "atomic",
    })
}
