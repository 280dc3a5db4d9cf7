//! CEL rules.

use serde_json::{Value, json};

use super::{compile, lines, try_compile};
use crate::schema::CompiledSchema;

/// A schema with one rule on `spec`.
fn ruled(rule: Value) -> CompiledSchema {
    compile(schema(rule))
}

fn schema(rule: Value) -> Value {
    json!({
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "a": {"type": "integer"},
            "b": {"type": "string"},
            "weird-name": {"type": "integer"},
            "namespace": {"type": "string"},
            "under__score": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "when": {"type": "string", "format": "date-time"},
            "wait": {"type": "string", "format": "duration"},
            "share": {"type": "number"},
            "port": {"x-kubernetes-int-or-string": true},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
        }}},
    })
}

fn check(rule: Value, spec: Value) -> Vec<String> {
    lines(&ruled(rule).validate(&json!({"spec": spec}), None))
}

#[test]
fn rules_see_fields_with_the_types_of_the_schema() {
    let cases = [
        ("self.a > 1", json!({"a": 2}), true),
        ("self.a > 1", json!({"a": 1}), false),
        ("has(self.b) && self.b.startsWith('x')", json!({"b": "xy"}), true),
        ("has(self.b) && self.b.startsWith('x')", json!({}), false),
        ("!has(self.b) || size(self.b) < 3", json!({}), true),
        ("self.weird__dash__name == 1", json!({"weird-name": 1}), true),
        ("self.__namespace__ == 'n'", json!({"namespace": "n"}), true),
        ("self.under__underscores__score == 1", json!({"under__score": 1}), true),
        ("self.list.all(x, x > 0)", json!({"list": [1, 2]}), true),
        ("self.list.all(x, x > 0)", json!({"list": [1, 0]}), false),
        ("self.list.exists_one(x, x == 1)", json!({"list": [1, 2]}), true),
        ("self.list.map(x, x * 2).filter(y, y > 2).size() == 1", json!({"list": [1, 2]}), true),
        ("self.list.all(x, self.list.all(y, x * y > self.a))", json!({"list": [2, 3], "a": 3}), true),
        ("self.when > timestamp('2020-01-01T00:00:00Z')", json!({"when": "2026-01-01T00:00:00Z"}), true),
        ("self.wait < duration('1h')", json!({"wait": "90m"}), false),
        ("self.share + 0.5 == 1.5", json!({"share": 1}), true),
        ("self.port == 80", json!({"port": 80}), true),
        ("self.port == '80%'", json!({"port": "80%"}), true),
        ("self.env['a.b'] == 'c'", json!({"env": {"a.b": "c"}}), true),
        ("self.env.all(k, k.matches('^[a-z]+$'))", json!({"env": {"A": "c"}}), false),
        ("sets.contains(self.list, [1])", json!({"list": [1, 2]}), true),
        ("self.b.replace('a', 'b') == 'bb'", json!({"b": "ab"}), true),
        ("isURL(self.b) && url(self.b).getHost() == 'x.y'", json!({"b": "https://x.y/z"}), true),
        ("self.b.find('[0-9]+') == '12' && self.b.findAll('[a-z]', 1) == ['a']", json!({"b": "a12b"}), true),
        ("quantity(self.b).isGreaterThan(quantity('1Gi'))", json!({"b": "2Gi"}), true),
        ("self.a == 1 ? self.b == 'x' : true", json!({"a": 1, "b": "y"}), false),
        ("'a' in self.env", json!({"env": {"a": "1"}}), true),
        ("self.list == self.list", json!({"list": [1]}), true),
        ("{'x': self.a}['x'] == 1", json!({"a": 1}), true),
    ];
    for (rule, spec, holds) in cases {
        let found = check(json!({"rule": rule}), spec.clone());
        let expected =
            if holds { vec![] } else { vec![format!("FieldValueInvalid spec: Invalid value: failed rule: {rule}")] };
        assert_eq!(found, expected, "{rule} on {spec}");
    }
}

#[test]
fn violations_carry_message_reason_and_field() {
    let cases = [
        (json!({"rule": "self.a > 1", "message": " too small "}), "FieldValueInvalid spec: Invalid value: too small"),
        (
            json!({"rule": "self.a > 1", "messageExpression": "'a is ' + string(self.a)"}),
            "FieldValueInvalid spec: Invalid value: a is 1",
        ),
        (
            json!({"rule": "self.a > 1", "message": "plan b", "messageExpression": "self.b"}),
            "FieldValueInvalid spec: Invalid value: plan b",
        ),
        (
            json!({"rule": "self.a > 1", "message": "m", "reason": "FieldValueForbidden"}),
            "FieldValueForbidden spec: Forbidden: m",
        ),
        (
            json!({"rule": "self.a > 1", "message": "m", "reason": "FieldValueRequired", "fieldPath": ".b"}),
            "FieldValueRequired spec.b: Required value: m",
        ),
        (
            json!({"rule": "self.a > 1", "message": "m", "reason": "FieldValueDuplicate", "fieldPath": ".env['x.y']"}),
            "FieldValueDuplicate spec.env[x.y]: Duplicate value: m",
        ),
        (
            json!({"rule": "self.b == ''"}),
            "FieldValueInvalid spec: Invalid value: No such key: b evaluating rule: failed rule: self.b == ''",
        ),
        (
            json!({"rule": "self.a"}),
            "FieldValueInvalid spec: Invalid value: rule must evaluate to a bool: rule: self.a",
        ),
    ];
    for (rule, expected) in cases {
        assert_eq!(check(rule.clone(), json!({"a": 1})), [expected], "{rule}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn rules_that_cannot_work_are_refused_with_the_definition() {
    let at = "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]";
    let cases = [
        (json!({"rule": ""}), format!("FieldValueRequired {at}.rule: Required value: rule is not specified")),
        (
            json!({"rule": "self.bogus > 1"}),
            format!(
                "FieldValueInvalid {at}.rule: Invalid value: \"self.bogus > 1\": compilation failed: undefined field 'bogus'"
            ),
        ),
        (
            json!({"rule": "zork > 1"}),
            format!(
                "FieldValueInvalid {at}.rule: Invalid value: \"zork > 1\": compilation failed: undeclared reference to 'zork' (in container '')"
            ),
        ),
        (
            json!({"rule": "zork(self.a)"}),
            format!(
                "FieldValueInvalid {at}.rule: Invalid value: \"zork(self.a)\": compilation failed: undeclared reference to 'zork' (in container '')"
            ),
        ),
        (
            json!({"rule": "sets.zork(self.list)"}),
            format!(
                "FieldValueInvalid {at}.rule: Invalid value: \"sets.zork(self.list)\": compilation failed: undeclared reference to 'sets.zork' (in container '')"
            ),
        ),
        (
            json!({"rule": "self.list.all(x, x > y)"}),
            format!(
                "FieldValueInvalid {at}.rule: Invalid value: \"self.list.all(x, x > y)\": compilation failed: undeclared reference to 'y' (in container '')"
            ),
        ),
        (
            json!({"rule": "true", "message": " "}),
            format!("FieldValueInvalid {at}.message: Invalid value: \" \": message must be non-empty if specified"),
        ),
        (
            json!({"rule": "self.a ==\n 1"}),
            format!(
                "FieldValueRequired {at}.message: Required value: message must be specified if rule contains line breaks"
            ),
        ),
        (
            json!({"rule": "true", "reason": "Zork"}),
            format!(
                "FieldValueNotSupported {at}.reason: Unsupported value: \"Zork\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "fieldPath": ".zork"}),
            format!(
                "FieldValueInvalid {at}.fieldPath: Invalid value: \".zork\": fieldPath must be a valid path: does not refer to a valid field: \"zork\""
            ),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            format!(
                "FieldValueInvalid {at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
            ),
        ),
        (
            json!({"rule": format!("'{}' != ''", "x".repeat(9000))}),
            format!("FieldValueTooLong {at}.rule: Too long: may not be more than 8192 bytes"),
        ),
        (
            json!({"rule": "true", "messageExpression": "self.nope"}),
            format!(
                "FieldValueInvalid {at}.messageExpression: Invalid value: \"self.nope\": compilation failed: undefined field 'nope'"
            ),
        ),
    ];
    for (rule, expected) in cases {
        let found = lines(&try_compile(schema(rule.clone())).unwrap_err());
        assert_eq!(found, [expected], "{rule}");
    }
    let found = lines(&try_compile(schema(json!({"rule": "self.a >"}))).unwrap_err());
    assert!(found.len() == 1 && found[0].contains("compilation failed: "), "{found:?}");
}

#[test]
fn transition_rules_compare_with_the_old_object() {
    let plain = ruled(json!({"rule": "self.a >= oldSelf.a", "message": "may only grow"}));
    let (one, two) = (json!({"spec": {"a": 1}}), json!({"spec": {"a": 2}}));
    assert_eq!(lines(&plain.validate(&one, None)), Vec::<String>::new());
    assert_eq!(lines(&plain.validate(&two, Some(&one))), Vec::<String>::new());
    assert_eq!(lines(&plain.validate(&one, Some(&two))), ["FieldValueInvalid spec: Invalid value: may only grow"]);
    let optional = ruled(json!({
        "rule": "oldSelf.hasValue() ? self.a >= oldSelf.value().a : self.a == 1", "message": "starts at 1",
        "optionalOldSelf": true,
    }));
    assert_eq!(lines(&optional.validate(&one, None)), Vec::<String>::new());
    assert_eq!(lines(&optional.validate(&two, None)), ["FieldValueInvalid spec: Invalid value: starts at 1"]);
    assert_eq!(lines(&optional.validate(&two, Some(&one))), Vec::<String>::new());
    assert_eq!(lines(&optional.validate(&one, Some(&two))), ["FieldValueInvalid spec: Invalid value: starts at 1"]);
}

#[test]
fn old_items_are_found_by_their_keys_and_only_there() {
    let list = |kind: Value| {
        let mut list = json!({"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}, "p": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.p == oldSelf.p", "message": "fixed"}]}});
        for (name, value) in kind.as_object().unwrap() {
            list[name] = value.clone();
        }
        json!({"type": "object", "properties": {"l": list}})
    };
    let keyed = compile(list(json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]})));
    let old = json!({"l": [{"n": "a", "p": 1}, {"n": "b", "p": 2}]});
    let new = json!({"l": [{"n": "b", "p": 3}, {"n": "a", "p": 1}, {"n": "c", "p": 9}]});
    assert_eq!(lines(&keyed.validate(&new, Some(&old))), ["FieldValueInvalid l[0]: Invalid value: fixed"]);
    let found = lines(&try_compile(list(json!({}))).unwrap_err());
    assert_eq!(
        found,
        ["FieldValueInvalid openAPIV3Schema.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: \
          \"self.p == oldSelf.p\": oldSelf cannot be used on the uncorrelatable portion of the schema within \
          openAPIV3Schema.properties[l].items"]
    );
}

#[test]
fn rules_at_the_root_see_names_only_of_metadata() {
    let root = |rule: &str| json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}], "properties": {"metadata": {"type": "object"}}});
    let schema = compile(root("self.metadata.name.size() < 3 && self.kind == 'K'"));
    let object = |name: &str| json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": name, "labels": {}}});
    assert!(schema.validate(&object("ab"), None).is_empty());
    assert_eq!(schema.validate(&object("abc"), None)[0].field, "");
    assert!(
        lines(&try_compile(root("self.metadata.labels.size() == 0")).unwrap_err())[0]
            .contains("undefined field 'labels'")
    );
}

#[test]
fn rules_in_maps_and_lists_name_the_part() {
    let schema = compile(json!({
        "type": "object",
        "properties": {
            "m": {"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'x'", "message": "no x"}]}},
            "l": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self != 7", "message": "no 7"}]}},
        },
    }));
    assert_eq!(
        lines(&schema.validate(&json!({"m": {"k": "x", "o": "y"}, "l": [1, 7]}), None)),
        ["FieldValueInvalid l[1]: Invalid value: no 7", "FieldValueInvalid m[k]: Invalid value: no x"]
    );
}
