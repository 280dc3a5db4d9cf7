//! [`Outside`]: everything with effects that reconcilers are given, in one place.

use std::sync::Arc;

use ports::abra::Abra;
use ports::acme::Acme;
use ports::acme::solve::Solver;
use ports::clock::Clock;
use ports::files::{FileRoot, GivenFiles, RunFiles};
use ports::forge::Forges;
use ports::git::Git;
use ports::host::HostFigures;
use ports::jobs::Jobs;
use ports::probe::Probe;
use ports::redact::Redactor;
use ports::swarm::Engines;

use crate::pictures::AppCamera;
use crate::runtime::operations::Operations;

/// What reconcilers may touch. Cheap to clone; all clones share the same.
#[derive(Clone)]
pub struct Outside {
    /// Docker engines.
    pub engines: Arc<dyn Engines>,
    /// Figures of the machine that ccd runs on.
    pub figures: Arc<dyn HostFigures>,
    /// Gitea and Forgejo servers.
    pub forges: Arc<dyn Forges>,
    /// Git repositories.
    pub git: Arc<dyn Git>,
    /// The program `abra`; `None` when it is not installed.
    pub abra: Option<Arc<dyn Abra>>,
    /// Authorities that issue certificates.
    pub acme: Arc<dyn Acme>,
    /// Publishes what authorities want to see.
    pub solver: Arc<dyn Solver>,
    /// What apps look like from outside.
    pub probe: Arc<dyn Probe>,
    /// What they look like to people; `None` where there is no Chromium.
    pub camera: Option<AppCamera>,
    /// Work trees and folders of apps.
    pub files: FileRoot,
    /// Files of the machine that objects may name.
    pub given: GivenFiles,
    /// Programs that outlive a restart; their owners' texts are [`JobOwner`](crate::runtime::job_keeper::JobOwner)s.
    pub jobs: Arc<dyn Jobs>,
    /// Logs and artifacts of runs.
    pub runs: RunFiles,
    /// Knows every secret in use, and takes it out of text.
    pub redactor: Redactor,
    /// The zone of run domains for Recipes without one of their own.
    pub zone: Option<String>,
    /// Where people reach the web pages, without a slash at the end; what is told links there.
    pub public_url: Option<String>,
    /// Long work inside ccd.
    pub operations: Operations,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
