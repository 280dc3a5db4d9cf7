//! What is decided about an App, and whole lives of Apps on a swarm that is simulated.

mod application;
mod by_abra;
mod certificates;
mod decide;
mod dependencies;
mod flow;
mod health;
mod orders;
mod refused;
mod secrets;
mod upgrade;
mod world;
