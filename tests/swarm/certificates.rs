//! A wildcard certificate in files, in front of the real Traefik: replaced without a failed request, and never by a bad one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ports::outbound::Outbound;
use ports::probe::network::NetworkProbe;
use ports::probe::{ConnectRules, HttpProbe, Probe as _, ProbeTimes};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, ZONE, free_port, reason_of, status_of};
use tests::recipes::{RecipeRepository, bundled};

const API: &str = "ci.coopcloud.tech/v1alpha1";
/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often the client asks.
const PERIOD: Duration = Duration::from_millis(100);

/// An authority, and what it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority of the tests");
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Returns a certificate for a name that is good until the beginning of a year, and its key.
    fn issue(&self, name: &str, until: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A client that asks the proxy ten times a second, each time over a new connection, and believes only the authority.
struct Client {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// Answers by the serial number that came with them, in lower-case hexadecimal digits.
    good: BTreeMap<String, u32>,
    failed: Vec<String>,
    last: String,
}

impl Client {
    fn start(port: u16, authority: PathBuf) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(ask(port, &authority, &shared, &stopped));
        });
        Self { seen, stop, thread: Some(thread) }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a serial number comes with the answers.
    fn wait_for(&self, serial: &str) {
        let started = std::time::Instant::now();
        while self.seen().last != serial {
            assert!(started.elapsed() < PATIENCE, "serial {serial} is not served: {:?}", self.seen());
            tests::daemon::wait_a_moment();
        }
    }

    fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.seen()
    }
}

async fn ask(port: u16, authority: &Path, seen: &Arc<Mutex<Seen>>, stop: &AtomicBool) {
    let rules = ConnectRules { zones: BTreeMap::from([(ZONE.to_owned(), ([127, 0, 0, 1], port).into())]) };
    let probe = Arc::new(NetworkProbe::open(rules, Outbound::anywhere(), &[authority.to_owned()]).unwrap());
    let mut requests = tokio::task::JoinSet::new();
    let mut ticks = tokio::time::interval(PERIOD);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (probe, seen) = (probe.clone(), seen.clone());
        requests.spawn(async move {
            let times = ProbeTimes { connect: PATIENCE, tls: PATIENCE, answer: PATIENCE };
            let request = HttpProbe { times, ..HttpProbe::https(format!("traefik.{ZONE}"), "/ping") };
            let report = probe.http(&request).await;
            let serial = report.certificate.as_ref().map(|found| found.serial.clone()).unwrap_or_default();
            let mut seen = seen.lock().unwrap();
            if report.is_one_of(&[200]) {
                *seen.good.entry(serial.clone()).or_default() += 1;
            } else {
                seen.failed.push(report.message);
            }
            seen.last = serial;
        });
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}

fn put(folder: &Path, (certificate, key): (&str, &str)) {
    // As programs do it that renew certificates: each file as a whole, one after the other.
    for (name, text) in [("cert.pem", certificate), ("key.pem", key)] {
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, folder.join(name)).unwrap();
    }
}

fn secrets() -> Vec<String> {
    let output = Command::new("docker")
        .args(["secret", "ls", "--format", "{{.Name}}"])
        .env("DOCKER_HOST", engine::address())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> = text.lines().filter(|name| name.contains("_ssl_")).map(str::to_owned).collect();
    names.sort();
    names
}

/// The proxy and its certificate, as somebody applies them together.
fn objects(folder: &Path, recipe: &str, port: u16) -> [Value; 2] {
    let spec = json!({
        "recipe": {"url": recipe}, "version": "1.1.0+v3.7.15", "domain": format!("traefik.{ZONE}"), "deployer": "Swarm",
        "env": {
            "HTTP_PORT": free_port().unwrap().to_string(), "HTTPS_PORT": port.to_string(),
            "DOCKER_SOCKET": engine::address().trim_start_matches("unix://"),
        },
        "health": {"path": "/ping", "statuses": [200]},
        "volumes": "Delete",
    });
    let certificate = json!({
        "source": {"files": {"cert": folder.join("cert.pem"), "key": folder.join("key.pem")}},
        "dnsNames": [format!("*.{ZONE}")],
        "distribute": [{"appRef": "traefik", "certSecret": "ssl_cert", "keySecret": "ssl_key"}],
        "probes": [{"address": format!("127.0.0.1:{port}"), "serverName": format!("traefik.{ZONE}")}],
    });
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec});
    [object("App", "traefik", spec), object("Certificate", "wildcard", certificate)]
}

#[test]
fn a_new_certificate_is_served_without_a_failed_request_and_a_bad_one_never_is() {
    let status = Command::new(bundled().join("images")).arg("traefik").status().unwrap();
    assert!(status.success(), "the images of traefik cannot be made");
    let folder = tempfile::tempdir().unwrap();
    let (folder, port) = (folder.path(), free_port().unwrap());
    let authority = Authority::new();
    std::fs::write(folder.join("authority.pem"), authority.issuer.pem()).unwrap();
    let name = format!("*.{ZONE}");
    let (one, two) = (authority.issue(&name, 4000), authority.issue(&name, 4000));
    put(folder, (&one.0, &one.1));
    let trust = format!(
        "[probe]\nca_files = [\"{}\"]\n\n[probe.connect]\n\"{ZONE}\" = \"127.0.0.1:{port}\"\n",
        folder.join("authority.pem").display()
    );
    let installation = Installation::plain(folder, 1, &trust).unwrap();
    let mut traefik = RecipeRepository::new(&folder.join("traefik")).unwrap();
    traefik.publish_bundled("traefik", &["1.1.0+v3.7.15"]).unwrap();
    installation.apply(&objects(folder, &traefik.url(), port)).unwrap();
    let first = installation.wait_for("certificates", "wildcard", "Ready").unwrap();
    installation.wait_for("apps", "traefik", "Ready").unwrap();
    assert_eq!(status_of(&first, "Served"), "True");
    let before = secrets();
    assert_eq!(before.len(), 2, "{before:?}");

    let client = Client::start(port, folder.join("authority.pem"));
    client.wait_for(first["status"]["serial"].as_str().unwrap());
    put(folder, (&two.0, &two.1));
    let second = installation
        .wait("certificates", "wildcard", PATIENCE, |found| {
            found["status"]["serial"] != first["status"]["serial"] && status_of(found, "Ready") == "True"
        })
        .unwrap();
    let serial = second["status"]["serial"].as_str().unwrap();
    client.wait_for(serial);
    assert_eq!(second["status"]["served"][0]["fingerprint"], second["status"]["fingerprint"]);
    let after =
        installation.wait("certificates", "wildcard", PATIENCE, |_| secrets().len() == 2).map(|_| secrets()).unwrap();
    assert!(after.iter().all(|name| !before.contains(name)), "the old secrets are gone: {after:?}");

    let other = authority.issue(&name, 4000);
    let (expired, elsewhere) = (authority.issue(&name, 2021), authority.issue("*.elsewhere.test", 4000));
    for (certificate, key, reason) in [
        (&*one.0, &*other.1, "KeyMismatch"),
        (&*expired.0, &*expired.1, "Expired"),
        (&*elsewhere.0, &*elsewhere.1, "NamesNotCovered"),
        (&one.0[..one.0.len() / 2], &*one.1, "Unreadable"),
    ] {
        put(folder, (certificate, key));
        let refused = installation
            .wait("certificates", "wildcard", PATIENCE, |found| reason_of(found, "Valid") == reason)
            .unwrap();
        assert_eq!(status_of(&refused, "Valid"), "False");
        assert_eq!(refused["status"]["serial"].as_str(), Some(serial), "{reason}");
        assert_eq!(secrets(), after, "{reason}");
    }
    let seen = client.end();
    assert_eq!(seen.failed, Vec::<String>::new(), "{seen:?}");
    assert_eq!(seen.good.len(), 2, "nothing but the two was ever served: {seen:?}");
    assert_eq!(seen.last, serial);
    installation.remove().unwrap();
}
