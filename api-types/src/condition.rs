//! `Condition` of `meta/v1`: one observation about an object, for programs (`type`, `status`, `reason`) and people
//! (`message`).
//!
//! A reconciler says which conditions hold; the reconcile loop alone sets [`RECONCILING`], [`STALLED`] and
//! [`SUSPENDED`] and fills in `lastTransitionTime`.

use serde::{Deserialize, Serialize};

/// Summary of things that stay: the thing does what its spec says.
pub const READY: &str = "Ready";
/// Summary of runs: the run has ended and its result is good.
pub const SUCCEEDED: &str = "Succeeded";
/// Present, and `True`, only while work towards the spec goes on or is being retried.
pub const RECONCILING: &str = "Reconciling";
/// Present, and `True`, only while nothing will happen until a person changes something.
pub const STALLED: &str = "Stalled";
/// Present, and `True`, only while `spec.suspend` keeps the loop away from the object.
pub const SUSPENDED: &str = "Suspended";

/// What an observation says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody could tell.
    #[default]
    Unknown,
}

impl ConditionStatus {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One observation about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// What is observed: an adjective or past participle in CamelCase.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The generation of the spec that the observation is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` changed last, RFC 3339; filled in by the loop.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_transition_time: String,
    /// One CamelCase word for programs.
    pub reason: String,
    /// A sentence for people that says what to do next if something is wrong.
    pub message: String,
}

impl Condition {
    /// Returns an observation that the loop will complete.
    #[must_use]
    pub fn new(type_: &str, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Self {
        Self { type_: type_.to_owned(), status, reason: reason.to_owned(), message: message.into(), ..Self::default() }
    }
}

/// Returns the condition of a type, if it is there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Returns whether a condition is there and `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Puts a condition in the place of the one with its type, or at the end.
pub fn set(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|present| present.type_ == condition.type_) {
        Some(present) => *present = condition,
        None => conditions.push(condition),
    }
}

/// Takes the condition of a type away.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}
