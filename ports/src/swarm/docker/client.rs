//! [`Client`]: HTTP to one engine.
//!
//! One request has one connection; connections are used again when the whole answer was read. Every path carries the
//! version of the API that was agreed upon, so that a newer engine does not answer in ways that we do not know.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::address::{Address, Complaints};
use super::refusal::{CallError, Refusal};
use crate::error::Error;
use crate::swarm::{CALL_TIME_MAX, RegistryAuth};

/// The newest API that we know; an older engine is spoken to in its own.
const API_NEWEST: Api = Api { major: 1, minor: 47 };
/// The oldest API that has all we need: jobs came with it, in Docker 20.10.
const API_OLDEST: Api = Api { major: 1, minor: 41 };
/// Most bytes of an answer that is read as a whole.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Most connections that are kept for later.
const IDLE_MAX: usize = 4;
/// What need not be escaped in a path: a name of an image has slashes and colons of its own.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b':').remove(b'@').remove(b'.').remove(b'_').remove(b'-');

type Sender = SendRequest<Full<Bytes>>;

/// A version of the engine's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Api {
    major: u32,
    minor: u32,
}

impl Api {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Method,
    path: String,
    query: String,
    content_type: Option<&'static str>,
    body: Bytes,
    auth: Option<String>,
    is_upgrade: bool,
}

impl Request {
    pub(super) fn new(method: Method, path: &str) -> Self {
        let path = utf8_percent_encode(path, IN_PATH).to_string();
        Self {
            method,
            path,
            query: String::new(),
            content_type: None,
            body: Bytes::new(),
            auth: None,
            is_upgrade: false,
        }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        let separator = if self.query.is_empty() { '?' } else { '&' };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        write!(self.query, "{separator}{key}={value}").expect("writing to a string");
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let json = serde_json::to_vec(body)
            .map_err(|error| Error::bug("InternalError", "a request cannot be written as JSON").because(error))?;
        self.body = json.into();
        self.content_type = Some("application/json");
        Ok(self)
    }

    pub(super) fn bytes(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.body = body;
        self.content_type = Some(content_type);
        self
    }

    /// Adds the proof that is passed on to a registry.
    pub(super) fn auth(mut self, auth: Option<&RegistryAuth>) -> Self {
        self.auth = auth.map(|auth| {
            let json = serde_json::json!({
                "username": auth.username, "password": auth.password, "serveraddress": auth.registry,
            });
            base64::engine::general_purpose::URL_SAFE.encode(json.to_string())
        });
        self
    }

    /// Asks for the bare connection.
    pub(super) fn upgrade(mut self) -> Self {
        self.is_upgrade = true;
        self
    }

    fn build(&self, prefix: &str) -> Result<hyper::Request<Full<Bytes>>, Error> {
        // The engine resolves these, escaped or not, and would act on something else.
        if self.path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            let message = format!("the engine cannot be asked for {}: a name in it is empty or a path", self.path);
            return Err(Error::terminal("EngineRefused", message));
        }
        let mut builder = hyper::Request::builder()
            .method(self.method.clone())
            .uri(format!("{prefix}{}{}", self.path, self.query))
            .header(HOST, "docker");
        if let Some(content_type) = self.content_type {
            builder = builder.header(CONTENT_TYPE, content_type);
        }
        if let Some(auth) = &self.auth {
            builder = builder.header("X-Registry-Auth", auth);
        }
        if self.is_upgrade {
            builder = builder.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        builder
            .body(Full::new(self.body.clone()))
            .map_err(|error| Error::bug("InternalError", "a request cannot be built").because(error))
    }
}

/// HTTP to one engine.
pub(super) struct Client {
    address: Address,
    idle: Mutex<Vec<Sender>>,
    api: Mutex<Option<Api>>,
    calls: AtomicU64,
    time_max: Duration,
}

impl Client {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            api: Mutex::default(),
            calls: AtomicU64::new(0),
            time_max: CALL_TIME_MAX,
        }
    }

    /// Returns the same client with another limit for a call; for tests.
    #[cfg(test)]
    pub(super) fn with_time_max(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }

    /// Returns where the engine listens.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns how many requests were made.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Makes a request and reads the whole answer.
    pub(super) async fn call(&self, request: &Request) -> Result<Bytes, CallError> {
        let work = async {
            let (sender, response) = self.start(request).await?;
            let result = self.read(response).await;
            // One whose answer broke off is closed, and is not kept.
            self.keep(sender);
            result
        };
        self.in_time(work).await
    }

    /// Makes a request that the engine may take long for, and reads the whole answer; the caller bounds the time.
    pub(super) async fn call_unhurried(&self, request: &Request) -> Result<Bytes, CallError> {
        let (_, response) = self.start(request).await?;
        self.read(response).await
    }

    /// Makes a request whose body is the answer to another, piece by piece as it comes; the caller bounds the time.
    pub(super) async fn pass_on(
        &self,
        request: &Request,
        content_type: &'static str,
        body: Incoming,
    ) -> Result<(), CallError> {
        let prefix = format!("/v{}", self.api().await?);
        let (mut parts, _) = request.build(&prefix)?.into_parts();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.calls.fetch_add(1, Ordering::Relaxed);
        let wire = self.address.open().await.map_err(|error| self.broken("it cannot be reached").because(error))?;
        let (mut sender, connection) = handshake(TokioIo::new(wire))
            .await
            .map_err(|error| self.broken("it does not speak HTTP").because(error))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(hyper::Request::from_parts(parts, body)).await;
        let response = response.map_err(|error| self.broken("the connection broke").because(error))?;
        let result = self.read(response).await.map(|_| ());
        connection.abort();
        result
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, CallError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| self.broken("its answer breaks off").because(error))?
            .to_bytes();
        if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
    }

    /// Makes a request and reads the answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T, CallError> {
        let body = self.call(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the answer of the engine to {} is not understood", request.path);
            CallError::Failed(Error::bug("EngineAnswerUnknown", message).because(error))
        })
    }

    /// Makes a request and returns the answer as soon as it begins.
    pub(super) async fn open(&self, request: &Request) -> Result<Response<Incoming>, CallError> {
        let work = async {
            let (_, response) = self.start(request).await?;
            let status = response.status();
            if status.is_success() || status.is_informational() {
                return Ok(response);
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| self.broken("its answer breaks off").because(error))?;
            Err(refused(status.as_u16(), &body.to_bytes()))
        };
        self.in_time(work).await
    }

    /// Returns the version of the API that both sides know.
    pub(super) async fn api(&self) -> Result<Api, CallError> {
        if let Some(api) = *self.api.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(api);
        }
        let ping = Request::get("/_ping").build("")?;
        let (sender, response) = self.send(ping).await?;
        let theirs = response.headers().get("Api-Version").and_then(|value| value.to_str().ok()).and_then(Api::parse);
        let theirs = theirs.ok_or_else(|| self.broken("it does not say which API it speaks"))?;
        response.into_body().collect().await.map_err(|error| self.broken("its answer breaks off").because(error))?;
        self.keep(sender);
        if theirs < API_OLDEST {
            let message = format!(
                "the engine at {} speaks API {theirs}, and at least {API_OLDEST} is needed: upgrade Docker to 20.10 or \
                 newer",
                self.address
            );
            return Err(Error::terminal("EngineTooOld", message).into());
        }
        let api = theirs.min(API_NEWEST);
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(api);
        Ok(api)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        match tokio::time::timeout(self.time_max, work).await {
            Ok(result) => result,
            Err(_) => {
                self.forget();
                let seconds = self.time_max.as_secs();
                let message = format!("the engine at {} did not answer within {seconds} s", self.address);
                Err(Error::retryable("EngineTimeout", message).into())
            }
        }
    }

    async fn start(&self, request: &Request) -> Result<(Sender, Response<Incoming>), CallError> {
        let prefix = format!("/v{}", self.api().await?);
        Ok(self.send(request.build(&prefix)?).await?)
    }

    async fn send(&self, request: hyper::Request<Full<Bytes>>) -> Result<(Sender, Response<Incoming>), Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (mut sender, complaints) = match self.idle_sender().await {
            Some(sender) => (sender, Complaints::default()),
            None => self.connect().await?,
        };
        match sender.send_request(request).await {
            Ok(response) => Ok((sender, response)),
            Err(error) => {
                let what = format!("the connection broke{}", complaints.bracketed());
                Err(self.broken(&what).because(error))
            }
        }
    }

    async fn connect(&self) -> Result<(Sender, Complaints), Error> {
        let wire = self.address.open().await.map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "there is none; is Docker installed and running?",
                std::io::ErrorKind::PermissionDenied => "this user may not use it",
                std::io::ErrorKind::ConnectionRefused => "nothing listens there; is Docker running?",
                _ => "it cannot be reached",
            };
            self.broken(why).because(error)
        })?;
        let complaints = wire.complaints();
        let (sender, connection) = handshake(TokioIo::new(wire))
            .await
            .map_err(|error| self.broken("it does not speak HTTP").because(error))?;
        // Ends by itself when both sides are done with it, or the sender and the answer are dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!("a connection to an engine ended: {error}");
            }
        });
        Ok((sender, complaints))
    }

    async fn idle_sender(&self) -> Option<Sender> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    /// Returns the error of an engine that is not there or breaks off; the next call agrees upon the API again, because
    /// it may be another program that answers.
    pub(super) fn broken(&self, what: &str) -> Error {
        self.forget();
        Error::retryable("EngineUnreachable", format!("the engine at {} does not answer: {what}", self.address))
    }

    fn forget(&self) {
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn refused(status: u16, body: &[u8]) -> CallError {
    CallError::Refused(Refusal::read(status, body))
}
