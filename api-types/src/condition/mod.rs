//! `Condition` of `meta/v1`: one observation about an object, for programs (`type`, `status`, `reason`) and people
//! (`message`).
//!
//! A reconciler says which conditions hold; the reconcile loop alone sets [`RECONCILING`], [`STALLED`] and
//! [`SUSPENDED`] and fills in `lastTransitionTime`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type", "status"]))]
pub struct Condition {
    /// What is observed: an adjective or past participle in CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// The generation of the spec that the observation is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` changed last, RFC 3339; filled in by the loop.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_transition_time: String,
    /// One CamelCase word for programs.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// A sentence for people that says what to do next if something is wrong.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Every type of condition that objects of ours have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The thing does what its spec says.
    Ready,
    /// The run has ended and its result is good.
    Succeeded,
    /// Work towards the spec goes on or is being retried.
    Reconciling,
    /// Nothing will happen until a person changes something.
    Stalled,
    /// `spec.suspend` keeps the loop away from the object.
    Suspended,
    /// Forge: the server answers.
    Reachable,
    /// Forge: the token is taken.
    Authenticated,
    /// Forge: the token may do everything that is needed.
    ScopesSufficient,
    /// Repository: the last poll reached the forge and everything it found was dealt with.
    Polled,
    /// Repository: every trigger can start what it names.
    TriggersActive,
    /// TestRun: the recipe exists and the run may be tried.
    Accepted,
    /// TestRun: the head commit is trusted enough to be run.
    Approved,
    /// TestRun: there is room, and the run has begun.
    Scheduled,
    /// TestRun and Recipe: the commit and all tags are there.
    Fetched,
    /// TestRun and App: the stack is on the swarm.
    Deployed,
    /// TestRun: every rung has a result.
    Tested,
    /// TestRun: nothing of the run is left on the swarm.
    CleanedUp,
    /// TestRun: comment and commit status tell the outcome.
    Reported,
    /// App: version, environment, secrets and domain are known and good.
    Configured,
    /// App: desired replicas run the requested spec.
    Converged,
    /// App: the health checks pass.
    Healthy,
    /// App: what runs is not what the spec says.
    Drifted,
    /// App: every App that it needs is ready.
    DependenciesReady,
    /// App: no newer version waits for anything.
    UpToDate,
    /// Certificate: the pair matches, the chain is in order, the names are covered, it has not expired.
    Valid,
    /// Certificate: every target has the newest pair.
    Distributed,
    /// Certificate: the addresses present it.
    Served,
    /// Certificate: it expires within `renewBefore`.
    Expiring,
    /// Host: the engine answers.
    EngineReachable,
    /// Host: the engine is part of a swarm.
    SwarmActive,
    /// Host: every network exists as described.
    NetworksReady,
    /// Host: enough bytes are free.
    DiskOk,
    /// Host: enough inodes are free.
    InodesOk,
    /// Host: enough memory is free.
    MemoryOk,
    /// Approval: it still names the pull request's head.
    Current,
    /// Approval: whoever gave it may still give it.
    Authorized,
}

impl ConditionType {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => READY,
            Self::Succeeded => SUCCEEDED,
            Self::Reconciling => RECONCILING,
            Self::Stalled => STALLED,
            Self::Suspended => SUSPENDED,
            Self::Reachable => "Reachable",
            Self::Authenticated => "Authenticated",
            Self::ScopesSufficient => "ScopesSufficient",
            Self::Polled => "Polled",
            Self::TriggersActive => "TriggersActive",
            Self::Accepted => "Accepted",
            Self::Approved => "Approved",
            Self::Scheduled => "Scheduled",
            Self::Fetched => "Fetched",
            Self::Deployed => "Deployed",
            Self::Tested => "Tested",
            Self::CleanedUp => "CleanedUp",
            Self::Reported => "Reported",
            Self::Configured => "Configured",
            Self::Converged => "Converged",
            Self::Healthy => "Healthy",
            Self::Drifted => "Drifted",
            Self::DependenciesReady => "DependenciesReady",
            Self::UpToDate => "UpToDate",
            Self::Valid => "Valid",
            Self::Distributed => "Distributed",
            Self::Served => "Served",
            Self::Expiring => "Expiring",
            Self::EngineReachable => "EngineReachable",
            Self::SwarmActive => "SwarmActive",
            Self::NetworksReady => "NetworksReady",
            Self::DiskOk => "DiskOk",
            Self::InodesOk => "InodesOk",
            Self::MemoryOk => "MemoryOk",
            Self::Current => "Current",
            Self::Authorized => "Authorized",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
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

/// Puts a condition in the place of the one with its type as an observation made at `now`: `lastTransitionTime` stays
/// while `status` stays, and the list is sorted by type so that equal observations are equal bytes.
pub fn observe(conditions: &mut Vec<Condition>, condition: Condition, now: &str) {
    let since = find(conditions, &condition.type_)
        .filter(|present| present.status == condition.status && !present.last_transition_time.is_empty())
        .map_or_else(|| now.to_owned(), |present| present.last_transition_time.clone());
    set(conditions, Condition { last_transition_time: since, ..condition });
    conditions.sort_by(|left, right| left.type_.cmp(&right.type_));
}

/// Sums conditions up in one of type `summary`: the first of `order` that is `False` decides, then the first that is
/// `Unknown` or missing; when all are `True` so is the summary, with `reason` and `message`.
#[must_use]
pub fn summarise(
    conditions: &[Condition],
    summary: &str,
    order: &[ConditionType],
    reason: &str,
    message: &str,
) -> Condition {
    let missing = |type_: &ConditionType| Condition {
        message: format!("{type_} has not been looked at yet"),
        ..Condition::new(type_.word(), ConditionStatus::Unknown, crate::reason::PROGRESSING, "")
    };
    let found: Vec<Condition> =
        order.iter().map(|type_| find(conditions, type_.word()).cloned().unwrap_or_else(|| missing(type_))).collect();
    let first = |status| found.iter().find(|condition| condition.status == status);
    match first(ConditionStatus::False).or_else(|| first(ConditionStatus::Unknown)) {
        Some(decisive) => Condition::new(summary, decisive.status, &decisive.reason, decisive.message.clone()),
        None => Condition::new(summary, ConditionStatus::True, reason, message),
    }
}
