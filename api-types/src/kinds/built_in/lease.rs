//! Lease: who leads, and until when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};

/// A whole Lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Lease {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<LeaseSpec>,
}

/// Who holds a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Identity of the holder; empty when nobody holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub holder_identity: Option<String>,
    /// How long after `renewTime` others must wait, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2147483647))]
    pub lease_duration_seconds: Option<i32>,
    /// When the holder got it, with microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub acquire_time: Option<String>,
    /// When the holder renewed it last, with microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub renew_time: Option<String>,
    /// How often the holder has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2147483647))]
    pub lease_transitions: Option<i32>,
    /// How a coordinated election picks the leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub strategy: Option<String>,
    /// Who should take it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub preferred_holder: Option<String>,
}

/// Returns the definition.
#[must_use]
pub fn definition() -> Definition {
    built_in::<Lease>(&BuiltIn {
        group: "coordination.k8s.io",
        version: "v1",
        kind: "Lease",
        plural: "leases",
        scope: Scope::Namespaced,
        description: "Lease says who leads, and until when.",
        columns: vec![
            PrinterColumn::new("Holder", "string", ".spec.holderIdentity", "Who holds it."),
            PrinterColumn::age(),
        ],
        ..BuiltIn::default()
    })
}
