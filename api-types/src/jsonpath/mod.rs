//! Kubernetes' JSONPath: the paths of printer columns and `wait`, and the templates of `-o jsonpath=`.
//!
//! A path is `.a.b`, `['a.b']`, `.a\.b`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `[?(@.type=="Ready")]` or `..name`, one step
//! after another. A template is text with such paths in braces, and `{range …}…{end}`. Looking for what is not there
//! finds nothing; it is never an error.

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// Longest text that is parsed, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Deepest nesting of filters in filters and of `range` in `range`.
pub const NESTING_MAX: usize = 16;
/// Most values that one path finds; what lies behind is left out.
pub const RESULTS_MAX: usize = 100_000;

/// Why a text is no path or template: what was found where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {position}")]
pub struct JsonPathError {
    /// What is wrong, and what to write instead.
    pub message: String,
    /// Where, counted in characters from 1.
    pub position: usize,
}

/// One path, such as `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// A text with paths in it, such as `{range .items[*]}{.metadata.name}{"\n"}{end}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(JsonPath),
    Range(JsonPath, Vec<Self>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// Back to the outermost value (`$`).
    Root,
    Fields(Vec<String>),
    Indices(Vec<i64>),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        stride: usize,
    },
    Wildcard,
    /// The value itself and everything within it.
    Descendants,
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path; braces around it and the first dot may be missing.
    ///
    /// # Errors
    /// Text that is no path, longer than [`TEXT_BYTES_MAX`] or nested deeper than [`NESTING_MAX`].
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        parse::path(text)
    }

    /// Returns the path that finds nothing.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { steps: vec![Step::Fields(Vec::new())] }
    }

    /// Returns every value that the path leads to, in document order.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        evaluate::find(self, value, value)
    }

    /// Returns the first value that the path leads to.
    #[must_use]
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value).into_iter().next()
    }

    /// Returns the member names of a path of plain members, such as `.spec.replicas`; nothing for any other path.
    #[must_use]
    pub fn members(&self) -> Option<Vec<&str>> {
        let member = |step: &'_ Step| matches!(step, Step::Fields(names) if names.len() == 1);
        if !self.steps.iter().all(member) {
            return None;
        }
        let names = self.steps.iter().flat_map(|step| match step {
            Step::Fields(names) => names.as_slice(),
            _ => &[],
        });
        Some(names.map(String::as_str).collect())
    }
}

impl Template {
    /// Parses a template; a text without braces is taken for one path, as kubectl does.
    ///
    /// # Errors
    /// Text that is no template, longer than [`TEXT_BYTES_MAX`] or nested deeper than [`NESTING_MAX`].
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        if text.contains('{') {
            return Ok(Self { nodes: parse::template(text)? });
        }
        Ok(Self { nodes: vec![Node::Path(parse::path(text)?)] })
    }

    /// Returns the text with every path replaced by what it finds: several values stand side by side with a space
    /// between them, texts without quotes, everything else as JSON.
    #[must_use]
    pub fn render(&self, value: &Value) -> String {
        let mut text = String::new();
        evaluate::render(&self.nodes, value, value, &mut text);
        text
    }
}

/// Returns a value as a cell or a template shows it: a text without quotes, everything else as compact JSON.
#[must_use]
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
