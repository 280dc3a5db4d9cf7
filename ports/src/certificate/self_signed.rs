//! Pairs that sign themselves.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::{Origin, Pair};
use crate::error::Error;

/// How long before now it begins, for clients whose clocks are a little behind.
const BACKDATE: Duration = Duration::from_secs(30);
/// Longest common name that clients take.
const COMMON_NAME_MAX: usize = 64;

/// Makes a pair (ECDSA on P-256) for names that ends after `life`, with a new key and serial number each time.
///
/// # Errors
/// `Terminal` when a name cannot be in a certificate; `Bug` when it cannot be made.
pub fn self_signed(names: &[String], now: Timestamp, life: Duration) -> Result<Pair, Error> {
    let failed = |error: rcgen::Error| Error::bug("InternalError", format!("a certificate cannot be made: {error}"));
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| {
        Error::terminal("InvalidSpec", format!("{} cannot all be in a certificate ({error})", names.join(", ")))
    })?;
    let since_1970 = u64::try_from(now.as_second()).unwrap_or_default();
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970);
    (params.not_before, params.not_after) = (now - BACKDATE, now + life);
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = names.iter().find(|name| name.len() <= COMMON_NAME_MAX) {
        params.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let origin = Origin { certificate: "the new certificate".to_owned(), key: "its key".to_owned() };
    Pair::read(certificate.pem().as_bytes(), key.serialize_pem().as_bytes(), &origin)
        .map_err(|flaw| Error::bug("InternalError", flaw.message))
}
