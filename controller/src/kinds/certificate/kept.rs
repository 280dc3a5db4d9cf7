//! The pair in use: a Secret of type `kubernetes.io/tls` that belongs to the Certificate.
//!
//! It changes only from one good pair to another, which is why a bad one never replaces it, whatever becomes of the
//! source and however often ccd is started again. Apps take their secrets from it.

use api_types::kind::{Kind as _, Object};
use api_types::kinds::certificate::Certificate;
use api_types::meta::OwnerReference;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::certificate::{Origin, Pair};
use serde_json::{Value, json};

use super::SECRETS;
use crate::runtime::cache::Cache;
use crate::runtime::objects::{ObjectKey, StoredObject};

/// The key of the certificate in a Secret of type `kubernetes.io/tls`.
pub(super) const CERTIFICATE_KEY: &str = "tls.crt";
/// The key of the key.
pub(super) const KEY_KEY: &str = "tls.key";
/// What the Secret's name ends with. Names with a dot are hardly ever chosen by people.
const SUFFIX: &str = ".certificate";

/// What is in the place of the pair in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing, or nothing that can be used any more.
    Nothing,
    /// A pair.
    Pair(Pair),
    /// A Secret of somebody else's, of this name.
    Foreign(String),
}

impl Kept {
    /// Returns the pair, if there is one.
    #[must_use]
    pub fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Pair(pair) => Some(pair),
            Self::Nothing | Self::Foreign(_) => None,
        }
    }
}

/// Returns the key of the Secret in which a Certificate's pair is kept.
#[must_use]
pub fn key(namespace: &str, certificate: &str) -> ObjectKey {
    ObjectKey::new(SECRETS, namespace, &format!("{certificate}{SUFFIX}"))
}

/// Returns what is kept for a Certificate.
#[must_use]
pub fn read(cache: &Cache, certificate: &Object<Certificate>) -> Kept {
    let key = key(&certificate.metadata.namespace, &certificate.metadata.name);
    let Some(stored) = cache.get(&key).filter(|stored| !stored.is_being_deleted()) else { return Kept::Nothing };
    if !is_of(&stored, &certificate.metadata.name) {
        return Kept::Foreign(stored.metadata.name.clone());
    }
    pair(&stored).map_or(Kept::Nothing, Kept::Pair)
}

/// Returns whether a Secret is kept for a Certificate of this name.
#[must_use]
pub fn is_of(stored: &StoredObject, certificate: &str) -> bool {
    let is_owner = |owner: &OwnerReference| {
        owner.kind == Certificate::KIND
            && owner.name == certificate
            && owner.api_version.split_once('/').is_some_and(|(group, _)| group == Certificate::GROUP)
    };
    stored.metadata.owner_references.iter().any(is_owner)
}

/// Returns the pair that a Secret holds, unless somebody has spoilt it.
#[must_use]
pub fn pair(stored: &StoredObject) -> Option<Pair> {
    let origin = Origin { certificate: "the Secret".to_owned(), key: "the Secret".to_owned() };
    Pair::read(&value(stored, CERTIFICATE_KEY)?, &value(stored, KEY_KEY)?, &origin).ok()
}

/// Returns a value of a Secret.
pub(super) fn value(stored: &StoredObject, key: &str) -> Option<Vec<u8>> {
    STANDARD.decode(stored.value["data"][key].as_str()?).ok()
}

/// Returns how a Secret says that it belongs to a Certificate.
pub(super) fn owner(certificate: &Object<Certificate>) -> Value {
    let metadata = &certificate.metadata;
    json!({
        "apiVersion": Certificate::api_version(), "kind": Certificate::KIND, "name": metadata.name,
        "uid": metadata.uid, "controller": true, "blockOwnerDeletion": true,
    })
}

/// Returns the Secret that keeps a pair; `before` is what is there now.
pub(super) fn secret(certificate: &Object<Certificate>, pair: &Pair, before: Option<&StoredObject>) -> Value {
    let metadata = &certificate.metadata;
    let key = key(&metadata.namespace, &metadata.name);
    let mut secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": key.name(),
            "namespace": metadata.namespace,
            "ownerReferences": [owner(certificate)],
        },
        "type": "kubernetes.io/tls",
        "data": {
            (CERTIFICATE_KEY): STANDARD.encode(pair.certificate_pem()),
            (KEY_KEY): STANDARD.encode(pair.key_pem()),
        },
    });
    if let Some(before) = before {
        secret["metadata"]["resourceVersion"] = json!(before.metadata.resource_version);
    }
    secret
}
