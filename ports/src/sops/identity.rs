//! What opens files of sops: identities of age, and ed25519 keys of OpenSSH such as the host's.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA512, digest};
use bech32::{Bech32, Hrp};
use ssh_key::PrivateKey;
use ssh_key::private::KeypairData;

use super::age;

const AGE_PREFIX: &str = "age-secret-key-";
const SSH_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const SSH_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const ED25519: &[u8] = b"ssh-ed25519";
/// Most identities in one file.
const IDENTITIES_MAX: usize = 64;
/// A larger file is not read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Permissions of others.
const OTHERS: u32 = 0o077;

/// A file with identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is one of systemd's credentials: those are kept from others by an access list, which looks in the mode
    /// as if the group could read them.
    pub is_credential: bool,
}

/// Why a file of identities is of no use. Lower case, no full stop; it holds nothing of any key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// The system refused.
    #[error("the identities in {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Its permissions are too wide.
    #[error("the identities in {}: others can read it; run `chmod go= {}`", path.display(), path.display())]
    Unsafe {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody has so many keys.
    #[error("the identities in {}: it is too large for a file of keys", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("the identities in {}, {source}", path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Which line, and what is wrong.
        source: IdentityError,
    },
}

/// Why a file holds no identity that can be used. Nothing of any key is in the text: lower case, no full stop.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {why}")]
pub struct IdentityError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub why: &'static str,
}

/// One identity. It has no `Debug`.
pub(super) struct Identity {
    /// The secret of X25519.
    pub secret: [u8; 32],
    /// Its public half.
    pub public: [u8; 32],
    /// The public key as ssh writes it, where it comes from ssh.
    pub ssh_public: Option<Vec<u8>>,
}

/// Identities to open files with. It has no `Debug`: nothing prints it by accident.
#[derive(Default)]
pub struct Identities {
    all: Vec<Identity>,
}

impl Identities {
    /// Adds what is in a file that only its owner can read; a file that is not there is passed over. Blocks.
    ///
    /// # Errors
    /// [`IdentityFileError`]; nothing is added then.
    pub fn add_file(&mut self, file: &IdentityFile) -> Result<(), IdentityFileError> {
        let Some(text) = text_of(&file.path, file.is_credential)? else { return Ok(()) };
        self.add(&text).map_err(|source| IdentityFileError::Wrong { path: file.path.clone(), source })
    }

    /// Whether there is nothing to open files with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds what a text holds: lines `AGE-SECRET-KEY-1…`, comments, and unencrypted OpenSSH keys of the kind ed25519.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing is added then.
    pub fn add(&mut self, text: &str) -> Result<(), IdentityError> {
        let mut found = Vec::new();
        let mut lines = text.lines().map(str::trim).enumerate();
        while let Some((number, line)) = lines.next() {
            let wrong = |why| IdentityError { line: number + 1, why };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == SSH_BEGIN {
                let mut block = format!("{line}\n");
                for (_, line) in lines.by_ref() {
                    block = block + line + "\n";
                    if line == SSH_END {
                        break;
                    }
                }
                found.push(of_ssh(&block).map_err(wrong)?);
            } else if line.get(..AGE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(AGE_PREFIX)) {
                found.push(of_age(line).map_err(wrong)?);
            } else {
                return Err(wrong("this is no identity of age and no OpenSSH key: make one with `age-keygen`"));
            }
            if found.len() > IDENTITIES_MAX {
                return Err(wrong("there are more than 64 identities: remove those that nothing is encrypted for"));
            }
        }
        if found.is_empty() {
            return Err(IdentityError { line: 1, why: "it holds no identity: make one with `age-keygen`" });
        }
        self.all.extend(found);
        Ok(())
    }

    /// Returns whom files have to be encrypted for, as `age1…`; sops takes it as it is.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        self.all.iter().map(|identity| recipient(&identity.public)).collect()
    }

    pub(super) fn all(&self) -> &[Identity] {
        &self.all
    }
}

fn text_of(path: &Path, is_credential: bool) -> Result<Option<String>, IdentityFileError> {
    let unreadable = |source| IdentityFileError::Unreadable { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if !is_credential && mode & OTHERS != 0 {
        return Err(IdentityFileError::Unsafe { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(IdentityFileError::TooLarge { path: path.to_owned() });
    }
    Ok(Some(text))
}

fn recipient(public: &[u8; 32]) -> String {
    let prefix = Hrp::parse("age").expect("three letters are a prefix");
    bech32::encode::<Bech32>(prefix, public).unwrap_or_default()
}

fn of_age(line: &str) -> Result<Identity, &'static str> {
    let wrong = "this is no X25519 identity of age, or a character of it is wrong";
    let (prefix, secret) = bech32::decode(line).map_err(|_| wrong)?;
    if prefix.to_lowercase() != AGE_PREFIX {
        return Err(wrong);
    }
    let secret: [u8; 32] = secret.try_into().map_err(|_| wrong)?;
    let public = age::public_of(&secret).ok_or(wrong)?;
    Ok(Identity { secret, public, ssh_public: None })
}

/// The secret of X25519 that belongs to an ed25519 key is the first half of its hash (RFC 8032, 5.1.5).
fn of_ssh(block: &str) -> Result<Identity, &'static str> {
    let key = PrivateKey::from_openssh(block).map_err(|_| "this OpenSSH key is damaged")?;
    let pair = match key.key_data() {
        KeypairData::Ed25519(pair) => pair,
        KeypairData::Encrypted(_) => {
            return Err("this OpenSSH key has a passphrase, which nobody types at a start: use one without");
        }
        _ => return Err("this OpenSSH key is not ed25519: use one that is (ssh-keygen -t ed25519)"),
    };
    let hash = digest(&SHA512, &pair.private.to_bytes());
    let secret: [u8; 32] = *hash.as_ref().first_chunk().expect("a SHA-512 has 64 bytes");
    let public = age::public_of(&secret).ok_or("this OpenSSH key is damaged")?;
    let part = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes()[..], bytes].concat();
    let ssh_public = [part(ED25519), part(&pair.public.0)].concat();
    Ok(Identity { secret, public, ssh_public: Some(ssh_public) })
}
