//! Which base is chosen.

use proptest::prelude::*;

use super::*;

/// Compares versions such as `1.2.0` by their numbers; enough for the choice, which only asks for an order.
fn compare(left: &str, right: &str) -> Option<Ordering> {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<u32>>>();
    Some(numbers(left)?.cmp(&numbers(right)?))
}

fn version(version: &str) -> RecipeVersion {
    RecipeVersion { version: version.to_owned(), commit: format!("commit-{version}") }
}

fn facts<'a>(published: &'a [RecipeVersion]) -> Facts<'a> {
    Facts {
        named: None,
        last_green: None,
        published,
        head_version: Some("1.2.0"),
        head_commit: "head",
        head_is_published: false,
        branch_tip: Some("tip"),
        compare,
    }
}

fn word(choice: &Choice) -> String {
    match choice {
        Choice::Base { version, commit, .. } => version.clone().unwrap_or_else(|| commit.clone()),
        Choice::All { versions, .. } => {
            versions.iter().map(|found| found.version.as_str()).collect::<Vec<_>>().join(" ")
        }
        Choice::Nothing { reason, .. } | Choice::Refused { reason, .. } => (*reason).to_owned(),
    }
}

#[test]
fn the_choice() {
    let all = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map(version);
    let green = |text: &str| Some(version(text));
    let cases = [
        ("the last green one", facts(&all), green("1.0.0"), "1.0.0"),
        ("the last green one has the head's version", facts(&all), green("1.2.0"), "1.1.0"),
        ("the last green one is newer", facts(&all), green("1.3.0"), "1.1.0"),
        ("nothing was green yet", facts(&all), None, "1.1.0"),
        ("a head without a version", Facts { head_version: None, ..facts(&all) }, None, "1.3.0"),
        (
            "a head without a version, after a green one",
            Facts { head_version: None, ..facts(&all) },
            green("1.0.0"),
            "1.0.0",
        ),
        (
            "the first version ever",
            Facts { head_version: Some("1.0.0"), ..facts(&all) },
            None,
            reason::NO_OLDER_VERSION,
        ),
        ("nothing is published", Facts { head_version: None, ..facts(&[]) }, None, "tip"),
        (
            "nothing is published and the head is the tip",
            Facts { head_commit: "tip", head_version: None, ..facts(&[]) },
            None,
            reason::NO_OLDER_VERSION,
        ),
        ("the run names one", Facts { named: Some("1.0.0"), ..facts(&all) }, green("1.1.0"), "1.0.0"),
        (
            "the run names one that is not there",
            Facts { named: Some("9.0.0"), ..facts(&all) },
            None,
            reason::BASE_NOT_FOUND,
        ),
        ("the run names the head", Facts { named: Some("1.2.0"), ..facts(&all) }, None, reason::NOTHING_UPGRADED),
        (
            "the run names the head's commit",
            Facts { named: Some("1.1.0"), head_commit: "commit-1.1.0", ..facts(&all) },
            None,
            reason::NOTHING_UPGRADED,
        ),
        (
            "the last green one is the head's commit",
            Facts { head_commit: "commit-1.1.0", head_version: None, ..facts(&all[..2]) },
            green("1.1.0"),
            "1.0.0",
        ),
    ];
    for (name, mut facts, green, expected) in cases {
        facts.last_green = green.as_ref();
        let choice = choose(&facts);
        assert_eq!(word(&choice), expected, "{name}");
        let (Choice::Base { why: text, .. }
        | Choice::All { why: text, .. }
        | Choice::Nothing { message: text, .. }
        | Choice::Refused { message: text, .. }) = choice;
        assert!(text.ends_with('.'), "{name}: {text}");
    }
}

#[test]
fn the_reason_says_what_was_passed_over() {
    let all = ["1.0.0", "1.2.0"].map(version);
    let green = version("1.2.0");
    let Choice::Base { why, .. } = choose(&Facts { last_green: Some(&green), ..facts(&all) }) else { panic!("a base") };
    assert_eq!(
        why,
        "It is the newest published version that is older than the head. The last green version 1.2.0 has the head's \
         version."
    );
}

#[test]
fn all_that_are_older_are_taken_oldest_first() {
    let all = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map(version);
    let mixed = ["1.1.1", "1.3.0", "1.0.0", "1.2.0", "1.1.0"].map(version);
    let green = version("1.0.0");
    let cases = [
        ("all that are older", Facts { named: Some("all"), ..facts(&mixed) }, Some(&green), "1.0.0 1.1.0 1.1.1"),
        (
            "all, and the head has no version",
            Facts { named: Some("all"), head_version: None, ..facts(&all) },
            None,
            "1.0.0 1.1.0 1.2.0 1.3.0",
        ),
        (
            "all, and none is older",
            Facts { named: Some("all"), head_version: Some("1.0.0"), ..facts(&all) },
            None,
            reason::NO_OLDER_VERSION,
        ),
        ("all, and nothing is published", Facts { named: Some("all"), head_version: None, ..facts(&[]) }, None, "tip"),
    ];
    for (name, mut facts, green, expected) in cases {
        facts.last_green = green;
        assert_eq!(word(&choose(&facts)), expected, "{name}");
    }
}

#[test]
fn a_run_upgrades_from_so_many_versions_and_says_when_that_is_not_all() {
    let many: Vec<RecipeVersion> = (0..30).map(|number| version(&format!("1.{number}.0"))).collect();
    let facts = Facts { named: Some("all"), head_version: Some("2.0.0"), ..facts(&many) };
    let Choice::All { versions, why } = choose(&facts) else { panic!("all") };
    assert_eq!((versions.len(), versions[0].version.as_str()), (VERSIONS_MAX, "1.6.0"));
    assert_eq!(versions[VERSIONS_MAX - 1].version, "1.29.0", "the usual base comes last");
    assert!(why.ends_with("6 older ones are left out: a run upgrades from at most 24."), "{why}");
}

proptest! {
    #[test]
    fn the_base_is_never_the_head_nor_newer(
        published in proptest::collection::vec(0_u32..6, 0..6),
        green in proptest::option::of(0_u32..6),
        head in proptest::option::of(0_u32..6),
        head_commit in 0_u32..6,
    ) {
        let text = |number: u32| format!("1.{number}.0");
        let published: Vec<RecipeVersion> = published.into_iter().map(|number| version(&text(number))).collect();
        let green = green.map(|number| version(&text(number)));
        let head_version = head.map(text);
        let head_commit = format!("commit-{}", text(head_commit));
        let facts = Facts {
            last_green: green.as_ref(),
            head_version: head_version.as_deref(),
            head_commit: &head_commit,
            ..facts(&published)
        };
        if let Choice::Base { version, commit, .. } = choose(&facts) {
            prop_assert_ne!(&commit, &head_commit);
            if let (Some(version), Some(head)) = (version, head_version) {
                prop_assert_eq!(compare(&version, &head), Some(Ordering::Less));
            }
        }
    }
}
