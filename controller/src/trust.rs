//! Whose work may run, and under which rules. Pure: the same arguments, the same answer.
//!
//! It is asked whenever work is dispatched (start, retry, resume, and once more before a head is deployed), never only
//! when a run is created: an approval that was taken back, or voided by a push, counts at once.

#[cfg(test)]
mod tests;

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::approval::{Approval, ApprovalScope};
use api_types::kinds::recipe::{ForkTrust, RecipeSpec};
use api_types::kinds::test_run::{PullRequest, TestRunSpec};
use api_types::reason;

/// By which rules a rendered compose file is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Somebody else's work: only what cannot reach beyond its own stack.
    Untrusted,
    /// The recipe's own maintainers' work.
    Trusted,
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
pub fn gate(run: &TestRunSpec, recipe: &RecipeSpec, approvals: &[Object<Approval>]) -> Gate {
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
        ForkTrust::Approve => approved(pull_request, recipe, approvals),
    }
}

fn fork(run: &TestRunSpec) -> Option<&PullRequest> {
    run.source.pull_request.as_ref().filter(|pull_request| pull_request.fork)
}

fn approved(pull_request: &PullRequest, recipe: &RecipeSpec, approvals: &[Object<Approval>]) -> Gate {
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
    if let Some(found) = of_repository().find(|approval| counts(approval) && covers(approval, pull_request)) {
        return Gate::Open {
            message: format!("{} approved commit {short}.", found.spec.approved_by),
            approval: Some(found.metadata.name.clone()),
        };
    }
    let void = of_repository().any(|approval| approval.spec.pull_request == pull_request.number);
    let (reason, begins) = if void {
        (reason::APPROVAL_VOID, "The pull request's approval is for another commit, or was taken back or suspended")
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

/// An approval that is being deleted or suspended does not count.
fn counts(approval: &Object<Approval>) -> bool {
    !approval.is_being_deleted() && !approval.spec.suspend
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
