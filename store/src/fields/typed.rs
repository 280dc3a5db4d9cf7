//! How a value merges at each place, as the schema says: leaf, map or list, and which items of a list are the same.

use std::sync::OnceLock;

use api_types::schema::{AdditionalProperties, ListType, MapType, Schema, SchemaType};
use serde_json::{Map, Value, json};

use super::path;

/// What the schema knows about a place.
#[derive(Clone, Copy)]
pub(crate) enum Place<'s> {
    /// A whole object: `apiVersion`, `kind` and `metadata` exist whatever its schema says.
    Object(&'s Schema),
    /// A place that the schema describes.
    Typed(&'s Schema),
    /// A place of free content: maps merge member by member, everything else is replaced as a whole.
    Free,
}

/// How the value at a place merges.
pub(crate) enum Kind<'s> {
    /// Replaced as a whole.
    Leaf,
    /// Merged member by member.
    Map(Members<'s>),
    /// Merged item by item.
    List(Items<'s>),
}

/// The members of a map.
#[derive(Clone, Copy)]
pub(crate) struct Members<'s> {
    schema: Option<&'s Schema>,
    object: bool,
}

/// One member of a map.
pub(crate) struct Member<'s> {
    /// Its own place.
    pub(crate) place: Place<'s>,
    /// Whether the schema names it; a member of a free map is an item of its own and has an owner of its own.
    pub(crate) declared: bool,
    /// Whether the schema allows it at all.
    pub(crate) allowed: bool,
}

/// The items of a list whose items have an identity.
#[derive(Clone, Copy)]
pub(crate) struct Items<'s> {
    schema: Option<&'s Schema>,
    /// Names of the members that identify an item; `None` for a set, whose items identify themselves.
    keys: Option<&'s [String]>,
}

/// The scalar type that a place wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text,
    Number,
    Boolean,
    Any,
}

/// What a value at a place must look like to be merged at all.
pub(crate) enum Expected<'s> {
    Scalar(Scalar),
    Map(Members<'s>),
    /// A list, with the identity of its items if it has one.
    List(Place<'s>, Option<Items<'s>>),
    /// Anything, because the place is free.
    Anything,
}

impl<'s> Place<'s> {
    /// Returns how `value` merges here. Where the schema and the value disagree, the value is a leaf.
    pub(crate) fn kind(self, value: &Value) -> Kind<'s> {
        match self.expected() {
            Expected::Anything if value.is_object() => Kind::Map(Members { schema: None, object: false }),
            Expected::Map(members) if !members.atomic() && (value.is_object() || value.is_null()) => Kind::Map(members),
            Expected::List(_, Some(items)) if value.is_array() || value.is_null() => Kind::List(items),
            _ => Kind::Leaf,
        }
    }

    /// Returns what a value here must look like.
    pub(crate) fn expected(self) -> Expected<'s> {
        let (schema, object) = match self {
            Place::Object(schema) => (schema, true),
            Place::Typed(schema) => (schema, schema.embedded_resource),
            Place::Free => return Expected::Anything,
        };
        if object {
            return Expected::Map(Members { schema: Some(schema), object });
        }
        match schema.type_ {
            _ if schema.int_or_string => Expected::Scalar(Scalar::Any),
            Some(SchemaType::String) => Expected::Scalar(Scalar::Text),
            Some(SchemaType::Integer | SchemaType::Number) => Expected::Scalar(Scalar::Number),
            Some(SchemaType::Boolean) => Expected::Scalar(Scalar::Boolean),
            Some(SchemaType::Object) => Expected::Map(Members { schema: Some(schema), object }),
            Some(SchemaType::Array) => list(schema),
            None if schema.preserve_unknown_fields == Some(true) => Expected::Anything,
            None if schema.items.is_some() => list(schema),
            None if !schema.properties.is_empty() || schema.additional_properties.is_some() => {
                Expected::Map(Members { schema: Some(schema), object })
            }
            None => Expected::Anything,
        }
    }
}

fn list(schema: &Schema) -> Expected<'_> {
    let item = schema.items.as_deref().map_or(Place::Free, Place::Typed);
    let identity = match schema.list_type {
        Some(ListType::Set) => Some(None),
        Some(ListType::Map) if !schema.list_map_keys.is_empty() => Some(Some(schema.list_map_keys.as_slice())),
        _ => None,
    };
    Expected::List(item, identity.map(|keys| Items { schema: schema.items.as_deref(), keys }))
}

impl<'s> Members<'s> {
    /// Returns the members of a whole object.
    pub(crate) fn of_object(schema: &'s Schema) -> Self {
        Self { schema: Some(schema), object: true }
    }

    /// Returns the members of a map that is not an object of its own.
    pub(crate) fn of_map(schema: &'s Schema) -> Self {
        Self { schema: Some(schema), object: false }
    }

    /// Returns whether the map is replaced as a whole.
    pub(crate) fn atomic(self) -> bool {
        self.schema.is_some_and(|schema| schema.map_type == Some(MapType::Atomic))
    }

    /// Returns what is known about the member `name`.
    pub(crate) fn member(self, name: &str) -> Member<'s> {
        let Some(schema) = self.schema else {
            return Member { place: Place::Free, declared: false, allowed: true };
        };
        if self.object {
            match name {
                "metadata" => return Member { place: Place::Typed(metadata_schema()), declared: true, allowed: true },
                "apiVersion" | "kind" => {
                    return Member { place: Place::Typed(text_schema()), declared: true, allowed: true };
                }
                _ => {}
            }
        }
        if let Some(property) = schema.properties.get(name) {
            return Member { place: Place::Typed(property), declared: true, allowed: true };
        }
        match schema.additional_properties.as_deref() {
            Some(AdditionalProperties::Schema(values)) => {
                Member { place: Place::Typed(values), declared: false, allowed: true }
            }
            Some(AdditionalProperties::Allowed(true)) => Member { place: Place::Free, declared: false, allowed: true },
            _ => Member {
                place: Place::Free,
                declared: false,
                allowed: schema.preserve_unknown_fields == Some(true) || schema.embedded_resource,
            },
        }
    }
}

impl<'s> Items<'s> {
    /// Returns the place of an item.
    pub(crate) fn place(self) -> Place<'s> {
        self.schema.map_or(Place::Free, Place::Typed)
    }

    /// Returns the names of the identifying members; empty for a set.
    pub(crate) fn key_names(self) -> &'s [String] {
        self.keys.unwrap_or_default()
    }

    /// Returns the stored path element of `item`, or why it has no identity.
    pub(crate) fn key(self, item: &Value) -> Result<String, String> {
        let Some(names) = self.keys else { return set_key(item) };
        let members = match item {
            Value::Object(members) => members,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut keys = Map::new();
        for name in names {
            let default = || self.schema.and_then(|schema| schema.properties.get(name)?.default.as_ref());
            if let Some(value) = members.get(name).or_else(default) {
                keys.insert(name.clone(), value.clone());
            }
        }
        if keys.is_empty() {
            let names: Vec<String> = names.iter().map(|name| super::go_text::quoted(name)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(path::keyed_item_key(keys))
    }
}

fn set_key(item: &Value) -> Result<String, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(path::set_item_key(scalar)),
    }
}

/// Returns whether two values are the same; `1` and `1.0` are.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || ((left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64())
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, one)| right.get(name).is_some_and(|other| same(one, other)))
        }
        _ => left == right,
    }
}

fn text_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema { type_: Some(SchemaType::String), ..Schema::default() })
}

/// Returns how `metadata` merges, the same for every kind.
pub(crate) fn metadata_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = json!({"type": "string"});
        let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let schema = json!({
            "type": "object",
            "properties": {
                "name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text,
                "resourceVersion": text, "creationTimestamp": text, "deletionTimestamp": text,
                "generation": {"type": "integer"},
                "deletionGracePeriodSeconds": {"type": "integer"},
                "labels": texts, "annotations": texts,
                "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "ownerReferences": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
                    "items": {
                        "type": "object", "x-kubernetes-map-type": "atomic",
                        "properties": {
                            "apiVersion": text, "kind": text, "name": text, "uid": text,
                            "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"}
                        }
                    }
                },
                "managedFields": {
                    "type": "array",
                    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}
                }
            }
        });
        serde_json::from_value(schema).expect("the schema above is well-formed")
    })
}
