//! Which authorities are believed, and a witness that keeps what a server showed even when it is not believed.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use crate::error::Error;

/// Whose certificates are believed in one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// Those of the authorities.
    Authorities,
    /// Everybody's: nobody looks at them.
    Anybody,
}

/// Makes the verifier; `None` on a machine without any authorities.
type MakeVerifier = Box<dyn FnOnce() -> Option<Arc<WebPkiServerVerifier>> + Send>;

/// Who is believed.
pub(super) struct Authorities {
    provider: Arc<CryptoProvider>,
    /// Made at the first handshake: the machine's authorities are some hundred files.
    verifier: LazyLock<Option<Arc<WebPkiServerVerifier>>, MakeVerifier>,
}

/// What a server showed.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<(Vec<Vec<u8>>, Option<CertificateError>)>);

impl Seen {
    pub(super) fn take(&self) -> (Vec<Vec<u8>>, Option<CertificateError>) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Authorities {
    pub(super) fn open(ca_files: &[PathBuf]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for file in ca_files {
            let unusable = |why: String| {
                Error::terminal("CaFile", format!("probe.ca_files: {} cannot be used: {why}", file.display()))
            };
            let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .map_err(|error| unusable(error.to_string()))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(unusable("it holds no certificate in PEM".to_owned()));
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verified_by = Arc::clone(&provider);
        let make = move || {
            // A machine without any authorities is fine: then only the files count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            // Refused only without any authority, and for revocation lists, of which there are none.
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), verified_by).build().ok()
        };
        let verifier: LazyLock<_, MakeVerifier> = LazyLock::new(Box::new(make));
        Ok(Self { provider, verifier })
    }

    /// Returns the configuration for one handshake, and what will be seen in it.
    pub(super) fn client(&self, belief: Belief) -> (ClientConfig, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let witness = Witness {
            verifier: LazyLock::force(&self.verifier).clone(),
            belief,
            algorithms: self.provider.signature_verification_algorithms,
            seen: Arc::clone(&seen),
        };
        let mut configuration = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for the usual versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness))
            .with_no_client_auth();
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each look is a fresh one: a resumed session shows no certificate.
        configuration.resumption = rustls::client::Resumption::disabled();
        (configuration, seen)
    }
}

/// Verifies as usual, and keeps what it saw.
#[derive(Debug)]
struct Witness {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    belief: Belief,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Arc<Seen>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verified = match &self.verifier {
            _ if self.belief == Belief::Anybody => Ok(ServerCertVerified::assertion()),
            Some(verifier) => verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        let problem = match &verified {
            Err(TlsError::InvalidCertificate(problem)) => Some(problem.clone()),
            _ => None,
        };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = (chain, problem);
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
