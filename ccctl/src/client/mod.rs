//! The connection to the server: sends requests, understands refusals, shows requests for `--curl`.

pub mod curl;
pub mod request;
pub mod watch;

use std::time::Duration;

use api_types::status::{Reason, Status};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use self::request::ApiRequest;
use crate::arguments::GlobalArguments;
use crate::config::Connection;
use crate::environment::Environment;
use crate::error::{CommandError, Result};

/// Time to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to wait for an answer that has an end, unless `--request-timeout` says otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What helps against everything that is wrong on the way.
pub const ASK_THE_DOCTOR: &str = "look at every step of the way with `ccctl doctor`";

/// A connection to one server as one user.
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
    headers: HeaderMap,
    impersonation: Vec<(String, String)>,
    curl: bool,
    quiet: bool,
    answer_timeout: Option<Duration>,
}

/// An answer with its head.
pub struct Answer {
    /// HTTP status code; 304 only when an ETag was sent.
    pub code: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Date`, as the server wrote it.
    pub date: Option<String>,
    /// The body; empty for 304.
    pub body: Vec<u8>,
    /// The server's certificate, DER, over TLS.
    pub certificate: Option<Vec<u8>>,
}

impl Client {
    /// Makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// Certificates, keys, the token or the proxy cannot be used.
    pub fn new(connection: &Connection, global: &GlobalArguments, environment: &Environment) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ccctl/", env!("CARGO_PKG_VERSION")))
            .tls_info(true)
            .no_proxy();
        let secure = connection.server.starts_with("https:");
        if secure && connection.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if secure && let Some(pem) = &connection.authorities {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| {
                CommandError::config(format!("certificate-authority is not PEM: {}", chain(&error)))
            })?;
            builder = builder.tls_certs_only(certificates);
        }
        if let (true, Some((certificate, key))) = (secure, &connection.identity) {
            let pem = [certificate.as_slice(), b"\n", key.as_slice()].concat();
            let identity = reqwest::Identity::from_pem(&pem).map_err(|error| {
                CommandError::config(format!("client certificate or key is not PEM: {}", chain(&error)))
            })?;
            builder = builder.identity(identity);
        }
        if let Some(proxy) = proxy(connection, environment)? {
            builder = builder.proxy(proxy);
        }
        let (connection, builder) = with_server_name(connection.clone(), builder)?;
        let http = builder
            .build()
            .map_err(|error| CommandError::config(format!("cannot set up the connection: {}", chain(&error))))?;
        let headers = credentials(&connection)?;
        Ok(Self {
            http,
            headers,
            impersonation: impersonation(global),
            connection,
            curl: global.curl,
            quiet: global.quiet,
            answer_timeout: global.request_timeout.map_or(Some(ANSWER_TIMEOUT), |timeout| timeout.0),
        })
    }

    /// Returns where the client connects to.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a request and reads the whole answer as JSON.
    ///
    /// With `--curl`, requests that change something are shown instead, and their own body is the answer.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or answers with something else than JSON.
    pub async fn json(&self, request: ApiRequest) -> Result<Value> {
        if self.curl && !request.hidden {
            self.show(&request)?;
            if !request.is_read() {
                let body = request.body.map(|(_, body)| body).unwrap_or_default();
                return Ok(serde_json::from_slice(&body).unwrap_or(Value::Null));
            }
        }
        let path = request.path.clone();
        let answer = self.answer(request).await?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            CommandError::server(format!("{path} answered with something that is not JSON: {error}"))
                .hint("is this the address of ccd? `ccctl config view` shows it")
        })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn answer(&self, request: ApiRequest) -> Result<Answer> {
        let path = request.path.clone();
        let deadline = if request.unbounded { None } else { self.answer_timeout };
        let exchange = async {
            let response = self.open(&request).await?;
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
            let certificate = response
                .extensions()
                .get::<reqwest::tls::TlsInfo>()
                .and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
            let (code, etag, date) = (response.status().as_u16(), header("etag"), header("date"));
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?.to_vec();
            if code >= 300 && code != 304 {
                return Err(CommandError::from_status(status_of_body(code, &body), &path));
            }
            Ok(Answer { code, etag, date, body, certificate })
        };
        match deadline {
            Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(self.too_slow(limit))),
            None => exchange.await,
        }
    }

    /// Sends a request and hands back the answer's body as it comes.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn stream(&self, request: &ApiRequest) -> Result<reqwest::Response> {
        let response = self.open(request).await?;
        let code = response.status().as_u16();
        if code >= 300 {
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            return Err(CommandError::from_status(status_of_body(code, &body), &request.path));
        }
        Ok(response)
    }

    /// Shows a request for `--curl`.
    ///
    /// # Errors
    /// Stdout is gone.
    pub fn show(&self, request: &ApiRequest) -> Result<()> {
        use std::io::Write as _;
        writeln!(std::io::stdout().lock(), "{}", curl::command(&self.connection, request, &self.impersonation))
            .map_err(|error| CommandError::from_output(&error))
    }

    /// Says whether requests are shown instead of results.
    #[must_use]
    pub fn shows_requests(&self) -> bool {
        self.curl
    }

    async fn open(&self, request: &ApiRequest) -> Result<reqwest::Response> {
        let url = format!("{}{}", self.connection.server, request.path_and_query());
        let mut builder = self
            .http
            .request(request.method.clone(), url)
            .headers(self.headers.clone())
            .header(ACCEPT, request.accept.header());
        for (name, value) in &self.impersonation {
            builder = builder.header(name, value);
        }
        if let Some(etag) = &request.known_etag {
            builder = builder.header(reqwest::header::IF_NONE_MATCH, etag);
        }
        if let Some((content_type, body)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *content_type).body(body.clone());
        }
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        self.print_warnings(response.headers());
        Ok(response)
    }

    /// Prints `Warning` headers, as kubectl does.
    fn print_warnings(&self, headers: &HeaderMap) {
        if self.quiet {
            return;
        }
        for text in headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).filter_map(warning_text) {
            eprintln!("Warning: {text}");
        }
    }

    fn too_slow(&self, limit: Duration) -> CommandError {
        CommandError::timeout(format!(
            "the server {} did not answer within {} s",
            self.connection.server,
            limit.as_secs()
        ))
        .hint("wait longer with --request-timeout=5m, or see what is wrong with `ccctl doctor`")
    }

    /// Returns what a failure below HTTP means for a person.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> CommandError {
        let text = chain(error);
        let server = &self.connection.server;
        let address = server.split_once("://").map_or(server.as_str(), |(_, address)| address);
        if text.contains("Connection refused") {
            return CommandError::network(format!(
                "The connection to the server {address} was refused - did you specify the right host or port?"
            ))
            .hint("is ccd running? start it with `ccd serve`")
            .hint(ASK_THE_DOCTOR);
        }
        if text.contains("certificate") || text.contains("UnknownIssuer") {
            return CommandError::network(format!("the certificate of {address} cannot be trusted: {text}")).hint(
                "the kubeconfig's certificate-authority must be that of this server: copy DATA-DIR/kubeconfig again",
            );
        }
        if error.is_timeout() {
            return CommandError::network(format!("the server {address} did not answer: connecting took too long"))
                .hint(ASK_THE_DOCTOR);
        }
        CommandError::network(format!("Unable to connect to the server {address}: {text}")).hint(ASK_THE_DOCTOR)
    }
}

/// Returns the headers that say who we are.
fn credentials(connection: &Connection) -> Result<HeaderMap> {
    use base64::Engine as _;
    let text = match (&connection.token, &connection.basic) {
        (Some(token), _) => format!("Bearer {token}"),
        (None, Some((username, password))) => {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
        }
        (None, None) => return Ok(HeaderMap::new()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| CommandError::config("the token contains characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn impersonation(global: &GlobalArguments) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    headers.extend(global.as_user.iter().map(|user| ("Impersonate-User".to_owned(), user.clone())));
    headers.extend(global.as_group.iter().map(|group| ("Impersonate-Group".to_owned(), group.clone())));
    headers
}

fn proxy(connection: &Connection, environment: &Environment) -> Result<Option<reqwest::Proxy>> {
    let scheme = connection.server.split("://").next().unwrap_or_default();
    let (address, around) = match (&connection.proxy, environment.proxy(scheme)) {
        (Some(address), _) => (address.as_str(), None),
        (None, Some((address, around))) => (address, around),
        (None, None) => return Ok(None),
    };
    let proxy = reqwest::Proxy::all(address)
        .map_err(|error| CommandError::config(format!("the proxy \"{address}\" is no address: {}", chain(&error))))?;
    Ok(Some(proxy.no_proxy(around.and_then(reqwest::NoProxy::from_string))))
}

/// Makes the client expect `tls-server-name` in the certificate: it calls the server by that name and resolves the
/// name to the real address.
fn with_server_name(
    mut connection: Connection,
    builder: reqwest::ClientBuilder,
) -> Result<(Connection, reqwest::ClientBuilder)> {
    use std::net::ToSocketAddrs as _;
    let Some(name) = connection.server_name.clone().filter(|_| connection.server.starts_with("https:")) else {
        return Ok((connection, builder));
    };
    let invalid = |text: String| CommandError::config(format!("tls-server-name \"{name}\" cannot be used: {text}"));
    let mut url = reqwest::Url::parse(&connection.server).map_err(|error| invalid(error.to_string()))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| CommandError::network(format!("cannot resolve {host}: {error}")))?
        .collect::<Vec<_>>();
    url.set_host(Some(&name)).map_err(|error| invalid(error.to_string()))?;
    connection.server = url.as_str().trim_end_matches('/').to_owned();
    Ok((connection, builder.resolve_to_addrs(&name, &addresses)))
}

/// Returns the refusal that a body carries, or one made from the code when it carries none.
#[must_use]
pub fn status_of_body(code: u16, body: &[u8]) -> Status {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && value["kind"] == "Status"
    {
        return status_of_value(value, code);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let reason = reason_of_code(code);
    let message = match code {
        404 => "the server could not find the requested resource".to_owned(),
        _ if text.is_empty() => format!("the server answered with HTTP {code}"),
        _ => format!("the server answered with HTTP {code}: {}", text.chars().take(300).collect::<String>()),
    };
    Status { code, reason, ..Status::failure(Reason::InternalError, message) }
}

/// Returns a `Status` from JSON; a reason that we do not know is dropped, not an error.
#[must_use]
pub fn status_of_value(mut value: Value, code: u16) -> Status {
    let known = serde_json::from_value::<Status>(value.clone());
    let mut status = known.unwrap_or_else(|_| {
        value["reason"] = Value::Null;
        serde_json::from_value(value)
            .unwrap_or_else(|_| Status::failure(Reason::InternalError, "the server's answer cannot be read"))
    });
    if status.code == 0 {
        status.code = code;
    }
    if status.reason.is_none() {
        status.reason = reason_of_code(status.code);
    }
    status
}

fn reason_of_code(code: u16) -> Option<Reason> {
    use Reason::{
        BadRequest, Expired, Forbidden, InternalError, MethodNotAllowed, NotAcceptable, NotFound,
        RequestEntityTooLarge, ServiceUnavailable, Timeout, TooManyRequests, Unauthorized, UnsupportedMediaType,
    };
    [
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        Expired,
        RequestEntityTooLarge,
        UnsupportedMediaType,
        TooManyRequests,
        InternalError,
        ServiceUnavailable,
        Timeout,
    ]
    .into_iter()
    .find(|reason| reason.code() == code)
}

/// Returns the text of a `Warning` header: `299 - "text"`.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.split_once('"')?.1;
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some(text),
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    None
}

/// Returns an error with everything that caused it, each part once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = cause.source();
    }
    // reqwest's outermost text only repeats the address.
    if parts.len() > 1 && parts[0].starts_with("error sending request") {
        parts.remove(0);
    }
    parts.join(": ")
}
