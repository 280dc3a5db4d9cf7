//! Where objects live: one write path, one revision counter, lists and watches from an immutable snapshot.
//!
//! Start at [`Store`](store::Store). `ARCHITECTURE.md` draws the path of a write.

pub mod backup;
pub mod collector;
mod commit;
mod engine;
pub mod error;
pub mod fields;
pub mod guards;
pub mod keyring;
pub mod list;
pub mod object;
mod open;
pub mod patch;
pub mod registry;
pub mod request;
mod rows;
pub mod schema;
pub mod selector;
mod shared;
pub mod space;
pub mod state;
pub mod store;
mod strategy;
pub mod watch;
pub mod write;

#[cfg(test)]
mod tests;
