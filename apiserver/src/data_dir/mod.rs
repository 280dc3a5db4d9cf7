//! The data directory: what lies where, who may read it, and that one process uses it.
//!
//! ```text
//! DIR/                 0700
//!   lock               held while a daemon or an offline command uses the directory; holds its pid
//!   store/             the store's own
//!   config.toml        read when --config is not given
//!   webhook-deliveries which have been seen within a day, hashed
//!   store.key          under which secrets lie in the store, unless the key comes from elsewhere
//!   tokens.json        bearer tokens, hashed
//!   kubeconfig         for kubectl and ccctl on this machine, with the admin token
//!   addresses.json     where the daemon listens
//!   restored.json      when the store was restored from a backup
//!   pki/               authority and serving certificate with their keys
//!   audit/             audit.log and its older parts
//! ```

pub mod administrator;
pub mod kubeconfig;
pub mod space;
pub mod store_key;

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A data directory that this process holds.
#[derive(Debug)]
pub struct DataDir {
    paths: DataPaths,
    _lock: File,
}

/// The names of what lies in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPaths {
    root: PathBuf,
}

/// Where the daemon listens, as `addresses.json` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Process id of the daemon.
    pub pid: u32,
    /// `IP:PORT` without TLS; absent when that listener is off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http: Option<SocketAddr>,
    /// `IP:PORT` with TLS; absent when that listener is off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub https: Option<SocketAddr>,
}

/// That the store is from a backup, as `restored.json` holds it. What runs may then be newer than what the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// When it was restored.
    pub at: Timestamp,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("open data directory {path}: it is used by pid {pid}; stop that process or choose another --data-dir")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The holder's process id; `unknown` when it has not written it yet.
        pid: String,
    },
    /// Others may read or change it.
    #[error("open data directory {path}: {problem}; run `{fix}`")]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to type.
        fix: String,
    },
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
}

impl DataPaths {
    /// Returns the names below `root`; nothing is touched.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where the lock lies.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Returns where the store lies.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Returns the configuration that is read when no other is named.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Returns the file of tokens.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.root.join("tokens.json")
    }

    /// Returns the file of the tokens of service accounts.
    #[must_use]
    pub fn account_tokens(&self) -> PathBuf {
        self.root.join("service-account-tokens.json")
    }

    /// Returns the kubeconfig of the administrator on this machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Returns the file that says where the daemon listens.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.root.join("addresses.json")
    }

    /// Returns the file that says when the store was restored.
    #[must_use]
    pub fn restored(&self) -> PathBuf {
        self.root.join("restored.json")
    }

    /// Returns the directory of keys and certificates.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Returns the directory of audit logs.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    /// Returns the key under which sessions of the web pages are sealed.
    #[must_use]
    pub fn web_key(&self) -> PathBuf {
        self.root.join("web.key")
    }

    /// Returns the file of the webhook deliveries that have been seen.
    #[must_use]
    pub fn deliveries(&self) -> PathBuf {
        self.root.join("webhook-deliveries")
    }

    /// Returns the key under which secrets lie in the store, unless it comes from elsewhere: see [`store_key`].
    #[must_use]
    pub fn store_key(&self) -> PathBuf {
        self.root.join("store.key")
    }

    /// Returns the directory of jobs: programs that outlive a restart of the daemon.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Reads where the daemon listens; `None` when no daemon runs here.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read_addresses(&self) -> Result<Option<Addresses>, DataDirError> {
        read_json(self.addresses())
    }

    /// Reads when the store was restored from a backup the last time; `None` when it never was.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn read_restored(&self) -> Result<Option<Restored>, DataDirError> {
        read_json(self.restored())
    }

    /// Returns the process id of whoever holds the directory; `None` when it is free or not there.
    #[must_use]
    pub fn holder(&self) -> Option<String> {
        let mut file = File::open(self.lock()).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => Some(read_pid(&mut file)),
        }
    }
}

impl DataDir {
    /// Opens the directory, making it when it is not there, and holds it until dropped or the process ends.
    ///
    /// # Errors
    /// When another process holds it, when others than the owner may read it, or when the system refuses.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        let paths = DataPaths::new(root);
        make_directory(root)?;
        check_permissions(root)?;
        let lock = take_lock(&paths)?;
        for directory in [paths.pki(), paths.audit()] {
            make_directory(&directory)?;
        }
        Ok(Self { paths, _lock: lock })
    }

    /// Returns the names of what lies in it.
    #[must_use]
    pub fn paths(&self) -> &DataPaths {
        &self.paths
    }

    /// Writes `addresses.json`: whoever waits for the daemon sees it whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_addresses(&self, http: Option<SocketAddr>, https: Option<SocketAddr>) -> Result<(), DataDirError> {
        let addresses = Addresses { pid: std::process::id(), http: http.map(reachable), https: https.map(reachable) };
        write_json(self.paths.addresses(), &addresses)
    }

    /// Writes `restored.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_restored(&self, restored: Restored) -> Result<(), DataDirError> {
        write_json(self.paths.restored(), &restored)
    }

    /// Removes `addresses.json`, at a clean end.
    pub fn remove_addresses(&self) {
        // Missing is as good as removed; a stale file is found out by the lock.
        let _ = fs::remove_file(self.paths.addresses());
    }
}

fn read_json<T: DeserializeOwned>(path: PathBuf) -> Result<Option<T>, DataDirError> {
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| DataDirError::File {
            action: "read",
            path,
            source: io::Error::other(error),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::File { action: "read", path, source }),
    }
}

fn write_json<T: Serialize>(path: PathBuf, content: &T) -> Result<(), DataDirError> {
    let mut text = serde_json::to_vec_pretty(content).expect("texts and numbers always serialise");
    text.push(b'\n');
    write_private_file(&path, &text).map_err(|source| DataDirError::File { action: "write", path, source })
}

/// Makes a directory that only its owner may enter; one that exists stays as it is.
///
/// # Errors
/// When the system refuses.
pub fn make_private_directory(path: &Path) -> Result<(), DataDirError> {
    make_directory(path)
}

/// Returns whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns where a listener is reached from this machine: "every address" is none that one can connect to.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Gives a file that root made to whom the directory belongs: `ccd` runs as that user and must read it.
///
/// # Errors
/// What the system says.
pub fn give_to_owner(file: &File, directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    if rustix::process::geteuid().is_root() && owner.uid() != file.metadata()?.uid() {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Writes a file that only the owner of its directory may read: whole or not at all, and on disk when this returns.
///
/// # Errors
/// What the system says; the old content then stays.
pub fn write_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("path has no file name"))?;
    // One name per process: a leftover of a crash is overwritten instead of piling up.
    let temporary = directory.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(FILE_MODE).open(&temporary)?;
        give_to_owner(&file, directory)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn make_directory(path: &Path) -> Result<(), DataDirError> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(|source| DataDirError::File {
        action: "make directory",
        path: path.to_owned(),
        source,
    })
}

/// Refuses a directory in which others could swap or read our keys. Group and world bits are taken away from a
/// directory of our own; somebody else's directory is not ours to change.
fn check_permissions(root: &Path) -> Result<(), DataDirError> {
    let metadata =
        fs::metadata(root).map_err(|source| DataDirError::File { action: "read", path: root.to_owned(), source })?;
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return Err(DataDirError::Unsafe {
            path: root.to_owned(),
            problem: format!("it belongs to user {}, this process is user {me}", metadata.uid()),
            fix: format!("chown -R {me} {}", root.display()),
        });
    }
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!("data directory {} was readable by others; it is now private", root.display());
        fs::set_permissions(root, Permissions::from_mode(DIRECTORY_MODE)).map_err(|source| DataDirError::File {
            action: "make private",
            path: root.to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn take_lock(paths: &DataPaths) -> Result<File, DataDirError> {
    let path = paths.lock();
    let failed = |source: io::Error| DataDirError::File { action: "lock", path: path.clone(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(DataDirError::InUse { path: paths.root.clone(), pid: read_pid(&mut file) });
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0).map_err(failed)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(failed)?;
    Ok(file)
}

fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
