//! The reconcile loop: everything that reconcilers share and that knows no kind.
//!
//! ```text
//!   store ──watch──► informer ──► cache
//!                       │ what changed: the object itself, a child, something it names
//!                       ▼
//!                     queue ──key──► pass: load → observe → decide → write status → act
//!                       ▲                                                    │
//!                       └──────── outcome: now · after · on change · backoff ┘
//! ```
//!
//! Start reading at [`reconciler`], which says what a kind has to bring, then [`pass`], then [`outcome`].

pub mod backoff;
pub mod blocking;
pub mod cache;
pub mod controller;
pub mod erased;
pub mod events;
pub mod guards;
pub mod informer;
pub mod job_keeper;
pub mod journal;
pub mod leader;
pub mod manager;
pub mod metrics;
pub mod objects;
pub mod operations;
pub mod outcome;
pub mod pass;
pub mod queue;
pub mod reconciler;
pub mod references;
