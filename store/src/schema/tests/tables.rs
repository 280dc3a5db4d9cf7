//! Pruning, defaulting and validation, case by case.

use serde_json::{Value, json};

use super::{compile, lines};

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn values_are_refused_in_the_words_of_kubernetes() {
    let cases = [
        (
            "a float is no integer",
            json!({"type": "integer"}),
            json!(1.5),
            "FieldValueTypeInvalid a: Invalid value: \"number\": a in body must be of type integer: \"number\"",
        ),
        (
            "null is refused where it is no value",
            json!({"type": "array", "items": {"type": "string"}}),
            json!([null]),
            "FieldValueTypeInvalid a[0]: Invalid value: \"null\": a[0] in body must be of type string: \"null\"",
        ),
        (
            "int-or-string is neither boolean",
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "FieldValueTypeInvalid a: Invalid value: \"boolean\": a in body must be of type integer,string: \"boolean\"",
        ),
        (
            "too many characters",
            json!({"type": "string", "maxLength": 2}),
            json!("äöü"),
            "FieldValueTooLong a: Too long: may not be more than 2 bytes",
        ),
        (
            "too few characters",
            json!({"type": "string", "minLength": 2}),
            json!("ä"),
            "FieldValueInvalid a: Invalid value: \"ä\": a in body should be at least 2 chars long",
        ),
        (
            "too many items",
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", "b"]),
            "FieldValueTooMany a: Too many: 2: must have at most 1 item",
        ),
        (
            "too few items",
            json!({"type": "array", "minItems": 1, "items": {"type": "string"}}),
            json!([]),
            "FieldValueInvalid a: Invalid value: 0: a in body should have at least 1 items",
        ),
        (
            "too many members",
            json!({"type": "object", "maxProperties": 0, "additionalProperties": {"type": "string"}}),
            json!({"x": "y"}),
            "FieldValueTooMany a: Too many: 1: must have at most 0 items",
        ),
        (
            "too few members",
            json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "string"}}),
            json!({"x": "y"}),
            "FieldValueInvalid a: Invalid value: 1: a in body should have at least 2 properties",
        ),
        (
            "above the maximum",
            json!({"type": "integer", "maximum": 3}),
            json!(4),
            "FieldValueInvalid a: Invalid value: 4: a in body should be less than or equal to 3",
        ),
        (
            "at the exclusive maximum",
            json!({"type": "integer", "maximum": 3, "exclusiveMaximum": true}),
            json!(3),
            "FieldValueInvalid a: Invalid value: 3: a in body should be less than 3",
        ),
        (
            "at the exclusive minimum",
            json!({"type": "number", "minimum": 0.5, "exclusiveMinimum": true}),
            json!(0.5),
            "FieldValueInvalid a: Invalid value: 0.5: a in body should be greater than 0.5",
        ),
        (
            "a big float is written as Go writes it",
            json!({"type": "number", "maximum": 1_000_000}),
            json!(2_000_000.5),
            "FieldValueInvalid a: Invalid value: 2.0000005e+06: a in body should be less than or equal to 1e+06",
        ),
        (
            "no multiple",
            json!({"type": "integer", "multipleOf": 5}),
            json!(7),
            "FieldValueInvalid a: Invalid value: 7: a in body should be a multiple of 5",
        ),
        (
            "beyond int32",
            json!({"type": "integer", "format": "int32"}),
            json!(2_147_483_648_i64),
            "FieldValueTypeInvalid a: Invalid value: 2147483648: a in body must be of type int32: \"2147483648\"",
        ),
        (
            "not in the enum",
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            "FieldValueNotSupported a: Unsupported value: 3: supported values: \"1\", \"2\"",
        ),
        (
            "a format",
            json!({"type": "string", "format": "date-time"}),
            json!("soon"),
            "FieldValueTypeInvalid a: Invalid value: \"soon\": a in body must be of type date-time: \"soon\"",
        ),
        (
            "a value in a map",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            "FieldValueTypeInvalid a.k: Invalid value: \"integer\": a.k in body must be of type string: \"integer\"",
        ),
        (
            "not",
            json!({"type": "string", "not": {"pattern": "^x"}}),
            json!("xy"),
            "FieldValueInvalid <nil>: Invalid value: \"\": \"a\" must not validate the schema (not)",
        ),
        (
            "both of oneOf",
            json!({"type": "string", "oneOf": [{"minLength": 1}, {"maxLength": 5}]}),
            json!("abc"),
            "FieldValueInvalid <nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ),
        (
            "one of allOf",
            json!({"type": "string", "allOf": [{"minLength": 1}, {"maxLength": 2}]}),
            json!("abc"),
            "FieldValueInvalid <nil>: Invalid value: \"\": \"a\" must validate all the schemas (allOf)",
        ),
    ];
    for (name, member, value, expected) in cases {
        let schema = compile(json!({"type": "object", "properties": {"a": member}}));
        let found = lines(&schema.validate(&json!({"a": value}), None));
        assert!(found.iter().any(|line| line == expected), "{name}\nexpected {expected}\nfound {found:#?}");
    }
}

#[test]
fn values_that_look_odd_but_are_right_pass() {
    let cases = [
        (json!({"type": "integer"}), json!(1.0)),
        (json!({"type": "number"}), json!(1)),
        (json!({"type": "string", "nullable": true}), json!(null)),
        (json!({"type": "integer", "enum": [1]}), json!(1.0)),
        (json!({"type": "string", "maxLength": 3}), json!("äöü")),
        (json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}), json!("80%")),
        (json!({"x-kubernetes-preserve-unknown-fields": true}), json!([{"any": "thing"}])),
        (json!({"type": "integer", "multipleOf": 5}), json!(10)),
        (json!({"type": "string", "format": "zork"}), json!("whatever")),
        (json!({"type": "object", "minProperties": 1, "additionalProperties": true}), json!({"x": [1]})),
    ];
    for (member, value) in cases {
        let schema = compile(json!({"type": "object", "properties": {"a": member.clone()}}));
        let found = schema.validate(&json!({"a": value}), None);
        assert!(found.is_empty(), "{member}: {:?}", lines(&found));
    }
}

#[test]
fn formats_accept_what_kubernetes_accepts() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "date-time",
            &["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456+02:00", "2026-12-31t23:59:60z"],
            &[
                "2026-01-01",
                "2026-01-01 00:00:00Z",
                "2026-13-01T00:00:00Z",
                "2026-01-01T24:00:00Z",
                "2026-01-01T00:00:00",
                "2026-01-01T00:00:00.Z",
                "2026-02-30T00:00:00Z",
                "2026-01-01T00:00:00Ö",
            ],
        ),
        ("date", &["2024-02-29"], &["2023-02-29", "2024-2-9", "x"]),
        ("byte", &["", "aGk="], &["!!", "aGk"]),
        (
            "uri",
            &["https://a.b/c?d#e", "/x", "mailto:a@b", "http://[::1]:80/", "http://u:p@h:1/"],
            &["a b", "", "x", "http://[::1/", "http://h:p/", "%zz", "/%4"],
        ),
        ("email", &["a@b.c", "a+b@c"], &["a", "@b", "a@", "a@b@c d", ".a@b", "a..b@c"]),
        ("hostname", &["a.b-c.d", "localhost"], &["-a", "a..b", "a b", ""]),
        ("ipv4", &["1.2.3.4"], &["1.2.3", "256.1.1.1", "::1", "01.2.3.4"]),
        ("ipv6", &["::1", "fe80::1"], &["1.2.3.4", "::g"]),
        ("cidr", &["10.0.0.0/8", "fd00::/8"], &["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/+8"]),
        ("mac", &["01:23:45:67:89:ab", "01-23-45-67-89-AB"], &["01:23", "0g:23:45:67:89:ab"]),
        (
            "uuid",
            &["d3b07384-d9a0-4c9b-8f3e-0123456789ab", "D3B07384D9A04C9B8F3E0123456789AB"],
            &["d3b07384", "d3b07384-d9a0-4c9b-8f3e-0123456789abc", "d3b07384-d9a0-4c9b-8f3e-0123456789äb"],
        ),
        (
            "duration",
            &["1h30m", "-1.5s", "0", "3 days", "2w", "10µs", ".5s"],
            &["", "1", "h", "1.2.3s", "1 fortnight", "5", "."],
        ),
    ];
    for (format, good, bad) in cases {
        let schema = compile(json!({"type": "object", "properties": {"a": {"type": "string", "format": format}}}));
        for (texts, accepted) in [(good, true), (bad, false)] {
            for text in *texts {
                let found = schema.validate(&json!({"a": text}), None);
                assert_eq!(found.is_empty(), accepted, "{format} {text:?}");
            }
        }
    }
}

#[test]
fn failed_alternatives_show_the_one_that_came_closest() {
    let schema = compile(json!({
        "type": "object",
        "properties": {"a": {
            "type": "object",
            "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
            "oneOf": [{"required": ["y"]}, {"required": ["x"], "properties": {"x": {"maxLength": 1}}}],
        }},
    }));
    assert_eq!(
        lines(&schema.validate(&json!({"a": {"x": "long"}}), None)),
        [
            "FieldValueTooLong a.x: Too long: may not be more than 1 bytes",
            "FieldValueInvalid <nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found none valid",
        ]
    );
}

#[test]
fn causes_are_sorted_by_field_and_by_number() {
    let schema = compile(json!({
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "string"}},
            "b": {"type": "string"}, "a": {"type": "object", "required": ["z", "c"], "properties": {"m": {"type": "string"}, "z": {"type": "string"}, "c": {"type": "string"}}},
        },
    }));
    let mut list = vec![json!("x"); 12];
    list[2] = json!(1);
    list[10] = json!(1);
    let object = json!({"list": list, "b": 1, "a": {"m": 1}});
    let causes = schema.validate(&object, None);
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["a.c", "a.m", "a.z", "b", "list[2]", "list[10]"]);
}

#[test]
fn unknown_members_are_dropped_and_named() {
    let schema = compile(json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "ports": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "env": {"type": "object", "additionalProperties": {"type": "object", "properties": {"v": {"type": "string"}}}},
                "free": {"type": "object", "additionalProperties": true},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
                "inner": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
                "closed": {"type": "object"},
            }},
        },
    }));
    let mut object = json!({
        "apiVersion": "v1", "kind": "X", "zork": 1,
        "metadata": {"name": "a", "zap": 1, "ownerReferences": [{"uid": "u", "q": 1}], "managedFields": [{"manager": "m", "q": 1}]},
        "spec": {
            "bogus": 1,
            "ports": [{"name": "a"}, {"name": "b", "x": 1}],
            "env": {"A": {"v": "1", "w": 2}},
            "free": {"deep": {"kept": true}},
            "any": {"kept": {"x": 1}, "known": {"a": "1", "dropped": 1}},
            "inner": {"apiVersion": "v1", "kind": "Y", "metadata": {"name": "n", "zip": 1}, "spec": {"gone": 1}, "extra": 1},
            "closed": {"x": 1},
        },
    });
    assert_eq!(
        schema.prune(&mut object),
        [
            "metadata.managedFields[0].q",
            "metadata.ownerReferences[0].q",
            "metadata.zap",
            "spec.any.known.dropped",
            "spec.bogus",
            "spec.closed.x",
            "spec.env.A.w",
            "spec.inner.extra",
            "spec.inner.metadata.zip",
            "spec.inner.spec.gone",
            "spec.ports[1].x",
            "zork",
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "X",
            "metadata": {"name": "a", "ownerReferences": [{"uid": "u"}], "managedFields": [{"manager": "m"}]},
            "spec": {
                "ports": [{"name": "a"}, {"name": "b"}], "env": {"A": {"v": "1"}}, "free": {"deep": {"kept": true}},
                "any": {"kept": {"x": 1}, "known": {"a": "1"}},
                "inner": {"apiVersion": "v1", "kind": "Y", "metadata": {"name": "n"}, "spec": {}}, "closed": {},
            },
        })
    );
    assert_eq!(schema.prune(&mut object), Vec::<String>::new());
}

#[test]
fn defaults_fill_what_is_absent_and_null_where_it_is_no_value() {
    let schema = compile(json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "default": {}, "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {"type": "object", "properties": {"c": {"type": "string", "default": "x"}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "boolean", "default": true}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"e": {"type": "string", "default": "y"}}}},
            "nullable": {"type": "string", "nullable": true, "default": "z"},
            "plain": {"type": "string"},
        }}},
    }));
    let filled = |mut object: Value| {
        schema.default(&mut object);
        object
    };
    let cases = [
        (json!({}), json!({"spec": {"a": 1, "nullable": "z"}})),
        (json!({"spec": null}), json!({"spec": {"a": 1, "nullable": "z"}})),
        (json!({"spec": {"a": null, "plain": null, "nullable": null}}), json!({"spec": {"a": 1, "nullable": null}})),
        (
            json!({"spec": {"a": 2, "b": {}, "list": [{}, {"d": false}], "map": {"k": {}, "n": null}}}),
            json!({"spec": {"a": 2, "b": {"c": "x"}, "list": [{"d": true}, {"d": false}], "map": {"k": {"e": "y"}}, "nullable": "z"}}),
        ),
        (
            json!({"spec": {"unknown": null}, "metadata": {"name": "a", "creationTimestamp": null}}),
            json!({"spec": {"unknown": null, "a": 1, "nullable": "z"}, "metadata": {"name": "a"}}),
        ),
        (json!({"spec": "not an object"}), json!({"spec": "not an object"})),
    ];
    for (given, expected) in cases {
        assert_eq!(filled(given.clone()), expected, "{given}");
    }
}

#[test]
fn lists_keep_their_promises() {
    let schema = compile(json!({
        "type": "object",
        "properties": {
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "map": {"type": "object", "additionalProperties": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
                "items": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string"}}}}},
            "inner": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        },
    }));
    let long: Vec<Value> = (0..40).map(|number| json!(format!("{}", number % 39))).collect();
    let cases = [
        (json!({"set": ["a", "b", "a"]}), vec!["FieldValueDuplicate set[2]: Duplicate value: \"a\""]),
        (json!({"set": long}), vec!["FieldValueDuplicate set[39]: Duplicate value: \"0\""]),
        (
            json!({"map": {"k": [{"a": "x", "b": 1, "c": "1"}, {"a": "x", "b": 2}, {"a": "x", "b": 1}]}}),
            vec!["FieldValueDuplicate map[k][2]: Duplicate value: {\"a\":\"x\",\"b\":1}"],
        ),
        (
            json!({"inner": {"kind": "X"}}),
            vec!["FieldValueRequired inner.apiVersion: Required value: must not be empty"],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(lines(&schema.validate(&object, None)), expected);
    }
}

#[test]
fn what_was_wrong_before_does_not_block_other_changes() {
    let schema = compile(json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "required": ["new"], "properties": {
            "new": {"type": "string"},
            "name": {"type": "string", "pattern": "^[a-z]+$"},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}, "p": {"type": "integer", "maximum": 10}}}},
            "ruled": {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'good'"}]},
        }}, "status": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    }));
    let old = json!({
        "spec": {"name": "BAD", "set": ["a", "a"], "ports": [{"n": "a", "p": 99}], "ruled": "bad"}, "status": {"x": 1},
    });
    assert!(!schema.validate(&old, None).is_empty());
    let mut status_changed = old.clone();
    status_changed["status"]["x"] = json!(2);
    assert_eq!(lines(&schema.validate(&status_changed, Some(&old))), Vec::<String>::new());
    let mut added = old.clone();
    added["spec"]["new"] = json!("there");
    added["spec"]["ports"] = json!([{"n": "b", "p": 1}, {"n": "a", "p": 99}]);
    assert_eq!(lines(&schema.validate(&added, Some(&old))), Vec::<String>::new());
    let mut touched = old.clone();
    touched["spec"]["name"] = json!("WORSE");
    touched["spec"]["ports"][0]["p"] = json!(98);
    assert_eq!(
        lines(&schema.validate_structure(&touched, Some(&old))),
        [
            "FieldValueInvalid spec.name: Invalid value: \"WORSE\": spec.name in body should match '^[a-z]+$'",
            "FieldValueRequired spec.new: Required value",
            "FieldValueInvalid spec.ports[0].p: Invalid value: 98: spec.ports[0].p in body should be less than or equal to 10",
        ]
    );
}
