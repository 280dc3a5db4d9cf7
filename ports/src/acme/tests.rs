//! Authorities: the suite on the one that is played and on Pebble, what is answered over HTTP, and what is told.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::conformance::{Harness, check};
use super::fake::FakeAcme;
use super::network::{AcmeTimes, NetworkAcme};
use super::pebble::{BINDING_KEY, Pebble, PebbleSettings};
use super::solve::fake::{FakeSolver, HOOK};
use super::solve::{Answers, Change, NetworkSolver, Record, Solver, SolverSettings, Writer};
use super::*;
use crate::clock::SystemClock;
use crate::error::ErrorKind;
use crate::redact::Redactor;

struct Played {
    acme: FakeAcme,
    solver: FakeSolver,
}

impl Harness for Played {
    fn acme(&self) -> &dyn Acme {
        &self.acme
    }
    fn authority(&self) -> Authority {
        Authority { directory: "https://acme.test/dir".to_owned(), ca_bundle: None }
    }
    fn solver(&self) -> &dyn Solver {
        &self.solver
    }
    fn writer(&self) -> Writer {
        Writer::Hook(HOOK.to_owned())
    }
    fn http_port(&self) -> u16 {
        8181
    }
}

struct Real {
    acme: NetworkAcme,
    solver: NetworkSolver,
    pebble: Pebble,
    _folder: tempfile::TempDir,
}

fn settings(hooks: &[(&str, Vec<String>)]) -> SolverSettings {
    SolverSettings {
        listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: Vec::new(),
        hooks: hooks.iter().map(|(name, argv)| ((*name).to_owned(), argv.clone())).collect(),
        hook_time_max: Duration::from_secs(20),
        nsupdate: None,
        path: "/usr/bin:/bin".to_owned(),
    }
}

impl Real {
    fn start(pebble: PebbleSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pebble = Pebble::start(folder.path(), pebble);
        let hook = vec![pebble.hook().display().to_string()];
        let solver = NetworkSolver::new(settings(&[("pebble", hook)]), Redactor::default());
        let acme = NetworkAcme::open(&[], AcmeTimes::default()).unwrap();
        Self { acme, solver, pebble, _folder: folder }
    }
}

impl Harness for Real {
    fn acme(&self) -> &dyn Acme {
        &self.acme
    }
    fn authority(&self) -> Authority {
        self.pebble.authority()
    }
    fn solver(&self) -> &dyn Solver {
        &self.solver
    }
    fn writer(&self) -> Writer {
        Writer::Hook("pebble".to_owned())
    }
    fn http_port(&self) -> u16 {
        self.pebble.http_port
    }
}

#[tokio::test]
async fn the_played_authority_does_what_authorities_do() {
    let solver = FakeSolver::default();
    let acme = FakeAcme::new(solver.clone(), Arc::new(SystemClock));
    check(&Played { acme, solver }).await;
}

#[tokio::test]
async fn pebble_is_spoken_to_as_it_wants_although_it_refuses_good_nonces() {
    let real = Real::start(PebbleSettings::default());
    check(&real).await;
    let log = real.pebble.hook_log();
    assert_eq!(log.len(), 6, "{log:?}");
    let first: Vec<&str> = log[0].split(' ').collect();
    assert_eq!((first[0], first[1]), ("present", "_acme-challenge.dns.test"));
    assert_eq!(&first[3..], ["present", "dns.test"], "the environment says it as well");
}

#[tokio::test]
async fn an_account_is_bound_to_one_of_the_shop() {
    use base64::Engine as _;
    let real = Real::start(PebbleSettings { wants_binding: true, ..PebbleSettings::default() });
    let (key, authority) = (AccountKey::generate().unwrap(), real.authority());
    let error = real.acme.register(&authority, &key, None, None).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, AUTHORITY_REFUSES));
    assert!(error.message.contains("spec.source.acme.externalAccount"), "{error}");
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(BINDING_KEY).unwrap();
    let binding = |key: Vec<u8>| Binding { key_id: "kid-1".to_owned(), key };
    let error = real.acme.register(&authority, &key, None, Some(&binding(b"wrong".to_vec()))).await.unwrap_err();
    assert_eq!(error.reason, AUTHORITY_REFUSES, "{error}");
    assert!(!format!("{:?}", binding(secret.clone())).contains(&format!("{:?}", &secret[..4])));
    let url = real.acme.register(&authority, &key, Some("a@example.org"), Some(&binding(secret))).await.unwrap();
    assert!(url.starts_with("https://localhost:"), "{url}");
}

#[tokio::test]
async fn an_authority_that_is_not_believed_or_not_there_is_told() {
    let key = AccountKey::generate().unwrap();
    let acme = NetworkAcme::open(&[], AcmeTimes::default()).unwrap();
    let mut real = Real::start(PebbleSettings::default());
    let stranger = Authority { ca_bundle: None, ..real.authority() };
    let error = acme.register(&stranger, &key, None, None).await.unwrap_err();
    assert_eq!(error.reason, AUTHORITY_UNREACHABLE, "{error}");
    assert!(crate::error::chain(&error).to_lowercase().contains("certificate"), "{}", crate::error::chain(&error));
    real.pebble.stop();
    let error = acme.register(&real.authority(), &key, None, None).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, AUTHORITY_UNREACHABLE));
    assert!(error.message.contains("localhost cannot be reached"), "{error}");
    for (directory, bundle, words) in [
        ("http://acme.example.org/directory", None, "must begin with https://"),
        ("https://localhost:1/dir", Some("nonsense"), "caBundle holds no certificate"),
    ] {
        let authority = Authority { directory: directory.to_owned(), ca_bundle: bundle.map(str::to_owned) };
        let error = acme.register(&authority, &key, None, None).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "InvalidSpec"));
        assert!(error.message.contains(words), "{error}");
    }
}

/// A server that answers everything with the same bytes.
fn answering(answer: &'static str) -> Authority {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = format!("http://{}/dir", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 2048];
            // What is asked does not matter.
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Authority { directory, ca_bundle: None }
}

#[tokio::test]
async fn what_an_authority_says_is_wrong_is_heeded() {
    let account = Account { key: AccountKey::generate().unwrap(), url: "https://x/1".to_owned() };
    let acme = NetworkAcme::open(&[], AcmeTimes::default()).unwrap();
    let directory = "HTTP/1.1 503 Unavailable\r\nRetry-After: 120\r\nConnection: close\r\n\r\nnot now";
    let error = acme.register(&answering(directory), &account.key, None, None).await.unwrap_err();
    assert_eq!((error.reason, error.retry_after), (AUTHORITY_UNREACHABLE, Some(Duration::from_mins(2))));
    let error = acme.look(&answering(directory), &account, "https://x/2").await.unwrap_err();
    assert_eq!(error.reason, AUTHORITY_UNREACHABLE, "{error}");
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\nx";
    let error = acme.register(&answering(huge), &account.key, None, None).await.unwrap_err();
    assert_eq!(error.reason, AUTHORITY_UNREACHABLE, "{error}");
}

#[test]
fn keys_are_read_and_nothing_of_them_is_said() {
    let key = AccountKey::generate().unwrap();
    assert_eq!(AccountKey::from_pem(key.to_pem().as_bytes()).unwrap(), key);
    assert_eq!(format!("{key:?}"), format!("AccountKey({})", key.fingerprint()));
    for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
        let error = AccountKey::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(error.reason, "Unreadable");
        assert!(error.message.contains("P-256") && !error.message.contains("c2VjcmV0"), "{error}");
    }
    let error = signing_request(&key::certificate_key().unwrap(), &["näme".to_owned()]).unwrap_err();
    assert_eq!(error.reason, "InvalidSpec");
}

/// Sends a request as it is and returns what comes back.
async fn ask(port: u16, request: &'static str) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        // A connection that is cut off has said all that it says.
        let _ = stream.read_to_string(&mut answer);
        Some(answer)
    });
    asked.await.unwrap().unwrap_or_else(|| "refused".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_open_while_there_is_something_to_answer_and_answers_nothing_else() {
    let solver = NetworkSolver::new(settings(&[]), Redactor::default());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let answers: Answers = BTreeMap::from([("token".to_owned(), "token.thumb".to_owned())]);
    solver.answer("one", port, &answers).unwrap();
    solver.answer("two", port, &BTreeMap::from([("other".to_owned(), "other.thumb".to_owned())])).unwrap();
    let good = ask(port, "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(good.starts_with("HTTP/1.1 200") && good.ends_with("\r\n\r\ntoken.thumb"), "{good}");
    assert!(ask(port, "GET /.well-known/acme-challenge/other HTTP/1.0\r\n\r\n").await.contains("other.thumb"));
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.well-known/acme-challenge/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.well-known/acme-challenge/token/../other HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.well-known/acme-challenge/../../api HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.well-known/acme-challenge/Token HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ] {
        let answer = ask(port, request).await;
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("thumb"), "{request}: {answer}");
    }
    let nonsense = ask(port, "\x01\x02\r\n\r\n").await;
    assert!(!nonsense.contains("thumb"), "{nonsense}");
    solver.answer("one", port, &Answers::new()).unwrap();
    assert!(ask(port, "GET /.well-known/acme-challenge/token HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 404"));
    solver.answer("two", port, &Answers::new()).unwrap();
    while ask(port, "GET / HTTP/1.0\r\n\r\n").await != "refused" {
        tokio::task::yield_now().await;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = solver.answer("one", taken.local_addr().unwrap().port(), &answers).unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, solve::PORT_IN_USE));
    let error = solver.answer("one", 22, &answers).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Terminal);
    assert!(error.message.contains("certificates.challenge_ports"), "{error}");
}

#[tokio::test]
async fn a_program_that_fails_or_is_none_is_told_without_secrets() {
    let redactor = Redactor::default();
    redactor.insert("token", b"canary-4711");
    let shell = |script: &str| vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let mut settings = settings(&[
        ("broken", shell("echo one; echo 'the token canary-4711 is wrong' >&2; exit 3")),
        ("slow", shell("exec sleep 60")),
        ("loud", shell("head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; exit 1")),
        ("gone", vec!["/nowhere/hook".to_owned()]),
    ]);
    settings.hook_time_max = Duration::from_secs(3);
    let solver = NetworkSolver::new(settings, redactor);
    let record = Record { domain: "a.test".into(), name: "_acme-challenge.a.test".into(), value: "v".into() };
    for (hook, kind, words) in [
        ("broken", ErrorKind::Retryable, "ended with 3: the token"),
        ("slow", ErrorKind::Retryable, "broken off"),
        ("loud", ErrorKind::Retryable, "ended with 1"),
        ("gone", ErrorKind::Terminal, "was to write"),
        ("none", ErrorKind::Terminal, "it names broken, gone, loud, slow"),
    ] {
        let writer = Writer::Hook(hook.to_owned());
        assert_eq!(solver.check(&writer).is_ok(), hook != "none");
        let error = solver.write(&writer, Change::Present, &record).await.unwrap_err();
        let said = crate::error::chain(&error);
        assert_eq!((error.kind, error.reason), (kind, solve::HOOK_FAILED), "{said}");
        if hook == "slow" {
            assert!(said.contains("took longer than"), "{said}");
        } else {
            assert!(said.contains(words), "{said}");
        }
        assert!(!said.contains("canary"), "{said}");
        assert!(said.len() < 600, "{said}");
    }
    let updates = Writer::Updates { server: "ns:53".into(), key_name: "k".into(), key: "c2VjcmV0".into() };
    let error = solver.check(&updates).unwrap_err();
    assert!(error.message.contains("bind9-dnsutils"), "{error}");
    assert!(!format!("{updates:?}").contains("c2VjcmV0"));
}
