//! Approval: whether the head that somebody looked at is still the head. See `README.md` beside this file.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::approval::{Approval, ApprovalStatus};
use api_types::kinds::forge::Forge;
use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::TestRun;
use api_types::reason;
use jiff::Timestamp;
use ports::forge::PullRequest;

use crate::kinds::forge::connection::{self, SECRETS};
use crate::kinds::repository::names;
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Next, Reconciler};

/// Runs that are listed.
const USED_BY_MAX: usize = 20;
/// How often an approval that no longer counts is looked at.
const VOID_PERIOD: Duration = Duration::from_mins(10);

/// What is seen of an approval.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The pull request as it is now; `None` when it is gone.
    pub pull: Option<PullRequest>,
    /// Names of the runs that began because of it, newest first.
    pub used_by: Vec<String>,
    /// How often the repository is asked.
    pub period: Duration,
}

/// There is nothing to do but to look.
#[derive(Debug)]
pub enum Action {}

/// The reconciler.
pub struct Approvals {
    cache: Arc<Cache>,
    outside: Outside,
}

impl Approvals {
    /// Returns the reconciler.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside) -> Self {
        Self { cache: shared.cache.clone(), outside }
    }

    /// Returns how its controller works.
    #[must_use]
    pub fn options() -> ControllerOptions {
        let watches = [Repository::resource(), Forge::resource(), SECRETS.to_owned(), TestRun::resource()];
        ControllerOptions { concurrency: 4, watches: watches.to_vec(), ..ControllerOptions::default() }
    }

    fn used_by(&self, object: &Object<Approval>) -> Vec<String> {
        let stored = self.cache.list(&TestRun::resource());
        let of = stored.iter().filter(|found| {
            let of = &found.value["spec"]["source"]["pullRequest"];
            found.metadata.namespace == object.metadata.namespace
                && of["number"].as_i64() == Some(object.spec.pull_request)
                && of["headSHA"] == object.spec.head_sha.as_str()
                && of["fork"] == true
        });
        let mut runs: Vec<Object<TestRun>> =
            of.filter_map(|found| Object::<TestRun>::from_value(&found.value).ok()).collect();
        runs.retain(|run| condition::is_true(&run.status.conditions, ConditionType::Approved.word()));
        runs.sort_by_cached_key(|run| std::cmp::Reverse(names::age(run)));
        runs.into_iter().take(USED_BY_MAX).map(|run| run.metadata.name).collect()
    }
}

impl Reconciler for Approvals {
    type Kind = Approval;
    type Observed = Observed;
    type Action = Action;

    async fn observe(&self, object: &Object<Approval>) -> Result<Observed, Failure> {
        if object.is_being_deleted() {
            return Ok(Observed::default());
        }
        if !self.cache.is_synced(&Repository::resource()) || !self.cache.is_synced(&Forge::resource()) {
            return Err(Failure::outdated("the first lists have not arrived yet"));
        }
        let key = ObjectKey::new(&Repository::resource(), &object.metadata.namespace, &object.spec.repository_ref);
        let stored = self.cache.get(&key).ok_or_else(|| {
            let message = format!("the Repository {} does not exist: apply it", object.spec.repository_ref);
            Failure::blocked(reason::DEPENDENCY_NOT_READY, message, vec![key.clone()])
        })?;
        let repository =
            Object::<Repository>::from_value(&stored.value).map_err(|error| Failure::bug(error.to_string()))?;
        let to = connection::connect_repository(&self.cache, &self.outside, &repository)?;
        let pull = to.connection.forge.pull_request(&to.repository, object.spec.pull_request).await?;
        Ok(Observed { pull, used_by: self.used_by(object), period: repository.spec.poll_interval.span() })
    }

    fn decide(object: &Object<Approval>, seen: &Observed, _now: Timestamp) -> Decision<ApprovalStatus, Action> {
        let mut status = object.status.clone();
        if object.is_being_deleted() {
            return Decision::wait(status, Next::Finalized);
        }
        status.used_by.clone_from(&seen.used_by);
        let number = object.spec.pull_request;
        let (word, reason, message) = match &seen.pull {
            None => (ConditionStatus::False, reason::NOT_FOUND, format!("Pull request {number} is gone.")),
            Some(pull) if !pull.is_open => {
                (ConditionStatus::False, reason::PULL_REQUEST_CLOSED, format!("Pull request {number} is closed."))
            }
            Some(pull) if !pull.head_sha.eq_ignore_ascii_case(&object.spec.head_sha) => (
                ConditionStatus::False,
                reason::HEAD_MOVED,
                format!(
                    "Pull request {number} is at {} by now: whoever looks at that commit approves it anew.",
                    pull.head_sha.get(..7).unwrap_or(&pull.head_sha)
                ),
            ),
            Some(_) => {
                let message = format!("It is the head of pull request {number}, and it may run.");
                (ConditionStatus::True, reason::CURRENT, message)
            }
        };
        if let Some(pull) = &seen.pull {
            status.author = Some(pull.author.login.clone());
            status.observed_head_sha = Some(pull.head_sha.clone());
        }
        for type_ in [ConditionType::Current.word(), READY] {
            condition::set(&mut status.conditions, Condition::new(type_, word, reason, message.clone()));
        }
        let period = if word == ConditionStatus::True { seen.period } else { seen.period.max(VOID_PERIOD) };
        Decision::wait(status, Next::After(period))
    }

    async fn act(&self, _object: &Object<Approval>, action: Action) -> Result<(), Failure> {
        match action {}
    }

    fn references(object: &Object<Approval>) -> Vec<ObjectKey> {
        vec![ObjectKey::new(&Repository::resource(), &object.metadata.namespace, &object.spec.repository_ref)]
    }
}
