//! Listeners and connections: accept, handshake, serve, and an end that loses nothing.
//!
//! The protocol is decided by ALPN, not by reading ahead, so that a silent client is under a timer from its first
//! moment on. A connection that has not brought a whole request head in time is closed.

mod connection;
mod delivery;
mod gathering;
mod refusals;
pub mod systemd;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{LimitsConfig, ServerConfig};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::tls::Pki;
use connection::{Connections, Ends};
pub(crate) use delivery::is_small;

/// What is left of the drain's time for cutting connections and closing logs.
const CUT_OFF: Duration = Duration::from_millis(1000);
/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The state that everything long-lived shares: health, and the word that the end has come.
#[derive(Clone, Default)]
pub struct Lifecycle {
    /// Readiness and liveness.
    pub health: Health,
    /// Cancelled when the drain begins: watches and log streams end cleanly, clients connect elsewhere or again.
    pub streams_end: CancellationToken,
}

/// Bound sockets, not accepting yet.
#[derive(Debug)]
pub struct Listeners {
    /// Without TLS.
    pub http: Option<TcpListener>,
    /// With TLS.
    pub https: Option<TcpListener>,
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Not an address.
    #[error("listen on {address:?}: it is no address; write IP:PORT such as 127.0.0.1:8443")]
    Address {
        /// What was given.
        address: String,
    },
    /// The system refused.
    #[error("listen on {address}: {source}; choose another address with {flag}, port 0 takes any that is free")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Which flag changes it.
        flag: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Tokens would travel readable.
    #[error(
        "listen without TLS on {0}: other machines can reach it and tokens would travel readable; use --https for \
         them, or set `insecure_http = true` under [server] when a proxy in front adds TLS"
    )]
    Insecure(SocketAddr),
    /// Nothing to listen on.
    #[error("listen: both listeners are turned off; give --http or --https an address")]
    Nothing,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Clean,
    /// This many had to be cut off when the time was over.
    CutOff(usize),
}

impl Listeners {
    /// Binds what the configuration says.
    ///
    /// # Errors
    /// When an address is malformed, taken, or unsafe.
    pub async fn bind(config: &ServerConfig) -> Result<Self, BindError> {
        let http = parse(&config.http)?;
        let https = parse(&config.https)?;
        if let Some(address) = http.filter(|address| !address.ip().is_loopback() && !config.insecure_http) {
            return Err(BindError::Insecure(address));
        }
        if http.is_none() && https.is_none() {
            return Err(BindError::Nothing);
        }
        Ok(Self { http: bind(http, "--http").await?, https: bind(https, "--https").await? })
    }

    /// Returns the addresses in use, ports filled in.
    #[must_use]
    pub fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let address =
            |listener: &Option<TcpListener>| listener.as_ref().and_then(|listener| listener.local_addr().ok());
        (address(&self.http), address(&self.https))
    }
}

fn parse(address: &str) -> Result<Option<SocketAddr>, BindError> {
    if address.is_empty() {
        return Ok(None);
    }
    address.parse().map(Some).map_err(|_| BindError::Address { address: address.to_owned() })
}

async fn bind(address: Option<SocketAddr>, flag: &'static str) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = address else { return Ok(None) };
    TcpListener::bind(address).await.map(Some).map_err(|source| BindError::Bind { address, flag, source })
}

/// What answers requests; each carries an `Arc<Peer>` extension. Every connection has a clone of its own.
pub trait Answers:
    tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<A> Answers for A where
    A: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Everything that serving needs.
pub struct Server<A> {
    /// Where.
    pub listeners: Listeners,
    /// What.
    pub answers: A,
    /// Certificates; needed when there is an HTTPS listener.
    pub pki: Option<Arc<Pki>>,
    /// Connections, drain.
    pub config: ServerConfig,
    /// Heads, bodies, time.
    pub limits: LimitsConfig,
    /// Health and the end of streams.
    pub lifecycle: Lifecycle,
    /// Connection counts.
    pub metrics: Metrics,
}

impl<A: Answers> Server<A> {
    /// Serves until `stop` is cancelled, then drains: not ready, no new connections, streams end, requests finish.
    /// Returns within the configured time.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let drain = Duration::from_secs(self.config.drain_seconds);
        let tracker = TaskTracker::new();
        let ends = Ends { stop: stop.clone(), ..Ends::default() };
        let shared = Arc::new(Accepting {
            connections: Connections::new(self.answers, &self.limits, &self.metrics, ends.clone()),
            places: Arc::new(Semaphore::new(self.config.connections_max.min(Semaphore::MAX_PERMITS))),
            unread_milliseconds_max: i32::try_from(self.limits.answer_seconds.saturating_mul(1000))
                .unwrap_or(i32::MAX)
                .unsigned_abs(),
            tracker: tracker.clone(),
            metrics: self.metrics,
        });
        let accept = |listener: Option<TcpListener>, pki: Option<Arc<Pki>>| {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            async move {
                if let Some(listener) = listener {
                    shared.accept(&listener, pki.as_ref(), &stop).await;
                }
            }
        };
        let plain = accept(self.listeners.http, None);
        let encrypted = accept(self.listeners.https.filter(|_| self.pki.is_some()), self.pki);
        let health = self.lifecycle.health.clone();
        let unready = async {
            stop.cancelled().await;
            health.set_draining();
        };
        // The listeners are closed when their loops return.
        tokio::join!(unready, plain, encrypted);
        self.lifecycle.streams_end.cancel();
        tracker.close();
        let patient = drain.saturating_sub(CUT_OFF).max(Duration::from_millis(100));
        ends.finish.cancel();
        if tokio::time::timeout(patient, tracker.wait()).await.is_ok() {
            return Drained::Clean;
        }
        let left = tracker.len();
        ends.cut.cancel();
        // Cut connections end at their next poll; the process does not wait for more than that.
        let _ = tokio::time::timeout(CUT_OFF / 2, tracker.wait()).await;
        Drained::CutOff(left)
    }
}

/// What the accept loops share.
struct Accepting<A> {
    connections: Connections<A>,
    places: Arc<Semaphore>,
    /// How long something may be sent before the client has read of it.
    unread_milliseconds_max: u32,
    tracker: TaskTracker,
    metrics: Metrics,
}

impl<A: Answers> Accepting<A> {
    async fn accept(&self, listener: &TcpListener, pki: Option<&Arc<Pki>>, stop: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.start(stream, address, pki),
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!("failed to accept connections: {error}; is the limit of open files too low?");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, address: SocketAddr, pki: Option<&Arc<Pki>>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // Dropping closes it: a queue of waiting connections would only hide the overload.
            self.metrics.connection_refused();
            return;
        };
        // Answers are written whole; waiting to fill packets only adds latency.
        let _ = stream.set_nodelay(true);
        // Nobody waits for a client that is gone, or has stopped reading: this counts closed windows too (tcp(7)).
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, self.unread_milliseconds_max);
        let open = self.metrics.connection_opened();
        let serve = self.connections.serve(stream, address, pki.map(|pki| pki.server_config()));
        self.tracker.spawn(async move {
            serve.await;
            drop((place, open));
        });
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
