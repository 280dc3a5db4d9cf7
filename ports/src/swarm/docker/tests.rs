//! What goes over the wire, against a socket that plays an engine, and what engines' refusals mean.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::address::Address;
use super::client::Client;
use super::images::{pull_failed, split};
use super::refusal::Refusal;
use super::streams::{Documents, Frame, Frames, Lines};
use super::{DockerEngine, Engine as _};
use crate::error::{Error, ErrorKind};
use crate::swarm::spec::ServiceSpec;
use crate::swarm::{Filter, LogOptions, RegistryAuth, SwarmState, TaskState};

/// An engine that answers from a list and remembers the requests.
struct Played {
    engine: DockerEngine,
    requests: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Played {
    fn heads(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

/// Starts an engine that answers requests in turn (after the first, `/_ping`) with a status and a body. `HANG` as a body
/// is no answer at all, `HEAD` one that has a head and then nothing.
fn play(answers: &'static [(u16, &'static str)]) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(answers.iter().copied()));
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (seen, answers) = (seen.clone(), answers.clone());
            tokio::spawn(async move { serve(socket, &seen, || answers.lock().unwrap().next()).await });
        }
    });
    let client = Client::new(Address::Unix(path)).with_time_max(Duration::from_millis(500));
    Played { engine: DockerEngine { client: Arc::new(client) }, requests, _folder: folder }
}

async fn serve(
    mut socket: UnixStream,
    seen: &Mutex<Vec<String>>,
    mut next: impl FnMut() -> Option<(u16, &'static str)>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(&mut socket, &mut buffer).await else { return };
        let is_ping = request.starts_with("GET /_ping");
        if !is_ping {
            seen.lock().unwrap().push(request);
        }
        let (status, body) = if is_ping { (200, "OK") } else { next().unwrap_or((200, "[]")) };
        match body {
            "HANG" => return std::future::pending().await,
            "HEAD" => {
                let head = format!("HTTP/1.1 {status} x\r\nTransfer-Encoding: chunked\r\n\r\n");
                socket.write_all(head.as_bytes()).await.unwrap();
                return std::future::pending().await;
            }
            _ => {}
        }
        let head = format!("HTTP/1.1 {status} x\r\nApi-Version: 1.41\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body.as_bytes()).await.unwrap();
    }
}

async fn read_request(socket: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                buffer.clear();
                return Some(text);
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
            _ => return None,
        }
    }
}

#[tokio::test]
async fn every_path_carries_the_version_that_was_agreed_upon() {
    let played = play(&[]);
    played.engine.services(&Filter::default()).await.unwrap();
    played.engine.tasks(&Filter::stack("a")).await.unwrap();
    let filters = "%7B%22label%22%3A%5B%22com%2Edocker%2Estack%2Enamespace%3Da%22%5D%7D";
    let wanted = ["GET /v1.41/services HTTP/1.1".to_owned(), format!("GET /v1.41/tasks?filters={filters} HTTP/1.1")];
    assert_eq!(played.heads(), wanted);
}

#[tokio::test]
async fn names_in_paths_cannot_leave_them() {
    let played = play(&[]);
    played.engine.remove_volume("b?x=1 c#d").await.unwrap();
    played.engine.remove_image("host:5000/name:1").await.unwrap();
    let heads = played.heads();
    assert_eq!(heads[0], "DELETE /v1.41/volumes/b%3Fx%3D1%20c%23d HTTP/1.1");
    assert_eq!(heads[2], "GET /v1.41/images/host:5000/name:1/json HTTP/1.1");
    for name in ["", "a/../b", "..", "."] {
        let error = played.engine.remove_volume(name).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "EngineRefused"), "{name}");
    }
}

#[tokio::test]
async fn the_proof_for_a_registry_is_a_header_and_nothing_else() {
    let played = play(&[(201, r#"{"ID":"s1"}"#)]);
    let auth = RegistryAuth { username: "u".into(), password: "p".into(), registry: "r".into() };
    let id = played.engine.create_service(&ServiceSpec::default(), Some(&auth)).await.unwrap();
    assert_eq!(id, "s1");
    let request = played.requests.lock().unwrap()[0].to_lowercase();
    assert!(request.contains("\r\nx-registry-auth: ey"), "{request}");
    assert!(!format!("{auth:?}").contains('p'), "{auth:?}");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_given_up_and_tried_anew() {
    let played = play(&[(200, "HANG"), (200, "[]")]);
    let error = played.engine.nodes().await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "EngineTimeout"), "{error}");
    assert_eq!(played.engine.nodes().await.unwrap(), []);
    let error = play(&[(200, "HEAD")]).engine.nodes().await.unwrap_err();
    assert_eq!(error.reason, "EngineTimeout", "{error}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_a_matter_of_time() {
    for address in ["unix:///nowhere/docker.sock", "unix:///etc/passwd"] {
        let error = DockerEngine::at(address).unwrap().info().await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "EngineUnreachable"), "{error}");
        assert!(error.message.contains(address), "{error}");
    }
}

#[tokio::test]
async fn words_of_tomorrow_do_not_blind_us() {
    let played = play(&[
        (200, r#"[{"ID":"t","Status":{"State":"hovering"},"DesiredState":null,"Spec":{"ContainerSpec":{"New":{}}}}]"#),
        (200, "[]"),
        (200, r#"{"Swarm":{"LocalNodeState":"asleep"},"Extra":[1]}"#),
    ]);
    // `null` where text was is one thing too many: the answer as a whole is then not understood.
    let error = played.engine.tasks(&Filter::default()).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Bug, "EngineAnswerUnknown"), "{error}");
    let played = play(&[
        (200, r#"[{"ID":"t","Status":{"State":"hovering"},"DesiredState":"running","Slot":1}]"#),
        (200, r#"[{"ID":"t"}]"#),
        (200, r#"{"Swarm":{"LocalNodeState":"asleep"},"Extra":[1]}"#),
    ]);
    let tasks = played.engine.tasks(&Filter::default()).await.unwrap();
    assert_eq!((tasks[0].state, tasks[0].desired, tasks[0].is_up_to_date), (TaskState::New, TaskState::Running, true));
    assert_eq!(played.engine.info().await.unwrap().swarm, SwarmState::Inactive);
}

#[test]
fn what_engines_said_is_understood() {
    // Bodies as Docker 20.10 sent them.
    let leader = r#"{"message":"rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online."}"#;
    let cases: &[(u16, &str, ErrorKind, &str)] = &[
        (500, leader, ErrorKind::Retryable, "NoLeader"),
        (
            500,
            r#"{"message":"rpc error: code = DeadlineExceeded desc = context deadline exceeded"}"#,
            ErrorKind::Retryable,
            "NoLeader",
        ),
        (
            503,
            r#"{"message":"Swarm is encrypted and needs to be unlocked before it can be used."}"#,
            ErrorKind::Blocked,
            "SwarmLocked",
        ),
        (
            503,
            r#"{"message":"This node is not a swarm manager. Use \"docker swarm init\""}"#,
            ErrorKind::Blocked,
            "SwarmInactive",
        ),
        (
            400,
            r#"{"message":"invalid mount target, must be an absolute path: d"}"#,
            ErrorKind::Terminal,
            "EngineRefused",
        ),
        (500, r#"{"message":"Invalid subnet 10.0.0.0/99"}"#, ErrorKind::Terminal, "EngineRefused"),
        (404, r#"{"message":"service x not found"}"#, ErrorKind::Terminal, "NotFound"),
        (500, "no JSON at all", ErrorKind::Retryable, "EngineFailed"),
        (502, "", ErrorKind::Retryable, "EngineFailed"),
    ];
    for (status, body, kind, reason) in cases {
        let error = Error::from(Refusal::read(*status, body.as_bytes()));
        assert_eq!((error.kind, error.reason), (*kind, *reason), "{body}");
    }
    let stale = Refusal::read(500, br#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#);
    assert!(stale.is_out_of_sequence());
    assert_eq!(stale.message, "update out of sequence");
    let in_use: &[(u16, &str)] = &[
        (400, "rpc error: code = InvalidArgument desc = secret 'a' is in use by the following service: b"),
        (400, "rpc error: code = FailedPrecondition desc = network x is in use by service y"),
        (403, "error while removing network: network a id 1 has active endpoints"),
        (409, "remove a: volume is in use - [1234]"),
    ];
    for (status, message) in in_use {
        assert!(Refusal { status: *status, message: (*message).to_owned() }.is_in_use(), "{message}");
    }
    assert!(Refusal { status: 500, message: "network 12 not found".to_owned() }.is_not_found());
}

#[test]
fn a_pull_that_fails_says_whose_matter_it_is() {
    let cases = [
        (404, "manifest for r/a:1 not found: manifest unknown", ErrorKind::Terminal, "ImageNotFound"),
        (404, "pull access denied for a, repository does not exist", ErrorKind::Terminal, "ImageNotFound"),
        (500, "Get https://r/v2/: no basic auth credentials", ErrorKind::Terminal, "ImageNotFound"),
        (500, "Get https://r/v2/: unauthorized: authentication required", ErrorKind::Terminal, "ImageNotFound"),
        (500, "toomanyrequests: You have reached your pull rate limit", ErrorKind::Retryable, "RateLimited"),
        (500, "dial tcp: lookup r: no such host", ErrorKind::Retryable, "RegistryUnreachable"),
        (500, "net/http: TLS handshake timeout", ErrorKind::Retryable, "RegistryUnreachable"),
        (500, "unexpected EOF", ErrorKind::Retryable, "RegistryUnreachable"),
    ];
    for (status, message, kind, reason) in cases {
        let error = pull_failed("r/a:1", &Refusal { status, message: message.to_owned() });
        assert_eq!((error.kind, error.reason), (kind, reason), "{message}");
    }
}

#[test]
fn references_are_split_so_that_one_image_is_pulled() {
    let cases = [
        ("nginx", ("nginx", "latest")),
        ("nginx:1.27", ("nginx", "1.27")),
        ("host:5000/a/b", ("host:5000/a/b", "latest")),
        ("host:5000/a/b:2", ("host:5000/a/b", "2")),
        ("host:5000/a:2@sha256:ab", ("host:5000/a", "sha256:ab")),
        ("a@sha256:ab", ("a", "sha256:ab")),
    ];
    for (reference, wanted) in cases {
        assert_eq!(split(reference), wanted, "{reference}");
    }
}

#[test]
fn addresses_are_read_or_refused() {
    assert_eq!(
        Address::parse("unix:///var/run/docker.sock").unwrap(),
        Address::Unix(PathBuf::from("/var/run/docker.sock"))
    );
    let ssh = Address::Ssh { destination: "root@host.example".to_owned(), port: Some(2222), program: "ssh".into() };
    assert_eq!(Address::parse("ssh://root@host.example:2222").unwrap(), ssh);
    let bad = [
        "",
        "docker.sock",
        "unix://docker.sock",
        "tcp://127.0.0.1:2375",
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://a b",
        "ssh://a@b@c",
        "ssh://host:port",
    ];
    for address in bad {
        let error = Address::parse(address).unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "EngineAddressInvalid"), "{address}");
    }
}

#[test]
fn frames_are_taken_off_however_they_are_cut() {
    let sent =
        [&[1, 0, 0, 0, 0, 0, 0, 3][..], b"abc", &[2, 0, 0, 0, 0, 0, 0, 1], b"d", &[3, 0, 0, 0, 0, 0, 0, 2], b"no"]
            .concat();
    for size in 1..=sent.len() {
        let mut frames = Frames::new(false);
        let mut seen = Vec::new();
        for piece in sent.chunks(size) {
            frames.push(piece);
            while let Some(frame) = frames.next().unwrap() {
                seen.push(frame);
            }
        }
        let output = |bytes: &'static [u8]| Frame::Output(Bytes::from_static(bytes));
        assert_eq!(seen, [output(b"abc"), output(b"d"), Frame::Complaint("no".to_owned())], "in pieces of {size}");
    }
    let mut frames = Frames::new(false);
    frames.push(b"plain text, not framed");
    assert_eq!(frames.next().unwrap_err().reason, "EngineAnswerUnknown");
    let mut bare = Frames::new(true);
    bare.push(b"plain text");
    assert_eq!(bare.next().unwrap(), Some(Frame::Output(Bytes::from_static(b"plain text"))));
    assert_eq!(bare.next().unwrap(), None);
}

#[test]
fn lines_and_documents_are_put_together() {
    let mut lines = Lines::default();
    lines.push(b"one\ntw");
    assert_eq!(lines.next().as_deref(), Some(&b"one\n"[..]));
    assert_eq!(lines.next(), None);
    lines.push(b"o");
    assert_eq!(lines.rest().as_deref(), Some(&b"two"[..]));
    lines.push(&vec![b'x'; 100_000]);
    assert_eq!(lines.next().map(|line| line.len()), Some(100_000), "a line without an end is cut");
    let mut documents = Documents::default();
    let mut next = |bytes: &[u8]| {
        documents.push(bytes);
        documents.next::<serde_json::Value>().unwrap().map(|value| value.to_string())
    };
    assert_eq!(next(b"{\"a\":1}\r\n{\"b\""), Some("{\"a\":1}".to_owned()));
    assert_eq!(next(b""), None);
    assert_eq!(next(b":2}"), Some("{\"b\":2}".to_owned()));
    documents.push(b"nonsense");
    assert!(documents.next::<serde_json::Value>().is_err());
}

#[tokio::test]
async fn events_and_logs_come_as_they_are_sent() {
    let played =
        play(&[(200, "{\"Type\":\"service\",\"Action\":\"create\",\"Actor\":{\"ID\":\"s\"}}\n{\"Type\":null}")]);
    let mut events = played.engine.events().await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((&*event.kind, &*event.action, &*event.id), ("service", "create", "s"));
    assert_eq!(events.next().await.unwrap().unwrap_err().reason, "EngineAnswerUnknown");
    let played = play(&[(200, r#"{"ID":"s","Spec":{}}"#), (200, "\u{1}\0\0\0\0\0\0\u{6}a\nb\nc\n")]);
    let mut log = played.engine.service_log("s", &LogOptions { tail: Some(3), ..LogOptions::default() }).await.unwrap();
    assert_eq!(&*log.next().await.unwrap().unwrap(), b"a\nb\nc\n");
    assert!(log.next().await.is_none());
    let wanted = "GET /v1.41/services/s/logs?stdout=1&stderr=1&follow=0&timestamps=0&tail=3 HTTP/1.1";
    assert_eq!(played.heads()[1], wanted);
}
