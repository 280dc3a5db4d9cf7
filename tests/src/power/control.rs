//! The words in which a test talks to the disk's process: one line of JSON each way.

use serde::{Deserialize, Serialize};

use super::disk::{Cut, Operation};

/// An error that a call may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The disk is broken.
    Io,
    /// The disk is full.
    NoSpace,
}

/// What a test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// One in so many written pages goes to disk unasked; 0 for none.
    WriteBack {
        /// One in so many.
        pages: u64,
        /// Decides which.
        seed: u64,
    },
    /// Cuts the power before the call that comes after so many that change something.
    CutAfter {
        /// What survives.
        cut: Cut,
        /// How many calls still go well.
        calls: u64,
        /// Decides what survives.
        seed: u64,
    },
    /// Cuts the power now.
    Cut {
        /// What survives.
        cut: Cut,
        /// Decides what survives.
        seed: u64,
    },
    /// Lets calls fail.
    Fail {
        /// Which sort of call.
        operation: Operation,
        /// How many of that sort go well before.
        skip: u64,
        /// How many fail.
        count: u64,
        /// What they answer.
        error: ErrorKind,
    },
    /// Ends all faults.
    Heal,
    /// Unmounts, turns the power on and mounts again.
    Remount,
    /// Asks how many calls of a sort there were, and whether there is power.
    Count {
        /// The sort.
        operation: Operation,
    },
}

/// What the disk's process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// It could not be done.
    Failed(String),
    /// How many calls there were.
    Counted {
        /// The calls.
        calls: u64,
        /// Whether the power is on.
        has_power: bool,
    },
}
