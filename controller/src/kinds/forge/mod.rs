//! Forge: a Gitea or Forgejo server that answers, takes the token, and lets it do what is needed. See `README.md` beside
//! this file.

pub mod connection;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::forge::{Forge, ForgeFlavor, ForgeStatus};
use api_types::reason;
use jiff::Timestamp;
use ports::error::{Error, chain};
use ports::forge::{Account, Flavor, Scopes, Server};

use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::events::seconds;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::{Failure, sentence};
use crate::runtime::reconciler::{Decision, Next, Reconciler};
use connection::SECRETS;

/// How often a forge with which all is well is asked.
const WELL_PERIOD: Duration = Duration::from_mins(10);
/// How often one is asked that does not answer, or does not take the token.
const ILL_PERIOD: Duration = Duration::from_secs(30);

/// What a forge said.
#[derive(Debug, Default)]
pub struct Observed {
    /// Which program it is, or why that is not known.
    pub server: Option<Result<Server, Error>>,
    /// Whose token it is; not asked when it does not answer at all.
    pub account: Option<Result<Account, Error>>,
    /// What the token may do; not asked when it is not taken.
    pub scopes: Option<Result<Scopes, Error>>,
}

impl Observed {
    /// Asks a forge everything, as far as it answers.
    pub async fn of(forge: &dyn ports::forge::Forge) -> Self {
        let mut seen = Self { server: Some(forge.server().await), ..Self::default() };
        if matches!(seen.server, Some(Ok(_))) {
            seen.account = Some(forge.account().await);
        }
        if matches!(seen.account, Some(Ok(_))) {
            seen.scopes = Some(forge.scopes().await);
        }
        seen
    }
}

/// There is nothing to do but to look.
#[derive(Debug)]
pub enum Action {}

/// The reconciler.
pub struct Forges {
    cache: Arc<Cache>,
    outside: Outside,
}

impl Forges {
    /// Returns the reconciler.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside) -> Self {
        Self { cache: shared.cache.clone(), outside }
    }

    /// Returns how its controller works: another token is tried at once.
    #[must_use]
    pub fn options() -> ControllerOptions {
        ControllerOptions { watches: vec![SECRETS.to_owned()], ..ControllerOptions::default() }
    }
}

impl Reconciler for Forges {
    type Kind = Forge;
    type Observed = Observed;
    type Action = Action;

    async fn observe(&self, object: &Object<Forge>) -> Result<Observed, Failure> {
        if object.is_being_deleted() {
            return Ok(Observed::default());
        }
        let address = connection::address(&self.cache, &self.outside, object)?;
        let forge = self.outside.forges.connect(&address)?;
        Ok(Observed::of(&*forge).await)
    }

    fn decide(object: &Object<Forge>, seen: &Observed, now: Timestamp) -> Decision<ForgeStatus, Action> {
        let mut status = object.status.clone();
        if object.is_being_deleted() {
            return Decision::wait(status, Next::Finalized);
        }
        status.last_checked = Some(seconds(now));
        let conditions =
            [reachable(object, seen, &mut status), authenticated(seen, &mut status), scopes(seen, &mut status)];
        let ready = ready(&conditions, &status);
        let is_well = ready.status == ConditionStatus::True;
        for condition in conditions.into_iter().chain([ready]) {
            condition::set(&mut status.conditions, condition);
        }
        let errors = [error(seen.server.as_ref()), error(seen.account.as_ref()), error(seen.scopes.as_ref())];
        let asked = errors.into_iter().flatten().filter_map(|error| error.retry_after).max().unwrap_or_default();
        let period = if is_well { WELL_PERIOD } else { ILL_PERIOD };
        Decision::wait(status, Next::After(period.max(asked)))
    }

    async fn act(&self, _object: &Object<Forge>, action: Action) -> Result<(), Failure> {
        match action {}
    }

    fn references(object: &Object<Forge>) -> Vec<ObjectKey> {
        let reference = &object.spec.token_secret_ref;
        vec![ObjectKey::new(SECRETS, &reference.namespace, &reference.name)]
    }
}

fn error<T>(answer: Option<&Result<T, Error>>) -> Option<&Error> {
    answer.and_then(|answer| answer.as_ref().err())
}

fn of(type_: ConditionType, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(type_.word(), status, reason, message)
}

fn told(type_: ConditionType, error: &Error) -> Condition {
    of(type_, ConditionStatus::False, error.reason, sentence(&chain(error)))
}

fn reachable(object: &Object<Forge>, seen: &Observed, status: &mut ForgeStatus) -> Condition {
    let type_ = ConditionType::Reachable;
    let server = match &seen.server {
        None => return of(type_, ConditionStatus::Unknown, reason::PROGRESSING, "It has not been asked yet."),
        Some(Err(error)) => return told(type_, error),
        Some(Ok(server)) => server,
    };
    let (flavor, name) = match server.flavor {
        Flavor::Gitea => (ForgeFlavor::Gitea, "Gitea"),
        Flavor::Forgejo => (ForgeFlavor::Forgejo, "Forgejo"),
    };
    status.flavor = Some(flavor);
    status.version = Some(server.version.clone());
    if object.spec.flavor != ForgeFlavor::Auto && object.spec.flavor != flavor {
        let message = format!("It is a {name}, and spec.flavor says otherwise: set it to {name} or to Auto.");
        return of(type_, ConditionStatus::False, reason::INVALID_SPEC, message);
    }
    if !server.is_supported() {
        let message = format!(
            "{name} {} is too old or unknown: Gitea 1.21, Forgejo 8 and everything later work.",
            server.version
        );
        return of(type_, ConditionStatus::False, reason::UNSUPPORTED_VERSION, message);
    }
    of(type_, ConditionStatus::True, reason::REACHABLE, format!("It is {name} {}.", server.version))
}

fn authenticated(seen: &Observed, status: &mut ForgeStatus) -> Condition {
    let type_ = ConditionType::Authenticated;
    match &seen.account {
        None => of(type_, ConditionStatus::Unknown, reason::UNREACHABLE, "The server does not answer."),
        Some(Err(error)) => told(type_, error),
        Some(Ok(account)) if account.login.is_empty() => {
            of(type_, ConditionStatus::False, reason::UNAUTHORIZED, "The server does not say whose token it is.")
        }
        Some(Ok(account)) => {
            status.login = Some(account.login.clone());
            of(type_, ConditionStatus::True, reason::SUCCEEDED, format!("The token is {}'s.", account.login))
        }
    }
}

fn scopes(seen: &Observed, status: &mut ForgeStatus) -> Condition {
    let type_ = ConditionType::ScopesSufficient;
    match &seen.scopes {
        None => of(type_, ConditionStatus::Unknown, reason::UNREACHABLE, "The token was not taken."),
        Some(Err(error)) => told(type_, error),
        Some(Ok(scopes)) => {
            status.scopes.clone_from(&scopes.found);
            status.missing_scopes.clone_from(&scopes.missing);
            if scopes.missing.is_empty() {
                return of(
                    type_,
                    ConditionStatus::True,
                    reason::SCOPES_FOUND,
                    "The token has all scopes that are needed.",
                );
            }
            let message = format!(
                "The token lacks {}: make one with these scopes as well (Settings, Applications), and put it into the \
                 Secret.",
                scopes.missing.join(", ")
            );
            of(type_, ConditionStatus::False, reason::SCOPES_MISSING, message)
        }
    }
}

/// The first thing that is not well, or that all is.
fn ready(conditions: &[Condition], status: &ForgeStatus) -> Condition {
    match conditions.iter().find(|condition| condition.status != ConditionStatus::True) {
        Some(first) => Condition::new(READY, first.status, &first.reason, first.message.clone()),
        None => {
            let login = status.login.as_deref().unwrap_or_default();
            let version = status.version.as_deref().unwrap_or_default();
            let message = format!("Version {version} answers, and {login} may do what is needed.");
            Condition::new(READY, ConditionStatus::True, reason::SUCCEEDED, message)
        }
    }
}
