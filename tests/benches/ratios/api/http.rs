//! A lean client: one encrypted HTTP/2 or HTTP/1.1 connection, and whole requests over it.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, BodyStream, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// As Go's client: large enough that a long list is not slowed down by the window.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Which protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Many requests at once, as client-go does.
    Http2,
    /// One request after another.
    Http1,
}

/// Where a server is, and what opens its door.
#[derive(Clone)]
pub(super) struct Door {
    address: String,
    bearer: HeaderValue,
    roots: Arc<rustls::RootCertStore>,
}

impl Door {
    /// Reads a kubeconfig as `ccd` writes it.
    pub(super) fn from_kubeconfig(text: &str) -> anyhow::Result<Self> {
        let config: Value = serde_saphyr::from_str(text)?;
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).context("a field of the kubeconfig");
        let address = text("/clusters/0/cluster/server")?.trim_start_matches("https://").to_owned();
        let mut roots = rustls::RootCertStore::empty();
        let pem = STANDARD.decode(text("/clusters/0/cluster/certificate-authority-data")?)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate?)?;
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {}", text("/users/0/user/token")?))?;
        Ok(Self { address, bearer, roots: Arc::new(roots) })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, protocol: Protocol) -> anyhow::Result<Connection> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![if protocol == Protocol::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?);
        let sender = match protocol {
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .handshake(stream)
                    .await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
        };
        Ok(Connection { door: self.clone(), sender })
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection, or one more handle to a connection that many share.
pub(super) struct Connection {
    door: Door,
    sender: Sender,
}

impl Connection {
    /// Returns another handle; an HTTP/1.1 connection has only one.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http2(sender) => Some(Self { door: self.door.clone(), sender: Sender::Http2(sender.clone()) }),
            Sender::Http1(_) => None,
        }
    }

    /// Sends a request and returns the bytes of its answer, which must be a success.
    pub(super) async fn call(&mut self, call: Call<'_>) -> anyhow::Result<Bytes> {
        let what = format!("{} {}", call.method, call.path);
        let response = self.send(call).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(status.is_success(), "{what}: {status}: {}", String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    /// Begins a watch; calls `seen` for each event until the stream ends.
    pub(super) async fn watch(&mut self, path: &str, seen: Arc<dyn Fn() + Send + Sync>) -> anyhow::Result<()> {
        let response = self.send(Call::get(path)).await?;
        anyhow::ensure!(response.status().is_success(), "{path}: {}", response.status());
        let mut body = BodyStream::new(response.into_body());
        while let Some(frame) = body.next().await {
            let frame = frame?;
            let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
            (0..lines).for_each(|_| seen());
        }
        Ok(())
    }

    async fn send(&mut self, call: Call<'_>) -> anyhow::Result<http::Response<Incoming>> {
        let uri = match self.sender {
            Sender::Http2(_) => format!("https://{}{}", self.door.address, call.path),
            Sender::Http1(_) => call.path.to_owned(),
        };
        let mut request = Request::builder().method(call.method).uri(uri).body(Full::new(call.body))?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.door.bearer.clone());
        for (name, value) in call.headers {
            headers.insert(name.clone(), HeaderValue::from_static(value));
        }
        Ok(match &mut self.sender {
            Sender::Http2(sender) => sender.send_request(request).await?,
            Sender::Http1(sender) => {
                request.headers_mut().insert(HOST, HeaderValue::from_str(&self.door.address)?);
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

/// One request.
pub(super) struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub headers: &'a [(http::HeaderName, &'static str)],
    pub body: Bytes,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: &[], body: Bytes::new() }
    }

    /// A request with a JSON body of this type.
    pub(super) fn with_body(method: Method, path: &'a str, content_type: BodyType, body: Bytes) -> Self {
        const JSON: &[(http::HeaderName, &str)] = &[(CONTENT_TYPE, "application/json")];
        const MERGE: &[(http::HeaderName, &str)] = &[(CONTENT_TYPE, "application/merge-patch+json")];
        const APPLY: &[(http::HeaderName, &str)] = &[(CONTENT_TYPE, "application/apply-patch+yaml")];
        let headers = match content_type {
            BodyType::Json => JSON,
            BodyType::Merge => MERGE,
            BodyType::Apply => APPLY,
        };
        Self { method, path, headers, body }
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyType {
    Json,
    Merge,
    Apply,
}
