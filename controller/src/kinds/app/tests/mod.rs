//! What is decided about an App, and whole lives of Apps on a swarm that is simulated.

mod application;
mod application_care;
mod by_abra;
mod certificates;
mod decide;
mod dependencies;
mod flow;
mod health;
mod left;
mod orders;
mod refused;
mod secrets;
mod upgrade;
mod world;
