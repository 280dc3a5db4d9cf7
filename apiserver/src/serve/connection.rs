//! One connection: handshake, protocol, requests, and the timers around them.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use futures::TryFutureExt as _;
use futures::future::Either;
use http::header::{CACHE_CONTROL, CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::{Request, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Answers;
use super::delivery::Delivering;
use super::gathering::gathering;
use super::refusals::{self, WithBodies};
use crate::answer::failure;
use crate::authentication::Peer;
use crate::authentication::certificate::ClientCertificate;
use crate::config::LimitsConfig;
use crate::metrics::Metrics;
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
    terms: Terms,
}

/// What every connection has to keep to.
#[derive(Clone)]
struct Terms {
    patience: Patience,
    delivering: Delivering,
    ends: Ends,
}

/// How large and how slow a request's head may be, and how long nothing may come at all.
#[derive(Clone, Copy)]
struct Patience {
    head: Duration,
    idle: Duration,
    head_bytes_max: usize,
}

/// The ends that the server puts to connections, one after the other.
#[derive(Clone, Default)]
pub(super) struct Ends {
    /// Ends handshakes: who has not asked anything yet loses nothing.
    pub stop: CancellationToken,
    /// Ends connections once what is in work has been answered.
    pub finish: CancellationToken,
    /// Ends everything.
    pub cut: CancellationToken,
}

impl<A: Answers> Connections<A> {
    pub(super) fn new(answers: A, limits: &LimitsConfig, metrics: &Metrics, ends: Ends) -> Self {
        let patience = Patience {
            head: Duration::from_secs(limits.header_seconds),
            idle: Duration::from_secs(limits.idle_seconds),
            head_bytes_max: limits.header_bytes_max,
        };
        let mut http1 = Builder::new(TokioExecutor::new()).http1_only();
        http1
            .http1()
            .timer(TokioTimer::new())
            // The same timer bounds the rest between two requests and the head of a later one.
            .header_read_timeout(patience.head.max(patience.idle))
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
        let delivering = Delivering { patience: Duration::from_secs(limits.answer_seconds), metrics: metrics.clone() };
        let terms = Terms { patience, delivering, ends };
        Self { answers, http1: Arc::new(http1), http2: Arc::new(http2), terms }
    }

    /// Returns the whole life of a connection. Errors end it and are nobody else's business.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (answers, terms) = (self.answers.clone(), self.terms.clone());
        let (http1, http2) = (Arc::clone(&self.http1), Arc::clone(&self.http2));
        async move {
            let Some(tls) = tls else {
                let peer = Arc::new(Peer { address, encrypted: false, certificate: None });
                return drive(stream, &http1, answers, peer, &terms).await;
            };
            let handshake = tokio::time::timeout(terms.patience.head, TlsAcceptor::from(tls).accept(stream));
            let stream = tokio::select! {
                result = handshake => match result {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%address, "TLS handshake failed: {error}"),
                    Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
                },
                () = terms.ends.stop.cancelled() => return,
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
            drive(stream, builder, answers, peer, &terms).await;
        }
    }
}

fn head_bytes(request: &Request<Incoming>) -> usize {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    request.headers().iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
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

async fn drive<S, A>(stream: S, builder: &Builder<TokioExecutor>, answers: A, peer: Arc<Peer>, terms: &Terms)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answers,
{
    let Terms { patience, delivering, ends } = terms;
    // How many requests have come.
    let begun = Arc::new(AtomicU64::new(0));
    // Held once for each request until its answer is there, and by answers that have no length until they end.
    let requests = Arc::new(());
    let head_bytes_max = patience.head_bytes_max;
    let service = {
        let (begun, peer, requests) = (Arc::clone(&begun), Arc::clone(&peer), Arc::downgrade(&requests));
        let delivering = delivering.clone();
        service_fn(move |mut request: Request<Incoming>| {
            begun.fetch_add(1, Ordering::Relaxed);
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
                let delivering = delivering.clone();
                Either::Right(answer.map_ok(move |response| closing(delivering.deliver(response, present), is_last)))
            }
        })
    };
    let has_streams = builder.is_http2_available();
    let (stream, writer) = gathering(stream);
    // On top: what the library writes by itself is told apart by its beginning.
    let connection = builder.serve_connection(TokioIo::new(WithBodies::new(stream)), service).into_owned();
    let mut connection = std::pin::pin!(connection);
    let is_busy = || is_busy(&requests);
    let silent = async {
        tokio::time::sleep(patience.head).await;
        if begun.load(Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
    };
    let (mut silent, mut idle) = (std::pin::pin!(silent), std::pin::pin!(idle(patience.idle, &requests, &begun)));
    let mut end: Option<End> = None;
    loop {
        let work = poll_fn(|context| match connection.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => match writer.write(context, has_streams && is_busy()) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error.into())),
            },
        });
        let reason = tokio::select! {
            result = work => {
                if let Err(error) = result {
                    tracing::debug!(address = %peer.address, "connection ended: {error}");
                }
                return;
            }
            () = &mut silent => {
                return tracing::debug!(address = %peer.address, "closed a connection that sent no request in time");
            }
            () = ends.cut.cancelled() => return,
            () = ends.finish.cancelled(), if end.is_none() => End::Drain,
            () = &mut idle, if has_streams && end.is_none() => End::Idle,
            () = tokio::time::sleep(patience.head), if end == Some(End::Idle) => {
                return tracing::debug!(address = %peer.address, "closed a connection that does not end");
            }
        };
        // What is in work is still answered, and the other side knows that nothing else will be.
        connection.as_mut().graceful_shutdown();
        end = Some(reason);
    }
}

/// Returns whether a request has no answer yet, or one that has no end yet.
fn is_busy(requests: &Arc<()>) -> bool {
    Arc::strong_count(requests) > 1
}

/// Returns when nothing has been asked for at least `time`, and at most twice that. HTTP/1.1 has a timer of its own. Who
/// answers pings lives, which is no reason to keep a connection.
async fn idle(time: Duration, requests: &Arc<()>, begun: &AtomicU64) {
    let mut before = None;
    loop {
        let now = (!is_busy(requests)).then(|| begun.load(Ordering::Relaxed));
        if now.is_some() && now == before {
            return;
        }
        before = now;
        tokio::time::sleep(time).await;
    }
}

/// Why a connection is brought to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server stops.
    Drain,
    /// Nothing has been asked for long.
    Idle,
}
