//! From a comment to a run, an answer and a report: on a played forge, in played time.

mod bypasses;
mod commands;
mod flow;
mod happenings;
mod interleavings;
mod outages;
mod told;
pub(crate) mod world;
