//! What one object tells about itself, and what to type about it.

use jiff::Timestamp;
use serde_json::Value;

use super::Link;
use crate::fields::{self, Condition};
use crate::output::text::{Colour, age};

/// Words in `status` that mean that a part failed.
const FAILED_WORDS: [&str; 6] = ["Fail", "Failed", "Error", "Lost", "CrashLoop", "TimedOut"];

/// How an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is wrong.
    Fine,
    /// Not finished.
    Open,
    /// Something failed.
    Bad,
    /// Somebody suspended it.
    Suspended,
    /// It is being deleted.
    Terminating,
    /// It is not there.
    Missing,
}

/// What an object tells about itself.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) state: State,
    /// Follows the object's name in a sentence.
    pub(super) headline: String,
    /// Sentences from the object.
    pub(super) details: Vec<String>,
    /// Reason of the condition that decided.
    pub(super) reason: String,
}

/// Returns where something stands in a queue, and what it waits for there.
fn place_in_queue(status: &Value) -> Option<String> {
    let queue = &status["queue"];
    let reason = fields::text(queue, "reason");
    match queue["position"].as_u64().filter(|_| fields::text(status, "phase") == "Queued") {
        Some(position) if reason.is_empty() => Some(format!("place {position} in the queue")),
        Some(position) => Some(format!("place {position} in the queue: {reason}")),
        None => None,
    }
}

impl Finding {
    /// Returns the finding about something that does not exist.
    pub(super) fn missing(field: &str) -> Self {
        Self {
            state: State::Missing,
            headline: format!("does not exist ({field} names it)"),
            details: Vec::new(),
            reason: "NotFound".to_owned(),
        }
    }

    /// Looks at an object.
    pub(super) fn of(object: &Value, now: Timestamp) -> Self {
        let conditions = fields::conditions(object);
        let mut finding = Self::of_state(object, &conditions, now);
        if finding.state != State::Fine && finding.state != State::Suspended {
            finding.details.extend(failed_parts(&object["status"]));
        }
        finding.details.extend(place_in_queue(&object["status"]));
        if fields::is_outdated(object) && finding.state != State::Terminating {
            finding.details.push("the server has not worked on the latest change yet".to_owned());
        }
        finding.details.retain(|detail| !detail.is_empty());
        finding.details.dedup();
        finding
    }

    fn of_state(object: &Value, conditions: &[Condition], now: Timestamp) -> Self {
        let metadata = &object["metadata"];
        if let Some(since) = metadata["deletionTimestamp"].as_str() {
            let finalizers: Vec<&str> =
                metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let waits = if finalizers.is_empty() { "the server".to_owned() } else { finalizers.join(", ") };
            let told =
                conditions.iter().filter(|condition| condition.is_bad()).map(|condition| condition.message.clone());
            return Self {
                state: State::Terminating,
                headline: format!("is being deleted for {}; it waits for {waits}", age(Some(since), now)),
                details: told.collect(),
                reason: "Terminating".to_owned(),
            };
        }
        if object["spec"]["suspend"] == true {
            return Self {
                state: State::Suspended,
                headline: "is suspended: the server leaves it alone".to_owned(),
                details: Vec::new(),
                reason: "Suspended".to_owned(),
            };
        }
        let summary = fields::summary(conditions);
        let phase = fields::text(&object["status"], "phase");
        match deciding(conditions) {
            Some(condition) => Self::of_condition(condition, summary, phase, now),
            None if FAILED_WORDS.contains(&phase) => Self::plain(State::Bad, format!("is {phase}"), object),
            None if ["Pending", "Queued", "Running", "Waiting"].contains(&phase) => {
                Self::plain(State::Open, format!("is {phase}"), object)
            }
            None => {
                let word = if phase.is_empty() {
                    summary.map(|condition| condition.type_.clone())
                } else {
                    Some(phase.to_owned())
                };
                let headline = match word {
                    Some(word) => format!("is {word}: nothing is wrong with it"),
                    None if object["status"].is_null() => "says nothing about its state".to_owned(),
                    None => "has nothing to complain about".to_owned(),
                };
                Self { state: State::Fine, headline, details: Vec::new(), reason: String::new() }
            }
        }
    }

    fn plain(state: State, headline: String, object: &Value) -> Self {
        let told = ["message", "reason"].into_iter().map(|field| fields::text(&object["status"], field).to_owned());
        Self { state, headline, details: told.filter(|text| !text.is_empty()).collect(), reason: String::new() }
    }

    fn of_condition(condition: &Condition, summary: Option<&Condition>, phase: &str, now: Timestamp) -> Self {
        if phase.is_empty() && summary.is_some_and(|summary| summary.type_ == condition.type_) {
            return Self::of_summary(condition, now);
        }
        let word = match (phase, summary) {
            ("", Some(summary)) if summary.status != "True" => format!("is not {}: ", summary.type_),
            ("", _) => String::new(),
            (phase, _) => format!("is {phase}: "),
        };
        let since = condition
            .last_transition_time
            .as_deref()
            .map(|time| format!(" for {}", age(Some(time), now)))
            .unwrap_or_default();
        let reason = if condition.reason.is_empty() { String::new() } else { format!(" ({})", condition.reason) };
        let mut details = vec![condition.message.clone()];
        // The summary may say more than the condition that decided it.
        details.extend(
            summary
                .filter(|summary| summary.status != "True" && summary.message != condition.message)
                .map(|summary| summary.message.clone()),
        );
        Self {
            state: if condition.is_bad() { State::Bad } else { State::Open },
            headline: format!("{word}{} is {}{since}{reason}", condition.type_, condition.status),
            details,
            reason: condition.reason.clone(),
        }
    }

    /// Tells of a summary that no other condition explains.
    fn of_summary(condition: &Condition, now: Timestamp) -> Self {
        let since = condition
            .last_transition_time
            .as_deref()
            .map(|time| age(Some(time), now))
            .unwrap_or_else(|| "some time".to_owned());
        let reason = if condition.reason.is_empty() { String::new() } else { format!(" ({})", condition.reason) };
        let (state, headline) = if condition.is_open() {
            (State::Open, format!("has not been found {} yet, for {since}{reason}", condition.type_))
        } else {
            (State::Bad, format!("is not {} for {since}{reason}", condition.type_))
        };
        Self { state, headline, details: vec![condition.message.clone()], reason: condition.reason.clone() }
    }

    /// Says whether something else may explain this.
    pub(super) fn wants_explanation(&self) -> bool {
        matches!(self.state, State::Open | State::Bad | State::Terminating)
    }

    pub(super) fn colour(&self) -> Colour {
        match self.state {
            State::Fine => Colour::Green,
            State::Bad | State::Missing => Colour::Red,
            State::Open | State::Suspended | State::Terminating => Colour::Yellow,
        }
    }
}

/// Returns the condition that explains the object: `Stalled` before anything that failed before anything that is not
/// known, and details before the summary.
fn deciding(conditions: &[Condition]) -> Option<&Condition> {
    let is_summary = |condition: &&Condition| ["Ready", "Succeeded"].contains(&condition.type_.as_str());
    let first = |wanted: &dyn Fn(&Condition) -> bool| {
        let found: Vec<&Condition> = conditions.iter().filter(|condition| wanted(condition)).collect();
        found.iter().find(|condition| !is_summary(condition)).or_else(|| found.first()).copied()
    };
    first(&|condition| condition.type_ == "Stalled" && condition.is_bad())
        .or_else(|| first(&|condition| condition.is_bad() && condition.type_ != "Reconciling"))
        .or_else(|| first(&Condition::is_open))
        .or_else(|| first(&|condition| condition.type_ == "Reconciling" && condition.is_bad()))
}

/// Returns what a status tells of its parts that failed: services, rungs, tests.
fn failed_parts(status: &Value) -> Vec<String> {
    let lists = status.as_object().into_iter().flatten().filter(|(field, _)| *field != "conditions");
    let parts = lists.filter_map(|(field, value)| Some((field, value.as_array()?)));
    let mut found = Vec::new();
    for (field, items) in parts {
        for item in items {
            let name = fields::text(item, "name");
            let failed =
                ["status", "state", "phase"].into_iter().find(|key| FAILED_WORDS.contains(&fields::text(item, key)));
            let told = ["lastError", "message", "error", "reason"]
                .into_iter()
                .map(|key| fields::text(item, key))
                .find(|text| !text.is_empty());
            let last_error = !fields::text(item, "lastError").is_empty();
            if !name.is_empty() && (failed.is_some() || last_error) {
                let singular = field.strip_suffix('s').unwrap_or(field);
                found.push(format!("{singular} {name}: {}", told.unwrap_or("failed")));
            }
        }
    }
    // The first failure is the cause, the others follow from it more often than not.
    found.truncate(2);
    found
}

/// Returns the command to type about the end of a chain.
pub(super) fn next_command(end: &Link) -> String {
    let reference = &end.reference;
    let within = reference.namespace_option();
    let object = format!("{}/{}", reference.resource.singular, reference.name);
    if let Some(command) = end.finding.details.iter().find_map(|detail| command_in(detail)) {
        return command;
    }
    match end.finding.state {
        State::Missing if reference.resource.kind == "Secret" => {
            format!("ccctl create secret generic {}{within} --from-file=KEY=FILE", reference.name)
        }
        State::Missing => format!("ccctl get {}{within}", reference.resource.plural),
        State::Suspended => format!("ccctl resume {object}{within}"),
        State::Bad | State::Open if end.finding.reason == "AwaitingApproval" => {
            format!("ccctl approve {}{within}", reference.name)
        }
        State::Bad if reference.resource.has_subresource("log") => format!("ccctl logs {object}{within}"),
        State::Open if reference.resource.has_subresource("log") => format!("ccctl logs -f {object}{within}"),
        State::Fine | State::Open | State::Bad | State::Terminating => format!("ccctl describe {object}{within}"),
    }
}

/// Messages say what to do next; a command stands in backticks.
fn command_in(text: &str) -> Option<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .find(|quoted| quoted.starts_with("ccctl ") || quoted.starts_with("ccd "))
        .map(str::to_owned)
}
