//! Certificates: an authority of our own, a serving certificate, and both replaced before they end.
//!
//! ```text
//! pki/ca.pem           the signing authority: certificate and key in one file, so that they cannot be torn apart
//! pki/ca-next.pem      its successor: already trusted by new kubeconfigs, signs nothing yet
//! pki/ca-previous.crt  its predecessor: signs nothing any more, still trusted
//! pki/ca.crt           all of them, for clients; written from the above
//! pki/serving.pem      the serving certificate and its key
//! ```
//!
//! An authority lives ten years. In its last year a successor is announced; half a year later the successor signs.
//! In between, every kubeconfig that is written trusts both, so clients have half a year to fetch a new one.

mod authority;
pub mod rotation;

#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{fs, time::Duration};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::clock::Clock;
use crate::data_dir::write_private_file;
pub use authority::{Identity, IdentityError};
use authority::{Purpose, issue, new_authority};
use rotation::{AuthorityStep, SERVING_LIFE, plan_authority, serving_is_due};

/// Certificates are made valid a little earlier than now, for clients whose clock is behind.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Keys and certificates of the server, and the TLS settings made of them.
pub struct Pki {
    directory: PathBuf,
    names: Vec<String>,
    client_certificates: bool,
    clock: Clock,
    current: ArcSwap<Current>,
    /// Keeps two maintainers apart.
    maintaining: Mutex<()>,
}

/// What is in use at a moment.
struct Current {
    server_config: Arc<ServerConfig>,
    authorities_pem: String,
    authority: Arc<Identity>,
    serving_expires: Timestamp,
}

/// Why certificates cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
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
    /// The authority's file is damaged. It is never replaced silently: every client trusts it.
    #[error(
        "read {path}: {source}; restore it from a backup, or delete it to make a new authority that every client must then fetch"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: IdentityError,
    },
    /// Nobody has made an authority here yet.
    #[error("read {0}: there is no certificate authority yet; start `ccd serve` with this data directory once")]
    NoAuthority(PathBuf),
    /// A configured name cannot stand in a certificate.
    #[error("use tls.names: {0:?} is no DNS name and no IP address")]
    Name(String),
    /// The library refused.
    #[error("make a certificate: {0}")]
    Library(String),
}

impl Pki {
    /// Opens `directory`, making authority and serving certificate when there are none or they are due.
    ///
    /// `names` are DNS names and IP addresses of the serving certificate besides localhost.
    ///
    /// # Errors
    /// When files cannot be read or written, the authority is damaged, or a name is impossible.
    pub fn open(directory: &Path, names: &[String], client_certificates: bool, clock: Clock) -> Result<Self, PkiError> {
        let names = all_names(names)?;
        let current = load(directory, &names, client_certificates, clock.now())?;
        let current = ArcSwap::from_pointee(current);
        Ok(Self {
            directory: directory.to_owned(),
            names,
            client_certificates,
            clock,
            current,
            maintaining: Mutex::default(),
        })
    }

    /// Returns the settings for the next handshake.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server_config)
    }

    /// Returns every certificate that clients should trust, PEM.
    #[must_use]
    pub fn authorities_pem(&self) -> String {
        self.current.load().authorities_pem.clone()
    }

    /// Returns when the serving certificate ends.
    #[must_use]
    pub fn serving_expires(&self) -> Timestamp {
        self.current.load().serving_expires
    }

    /// Renews what is due; new handshakes use it at once. Call it every hour or so.
    /// Returns whether the authorities changed, which means that the kubeconfig must be written again.
    ///
    /// # Errors
    /// As [`Pki::open`]; what was in use stays in use.
    pub fn maintain(&self) -> Result<bool, PkiError> {
        let _one = self.maintaining.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = self.current.load();
        let now = self.clock.now();
        let fresh = load(&self.directory, &self.names, self.client_certificates, now)?;
        let changed = fresh.authorities_pem != before.authorities_pem;
        if changed || fresh.serving_expires != before.serving_expires {
            self.current.store(Arc::new(fresh));
        }
        Ok(changed)
    }

    /// Makes a client certificate for `user` in `groups`. Returns certificate and key, PEM.
    ///
    /// # Errors
    /// When the library refuses a name.
    pub fn issue_client(&self, user: &str, groups: &[String], life: Duration) -> Result<(String, String), PkiError> {
        issue_client_with(&self.current.load().authority, user, groups, self.clock.now(), life)
    }
}

/// Makes a client certificate for `user` in `groups` (one at most) with the authority in `directory`, beside a server
/// that may be running: nothing there is changed. It ends after `life`, or with the authority. Returns certificate and
/// key, PEM.
///
/// # Errors
/// When there is no authority, it is damaged, or the library refuses a name.
pub fn issue_client(
    directory: &Path,
    user: &str,
    groups: &[String],
    now: Timestamp,
    life: Duration,
) -> Result<(String, String), PkiError> {
    let path = directory.join("ca.pem");
    let authority = read_identity(&path)?.ok_or(PkiError::NoAuthority(path))?;
    issue_client_with(&authority, user, groups, now, life)
}

fn issue_client_with(
    authority: &Identity,
    user: &str,
    groups: &[String],
    now: Timestamp,
    life: Duration,
) -> Result<(String, String), PkiError> {
    let identity = issue(authority, Purpose::Client { user, groups }, now, life)?;
    Ok((identity.certificate_pem, identity.key_pem))
}

fn all_names(configured: &[String]) -> Result<Vec<String>, PkiError> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for name in configured {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        let dns = rustls::pki_types::DnsName::try_from(plain).is_ok();
        if !dns && name.parse::<IpAddr>().is_err() {
            return Err(PkiError::Name(name.clone()));
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn load(directory: &Path, names: &[String], client_certificates: bool, now: Timestamp) -> Result<Current, PkiError> {
    let (authority, trusted) = load_authorities(directory, now)?;
    let serving = load_serving(directory, &authority, names, now)?;
    let authorities_pem: String = trusted.iter().map(|identity| identity.certificate_pem.as_str()).collect();
    write_if_different(&directory.join("ca.crt"), authorities_pem.as_bytes())?;
    let server_config = Arc::new(server_config(&serving, &trusted, client_certificates)?);
    Ok(Current { server_config, authorities_pem, authority, serving_expires: serving.expires })
}

/// Returns the signing authority and all that are trusted, the signing one first.
fn load_authorities(directory: &Path, now: Timestamp) -> Result<(Arc<Identity>, Vec<Arc<Identity>>), PkiError> {
    let (current_path, next_path) = (directory.join("ca.pem"), directory.join("ca-next.pem"));
    let previous_path = directory.join("ca-previous.crt");
    let mut current = match read_identity(&current_path)? {
        Some(identity) => identity,
        None => make_authority(&current_path, now)?,
    };
    let mut next = read_identity(&next_path)?;
    match plan_authority(now, &current, next.as_ref()) {
        AuthorityStep::Keep => {}
        AuthorityStep::Announce => {
            tracing::info!("announcing the next certificate authority: fetch kubeconfigs again within half a year");
            next = Some(make_authority(&next_path, now)?);
        }
        AuthorityStep::Promote => {
            tracing::info!("the next certificate authority signs from now on");
            let successor = match next.take() {
                Some(identity) => identity,
                None => new_authority(now)?,
            };
            write(&previous_path, current.certificate_pem.as_bytes())?;
            write(&current_path, successor.to_pem().as_bytes())?;
            match fs::remove_file(&next_path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(PkiError::File { action: "remove", path: next_path, source });
                }
                _ => current = successor,
            }
        }
    }
    // After a crash between the two writes above the successor may be both; once is enough.
    next = next.filter(|next| next.certificate_pem != current.certificate_pem);
    let previous = read_certificate(&previous_path)?.filter(|identity| identity.expires > now);
    let previous = previous.filter(|previous| previous.certificate_pem != current.certificate_pem);
    let current = Arc::new(current);
    let others = next.into_iter().chain(previous).map(Arc::new);
    let trusted = std::iter::once(Arc::clone(&current)).chain(others).collect();
    Ok((current, trusted))
}

fn make_authority(path: &Path, now: Timestamp) -> Result<Identity, PkiError> {
    let identity = new_authority(now)?;
    write(path, identity.to_pem().as_bytes())?;
    Ok(identity)
}

fn load_serving(
    directory: &Path,
    authority: &Identity,
    names: &[String],
    now: Timestamp,
) -> Result<Identity, PkiError> {
    let path = directory.join("serving.pem");
    // Unlike the authority a damaged serving certificate is simply made again: nobody trusts it by itself.
    if let Ok(Some(serving)) = read_identity(&path)
        && !serving_is_due(now, &serving, authority, names)
    {
        return Ok(serving);
    }
    let serving = issue(authority, Purpose::Serving { names }, now, SERVING_LIFE)?;
    write(&path, serving.to_pem().as_bytes())?;
    tracing::info!("made a serving certificate for {} until {}", names.join(", "), serving.expires);
    Ok(serving)
}

fn read_identity(path: &Path) -> Result<Option<Identity>, PkiError> {
    read(path, Identity::parse)
}

fn read_certificate(path: &Path) -> Result<Option<Identity>, PkiError> {
    read(path, Identity::parse_certificate)
}

fn read(path: &Path, parse: fn(&str) -> Result<Identity, IdentityError>) -> Result<Option<Identity>, PkiError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PkiError::File { action: "read", path: path.to_owned(), source }),
    };
    parse(&text).map(Some).map_err(|source| PkiError::Damaged { path: path.to_owned(), source })
}

fn write_if_different(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    if fs::read(path).is_ok_and(|before| before == content) { Ok(()) } else { write(path, content) }
}

fn write(path: &Path, content: &[u8]) -> Result<(), PkiError> {
    write_private_file(path, content).map_err(|source| PkiError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

fn server_config(
    serving: &Identity,
    trusted: &[Arc<Identity>],
    client_certificates: bool,
) -> Result<ServerConfig, PkiError> {
    let library = |error: &dyn std::fmt::Display| PkiError::Library(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| library(&error))?;
    let builder = if client_certificates {
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.certificate.clone()).map_err(|error| library(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| library(&error))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain: Vec<CertificateDer<'static>> = vec![serving.certificate.clone()];
    let key = serving.private_key().map_err(|error| library(&error))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| library(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| library(&error))?;
    Ok(config)
}
