//! What is remembered of an App between passes, and what may be lost when ccd is started again: it is only seen anew.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use ports::swarm::{Service, Task, TaskState};

use super::application::care::Looks;
use super::converge::Clocks;
use super::deployer::Refusal;
use super::health::Probes;
use super::prepare::Outcome;
use super::repairs::Repairs;
use super::repeats::Repeats;
use super::teardown::Progress;

/// What is remembered of one App.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What should run, or why it cannot, and from which inputs that follows.
    pub(super) prepared: Option<(String, Outcome, Timestamp)>,
    /// The clocks of services, by name.
    pub(super) clocks: BTreeMap<String, Clocks>,
    /// When something moved last.
    pub(super) motion: Motion,
    /// How far the teardown is.
    pub(super) progress: Progress,
    /// To what images are pinned, by how the compose file names them.
    pub(super) images: BTreeMap<String, String>,
    /// When which try to have a stack's images was refused, and why.
    pub(super) images_refused: Option<(Timestamp, String, Refusal)>,
    /// When the engine was last found to be away.
    pub(super) engine_away_at: Option<Timestamp>,
    /// Looks at its OAuth2 application at the forge.
    pub(super) application: Looks,
    /// When copying volumes came to nothing.
    pub(super) copying_failed_at: Option<Timestamp>,
    /// The stack, by its hash, whose surplus is gone.
    pub(super) swept: Option<String>,
    /// Updates that were made to services which carried our mark already.
    pub(super) repeats: Repeats,
    /// When what somebody changed was put right.
    pub(super) repairs: Repairs,
    /// Whether it answers, and since which deploy that is asked.
    pub(super) probes: (Option<String>, Probes),
}

/// What moves in a stack, as it was seen last, and since when it has been so.
#[derive(Debug, Default)]
pub(super) struct Motion {
    services: Vec<(String, u64)>,
    tasks: Vec<(String, TaskState, TaskState)>,
    since: Option<Timestamp>,
}

impl Motion {
    /// Takes in a look and returns for how long nothing has moved: zero right after something did.
    pub(super) fn still_for(&mut self, services: &[Service], tasks: &[Task], now: Timestamp) -> Duration {
        // The version of a service changes with its spec and with how far its update is.
        let services: Vec<_> = services.iter().map(|service| (service.id.clone(), service.version)).collect();
        let tasks: Vec<_> = tasks.iter().map(|task| (task.id.clone(), task.state, task.desired)).collect();
        if let Some(since) = self.since
            && self.services == services
            && self.tasks == tasks
        {
            return Duration::try_from(now.duration_since(since)).unwrap_or_default();
        }
        *self = Self { services, tasks, since: Some(now) };
        Duration::ZERO
    }
}
