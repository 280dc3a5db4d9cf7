//! Certificates that a real ccd orders from a real authority: Pebble, over HTTP and DNS, killed, without the authority, and
//! renewed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ports::acme::pebble::{Pebble, PebbleSettings};
use serde_json::{Value, json};
use tests::installation::{Installation, reason_of, status_of};
use tests::name_server::NameServer;

const API: &str = "ci.coopcloud.tech/v1alpha1";
/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(folder: &Path, settings: PebbleSettings) -> (Pebble, Installation) {
    let place = folder.join("pebble");
    std::fs::create_dir(&place).unwrap();
    let pebble = Pebble::start(&place, settings);
    let configuration = format!(
        "[certificates]\nchallenge_address = \"127.0.0.1\"\nchallenge_ports = [{}]\n\n[certificates.dns_hooks]\npebble = \
         [\"{}\"]\n",
        pebble.http_port,
        pebble.hook().display()
    );
    let installation = Installation::bare(folder, &configuration).unwrap();
    (pebble, installation)
}

fn certificate(pebble: &Pebble, name: &str, challenge: Value, names: &[&str]) -> Value {
    let authority = pebble.authority();
    let mut acme =
        json!({"directory": authority.directory, "caBundle": authority.ca_bundle, "email": "ops@example.org"});
    acme.as_object_mut().unwrap().extend(challenge.as_object().unwrap().clone());
    json!({"apiVersion": API, "kind": "Certificate", "metadata": {"name": name},
        "spec": {"source": {"acme": acme}, "dnsNames": names}})
}

fn http(pebble: &Pebble, name: &str, names: &[&str]) -> Value {
    certificate(pebble, name, json!({"http01": {"port": pebble.http_port}}), names)
}

fn is_in_use(found: &Value) -> bool {
    status_of(found, "Ready") == "True"
        && found["status"]["acme"]["issued"]["fingerprint"] == found["status"]["fingerprint"]
        && found["status"]["acme"].get("order").is_none()
        && found["status"]["acme"].get("challenges").is_none()
}

fn wait(installation: &Installation, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    installation.wait("certificates", name, PATIENCE, is_so).unwrap()
}

fn secrets(installation: &Installation) -> BTreeSet<String> {
    let names = installation.kubectl(&["get", "secrets", "--output=jsonpath={.items[*].metadata.name}"]).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn pebble_issues_over_http_and_dns_and_again_when_names_change() {
    let folder = tempfile::tempdir().unwrap();
    let (pebble, installation) = start(folder.path(), PebbleSettings::default());
    let wild = certificate(&pebble, "wild", json!({"dns01": {"hook": "pebble"}}), &["*.wild.test", "wild.test"]);
    installation.apply(&[http(&pebble, "web", &["a.web.test", "b.web.test"]), wild]).unwrap();
    let first = wait(&installation, "web", is_in_use);
    let issuer = first["status"]["issuer"].as_str().unwrap();
    assert!(issuer.contains("Pebble Intermediate"), "{issuer}");
    let wild = wait(&installation, "wild", is_in_use);
    assert_eq!(wild["status"]["dnsNames"], json!(["*.wild.test", "wild.test"]));
    let account = &first["status"]["acme"]["account"]["url"];
    assert_eq!(&wild["status"]["acme"]["account"]["url"], account, "one account for all");
    let log = pebble.hook_log();
    let count = |action: &str| log.iter().filter(|line| line.starts_with(action)).count();
    assert_eq!((count("present "), count("cleanup ")), (2, 2), "{log:?}");
    assert!(std::net::TcpStream::connect(("127.0.0.1", pebble.http_port)).is_err(), "the port is closed again");

    installation.apply(&[http(&pebble, "web", &["a.web.test", "c.web.test"])]).unwrap();
    let second = wait(&installation, "web", |found| {
        is_in_use(found) && found["status"]["dnsNames"] == json!(["a.web.test", "c.web.test"])
    });
    assert_ne!(second["status"]["serial"], first["status"]["serial"]);
    assert_eq!(&second["status"]["acme"]["account"]["url"], account);
    wait(&installation, "web", |_| !secrets(&installation).iter().any(|name| name.ends_with(".next-key")));
    let names = secrets(&installation);
    assert_eq!(names.iter().filter(|name| name.starts_with("acme-account-")).count(), 1, "{names:?}");

    // Whom the authority cannot see, and who asks for what it does not issue.
    pebble.lead_astray("lost.test");
    installation.apply(&[http(&pebble, "lost", &["lost.test"])]).unwrap();
    let lost = wait(&installation, "lost", |found| reason_of(found, "Valid") == "ChallengeFailed");
    let text = lost["status"]["conditions"].to_string();
    assert!(text.contains("lost.test is ours") && text.contains("A and AAAA records"), "{text}");
    installation.kubectl(&["delete", "certificates", "--all", "--timeout=60s"]).unwrap();
    wait_gone(&installation);
    let log = installation.daemon.log();
    assert!(!log.contains("PRIVATE KEY") && !log.contains("panicked"), "{log}");
}

fn wait_gone(installation: &Installation) {
    let began = std::time::Instant::now();
    while secrets(installation).iter().any(|name| name.ends_with(".certificate")) {
        assert!(began.elapsed() < PATIENCE, "{:?}", secrets(installation));
    }
}

#[test]
fn pebble_may_be_down_and_ccd_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let (mut pebble, mut installation) =
        start(folder.path(), PebbleSettings { lifetime: Duration::from_hours(6 * 24), ..PebbleSettings::default() });
    pebble.stop();
    installation.apply(&[http(&pebble, "web", &["a.web.test"])]).unwrap();
    let down = wait(&installation, "web", |found| reason_of(found, "Valid") == "AuthorityUnreachable");
    assert!(down["status"]["conditions"].to_string().contains("ocalhost cannot be reached"), "{down:#}");
    pebble.start_again();
    let first = wait(&installation, "web", is_in_use);
    let renewal: jiff::Timestamp = first["status"]["renewalTime"].as_str().unwrap().parse().unwrap();
    let ends: jiff::Timestamp = first["status"]["notAfter"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        ends.duration_since(renewal).as_hours(),
        2 * 24 - 1 + i64::from(ends.duration_since(renewal).as_secs() % 3600 == 0)
    );

    // The authority forgets everything, and so is asked for another account for the same key.
    pebble.stop();
    pebble.start_again();
    for round in 0..4 {
        let name = format!("killed-{round}");
        installation.apply(&[http(&pebble, &name, &[&format!("{name}.test")])]).unwrap();
        let step = round * 3 + 1;
        wait(&installation, &name, |found| found["status"]["acme"]["step"].as_i64().unwrap_or_default() >= step);
        installation.kill_and_restart().unwrap();
    }
    for round in 0..4 {
        wait(&installation, &format!("killed-{round}"), is_in_use);
    }
    assert_eq!(wait(&installation, "web", is_in_use)["status"]["serial"], first["status"]["serial"]);
    let names = secrets(&installation);
    assert_eq!(names.iter().filter(|name| name.starts_with("acme-account-")).count(), 1, "{names:?}");
}

#[test]
fn pebble_issues_a_wildcard_whose_proof_a_name_server_takes_by_dynamic_update() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("names");
    std::fs::create_dir(&place).unwrap();
    let names = NameServer::start(&place, "zone.test").unwrap();
    let settings = PebbleSettings { name_server: Some(names.port()), ..PebbleSettings::default() };
    let (pebble, installation) = start(folder.path(), settings);
    let wild = |name: &str, key_name: &str| {
        let server = format!("127.0.0.1:{}", names.port());
        let key = json!({"name": "tsig", "key": "key"});
        let dns = json!({"dns01": {"server": server, "keyName": key_name, "keySecretRef": key}});
        certificate(&pebble, name, dns, &["*.zone.test", "zone.test"])
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tsig"}, "stringData": {"key": NameServer::KEY},
    });
    installation.apply(&[secret, wild("stranger", "else.zone.test")]).unwrap();
    let stranger = wait(&installation, "stranger", |found| reason_of(found, "Valid") == "HookFailed");
    let text = stranger["status"]["conditions"].to_string();
    assert!(text.contains("supdate at 127.0.0.1") && text.contains("BADKEY"), "{text}");

    installation.apply(&[wild("wild", NameServer::KEY_NAME)]).unwrap();
    let found = wait(&installation, "wild", is_in_use);
    assert_eq!(found["status"]["dnsNames"], json!(["*.zone.test", "zone.test"]));
    assert!(found["status"]["issuer"].as_str().unwrap().contains("Pebble Intermediate"), "{found:#}");
    let log = names.log();
    let count = |what: &str| log.lines().filter(|line| line.contains("updating zone") && line.contains(what)).count();
    // The domain and its wildcard have one record with two values.
    assert_eq!((count("adding an RR"), count("deleting an RR")), (2, 2), "{log}");
    assert_eq!(names.challenges().unwrap(), Vec::<String>::new(), "{log}");
    let log = installation.daemon.log();
    assert!(!log.contains(NameServer::KEY) && !log.contains("panicked"), "{log}");
}
