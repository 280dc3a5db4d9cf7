//! [`Kind`] and [`Object`]: a kind as a Rust type, for code that knows it at compile time.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::condition::READY;
use crate::meta::ObjectMeta;

/// A kind whose spec and status are Rust types.
pub trait Kind: Send + Sync + 'static {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// Version that objects are stored with.
    const VERSION: &'static str;
    /// CamelCase kind.
    const KIND: &'static str;
    /// Lower-case plural.
    const PLURAL: &'static str;
    /// The one condition that sums the others up: `Ready` for things that stay, `Succeeded` for runs.
    const SUMMARY: &'static str = READY;
    /// Whether the status has conditions and `observedGeneration` as all of our kinds have (and, for instance,
    /// Kubernetes' Namespace has not).
    const OBSERVES_GENERATION: bool = true;
    /// The desired state.
    type Spec: Clone + Default + std::fmt::Debug + Send + Sync + Serialize + DeserializeOwned;
    /// The observed state.
    type Status: Clone + Default + std::fmt::Debug + Send + Sync + Serialize + DeserializeOwned;

    /// Returns `plural.group`, or the plural alone for the core group: what the store calls the resource.
    #[must_use]
    fn resource() -> String {
        if Self::GROUP.is_empty() { Self::PLURAL.to_owned() } else { format!("{}.{}", Self::PLURAL, Self::GROUP) }
    }

    /// Returns `group/version`, or the version alone for the core group.
    #[must_use]
    fn api_version() -> String {
        if Self::GROUP.is_empty() { Self::VERSION.to_owned() } else { format!("{}/{}", Self::GROUP, Self::VERSION) }
    }
}

/// An object of a kind that is known at compile time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Object<K: Kind> {
    /// `group/version`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name, labels, owners and the like.
    pub metadata: ObjectMeta,
    /// The desired state.
    #[serde(default)]
    pub spec: K::Spec,
    /// The observed state.
    #[serde(default)]
    pub status: K::Status,
}

impl<K: Kind> Object<K> {
    /// Returns a new object without metadata but its name and namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str, spec: K::Spec) -> Self {
        Self {
            api_version: K::api_version(),
            kind: K::KIND.to_owned(),
            metadata: ObjectMeta { name: name.to_owned(), namespace: namespace.to_owned(), ..ObjectMeta::default() },
            spec,
            status: K::Status::default(),
        }
    }

    /// Returns whether somebody has asked for the object to go.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}

impl<K: Kind> Clone for Object<K> {
    fn clone(&self) -> Self {
        Self {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            metadata: self.metadata.clone(),
            spec: self.spec.clone(),
            status: self.status.clone(),
        }
    }
}
