//! What is taken for a secret and what is not; values are put together here, so that no scanner finds them in this file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::known::Known;
use super::{fingerprint, rules, scan_bytes, scan_value};

/// Digits as random ones look, always the same.
fn digits(alphabet: &str, count: usize) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % alphabet.len() as u64).unwrap()
    };
    (0..count).map(|_| alphabet[next()]).collect()
}

const SMALL: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE62: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEXADECIMAL: &str = "0123456789abcdef";
const BECH32: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

#[test]
fn secrets_are_found_by_the_rule_that_knows_most_about_them() {
    let base62 = |count| digits(BASE62, count);
    let hexadecimal = |count| digits(HEXADECIMAL, count);
    let small = |count| digits(SMALL, count);
    let cases = [
        (format!("-----BEGIN OPENSSH PRIVATE {}-----\n{}\n", "KEY", base62(70)), "private-key"),
        (format!("key: \"-----BEGIN {}-----\\n{}\\n\"", "PRIVATE KEY", base62(64)), "private-key"),
        (format!("-----BEGIN PGP PRIVATE KEY {}-----\n\n{}", "BLOCK", base62(64)), "private-key"),
        (format!("AGE-SECRET-{}1{}", "KEY-", digits(BECH32, 58)), "age-identity"),
        (format!("cache.example-1:{}==", base62(86)), "nix-signing-key"),
        (format!("token: ccd_{}_{}", base62(12), base62(43)), "ccd-token"),
        (format!("gh{}_{}", 'p', base62(36)), "github-token"),
        (format!("github_{}_{}", "pat", base62(82)), "github-token"),
        (format!("glpat{}{}", '-', base62(20)), "gitlab-token"),
        (format!("dckr_{}_{}", "pat", base62(27)), "docker-token"),
        (format!("docker swarm join --token SWMTKN-1-{}-{}", small(50), small(25)), "swarm-token"),
        (format!("{{\"auths\": {{\"r\": {{\"auth\": \"{}\"}}}}}}", STANDARD.encode(base62(20))), "registry-login"),
        (format!("npm{}{}", '_', base62(36)), "package-token"),
        (format!("AKI{}", format!("A{}", base62(16)).to_uppercase()), "aws-key"),
        (format!("xox{}-{}", 'b', base62(24)), "slack-token"),
        (format!("ey{}{}.eyJ{}.{}", 'J', base62(20), base62(30), base62(43)), "json-web-token"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n".to_owned(), "putty-key"),
        (format!("Authorization: token {}", hexadecimal(40)), "authorization"),
        ("git clone https://bot:correct9horse@git.example/r.git".to_owned(), "password-in-url"),
        (format!("GITEA_TOKEN={}", hexadecimal(40)), "named-value"),
        (format!("  db_password: \"{}\"", base62(24)), "named-value"),
        (format!("const API_KEY = '{}';", base62(32)), "named-value"),
        (format!("{{\"client_secret\": \"{}\"}}", base62(16)), "named-value"),
    ];
    for (text, rule) in cases {
        let found: Vec<&str> = rules::matches(&text).iter().map(|found| found.rule).collect();
        assert_eq!(found, [rule], "{text}");
    }
}

#[test]
fn what_only_talks_about_secrets_is_none() {
    let random = digits(BASE62, 32);
    let cases = [
        "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----".to_owned(),
        "if text.contains(\"-----BEGIN PRIVATE KEY-----\") { return read_the_private_key_that_is_in_this_file(text) }"
            .to_owned(),
        "-----BEGIN CERTIFICATE-----\nMIIBdummydummydummydummydummydummydummydummydummy".to_owned(),
        "password: ${DB_PASSWORD_FROM_ELSEWHERE_42}".to_owned(),
        "password: {{ vault_Password_1_of_2 }}".to_owned(),
        "PASSWORD_FILE=/run/secrets/Db1_Password2_x9".to_owned(),
        "tokenSecretRef: {name: forge-T0ken-x9Y8z7W6}".to_owned(),
        "SECRET_SSL_CERT_VERSION=v1a2b3c4d5e6f7".to_owned(),
        "secret: ENC[AES256_GCM,data:Tr7o1b9X,iv:k3J9x,tag:aa,type:str]".to_owned(),
        "let token = authenticate_the_request_with_token(request)?;".to_owned(),
        "password: correct-horse-battery-staple".to_owned(),
        "token: your-Token-123-here-AbC".to_owned(),
        format!("public_key = \"{random}\""),
        format!("commit: {}", digits(HEXADECIMAL, 40)),
        format!("integrity: sha512-{random}"),
        format!("token = \"{random}\" # ccctl:allow-secret a test vector"),
        format!("# gitleaks:allow\ntoken = \"{random}\""),
        "https://user@host.example/path and https://host:8443/@scope/x".to_owned(),
        "redis://:${REDIS_PASSWORD}@redis:6379".to_owned(),
    ];
    for text in cases {
        assert_eq!(rules::matches(&text), [], "{text}");
    }
}

#[test]
fn places_are_lines_and_columns_and_nothing_of_the_value_is_told() {
    let random = digits(BASE62, 32);
    let text = format!("a: 1\nä: {{api_key: {random}}}\n");
    let found = scan_bytes("x.yaml", text.as_bytes(), &Known::default());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].location().as_str(), found[0].fingerprint.len()), ("x.yaml:2:14", 8));
    assert!(!format!("{found:?}").contains(&random[..6]), "{found:?}");
    assert_ne!(found[0].fingerprint, fingerprint("named-value", b"another"));
    let mut binary = text.into_bytes();
    binary.insert(0, 0);
    assert_eq!(scan_bytes("x", &binary, &Known::default()), []);
}

#[test]
fn known_values_are_found_in_every_form() {
    let value = "it's \"quite\" a pass/word?";
    let secret = json!({"metadata": {"name": "s", "namespace": "n"}, "data": {"p": STANDARD.encode(value), "short": "YWRtaW4="}});
    let known = Known::of(&[secret]).unwrap();
    assert_eq!(known.count, 1, "what is too short is not looked for");
    let hexadecimal: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let forms = [
        (format!("x{value}y"), ""),
        (STANDARD.encode(format!("user:{value}")), " in base64"),
        (STANDARD.encode(format!("admin:{value}")), " in base64"),
        (STANDARD.encode(format!("roots:{value}\n")), " in base64"),
        (hexadecimal, " in hexadecimal"),
        ("it%27s%20%22quite%22%20a%20pass%2Fword%3F".to_owned(), " as in an address"),
        (json!({"v": value}).to_string(), " as in JSON"),
    ];
    for (text, form) in forms {
        for mark in ["", "\0"] {
            let found = scan_bytes("f", format!("{mark}{text}").as_bytes(), &known);
            let expected = format!("the value of key p of the Secret n/s{form}");
            assert_eq!(found.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), [expected], "{text}");
        }
    }
    assert_eq!(scan_bytes("f", b"it's quite another password; admin", &known), []);
}

#[test]
fn fields_of_objects_are_judged_by_their_names() {
    let random = digits(BASE62, 32);
    let object = json!({"data": {"DB_PASSWORD": random, "note": random}, "items": [{"url": "ftp://a:b1c2d3e4@h/"}]});
    let mut found = Vec::new();
    scan_value("default/configmap/c", "", &object, &Known::default(), &mut found);
    let places: Vec<&str> = found.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["default/configmap/c .data.DB_PASSWORD", "default/configmap/c .items[0].url"]);
}
