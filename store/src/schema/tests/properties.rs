//! What holds for every document. A failing case is printed with its seed by proptest.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::compile;
use crate::schema::{CompiledSchema, MetadataRules, NameGrammar, decode_json, validate_metadata};

/// Member names: those of the schema below, so that walks get somewhere, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "spec",
            "metadata",
            "status",
            "list",
            "map",
            "set",
            "keyed",
            "any",
            "name",
            "labels",
            "finalizers",
            "ownerReferences",
            "a",
            "b",
            "text",
            "number",
            "when",
            "alt",
            "inner",
            "kind",
            "apiVersion",
            "uid",
        ])
        .prop_map(str::to_owned),
        "[a-z.\\-\\[]{0,4}",
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-10_i64..10).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["a", "2026-01-01T00:00:00Z", "1h"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A schema that uses every feature.
fn everything() -> CompiledSchema {
    let text = json!({"type": "string", "maxLength": 4, "pattern": "^\\w*$"});
    compile(json!({
        "type": "object", "required": ["spec"],
        "properties": {
            "metadata": {"type": "object"},
            "spec": {"type": "object", "default": {"a": 4}, "properties": {
                "a": {"type": "integer", "default": 2, "minimum": 0, "multipleOf": 2, "format": "int32"},
                "b": {"type": "string", "nullable": true, "enum": ["a", "b"]},
                "text": text,
                "number": {"type": "number", "maximum": 5.5},
                "when": {"type": "string", "format": "date-time"},
                "alt": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "not": {"enum": ["a"]}},
                "list": {"type": "array", "maxItems": 3, "items": {"type": "object", "default": {}, "properties": {"a": {"type": "string", "default": "x"}, "name": {"type": "string"}}}},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "a": {"type": "integer"}}, "x-kubernetes-validations": [{"rule": "!has(oldSelf.a) || self.a >= oldSelf.a"}]}},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                "inner": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            }, "oneOf": [{"required": ["a"]}, {"required": ["b", "text"]}],
            "x-kubernetes-validations": [
                {"rule": "!has(self.a) || self.a >= 0", "messageExpression": "'a is ' + string(self.a)"},
                {"rule": "!has(self.list) || self.list.all(x, x.a.size() > 0)"},
                {"rule": "!has(self.when) || self.when > timestamp('2020-01-01T00:00:00Z')"},
            ]},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }))
}

proptest! {
    #[test]
    fn pruning_and_defaulting_settle_and_validation_survives_everything(document in json_value(), old in json_value()) {
        let schema = everything();
        let mut value = document;
        schema.prune(&mut value);
        let mut again = value.clone();
        prop_assert_eq!(schema.prune(&mut again), Vec::<String>::new());
        prop_assert_eq!(&again, &value);
        schema.default(&mut value);
        let mut again = value.clone();
        schema.default(&mut again);
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(schema.prune(&mut again), Vec::<String>::new(), "a default is itself known to the schema");
        let first = schema.validate(&value, None);
        prop_assert_eq!(&first, &schema.validate(&value, None));
        let _ = schema.validate(&value, Some(&old));
        prop_assert!(schema.validate_structure(&value, Some(&value)).is_empty(), "nothing changed, nothing to refuse");
        let rules = MetadataRules { namespaced: true, name: NameGrammar::Subdomain };
        let _ = validate_metadata(&value, Some(&old), &rules);
        let _ = validate_metadata(&value, None, &rules);
    }

    #[test]
    fn decoding_agrees_with_serde_json(document in json_value()) {
        let text = document.to_string();
        let decoded = decode_json(text.as_bytes()).unwrap();
        prop_assert_eq!(decoded.duplicates, Vec::<String>::new());
        prop_assert_eq!(decoded.value, serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn decoding_survives_arbitrary_bytes_and_agrees_on_what_is_json(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agree(&bytes)?;
    }

    #[test]
    fn decoding_agrees_on_what_is_almost_json(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ \\-]{0,40}") {
        agree(text.as_bytes())?;
    }
}

fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (decode_json(bytes), serde_json::from_slice::<Value>(bytes)) {
        (Ok(decoded), Ok(value)) => prop_assert_eq!(decoded.value, value),
        (Err(error), Err(_)) => prop_assert!(!error.to_string().is_empty()),
        (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
    }
    Ok(())
}
