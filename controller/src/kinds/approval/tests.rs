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
        let seen = Observed { pull, used_by: vec!["run".to_owned()], period: Duration::from_secs(30) };
        let status = Approvals::decide(&object, &seen, Timestamp::UNIX_EPOCH).status;
        let current = condition::find(&status.conditions, "Current").unwrap();
        assert_eq!((current.status, current.reason.as_str()), (word, reason));
        assert_eq!(condition::find(&status.conditions, READY).unwrap().status, word);
        assert_eq!(status.used_by, ["run"]);
    }
}
