//! JSONPath on the command line: the API's own paths and templates, with errors for people.

use std::cmp::Ordering;

use api_types::jsonpath::{JsonPath, Template, plain_text};
use serde_json::Value;

use crate::error::{CommandError, Result};

/// Reads the template of `-o jsonpath=`.
///
/// # Errors
/// What is wrong, and where.
pub fn template(source: &str) -> Result<Template> {
    Template::parse(source).map_err(|error| {
        CommandError::user(format!("error parsing jsonpath {source}: {error}"))
            .hint("for example '{.metadata.name}' or '{range .items[*]}{.metadata.name}{\"\\n\"}{end}'")
    })
}

/// Reads a path such as `.status.phase`; braces and the first dot may be missing.
///
/// # Errors
/// What is wrong, and where.
pub fn path(source: &str) -> Result<JsonPath> {
    JsonPath::parse(source).map_err(|error| {
        CommandError::user(format!("\"{source}\" is not a path: {error}")).hint("write for example .status.phase")
    })
}

/// Returns the values that a path finds as one text; `<none>` when there are none.
#[must_use]
pub fn cell(path: &JsonPath, object: &Value) -> String {
    let found: Vec<String> = path.find(object).into_iter().filter(|value| !value.is_null()).map(plain_text).collect();
    if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
}

/// Compares for sorting: numbers as numbers, everything else as text.
#[must_use]
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => plain_text(left).cmp(&plain_text(right)),
    }
}
