//! From two texts to a pair, with a text for everything that people get wrong.

use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{BYTES_MAX, CHAIN_MAX, Flaw, FlawKind, Origin, Pair};
use crate::probe::CertificateFacts;

const BASE64_LINE: usize = 64;

pub(super) fn pair(certificate: &[u8], key: &[u8], origin: &Origin) -> Result<Pair, Flaw> {
    let chain = certificates(certificate, &origin.certificate)?;
    let key = private_key(key, &origin.key)?;
    let parsed = parse(&chain, &origin.certificate)?;
    match_key(&chain, &key, origin)?;
    check_links(&parsed, &origin.certificate)?;
    let facts: Vec<CertificateFacts> = chain.iter().filter_map(|der| CertificateFacts::read(der)).collect();
    if facts.len() != chain.len() {
        return Err(unreadable(&origin.certificate, "holds a certificate that cannot be read"));
    }
    let is_self_signed = parsed.first().is_some_and(|leaf| signs(leaf, leaf));
    let label = match &key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Ok(Pair {
        certificate_pem: chain.iter().map(|der| pem_block("CERTIFICATE", der)).collect(),
        key_pem: pem_block(label, key.secret_der()),
        chain: facts,
        is_self_signed,
    })
}

fn unreadable(place: &str, what: &str) -> Flaw {
    Flaw::new(FlawKind::Unreadable, format!("{place} {what}"))
}

fn check_size(text: &[u8], place: &str) -> Result<(), Flaw> {
    if text.trim_ascii().is_empty() {
        return Err(unreadable(place, "is empty: put the whole file there again"));
    }
    if text.len() > BYTES_MAX {
        return Err(unreadable(place, &format!("is larger than {BYTES_MAX} bytes, which no certificate or key is")));
    }
    Ok(())
}

/// Returns why PEM cannot be read. The library's own words hold lines of the file, which may be a key's.
fn broken(place: &str, error: &PemError) -> Flaw {
    match error {
        PemError::MissingSectionEnd { .. } => unreadable(
            place,
            "ends in the middle of a PEM block, as a file does that was cut off: put the whole file there again",
        ),
        PemError::Base64Decode(_) => {
            unreadable(place, "holds a PEM block that is not base64, so it was damaged: put the whole file there again")
        }
        _ => unreadable(place, "is not in PEM: it needs lines that begin with -----BEGIN"),
    }
}

fn certificates(text: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    check_size(text, place)?;
    let mut chain = Vec::new();
    for found in CertificateDer::pem_slice_iter(text) {
        chain.push(found.map_err(|error| broken(place, &error))?);
        if chain.len() > CHAIN_MAX {
            return Err(unreadable(place, &format!("holds more than {CHAIN_MAX} certificates: leave only the chain")));
        }
    }
    if !chain.is_empty() {
        return Ok(chain);
    }
    Err(if PrivateKeyDer::from_pem_slice(text).is_ok() {
        unreadable(place, "holds a key and no certificate: the two places seem to be interchanged")
    } else if X509Certificate::from_der(text).is_ok() {
        unreadable(place, "holds a certificate in DER: turn it into PEM (openssl x509 -inform der)")
    } else {
        unreadable(place, "holds no certificate in PEM: it needs a block that begins with -----BEGIN CERTIFICATE-----")
    })
}

fn private_key(text: &[u8], place: &str) -> Result<PrivateKeyDer<'static>, Flaw> {
    check_size(text, place)?;
    let is_locked = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
    };
    if is_locked(text) {
        let what = "holds a key that is locked with a passphrase: unlock it (openssl pkey -in … -out …)";
        return Err(unreadable(place, what));
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) if CertificateDer::from_pem_slice(text).is_ok() => {
            Err(unreadable(place, "holds a certificate and no key: the two places seem to be interchanged"))
        }
        Err(PemError::NoItemsFound) => {
            Err(unreadable(place, "holds no key in PEM: it needs a block that begins with -----BEGIN PRIVATE KEY-----"))
        }
        Err(error) => Err(broken(place, &error)),
    }
}

fn parse<'a>(chain: &'a [CertificateDer<'_>], place: &str) -> Result<Vec<X509Certificate<'a>>, Flaw> {
    let one = |(at, der): (usize, &'a CertificateDer<'_>)| match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(unreadable(
            place,
            &format!("holds as certificate {} what is none: put the whole file there again", at + 1),
        )),
    };
    chain.iter().enumerate().map(one).collect()
}

fn match_key(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>, origin: &Origin) -> Result<(), Flaw> {
    let signing = any_supported_type(key).map_err(|_| {
        unreadable(
            &origin.key,
            "holds a key of a kind that cannot serve: use RSA of 2048 bits or more, ECDSA or Ed25519",
        )
    })?;
    let fits = |der: &CertificateDer<'static>| {
        let found = CertifiedKey::new(vec![der.clone()], signing.clone()).keys_match();
        !matches!(found, Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)))
    };
    match chain.iter().position(fits) {
        Some(0) => Ok(()),
        Some(at) => {
            let message = format!(
                "{} belongs to certificate {} in {}: the server's own certificate must come first, then the one that \
                 signed it, and so on",
                origin.key,
                at + 1,
                origin.certificate
            );
            Err(Flaw::new(FlawKind::ChainBroken, message))
        }
        None => {
            let message = format!(
                "the key in {} does not belong to the certificate in {}: put the two there that were issued together",
                origin.key, origin.certificate
            );
            Err(Flaw::new(FlawKind::KeyMismatch, message))
        }
    }
}

/// Each certificate must be signed by the one after it.
fn check_links(chain: &[X509Certificate<'_>], place: &str) -> Result<(), Flaw> {
    for (at, pair) in chain.windows(2).enumerate() {
        let [child, parent] = pair else { continue };
        if signs(parent, child) {
            continue;
        }
        let signer = chain.iter().position(|other| other != child && signs(other, child));
        let message = match signer {
            Some(signer) => format!(
                "the chain in {place} is in the wrong order: certificate {} was signed by certificate {}, which must come \
                 right after it",
                at + 1,
                signer + 1
            ),
            None => format!(
                "the chain in {place} is broken: certificate {} says that {} signed it, and certificate {} after it is {}; \
                 put the chain there that was issued with the certificate",
                at + 1,
                child.issuer(),
                at + 2,
                parent.subject()
            ),
        };
        return Err(Flaw::new(FlawKind::ChainBroken, message));
    }
    Ok(())
}

/// Returns whether one certificate signed another. A signature of a kind that is not known here is believed by its name.
fn signs(parent: &X509Certificate<'_>, child: &X509Certificate<'_>) -> bool {
    child.issuer().as_raw() == parent.subject().as_raw()
        && matches!(
            child.verify_signature(Some(parent.public_key())),
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm)
        )
}

pub(crate) fn pem_block(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(BASE64_LINE) {
        // Base64 is ASCII, so that every cut is between characters.
        block.push_str(&String::from_utf8_lossy(line));
        block.push('\n');
    }
    block.push_str("-----END ");
    block.push_str(label);
    block.push_str("-----\n");
    block
}
