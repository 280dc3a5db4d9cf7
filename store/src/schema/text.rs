//! Values and causes written the way Kubernetes (that is: Go) writes them.

use std::fmt::Write as _;

use api_types::status::StatusCause;
use serde_json::{Number, Value};

/// `FieldValueInvalid`.
pub(super) const INVALID: &str = "FieldValueInvalid";
/// `FieldValueTypeInvalid`.
pub(super) const TYPE_INVALID: &str = "FieldValueTypeInvalid";
/// `FieldValueRequired`.
pub(super) const REQUIRED: &str = "FieldValueRequired";
/// `FieldValueNotSupported`.
pub(super) const NOT_SUPPORTED: &str = "FieldValueNotSupported";
/// `FieldValueDuplicate`.
pub(super) const DUPLICATE: &str = "FieldValueDuplicate";
/// `FieldValueForbidden`.
pub(super) const FORBIDDEN: &str = "FieldValueForbidden";
/// `FieldValueTooLong`.
pub(super) const TOO_LONG: &str = "FieldValueTooLong";
/// `FieldValueTooMany`.
pub(super) const TOO_MANY: &str = "FieldValueTooMany";

/// Returns a cause.
pub(super) fn cause(reason: &str, field: impl ToString, message: String) -> StatusCause {
    StatusCause { reason: reason.to_owned(), message, field: field.to_string() }
}

/// Returns `Invalid value: <value>: <detail>`.
pub(super) fn invalid(field: impl ToString, value: &Value, detail: &str) -> StatusCause {
    cause(INVALID, field, format!("Invalid value: {}: {detail}", bad_value(value)))
}

/// Returns `Required value`, with a detail when there is one.
pub(super) fn required(field: impl ToString, detail: &str) -> StatusCause {
    let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
    cause(REQUIRED, field, message)
}

/// Returns `Forbidden: <detail>`.
pub(super) fn forbidden(field: impl ToString, detail: &str) -> StatusCause {
    cause(FORBIDDEN, field, format!("Forbidden: {detail}"))
}

/// Returns `Too long: may not be more than <limit> bytes`.
pub(super) fn too_long(field: impl ToString, limit: u64) -> StatusCause {
    cause(TOO_LONG, field, format!("Too long: may not be more than {limit} bytes"))
}

/// Returns `Too many: <actual>: must have at most <limit> items`.
pub(super) fn too_many(field: impl ToString, actual: usize, limit: u64) -> StatusCause {
    let items = if limit == 1 { "item" } else { "items" };
    cause(TOO_MANY, field, format!("Too many: {actual}: must have at most {limit} {items}"))
}

/// Returns `Unsupported value: <value>: supported values: …`.
pub(super) fn not_supported(field: impl ToString, value: &Value, supported: &[Value]) -> StatusCause {
    let words: Vec<String> = supported
        .iter()
        .map(|allowed| match allowed {
            Value::String(text) => quote(text),
            other => quote(&other.to_string()),
        })
        .collect();
    cause(
        NOT_SUPPORTED,
        field,
        format!("Unsupported value: {}: supported values: {}", bad_value(value), words.join(", ")),
    )
}

/// Writes a refused value: strings in Go quotes, everything else as compact JSON.
pub(super) fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Number(number) => go_number(number),
        other => other.to_string(),
    }
}

/// Writes a string as Go's `%q` does.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            other => push_escaped(&mut quoted, other),
        }
    }
    quoted.push('"');
    quoted
}

/// Appends one character as it stands inside Go quotes of either kind (the quote itself excepted).
pub(super) fn push_escaped(text: &mut String, character: char) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\u{7}' => text.push_str("\\a"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{b}' => text.push_str("\\v"),
        control if control.is_control() && (control as u32) < 0x80 => {
            write!(text, "\\x{:02x}", control as u32).expect("writing to a string never fails");
        }
        control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
            write!(text, "\\u{:04x}", control as u32).expect("writing to a string never fails");
        }
        printable => text.push(printable),
    }
}

/// Writes a number as Go's `%v` does: `7`, `1.5`, `1e+06`.
pub(super) fn go_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go_float(float),
        _ => number.to_string(),
    }
}

/// Writes a floating point number as Go's `%v` does: `1.5`, `1e+06`.
pub(super) fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
