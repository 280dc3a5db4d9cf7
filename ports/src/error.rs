//! [`Error`]: what went wrong outside, in the four words that the reconcile loop acts upon.

use std::fmt;
use std::time::Duration;

/// What has to happen before another try makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// Time: the world hiccuped, the same call may work later.
    Retryable,
    /// Something else that has a name: a dependency, an approval, capacity.
    Blocked,
    /// A person must change something.
    Terminal,
    /// A programmer must: an invariant of ours does not hold.
    Bug,
}

impl ErrorKind {
    /// Returns the word for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Retryable => "Retryable",
            Self::Blocked => "Blocked",
            Self::Terminal => "Terminal",
            Self::Bug => "Bug",
        }
    }
}

/// Why a call to the outside failed.
///
/// The text fits "failed to …: {error}" and never repeats its source.
#[derive(Debug)]
pub struct Error {
    /// What has to happen before another try makes sense.
    pub kind: ErrorKind,
    /// One CamelCase word for programs; it becomes a condition's reason.
    pub reason: &'static str,
    /// What failed, why, and what to do: lower case, no full stop.
    pub message: String,
    /// The earliest moment that another try makes sense, if the other side said so.
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error without source.
    #[must_use]
    pub fn new(kind: ErrorKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, reason, message: message.into(), retry_after: None, source: None }
    }

    /// Returns an error of the kind [`ErrorKind::Retryable`].
    #[must_use]
    pub fn retryable(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retryable, reason, message)
    }

    /// Returns an error of the kind [`ErrorKind::Blocked`].
    #[must_use]
    pub fn blocked(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Blocked, reason, message)
    }

    /// Returns an error of the kind [`ErrorKind::Terminal`].
    #[must_use]
    pub fn terminal(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Terminal, reason, message)
    }

    /// Returns an error of the kind [`ErrorKind::Bug`].
    #[must_use]
    pub fn bug(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, reason, message)
    }

    /// Returns the same error with the earliest moment that another try makes sense, if the other side said so.
    #[must_use]
    pub fn not_before(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// Returns the same error with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// Returns the error's text followed by the text of everything that caused it.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
