//! `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`: one value, encrypted under the file's data key and bound to its place.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SopsError;

/// Bytes of the data key, and of the nonce: sops takes longer ones than is usual, which aws-lc does not do.
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 32;

/// The key of a file.
pub(super) struct DataKey {
    cipher: aes_gcm::AesGcm<Aes256, U32>,
}

impl DataKey {
    pub(super) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { cipher: aes_gcm::AesGcm::new(GenericArray::from_slice(&key)) }
    }

    /// Returns the text of a value that stands at `place`; `None` when it was changed or moved.
    ///
    /// # Errors
    /// Its cipher or type is not known.
    pub(super) fn open(&self, sealed: &str, place: &str) -> Result<Option<String>, SopsError> {
        // sops leaves the empty text as it is.
        if sealed.is_empty() {
            return Ok(Some(String::new()));
        }
        let Some(inside) = sealed.strip_prefix("ENC[").and_then(|rest| rest.strip_suffix(']')) else { return Ok(None) };
        let Some(inside) = inside.strip_prefix("AES256_GCM,") else {
            let message = "a value is encrypted with a cipher that is not AES256_GCM, the only one that sops documents";
            return Err(SopsError::Unsuitable(message.to_owned()));
        };
        let part = |name: &str| inside.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix(':'));
        let bytes = |name: &str| STANDARD.decode(part(name)?).ok();
        let (Some(data), Some(nonce), Some(tag)) = (bytes("data"), bytes("iv"), bytes("tag")) else { return Ok(None) };
        if nonce.len() != NONCE_BYTES {
            return Ok(None);
        }
        let payload = [data, tag].concat();
        let payload = Payload { msg: &payload, aad: place.as_bytes() };
        let Ok(plain) = self.cipher.decrypt(GenericArray::from_slice(&nonce), payload) else { return Ok(None) };
        match part("type") {
            // Numbers, truths and times are kept as sops prints them, which is also what its MAC is made of.
            Some("str" | "int" | "float" | "bool" | "time" | "bytes" | "comment") => Ok(String::from_utf8(plain).ok()),
            _ => Err(SopsError::Unsuitable("a value has a type that is not known here".to_owned())),
        }
    }
}

/// Returns bytes as sops writes hashes.
pub(super) fn upper_hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
