//! The values of Secrets that the caller may read, in every form in which they may have been copied somewhere.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use data_encoding::{HEXLOWER, HEXUPPER};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::rules::Match;
use crate::error::{CommandError, Result};
use crate::fields;

/// Shorter values are words such as `admin` that are everywhere, in bytes.
const VALUE_BYTES_MIN: usize = 8;
/// So much of a long value is looked for, in bytes.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// Name of the rule.
pub(super) const RULE: &str = "known-secret";

/// Values to look for.
#[derive(Default)]
pub(super) struct Known {
    automaton: Option<AhoCorasick>,
    /// What each pattern of the automaton is, and how long the whole of it is.
    patterns: Vec<String>,
    /// How many values there are.
    pub count: usize,
}

impl Known {
    /// Returns the values of Secrets, as the API gives them.
    ///
    /// # Errors
    /// There are more than can be looked for at once.
    pub(super) fn of(secrets: &[Value]) -> Result<Self> {
        let (mut texts, mut patterns, mut count) = (Vec::new(), Vec::new(), 0);
        let mut seen = HashSet::new();
        for secret in secrets {
            let metadata = &secret["metadata"];
            let name = format!("{}/{}", fields::text(metadata, "namespace"), fields::text(metadata, "name"));
            for (key, value) in secret["data"].as_object().into_iter().flatten() {
                let Ok(value) = STANDARD.decode(value.as_str().unwrap_or_default()) else { continue };
                let value = value.trim_ascii();
                // A certificate is shown to everybody who connects.
                if value.len() < VALUE_BYTES_MIN || value.starts_with(b"-----BEGIN CERTIFICATE-----") {
                    continue;
                }
                count += 1;
                for (form, text) in forms(&value[..value.len().min(VALUE_BYTES_MAX)]) {
                    if text.len() >= VALUE_BYTES_MIN && seen.insert(text.clone()) {
                        texts.push(text);
                        patterns.push(format!("the value of key {key} of the Secret {name}{form}"));
                    }
                }
            }
        }
        let build = || AhoCorasickBuilder::new().match_kind(MatchKind::LeftmostLongest).build(&texts);
        let automaton = (!texts.is_empty()).then(build).transpose();
        let automaton = automaton.map_err(|_| CommandError::user("there are too many Secrets to look for at once"))?;
        Ok(Self { automaton, patterns, count })
    }

    /// Returns where values are in `bytes`, in order.
    pub(super) fn matches(&self, bytes: &[u8]) -> Vec<Match> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let found = automaton.find_iter(bytes);
        found.map(|one| Match { rule: RULE, what: self.patterns[one.pattern()].clone(), range: one.range() }).collect()
    }
}

/// Returns a value as it is and encoded, with words for which is which.
fn forms(value: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("", value.to_vec())];
    for alignment in 0..3 {
        let mut bytes = vec![0; alignment];
        bytes.extend_from_slice(value);
        // The digits that the value alone decides, whatever stands before and after it.
        let (first, end) = ((alignment * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push((" in base64", text.as_bytes()[first..end].to_vec()));
        }
    }
    forms.push((" in hexadecimal", HEXUPPER.encode(value).into_bytes()));
    forms.push((" in hexadecimal", HEXLOWER.encode(value).into_bytes()));
    if let Ok(text) = std::str::from_utf8(value) {
        forms.push((" as in an address", utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().into_bytes()));
        const UNRESERVED: &percent_encoding::AsciiSet =
            &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        forms.push((" as in an address", utf8_percent_encode(text, UNRESERVED).to_string().into_bytes()));
        let quoted = Value::from(text).to_string();
        forms.push((" as in JSON", quoted.as_bytes()[1..quoted.len() - 1].to_vec()));
    }
    forms
}
