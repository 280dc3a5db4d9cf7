//! Compose files as Docker's `stack deploy` understands them: from text to the services that the engine is asked for.
//!
//! One tree goes the whole way: parse → interpolate → validate → bring to one form → merge → change → convert. What
//! policy judges is what is deployed, and everything that is said about a file names the file, the line and the path.
//!
//! Nothing here talks to an engine, and files are read through [`RecipeFiles`] only, which never leaves the checkout.
//! The rules are those of docker/cli's loader, odd ones included: `docker stack config` is the oracle of the tests.

pub mod source;
pub mod stack;

pub use source::{InMemoryFiles, ReadError, RecipeFiles};
pub use stack::{
    Finding, LoadError, LoadInput, Place, Places, ServiceChange, Severity, Stack, StackNetwork, StackObject,
    StackService, StackVolume, UpdateOrder,
};
