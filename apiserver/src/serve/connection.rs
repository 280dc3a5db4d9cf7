//! One connection: handshake, protocol, requests, and the timers around them.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use futures::TryFutureExt as _;
use futures::future::Either;
use http::header::{CACHE_CONTROL, CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Answers;
use super::gathering::gathering;
use super::refusals::{self, WithBodies};
use crate::answer::failure;
use crate::authentication::Peer;
use crate::authentication::certificate::ClientCertificate;
use crate::config::LimitsConfig;
use crate::negotiation::{Encoding, Form, Negotiated};

/// Real API servers allow 1000 streams; each watch of a client is one.
const STREAMS_MAX: u32 = 4096;
/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Flow control: one stream's and one connection's unread request bytes.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// How connections are served; shared by all of them.
pub(super) struct Connections<A> {
    answers: A,
    http1: Arc<Builder<TokioExecutor>>,
    http2: Arc<Builder<TokioExecutor>>,
    head: HeadLimits,
    /// Ends handshakes: who has not asked anything yet loses nothing.
    stop: CancellationToken,
    /// Ends everything.
    cut: CancellationToken,
}

/// How large and how slow a request's head may be.
#[derive(Clone, Copy)]
struct HeadLimits {
    timeout: Duration,
    bytes_max: usize,
}

impl<A: Answers> Connections<A> {
    pub(super) fn new(answers: A, limits: &LimitsConfig, stop: CancellationToken, cut: CancellationToken) -> Self {
        let head =
            HeadLimits { timeout: Duration::from_secs(limits.header_seconds), bytes_max: limits.header_bytes_max };
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head.timeout.max(KEEP_ALIVE))
            .max_buf_size(limits.header_bytes_max);
        let mut http2 = Builder::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            // Heads up to twice the limit are read, so that they are refused with our own answer; the library's has
            // no body.
            .max_header_list_size(u32::try_from(limits.header_bytes_max.saturating_mul(2)).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { answers, http1: Arc::new(http1), http2: Arc::new(http2), head, stop, cut }
    }

    /// Returns the whole life of a connection. Errors end it and are nobody else's business.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (answers, head) = (self.answers.clone(), self.head);
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        let (http1, http2) = (Arc::clone(&self.http1), Arc::clone(&self.http2));
        async move {
            let Some(tls) = tls else {
                let peer = Arc::new(Peer { address, encrypted: false, certificate: None });
                return drive(stream, &http1, answers, peer, watcher, &cut, head).await;
            };
            let handshake = tokio::time::timeout(head.timeout, TlsAcceptor::from(tls).accept(stream));
            let stream = tokio::select! {
                result = handshake => match result {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%address, "TLS handshake failed: {error}"),
                    Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
                },
                () = stop.cancelled() => return,
            };
            let session = stream.get_ref().1;
            let http2_chosen = session.alpn_protocol() == Some(b"h2");
            let certificate = match session.peer_certificates().and_then(<[_]>::first) {
                None => None,
                Some(der) => match ClientCertificate::from_der(der) {
                    Ok(certificate) => Some(Arc::new(certificate)),
                    Err(error) => return tracing::warn!(%address, "closed a connection: failed to {error}"),
                },
            };
            let peer = Arc::new(Peer { address, encrypted: true, certificate });
            let builder = if http2_chosen { &http2 } else { &http1 };
            drive(stream, builder, answers, peer, watcher, &cut, head).await;
        }
    }
}

fn head_bytes(request: &Request<Incoming>) -> usize {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

/// Holds `present` until the end of an answer that is still being made.
fn holding<P: Send + 'static>(response: Response<Body>, present: P) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_the_end = &present;
            frame
        }))
    })
}

/// Announces the end of the connection after this answer, when it is the last.
fn closing(mut response: Response<Body>, is_last: bool) -> Response<Body> {
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn head_too_large() -> Response<Body> {
    let negotiated = Negotiated { encoding: Encoding::Json, form: Form::Object, gzip: false };
    let mut answer = failure(&refusals::head_too_large(), &negotiated);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// How long an HTTP/1.1 connection may rest between two requests; the same timer also bounds a later request's head.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

async fn drive<S, A>(
    stream: S,
    builder: &Builder<TokioExecutor>,
    answers: A,
    peer: Arc<Peer>,
    watcher: Watcher,
    cut: &CancellationToken,
    head: HeadLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answers,
{
    let begun = Arc::new(AtomicBool::new(false));
    // Held once for each request until its answer is there, and by answers that have no length until they end.
    let requests = Arc::new(());
    let head_bytes_max = head.bytes_max;
    let service = {
        let (begun, peer, requests) = (Arc::clone(&begun), Arc::clone(&peer), Arc::downgrade(&requests));
        service_fn(move |mut request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            // The library bounds its buffer, which may hold more than one head.
            if head_bytes(&request) > head_bytes_max {
                Either::Left(std::future::ready(Ok(head_too_large())))
            } else {
                request.extensions_mut().insert(Arc::clone(&peer));
                // Where a chunked body ends, a proxy in front may see it otherwise: what follows is never read as a
                // request of whoever that proxy believes to be speaking.
                let is_last = request.headers().contains_key(TRANSFER_ENCODING);
                let present = requests.upgrade();
                let answer = answers.clone().call(request.map(Body::new));
                Either::Right(answer.map_ok(move |response| closing(holding(response, present), is_last)))
            }
        })
    };
    let has_streams = builder.is_http2_available();
    let (stream, writer) = gathering(stream);
    // On top: what the library writes by itself is told apart by its beginning.
    let connection = builder.serve_connection(TokioIo::new(WithBodies::new(stream)), service).into_owned();
    let mut connection = std::pin::pin!(watcher.watch(connection));
    let mut connection = poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => match writer.write(context, has_streams && Arc::strong_count(&requests) > 1) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        },
    });
    let silent = async {
        tokio::time::sleep(head.timeout).await;
        if begun.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        result = &mut connection => {
            if let Err(error) = result {
                tracing::debug!(address = %peer.address, "connection ended: {error}");
            }
        }
        () = silent => tracing::debug!(address = %peer.address, "closed a connection that sent no request in time"),
        () = cut.cancelled() => {}
    }
}
