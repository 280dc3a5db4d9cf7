//! Where objects live: one write path, one revision counter, lists and watches from an immutable snapshot.
