//! The network and the fake keep the contract; rules say where to connect to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::outbound::Outbound;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::conformance::{Harness, Situation, check};
use super::fake::{FakeAnswer, FakeProbe};
use super::network::NetworkProbe;
use super::{CertificateFacts, ConnectRules, HttpProbe, Probe, Scheme, Verdict};

/// By the first label of the name.
#[derive(Debug)]
struct Certificates(HashMap<&'static str, Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let label = hello.server_name()?.split('.').next()?;
        self.0.get(label).or_else(|| self.0.get("good")).cloned()
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificate(issuer: &Issuer, name: &str, last_year: i32) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    let certificate = params.signed_by(&key, issuer).unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&der).unwrap();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate.der().to_vec())], key))
}

struct Real {
    probe: NetworkProbe,
}

impl Real {
    /// Starts a proxy for `*.ci.test` that behaves as the first label says.
    async fn start() -> Self {
        let (ours, theirs) = (authority("Our authority"), authority("TRAEFIK DEFAULT CERT"));
        let certificates = Certificates(HashMap::from([
            ("good", certificate(&ours, "*.ci.test", 4000)),
            ("wrong-name", certificate(&ours, "other.example", 4000)),
            ("expired", certificate(&ours, "*.ci.test", 2021)),
            ("unknown-issuer", certificate(&theirs, "*.ci.test", 4000)),
        ]));
        let configuration = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream).await;
                    }
                });
            }
        });
        // A port that was free a moment ago, and that nobody listens at.
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, ours.pem()).unwrap();
        let zones = [("ci.test".to_owned(), address), ("closed.test".to_owned(), closed)];
        Self { probe: NetworkProbe::open(ConnectRules { zones: zones.into() }, Outbound::default(), &[ca]).unwrap() }
    }
}

async fn serve(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) {
    let name = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
    let mut request = vec![0; 4096];
    let Ok(count @ 1..) = stream.read(&mut request).await else { return };
    let request = String::from_utf8_lossy(&request[..count]).to_ascii_lowercase();
    assert!(request.starts_with("get /") && request.contains(&format!("\r\nhost: {name}\r\n")), "{request}");
    let (head, body) = match name.split('.').next().unwrap_or_default() {
        "not-found" => ("404 Not Found", "nothing here".to_owned()),
        "no-router" => ("404 Not Found", "404 page not found\n".to_owned()),
        "bad-gateway" => ("502 Bad Gateway", "Bad Gateway".to_owned()),
        "unavailable" => ("503 Service Unavailable", "no available server".to_owned()),
        "redirect" => ("302 Found\r\nLocation: https://elsewhere.example/", String::new()),
        "huge" => ("200 OK", "x".repeat(1_000_000)),
        "silent" => return std::future::pending().await,
        "garbled" => ("\r\n\r\n\u{1}", String::new()),
        _ => ("200 OK", "hello".to_owned()),
    };
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    // Who has seen enough hangs up.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn label(situation: Situation) -> &'static str {
    match situation {
        Situation::Good => "good",
        Situation::NotFound => "not-found",
        Situation::NoRouter => "no-router",
        Situation::BadGateway => "bad-gateway",
        Situation::Unavailable => "unavailable",
        Situation::Redirect => "redirect",
        Situation::Huge => "huge",
        Situation::Silent => "silent",
        Situation::WrongName => "wrong-name",
        Situation::Expired => "expired",
        Situation::UnknownIssuer => "unknown-issuer",
        Situation::Refused | Situation::Unknown => "app",
    }
}

impl Harness for Real {
    fn probe(&self) -> &dyn Probe {
        &self.probe
    }

    fn host(&self, situation: Situation) -> String {
        let zone = match situation {
            Situation::Refused => "closed.test",
            Situation::Unknown => "nowhere.invalid",
            _ => "ci.test",
        };
        format!("{}.{zone}", label(situation))
    }
}

struct Fake(FakeProbe);

impl Harness for Fake {
    fn probe(&self) -> &dyn Probe {
        &self.0
    }

    fn host(&self, situation: Situation) -> String {
        let host = format!("{}.ci.test", label(situation));
        let status = |status, body: &str| FakeAnswer::Status(status, body.to_owned());
        let answer = match situation {
            Situation::Good => status(200, "hello"),
            Situation::NotFound => status(404, "nothing here"),
            Situation::NoRouter => status(404, "404 page not found\n"),
            Situation::BadGateway => status(502, ""),
            Situation::Unavailable => status(503, ""),
            Situation::Redirect => FakeAnswer::Redirect("https://elsewhere.example/".to_owned()),
            Situation::Huge => status(200, &"x".repeat(1_000_000)),
            Situation::Silent => FakeAnswer::Silent,
            Situation::WrongName | Situation::Expired | Situation::UnknownIssuer => {
                FakeAnswer::TlsInvalid(format!("{situation:?}"))
            }
            Situation::Refused => FakeAnswer::Down("refused".to_owned()),
            Situation::Unknown => return "nowhere.invalid".to_owned(),
        };
        self.0.set_host(&host, answer);
        self.0.set_port(&host, 443, situation != Situation::Refused);
        let facts = CertificateFacts {
            serial: "01".to_owned(),
            fingerprint: format!("{:064x}", situation as usize),
            dns_names: vec!["*.ci.test".to_owned()],
            not_after: Some(jiff::Timestamp::MAX),
            ..CertificateFacts::default()
        };
        self.0.set_chain(&host, vec![facts]);
        host
    }
}

#[tokio::test]
async fn the_network_conforms() {
    check(&Real::start().await).await;
}

#[tokio::test]
async fn the_fake_conforms() {
    check(&Fake(FakeProbe::default())).await;
}

#[tokio::test]
async fn complaints_about_certificates_say_what_is_wrong() {
    let real = Real::start().await;
    let cases = [
        ("wrong-name", "is for other.example"),
        ("expired", "ended on 2021-01-01"),
        ("unknown-issuer", "TRAEFIK DEFAULT CERT"),
        ("unknown-issuer", "probe.ca_files"),
    ];
    for (label, expected) in cases {
        let report = real.probe.http(&HttpProbe::https(format!("{label}.ci.test"), "/")).await;
        assert!(report.message.contains(expected), "{label}: {}", report.message);
        assert!(report.certificate.is_some());
    }
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let real = Real::start().await;
    let report = real.probe.http(&HttpProbe::https("garbled.ci.test", "/")).await;
    assert_eq!(report.verdict, Verdict::NoAnswer, "{}", report.message);
    let plain = HttpProbe { scheme: Scheme::Http, port: Some(443), ..HttpProbe::https("good.ci.test", "/") };
    let report = real.probe.http(&plain).await;
    assert_eq!(report.verdict, Verdict::NoAnswer, "{}", report.message);
}

#[test]
fn the_longest_zone_says_where_to_connect_to() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let zones = [("ci.test", "127.0.0.1:26443"), ("inner.ci.test", "[::1]:1")];
    let rules = ConnectRules { zones: zones.map(|(zone, text)| (zone.to_owned(), address(text))).into() };
    let cases = [
        ("ci.test", 443, Some("127.0.0.1:26443")),
        ("App.CI.test.", 443, Some("127.0.0.1:26443")),
        ("app.ci.test", 64738, Some("127.0.0.1:64738")),
        ("app.inner.ci.test", 443, Some("[::1]:1")),
        ("anci.test", 443, None),
        ("ci.test.example", 443, None),
    ];
    for (host, port, expected) in cases {
        assert_eq!(rules.address(host, port), expected.map(address), "{host}:{port}");
    }
}

#[test]
fn a_file_without_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "nothing").unwrap();
    let error = NetworkProbe::open(ConnectRules::default(), Outbound::default(), &[file]).err().unwrap();
    assert!(error.message.contains("empty.pem"), "{error}");
}
