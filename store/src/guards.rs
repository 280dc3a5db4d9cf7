//! The safety measures of the store by name, so that a test can take one away and see that some suite notices.
//!
//! ccd always runs with [`Guards::all`]. A guard that can be removed without any test failing would be a guard that
//! nobody knows to be there.

/// One safety measure of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A write is answered when it is on disk, not before.
    AnswerAfterSync,
    /// A state is shown when it is on disk, not before.
    PublishAfterSync,
    /// The engine's files are synced by ourselves: sled's own flush does not survive a power cut.
    SyncAfterFlush,
    /// A frame of the journal is on disk before the next is written, and before its batch counts as committed.
    SyncJournal,
    /// A frame of the journal is believed only if its checksum says so: the last one may be torn.
    JournalChecksum,
    /// After a sync that failed nothing more is acknowledged: the kernel forgets what it could not write.
    StopAfterFailedSync,
    /// The names of new files are on disk before anything relies on them.
    SyncDirectories,
    /// A record is believed only if its checksum says so.
    RecordChecksum,
    /// All records together are believed only if they add up to what the last batch says.
    RecordsHash,
    /// Files that are written anew have the deletions of their history too: whoever resumes is told of them.
    KeepDeletions,
    /// A watch resumes with the change after the revision it is given: not later, not earlier.
    ResumeExactly,
    /// The committer compares every write with the newest state.
    CheckExpectations,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 12] = [
        Self::AnswerAfterSync,
        Self::PublishAfterSync,
        Self::SyncAfterFlush,
        Self::SyncJournal,
        Self::JournalChecksum,
        Self::StopAfterFailedSync,
        Self::SyncDirectories,
        Self::RecordChecksum,
        Self::RecordsHash,
        Self::KeepDeletions,
        Self::ResumeExactly,
        Self::CheckExpectations,
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
