//! Secrets at rest: what a Secret holds is sealed before it reaches the disk, with keys that lie elsewhere.
//!
//! A sealed record is AES-256-GCM over the whole record, bound to the key and the revision, so that no sealed row can be
//! put in another's place:
//!
//! ```text
//!  0       1       9      21
//!  format  key id  nonce  sealed record and tag…
//! ```
//!
//! The first key seals; every key opens. A store that holds anything that the first key has not sealed is written anew
//! when it is opened, so a key is rotated by putting a new one in front.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use bytes::Bytes;
use data_encoding::HEXLOWER;

use crate::object::Object;

/// Bytes of the secret from which a key is derived.
pub const SECRET_BYTES: usize = 32;
/// First byte of a sealed record, where a plain one has its layout's version.
pub(crate) const SEALED_FORMAT: u8 = 2;

const ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + ID_BYTES + NONCE_LEN;
const TAG_BYTES: usize = 16;
/// Resources whose records are sealed.
const SEALED: [&str; 1] = ["secrets"];

/// The keys of a store. Without any, nothing is sealed.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// Name of a key: follows from it, and tells nothing about it.
pub(crate) type KeyId = [u8; ID_BYTES];

struct Key {
    id: KeyId,
    seal: RandomizedNonceKey,
}

/// Why a sealed record cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// It was sealed under a key that is not there.
    #[error("it is sealed under key {0}, which is not among the keys of this store: put that key back")]
    KeyMissing(String),
    /// Somebody or something changed it.
    #[error("its seal is broken")]
    Broken,
}

impl Keyring {
    /// Returns the keys that follow from `secrets`, of which the first seals.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8; SECRET_BYTES]>) -> Self {
        Self { keys: secrets.into_iter().map(Key::new).collect() }
    }

    /// Returns the names of the keys, which tell nothing about them; the first is the one that seals.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| HEXLOWER.encode(&key.id)).collect()
    }

    /// Returns how `object` is put on disk; what is not sealed is not copied.
    pub(crate) fn record(&self, object: &Arc<Object>) -> Bytes {
        match self.keys.first() {
            Some(key) if is_sealed(object.resource()) => {
                Bytes::from(key.seal(object.record(), &object.revision.to_be_bytes()))
            }
            // A clone of the record would leave a count behind, for as long as the object lives.
            _ => Bytes::from_owner(Plain(object.clone())),
        }
    }

    /// Returns the record that was put on disk as `bytes` for `revision`.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn open(&self, bytes: Vec<u8>, revision: u64) -> Result<Vec<u8>, SealError> {
        if bytes.first() != Some(&SEALED_FORMAT) {
            return Ok(bytes);
        }
        self.unseal(bytes, &revision.to_be_bytes())
    }

    /// Whether a record of `resource` that lies on disk under `seal` would be put there otherwise now.
    pub(crate) fn is_stale(&self, seal: Option<KeyId>, resource: &str) -> bool {
        self.keys.first().is_some_and(|key| is_sealed(resource) && seal != Some(key.id))
    }

    /// Seals `text` for `purpose`; `None` without a key.
    pub(crate) fn seal_text(&self, text: &[u8], purpose: &[u8]) -> Option<Vec<u8>> {
        self.keys.first().map(|key| key.seal(text, purpose))
    }

    /// Opens what [`Self::seal_text`] made.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn open_text(&self, sealed: Vec<u8>, purpose: &[u8]) -> Result<Vec<u8>, SealError> {
        self.unseal(sealed, purpose)
    }

    fn unseal(&self, mut bytes: Vec<u8>, bound_to: &[u8]) -> Result<Vec<u8>, SealError> {
        let header: [u8; HEADER_BYTES] = *bytes.first_chunk().ok_or(SealError::Broken)?;
        let [SEALED_FORMAT, rest @ ..] = header else { return Err(SealError::Broken) };
        let (id, nonce) = rest.split_at(ID_BYTES);
        let key =
            self.keys.iter().find(|key| key.id == id).ok_or_else(|| SealError::KeyMissing(HEXLOWER.encode(id)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Broken)?;
        let aad = Aad::from([&header[..=ID_BYTES], bound_to].concat());
        let sealed = &mut bytes[HEADER_BYTES..];
        let length = key.seal.open_in_place(nonce, aad, sealed).map_err(|_| SealError::Broken)?.len();
        bytes.drain(..HEADER_BYTES);
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

impl Key {
    fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let name = hmac::sign(&master, b"ccd store key id 1");
        let seal = hmac::sign(&master, b"ccd store seal 1");
        let id = *name.as_ref().first_chunk().expect("an HMAC is longer");
        let seal = RandomizedNonceKey::new(&AES_256_GCM, seal.as_ref()).expect("an HMAC-SHA-256 has the key's length");
        Self { id, seal }
    }

    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_BYTES];
        header[0] = SEALED_FORMAT;
        header[1..=ID_BYTES].copy_from_slice(&self.id);
        let aad = Aad::from([&header[..=ID_BYTES], bound_to].concat());
        let mut text = Vec::with_capacity(plain.len() + TAG_BYTES);
        text.extend_from_slice(plain);
        let nonce = self
            .seal
            .seal_in_place_append_tag(aad, &mut text)
            .expect("records are far below the cipher's bound, and the system gives random numbers");
        header[1 + ID_BYTES..].copy_from_slice(nonce.as_ref());
        [&header[..], &text].concat()
    }
}

/// The record of an object, for as long as somebody puts it on disk.
struct Plain(Arc<Object>);

impl AsRef<[u8]> for Plain {
    fn as_ref(&self) -> &[u8] {
        self.0.record()
    }
}

/// Returns the most bytes that the record of `object` takes on disk, sealed or not.
pub(crate) fn bytes_max(object: &Object) -> usize {
    let plain = object.record().len();
    if is_sealed(object.resource()) { plain + HEADER_BYTES + TAG_BYTES } else { plain }
}

/// Returns the key under which a record on disk is sealed; `None` for a plain one.
pub(crate) fn seal_of(bytes: &[u8]) -> Option<KeyId> {
    let (SEALED_FORMAT, rest) = bytes.split_first().map(|(first, rest)| (*first, rest))? else { return None };
    rest.first_chunk().copied()
}

/// Whether records of `resource` are sealed.
pub(crate) fn is_sealed(resource: &str) -> bool {
    SEALED.contains(&resource)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Draft;

    fn object(resource: &str, revision: u64) -> Arc<Object> {
        let value = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "Y2FuYXJ5"}});
        Arc::new(Draft::new(resource, "default/s", &value, revision).unwrap().finish(revision))
    }

    #[test]
    fn secrets_are_sealed_and_nothing_else() {
        let keyring = Keyring::new([&[7; 32]]);
        let secret = object("secrets", 5);
        let sealed = keyring.record(&secret).to_vec();
        assert!(!String::from_utf8_lossy(&sealed).contains("Y2FuYXJ5"));
        assert!(sealed.len() <= bytes_max(&secret));
        assert_eq!(keyring.open(sealed, 5).unwrap(), *secret.record());
        let widget = object("widgets.test.example.com", 5);
        assert_eq!(*keyring.record(&widget), **widget.record());
        assert_eq!(*Keyring::default().record(&secret), **secret.record());
    }

    #[test]
    fn what_was_changed_moved_or_sealed_by_others_does_not_open() {
        let keyring = Keyring::new([&[7; 32]]);
        let sealed = keyring.record(&object("secrets", 5)).to_vec();
        assert_eq!(keyring.open(sealed.clone(), 6), Err(SealError::Broken), "another revision's place");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            if at == 0 {
                // No longer marked as sealed: then it must not pass for a record.
                assert_ne!(changed, *object("secrets", 5).record());
            } else {
                assert!(keyring.open(changed, 5).is_err(), "byte {at}");
            }
        }
        for length in 1..HEADER_BYTES + TAG_BYTES {
            assert!(keyring.open(sealed[..length].to_vec(), 5).is_err(), "{length} bytes");
        }
        let other = Keyring::new([&[8; 32]]);
        let SealError::KeyMissing(id) = other.open(sealed, 5).unwrap_err() else { panic!("another key opens it") };
        assert_eq!([id], *keyring.ids());
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let old = Keyring::new([&[7; 32]]);
        let both = Keyring::new([&[8; 32], &[7; 32]]);
        let secret = object("secrets", 5);
        let sealed = old.record(&secret).to_vec();
        let (seal, plain) = (seal_of(&sealed), seal_of(secret.record()));
        assert!(both.is_stale(seal, "secrets") && !old.is_stale(seal, "secrets"));
        assert!(both.is_stale(plain, "secrets") && !both.is_stale(plain, "widgets"));
        assert_eq!(both.open(sealed, 5).unwrap(), *secret.record());
        assert_eq!(both.ids()[1], old.ids()[0]);
        assert_eq!(Keyring::new([&[8; 32]]).open(both.record(&secret).to_vec(), 5).unwrap(), *secret.record());
        assert!(!format!("{both:?}").contains("8, 8"));
    }
}
