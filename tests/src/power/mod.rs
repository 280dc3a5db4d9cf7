//! A disk that loses its power: an in-memory file system in a process of its own, mounted through FUSE, which keeps what
//! was synced apart from what was only written.
//!
//! Three processes take part, because a process that serves its own mount waits for itself: `power-disk` serves the file
//! system, a worker uses it, and the test tells the disk when to fail and looks at what is left.
//!
//! | file | what |
//! |---|---|
//! | `disk.rs` | the model: pages, names, what survives a cut, faults to order; no FUSE |
//! | `server.rs` | the model as a FUSE file system |
//! | `control.rs` | the words in which a test talks to the disk's process |
//! | `client.rs` | the test's handle: starts the process, mounts, cuts, unmounts |

pub mod client;
pub mod control;
pub mod disk;
pub mod server;

#[cfg(test)]
mod tests;
