//! Signatures, replays, and what a delivery that a real Gitea signed looks like.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};

use super::seen::Seen;
use super::{signature, target};

/// A delivery as a Gitea sent it, byte for byte; its secret was `hooksecret`.
const RECORDED: &[u8] = include_bytes!("recorded.body.json");
const RECORDED_SIGNATURE: &str = "4b557196e6e1d00f78e900dfb5671576c5f2728510e2fa587f51ebb3cdc219ee";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

#[test]
fn the_signature_of_a_recorded_delivery_holds() {
    for (name, before) in [("x-gitea-signature", ""), ("x-forgejo-signature", ""), ("x-hub-signature-256", "sha256=")] {
        let headers = headers(&[(name, &format!("{before}{RECORDED_SIGNATURE}"))]);
        let signature = signature(&headers).expect("a whole signature");
        let verify = |secret: &[u8], body: &[u8]| {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &signature).is_ok()
        };
        assert!(verify(b"hooksecret", RECORDED), "{name}");
        assert!(!verify(b"another", RECORDED));
        assert!(!verify(b"hooksecret", &RECORDED[1..]));
        assert_eq!(HEXLOWER.encode(&signature), RECORDED_SIGNATURE);
    }
}

#[test]
fn what_is_no_whole_signature_is_none() {
    let long = format!("{RECORDED_SIGNATURE}00");
    for value in ["", "sha256=", "4b55", &RECORDED_SIGNATURE[..62], &long, &RECORDED_SIGNATURE.replace('4', "g")] {
        assert_eq!(signature(&headers(&[("x-gitea-signature", value)])), None, "{value:?}");
    }
    // A forge without a secret sends empty ones; a bare token is none either, nor is SHA-1.
    assert_eq!(signature(&headers(&[("x-hub-signature-256", RECORDED_SIGNATURE)])), None);
    assert_eq!(signature(&headers(&[("x-hub-signature", "sha1=9fc0d65fd90f1d8485366d5e291a7bf281923ad0")])), None);
    assert_eq!(signature(&headers(&[("authorization", "Bearer hooksecret")])), None);
}

#[test]
fn only_posts_to_plain_names_are_deliveries() {
    assert_eq!(target(&Method::POST, "/hooks/default/wiki"), Some(("default", "wiki")));
    for path in [
        "/hooks/default",
        "/hooks/default/",
        "/hooks//wiki",
        "/hooks/default/a/b",
        "/hooks/default/../x",
        "/hooks/default/%2e",
    ] {
        assert_eq!(target(&Method::POST, path), None, "{path}");
    }
    assert_eq!(target(&Method::GET, "/hooks/default/wiki"), None);
}

const WINDOW: SignedDuration = SignedDuration::from_secs(60);

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn marks(id: &str, signature: &str) -> Vec<String> {
    vec![id.to_owned(), signature.to_owned()]
}

#[test]
fn a_delivery_rings_once_within_the_window() {
    let seen = Seen::new(4, WINDOW);
    assert!(!seen.is_known(&marks("id 1", "aa"), now()));
    assert!(seen.is_known(&marks("id 1", "aa"), now()), "the same");
    assert!(seen.is_known(&marks("id 2", "aa"), now()), "replayed under another id");
    assert!(!seen.is_known(&marks("id 3", "bb"), now()), "another one");
    assert!(!seen.is_known(&marks("id 1", "aa"), after(61)), "the window is over");
    for number in 0..100 {
        assert!(!seen.is_known(&[format!("many {number}")], after(62)));
    }
    assert!(!seen.is_known(&["many 0".to_owned()], after(62)), "memory is bounded");
}

#[test]
fn a_restart_forgets_no_delivery_and_the_file_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deliveries");
    let start = |at: Timestamp| Seen::kept_in(&path, 4, WINDOW, at);
    let length = || std::fs::metadata(&path).unwrap().len();
    let seen = start(now());
    assert!(!seen.is_known(&marks("id 1", "aa"), now()));
    // Killed: nothing is said to the file.
    let seen = start(after(10));
    assert!(seen.is_known(&marks("id 2", "aa"), after(10)), "replayed after a restart");
    assert!(!seen.is_known(&marks("id 3", "bb"), after(30)));
    let seen = start(after(65));
    assert!(!seen.is_known(&marks("id 1", "aa"), after(65)), "the window is over");
    assert!(seen.is_known(&marks("id 3", "cc"), after(65)), "that of another is not");
    for number in 0..1000 {
        assert!(!seen.is_known(&[format!("many {number}")], after(66)));
        assert!(length() <= 4 * 4 * 24, "{number}: {}", length());
    }
    assert!(start(after(67)).is_known(&["many 999".to_owned()], after(67)));
    // A clock that was put back for good keeps nothing known for ever.
    assert!(!start(after(-100)).is_known(&["many 999".to_owned()], after(-100)));
}

#[test]
fn a_damaged_file_of_deliveries_hinders_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deliveries");
    drop(Seen::kept_in(&path, 4, WINDOW, now()));
    // Half a record, as after a power cut, and times that are none.
    std::fs::write(&path, [0xff_u8; 24 * 3 + 7]).unwrap();
    let seen = Seen::kept_in(&path, 4, WINDOW, now());
    assert!(!seen.is_known(&marks("id 1", "aa"), now()));
    assert!(Seen::kept_in(&path, 4, WINDOW, now()).is_known(&marks("id 1", "aa"), now()));
    // A place that cannot be written to: it is known until the end.
    let nowhere = Seen::kept_in(&folder.path().join("no/such/folder"), 4, WINDOW, now());
    assert!(!nowhere.is_known(&marks("id 1", "aa"), now()));
    assert!(nowhere.is_known(&marks("id 1", "aa"), now()));
}
