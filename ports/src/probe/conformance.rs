//! What every implementation of [`Probe`] must do: the same suite for the fake and for the network.

use std::time::Duration;

use super::{HttpProbe, HttpReport, Probe, ProbeTimes, Scheme, Verdict};

/// How a host of the suite behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Situation {
    /// Answers 200 and `hello`.
    Good,
    /// Answers 404 and a page of its own.
    NotFound,
    /// Answers as a proxy without a router.
    NoRouter,
    /// Answers 502.
    BadGateway,
    /// Answers 503.
    Unavailable,
    /// Answers 302 to `https://elsewhere.example/`.
    Redirect,
    /// Answers 200 and a million bytes.
    Huge,
    /// Accepts the connection and never answers.
    Silent,
    /// Shows a certificate for another name.
    WrongName,
    /// Shows a certificate that has ended.
    Expired,
    /// Shows a certificate of an authority that nobody knows.
    UnknownIssuer,
    /// Does not accept connections.
    Refused,
    /// Has no address.
    Unknown,
}

/// Says where hosts are that behave so.
pub trait Harness {
    /// The implementation.
    fn probe(&self) -> &dyn Probe;
    /// A host.
    fn host(&self, situation: Situation) -> String;
}

/// Times that suit a test: only who is silent needs them.
pub const TIMES: ProbeTimes =
    ProbeTimes { connect: Duration::from_secs(10), tls: Duration::from_secs(10), answer: Duration::from_millis(1500) };

/// Runs the whole suite.
pub async fn check(harness: &impl Harness) {
    each_situation_has_its_verdict(harness).await;
    answers_are_bounded_and_redirects_not_followed(harness).await;
    certificates_are_told_apart(harness).await;
    ports_are_open_or_closed(harness).await;
}

async fn get(harness: &impl Harness, situation: Situation) -> HttpReport {
    let mut probe = HttpProbe::https(harness.host(situation), "/health?full=1");
    (probe.times, probe.body_bytes_max) = (TIMES, 1000);
    harness.probe().http(&probe).await
}

async fn each_situation_has_its_verdict(harness: &impl Harness) {
    let cases = [
        (Situation::Good, Verdict::Answered, Some(200)),
        (Situation::NotFound, Verdict::Answered, Some(404)),
        (Situation::NoRouter, Verdict::RouterMissing, Some(404)),
        (Situation::BadGateway, Verdict::BackendDown, Some(502)),
        (Situation::Unavailable, Verdict::NoServer, Some(503)),
        (Situation::Redirect, Verdict::Answered, Some(302)),
        (Situation::Silent, Verdict::NoAnswer, None),
        (Situation::WrongName, Verdict::TlsInvalid, None),
        (Situation::Expired, Verdict::TlsInvalid, None),
        (Situation::UnknownIssuer, Verdict::TlsInvalid, None),
        (Situation::Refused, Verdict::ProxyDown, None),
        (Situation::Unknown, Verdict::ProxyDown, None),
    ];
    for (situation, verdict, status) in cases {
        let report = get(harness, situation).await;
        assert_eq!((report.verdict, report.status), (verdict, status), "{situation:?}: {}", report.message);
        assert!(!report.message.is_empty(), "{situation:?}");
        let is_ours = matches!(verdict, Verdict::ProxyDown | Verdict::TlsInvalid);
        assert_eq!(report.verdict.is_ours(), is_ours, "{situation:?}");
    }
    let good = get(harness, Situation::Good).await;
    assert_eq!(good.body, b"hello");
    assert!(good.is_one_of(&[301, 200]) && !good.is_one_of(&[204]));
    assert!(!get(harness, Situation::NoRouter).await.is_one_of(&[404]), "it is not the app's answer");
}

async fn answers_are_bounded_and_redirects_not_followed(harness: &impl Harness) {
    let huge = get(harness, Situation::Huge).await;
    assert_eq!((huge.body.len(), huge.is_cut_off, huge.status), (1000, true, Some(200)));
    let redirect = get(harness, Situation::Redirect).await;
    assert_eq!(redirect.location.as_deref(), Some("https://elsewhere.example/"));
}

async fn certificates_are_told_apart(harness: &impl Harness) {
    let look = |situation| {
        let host = harness.host(situation);
        async move { harness.probe().tls(&host, 443, &host, TIMES).await }
    };
    let good = look(Situation::Good).await;
    assert_eq!(good.verdict, Verdict::Answered, "{}", good.message);
    assert!(!good.chain[0].serial.is_empty() && good.chain[0].fingerprint.len() == 64);
    assert!(good.chain[0].not_after.is_some() && !good.chain[0].dns_names.is_empty());
    for situation in [Situation::WrongName, Situation::Expired, Situation::UnknownIssuer] {
        let bad = look(situation).await;
        assert_eq!(bad.verdict, Verdict::TlsInvalid, "{situation:?}: {}", bad.message);
        assert!(!bad.chain.is_empty(), "{situation:?}: what was shown is told even so");
        assert_ne!(bad.chain[0].fingerprint, good.chain[0].fingerprint, "{situation:?}");
    }
    for situation in [Situation::Good, Situation::WrongName, Situation::Expired, Situation::UnknownIssuer] {
        let mut probe = HttpProbe::https(harness.host(situation), "/health?full=1");
        (probe.times, probe.scheme) = (TIMES, Scheme::UncheckedHttps);
        let report = harness.probe().http(&probe).await;
        let seen = (report.verdict, report.status);
        assert_eq!(seen, (Verdict::Answered, Some(200)), "{situation:?} is not looked at: {}", report.message);
    }
    let refused = look(Situation::Refused).await;
    assert_eq!((refused.verdict, refused.chain.len()), (Verdict::ProxyDown, 0));
}

async fn ports_are_open_or_closed(harness: &impl Harness) {
    for (situation, is_open) in [(Situation::Good, true), (Situation::Refused, false), (Situation::Unknown, false)] {
        let report = harness.probe().tcp(&harness.host(situation), 443, TIMES).await;
        assert_eq!(report.is_open, is_open, "{situation:?}: {}", report.message);
    }
}
