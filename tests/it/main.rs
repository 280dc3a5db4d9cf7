//! The one integration binary: every file beside this one is a module of it (a test checks that none is forgotten).

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they call say by panicking what is wrong")]

mod acme;
mod audit;
mod benchmarks;
mod cli;
mod clients;
mod dependencies;
mod deploy;
mod described;
mod disk_full;
mod documents;
mod endurance;
mod examples;
mod forge;
mod fuzz;
mod golden;
mod hostile;
mod kill;
mod kill_ccd;
mod kubectl;
mod kubectl_old;
mod leaks;
mod older_stores;
mod open_paths;
mod power_cut;
mod reference;
mod routes;
mod run_files;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod soak;
mod startup;
mod tables;
mod terminal;
#[cfg(test)]
mod throughput;
mod tidy;
mod tokens;
mod tutorial;
mod versions;
