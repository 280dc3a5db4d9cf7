//! Placeholder module documentation, replaced by the crate's own in the next change.
