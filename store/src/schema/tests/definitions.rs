//! Which schemas are accepted.

use serde_json::{Value, json};

use super::{lines, try_compile};

fn refused(schema: Value) -> Vec<String> {
    lines(&try_compile(schema).unwrap_err())
}

/// A schema whose member `a` is `member`.
fn with(member: Value) -> Value {
    json!({"type": "object", "properties": {"a": member}})
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn schemas_that_are_not_structural_are_refused_with_the_path_of_the_flaw() {
    let cases = [
        (json!({}), "FieldValueRequired openAPIV3Schema.type: Required value: must not be empty at the root"),
        (
            json!({"type": "string"}),
            "FieldValueInvalid openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
        ),
        (
            with(json!({})),
            "FieldValueRequired openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            with(json!({"type": "array"})),
            "FieldValueRequired openAPIV3Schema.properties[a].items: Required value: must be specified",
        ),
        (
            with(json!({"type": "array", "items": {}})),
            "FieldValueRequired openAPIV3Schema.properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        (
            with(json!({"type": "object", "additionalProperties": false})),
            "FieldValueForbidden openAPIV3Schema.properties[a].additionalProperties: Forbidden: additionalProperties cannot be set to false",
        ),
        (
            with(json!({"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": true})),
            "FieldValueForbidden openAPIV3Schema.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            with(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
            "FieldValueForbidden openAPIV3Schema.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            with(json!({"type": "string", "x-kubernetes-int-or-string": true})),
            "FieldValueForbidden openAPIV3Schema.properties[a].type: Forbidden: must be empty if x-kubernetes-int-or-string is true",
        ),
        (
            with(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false})),
            "FieldValueInvalid openAPIV3Schema.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            with(json!({"type": "object", "x-kubernetes-embedded-resource": true})),
            "FieldValueRequired openAPIV3Schema.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ),
        (
            with(json!({"type": "string", "pattern": "(["})),
            "FieldValueInvalid openAPIV3Schema.properties[a].pattern: Invalid value: \"([\": must be a valid regular expression, but isn't: unclosed character class",
        ),
        (
            with(json!({"type": "string", "pattern": "((a{1000}){1000}){1000}"})),
            "FieldValueInvalid openAPIV3Schema.properties[a].pattern: Invalid value: \"((a{1000}){1000}){1000}\": must be a valid regular expression, but isn't: it needs more than 524288 bytes when compiled",
        ),
        (
            with(
                json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
            ),
            "FieldValueInvalid openAPIV3Schema.properties[a].items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map",
        ),
        (
            with(json!({"type": "object", "anyOf": [{"properties": {"x": {"minLength": 1}}}]})),
            "FieldValueRequired openAPIV3Schema.properties[a].properties[x]: Required value: because it is defined in openAPIV3Schema.properties[a].anyOf[0].properties[x]",
        ),
        (
            with(json!({"type": "object", "not": {"type": "object"}})),
            "FieldValueForbidden openAPIV3Schema.properties[a].not.type: Forbidden: must be empty to be structural",
        ),
        (
            with(json!({"type": "integer", "default": "x"})),
            "FieldValueTypeInvalid openAPIV3Schema.properties[a].default: Invalid value: \"string\": must be of type integer: \"string\"",
        ),
    ];
    for (schema, expected) in cases {
        let found = refused(schema.clone());
        assert!(found.iter().any(|line| line == expected), "{schema}\nexpected {expected}\nfound {found:#?}");
    }
}

#[test]
fn list_map_keys_must_be_required_members_or_have_a_default() {
    let list = |items: Value| {
        with(json!({
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items,
        }))
    };
    assert_eq!(
        refused(list(json!({"type": "object", "properties": {"k": {"type": "string"}}}))),
        [
            "FieldValueRequired openAPIV3Schema.properties[a].items.properties[k].default: Required value: this property \
          is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
        ]
    );
    for items in [
        json!({"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}),
        json!({"type": "object", "properties": {"k": {"type": "string", "default": "x"}}}),
    ] {
        assert!(try_compile(list(items)).is_ok());
    }
}

#[test]
fn a_schema_that_nests_without_end_is_refused() {
    let mut schema = json!({"type": "string"});
    for _ in 0..40 {
        schema = json!({"type": "array", "items": {"type": "object", "properties": {"a": schema}}});
    }
    let found = refused(json!({"type": "object", "properties": {"a": schema}}));
    assert!(found.iter().any(|line| line.ends_with("Too many: must nest at most 64 deep")), "{found:#?}");
}

#[test]
fn patterns_mean_what_they_mean_in_go() {
    let cases = [
        ("^\\d+$", "٣", false),
        ("^\\w+$", "é", false),
        ("^[\\w.-]+$", "a.b-c_1", true),
        ("^[^\\s]+$", "a b", false),
        ("^[[]x[]]$", "[x]", true),
        ("^[[:alpha:]_]+$", "ab_", true),
        ("^[[:alpha:]&&b]+$", "&b", true),
        ("^[a\\]]+$", "a]", true),
        ("^[]a]+$", "]a", true),
    ];
    for (pattern, text, matches) in cases {
        let schema = super::compile(with(json!({"type": "string", "pattern": pattern})));
        assert_eq!(schema.validate(&json!({"a": text}), None).is_empty(), matches, "{pattern} on {text}");
    }
}

#[test]
fn a_compiled_schema_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<crate::schema::CompiledSchema>();
}
