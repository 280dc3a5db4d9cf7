//! Reasons: one word each, each once.

use std::collections::BTreeSet;

use super::ALL;

#[test]
fn every_reason_is_one_camel_case_word_that_occurs_once() {
    let mut seen = BTreeSet::new();
    for reason in ALL {
        assert!(reason.starts_with(|first: char| first.is_ascii_uppercase()), "{reason}");
        assert!(reason.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{reason}");
        assert!(seen.insert(reason), "{reason} occurs twice");
    }
}
