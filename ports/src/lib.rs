//! Where effects live: one folder per outside system.
//!
//! A port is a small trait in our own words, a real adapter, a fake that keeps state and can be told to fail, and one
//! conformance suite that runs against both. Ports know nothing of our objects. To add one: a folder with
//! `mod.rs` (the trait and its types), the adapter, `fake.rs` and `conformance.rs`, and a line here.

pub mod abra;
pub mod acme;
pub mod camera;
pub mod certificate;
pub mod clock;
pub mod compose;
pub mod error;
pub mod files;
pub mod forge;
pub mod git;
pub mod host;
pub mod jobs;
pub mod outbound;
pub mod probe;
pub mod program;
pub mod recipe;
pub mod redact;
pub mod sops;
pub mod swarm;
