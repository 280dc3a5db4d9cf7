//! What is expected, and what is complained about.

use serde_json::{Value, json};

use super::*;

fn seen(status: Option<u16>, exit_code: Option<i64>, text: &str) -> Sight {
    Sight { status, exit_code, text: text.to_owned(), note: "nothing answers".to_owned(), ..Sight::default() }
}

#[test]
fn complaints() {
    let page = || seen(Some(200), None, "Log In please");
    let output = |code| seen(None, Some(code), "12 rows");
    let cases: [(&str, Value, Sight, Option<&str>); 17] = [
        ("an answer", json!({}), page(), None),
        ("a redirect", json!({}), seen(Some(302), None, ""), None),
        ("an error", json!({}), seen(Some(500), None, "oops"), Some("the status is 500 instead of below 400: oops")),
        ("another status", json!({"statuses": [404]}), page(), Some("the status is 200 instead of 404")),
        ("a wanted error", json!({"statuses": [200, 404]}), seen(Some(404), None, ""), None),
        ("no answer at all", json!({}), seen(None, None, ""), Some("nothing answers")),
        ("a good end", json!({}), output(0), None),
        ("a bad end", json!({}), output(3), Some("the exit code is 3 instead of 0: 12 rows")),
        ("a wanted bad end", json!({"exitCode": 3}), output(3), None),
        ("an unwanted good end", json!({"exitCode": 3}), output(0), Some("the exit code is 0 instead of 3")),
        ("a text", json!({"contains": ["Log", "please"]}), page(), None),
        ("a missing text", json!({"contains": ["Log", "Out"]}), page(), Some("\"Out\" is missing: Log In please")),
        ("an unwanted text", json!({"lacks": ["In"]}), page(), Some("\"In\" is there, and should not be")),
        ("a pattern", json!({"matches": "[0-9]+ rows"}), output(0), None),
        ("another pattern", json!({"matches": "^rows"}), output(0), Some("nothing matches \"^rows\"")),
        ("no pattern", json!({"matches": "("}), output(0), Some("the pattern \"(\" cannot be used")),
        (
            "no output",
            json!({"contains": ["x"]}),
            seen(None, Some(0), " \n"),
            Some("\"x\" is missing (there is no output)"),
        ),
    ];
    for (name, expect, sight, expected) in cases {
        let expect: Expectation = serde_json::from_value(expect).unwrap();
        let complaint = complaint(Some(&expect), &sight);
        match (complaint, expected) {
            (None, None) => {}
            (Some(complaint), Some(begins)) => assert!(complaint.starts_with(begins), "{name}: {complaint}"),
            (complaint, _) => panic!("{name}: {complaint:?}"),
        }
    }
}

#[test]
fn a_connection_is_enough_where_nothing_else_is_asked() {
    let sight = |is_open| Sight { is_open: Some(is_open), note: "nobody listens".to_owned(), ..Sight::default() };
    assert_eq!(complaint(None, &sight(true)), None);
    assert_eq!(complaint(None, &sight(false)).as_deref(), Some("nobody listens"));
}

#[test]
fn long_outputs_are_cut_at_their_beginning() {
    let text = format!("{}the end", "ä".repeat(1000));
    let complaint = complaint(None, &seen(None, Some(1), &text)).unwrap();
    assert!(complaint.ends_with("the end") && complaint.len() < 500, "{complaint}");
}

#[test]
fn second_looks() {
    let cases: [(&str, bool, u64, u64, u64, bool); 9] = [
        // what, broken, elapsed, within, most (seconds), again
        ("an answer counts at once", false, 0, 0, 300, false),
        ("an answer is looked at again within its time", false, 9, 10, 300, true),
        ("and not after it", false, 10, 10, 300, false),
        ("a broken way is tried again although no time is named", true, 0, 0, 300, true),
        ("for half a minute", true, 29, 0, 300, true),
        ("and not longer", true, 30, 0, 300, false),
        ("but as long as the test allows for", true, 31, 60, 300, true),
        ("and never past the test's deadline", true, 5, 0, 5, false),
        ("whatever is named", false, 10, 60, 10, false),
    ];
    for (what, is_broken, elapsed, within, most, expected) in cases {
        let sight = Sight { is_broken, ..Sight::default() };
        let [elapsed, within, most] = [elapsed, within, most].map(Duration::from_secs);
        assert_eq!(is_tried_again(&sight, elapsed, within, most), expected, "{what}");
    }
}
