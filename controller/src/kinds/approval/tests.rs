//! Which approvals still count.

use api_types::kinds::approval::ApprovalSpec;
use ports::forge::Account;

use super::*;

const HEAD: &str = "3fa21c9000000000000000000000000000000001";

fn pull(head: &str, is_open: bool) -> PullRequest {
    PullRequest {
        number: 7,
        is_open,
        author: Account { id: 9, login: "mallory".to_owned() },
        head_sha: head.to_owned(),
        is_fork: true,
        base_branch: "main".to_owned(),
    }
}

#[test]
fn an_approval_counts_for_the_head_it_was_given_for_and_no_other() {
    let spec = ApprovalSpec { pull_request: 7, head_sha: HEAD.to_owned(), ..ApprovalSpec::default() };
    let object = Object::<Approval>::new("default", "wiki-pr7", spec);
    let pushed = "3fa21c9000000000000000000000000000000002";
    for (pull, word, reason) in [
        (Some(pull(HEAD, true)), ConditionStatus::True, reason::CURRENT),
        (Some(pull(pushed, true)), ConditionStatus::False, reason::HEAD_MOVED),
        (Some(pull(HEAD, false)), ConditionStatus::False, reason::PULL_REQUEST_CLOSED),
        (None, ConditionStatus::False, reason::NOT_FOUND),
    ] {
        let period = Duration::from_secs(30);
        let seen = Observed { pull, used_by: vec!["run".to_owned()], period, ..Observed::default() };
        let status = Approvals::decide(&object, &seen, Timestamp::UNIX_EPOCH).status;
        let current = condition::find(&status.conditions, "Current").unwrap();
        assert_eq!((current.status, current.reason.as_str()), (word, reason));
        assert_eq!(condition::find(&status.conditions, READY).unwrap().status, word);
        assert_eq!(status.used_by, ["run"]);
    }
}

#[test]
fn the_word_of_somebody_who_lost_the_right_does_not_count() {
    let spec = ApprovalSpec { pull_request: 7, head_sha: HEAD.to_owned(), ..ApprovalSpec::default() };
    let object = Object::<Approval>::new("default", "wiki-pr7", spec);
    let decided = |right: Right, is_awaited: bool| {
        let period = Duration::from_mins(5);
        let seen = Observed { pull: Some(pull(HEAD, true)), right, is_awaited, period, ..Observed::default() };
        let decision = Approvals::decide(&object, &seen, "2026-11-25T12:00:00Z".parse().unwrap());
        assert_eq!(decision.status.last_checked.as_deref(), Some("2026-11-25T12:00:00Z"));
        let word = |type_: &str| condition::find(&decision.status.conditions, type_).unwrap().clone();
        assert_eq!(word("Current").status, ConditionStatus::True);
        let (authorized, ready) = (word("Authorized"), word(READY));
        assert_eq!((authorized.status, &authorized.reason), (ready.status, &authorized.reason));
        (ready.status, ready.reason, decision.next)
    };
    let yes = || Right::Held("ada is a member of coop.".to_owned());
    let no = || Right::Lost("ada is no member of coop.".to_owned());
    let of = |word, reason: &str, seconds| (word, reason.to_owned(), Next::After(Duration::from_secs(seconds)));
    assert_eq!(decided(Right::OfRoles, false), of(ConditionStatus::True, reason::CURRENT, 300));
    assert_eq!(decided(yes(), false), of(ConditionStatus::True, reason::CURRENT, 300));
    assert_eq!(decided(yes(), true), of(ConditionStatus::True, reason::CURRENT, 20), "a run waits for it");
    assert_eq!(decided(no(), false), of(ConditionStatus::False, reason::NOT_AUTHORIZED, 300));
}

#[test]
fn nobody_is_asked_about_an_approval_that_is_void_anyway() {
    let of = |scope: ApprovalScope| {
        let head_sha = HEAD.to_owned();
        Object::<Approval>::new("default", "a", ApprovalSpec { pull_request: 7, head_sha, scope, ..Default::default() })
    };
    let once = of(ApprovalScope::Once);
    assert!(!is_void(&once, Some(&pull(HEAD, true))));
    let pushed = pull("3fa21c9000000000000000000000000000000002", true);
    for gone in [None, Some(&pushed), Some(&pull(HEAD, false))] {
        assert!(is_void(&once, gone), "{gone:?}");
        assert!(!is_void(&of(ApprovalScope::Author), gone), "it counts for what its author proposes later");
    }
    let seen = Observed { pull: Some(pushed), right: Right::Unasked, ..Observed::default() };
    let status = Approvals::decide(&once, &seen, Timestamp::UNIX_EPOCH).status;
    let word = |type_: &str| condition::find(&status.conditions, type_).unwrap().clone();
    assert_eq!(
        (word("Authorized").status, word("Authorized").reason.as_str()),
        (ConditionStatus::Unknown, "HeadMoved")
    );
    assert_eq!((word(READY).status, word(READY).reason.as_str()), (ConditionStatus::False, "HeadMoved"));
}
