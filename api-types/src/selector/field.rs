//! Field selectors: `metadata.name=x,status.phase!=Running`, with backslash escapes.

use std::fmt;

use super::SelectorError;

/// A field selector: every requirement must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub(super) requirements: Vec<FieldRequirement>,
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path such as `metadata.name`, without a leading dot.
    pub field: String,
    /// How the field's value is compared.
    pub operator: FieldOperator,
    /// What it is compared with.
    pub value: String,
}

/// How a field's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldOperator {
    /// The field has the value.
    Equals,
    /// The field has another value.
    NotEquals,
}

impl FieldSelector {
    /// Returns the selector that every object matches.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses `f=v`, `f==v` and `f!=v`, joined by commas; `\,`, `\=` and `\\` stand for the plain characters.
    ///
    /// Whether a kind knows the fields is for the caller to check: see [`FieldSelector::requirements`].
    ///
    /// # Errors
    /// A term without operator, a wrong escape.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in terms(text) {
            if term.is_empty() {
                continue;
            }
            let (field, operator, value) = split(term)
                .ok_or_else(|| SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")))?;
            requirements.push(FieldRequirement { field: field.to_owned(), operator, value: unescape(value)? });
        }
        Ok(Self { requirements })
    }

    /// Returns whether every object matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Returns the requirements in the order they were written.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Returns the value that the field must have, if the selector demands one.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        let mut exact = self.requirements.iter().filter(|found| found.operator == FieldOperator::Equals);
        exact.find(|found| found.field == field).map(|found| found.value.as_str())
    }

    /// Refuses fields that a kind does not offer; `is_known` says which it does.
    ///
    /// # Errors
    /// The first field that is not known.
    pub fn check_fields(&self, is_known: impl Fn(&str) -> bool) -> Result<(), SelectorError> {
        match self.requirements.iter().find(|requirement| !is_known(&requirement.field)) {
            Some(unknown) => Err(SelectorError(format!("field label not supported: {}", unknown.field))),
            None => Ok(()),
        }
    }

    /// Returns whether fields match; `value_of` returns a field's value, and an absent field counts as empty.
    pub fn matches(&self, value_of: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let is_equal = value_of(&requirement.field).unwrap_or_default() == requirement.value;
            is_equal == (requirement.operator == FieldOperator::Equals)
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = match requirement.operator {
                FieldOperator::Equals => "=",
                FieldOperator::NotEquals => "!=",
            };
            let value = requirement.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(formatter, "{comma}{}{operator}{value}", requirement.field)?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash escapes.
fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Splits a term at its first operator.
fn split(term: &str) -> Option<(&str, FieldOperator, &str)> {
    let index = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(index);
    let operators = [("!=", FieldOperator::NotEquals), ("==", FieldOperator::Equals), ("=", FieldOperator::Equals)];
    let found = operators.into_iter().find_map(|(text, operator)| Some((operator, rest.strip_prefix(text)?)));
    found.map(|(operator, value)| (field, operator, value))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: {sequence}; write \\\\ for a backslash"
                    )));
                }
            },
            '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: = in '{value}'; write \\= instead"
                )));
            }
            plain_char => plain.push(plain_char),
        }
    }
    Ok(plain)
}
