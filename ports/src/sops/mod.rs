//! Files that sops encrypted for age recipients: opened, checked as a whole, never written.
//!
//! ```text
//!  file ─► document: an ordered tree with ENC[…] in it, and the part `sops`
//!            sops.age[].enc ─► age: opened with an identity ─► data key
//!            each ENC[…] ─► value: AES-256-GCM under the data key, bound to its place
//!            all values in order ─► SHA-512, compared with sops.mac: nobody added, took or moved anything
//! ```
//!
//! Nothing is returned of a file whose MAC does not fit. Errors name the place and what to do, and never a value.

mod age;
mod document;
mod identity;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, SHA512, digest};

use document::{Document, Leaf, Metadata, Scalar};
pub use identity::{Identities, IdentityError, IdentityFile, IdentityFileError};
use value::DataKey;

/// A larger file is not read, in bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// What the hash of files begins with whose MAC covers encrypted values only.
const ONLY_ENCRYPTED: &[u8] = b"sops";

/// Why a file cannot be opened. The text is lower case, has no full stop, says what to do, and holds no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SopsError {
    /// It is no file of sops, or uses something of sops that is not known here.
    #[error("{0}")]
    Unsuitable(String),
    /// None of the identities is among the recipients.
    #[error(
        "none of ccd's identities ({ours}) can open it, it is encrypted for {recipients}: add ccd's recipient to .sops.yaml \
         and run `sops updatekeys`"
    )]
    NoIdentity {
        /// Recipients of what there is to open it with.
        ours: String,
        /// Whom it is encrypted for.
        recipients: String,
    },
    /// The data key does not come out of it.
    #[error("the key for the recipient {0} is damaged: run `sops updatekeys`, or take the file from a backup")]
    KeyDamaged(String),
    /// A value does not come out of it.
    #[error("the value at {0} was changed after it was encrypted: edit the file with `sops edit` only")]
    ValueChanged(String),
    /// The whole was changed.
    #[error(
        "its MAC does not fit: something was added, removed, moved or changed after it was encrypted; look at what changed, \
         then write it anew with `sops edit`"
    )]
    MacMismatch,
}

/// An opened file: values by their path in it, such as `db.password`; lists count as `list.0`.
///
/// It has no `Debug`: nothing prints it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    values: Vec<(Vec<String>, String)>,
    /// When the file was last written, as it says itself.
    pub last_modified: String,
}

impl Opened {
    /// Opens a file in YAML or JSON.
    ///
    /// # Errors
    /// [`SopsError`].
    pub fn read(bytes: &[u8], identities: &Identities) -> Result<Self, SopsError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SopsError::Unsuitable("it is no text".to_owned()))?;
        let document = Document::parse(text)?;
        let key = data_key(&document.metadata, identities)?;
        let mut hash = Context::new(&SHA512);
        if document.metadata.mac_only_encrypted {
            hash.update(digest(&SHA256, ONLY_ENCRYPTED).as_ref());
        }
        let mut values = Vec::new();
        for leaf in &document.leaves {
            let is_encrypted = document.metadata.is_encrypted(&leaf.keys);
            let value = open_leaf(leaf, is_encrypted, &key)?;
            let Some(value) = value else { continue };
            if is_encrypted || !document.metadata.mac_only_encrypted {
                hash.update(value.as_bytes());
            }
            values.push((leaf.path.clone(), value));
        }
        let found = value::upper_hexadecimal(hash.finish().as_ref());
        let expected = key.open(&document.metadata.mac, &document.metadata.last_modified)?;
        let expected = expected.ok_or(SopsError::MacMismatch)?;
        verify_slices_are_equal(found.as_bytes(), expected.as_bytes()).map_err(|_| SopsError::MacMismatch)?;
        Ok(Self { values, last_modified: document.metadata.last_modified })
    }

    /// Returns the texts directly beneath `path` (keys joined by dots; empty for the top), by key. A single value at
    /// `path` itself has the path's last key.
    #[must_use]
    pub fn beneath(&self, path: &str) -> BTreeMap<String, String> {
        let wanted: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
        let texts = self.values.iter().filter_map(|(keys, value)| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let is_itself = !wanted.is_empty() && keys == wanted;
            let is_child = keys.len() == wanted.len() + 1 && keys.starts_with(&wanted);
            (is_itself || is_child).then(|| Some((keys.last()?.to_string(), value.clone())))?
        });
        texts.collect()
    }
}

fn open_leaf(leaf: &Leaf, is_encrypted: bool, key: &DataKey) -> Result<Option<String>, SopsError> {
    match &leaf.scalar {
        Scalar::Null => Ok(None),
        Scalar::Text(text) if is_encrypted => {
            let place = leaf.keys.iter().fold(String::new(), |place, key| place + key + ":");
            let opened = key.open(text, &place)?;
            opened.map(Some).ok_or_else(|| SopsError::ValueChanged(leaf.path.join(".")))
        }
        Scalar::Other(_) if is_encrypted => Err(SopsError::Unsuitable(format!(
            "the value at {} should be encrypted and is not: write it with `sops edit`",
            leaf.path.join(".")
        ))),
        Scalar::Text(text) | Scalar::Other(text) => Ok(Some(text.clone())),
    }
}

fn data_key(metadata: &Metadata, identities: &Identities) -> Result<DataKey, SopsError> {
    let mut damaged = None;
    for entry in &metadata.age {
        match age::open(&entry.enc, identities) {
            Ok(Some(key)) => return Ok(DataKey::new(key)),
            Ok(None) => {}
            Err(age::Damaged) => damaged = Some(entry.recipient.clone()),
        }
    }
    if let Some(recipient) = damaged {
        return Err(SopsError::KeyDamaged(recipient));
    }
    let recipients: Vec<&str> = metadata.age.iter().map(|entry| entry.recipient.as_str()).collect();
    Err(SopsError::NoIdentity { ours: identities.recipients().join(", "), recipients: recipients.join(", ") })
}
