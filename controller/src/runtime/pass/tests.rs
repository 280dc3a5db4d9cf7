//! From what a pass came to, to the status that is written.

use api_types::condition::{Condition, ConditionStatus, READY};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{Aspect, compose};
use crate::runtime::erased::KindFacts;
use crate::runtime::objects::StoredObject;
use crate::runtime::outcome::Failure;

fn facts(observes_generation: bool) -> KindFacts {
    KindFacts {
        resource: "things.example.com".into(),
        controller: "thing".into(),
        group: "example.com",
        kind: "Thing",
        summary: READY,
        observes_generation,
        finalizer: None,
    }
}

fn object(status: Value) -> StoredObject {
    let value = json!({"metadata": {"name": "a", "namespace": "default", "generation": 4}, "status": status});
    StoredObject::new("things.example.com", value).unwrap()
}

fn status(word: ConditionStatus) -> Value {
    json!({"phase": "x", "conditions": [Condition::new(READY, word, "Why", "Because.")]})
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_decision_is_completed_with_generation_and_time() {
    let composed = compose(
        &facts(true),
        &object(Value::Null),
        &Aspect::Decided { status: &status(ConditionStatus::True), progressing: false },
        at(60),
    );
    let expected = json!({"phase": "x", "observedGeneration": 4, "conditions": [{
        "type": "Ready", "status": "True", "observedGeneration": 4, "lastTransitionTime": "1970-01-01T00:01:00Z",
        "reason": "Why", "message": "Because."}]});
    assert_eq!(composed, expected);
}

#[test]
fn the_time_of_a_transition_stays_until_the_word_changes() {
    let decide = |old: Value, word: ConditionStatus, second: i64| {
        let aspect_status = status(word);
        let aspect = Aspect::Decided { status: &aspect_status, progressing: false };
        compose(&facts(true), &object(old), &aspect, at(second))
    };
    let first = decide(Value::Null, ConditionStatus::True, 1);
    let second = decide(first.clone(), ConditionStatus::True, 2);
    assert_eq!(first, second, "nothing changed, so nothing is written");
    let third = decide(second, ConditionStatus::False, 3);
    assert_eq!(third["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:03Z");
}

#[test]
fn what_is_not_finished_is_reconciling() {
    for (word, progressing, reconciling) in [
        (ConditionStatus::True, false, false),
        (ConditionStatus::False, false, false),
        (ConditionStatus::Unknown, false, true),
        (ConditionStatus::True, true, true),
    ] {
        let status = status(word);
        let composed =
            compose(&facts(true), &object(Value::Null), &Aspect::Decided { status: &status, progressing }, at(0));
        let found = composed["conditions"].as_array().unwrap().iter().any(|found| found["type"] == "Reconciling");
        assert_eq!(found, reconciling, "{word:?} {progressing}");
    }
}

#[test]
fn a_decision_takes_stalled_and_suspended_away() {
    let failure = Failure::terminal("Wrong", "the spec is wrong");
    let stalled =
        compose(&facts(true), &object(Value::Null), &Aspect::Failed { failure: &failure, failures: 1 }, at(0));
    assert!(stalled.to_string().contains("Stalled"));
    assert!(stalled.get("observedGeneration").is_none(), "a failure has not dealt with the generation");
    let suspended = compose(&facts(true), &object(stalled), &Aspect::Suspended, at(1));
    assert!(suspended.to_string().contains("Suspended"));
    let good = status(ConditionStatus::True);
    let decided =
        compose(&facts(true), &object(suspended), &Aspect::Decided { status: &good, progressing: false }, at(2));
    assert!(!decided.to_string().contains("Stalled") && !decided.to_string().contains("Suspended"));
}

#[test]
fn a_kind_that_does_not_observe_generations_shows_none() {
    let status = status(ConditionStatus::True);
    let aspect = Aspect::Decided { status: &status, progressing: false };
    let composed = compose(&facts(false), &object(Value::Null), &aspect, at(0));
    assert!(!composed.to_string().contains("observedGeneration"));
}
