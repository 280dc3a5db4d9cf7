//! [`Pair`]: a certificate with its chain and its key, read, checked and made.
//!
//! A pair is read once ([`Pair::read`]: whatever does not depend on the time) and judged again and again
//! ([`Pair::judge`]: time and names). What is wrong is a [`Flaw`]: one word, and a text that names where the bad thing
//! lies and what mends it. No text holds anything of a key.

mod read;
mod self_signed;

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;

use crate::probe::CertificateFacts;

pub(crate) use read::pem_block;
pub use self_signed::self_signed;

/// Most bytes of a certificate with its chain, and of a key: what a swarm takes as a secret is half of it.
pub const BYTES_MAX: usize = 256 << 10;
/// Most certificates of a chain.
const CHAIN_MAX: usize = 16;

/// Where the two halves of a pair lie, as people say it: "the file /etc/ssl/x.pem".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where the certificate lies.
    pub certificate: String,
    /// Where the key lies.
    pub key: String,
}

/// What is wrong with a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlawKind {
    /// A half cannot be parsed.
    Unreadable,
    /// The halves do not belong together.
    KeyMismatch,
    /// The chain is in the wrong order, or its links do not hold.
    ChainBroken,
    /// A name is missing.
    NamesNotCovered,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYetValid,
}

/// What is wrong with a pair, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// For programs.
    pub kind: FlawKind,
    /// What is wrong where, and what mends it: lower case, no full stop.
    pub message: String,
}

impl Flaw {
    pub(super) fn new(kind: FlawKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// A certificate with its chain, and the key that belongs to it. It is never without both.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// What the certificates say of themselves, the server's own first; never empty.
    chain: Vec<CertificateFacts>,
    certificate_pem: String,
    key_pem: String,
    is_self_signed: bool,
}

impl fmt::Debug for Pair {
    /// Leaves the key out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pair").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads the halves of a pair, both in PEM: the certificate followed by its chain, and the key.
    ///
    /// # Errors
    /// `Unreadable`, `KeyMismatch` or `ChainBroken`.
    pub fn read(certificate: &[u8], key: &[u8], origin: &Origin) -> Result<Self, Flaw> {
        read::pair(certificate, key, origin)
    }

    /// Returns what the server's own certificate says of itself.
    #[must_use]
    pub fn leaf(&self) -> &CertificateFacts {
        self.chain.first().expect("a pair is not read without a certificate")
    }

    /// Returns the server's own certificate in DER.
    #[must_use]
    pub fn leaf_der(&self) -> Vec<u8> {
        use rustls::pki_types::pem::PemObject as _;
        let leaf = rustls::pki_types::CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        leaf.expect("a pair is not read without a certificate").to_vec()
    }

    /// Returns the certificate followed by its chain: one PEM block each, and nothing else.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the key: one PEM block, and nothing else.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Returns whether it comes without the certificates of who signed it: clients that do not know them refuse it.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.chain.len() == 1 && !self.is_self_signed
    }

    /// Judges it for a moment and the names that it must cover.
    ///
    /// # Errors
    /// `NotYetValid`, `Expired` or `NamesNotCovered`, the first of them.
    pub fn judge(&self, names: &[String], now: Timestamp, origin: &Origin) -> Result<(), Flaw> {
        for (at, certificate) in self.chain.iter().enumerate() {
            let what = match at {
                0 => format!("the certificate in {}", origin.certificate),
                at => {
                    format!("certificate {} ({}) of the chain in {}", at + 1, certificate.subject, origin.certificate)
                }
            };
            if let Some(begins) = certificate.not_before.filter(|begins| now < *begins) {
                let message = format!(
                    "{what} is not valid before {}, and it is {} now: wait, or put the clock right that is wrong",
                    seconds(begins),
                    seconds(now)
                );
                return Err(Flaw::new(FlawKind::NotYetValid, message));
            }
            if let Some(ends) = certificate.not_after.filter(|ends| now > *ends) {
                let message =
                    format!("{what} expired at {}: renew it, and put the new one in its place", seconds(ends));
                return Err(Flaw::new(FlawKind::Expired, message));
            }
        }
        self.cover(names, origin)
    }

    fn cover(&self, names: &[String], origin: &Origin) -> Result<(), Flaw> {
        let leaf = self.leaf();
        let missing: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !covers(&leaf.dns_names, name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found = match leaf.dns_names.is_empty() {
            true => "it has no subject alternative names at all, and a common name does not count".to_owned(),
            false => format!("it is for {}", leaf.dns_names.join(", ")),
        };
        let message = format!(
            "the certificate in {} does not cover {}: {found} (a wildcard covers one label); order one for every name of \
             spec.dnsNames, or correct spec.dnsNames",
            origin.certificate,
            missing.join(", ")
        );
        Err(Flaw::new(FlawKind::NamesNotCovered, message))
    }
}

/// Returns whether names of a certificate cover `wanted`: `*.example.org` covers `a.example.org`, and neither
/// `example.org` nor `a.b.example.org`. A wildcard that is wanted is covered by the same wildcard only.
#[must_use]
pub fn covers(names: &[String], wanted: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let wanted = plain(wanted);
    let parent = wanted.split_once('.').map(|(_, parent)| parent);
    names.iter().any(|name| {
        let name = plain(name);
        name == wanted || name.strip_prefix("*.").is_some_and(|zone| !wanted.starts_with("*.") && Some(zone) == parent)
    })
}

/// Returns a moment to the second, as people write it.
fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
