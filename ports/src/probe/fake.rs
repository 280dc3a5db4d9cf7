//! [`FakeProbe`]: an outside that is what a test says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{CertificateFacts, HttpProbe, HttpReport, Probe, ProbeTimes, Scheme, TcpReport, TlsReport, Verdict, judge};

/// How a host behaves over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FakeAnswer {
    /// It answers with a status code and a body.
    Status(u16, String),
    /// It sends elsewhere.
    Redirect(String),
    /// It is not there, for this reason.
    Down(String),
    /// Its certificate does not hold, for this reason; who does not look at it is answered 200.
    TlsInvalid(String),
    /// It accepts the connection and says nothing.
    Silent,
}

#[derive(Debug, Default)]
struct State {
    http: BTreeMap<(String, String), VecDeque<FakeAnswer>>,
    hosts: BTreeMap<String, FakeAnswer>,
    ports: BTreeMap<(String, u16), bool>,
    chains: BTreeMap<String, Vec<CertificateFacts>>,
    asked: Vec<String>,
}

/// An outside that is what a test says. Hosts that nobody spoke of are not there.
#[derive(Debug, Default)]
pub struct FakeProbe {
    state: Mutex<State>,
}

impl FakeProbe {
    /// Says how a host behaves from now on, whatever the path.
    pub fn set_host(&self, host: &str, answer: FakeAnswer) {
        self.state().hosts.insert(host.to_owned(), answer);
    }

    /// Says how a path behaves at the next probes, one after the other; the last one stays.
    pub fn set_path(&self, host: &str, path: &str, answers: impl IntoIterator<Item = FakeAnswer>) {
        self.state().http.insert((host.to_owned(), path.to_owned()), answers.into_iter().collect());
    }

    /// Opens or closes a port.
    pub fn set_port(&self, host: &str, port: u16, is_open: bool) {
        self.state().ports.insert((host.to_owned(), port), is_open);
    }

    /// Says which certificates a name shows, its own first.
    pub fn set_chain(&self, server_name: &str, chain: Vec<CertificateFacts>) {
        self.state().chains.insert(server_name.to_owned(), chain);
    }

    /// Returns what was asked for so far: `HOST/PATH` or `HOST:PORT`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&mut self, host: &str, path: &str) -> FakeAnswer {
        if let Some(answers) = self.http.get_mut(&(host.to_owned(), path.to_owned())) {
            let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            if let Some(answer) = next {
                return answer;
            }
        }
        self.hosts.get(host).cloned().unwrap_or_else(|| FakeAnswer::Down(format!("{host} has no address in the DNS")))
    }
}

#[async_trait]
impl Probe for FakeProbe {
    async fn http(&self, probe: &HttpProbe) -> HttpReport {
        let mut state = self.state();
        state.asked.push(format!("{}{}", probe.host, probe.path));
        let answer = state.answer(&probe.host, &probe.path);
        let certificate = state.chains.get(&probe.host).and_then(|chain| chain.first().cloned());
        let mut report = HttpReport {
            verdict: Verdict::NoAnswer,
            status: None,
            location: None,
            content_type: None,
            body: Vec::new(),
            is_cut_off: false,
            certificate,
            elapsed: Duration::from_millis(1),
            message: format!("{} did not answer completely within {} s", probe.host, probe.times.answer.as_secs_f32()),
        };
        match answer {
            FakeAnswer::Silent => report.elapsed = probe.times.answer,
            FakeAnswer::Down(message) => (report.verdict, report.message) = (Verdict::ProxyDown, message),
            FakeAnswer::TlsInvalid(_) if probe.scheme == Scheme::UncheckedHttps => {
                (report.verdict, report.status) = (Verdict::Answered, Some(200));
            }
            FakeAnswer::TlsInvalid(message) => (report.verdict, report.message) = (Verdict::TlsInvalid, message),
            FakeAnswer::Redirect(to) => {
                (report.verdict, report.status, report.location) = (Verdict::Answered, Some(302), Some(to));
            }
            FakeAnswer::Status(status, body) => {
                report.body = body.into_bytes();
                report.is_cut_off = report.body.len() > probe.body_bytes_max;
                report.body.truncate(probe.body_bytes_max);
                (report.verdict, report.status) = (judge(status, &report.body), Some(status));
            }
        }
        if let Some(status) = report.status {
            report.message = format!("{}{} answers {status}", probe.host, probe.path);
        }
        report
    }

    async fn tcp(&self, host: &str, port: u16, _times: ProbeTimes) -> TcpReport {
        let mut state = self.state();
        state.asked.push(format!("{host}:{port}"));
        let is_open = state.ports.get(&(host.to_owned(), port)).copied().unwrap_or(false);
        let verb = if is_open { "accepts" } else { "does not accept" };
        let message = format!("{host} {verb} connections at port {port}");
        TcpReport { is_open, elapsed: Duration::from_millis(1), message }
    }

    async fn tls(&self, host: &str, port: u16, server_name: &str, _times: ProbeTimes) -> TlsReport {
        let mut state = self.state();
        state.asked.push(format!("{host}:{port}"));
        let chain = state.chains.get(server_name).cloned().unwrap_or_default();
        let (verdict, message) = match state.hosts.get(host) {
            Some(FakeAnswer::TlsInvalid(message)) => (Verdict::TlsInvalid, message.clone()),
            Some(FakeAnswer::Down(message)) => (Verdict::ProxyDown, message.clone()),
            None => (Verdict::ProxyDown, format!("{host} has no address in the DNS")),
            Some(_) => (Verdict::Answered, format!("{host} shows a certificate that holds for {server_name}")),
        };
        let chain = if verdict == Verdict::ProxyDown { Vec::new() } else { chain };
        TlsReport { verdict, chain, message }
    }
}
