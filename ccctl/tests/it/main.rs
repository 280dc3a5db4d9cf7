//! Runs the real `ccctl` against a small server in this process and compares whole outputs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod arguments;
mod documents;
mod faults;
mod flows;
mod plan;
mod program;
mod prune;
mod secret;
mod server;
mod why;
