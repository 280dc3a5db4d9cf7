//! Bearer tokens: how they look, how they are kept, how they are looked up.
//!
//! A token is `ccd_<id>_<secret>`: the id is public and finds the record, the secret is 256 random bits of which only
//! the SHA-256 is kept. A fast hash is right here: there is nothing to guess in 256 random bits.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AUTHENTICATED, Credential, User};

const PREFIX: &str = "ccd";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// Longer input is refused before it is hashed.
const TOKEN_CHARACTERS_MAX: usize = 128;

/// One token as it is kept: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRecord {
    /// What people call it; unique.
    pub name: String,
    /// Public part.
    pub id: String,
    /// SHA-256 of the whole token, hexadecimal.
    pub sha256: String,
    /// Who it stands for.
    pub user: String,
    /// Groups besides `system:authenticated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; absent is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The service account whose token it is; such tokens are kept in a file of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountRef>,
}

/// One life of a service account: a token ends with it, also when another one gets its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountRef {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
    /// Which one of that name.
    pub uid: String,
}

impl ServiceAccountRef {
    /// Returns the name of the user that it is.
    #[must_use]
    pub fn user_name(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl TokenRecord {
    /// Makes a new token. Returns its record and its text, which is nowhere kept.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    #[must_use]
    pub fn generate(
        name: &str,
        user: &str,
        groups: &[String],
        now: Timestamp,
        expires: Option<Timestamp>,
    ) -> (Self, String) {
        let id = HEXLOWER.encode(&random::<ID_BYTES>());
        let token = format!("{PREFIX}_{id}_{}", URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()));
        let record = Self {
            name: name.to_owned(),
            id,
            sha256: HEXLOWER.encode(digest(&SHA256, token.as_bytes()).as_ref()),
            user: user.to_owned(),
            groups: groups.to_vec(),
            created: now,
            expires,
            service_account: None,
        };
        (record, token)
    }

    /// Returns whether the token has ended.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        has_passed(self.expires, now)
    }

    fn to_user(&self) -> User {
        let mut groups = self.groups.clone();
        groups.push(AUTHENTICATED.to_owned());
        User {
            name: self.user.clone(),
            uid: self.service_account.as_ref().map(|account| account.uid.clone()).unwrap_or_default(),
            groups,
            credential: Credential::Token { id: self.id.clone(), expires: self.expires },
            ..User::anonymous()
        }
    }
}

fn has_passed(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_some_and(|expires| expires <= now)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system always has randomness once it has started");
    bytes
}

/// The tokens in use, as the file says at this moment.
///
/// The file's identity is looked at on every lookup (one `stat`, about a microsecond), so that a token that was made
/// works at once and one that was revoked stops at once, without a restart and without a timer.
pub struct TokenTable {
    path: PathBuf,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    stamp: Option<FileStamp>,
    by_id: HashMap<String, Entry>,
}

struct Entry {
    sha256: Vec<u8>,
    expires: Option<Timestamp>,
    user: Arc<User>,
}

impl Entry {
    /// Returns how a token is looked up; one whose hash is no hash matches nothing.
    fn new(record: &TokenRecord) -> Self {
        let sha256 = HEXLOWER.decode(record.sha256.as_bytes()).unwrap_or_default();
        Self { sha256, expires: record.expires, user: Arc::new(record.to_user()) }
    }
}

#[derive(PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl TokenTable {
    /// Opens the table kept at `path`; a file that is not there is an empty table.
    #[must_use]
    pub fn open(path: PathBuf) -> Self {
        let loaded = ArcSwap::from_pointee(Loaded { stamp: None, by_id: HashMap::new() });
        let table = Self { path, loaded };
        table.refresh();
        table
    }

    /// Returns the file that holds the tokens.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Returns whom `token` stands for at `now`; `None` for anything that is not a valid, unexpired, unrevoked token.
    #[must_use]
    pub fn find(&self, token: &str, now: Timestamp) -> Option<Arc<User>> {
        if token.len() > TOKEN_CHARACTERS_MAX {
            return None;
        }
        let mut parts = token.splitn(3, '_');
        let (Some(PREFIX), Some(id), Some(_)) = (parts.next(), parts.next(), parts.next()) else { return None };
        self.refresh();
        let loaded = self.loaded.load();
        let entry = loaded.by_id.get(id)?;
        verify_slices_are_equal(&entry.sha256, digest(&SHA256, token.as_bytes()).as_ref()).ok()?;
        (!has_passed(entry.expires, now)).then(|| Arc::clone(&entry.user))
    }

    /// Returns whom the token with this public id stands for, when it is still valid.
    #[must_use]
    pub fn by_id(&self, id: &str, now: Timestamp) -> Option<Arc<User>> {
        self.refresh();
        let loaded = self.loaded.load();
        let entry = loaded.by_id.get(id)?;
        (!has_passed(entry.expires, now)).then(|| Arc::clone(&entry.user))
    }

    /// Reads the file again when it is another one than last time. A file that cannot be read or parsed revokes every
    /// token: failing open would be worse, and the log says what to do.
    fn refresh(&self) {
        let stamp = stamp_of(&self.path);
        if stamp.is_some() && self.loaded.load().stamp == stamp {
            return;
        }
        let records = match super::token_file::read(&self.path) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!("every token is refused: failed to {error}; mend or delete the file");
                Vec::new()
            }
        };
        let by_id = records.iter().map(|record| (record.id.clone(), Entry::new(record))).collect();
        self.loaded.store(Arc::new(Loaded { stamp, by_id }));
    }
}

fn stamp_of(path: &std::path::Path) -> Option<FileStamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileStamp {
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}
