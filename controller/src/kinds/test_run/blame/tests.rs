//! How an App's conditions are read.

use std::collections::BTreeSet;

use super::*;

fn condition(type_: &str, status: ConditionStatus, reason: &str) -> Condition {
    Condition {
        observed_generation: Some(2),
        ..Condition::new(type_, status, reason, format!("{reason} is what it says."))
    }
}

fn status(conditions: Vec<Condition>) -> AppStatus {
    AppStatus { observed_generation: 2, conditions, ..AppStatus::default() }
}

fn word(view: &AppView) -> String {
    match view {
        AppView::Serves => "serves".to_owned(),
        AppView::Waiting(_) => "waiting".to_owned(),
        AppView::Troubled(trouble) => format!("troubled {}", trouble.reason),
        AppView::Failed(trouble) => format!("failed {}", trouble.reason),
    }
}

#[test]
fn every_reason_has_one_row() {
    let reasons: BTreeSet<&str> = APP_REASONS.iter().map(|row| row.reason).collect();
    assert_eq!(reasons.len(), APP_REASONS.len());
    for (reason, _) in RUN_REASONS {
        assert!(!reasons.contains(reason), "{reason} is in both tables");
    }
}

#[test]
fn what_nobody_classified_is_ours() {
    assert_eq!(blame_of("SomethingNew"), Blame::Ours);
    assert_eq!(blame_of("InternalError"), Blame::Ours);
    assert_eq!(blame_of("CrashLoop"), Blame::Recipe);
    assert_eq!(Blame::Ours.rung_status(), RungStatus::Unverified);
    assert_eq!(Blame::Nobody.rung_status(), RungStatus::Unverified);
    assert_eq!(Blame::Recipe.rung_status(), RungStatus::Fail);
}

#[test]
fn conditions_are_read_in_the_order_in_which_they_come_about() {
    use ConditionStatus::{False, True, Unknown};
    let cases = [
        ("nothing yet", vec![], "waiting"),
        ("it serves", vec![condition("Ready", True, "Healthy")], "serves"),
        (
            "it converges",
            vec![condition("Configured", True, "Configured"), condition("Ready", False, "Converging")],
            "waiting",
        ),
        (
            "a crash loop",
            vec![condition("Converged", False, "CrashLoop"), condition("Ready", False, "CrashLoop")],
            "failed CrashLoop",
        ),
        (
            "a rollback although the site answers",
            vec![
                condition("Converged", False, "RolledBack"),
                condition("Reachable", True, "Reachable"),
                condition("Ready", False, "RolledBack"),
            ],
            "failed RolledBack",
        ),
        (
            "the site does not answer yet",
            vec![condition("Converged", True, "Converged"), condition("Reachable", False, "HttpStatus")],
            "troubled HttpStatus",
        ),
        (
            "what comes first decides",
            vec![condition("Reachable", False, "HttpStatus"), condition("Converged", False, "ImageNotFound")],
            "failed ImageNotFound",
        ),
        ("nobody could tell", vec![condition("Converged", Unknown, "EngineUnreachable")], "waiting"),
        ("a person must act", vec![condition("Stalled", True, "InvalidSpec")], "failed InvalidSpec"),
        ("only the summary knows", vec![condition("Ready", False, "PolicyRefused")], "failed PolicyRefused"),
    ];
    for (name, conditions, expected) in cases {
        assert_eq!(word(&view(2, &status(conditions))), expected, "{name}");
    }
}

#[test]
fn what_was_said_about_an_older_spec_says_nothing() {
    let mut ready = condition("Ready", ConditionStatus::True, "Healthy");
    assert_eq!(word(&view(3, &status(vec![ready.clone()]))), "waiting");
    ready.observed_generation = Some(1);
    assert_eq!(word(&view(2, &status(vec![ready]))), "waiting");
}

/// The table at the end of `docs/testruns.md` is this table.
#[test]
fn the_document_has_every_reason() {
    let mut table = "| reason | whose fault | what it means |\n|---|---|---|\n".to_owned();
    for row in APP_REASONS {
        let whose = if row.blame == Blame::Recipe { "the recipe's" } else { "ours" };
        table.push_str(&format!("| {} | {whose} | {} |\n", row.reason, row.meaning));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/testruns.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (head, _) = text.split_once("## Reasons\n").unwrap();
    let wanted = format!("{head}## Reasons\n\nWhat an App's failure means for the rung that waits for it:\n\n{table}");
    #[expect(clippy::disallowed_methods, reason = "tests read their settings here and nowhere else")]
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    if update {
        std::fs::write(path, &wanted).unwrap();
        return;
    }
    assert_eq!(text, wanted, "stale: UPDATE_DOCS=1 cargo nextest run -p controller the_document_has");
}
