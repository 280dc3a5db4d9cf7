//! From what a pass came to, to the status that is written. Pure.

use api_types::condition::{self, Condition, ConditionStatus, RECONCILING, STALLED, SUSPENDED};
use jiff::Timestamp;
use ports::error::ErrorKind;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::runtime::erased::KindFacts;
use crate::runtime::events::seconds;
use crate::runtime::objects::StoredObject;
use crate::runtime::outcome::{Failure, apply_failure, sentence};
use crate::runtime::reconciler::{StatusPart, Writes};

/// What a pass came to, as far as the status shows it.
pub enum Aspect<'a> {
    /// The reconciler decided.
    Decided {
        /// The whole status.
        status: &'a Value,
        /// Whether there is more to do.
        progressing: bool,
    },
    /// Something went wrong; the status stays but for what the table says.
    Failed {
        /// What.
        failure: &'a Failure,
        /// How often in a row, this time included.
        failures: u32,
    },
    /// `spec.suspend` is true; the status stays and says so.
    Suspended,
}

/// Returns the conditions of a status; nothing if there are none or they cannot be read.
#[must_use]
pub fn conditions(status: &Value) -> Vec<Condition> {
    Vec::<Condition>::deserialize(&status["conditions"]).unwrap_or_default()
}

/// Returns one condition of an object as it stands there.
#[must_use]
pub fn find_condition<'object>(object: &'object StoredObject, type_: &str) -> Option<&'object Value> {
    object.value["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

/// Returns the status that `object` should have now.
#[must_use]
pub fn compose(facts: &KindFacts, object: &StoredObject, aspect: &Aspect<'_>, now: Timestamp) -> Value {
    match facts.writes {
        Writes::Only(part) => compose_part(part, facts, object, aspect, now),
        Writes::AllBut(part) => {
            let mut status = compose_whole(facts, object, aspect, now);
            // Whoever writes that part may have been faster: what is stored is the truth.
            take_part(part, &object.value["status"], &mut status);
            status
        }
    }
}

/// Returns the old status with one part of it anew.
fn compose_part(
    part: StatusPart,
    facts: &KindFacts,
    object: &StoredObject,
    aspect: &Aspect<'_>,
    now: Timestamp,
) -> Value {
    let old = &object.value["status"];
    let mut status = old.clone();
    match aspect {
        Aspect::Decided { status: decided, .. } => take_part(part, decided, &mut status),
        Aspect::Failed { failure, failures } => {
            let Some(type_) = part.conditions.first() else { return status };
            let sentence = sentence(&failure.message);
            let message = match failure.kind {
                ErrorKind::Retryable => format!("{sentence} It is being tried again (failure {failures} in a row)."),
                _ => sentence,
            };
            let mut next = conditions(&status);
            condition::set(&mut next, Condition::new(type_, ConditionStatus::False, &failure.reason, message));
            put(&mut status, &next, None);
        }
        Aspect::Suspended => return status,
    }
    let (mut next, old_conditions) = (conditions(&status), conditions(old));
    for condition in next.iter_mut().filter(|condition| part.conditions.contains(&condition.type_.as_str())) {
        complete(condition, &old_conditions, now);
        condition.observed_generation = facts.observes_generation.then_some(object.metadata.generation);
    }
    put(&mut status, &next, None);
    status
}

/// Copies a part of one status into another.
fn take_part(part: StatusPart, from: &Value, into: &mut Value) {
    if part == StatusPart::NOTHING {
        return;
    }
    let mut next = conditions(into);
    for type_ in part.conditions {
        condition::remove(&mut next, type_);
    }
    let taken = conditions(from).into_iter().filter(|found| part.conditions.contains(&found.type_.as_str()));
    next.extend(taken);
    put(into, &next, None);
    let members: Vec<(&str, Value)> =
        part.members.iter().filter_map(|name| Some((*name, from.get(name)?.clone()))).collect();
    if into.is_null() && !members.is_empty() {
        *into = Value::Object(Map::new());
    }
    let Some(status) = into.as_object_mut() else { return };
    for name in part.members {
        status.remove(*name);
    }
    status.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

fn compose_whole(facts: &KindFacts, object: &StoredObject, aspect: &Aspect<'_>, now: Timestamp) -> Value {
    let old = &object.value["status"];
    let old_conditions = conditions(old);
    let generation = object.metadata.generation;
    let mut status = match aspect {
        Aspect::Decided { status, .. } => (*status).clone(),
        Aspect::Failed { .. } | Aspect::Suspended => old.clone(),
    };
    let mut next = conditions(&status);
    match aspect {
        Aspect::Decided { progressing, .. } => {
            for type_ in [STALLED, SUSPENDED, RECONCILING] {
                condition::remove(&mut next, type_);
            }
            let undecided =
                condition::find(&next, facts.summary).is_some_and(|found| found.status == ConditionStatus::Unknown);
            if *progressing || undecided {
                next.push(Condition::new(RECONCILING, ConditionStatus::True, "Progressing", progress(object)));
            }
            for condition in &mut next {
                condition.observed_generation = Some(generation);
            }
        }
        Aspect::Failed { failure, failures } => {
            condition::remove(&mut next, SUSPENDED);
            apply_failure(&mut next, facts.summary, failure, *failures, generation);
        }
        Aspect::Suspended => {
            condition::remove(&mut next, RECONCILING);
            let message = "Nothing is done because spec.suspend is true; set it to false to go on.";
            let mut suspended = Condition::new(SUSPENDED, ConditionStatus::True, "Suspended", message);
            suspended.observed_generation = Some(generation);
            condition::set(&mut next, suspended);
        }
    }
    for condition in &mut next {
        complete(condition, &old_conditions, now);
        if !facts.observes_generation {
            condition.observed_generation = None;
        }
    }
    let observed = matches!(aspect, Aspect::Decided { .. });
    put(&mut status, &next, (observed && facts.observes_generation).then_some(generation));
    status
}

fn progress(object: &StoredObject) -> String {
    if object.is_being_deleted() {
        "Cleaning up before the object goes.".to_owned()
    } else {
        format!("Generation {} is being put into effect.", object.metadata.generation)
    }
}

/// Keeps the time of the last transition as long as the status word stays the same.
fn complete(condition: &mut Condition, old: &[Condition], now: Timestamp) {
    condition.last_transition_time = match condition::find(old, &condition.type_) {
        Some(old) if old.status == condition.status && !old.last_transition_time.is_empty() => {
            old.last_transition_time.clone()
        }
        _ => seconds(now),
    };
}

fn put(status: &mut Value, conditions: &[Condition], observed_generation: Option<i64>) {
    if status.is_null() {
        if conditions.is_empty() && observed_generation.is_none() {
            return;
        }
        *status = Value::Object(Map::new());
    }
    let Some(members) = status.as_object_mut() else { return };
    if conditions.is_empty() {
        members.remove("conditions");
    } else {
        let conditions = serde_json::to_value(conditions).expect("conditions are plain data");
        members.insert("conditions".to_owned(), conditions);
    }
    if let Some(generation) = observed_generation {
        members.insert("observedGeneration".to_owned(), Value::from(generation));
    }
}
