//! [`Kind`] and [`Object`]: a kind as a Rust type, for code that knows it at compile time.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::READY;
use crate::definition::{PrinterColumn, Scope};
use crate::meta::ObjectMeta;

#[cfg(test)]
mod tests;

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
    /// One sentence that says what an object of this kind is.
    const DESCRIPTION: &'static str = "";
    /// Abbreviations for the command line.
    const SHORT_NAMES: &'static [&'static str] = &[];
    /// Groups that `kubectl get CATEGORY` expands.
    const CATEGORIES: &'static [&'static str] = &["all", "cc"];
    /// Where objects live.
    const SCOPE: Scope = Scope::Namespaced;
    /// JSON paths, such as `.spec.recipeRef`, that field selectors may name.
    const SELECTABLE_FIELDS: &'static [&'static str] = &[];
    /// The one condition that sums the others up: `Ready` for things that stay, `Succeeded` for runs.
    const SUMMARY: &'static str = READY;
    /// Whether the status has conditions and `observedGeneration` as all of our kinds have (and, for instance,
    /// Kubernetes' Namespace has not).
    const OBSERVES_GENERATION: bool = true;
    /// The desired state.
    type Spec: Clone + Default + std::fmt::Debug + Send + Sync + Serialize + DeserializeOwned;
    /// The observed state.
    type Status: Clone + Default + std::fmt::Debug + Send + Sync + Serialize + DeserializeOwned;

    /// Returns the columns that follow the name in a printed table.
    #[must_use]
    fn columns() -> Vec<PrinterColumn> {
        Vec::new()
    }

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

/// Why JSON is no object of a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a {kind}: {path}: {message}")]
pub struct DecodeError {
    /// The kind that was expected.
    pub kind: &'static str,
    /// Path of the field to blame, as `spec.triggers[0].phrase`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
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

    /// Reads an object from its JSON.
    ///
    /// # Errors
    /// Another kind or group, and fields whose type does not fit; the error names the field.
    pub fn from_value(value: &Value) -> Result<Self, DecodeError> {
        let object: Self = serde_path_to_error::deserialize(value).map_err(|error| DecodeError {
            kind: K::KIND,
            path: error.path().to_string(),
            message: error.inner().to_string(),
        })?;
        // A group's other versions have the same shape: definitions here convert by name alone.
        let group = object.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        if object.kind != K::KIND || group != K::GROUP {
            let message = format!(
                "expected {} of {}, found {} of {}",
                K::KIND,
                K::api_version(),
                object.kind,
                object.api_version
            );
            return Err(DecodeError { kind: K::KIND, path: "kind".to_owned(), message });
        }
        Ok(object)
    }

    /// Returns the object as JSON.
    ///
    /// # Panics
    /// Never: specs and statuses are plain data with text keys.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("specs and statuses are plain data with text keys")
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
