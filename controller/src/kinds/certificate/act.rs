//! The effects of the Certificate reconciler: one variant, one effect, each of which may be cut off and done again.

use std::fmt;
use std::sync::PoisonError;
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::certificate::{Certificate, CertificateProbe, ServedCertificate};
use api_types::reason;
use futures::future::join_all;
use ports::acme::solve::Answers;
use ports::certificate::{Pair, self_signed};
use ports::probe::{HTTPS_PORT, Probe, ProbeTimes};
use serde_json::Value;

use super::acme::{Before, Errand};
use super::{Certificates, Probed, kept, key_of, words};
use crate::runtime::events::{EventKind, seconds};
use crate::runtime::objects::StoredObject;
use crate::runtime::objects::besides::put;
use crate::runtime::outcome::Failure;

/// What a round of probes may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a pair that is made here lasts when the spec does not say.
pub(super) const LIFE: Duration = Duration::from_hours(90 * 24);
/// Most characters of why an address presents nothing.
const ERROR_CHARACTERS_MAX: usize = 1024;

/// What can be done.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Use a pair from now on.
    Keep(Pair),
    /// Make a pair for these names, and use it.
    Make(Vec<String>, Duration),
    /// Ask every address what it presents, beside the passes.
    Probe,
    /// Record that something happened.
    Tell(&'static str, String),
    /// Make the key of an account at an authority.
    MakeAccountKey(Before),
    /// Make the key of a pair that is going to be ordered.
    MakeNextKey,
    /// Remove the key of a pair that is in use by now.
    DropNextKey,
    /// Answer an authority over HTTP on a port; nothing: no longer.
    Answer(u16, Answers),
    /// Start what takes time under the number of its step.
    Errand(i64, Errand),
}

impl fmt::Debug for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(pair) => write!(formatter, "Keep({})", pair.leaf().serial),
            Self::Make(names, life) => write!(formatter, "Make({}, {life:?})", names.join(" ")),
            Self::Probe => formatter.write_str("Probe"),
            Self::Tell(reason, _) => write!(formatter, "Tell({reason})"),
            Self::MakeAccountKey(_) => formatter.write_str("MakeAccountKey"),
            Self::MakeNextKey => formatter.write_str("MakeNextKey"),
            Self::DropNextKey => formatter.write_str("DropNextKey"),
            Self::Answer(port, answers) => write!(formatter, "Answer({port}, {})", answers.len()),
            Self::Errand(step, errand) => write!(formatter, "Errand({step}, {})", errand.word()),
        }
    }
}

impl Certificates {
    pub(super) async fn carry_out(&self, certificate: &Object<Certificate>, action: Action) -> Result<(), Failure> {
        match action {
            Action::Keep(pair) => self.keep(certificate, &pair).await,
            Action::Make(names, life) => {
                let pair = self_signed(&names, self.outside.clock.now(), life)?;
                self.keep(certificate, &pair).await
            }
            Action::Probe => {
                self.begin_to_probe(certificate);
                Ok(())
            }
            Action::Tell(reason, message) => {
                self.record(certificate, EventKind::Warning, reason, &message);
                Ok(())
            }
            Action::MakeAccountKey(before) => {
                let Some(spec) = &certificate.spec.source.acme else { return Ok(()) };
                self.make_account_key(certificate, spec, before).await
            }
            Action::MakeNextKey => self.make_next_key(certificate).await,
            Action::DropNextKey => self.drop_next_key(certificate).await,
            Action::Answer(port, answers) => self.answer(certificate, port, &answers),
            Action::Errand(step, errand) => self.run_errand(certificate, step, errand),
        }
    }

    /// Puts a pair in the place of the one in use. Whoever was faster is seen by the next pass.
    async fn keep(&self, certificate: &Object<Certificate>, pair: &Pair) -> Result<(), Failure> {
        let key = kept::key(&certificate.metadata.namespace, &certificate.metadata.name);
        let before = self.cache.get(&key);
        if before.as_deref().and_then(kept::pair).as_ref() == Some(pair) {
            // The write of the pass before has only just arrived.
            return Ok(());
        }
        let secret = kept::secret(certificate, pair, before.as_deref());
        let objects = &*self.objects;
        put(objects, &self.cache, &key, before.as_deref(), secret, "the Secret of the pair").await?;
        let new = words::which(pair.leaf());
        let message = match before.as_deref().and_then(kept::pair) {
            Some(old) => format!("The pair of {new}, takes the place of serial {}.", old.leaf().serial),
            None => format!("The pair of {new}, is used."),
        };
        self.record(certificate, EventKind::Normal, reason::ROTATING, &message);
        Ok(())
    }

    fn begin_to_probe(&self, certificate: &Object<Certificate>) {
        let (memories, uid) = (self.memories.clone(), certificate.metadata.uid.clone());
        let (outside, probes) = (self.outside.clone(), certificate.spec.probes.clone());
        let kept = kept::read(&self.cache, certificate);
        let fingerprint = kept.pair().map(|pair| pair.leaf().fingerprint.clone()).unwrap_or_default();
        let id = probe_id(certificate);
        outside.operations.clone().forget(&id);
        let operations = outside.operations.clone();
        let work = async move {
            let served = join_all(probes.iter().map(|probe| ask(&*outside.probe, probe))).await;
            let at = outside.clock.now();
            let checked_at = Some(seconds(at));
            let served =
                served.into_iter().map(|found| ServedCertificate { checked_at: checked_at.clone(), ..found }).collect();
            let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
            memories.entry(uid).or_default().probed = Some(Probed { at, fingerprint, served });
            Ok(Value::Null)
        };
        operations.start(&id, &key_of(certificate), PROBE_TIME_MAX, work);
    }

    pub(super) fn record(&self, certificate: &Object<Certificate>, kind: EventKind, reason: &str, message: &str) {
        if let Ok(stored) = StoredObject::new(&Certificate::resource(), certificate.to_value()) {
            self.recorder.record("certificate", &stored, kind, reason, message);
        }
    }
}

/// Returns the id of the operation that asks what is presented.
pub(super) fn probe_id(certificate: &Object<Certificate>) -> String {
    format!("certificate/{}/probe", certificate.metadata.uid)
}

async fn ask(probe: &dyn Probe, wanted: &CertificateProbe) -> ServedCertificate {
    let (host, port) = match wanted.address.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']), port.parse().unwrap_or(HTTPS_PORT)),
        None => (wanted.address.as_str(), HTTPS_PORT),
    };
    let report = probe.tls(host, port, &wanted.server_name, ProbeTimes::default()).await;
    let leaf = report.chain.into_iter().next();
    ServedCertificate {
        address: wanted.address.clone(),
        server_name: wanted.server_name.clone(),
        // Whether clients trust it is another matter: it is asked whether it is this one.
        error: leaf.is_none().then(|| report.message.chars().take(ERROR_CHARACTERS_MAX).collect()),
        serial: leaf.as_ref().map(|leaf| leaf.serial.clone()),
        fingerprint: leaf.map(|leaf| leaf.fingerprint),
        checked_at: None,
    }
}
