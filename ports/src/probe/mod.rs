//! What the outside sees: HTTP, TCP and TLS, asked as a stranger would.
//!
//! A probe never fails: whatever happens is what it reports, as a [`Verdict`] that tells whose matter it is. Nothing is
//! followed, everything is bounded.
//!
//! | what is seen | verdict | whose matter |
//! |---|---|---|
//! | the name has no address; the address refuses or is silent | `ProxyDown` | ours |
//! | the certificate is for another name, expired, or of nobody we know | `TlsInvalid` | ours |
//! | 404 with the proxy's own words | `RouterMissing` | nobody's yet: the proxy looks for routers now and then |
//! | 502 or 504 | `BackendDown` | the app's, if it stays so |
//! | 503 | `NoServer` | the app's, if it stays so |
//! | a connection, but no HTTP answer in time | `NoAnswer` | the app's, if it stays so |
//! | anything else | `Answered` | the app's own answer |

pub mod certificate;
pub mod conformance;
pub mod fake;
pub mod network;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

pub use certificate::CertificateFacts;

/// The body with which Traefik says that it knows no router for a name.
const ROUTER_MISSING_BODY: &[u8] = b"404 page not found";

/// How long each part of a probe may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeTimes {
    /// To find an address and connect to it.
    pub connect: Duration,
    /// To shake hands over TLS.
    pub tls: Duration,
    /// To answer, body included.
    pub answer: Duration,
}

impl Default for ProbeTimes {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), tls: Duration::from_secs(5), answer: Duration::from_secs(15) }
    }
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// With TLS.
    #[default]
    Https,
    /// With TLS, whatever certificate is shown.
    UncheckedHttps,
    /// Without.
    Http,
}

/// A request; GET without further headers and body unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The method.
    pub method: String,
    /// Headers besides `Host` and `User-Agent`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// With or without TLS.
    pub scheme: Scheme,
    /// The host: a DNS name or an IP address.
    pub host: String,
    /// The port; `None` for the scheme's own.
    pub port: Option<u16>,
    /// Path and query; begins with `/`.
    pub path: String,
    /// How long it may take.
    pub times: ProbeTimes,
    /// Most bytes of the body that are kept.
    pub body_bytes_max: usize,
}

impl HttpProbe {
    /// Returns the probe of `https://HOST/PATH` with the usual times, and 64 KiB of body.
    #[must_use]
    pub fn https(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: Vec::new(),
            scheme: Scheme::Https,
            host: host.into(),
            port: None,
            path: path.into(),
            times: ProbeTimes::default(),
            body_bytes_max: 64 << 10,
        }
    }

    /// Returns the port that is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Https | Scheme::UncheckedHttps => HTTPS_PORT,
            Scheme::Http => 80,
        })
    }
}

/// The port of HTTPS.
pub const HTTPS_PORT: u16 = 443;

/// What is seen, and whose matter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing accepts connections.
    ProxyDown,
    /// The certificate does not hold.
    TlsInvalid,
    /// The proxy has no router for the name.
    RouterMissing,
    /// The proxy gets no answer from the app.
    BackendDown,
    /// The proxy has no server for the app.
    NoServer,
    /// A connection, but no HTTP answer in time, or none that is HTTP.
    NoAnswer,
    /// The app's own answer.
    Answered,
}

impl Verdict {
    /// Returns whether it is the operator's matter, not the recipe's: a run that ends with it is an error, not a
    /// failure.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::ProxyDown | Self::TlsInvalid)
    }

    /// Returns the word for a condition's reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ProxyDown => "ProxyDown",
            Self::TlsInvalid => "TlsInvalid",
            Self::RouterMissing => "RouterMissing",
            Self::BackendDown | Self::NoServer => "BackendDown",
            Self::NoAnswer => "ProbeFailed",
            Self::Answered => "HttpStatus",
        }
    }
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReport {
    /// What is seen.
    pub verdict: Verdict,
    /// The status code, if there was an answer.
    pub status: Option<u16>,
    /// Where the answer sends to; not followed.
    pub location: Option<String>,
    /// The media type.
    pub content_type: Option<String>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub is_cut_off: bool,
    /// The certificate that was shown, whether it holds or not.
    pub certificate: Option<CertificateFacts>,
    /// How long it took.
    pub elapsed: Duration,
    /// A sentence about it, for people.
    pub message: String,
}

impl HttpReport {
    /// Returns whether it is the app's own answer, with one of these status codes.
    #[must_use]
    pub fn is_one_of(&self, statuses: &[u16]) -> bool {
        self.verdict == Verdict::Answered && self.status.is_some_and(|status| statuses.contains(&status))
    }
}

/// Returns what a status code and a body say about the app behind the proxy.
#[must_use]
pub fn judge(status: u16, body: &[u8]) -> Verdict {
    match status {
        404 if body.trim_ascii() == ROUTER_MISSING_BODY => Verdict::RouterMissing,
        502 | 504 => Verdict::BackendDown,
        503 => Verdict::NoServer,
        _ => Verdict::Answered,
    }
}

/// What an attempt to connect came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpReport {
    /// Whether there was a connection.
    pub is_open: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// A sentence about it, for people.
    pub message: String,
}

/// What a server shows over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReport {
    /// Whether it holds: `ProxyDown` when there was no connection, `TlsInvalid` when it does not, else `Answered`.
    pub verdict: Verdict,
    /// The certificates in the order in which they were sent, the server's own first.
    pub chain: Vec<CertificateFacts>,
    /// A sentence about it, for people.
    pub message: String,
}

/// Where to connect to instead of asking the DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectRules {
    /// For each zone, and every name in it, the address of its proxy. Its port stands for that of HTTPS; a probe of
    /// another port goes to that port of the address.
    pub zones: BTreeMap<String, std::net::SocketAddr>,
}

impl ConnectRules {
    /// Returns where to connect to for a host, if there is a rule; the longest zone wins.
    #[must_use]
    pub fn address(&self, host: &str, port: u16) -> Option<std::net::SocketAddr> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_in = |zone: &str| host.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let matching = self.zones.iter().filter(|(zone, _)| is_in(zone));
        let (_, address) = matching.max_by_key(|(zone, _)| zone.len())?;
        let port = if port == HTTPS_PORT { address.port() } else { port };
        Some(std::net::SocketAddr::new(address.ip(), port))
    }
}

/// Looks from outside. No call fails; each takes at most the sum of its times.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Asks over HTTP.
    async fn http(&self, probe: &HttpProbe) -> HttpReport;

    /// Connects once, and hangs up.
    async fn tcp(&self, host: &str, port: u16, times: ProbeTimes) -> TcpReport;

    /// Shakes hands with `host`, as somebody who looks for `server_name`, and hangs up. It may be this machine itself,
    /// as where the proxy runs: nothing but certificates is learned from it.
    async fn tls(&self, host: &str, port: u16, server_name: &str, times: ProbeTimes) -> TlsReport;
}
