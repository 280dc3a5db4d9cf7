//! What is decided about an App, and whole lives of Apps on a swarm that is simulated.

mod decide;
mod health;
