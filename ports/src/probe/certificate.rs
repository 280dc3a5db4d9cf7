//! [`CertificateFacts`]: what a certificate says of itself.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate says of itself; whether that holds is another matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its serial number, in lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the whole certificate, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Whom it is for.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// The DNS names and IP addresses it is for.
    pub dns_names: Vec<String>,
    /// From when it holds.
    pub not_before: Option<Timestamp>,
    /// Until when it holds.
    pub not_after: Option<Timestamp>,
}

impl CertificateFacts {
    /// Reads a certificate in DER; `None` when it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        Some(Self {
            serial: HEXLOWER.encode(certificate.raw_serial()),
            fingerprint: HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref()),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            dns_names: names.filter_map(name).collect(),
            not_before: moment(certificate.validity().not_before),
            not_after: moment(certificate.validity().not_after),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            other => <[u8; 16]>::try_from(other).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}
