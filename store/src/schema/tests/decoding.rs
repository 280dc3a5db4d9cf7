//! Strict decoding.

use serde_json::json;

use crate::schema::{MAX_DEPTH, decode_json, is_too_deep};

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
        assert_eq!(decode_json(document.as_bytes()).unwrap_err(), *expected, "{document:?}");
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
        assert_eq!(decode_json(nested(depth).as_bytes()).unwrap_err(), "exceeded max depth");
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
