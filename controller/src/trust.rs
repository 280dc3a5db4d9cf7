//! Whose work may run, and under which rules. Pure: the same arguments, the same answer.
//!
//! It is asked whenever work is dispatched (start, retry, resume, and once more before a head is deployed), never only
//! when a run is created: an approval that was taken back, or voided by a push, counts at once. An approval that a
//! comment gave is only as good as its author's right: a run begins while the forge has confirmed that right shortly
//! before, and waits when the forge does not answer.

#[cfg(test)]
mod tests;

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::approval::{Approval, ApprovalScope};
use api_types::kinds::recipe::{ForkTrust, RecipeSpec};
use api_types::kinds::test_run::{PullRequest, TestRunSpec};
use api_types::reason;
use jiff::{SignedDuration, Timestamp};

use crate::kinds::repository::names;

/// How old the forge's last word about an approver may be when a run begins.
pub const CONFIRMED_MAX: SignedDuration = SignedDuration::from_mins(1);

/// By which rules a rendered compose file is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Somebody else's work: only what cannot reach beyond its own stack.
    Untrusted,
    /// The recipe's own maintainers' work.
    Trusted,
}

/// When the gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// The run is about to begin: everything must be so, and be known to be so at this moment.
    Begins(Timestamp),
    /// It goes on: what was taken back ends it, and a forge that does not answer does not.
    GoesOn,
}

/// Whether a run may be dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open {
        /// Why, for people.
        message: String,
        /// The approval that opened it, if it took one.
        approval: Option<String>,
    },
    /// It may once somebody approves this head commit.
    Waiting {
        /// `AwaitingApproval`, or `ApprovalVoid` when there was an approval that no longer counts.
        reason: &'static str,
        /// Why, and what to do.
        message: String,
    },
    /// It may once the forge confirms that whoever approved it may still do so.
    Unconfirmed {
        /// Name of the approval.
        approval: String,
        /// Why, and what to do.
        message: String,
    },
    /// It never may.
    Denied {
        /// Why, and what to do.
        message: String,
    },
}

/// Returns the rules for what a run deploys. The base of an upgrade is published, but is judged with its head: one App
/// has one tier.
#[must_use]
pub fn tier(run: &TestRunSpec, recipe: &RecipeSpec) -> Tier {
    match fork(run) {
        Some(_) if recipe.trust.forks != ForkTrust::Allow => Tier::Untrusted,
        _ => Tier::Trusted,
    }
}

/// Returns whether files of the commit under test may be mounted into a test's container.
#[must_use]
pub fn may_mount_work_tree(run: &TestRunSpec, recipe: &RecipeSpec) -> bool {
    fork(run).is_none() || recipe.trust.repo_tests
}

/// Decides whether a run may be dispatched, given every Approval of its namespace.
#[must_use]
pub fn gate(run: &TestRunSpec, recipe: &RecipeSpec, approvals: &[Object<Approval>], dispatch: Dispatch) -> Gate {
    let Some(pull_request) = fork(run) else {
        return Gate::Open { message: "It needs no approval.".to_owned(), approval: None };
    };
    match recipe.trust.forks {
        ForkTrust::Allow => Gate::Open {
            message: "The recipe runs pull requests from forks like any other (trust.forks: Allow).".to_owned(),
            approval: None,
        },
        ForkTrust::Deny => Gate::Denied {
            message: format!(
                "Pull request {} comes from a fork, and the recipe never runs those (trust.forks: Deny). Push the \
                 commit to the recipe's own repository, or set trust.forks to Approve.",
                pull_request.number
            ),
        },
        ForkTrust::Approve => approved(pull_request, recipe, approvals, dispatch),
    }
}

fn fork(run: &TestRunSpec) -> Option<&PullRequest> {
    run.source.pull_request.as_ref().filter(|pull_request| pull_request.fork)
}

fn approved(
    pull_request: &PullRequest,
    recipe: &RecipeSpec,
    approvals: &[Object<Approval>],
    dispatch: Dispatch,
) -> Gate {
    let short: String = pull_request.head_sha.chars().take(7).collect();
    let Some(repository) = &recipe.repository_ref else {
        return Gate::Waiting {
            reason: reason::AWAITING_APPROVAL,
            message: "It comes from a fork and needs an approval, which names a Repository: set spec.repositoryRef \
                      of the Recipe first."
                .to_owned(),
        };
    };
    let of_repository = || approvals.iter().filter(|approval| approval.spec.repository_ref == *repository);
    let covering = || of_repository().filter(|approval| counts(approval) && covers(approval, pull_request));
    let confirmed = covering().find(|approval| is_confirmed(approval, dispatch));
    if confirmed.is_none()
        && let Some(found) = covering().next()
    {
        let since = found.status.last_checked.as_deref().map(|since| format!(" since {since}")).unwrap_or_default();
        let name = &found.metadata.name;
        let message = format!(
            "{} approved commit {short}, and the forge has not confirmed{since} that they may: it is asked again, and \
             the run begins when it says so. See ccctl describe approval {name}.",
            found.spec.approved_by
        );
        return Gate::Unconfirmed { approval: name.clone(), message };
    }
    if let Some(found) = confirmed {
        return Gate::Open {
            message: format!("{} approved commit {short}.", found.spec.approved_by),
            approval: Some(found.metadata.name.clone()),
        };
    }
    let void = of_repository().any(|approval| approval.spec.pull_request == pull_request.number);
    let (reason, begins) = if void {
        (
            reason::APPROVAL_VOID,
            "The pull request's approval is for another commit, was taken back or suspended, or whoever gave it may not any more",
        )
    } else {
        (reason::AWAITING_APPROVAL, "It comes from a fork, and nobody has approved this commit yet")
    };
    let message = format!(
        "{begins}. Look at commit {short} of pull request {} and approve it: ccctl approve --repository={repository} \
         --pull-request={} --sha={}",
        pull_request.number, pull_request.number, pull_request.head_sha
    );
    Gate::Waiting { reason, message }
}

/// An approval that is being deleted or suspended does not count, nor does the word of somebody who has lost the right.
fn counts(approval: &Object<Approval>) -> bool {
    let authorized = condition::find(&approval.status.conditions, ConditionType::Authorized.word());
    !approval.is_being_deleted()
        && !approval.spec.suspend
        && authorized.is_none_or(|condition| condition.status != ConditionStatus::False)
}

/// Returns whether an approval was given by a comment: then the right to give it is the forge's to say. Of one that was
/// made over the API the roles there have said it.
#[must_use]
pub fn is_of_comment(approval: &Object<Approval>) -> bool {
    approval.metadata.labels.contains_key(names::COMMENT_LABEL)
}

fn is_confirmed(approval: &Object<Approval>, dispatch: Dispatch) -> bool {
    let Dispatch::Begins(now) = dispatch else { return true };
    if !is_of_comment(approval) {
        return true;
    }
    let asked = approval.status.last_checked.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    condition::is_true(&approval.status.conditions, ConditionType::Authorized.word())
        // A clock that was put back makes no old word new.
        && asked.is_some_and(|asked| now.duration_since(asked).abs() <= CONFIRMED_MAX)
}

fn covers(approval: &Object<Approval>, pull_request: &PullRequest) -> bool {
    let same_number = approval.spec.pull_request == pull_request.number;
    if same_number && approval.spec.head_sha == pull_request.head_sha {
        let current = condition::find(&approval.status.conditions, ConditionType::Current.word());
        return current.is_none_or(|condition| condition.status != ConditionStatus::False);
    }
    // The word `Author` outlives the head that it was said about, but a later push to the very pull request that was
    // looked at is what an approval must not cover.
    approval.spec.scope == ApprovalScope::Author
        && approval.spec.pull_request < pull_request.number
        && pull_request.author.is_some()
        && approval.status.author == pull_request.author
}
