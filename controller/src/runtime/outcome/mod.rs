//! The table: what an error means for conditions, requeue, event and metric. There is no other place that decides this.
//!
//! | class | means | conditions | runs again | event | `result` |
//! |---|---|---|---|---|---|
//! | `Retryable` | the world hiccuped | `Reconciling=True`, summary kept, `Unknown` if there is none | after a backoff, or when the spec or an awaited object changes | Warning | `retry` |
//! | `Blocked` | something with a name must happen first | summary `False` for things that stay, `Unknown` for runs | when that changes, and every minute | Normal | `blocked` |
//! | `Terminal` | a person must change something | `Stalled=True`, summary `False` | when the object changes | Warning | `terminal` |
//! | `Bug` | an invariant of ours is broken, or a panic | `Stalled=True` reason `InternalError`, summary kept | after the longest backoff, or when the object changes | Warning | `panic` |
//!
//! A check that ran and said no is none of these: it is a result, and `decide` puts it into the status.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, RECONCILING, STALLED, SUCCEEDED};
use api_types::status::{Reason, Status};
use ports::error::ErrorKind;

use super::events::EventKind;
use super::objects::ObjectKey;
use super::queue::Rest;

#[cfg(test)]
mod tests;

/// How often something that is waited for is looked at although nothing was heard of it.
pub const BLOCKED_POLL: Duration = Duration::from_mins(1);
/// How long an object that hit a bug of ours is left alone unless somebody changes it.
pub const BUG_PAUSE: Duration = Duration::from_mins(5);

/// Why a pass did not do what it should.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What has to happen before another try makes sense.
    pub kind: ErrorKind,
    /// One CamelCase word for programs.
    pub reason: String,
    /// What failed, why, and what to do, with everything that caused it: lower case, no full stop.
    pub message: String,
    /// The earliest moment that another try makes sense.
    pub retry_after: Option<Duration>,
    /// Objects whose change may end the failure.
    pub waits_for: Vec<ObjectKey>,
    /// Whether the pass was cut off or the world changed under it, which nobody needs to hear about.
    pub quiet: bool,
}

impl Failure {
    /// Returns a failure that waits for nothing with a name.
    #[must_use]
    pub fn new(kind: ErrorKind, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.to_owned(),
            message: message.into(),
            retry_after: None,
            waits_for: Vec::new(),
            quiet: false,
        }
    }

    /// Returns a failure that another try may heal.
    #[must_use]
    pub fn retryable(reason: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retryable, reason, message)
    }

    /// Returns a failure that the change of one of `waits_for` may heal.
    #[must_use]
    pub fn blocked(reason: &str, message: impl Into<String>, waits_for: Vec<ObjectKey>) -> Self {
        Self { waits_for, ..Self::new(ErrorKind::Blocked, reason, message) }
    }

    /// Returns a failure that only a person can heal.
    #[must_use]
    pub fn terminal(reason: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Terminal, reason, message)
    }

    /// Returns a failure that only a programmer can heal.
    #[must_use]
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, "InternalError", message)
    }

    /// Returns a lost race: the next pass sees the newer object.
    pub(crate) fn outdated(message: impl Into<String>) -> Self {
        Self { quiet: true, ..Self::retryable("Outdated", message) }
    }
}

impl From<ports::error::Error> for Failure {
    fn from(error: ports::error::Error) -> Self {
        let message = ports::error::chain(&error);
        Self { retry_after: error.retry_after, ..Self::new(error.kind, error.reason, message) }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let kind = match status.reason {
            Some(Reason::Invalid | Reason::BadRequest | Reason::RequestEntityTooLarge | Reason::MethodNotAllowed) => {
                // We wrote something that our own store refuses.
                ErrorKind::Bug
            }
            Some(Reason::Forbidden) => ErrorKind::Blocked,
            _ => ErrorKind::Retryable,
        };
        let reason = match (kind, status.reason) {
            (ErrorKind::Bug, _) => "InternalError".to_owned(),
            (_, Some(reason)) => format!("Store{reason:?}"),
            (_, None) => "StoreUnavailable".to_owned(),
        };
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let retry_after = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
        Self { retry_after, ..Self::new(kind, &reason, status.message) }
    }
}

/// The `result` of `cc_reconcile_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassResult {
    /// All is as it should be.
    Ok,
    /// It goes on.
    Requeue,
    /// It waits for something with a name.
    Blocked,
    /// It will be tried again.
    Retry,
    /// A person must act.
    Terminal,
    /// An invariant of ours is broken.
    Panic,
    /// The pass took too long and was cut off.
    Timeout,
}

impl PassResult {
    /// Every result: each starts at zero.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Requeue, Self::Blocked, Self::Retry, Self::Terminal, Self::Panic, Self::Timeout];

    /// Returns the label's value.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Requeue => "requeue",
            Self::Blocked => "blocked",
            Self::Retry => "retry",
            Self::Terminal => "terminal",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
        }
    }
}

/// What a failure means.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the key runs again.
    pub rest: Rest,
    /// Which kind of event is recorded.
    pub event: EventKind,
    /// The metric's label.
    pub result: PassResult,
}

/// Returns what a failure means for everything but the conditions.
#[must_use]
pub fn outcome(failure: &Failure) -> Outcome {
    let at_least = failure.retry_after.unwrap_or(Duration::ZERO);
    match failure.kind {
        ErrorKind::Retryable => {
            let result = if failure.reason == TIMED_OUT { PassResult::Timeout } else { PassResult::Retry };
            let rest = if failure.quiet { Rest::Now } else { Rest::Backoff { at_least } };
            Outcome { rest, event: EventKind::Warning, result }
        }
        ErrorKind::Blocked => Outcome {
            rest: Rest::Blocked(BLOCKED_POLL.max(at_least)),
            event: EventKind::Normal,
            result: PassResult::Blocked,
        },
        ErrorKind::Terminal => Outcome { rest: Rest::Parked, event: EventKind::Warning, result: PassResult::Terminal },
        ErrorKind::Bug => Outcome {
            rest: Rest::Backoff { at_least: BUG_PAUSE },
            event: EventKind::Warning,
            result: PassResult::Panic,
        },
    }
}

/// The reason of a pass that was cut off.
pub const TIMED_OUT: &str = "TimedOut";

/// Puts into `conditions` what a failure means; `summary` names the kind's one summary, `failures` counts this
/// failure.
pub fn apply_failure(
    conditions: &mut Vec<Condition>,
    summary: &str,
    failure: &Failure,
    failures: u32,
    generation: i64,
) {
    condition::remove(conditions, RECONCILING);
    condition::remove(conditions, STALLED);
    let of = |type_: &str, status: ConditionStatus, reason: &str, message: String| Condition {
        observed_generation: Some(generation),
        ..Condition::new(type_, status, reason, message)
    };
    let sentence = sentence(&failure.message);
    let waiting = if summary == SUCCEEDED { ConditionStatus::Unknown } else { ConditionStatus::False };
    match failure.kind {
        ErrorKind::Retryable => {
            let message = format!("{sentence} It is being tried again (failure {failures} in a row).");
            condition::set(conditions, of(RECONCILING, ConditionStatus::True, "ProgressingWithRetry", message));
            if condition::find(conditions, summary).is_none() {
                condition::set(conditions, of(summary, ConditionStatus::Unknown, &failure.reason, sentence));
            }
        }
        ErrorKind::Blocked => condition::set(conditions, of(summary, waiting, &failure.reason, sentence)),
        ErrorKind::Terminal => {
            condition::set(conditions, of(STALLED, ConditionStatus::True, &failure.reason, sentence.clone()));
            condition::set(conditions, of(summary, ConditionStatus::False, &failure.reason, sentence));
        }
        ErrorKind::Bug => {
            let message = format!(
                "{sentence} This is a bug in ccd, not in your object; please report it with ccd's log. \
                 Everything else goes on; change the object, or restart ccd, to try again at once."
            );
            condition::set(conditions, of(STALLED, ConditionStatus::True, "InternalError", message));
            if condition::find(conditions, summary).is_none() {
                condition::set(conditions, of(summary, ConditionStatus::Unknown, "InternalError", sentence));
            }
        }
    }
}

/// Turns an error's text into a sentence for a condition. A name that it begins with stays as it is written.
#[must_use]
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let first_word = text.split_whitespace().next().unwrap_or_default();
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return "Something failed without saying what.".to_owned() };
    let is_plain_word = first_word
        .trim_end_matches([',', ':', ';'])
        .chars()
        .all(|character| character.is_alphabetic() || character == '\'');
    let mut sentence: String =
        if is_plain_word { first.to_uppercase().chain(characters).collect() } else { text.to_owned() };
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}
