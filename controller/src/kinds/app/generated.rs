//! Generated secrets: made once by the recipe's rules, and kept in a Secret of the store, where backups find them.
//!
//! ```text
//!   the rules of the recipe ─► a value ─► Secret NAME-generated ─► the swarm
//!                                             ▲
//!        secrets.json of an earlier ccd ──────┤   once, and then the file goes
//!        what an App of this stack left ──────┘
//! ```
//!
//! A value is in the store before the swarm has it, and a write is refused when somebody else wrote meanwhile: so neither a
//! ccd that ends in between nor two at once make a second one. The Secret has no owner that a garbage collector would follow:
//! whether it goes with its App is what the App's policy for data says, and the App's finalizer does it. For an App that is
//! taken out of the store by force the same policy stands on the Secret, as a label, and `left.rs` acts upon it.

use std::collections::BTreeMap;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, VolumePolicy};
use api_types::reason;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::recipe::secret::{Rule, generate};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::deployer::SecretValue;
use super::deployer::decorate::hash;
use super::left;
use super::rotation::Rotation;
use super::{Apps, secrets};
use crate::runtime::blocking::blocking;
use crate::runtime::cache::Cache;
use crate::runtime::events::seconds;
use crate::runtime::objects::besides::{put, remove};
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;

/// The resource of Secrets.
const SECRETS: &str = "secrets";
/// The type of the Secret.
pub(crate) const TYPE: &str = "ci.coopcloud.tech/generated";
/// What the Secret's name ends with.
const SUFFIX: &str = "-generated";
/// Most characters of an App's name that its Secret's name begins with.
const NAME_CHARACTERS_MAX: usize = 200;
/// The key in the Secret of what tells given values apart.
const KEY: &str = ".version-key";
/// On the Secret: the App's name.
const APP_ANNOTATION: &str = "ci.coopcloud.tech/app";
/// On the Secret: the stack whose secrets they are.
const STACK_ANNOTATION: &str = "ci.coopcloud.tech/stack";
/// On the Secret: what is known of the values besides the values.
const HISTORY_ANNOTATION: &str = "ci.coopcloud.tech/history";
/// Stands for the version of a value in a plan for an app that has no key yet.
pub(super) const VERSION_TO_COME: &str = "v-to-come";
/// Bytes of the key by which values are told apart without being shown.
const KEY_BYTES: usize = 32;

/// What is kept of an App.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The key from which versions of given values follow; `None` while nobody has given any.
    pub(crate) key: Option<SecretValue>,
    /// Generated values, by their names in the swarm.
    pub(crate) values: BTreeMap<String, SecretValue>,
    /// What is known of them.
    pub(crate) history: History,
}

/// What is known of generated values besides what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct History {
    /// When each was made, by their names in the swarm.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) made: BTreeMap<String, String>,
    /// Rotations that were asked for, by names in the compose file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rotations: BTreeMap<String, Rotation>,
    /// The Secret of an App that is gone from which values were taken over last: it is needed no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) took_over: Option<TookOver>,
}

/// A Secret whose values are kept in another one by now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TookOver {
    /// Its name.
    name: String,
    /// Its uid: another one of the name is another one.
    uid: String,
}

impl Kept {
    /// Reads the Secret of an App.
    fn of(stored: &StoredObject) -> Self {
        let mut kept = Self::default();
        let data = stored.value["data"].as_object();
        for (name, text) in data.into_iter().flatten() {
            let Some(value) = text.as_str().and_then(|text| STANDARD.decode(text).ok()) else { continue };
            if name == KEY {
                kept.key = Some(SecretValue(value)).filter(|key| !key.0.is_empty());
            } else {
                kept.values.insert(name.clone(), SecretValue(value));
            }
        }
        let history = stored.metadata.annotations.get(HISTORY_ANNOTATION);
        kept.history = history.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        kept
    }

    /// Takes in what is kept elsewhere. What is here already stays as it is.
    fn take_in(&mut self, other: Self) {
        self.key = self.key.take().or(other.key);
        for (name, value) in other.values {
            self.values.entry(name).or_insert(value);
        }
        for (name, moment) in other.history.made {
            self.history.made.entry(name).or_insert(moment);
        }
        for (name, rotation) in other.history.rotations {
            self.history.rotations.entry(name).or_insert(rotation);
        }
    }

    /// Returns a version for a value that somebody gives: the same for the same value, and no help in guessing it. `None`
    /// as long as there is no key.
    #[must_use]
    pub(crate) fn version_of(&self, value: &[u8]) -> Option<String> {
        let key = self.key.as_ref()?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key.0), value);
        let digits: String = tag.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Some(format!("v{digits}"))
    }

    /// Makes values by these rules where there are none. What a person must give is left out.
    fn make(&mut self, rules: &BTreeMap<String, Rule>, names: &[String], now: &str) {
        for name in names.iter().filter(|name| !self.values.contains_key(*name)).cloned().collect::<Vec<_>>() {
            let Some(value) = rules.get(&name).and_then(|rule| generate(*rule, &mut random)) else { continue };
            self.values.insert(name.clone(), SecretValue(value.into_bytes()));
            self.history.made.insert(name, now.to_owned());
        }
    }

    /// Returns the Secret that keeps this; `before` is what is there now.
    fn secret(&self, app: &Object<App>, stack: &str, before: Option<&StoredObject>) -> Value {
        let key = key(&app.metadata.namespace, &app.metadata.name);
        let mut secret = before.map_or_else(
            || {
                json!({
                    "apiVersion": "v1", "kind": "Secret", "type": TYPE,
                    "metadata": {"name": key.name(), "namespace": app.metadata.namespace},
                })
            },
            |before| before.value.clone(),
        );
        let own = [
            (APP_ANNOTATION, app.metadata.name.clone()),
            (STACK_ANNOTATION, stack.to_owned()),
            (HISTORY_ANNOTATION, json!(self.history).to_string()),
        ];
        for (name, value) in own {
            secret["metadata"]["annotations"][name] = json!(value);
        }
        left::mark(&mut secret, app);
        let values = self.values.iter().map(|(name, value)| (name.as_str(), value));
        let all = values.chain(self.key.iter().map(|key| (KEY, key)));
        secret["data"] = all.map(|(name, value)| (name.to_owned(), json!(STANDARD.encode(&value.0)))).collect();
        secret
    }
}

/// Returns the key of the Secret in which an App's generated values are kept.
#[must_use]
pub(crate) fn key(namespace: &str, app: &str) -> ObjectKey {
    let name = if app.len() > NAME_CHARACTERS_MAX {
        let begin: String = app.chars().take(NAME_CHARACTERS_MAX).collect();
        format!("{begin}-{}{SUFFIX}", &hash(app.as_bytes())[..8])
    } else {
        format!("{app}{SUFFIX}")
    };
    ObjectKey::new(SECRETS, namespace, &name)
}

/// Returns whether a Secret keeps the generated values of an App of this name.
fn is_of(stored: &StoredObject, app: &str) -> bool {
    is_kept(stored) && stored.metadata.annotations.get(APP_ANNOTATION).is_some_and(|owner| owner == app)
}

fn is_kept(stored: &StoredObject) -> bool {
    stored.value["type"] == TYPE && !stored.is_being_deleted()
}

/// Returns the App whose generated values, or application, a Secret keeps.
pub(super) fn app_of(stored: &StoredObject) -> Option<&str> {
    stored.metadata.annotations.get(APP_ANNOTATION).map(String::as_str)
}

/// Returns what is kept of an App; nothing when the Secret of that name is somebody else's.
///
/// # Errors
/// `Outdated` before the first list of Secrets: nothing is ever made because one is not known yet.
pub(crate) fn read(cache: &Cache, namespace: &str, app: &str) -> Result<Kept, Failure> {
    if !cache.is_synced(SECRETS) {
        return Err(Failure::outdated("the first list of secrets has not arrived yet"));
    }
    let stored = cache.get(&key(namespace, app)).filter(|stored| is_of(stored, app));
    Ok(stored.as_deref().map(Kept::of).unwrap_or_default())
}

impl Apps {
    /// Returns what is kept of an App.
    ///
    /// # Errors
    /// As [`read`].
    pub(super) fn kept(&self, app: &Object<App>) -> Result<Kept, Failure> {
        read(&self.cache, &app.metadata.namespace, &app.metadata.name)
    }

    /// Changes what is kept of an App, and returns it as it is then.
    ///
    /// # Errors
    /// `Outdated` when somebody was faster; `Blocked` with `SecretNotOurs` when the name is taken.
    pub(super) async fn keep(
        &self,
        app: &Object<App>,
        stack: &str,
        change: impl FnOnce(&mut Kept),
    ) -> Result<Kept, Failure> {
        let key = key(&app.metadata.namespace, &app.metadata.name);
        let known = self.kept(app)?;
        let mut kept = known.clone();
        change(&mut kept);
        for (name, value) in &kept.values {
            self.outside.redactor.insert(&format!("app/{}/{name}", app.metadata.uid), &value.0);
        }
        let before = self.cache.get(&key);
        if kept == known && before.as_ref().is_none_or(|before| left::is_marked(before, app)) {
            return Ok(kept);
        }
        if let Some(before) = &before
            && !is_of(before, &app.metadata.name)
        {
            let message = format!(
                "the generated secrets are kept in a Secret {0}, and there is one of that name that is not this App's: \
                 remove it, or give it another name (kubectl get secret {0} -o yaml)",
                key.name()
            );
            return Err(Failure::blocked(reason::SECRET_NOT_OURS, message, vec![key]));
        }
        let secret = kept.secret(app, stack, before.as_deref());
        let (objects, before) = (&*self.objects, before.as_deref());
        put(objects, &self.cache, &key, before, secret, "the Secret of generated values").await?;
        Ok(kept)
    }

    /// Brings what was kept elsewhere into the Secret of an App: in the file of an earlier ccd, and by an App of the same
    /// stack and namespace that is gone. Makes the key from which versions of given values follow, when it is needed.
    ///
    /// # Errors
    /// As [`keep`](Self::keep); `Terminal` when the file cannot be understood.
    pub(super) async fn gather(&self, app: &Object<App>, stack: &str, needs_key: bool) -> Result<(), Failure> {
        let (files, of) = (self.outside.files.clone(), stack.to_owned());
        let file = blocking(move || secrets::read(&files, &of)).await??;
        let orphan = self.orphan(app, stack);
        let took_over = orphan
            .as_ref()
            .map(|orphan| TookOver { name: orphan.metadata.name.clone(), uid: orphan.metadata.uid.clone() });
        let (has_file, orphaned) = (file.is_some(), orphan.as_deref().map(Kept::of));
        let kept = self.keep(app, stack, |kept| {
            for other in file.into_iter().chain(orphaned) {
                kept.take_in(other);
            }
            if took_over.is_some() {
                kept.history.took_over = took_over;
            }
            if needs_key && kept.key.is_none() {
                let mut key = vec![0; KEY_BYTES];
                random(&mut key);
                kept.key = Some(SecretValue(key));
            }
        });
        let kept = kept.await?;
        if has_file {
            let (files, of) = (self.outside.files.clone(), stack.to_owned());
            blocking(move || secrets::forget(&files, &of)).await??;
        }
        // Also when a ccd ended before it got to this.
        let taken = kept.history.took_over.and_then(|taken| self.taken(app, &taken));
        match taken {
            Some(taken) => self.delete_kept(&taken).await,
            None => Ok(()),
        }
    }

    /// Returns a Secret whose values are kept in another one by now, while its App is gone.
    fn taken(&self, app: &Object<App>, taken: &TookOver) -> Option<std::sync::Arc<StoredObject>> {
        let namespace = &app.metadata.namespace;
        let stored = self.cache.get(&ObjectKey::new(SECRETS, namespace, &taken.name))?;
        let is_gone = |of: &str| self.cache.get(&ObjectKey::new(&App::resource(), namespace, of)).is_none();
        let is_it = stored.metadata.uid == taken.uid && is_kept(&stored) && app_of(&stored).is_some_and(is_gone);
        is_it.then_some(stored)
    }

    /// Returns what an App of the same stack left that is gone, unless this one has something of its own.
    fn orphan(&self, app: &Object<App>, stack: &str) -> Option<std::sync::Arc<StoredObject>> {
        let namespace = &app.metadata.namespace;
        if self.cache.get(&key(namespace, &app.metadata.name)).is_some() {
            return None;
        }
        let is_left = |stored: &StoredObject| {
            let owner = stored.metadata.annotations.get(APP_ANNOTATION);
            let is_gone =
                |owner: &String| self.cache.get(&ObjectKey::new(&App::resource(), namespace, owner)).is_none();
            stored.metadata.namespace == *namespace
                && is_kept(stored)
                && stored.metadata.annotations.get(STACK_ANNOTATION).is_some_and(|of| of == stack)
                && owner.is_some_and(is_gone)
        };
        self.cache.list(SECRETS).into_iter().find(|stored| is_left(stored))
    }

    /// Generates secrets, by their names in the swarm.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub(super) async fn generate(
        &self,
        app: &Object<App>,
        stack: &str,
        rules: &BTreeMap<String, Rule>,
        names: &[String],
    ) -> Result<(), Failure> {
        let now = seconds(self.outside.clock.now());
        self.keep(app, stack, |kept| kept.make(rules, names, &now)).await.map(drop)
    }

    /// Returns whether the Secret goes with an App that is being deleted and deployed something.
    pub(super) fn kept_goes(&self, app: &Object<App>) -> bool {
        let stored = self.cache.get(&key(&app.metadata.namespace, &app.metadata.name));
        stored.is_some_and(|stored| is_of(&stored, &app.metadata.name) && app.spec.volumes == VolumePolicy::Delete)
    }

    /// Returns whether nothing is kept of an App but what can be made again.
    pub(super) fn kept_is_worthless(&self, app: &Object<App>) -> bool {
        let stored = self.cache.get(&key(&app.metadata.namespace, &app.metadata.name));
        stored.is_some_and(|stored| is_of(&stored, &app.metadata.name) && Kept::of(&stored).values.is_empty())
    }

    /// Removes what is kept of an App.
    ///
    /// # Errors
    /// When the store does not take it.
    pub(super) async fn forget_kept(&self, app: &Object<App>) -> Result<(), Failure> {
        let stored = self.cache.get(&key(&app.metadata.namespace, &app.metadata.name));
        match stored.filter(|stored| is_of(stored, &app.metadata.name)) {
            Some(stored) => self.delete_kept(&stored).await,
            None => Ok(()),
        }
    }

    async fn delete_kept(&self, stored: &StoredObject) -> Result<(), Failure> {
        Ok(remove(&*self.objects, &stored.key, &stored.metadata.uid).await?)
    }
}

fn random(bytes: &mut [u8]) {
    // It fails only on a machine that has no randomness at all.
    aws_lc_rs::rand::fill(bytes).expect("the system gives random bytes");
}

#[cfg(test)]
mod tests {
    use ports::recipe::secret::Charset;

    use super::*;

    #[test]
    fn a_value_is_made_once_and_what_a_person_gives_is_not_made() {
        let rules = BTreeMap::from([
            ("x_pass_v1".to_owned(), Rule::Password { length: 20, charset: Charset::Plain }),
            ("x_hand_v1".to_owned(), Rule::ByHand),
        ]);
        let names = ["x_pass_v1".to_owned(), "x_hand_v1".to_owned()];
        let mut kept = Kept::default();
        kept.make(&rules, &names, "2026-01-02T03:04:05Z");
        assert_eq!(kept.values.keys().collect::<Vec<_>>(), ["x_pass_v1"]);
        assert_eq!(kept.values["x_pass_v1"].0.len(), 20);
        let before = kept.clone();
        kept.make(&rules, &names, "2027-01-02T03:04:05Z");
        assert_eq!(kept, before);
        assert_eq!(kept.history.made["x_pass_v1"], "2026-01-02T03:04:05Z");
    }

    #[test]
    fn what_is_written_is_what_is_read_and_no_text_shows_a_value() {
        let app = Object::<App>::new("default", "x", api_types::kinds::app::AppSpec::default());
        let mut kept = Kept { key: Some(SecretValue(vec![7; 32])), ..Kept::default() };
        kept.values.insert("x_pass_v1".to_owned(), SecretValue(b"canary".to_vec()));
        kept.history.made.insert("x_pass_v1".to_owned(), "2026-01-02T03:04:05Z".to_owned());
        kept.history.rotations.insert("pass".to_owned(), Rotation { step: 2, ..Rotation::default() });
        let stored = StoredObject::new(SECRETS, kept.secret(&app, "x", None)).unwrap();
        assert!(is_of(&stored, "x") && !is_of(&stored, "y"));
        assert_eq!(Kept::of(&stored), kept);
        assert!(!format!("{kept:?}").contains("canary"));
        let again = StoredObject::new(SECRETS, Kept::default().secret(&app, "x", Some(&stored))).unwrap();
        assert_eq!(Kept::of(&again), Kept::default());
    }

    #[test]
    fn the_version_of_a_value_changes_with_it_and_differs_from_app_to_app() {
        let of = |byte: u8| Kept { key: Some(SecretValue(vec![byte; 32])), ..Kept::default() };
        let first = of(1).version_of(b"one").unwrap();
        assert_eq!(first.len(), 9);
        assert_eq!(of(1).version_of(b"one").unwrap(), first);
        assert_ne!(of(1).version_of(b"two").unwrap(), first);
        assert_ne!(of(2).version_of(b"one").unwrap(), first);
        assert_eq!(Kept::default().version_of(b"one"), None);
    }

    #[test]
    fn what_is_kept_here_counts_more_than_what_was_kept_elsewhere() {
        let kept = |key: u8, name: &str, value: &str| Kept {
            key: Some(SecretValue(vec![key])),
            values: BTreeMap::from([(name.to_owned(), SecretValue(value.as_bytes().to_vec()))]),
            ..Kept::default()
        };
        let mut here = kept(1, "a", "here");
        here.take_in(kept(2, "a", "there"));
        here.take_in(kept(3, "b", "there"));
        assert_eq!(here.key.unwrap().0, [1]);
        assert_eq!((here.values["a"].0.as_slice(), here.values["b"].0.as_slice()), (&b"here"[..], &b"there"[..]));
    }

    #[test]
    fn the_longest_name_of_an_app_leaves_room_for_its_secret() {
        let long = "a".repeat(253);
        assert!(key("default", &long).name().len() <= 253);
        assert_ne!(key("default", &long), key("default", &"a".repeat(252)));
        assert_eq!(key("default", "drone").name(), "drone-generated");
    }
}
