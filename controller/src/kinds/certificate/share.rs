//! Which App gets what from which Certificate: read from the Certificates, which name the Apps.

use std::collections::BTreeMap;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::certificate::Certificate;
use api_types::reason;
use serde::Deserialize as _;

use super::kept;
use crate::runtime::cache::Cache;
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;

/// Which half of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// The certificate with its chain.
    Certificate,
    /// The key.
    Key,
}

/// Returns the Apps that a Certificate gives something to.
#[must_use]
pub(crate) fn apps_of(stored: &StoredObject) -> Vec<ObjectKey> {
    let shares = stored.value["spec"]["distribute"].as_array().into_iter().flatten();
    let names = shares.filter_map(|share| share["appRef"].as_str());
    names.map(|name| ObjectKey::new(&App::resource(), &stored.metadata.namespace, name)).collect()
}

/// Returns who gives an App its secrets: by the secret's name in the recipe, the Certificate and which half. Of two
/// Certificates that give the same, the one that was created first does.
#[must_use]
pub(crate) fn givers(cache: &Cache, namespace: &str, app: &str) -> BTreeMap<String, (String, Half)> {
    let mut found: Vec<Object<Certificate>> = cache
        .list(&Certificate::resource())
        .iter()
        .filter(|stored| stored.metadata.namespace == namespace && !stored.is_being_deleted())
        .filter_map(|stored| Object::deserialize(&stored.value).ok())
        .collect();
    // By name before, so that those of one second have an order as well.
    found.sort_by(|left, right| left.metadata.creation_timestamp.cmp(&right.metadata.creation_timestamp));
    let mut givers = BTreeMap::new();
    for certificate in found {
        let name = &certificate.metadata.name;
        for share in certificate.spec.distribute.iter().filter(|share| share.app_ref == app) {
            for (secret, half) in [(&share.cert_secret, Half::Certificate), (&share.key_secret, Half::Key)] {
                givers.entry(secret.clone()).or_insert_with(|| (name.clone(), half));
            }
        }
    }
    givers
}

/// Returns the values that Certificates give an App, by the secret's name in the recipe.
///
/// # Errors
/// `Blocked` while a Certificate has no good pair yet.
pub(crate) fn values(cache: &Cache, namespace: &str, app: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    if !cache.is_synced(&Certificate::resource()) {
        return Err(Failure::outdated("the first list of Certificates has not arrived yet"));
    }
    let mut values = BTreeMap::new();
    for (secret, (certificate, half)) in givers(cache, namespace, app) {
        let key = kept::key(namespace, &certificate);
        let stored = cache.get(&key).filter(|stored| kept::is_of(stored, &certificate));
        let data_key = match half {
            Half::Certificate => kept::CERTIFICATE_KEY,
            Half::Key => kept::KEY_KEY,
        };
        let Some(value) = stored.and_then(|stored| kept::value(&stored, data_key)) else {
            let message = format!(
                "the secret {secret} of the recipe comes from the Certificate {certificate}, which has no good pair yet: \
                 see ccctl describe certificate {certificate}"
            );
            let waits_for = vec![key, ObjectKey::new(&Certificate::resource(), namespace, &certificate)];
            return Err(Failure::blocked(reason::SECRET_MISSING, message, waits_for));
        };
        values.insert(secret, value);
    }
    Ok(values)
}
