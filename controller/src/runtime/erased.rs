//! A reconciler without its types: so that the loop is compiled once and not once per kind.

use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::objects::{ObjectKey, StoredObject};
use super::outcome::Failure;
use super::reconciler::{Next, Reconciler, Writes};

/// What the loop knows of a kind.
#[derive(Clone, Debug)]
pub struct KindFacts {
    /// `plural.group`.
    pub resource: Arc<str>,
    /// What names the controller in logs and metrics: the lower-case singular, unless it has a name of its own.
    pub controller: Arc<str>,
    /// API group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The one summary condition.
    pub summary: &'static str,
    /// Whether the status has `observedGeneration`.
    pub observes_generation: bool,
    /// The finalizer, if the kind has effects.
    pub finalizer: Option<&'static str>,
    /// How much of the status it writes.
    pub writes: Writes,
}

/// A decision without its types.
pub struct Plan {
    /// The whole status.
    pub status: Value,
    /// When to look again.
    pub next: Next,
    /// The action, and its name for logs.
    pub action: Option<PlannedAction>,
}

/// An action that has been decided and not yet done.
pub struct PlannedAction {
    /// Text for logs.
    pub name: String,
    /// Does it.
    pub run: BoxFuture<'static, Result<(), Failure>>,
}

/// A reconciler without its types.
#[async_trait]
pub trait ErasedReconciler: Send + Sync {
    /// Returns what the loop knows of the kind.
    fn facts(&self) -> &KindFacts;

    /// Returns what the object names; nothing if it cannot be read.
    fn references(&self, object: &StoredObject) -> Vec<ObjectKey>;

    /// Lets go of what is kept for an object that is gone.
    fn gone(&self, key: &ObjectKey);

    /// Returns the objects of this kind that another object names.
    fn named_by(&self, other: &StoredObject) -> Vec<ObjectKey>;

    /// Observes and decides.
    ///
    /// # Errors
    /// What `observe` answered; a bug when the stored object does not fit the kind's types.
    async fn plan(&self, object: &StoredObject, now: Timestamp) -> Result<Plan, Failure>;
}

/// Takes the types off a reconciler.
pub struct Erased<R: Reconciler> {
    reconciler: Arc<R>,
    facts: KindFacts,
}

impl<R: Reconciler> Erased<R> {
    /// Wraps a reconciler.
    #[must_use]
    pub fn new(reconciler: R) -> Self {
        let facts = KindFacts {
            resource: Arc::from(R::Kind::resource()),
            controller: R::NAME.map_or_else(|| Arc::from(R::Kind::KIND.to_lowercase()), Arc::from),
            group: R::Kind::GROUP,
            kind: R::Kind::KIND,
            summary: R::Kind::SUMMARY,
            observes_generation: R::Kind::OBSERVES_GENERATION,
            finalizer: R::FINALIZER,
            writes: R::WRITES,
        };
        Self { reconciler: Arc::new(reconciler), facts }
    }
}

#[async_trait]
impl<R: Reconciler> ErasedReconciler for Erased<R> {
    fn facts(&self) -> &KindFacts {
        &self.facts
    }

    fn references(&self, object: &StoredObject) -> Vec<ObjectKey> {
        // The pass over the same object reports that it cannot be read.
        Object::<R::Kind>::deserialize(&object.value).map(|object| R::references(&object)).unwrap_or_default()
    }

    fn gone(&self, key: &ObjectKey) {
        self.reconciler.gone(key);
    }

    fn named_by(&self, other: &StoredObject) -> Vec<ObjectKey> {
        R::named_by(other)
    }

    async fn plan(&self, stored: &StoredObject, now: Timestamp) -> Result<Plan, Failure> {
        let object = Object::<R::Kind>::deserialize(&stored.value)
            .map_err(|error| Failure::bug(format!("the stored object does not fit the kind's types: {error}")))?;
        let observed = self.reconciler.observe(&object).await?;
        let decision = R::decide(&object, &observed, now);
        let status = serde_json::to_value(&decision.status)
            .map_err(|error| Failure::bug(format!("the status cannot be written as JSON: {error}")))?;
        let action = decision.action.map(|action| {
            let reconciler = self.reconciler.clone();
            let name = format!("{action:?}");
            PlannedAction { name, run: Box::pin(async move { reconciler.act(&object, action).await }) }
        });
        Ok(Plan { status, next: decision.next, action })
    }
}
