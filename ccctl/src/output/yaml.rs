//! YAML as kubectl writes it: block style, lists level with their key, long text in literal blocks.

use serde_json::Value;

/// Returns a value as one YAML document with a line end.
///
/// # Panics
/// Never: JSON values always have a YAML form.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = serde_saphyr::to_string_with_options(value, options).expect("JSON values always have a YAML form");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
