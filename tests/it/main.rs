//! The one integration binary: every file beside this one is a module of it (a test checks that none is forgotten).

mod clients;
mod endurance;
mod golden;
mod kill;
mod kubectl;
mod simulation;
mod throughput;
mod tidy;
