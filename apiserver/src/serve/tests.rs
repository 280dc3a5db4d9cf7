//! Real sockets: protocols, silence, floods, and the end.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::systemd::{Notice, notify};
use super::{BindError, Drained, Lifecycle, Listeners, Server};
use crate::authentication::{Peer, User};
use crate::clock::Clock;
use crate::config::{LimitsConfig, ServerConfig};
use crate::limits::{Class, Limits};
use crate::metrics::Metrics;
use crate::request::RequestInfo;
use crate::tls::Pki;

/// A server on free ports with a few routes.
struct World {
    http: std::net::SocketAddr,
    https: std::net::SocketAddr,
    pki: Arc<Pki>,
    lifecycle: Lifecycle,
    stop: CancellationToken,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    places: Limits,
    metrics: Metrics,
    running: JoinHandle<Drained>,
    _directory: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the TLS library looks at the machine's clock")]
fn clock() -> Clock {
    Clock::new(jiff::Timestamp::now)
}

async fn world(config: ServerConfig, limits: LimitsConfig) -> World {
    let directory = tempfile::tempdir().unwrap();
    let pki = Arc::new(Pki::open(directory.path(), &[], true, clock()).unwrap());
    let listeners = Listeners::bind(&config).await.unwrap();
    let (http, https) = listeners.addresses();
    let lifecycle = Lifecycle::default();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (metrics, places) = (Metrics::new(), Limits::new(limits.clone()));
    let server = Server {
        listeners,
        answers: router(&lifecycle, &entered, &release, &places),
        pki: Some(Arc::clone(&pki)),
        config,
        limits,
        lifecycle: lifecycle.clone(),
        metrics: metrics.clone(),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone()));
    let (http, https) = (http.unwrap(), https.unwrap());
    World { http, https, pki, lifecycle, stop, entered, release, places, metrics, running, _directory: directory }
}

/// Who asks for `/together` is answered, and for `/together-streamed` gets what the answer holds, when so many have asked.
const TOGETHER: usize = 50;

/// More than what the sockets of one connection hold.
const LARGE_BYTES: usize = 24 << 20;

/// `/peer` names the caller, `/slow` waits to be released, `/watch` streams until the drain, `/large` and `/pieces` are many
/// bytes that hold a place, `/endless` has no end and no place.
fn router(lifecycle: &Lifecycle, entered: &Arc<Notify>, release: &Arc<Notify>, places: &Limits) -> Router {
    let (entered, release, streams_end) = (Arc::clone(entered), Arc::clone(release), lifecycle.streams_end.clone());
    let again = Arc::clone(&entered);
    let [together, streamed] = [(); 2].map(|()| Arc::new(Barrier::new(TOGETHER)));
    let piece = || Ok::<_, io::Error>(Bytes::from(vec![b'x'; 1 << 20]));
    let [large, pieces] = [(); 2].map(|()| places.clone());
    let place = |places: &Limits| {
        let request = RequestInfo::parse(&http::Method::GET, "/large", None);
        Extension(Arc::new(places.admit(&User::anonymous(), &request, Instant::now()).unwrap()))
    };
    Router::new()
        .route("/large", get(move || async move { (place(&large), Body::from(vec![b'x'; LARGE_BYTES])) }))
        .route(
            "/pieces",
            get(move || async move {
                let all = futures::stream::repeat_with(piece).take(LARGE_BYTES >> 20);
                (place(&pieces), Body::from_stream(all))
            }),
        )
        .route("/endless", get(move || async move { Body::from_stream(futures::stream::repeat_with(piece)) }))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Arc<Peer>>| async move {
                let user = peer.certificate.as_ref().map_or("-", |certificate| &certificate.user.name);
                format!("encrypted={} user={user}", peer.encrypted)
            }),
        )
        .route(
            "/slow",
            get(move || async move {
                entered.notify_one();
                release.notified().await;
                "done"
            }),
        )
        .route(
            "/together",
            get(move || async move {
                together.wait().await;
                "done"
            }),
        )
        .route(
            "/together-streamed",
            get(move || async move {
                Body::from_stream(futures::stream::once(async move {
                    streamed.wait().await;
                    Ok::<_, io::Error>(Bytes::from_static(b"done"))
                }))
            }),
        )
        .route(
            "/watch",
            get(move || async move {
                again.notify_one();
                let first = futures::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"first\n"))]);
                let end = async move {
                    streams_end.cancelled().await;
                    Ok(Bytes::from_static(b"last\n"))
                };
                Body::from_stream(first.chain(futures::stream::once(end)))
            }),
        )
}

fn config() -> ServerConfig {
    ServerConfig {
        http: "127.0.0.1:0".to_owned(),
        https: "127.0.0.1:0".to_owned(),
        drain_seconds: 5,
        ..ServerConfig::default()
    }
}

fn limits() -> LimitsConfig {
    LimitsConfig { header_seconds: 1, ..LimitsConfig::default() }
}

impl World {
    async fn tls(&self, alpn: &[u8], identity: Option<(String, String)>) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        self.tls_over(stream, alpn, identity).await
    }

    async fn tls_over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        alpn: &[u8],
        identity: Option<(String, String)>,
    ) -> TlsStream<S> {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authorities_pem().as_bytes()).unwrap()).unwrap();
        let builder =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn end(self) -> Drained {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
}

/// Reads until the text holds `wanted`; the end of the stream before that is a failure.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "ended before {wanted:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn every_protocol_reaches_the_router_with_its_peer() {
    let world = world(config(), limits()).await;
    let mut plain = TcpStream::connect(world.http).await.unwrap();
    for _ in 0..2 {
        send(&mut plain, "/peer").await;
        read_until(&mut plain, "encrypted=false user=-").await;
    }
    let identity = world.pki.issue_client("jane", &[], Duration::from_secs(600)).unwrap();
    let mut first = world.tls(b"http/1.1", Some(identity.clone())).await;
    send(&mut first, "/peer").await;
    read_until(&mut first, "encrypted=true user=jane").await;
    let second = world.tls(b"h2", Some(identity)).await;
    let (mut sender, connection) = http2(second).await;
    let request = || http::Request::get("https://localhost/peer").body(Empty::new()).unwrap();
    let answers = futures::future::join_all((0..1200).map(|_| sender.send_request(request()))).await;
    for answer in answers {
        let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "encrypted=true user=jane");
    }
    assert!(world.metrics.render(crate::metrics::TextForm::OpenMetrics).contains("cc_api_connections 3"));
    drop((sender, first, plain));
    let _ = connection.await;
    assert_eq!(world.end().await, Drained::Clean);
}

type Http2 = (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>);

/// Begins to speak HTTP/2.
async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Http2 {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Keeps what is read.
struct Recorded<S>(S, Arc<Mutex<Vec<u8>>>);

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.0).poll_read(cx, buffer);
        self.1.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

/// Returns how many records of application data there are: their type is 23 (RFC 8446, section 5.1).
fn records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        count += usize::from(*kind == 23);
        bytes = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    count
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

// A runtime of many threads lets the connection run right after each answer; that of one does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_ready_together_comes_together() {
    let world = world(config(), limits()).await;
    for path in ["/together", "/together-streamed"] {
        let read = Arc::new(Mutex::new(Vec::new()));
        let stream = Recorded(TcpStream::connect(world.https).await.unwrap(), Arc::clone(&read));
        let (mut sender, connection) = http2(world.tls_over(stream, b"h2", None).await).await;
        let request = || http::Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
        let answers: Vec<_> = (0..TOGETHER).map(|_| tokio::spawn(sender.send_request(request()))).collect();
        for answer in answers {
            let body = answer.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "done");
        }
        let records = records(&read.lock().unwrap());
        assert!(records <= TOGETHER / 5, "{path}: {records} records for {TOGETHER} answers");
        drop(sender);
        let _ = connection.await;
    }
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn a_refusal_behind_an_answer_has_its_body() {
    let world = world(config(), limits()).await;
    let mut stream = TcpStream::connect(world.http).await.unwrap();
    stream.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n\0\0\r\n\r\n").await.unwrap();
    let answers = read_to_end(&mut stream).await;
    assert!(answers.contains("encrypted=false"), "{answers}");
    assert!(answers.contains("the request is no HTTP/1.1 request"), "{answers}");
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let world = world(config(), limits()).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(world.http).await.unwrap();
    let mut silent_tls = TcpStream::connect(world.https).await.unwrap();
    let mut silent_after_handshake = world.tls(b"http/1.1", None).await;
    let mut silent_http2 = world.tls(b"h2", None).await;
    let mut half = TcpStream::connect(world.http).await.unwrap();
    half.write_all(b"GET /peer HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    tokio::join!(
        read_to_end(&mut silent),
        read_to_end(&mut silent_tls),
        read_to_end(&mut silent_after_handshake),
        read_to_end(&mut silent_http2),
        read_to_end(&mut half),
    );
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    // Who has brought one request is not silent.
    let mut busy = TcpStream::connect(world.http).await.unwrap();
    send(&mut busy, "/slow").await;
    world.entered.notified().await;
    let mut later = TcpStream::connect(world.http).await.unwrap();
    assert_eq!(read_to_end(&mut later).await, "", "closed in silence, after the busy one's time was over too");
    world.release.notify_one();
    read_until(&mut busy, "done").await;
    drop(busy);
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let world = world(config(), limits()).await;
    let mut many = TcpStream::connect(world.http).await.unwrap();
    let mut request = String::from("GET /peer HTTP/1.1\r\nhost: x\r\n");
    for number in 0..200 {
        request.push_str(&format!("x-{number}: y\r\n"));
    }
    many.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut many).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    for bytes in [100_000, 3_000_000] {
        let mut large = TcpStream::connect(world.http).await.unwrap();
        let head =
            format!("GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-large: {}\r\n\r\n", "y".repeat(bytes));
        // The server may close before all is written; what it has answered by then is there to be read.
        let _ = large.write_all(head.as_bytes()).await;
        let answer = read_to_end(&mut large).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{bytes}: {answer}");
        assert!(answer.contains("the request's head is too large"), "{bytes}: {answer}");
    }
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let mut stream = TcpStream::connect(world.http).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    let mut fine = TcpStream::connect(world.http).await.unwrap();
    send(&mut fine, "/peer").await;
    read_until(&mut fine, "encrypted=false").await;
    drop(fine);
    assert_eq!(world.end().await, Drained::Clean);
}

/// One frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:method GET`, `:scheme https`, `:path /peer` and `:authority x`, with names from the static table of RFC 7541.
const HEAD: &[u8] = b"\x82\x87\x44\x05/peer\x41\x01x";
/// `a: b`, not indexed.
const FIELD: [u8; 5] = [0, 1, b'a', 1, b'b'];

/// Begins to speak HTTP/2, frame by frame.
fn greeting() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, b"")].concat()
}

#[tokio::test]
async fn floods_of_headers_over_http2_are_refused() {
    let world = world(config(), limits()).await;
    // Above the limit the answer is ours, above twice of it the library's.
    let (mut sender, connection) = http2(world.tls(b"h2", None).await).await;
    for bytes in [70_000, 200_000] {
        let mut request = http::Request::get("https://localhost/peer");
        for number in 0..bytes / 10_000 {
            request = request.header(format!("x-{number}"), "y".repeat(10_000));
        }
        let answer = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 431, "{bytes}");
    }
    let fine = http::Request::get("https://localhost/peer").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(fine).await.unwrap().status(), 200, "other requests go on");
    drop(sender);
    let _ = connection.await;
    // A head that never ends, in frames that each are small.
    for (name, payload) in
        [("empty frames", vec![]), ("small frames", FIELD.to_vec()), ("large frames", FIELD.repeat(3000))]
    {
        let (mut reading, mut writing) = tokio::io::split(world.tls(b"h2", None).await);
        writing.write_all(&[greeting(), frame(HEADERS, END_STREAM, 1, HEAD)].concat()).await.unwrap();
        let more = frame(CONTINUATION, 0, 1, &payload);
        let flood = async {
            let mut sent = 0;
            while sent < 64 << 20 && writing.write_all(&more).await.is_ok() {
                sent += more.len();
            }
            sent
        };
        let sent = tokio::select! {
            sent = flood => sent,
            _ = read_to_end(&mut reading) => 0,
        };
        assert!(sent < 64 << 20, "{name} are read without an end");
    }
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn http2_connections_that_rest_are_closed() {
    let world = world(config(), LimitsConfig { idle_seconds: 1, ..limits() }).await;
    let begun = Instant::now();
    // The client answers every ping: it lives, and asks nothing.
    let (mut resting, rested) = http2(world.tls(b"h2", None).await).await;
    let (mut watching, watched) = http2(world.tls(b"h2", None).await).await;
    let get = |path: &str| http::Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
    assert_eq!(resting.send_request(get("/peer")).await.unwrap().status(), 200);
    let mut watch = watching.send_request(get("/watch")).await.unwrap().into_body();
    assert_eq!(watch.frame().await.unwrap().unwrap().into_data().unwrap(), "first\n");
    // A head that is begun after a whole request and never ends.
    let mut half = world.tls(b"h2", None).await;
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD);
    half.write_all(&[greeting(), whole, frame(HEADERS, END_STREAM, 3, HEAD)].concat()).await.unwrap();
    // An answer that nobody takes: the window of every stream is nothing.
    let mut closed_window = world.tls(b"h2", None).await;
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, HEAD);
    closed_window.write_all(&[greeting(), no_window, whole].concat()).await.unwrap();
    let _ = tokio::join!(rested, read_to_end(&mut half), read_to_end(&mut closed_window));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(resting.send_request(get("/peer")).await.is_err(), "the connection is closed");
    // A watch on which nothing happens is no rest.
    assert_eq!(watching.send_request(get("/peer")).await.unwrap().status(), 200);
    world.stop.cancel();
    assert_eq!(watch.frame().await.unwrap().unwrap().into_data().unwrap(), "last\n");
    drop((watch, watching));
    let _ = watched.await;
    assert_eq!(world.end().await, Drained::Clean);
}

/// Waits until something is so; not for ever.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within 20 s");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up_alone() {
    let world = world(config(), LimitsConfig { answer_seconds: 1, ..limits() }).await;
    let (mut sender, connection) = http2(world.tls(b"h2", None).await).await;
    let get = |path: &str| http::Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
    let reading = || world.places.in_flight(Class::Reading);
    let figure = |count: usize| {
        let text = world.metrics.render(crate::metrics::TextForm::OpenMetrics);
        text.contains(&format!("cc_api_answers_given_up_total {count}\n"))
    };
    let mut unread = Vec::new();
    for path in ["/large", "/pieces", "/endless"] {
        unread.push(sender.send_request(get(path)).await.unwrap().into_body());
    }
    assert_eq!(reading(), 2, "an answer holds its place while it is read");
    until("both let their places go", || reading() == 0).await;
    assert!(figure(2), "{}", world.metrics.render(crate::metrics::TextForm::OpenMetrics));
    assert_eq!(sender.send_request(get("/peer")).await.unwrap().status(), 200, "others on the connection go on");
    let endless = unread.pop().unwrap();
    for mut body in unread {
        let mut read = 0;
        let end = loop {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                end => break end,
            }
        };
        assert!(end.is_some_and(|end| end.is_err()) && read < LARGE_BYTES, "{read} bytes are not the whole");
    }
    // Streams have no such end: whoever pauses `kubectl logs --follow` goes on where it was.
    let mut endless = endless;
    let mut read = 0;
    while read < LARGE_BYTES {
        read += endless.frame().await.unwrap().unwrap().data_ref().map_or(0, Bytes::len);
    }
    drop((endless, sender));
    let _ = connection.await;
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn who_reads_slowly_gets_everything() {
    let world = world(config(), LimitsConfig { answer_seconds: 1, ..limits() }).await;
    let (mut sender, connection) = http2(world.tls(b"h2", None).await).await;
    for path in ["/large", "/pieces"] {
        let request = http::Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        let (begun, mut read, mut pause) = (Instant::now(), 0, 0);
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().data_ref().map_or(0, Bytes::len);
            if read >> 20 > pause {
                pause = read >> 20;
                tokio::time::sleep(Duration::from_millis(70)).await;
            }
        }
        assert_eq!(read, LARGE_BYTES, "{path}");
        assert!(begun.elapsed() > Duration::from_millis(1500), "that was not slow");
    }
    assert_eq!(world.places.in_flight(Class::Reading), 0);
    drop(sender);
    let _ = connection.await;
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn connections_on_which_nothing_is_read_are_closed() {
    let world = world(config(), LimitsConfig { answer_seconds: 1, ..limits() }).await;
    let mut unread = Vec::new();
    for path in ["/large", "/pieces", "/endless"] {
        let mut plain = TcpStream::connect(world.http).await.unwrap();
        send(&mut plain, path).await;
        let mut encrypted = world.tls(b"http/1.1", None).await;
        send(&mut encrypted, path).await;
        unread.push((plain, encrypted));
    }
    let count = |wanted: &str| world.metrics.render(crate::metrics::TextForm::OpenMetrics).contains(wanted);
    assert!(count("cc_api_connections 6\n"));
    until("they are closed", || count("cc_api_connections 0\n")).await;
    assert_eq!(world.places.in_flight(Class::Reading), 0);
    drop(unread);
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let world = world(ServerConfig { connections_max: 2, ..config() }, limits()).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.http).await.unwrap();
        send(&mut stream, "/peer").await;
        read_until(&mut stream, "encrypted=false").await;
        held.push(stream);
    }
    let mut third = TcpStream::connect(world.http).await.unwrap();
    assert_eq!(read_to_end(&mut third).await, "");
    assert!(world.metrics.render(crate::metrics::TextForm::OpenMetrics).contains("cc_api_connections_refused_total 1"));
    drop(held);
    assert_eq!(world.end().await, Drained::Clean);
}

#[tokio::test]
async fn a_drain_finishes_requests_and_ends_streams() {
    let world = world(config(), limits()).await;
    world.lifecycle.health.set_started();
    let mut slow = TcpStream::connect(world.http).await.unwrap();
    send(&mut slow, "/slow").await;
    world.entered.notified().await;
    let mut watch = world.tls(b"http/1.1", None).await;
    send(&mut watch, "/watch").await;
    world.entered.notified().await;
    read_until(&mut watch, "first").await;
    let mut idle = TcpStream::connect(world.http).await.unwrap();
    send(&mut idle, "/peer").await;
    read_until(&mut idle, "encrypted=false").await;
    assert_eq!(world.lifecycle.health.answer("/readyz", None).unwrap().code, 200);
    world.stop.cancel();
    let rest = read_to_end(&mut watch).await;
    assert!(rest.contains("last\n") && rest.ends_with("0\r\n\r\n"), "the stream ends, it is not cut: {rest:?}");
    assert_eq!(world.lifecycle.health.answer("/readyz", None).unwrap().code, 500);
    assert_eq!(world.lifecycle.health.answer("/livez", None).unwrap().code, 200);
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(TcpStream::connect(world.http).await.is_err(), "nobody new is let in");
    world.release.notify_one();
    let answer = read_to_end(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    assert_eq!(world.running.await.unwrap(), Drained::Clean);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_in_time() {
    let world = world(ServerConfig { drain_seconds: 2, ..config() }, limits()).await;
    let mut stuck = TcpStream::connect(world.http).await.unwrap();
    send(&mut stuck, "/slow").await;
    world.entered.notified().await;
    let begun = Instant::now();
    world.stop.cancel();
    assert_eq!(world.running.await.unwrap(), Drained::CutOff(1));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(read_to_end(&mut stuck).await, "");
}

#[tokio::test]
async fn addresses_are_checked_before_anything_is_bound() {
    let with = |http: &str, https: &str, insecure_http| ServerConfig {
        http: http.to_owned(),
        https: https.to_owned(),
        insecure_http,
        ..ServerConfig::default()
    };
    let refused = async |config| Listeners::bind(&config).await.unwrap_err();
    assert!(matches!(refused(with("0.0.0.0:0", "", false)).await, BindError::Insecure(_)));
    assert!(matches!(refused(with("[::]:0", "", false)).await, BindError::Insecure(_)));
    assert!(matches!(refused(with("", "", false)).await, BindError::Nothing));
    assert!(matches!(refused(with("localhost", "", false)).await, BindError::Address { .. }));
    let open = Listeners::bind(&with("0.0.0.0:0", "", true)).await.unwrap();
    let taken = open.addresses().0.unwrap();
    let error = refused(with(&taken.to_string(), "", true)).await.to_string();
    assert!(error.starts_with(&format!("listen on {taken}: ")) && error.contains("--http"), "{error}");
    assert!(Listeners::bind(&with("127.0.0.1:0", "[::1]:0", false)).await.is_ok());
}

#[test]
fn systemd_is_told() {
    use std::os::linux::net::SocketAddrExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut buffer = [0; 256];
    notify(path.as_os_str(), Notice::Ready).unwrap();
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"READY=1\nSTATUS=serving\n");
    let name = format!("ccd-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = std::os::unix::net::UnixDatagram::bind_addr(&address).unwrap();
    notify(std::ffi::OsStr::from_bytes(format!("@{name}").as_bytes()), Notice::Stopping).unwrap();
    let count = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..count].starts_with(b"STOPPING=1\n"));
    assert!(notify(directory.path().join("none").as_os_str(), Notice::Ready).is_err());
}
