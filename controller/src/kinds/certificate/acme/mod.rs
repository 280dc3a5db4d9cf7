//! Certificates that are ordered from an authority: what is known, what follows, and the errands that are run.
//!
//! ```text
//!   account key ─► account ─► key of the new pair ─► order ─► challenges published ─► answered ─► ready
//!    a Secret       status      a Secret              status    status, before it       status      │ signing request
//!                                                               is done                             ▼
//!   the pair in use ◄── judged ◄── fetched ◄── valid ◄── processing ◄────────────────────────── handed in
//! ```
//!
//! What must survive a kill is in Secrets (keys) and in `status.acme` (URLs, what was published), and it is there before the
//! authority hears of it; the rest is found out by looking at the order again. Everything that takes time is an errand: an
//! operation beside the passes, under the number of its step. What an errand told is taken up once, because the step is
//! counted up with it.

pub(super) mod decide;
pub(super) mod errand;
pub(super) mod observe;
pub(super) mod words;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::acme::{Acme, AcmeChallenge, AcmeStatus};
use api_types::kinds::certificate::Certificate;
use jiff::{SignedDuration, Timestamp};
use ports::acme::{Order, Window};
use ports::certificate::{Flaw, Pair};
use serde::{Deserialize, Serialize};

use crate::kinds::app::deployer::decorate::hash;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;

use super::SECRETS;

/// The key of the key, in both kinds of Secrets.
pub(super) const KEY: &str = "tls.key";
/// What the name of the Secret ends with that holds the key of a pair that is being ordered.
const NEXT_KEY_SUFFIX: &str = ".next-key";
/// What the name of a Secret begins with that holds the key of an account.
const ACCOUNT_PREFIX: &str = "acme-account-";
/// Records could not be taken back.
pub(super) const CLEANUP_FAILED: &str = "CleanupFailed";
/// In which time orders are counted.
pub(super) const COUNTED: Duration = Duration::from_hours(1);
/// Most orders of one Certificate in that time.
pub(super) const ORDERS_MAX: usize = 5;
/// Most orders of all Certificates at one authority in that time.
pub(super) const ALL_ORDERS_MAX: usize = 60;

/// What is known of an order beside the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The account's key: SHA-256 of its public half.
    pub account_key: Key,
    /// The key of the pair that is being ordered.
    pub next_key: Key,
    /// Why no order can be made as the spec has it: a reason and a text.
    pub refusal: Option<(&'static str, String)>,
    /// What is answered over HTTP.
    pub answering: BTreeSet<String>,
    /// The errand of the present step.
    pub errand: Errands,
    /// The pair that was fetched.
    pub fetched: Option<Result<Pair, Flaw>>,
    /// When the order was looked at last.
    pub looked_at: Option<Timestamp>,
    /// How many orders all Certificates made lately at this authority.
    pub all_orders: usize,
}

/// A key that is kept in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// There is none.
    Absent,
    /// There is one, with this fingerprint.
    Found(String),
    /// What is there cannot be used: a reason and a text.
    Refused(&'static str, String),
}

/// What becomes of the errand of the present step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errands {
    /// Nobody is on the way.
    Absent,
    /// Somebody is.
    Running,
    /// It told this.
    Told(Box<Told>),
    /// It failed: reason, text, and when it makes sense again.
    Failed(String, String, Option<Duration>),
}

/// What an errand told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The account is this, and belongs to the key of this fingerprint.
    Account(String, String),
    /// The order is this.
    Order(String),
    /// The order is so far.
    Seen(Order),
    /// Records are written.
    Published,
    /// The authority knows that it may look.
    Answered,
    /// The signing request is handed in.
    Finalized,
    /// The certificate with its chain.
    Chain(String),
    /// Records are gone.
    CleanedUp,
    /// When to renew.
    Renewal(Option<Window>),
}

/// Something that takes time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Make the account, or find it.
    Register,
    /// Make an order for names, which renews the certificate in use or does not.
    Order(Vec<String>, Renews),
    /// Look at an order.
    Look(String),
    /// Write records.
    Publish(Vec<AcmeChallenge>),
    /// Tell the authority that it may look: the order, the challenges.
    Answer(String, Vec<String>),
    /// Hand in the signing request: the order, its names.
    Finalize(String, Vec<String>),
    /// Fetch the certificate.
    Fetch(String),
    /// Take records back.
    CleanUp(Vec<AcmeChallenge>),
    /// Ask when to renew the certificate in use.
    AskRenewal,
}

/// Whether an order renews the certificate in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renews {
    /// It does.
    Yes,
    /// It is for something new.
    No,
}

/// What there was before a key for an account is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Another one, whose Secret somebody has deleted.
    Lost,
}

impl Errand {
    /// Returns the word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Register => "Register",
            Self::Order(..) => "Order",
            Self::Look(_) => "Look",
            Self::Publish(_) => "Publish",
            Self::Answer(..) => "Answer",
            Self::Finalize(..) => "Finalize",
            Self::Fetch(_) => "Fetch",
            Self::CleanUp(_) => "CleanUp",
            Self::AskRenewal => "AskRenewal",
        }
    }
}

/// Returns the status of an order, empty before the first step.
pub(super) fn state_of(certificate: &Object<Certificate>) -> AcmeStatus {
    certificate.status.acme.clone().unwrap_or_default()
}

/// Returns the id of the errand of a step.
pub(super) fn errand_id(uid: &str, step: i64) -> String {
    format!("certificate/{uid}/acme/{step}")
}

/// Returns where the key of the pair is kept that is being ordered.
pub(super) fn next_key(certificate: &Object<Certificate>) -> ObjectKey {
    let metadata = &certificate.metadata;
    ObjectKey::new(SECRETS, &metadata.namespace, &format!("{}{NEXT_KEY_SUFFIX}", metadata.name))
}

/// Returns where the account's key is kept: the Secret that the spec names, or one that all Certificates of the namespace
/// share which have the same directory, email and external account.
pub(super) fn account_key(namespace: &str, acme: &Acme) -> ObjectKey {
    let name = match &acme.account_key_secret_ref {
        Some(reference) => reference.name.clone(),
        None => {
            let bound = acme.external_account.as_ref().map(|account| &*account.key_id);
            let all = format!(
                "{}\n{}\n{}",
                acme.directory,
                acme.email.as_deref().unwrap_or_default(),
                bound.unwrap_or_default()
            );
            format!("{ACCOUNT_PREFIX}{}", &hash(all.as_bytes())[..16])
        }
    };
    ObjectKey::new(SECRETS, namespace, &name)
}

/// Returns the names that are ordered, in order, each once.
pub(super) fn wanted(certificate: &Object<Certificate>) -> Vec<String> {
    let mut names = certificate.spec.dns_names.clone();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns how long it is until a moment of the status, unless that is over. One that lies further away than anything is
/// ever put off was written while the clock stood wrong, and is over.
pub(super) fn left_until(text: Option<&str>, now: Timestamp, most: Duration) -> Option<Duration> {
    let at: Timestamp = text?.parse().ok()?;
    let left = Duration::try_from(at.duration_since(now)).ok().filter(|left| !left.is_zero())?;
    (left <= most).then_some(left)
}

/// Returns the moments of a list that are not older than an hour, and not yet to come.
pub(super) fn lately(moments: &[String], now: Timestamp) -> Vec<String> {
    let is_late = |text: &&String| {
        text.parse::<Timestamp>().is_ok_and(|at| {
            let age = now.duration_since(at);
            age >= SignedDuration::from_secs(-1) && age.unsigned_abs() < COUNTED
        })
    };
    moments.iter().filter(is_late).cloned().collect()
}

impl From<Result<Told, Failure>> for Errands {
    fn from(result: Result<Told, Failure>) -> Self {
        match result {
            Ok(told) => Self::Told(Box::new(told)),
            Err(failure) => Self::Failed(failure.reason, failure.message, failure.retry_after),
        }
    }
}
