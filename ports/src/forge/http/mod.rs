//! [`HttpForges`]: forges over HTTP.
//!
//! The token is bound to the host of the forge's URL: redirects are never followed, and addresses that an answer names
//! (pages, comments) are never asked. Bodies have an upper bound, each request a time limit, all requests to one forge
//! one pace.
//!
//! | answer | kind | reason |
//! |---|---|---|
//! | no connection, TLS that does not hold, no answer in time | Retryable | `Unreachable`, `TimedOut` |
//! | 401 | Blocked | `Unauthorized` |
//! | 403 for want of a scope | Blocked | `ScopesMissing` |
//! | 403 otherwise | Blocked | `Forbidden` |
//! | 404 where something must be | Blocked | `NotFound` |
//! | 409 | Retryable | `Conflict` |
//! | 413, 422, another 4xx | Terminal | `Rejected` |
//! | 423, an archived repository | Blocked | `Archived` |
//! | 429, and 5xx with `Retry-After` | Retryable, after the time that it says | `RateLimited` |
//! | 5xx | Retryable | `Unreachable` |
//! | a redirect | Blocked | `Redirected` |
//! | a body that ends early or is no JSON of the expected shape | Retryable | `BadAnswer` |
//! | a body that is too long | Blocked | `AnswerTooLarge` |

mod calls;
mod pace;
mod sign_in;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sign_in::{Application, Person, Proof};
use super::wire::Problem;
use super::{Forge, ForgeAddress, Forges};
use crate::error::Error;
use crate::redact::Redactor;
use pace::{PAUSE_MAX, Pace, rate_limited};

pub use pace::CALLS_PER_SECOND;

/// Most bytes of one answer that are read.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Characters of a forge's own words that an error repeats.
const WORDS_CHARACTERS_MAX: usize = 300;
/// The pause after a 429 that does not say how long.
const PAUSE_DEFAULT: Duration = Duration::from_mins(1);
/// The type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// What may stand in a path segment, or in a form, as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// How long the parts of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgeTimes {
    /// To connect.
    pub connect: Duration,
    /// For everything, the body included.
    pub whole: Duration,
}

impl Default for ForgeTimes {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}

/// One request on its way out.
#[derive(Clone, Debug)]
pub(super) struct TransportRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) token: HeaderValue,
    pub(super) body: Option<OutgoingBody>,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum OutgoingBody {
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

/// Carries a request to a forge and the whole answer back.
#[async_trait]
pub(super) trait Transport: Send + Sync {
    async fn exchange(&self, request: TransportRequest) -> Result<Answer, Error>;
}

/// Forges over HTTP.
pub struct HttpForges {
    transport: Arc<dyn Transport>,
    paces: Mutex<HashMap<String, Arc<Pace>>>,
    calls: Arc<AtomicU64>,
}

impl HttpForges {
    /// Returns forges whose certificates hold if the machine, or one of `ca_files`, vouches for them.
    ///
    /// # Errors
    /// A file cannot be read or holds no certificate.
    pub fn open(ca_files: &[PathBuf], times: ForgeTimes) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(times.connect)
            .timeout(times.whole)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ccd/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        for file in ca_files {
            let unreadable =
                |error: String| Error::terminal("TlsError", format!("{} cannot be used: {error}", file.display()));
            let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self::over(Arc::new(Network { client: LazyLock::new(Box::new(move || builder.build())) })))
    }

    /// Returns forges that are reached in this way.
    pub(super) fn over(transport: Arc<dyn Transport>) -> Self {
        Self { transport, paces: Mutex::default(), calls: Arc::default() }
    }

    /// Returns a forge that is asked with this credential, at the pace of this name.
    fn forge(&self, base: Url, credential: &str, pace: String) -> Result<HttpForge, Error> {
        let mut token = HeaderValue::from_str(credential).map_err(|_| {
            Error::blocked("Unauthorized", "the token has characters that no token has: check the Secret")
        })?;
        token.set_sensitive(true);
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(pace).or_default().clone();
        Ok(HttpForge { transport: self.transport.clone(), base, token, pace, calls: self.calls.clone() })
    }
}

#[async_trait]
impl Forges for HttpForges {
    fn connect(&self, address: &ForgeAddress) -> Result<Arc<dyn Forge>, Error> {
        let base = base_url(&address.url)?;
        let pace = base.origin().ascii_serialization();
        Ok(Arc::new(self.forge(base, &format!("token {}", address.token.reveal()), pace)?))
    }

    async fn sign_in(&self, application: &Application, proof: &Proof) -> Result<Person, Error> {
        self.who(application, proof).await
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Takes a credential (`token …`) out of what its receiver says.
fn without(credential: &HeaderValue, said: &str) -> String {
    let credential = credential.as_bytes();
    let secret = credential.splitn(2, |byte| *byte == b' ').last().unwrap_or_default();
    let redactor = Redactor::default();
    redactor.insert("credential", secret);
    redactor.text(said)
}

pub(super) fn base_url(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::terminal("InvalidSpec", format!("{text} cannot be asked: {why}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("a forge's URL begins with https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a forge's URL has neither user nor query; the token belongs into a Secret"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// One forge.
struct HttpForge {
    transport: Arc<dyn Transport>,
    base: Url,
    token: HeaderValue,
    pace: Arc<Pace>,
    calls: Arc<AtomicU64>,
}

/// A request: the segments of its path below `api/v1`, its query, its body.
struct Ask<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl<'a> Ask<'a> {
    fn new(method: Method, path: &[&'a str]) -> Self {
        Self { method, path: path.to_vec(), query: Vec::new(), body: None }
    }

    fn get(path: &[&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// An answer with everything that is read of it.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Returns an answer that did not come over a network.
    pub(super) fn new(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Result<Self, Error> {
        let wrong = || Error::retryable("BadAnswer", "the answer is no HTTP");
        if body.len() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            map.insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        Ok(Self { status: StatusCode::from_u16(status).map_err(|_| wrong())?, headers: map, body })
    }

    fn server_time(&self) -> Option<Timestamp> {
        http_date(self.headers.get(DATE)?)
    }

    fn total(&self) -> Option<usize> {
        self.headers.get("x-total-count")?.to_str().ok()?.parse().ok()
    }

    /// Returns the forge's own words about what is wrong; a forge that says back what it was told says no credential.
    fn words(&self, credential: &HeaderValue) -> String {
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = problem.message.split_whitespace().collect::<Vec<_>>().join(" ");
        // Before it is cut: half a token is one as well.
        let words = without(credential, &words);
        words.chars().take(WORDS_CHARACTERS_MAX).collect()
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let message = format!("the forge answered {} with something that is not what it should be", self.status);
            Error::retryable("BadAnswer", message).because(error)
        })
    }
}

impl HttpForge {
    fn url(&self, ask: &Ask<'_>) -> Result<Url, Error> {
        let mut path = String::from("api/v1");
        for segment in &ask.path {
            if matches!(*segment, "" | "." | "..") {
                return Err(Error::terminal("InvalidSpec", format!("{segment:?} is no name on a forge")));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, PLAIN));
        }
        let mut url = self
            .base
            .join(&path)
            .map_err(|error| Error::bug("InternalError", "the URL cannot be made").because(error))?;
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        Ok(url)
    }

    /// Asks, and reads the whole answer, whatever its status.
    async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let url = self.url(&ask)?;
        self.send(ask.method, url, ask.body.map(OutgoingBody::Json)).await
    }

    async fn send(&self, method: Method, url: Url, body: Option<OutgoingBody>) -> Result<Answer, Error> {
        let _turn = self.pace.turn().await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let request = TransportRequest { method, url, token: self.token.clone(), body };
        let answer = self.transport.exchange(request).await?;
        self.heed(&answer)?;
        Ok(answer)
    }

    /// Leaves the forge alone if it says so.
    fn heed(&self, answer: &Answer) -> Result<(), Error> {
        let asked = answer.headers.get(RETRY_AFTER).and_then(|value| retry_after(value, answer.server_time()));
        let pause = match (answer.status.as_u16(), asked) {
            (429, asked) => asked.unwrap_or(PAUSE_DEFAULT),
            (500..=599, Some(asked)) => asked,
            _ => return Ok(()),
        };
        let pause = pause.min(PAUSE_MAX);
        self.pace.pause(pause);
        Err(rate_limited(pause))
    }

    /// Returns the error of an answer that is none of those that the caller knows.
    fn problem(&self, answer: &Answer, what: &str) -> Error {
        let words = answer.words(&self.token);
        let said = if words.is_empty() { String::new() } else { format!(" ({words})") };
        match answer.status.as_u16() {
            300..=399 => {
                let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("somewhere else");
                let to: String = without(&self.token, to).chars().take(WORDS_CHARACTERS_MAX).collect();
                let message = format!(
                    "{} sends to {to} for {what}, where the token is not sent: correct the URL or the name",
                    self.base
                );
                Error::blocked("Redirected", message)
            }
            401 => {
                let message =
                    format!("{} does not take the token{said}: make a new one and put it into the Secret", self.base);
                Error::blocked("Unauthorized", message)
            }
            403 if words.contains("required scope") => {
                Error::blocked("ScopesMissing", format!("the token lacks a scope for {what}{said}: make one with it"))
            }
            403 => Error::blocked("Forbidden", format!("the token's owner may not {what}{said}: give them the right")),
            404 => Error::blocked("NotFound", format!("{} does not show what is needed to {what}{said}", self.base)),
            409 => Error::retryable("Conflict", format!("somebody was faster to {what}{said}")),
            423 => Error::blocked("Archived", format!("the repository is archived, so nobody can {what}{said}")),
            400..=499 => Error::terminal("Rejected", format!("the forge refuses to {what}: {}{said}", answer.status)),
            _ => Error::retryable("Unreachable", format!("{} answered {} to {what}{said}", self.base, answer.status)),
        }
    }

    /// Asks for something that must be there.
    async fn must<T: DeserializeOwned>(&self, ask: Ask<'_>, what: &str) -> Result<T, Error> {
        let answer = self.ask(ask).await?;
        if answer.status.is_success() { answer.json() } else { Err(self.problem(&answer, what)) }
    }

    /// Asks for something that may not be there.
    async fn may<T: DeserializeOwned>(&self, ask: Ask<'_>, what: &str) -> Result<Option<T>, Error> {
        let answer = self.ask(ask).await?;
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => Ok(None),
            status if status.is_success() => answer.json().map(Some),
            _ => Err(self.problem(&answer, what)),
        }
    }
}

/// Makes the client.
type MakeClient = Box<dyn FnOnce() -> reqwest::Result<reqwest::Client> + Send>;

/// The real network.
struct Network {
    /// Made when the first forge is asked: it reads every authority that the machine believes, which costs a start more
    /// than all the rest of it, and most machines know no forge for a while.
    client: LazyLock<reqwest::Result<reqwest::Client>, MakeClient>,
}

#[async_trait]
impl Transport for Network {
    async fn exchange(&self, request: TransportRequest) -> Result<Answer, Error> {
        let host = request.url.origin().ascii_serialization();
        let client = self
            .client
            .as_ref()
            .map_err(|error| Error::bug("InternalError", format!("the client of forges cannot be made: {error}")))?;
        let mut outgoing = client.request(request.method, request.url).header(AUTHORIZATION, request.token);
        outgoing = outgoing.header(ACCEPT, "application/json");
        outgoing = match &request.body {
            Some(OutgoingBody::Json(body)) => outgoing.json(body),
            Some(OutgoingBody::Form(fields)) => outgoing.header(CONTENT_TYPE, FORM).body(form(fields)),
            None => outgoing,
        };
        let mut response = outgoing.send().await.map_err(|error| unreachable(&host, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => return Err(too_large()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Answer { status, headers, body }),
                Err(error) if error.is_timeout() => return Err(unreachable(&host, error)),
                Err(error) => {
                    let message = format!("the answer of {host} ended too early");
                    return Err(Error::retryable("BadAnswer", message).because(error.without_url()));
                }
            }
        }
    }
}

fn form(fields: &[(&'static str, String)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN)));
    pairs.collect::<Vec<_>>().join("&")
}

fn too_large() -> Error {
    let message = format!("the forge answered with more than {} MiB", ANSWER_BYTES_MAX >> 20);
    Error::blocked("AnswerTooLarge", message)
}

fn unreachable(host: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_timeout() {
        return Error::retryable("TimedOut", format!("{host} did not answer in time")).because(error);
    }
    Error::retryable("Unreachable", format!("{host} cannot be reached")).because(error)
}

/// Reads `Retry-After`: seconds, or a moment.
fn retry_after(value: &HeaderValue, server_time: Option<Timestamp>) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // Its own clock, so that ours does not matter.
    let left = http_date(value)?.duration_since(server_time?);
    Some(Duration::try_from(left).unwrap_or_default())
}

fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok().map(|zoned| zoned.timestamp())
}
