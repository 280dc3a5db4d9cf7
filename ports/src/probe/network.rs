//! [`NetworkProbe`]: the real network.

mod trust;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::{
    CertificateFacts, ConnectRules, HttpProbe, HttpReport, Probe, ProbeTimes, Scheme, TcpReport, TlsReport, Verdict,
    judge,
};
use crate::error::Error;
use crate::outbound::Outbound;
use trust::{Authorities, Belief};

/// What probes call themselves.
const AGENT: HeaderValue = HeaderValue::from_static("cc-ci-probe");

/// The real network.
pub struct NetworkProbe {
    rules: ConnectRules,
    outbound: Outbound,
    authorities: Authorities,
}

impl NetworkProbe {
    /// Returns a probe that trusts the machine's authorities and those in `ca_files` (PEM). What `rules` do not lead
    /// elsewhere is reached as far as `outbound` lets it.
    ///
    /// # Errors
    /// `Terminal` when one of the files cannot be read or holds no certificate.
    pub fn open(rules: ConnectRules, outbound: Outbound, ca_files: &[PathBuf]) -> Result<Self, Error> {
        Ok(Self { rules, outbound, authorities: Authorities::open(ca_files)? })
    }

    async fn connect(&self, host: &str, port: u16, time: Duration) -> Result<TcpStream, String> {
        self.connect_by(&self.outbound, host, port, time).await
    }

    async fn connect_by(
        &self,
        outbound: &Outbound,
        host: &str,
        port: u16,
        time: Duration,
    ) -> Result<TcpStream, String> {
        let connect = async {
            let addresses: Vec<SocketAddr> = match self.rules.address(host, port) {
                Some(address) => vec![address],
                None => outbound.addresses(host, port).await.map_err(|error| error.message)?,
            };
            let mut problem = format!("{host} has no address in the DNS");
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => problem = format!("{host} does not accept connections at {address} ({error})"),
                }
            }
            Err(problem)
        };
        let seconds = time.as_secs_f32();
        timeout(time, connect).await.unwrap_or_else(|_| Err(format!("{host} was not reached within {seconds} s")))
    }

    /// Shakes hands, and tells what was shown either way.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        name: &str,
        belief: Belief,
        time: Duration,
    ) -> (Result<tokio_rustls::client::TlsStream<TcpStream>, String>, Vec<CertificateFacts>) {
        let Ok(server_name) = ServerName::try_from(name.trim_matches(['[', ']']).to_owned()) else {
            return (Err(format!("{name:?} is no name that a certificate could be for")), Vec::new());
        };
        let (configuration, seen) = self.authorities.client(belief);
        let connected = timeout(time, TlsConnector::from(Arc::new(configuration)).connect(server_name, stream)).await;
        let (chain, problem) = seen.take();
        let chain: Vec<CertificateFacts> = chain.iter().filter_map(|der| CertificateFacts::read(der)).collect();
        let connected = match connected {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(complaint(name, chain.first(), problem.as_ref(), &error)),
            Err(_) => Err(format!("{name} did not shake hands over TLS within {} s", time.as_secs_f32())),
        };
        (connected, chain)
    }
}

/// Returns what is wrong with a certificate, for people.
fn complaint(
    name: &str,
    leaf: Option<&CertificateFacts>,
    problem: Option<&rustls::CertificateError>,
    error: &io::Error,
) -> String {
    use rustls::CertificateError as Wrong;
    let (Some(leaf), Some(problem)) = (leaf, problem) else {
        return format!("{name} does not speak TLS as it should ({error})");
    };
    let names = leaf.dns_names.join(", ");
    match problem {
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            format!("the certificate that {name} shows is for {names} (subject {})", leaf.subject)
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => {
            let until = leaf.not_after.map_or_else(String::new, |until| format!(" on {until}"));
            format!("the certificate that {name} shows ended{until}")
        }
        Wrong::UnknownIssuer => format!(
            "nobody that this machine trusts vouches for the certificate that {name} shows (issuer {}, subject {}); if \
             it is your own authority, name its file in probe.ca_files of the configuration",
            leaf.issuer, leaf.subject
        ),
        other => format!("the certificate that {name} shows does not hold ({other:?})"),
    }
}

#[async_trait]
impl Probe for NetworkProbe {
    async fn http(&self, probe: &HttpProbe) -> HttpReport {
        let began = Instant::now();
        let mut report = HttpReport {
            verdict: Verdict::ProxyDown,
            status: None,
            location: None,
            content_type: None,
            body: Vec::new(),
            is_cut_off: false,
            certificate: None,
            elapsed: Duration::ZERO,
            message: String::new(),
        };
        match self.connect(&probe.host, probe.port(), probe.times.connect).await {
            Err(message) => report.message = message,
            Ok(stream) if probe.scheme == Scheme::Http => ask(stream, probe, &mut report).await,
            Ok(stream) => {
                let belief = if probe.scheme == Scheme::UncheckedHttps { Belief::Anybody } else { Belief::Authorities };
                let (connected, chain) = self.shake_hands(stream, &probe.host, belief, probe.times.tls).await;
                report.certificate = chain.into_iter().next();
                match connected {
                    Ok(stream) => ask(stream, probe, &mut report).await,
                    Err(message) => (report.verdict, report.message) = (Verdict::TlsInvalid, message),
                }
            }
        }
        report.elapsed = began.elapsed();
        report
    }

    async fn tcp(&self, host: &str, port: u16, times: ProbeTimes) -> TcpReport {
        let began = Instant::now();
        let connected = self.connect(host, port, times.connect).await;
        let is_open = connected.is_ok();
        let message = connected.err().unwrap_or_else(|| format!("{host} accepts connections at port {port}"));
        TcpReport { is_open, elapsed: began.elapsed(), message }
    }

    async fn tls(&self, host: &str, port: u16, server_name: &str, times: ProbeTimes) -> TlsReport {
        let stream = match self.connect_by(&Outbound::anywhere(), host, port, times.connect).await {
            Ok(stream) => stream,
            Err(message) => return TlsReport { verdict: Verdict::ProxyDown, chain: Vec::new(), message },
        };
        let (connected, chain) = self.shake_hands(stream, server_name, Belief::Authorities, times.tls).await;
        match connected {
            Ok(_) => {
                let message = format!("{host} shows a certificate that holds for {server_name}");
                TlsReport { verdict: Verdict::Answered, chain, message }
            }
            Err(message) => TlsReport { verdict: Verdict::TlsInvalid, chain, message },
        }
    }
}

/// Sends the request and reads the answer.
async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, probe: &HttpProbe, report: &mut HttpReport) {
    report.verdict = Verdict::NoAnswer;
    let answered = timeout(probe.times.answer, exchange(stream, probe, report)).await;
    let problem = match answered {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{} does not answer in HTTP ({error})", probe.host)),
        Err(_) => {
            Some(format!("{} did not answer completely within {} s", probe.host, probe.times.answer.as_secs_f32()))
        }
    };
    if let Some(problem) = problem {
        (report.verdict, report.message) = (Verdict::NoAnswer, problem);
        return;
    }
    let status = report.status.unwrap_or_default();
    report.verdict = judge(status, &report.body);
    let host = &probe.host;
    report.message = match report.verdict {
        Verdict::RouterMissing => format!("the proxy has no router for {host} (yet)"),
        Verdict::BackendDown => format!("the proxy gets no answer from the app behind {host} ({status})"),
        Verdict::NoServer => format!("the proxy has no running server for {host} ({status})"),
        _ => format!("{host}{} answers {status}", probe.path),
    };
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    probe: &HttpProbe,
    report: &mut HttpReport,
) -> Result<(), String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let host = probe.port.map_or_else(|| probe.host.clone(), |port| format!("{}:{port}", probe.host));
    let mut request =
        Request::builder().method(&*probe.method).uri(&*probe.path).header(HOST, host).header(USER_AGENT, AGENT);
    for (name, value) in &probe.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(probe.body.clone()))).map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        read(response, probe.body_bytes_max, report).await
    };
    tokio::pin!(exchange, connection);
    // The connection ends with the exchange: a probe leaves nothing running.
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => match ended {
            // What was read before the end is still to be looked at.
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

async fn read(
    response: Response<hyper::body::Incoming>,
    bytes_max: usize,
    report: &mut HttpReport,
) -> Result<(), String> {
    let (head, mut body) = response.into_parts();
    let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    (report.status, report.location, report.content_type) =
        (Some(head.status.as_u16()), header(LOCATION), header(CONTENT_TYPE));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Ok(data) = frame.into_data() else { continue };
        let room = bytes_max - report.body.len();
        report.body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            report.is_cut_off = true;
            break;
        }
    }
    Ok(())
}
