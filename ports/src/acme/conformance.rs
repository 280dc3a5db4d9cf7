//! What every implementation of [`Acme`] must do: the same suite for the fake and for a real authority.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a conformance suite fails by panicking")]

use std::time::Duration;

use super::solve::{Answers, Change, Record, Solver, Writer};
use super::{
    ACCOUNT_GONE, Account, AccountKey, Acme, Authority, Challenge, ChallengeKind, ORDER_GONE, Order, OrderState, Proof,
    key, signing_request,
};
use crate::certificate::{Origin, Pair};
use crate::error::{Error, ErrorKind};

/// Says what the suite runs against.
pub trait Harness {
    /// The implementation.
    fn acme(&self) -> &dyn Acme;
    /// The authority.
    fn authority(&self) -> Authority;
    /// What it looks at.
    fn solver(&self) -> &dyn Solver;
    /// Who writes records.
    fn writer(&self) -> Writer;
    /// The port on which it looks for answers.
    fn http_port(&self) -> u16;
}

/// How long an order may take.
const LOOKS_MAX: u32 = 200;
/// How long it is waited between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the whole suite.
pub async fn check(harness: &impl Harness) {
    let account = a_key_has_one_account(harness).await;
    let chain = names_are_proved_over_http(harness, &account).await;
    a_wildcard_is_proved_over_dns(harness, &account).await;
    what_cannot_be_seen_fails_with_words(harness, &account).await;
    what_is_gone_is_told_apart(harness, &account).await;
    renewal_may_be_asked_for(harness, &account, &chain).await;
}

/// A nonce that is refused is nobody's fault.
async fn again<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..LOOKS_MAX {
        match call().await {
            Err(error) if error.reason == super::BAD_NONCE => {}
            ended => return ended,
        }
    }
    panic!("no nonce is good");
}

async fn a_key_has_one_account(harness: &impl Harness) -> Account {
    let (acme, authority) = (harness.acme(), harness.authority());
    let key = AccountKey::generate().unwrap();
    let register = async || acme.register(&authority, &key, Some("ops@example.org"), None).await;
    let url = again(register).await.unwrap();
    assert_eq!(again(register).await.unwrap(), url, "the same key has the same account");
    let read = AccountKey::from_pem(key.to_pem().as_bytes()).unwrap();
    assert_eq!(again(async || acme.register(&authority, &read, None, None).await).await.unwrap(), url);
    let other = AccountKey::generate().unwrap();
    assert_ne!(again(async || acme.register(&authority, &other, None, None).await).await.unwrap(), url);
    Account { key, url }
}

async fn begin(harness: &impl Harness, account: &Account, names: &[String]) -> (String, Order) {
    let (acme, authority) = (harness.acme(), harness.authority());
    let url = again(async || acme.order(&authority, account, names, None).await).await.unwrap();
    let order = again(async || acme.look(&authority, account, &url).await).await.unwrap();
    assert_eq!((order.state, order.names.len()), (OrderState::Pending, names.len()));
    (url, order)
}

fn chosen(order: &Order, kind: ChallengeKind) -> Vec<Challenge> {
    let of = |name: &super::Name| name.challenges.iter().find(|one| one.kind == kind).cloned();
    order.names.iter().filter_map(of).collect()
}

async fn look_until(harness: &impl Harness, account: &Account, url: &str, is_enough: impl Fn(&Order) -> bool) -> Order {
    let (acme, authority) = (harness.acme(), harness.authority());
    for _ in 0..LOOKS_MAX {
        let order = again(async || acme.look(&authority, account, url).await).await.unwrap();
        if is_enough(&order) {
            return order;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the order {url} does not get there");
}

/// Answers, hands in the signing request, and returns the certificate with its chain.
async fn finish(
    harness: &impl Harness,
    account: &Account,
    url: &str,
    challenges: &[Challenge],
    names: &[String],
) -> Pair {
    let (acme, authority) = (harness.acme(), harness.authority());
    let urls: Vec<String> = challenges.iter().map(|challenge| challenge.url.clone()).collect();
    again(async || acme.answer(&authority, account, url, &urls).await).await.unwrap();
    let ready = look_until(harness, account, url, |order| order.state != OrderState::Pending).await;
    assert_eq!(ready.state, OrderState::Ready, "{ready:?}");
    again(async || acme.answer(&authority, account, url, &urls).await).await.unwrap();
    let key = key::certificate_key().unwrap();
    let request = signing_request(&key, names).unwrap();
    again(async || acme.finalize(&authority, account, url, &request).await).await.unwrap();
    look_until(harness, account, url, |order| order.state == OrderState::Valid).await;
    let chain = again(async || acme.fetch(&authority, account, url).await).await.unwrap();
    let origin = Origin { certificate: "what came".to_owned(), key: "our key".to_owned() };
    let pair = Pair::read(chain.as_bytes(), key.as_bytes(), &origin).unwrap();
    let mut covered = pair.leaf().dns_names.clone();
    covered.sort();
    assert_eq!(covered, names);
    pair
}

async fn names_are_proved_over_http(harness: &impl Harness, account: &Account) -> Pair {
    let names = ["a.http.test".to_owned(), "b.http.test".to_owned()];
    let (url, order) = begin(harness, account, &names).await;
    let challenges = chosen(&order, ChallengeKind::Http01);
    assert_eq!(challenges.len(), 2);
    let answers: Answers = challenges.iter().map(|one| (one.asked.clone(), one.answer.clone())).collect();
    harness.solver().answer("http", harness.http_port(), &answers).unwrap();
    assert_eq!(harness.solver().answers("http"), answers.keys().cloned().collect());
    let pair = finish(harness, account, &url, &challenges, &names).await;
    harness.solver().answer("http", harness.http_port(), &Answers::new()).unwrap();
    assert!(harness.solver().answers("http").is_empty());
    pair
}

async fn a_wildcard_is_proved_over_dns(harness: &impl Harness, account: &Account) {
    let names = ["*.dns.test".to_owned(), "dns.test".to_owned()];
    let (url, order) = begin(harness, account, &names).await;
    let wildcard = order.names.iter().find(|name| name.name.starts_with("*.")).unwrap();
    assert!(wildcard.challenges.iter().all(|one| one.kind == ChallengeKind::Dns01), "{wildcard:?}");
    let challenges = chosen(&order, ChallengeKind::Dns01);
    let record =
        |one: &Challenge| Record { domain: "dns.test".to_owned(), name: one.asked.clone(), value: one.answer.clone() };
    for one in &challenges {
        assert_eq!(one.asked, "_acme-challenge.dns.test", "both have the same record, with two values");
        harness.solver().write(&harness.writer(), Change::Present, &record(one)).await.unwrap();
    }
    finish(harness, account, &url, &challenges, &names).await;
    for one in &challenges {
        for _ in 0..2 {
            harness.solver().write(&harness.writer(), Change::Cleanup, &record(one)).await.unwrap();
        }
    }
}

async fn what_cannot_be_seen_fails_with_words(harness: &impl Harness, account: &Account) {
    let (acme, authority) = (harness.acme(), harness.authority());
    let names = ["unseen.http.test".to_owned()];
    let (url, order) = begin(harness, account, &names).await;
    let urls: Vec<String> = chosen(&order, ChallengeKind::Http01).into_iter().map(|one| one.url).collect();
    again(async || acme.answer(&authority, account, &url, &urls).await).await.unwrap();
    let failed = look_until(harness, account, &url, |order| order.state == OrderState::Invalid).await;
    assert_eq!(failed.names[0].proof, Proof::Invalid);
    let problem = failed.names[0].challenges.iter().find_map(|one| one.problem.clone()).unwrap();
    assert!(problem.len() > 10 && !problem.contains('\n'), "{problem}");
}

async fn what_is_gone_is_told_apart(harness: &impl Harness, account: &Account) {
    let (acme, authority) = (harness.acme(), harness.authority());
    let names = ["gone.http.test".to_owned()];
    let (url, _) = begin(harness, account, &names).await;
    let unknown = format!("{url}unknown");
    let error = again(async || acme.look(&authority, account, &unknown).await).await.unwrap_err();
    assert_eq!(error.reason, ORDER_GONE, "{error}");
    let stranger = Account { key: AccountKey::generate().unwrap(), url: format!("{}9", account.url) };
    let error = again(async || acme.order(&authority, &stranger, &names, None).await).await.unwrap_err();
    assert_eq!(error.reason, ACCOUNT_GONE, "{error}");
    assert_eq!(error.kind, ErrorKind::Terminal);
}

async fn renewal_may_be_asked_for(harness: &impl Harness, account: &Account, pair: &Pair) {
    let (acme, authority) = (harness.acme(), harness.authority());
    let der = pair.leaf_der();
    let renewal = again(async || acme.renewal(&authority, account, &der).await).await;
    // Not every authority speaks the newest version.
    if let Ok(Some(window)) = renewal {
        assert!(window.start <= window.end);
    }
    let names = pair.leaf().dns_names.clone();
    again(async || acme.order(&authority, account, &names, Some(&der)).await).await.unwrap();
}
