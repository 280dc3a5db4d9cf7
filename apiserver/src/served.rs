//! What a group, version and plural in a path mean: a resource in the store, and how it is shown.
//!
//! Most resources are shown as they are stored. Three are views of another one: Events of `events.k8s.io` are the core
//! Events under other names, Pods are TestRuns for `kubectl logs`, and what is stored with another version than the one that
//! is asked for differs in its name.

use std::sync::{Arc, LazyLock};

use api_types::status::ResourceNames;
use bytes::Bytes;
use serde_json::Value;
use store::object::Object;
use store::registry::{EVENTS, Origin, Registry, Resource, ResourceVersion};

use crate::{events, pods};

/// How a stored object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Byte for byte.
    Stored,
    /// With the `apiVersion` of the version that was asked for, because some object may be stored with another.
    OtherVersion,
    /// As an Event of `events.k8s.io`.
    NewEvent,
    /// A TestRun as a Pod.
    Pod,
}

/// One resource under one address.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Where its objects are stored.
    pub resource: Arc<Resource>,
    /// How they are shown.
    pub view: View,
    version: usize,
}

static NEW_EVENTS: LazyLock<ResourceNames> = LazyLock::new(|| ResourceNames {
    group: events::NEW_GROUP.to_owned(),
    plural: "events".to_owned(),
    kind: "Event".to_owned(),
});

static PODS: LazyLock<ResourceNames> =
    LazyLock::new(|| ResourceNames { group: String::new(), plural: "pods".to_owned(), kind: "Pod".to_owned() });

impl Served {
    /// Finds what serves `plural` in `group` and `version`.
    pub(crate) fn find(registry: &Registry, group: &str, version: &str, plural: &str) -> Option<Self> {
        match (group, version, plural) {
            (events::NEW_GROUP, "v1", "events") => Self::viewed(registry.get(EVENTS)?, View::NewEvent),
            ("", "v1", "pods") => Self::viewed(registry.get(pods::RUNS)?, View::Pod),
            _ => {
                let (resource, found) = registry.find(group, version, plural)?;
                let index = resource.versions.iter().position(|version| version.name == found.name)?;
                let view = if resource.stores_only(found) { View::Stored } else { View::OtherVersion };
                Some(Self { resource: resource.clone(), view, version: index })
            }
        }
    }

    /// Returns the view of a resource in its storage version.
    pub(crate) fn viewed(resource: &Arc<Resource>, view: View) -> Option<Self> {
        let version = resource.versions.iter().position(|version| version.storage)?;
        Some(Self { resource: resource.clone(), view, version })
    }

    /// Returns the version that was asked for.
    pub(crate) fn version(&self) -> &ResourceVersion {
        &self.resource.versions[self.version]
    }

    /// Returns the names under which it is addressed.
    pub(crate) fn names(&self) -> &ResourceNames {
        match self.view {
            View::Stored | View::OtherVersion => &self.resource.names,
            View::NewEvent => &NEW_EVENTS,
            View::Pod => &PODS,
        }
    }

    /// Returns the `apiVersion` that its objects show.
    pub(crate) fn api_version(&self) -> &str {
        match self.view {
            View::Stored | View::OtherVersion => &self.version().api_version,
            View::NewEvent => events::NEW_API_VERSION,
            View::Pod => "v1",
        }
    }

    /// Returns the kind of its lists.
    pub(crate) fn list_kind(&self) -> &str {
        match self.view {
            View::Pod => "PodList",
            _ => &self.resource.list_kind,
        }
    }

    /// Returns whether it is one of Kubernetes' own kinds.
    pub(crate) fn is_built_in(&self) -> bool {
        self.resource.origin == Origin::BuiltIn || self.view == View::Pod
    }

    /// Returns whether it can only be read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.view == View::Pod || &*self.resource.key == "services"
    }

    /// Returns an object as it is shown.
    pub(crate) fn show(&self, object: &Object) -> Bytes {
        match self.view {
            View::Stored => object.json(),
            View::OtherVersion => object.json_as(self.api_version()),
            View::NewEvent => to_bytes(&events::to_new(object.value())),
            View::Pod => to_bytes(&pods::from_run(&object.value())),
        }
    }

    /// Returns whether lists and watches can hand out the stored bytes.
    pub(crate) fn shows_stored_bytes(&self) -> bool {
        self.view == View::Stored
    }
}

fn to_bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("a JSON value always serialises").into()
}
