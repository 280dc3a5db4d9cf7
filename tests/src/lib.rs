//! What the end-to-end tests share: programs started for real, fault-injecting file systems, the simulated world.

pub mod crash;
pub mod daemon;
pub mod engine;
pub mod fleet;
pub mod history;
pub mod installation;
pub mod mutation;
pub mod name_server;
pub mod orders;
pub mod power;
pub mod real_forge;
pub mod recipes;
pub mod seed;
pub mod server;
pub mod small_disk;
pub mod widgets;
pub mod world;
