//! The key under which Secrets lie on disk: where it is looked for, and in what forms it may come.
//!
//! systemd's credential `store-key` comes first, then `DIR/store.key`, which may be a link to anywhere. A file holds one
//! key or more, the newest first: 32 bytes in base64, an age identity, or an unencrypted OpenSSH key of the kind ed25519,
//! such as the host's. `DIR/store.key` is made at the first start if there is neither.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::PrivateKey;
use ssh_key::private::KeypairData;
use store::keyring::{Keyring, SECRET_BYTES};

use super::{DataPaths, write_private_file};

/// Name of systemd's credential.
pub const CREDENTIAL: &str = "store-key";

/// A larger file is no key.
const FILE_BYTES_MAX: u64 = 64 << 10;
const KEYS_MAX: usize = 16;
const SSH_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const SSH_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const AGE_PREFIX: &str = "age-secret-key-";
const OTHERS: u32 = 0o077;
const FORMS: &str =
    "write 32 bytes in base64 (`head -c 32 /dev/urandom | base64`), an age identity, or an ed25519 key of OpenSSH";

/// Why there is no key. Nothing of any key is in the text.
#[derive(Debug, thiserror::Error)]
pub enum StoreKeyError {
    /// The system refused.
    #[error("{action} {path}: {source}")]
    File {
        /// Verb of the sentence.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error("use store key {path}: others can read it; run `chmod go= {path}`")]
    Unsafe {
        /// Which file.
        path: PathBuf,
    },
    /// It is no key.
    #[error("use store key {path}, line {line}: {why}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what to write.
        why: String,
    },
}

/// Whether a key may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenMissing {
    /// Make one: the store is about to be used.
    Make,
    /// Go on without: somebody only looks.
    LeaveIt,
}

/// Where the key of a store comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A credential of systemd.
    Credential,
    /// A file that something else keeps, to which `DIR/store.key` links.
    Linked(PathBuf),
    /// `DIR/store.key`, beside the store.
    Beside,
    /// There is none yet.
    Missing,
}

/// Returns where the key comes from at present.
#[must_use]
pub fn source(paths: &DataPaths, credentials: Option<&Path>) -> KeySource {
    if credentials.is_some_and(|directory| directory.join(CREDENTIAL).exists()) {
        return KeySource::Credential;
    }
    let path = paths.store_key();
    match (fs::read_link(&path), path.exists()) {
        (Ok(target), _) => KeySource::Linked(target),
        (Err(_), true) => KeySource::Beside,
        (Err(_), false) => KeySource::Missing,
    }
}

/// Returns the keys of the store in `paths`. `credentials` is systemd's `$CREDENTIALS_DIRECTORY`.
///
/// # Errors
/// [`StoreKeyError`]; a file that is there and cannot be used is never passed over.
pub fn open(paths: &DataPaths, credentials: Option<&Path>, missing: WhenMissing) -> Result<Keyring, StoreKeyError> {
    let mut secrets = Vec::new();
    let path = paths.store_key();
    if let Some(directory) = credentials {
        let path = directory.join(CREDENTIAL);
        // systemd keeps it from others itself, by means that the mode does not show.
        if path.exists() {
            secrets.extend(parse(&read(&path)?, &path)?);
        }
    }
    // A link that leads nowhere is not nothing: what it shall lead to is not mounted, perhaps.
    if path.symlink_metadata().is_ok() {
        secrets.extend(parse(&read_private(&path)?, &path)?);
    }
    if secrets.is_empty() && missing == WhenMissing::Make {
        secrets.push(make(&path)?);
    }
    Ok(Keyring::new(&secrets))
}

fn make(path: &Path) -> Result<[u8; SECRET_BYTES], StoreKeyError> {
    let failed = |source| StoreKeyError::File { action: "write", path: path.to_owned(), source };
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret).map_err(|_| failed(io::Error::other("the system gives no random numbers")))?;
    let text = format!(
        "# Secrets in the store and in backups can be read with this key only: keep a copy of it elsewhere.\n{}\n",
        STANDARD.encode(secret)
    );
    write_private_file(path, text.as_bytes()).map_err(failed)?;
    Ok(secret)
}

fn read_private(path: &Path) -> Result<String, StoreKeyError> {
    let text = read(path)?;
    let metadata =
        fs::metadata(path).map_err(|source| StoreKeyError::File { action: "read", path: path.to_owned(), source })?;
    if metadata.permissions().mode() & OTHERS != 0 {
        return Err(StoreKeyError::Unsafe { path: path.to_owned() });
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, StoreKeyError> {
    use io::Read as _;
    let failed = |source| StoreKeyError::File { action: "read", path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes and is no key"))));
    }
    Ok(text)
}

/// Returns the secrets that a file holds, at least one.
fn parse(text: &str, path: &Path) -> Result<Vec<[u8; SECRET_BYTES]>, StoreKeyError> {
    let malformed = |line: usize, why: &str| {
        Err(StoreKeyError::Malformed { path: path.to_owned(), line: line + 1, why: why.to_owned() })
    };
    let mut secrets = Vec::new();
    let mut lines = text.lines().map(str::trim).enumerate();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let secret = if line == SSH_BEGIN {
            let mut block = format!("{line}\n");
            for (_, line) in lines.by_ref() {
                block.push_str(line);
                block.push('\n');
                if line == SSH_END {
                    break;
                }
            }
            of_ssh_key(&block)
        } else if line.get(..AGE_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(AGE_PREFIX)) {
            of_age_identity(line)
        } else {
            of_base64(line)
        };
        match secret {
            Ok(secret) => secrets.push(secret),
            Err(why) => return malformed(number, &why),
        }
        if secrets.len() > KEYS_MAX {
            return malformed(number, "there are more than 16 keys; remove those that nothing is sealed under");
        }
    }
    if secrets.is_empty() {
        return malformed(0, &format!("it holds no key; {FORMS}"));
    }
    Ok(secrets)
}

fn of_base64(line: &str) -> Result<[u8; SECRET_BYTES], String> {
    let bytes = STANDARD.decode(line).map_err(|_| format!("this is no key; {FORMS}"))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| format!("these are {length} bytes, a key has {SECRET_BYTES}; {FORMS}"))
}

/// An age identity is the bech32 text of an X25519 secret (age-encryption.org/v1, "X25519 recipient type").
fn of_age_identity(line: &str) -> Result<[u8; SECRET_BYTES], String> {
    let wrong = || "this is no X25519 identity of age, or a character of it is wrong".to_owned();
    let (prefix, secret) = bech32::decode(line).map_err(|_| wrong())?;
    if prefix.to_lowercase() != AGE_PREFIX || secret.len() != SECRET_BYTES {
        return Err(wrong());
    }
    Ok(derive(b"age identity", &secret))
}

fn of_ssh_key(block: &str) -> Result<[u8; SECRET_BYTES], String> {
    let key = PrivateKey::from_openssh(block).map_err(|_| "this OpenSSH key is damaged".to_owned())?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok(derive(b"ssh ed25519 key", &pair.private.to_bytes())),
        KeypairData::Encrypted(_) => {
            Err("this OpenSSH key has a passphrase, which nobody types at a start; use one without".to_owned())
        }
        _ => Err(format!("this OpenSSH key is {}; only ed25519 always signs the same", key.algorithm())),
    }
}

/// A secret that has another use gives another key here.
fn derive(kind: &[u8], secret: &[u8]) -> [u8; SECRET_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, &[b"ccd store key of ", kind].concat());
    *tag.as_ref().first_chunk().expect("an HMAC-SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    /// Of the bytes 0 to 31.
    const AGE: &str = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG";
    /// Made by ssh-keygen for this test.
    const SSH: &str = include_str!("testdata/ed25519");

    fn keys(text: &str) -> Result<Vec<String>, String> {
        let secrets = parse(text, Path::new("store.key")).map_err(|error| error.to_string())?;
        Ok(Keyring::new(&secrets).ids())
    }

    #[test]
    fn each_form_is_a_key_of_its_own() {
        let several = keys(&format!("# newest first\n\n{BASE64}\n{AGE}\n{SSH}")).unwrap();
        assert_eq!(several.len(), 3);
        assert_eq!([&several[0]], *keys(BASE64).unwrap().iter().collect::<Vec<_>>());
        assert_eq!([&several[1]], *keys(&AGE.to_lowercase()).unwrap().iter().collect::<Vec<_>>());
        assert_eq!([&several[2]], *keys(SSH).unwrap().iter().collect::<Vec<_>>());
        // They are what seals: when one of these changes, nobody can read his secrets any more.
        insta::assert_compact_json_snapshot!(several);
    }

    #[test]
    fn what_is_no_key_is_named_with_its_line_and_never_shown() {
        let long = "A".repeat(60);
        let cases = [
            ("", "line 1: it holds no key"),
            ("# only a comment\n", "line 1: it holds no key"),
            ("\nAAEC\n", "line 2: these are 3 bytes, a key has 32"),
            (&long, "line 1: these are 45 bytes"),
            ("hunter2 is my password", "line 1: this is no key"),
            (&AGE.replace("QQQS", "QQQP"), "line 1: this is no X25519 identity"),
            ("AGE-SECRET-KEY-PQ-1QQPSYQ", "line 1: this is no X25519 identity"),
            (&SSH.replace("AAAA", "BBBB"), "line 1: this OpenSSH key is damaged"),
            (SSH_BEGIN, "line 1: this OpenSSH key is damaged"),
            (&format!("{BASE64}\n").repeat(17), "line 17: there are more than 16 keys"),
        ];
        for (text, expected) in cases {
            let error = keys(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("QQQ"), "{error}");
        }
    }

    #[test]
    fn the_first_start_makes_a_key_and_looking_makes_none() {
        let directory = tempfile::tempdir().unwrap();
        let paths = DataPaths::new(directory.path());
        assert!(open(&paths, None, WhenMissing::LeaveIt).unwrap().ids().is_empty());
        assert_eq!(source(&paths, None), KeySource::Missing);
        let made = open(&paths, None, WhenMissing::Make).unwrap().ids();
        assert_eq!(made.len(), 1);
        assert_eq!(source(&paths, None), KeySource::Beside);
        assert_eq!(fs::metadata(paths.store_key()).unwrap().permissions().mode() & 0o777, 0o600);
        for missing in [WhenMissing::Make, WhenMissing::LeaveIt] {
            assert_eq!(open(&paths, None, missing).unwrap().ids(), made);
        }
        fs::set_permissions(paths.store_key(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = open(&paths, None, WhenMissing::Make).unwrap_err().to_string();
        assert!(error.ends_with(&format!("run `chmod go= {}`", paths.store_key().display())), "{error}");
    }

    #[test]
    fn a_credential_seals_and_the_key_beside_the_store_still_opens() {
        let directory = tempfile::tempdir().unwrap();
        let (paths, credentials) = (DataPaths::new(directory.path()), tempfile::tempdir().unwrap());
        let beside = open(&paths, Some(credentials.path()), WhenMissing::Make).unwrap().ids();
        fs::write(credentials.path().join(CREDENTIAL), BASE64).unwrap();
        let both = open(&paths, Some(credentials.path()), WhenMissing::Make).unwrap().ids();
        assert_eq!(both, [keys(BASE64).unwrap(), beside].concat());
        assert_eq!(source(&paths, Some(credentials.path())), KeySource::Credential);
        fs::remove_file(paths.store_key()).unwrap();
        assert_eq!(open(&paths, Some(credentials.path()), WhenMissing::Make).unwrap().ids(), keys(BASE64).unwrap());
        assert!(!paths.store_key().exists());
    }

    #[test]
    fn a_link_leads_to_the_key_and_one_that_leads_nowhere_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let paths = DataPaths::new(directory.path());
        let elsewhere = tempfile::tempdir().unwrap();
        let key = elsewhere.path().join("host_key");
        symlink(&key, paths.store_key()).unwrap();
        let error = open(&paths, None, WhenMissing::Make).unwrap_err().to_string();
        assert!(error.contains("store.key: No such file"), "{error}");
        assert_eq!(source(&paths, None), KeySource::Linked(key.clone()));
        fs::write(&key, SSH).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(open(&paths, None, WhenMissing::Make).unwrap().ids(), keys(SSH).unwrap());
    }
}
