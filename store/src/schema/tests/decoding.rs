//! Strict decoding.

use serde_json::json;

use crate::schema::decode::{VALUE_BYTES_MAX, estimated_value_bytes};
use crate::schema::{DecodeError, MAX_DEPTH, decode_json, is_too_deep, is_too_large};

#[test]
fn refused_documents_are_explained_in_go_words() {
    let cases: &[(&str, &str)] = &[
        ("", "unexpected end of JSON input"),
        ("{bad json", "invalid character 'b' looking for beginning of object key string"),
        ("\u{1f}", "invalid character '\\x1f' looking for beginning of value"),
        ("zork", "invalid character 'z' looking for beginning of value"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\": 1 \"b\"}", "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("{\"a\": tru}", "invalid character '}' in literal true (expecting 'e')"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"\\q\"", "invalid character 'q' in string escape code"),
        ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("{\"a\": [1, {\"b\": 2}", "unexpected end of JSON input"),
        ("'", "invalid character '\\'' looking for beginning of value"),
    ];
    for (document, expected) in cases {
        assert_eq!(decode_json(document.as_bytes()).unwrap_err().to_string(), *expected, "{document:?}");
    }
}

#[test]
fn duplicates_are_named_in_document_order_and_the_last_one_wins() {
    let document = br#"{"spec":{"version":"1","version":"2"},"l":[{"x":1,"y":2,"x":3}],"spec":{"a":1,"a":2,"a":3}}"#;
    let decoded = decode_json(document).unwrap();
    assert_eq!(decoded.duplicates, ["spec.version", "l[0].x", "spec", "spec.a", "spec.a"]);
    assert_eq!(decoded.value, json!({"spec": {"a": 3}, "l": [{"x": 3, "y": 2}]}));
}

#[test]
fn integers_stay_integers() {
    let decoded = decode_json(b"[1, -9223372036854775808, 18446744073709551615, 1.0, 1e2]").unwrap();
    assert_eq!(decoded.value.to_string(), "[1,-9223372036854775808,18446744073709551615,1.0,100.0]");
}

#[test]
fn nesting_has_an_end_that_does_not_cost_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode_json(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    for depth in [MAX_DEPTH + 1, 10_000, 1_000_000] {
        assert_eq!(decode_json(nested(depth).as_bytes()).unwrap_err().to_string(), "exceeded max depth");
        assert!(decode_json("{\"a\":".repeat(depth).as_bytes()).is_err());
    }
}

#[test]
fn a_value_that_a_patch_made_deep_is_recognised() {
    let mut value = json!(1);
    for _ in 0..MAX_DEPTH {
        value = json!([value]);
    }
    assert!(!is_too_deep(&value));
    assert!(is_too_deep(&json!({"a": value})));
}

#[test]
fn a_document_of_very_many_small_maps_is_refused_before_it_fills_memory() {
    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    let map = |count: usize| {
        let members: Vec<String> = (0..count).map(|index| format!("\"k{index}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    let cases = [
        (list(r#"{"":0}"#, 40_000), true),
        (list(r#"{"":0}"#, 60_000), false),
        (list(r#"{"a":{"b":{}}}"#, 30_000), false),
        (list("0", 900_000), true),
        (list("0", 1_500_000), false),
        (map(200_000), true),
        (map(400_000), false),
    ];
    for (document, is_read) in cases {
        let shown = &document[..20];
        let decoded = decode_json(document.as_bytes());
        if !is_read {
            assert_eq!(decoded.unwrap_err(), DecodeError::TooLarge, "{} bytes of {shown}", document.len());
            assert!(is_too_large(&serde_json::from_str(&document).unwrap()), "{shown}");
            continue;
        }
        assert!(!is_too_large(&decoded.unwrap().value), "{shown}");
        assert!(estimated_value_bytes(document.as_bytes()) <= VALUE_BYTES_MAX);
    }
    assert_eq!(estimated_value_bytes(list(r#"{"":0}"#, 60_000).as_bytes()), VALUE_BYTES_MAX);
}

#[test]
fn only_the_first_duplicates_are_named_and_long_names_are_cut() {
    let twice = format!(r#"{{"{}":{{{}}}}}"#, "n".repeat(100_000), vec![r#""a":1"#; 10_000].join(","));
    let decoded = decode_json(twice.as_bytes()).unwrap();
    assert_eq!(decoded.duplicates.len(), 100);
    assert_eq!(decoded.duplicates[0], format!("{}….a", "n".repeat(256)));
}
