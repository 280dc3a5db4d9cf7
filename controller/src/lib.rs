//! What should happen: the reconcile loop and one reconciler for each kind.
//!
//! [`runtime`] knows no kind; [`kinds`] holds one folder each.

pub mod kinds;
pub mod runtime;
pub mod trust;
