//! Schedules fire when people expect it, over changes of clocks and after a pause.

use jiff::Timestamp;

use super::{Cron, CronError};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn next(cron: &str, zone: Option<&str>, after: &str) -> String {
    Cron::parse(cron, zone).unwrap().next_after(at(after)).map_or("never".to_owned(), |moment| moment.to_string())
}

#[test]
fn the_next_moment() {
    let berlin = Some("Europe/Berlin");
    let cases = [
        ("0 3 * * 0", None, "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"),
        ("0 3 * * 7", None, "2026-01-04T03:00:00Z", "2026-01-11T03:00:00Z"),
        ("0 3 * * sun", None, "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"),
        ("*/15 * * * *", None, "2026-01-01T00:07:12Z", "2026-01-01T00:15:00Z"),
        ("5/20 1-2 * * *", None, "2026-01-01T00:00:00Z", "2026-01-01T01:05:00Z"),
        ("0 0 29 2 *", None, "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 31 2 *", None, "2026-01-01T00:00:00Z", "never"),
        ("0 0 13 * 5", None, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("0 0 1 JAN,jul *", None, "2026-01-02T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("@hourly", None, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        ("@yearly", None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("0 3 * * *", berlin, "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"),
        ("0 3 * * *", berlin, "2026-07-01T02:00:00Z", "2026-07-02T01:00:00Z"),
        // There is no 2:30 on this day; it is 3:30 then.
        ("30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        // 2:30 comes twice; the first one counts.
        ("30 2 * * *", berlin, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", berlin, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ];
    for (cron, zone, after, expected) in cases {
        assert_eq!(next(cron, zone, after), expected, "{cron} {zone:?} after {after}");
    }
}

#[test]
fn of_many_missed_moments_the_last_counts() {
    let cron = Cron::parse("0 3 * * *", None).unwrap();
    let last = |after: &str, now: &str| cron.last_between(at(after), at(now));
    assert_eq!(last("2026-01-01T03:00:00Z", "2026-01-02T02:59:59Z"), None);
    assert_eq!(last("2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"), Some(at("2026-01-02T03:00:00Z")));
    assert_eq!(last("2026-01-01T03:00:00Z", "2026-06-02T12:00:00Z"), Some(at("2026-06-02T03:00:00Z")));
    assert_eq!(last("2026-01-03T00:00:00Z", "2026-01-02T12:00:00Z"), None, "a clock that was set back");
    let never = Cron::parse("0 0 31 2 *", None).unwrap();
    assert_eq!(never.last_between(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn what_cannot_be_is_said() {
    for bad in
        ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "x * * * *"]
    {
        assert!(matches!(Cron::parse(bad, None), Err(CronError::Field { .. })), "{bad}");
    }
    assert!(matches!(Cron::parse("* * *", None), Err(CronError::Fields(_))));
    assert_eq!(Cron::parse("@daily", Some("Mars/Base")).unwrap_err(), CronError::TimeZone("Mars/Base".to_owned()));
}
