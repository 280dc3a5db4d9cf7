//! From what a pass came to, to the status that is written.

use api_types::condition::{Condition, ConditionStatus, READY};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::{Aspect, compose};
use crate::runtime::erased::KindFacts;
use crate::runtime::objects::StoredObject;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{StatusPart, Writes};

fn facts(observes_generation: bool) -> KindFacts {
    KindFacts {
        resource: "things.example.com".into(),
        controller: "thing".into(),
        group: "example.com",
        kind: "Thing",
        summary: READY,
        observes_generation,
        finalizer: None,
        writes: Writes::AllBut(StatusPart::NOTHING),
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

/// What the teller of a run writes, and everybody else leaves alone.
const PART: StatusPart = StatusPart { members: &["report"], conditions: &["Reported"] };

fn told() -> Value {
    let reported = Condition {
        last_transition_time: "1970-01-01T00:00:09Z".to_owned(),
        ..Condition::new("Reported", ConditionStatus::True, "Reported", "Told.")
    };
    json!({"phase": "y", "report": {"commentId": 7}, "conditions": [reported]})
}

#[test]
fn a_part_that_another_reconciler_writes_is_left_as_it_is_stored() {
    let facts = KindFacts { writes: Writes::AllBut(PART), ..facts(true) };
    // The decision was made before the other one wrote.
    let decided = status(ConditionStatus::True);
    let aspect = Aspect::Decided { status: &decided, progressing: false };
    let composed = compose(&facts, &object(told()), &aspect, at(60));
    assert_eq!((&composed["phase"], &composed["report"]["commentId"]), (&json!("x"), &json!(7)));
    let types: Vec<_> = composed["conditions"].as_array().unwrap().iter().map(|found| &found["type"]).collect();
    assert_eq!(types, [READY, "Reported"]);
    // And what it took away does not come back.
    let mut old = decided.clone();
    old["report"] = json!({"commentId": 1});
    let aspect = Aspect::Decided { status: &old, progressing: false };
    let composed = compose(&facts, &object(status(ConditionStatus::True)), &aspect, at(60));
    assert!(composed.get("report").is_none(), "{composed}");
}

#[test]
fn whoever_writes_a_part_touches_nothing_else() {
    let facts = KindFacts { writes: Writes::Only(PART), ..facts(true) };
    let decided = told();
    let aspect = Aspect::Decided { status: &decided, progressing: true };
    let composed = compose(&facts, &object(status(ConditionStatus::False)), &aspect, at(60));
    assert_eq!((&composed["phase"], &composed["report"]["commentId"]), (&json!("x"), &json!(7)));
    let found = composed["conditions"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{composed}");
    assert_eq!((&found[0]["type"], &found[0]["status"]), (&json!(READY), &json!("False")));
    assert_eq!(found[1]["lastTransitionTime"], "1970-01-01T00:01:00Z");
    let failure = Failure::terminal("Rejected", "the forge refuses");
    let failed = compose(&facts, &object(composed), &Aspect::Failed { failure: &failure, failures: 1 }, at(61));
    let text = failed.to_string();
    assert!(text.contains("Rejected") && !text.contains("Stalled"), "{text}");
    assert_eq!((&failed["phase"], &failed["report"]["commentId"]), (&json!("x"), &json!(7)));
    let fresh = compose(&facts, &object(Value::Null), &aspect, at(60));
    assert_eq!(fresh["report"]["commentId"], 7, "{fresh}");
    let suspended = compose(&facts, &object(Value::Null), &Aspect::Suspended, at(60));
    assert!(suspended.is_null(), "{suspended}");
}
