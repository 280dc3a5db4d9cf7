//! Hostile rules and objects: they end, soon, with an answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{compile, lines, try_compile};

/// Far more than any of these takes in an unoptimised build, far less than an unbounded one would.
const SOON: Duration = Duration::from_secs(20);

fn run(rule: &str, spec: Value) -> (Vec<String>, Duration) {
    let schema = compile(json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "properties": {
                "list": {"type": "array", "items": {"type": "string"}},
                "text": {"type": "string"},
            },
            "x-kubernetes-validations": [{"rule": rule, "message": "false"}],
        }},
    }));
    let started = Instant::now();
    let found = lines(&schema.validate(&json!({"spec": spec}), None));
    (found, started.elapsed())
}

fn items(count: usize) -> Value {
    (0..count).map(|number| json!(format!("item {number}"))).collect()
}

#[test]
fn evaluation_stops_when_the_budget_is_used_up() {
    let ones = vec!["1"; 30].join(",");
    let nested = (0..12).fold("true".to_owned(), |inner, depth| format!("[{ones}].all(v{depth}, {inner})"));
    let doubling = |seed: &str, step: &str| (0..28).fold(seed.to_owned(), |inner, _| format!("{inner}.map(a, {step})"));
    let cases: Vec<(&str, String, Value)> = vec![
        (
            "nested loops over the object",
            "self.list.all(a, self.list.all(b, self.list.all(c, a + b != c)))".to_owned(),
            json!({"list": items(2000)}),
        ),
        ("nested loops over constants", nested, json!({})),
        ("strings that double", format!("{}[0] == ''", doubling("['ab']", "a + a")), json!({})),
        ("lists that double", format!("{}.size() == 0", doubling("[1]", "[a, a]")), json!({})),
        ("maps that double", format!("{}.size() == 0", doubling("[1]", "{'x': a, 'y': a}")), json!({})),
        (
            "replacing everything by everything",
            "self.text.replace('a', self.text).replace('a', self.text).replace('a', self.text) == ''".to_owned(),
            json!({"text": "a".repeat(5000)}),
        ),
        (
            "joining with a long separator",
            "self.list.join(self.text).size() == 0".to_owned(),
            json!({"list": items(20_000), "text": "a".repeat(100_000)}),
        ),
        ("a range without end", "lists.range(9000000000000000000).size() == 0".to_owned(), json!({})),
        ("a set against a set", "sets.contains(self.list, self.list)".to_owned(), json!({"list": items(100_000)})),
        ("distinct", "self.list.distinct().size() == 0".to_owned(), json!({"list": items(100_000)})),
        (
            "a list that is copied at every turn",
            "self.list.map(a, a).size() == 0".to_owned(),
            json!({"list": items(100_000)}),
        ),
        (
            "swallowing the error",
            "self.list.all(a, self.list.all(b, self.list.all(c, a + b != c))) || true".to_owned(),
            json!({"list": items(2000)}),
        ),
        (
            "a regular expression for each item",
            "self.list.all(a, 'x'.matches(a + '.*') || true)".to_owned(),
            json!({"list": items(50_000)}),
        ),
    ];
    for (name, rule, spec) in cases {
        let (found, took) = run(&rule, spec);
        assert_eq!(
            found,
            [
                "FieldValueInvalid <nil>: Invalid value: validation failed due to running out of cost budget, no further \
              validation rules will be run"
            ],
            "{name}"
        );
        assert!(took < SOON, "{name} took {took:?}");
        println!("{name}: {took:?}");
    }
}

#[test]
fn an_honest_rule_over_a_large_object_is_within_the_budget() {
    let (found, took) = run("self.list.all(a, a.size() < 100 && a.startsWith('item'))", json!({"list": items(20_000)}));
    assert_eq!(found, Vec::<String>::new());
    assert!(took < SOON, "{took:?}");
    let (found, _) = run("self.list.all(a, self.list.exists_one(b, a == b))", json!({"list": items(200)}));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_schema_has_room_for_many_rules_but_not_for_any_number() {
    let schema = |count: usize, rule: &str| json!({"type": "object", "x-kubernetes-validations": vec![json!({"rule": rule}); count]});
    assert!(try_compile(schema(1000, "true")).is_ok());
    for (count, rule) in [(1001, "true".to_owned()), (40, format!("'{}' == ''", "x".repeat(7000)))] {
        let found = lines(&try_compile(schema(count, &rule)).err().unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].ends_with("Too many: a schema may have at most 1000 rules of 262144 bytes together"),
            "{found:?}"
        );
    }
}

#[test]
fn expressions_that_are_hard_to_parse_are_refused_or_parsed_soon() {
    let hard = [
        format!("{}true{}", "(".repeat(4000), ")".repeat(4000)),
        format!("{}true", "!".repeat(8000)),
        format!("{}1 == 1", "-".repeat(8000)),
        format!("1{} == 1", "+1".repeat(4000)),
        format!("{}1{} == []", "[".repeat(4000), "]".repeat(4000)),
        format!("self{}", ".a".repeat(4000)),
        "true && ".repeat(1000) + "true",
        format!("{}true{}", "true ? (".repeat(500), ") : false".repeat(500)),
        "\u{0}\u{ffff}'".to_owned(),
        "self.a{b: 1}".to_owned(),
    ];
    for rule in hard {
        let started = Instant::now();
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}], "properties": {"a": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
        if let Ok(schema) = try_compile(schema) {
            let _ = schema.validate(&json!({"a": {}}), None);
        }
        assert!(started.elapsed() < SOON, "{}… took {:?}", &rule[..rule.len().min(20)], started.elapsed());
    }
}
