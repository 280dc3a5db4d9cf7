//! [`Outside`]: everything with effects that reconcilers are given, in one place.

use std::sync::Arc;

use ports::clock::Clock;
use ports::error::Error;
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

/// What reconcilers may touch. Cheap to clone; all clones share the same.
#[derive(Clone)]
pub struct Outside {
    /// Docker engines.
    pub engines: Arc<dyn Engines>,
    /// Long work inside ccd.
    pub operations: Operations,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
