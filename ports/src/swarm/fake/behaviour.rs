//! [`Behaviour`]: what the containers of an image do.

use std::time::Duration;

use crate::swarm::ExecResult;

/// What the containers of an image do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// How long it takes to pull the image when the node does not have it; `None` for an image that is nowhere.
    pub pull: Option<Duration>,
    /// The error with which the engine refuses to make the container; `None` when it makes it.
    pub rejected: Option<String>,
    /// How long after its start it is healthy; zero for one without a health check, `None` for one that never is.
    pub healthy_after: Option<Duration>,
    /// How it ends by itself; `None` when it does not.
    pub end: Option<End>,
    /// Whether it ignores the signal that asks it to end, so that its whole grace period goes by.
    pub ignores_stop: bool,
    /// What it writes when it starts, line by line.
    pub log: Vec<String>,
}

/// How a container ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// How long after its start.
    pub after: Duration,
    /// With which code.
    pub code: i64,
    /// Whether the kernel killed it for want of memory.
    pub is_oom: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::runs()
    }
}

impl Behaviour {
    /// Starts and runs; the image is pulled in a second.
    #[must_use]
    pub fn runs() -> Self {
        Self {
            pull: Some(Duration::from_secs(1)),
            rejected: None,
            healthy_after: Some(Duration::ZERO),
            end: None,
            ignores_stop: false,
            log: Vec::new(),
        }
    }

    /// Is healthy some time after its start.
    #[must_use]
    pub fn healthy_after(time: Duration) -> Self {
        Self { healthy_after: Some(time), ..Self::runs() }
    }

    /// Never passes its health check: the engine kills it.
    #[must_use]
    pub fn never_healthy() -> Self {
        Self { healthy_after: None, ..Self::runs() }
    }

    /// Ends with a code some time after its start.
    #[must_use]
    pub fn exits(after: Duration, code: i64) -> Self {
        Self { end: Some(End { after, code, is_oom: false }), ..Self::runs() }
    }

    /// Is killed by the kernel for want of memory.
    #[must_use]
    pub fn runs_out_of_memory(after: Duration) -> Self {
        Self { end: Some(End { after, code: 137, is_oom: true }), ..Self::runs() }
    }

    /// Has an image that is nowhere.
    #[must_use]
    pub fn missing() -> Self {
        Self { pull: None, ..Self::runs() }
    }

    /// Takes long to pull.
    #[must_use]
    pub fn slow_pull(time: Duration) -> Self {
        Self { pull: Some(time), ..Self::runs() }
    }

    /// Is refused by the engine with an error.
    #[must_use]
    pub fn rejected(error: &str) -> Self {
        Self { rejected: Some(error.to_owned()), ..Self::runs() }
    }

    /// Ignores the signal that asks it to end.
    #[must_use]
    pub fn ignores_stop() -> Self {
        Self { ignores_stop: true, ..Self::runs() }
    }
}

/// What a command in a container does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// How long it takes.
    pub after: Duration,
    /// What it comes to; `None` when there is no such program.
    pub result: Option<ExecResult>,
}

impl Played {
    /// Returns a command that ends at once.
    #[must_use]
    pub fn ends(exit_code: i64, output: &str) -> Self {
        let result = ExecResult { exit_code, output: output.as_bytes().to_vec(), is_truncated: false };
        Self { after: Duration::ZERO, result: Some(result) }
    }
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The engine does not answer; nothing happened.
    Unreachable,
    /// The swarm has no leader; nothing happened.
    NoLeader,
    /// It happened, and the answer got lost.
    LostReply,
    /// It happens, and takes this long.
    Slow(Duration),
}
