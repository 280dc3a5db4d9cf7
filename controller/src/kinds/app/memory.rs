//! What is remembered of an App between passes, and what may be lost when ccd is started again: it is only seen anew.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::converge::Clocks;
use super::deployer::{Refusal, SecretValue};
use super::health::Probes;
use super::prepare::Outcome;
use super::repeats::Repeats;
use super::teardown::Progress;

/// What is remembered of one App.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What should run, or why it cannot, and from which inputs that follows.
    pub(super) prepared: Option<(String, Outcome, Timestamp)>,
    /// The clocks of services, by name.
    pub(super) clocks: BTreeMap<String, Clocks>,
    /// How far the teardown is.
    pub(super) progress: Progress,
    /// To what images are pinned, by how the compose file names them.
    pub(super) images: BTreeMap<String, String>,
    /// When an image of which stack could not be had, and why.
    pub(super) images_refused: Option<(Timestamp, String, Refusal)>,
    /// Values of secrets that were generated, by their names in the swarm.
    pub(super) generated: BTreeMap<String, SecretValue>,
    /// The stack, by its hash, whose surplus is gone.
    pub(super) swept: Option<String>,
    /// Updates that were made to services which carried our mark already.
    pub(super) repeats: Repeats,
    /// Whether it answers, and since which deploy that is asked.
    pub(super) probes: (Option<String>, Probes),
}
