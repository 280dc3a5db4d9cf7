//! Which keys and values a compose file may have: format versions 3.0 to 3.13, as Docker checks them.
//!
//! [`shapes`] says what is allowed, this file how it is checked.

mod shapes;

use super::durations;
use super::ports;
use super::stack::{Finding, LoadError, Place, Severity};
use super::tree::{Node, Value};

/// The newest version of the format, which a file without `version` has as well.
pub(super) const NEWEST_MINOR: u8 = 13;

/// What a value may be.
pub(super) enum Shape {
    /// One of these kinds.
    Kinds(&'static [Kind]),
    /// Text out of these words.
    Words(&'static [&'static str]),
    /// Text that is a duration: `1m30s`.
    Duration,
    /// A port in the short form.
    Port,
    /// A list.
    List {
        /// What its items may be.
        item: &'static Self,
        /// Whether two items may be equal.
        repeats: bool,
    },
    /// A mapping with known keys.
    Fields(&'static Fields),
    /// A mapping with keys of one's own.
    Entries {
        /// Which keys.
        keys: Keys,
        /// What their values may be.
        value: &'static Self,
        /// Whether other keys are passed over instead of refused.
        open: bool,
    },
    /// The first that has the value's kind.
    Either(&'static [Self]),
    /// What it may be depends on the format's version.
    Since(u8, &'static Self, &'static Self),
}

/// A kind of value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Null,
    /// A boolean.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Number,
    /// Text.
    Text,
    /// A mapping.
    Map,
}

/// Which keys a mapping may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Any.
    Any,
    /// Letters, digits, `.`, `_` and `-`.
    Name,
    /// Lower-case letters.
    Lower,
}

/// A mapping with known keys.
pub(super) struct Fields {
    /// The keys.
    pub known: &'static [Field],
    /// From which minor version on other keys are passed over; `None` refuses them always.
    pub open_since: Option<u8>,
    /// From which minor version on keys that begin with `x-` are one's own.
    pub extensions_since: Option<u8>,
    /// Keys that must be there.
    pub required: &'static [&'static str],
}

/// A known key.
pub(super) struct Field {
    /// Its name.
    pub name: &'static str,
    /// The minor version that brought it.
    pub since: u8,
    /// What its value may be.
    pub shape: Shape,
}

/// Returns the minor version of a file's format: 8 for `"3.8"`.
///
/// # Errors
///
/// The version is none that a swarm knows.
pub(super) fn version(root: &Node) -> Result<u8, LoadError> {
    let Some(version) = root.get("version") else { return Ok(NEWEST_MINOR) };
    let text = super::scalar::print(&version.value).unwrap_or_default();
    match text.as_str() {
        "" if version.value != Value::Null => return Ok(NEWEST_MINOR),
        "3" => return Ok(NEWEST_MINOR),
        _ => {}
    }
    text.strip_prefix("3.")
        .filter(|minor| !minor.starts_with('0') || *minor == "0")
        .and_then(|minor| minor.parse().ok())
        .filter(|minor| *minor <= NEWEST_MINOR)
        .ok_or_else(|| {
            let message = format!("a swarm knows the versions \"3.0\" to \"3.{NEWEST_MINOR}\", not {text:?}");
            LoadError::one("UnsupportedVersion", version.place(), message)
        })
}

/// Checks a whole file.
///
/// # Errors
///
/// Everything that is wrong, each with its place.
pub(super) fn validate(root: &Node, minor: u8) -> Result<(), LoadError> {
    let mut check = Check { minor, findings: Vec::new() };
    check.shape(root, &shapes::FILE);
    if check.findings.is_empty() { Ok(()) } else { Err(LoadError { findings: check.findings }) }
}

struct Check {
    minor: u8,
    findings: Vec<Finding>,
}

impl Check {
    fn wrong(&mut self, rule: &str, place: Place, message: String) {
        self.findings.push(Finding { severity: Severity::Error, rule: rule.to_owned(), place, message });
    }

    fn shape(&mut self, node: &Node, shape: &Shape) {
        match shape {
            Shape::Since(minor, new, old) => self.shape(node, if self.minor >= *minor { new } else { old }),
            Shape::Either(shapes) => match shapes.iter().find(|shape| self.has_kind(node, shape)) {
                Some(shape) => self.shape(node, shape),
                None => self.kind(node, shape),
            },
            _ if !self.has_kind(node, shape) => self.kind(node, shape),
            Shape::Kinds(_) => {}
            Shape::Words(words) => self.word(node, words),
            Shape::Duration => {
                let text = node.as_text().unwrap_or_default();
                if durations::parse(text).is_none() {
                    self.wrong("InvalidValue", node.place(), format!("{text:?} is not a duration such as `1m30s`"));
                }
            }
            Shape::Port => {
                if let Err(message) = ports::check(node) {
                    self.wrong("InvalidValue", node.place(), message);
                }
            }
            Shape::List { item, repeats } => self.list(node.items(), item, *repeats),
            Shape::Fields(fields) => self.fields(node, fields),
            Shape::Entries { keys, value, open } => self.entries(node, *keys, value, *open),
        }
    }

    /// Returns whether a value is of a kind that the shape is about.
    fn has_kind(&self, node: &Node, shape: &Shape) -> bool {
        match (shape, &node.value) {
            (Shape::Kinds(kinds), _) => kinds.iter().any(|kind| is_kind(node, *kind)),
            (Shape::Words(_) | Shape::Duration, Value::Text(_) | Value::Time(_))
            | (Shape::List { .. }, Value::List(_))
            | (Shape::Fields(_) | Shape::Entries { .. }, Value::Map(_)) => true,
            (Shape::Port, _) => is_kind(node, Kind::Number) || is_kind(node, Kind::Text),
            (Shape::Either(shapes), _) => shapes.iter().any(|shape| self.has_kind(node, shape)),
            (Shape::Since(minor, new, old), _) => self.has_kind(node, if self.minor >= *minor { new } else { old }),
            _ => false,
        }
    }

    fn kind(&mut self, node: &Node, shape: &Shape) {
        let mut wanted = Vec::new();
        self.names(shape, &mut wanted);
        let message = format!("must be {}, not {}", wanted.join(" or "), node.value.kind());
        self.wrong("WrongType", node.place(), message);
    }

    fn names(&self, shape: &Shape, into: &mut Vec<&'static str>) {
        match shape {
            Shape::Kinds(kinds) => into.extend(kinds.iter().map(|kind| match kind {
                Kind::Null => "nothing",
                Kind::Bool => "true or false",
                Kind::Int => "a whole number",
                Kind::Number => "a number",
                Kind::Text => "text",
                Kind::Map => "a mapping",
            })),
            Shape::Words(_) | Shape::Duration => into.push("text"),
            Shape::Port => into.extend(["a number", "text"]),
            Shape::List { .. } => into.push("a list"),
            Shape::Fields(_) | Shape::Entries { .. } => into.push("a mapping"),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| self.names(shape, into)),
            Shape::Since(minor, new, old) => self.names(if self.minor >= *minor { new } else { old }, into),
        }
    }

    fn word(&mut self, node: &Node, words: &[&str]) {
        let text = node.as_text().unwrap_or_default();
        if !words.contains(&text) {
            self.wrong("InvalidValue", node.place(), format!("{text:?} is none of {}", words.join(", ")));
        }
    }

    fn list(&mut self, items: &[Node], item: &Shape, repeats: bool) {
        for (position, node) in items.iter().enumerate() {
            self.shape(node, item);
            if !repeats && items[..position].contains(node) {
                self.wrong("Repeated", node.place(), "the list has this item twice".to_owned());
            }
        }
    }

    fn fields(&mut self, node: &Node, fields: &Fields) {
        for (key, value) in node.entries() {
            let known = fields.known.iter().find(|field| field.name == key);
            match known.filter(|field| field.since <= self.minor) {
                Some(field) => self.shape(value, &field.shape),
                None if key.starts_with("x-") && fields.extensions_since.is_some_and(|since| since <= self.minor) => {}
                None if fields.open_since.is_some_and(|since| since <= self.minor) => {}
                None => {
                    let message = match known {
                        Some(field) => {
                            format!("the key `{key}` needs `version: \"3.{}\"` or newer", field.since)
                        }
                        None => format!("the key `{key}` is not known here: remove it"),
                    };
                    self.wrong("UnknownKey", value.place(), message);
                }
            }
        }
        for required in fields.required {
            if node.get(required).is_none() {
                self.wrong("MissingKey", node.place(), format!("the key `{required}` is missing"));
            }
        }
    }

    fn entries(&mut self, node: &Node, keys: Keys, value: &Shape, open: bool) {
        for (key, below) in node.entries() {
            let fits = match keys {
                Keys::Any => !key.is_empty(),
                Keys::Name => {
                    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                }
                Keys::Lower => !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()),
            };
            if fits {
                self.shape(below, value);
            } else if !open {
                let message = format!("the name {key:?} has other characters than letters, digits, `.`, `_` and `-`");
                self.wrong("InvalidName", below.place(), message);
            }
        }
    }
}

fn is_kind(node: &Node, kind: Kind) -> bool {
    match kind {
        Kind::Null => node.value == Value::Null,
        Kind::Bool => matches!(node.value, Value::Bool(_)),
        Kind::Int => node.as_int().is_some() || matches!(node.value, Value::Unsigned(_)),
        Kind::Number => {
            matches!(node.value, Value::Int(_) | Value::Unsigned(_))
                || matches!(node.value, Value::Float(number) if number.is_finite())
        }
        // A date is text until it is looked at more closely.
        Kind::Text => matches!(node.value, Value::Text(_) | Value::Time(_)),
        Kind::Map => matches!(node.value, Value::Map(_)),
    }
}
