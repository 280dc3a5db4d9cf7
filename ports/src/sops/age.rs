//! Small age files (age-encryption.org/v1), opened with X25519 identities and ed25519 keys of OpenSSH.
//!
//! sops keeps a data key of 32 bytes in each; that, the two kinds of stanza and one chunk are all that is needed here, over
//! primitives of aws-lc. Why not the crate `age`: docs/decisions/0008.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::identity::{Identities, Identity};

const VERSION: &str = "age-encryption.org/v1";
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const FILE_KEY_BYTES: usize = 16;
const DATA_KEY_BYTES: usize = 32;
const PAYLOAD_NONCE_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// Bytes of a stanza's body: the file key and a tag.
const BODY_BYTES: usize = FILE_KEY_BYTES + TAG_BYTES;
/// Most stanzas that are looked at.
const STANZAS_MAX: usize = 64;

/// A file that one of the identities should open, and that does not open, or that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

struct Stanza<'text> {
    words: Vec<&'text str>,
    body: Vec<u8>,
}

/// Returns the data key in an armored file; `None` when it is for others.
pub(super) fn open(armored: &str, identities: &Identities) -> Result<Option<[u8; DATA_KEY_BYTES]>, Damaged> {
    let file = unarmored(armored).ok_or(Damaged)?;
    let Parts { header, stanzas, mac, payload } = parse(&file).ok_or(Damaged)?;
    let found = stanzas.iter().find_map(|stanza| identities.all().iter().find_map(|identity| unwrap(stanza, identity)));
    let Some(file_key) = found else { return Ok(None) };
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, &hkdf(&file_key, b"", b"header"));
    hmac::verify(&mac_key, header, &mac).map_err(|_| Damaged)?;
    let (nonce, sealed) = payload.split_at_checked(PAYLOAD_NONCE_BYTES).ok_or(Damaged)?;
    // The only chunk is the first and the last one.
    let mut chunk_nonce = [0; NONCE_LEN];
    chunk_nonce[NONCE_LEN - 1] = 1;
    let key = decrypt(&hkdf(&file_key, nonce, b"payload"), chunk_nonce, sealed).ok_or(Damaged)?;
    key.try_into().map(Some).map_err(|_| Damaged)
}

fn unarmored(text: &str) -> Option<Vec<u8>> {
    let inside = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let digits: String = inside.lines().map(str::trim).collect();
    STANDARD.decode(digits).ok()
}

/// A file taken apart.
struct Parts<'file> {
    /// What the MAC covers.
    header: &'file [u8],
    stanzas: Vec<Stanza<'file>>,
    mac: Vec<u8>,
    payload: &'file [u8],
}

fn parse(file: &[u8]) -> Option<Parts<'_>> {
    let mark = file.windows(5).position(|window| window == b"\n--- ")? + 4;
    let line_end = mark + file[mark..].iter().position(|byte| *byte == b'\n')?;
    let mac = STANDARD_NO_PAD.decode(&file[mark + 1..line_end]).ok()?;
    let text = std::str::from_utf8(&file[..mark]).ok()?;
    let mut lines = text.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let mut stanzas: Vec<Stanza<'_>> = Vec::new();
    let mut digits = String::new();
    for line in lines {
        let is_end = line == "---";
        if let Some(stanza) = stanzas.last_mut().filter(|_| is_end || line.starts_with("-> ")) {
            stanza.body = STANDARD_NO_PAD.decode(std::mem::take(&mut digits)).ok()?;
        }
        if is_end {
            break;
        }
        match line.strip_prefix("-> ") {
            Some(words) if stanzas.len() < STANZAS_MAX => {
                stanzas.push(Stanza { words: words.split(' ').collect(), body: Vec::new() });
            }
            Some(_) => return None,
            None => digits.push_str(line),
        }
    }
    Some(Parts { header: &file[..mark], stanzas, mac, payload: &file[line_end + 1..] })
}

/// Returns the file key when the stanza is for the identity.
fn unwrap(stanza: &Stanza<'_>, identity: &Identity) -> Option<[u8; FILE_KEY_BYTES]> {
    if stanza.body.len() != BODY_BYTES {
        return None;
    }
    let decoded = |text: &str| STANDARD_NO_PAD.decode(text).ok();
    let (share, shared, info) = match (stanza.words.as_slice(), &identity.ssh_public) {
        (["X25519", share], _) => {
            let share = decoded(share)?;
            let shared = x25519(&identity.secret, &share)?;
            (share, shared, format!("{VERSION}/X25519"))
        }
        (["ssh-ed25519", tag, share], Some(public)) => {
            if decoded(tag)? != digest(&SHA256, public).as_ref()[..4] {
                return None;
            }
            let (share, info) = (decoded(share)?, format!("{VERSION}/ssh-ed25519"));
            let tweak = hkdf(b"", public, info.as_bytes());
            let shared = x25519(&tweak, &x25519(&identity.secret, &share)?)?;
            (share, shared, info)
        }
        _ => return None,
    };
    let salt = [&share[..], &identity.public].concat();
    let key = decrypt(&hkdf(&shared, &salt, info.as_bytes()), [0; NONCE_LEN], &stanza.body)?;
    key.try_into().ok()
}

/// Returns the public half of a secret.
pub(super) fn public_of(secret: &[u8; 32]) -> Option<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, secret).ok()?;
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

fn x25519(secret: &[u8; 32], other: &[u8]) -> Option<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, secret).ok()?;
    // aws-lc refuses shares that come to nothing.
    agree(&key, UnparsedPublicKey::new(&X25519, other), (), |shared| shared.try_into().map_err(|_| ())).ok()
}

/// HKDF-SHA-256 (RFC 5869) for one block of 32 bytes.
fn hkdf(secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    let block = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()), &[info, &[1]].concat());
    *block.as_ref().first_chunk().expect("an HMAC-SHA-256 has 32 bytes")
}

fn decrypt(key: &[u8; 32], nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut bytes = sealed.to_vec();
    let length = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}
