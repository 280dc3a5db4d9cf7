//! The table, row by row.

use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, READY, STALLED, SUCCEEDED};
use api_types::status::{Reason, Status};
use ports::error::ErrorKind;

use super::{BLOCKED_POLL, BUG_PAUSE, Failure, PassResult, apply_failure, outcome, sentence};
use crate::runtime::queue::Rest;

fn words(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|found| format!("{}={} {}", found.type_, found.status.word(), found.reason)).collect()
}

fn applied(summary: &str, before: &[Condition], failure: &Failure) -> Vec<String> {
    let mut conditions = before.to_vec();
    apply_failure(&mut conditions, summary, failure, 3, 7);
    assert!(conditions.iter().all(|found| before.contains(found) || found.observed_generation == Some(7)));
    words(&conditions)
}

#[test]
fn what_each_kind_of_failure_does_to_the_conditions() {
    let ready = [Condition::new(READY, ConditionStatus::True, "Fine", "It works.")];
    let stalled = [Condition::new(STALLED, ConditionStatus::True, "Old", "It was stalled.")];
    let failure = |kind: ErrorKind| Failure::new(kind, "Reason", "the thing failed");
    let cases: [(&str, &[Condition], ErrorKind, &[&str]); 8] = [
        (READY, &ready, ErrorKind::Retryable, &["Ready=True Fine", "Reconciling=True ProgressingWithRetry"]),
        (READY, &stalled, ErrorKind::Retryable, &["Reconciling=True ProgressingWithRetry", "Ready=Unknown Reason"]),
        (READY, &ready, ErrorKind::Blocked, &["Ready=False Reason"]),
        (SUCCEEDED, &[], ErrorKind::Blocked, &["Succeeded=Unknown Reason"]),
        (READY, &ready, ErrorKind::Terminal, &["Ready=False Reason", "Stalled=True Reason"]),
        (SUCCEEDED, &[], ErrorKind::Terminal, &["Stalled=True Reason", "Succeeded=False Reason"]),
        (READY, &ready, ErrorKind::Bug, &["Ready=True Fine", "Stalled=True InternalError"]),
        (SUCCEEDED, &[], ErrorKind::Bug, &["Stalled=True InternalError", "Succeeded=Unknown InternalError"]),
    ];
    for (summary, before, kind, expected) in cases {
        assert_eq!(applied(summary, before, &failure(kind)), expected, "{summary} {kind:?}");
    }
}

#[test]
fn when_each_kind_of_failure_runs_again() {
    let cases = [
        (Failure::retryable("X", "x"), Rest::Backoff { at_least: Duration::ZERO }, PassResult::Retry),
        (Failure::retryable("TimedOut", "x"), Rest::Backoff { at_least: Duration::ZERO }, PassResult::Timeout),
        (Failure::outdated("x"), Rest::Now, PassResult::Retry),
        (Failure::blocked("X", "x", Vec::new()), Rest::Blocked(BLOCKED_POLL), PassResult::Blocked),
        (Failure::terminal("X", "x"), Rest::Parked, PassResult::Terminal),
        (Failure::bug("x"), Rest::Backoff { at_least: BUG_PAUSE }, PassResult::Panic),
    ];
    for (failure, rest, result) in cases {
        let outcome = outcome(&failure);
        assert_eq!((outcome.rest, outcome.result), (rest, result), "{failure:?}");
    }
    let asked = Failure { retry_after: Some(Duration::from_secs(77)), ..Failure::retryable("RateLimited", "x") };
    assert_eq!(outcome(&asked).rest, Rest::Backoff { at_least: Duration::from_secs(77) });
}

#[test]
fn what_the_stores_answers_mean() {
    let cases = [
        (Reason::Conflict, ErrorKind::Retryable, "StoreConflict"),
        (Reason::ServiceUnavailable, ErrorKind::Retryable, "StoreServiceUnavailable"),
        (Reason::StorageReadOnly, ErrorKind::Retryable, "StoreStorageReadOnly"),
        (Reason::Forbidden, ErrorKind::Blocked, "StoreForbidden"),
        (Reason::Invalid, ErrorKind::Bug, "InternalError"),
    ];
    for (reason, kind, word) in cases {
        let failure = Failure::from(Status::failure(reason, "why"));
        assert_eq!((failure.kind, &*failure.reason), (kind, word));
    }
}

#[test]
fn errors_become_sentences() {
    for (text, expected) in [
        ("the engine is down", "The engine is down."),
        ("Done!", "Done!"),
        ("  ", "Something failed without saying what."),
        ("ärger", "Ärger."),
        ("don't", "Don't."),
        ("cloud.example.com answers 502", "cloud.example.com answers 502."),
    ] {
        assert_eq!(sentence(text), expected);
    }
}
