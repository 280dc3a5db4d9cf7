//! What the end-to-end tests share: programs started for real, fault-injecting file systems, the simulated world.

pub mod crash;
pub mod daemon;
pub mod engine;
pub mod history;
pub mod mutation;
pub mod power;
pub mod seed;
pub mod server;
pub mod widgets;
pub mod world;
