//! Conditions: times, order, and how several become one.

use super::*;

fn condition(type_: &str, status: ConditionStatus, reason: &str) -> Condition {
    Condition::new(type_, status, reason, format!("{type_} is {}", status.word()))
}

#[test]
fn the_time_of_a_condition_changes_with_its_status_alone() {
    let mut conditions = Vec::new();
    observe(&mut conditions, condition("Ready", ConditionStatus::False, "A"), "t1");
    observe(&mut conditions, condition("Ready", ConditionStatus::False, "B"), "t2");
    assert_eq!((conditions[0].last_transition_time.as_str(), conditions[0].reason.as_str()), ("t1", "B"));
    observe(&mut conditions, condition("Ready", ConditionStatus::True, "C"), "t3");
    assert_eq!(conditions[0].last_transition_time, "t3");
}

#[test]
fn conditions_are_sorted_by_type_and_occur_once() {
    let mut conditions = Vec::new();
    for type_ in ["Ready", "Deployed", "Configured", "Ready"] {
        observe(&mut conditions, condition(type_, ConditionStatus::True, "A"), "t");
    }
    let types: Vec<&str> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Configured", "Deployed", "Ready"]);
    remove(&mut conditions, "Deployed");
    assert!(find(&conditions, "Deployed").is_none());
    assert!(is_true(&conditions, "Ready"));
}

#[test]
fn the_summary_is_the_worst_condition_in_the_order_of_the_kind() {
    let order = [ConditionType::Configured, ConditionType::Deployed, ConditionType::Healthy];
    type Case<'a> = (&'a [(&'a str, ConditionStatus)], ConditionStatus, &'a str);
    let cases: [Case<'_>; 4] = [
        (
            &[
                ("Configured", ConditionStatus::True),
                ("Deployed", ConditionStatus::True),
                ("Healthy", ConditionStatus::True),
            ],
            ConditionStatus::True,
            "all is well",
        ),
        (
            &[
                ("Configured", ConditionStatus::Unknown),
                ("Deployed", ConditionStatus::True),
                ("Healthy", ConditionStatus::False),
            ],
            ConditionStatus::False,
            "Healthy is False",
        ),
        (
            &[
                ("Configured", ConditionStatus::True),
                ("Deployed", ConditionStatus::Unknown),
                ("Healthy", ConditionStatus::Unknown),
            ],
            ConditionStatus::Unknown,
            "Deployed is Unknown",
        ),
        (
            &[("Configured", ConditionStatus::True), ("Healthy", ConditionStatus::True)],
            ConditionStatus::Unknown,
            "Deployed has not been looked at yet",
        ),
    ];
    for (found, status, message) in cases {
        let conditions: Vec<Condition> = found.iter().map(|(type_, status)| condition(type_, *status, "R")).collect();
        let summary = summarise(&conditions, READY, &order, "Succeeded", "all is well");
        assert_eq!((summary.status, summary.message.as_str()), (status, message));
    }
}

#[test]
fn every_type_of_condition_is_named_like_its_variant() {
    for type_ in
        [ConditionType::ScopesSufficient, ConditionType::CleanedUp, ConditionType::Current, ConditionType::Ready]
    {
        assert_eq!(format!("{type_:?}"), type_.to_string());
    }
}
