//! Regular expressions with Go's meaning: ASCII classes, no set operators inside brackets, bounded size.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// Largest compiled program of one expression, in bytes; a hostile `(a{1000}){1000}` is refused, not built.
const LARGEST_PROGRAM: usize = 512 * 1024;

/// The expression of a schema: known to be good, and compiled when something is matched against it for the first time. A
/// server has some hundreds of them, of which most are never asked; all of them compiled take more than a megabyte.
#[derive(Debug)]
pub(super) struct Pattern {
    source: String,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// Checks an expression.
    ///
    /// # Errors
    /// As [`compile`].
    pub(super) fn new(source: &str) -> Result<Self, String> {
        compile(source).map(|_| Self { source: source.to_owned(), compiled: OnceLock::new() })
    }

    /// The expression as it was written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether the expression is found in `text`.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.compiled.get_or_init(|| compile(&self.source).expect("it was compiled before")).is_match(text)
    }
}

/// Compiles an expression as Go's RE2 would understand it.
///
/// # Errors
/// Says what is wrong with the expression.
pub(super) fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(expression)).size_limit(LARGEST_PROGRAM).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("it needs more than {limit} bytes when compiled"),
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

/// Rewrites the few things that mean something else in the `regex` crate.
fn translate(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len() + 16);
    let mut characters = expression.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('d') => translated.push_str("[0-9]"),
                Some('D') => translated.push_str("[^0-9]"),
                Some('w') => translated.push_str("[0-9A-Za-z_]"),
                Some('W') => translated.push_str("[^0-9A-Za-z_]"),
                Some('s') => translated.push_str("[\\t\\n\\f\\r ]"),
                Some('S') => translated.push_str("[^\\t\\n\\f\\r ]"),
                Some('b') if !in_class => translated.push_str("(?-u:\\b)"),
                Some('B') if !in_class => translated.push_str("(?-u:\\B)"),
                Some(other) => translated.extend(['\\', other]),
                None => translated.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                translated.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                // A bracket right at the start is a literal in both dialects.
                if characters.next_if_eq(&']').is_some() {
                    translated.push_str("\\]");
                }
            }
            '[' if characters.peek() == Some(&':') => translated.push('['),
            '[' => translated.push_str("\\["),
            ']' if in_class => {
                // `[:alpha:]` closes itself, not the class around it.
                in_class = translated.ends_with(':') && characters.peek().is_some();
                translated.push(']');
            }
            '&' | '~' if in_class => translated.extend(['\\', character]),
            '-' if in_class && characters.peek() == Some(&'-') => translated.push_str("\\-"),
            other => translated.push(other),
        }
    }
    translated
}
