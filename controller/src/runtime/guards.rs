//! The guards of the loop by name, so that a test can take one away and see that the simulation notices.
//!
//! ccd always runs with [`Guards::all`]. A guard that can be removed without any test failing would be a guard that
//! nobody knows to be there.

/// One safety measure of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A key that is being reconciled is not started a second time.
    OneRunPerKey,
    /// A key that is woken while it runs runs again afterwards.
    RunAgainAfterWake,
    /// A change of the spec or of an awaited object ends backoff and parking.
    BackoffReset,
    /// Keys run in the order in which they became ready.
    FirstComeFirstServed,
    /// The finalizer is on the object before the first outside effect.
    FinalizerFirst,
    /// A status write that lost a race is repeated on the newest object.
    StatusConflictRetry,
    /// An effect that must happen once is announced before and looked for after a crash.
    Journal,
    /// A panic stays within its pass.
    CatchPanics,
    /// A pass that takes too long is cut off.
    PassTimeLimit,
    /// The cache lists again when the history of the watch is gone.
    RelistOnGone,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 10] = [
        Self::OneRunPerKey,
        Self::RunAgainAfterWake,
        Self::BackoffReset,
        Self::FirstComeFirstServed,
        Self::FinalizerFirst,
        Self::StatusConflictRetry,
        Self::Journal,
        Self::CatchPanics,
        Self::PassTimeLimit,
        Self::RelistOnGone,
    ];
}

/// Which guards are up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guards {
    missing: Option<Guard>,
}

impl Guards {
    /// Returns all guards.
    #[must_use]
    pub fn all() -> Self {
        Self { missing: None }
    }

    /// Returns all guards but one: for the test that proves that it is needed.
    #[must_use]
    pub fn without(guard: Guard) -> Self {
        Self { missing: Some(guard) }
    }

    /// Returns whether a guard is up.
    #[must_use]
    pub fn has(self, guard: Guard) -> bool {
        self.missing != Some(guard)
    }
}
