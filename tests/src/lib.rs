//! What the end-to-end tests share: programs started for real, fault-injecting file systems, the simulated world.

pub mod daemon;
pub mod history;
pub mod mutation;
pub mod seed;
pub mod server;
pub mod widgets;
pub mod world;
