//! A schema prepared for being walked along an object: members sorted, expressions compiled, summaries made.

use api_types::schema::{ListType, SchemaType};
use serde_json::{Number, Value};

use super::cel::Rule;
use super::formats::Format;
use super::regex::Pattern;

/// One node of a compiled schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The JSON type; absent for anything goes and for `x-kubernetes-int-or-string`.
    pub(super) kind: Option<SchemaType>,
    /// Integer or string.
    pub(super) int_or_string: bool,
    /// Whether `null` is a value.
    pub(super) nullable: bool,
    /// Keeps members that are not named.
    pub(super) preserve_unknown: bool,
    /// A whole object with its own `apiVersion`, `kind` and `metadata`.
    pub(super) embedded: bool,
    /// Known members, sorted by name.
    pub(super) properties: Vec<(String, Self)>,
    /// What members are that `properties` does not name.
    pub(super) additional: Additional,
    /// What items of a list are.
    pub(super) items: Option<Box<Self>>,
    /// Members that must be there.
    pub(super) required: Vec<String>,
    /// What is written where the member is absent.
    pub(super) default: Option<Value>,
    /// The only values allowed; empty allows all.
    pub(super) allowed: Vec<Value>,
    /// Bounds of numbers.
    pub(super) numbers: Option<Box<NumberRules>>,
    /// Bounds of strings.
    pub(super) strings: Option<Box<StringRules>>,
    /// Bounds of lists and objects.
    pub(super) counts: Option<Box<CountRules>>,
    /// How items of a list are told apart.
    pub(super) list_type: Option<ListType>,
    /// The members that identify an item of a `map` list.
    pub(super) list_keys: Vec<String>,
    /// `allOf`, `anyOf`, `oneOf`, `not`.
    pub(super) logic: Option<Box<Logic>>,
    /// CEL rules.
    pub(super) rules: Vec<Rule>,
    /// Whether defaulting has anything to do here or below.
    pub(super) defaults_below: bool,
    /// Whether a CEL rule stands here or below.
    pub(super) rules_below: bool,
    /// Whether a `set` or `map` list or an embedded resource stands here or below.
    pub(super) lists_below: bool,
}

/// Members with free keys.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Not said: such members are pruned.
    #[default]
    Unspecified,
    /// `additionalProperties: true`.
    Any,
    /// Each must match.
    Schema(Box<Node>),
}

/// Bounds of numbers.
#[derive(Debug)]
pub(super) struct NumberRules {
    /// Smallest value and whether it is itself excluded.
    pub(super) minimum: Option<(Number, bool)>,
    /// Largest value and whether it is itself excluded.
    pub(super) maximum: Option<(Number, bool)>,
    /// Factor.
    pub(super) multiple_of: Option<Number>,
    /// `int32`; wider integers are all that JSON can carry.
    pub(super) int32: bool,
}

/// Bounds of strings.
#[derive(Debug)]
pub(super) struct StringRules {
    /// Fewest characters.
    pub(super) min_length: Option<u64>,
    /// Most characters.
    pub(super) max_length: Option<u64>,
    /// What it must look like.
    pub(super) pattern: Option<Pattern>,
    /// Known format.
    pub(super) format: Option<Format>,
}

/// Bounds of lists and objects.
#[derive(Debug)]
pub(super) struct CountRules {
    /// Fewest items.
    pub(super) min_items: Option<u64>,
    /// Most items.
    pub(super) max_items: Option<u64>,
    /// Fewest members.
    pub(super) min_properties: Option<u64>,
    /// Most members.
    pub(super) max_properties: Option<u64>,
}

/// Logical combinations.
#[derive(Debug)]
pub(super) struct Logic {
    /// All hold.
    pub(super) all_of: Vec<Node>,
    /// At least one holds.
    pub(super) any_of: Vec<Node>,
    /// Exactly one holds.
    pub(super) one_of: Vec<Node>,
    /// Does not hold.
    pub(super) not: Option<Node>,
}

impl Node {
    /// Returns the schema of the member `name`, named or free.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.property(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::Unspecified | Additional::Any => None,
        })
    }

    /// Returns the schema of the named member `name`.
    pub(super) fn property(&self, name: &str) -> Option<&Self> {
        let position = self.properties.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(&self.properties[position].1)
    }
}

/// Finds the item of `old` that is the same item as `item` of a `map` list.
pub(super) fn correlated_item<'old>(node: &Node, old: Option<&'old Value>, item: &Value) -> Option<&'old Value> {
    if node.list_type != Some(ListType::Map) {
        return None;
    }
    let same = |other: &Value| node.list_keys.iter().all(|key| other.get(key) == item.get(key));
    old?.as_array()?.iter().find(|other| same(other))
}
