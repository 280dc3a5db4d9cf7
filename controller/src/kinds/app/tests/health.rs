//! What rounds of checks mean, and when the next is due.

use std::time::Duration;

use api_types::condition::{ConditionStatus, ConditionType};
use api_types::reason;
use jiff::Timestamp;

use crate::kinds::app::health::{Answer, Probes, Round, verdict};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn answer(is_good: bool, reason: &str) -> Answer {
    Answer { is_good, reason: reason.to_owned(), message: format!("{reason}.") }
}

fn probes(rounds: &[(i64, bool)]) -> Probes {
    let mut probes = Probes::default();
    for (second, is_good) in rounds {
        let reason = if *is_good { reason::REACHABLE } else { reason::HTTP_STATUS };
        probes.take_in(Round { at: at(*second), reach: Some(answer(*is_good, reason)), probes: Vec::new() });
    }
    probes
}

#[test]
fn an_app_has_its_time_to_answer_and_one_that_answered_is_not_called_down_at_once() {
    use ConditionStatus::{False, True, Unknown};
    let minute = Duration::from_mins(1);
    type Case<'a> = (&'a str, &'a [(i64, bool)], i64, bool, ConditionStatus, &'a str, u64);
    let cases: [Case<'_>; 8] = [
        ("nobody has asked", &[], 0, false, Unknown, reason::PROBING, 0),
        ("it answers", &[(1, true)], 1, false, True, reason::REACHABLE, 110),
        ("and is asked again", &[(1, true)], 111, true, True, reason::REACHABLE, 0),
        ("not yet", &[(10, false)], 11, false, Unknown, reason::PROBING, 1),
        ("its time is over", &[(59, false), (60, false), (61, false)], 61, false, False, reason::HTTP_STATUS, 15),
        ("it answered before", &[(1, true), (500, false)], 500, true, True, reason::REACHABLE, 2),
        ("twice", &[(1, true), (500, false), (502, false)], 502, true, True, reason::REACHABLE, 2),
        (
            "three times",
            &[(1, true), (500, false), (502, false), (504, false)],
            504,
            true,
            False,
            reason::HTTP_STATUS,
            15,
        ),
    ];
    let first = verdict(&probes(&[(0, false)]), at(0), minute, at(0), &|_: ConditionType| false);
    assert_eq!(first.due_in, Duration::from_millis(250), "its proxy hears of it in a moment");
    for (name, rounds, now, was_good, status, reason, due_in) in cases {
        let found = verdict(&probes(rounds), at(0), minute, at(now), &|_: ConditionType| was_good);
        assert_eq!((found.reachable.status, found.reachable.reason.as_str()), (status, reason), "{name}");
        assert_eq!(found.due_in, Duration::from_secs(due_in), "{name}");
    }
}

#[test]
fn a_probe_is_named_and_the_domain_stands_for_itself() {
    let mut probes = Probes::default();
    probes.take_in(Round {
        at: at(100),
        reach: Some(answer(true, reason::REACHABLE)),
        probes: vec![
            ("smtp".to_owned(), answer(true, reason::HEALTHY)),
            ("imap".to_owned(), answer(false, reason::PROBE_FAILED)),
        ],
    });
    let found = verdict(&probes, at(0), Duration::from_mins(1), at(100), &|_| false);
    assert_eq!(found.reachable.status, ConditionStatus::True);
    assert_eq!(found.healthy.status, ConditionStatus::False);
    assert_eq!(found.healthy.message, "The probe imap is not good: ProbeFailed.");
}
