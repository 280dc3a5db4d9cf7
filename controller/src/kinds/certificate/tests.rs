//! What is decided about Certificates: tables of what is seen and what follows.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus};
use api_types::kind::Object;
use api_types::kinds::certificate::{
    Certificate, CertificateFiles, CertificateProbe, CertificateSpec, CertificateStatus, Distribution, SelfSigned,
    ServedCertificate,
};
use api_types::reason;
use api_types::units::DurationText;
use jiff::Timestamp;
use ports::certificate::{Origin, Pair, self_signed};

use super::Probed;
use super::act::Action;
use super::decide::{decide, renewal_time};
use super::kept::Kept;
use super::observe::{Observed, Offered, Target};
use crate::runtime::reconciler::{Decision, Next};

const HOUR: Duration = Duration::from_hours(1);

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns a pair for `*.example.org` that was made at a moment and lasts so many days.
fn pair(at: Timestamp, days: u64) -> Pair {
    self_signed(&names(&["*.example.org", "example.org"]), at, HOUR * 24 * u32::try_from(days).unwrap()).unwrap()
}

fn earlier(days: u64) -> Timestamp {
    now() - HOUR * 24 * u32::try_from(days).unwrap()
}

fn certificate() -> Object<Certificate> {
    let mut spec = CertificateSpec { dns_names: names(&["a.example.org"]), ..CertificateSpec::default() };
    spec.source.files = Some(CertificateFiles { cert: "/c.pem".to_owned(), key: "/k.pem".to_owned() });
    Object::new("default", "wildcard", spec)
}

fn seen(offered: Offered, kept: Option<&Pair>) -> Observed {
    Observed {
        offered,
        origin: Origin { certificate: "the file /c.pem".to_owned(), key: "the file /k.pem".to_owned() },
        kept: kept.map_or(Kept::Nothing, |pair| Kept::Pair(pair.clone())),
        targets: Vec::new(),
        probed: None,
        is_probing: false,
        order: None,
    }
}

/// Decides again and again until there is nothing more to tell; what is done otherwise is returned.
fn settle(object: &mut Object<Certificate>, seen: &Observed) -> Decision<CertificateStatus, Action> {
    loop {
        let mut decision = decide(object, seen, now());
        for condition in &mut decision.status.conditions {
            "2026-11-20T09:00:00Z".clone_into(&mut condition.last_transition_time);
        }
        object.status = decision.status.clone();
        if !matches!(decision.action, Some(Action::Tell(..))) {
            return decision;
        }
    }
}

fn word(status: &CertificateStatus, type_: &str) -> String {
    let found = condition::find(&status.conditions, type_);
    found.map_or_else(|| "absent".to_owned(), |found| format!("{} {}", found.status.word(), found.reason))
}

fn message<'a>(status: &'a CertificateStatus, type_: &str) -> &'a str {
    &condition::find(&status.conditions, type_).unwrap().message
}

#[test]
fn a_good_pair_is_taken_and_described() {
    let new = pair(now(), 90);
    let mut object = certificate();
    let taken = settle(&mut object, &seen(Offered::Pair(new.clone()), None));
    assert_eq!(taken.action, Some(Action::Keep(new.clone())));
    assert_eq!(taken.status.serial, None, "it is in use once it is kept");
    let kept = settle(&mut object, &seen(Offered::Pair(new.clone()), Some(&new)));
    assert_eq!((kept.action, kept.next), (None, Next::After(Duration::from_secs(2))));
    let status = kept.status;
    assert_eq!(status.serial.as_ref(), Some(&new.leaf().serial));
    assert_eq!(status.fingerprint.as_ref(), Some(&new.leaf().fingerprint));
    assert_eq!(status.not_after.as_deref(), Some("2027-02-18T10:00:00Z"));
    assert_eq!(status.dns_names, ["*.example.org", "example.org"]);
    let words = ["Valid", "Distributed", "Served", "Expiring", "Ready"].map(|type_| word(&status, type_));
    assert_eq!(words, ["True Valid", "True Distributed", "absent", "False NotDue", "True Succeeded"]);
}

#[test]
fn a_bad_pair_never_replaces_a_good_one() {
    let good = pair(now(), 90);
    let of_others = self_signed(&names(&["other.org"]), now(), HOUR).unwrap();
    let refused = |reason, message: &str| Offered::Refused { reason, message: message.to_owned() };
    for (what, offered, reason, words) in [
        ("another key", refused(reason::KEY_MISMATCH, "the key does not fit"), "KeyMismatch", "The key does not fit."),
        (
            "a cut file",
            refused(reason::UNREADABLE, "the file /c.pem ends early"),
            "Unreadable",
            "The file /c.pem ends early.",
        ),
        ("an old one", Offered::Pair(pair(earlier(91), 90)), "Expired", "expired at 2026-11-19 10:00:00 UTC: renew it"),
        ("of the future", Offered::Pair(pair(now() + HOUR * 48, 90)), "NotYetValid", "is not valid before"),
        ("of others", Offered::Pair(of_others), "NamesNotCovered", "does not cover a.example.org: it is for other.org"),
    ] {
        let mut object = certificate();
        let decision = settle(&mut object, &seen(offered.clone(), Some(&good)));
        assert_eq!(decision.action, None, "{what}");
        assert_eq!(decision.status.serial.as_ref(), Some(&good.leaf().serial), "{what}");
        assert_eq!(word(&decision.status, "Valid"), format!("False {reason}"), "{what}");
        let said = message(&decision.status, "Valid");
        assert!(said.contains(words) && said.contains("stays in use"), "{what}: {said}");
        assert_eq!(word(&decision.status, "Ready"), format!("False {reason}"), "{what}");
        // Without a good one there is nothing that stays.
        let alone = settle(&mut certificate(), &seen(offered, None));
        assert_eq!(alone.action, None, "{what}");
        assert!(!message(&alone.status, "Valid").contains("stays"), "{what}");
        assert_eq!(word(&alone.status, "Distributed"), "Unknown Progressing", "{what}");
    }
}

#[test]
fn files_that_are_being_written_are_given_a_moment() {
    let good = pair(now(), 90);
    let mut object = certificate();
    settle(&mut object, &seen(Offered::Pair(good.clone()), Some(&good)));
    let decision = settle(&mut object, &seen(Offered::Unsettled, Some(&good)));
    assert_eq!((word(&decision.status, "Valid"), decision.action), ("True Valid".to_owned(), None));
    assert_eq!(decision.next, Next::After(Duration::from_secs(2)));
}

#[test]
fn one_that_ends_while_it_is_in_use_is_told_and_stays() {
    let old = pair(earlier(91), 90);
    let decision = settle(&mut certificate(), &seen(Offered::Pair(old.clone()), Some(&old)));
    assert_eq!(word(&decision.status, "Valid"), "False Expired");
    assert!(message(&decision.status, "Valid").ends_with("Until then it stays in use."));
    assert!(message(&decision.status, "Expiring").contains("it has ended"), "{:?}", decision.status);
}

#[test]
fn somebody_elses_secret_is_not_touched() {
    let mut observed = seen(Offered::Pair(pair(now(), 90)), None);
    observed.kept = Kept::Foreign("wildcard.certificate".to_owned());
    let decision = settle(&mut certificate(), &observed);
    assert_eq!((word(&decision.status, "Valid"), decision.action), ("False SecretNotOurs".to_owned(), None));
}

#[test]
fn renewal_follows_the_lifetime_unless_the_spec_says_otherwise() {
    let days = |at: Timestamp, pair: &Pair| pair.leaf().not_after.unwrap().duration_since(at).as_secs_f64() / 86_400.0;
    for (lifetime, asked, is_ours, before) in [
        (90, None, false, 30.0),
        (45, None, false, 15.0),
        (6, None, false, 2.0),
        (90, Some("240h"), false, 10.0),
        (6, Some("720h"), false, 30.0),
        // One that would be renewed again and again.
        (6, Some("720h"), true, 2.0),
        (90, Some("720h"), true, 30.0),
    ] {
        let pair = pair(now(), lifetime);
        let mut spec = certificate().spec;
        spec.renew_before = asked.map(|text| DurationText::parse(text).unwrap());
        if is_ours {
            spec.source.files = None;
            spec.source.self_signed = Some(SelfSigned::default());
        }
        let found = days(renewal_time(&spec, pair.leaf(), None).unwrap(), &pair);
        assert!((found - before).abs() < 0.01, "{lifetime} {asked:?} {is_ours}: {found}");
    }
}

#[test]
fn expiring_is_told_once_a_day() {
    let old = pair(earlier(70), 90);
    let observed = seen(Offered::Pair(old.clone()), Some(&old));
    let mut object = certificate();
    let Some(Action::Tell(reason, said)) = decide(&object, &observed, now()).action else { panic!("it is told") };
    assert_eq!(reason, "ExpiresSoon");
    assert_eq!(
        said,
        "It ends at 2026-12-10 10:00 UTC: 20 days are left. Renew it and write the new pair to /c.pem and /k.pem; it is \
         taken by itself."
    );
    settle(&mut object, &observed);
    assert_eq!(word(&object.status, "Expiring"), "True ExpiresSoon");
    assert_eq!(word(&object.status, "Ready"), "True Succeeded", "it is good until it ends");
    assert_eq!(decide(&object, &observed, now() - HOUR).action, None, "it was told today");
    assert!(matches!(decide(&object, &observed, now() + HOUR * 24).action, Some(Action::Tell(..))));
}

#[test]
fn what_is_made_here_is_made_when_it_is_needed_and_not_before() {
    let mut object = certificate();
    object.spec.source.files = None;
    let wanted = names(&["*.example.org", "example.org"]);
    object.spec.source.self_signed = Some(SelfSigned { dns_names: wanted.clone(), duration: None });
    let make = Some(Action::Make(wanted, HOUR * 24 * 90));
    for (what, kept, expected) in [
        ("the first", None, make.clone()),
        ("a new one", Some(pair(now(), 90)), None),
        ("one in its last third", Some(pair(earlier(60), 90)), make.clone()),
        ("one that has ended", Some(pair(earlier(91), 90)), make.clone()),
        ("one for other names", Some(self_signed(&names(&["example.org"]), now(), HOUR).unwrap()), make),
    ] {
        let decision = settle(&mut object, &seen(Offered::Made, kept.as_ref()));
        assert_eq!(decision.action, expected, "{what}");
    }
    let good = pair(now(), 90);
    let decision = settle(&mut object, &seen(Offered::Made, Some(&good)));
    assert_eq!(decision.next, Next::After(HOUR), "the time is looked at now and then");
    object.spec.dns_names = names(&["other.org"]);
    let decision = settle(&mut object, &seen(Offered::Made, Some(&good)));
    assert_eq!((word(&decision.status, "Valid"), decision.action), ("False NamesNotCovered".to_owned(), None));
    object.spec.source.self_signed = None;
    let decision = settle(&mut object, &seen(Offered::Made, None));
    assert_eq!((word(&decision.status, "Valid"), decision.next), ("False InvalidSpec".to_owned(), Next::OnChange));
}

#[test]
fn how_far_the_apps_are_is_said_with_what_to_do() {
    let good = pair(now(), 90);
    let has = || Target::Has(names(&["x_ssl_key_v2", "x_ssl_cert_v1"]));
    let moving = || Target::Moving("Images are being pulled.".to_owned());
    for (targets, expected, words) in [
        (vec![has()], "True Distributed", "The App runs"),
        (vec![has(), has()], "True Distributed", "All 2 Apps run"),
        (vec![has(), moving()], "Unknown Rotating", "The App b is being moved to the pair in use. Images are"),
        (vec![moving(), Target::Missing], "False NotFound", "no App b"),
        (vec![Target::Taken("older".to_owned())], "False Superseded", "The Certificate older"),
        (vec![Target::NoSuchSecret("ssl_crt".to_owned())], "False SecretMissing", "no secret ssl_crt"),
        (vec![Target::Failing("A task exits.".to_owned())], "False DependencyNotReady", "A task exits."),
    ] {
        let mut object = certificate();
        let share = |app: &str| Distribution { app_ref: app.to_owned(), ..Distribution::default() };
        object.spec.distribute = ["a", "b"].map(share).into_iter().take(targets.len()).collect();
        let observed = Observed { targets, ..seen(Offered::Pair(good.clone()), Some(&good)) };
        let decision = settle(&mut object, &observed);
        assert_eq!(word(&decision.status, "Distributed"), expected);
        assert!(message(&decision.status, "Distributed").contains(words), "{:?}", decision.status.conditions);
        let ready = if expected.starts_with("True") { "True Succeeded" } else { expected };
        assert_eq!(word(&decision.status, "Ready"), ready);
        if expected == "True Distributed" {
            assert_eq!(decision.status.secret_names, ["x_ssl_cert_v1", "x_ssl_key_v2"]);
        }
    }
}

#[test]
fn what_is_presented_is_compared_with_what_is_in_use() {
    let (good, other) = (pair(now(), 90), pair(now(), 90));
    let mut object = certificate();
    let probe = CertificateProbe { address: "127.0.0.1:443".to_owned(), server_name: "a.example.org".to_owned() };
    object.spec.probes = vec![probe.clone()];
    let mut observed = seen(Offered::Pair(good.clone()), Some(&good));
    let first = settle(&mut object, &observed);
    assert_eq!((word(&first.status, "Served"), first.action), ("Unknown Progressing".to_owned(), Some(Action::Probe)));
    observed.is_probing = true;
    assert_eq!(settle(&mut object, &observed).action, None, "one round at a time");
    observed.is_probing = false;
    let presented = |pair: Option<&Pair>| ServedCertificate {
        address: probe.address.clone(),
        server_name: probe.server_name.clone(),
        serial: pair.map(|pair| pair.leaf().serial.clone()),
        fingerprint: pair.map(|pair| pair.leaf().fingerprint.clone()),
        error: pair.is_none().then(|| "it does not answer".to_owned()),
        checked_at: None,
    };
    for (what, found, distributed_for, expected) in [
        ("it", presented(Some(&good)), 3600, "True Served"),
        ("another", presented(Some(&other)), 3600, "False OtherCertificateServed"),
        ("another, a moment after the move", presented(Some(&other)), 10, "Unknown Rotating"),
        ("nothing", presented(None), 3600, "False Unreachable"),
    ] {
        let since = now() - Duration::from_secs(distributed_for);
        object.status.conditions = vec![Condition {
            last_transition_time: since.to_string(),
            ..Condition::new("Distributed", ConditionStatus::True, "Distributed", "x")
        }];
        let fingerprint = good.leaf().fingerprint.clone();
        observed.probed = Some(Probed { at: now(), fingerprint, served: vec![found] });
        let decision = decide(&object, &observed, now());
        assert_eq!(word(&decision.status, "Served"), expected, "{what}");
        let again = if expected == "Unknown Rotating" { 1 } else { 2 };
        assert_eq!(decision.next, Next::After(Duration::from_secs(again)), "{what}");
        let later = decide(&object, &observed, now() + Duration::from_mins(5));
        assert_eq!(later.action, Some(Action::Probe), "{what}");
    }
    observed.probed = Some(Probed {
        at: now(),
        fingerprint: other.leaf().fingerprint.clone(),
        served: vec![presented(Some(&other))],
    });
    assert_eq!(settle(&mut object, &observed).action, Some(Action::Probe), "a new pair is looked for at once");
    object.spec.probes[0].server_name = "b.example.org".to_owned();
    assert_eq!(settle(&mut object, &observed).action, Some(Action::Probe), "another name is asked for at once");
}
