//! Client certificates: common name is the user, organisations are the groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{AUTHENTICATED, Credential, User};

/// A verified client certificate and the user it names.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Who it names.
    pub user: Arc<User>,
    /// When it ends; connections may outlive it, requests on them may not.
    pub expires: Timestamp,
}

/// Why a certificate names nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Not X.509.
    #[error("parse the client certificate")]
    Malformed,
    /// A certificate without a name authenticates nobody.
    #[error("find a user: the client certificate has no common name")]
    NoCommonName,
}

impl ClientCertificate {
    /// Reads a certificate that the handshake has verified.
    ///
    /// # Errors
    /// When it cannot be parsed or has no common name.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let text =
            |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        let name = certificate.subject().iter_common_name().next().and_then(text).filter(|name| !name.is_empty());
        let name = name.ok_or(CertificateError::NoCommonName)?;
        let mut groups: Vec<String> = certificate.subject().iter_organization().filter_map(text).collect();
        groups.push(AUTHENTICATED.to_owned());
        let expires = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|_| CertificateError::Malformed)?;
        let extra = BTreeMap::from([(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![format!("X509SHA256={}", HEXLOWER.encode(digest(&SHA256, der).as_ref()))],
        )]);
        let credential = Credential::Certificate { expires };
        let user = User { name, groups, extra, credential, ..User::anonymous() };
        Ok(Self { user: Arc::new(user), expires })
    }
}
