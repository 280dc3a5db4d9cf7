//! `abra.sh`: versions of configs, as a shell would export them. Nothing is run.

use std::collections::BTreeMap;

/// Returns the variables that `abra.sh` exports.
///
/// Only lines `export NAME=value` that begin at the start of a line count; one pair of quotes around the value is
/// taken away, and nothing is expanded.
#[must_use]
pub fn exports(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| is_name(name))
        .map(|(name, value)| (name.to_owned(), unquoted(value).to_owned()))
        .collect()
}

/// Returns the names of the shell functions that `abra.sh` defines: commands that `abra app cmd` runs.
#[must_use]
pub fn functions(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let name = line.strip_prefix("function ").unwrap_or(line).split_once("()")?.0.trim();
            is_name(name).then(|| name.to_owned())
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.as_bytes()[0].is_ascii_digit()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}
