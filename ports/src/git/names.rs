//! The names that git is given. Each has a grammar in which nothing begins with `-`, nothing climbs out of a folder, and
//! nothing carries a password.

use std::fmt;

use crate::error::Error;

const URL_BYTES_MAX: usize = 2048;
const REF_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 1024;

/// Where a repository is: `https://`, `http://`, `git://`, `ssh://[user@]` or `file:///`, without a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteUrl(String);

impl RemoteUrl {
    /// Checks and returns a URL.
    ///
    /// # Errors
    /// `Terminal` with `InvalidUrl`.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let url = url.into();
        if is_url(&url) {
            return Ok(Self(url));
        }
        // The URL itself may hold a password: it is not repeated.
        let message = "the URL of the repository is none of https://, ssh:// and file:///, or holds a password: write \
                       it without, and put the password into a Secret";
        Err(Error::terminal("InvalidUrl", message))
    }

    /// Returns the URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part before `://`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.0.split_once("://").map_or("", |(protocol, _)| protocol)
    }

    /// Returns `protocol://host[:port]` in lower case, without a user.
    #[must_use]
    pub fn origin(&self) -> String {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{}://{}", self.protocol(), host.to_ascii_lowercase())
    }

    /// Returns the host, without brackets, and the port that it is reached at; `None` for a `file:///` URL, or a port that
    /// is no number.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        let usual = match self.protocol() {
            "https" => 443,
            "http" => 80,
            "ssh" => 22,
            "git" => 9418,
            _ => return None,
        };
        let origin = self.origin();
        let (_, authority) = origin.split_once("://")?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = port.filter(|port| !port.is_empty()).map_or(Some(usual), |port| port.parse().ok())?;
        Some((host.to_owned(), port))
    }

    /// Returns the path of a `file:///` URL.
    #[must_use]
    pub fn local_path(&self) -> Option<&str> {
        self.0.strip_prefix("file://")
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_url(url: &str) -> bool {
    if url.len() > URL_BYTES_MAX || url.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return false;
    }
    let Some((protocol, rest)) = url.split_once("://") else { return false };
    let Some((authority, _path)) = rest.split_once('/') else { return false };
    let host = match (protocol, authority.split_once('@')) {
        ("file", _) => return authority.is_empty(),
        ("ssh", Some((user, host))) => {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if user.is_empty() || user.starts_with(['-', '.']) || !user.bytes().all(fits) {
                return false;
            }
            host
        }
        ("https" | "http" | "git" | "ssh", None) => authority,
        _ => return false,
    };
    let begins_well = host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
    begins_well && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:[]-".contains(&byte))
}

/// A branch or tag: letters, digits and `_ . + / -`, beginning with a letter, digit or `_`, without `..`, at most 255
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

impl RefName {
    /// Checks and returns a name.
    ///
    /// # Errors
    /// `Terminal` with `InvalidReference`.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+/-".contains(&byte);
        let parts_fit = || {
            name.split('/').all(|part| {
                !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock")
            })
        };
        let is_valid = name.len() <= REF_BYTES_MAX
            && !name.starts_with(['-', '+'])
            && name.bytes().all(fits)
            && !name.contains("..")
            && parts_fit();
        if is_valid {
            return Ok(Self(name));
        }
        Err(Error::terminal("InvalidReference", format!("{name:?} cannot be the name of a branch or tag")))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The whole hash of a commit: 40 or 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(String);

impl CommitId {
    /// Checks and returns a hash.
    ///
    /// # Errors
    /// `Terminal` with `InvalidCommit`.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if matches!(id.len(), 40 | 64) && id.bytes().all(fits) {
            return Ok(Self(id));
        }
        Err(Error::terminal("InvalidCommit", format!("{id:?} is no whole commit hash")))
    }

    /// Returns the hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first eight digits, as abra shows them.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The path of a file in a commit: relative, without `.`, `..`, empty parts and control characters, at most 1024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreePath(String);

impl TreePath {
    /// Checks and returns a path.
    ///
    /// # Errors
    /// `Terminal` with `InvalidPath`.
    pub fn new(path: impl Into<String>) -> Result<Self, Error> {
        let path = path.into();
        let is_valid = path.len() <= PATH_BYTES_MAX
            && !path.chars().any(char::is_control)
            && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if is_valid {
            return Ok(Self(path));
        }
        Err(Error::terminal("InvalidPath", format!("{path:?} cannot be the path of a file in a repository")))
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
