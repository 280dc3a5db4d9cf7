//! One certificate with its key: making, reading, signing.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::rotation::AUTHORITY_LIFE;
use super::{BACKDATE, PkiError};

/// A certificate and, when we have it, its key.
pub struct Identity {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// The key, PEM; empty for certificates that we only trust.
    pub(super) key_pem: String,
    /// When it begins.
    pub begins: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// Who signed it, as one line.
    pub issuer: String,
    /// Whom it names, as one line.
    pub subject: String,
}

/// Why a file holds no identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// No certificate block, or not X.509.
    #[error("it holds no readable certificate")]
    Certificate,
    /// No key block, or not a key.
    #[error("it holds no readable private key")]
    Key,
    /// The two do not belong together.
    #[error("its certificate and private key do not belong together")]
    Mismatch,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    /// Proving to clients that we are these names.
    Serving { names: &'a [String] },
    /// Proving to us that a client is this user.
    Client { user: &'a str, groups: &'a [String] },
}

impl Identity {
    /// Reads certificate and key from one PEM text.
    ///
    /// # Errors
    /// When either is missing or they do not belong together.
    pub fn parse(pem: &str) -> Result<Self, IdentityError> {
        let mut identity = Self::parse_certificate(pem)?;
        let key_start = pem.find("-----BEGIN PRIVATE KEY-----").ok_or(IdentityError::Key)?;
        let key_pem = pem.get(key_start..).ok_or(IdentityError::Key)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| IdentityError::Key)?;
        let (_, certificate) =
            X509Certificate::from_der(&identity.certificate).map_err(|_| IdentityError::Certificate)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(IdentityError::Mismatch);
        }
        key_pem.clone_into(&mut identity.key_pem);
        Ok(identity)
    }

    /// Reads a certificate alone.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse_certificate(pem: &str) -> Result<Self, IdentityError> {
        const END: &str = "-----END CERTIFICATE-----";
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| IdentityError::Certificate)?;
        let end = pem.find(END).ok_or(IdentityError::Certificate)?;
        let certificate_pem = format!("{}\n", &pem[..end + END.len()]);
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| IdentityError::Certificate)?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| IdentityError::Certificate);
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.iter().filter_map(name_text).collect());
        Ok(Self {
            begins: time(certificate.validity().not_before.timestamp())?,
            expires: time(certificate.validity().not_after.timestamp())?,
            names: names.unwrap_or_default(),
            issuer: certificate.issuer().to_string(),
            subject: certificate.subject().to_string(),
            certificate_pem,
            certificate: der.clone(),
            key_pem: String::new(),
        })
    }

    /// Returns certificate and key in one text, as they are kept.
    pub(super) fn to_pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.key_pem)
    }

    /// Returns the key for the TLS library.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn private_key(&self) -> Result<PrivateKeyDer<'static>, IdentityError> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(|_| IdentityError::Key)
    }
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Makes an authority. Its name carries the time, so that clients that trust two can tell them apart.
pub(super) fn new_authority(now: Timestamp) -> Result<Identity, PkiError> {
    let key = KeyPair::generate().map_err(library)?;
    let mut params = CertificateParams::default();
    validity(&mut params, now, AUTHORITY_LIFE)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("cc-ci authority {}", now.strftime("%Y-%m-%d %H:%M:%S")));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key).map_err(library)?;
    finished(&certificate.pem(), &key)
}

/// Makes a certificate signed by `authority`; it never outlives it.
pub(super) fn issue(
    authority: &Identity,
    purpose: Purpose<'_>,
    now: Timestamp,
    life: Duration,
) -> Result<Identity, PkiError> {
    let authority_key = KeyPair::from_pem(&authority.key_pem).map_err(library)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, authority_key).map_err(library)?;
    let key = KeyPair::generate().map_err(library)?;
    let mut params = CertificateParams::default();
    let left = u64::try_from(authority.expires.duration_since(now).as_secs()).unwrap_or_default();
    validity(&mut params, now, life.min(Duration::from_secs(left)))?;
    params.distinguished_name = DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    match purpose {
        Purpose::Serving { names } => {
            params.distinguished_name.push(DnType::CommonName, "cc-ci");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in names {
                params.subject_alt_names.push(match name.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|_| PkiError::Name(name.clone()))?),
                });
            }
        }
        Purpose::Client { user, groups } => {
            params.distinguished_name.push(DnType::CommonName, user);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            // The builder keeps one value per attribute type: several groups do not fit in one name.
            match groups {
                [] => {}
                [group] => params.distinguished_name.push(DnType::OrganizationName, group.as_str()),
                _ => return Err(PkiError::Library("a client certificate of ours holds one group at most".to_owned())),
            }
        }
    }
    let certificate = params.signed_by(&key, &issuer).map_err(library)?;
    finished(&certificate.pem(), &key)
}

fn finished(certificate_pem: &str, key: &KeyPair) -> Result<Identity, PkiError> {
    Identity::parse(&format!("{certificate_pem}{}", key.serialize_pem()))
        .map_err(|error| PkiError::Library(error.to_string()))
}

fn validity(params: &mut CertificateParams, now: Timestamp, life: Duration) -> Result<(), PkiError> {
    let seconds =
        u64::try_from(now.as_second()).map_err(|_| PkiError::Library("the clock stands before 1970".to_owned()))?;
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = now - BACKDATE;
    params.not_after = now + life;
    Ok(())
}

fn library(error: rcgen::Error) -> PkiError {
    PkiError::Library(error.to_string())
}
