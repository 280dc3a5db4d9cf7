//! What is known of an order: Secrets, what is answered, and what the errand told. Asks nobody.

use std::collections::BTreeSet;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::acme::{Acme, Dns01};
use api_types::kinds::certificate::Certificate;
use api_types::kinds::reference::SecretKeyReference;
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ports::acme::solve::Writer;
use ports::acme::{AccountKey, Authority, Binding};
use ports::certificate::{Origin, Pair};
use serde::Deserialize as _;

use super::super::{Certificates, SECRETS, kept};
use super::{COUNTED, Errands, KEY, Key, Seen, Told, account_key, errand_id, lately, next_key, state_of};
use crate::runtime::cache::Cache;
use crate::runtime::objects::ObjectKey;
use crate::runtime::operations::OperationState;

/// Why something that the spec names cannot be used.
pub(super) type Refusal = (&'static str, String);

impl Certificates {
    /// Returns what is known of the order of a Certificate; nothing if it neither orders nor has anything to clean up.
    pub(in super::super) fn look_at_order(&self, certificate: &Object<Certificate>) -> Option<Seen> {
        let spec = certificate.spec.source.acme.as_ref();
        if spec.is_none() && certificate.status.acme.is_none() {
            return None;
        }
        let (uid, state) = (&certificate.metadata.uid, state_of(certificate));
        let errand = self.errand(uid, state.step);
        let fetched = match &errand {
            Errands::Told(told) => match &**told {
                Told::Chain(chain) => Some(self.read_fetched(certificate, chain)),
                _ => None,
            },
            _ => None,
        };
        let now = self.outside.clock.now();
        Some(Seen {
            account_key: spec.map_or(Key::Absent, |spec| self.account_key(certificate, spec)),
            next_key: self.next_key(certificate),
            refusal: spec.and_then(|spec| self.refusal(certificate, spec)),
            answering: self.outside.solver.answers(uid),
            errand,
            fetched,
            looked_at: self.with_memory(certificate, |memory| memory.looked_at),
            all_orders: spec.map_or(0, |spec| self.all_orders(&spec.directory, now)),
        })
    }

    fn errand(&self, uid: &str, step: i64) -> Errands {
        match self.outside.operations.state(&errand_id(uid, step)) {
            OperationState::Absent => Errands::Absent,
            OperationState::Running(_) => Errands::Running,
            OperationState::Done(Ok(value)) => match Told::deserialize(&value) {
                Ok(told) => Errands::from(Ok(told)),
                Err(error) => Errands::Failed(reason::INTERNAL_ERROR.to_owned(), error.to_string(), None),
            },
            OperationState::Done(Err(failure)) => Errands::from(Err(failure)),
        }
    }

    fn read_fetched(&self, certificate: &Object<Certificate>, chain: &str) -> Result<Pair, ports::certificate::Flaw> {
        let origin = Origin { certificate: "what the authority issued".to_owned(), key: "its key".to_owned() };
        let stored = self.cache.get(&next_key(certificate));
        let key = stored.and_then(|stored| kept::value(&stored, KEY)).unwrap_or_default();
        Pair::read(chain.as_bytes(), &key, &origin)
    }

    fn account_key(&self, certificate: &Object<Certificate>, spec: &Acme) -> Key {
        let key = account_key(&certificate.metadata.namespace, spec);
        let is_named = spec.account_key_secret_ref.is_some();
        match read_account_key(&self.cache, &key, spec) {
            None if is_named => Key::Refused(
                reason::SECRET_MISSING,
                format!(
                    "there is no Secret {} with the account's key: make it, or leave spec.source.acme.accountKeySecretRef \
                     out, and one is made",
                    key.name()
                ),
            ),
            None => Key::Absent,
            Some(Ok(found)) => Key::Found(found.fingerprint()),
            Some(Err(why)) => Key::Refused(
                reason::UNREADABLE,
                format!("the account's key in the Secret {} cannot be used: {why}", key.name()),
            ),
        }
    }

    fn next_key(&self, certificate: &Object<Certificate>) -> Key {
        let key = next_key(certificate);
        let Some(stored) = self.cache.get(&key).filter(|stored| !stored.is_being_deleted()) else { return Key::Absent };
        if !kept::is_of(&stored, &certificate.metadata.name) {
            let message = format!(
                "the key of a new pair is kept in the Secret {}, and there is one of that name that is somebody else's: \
                 delete it, or give this Certificate another name",
                key.name()
            );
            return Key::Refused(reason::SECRET_NOT_OURS, message);
        }
        // One that somebody has spoilt is found out when the certificate does not fit.
        Key::Found(kept::value(&stored, KEY).map(|_| key.name().to_owned()).unwrap_or_default())
    }

    /// Returns why no order can be made as the spec has it.
    fn refusal(&self, certificate: &Object<Certificate>, spec: &Acme) -> Option<Refusal> {
        let namespace = &certificate.metadata.namespace;
        if spec.http01.is_some() && certificate.spec.dns_names.iter().any(|name| name.starts_with("*.")) {
            let message = "spec.dnsNames has a wildcard, which no authority issues over HTTP: set spec.source.acme.dns01 in \
                           the place of http01, or name each host";
            return Some((reason::INVALID_SPEC, message.to_owned()));
        }
        if let Err(refused) = binding(&self.cache, namespace, spec) {
            return Some(refused);
        }
        let dns = spec.dns01.as_ref()?;
        match writer(&self.cache, namespace, dns) {
            Err(refused) => Some(refused),
            Ok(writer) => {
                self.outside.solver.check(&writer).err().map(|error| (reason::HOOK_FAILED, ports::error::chain(&error)))
            }
        }
    }

    /// Returns how many orders were made lately at an authority: what Certificates say, and what is remembered of those that
    /// are gone.
    fn all_orders(&self, directory: &str, now: Timestamp) -> usize {
        let said: usize = self
            .cache
            .list(&Certificate::resource())
            .iter()
            .filter(|stored| stored.value["spec"]["source"]["acme"]["directory"] == directory)
            .filter_map(|stored| Vec::<String>::deserialize(&stored.value["status"]["acme"]["recentOrders"]).ok())
            .map(|orders| lately(&orders, now).len())
            .sum();
        let mut made = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let made = made.entry(directory.to_owned()).or_default();
        made.retain(|at| now.duration_since(*at).unsigned_abs() < COUNTED);
        said.max(made.len())
    }
}

fn value_of(cache: &Cache, namespace: &str, reference: &SecretKeyReference) -> Option<Vec<u8>> {
    let stored = cache.get(&ObjectKey::new(SECRETS, namespace, &reference.name))?;
    let data = stored.value["data"].as_object().filter(|_| !stored.is_being_deleted())?;
    let text = match &reference.key {
        Some(key) => data.get(key)?,
        None if data.len() == 1 => data.values().next()?,
        None => return None,
    };
    STANDARD.decode(text.as_str()?).ok().filter(|value| !value.is_empty())
}

fn missing(field: &str, reference: &SecretKeyReference) -> Refusal {
    let wanted = match &reference.key {
        Some(key) => format!("the key {key} of the Secret {}", reference.name),
        None => format!("the Secret {} with a single key", reference.name),
    };
    (reason::SECRET_MISSING, format!("{wanted} is not there or is empty: create it, or correct {field}"))
}

/// Reads the account's key; nothing when there is none.
pub(super) fn read_account_key(cache: &Cache, key: &ObjectKey, spec: &Acme) -> Option<Result<AccountKey, String>> {
    let own = SecretKeyReference { name: key.name().to_owned(), key: Some(KEY.to_owned()) };
    let reference = spec.account_key_secret_ref.as_ref().unwrap_or(&own);
    let stored = cache.get(key).filter(|stored| !stored.is_being_deleted())?;
    let Some(text) = value_of(cache, key.namespace(), reference) else {
        let held = stored.value["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
        return Some(Err(format!("it has the keys [{}]", held.unwrap_or_default().join(", "))));
    };
    Some(AccountKey::from_pem(&text).map_err(|error| error.message))
}

/// Returns what the account is bound to.
pub(super) fn binding(cache: &Cache, namespace: &str, spec: &Acme) -> Result<Option<Binding>, Refusal> {
    let Some(account) = &spec.external_account else { return Ok(None) };
    let field = "spec.source.acme.externalAccount.keySecretRef";
    let text =
        value_of(cache, namespace, &account.key_secret_ref).ok_or_else(|| missing(field, &account.key_secret_ref))?;
    let text = text.trim_ascii();
    let key = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).or_else(|_| STANDARD.decode(text));
    let key = key.map_err(|_| {
        let name = &account.key_secret_ref.name;
        (reason::UNREADABLE, format!("the key for external account binding in the Secret {name} is not base64url"))
    })?;
    Ok(Some(Binding { key_id: account.key_id.clone(), key }))
}

/// Returns who writes records.
pub(super) fn writer(cache: &Cache, namespace: &str, dns: &Dns01) -> Result<Writer, Refusal> {
    if let Some(hook) = &dns.hook {
        return Ok(Writer::Hook(hook.clone()));
    }
    let field = "spec.source.acme.dns01.keySecretRef";
    let reference = dns.key_secret_ref.clone().unwrap_or_default();
    let key = value_of(cache, namespace, &reference).ok_or_else(|| missing(field, &reference))?;
    let key = String::from_utf8_lossy(&key).into_owned();
    Ok(Writer::Updates { server: dns.server.clone(), key_name: dns.key_name.clone(), key })
}

/// Returns which authority is asked.
pub(super) fn authority(spec: &Acme) -> Authority {
    Authority { directory: spec.directory.clone(), ca_bundle: spec.ca_bundle.clone() }
}

/// Returns the Secrets that a source names.
pub(in super::super) fn secrets_of(spec: &Acme) -> BTreeSet<String> {
    let named = [
        spec.account_key_secret_ref.as_ref(),
        spec.external_account.as_ref().map(|account| &account.key_secret_ref),
        spec.dns01.as_ref().and_then(|dns| dns.key_secret_ref.as_ref()),
    ];
    named.into_iter().flatten().map(|reference| reference.name.clone()).collect()
}
