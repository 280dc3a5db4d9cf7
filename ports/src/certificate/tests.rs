//! What people put into certificate files, and what they are told about it.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::*;
use crate::files::GivenFiles;

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn origin() -> Origin {
    Origin { certificate: "the file /c.pem".to_owned(), key: "the file /k.pem".to_owned() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A root, an intermediate that it signed, and a pair that this one signed for `*.example.org` and `example.org`, good
/// from 2026 to 2027.
struct Pki {
    root: Authority,
    middle: Authority,
    leaf: String,
    key: String,
}

impl Pki {
    fn new() -> Self {
        Self::until(2027)
    }

    fn until(year: i32) -> Self {
        let root = CertifiedIssuer::self_signed(params("Root"), KeyPair::generate().unwrap()).unwrap();
        let middle = CertifiedIssuer::signed_by(params("Middle"), KeyPair::generate().unwrap(), &root).unwrap();
        let mut wanted = CertificateParams::new(names(&["*.example.org", "example.org"])).unwrap();
        (wanted.not_before, wanted.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        let leaf = wanted.signed_by(&key, &middle).unwrap().pem();
        Self { root, middle, leaf, key: key.serialize_pem() }
    }

    fn chain(&self) -> String {
        format!("{}{}", self.leaf, self.middle.pem())
    }
}

fn read(certificate: &str, key: &str) -> Result<Pair, Flaw> {
    Pair::read(certificate.as_bytes(), key.as_bytes(), &origin())
}

fn flaw(certificate: &str, key: &str) -> (FlawKind, String) {
    let flaw = read(certificate, key).unwrap_err();
    assert!(!flaw.message.ends_with('.'), "{flaw}");
    (flaw.kind, flaw.message)
}

#[test]
fn a_good_pair_is_read_whole_and_nothing_around_it_is_kept() {
    let pki = Pki::new();
    let text = format!("Bag Attributes\n{}# and its chain\n{}{}", pki.leaf, pki.middle.pem(), pki.root.pem());
    let pair = read(&text, &format!("# secret\n{}", pki.key)).unwrap();
    assert_eq!(
        pair.certificate_pem(),
        format!("{}{}{}", pki.leaf, pki.middle.pem(), pki.root.pem()).replace("\r\n", "\n")
    );
    assert_eq!(pair.key_pem(), pki.key.replace("\r\n", "\n"));
    assert_eq!(pair.leaf().dns_names, ["*.example.org", "example.org"]);
    assert_eq!(pair.judge(&names(&["example.org", "a.example.org"]), now(), &origin()), Ok(()));
    assert!(!pair.is_alone() && read(&pki.leaf, &pki.key).unwrap().is_alone());
    assert!(!format!("{pair:?}").contains(&pki.key[40..60]), "{pair:?}");
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_its_mend() {
    let (pki, other) = (Pki::new(), Pki::new());
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let damaged = pki.leaf.replacen("MII", "M!I", 1);
    let der = pki.middle.der().to_vec();
    for (what, certificate, key, words) in [
        ("a truncated certificate", cut(&pki.leaf), pki.key.clone(), "/c.pem ends in the middle of a PEM block"),
        ("a truncated chain", cut(&pki.chain()), pki.key.clone(), "/c.pem"),
        ("a truncated key", pki.chain(), cut(&pki.key), "/k.pem ends in the middle of a PEM block"),
        ("an empty certificate", "\n".to_owned(), pki.key.clone(), "/c.pem is empty"),
        ("an empty key", pki.chain(), String::new(), "/k.pem is empty"),
        ("a damaged certificate", damaged, pki.key.clone(), "not base64"),
        ("interchanged halves", pki.key.clone(), pki.chain(), "/c.pem holds a key and no certificate"),
        ("two certificates", pki.chain(), pki.leaf.clone(), "/k.pem holds a certificate and no key"),
        ("something else", "hello".to_owned(), pki.key.clone(), "holds no certificate in PEM"),
        ("a locked key", pki.chain(), pki.key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"), "passphrase"),
    ] {
        let (kind, message) = flaw(&certificate, &key);
        if what != "a truncated chain" {
            assert_eq!(kind, FlawKind::Unreadable, "{what}: {message}");
        }
        assert!(message.contains(words), "{what}: {message}");
    }
    let in_der = Pair::read(&der, pki.key.as_bytes(), &origin()).unwrap_err();
    assert!(in_der.message.contains("in DER"), "{in_der}");
    let large = Pair::read(&vec![b'x'; BYTES_MAX + 1], pki.key.as_bytes(), &origin()).unwrap_err();
    assert!(large.message.contains("larger than"), "{large}");
    let (kind, message) = flaw(&pki.chain(), &other.key);
    assert_eq!(kind, FlawKind::KeyMismatch);
    assert!(message.contains("/k.pem") && message.contains("/c.pem"), "{message}");
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_never_taken_for_another_one() {
    let pki = Pki::new();
    let chain = pki.chain();
    for length in (0..chain.len()).step_by(7) {
        match read(&chain[..length], &pki.key) {
            // Cut between two blocks, it is the certificate without its chain.
            Ok(pair) => assert!(pair.is_alone() && pair.leaf().dns_names.len() == 2, "{length}"),
            Err(flaw) => assert_eq!(flaw.kind, FlawKind::Unreadable, "{length}: {flaw}"),
        }
    }
}

#[test]
fn a_chain_has_an_order_and_links_that_hold() {
    let (pki, other) = (Pki::new(), Pki::new());
    let (leaf, middle, root) = (&pki.leaf, pki.middle.pem(), pki.root.pem());
    for (text, words) in [
        (format!("{middle}{leaf}"), "belongs to certificate 2"),
        (format!("{leaf}{root}{middle}"), "certificate 1 was signed by certificate 3"),
        (format!("{leaf}{}", other.root.pem()), "says that CN=Middle signed it, and certificate 2 after it is CN=Root"),
        // The same name, another key.
        (format!("{leaf}{}", other.middle.pem()), "the chain in the file /c.pem is broken"),
    ] {
        let (kind, message) = flaw(&text, &pki.key);
        assert_eq!(kind, FlawKind::ChainBroken, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn time_and_names_are_judged_when_they_are_asked_for() {
    let pki = Pki::new();
    let pair = read(&pki.chain(), &pki.key).unwrap();
    let judged = |wanted: &[&str], at: &str| {
        let flaw = pair.judge(&names(wanted), at.parse().unwrap(), &origin()).unwrap_err();
        (flaw.kind, flaw.message)
    };
    let (kind, message) = judged(&[], "2027-01-01T00:00:01Z");
    assert_eq!(kind, FlawKind::Expired);
    assert!(message.contains("expired at 2027-01-01 00:00:00 UTC: renew it"), "{message}");
    assert_eq!(judged(&[], "2025-12-31T23:59:59Z").0, FlawKind::NotYetValid);
    let (kind, message) = judged(&["example.org", "a.b.example.org", "other.org"], "2026-06-01T00:00:00Z");
    assert_eq!(kind, FlawKind::NamesNotCovered);
    assert!(
        message.contains("does not cover a.b.example.org, other.org: it is for *.example.org, example.org"),
        "{message}"
    );
}

#[test]
fn a_wildcard_covers_one_label() {
    let held = names(&["*.Example.org", "deep.a.example.org"]);
    for (wanted, is_covered) in [
        ("a.example.org", true),
        ("A.EXAMPLE.org.", true),
        ("*.example.org", true),
        ("deep.a.example.org", true),
        ("example.org", false),
        ("b.a.example.org", false),
        ("*.a.example.org", false),
        ("axexample.org", false),
        ("org", false),
    ] {
        assert_eq!(covers(&held, wanted), is_covered, "{wanted}");
    }
    assert!(!covers(&names(&["a.example.org"]), "*.example.org"));
}

#[test]
fn what_signs_itself_is_good_at_once_and_new_each_time() {
    let wanted = names(&["*.ci.test", "ci.test"]);
    let make = || self_signed(&wanted, now(), Duration::from_hours(1)).unwrap();
    let (one, two) = (make(), make());
    assert_eq!(one.judge(&wanted, now(), &origin()), Ok(()));
    assert_eq!(one.leaf().not_after.unwrap(), now() + Duration::from_hours(1));
    assert!(!one.is_alone());
    assert_ne!(one.leaf().serial, two.leaf().serial);
    assert_ne!(one.key_pem(), two.key_pem());
    let error = self_signed(&names(&["näme"]), now(), Duration::from_hours(1)).unwrap_err();
    assert_eq!(error.reason, "InvalidSpec");
}

#[test]
fn given_files_are_read_through_links_and_nothing_else_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let given = GivenFiles::beneath(vec!["/".into()], Vec::new());
    let file = folder.path().join("file");
    std::fs::write(&file, "content").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(given.read(&link, 7).unwrap(), b"content");
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for (path, bytes_max, reason) in [
        (&file, 6, "FileUnsuitable"),
        (&folder.path().to_owned(), 7, "FileUnsuitable"),
        (&pipe, 7, "FileUnsuitable"),
        (&folder.path().join("none"), 7, "FileMissing"),
        (&file.join("below"), 7, "FileMissing"),
    ] {
        assert_eq!(given.read(path, bytes_max).unwrap_err().reason, reason, "{}", path.display());
    }
}

#[test]
fn files_are_read_from_where_they_may_be_and_never_from_our_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let [open, own, other] = ["open", "open/own", "other"].map(|name| folder.path().join(name));
    for folder in [&open, &own, &other] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("key"), "content").unwrap();
    }
    for (name, target) in [("to-own", &own), ("to-other", &other)] {
        std::os::unix::fs::symlink(target.join("key"), open.join(name)).unwrap();
    }
    let given = GivenFiles::beneath(vec![open.clone()], vec![own.clone()]);
    assert_eq!(given.read(&open.join("key"), 7).unwrap(), b"content");
    for path in
        [own.join("key"), other.join("key"), open.join("to-own"), open.join("to-other"), open.join("../other/key")]
    {
        assert_eq!(given.read(&path, 7).unwrap_err().reason, "FileForbidden", "{}", path.display());
    }
}
