//! Names: what each grammar takes, and the words with which it refuses. Recorded from a real API server are the texts
//! for subdomains, namespaces, label keys and values, prefixes and config keys that have bad characters, and the limits
//! of 253 characters and 63 bytes; the others follow Kubernetes' wording without a recording.

use super::*;

fn check(problems: fn(&str) -> Vec<String>, text: &str, wanted: &[&str]) {
    let found = problems(text);
    assert_eq!(found.len(), wanted.len(), "{text:?}: {found:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{text:?}: {found:?} does not start with {wanted:?}");
    }
}

#[test]
fn object_names_are_lower_case_subdomains() {
    let text = "a lowercase RFC 1123 subdomain must consist of";
    for good in ["a", "a1", "0", "a-b.c-d", &"n".repeat(253)] {
        check(dns_subdomain_problems, good, &[]);
    }
    for bad in ["", "A_B", "-a", "a-", ".a", "a..b", "a b", "é", "a/b", "a\n"] {
        check(dns_subdomain_problems, bad, &[text]);
    }
    check(dns_subdomain_problems, &"n".repeat(254), &["must be no more than 253 characters"]);
    check(dns_subdomain_problems, &"N".repeat(254), &["must be no more than 253 characters", text]);
}

#[test]
fn namespaces_are_labels() {
    for good in ["default", "a-1", &"n".repeat(63)] {
        check(dns_label_problems, good, &[]);
    }
    check(dns_label_problems, "Bad_Name", &["a lowercase RFC 1123 label must consist of"]);
    check(dns_label_problems, "a.b", &["a lowercase RFC 1123 label must consist of"]);
    check(dns_label_problems, &"n".repeat(64), &["must be no more than 63 characters"]);
}

#[test]
fn kind_names_start_with_a_letter() {
    check(dns_1035_label_problems, "recipes", &[]);
    check(dns_1035_label_problems, "1recipes", &["a DNS-1035 label must consist of"]);
    check(dns_1035_label_problems, "", &["a DNS-1035 label must consist of"]);
}

#[test]
fn role_names_are_one_path_segment() {
    check(path_segment_problems, "system:masters", &[]);
    check(path_segment_problems, "..", &["may not be '..'"]);
    check(path_segment_problems, "a/b%c", &["may not contain '/'", "may not contain '%'"]);
}

#[test]
fn label_keys_are_qualified_names() {
    for good in ["app", "A", "a.b_c-d", "example.com/k", "0/0", &format!("example.com/{}", "k".repeat(63))] {
        check(label_key_problems, good, &[]);
    }
    check(label_key_problems, "bad key!", &["name part must consist of alphanumeric characters"]);
    check(label_key_problems, &"k".repeat(64), &["name part must be no more than 63 bytes"]);
    check(label_key_problems, "Ex_ample.com/k", &["prefix part a lowercase RFC 1123 subdomain must"]);
    check(label_key_problems, "/k", &["prefix part must be non-empty"]);
    check(label_key_problems, "a/", &["name part must be non-empty", "name part must consist of"]);
    check(label_key_problems, "a/b/c", &["a qualified name must consist of"]);
}

#[test]
fn label_values_may_be_empty() {
    for good in ["", "x", "a_b.C-1", &"v".repeat(63)] {
        check(label_value_problems, good, &[]);
    }
    check(label_value_problems, "bad value!", &["a valid label must be an empty string or consist of"]);
    check(label_value_problems, "-x", &["a valid label must be an empty string or consist of"]);
    check(label_value_problems, &"v".repeat(64), &["must be no more than 63 bytes"]);
}

#[test]
fn annotation_keys_ignore_case_and_have_a_total_size() {
    check(annotation_key_problems, "Example.COM/Key", &[]);
    check(annotation_key_problems, "a b", &["name part must consist of"]);
    let annotations = |bytes: usize| BTreeMap::from([("k".to_owned(), "v".repeat(bytes - 1))]);
    assert!(!annotations_are_too_long(&annotations(ANNOTATIONS_BYTES_MAX)));
    assert!(annotations_are_too_long(&annotations(ANNOTATIONS_BYTES_MAX + 1)));
}

#[test]
fn config_keys_are_file_names() {
    check(config_key_problems, "app.env", &[]);
    check(config_key_problems, "bad key", &["a valid config key must consist of"]);
    check(config_key_problems, "..", &["must not be '..'"]);
    check(config_key_problems, "..x", &["must not start with '..'"]);
    check(config_key_problems, &"k".repeat(254), &["must be no more than 253 characters"]);
}
