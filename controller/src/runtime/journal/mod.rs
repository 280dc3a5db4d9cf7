//! The intent journal: for effects that must happen exactly once and that cannot be made idempotent by a computed name.
//!
//! ```text
//!   nothing ──announce──► Open ──perform──► close: Done(result)
//!                          │ cut off
//!                          └──► look outside: happened → close · did not → perform
//! ```
//!
//! An intent is a ConfigMap in the namespace of the object on whose behalf the effect happens (`default` for
//! cluster-scoped ones), owned by it, so that it goes when the object goes, and visible to everybody with
//! `kubectl get configmaps -l ci.coopcloud.tech/intent`. Its name is computed from the object's uid and the effect's
//! name: announcing twice finds the first. It is written, durably, before the effect begins; what is found `Open` at
//! the next attempt was cut off at an unknown point, so the world is looked at before anything is done. After a
//! restart every object gets a pass, and the pass that comes to the effect resolves it that way; [`Journal::open`]
//! names those that are still open. (A namespace that is being deleted takes no new objects: clean-up cannot announce
//! anything and must be idempotent by itself.)

use std::future::Future;
use std::sync::Arc;

use api_types::kind::{Kind, Object};
use api_types::status::{Reason, Status};
use ports::clock::Clock;
use serde_json::{Value, json};

use super::backoff::hash;
use super::events::seconds;
use super::guards::{Guard, Guards};
use super::objects::{ObjectKey, Objects, StoredObject};
use super::outcome::Failure;

#[cfg(test)]
mod tests;

/// The label of intents; its value is the state.
pub const LABEL: &str = "ci.coopcloud.tech/intent";
const CONFIG_MAPS: &str = "configmaps";
const OPEN: &str = "open";
const DONE: &str = "done";

/// Announces effects, remembers their results, and tells which are in doubt.
#[derive(Clone)]
pub struct Journal {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    guards: Guards,
}

/// The object on whose behalf an effect happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    key: ObjectKey,
    api_version: String,
    kind: String,
    uid: String,
}

impl From<&StoredObject> for Owner {
    fn from(object: &StoredObject) -> Self {
        let text = |name: &str| object.value[name].as_str().unwrap_or_default().to_owned();
        Self {
            key: object.key.clone(),
            api_version: text("apiVersion"),
            kind: text("kind"),
            uid: object.metadata.uid.clone(),
        }
    }
}

impl<K: Kind> From<&Object<K>> for Owner {
    fn from(object: &Object<K>) -> Self {
        let metadata = &object.metadata;
        Self {
            key: ObjectKey::new(&K::resource(), &metadata.namespace, &metadata.name),
            api_version: K::api_version(),
            kind: K::KIND.to_owned(),
            uid: metadata.uid.clone(),
        }
    }
}

/// An intent that was announced and not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// The object on whose behalf the effect happens.
    pub owner: ObjectKey,
    /// The effect's name.
    pub effect: String,
    /// When it was announced, RFC 3339.
    pub announced_at: String,
}

impl Journal {
    /// Returns the journal that is kept in `objects`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>, guards: Guards) -> Self {
        Self { objects, clock, guards }
    }

    /// Brings about an effect once and returns its result, now and whenever it is called again for the same `owner`
    /// and `effect`.
    ///
    /// `look` says whether the effect has happened, and its result; it is asked only when an earlier attempt was cut
    /// off. `perform` brings it about. Results are short texts such as the id of what was made.
    ///
    /// # Errors
    /// Those of `look` and `perform`; the intent then stays open and the next attempt looks first. Those of the store.
    pub async fn once<Look, Perform>(
        &self,
        owner: impl Into<Owner>,
        effect: &str,
        look: impl FnOnce() -> Look,
        perform: impl FnOnce() -> Perform,
    ) -> Result<String, Failure>
    where
        Look: Future<Output = Result<Option<String>, Failure>>,
        Perform: Future<Output = Result<String, Failure>>,
    {
        let owner = &owner.into();
        if !self.guards.has(Guard::Journal) {
            // What the test of the journal shows to be wrong: nothing is written down before the effect.
            let result = perform().await?;
            let (intent, _) = self.announce(owner, effect).await?;
            self.close(&intent, &result).await?;
            return Ok(result);
        }
        let (intent, was_open) = self.announce(owner, effect).await?;
        if let Some(result) = result_of(&intent) {
            return Ok(result);
        }
        let happened = if was_open { look().await? } else { None };
        let result = match happened {
            Some(result) => result,
            None => perform().await?,
        };
        self.close(&intent, &result).await?;
        Ok(result)
    }

    /// Returns the result of an effect that [`once`](Self::once) has brought about, or `None` if it has not yet.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn result(&self, owner: impl Into<Owner>, effect: &str) -> Result<Option<String>, Failure> {
        match self.objects.get(&intent_key(&owner.into(), effect)).await {
            Ok(intent) => Ok(result_of(&intent)),
            Err(status) if status.reason == Some(Reason::NotFound) => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    /// Returns every intent that is announced and not closed, in the order of their keys.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open(&self) -> Result<Vec<OpenIntent>, Status> {
        let listing = self.objects.list(CONFIG_MAPS, None).await?;
        let open = listing
            .objects
            .iter()
            .filter(|object| object.metadata.labels.get(LABEL).is_some_and(|state| state == OPEN));
        let text =
            |object: &StoredObject, name: &str| object.value["data"][name].as_str().unwrap_or_default().to_owned();
        Ok(open
            .map(|object| OpenIntent {
                owner: ObjectKey { resource: text(object, "resource").into(), key: text(object, "key").into() },
                effect: text(object, "effect"),
                announced_at: text(object, "announcedAt"),
            })
            .collect())
    }

    /// Returns the intent, and whether it was there before.
    async fn announce(&self, owner: &Owner, effect: &str) -> Result<(Arc<StoredObject>, bool), Failure> {
        let key = intent_key(owner, effect);
        match self.objects.get(&key).await {
            Ok(intent) => return Ok((intent, true)),
            Err(status) if status.reason == Some(Reason::NotFound) => {}
            Err(status) => return Err(status.into()),
        }
        let value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": key.name(),
                "namespace": key.namespace(),
                "labels": {LABEL: OPEN},
                "ownerReferences": [{
                    "apiVersion": owner.api_version,
                    "kind": owner.kind,
                    "name": owner.key.name(),
                    "uid": owner.uid,
                }],
            },
            "data": {
                "resource": &*owner.key.resource,
                "key": &*owner.key.key,
                "effect": effect,
                "announcedAt": seconds(self.clock.now()),
            },
        });
        match self.objects.create(CONFIG_MAPS, value).await {
            Ok(intent) => Ok((intent, false)),
            // Somebody else announced it, or we did and the reply was lost: it may have begun.
            Err(status) if status.reason == Some(Reason::AlreadyExists) => Ok((self.objects.get(&key).await?, true)),
            Err(status) => Err(status.into()),
        }
    }

    async fn close(&self, intent: &StoredObject, result: &str) -> Result<(), Failure> {
        let mut value = intent.value.clone();
        value["metadata"]["labels"][LABEL] = Value::from(DONE);
        value["data"]["result"] = Value::from(result);
        value["data"]["closedAt"] = Value::from(seconds(self.clock.now()));
        self.objects.update(&intent.key, value).await?;
        Ok(())
    }
}

fn intent_key(owner: &Owner, effect: &str) -> ObjectKey {
    let namespace = if owner.key.namespace().is_empty() { "default" } else { owner.key.namespace() };
    let identity = format!("{}\n{effect}", owner.uid);
    // Two hashes with different beginnings make 128 bits: a collision would silently drop an effect.
    let name = format!("intent-{:016x}{:016x}", hash(&identity, 0), hash(&format!("second {identity}"), 0));
    ObjectKey::new(CONFIG_MAPS, namespace, &name)
}

fn result_of(intent: &StoredObject) -> Option<String> {
    let is_done = intent.metadata.labels.get(LABEL).is_some_and(|state| state == DONE);
    is_done.then(|| intent.value["data"]["result"].as_str().unwrap_or_default().to_owned())
}
