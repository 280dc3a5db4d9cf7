//! The kinds that are there from the start, as the store wants them.

use api_types::registry::definitions;
use serde_json::Value;
use store::registry::{Origin, Registry, Resource};

/// Returns Kubernetes' own kinds, compiled.
///
/// # Panics
/// Never: a test compiles each of them.
#[must_use]
pub fn registry() -> Registry {
    Registry::new(definitions().iter().filter(|definition| definition.built_in).map(|definition| {
        Resource::compile(&definition.spec, Origin::BuiltIn).expect("a test compiles every built-in kind")
    }))
}

/// Returns the `CustomResourceDefinition` objects of our kinds, for [`prepare`](crate::bootstrap::prepare).
#[must_use]
pub fn own_definitions() -> Vec<Value> {
    definitions().iter().filter(|definition| !definition.built_in).map(|definition| definition.to_object()).collect()
}
