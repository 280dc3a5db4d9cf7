//! The file of tokens: create, list, revoke, from any process, beside a running daemon.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use super::tokens::{ServiceAccountRef, TokenRecord};
use crate::data_dir::{give_to_owner, write_private_file};

const FORMAT: u32 = 1;
/// A file above this size is not ours.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const NAME_CHARACTERS_MAX: usize = 63;
/// Most tokens of service accounts that work at the same time.
const ACCOUNT_TOKENS_MAX: usize = 10_000;

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    format: u32,
    tokens: Vec<TokenRecord>,
}

/// Why the tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file or its lock could not be opened, read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// Verb of the sentence.
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("read {path}: {why}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The name is taken.
    #[error(
        "create token {0:?}: a token of this name exists; choose another name or revoke it with `ccd token revoke {0}`"
    )]
    Exists(String),
    /// There is no such token.
    #[error("revoke token {0:?}: there is no such token; `ccd token list` shows their names")]
    NotFound(String),
    /// Too many tokens of service accounts have not ended yet.
    #[error("create token: {ACCOUNT_TOKENS_MAX} tokens of service accounts work already; let them last less long")]
    TooMany,
    /// A name, user or group is not acceptable.
    #[error("create token: {field} {value:?} {why}")]
    Invalid {
        /// What was given.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What people call it: lower-case letters, digits and `-`, at most 63 characters.
    pub name: String,
    /// Who it stands for.
    pub user: String,
    /// Groups besides `system:authenticated`.
    pub groups: Vec<String>,
    /// When it ends; `None` is never.
    pub expires: Option<Timestamp>,
}

/// Reads all records, also expired ones; a file that is not there has none.
///
/// # Errors
/// When the file exists and cannot be read or is not a token file.
pub fn read(path: &Path) -> Result<Vec<TokenRecord>, TokenError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(file_error("read", path, source)),
    };
    let malformed = |why: String| TokenError::Malformed { path: path.display().to_string(), why };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(malformed(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read(path).map_err(|source| file_error("read", path, source))?;
    parse(&text).map_err(malformed)
}

/// Reads what stands in a file, or says what is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<TokenRecord>, String> {
    let file: TokenFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("it has format {}, this program reads {FORMAT}", file.format));
    }
    Ok(file.tokens)
}

/// Adds a token and returns its text, the only time that it is seen. Expired tokens are dropped on the way.
///
/// # Errors
/// When the name is taken or not acceptable, or the file cannot be written.
pub fn create(path: &Path, new: &NewToken, now: Timestamp) -> Result<String, TokenError> {
    Ok(issue(path, new, now)?.1)
}

/// Adds a token as [`create`] does and returns its record, too.
///
/// # Errors
/// As [`create`].
pub fn issue(path: &Path, new: &NewToken, now: Timestamp) -> Result<(TokenRecord, String), TokenError> {
    check(new)?;
    let generate = || TokenRecord::generate(&new.name, &new.user, &new.groups, now, new.expires);
    add(path, now, generate, |tokens| {
        let is_taken = tokens.iter().any(|token| token.name == new.name);
        if is_taken { Err(TokenError::Exists(new.name.clone())) } else { Ok(()) }
    })
}

/// Adds a token of a service account to the file of those, as [`issue`] does.
///
/// # Errors
/// When there are too many, or the file cannot be written.
pub fn create_for_account(
    path: &Path,
    account: &ServiceAccountRef,
    now: Timestamp,
    expires: Timestamp,
) -> Result<(TokenRecord, String), TokenError> {
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", account.namespace)];
    let name = format!("{}/{}", account.namespace, account.name);
    let generate = || {
        let (record, text) = TokenRecord::generate(&name, &account.user_name(), &groups, now, Some(expires));
        (TokenRecord { service_account: Some(account.clone()), ..record }, text)
    };
    add(path, now, generate, |tokens| if tokens.len() < ACCOUNT_TOKENS_MAX { Ok(()) } else { Err(TokenError::TooMany) })
}

fn add(
    path: &Path,
    now: Timestamp,
    generate: impl Fn() -> (TokenRecord, String),
    check: impl Fn(&[TokenRecord]) -> Result<(), TokenError>,
) -> Result<(TokenRecord, String), TokenError> {
    let _lock = lock(path)?;
    let mut tokens = read(path)?;
    tokens.retain(|token| !token.is_expired(now));
    check(&tokens)?;
    let (mut record, mut text) = generate();
    while tokens.iter().any(|token| token.id == record.id) {
        (record, text) = generate();
    }
    tokens.push(record.clone());
    write(path, tokens)?;
    Ok((record, text))
}

/// Removes a token by name; it stops working at once.
///
/// # Errors
/// When there is no such token or the file cannot be written.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    let _lock = lock(path)?;
    let mut tokens = read(path)?;
    let before = tokens.len();
    tokens.retain(|token| token.name != name);
    if tokens.len() == before {
        return Err(TokenError::NotFound(name.to_owned()));
    }
    write(path, tokens)
}

fn check(new: &NewToken) -> Result<(), TokenError> {
    let invalid = |field, value: &str, why| Err(TokenError::Invalid { field, value: value.to_owned(), why });
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if new.name.is_empty()
        || new.name.len() > NAME_CHARACTERS_MAX
        || !new.name.bytes().all(plain)
        || new.name.starts_with('-')
    {
        return invalid("name", &new.name, "must be 1 to 63 lower-case letters, digits or '-', and not start with '-'");
    }
    for (field, value) in std::iter::once(("user", &new.user)).chain(new.groups.iter().map(|group| ("group", group))) {
        if value.is_empty() || value.len() > 253 || value.chars().any(char::is_control) {
            return invalid(field, value, "must be 1 to 253 characters without control characters");
        }
        if value == super::ANONYMOUS || value == super::UNAUTHENTICATED {
            return invalid(field, value, "stands for requests without a credential and cannot have one");
        }
    }
    Ok(())
}

fn write(path: &Path, tokens: Vec<TokenRecord>) -> Result<(), TokenError> {
    let mut text = serde_json::to_vec_pretty(&TokenFile { format: FORMAT, tokens })
        .expect("records hold only strings and times, which always serialise");
    text.push(b'\n');
    write_private_file(path, &text).map_err(|source| file_error("write", path, source))
}

/// Waits for the lock that keeps two writers apart; it is released when the file is dropped.
fn lock(path: &Path) -> Result<File, TokenError> {
    let mut lock_path = PathBuf::from(path).into_os_string();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let file = open_lock(&lock_path).map_err(|source| file_error("open", &lock_path, source))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| file_error("lock", &lock_path, error.into()))?;
    Ok(file)
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            give_to_owner(&file, path.parent().unwrap_or(Path::new(".")))?;
            Ok(file)
        }
        // Root must not follow a link that the directory's owner laid.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)
        }
        Err(error) => Err(error),
    }
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> TokenError {
    TokenError::File { action, path: path.display().to_string(), source }
}
