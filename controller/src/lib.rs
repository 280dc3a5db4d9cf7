//! What should happen: the reconcile loop, one reconciler for each kind, and the daemon around them.
//!
//! [`runtime`] knows no kind; [`kinds`] holds one folder each; [`outside`] is what they may touch; [`commands`] is what
//! `ccd` does.

pub mod commands;
mod commit_files;
pub mod environment;
pub mod forge_accounts;
pub mod kinds;
pub mod logs;
pub mod outside;
pub mod pictures;
pub mod plans;
pub mod reviews;
pub mod runtime;
pub mod schedule;
pub mod secrets_in_use;
pub mod sops_secrets;
pub mod trust;
