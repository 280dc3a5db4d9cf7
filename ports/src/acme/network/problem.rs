//! From what an authority says is wrong to an error of ours, in words that its reader can use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use instant_acme::Problem;

use super::super::{ACCOUNT_GONE, AUTHORITY_REFUSES, AUTHORITY_UNREACHABLE, BAD_NONCE, ORDER_GONE, RATE_LIMITED};
use crate::error::Error;

/// Most characters of an authority's words.
const WORDS_CHARACTERS_MAX: usize = 1024;
/// What all types of problems begin with.
const PREFIX: &str = "urn:ietf:params:acme:error:";
/// How long an authority that is asked for too much is left alone when it does not say.
const PAUSE_DEFAULT: Duration = Duration::from_mins(10);
/// The longest that one that says nothing sensible is left alone.
const PAUSE_MAX: Duration = Duration::from_hours(24);

/// What an authority says beside its last answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<(Option<Duration>, u16)>>);

impl Heard {
    /// Notes the header `Retry-After` and the status of an answer.
    pub(super) fn note(&self, retry_after: Option<&HeaderValue>, status: u16) {
        let text = retry_after.and_then(|value| value.to_str().ok());
        let wait = text.and_then(|text| text.trim().parse().ok().map(Duration::from_secs).or_else(|| until(text)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (wait.map(|wait| wait.min(PAUSE_MAX)), status);
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn status(&self) -> u16 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Returns how long it is until a date as HTTP writes it.
fn until(text: &str) -> Option<Duration> {
    use crate::clock::Clock as _;
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Duration::try_from(at.duration_since(crate::clock::SystemClock.now())).ok()
}

/// Returns an authority's own words about a problem, in one line.
pub(super) fn words(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("about:blank").trim_start_matches(PREFIX);
    let mut text = problem.detail.clone().unwrap_or_else(|| "it does not say more".to_owned());
    for part in &problem.subproblems {
        let name = part.identifier.as_ref().map(|name| name.authorized(false).to_string()).unwrap_or_default();
        text.push_str("; ");
        text.push_str(&name);
        text.push_str(": ");
        text.push_str(part.detail.as_deref().unwrap_or_default());
    }
    let text = text.split(|character: char| character.is_whitespace() || character.is_control());
    let text: Vec<&str> = text.filter(|word| !word.is_empty()).collect();
    let text: String = text.join(" ").chars().take(WORDS_CHARACTERS_MAX).collect();
    format!("{} ({kind})", text.trim_end_matches('.'))
}

/// Returns whether an authority does not take the hint that an order renews a certificate.
pub(super) fn is_about_replacing(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Unsupported(_) => true,
        // It took the order, and did not say the hint back.
        instant_acme::Error::Other(other) => other.to_string().contains("replaces field mismatch"),
        instant_acme::Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX);
            kind == "alreadyReplaced"
                || (kind == "malformed" || kind == "serverInternal") && {
                    let detail = problem.detail.as_deref().unwrap_or_default().to_ascii_lowercase();
                    detail.contains("replace") || detail.contains("ari")
                }
        }
        _ => false,
    }
}

/// Returns the error of a call about an order: one that is gone is told apart.
pub(super) fn of_order(error: instant_acme::Error, heard: &Heard) -> Error {
    let is_gone = match &error {
        instant_acme::Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            heard.status() == 404 || kind.ends_with(":orderNotFound")
        }
        _ => heard.status() == 404,
    };
    if is_gone {
        return Error::terminal(ORDER_GONE, "the authority does not know the order any more");
    }
    told(error, heard, "look at the order")
}

/// Returns the error of a call.
pub(super) fn told(error: instant_acme::Error, heard: &Heard, what: &str) -> Error {
    match error {
        instant_acme::Error::Api(problem) => of_problem(&problem, heard, what),
        instant_acme::Error::Other(other) => match other.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::retryable(AUTHORITY_UNREACHABLE, format!("it was tried to {what}")).because(other),
        },
        instant_acme::Error::Json(_) | instant_acme::Error::Str(_) => {
            let status = heard.status();
            let message = format!("it was tried to {what}, and status {status} came with what ACME does not say");
            Error::retryable(AUTHORITY_UNREACHABLE, message).not_before(heard.retry_after())
        }
        error => Error::retryable(AUTHORITY_UNREACHABLE, format!("it was tried to {what}")).because(error),
    }
}

/// Returns the error of a problem that an authority told.
pub(super) fn of_problem(problem: &Problem, heard: &Heard, what: &str) -> Error {
    let kind = problem.r#type.as_deref().unwrap_or_default().trim_start_matches(PREFIX);
    let (said, status) = (words(problem), problem.status.unwrap_or_else(|| heard.status()));
    match kind {
        "rateLimited" => limited(heard, &said),
        _ if status == 429 => limited(heard, &said),
        "badNonce" => Error::retryable(BAD_NONCE, format!("it was tried to {what}, and the authority said: {said}")),
        "accountDoesNotExist" => Error::terminal(ACCOUNT_GONE, "the authority does not know the account any more"),
        "serverInternal" => unreachable(heard, what, &said),
        _ if status >= 500 => unreachable(heard, what, &said),
        "orderNotReady" => unreachable(heard, what, &said),
        _ => {
            let message = format!("it was tried to {what}, and the authority refused: {said}{}", hint(kind));
            Error::terminal(AUTHORITY_REFUSES, message)
        }
    }
}

fn limited(heard: &Heard, said: &str) -> Error {
    let pause = heard.retry_after().unwrap_or(PAUSE_DEFAULT);
    let message = format!("the authority was asked for too much: {said}");
    Error::retryable(RATE_LIMITED, message).not_before(Some(pause))
}

fn unreachable(heard: &Heard, what: &str, said: &str) -> Error {
    let message = format!("it was tried to {what}, and the authority has trouble of its own: {said}");
    Error::retryable(AUTHORITY_UNREACHABLE, message).not_before(heard.retry_after())
}

/// Returns what a person does about a kind of problem.
fn hint(kind: &str) -> &'static str {
    match kind {
        "rejectedIdentifier" => "; it does not issue for a name of spec.dnsNames: take that one out",
        "externalAccountRequired" => {
            "; it wants an account of its shop: make keys for external account binding there, and set \
             spec.source.acme.externalAccount"
        }
        "caa" => "; a CAA record of the zone forbids it: add the authority there",
        "invalidContact" | "unsupportedContact" => "; correct spec.source.acme.email",
        "userActionRequired" => "; open the page that it names, with the account's key if it asks for it",
        "unauthorized" => "; the account may not do that: is the key in the Secret that of the account?",
        _ => "",
    }
}
