//! The forms in which a secret may turn up.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::{VALUE_BYTES_MAX, VALUE_BYTES_MIN};

/// Shortest line of a secret of several lines that is found by itself.
const LINE_BYTES_MIN: usize = 12;
/// Most lines of a secret that are found by themselves.
const LINES_MAX: usize = 256;

/// Returns every form of a value.
pub(super) fn of(value: &[u8]) -> Vec<Vec<u8>> {
    let trimmed = value.trim_ascii();
    let whole = &trimmed[..trimmed.len().min(VALUE_BYTES_MAX)];
    let mut forms = all_of(whole);
    let lines = trimmed.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    // The frame of a key in PEM is no secret.
    let lines = lines.filter(|line| line.len() >= LINE_BYTES_MIN && *line != whole && !line.starts_with(b"-----"));
    forms.extend(lines.take(LINES_MAX).flat_map(|line| all_of(&line[..line.len().min(VALUE_BYTES_MAX)])));
    forms
}

fn all_of(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    for alignment in 0..3 {
        forms.extend(base64(value, alignment));
    }
    for (keep, hexadecimal) in [(UNRESERVED, UPPER), (UNRESERVED, LOWER), (b"", UPPER), (FORM, UPPER), (FORM, LOWER)] {
        forms.push(url_encoded(value, keep, hexadecimal));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        forms.extend(json_escaped(text));
    }
    forms.retain(|form| form.len() >= VALUE_BYTES_MIN);
    forms
}

/// Returns the digits that the value alone decides when `alignment` bytes stand before it and any number after it.
fn base64(value: &[u8], alignment: usize) -> [Vec<u8>; 2] {
    let mut bytes = vec![0; alignment];
    bytes.extend_from_slice(value);
    let first = (alignment * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    let digits = |text: String| text.into_bytes()[first..end].to_vec();
    [digits(STANDARD_NO_PAD.encode(&bytes)), digits(URL_SAFE_NO_PAD.encode(&bytes))]
}

const UNRESERVED: &[u8] = b"-_.~";
const FORM: &[u8] = b"-_.*";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Letters, digits and the bytes in `keep` stay; a space becomes `+` in the form that web forms use.
fn url_encoded(value: &[u8], keep: &[u8], hexadecimal: &[u8; 16]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(value.len() * 3);
    for byte in value {
        if byte.is_ascii_alphanumeric() || keep.contains(byte) {
            encoded.push(*byte);
        } else if *byte == b' ' && keep == FORM {
            encoded.push(b'+');
        } else {
            let digit = |value: u8| hexadecimal[usize::from(value)];
            encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// Returns the inside of the JSON string as most programs write it, as those that escape for HTML do, and in ASCII.
fn json_escaped(text: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::Value::from(text).to_string();
    let usual = quoted[1..quoted.len() - 1].to_owned();
    let mut html = usual.clone();
    for (character, escape) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")] {
        html = html.replace(character, escape);
    }
    let mut ascii = String::new();
    for unit in usual.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => ascii.push(char::from(byte)),
            // Writing to a String cannot fail.
            None => drop(write!(ascii, "\\u{unit:04x}")),
        }
    }
    let slashes = usual.replace('/', "\\/");
    [usual, html, ascii, slashes].map(String::into_bytes).to_vec()
}
