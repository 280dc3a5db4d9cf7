//! Certificate: a pair that is read or made, checked, kept, given to Apps and looked at where it is served. See
//! `README.md` beside this file.

pub mod acme;
pub mod act;
pub mod decide;
pub mod kept;
pub mod observe;
pub mod share;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::certificate::{Certificate, CertificateStatus, ServedCertificate};
use jiff::Timestamp;

use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::events::Recorder;
use crate::runtime::objects::{ObjectKey, Objects};
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler};

use act::Action;
use observe::Observed;

/// Says that records in the DNS are to be taken back before a Certificate goes.
pub const FINALIZER: &str = "ci.coopcloud.tech/certificate";
/// The resource of Secrets.
const SECRETS: &str = "secrets";

/// What is remembered of a Certificate between passes; a ccd that is started again finds it out anew.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// What the source held that was refused, as a hash, and since when.
    refused: Option<(String, Timestamp)>,
    /// The last round of probes.
    probed: Option<Probed>,
    /// When the order was looked at last.
    looked_at: Option<Timestamp>,
}

/// A round of probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// When it ended.
    pub at: Timestamp,
    /// The fingerprint that was in use then.
    pub fingerprint: String,
    /// What was presented, in the order of the spec.
    pub served: Vec<ServedCertificate>,
}

type Memories = Arc<Mutex<HashMap<String, Memory>>>;

/// The reconciler.
pub struct Certificates {
    objects: Arc<dyn Objects>,
    cache: Arc<Cache>,
    recorder: Recorder,
    outside: Outside,
    /// By uid.
    memories: Memories,
    /// When orders were made, by directory: also those of Certificates that are gone.
    orders: Arc<Mutex<HashMap<String, Vec<Timestamp>>>>,
}

impl Certificates {
    /// Returns the reconciler.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside) -> Self {
        Self {
            objects: shared.objects.clone(),
            cache: shared.cache.clone(),
            recorder: shared.recorder.clone(),
            outside,
            memories: Memories::default(),
            orders: Arc::default(),
        }
    }

    /// Returns how its controller works: the Secret that a pair is kept in is a child, the source's Secret and the Apps are
    /// named.
    #[must_use]
    pub fn options() -> ControllerOptions {
        ControllerOptions {
            owns: vec![SECRETS.to_owned()],
            watches: vec![SECRETS.to_owned(), App::resource()],
            ..ControllerOptions::default()
        }
    }

    fn with_memory<Output>(
        &self,
        certificate: &Object<Certificate>,
        use_it: impl FnOnce(&mut Memory) -> Output,
    ) -> Output {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        if !memories.contains_key(&certificate.metadata.uid) {
            let known: BTreeSet<String> =
                self.cache.list(&Certificate::resource()).iter().map(|stored| stored.metadata.uid.clone()).collect();
            memories.retain(|uid, _| known.contains(uid));
        }
        use_it(memories.entry(certificate.metadata.uid.clone()).or_default())
    }
}

impl Reconciler for Certificates {
    type Kind = Certificate;
    type Observed = Observed;
    type Action = Action;

    const FINALIZER: Option<&'static str> = Some(FINALIZER);

    async fn observe(&self, certificate: &Object<Certificate>) -> Result<Observed, Failure> {
        self.look(certificate).await
    }

    fn decide(
        certificate: &Object<Certificate>,
        observed: &Observed,
        now: Timestamp,
    ) -> Decision<CertificateStatus, Action> {
        decide::decide(certificate, observed, now)
    }

    async fn act(&self, certificate: &Object<Certificate>, action: Action) -> Result<(), Failure> {
        self.carry_out(certificate, action).await
    }

    fn gone(&self, key: &ObjectKey) {
        self.outside.operations.forget_all(key);
    }

    fn references(certificate: &Object<Certificate>) -> Vec<ObjectKey> {
        let namespace = &certificate.metadata.namespace;
        let source = certificate.spec.source.secret_ref.iter();
        let source = source.map(|reference| ObjectKey::new(SECRETS, namespace, &reference.name));
        let named = certificate.spec.source.acme.iter().flat_map(acme::observe::secrets_of);
        let named = named.map(|name| ObjectKey::new(SECRETS, namespace, &name));
        let apps = certificate.spec.distribute.iter();
        source
            .chain(named)
            .chain(apps.map(|share| ObjectKey::new(&App::resource(), namespace, &share.app_ref)))
            .collect()
    }
}

/// Returns the key of a Certificate.
fn key_of(certificate: &Object<Certificate>) -> ObjectKey {
    ObjectKey::new(&Certificate::resource(), &certificate.metadata.namespace, &certificate.metadata.name)
}
