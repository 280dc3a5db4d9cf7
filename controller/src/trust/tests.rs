//! Who may run what, as a table.

use api_types::condition::{Condition, ConditionStatus};
use serde_json::json;

use super::*;

const HEAD: &str = "3b18e512dba79e4c8300dd08aeb37f8e728b8dad";
const OTHER: &str = "0000000000000000000000000000000000000001";

fn run(fork: bool) -> TestRunSpec {
    let value = json!({"recipeRef": "wordpress", "source": {"commit": HEAD, "pullRequest":
        {"number": 7, "headSHA": HEAD, "author": "mallory", "fork": fork}}});
    serde_json::from_value(value).unwrap()
}

fn recipe(forks: ForkTrust) -> RecipeSpec {
    let mut recipe = RecipeSpec { repository_ref: Some("wordpress".to_owned()), ..RecipeSpec::default() };
    recipe.trust.forks = forks;
    recipe
}

fn approval(number: i64, head: &str) -> Object<Approval> {
    let mut approval = Object::<Approval>::new("default", "a", Default::default());
    approval.spec.repository_ref = "wordpress".to_owned();
    approval.spec.pull_request = number;
    approval.spec.head_sha = head.to_owned();
    approval.spec.approved_by = "alice".to_owned();
    approval
}

fn changed(mut approval: Object<Approval>, change: impl FnOnce(&mut Object<Approval>)) -> Object<Approval> {
    change(&mut approval);
    approval
}

fn author(number: i64, head: &str, author: &str) -> Object<Approval> {
    changed(approval(number, head), |approval| {
        approval.spec.scope = ApprovalScope::Author;
        approval.status.author = Some(author.to_owned());
    })
}

fn word(gate: &Gate) -> &'static str {
    match gate {
        Gate::Open { .. } => "open",
        Gate::Waiting { reason, .. } => reason,
        Gate::Unconfirmed { .. } => "unconfirmed",
        Gate::Denied { .. } => "denied",
    }
}

#[test]
fn forks_need_what_the_recipe_says() {
    let now = Dispatch::Begins("2026-11-25T12:00:00Z".parse().unwrap());
    let cases = [
        ("not from a fork", false, ForkTrust::Deny, "open", Tier::Trusted, true),
        ("forks are denied", true, ForkTrust::Deny, "denied", Tier::Untrusted, false),
        ("forks are approved", true, ForkTrust::Approve, reason::AWAITING_APPROVAL, Tier::Untrusted, false),
        ("forks are allowed", true, ForkTrust::Allow, "open", Tier::Trusted, false),
    ];
    for (name, fork, forks, expected, tier_expected, mount) in cases {
        let (run, recipe) = (run(fork), recipe(forks));
        assert_eq!(word(&gate(&run, &recipe, &[], now)), expected, "{name}");
        assert_eq!(tier(&run, &recipe), tier_expected, "{name}");
        assert_eq!(may_mount_work_tree(&run, &recipe), mount, "{name}");
    }
    let mut with_tests = recipe(ForkTrust::Approve);
    with_tests.trust.repo_tests = true;
    assert!(may_mount_work_tree(&run(true), &with_tests));
}

#[test]
fn an_approval_counts_for_exactly_what_was_looked_at() {
    let void = reason::APPROVAL_VOID;
    let waiting = reason::AWAITING_APPROVAL;
    let cases = [
        ("this head", approval(7, HEAD), "open"),
        ("another head of the same pull request", approval(7, OTHER), void),
        ("another pull request", approval(6, HEAD), waiting),
        ("another repository", changed(approval(7, HEAD), |it| it.spec.repository_ref = "x".to_owned()), waiting),
        ("suspended", changed(approval(7, HEAD), |it| it.spec.suspend = true), void),
        (
            "being taken back",
            changed(approval(7, HEAD), |it| it.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned())),
            void,
        ),
        (
            "voided by a push",
            changed(approval(7, HEAD), |it| {
                let moved = Condition::new("Current", ConditionStatus::False, reason::HEAD_MOVED, "");
                it.status.conditions.push(moved);
            }),
            void,
        ),
        ("the author, in an earlier pull request", author(3, OTHER, "mallory"), "open"),
        ("the author, in a later pull request", author(9, OTHER, "mallory"), waiting),
        ("the author, for an older push of the same pull request", author(7, OTHER, "mallory"), void),
        (
            "given by somebody who has lost the right",
            changed(approval(7, HEAD), |it| {
                let left = Condition::new("Authorized", ConditionStatus::False, reason::NOT_AUTHORIZED, "");
                it.status.conditions.push(left);
            }),
            void,
        ),
        ("another author", author(3, OTHER, "bob"), waiting),
    ];
    for (name, approval, expected) in cases {
        for dispatch in [Dispatch::Begins("2026-11-25T12:00:00Z".parse().unwrap()), Dispatch::GoesOn] {
            let approvals = [approval.clone()];
            assert_eq!(word(&gate(&run(true), &recipe(ForkTrust::Approve), &approvals, dispatch)), expected, "{name}");
        }
    }
}

#[test]
fn nobody_is_nobodys_author() {
    let mut anonymous = run(true);
    anonymous.source.pull_request.as_mut().unwrap().author = None;
    let mut approval = author(3, OTHER, "x");
    approval.status.author = None;
    assert_eq!(
        word(&gate(&anonymous, &recipe(ForkTrust::Approve), &[approval], Dispatch::GoesOn)),
        reason::AWAITING_APPROVAL
    );
}

#[test]
fn a_recipe_without_repository_says_what_is_missing() {
    let mut lonely = recipe(ForkTrust::Approve);
    lonely.repository_ref = None;
    let Gate::Waiting { message, .. } = gate(&run(true), &lonely, &[approval(7, HEAD)], Dispatch::GoesOn) else {
        panic!("it waits")
    };
    assert!(message.contains("spec.repositoryRef"), "{message}");
}

#[test]
fn a_comments_approval_must_have_been_confirmed_when_a_run_begins() {
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let of_comment = |checked: Option<&str>, authorized: Option<ConditionStatus>| {
        changed(approval(7, HEAD), |it| {
            it.metadata.labels.insert(names::COMMENT_LABEL.to_owned(), "17".to_owned());
            it.status.last_checked = checked.map(str::to_owned);
            it.status.conditions.extend(authorized.map(|word| Condition::new("Authorized", word, "", "")));
        })
    };
    let (yes, unknown) = (Some(ConditionStatus::True), Some(ConditionStatus::Unknown));
    let cases = [
        ("never asked", of_comment(None, None), "unconfirmed"),
        ("asked, and not answered", of_comment(Some("2026-11-25T11:59:59Z"), unknown), "unconfirmed"),
        ("answered too long ago", of_comment(Some("2026-11-25T11:58:59Z"), yes), "unconfirmed"),
        ("answered by a clock that was put back since", of_comment(Some("2026-11-25T12:10:00Z"), yes), "unconfirmed"),
        ("answered just now", of_comment(Some("2026-11-25T11:59:00Z"), yes), "open"),
        ("made over the API", approval(7, HEAD), "open"),
    ];
    for (name, approval, expected) in cases {
        let ask = |dispatch| gate(&run(true), &recipe(ForkTrust::Approve), std::slice::from_ref(&approval), dispatch);
        assert_eq!(word(&ask(Dispatch::Begins(now))), expected, "{name}");
        assert_eq!(word(&ask(Dispatch::GoesOn)), "open", "{name}: a forge that is away ends nothing");
    }
    // One that is confirmed is enough, whatever stands before it.
    let both = [of_comment(None, None), approval(7, HEAD)];
    assert_eq!(word(&gate(&run(true), &recipe(ForkTrust::Approve), &both, Dispatch::Begins(now))), "open");
}
