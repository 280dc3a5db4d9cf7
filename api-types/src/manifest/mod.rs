//! Manifests: objects written as YAML or JSON, several in one text.

#[cfg(test)]
mod tests;
mod unique;

use serde_json::Value;
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Budget, Options, Spanned};

/// Longest text that is read, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most documents in one text.
pub const DOCUMENTS_MAX: usize = 10_000;
/// Most values in one text, aliases expanded.
const NODES_MAX: usize = 1_000_000;
/// Most values that aliases may add: a bomb has more, a manifest has none.
const ALIAS_NODES_MAX: usize = 50_000;
/// Deepest nesting: more does not fit on the stack of a thread in a debug build.
const DEPTH_MAX: usize = 64;

/// One object and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Line of the text on which the object begins, counted from 1.
    pub line: u64,
    /// The object: `apiVersion`, `kind` and `metadata` are there.
    pub object: Value,
}

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*.line, *.column))]
pub struct ManifestError {
    /// Line counted from 1; 0 when no place can be named.
    pub line: u64,
    /// Column counted from 1; 0 when no place can be named.
    pub column: u64,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Reads every object of a text: YAML documents between `---`, or JSON values one after another. Empty documents are
/// left out, and the items of a `List` stand in its place.
///
/// # Errors
/// Text that is neither YAML nor JSON, has a key twice, is no object with `apiVersion`, `kind` and
/// `metadata.name` or `metadata.generateName`, or is larger than the limits of this module.
pub fn parse(text: &str) -> Result<Vec<Document>, ManifestError> {
    let mut objects = Vec::new();
    for document in documents(text)? {
        flatten(document, &mut objects)?;
    }
    Ok(objects)
}

/// Reads every value of a text without asking what it is; see [`parse`].
///
/// # Errors
/// Text that is neither YAML nor JSON, has a key twice or is larger than the limits of this module.
pub fn documents(text: &str) -> Result<Vec<Document>, ManifestError> {
    documents_within(text, NODES_MAX)
}

/// Reads every value of a text of at most `nodes_max` values, as [`documents`] does.
///
/// # Errors
/// As [`documents`]; the message of a text that is too large names the limit.
pub fn documents_within(text: &str, nodes_max: usize) -> Result<Vec<Document>, ManifestError> {
    if text.len() > MANIFEST_BYTES_MAX {
        let message = format!("the text is longer than {MANIFEST_BYTES_MAX} bytes: split it into several files");
        return Err(ManifestError { line: 0, column: 0, message });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        // JSON is read without a budget: what it can hold is counted beforehand.
        let values_max = text.bytes().filter(|byte| matches!(byte, b'{' | b'[' | b',')).count();
        if nodes_max < NODES_MAX && values_max > nodes_max {
            let message = format!("there are more than {nodes_max} values");
            return Err(ManifestError { line: 0, column: 0, message });
        }
        // YAML's flow style begins in the same way; what is wrong with it is then said by its own parser.
        if let Ok(documents) = unique::documents(text, DOCUMENTS_MAX) {
            return Ok(documents);
        }
    }
    let documents =
        serde_saphyr::from_multiple_with_options::<Spanned<Value>>(text, options(nodes_max)).map_err(|error| {
            let location = error.location();
            let message = error.without_snippet().to_string();
            ManifestError {
                line: location.map_or(0, |location| location.line()),
                column: location.map_or(0, |location| location.column()),
                message: message.split(" at line ").next().and_then(first_clause).unwrap_or_default().to_owned(),
            }
        })?;
    Ok(documents
        .into_iter()
        .map(|document| Document { line: document.referenced.line(), object: document.value })
        .filter(|document| !document.object.is_null())
        .collect())
}

/// Returns the message without the parser's advice to programmers.
fn first_clause(message: &str) -> Option<&str> {
    message.split(", set DuplicateKeyPolicy").next()
}

fn options(nodes_max: usize) -> Options {
    let mut budget = Budget::default();
    budget.max_documents = DOCUMENTS_MAX;
    budget.max_nodes = nodes_max.min(NODES_MAX);
    budget.max_depth = DEPTH_MAX;
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = ALIAS_NODES_MAX;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits = alias_limits;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Merge;
    options.strict_booleans = true;
    options.non_finite_float_policy = NonFiniteFloatPolicy::Reject;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    options
}

/// Checks a document and replaces a list by its items.
fn flatten(document: Document, objects: &mut Vec<Document>) -> Result<(), ManifestError> {
    let fail = |message: String| Err(ManifestError { line: document.line, column: 1, message });
    let Some(members) = document.object.as_object() else {
        return fail("an object is a mapping with apiVersion, kind and metadata, not a bare value".to_owned());
    };
    for field in ["apiVersion", "kind"] {
        match members.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return fail(format!("{field} must be a text that is not empty")),
            None => return fail(format!("{field} is missing; see `ccctl api-resources` for what can be written")),
        }
    }
    let is_list = members["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Some(items) = members.get("items") {
        let Some(items) = items.as_array() else { return fail("items must be a list of objects".to_owned()) };
        if objects.len() + items.len() > DOCUMENTS_MAX {
            return fail(format!("there are more than {DOCUMENTS_MAX} objects: split the text into several files"));
        }
        for item in items {
            if item["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && item.get("items").is_some() {
                return fail("a list may not contain lists".to_owned());
            }
            flatten(Document { line: document.line, object: item.clone() }, objects)?;
        }
        return Ok(());
    }
    let is_named = |field: &str| document.object["metadata"][field].as_str().is_some_and(|name| !name.is_empty());
    if !is_named("name") && !is_named("generateName") {
        return fail("metadata.name is missing; a name is a text, so put quotes around a number".to_owned());
    }
    objects.push(document);
    Ok(())
}

fn place(line: u64, column: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}, column {column}: ") }
}
