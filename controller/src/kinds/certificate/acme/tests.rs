//! What is decided about orders when clocks jump, and what is said.

use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::acme::{Acme, AcmeAccount, AcmeOrder, AcmeStatus, Http01};
use api_types::kinds::certificate::{Certificate, CertificateSpec};
use jiff::Timestamp;

use super::decide::{Course, Step, next};
use super::{Errand, Errands, Key, Seen, lately, left_until};
use crate::kinds::certificate::act::Action;
use crate::runtime::events::seconds;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn certificate(state: &AcmeStatus) -> (Object<Certificate>, Acme) {
    let acme = Acme { http01: Some(Http01::default()), ..Acme::default() };
    let mut spec = CertificateSpec { dns_names: vec!["a.test".to_owned()], ..CertificateSpec::default() };
    spec.source.acme = Some(acme.clone());
    let mut object: Object<Certificate> = Object::new("default", "web", spec);
    object.status.acme = Some(state.clone());
    (object, acme)
}

fn seen() -> Seen {
    Seen {
        account_key: Key::Found("f".to_owned()),
        next_key: Key::Found("k".to_owned()),
        refusal: None,
        answering: std::collections::BTreeSet::new(),
        errand: Errands::Absent,
        fetched: None,
        looked_at: None,
        all_orders: 0,
    }
}

fn registered() -> AcmeStatus {
    let account = AcmeAccount {
        url: "https://acme.test/1".to_owned(),
        directory: Acme::default().directory,
        key: "f".to_owned(),
    };
    AcmeStatus { account: Some(account), ..AcmeStatus::default() }
}

fn decided(mut state: AcmeStatus, seen: &Seen, now: Timestamp) -> (Step, AcmeStatus) {
    let (object, acme) = certificate(&state);
    let step = next(&object, &acme, &mut state, seen, None, now);
    (step, state)
}

fn errand(step: &Step) -> &str {
    match &step.action {
        Some(Action::Errand(_, errand)) => errand.word(),
        Some(Action::Tell(reason, _)) => reason,
        _ => "",
    }
}

#[test]
fn a_moment_that_a_wrong_clock_wrote_holds_nobody_up() {
    for (after, most, expected) in [(HOUR, DAY, Some(HOUR)), (Duration::ZERO, DAY, None), (DAY * 400, DAY, None)] {
        let text = seconds(now() + after);
        assert_eq!(left_until(Some(&text), now(), most), expected, "{after:?}");
    }
    assert_eq!(left_until(Some(&seconds(now() - HOUR)), now(), DAY), None);
    assert_eq!(left_until(None, now(), DAY), None);
    let moments = [now() - DAY, now() - HOUR / 2, now(), now() + DAY].map(seconds);
    assert_eq!(lately(&moments, now()), moments[1..3]);
    // The clock went back by a year: what was put off then is tried now.
    let mut state = registered();
    state.not_before = Some(seconds(now() + DAY * 365));
    assert_eq!(errand(&decided(state.clone(), &seen(), now()).0), "Order");
    state.not_before = Some(seconds(now() + HOUR));
    let (step, _) = decided(state, &seen(), now());
    assert_eq!((step.action, step.course), (None, Course::Failed(Some(HOUR))));
}

#[test]
fn an_order_that_is_too_old_or_not_born_yet_is_given_up_once() {
    for (began, expected) in [
        (now() - HOUR, "Look"),
        (now() + HOUR, "Look"),
        (now() - HOUR * 3, "OrderFailed"),
        (now() + DAY * 365, "OrderFailed"),
    ] {
        let mut state = registered();
        let order = AcmeOrder {
            url: "https://acme.test/2".to_owned(),
            names: vec!["a.test".to_owned()],
            began_at: seconds(began),
            ..AcmeOrder::default()
        };
        state.order = Some(order);
        let (step, state) = decided(state, &seen(), now());
        assert_eq!(errand(&step), expected, "{began}");
        assert_eq!(state.order.is_none(), expected == "OrderFailed");
        assert_eq!(state.failures, i64::from(expected == "OrderFailed"));
    }
}

#[test]
fn what_an_errand_told_is_taken_up_once() {
    let mut known = seen();
    known.errand = Errands::Failed("AuthorityUnreachable".to_owned(), "it is down".to_owned(), None);
    let (step, state) = decided(registered(), &known, now());
    assert_eq!((errand(&step), state.failures, state.step), ("AuthorityUnreachable", 1, 1));
    // The next pass looks for the errand of the next step, which nobody has started.
    let (step, state) = decided(state, &seen(), now());
    assert_eq!((step.action, state.failures), (None, 1));
    for (failures, reason, least, most) in [
        (0, "AuthorityUnreachable", 5, 6),
        (9, "AuthorityUnreachable", 900, 901),
        (0, "AuthorityRefuses", 60, 61),
        (9, "AuthorityRefuses", 86_400, 86_401),
    ] {
        known.errand = Errands::Failed(reason.to_owned(), "no".to_owned(), None);
        let (_, state) = decided(AcmeStatus { failures, ..registered() }, &known, now());
        let until: Timestamp = state.not_before.unwrap().parse().unwrap();
        let pause = until.duration_since(now()).as_secs();
        assert!((least..=most).contains(&pause), "{failures} {reason}: {pause}");
    }
}

#[test]
fn limits_of_our_own_come_before_those_of_the_authority() {
    let mut state = registered();
    state.recent_orders = (1..=5).map(|minutes| seconds(now() - Duration::from_mins(60 - minutes))).collect();
    let (step, after) = decided(state.clone(), &seen(), now());
    assert_eq!(errand(&step), "RateLimited");
    assert!(after.not_before.is_some());
    state.recent_orders.pop();
    assert_eq!(errand(&decided(state, &seen(), now()).0), "Order");
    let busy = Seen { all_orders: 60, ..seen() };
    assert_eq!(errand(&decided(registered(), &busy, now()).0), "RateLimited");
    let Some(Action::Errand(1, Errand::Order(names, _))) = decided(registered(), &seen(), now()).0.action else {
        panic!("an order is made")
    };
    assert_eq!(names, ["a.test"]);
}
