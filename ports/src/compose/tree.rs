//! [`Node`]: a value of a YAML file together with where it is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stack::Place;

/// A value and where it is written. Two nodes are equal when their values are.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub spot: Arc<Spot>,
}

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// File, relative to the checkout's root.
    pub file: Arc<str>,
    /// Line, from 1; 0 when it is written nowhere.
    pub line: u32,
    /// Path in the file, such as `services.app.volumes[0]`.
    pub path: String,
}

impl Spot {
    /// Returns the place that findings name.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { file: self.file.to_string(), line: self.line, path: self.path.clone() }
    }
}

/// A value of a YAML file, after the rules of [`super::scalar`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `~`, `null` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that only fits without a sign.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// A date or time, as Go prints it. A date is not text: `environment` prints it, other places refuse it.
    Time(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A mapping.
pub(super) type Map = BTreeMap<String, Node>;

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// Returns a node at a spot.
    #[must_use]
    pub fn new(value: Value, spot: &Arc<Spot>) -> Self {
        Self { value, spot: Arc::clone(spot) }
    }

    /// Returns a text at a spot.
    #[must_use]
    pub fn text(text: impl Into<String>, spot: &Arc<Spot>) -> Self {
        Self::new(Value::Text(text.into()), spot)
    }

    /// Returns the place that findings name.
    #[must_use]
    pub fn place(&self) -> Place {
        self.spot.place()
    }

    /// Returns the entries of a mapping; none for anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let map = match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().map(|(key, node)| (key.as_str(), node))
    }

    /// Returns the items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns one entry of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// Returns the entry at a path of keys.
    #[must_use]
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Returns a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns whether it is a boolean that is true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.value == Value::Bool(true)
    }

    /// Returns a whole number: also one that is written like `3.0`.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match &self.value {
            Value::Int(number) => Some(*number),
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, as just checked")]
                Some(*number as i64)
            }
            _ => None,
        }
    }

    /// Returns the same value as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Unsigned(value) => (*value).into(),
            Value::Float(value) => serde_json::Number::from_f64(*value).map_or(serde_json::Value::Null, Into::into),
            Value::Time(text) | Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(key, node)| (key.clone(), node.to_json())).collect())
            }
        }
    }

    /// Gives every node below this one its path and file; lines stay.
    pub(super) fn settle(&mut self, file: &Arc<str>, path: &str) {
        self.spot = Arc::new(Spot { file: Arc::clone(file), line: self.spot.line, path: path.to_owned() });
        match &mut self.value {
            Value::List(items) => {
                for (position, item) in items.iter_mut().enumerate() {
                    item.settle(file, &format!("{path}[{position}]"));
                }
            }
            Value::Map(map) => {
                for (key, node) in map {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    node.settle(file, &below);
                }
            }
            _ => {}
        }
    }
}

impl Value {
    /// Returns the word that error messages use.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Unsigned(_) | Self::Float(_) => "a number",
            Self::Time(_) => "a date",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}
