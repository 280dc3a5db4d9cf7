//! [`Outside`]: everything with effects that reconcilers are given, in one place.

use std::sync::Arc;

use ports::clock::Clock;
use ports::error::Error;
use ports::files::{FileRoot, RunFiles};
use ports::git::Git;
use ports::probe::Probe;
use ports::redact::Redactor;
use ports::swarm::Engine;

use crate::runtime::operations::Operations;

/// Opens engines by their address.
pub trait Engines: Send + Sync {
    /// Returns the engine at `unix:///…` or `ssh://user@host`. It need not answer yet, and the same address gives the same
    /// engine, so that nothing is connected twice.
    ///
    /// # Errors
    /// `Terminal` with the reason `InvalidSpec` when the address cannot be one.
    fn at(&self, address: &str) -> Result<Arc<dyn Engine>, Error>;
}

impl<Known: ports::swarm::Engines> Engines for Known {
    fn at(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        self.connect(address)
    }
}

/// What reconcilers may touch. Cheap to clone; all clones share the same.
#[derive(Clone)]
pub struct Outside {
    /// Docker engines.
    pub engines: Arc<dyn Engines>,
    /// Git repositories.
    pub git: Arc<dyn Git>,
    /// What apps look like from outside.
    pub probe: Arc<dyn Probe>,
    /// Work trees and folders of apps.
    pub files: FileRoot,
    /// Logs and artifacts of runs.
    pub runs: RunFiles,
    /// Knows every secret in use, and takes it out of text.
    pub redactor: Redactor,
    /// The zone of run domains for Recipes without one of their own.
    pub zone: Option<String>,
    /// Long work inside ccd.
    pub operations: Operations,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
