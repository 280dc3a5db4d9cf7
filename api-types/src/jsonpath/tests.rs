//! Paths and templates: what they find, how they print it, what they refuse.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {"name": "a1", "annotations": {"x.io/y": "dots"}},
        "spec": {"ports": [{"name": "web", "port": 80}, {"name": "db", "port": 5432, "on": true}], "n": [0, 1, 2, 3, 4]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}]},
    })
}

fn check(path: &str, wanted: Value) {
    let found: Vec<Value> = JsonPath::parse(path).unwrap().find(&object()).into_iter().cloned().collect();
    assert_eq!(Value::Array(found), wanted, "{path}");
}

fn check_error(path: &str, wanted: &str) {
    let found = Template::parse(path).unwrap_err().to_string();
    assert_eq!(found, wanted, "{path}");
}

#[test]
fn paths_lead_to_values() {
    let cases = [
        (".metadata.name", json!(["a1"])),
        ("metadata.name", json!(["a1"])),
        ("{.metadata.name}", json!(["a1"])),
        ("$.metadata.name", json!(["a1"])),
        (".metadata.nope.deeper", json!([])),
        (".metadata.annotations['x.io/y']", json!(["dots"])),
        (".metadata.annotations.x\\.io/y", json!(["dots"])),
        (".metadata['name','nope']", json!(["a1"])),
        (".spec.ports[0].port", json!([80])),
        (".spec.ports[-1].name", json!(["db"])),
        (".spec.ports[7]", json!([])),
        (".spec.ports[*].name", json!(["web", "db"])),
        (".spec.n[1:3]", json!([1, 2])),
        (".spec.n[3:]", json!([3, 4])),
        (".spec.n[-2:]", json!([3, 4])),
        (".spec.n[::2]", json!([0, 2, 4])),
        (".spec.n[3:1]", json!([])),
        (".spec.n[0,4]", json!([0, 4])),
        (".spec.n.name", json!([])),
        (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
        (".status.conditions[?(@.type!='Ready')].status", json!(["False"])),
        (".status.conditions[?(@.type==\"Nope\")].status", json!([])),
        (".spec.ports[?(@.port > 100)].name", json!(["db"])),
        (".spec.ports[?(@.port<=80)].name", json!(["web"])),
        (".spec.ports[?(@.on)].name", json!(["db"])),
        (".spec.ports[?(@.on==true)].name", json!(["db"])),
        (".spec.n[?(@>=3)]", json!([3, 4])),
        ("..port", json!([80, 5432])),
        ("..ports[0].name", json!(["web"])),
        (".spec.ports[?($.metadata.name==\"a1\")].name", json!(["web", "db"])),
    ];
    for (path, wanted) in cases {
        check(path, wanted);
    }
}

#[test]
fn a_lone_dot_is_the_value_itself() {
    check("{.}", json!([object()]));
    check("$", json!([object()]));
}

#[test]
fn a_path_of_plain_members_can_be_told() {
    assert_eq!(JsonPath::parse(".spec.replicas").unwrap().members(), Some(vec!["spec", "replicas"]));
    assert_eq!(JsonPath::parse(".spec['a.b']").unwrap().members(), Some(vec!["spec", "a.b"]));
    assert_eq!(JsonPath::parse(".spec[0]").unwrap().members(), None);
}

#[test]
fn templates_print_what_their_paths_find() {
    let cases = [
        ("{.metadata.name}", "a1"),
        (".metadata.name", "a1"),
        ("name={.metadata.name}!", "name=a1!"),
        ("{.spec.ports[*].port}", "80 5432"),
        ("{.spec.ports[0]}", r#"{"name":"web","port":80}"#),
        ("{range .spec.ports[*]}{.name}{\"\\t\"}{.port}{'\\n'}{end}", "web\t80\ndb\t5432\n"),
        ("{range .spec.ports[*]}{range .nope[*]}x{end}{@.name},{end}", "web,db,"),
        ("{.nope}", ""),
        ("{ .metadata.name }", "a1"),
        ("{range .spec.n[:2]}{@}{$.metadata.name} {end}", "0a1 1a1 "),
    ];
    for (template, wanted) in cases {
        assert_eq!(Template::parse(template).unwrap().render(&object()), wanted, "{template}");
    }
}

#[test]
fn a_bad_text_is_refused_with_its_place() {
    check_error("{.a", "'}' is missing at character 4");
    check_error("{.a[}", "a number, a slice, a quoted name, '*' or '?(…)' is expected after '[' at character 5");
    check_error(
        "{.a[?(@.b==)]}",
        "a path from '@', a quoted text, a number, true or false is expected at character 12",
    );
    check_error("{.a['b}", "the closing ' is missing at character 8");
    check_error("{range .a[*]}x", "{range} has no {end} at character 15");
    check_error("x{end}", "{end} has no {range} at character 6");
    check_error(".a[1:2:0]", "the step of a slice must be at least 1 at character 9");
    check_error(".a[99999999999999999999]", "99999999999999999999 is no index at character 24");
    check_error("", "a path such as .metadata.name is needed at character 1");
    check_error(".a }", "'}' cannot follow a path at character 4");
    check_error("..", "a name is expected at character 3");
}

#[test]
fn texts_that_are_too_long_or_too_deep_are_refused() {
    let deep = format!("{{.a{}{}}}", "[?(@.a".repeat(17), ")]".repeat(17));
    assert!(Template::parse(&deep).unwrap_err().message.contains("nested deeper than 16"));
    let deep = "{range .a}".repeat(17);
    assert!(Template::parse(&deep).unwrap_err().message.contains("nested deeper than 16"));
    assert!(JsonPath::parse(&".a".repeat(TEXT_BYTES_MAX)).unwrap_err().message.contains("longer than 8192"));
}

proptest! {
    #[test]
    fn no_text_makes_a_template_panic(text in "[{}.\\[\\]()?@$*:'\"=<>!,\\\\a-c0-2 -]{0,40}") {
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&object());
        }
        let _ = JsonPath::parse(&text).map(|path| path.find(&object()).len());
    }
}
