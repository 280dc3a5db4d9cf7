//! The kinds that are there from the start, as the store wants them.

use api_types::definition::DefinitionSpec;
use api_types::registry::definitions;
use serde_json::{Value, json};
use store::registry::{Origin, Registry, Resource};

/// Returns Kubernetes' own kinds, compiled.
///
/// # Panics
/// Never: a test compiles each of them.
#[must_use]
pub fn registry() -> Registry {
    let definitions = definitions();
    let specs = definitions.iter().filter(|definition| definition.built_in).map(|definition| definition.spec.clone());
    Registry::new(
        specs
            .chain([services()])
            .map(|spec| Resource::compile(&spec, Origin::BuiltIn).expect("a test compiles every built-in kind")),
    )
}

/// Services: there are none and none can be made, but `kubectl cluster-info` asks for a list of them.
fn services() -> DefinitionSpec {
    let spec = json!({
        "group": "", "scope": "Namespaced",
        "names": {"kind": "Service", "plural": "services", "shortNames": ["svc"]},
        "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "description": "This server has no services."}},
        }],
    });
    serde_json::from_value(spec).expect("the definition above is well-formed")
}

/// Returns the `CustomResourceDefinition` objects of our kinds, for [`prepare`](crate::bootstrap::prepare).
#[must_use]
pub fn own_definitions() -> Vec<Value> {
    definitions().iter().filter(|definition| !definition.built_in).map(|definition| definition.to_object()).collect()
}
