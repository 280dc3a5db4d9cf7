//! What should happen: the reconcile loop and one reconciler for each kind.
//!
//! [`runtime`] knows no kind; [`kinds`] holds one folder each; [`outside`] is what they may touch.

pub mod kinds;
pub mod logs;
pub mod outside;
pub mod runtime;
pub mod schedule;
pub mod secrets_in_use;
pub mod trust;
