//! Manifests: what is read, with which line, and what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check_error(text: &str, line: u64, wanted: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.message.contains(wanted), "{text:?}: {error}");
    assert_eq!(error.line, line, "{text:?}: {error}");
}

#[test]
fn documents_are_told_apart_and_keep_their_lines() {
    let text = "# first\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n---\n\napiVersion: v1\nkind: B\nmetadata:\n  generateName: b-\n---\n";
    let documents = parse(text).unwrap();
    let found: Vec<_> = documents.iter().map(|document| (document.line, document.object["kind"].as_str())).collect();
    assert_eq!(found, [(2, Some("A")), (8, Some("B"))]);
}

#[test]
fn json_values_stand_one_after_another() {
    let text = "\n{\"apiVersion\":\"v1\",\"kind\":\"A\",\"metadata\":{\"name\":\"a\"}}\n\n{\"apiVersion\":\"v1\",\"kind\":\"B\",\"metadata\":{\"name\":\"b\"},\"n\":[1,-2,0.5,null,true]}";
    let documents = parse(text).unwrap();
    assert_eq!(documents.iter().map(|document| document.line).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(documents[1].object["n"], json!([1, -2, 0.5, null, true]));
}

#[test]
fn scalars_have_the_types_of_yaml_1_2() {
    let text =
        "on: yes\nn: 1\nf: 1.5\ns: \"1\"\nt: true\nz: ~\nd: 2026-01-01\nblock: |\n  a\n  b\nm: {<<: &x {k: 1}, j: 2}\n";
    let documents = documents(text).unwrap();
    let wanted = json!({"on": "yes", "n": 1, "f": 1.5, "s": "1", "t": true, "z": null, "d": "2026-01-01", "block": "a\nb\n", "m": {"k": 1, "j": 2}});
    assert_eq!(documents[0].object, wanted);
}

#[test]
fn the_items_of_a_list_take_its_place() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {apiVersion: v1, kind: B, metadata: {name: b}}\n";
    let kinds: Vec<_> = parse(text).unwrap().into_iter().map(|document| document.object["kind"].clone()).collect();
    assert_eq!(kinds, ["A", "B"]);
}

#[test]
fn a_bad_manifest_is_refused_with_its_line() {
    let head = "apiVersion: v1\nkind: A\n";
    let cases = [
        ("just words", 1, "an object is a mapping"),
        ("a: 1\n---\nkind: A", 1, "apiVersion is missing"),
        ("apiVersion: v1\nkind: 3", 1, "kind must be a text"),
        (head, 1, "metadata.name is missing"),
        ("apiVersion: v1\nkind: A\nmetadata: {name: 3}", 1, "put quotes around a number"),
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate"),
        ("a: [1, 2\nb: 3\n", 2, ""),
        ("a: {b: 1}}\n", 1, ""),
        ("a: .nan", 1, ""),
        ("apiVersion: v1\nkind: List\nitems: 3", 1, "items must be a list"),
        ("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]", 1, "may not contain lists"),
        ("{\"a\": 1, \"a\": 2}", 1, "duplicate"),
    ];
    for (text, line, wanted) in cases {
        check_error(text, line, wanted);
    }
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let previous = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(",")));
    }
    assert!(documents(&bomb).is_err());
    assert!(documents(&"[".repeat(5_000)).is_err());
    assert!(documents(&"- ".repeat(5_000)).is_err());
    assert!(documents(&"a: 1\n---\n".repeat(DOCUMENTS_MAX + 1)).is_err());
    assert!(documents(&" ".repeat(MANIFEST_BYTES_MAX + 1)).unwrap_err().message.contains("split it"));
}

#[test]
fn an_error_names_its_place_first() {
    let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err().to_string();
    assert!(error.starts_with("line 3, column 1: "), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_a_manifest_panic(text in "[-:{}\\[\\]&*a\"' \n|>!#,]{0,60}") {
        let _ = parse(&text);
    }
}
