//! Ages: each border between two ways to print.

use super::*;

#[test]
fn a_span_is_printed_in_at_most_two_units() {
    let cases = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (4, "4s"),
        (119, "119s"),
        (120, "2m"),
        (312, "5m12s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_799, "7h59m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (3 * DAY + 2 * HOUR, "3d2h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (3 * YEAR + 5 * DAY, "3y5d"),
        (8 * YEAR + 5 * DAY, "8y"),
    ];
    for (seconds, wanted) in cases {
        assert_eq!(human_duration(seconds), wanted, "{seconds} s");
    }
}

#[test]
fn an_age_is_counted_from_a_time() {
    let now = "2026-11-21T04:45:44Z".parse().unwrap();
    assert_eq!(age("2026-11-21T04:45:40Z", now).as_deref(), Some("4s"));
    assert_eq!(age("2026-11-21T05:45:40+01:00", now).as_deref(), Some("4s"));
    assert_eq!(age("yesterday", now), None);
}
