//! What callers ask for: targets, bodies, options, and what they get back.

use std::sync::Arc;

use api_types::status::Status;
use serde_json::Value;

use crate::object::{Object, object_key};
use crate::registry::{Resource, ResourceVersion};

/// What a request is about: a resource seen through one version, and an object in it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Name of the version through which the caller sees it.
    pub version: String,
    /// Namespace; empty for cluster-scoped resources.
    pub namespace: String,
    /// Name of the object; empty for a creation that takes it from the body.
    pub name: String,
}

impl Target {
    /// Returns a target in the resource's storage version, as reconcilers use it.
    #[must_use]
    pub fn new(resource: &Arc<Resource>, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.clone(),
            version: resource.storage_version().name.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns `namespace/name`, or the name alone.
    #[must_use]
    pub fn key(&self) -> Arc<str> {
        object_key(&self.namespace, &self.name)
    }

    /// Returns the version through which the caller sees the resource.
    ///
    /// # Errors
    /// `NotFound` when the version is not, or no longer, served.
    pub fn resource_version(&self) -> Result<&ResourceVersion, Status> {
        self.resource.versions.iter().find(|version| version.name == self.version).ok_or_else(|| {
            Status::failure(
                api_types::status::Reason::NotFound,
                format!("version {} of {} is not served", self.version, self.resource.key),
            )
        })
    }
}

/// A decoded request body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The document.
    pub value: Value,
    /// Paths of members that stood twice in it, such as `spec.version`.
    pub duplicates: Vec<String>,
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self { value, duplicates: Vec::new() }
    }
}

/// What happens to members that the schema does not name, or that stand twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// The request is refused.
    Strict,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are dropped in silence.
    Ignore,
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Who writes, for `managedFields`; at most 128 bytes.
    pub field_manager: String,
    /// What happens to unknown members.
    pub field_validation: FieldValidation,
    /// Whether everything is done but the writing.
    pub dry_run: DryRun,
    /// Who may still refuse what would be stored.
    pub veto: Option<Veto>,
}

/// A last word on a write: it sees what would be stored and what is stored now, and may refuse.
///
/// It runs inside the write, on every attempt, so that nobody can change the object between the check and the write.
#[derive(Clone)]
pub struct Veto(Arc<VetoFunction>);

impl Veto {
    /// Returns a veto that asks `check` with the next version of the object and the present one.
    pub fn new(check: impl Fn(&Value, Option<&Value>) -> Result<(), Status> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// Asks.
    ///
    /// # Errors
    /// What the check answers.
    pub fn check(&self, next: &Value, present: Option<&Value>) -> Result<(), Status> {
        (self.0)(next, present)
    }
}

impl std::fmt::Debug for Veto {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Veto")
    }
}

impl PartialEq for Veto {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Veto {}

impl WriteOptions {
    /// Returns the options of a program of ours that writes as `manager`: unknown members are its bug, so they are
    /// refused.
    #[must_use]
    pub fn by(manager: &str) -> Self {
        Self {
            field_manager: manager.to_owned(),
            field_validation: FieldValidation::Strict,
            dry_run: DryRun::No,
            veto: None,
        }
    }
}

/// Whether a write is only tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DryRun {
    /// It is written.
    #[default]
    No,
    /// Everything is checked and answered as if; nothing is written.
    All,
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status, where the kind has a status subresource.
    Whole,
    /// The status alone.
    Status,
    /// The whole object through `/scale`; only the bookkeeping in `managedFields` differs.
    Scale,
    /// A namespace's `spec.finalizers`, through `/finalize`.
    Finalize,
}

impl Part {
    /// Returns the name of the subresource, empty for the whole.
    #[must_use]
    pub fn subresource(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
        }
    }
}

/// Computes the next version of an object from the present one.
pub type PatchFunction = dyn Fn(&Value) -> Result<Value, Status> + Send + Sync;

/// Refuses a write for reasons of its own; it sees the new version and the old one.
pub type VetoFunction = dyn Fn(&Value, Option<&Value>) -> Result<(), Status> + Send + Sync;

/// A change to an object, relative to what it is.
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(Value),
    /// Kubernetes' strategic merge; built-in kinds only.
    Strategic(Value),
    /// A function of the present object; it may run several times.
    Function(Box<PatchFunction>),
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new object.
    Created,
    /// A new version of an object.
    Updated,
    /// Nothing: the object already was as asked.
    Unchanged,
    /// The object is marked for deletion and waits for its finalizers.
    Deleting,
    /// The object is gone; the answer is its last state.
    Deleted,
}

/// What a write returns.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object after the write, or as it would be after a dry run.
    pub object: Arc<Object>,
    /// What was done.
    pub outcome: Outcome,
    /// What the caller should hear about; each becomes a `Warning` header.
    pub warnings: Vec<String>,
}

impl Written {
    /// Returns the same with `earlier` warnings before its own.
    #[must_use]
    pub(crate) fn after(mut self, earlier: Vec<String>) -> Self {
        self.warnings.splice(0..0, earlier);
        self
    }
}

/// How dependents of a deleted object are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes now, its dependents soon after.
    Background,
    /// The dependents go first.
    Foreground,
    /// The dependents stay and forget their owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How dependents are treated; `None` is the kind's default, `Background`.
    pub propagation: Option<Propagation>,
    /// Delete only the object with this identity.
    pub uid: Option<String>,
    /// Delete only this version of the object.
    pub resource_version: Option<String>,
    /// Whether it is only tried.
    pub dry_run: DryRun,
}
