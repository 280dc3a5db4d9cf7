//! Secrets do not get through, in whatever form and pieces they come; everything else does.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::{Known, MASK, Redactor};

fn redactor(values: &[&str]) -> Redactor {
    let redactor = Redactor::default();
    for (index, value) in values.iter().enumerate() {
        assert_eq!(redactor.insert(&format!("test/{index}"), value.as_bytes()), Known::Masked);
    }
    redactor
}

#[test]
fn every_form_is_found() {
    let secret = "p&ss/w\"ö+ <rd>?";
    let redactor = redactor(&[secret]);
    let json = serde_json::to_string(secret).unwrap();
    let cases = [
        ("as it is", format!("token={secret};")),
        ("JSON", format!("{{\"token\":{json}}}")),
        ("JSON for HTML", "\"p\\u0026ss/w\\\"ö+ \\u003crd\\u003e?\"".to_owned()),
        ("JSON in ASCII", "\"p&ss/w\\\"\\u00f6+ <rd>?\"".to_owned()),
        ("a URL", "?t=p%26ss%2Fw%22%C3%B6%2B%20%3Crd%3E%3F&x=1".to_owned()),
        ("a URL in lower case", "?t=p%26ss%2fw%22%c3%b6%2b%20%3crd%3e%3f&x=1".to_owned()),
        ("a web form", "t=p%26ss%2Fw%22%C3%B6%2B+%3Crd%3E%3F".to_owned()),
    ];
    for (name, text) in cases {
        let clean = redactor.text(&text);
        assert!(clean.contains(MASK) && !clean.contains("ss") && !clean.contains("rd"), "{name}: {clean}");
    }
}

#[test]
fn base64_is_found_at_every_alignment() {
    let secret = "correct horse battery staple";
    let redactor = redactor(&[secret]);
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "x", "xy", "xyz"] {
            for encoded in [
                STANDARD.encode(format!("{before}{secret}{after}")),
                URL_SAFE.encode(format!("{before}{secret}{after}")),
            ] {
                let clean = redactor.text(&encoded);
                assert!(clean.contains(MASK), "{before:?} {after:?}: {clean}");
                // At most the digits that the neighbours decide as well are left on each side.
                let rest = clean.len() - MASK.len();
                assert!(rest <= (before.len() + after.len()) * 4 / 3 + 8, "{clean}");
            }
        }
    }
}

#[test]
fn a_long_secret_is_found_from_its_beginning_to_its_end() {
    let long: String = (0..2000).map(|number| format!("{number:x}-")).collect();
    let twin = format!("{}!", &long[..5000]);
    let redactor = redactor(&[&long, &twin]);
    assert_eq!(redactor.text(&format!("<{long}>")), format!("<{MASK}>"));
    assert_eq!(redactor.text(&format!("<{twin}>")), format!("<{MASK}>"), "it begins like the other");
    assert_eq!(redactor.text(&STANDARD.encode(&long)), MASK);
    let other = format!("{}?{}", &long[..100], "x".repeat(2 * long.len()));
    assert_eq!(redactor.text(&other), other, "it only begins like a secret");
    let mut stream = redactor.stream();
    let mut clean: Vec<u8> = format!("<{long}>").as_bytes().chunks(700).flat_map(|piece| stream.push(piece)).collect();
    clean.extend(stream.finish());
    assert_eq!(String::from_utf8(clean).unwrap(), format!("<{MASK}>"));
}

#[test]
fn lines_of_a_key_are_found_and_its_frame_is_not() {
    let key =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n";
    let redactor = redactor(&[key]);
    let printed = key.replace('\n', "\r\n");
    let clean = redactor.text(&printed);
    assert!(!clean.contains("MIGHAg") && !clean.contains("CCqGSM"), "{clean}");
    let frame = "-----BEGIN PRIVATE KEY-----";
    assert_eq!(redactor.text(frame), frame);
}

#[test]
fn short_values_are_not_secrets() {
    let redactor = Redactor::default();
    assert_eq!(redactor.insert("a", b"admin"), Known::TooShort);
    assert_eq!(redactor.insert("b", b"  ab  \n"), Known::TooShort);
    assert_eq!(redactor.text("admin"), "admin");
    assert_eq!(redactor.insert("a", b"secret"), Known::Masked);
    assert_eq!(redactor.insert("a", b"x"), Known::TooShort);
    assert_eq!(redactor.text("secret"), "secret", "the key has another value now");
}

#[test]
fn a_value_is_forgotten_with_its_last_key() {
    let redactor = redactor(&["same-value", "same-value", "other-value"]);
    redactor.remove("test/0");
    assert_eq!(redactor.text("same-value"), MASK);
    redactor.remove_all("test/");
    assert_eq!(redactor.text("same-value other-value"), "same-value other-value");
}

#[test]
fn overlapping_secrets_leave_nothing_of_each_other() {
    let redactor = redactor(&["abcdefgh", "efghijkl", "cdefgh"]);
    assert_eq!(redactor.text("<abcdefghijkl>"), format!("<{MASK}>"));
    assert_eq!(redactor.text("abcdefghabcdefgh"), format!("{MASK}{MASK}"));
}

#[test]
fn only_what_may_become_a_secret_is_held_back() {
    let redactor = redactor(&["secret-value"]);
    let mut stream = redactor.stream();
    assert_eq!(stream.push(b"one two\n"), b"one two\n");
    assert_eq!(stream.push(b"three sec"), b"three ");
    assert_eq!(stream.push(b"ond"), b"second");
    assert_eq!(stream.push(b" secret-"), b" ");
    assert_eq!(stream.push(b"value!"), format!("{MASK}!").as_bytes());
    assert_eq!(stream.push(b"sec"), b"");
    assert_eq!(stream.finish(), b"sec");
}

#[test]
fn nothing_is_held_for_ever() {
    let redactor = redactor(&["aaaaaa"]);
    let mut stream = redactor.stream();
    let mut written = 0;
    for _ in 0..1000 {
        written += stream.push(&[b'a'; 1000]).len();
        assert!(stream.held.len() < 10);
    }
    written += stream.finish().len();
    assert_eq!(written, MASK.len(), "it is one long secret");
}

#[test]
fn nobody_is_told_the_secrets() {
    assert_eq!(format!("{:?}", redactor(&["very-secret"])), "Redactor { secrets: 1, .. }");
}

proptest! {
    /// Few letters, so that secrets overlap themselves and each other.
    #[test]
    fn pieces_do_not_matter(
        secrets in prop::collection::vec("[ab]{6,9}", 1..4),
        text in "[ab\n]{0,80}",
        cuts in prop::collection::vec(0_usize..80, 0..10),
    ) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let redactor = redactor(&secrets);
        let whole = redactor.bytes(text.as_bytes());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut stream, mut pieces, mut at) = (redactor.stream(), Vec::new(), 0);
        for cut in cuts {
            pieces.extend(stream.push(&text.as_bytes()[at..cut]));
            at = cut;
        }
        pieces.extend(stream.finish());
        prop_assert_eq!(&whole, &pieces);
        let clean = String::from_utf8(whole).unwrap();
        // What stands between masks is as it was, and holds no secret.
        for secret in &secrets {
            prop_assert!(clean.split(MASK).all(|part| !part.contains(secret)));
        }
    }

    #[test]
    fn text_without_secrets_is_untouched(text in "\\PC{0,200}") {
        let redactor = redactor(&["\u{1}never-in-printable-text"]);
        prop_assert_eq!(redactor.text(&text), text);
    }
}

#[test]
fn secrets_of_a_prefix_are_replaced_together() {
    let redactor = Redactor::default();
    redactor.insert("app/one", b"app-secret");
    let pair = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    redactor.replace_all("secret/", [pair("secret/a", "first-value"), pair("secret/b", "tiny")]);
    assert_eq!(redactor.text("app-secret first-value tiny"), format!("{MASK} {MASK} tiny"));
    redactor.replace_all("secret/", [pair("secret/a", "second-value")]);
    assert_eq!(redactor.text("app-secret first-value second-value"), format!("{MASK} first-value {MASK}"));
    redactor.replace_all("secret/", []);
    assert_eq!(redactor.text("app-secret second-value"), format!("{MASK} second-value"));
}
