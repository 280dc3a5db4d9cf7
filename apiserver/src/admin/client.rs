//! Asking the daemon that holds a data directory, with the credentials that lie in it.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::data_dir::{DataPaths, kubeconfig};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A daemon that sends nothing for so long is stuck.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No daemon has written its address.
    #[error("ask the daemon: {0} does not exist, although the data directory is in use; is it still starting?")]
    NoAddress(String),
    /// Files of the data directory are missing or damaged.
    #[error("ask the daemon: {0}")]
    Credentials(String),
    /// The connection failed or broke off.
    #[error("ask the daemon at {address}: {problem}")]
    Connection {
        /// Where.
        address: SocketAddr,
        /// What happened.
        problem: String,
    },
    /// The daemon refused.
    #[error("ask the daemon: it answered {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// What it said.
        message: String,
    },
    /// The answer could not be written.
    #[error("write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Reads `path` from the daemon that holds the directory and writes the answer to `output`.
///
/// # Errors
/// When the daemon cannot be reached, refuses, or breaks off; `output` then holds a part.
pub async fn download(paths: &DataPaths, path: &str, output: &mut dyn Write) -> Result<(), AdminError> {
    let (peer, encrypted) = address(paths)?;
    let token = kubeconfig::stored_token(&paths.kubeconfig()).ok_or_else(|| {
        AdminError::Credentials(format!(
            "{} holds no token; restart the daemon to get one",
            paths.kubeconfig().display()
        ))
    })?;
    let broken = |problem: String| AdminError::Connection { address: peer, problem };
    let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await;
    let stream =
        connect.map_err(|_| broken("it does not answer".to_owned()))?.map_err(|error| broken(error.to_string()))?;
    let request = Request::get(path)
        .header(HOST, peer.to_string())
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.to_string()))?;
    let answer = if encrypted {
        let connector = TlsConnector::from(Arc::new(client_config(paths)?));
        let stream =
            tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(ServerName::from(peer.ip()), stream)).await;
        let stream = stream
            .map_err(|_| broken("it does not shake hands".to_owned()))?
            .map_err(|error| broken(error.to_string()))?;
        send(stream, request).await
    } else {
        send(stream, request).await
    };
    copy(answer.map_err(broken)?, output, broken).await
}

/// Returns where the daemon listens, and whether with TLS.
fn address(paths: &DataPaths) -> Result<(SocketAddr, bool), AdminError> {
    let missing = || AdminError::NoAddress(paths.addresses().display().to_string());
    let addresses = paths.read_addresses().map_err(|error| AdminError::Credentials(error.to_string()))?;
    let addresses = addresses.ok_or_else(missing)?;
    let encrypted = addresses.https.map(|address| (address, true));
    encrypted.or(addresses.http.map(|address| (address, false))).ok_or_else(missing)
}

fn client_config(paths: &DataPaths) -> Result<ClientConfig, AdminError> {
    let path = paths.pki().join("ca.crt");
    let damaged = |error: &dyn std::fmt::Display| AdminError::Credentials(format!("{}: {error}", path.display()));
    let pem = fs::read(&path).map_err(|error| damaged(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| damaged(&error))?;
        roots.add(certificate).map_err(|error| damaged(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| damaged(&error))?.with_root_certificates(roots).with_no_client_auth())
}

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // It ends with the answer's body, or with this process.
    drop(tokio::spawn(connection));
    let answer = tokio::time::timeout(SILENCE_TIMEOUT, sender.send_request(request)).await;
    answer.map_err(|_| "it does not answer".to_owned())?.map_err(|error| chain(&error))
}

async fn copy(
    answer: Response<Incoming>,
    output: &mut dyn Write,
    broken: impl Fn(String) -> AdminError,
) -> Result<(), AdminError> {
    let code = answer.status().as_u16();
    if code != 200 {
        let body = Limited::new(answer.into_body(), ERROR_BYTES_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let message =
            status["message"].as_str().map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
        return Err(AdminError::Refused { code, message });
    }
    let mut body = answer.into_body();
    loop {
        let frame = tokio::time::timeout(SILENCE_TIMEOUT, body.frame()).await;
        match frame.map_err(|_| broken("it fell silent".to_owned()))? {
            None => return Ok(()),
            Some(Err(error)) => return Err(broken(format!("the answer broke off: {}", chain(&error)))),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    output.write_all(data)?;
                }
            }
        }
    }
}

/// The HTTP library's errors say little without their causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
