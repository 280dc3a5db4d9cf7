//! The OAuth2 application at a forge that an App lets people sign in with: made once, and its secret never replaced by
//! accident.
//!
//! ```text
//!   none of this name there ─► intent noted ─► made ─► Secret NAME-oauth: client_id, client_secret ─► environment, secret
//!   one of this name there, and no Secret  ─► told: its secret is known to whoever made it; what to type
//!   a Secret NAME-oauth that a person made ─► used as it is; nobody asks the forge
//!   the spec asks for other addresses      ─► intent noted ─► changed, with a new secret, as every change there makes one
//! ```
//!
//! What is done about it afterwards is in `care.rs`.
//!
//! Forges tell a secret once, in the answer to the call that makes it. So the intent is in the store before the call: whoever
//! finds it after a crash knows that the secret was lost on the way, that nobody uses it, and that another may be made.

pub(super) mod care;

use std::sync::Arc;

use api_types::kind::Object;
use api_types::kinds::app::{App, OAuthApplicationState, VolumePolicy};
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::error::ErrorKind;
use ports::forge::{ForgeToken, OAuthApplication, WantedOAuthApplication};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Apps;
use super::deployer::SecretValue;
use super::left;
use super::rotation::word_of;
use crate::kinds::forge::connection::{self, Connection};
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::events::EventKind;
use crate::runtime::objects::besides::{put, remove};
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;

/// The resource of Secrets.
const SECRETS: &str = "secrets";
/// The type of a Secret whose application was made here.
pub(super) const TYPE: &str = "ci.coopcloud.tech/oauth";
/// What the Secret's name ends with.
const SUFFIX: &str = "-oauth";
/// The key of the client ID.
const CLIENT_ID: &str = "client_id";
/// The key of the client secret.
const CLIENT_SECRET: &str = "client_secret";
/// On the Secret: the App's name.
const APP_ANNOTATION: &str = "ci.coopcloud.tech/app";
/// On the Secret: what is known of the application.
const RECORD_ANNOTATION: &str = "ci.coopcloud.tech/application";
/// Longest name of an App that has one, so that the Secret's name has room.
const NAME_CHARACTERS_MAX: usize = 240;

/// What is known of an application that was made here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    /// Name of the Forge.
    forge: String,
    /// Whose it is there: the login of the token's owner. Empty in what an earlier ccd wrote.
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
    /// Its number there; 0 before it is made.
    id: i64,
    /// Its name.
    name: String,
    /// Where browsers may be sent back to.
    redirect_uris: Vec<String>,
    /// What was begun and perhaps not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<Intent>,
    /// The word of the annotation that asked last for another secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    rotation_asked: String,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_at: Option<String>,
}

/// What was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Intent {
    /// It is made, where there was none of its name.
    Create,
    /// It is changed, and gets another secret.
    Replace,
}

/// What an App proves itself with at a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The client ID.
    pub(super) client_id: String,
    /// The client secret.
    pub(super) client_secret: SecretValue,
}

/// What is in the place of the Secret.
enum Kept {
    /// Nothing.
    Nothing,
    /// What a person put there.
    Given(Credentials),
    /// Something that a person put there and that lacks a key.
    Incomplete,
    /// What was made here, and is being made.
    Own(Record, Option<Credentials>),
}

/// Returns the key of the Secret in which an App's application is kept.
#[must_use]
pub(super) fn key(namespace: &str, app: &str) -> ObjectKey {
    ObjectKey::new(SECRETS, namespace, &format!("{app}{SUFFIX}"))
}

/// Returns the application that an App asks for.
fn wanted(app: &Object<App>) -> Option<(String, WantedOAuthApplication)> {
    let spec = app.spec.oauth_application.as_ref()?;
    let uris = spec.redirect_paths.iter().map(|path| format!("https://{}{path}", app.spec.domain));
    let name = spec.name.clone().unwrap_or_else(|| app.spec.domain.clone());
    Some((spec.forge_ref.clone(), WantedOAuthApplication { name, redirect_uris: uris.collect() }))
}

fn stored(cache: &Cache, app: &Object<App>) -> Option<Arc<StoredObject>> {
    cache.get(&key(&app.metadata.namespace, &app.metadata.name)).filter(|stored| !stored.is_being_deleted())
}

fn read(cache: &Cache, app: &Object<App>) -> Kept {
    let Some(stored) = stored(cache, app) else { return Kept::Nothing };
    let value = |key: &str| {
        let value = STANDARD.decode(stored.value["data"][key].as_str()?).ok()?;
        (!value.is_empty()).then_some(value)
    };
    let credentials = value(CLIENT_ID).and_then(|id| String::from_utf8(id).ok()).zip(value(CLIENT_SECRET));
    let credentials = credentials.map(|(client_id, secret)| Credentials {
        client_id: client_id.trim().to_owned(),
        client_secret: SecretValue(secret),
    });
    let is_own = stored.value["type"] == TYPE
        && stored.metadata.annotations.get(APP_ANNOTATION).is_some_and(|of| *of == app.metadata.name);
    match (is_own, record_of(&stored), credentials) {
        (true, Some(record), credentials) => Kept::Own(record, credentials),
        (_, _, Some(credentials)) => Kept::Given(credentials),
        _ => Kept::Incomplete,
    }
}

/// Returns what a Secret says of an application.
fn record_of(stored: &StoredObject) -> Option<Record> {
    serde_json::from_str(stored.metadata.annotations.get(RECORD_ANNOTATION)?).ok()
}

/// Returns what an App proves itself with; `None` while there is nothing, or something is being made of it.
pub(super) fn credentials(cache: &Cache, app: &Object<App>) -> Option<Credentials> {
    let (forge, wanted) = wanted(app)?;
    match read(cache, app) {
        Kept::Given(credentials) => Some(credentials),
        Kept::Own(record, credentials) => credentials.filter(|_| record.is(&forge, &wanted)),
        Kept::Nothing | Kept::Incomplete => None,
    }
}

/// Returns what the status says of it.
pub(super) fn state(cache: &Cache, app: &Object<App>) -> Option<OAuthApplicationState> {
    let (_, wanted) = wanted(app)?;
    let credentials = credentials(cache, app)?;
    Some(OAuthApplicationState { name: wanted.name, client_id: credentials.client_id.chars().take(255).collect() })
}

impl Record {
    /// Returns whether it is as it is wanted, and nothing is under way.
    fn is(&self, forge: &str, wanted: &WantedOAuthApplication) -> bool {
        self.intent.is_none()
            && self.forge == forge
            && self.name == wanted.name
            && self.redirect_uris == wanted.redirect_uris
    }
}

/// Returns the Secret with a record and what belongs to it; `before` is what is there now.
fn secret(
    app: &Object<App>,
    record: &Record,
    made: Option<(&OAuthApplication, &ForgeToken)>,
    before: Option<&StoredObject>,
) -> Value {
    let key = key(&app.metadata.namespace, &app.metadata.name);
    let mut secret = before.map_or_else(
        || {
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": TYPE, "data": {},
                "metadata": {"name": key.name(), "namespace": app.metadata.namespace},
            })
        },
        |before| before.value.clone(),
    );
    secret["metadata"]["annotations"][APP_ANNOTATION] = json!(app.metadata.name);
    secret["metadata"]["annotations"][RECORD_ANNOTATION] = json!(json!(record).to_string());
    left::mark(&mut secret, app);
    if let Some((application, token)) = made {
        secret["data"] = json!({
            (CLIENT_ID): STANDARD.encode(&application.client_id), (CLIENT_SECRET): STANDARD.encode(token.reveal()),
        });
    }
    secret
}

impl Apps {
    /// Sees to it that there is an application as the App asks for one, and that its secret is known.
    ///
    /// # Errors
    /// `Blocked` while the Forge is not there, its token may not, or somebody else's application has the name; those of
    /// the forge otherwise.
    pub(super) async fn ensure_application(&self, app: &Object<App>) -> Result<(), Failure> {
        let Some((forge, wanted)) = wanted(app) else { return Ok(()) };
        if !self.cache.is_synced(SECRETS) {
            return Err(Failure::outdated("the first list of secrets has not arrived yet"));
        }
        if app.metadata.name.len() > NAME_CHARACTERS_MAX {
            let text =
                format!("an App with an OAuth2 application has a name of at most {NAME_CHARACTERS_MAX} characters");
            return Err(Failure::terminal(reason::INVALID_SPEC, text));
        }
        let record = match read(&self.cache, app) {
            Kept::Given(_) => return Ok(()),
            Kept::Incomplete => return Err(self.incomplete(app)),
            Kept::Own(record, Some(_)) if record.is(&forge, &wanted) => return self.note(app, &record, None).await,
            Kept::Own(record, _) => Some(record),
            Kept::Nothing => None,
        };
        let connection = connection::connect(&self.cache, &self.outside, &forge)?;
        let told = |error: ports::error::Error| told(&forge, &connection.own_login, error);
        match record {
            Some(record) if record.forge != forge => Err(self.moved(app, &record)),
            Some(record) if record.id > 0 => self.replace(app, record, &wanted, &connection).await,
            begun => {
                let named: Vec<OAuthApplication> = connection.forge.oauth_applications().await.map_err(told)?;
                let named: Vec<OAuthApplication> =
                    named.into_iter().filter(|found| found.name == wanted.name).collect();
                match (begun, named.as_slice()) {
                    (begun, []) => {
                        let record = Record { forge, ..begun.unwrap_or_default() };
                        self.make(app, record, &wanted, &connection).await
                    }
                    // It was made, and the answer was lost: nobody has its secret.
                    (Some(record), [made]) if made.redirect_uris == record.redirect_uris => {
                        let record = Record { id: made.id, ..record };
                        self.replace(app, record, &wanted, &connection).await
                    }
                    (_, [found, ..]) => Err(self.unknown(app, &forge, found)),
                }
            }
        }
    }

    /// Makes an application, where there is none of its name. Of the record only the forge and past rotations count.
    async fn make(
        &self,
        app: &Object<App>,
        record: Record,
        wanted: &WantedOAuthApplication,
        connection: &Connection,
    ) -> Result<(), Failure> {
        let mut record = Record {
            id: 0,
            owner: connection.own_login.clone(),
            name: wanted.name.clone(),
            redirect_uris: wanted.redirect_uris.clone(),
            intent: Some(Intent::Create),
            ..record
        };
        // Whoever asks for another secret has one then.
        if let Some(word) = app.spec.oauth_application.as_ref().and_then(|spec| word_of(app, &spec.client_secret)) {
            word.clone_into(&mut record.rotation_asked);
        }
        self.note(app, &record, None).await?;
        let made = connection.forge.create_oauth_application(wanted).await;
        let (made, token) = made.map_err(|error| told(&record.forge, &connection.own_login, error))?;
        (record.id, record.intent) = (made.id, None);
        self.note(app, &record, Some((&made, &token))).await?;
        let text = format!(
            "The forge {} has the OAuth2 application {} (client ID {}) for this App.",
            record.forge, made.name, made.client_id
        );
        self.record(app, EventKind::Normal, reason::APPLICATION_CREATED, &text);
        Ok(())
    }

    /// Changes an application, which gets another secret.
    async fn replace(
        &self,
        app: &Object<App>,
        mut record: Record,
        wanted: &WantedOAuthApplication,
        connection: &Connection,
    ) -> Result<(), Failure> {
        record.intent = Some(Intent::Replace);
        self.note(app, &record, None).await?;
        let changed = connection.forge.replace_oauth_application(record.id, wanted).await;
        let changed = changed.map_err(|error| told(&record.forge, &connection.own_login, error))?;
        let Some((changed, token)) = changed else {
            // Somebody removed it: there is nothing that could be kept.
            return self.make(app, record, wanted, connection).await;
        };
        let record = Record {
            owner: connection.own_login.clone(),
            id: changed.id,
            name: wanted.name.clone(),
            redirect_uris: wanted.redirect_uris.clone(),
            intent: None,
            ..record
        };
        self.note(app, &record, Some((&changed, &token))).await?;
        let text = format!("The OAuth2 application {} was changed at the forge, and has another secret.", changed.name);
        self.record(app, EventKind::Normal, reason::APPLICATION_CHANGED, &text);
        Ok(())
    }

    /// Writes what is known. Whoever was faster is seen by the next pass.
    async fn note(
        &self,
        app: &Object<App>,
        record: &Record,
        made: Option<(&OAuthApplication, &ForgeToken)>,
    ) -> Result<(), Failure> {
        if let Some((_, token)) = made {
            self.forget_looks(app);
            self.outside.redactor.insert(&format!("app/{}/oauth", app.metadata.uid), token.reveal().as_bytes());
        }
        let key = key(&app.metadata.namespace, &app.metadata.name);
        let before = stored(&self.cache, app);
        let secret = secret(app, record, made, before.as_deref());
        if before.as_ref().is_some_and(|before| before.value == secret) {
            return Ok(());
        }
        let (objects, before) = (&*self.objects, before.as_deref());
        put(objects, &self.cache, &key, before, secret, "the Secret of the application").await
    }

    fn incomplete(&self, app: &Object<App>) -> Failure {
        let key = key(&app.metadata.namespace, &app.metadata.name);
        let message = format!(
            "the Secret {} must have the keys {CLIENT_ID} and {CLIENT_SECRET}: put both into it, or remove it, and an \
             application is made",
            key.name()
        );
        Failure::blocked(reason::SECRET_MISSING, message, vec![key])
    }

    /// One of the name is there that was not made here, or whose Secret is gone.
    fn unknown(&self, app: &Object<App>, forge: &str, found: &OAuthApplication) -> Failure {
        let (name, namespace) = (&app.metadata.name, &app.metadata.namespace);
        let key = key(namespace, name);
        let message = format!(
            "the forge {forge} has an application {} already (client ID {}), and tells its secret to nobody any more: put \
             what is known of it into a Secret (kubectl create secret generic {} --namespace={namespace} \
             --from-literal={CLIENT_ID}={} --from-literal={CLIENT_SECRET}=…), or remove it at the forge, so that another \
             one is made, or give this one another spec.oauthApplication.name",
            found.name,
            found.client_id,
            key.name(),
            found.client_id
        );
        Failure::blocked(reason::APPLICATION_SECRET_UNKNOWN, message, vec![key])
    }

    fn moved(&self, app: &Object<App>, record: &Record) -> Failure {
        let key = key(&app.metadata.namespace, &app.metadata.name);
        let message = format!(
            "the application was made at the forge {0}, and spec.oauthApplication.forgeRef names another one: remove it at \
             {0}, and then the Secret {1}",
            record.forge,
            key.name()
        );
        Failure::blocked(reason::INVALID_SPEC, message, vec![key])
    }

    /// Returns whether an application that was made here goes with an App that is being deleted.
    pub(super) fn application_goes(&self, app: &Object<App>) -> bool {
        app.spec.volumes == VolumePolicy::Delete && matches!(read(&self.cache, app), Kept::Own(..))
    }

    /// Removes an application that was made here, and its Secret.
    ///
    /// # Errors
    /// While the forge is away. When it does not let us any more, that is told, and the Secret goes all the same.
    pub(super) async fn remove_application(&self, app: &Object<App>) -> Result<(), Failure> {
        let Kept::Own(record, _) = read(&self.cache, app) else { return Ok(()) };
        let Some(stored) = stored(&self.cache, app) else { return Ok(()) };
        if let Some(text) = remove_at_forge(&self.cache, &self.outside, &record).await? {
            self.record(app, EventKind::Warning, reason::APPLICATION_LEFT, &text);
        }
        Ok(remove(&*self.objects, &stored.key, &stored.metadata.uid).await?)
    }
}

/// Removes at its forge the application that a Secret of ours is about.
///
/// # Errors
/// As [`remove_at_forge`].
pub(super) async fn remove_of(
    cache: &Cache,
    outside: &Outside,
    stored: &StoredObject,
) -> Result<Option<String>, Failure> {
    match record_of(stored) {
        Some(record) => remove_at_forge(cache, outside, &record).await,
        None => Ok(None),
    }
}

/// Removes an application at its forge, and returns what is to be told when the forge does not let us.
///
/// # Errors
/// What may pass: the forge is away.
async fn remove_at_forge(cache: &Cache, outside: &Outside, record: &Record) -> Result<Option<String>, Failure> {
    match try_to_remove(cache, outside, record).await {
        Ok(()) => Ok(None),
        Err(failure) if failure.kind == ErrorKind::Retryable => Err(failure),
        Err(failure) => Ok(Some(format!(
            "The OAuth2 application {} stays at the forge {}: {}. Remove it there by hand.",
            record.name, record.forge, failure.message
        ))),
    }
}

async fn try_to_remove(cache: &Cache, outside: &Outside, record: &Record) -> Result<(), Failure> {
    let connection = connection::connect(cache, outside, &record.forge)?;
    let mut ids = vec![record.id];
    if record.intent == Some(Intent::Create) {
        // It may have been made without anybody having heard of it.
        let all = connection.forge.oauth_applications().await?;
        let is_it =
            |found: &&OAuthApplication| found.name == record.name && found.redirect_uris == record.redirect_uris;
        ids.extend(all.iter().filter(is_it).map(|found| found.id));
    }
    for id in ids.into_iter().filter(|id| *id > 0) {
        connection.forge.remove_oauth_application(id).await?;
    }
    Ok(())
}

/// Says which scope is needed when one is missing.
fn told(forge: &str, login: &str, error: ports::error::Error) -> Failure {
    let is_scope = error.reason == "ScopesMissing";
    let mut failure = Failure::from(error);
    if is_scope {
        failure.message = format!(
            "the token of the Forge {forge} (of {login}) lacks the scope write:user, which OAuth2 applications need: make a \
             token that has it besides the others, and put it into the Secret of the Forge, or make the application by \
             hand and put it into a Secret"
        );
        failure.reason = reason::SCOPES_MISSING.to_owned();
        failure.waits_for = vec![connection::key(forge)];
    }
    failure
}
