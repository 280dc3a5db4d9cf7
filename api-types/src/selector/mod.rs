//! Label selectors and field selectors: the texts of `?labelSelector=` and `?fieldSelector=`, and what they match.

mod field;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use field::{FieldOperator, FieldRequirement, FieldSelector};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{label_key_problems, label_value_problems};

/// Why a selector cannot be understood; the text is a whole message of a `BadRequest`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

/// A label selector: every requirement must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, each once.
    values: Vec<String>,
}

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label is there, whatever its value.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label has the one value.
    Equals,
    /// The label has another value, or is not there.
    NotEquals,
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is not there.
    NotIn,
    /// The label is an integer above the value.
    GreaterThan,
    /// The label is an integer below the value.
    LessThan,
}

/// `metav1.LabelSelector`: a label selector as a field of an object. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels and the values they must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements; all must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One requirement of a [`LabelSelector`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// The label's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values for `In` and `NotIn`; empty for the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Selector {
    /// Returns the selector that every object matches.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k>3`, `k<3`, joined by commas.
    ///
    /// # Errors
    /// Text that is none of these, keys and values that labels cannot have.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Self { requirements: parse::parse(text)? })
    }

    /// Returns the selector that selects exactly these labels.
    ///
    /// # Errors
    /// Keys and values that labels cannot have.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Result<Self, SelectorError> {
        let requirements: Result<_, _> =
            labels.iter().map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()])).collect();
        Ok(Self { requirements: requirements? })
    }

    /// Returns whether every object matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Returns the requirements in the order they were written.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns whether labels match; `label` returns the value of a key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Returns whether a map of labels matches.
    #[must_use]
    pub fn matches_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches(|key| labels.get(key).map(String::as_str))
    }

    /// Returns whether the labels in a whole object's `metadata` match.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.matches(|key| labels.get(key).and_then(Value::as_str))
    }
}

impl Requirement {
    /// Returns a requirement after checking that labels can meet it.
    ///
    /// # Errors
    /// A key or value that no label can have, too few or too many values, a number that is none.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        let mut problems = Vec::new();
        let key_problems = label_key_problems(key);
        if !key_problems.is_empty() {
            problems.push(format!("key: Invalid value: {key:?}: {}", key_problems.join("; ")));
        }
        problems.extend(operator.value_problem(&values));
        for (index, value) in values.iter().enumerate() {
            let value_problems = label_value_problems(value);
            if !value_problems.is_empty() {
                problems
                    .push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", value_problems.join("; ")));
            }
        }
        match problems.as_slice() {
            [] => {
                values.sort();
                values.dedup();
                Ok(Self { key: key.to_owned(), operator, values })
            }
            [one] => Err(SelectorError(one.clone())),
            many => Err(SelectorError(format!("[{}]", many.join(", ")))),
        }
    }

    /// Returns the label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns how the value is compared.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Returns the values to compare with, sorted.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Returns whether a label with this value, or an absent one, meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let is_listed = value.is_some_and(|value| self.values.iter().any(|listed| listed == value));
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Equals | Operator::In => is_listed,
            Operator::NotEquals | Operator::NotIn => !is_listed,
            Operator::GreaterThan => self.compares(value, |label, bound| label > bound),
            Operator::LessThan => self.compares(value, |label, bound| label < bound),
        }
    }

    fn compares(&self, value: Option<&str>, compare: fn(i64, i64) -> bool) -> bool {
        let label = value.and_then(|value| value.parse().ok());
        let bound = self.values.first().and_then(|value| value.parse().ok());
        label.zip(bound).is_some_and(|(label, bound)| compare(label, bound))
    }
}

impl Operator {
    fn value_problem(self, values: &[String]) -> Option<String> {
        let shown = || format!("[{}]", values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(","));
        match self {
            Self::In | Self::NotIn if values.is_empty() => Some(format!(
                "values: Invalid value: {}: for 'in', 'notin' operators, values set can't be empty",
                shown()
            )),
            Self::Equals | Self::NotEquals if values.len() != 1 => {
                Some(format!("values: Invalid value: {}: exact-match compatibility requires one single value", shown()))
            }
            Self::Exists | Self::DoesNotExist if !values.is_empty() => Some(format!(
                "values: Invalid value: {}: values set must be empty for exists and does not exist",
                shown()
            )),
            Self::GreaterThan | Self::LessThan if values.len() != 1 => Some(format!(
                "values: Invalid value: {}: for 'Gt', 'Lt' operators, exactly one value is required",
                shown()
            )),
            Self::GreaterThan | Self::LessThan if values[0].parse::<i64>().is_err() => Some(format!(
                "values[0]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer",
                values[0]
            )),
            _ => None,
        }
    }
}

impl LabelSelector {
    /// Converts to a selector that can match.
    ///
    /// # Errors
    /// An operator that does not exist, keys and values that labels cannot have.
    pub fn to_selector(&self) -> Result<Selector, SelectorError> {
        let mut selector = Selector::from_labels(&self.match_labels)?;
        for expression in &self.match_expressions {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!(
                        "{other:?} is not a valid label selector operator: use In, NotIn, Exists or DoesNotExist"
                    )));
                }
            };
            selector.requirements.push(Requirement::new(&expression.key, operator, expression.values.clone())?);
        }
        Ok(selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            write!(formatter, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.join(",");
        match self.operator {
            Operator::Exists => write!(formatter, "{key}"),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
            Operator::Equals => write!(formatter, "{key}={values}"),
            Operator::NotEquals => write!(formatter, "{key}!={values}"),
            Operator::In => write!(formatter, "{key} in ({values})"),
            Operator::NotIn => write!(formatter, "{key} notin ({values})"),
            Operator::GreaterThan => write!(formatter, "{key}>{values}"),
            Operator::LessThan => write!(formatter, "{key}<{values}"),
        }
    }
}
