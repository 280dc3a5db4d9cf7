//! Making, keeping, replacing certificates; handshakes with a real client.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::rotation::{AuthorityStep, plan_authority};
use super::{Pki, PkiError};
use crate::authentication::certificate::ClientCertificate;
use crate::clock::Clock;

const DAY: i64 = 24 * 3600;

/// Handshakes are verified against the machine's clock, so these tests begin at the real time.
#[expect(clippy::disallowed_methods, reason = "the TLS library looks at the machine's clock")]
fn real_now() -> Timestamp {
    Timestamp::now()
}

fn moving_clock(start: Timestamp) -> (Clock, Arc<AtomicI64>) {
    let offset = Arc::new(AtomicI64::new(0));
    let shared = Arc::clone(&offset);
    (Clock::new(move || start + SignedDuration::from_secs(shared.load(Ordering::SeqCst))), offset)
}

fn open(directory: &Path, clock: &Clock) -> Pki {
    Pki::open(directory, &["ci.example.org".to_owned(), "192.0.2.1".to_owned()], true, clock.clone()).unwrap()
}

fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    Arc::new(roots)
}

fn client(
    trusted: &str,
    identity: Option<&(String, String)>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(trusted));
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    }
}

/// Shakes hands over memory and sends a byte each way. Returns ALPN, version and the client's user.
async fn handshake(pki: &Pki, mut config: ClientConfig, name: &str, alpn: &[&[u8]]) -> Result<String, String> {
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server_config = pki.server_config();
    let server = async {
        let mut stream = TlsAcceptor::from(server_config).accept(far).await.map_err(|error| error.to_string())?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|error| error.to_string())?;
        let session = stream.get_ref().1;
        let user = session.peer_certificates().map(|chain| ClientCertificate::from_der(&chain[0]).unwrap());
        let user = user.map_or("nobody".to_owned(), |certificate| {
            format!("{} {}", certificate.user.name, certificate.user.groups.join("+"))
        });
        let alpn = String::from_utf8_lossy(session.alpn_protocol().unwrap_or(b"-")).into_owned();
        let version = session.protocol_version().unwrap();
        stream.write_all(b"y").await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(format!("{alpn} {version:?} {user}"))
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let mut stream =
            TlsConnector::from(Arc::new(config)).connect(name, near).await.map_err(|error| error.to_string())?;
        stream.write_all(b"x").await.map_err(|error| error.to_string())?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|error| error.to_string())
    };
    let (server, client) = tokio::join!(server, client);
    client?;
    server
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[tokio::test]
async fn clients_shake_hands_by_every_name() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(real_now());
    let pki = open(directory.path(), &clock);
    let trusted = pki.authorities_pem();
    for name in ["localhost", "127.0.0.1", "::1", "ci.example.org", "192.0.2.1"] {
        let result = handshake(&pki, client(&trusted, None, BOTH), name, &[b"h2", b"http/1.1"]).await;
        assert_eq!(result.as_deref(), Ok("h2 TLSv1_3 nobody"), "{name}");
    }
    let old = handshake(&pki, client(&trusted, None, &[&rustls::version::TLS12]), "localhost", &[b"http/1.1"]).await;
    assert_eq!(old.as_deref(), Ok("http/1.1 TLSv1_2 nobody"));
    let wrong_name = handshake(&pki, client(&trusted, None, BOTH), "other.example.org", &[]).await;
    assert!(wrong_name.unwrap_err().contains("not valid for name"));
    let strange = tempfile::tempdir().unwrap();
    let strange = open(strange.path(), &clock).authorities_pem();
    let untrusted = handshake(&pki, client(&strange, None, BOTH), "localhost", &[]).await;
    assert!(untrusted.unwrap_err().contains("invalid peer certificate"));
}

#[tokio::test]
async fn client_certificates_name_users() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(real_now());
    let pki = open(directory.path(), &clock);
    let trusted = pki.authorities_pem();
    let good = pki.issue_client("jane", &["ops".to_owned()], Duration::from_secs(3600)).unwrap();
    let result = handshake(&pki, client(&trusted, Some(&good), BOTH), "localhost", &[]).await;
    assert_eq!(result.as_deref(), Ok("- TLSv1_3 jane ops+system:authenticated"));
    let strange = tempfile::tempdir().unwrap();
    let forged = open(strange.path(), &clock).issue_client("jane", &[], Duration::from_secs(3600)).unwrap();
    assert!(handshake(&pki, client(&trusted, Some(&forged), BOTH), "localhost", &[]).await.is_err());
    // The serving certificate proves a server, not a user.
    let serving = std::fs::read_to_string(directory.path().join("serving.pem")).unwrap();
    let serving = (serving.clone(), serving);
    assert!(handshake(&pki, client(&trusted, Some(&serving), BOTH), "localhost", &[]).await.is_err());
}

#[test]
fn a_restart_keeps_everything() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(real_now());
    let first = open(directory.path(), &clock);
    let serving = std::fs::read(directory.path().join("serving.pem")).unwrap();
    let second = open(directory.path(), &clock);
    assert_eq!(first.authorities_pem(), second.authorities_pem());
    assert_eq!(std::fs::read(directory.path().join("serving.pem")).unwrap(), serving);
    assert_eq!(std::fs::read_to_string(directory.path().join("ca.crt")).unwrap(), first.authorities_pem());
    assert!(!first.authorities_pem().contains("PRIVATE"));
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn other_names_or_a_damaged_file_make_a_new_serving_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(real_now());
    let authorities = open(directory.path(), &clock).authorities_pem();
    let path = directory.path().join("serving.pem");
    let before = std::fs::read(&path).unwrap();
    let other = Pki::open(directory.path(), &["new.example.org".to_owned()], true, clock.clone()).unwrap();
    let renamed = std::fs::read(&path).unwrap();
    assert_ne!(renamed, before);
    assert_eq!(other.authorities_pem(), authorities);
    std::fs::write(&path, "damaged").unwrap();
    Pki::open(directory.path(), &["new.example.org".to_owned()], true, clock).unwrap();
    assert_ne!(std::fs::read(&path).unwrap(), renamed);
}

#[test]
fn a_damaged_authority_is_never_replaced_in_silence() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(real_now());
    drop(open(directory.path(), &clock));
    let path = directory.path().join("ca.pem");
    let good = std::fs::read_to_string(&path).unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path(), &clock));
    let other = std::fs::read_to_string(other.path().join("ca.pem")).unwrap();
    let key_at = good.find("-----BEGIN PRIVATE").unwrap();
    let torn = format!("{}{}", &good[..key_at], &other[other.find("-----BEGIN PRIVATE").unwrap()..]);
    let cases = [
        (String::new(), "it holds no readable certificate"),
        (good[..key_at].to_owned(), "it holds no readable private key"),
        (torn, "its certificate and private key do not belong together"),
    ];
    for (content, why) in cases {
        std::fs::write(&path, &content).unwrap();
        let Err(error) = Pki::open(directory.path(), &[], true, clock.clone()) else { panic!("opened: {why}") };
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn impossible_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["", "a b", "-x-.example", "http://x", "*.*"] {
        let result = Pki::open(directory.path(), &[name.to_owned()], true, Clock::fixed(real_now()));
        assert!(matches!(result, Err(PkiError::Name(_))), "{name:?}");
    }
    assert!(Pki::open(directory.path(), &["*.example.org".to_owned()], true, Clock::fixed(real_now())).is_ok());
}

#[test]
fn certificates_are_replaced_through_twenty_years_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, offset) = moving_clock("2026-11-21T08:00:00Z".parse().unwrap());
    let pki = open(directory.path(), &clock);
    let mut trusted_by_clients = pki.authorities_pem();
    let mut authorities_seen = 1;
    for day in (0..20 * 365).step_by(20) {
        offset.store(day * DAY, Ordering::SeqCst);
        let changed = pki.maintain().unwrap();
        let now = clock.now();
        assert!(
            pki.serving_expires() > now + SignedDuration::from_hours(24 * 9),
            "day {day}: {}",
            pki.serving_expires()
        );
        let signing = &pki.current.load().authority;
        assert!(
            trusted_by_clients.contains(&signing.certificate_pem),
            "day {day}: clients who fetch within 100 days never break"
        );
        assert!(signing.expires >= pki.serving_expires(), "day {day}");
        if changed {
            authorities_seen += usize::from(!trusted_by_clients.contains(&pki.authorities_pem()));
        }
        // Clients fetch a new kubeconfig every hundred days.
        if day % 100 == 0 {
            trusted_by_clients = pki.authorities_pem();
        }
    }
    assert!(authorities_seen >= 3, "{authorities_seen}");
}

#[test]
fn a_daemon_that_slept_past_the_end_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, offset) = moving_clock("2026-11-21T08:00:00Z".parse().unwrap());
    let before = open(directory.path(), &clock).authorities_pem();
    offset.store(4000 * DAY, Ordering::SeqCst);
    let pki = open(directory.path(), &clock);
    assert!(pki.serving_expires() > clock.now());
    assert!(!pki.authorities_pem().contains(&before), "an authority that has ended is trusted no more");
}

#[test]
fn the_plan_for_the_authority() {
    let directory = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let (clock, offset) = moving_clock(start);
    let identity = |pki: &Pki| Arc::clone(&pki.current.load().authority);
    let old = identity(&open(directory.path(), &clock));
    let announced = 3650 - 365;
    offset.store(announced * DAY, Ordering::SeqCst);
    let other = tempfile::tempdir().unwrap();
    let next = identity(&open(other.path(), &clock));
    let cases = [
        (0, None, AuthorityStep::Keep),
        (announced - 1, None, AuthorityStep::Keep),
        (announced, None, AuthorityStep::Announce),
        (3650 - 120, None, AuthorityStep::Promote),
        (5000, None, AuthorityStep::Promote),
        (announced, Some(&*next), AuthorityStep::Keep),
        (announced + 179, Some(&*next), AuthorityStep::Keep),
        (announced + 180, Some(&*next), AuthorityStep::Promote),
        (3650 - 120, Some(&*next), AuthorityStep::Promote),
    ];
    for (day, next, expected) in cases {
        let now = start + SignedDuration::from_secs(day * DAY);
        assert_eq!(plan_authority(now, &old, next), expected, "day {day}, successor {}", next.is_some());
    }
}

#[test]
fn openssl_agrees() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), &Clock::fixed(real_now())));
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).current_dir(directory.path()).output();
        let output = output.expect("openssl is part of every development machine: apt-get install openssl");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let verified = run(&["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.crt", "serving.pem"]);
    assert!(verified.contains("serving.pem: OK"), "{verified}");
    let named = run(&["verify", "-verify_hostname", "ci.example.org", "-CAfile", "ca.crt", "serving.pem"]);
    assert!(named.contains("serving.pem: OK"), "{named}");
}
