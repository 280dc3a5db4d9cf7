//! Answers over HTTP. Strangers talk to it: it knows one path, reads no bodies, and gives away only what it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::{Answers, PORT_IN_USE};
use crate::error::Error;

/// The beginning of all paths that are known.
const PREFIX: &str = "/.well-known/acme-challenge/";
/// Ports that may be open at the same time.
const PORTS_MAX: usize = 8;
/// Answers that may be known at the same time.
const ANSWERS_MAX: usize = 2000;
/// Connections that may be open at the same time on one port; more wait.
const CONNECTIONS_MAX: usize = 64;
/// Time for the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// All ports that are open.
#[derive(Default)]
pub(super) struct Desk {
    shared: Arc<Mutex<Counters>>,
}

#[derive(Default)]
struct Counters {
    /// By owner: the port, and what is answered on it.
    owners: BTreeMap<String, (u16, Answers)>,
    open: BTreeMap<u16, AbortHandle>,
}

impl Desk {
    pub(super) fn answer(&self, listen: IpAddr, owner: &str, port: u16, answers: &Answers) -> Result<(), Error> {
        let mut counters = lock(&self.shared);
        counters.owners.remove(owner);
        let known: usize = counters.owners.values().map(|(_, answers)| answers.len()).sum();
        if known + answers.len() > ANSWERS_MAX {
            let message =
                format!("ccd answers authorities about {known} names already, and never more than {ANSWERS_MAX}");
            return Err(Error::retryable("CapacityExceeded", message));
        }
        if !answers.is_empty() {
            if !counters.open.contains_key(&port) {
                let task = self.open(&counters, listen, port)?;
                counters.open.insert(port, task);
            }
            counters.owners.insert(owner.to_owned(), (port, answers.clone()));
        }
        let used: BTreeSet<u16> = counters.owners.values().map(|(port, _)| *port).collect();
        counters.open.retain(|port, task| {
            let stays = used.contains(port);
            if !stays {
                task.abort();
            }
            stays
        });
        Ok(())
    }

    pub(super) fn answers(&self, owner: &str) -> BTreeSet<String> {
        let counters = lock(&self.shared);
        counters.owners.get(owner).map(|(_, answers)| answers.keys().cloned().collect()).unwrap_or_default()
    }

    fn open(&self, counters: &Counters, listen: IpAddr, port: u16) -> Result<AbortHandle, Error> {
        if counters.open.len() >= PORTS_MAX {
            let message = format!("{PORTS_MAX} ports are open for authorities already: use one of theirs");
            return Err(Error::retryable("CapacityExceeded", message));
        }
        let in_use = |error: std::io::Error| {
            let message = format!(
                "port {port} cannot be opened on {listen}, where an authority would get its answer: stop what listens there \
                 (ss -ltnp), or choose another in spec.source.acme.http01.port"
            );
            Error::retryable(PORT_IN_USE, message).because(error)
        };
        let bound = StdListener::bind(SocketAddr::new(listen, port)).or_else(|error| {
            // A machine without IPv6 has no `::`.
            let is_missing = listen.is_unspecified() && listen.is_ipv6() && !is_in_use(&error);
            if is_missing { StdListener::bind((Ipv4Addr::UNSPECIFIED, port)) } else { Err(error) }
        });
        let listener = bound.map_err(in_use)?;
        listener.set_nonblocking(true).map_err(in_use)?;
        let listener = TcpListener::from_std(listener).map_err(in_use)?;
        Ok(tokio::spawn(serve(listener, port, self.shared.clone())).abort_handle())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        lock(&self.shared).open.values().for_each(AbortHandle::abort);
    }
}

fn is_in_use(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied)
}

fn lock(shared: &Mutex<Counters>) -> MutexGuard<'_, Counters> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, port: u16, shared: Arc<Mutex<Counters>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed.
    while let Ok(place) = room.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Without a file descriptor left, for example: nothing hurries.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = respond(&shared, port, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_MAX)
                .keep_alive(false)
                .max_headers(64)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever breaks off gets no answer.
            let _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await;
            drop(place);
        });
    }
}

fn respond(shared: &Mutex<Counters>, port: u16, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let wanted = request.uri().path().strip_prefix(PREFIX);
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let found = wanted.filter(|_| is_reading).and_then(|wanted| {
        let counters = lock(shared);
        counters.owners.values().filter(|(at, _)| *at == port).find_map(|(_, answers)| answers.get(wanted).cloned())
    });
    let (status, text) = match found {
        Some(answer) => (StatusCode::OK, answer),
        None => (StatusCode::NOT_FOUND, "ccd answers no such challenge\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
