//! Files as `testdata/make.py` makes them, opened with each kind of identity, and spoilt in every way.

use super::*;

const ALL: &str = include_str!("testdata/all.yaml");
const SSH_ONLY: &str = include_str!("testdata/ssh_only.yaml");
const CONVERTED_ONLY: &str = include_str!("testdata/converted_only.yaml");
const MANIFEST: &str = include_str!("testdata/manifest.json");
const AGE: &str = include_str!("testdata/age_identity");
const STRANGER: &str = include_str!("testdata/stranger_identity");
const HOST_KEY: &str = include_str!("testdata/host_key");
/// Recipients as the other implementation names them: of age, the host's turned into one of age, the host's.
const RECIPIENTS: &str = include_str!("testdata/recipients");

fn identities(texts: &[&str]) -> Identities {
    let mut identities = Identities::default();
    for text in texts {
        identities.add(text).unwrap();
    }
    identities
}

fn open(text: &str, identity: &str) -> Result<Opened, SopsError> {
    Opened::read(text.as_bytes(), &identities(&[identity]))
}

fn error(text: &str) -> String {
    open(text, AGE).err().map_or_else(|| panic!("it opens"), |error| error.to_string())
}

#[test]
fn every_kind_of_identity_opens_what_is_encrypted_for_it() {
    for (file, identity) in [
        (ALL, AGE),
        (ALL, HOST_KEY),
        (SSH_ONLY, HOST_KEY),
        (CONVERTED_ONLY, HOST_KEY),
        (ALL, &*format!("# newest first\n{}\n{HOST_KEY}", STRANGER.to_lowercase())),
    ] {
        let opened = open(file, identity).unwrap_or_else(|error| panic!("{error}"));
        let forge = opened.beneath("forge");
        let shown: Vec<(&str, &str)> = forge.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("empty", ""),
                ("enabled", "True"),
                ("motto", "zwei\nZeilen: ü"),
                ("port", "2222"),
                ("ratio", "0.25"),
                ("token", "forge-kanari-1"),
            ]
        );
        assert_eq!(opened.last_modified, "2026-01-02T03:04:05Z");
        assert_eq!(opened.beneath("users.1")["password"], "bob-kanari");
        let token = opened.beneath("forge.token");
        assert_eq!((token.len(), token["token"].as_str()), (1, "forge-kanari-1"));
        let top = opened.beneath("");
        assert_eq!((top["host_unencrypted"].as_str(), top["loud_unencrypted"].as_str()), ("git.example", "True"));
        assert!(opened.beneath("nowhere").is_empty() && opened.beneath("for").is_empty());
    }
}

#[test]
fn a_manifest_whose_mac_covers_encrypted_values_only_is_opened() {
    let opened = open(MANIFEST, AGE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(opened.beneath("stringData")["password"], "manifest-kanari");
    assert_eq!(opened.beneath("metadata")["name"], "db");
    // The name is not covered: that is what the file asks for.
    assert!(open(&MANIFEST.replace("\"db\"", "\"other\""), AGE).is_ok());
    let without = MANIFEST.replace("\"mac_only_encrypted\": true", "\"mac_only_encrypted\": false");
    assert_eq!(error(&without), SopsError::MacMismatch.to_string());
}

#[test]
fn recipients_are_the_ones_that_others_compute() {
    let ours = identities(&[AGE, HOST_KEY]).recipients();
    assert_eq!(ours, RECIPIENTS.lines().take(2).collect::<Vec<_>>());
}

/// Returns the file with one line of it changed.
fn changed(file: &str, beginning: &str, change: impl Fn(&str) -> String) -> String {
    let line = file.lines().find(|line| line.trim_start().starts_with(beginning)).expect("the line is there");
    file.replacen(line, &change(line), 1)
}

#[test]
fn whatever_was_changed_is_refused() {
    let value_of = |key: &str| ALL.lines().find_map(|line| line.trim_start().strip_prefix(key)).unwrap();
    let (token, port) = (value_of("token: "), value_of("port: "));
    let mac = SopsError::MacMismatch.to_string();
    let cases = [
        ("a plain value", ALL.replace("git.example", "evil.example"), mac.clone()),
        ("a plain number", ALL.replace("retries_unencrypted: 3", "retries_unencrypted: 4"), mac.clone()),
        ("a plain value more", ALL.replace("sops:\n", "more_unencrypted: x\nsops:\n"), mac.clone()),
        ("an encrypted value less", changed(ALL, "ratio:", |_| "    ratio: \"\"".to_owned()), mac.clone()),
        ("the MAC of another", changed(ALL, "mac:", |_| format!("    mac: {token}")), mac.clone()),
        ("the time", ALL.replace("03:04:05Z", "03:04:06Z"), mac.clone()),
        (
            "a rule",
            ALL.replace("unencrypted_suffix: _unencrypted", "unencrypted_suffix: _unencrypte"),
            "the value at host_unencrypted was changed".into(),
        ),
        ("a value in another's place", ALL.replacen(token, port, 1), "the value at forge.token was changed".into()),
        ("a key", ALL.replacen("token: ", "tokem: ", 1), "the value at forge.tokem was changed".into()),
        (
            "a plain value where one is encrypted",
            changed(ALL, "token:", |_| "    token: evil".into()),
            "the value at forge.token".into(),
        ),
        (
            "a number where one is encrypted",
            changed(ALL, "port:", |_| "    port: 22".into()),
            "the value at forge.port should be".into(),
        ),
        ("a cipher", ALL.replacen("AES256_GCM", "ROT13", 2), "a cipher that is not AES256_GCM".into()),
        ("a cut file", ALL[..ALL.find("lastmodified").unwrap()].to_owned(), "its MAC is missing".into()),
    ];
    for (what, file, expected) in cases {
        assert_ne!(file, ALL, "{what}");
        let said = error(&file);
        assert!(said.contains(&expected), "{what}: {said}");
        assert!(!said.contains("kanari") && !said.contains("evil"), "{what}: {said}");
    }
}

/// Each byte of each encrypted value, the MAC included.
#[test]
fn no_digit_of_an_encrypted_value_can_be_changed() {
    let starts: Vec<usize> =
        ALL.match_indices("ENC[AES256_GCM,").map(|(at, _)| at + "ENC[AES256_GCM,data:".len()).collect();
    // The first is a comment, which sops covers by nothing either.
    for start in &starts[1..] {
        for offset in [0, 30] {
            let mut bytes = ALL.as_bytes().to_vec();
            let at = start + offset.min(3);
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(Opened::read(&bytes, &identities(&[AGE])).is_err(), "byte {at}");
        }
    }
}

#[test]
fn keys_that_are_missing_or_damaged_are_told_apart() {
    let said = open(ALL, STRANGER).err().unwrap().to_string();
    let ours = identities(&[STRANGER]).recipients().remove(0);
    let [native, converted, ssh] = RECIPIENTS.lines().collect::<Vec<_>>()[..] else { panic!("three recipients") };
    assert_eq!(
        said,
        format!(
            "none of ccd's identities ({ours}) can open it, it is encrypted for {native}, {ssh}, {converted}: add ccd's \
             recipient to .sops.yaml and run `sops updatekeys`"
        )
    );
    let damaged = changed(SSH_ONLY, "-----END AGE", |line| line.replace("END", "ENDE"));
    let said = open(&damaged, HOST_KEY).err().unwrap().to_string();
    assert!(said.starts_with(&format!("the key for the recipient {ssh} is damaged")), "{said}");
}

/// Every byte of the age file: a header, a stanza, its MAC, the payload.
#[test]
fn no_byte_of_an_age_file_can_be_changed() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let document = Document::parse(SSH_ONLY).unwrap();
    let armored = &document.metadata.age[0].enc;
    let ours = identities(&[HOST_KEY]);
    assert!(matches!(age::open(armored, &ours), Ok(Some(_))));
    let digits: String = armored.lines().filter(|line| !line.starts_with("---")).map(str::trim).collect();
    let bytes = STANDARD.decode(digits).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let file = format!(
            "-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n",
            STANDARD.encode(&changed)
        );
        assert!(!matches!(age::open(&file, &ours), Ok(Some(_))), "byte {at} of {}", bytes.len());
    }
    for text in ["", "-----BEGIN AGE ENCRYPTED FILE-----", "age-encryption.org/v1\n--- x\n"] {
        assert_eq!(age::open(text, &ours), Err(age::Damaged), "{text}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let cases = [
        ("a: 1\n".to_owned(), "it is not encrypted with sops"),
        (String::new(), "it is not encrypted with sops"),
        ("a: [".to_owned(), "it is neither YAML nor JSON"),
        ("a: b\nsops: {mac: x, lastmodified: y}\n".to_owned(), "it is not encrypted for any age recipient"),
        ("sops: {age: [{recipient: r, enc: e}]}\n".to_owned(), "its MAC is missing"),
        (ALL.replace("    pgp: []", "    shamir_threshold: 2"), "split over key groups"),
        (ALL.replace("    pgp: []", "    encrypted_comment_regex: x"), "follows from comments"),
        (ALL.replace("    pgp: []", "    encrypted_regex: x"), "more than one rule"),
        (ALL.replace("    pgp: []", "    encrypted_regex: \"(\""), "no regular expression"),
        (format!("{ALL}---\na: 1\n"), "several documents"),
        (format!("x: &a y\nz: *a\n{ALL}"), "YAML aliases"),
        (format!("deep: {}{}\n{ALL}", "[".repeat(40), "]".repeat(40)), "ne"),
    ];
    for (file, expected) in cases {
        let said = error(&file);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(matches!(Opened::read(b"\xff\xfe", &Identities::default()), Err(SopsError::Unsuitable(_))));
}

#[test]
fn what_is_no_identity_is_named_with_its_line_and_never_shown() {
    let cases = [
        ("", "line 1: it holds no identity"),
        ("# nothing\n", "line 1: it holds no identity"),
        ("hunter2\n", "line 1: this is no identity of age"),
        ("\nAGE-SECRET-KEY-1QQQQ\n", "line 2: this is no X25519 identity"),
        ("AGE-SECRET-KEY-PQ-1QQPSYQ\n", "line 1: this is no X25519 identity"),
        (&HOST_KEY.replace("AAAA", "BBBB"), "line 1: this OpenSSH key is damaged"),
        (&AGE.repeat(65), "line 130: there are more than 64 identities"),
    ];
    for (text, expected) in cases {
        let said = Identities::default().add(text).unwrap_err().to_string();
        assert!(said.starts_with(expected), "{text}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("QQQ"), "{said}");
    }
}
