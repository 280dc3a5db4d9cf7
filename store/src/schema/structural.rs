//! What `apiextensions.k8s.io/v1` demands of a schema before it may be used: that it is *structural*.

use api_types::schema::{AdditionalProperties, ListType, Schema, SchemaType};
use api_types::status::StatusCause;
use serde_json::Value;

use super::text::{TOO_MANY, cause, forbidden, invalid, required};

/// Deepest nesting of a schema; walks along it recurse.
const DEEPEST: usize = 64;

/// Where a schema stands inside the one it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Member,
    Item,
}

/// Returns every violation.
pub(super) fn check(schema: &Schema) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    node(schema, "openAPIV3Schema", Place::Root, 0, &mut causes);
    if schema.type_.is_some_and(|kind| kind != SchemaType::Object) {
        let kind = Value::String(type_name(schema.type_).to_owned());
        causes.push(invalid("openAPIV3Schema.type", &kind, "must be object at the root"));
    }
    if let Some(metadata) = schema.properties.get("metadata") {
        root_metadata(metadata, &mut causes);
    }
    causes
}

fn node(schema: &Schema, path: &str, place: Place, depth: usize, causes: &mut Vec<StatusCause>) {
    if depth > DEEPEST {
        causes.push(cause(TOO_MANY, path, format!("Too many: must nest at most {DEEPEST} deep")));
        return;
    }
    kind(schema, path, place, causes);
    object(schema, path, causes);
    list(schema, path, causes);
    if schema.unique_items {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(forbidden(format!("{path}.uniqueItems"), why));
    }
    if schema.preserve_unknown_fields == Some(false) {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        causes.push(invalid(field, &Value::Bool(false), "must be true or undefined"));
    }
    logic(schema, path, depth, causes);
    for (name, member) in &schema.properties {
        node(member, &format!("{path}.properties[{name}]"), Place::Member, depth + 1, causes);
    }
    if let Some(items) = &schema.items {
        node(items, &format!("{path}.items"), Place::Item, depth + 1, causes);
    }
    if let Some(AdditionalProperties::Schema(member)) = schema.additional_properties.as_deref() {
        node(member, &format!("{path}.additionalProperties"), Place::Member, depth + 1, causes);
    }
}

fn kind(schema: &Schema, path: &str, place: Place, causes: &mut Vec<StatusCause>) {
    let field = format!("{path}.type");
    if schema.int_or_string {
        if schema.type_.is_some() {
            causes.push(forbidden(field, "must be empty if x-kubernetes-int-or-string is true"));
        }
        return;
    }
    let may_be_empty = schema.preserve_unknown_fields == Some(true) && place != Place::Root;
    if schema.type_.is_none() && !may_be_empty {
        let why = match place {
            Place::Root => "must not be empty at the root",
            Place::Member => "must not be empty for specified object fields",
            Place::Item => "must not be empty for specified array items",
        };
        causes.push(required(&field, why));
    }
    let must_be_object = [
        (schema.embedded_resource, "must be object if x-kubernetes-embedded-resource is true"),
        (schema.map_type.is_some(), "must be object if x-kubernetes-map-type is specified"),
    ];
    for (applies, why) in must_be_object {
        if applies && schema.type_ != Some(SchemaType::Object) {
            causes.push(invalid(&field, &Value::String(type_name(schema.type_).to_owned()), why));
        }
    }
    if schema.list_type.is_some() && schema.type_ != Some(SchemaType::Array) {
        let why = "must be array if x-kubernetes-list-type is specified";
        causes.push(invalid(&field, &Value::String(type_name(schema.type_).to_owned()), why));
    }
}

fn object(schema: &Schema, path: &str, causes: &mut Vec<StatusCause>) {
    match schema.additional_properties.as_deref() {
        Some(AdditionalProperties::Allowed(false)) => {
            let why = "additionalProperties cannot be set to false";
            causes.push(forbidden(format!("{path}.additionalProperties"), why));
        }
        Some(_) if !schema.properties.is_empty() => {
            let why = "additionalProperties and properties are mutual exclusive";
            causes.push(forbidden(format!("{path}.additionalProperties"), why));
        }
        _ => {}
    }
    if schema.embedded_resource && schema.properties.is_empty() && schema.preserve_unknown_fields != Some(true) {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        causes.push(required(format!("{path}.properties"), why));
    }
}

fn list(schema: &Schema, path: &str, causes: &mut Vec<StatusCause>) {
    if schema.type_ == Some(SchemaType::Array) && schema.items.is_none() {
        causes.push(required(format!("{path}.items"), "must be specified"));
    }
    let keys = format!("{path}.x-kubernetes-list-map-keys");
    let items = schema.items.as_deref();
    match schema.list_type {
        Some(ListType::Map) => {
            if schema.list_map_keys.is_empty() {
                causes.push(required(&keys, "must not be empty if x-kubernetes-list-type is map"));
            }
            if let Some(items) = items {
                list_map(schema, items, path, &keys, causes);
            }
        }
        Some(ListType::Set) => {
            if let Some(items) = items {
                set_items(items, path, causes);
            }
        }
        Some(ListType::Atomic) | None => {}
    }
    if schema.list_type != Some(ListType::Map) && !schema.list_map_keys.is_empty() {
        let why = "must be empty if x-kubernetes-list-type is not map";
        causes.push(forbidden(keys, why));
    }
}

fn list_map(schema: &Schema, items: &Schema, path: &str, keys: &str, causes: &mut Vec<StatusCause>) {
    if items.type_ != Some(SchemaType::Object) {
        let kind = Value::String(type_name(items.type_).to_owned());
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        causes.push(invalid(format!("{path}.items.type"), &kind, why));
    }
    for key in &schema.list_map_keys {
        match items.properties.get(key) {
            None => {
                let why = "entries must all be names of item properties";
                causes.push(invalid(keys, &Value::String(key.clone()), why));
            }
            Some(property) => {
                if property.default.is_none() && !items.required.contains(key) {
                    let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    causes.push(required(format!("{path}.items.properties[{key}].default"), why));
                }
            }
        }
    }
}

fn set_items(items: &Schema, path: &str, causes: &mut Vec<StatusCause>) {
    let atomic_map = items.map_type == Some(api_types::schema::MapType::Atomic);
    if items.type_ == Some(SchemaType::Object) && !atomic_map {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        causes.push(invalid(format!("{path}.items.x-kubernetes-map-type"), &Value::Null, why));
    }
    if items.type_ == Some(SchemaType::Array) && items.list_type.is_some_and(|kind| kind != ListType::Atomic) {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        causes.push(invalid(format!("{path}.items.x-kubernetes-list-type"), &Value::Null, why));
    }
}

fn logic(schema: &Schema, path: &str, depth: usize, causes: &mut Vec<StatusCause>) {
    for (word, list) in [("allOf", &schema.all_of), ("anyOf", &schema.any_of), ("oneOf", &schema.one_of)] {
        for (index, branch) in list.iter().enumerate() {
            branch_node(branch, Some(schema), &format!("{path}.{word}[{index}]"), depth + 1, causes);
        }
    }
    if let Some(not) = &schema.not {
        branch_node(not, Some(schema), &format!("{path}.not"), depth + 1, causes);
    }
}

/// A branch may only check values; what an object looks like is said once, outside of it.
fn branch_node(branch: &Schema, outer: Option<&Schema>, path: &str, depth: usize, causes: &mut Vec<StatusCause>) {
    if depth > DEEPEST {
        causes.push(cause(TOO_MANY, path, format!("Too many: must nest at most {DEEPEST} deep")));
        return;
    }
    let int_or_string = outer.is_some_and(|outer| outer.int_or_string)
        && matches!(branch.type_, Some(SchemaType::Integer | SchemaType::String));
    let empty = [
        ("type", branch.type_.is_some() && !int_or_string),
        ("title", branch.title.is_some()),
        ("description", !branch.description.is_empty()),
        ("default", branch.default.is_some()),
        ("additionalProperties", branch.additional_properties.is_some()),
        ("nullable", branch.nullable),
        ("x-kubernetes-preserve-unknown-fields", branch.preserve_unknown_fields.is_some()),
        ("x-kubernetes-embedded-resource", branch.embedded_resource),
        ("x-kubernetes-int-or-string", branch.int_or_string),
        ("x-kubernetes-list-type", branch.list_type.is_some()),
        ("x-kubernetes-map-type", branch.map_type.is_some()),
        ("x-kubernetes-validations", !branch.validations.is_empty()),
    ];
    for (name, is_set) in empty {
        if is_set {
            causes.push(forbidden(format!("{path}.{name}"), "must be empty to be structural"));
        }
    }
    for (name, member) in &branch.properties {
        let known = outer.and_then(|outer| outer.properties.get(name)).map(Box::as_ref);
        if outer.is_some_and(|outer| outer.preserve_unknown_fields != Some(true)) && known.is_none() {
            let why = format!("because it is defined in {path}.properties[{name}]");
            causes.push(required(format!("{}.properties[{name}]", structural_path(path)), &why));
        }
        branch_node(member, known, &format!("{path}.properties[{name}]"), depth + 1, causes);
    }
    if let Some(items) = &branch.items {
        let known = outer.and_then(|outer| outer.items.as_deref());
        branch_node(items, known, &format!("{path}.items"), depth + 1, causes);
    }
    for (word, list) in [("allOf", &branch.all_of), ("anyOf", &branch.any_of), ("oneOf", &branch.one_of)] {
        for (index, inner) in list.iter().enumerate() {
            branch_node(inner, outer, &format!("{path}.{word}[{index}]"), depth + 1, causes);
        }
    }
    if let Some(not) = &branch.not {
        branch_node(not, outer, &format!("{path}.not"), depth + 1, causes);
    }
}

/// Removes the steps through branches from a path: where the structural part would have to stand.
fn structural_path(path: &str) -> String {
    path.split('.')
        .filter(|step| *step != "not" && !["allOf[", "anyOf[", "oneOf["].iter().any(|word| step.starts_with(word)))
        .collect::<Vec<_>>()
        .join(".")
}

fn root_metadata(metadata: &Schema, causes: &mut Vec<StatusCause>) {
    let allowed = |name: &String| name == "name" || name == "generateName";
    let plain = Schema {
        type_: metadata.type_,
        description: metadata.description.clone(),
        properties: metadata.properties.clone(),
        ..Schema::default()
    };
    if *metadata != plain || !metadata.properties.keys().all(allowed) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.push(forbidden("openAPIV3Schema.properties[metadata]", why));
    }
}

fn type_name(kind: Option<SchemaType>) -> &'static str {
    match kind {
        None => "",
        Some(SchemaType::Object) => "object",
        Some(SchemaType::Array) => "array",
        Some(SchemaType::String) => "string",
        Some(SchemaType::Integer) => "integer",
        Some(SchemaType::Number) => "number",
        Some(SchemaType::Boolean) => "boolean",
    }
}
