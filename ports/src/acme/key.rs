//! [`AccountKey`], and keys and signing requests for certificates.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::error::Error;

/// Length of one coordinate of a point on P-256.
const COORDINATE_BYTES: usize = 32;

/// The key of an account: ECDSA on P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountKey {
    pkcs8: Vec<u8>,
}

impl fmt::Debug for AccountKey {
    /// Leaves the key out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccountKey({})", self.fingerprint())
    }
}

impl AccountKey {
    /// Makes a key.
    ///
    /// # Errors
    /// `Bug` when none can be made.
    pub fn generate() -> Result<Self, Error> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| Error::bug("InternalError", "no key for an account can be made"))?;
        Ok(Self { pkcs8: pkcs8.as_ref().to_vec() })
    }

    /// Reads a key in PEM, as PKCS#8 or SEC1.
    ///
    /// # Errors
    /// `Terminal`: it is no key, or one of another kind.
    pub fn from_pem(text: &[u8]) -> Result<Self, Error> {
        let wrong = |what: &str| {
            let mend = "put one on P-256 there (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)";
            Error::terminal("Unreadable", format!("it {what}: {mend}"))
        };
        // The library's own words may hold lines of the key.
        let key = PrivateKeyDer::from_pem_slice(text).map_err(|_| wrong("is no key in PEM"))?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            }
            PrivateKeyDer::Sec1(der) => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_sec1_der())
            }
            _ => return Err(wrong("is a key of RSA")),
        };
        let pair = pair.map_err(|_| wrong("is no key for ECDSA on P-256"))?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| wrong("cannot be used"))?;
        Ok(Self { pkcs8: pkcs8.as_ref().to_vec() })
    }

    /// Returns the key in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        crate::certificate::pem_block("PRIVATE KEY", &self.pkcs8)
    }

    /// Returns SHA-256 of the public key, in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let public = self.pair().map(|pair| pair.public_key().as_ref().to_vec()).unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &public);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Returns the public key as a JSON web key.
    pub(super) fn public(&self) -> Result<Value, Error> {
        let pair = self.pair()?;
        let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(COORDINATE_BYTES.min(point.len()));
        Ok(json!({"crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}))
    }

    /// Signs as `ES256` does.
    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.pair()?.sign(&SystemRandom::new(), text);
        let signature = signature.map_err(|_| Error::bug("InternalError", "the account's key does not sign"))?;
        Ok(signature.as_ref().to_vec())
    }

    fn pair(&self) -> Result<EcdsaKeyPair, Error> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.pkcs8)
            .map_err(|_| Error::bug("InternalError", "the account's key cannot be read again"))
    }
}

/// Makes a key for a certificate (ECDSA on P-256), in PEM.
///
/// # Errors
/// `Bug` when none can be made.
pub fn certificate_key() -> Result<String, Error> {
    let key = KeyPair::generate()
        .map_err(|error| Error::bug("InternalError", format!("no key for a certificate can be made: {error}")))?;
    Ok(key.serialize_pem())
}

/// Returns the signing request (PKCS#10 in DER) of a key in PEM for names.
///
/// # Errors
/// `Terminal` when a name cannot be in a certificate; `Bug` when the key cannot be used.
pub fn signing_request(key_pem: &str, names: &[String]) -> Result<Vec<u8>, Error> {
    // The library's own words may hold lines of the key.
    let key = KeyPair::from_pem(key_pem)
        .map_err(|_| Error::bug("InternalError", "the key of the new certificate cannot be read again"))?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| {
        Error::terminal("InvalidSpec", format!("{} cannot all be in a certificate ({error})", names.join(", ")))
    })?;
    // Authorities choose the subject, or refuse one.
    params.distinguished_name = DistinguishedName::new();
    let request = params
        .serialize_request(&key)
        .map_err(|error| Error::bug("InternalError", format!("no signing request can be made: {error}")))?;
    Ok(request.der().to_vec())
}
