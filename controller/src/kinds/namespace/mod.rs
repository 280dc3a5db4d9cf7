//! Namespace: deletes its contents, then itself. See `README.md` beside this file.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::built_in::namespace::{Namespace, NamespacePhase, NamespaceStatus};
use api_types::status::Reason;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::runtime::objects::besides::remove;
use crate::runtime::objects::{ObjectKey, Objects, StoredObject};
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Next, Reconciler};

/// The finalizer in `spec.finalizers` that is ours.
const FINALIZER: &str = "kubernetes";
/// Most objects that one action deletes; the rest is the next pass's.
const DELETIONS_MAX: usize = 500;
/// Deletions at the same time.
const DELETIONS_AT_ONCE: usize = 16;
/// How often a namespace that waits for finalizers is looked at.
const POLL: Duration = Duration::from_secs(2);

const CONTENT_REMAINING: &str = "NamespaceContentRemaining";
const FINALIZERS_REMAINING: &str = "NamespaceFinalizersRemaining";

/// What is left in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Objects of each resource.
    pub resources: BTreeMap<String, usize>,
    /// Objects that wait for each finalizer.
    pub finalizers: BTreeMap<String, usize>,
    /// Objects that nobody has asked to go yet.
    pub untouched: usize,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Delete what nobody has asked to go yet.
    DeleteContents,
    /// Let the namespace go.
    Finalize,
}

/// The reconciler.
pub struct Namespaces {
    objects: Arc<dyn Objects>,
}

impl Namespaces {
    /// Returns the reconciler of the namespaces in `objects`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Returns every object in a namespace.
    async fn contents(&self, namespace: &str) -> Result<Vec<Arc<StoredObject>>, Failure> {
        let mut contents = Vec::new();
        for served in self.objects.served().into_iter().filter(|served| served.namespaced) {
            match self.objects.list(&served.resource, Some(namespace)).await {
                Ok(listing) => contents.extend(listing.objects),
                // The definition went between the two looks, and its objects with it.
                Err(status) if status.reason == Some(Reason::NotFound) => {}
                Err(status) => return Err(status.into()),
            }
        }
        Ok(contents)
    }

    async fn delete_contents(&self, namespace: &str) -> Result<(), Failure> {
        let contents = self.contents(namespace).await?;
        let untouched = contents.into_iter().filter(|object| !object.is_being_deleted()).take(DELETIONS_MAX);
        let mut deletions = JoinSet::new();
        let mut results = Vec::new();
        for object in untouched {
            if deletions.len() >= DELETIONS_AT_ONCE {
                results.extend(deletions.join_next().await);
            }
            let objects = self.objects.clone();
            deletions.spawn(async move { remove(&*objects, &object.key, &object.metadata.uid).await });
        }
        while let Some(ended) = deletions.join_next().await {
            results.push(ended);
        }
        // One that cannot be deleted does not keep the others.
        for ended in results {
            ended.map_err(|error| Failure::bug(format!("a deletion panicked: {error}")))??;
        }
        Ok(())
    }

    async fn finalize(&self, name: &str) -> Result<(), Failure> {
        let key = ObjectKey::new(&Namespace::resource(), "", name);
        let object = match self.objects.get(&key).await {
            Ok(object) => object,
            Err(status) if status.reason == Some(Reason::NotFound) => return Ok(()),
            Err(status) => return Err(status.into()),
        };
        let mut value = object.value.clone();
        let finalizers = value["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        let others: Vec<Value> = finalizers.into_iter().filter(|finalizer| finalizer != FINALIZER).collect();
        value["spec"]["finalizers"] = json!(others);
        match self.objects.finalize_namespace(&key, value).await {
            Ok(()) => Ok(()),
            Err(status) if status.reason == Some(Reason::NotFound) => Ok(()),
            Err(status) if status.reason == Some(Reason::Conflict) => {
                Err(Failure::outdated("the namespace was changed during the pass"))
            }
            Err(status) => Err(status.into()),
        }
    }
}

impl Reconciler for Namespaces {
    type Kind = Namespace;
    type Observed = Contents;
    type Action = Action;

    async fn observe(&self, object: &Object<Namespace>) -> Result<Contents, Failure> {
        if !object.is_being_deleted() {
            return Ok(Contents::default());
        }
        let mut seen = Contents::default();
        for found in self.contents(&object.metadata.name).await? {
            *seen.resources.entry(found.key.resource.to_string()).or_default() += 1;
            for finalizer in &found.metadata.finalizers {
                *seen.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
            seen.untouched += usize::from(!found.is_being_deleted());
        }
        Ok(seen)
    }

    fn decide(object: &Object<Namespace>, seen: &Contents, _now: Timestamp) -> Decision<NamespaceStatus, Action> {
        let mut status = object.status.clone();
        if !object.is_being_deleted() {
            status.phase = Some(NamespacePhase::Active);
            for type_ in [CONTENT_REMAINING, FINALIZERS_REMAINING] {
                condition::remove(&mut status.conditions, type_);
            }
            return Decision::wait(status, Next::OnChange);
        }
        status.phase = Some(NamespacePhase::Terminating);
        condition::set(&mut status.conditions, content_condition(seen));
        condition::set(&mut status.conditions, finalizers_condition(seen));
        // Somebody still has to be asked to go.
        if seen.untouched > 0 {
            return Decision::act(status, Action::DeleteContents);
        }
        // All are going, and clean up first.
        if !seen.resources.is_empty() {
            return Decision::wait(status, Next::After(POLL));
        }
        // Nothing is left: ours is done, whoever else is in spec.finalizers goes on.
        if object.spec.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Decision { status, action: Some(Action::Finalize), next: Next::OnChange };
        }
        Decision::wait(status, Next::OnChange)
    }

    async fn act(&self, object: &Object<Namespace>, action: Action) -> Result<(), Failure> {
        match action {
            Action::DeleteContents => self.delete_contents(&object.metadata.name).await,
            Action::Finalize => self.finalize(&object.metadata.name).await,
        }
    }
}

fn content_condition(seen: &Contents) -> Condition {
    if seen.resources.is_empty() {
        let message = "All content was successfully removed.";
        return Condition::new(CONTENT_REMAINING, ConditionStatus::False, "ContentRemoved", message);
    }
    let counts = counted(&seen.resources, "has", "resource instances");
    let message = format!("Some resources are remaining: {counts}.");
    Condition::new(CONTENT_REMAINING, ConditionStatus::True, "SomeResourcesRemain", message)
}

fn finalizers_condition(seen: &Contents) -> Condition {
    if seen.finalizers.is_empty() {
        let message = "All content-preserving finalizers finished.";
        return Condition::new(FINALIZERS_REMAINING, ConditionStatus::False, "ContentHasNoFinalizers", message);
    }
    let counts = counted(&seen.finalizers, "in", "resource instances");
    let message = format!("Some content in the namespace has finalizers remaining: {counts}.");
    Condition::new(FINALIZERS_REMAINING, ConditionStatus::True, "SomeFinalizersRemain", message)
}

fn counted(counts: &BTreeMap<String, usize>, verb: &str, noun: &str) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {verb} {count} {noun}")).collect();
    parts.join(", ")
}
