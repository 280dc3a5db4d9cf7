//! [`Refusal`]: what the engine says when it does not do what it was asked.
//!
//! Its status codes do not mean much: what the swarm refuses may come as 500 and what is gone as 500, so texts are
//! looked at. `tests.rs` replays what engines really said.

use crate::error::{Error, ErrorKind};
use crate::swarm::Removal;

/// Longest text of the engine that is passed on, in characters.
const MESSAGE_CHARACTERS_MAX: usize = 1000;

/// What the engine says when it does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// Its words.
    pub(super) message: String,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// The engine answered, and said no.
    Refused(Refusal),
    /// The engine did not answer, or not in a way that we understand.
    Failed(Error),
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Failed(error) => error,
        }
    }
}

impl Refusal {
    /// Reads the engine's answer: `{"message": "…"}`, or plain text from what stands before it.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            message: String,
        }
        let message = match serde_json::from_slice::<Body>(body) {
            Ok(body) => body.message,
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        // The swarm's own words, without how they came here.
        let words = message.trim();
        let words = words.split_once(" desc = ").map_or(words, |(_, description)| description);
        Self { status, message: words.chars().take(MESSAGE_CHARACTERS_MAX).collect() }
    }

    /// Returns whether the object is not there. Networks that are being removed are "not found" with code 500.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == 404 || (self.status == 500 && self.says("not found"))
    }

    /// Returns whether something else has the name.
    pub(super) fn is_conflict(&self) -> bool {
        self.status == 409 || self.says("already exists")
    }

    /// Returns whether the version that was given is not the newest one; the code is 500.
    pub(super) fn is_out_of_sequence(&self) -> bool {
        self.says("update out of sequence")
    }

    /// Returns whether something uses the object: 400 for secrets, configs and networks, 409 for volumes, 403 for
    /// networks of the machine.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.status, 400 | 403 | 409)
            && ["in use", "has active endpoints", "is using", "is being used"].iter().any(|words| self.says(words))
    }

    /// Returns whether the words contain others, in whatever case.
    pub(super) fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(&words.to_ascii_lowercase())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message.clone();
        let has_no_leader = ["does not have a leader", "context deadline exceeded", "no elected", "leadership"];
        if refusal.status >= 500 && has_no_leader.iter().any(|words| refusal.says(words)) {
            let message = format!("the swarm has no leader at the moment: {message}");
            return Self::retryable("NoLeader", message);
        }
        if refusal.says("is encrypted") || refusal.says("needs to be unlocked") {
            let message = format!("the swarm is locked: {message}; type `docker swarm unlock` on that machine");
            return Self::blocked("SwarmLocked", message);
        }
        if refusal.says("not a swarm manager") || refusal.says("not part of a swarm") {
            let message = "the engine is no manager of a swarm: make one with `docker swarm init`, or with \
                           `spec.swarm.init: true` of its Host";
            return Self::blocked("SwarmInactive", message);
        }
        if refusal.status == 500 && refusal.message.to_ascii_lowercase().starts_with("invalid") {
            return Self::terminal("EngineRefused", format!("the engine refuses: {message}"));
        }
        match refusal.status {
            404 => Self::terminal("NotFound", format!("the engine says: {message}")),
            400..=499 => Self::new(ErrorKind::Terminal, "EngineRefused", format!("the engine refuses: {message}")),
            status => Self::retryable("EngineFailed", format!("the engine failed ({status}): {message}")),
        }
    }
}

/// Returns what became of a removal.
pub(super) fn removal<T>(result: Result<T, CallError>) -> Result<Removal, Error> {
    match result {
        Ok(_) => Ok(Removal::Gone),
        Err(CallError::Refused(refusal)) if refusal.is_in_use() => Ok(Removal::InUse(refusal.message)),
        Err(CallError::Refused(refusal)) if refusal.is_not_found() => Ok(Removal::Gone),
        Err(error) => Err(error.into()),
    }
}
