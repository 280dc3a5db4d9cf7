//! Secrets in the store that outlive an App which was taken out of it by force, and whether they may.
//!
//! ```text
//!   App, volumes: Delete ─► its Secrets carry ci.coopcloud.tech/volumes: Delete
//!   App, volumes: Retain ─► they do not: they stay with the volumes, for the App that comes next
//!
//!   a Secret with the label, whose App is gone ── seen twice ─► its OAuth2 application goes, then the Secret, with an event
//! ```
//!
//! An owner reference would do it at once, and too often: a garbage collector asks neither for the policy of the moment nor
//! whether the App of that name was only applied anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, VolumePolicy};
use api_types::reason;
use api_types::status::Reason;
use serde_json::{Value, json};

use super::labels::{DELETE, VOLUMES_LABEL};
use super::reaper::Mode;
use super::{application, generated};
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::events::{EventKind, Recorder};
use crate::runtime::objects::besides::remove;
use crate::runtime::objects::{ObjectKey, Objects, StoredObject};
use crate::runtime::outcome::Failure;

/// The resource of Secrets.
const SECRETS: &str = "secrets";

/// Says on a Secret whether it goes with its App.
pub(super) fn mark(secret: &mut Value, app: &Object<App>) {
    if app.spec.volumes == VolumePolicy::Delete {
        secret["metadata"]["labels"][VOLUMES_LABEL] = json!(DELETE);
    } else if let Some(labels) = secret["metadata"].get_mut("labels").and_then(Value::as_object_mut) {
        labels.remove(VOLUMES_LABEL);
    }
}

/// Returns whether a Secret says what its App says.
pub(super) fn is_marked(stored: &StoredObject, app: &Object<App>) -> bool {
    goes(stored) == (app.spec.volumes == VolumePolicy::Delete)
}

fn goes(stored: &StoredObject) -> bool {
    stored.metadata.labels.get(VOLUMES_LABEL).is_some_and(|value| value == DELETE)
}

/// Removes Secrets whose Apps are gone.
pub(super) struct Sweep {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) cache: Arc<Cache>,
    pub(super) recorder: Recorder,
    pub(super) outside: Outside,
    pub(super) mode: Mode,
    /// What the last look saw, by uid.
    pub(super) seen: BTreeSet<String>,
}

impl Sweep {
    /// Looks once.
    ///
    /// # Errors
    /// Those of the store. What cannot be removed now is left for the next look.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        // Which there are, the cache knows without reading all of them again each time; one that is not filled yet knows none.
        let secrets = self.cache.list(SECRETS);
        let mut seen = BTreeSet::new();
        for stored in secrets.iter().filter(|stored| is_ours(stored) && goes(stored)) {
            if !self.is_orphan(stored).await? {
                continue;
            }
            seen.insert(stored.metadata.uid.clone());
            if self.seen.contains(&stored.metadata.uid)
                && let Err(failure) = self.take(stored).await
            {
                tracing::debug!(secret = &*stored.key.key, error = failure.message, "it cannot be removed yet");
            }
        }
        self.seen = seen;
        Ok(())
    }

    /// Returns whether the App is gone. The store is asked: a cache without Apps yet would make everything an orphan.
    async fn is_orphan(&self, stored: &StoredObject) -> Result<bool, Failure> {
        let Some(app) = generated::app_of(stored) else { return Ok(false) };
        let key = ObjectKey::new(&App::resource(), &stored.metadata.namespace, app);
        match self.objects.get(&key).await {
            Ok(_) => Ok(false),
            Err(status) if status.reason == Some(Reason::NotFound) => Ok(true),
            Err(status) => Err(status.into()),
        }
    }

    async fn take(&self, stored: &StoredObject) -> Result<(), Failure> {
        let app = generated::app_of(stored).unwrap_or_default();
        if self.mode == Mode::DryRun {
            let text = format!(
                "The App {app} is gone, and its data was to go with it: this Secret would go as well if the reaper did not \
                 only look."
            );
            self.recorder.record("reaper", stored, EventKind::Normal, reason::ORPHAN_FOUND, &text);
            return Ok(());
        }
        if stored.value["type"] == application::TYPE {
            if !self.cache.is_synced(SECRETS) || !self.cache.is_synced(&api_types::kinds::forge::Forge::resource()) {
                return Err(Failure::outdated("the first list of forges has not arrived yet"));
            }
            if let Some(text) = application::remove_of(&self.cache, &self.outside, stored).await? {
                self.recorder.record("reaper", stored, EventKind::Warning, reason::APPLICATION_LEFT, &text);
            }
        }
        // The forge may have taken its time.
        if !self.is_orphan(stored).await? {
            return Ok(());
        }
        remove(&*self.objects, &stored.key, &stored.metadata.uid).await?;
        let text = format!("The App {app} is gone, and its data was to go with it: this Secret was removed.");
        self.recorder.record("reaper", stored, EventKind::Warning, reason::ORPHAN_REAPED, &text);
        Ok(())
    }
}

/// Returns whether a Secret was made here for an App.
fn is_ours(stored: &StoredObject) -> bool {
    let is_type = [generated::TYPE, application::TYPE].iter().any(|type_| stored.value["type"] == *type_);
    is_type && !stored.is_being_deleted()
}
