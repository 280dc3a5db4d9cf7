//! What is said about orders.

use std::time::Duration;

use api_types::condition::ConditionStatus;
use api_types::kind::Object;
use api_types::kinds::acme::{Acme, AcmeStatus};
use api_types::kinds::certificate::Certificate;
use api_types::reason;
use jiff::Timestamp;
use ports::acme::{LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Name, Order, Proof};

use super::decide::{Course, reason_word};
use super::wanted;
use crate::kinds::certificate::words::moment;
use crate::runtime::outcome::sentence;

/// Most names that are named.
const NAMES_MAX: usize = 4;
/// Longest text of a failure, in characters.
const FAILURE_CHARACTERS_MAX: usize = 4096;

/// Returns what an authority is called.
pub(super) fn authority(directory: &str) -> String {
    match directory {
        LETS_ENCRYPT => "Let's Encrypt".to_owned(),
        LETS_ENCRYPT_STAGING => "Let's Encrypt (staging, which nobody trusts)".to_owned(),
        other => {
            let host = other.split("://").nth(1).unwrap_or(other).split(['/', ':']).next().unwrap_or(other);
            host.to_owned()
        }
    }
}

/// Returns some names.
pub(super) fn names(names: &[String]) -> String {
    match names.split_at_checked(NAMES_MAX) {
        Some((some, rest)) if !rest.is_empty() => format!("{} and {} more", some.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// What is told of one order.
pub(in super::super) struct Told<'a> {
    authority: String,
    names: String,
    state: &'a AcmeStatus,
    now: Timestamp,
}

impl<'a> Told<'a> {
    pub(in super::super) fn new(
        certificate: &Object<Certificate>,
        spec: &Acme,
        state: &'a AcmeStatus,
        now: Timestamp,
    ) -> Self {
        Self { authority: authority(&spec.directory), names: names(&wanted(certificate)), state, now }
    }

    /// Returns "the certificate from …".
    pub(in super::super) fn origin(&self) -> String {
        format!("the certificate from {}", self.authority)
    }

    /// Says that a new one is on its way.
    pub(in super::super) fn renewing(&self, doing: &str) -> String {
        match &self.state.failure {
            Some(failure) => {
                format!("A new one could not be had: {} It is being tried again.", sentence(&failure.message))
            }
            None => format!("A new one is on its way: {doing}."),
        }
    }

    /// Says why no new one could be had.
    pub(in super::super) fn renewing_failed(&self, again: Option<Duration>) -> String {
        format!("A new one could not be had: {}", self.failed(again))
    }

    /// Says how it goes while there is no good pair.
    pub(in super::super) fn without_pair(&self, course: &Course) -> (ConditionStatus, &'static str, String) {
        let again = match course {
            Course::Failed(again) => *again,
            _ => None,
        };
        match (&self.state.failure, course) {
            (Some(failure), _) => (ConditionStatus::False, reason_word(&failure.reason), self.failed(again)),
            (None, Course::Under(doing)) => (
                ConditionStatus::Unknown,
                reason::PROGRESSING,
                format!("a certificate for {} is being ordered from {}: {doing}", self.names, self.authority),
            ),
            (None, _) => (
                ConditionStatus::Unknown,
                reason::PROGRESSING,
                format!("a certificate for {} is being ordered from {}", self.names, self.authority),
            ),
        }
    }

    /// Says what failed, and when it is tried again.
    fn failed(&self, again: Option<Duration>) -> String {
        let said = self.state.failure.as_ref().map_or_else(String::new, |failure| sentence(&failure.message));
        match again.and_then(|wait| self.now.checked_add(wait).ok()) {
            Some(at) => format!("{said} It is tried again at {}, or when the spec changes.", moment(at)),
            None => format!("{said} It is being tried again."),
        }
    }
}

/// Returns a text that fits into the status.
pub(super) fn bounded(text: &str) -> String {
    text.chars().take(FAILURE_CHARACTERS_MAX).collect()
}

/// Returns why an order has failed, and what a person does.
pub(super) fn invalid(order: &Order, spec: &Acme) -> (&'static str, String) {
    let is_bad = |name: &&Name| name.proof == Proof::Invalid;
    let bad: Vec<&Name> = order.names.iter().filter(is_bad).collect();
    let Some(first) = bad.first() else {
        let said = order.problem.as_deref().unwrap_or("it does not say why");
        return (reason::ORDER_FAILED, format!("{} ended the order: {said}", authority(&spec.directory)));
    };
    let said = first.challenges.iter().find_map(|one| one.problem.as_deref()).or(order.problem.as_deref());
    let mut text = format!(
        "{} could not see that {} is ours: {}",
        authority(&spec.directory),
        first.name,
        said.unwrap_or("it does not say why")
    );
    if bad.len() > 1 {
        let others: Vec<String> = bad[1..].iter().map(|name| name.name.clone()).collect();
        text.push_str(&format!("; neither could it for {}", names(&others)));
    }
    let name = first.name.trim_start_matches("*.");
    text.push_str(&match (&spec.http01, &spec.dns01) {
        (Some(http), _) => format!(
            ". From outside, http://{name}/.well-known/acme-challenge/ must lead to port {} of this machine: look at the name's A \
             and AAAA records, the firewall, and the proxy's rule for that path",
            http.port
        ),
        (_, Some(_)) => format!(
            ". The program that writes records has to wait until every name server of the zone has the TXT record \
             _acme-challenge.{name}: look with dig TXT _acme-challenge.{name}, and at a CNAME that leads elsewhere"
        ),
        _ => String::new(),
    });
    (reason::CHALLENGE_FAILED, text)
}
