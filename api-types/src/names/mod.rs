//! Grammars of names: objects, labels, annotations, finalizers, and what is wrong with a text that breaks them.
//!
//! Every function returns one sentence for each thing that is wrong, in the words of Kubernetes, and nothing when the
//! text is good. They follow `Invalid value: "…": ` in an error.

use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Longest object name and longest label prefix, in characters.
pub const DNS_SUBDOMAIN_LENGTH_MAX: usize = 253;
/// Longest DNS label, in characters.
pub const DNS_LABEL_LENGTH_MAX: usize = 63;
/// Longest name part of a label key, and longest label value, in bytes.
pub const LABEL_LENGTH_MAX: usize = 63;
/// Most bytes of all annotation keys and values together.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// Longest key in the data of a Secret or ConfigMap, in bytes.
pub const CONFIG_KEY_LENGTH_MAX: usize = 253;

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS_1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY_TEXT: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Checks an RFC 1123 subdomain: the name of most objects, and API groups.
#[must_use]
pub fn dns_subdomain_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > DNS_SUBDOMAIN_LENGTH_MAX {
        problems.push(format!("must be no more than {DNS_SUBDOMAIN_LENGTH_MAX} characters"));
    }
    if !text.split('.').all(is_dns_label) {
        problems.push(SUBDOMAIN_TEXT.to_owned());
    }
    problems
}

/// Checks an RFC 1123 label: the name of a namespace.
#[must_use]
pub fn dns_label_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > DNS_LABEL_LENGTH_MAX {
        problems.push(format!("must be no more than {DNS_LABEL_LENGTH_MAX} characters"));
    }
    if !is_dns_label(text) {
        problems.push(LABEL_TEXT.to_owned());
    }
    problems
}

/// Checks an RFC 1035 label: the plural, singular and short names of a kind. Unlike RFC 1123 it starts with a letter.
#[must_use]
pub fn dns_1035_label_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > DNS_LABEL_LENGTH_MAX {
        problems.push(format!("must be no more than {DNS_LABEL_LENGTH_MAX} characters"));
    }
    if !is_dns_label(text) || text.starts_with(|first: char| first.is_ascii_digit()) {
        problems.push(DNS_1035_TEXT.to_owned());
    }
    problems
}

/// Checks a name that only has to be one segment of a URL path: roles and bindings.
#[must_use]
pub fn path_segment_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text == "." || text == ".." {
        problems.push(format!("may not be '{text}'"));
    }
    for forbidden in ['/', '%'] {
        if text.contains(forbidden) {
            problems.push(format!("may not contain '{forbidden}'"));
        }
    }
    problems
}

/// Checks a qualified name: label keys, annotation keys and finalizers.
///
/// That is a name of at most 63 bytes, with an optional DNS subdomain and `/` before it.
#[must_use]
pub fn qualified_name_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems
                    .extend(dns_subdomain_problems(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH_MAX {
        problems.push(format!("name part must be no more than {LABEL_LENGTH_MAX} bytes"));
    }
    if !is_qualified(name) {
        problems.push(format!("name part {QUALIFIED_TEXT}"));
    }
    problems
}

/// Checks the key of a label.
#[must_use]
pub fn label_key_problems(text: &str) -> Vec<String> {
    qualified_name_problems(text)
}

/// Checks the value of a label; the empty text is good.
#[must_use]
pub fn label_value_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        problems.push(format!("must be no more than {LABEL_LENGTH_MAX} bytes"));
    }
    if !text.is_empty() && !is_qualified(text) {
        problems.push(LABEL_VALUE_TEXT.to_owned());
    }
    problems
}

/// Checks the key of an annotation: a qualified name, whatever the case of its letters.
#[must_use]
pub fn annotation_key_problems(text: &str) -> Vec<String> {
    qualified_name_problems(&text.to_ascii_lowercase())
}

/// Returns whether annotations are larger than [`ANNOTATIONS_BYTES_MAX`].
#[must_use]
pub fn annotations_are_too_long(annotations: &BTreeMap<String, String>) -> bool {
    annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > ANNOTATIONS_BYTES_MAX
}

/// Checks a key in the data of a Secret or ConfigMap.
#[must_use]
pub fn config_key_problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if text.len() > CONFIG_KEY_LENGTH_MAX {
        problems.push(format!("must be no more than {CONFIG_KEY_LENGTH_MAX} characters"));
    }
    if text.is_empty() || !text.bytes().all(is_qualified_byte) {
        problems.push(CONFIG_KEY_TEXT.to_owned());
    }
    if text == "." || text == ".." {
        problems.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        problems.push("must not start with '..'".to_owned());
    }
    problems
}

fn is_dns_label(text: &str) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes.iter().all(|byte| is_end(byte) || *byte == b'-')
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().copied().all(is_qualified_byte)
}

fn is_qualified_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}
