//! What may be asked of a token, and what is said of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{object, wanted};
use crate::authentication::tokens::TokenRecord;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn asked(spec: Value) -> Value {
    json!({"metadata": {"name": "ci"}, "spec": spec})
}

#[test]
fn a_token_stands_for_its_name_for_ninety_days_unless_it_says_otherwise() {
    let new = wanted(asked(json!({})), now()).unwrap();
    assert_eq!((new.user.as_str(), new.groups.len()), ("ci", 0));
    assert_eq!(new.expires, Some("2026-07-30T12:00:00Z".parse().unwrap()));
    let spec = json!({"user": "jane", "groups": ["devs"], "expiresAt": "2026-05-02T00:00:00Z"});
    let new = wanted(asked(spec), now()).unwrap();
    assert_eq!((new.user.as_str(), new.groups), ("jane", vec!["devs".to_owned()]));
    assert_eq!(new.expires, Some("2026-05-02T00:00:00Z".parse().unwrap()));
}

#[test]
fn what_is_no_token_is_refused() {
    let cases = [
        (asked(json!({"expiresAt": "2026-05-01T12:00:00Z"})), 422, "must lie in the future"),
        (asked(json!({"expiresAt": "tomorrow"})), 400, "cannot be read"),
        (asked(json!({"grops": []})), 400, "unknown field"),
        (asked(json!({"token": "chosen by the client"})), 400, "unknown field"),
        (
            json!({"kind": "Secret", "apiVersion": "v1"}),
            400,
            "the body must be authentication.ci.coopcloud.tech/v1alpha1 Token",
        ),
        (json!([]), 400, "cannot be read"),
        (Value::Null, 400, "cannot be read"),
    ];
    for (body, code, text) in cases {
        let status = wanted(body.clone(), now()).unwrap_err();
        assert_eq!(status.code, code, "{body}");
        assert!(status.message.contains(text), "{body}: {}", status.message);
    }
}

#[test]
fn a_token_that_is_shown_holds_neither_its_secret_nor_its_hash() {
    let (record, text) = TokenRecord::generate("ci", "jane", &["devs".to_owned()], now(), None);
    let shown = object(&record).to_string();
    assert!(!shown.contains(&text) && !shown.contains(&record.sha256), "{shown}");
    let secret = text.splitn(3, '_').nth(2).unwrap();
    assert!(!shown.contains(secret), "{shown}");
}
