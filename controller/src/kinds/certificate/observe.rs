//! What is known of a Certificate: what its source holds, which pair is in use, which Apps have it, who presents it.
//!
//! It asks nobody: files and Secrets are read, Apps say in their status which secrets they use, and probes are made beside
//! the passes. So files can be looked at every few seconds, and what is compared is their content: links that are turned,
//! folders that are mounted anew and files that keep their time are all seen.

use std::path::PathBuf;
use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, ConditionType, READY, find};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::certificate::{Certificate, CertificateFiles, Distribution};
use api_types::reason;
use ports::certificate::{BYTES_MAX, Flaw, Origin, Pair};
use ports::error::chain;
use serde::Deserialize as _;

use super::kept::{self, Kept};
use super::words::reason_of;
use super::{Certificates, Probed, SECRETS, acme, share};
use crate::kinds::app::deployer::decorate::hash;
use crate::kinds::app::prepare::is_of_run;
use crate::kinds::app::{generated, stack_name};
use crate::runtime::objects::ObjectKey;
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;

/// How long the same bad content must lie there before it is told: whoever writes two files writes one after the other.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// What the source holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Nothing: the pair is made here.
    Made,
    /// A pair that fits together.
    Pair(Pair),
    /// Something that cannot be used, for this reason.
    Refused {
        /// A word of [`api_types::reason`].
        reason: &'static str,
        /// What is wrong and what to do: lower case, no full stop.
        message: String,
    },
    /// Something that cannot be used, and that is so new that it may be in the middle of being written.
    Unsettled,
}

/// How far an App is with the pair in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// There is no such App.
    Missing,
    /// Another Certificate, which came first, gives the App these secrets.
    Taken(String),
    /// The App is on its way, and says this.
    Moving(String),
    /// The App cannot take it, and says this.
    Failing(String),
    /// The recipe has no such secret.
    NoSuchSecret(String),
    /// The App runs with it: names of swarm secrets.
    Has(Vec<String>),
}

/// What is known of a Certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What the source holds.
    pub offered: Offered,
    /// Where the source is, for texts.
    pub origin: Origin,
    /// The pair in use.
    pub kept: Kept,
    /// How far the Apps are, in the order of the spec; empty while no pair is in use.
    pub targets: Vec<Target>,
    /// The last round of probes.
    pub probed: Option<Probed>,
    /// Whether a round of probes goes on.
    pub is_probing: bool,
    /// What is known of an order, where one is made or something is left of one.
    pub order: Option<acme::Seen>,
}

impl Certificates {
    pub(super) async fn look(&self, certificate: &Object<Certificate>) -> Result<Observed, Failure> {
        let needed = [SECRETS.to_owned(), App::resource(), Certificate::resource()];
        if let Some(missing) = needed.iter().find(|resource| !self.cache.is_synced(resource)) {
            return Err(Failure::outdated(format!("the first list of {missing} has not arrived yet")));
        }
        let kept = kept::read(&self.cache, certificate);
        let (offered, origin) = self.offered(certificate, kept.pair().is_some()).await?;
        let mut targets = Vec::new();
        if let Some(pair) = kept.pair() {
            for share in &certificate.spec.distribute {
                targets.push(self.target(certificate, share, pair)?);
            }
        }
        let is_probing =
            matches!(self.outside.operations.state(&super::act::probe_id(certificate)), OperationState::Running(_));
        let probed = self.with_memory(certificate, |memory| memory.probed.clone());
        let order = self.look_at_order(certificate);
        Ok(Observed { offered, origin, kept, targets, probed, is_probing, order })
    }

    async fn read_files(&self, files: &CertificateFiles) -> Result<Result<(Vec<u8>, Vec<u8>), Offered>, Failure> {
        let paths = [PathBuf::from(&files.cert), PathBuf::from(&files.key)];
        let given = self.outside.given.clone();
        let read = move || {
            let [cert, key] = paths.map(|path| {
                given
                    .read(&path, BYTES_MAX)
                    .map_err(|error| Offered::Refused { reason: reason::UNREADABLE, message: chain(&error) })
            });
            Ok((cert?, key?))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Failure::bug(format!("work on files panicked: {error}")))
    }

    async fn offered(&self, certificate: &Object<Certificate>, has_pair: bool) -> Result<(Offered, Origin), Failure> {
        let source = &certificate.spec.source;
        let (origin, halves) = if let Some(files) = &source.files {
            let origin =
                Origin { certificate: format!("the file {}", files.cert), key: format!("the file {}", files.key) };
            (origin, self.read_files(files).await?)
        } else if let Some(reference) = &source.secret_ref {
            let place = |key: &str| format!("the key {key} of the Secret {}", reference.name);
            let origin = Origin { certificate: place(kept::CERTIFICATE_KEY), key: place(kept::KEY_KEY) };
            (origin, self.read_secret(certificate, &reference.name))
        } else {
            let origin = Origin { certificate: "what was made".to_owned(), key: "what was made".to_owned() };
            return Ok((Offered::Made, origin));
        };
        let (content, read) = match halves {
            Ok((cert, key)) => {
                let read = Pair::read(&cert, &key, &origin);
                (hash(&[cert, b"\0".to_vec(), key].concat()), read.map_err(refused_by))
            }
            Err(refused) => (hash(format!("{refused:?}").as_bytes()), Err(refused)),
        };
        let now = self.outside.clock.now();
        let offered = self.with_memory(certificate, |memory| match read {
            Ok(pair) => {
                memory.refused = None;
                Offered::Pair(pair)
            }
            Err(refused) => {
                let since = memory.refused.take().filter(|(of, _)| *of == content).map_or(now, |(_, since)| since);
                memory.refused = Some((content, since));
                let is_settled = !has_pair || now.duration_since(since).unsigned_abs() >= SETTLE;
                if is_settled { refused } else { Offered::Unsettled }
            }
        });
        Ok((offered, origin))
    }

    fn read_secret(&self, certificate: &Object<Certificate>, name: &str) -> Result<(Vec<u8>, Vec<u8>), Offered> {
        let stored = self.cache.get(&ObjectKey::new(SECRETS, &certificate.metadata.namespace, name));
        let Some(stored) = stored.filter(|stored| !stored.is_being_deleted()) else {
            let message = format!(
                "there is no Secret {name} in this namespace: make it (kubectl create secret tls {name} --cert=… --key=…), \
                 or correct spec.source.secretRef"
            );
            return Err(Offered::Refused { reason: reason::SECRET_MISSING, message });
        };
        let half = |key: &str| {
            kept::value(&stored, key).ok_or_else(|| Offered::Refused {
                reason: reason::SECRET_MISSING,
                message: format!("the Secret {name} has no key {key}: put the pair into tls.crt and tls.key"),
            })
        };
        Ok((half(kept::CERTIFICATE_KEY)?, half(kept::KEY_KEY)?))
    }

    /// Returns how far an App is.
    fn target(&self, certificate: &Object<Certificate>, share: &Distribution, pair: &Pair) -> Result<Target, Failure> {
        let namespace = &certificate.metadata.namespace;
        let stored = self.cache.get(&ObjectKey::new(&App::resource(), namespace, &share.app_ref));
        let stored = stored.filter(|stored| !stored.is_being_deleted());
        let Some(app) = stored.and_then(|stored| Object::<App>::deserialize(&stored.value).ok()) else {
            return Ok(Target::Missing);
        };
        if is_of_run(&app) {
            return Ok(Target::Failing("It belongs to a test run, and those get no certificates.".to_owned()));
        }
        let givers = share::givers(&self.cache, namespace, &share.app_ref);
        let other = [&share.cert_secret, &share.key_secret]
            .into_iter()
            .filter_map(|secret| givers.get(secret))
            .find(|(giver, _)| *giver != certificate.metadata.name);
        if let Some((giver, _)) = other {
            return Ok(Target::Taken(giver.clone()));
        }
        let stack = stack_name(&app.spec.domain);
        let values = [pair.certificate_pem(), pair.key_pem()].map(|half| half.as_bytes().to_vec());
        let kept = generated::read(&self.cache, namespace, &app.metadata.name)?;
        let versions: Option<Vec<String>> = values.iter().map(|value| kept.version_of(value)).collect();
        let secrets = [&share.cert_secret, &share.key_secret].map(|secret| format!("{stack}_{secret}_"));
        Ok(compare(&app, &secrets, versions.as_deref()))
    }
}

/// Returns how far an App is that should use secrets of these prefixes and versions.
fn compare(app: &Object<App>, prefixes: &[String; 2], versions: Option<&[String]>) -> Target {
    let used = &app.status.secret_names;
    if let Some(versions) = versions {
        let names: Vec<String> =
            prefixes.iter().zip(versions).map(|(prefix, version)| format!("{prefix}{version}")).collect();
        if names.iter().all(|name| used.contains(name)) {
            return Target::Has(names);
        }
    }
    let status_of = |type_: ConditionType| find(&app.status.conditions, type_.word());
    let has_converged = status_of(ConditionType::Converged).is_some_and(|found| found.status == ConditionStatus::True);
    let is_current = app.status.observed_generation == app.metadata.generation;
    let lacking = prefixes.iter().find(|prefix| !used.iter().any(|name| name.starts_with(prefix.as_str())));
    if let Some(prefix) = lacking.filter(|_| has_converged && is_current) {
        let stack = stack_name(&app.spec.domain);
        let name = prefix.trim_start_matches(&stack).trim_matches('_');
        return Target::NoSuchSecret(name.to_owned());
    }
    let order = [ConditionType::Configured, ConditionType::Deployed, ConditionType::Converged];
    let is_false = |found: &&Condition| found.status == ConditionStatus::False;
    if let Some(found) = order.into_iter().filter_map(status_of).find(is_false) {
        return Target::Failing(found.message.clone());
    }
    // What keeps it from being looked at at all stands in the summary alone.
    match find(&app.status.conditions, READY) {
        Some(found) if found.status == ConditionStatus::False && !has_converged => {
            Target::Failing(found.message.clone())
        }
        Some(found) if found.status != ConditionStatus::True => Target::Moving(found.message.clone()),
        _ => Target::Moving("It has not looked yet.".to_owned()),
    }
}

fn refused_by(flaw: Flaw) -> Offered {
    Offered::Refused { reason: reason_of(flaw.kind), message: flaw.message }
}
