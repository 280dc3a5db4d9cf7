//! Approval: whether the head that somebody looked at is still the head, and whether they may still say so. See
//! `README.md` beside this file.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::approval::{Approval, ApprovalScope, ApprovalStatus};
use api_types::kinds::forge::Forge;
use api_types::kinds::repository::{Repository, TriggerEvent};
use api_types::kinds::test_run::{Phase, TestRun};
use api_types::reason;
use jiff::Timestamp;
use ports::forge::PullRequest;

use crate::kinds::forge::connection::{self, SECRETS};
use crate::kinds::repository::{authorize, names};
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::events::seconds;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Next, Reconciler};
use crate::trust;

/// Runs that are listed.
const USED_BY_MAX: usize = 20;
/// How often an approval that no longer counts is looked at.
const VOID_PERIOD: Duration = Duration::from_mins(10);
/// How often one is looked at while a run waits to begin because of it; shorter than what the gate takes for confirmed.
const AWAITED_PERIOD: Duration = Duration::from_secs(20);

/// Whether whoever gave an approval may give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Right {
    /// It was made over the API: the forge has no say in it.
    #[default]
    OfRoles,
    /// The forge was not asked: the approval is void, whoever gave it.
    Unasked,
    /// The forge says why they may.
    Held(String),
    /// The forge says why they may not.
    Lost(String),
}

/// What is seen of an approval.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The pull request as it is now; `None` when it is gone.
    pub pull: Option<PullRequest>,
    /// Whether whoever gave it may give it.
    pub right: Right,
    /// Whether a run waits to begin because of it.
    pub is_awaited: bool,
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

    /// Returns the runs of the head, newest first.
    fn runs(&self, object: &Object<Approval>) -> Vec<Object<TestRun>> {
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
        runs.sort_by_cached_key(|run| std::cmp::Reverse(names::age(run)));
        runs
    }
}

fn used_by(runs: &[Object<TestRun>]) -> Vec<String> {
    let approved = |run: &&Object<TestRun>| condition::is_true(&run.status.conditions, ConditionType::Approved.word());
    runs.iter().filter(approved).take(USED_BY_MAX).map(|run| run.metadata.name.clone()).collect()
}

fn is_awaited(runs: &[Object<TestRun>]) -> bool {
    runs.iter().any(|run| {
        let has_begun = condition::is_true(&run.status.conditions, ConditionType::Scheduled.word());
        !has_begun && !run.status.phase.is_some_and(Phase::is_finished)
    })
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
        let right = if !trust::is_of_comment(object) {
            Right::OfRoles
        } else if is_void(object, pull.as_ref()) {
            Right::Unasked
        } else {
            let triggers = repository.spec.triggers.iter().filter(|trigger| trigger.on == TriggerEvent::Comment);
            let rules = triggers.filter_map(|trigger| trigger.authorize.as_ref());
            let login = &object.spec.approved_by;
            match authorize::authorize_any(&*to.connection.forge, rules, &to.repository, login).await? {
                Ok(why) => Right::Held(why),
                Err(why) => Right::Lost(why),
            }
        };
        let runs = self.runs(object);
        Ok(Observed {
            pull,
            right,
            is_awaited: is_awaited(&runs),
            used_by: used_by(&runs),
            period: repository.spec.poll_interval.span(),
        })
    }

    fn decide(object: &Object<Approval>, seen: &Observed, now: Timestamp) -> Decision<ApprovalStatus, Action> {
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
        status.last_checked = Some(seconds(now));
        let current = Condition::new(ConditionType::Current.word(), word, reason, message);
        let authorized = authorized(object, seen, &current);
        let ready = [&current, &authorized].into_iter().find(|condition| condition.status != ConditionStatus::True);
        let ready = Condition { type_: READY.to_owned(), ..ready.unwrap_or(&current).clone() };
        let period = match (word, seen.is_awaited) {
            (ConditionStatus::True, true) => seen.period.min(AWAITED_PERIOD),
            (ConditionStatus::True, false) => seen.period,
            _ => seen.period.max(VOID_PERIOD),
        };
        for condition in [current, authorized, ready] {
            condition::set(&mut status.conditions, condition);
        }
        Decision::wait(status, Next::After(period))
    }

    async fn act(&self, _object: &Object<Approval>, action: Action) -> Result<(), Failure> {
        match action {}
    }

    fn references(object: &Object<Approval>) -> Vec<ObjectKey> {
        vec![ObjectKey::new(&Repository::resource(), &object.metadata.namespace, &object.spec.repository_ref)]
    }
}

/// Returns whether an approval opens nothing any more, whoever gave it. One for its author's later pull requests outlives
/// the head that it was given for.
fn is_void(object: &Object<Approval>, pull: Option<&PullRequest>) -> bool {
    let is_current = pull.is_some_and(|pull| pull.is_open && pull.head_sha.eq_ignore_ascii_case(&object.spec.head_sha));
    !is_current && object.spec.scope == ApprovalScope::Once
}

/// Says whether whoever gave the approval may still give it.
fn authorized(object: &Object<Approval>, seen: &Observed, current: &Condition) -> Condition {
    let type_ = ConditionType::Authorized.word();
    let login = &object.spec.approved_by;
    match &seen.right {
        Right::OfRoles => {
            let message = "It was made over the API, whose roles say who may.";
            Condition::new(type_, ConditionStatus::True, reason::SUCCEEDED, message)
        }
        Right::Unasked => {
            let message = format!("The forge is not asked about {login} any more: the approval is void.");
            Condition::new(type_, ConditionStatus::Unknown, &current.reason, message)
        }
        Right::Held(why) => Condition::new(type_, ConditionStatus::True, reason::APPROVED, why.clone()),
        Right::Lost(why) => {
            let message = format!("{login} may not approve any more: {why} Somebody else may comment `!ok` anew.");
            Condition::new(type_, ConditionStatus::False, reason::NOT_AUTHORIZED, message)
        }
    }
}
