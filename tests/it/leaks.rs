//! No secret value leaves ccd: canaries in everything that holds secrets, everything exercised, everything searched.
//!
//! Only the one who asks for a Secret itself, and may, reads what it holds: that is what `kubectl get secret -o yaml` is
//! for. Nothing else says a value in any encoding: no table, no metadata, no other object, event, page, document, metric,
//! audit line, log line, export, backup, and no file of the data directory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::daemon::{Daemon, program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CONFIGURATION: &str = "[log]\nlevel = \"debug\"\n\n[[audit.rules]]\nlevel = \"RequestResponse\"\n\n[outbound]\nallow = [\"127.0.0.0/8\"]\n";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const OURS: &str = "ci.coopcloud.tech/v1alpha1";
/// Longest that a condition may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running ccd, canaries by what they are, and everything that was heard from it by where it came from.
struct Place {
    daemon: Daemon,
    http: Client,
    admin: String,
    canaries: BTreeMap<&'static str, String>,
    heard: Vec<(String, Vec<u8>)>,
}

impl Place {
    fn start(folder: &Path) -> Self {
        let config = folder.join("config.toml");
        std::fs::write(&config, CONFIGURATION).unwrap();
        let daemon = Daemon::start_with(&folder.join("data"), &["--config", config.to_str().unwrap()]).unwrap();
        let kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(daemon.kubeconfig()).unwrap()).unwrap();
        let admin = kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        // Encodings differ in most of these characters.
        let canary = |what: &str| format!("{what}-kanari \"q\" <&>/+?=%'\\ü-4711");
        let mut canaries: BTreeMap<&'static str, String> =
            ["generic", "app", "webhook"].into_iter().map(|what| (what, canary(what))).collect();
        canaries.insert("forge", "forge-kanari-0123456789abcdef".to_owned());
        Self { daemon, http, admin, canaries, heard: Vec::new() }
    }

    /// Sends a request as the administrator and remembers the answer, unless it is about a Secret itself.
    async fn ask(&mut self, method: Method, path: &str, accept: &str, body: Option<(&str, String)>) -> (u16, String) {
        let mut request = self.http.request(method.clone(), format!("http://{}{path}", self.daemon.http()));
        request = request.bearer_auth(&self.admin).header("accept", accept);
        if let Some((type_, body)) = body {
            request = request.header("content-type", type_).body(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        self.heard.push((format!("the headers of {method} {path}"), headers.into_bytes()));
        let is_secret_itself = path.contains("/secrets") && accept == "application/json" && status < 300;
        if !is_secret_itself {
            self.heard.push((format!("{method} {path} ({accept}): {status}"), text.clone().into_bytes()));
        }
        (status, text)
    }

    async fn create(&mut self, path: &str, object: Value) -> Value {
        let body = Some(("application/json", object.to_string()));
        let (status, text) = self.ask(Method::POST, path, "application/json", body).await;
        assert!(status < 300, "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn secret(&mut self, name: &str, key: &str, value: &str) {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}});
        self.create("/api/v1/namespaces/default/secrets", secret).await;
    }

    async fn ours(&mut self, plural: &str, kind: &str, name: &str, spec: Value) {
        let place = if plural == "forges" { "" } else { "/namespaces/default" };
        let object = json!({"apiVersion": OURS, "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.create(&format!("/apis/{OURS}{place}/{plural}"), object).await;
    }

    /// Waits until an object has a condition that is not what nobody has looked at yet.
    async fn wait(&mut self, path: &str, type_: &str) {
        let started = Instant::now();
        loop {
            let (_, text) = self.ask(Method::GET, path, "application/json", None).await;
            let object: Value = serde_json::from_str(&text).unwrap();
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            if conditions.iter().any(|condition| condition["type"] == type_) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{path} gets no {type_}: {text}\n{}", self.daemon.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn run(&mut self, binary: &str, arguments: &[&str], input: &Path) {
        let output =
            Command::new(program(binary)).args(arguments).env("HOME", input).current_dir(input).output().unwrap();
        let what = format!("{binary} {}", arguments.join(" "));
        self.heard.push((format!("the output of {what}"), [output.stdout, output.stderr].concat()));
    }

    /// Fails with every place in which a canary was found, in any of its forms.
    fn assert_silent(&self) {
        let forms: Vec<(String, String)> =
            self.canaries.iter().flat_map(|(what, value)| forms_of(what, value)).collect();
        let any: Vec<String> = forms.iter().map(|(_, form)| regex::escape(form)).collect();
        let any = regex::bytes::Regex::new(&any.join("|")).unwrap();
        let mut leaks = Vec::new();
        for (place, bytes) in self.heard.iter().filter(|(_, bytes)| any.is_match(bytes)) {
            let text = String::from_utf8_lossy(bytes);
            let found = forms.iter().filter(|(_, form)| text.contains(form.as_str()));
            let found: Vec<&str> = found.map(|(what, _)| what.as_str()).collect();
            leaks.push(format!("{} in {place}", found.join(", ")));
        }
        assert!(leaks.is_empty(), "{leaks:#?}");
    }
}

/// Returns a value in every form in which it may be written down; of a key in PEM each line.
fn forms_of(what: &str, value: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = if value.starts_with("-----") {
        value.lines().filter(|line| !line.starts_with("-----") && line.len() > 20).collect()
    } else {
        vec![value]
    };
    let mut forms = Vec::new();
    for line in lines {
        let mut add = |form: &str, text: String| forms.push((format!("{what} ({form})"), text));
        add("as it is", line.to_owned());
        for alignment in 0..3 {
            let bytes = [&vec![0; alignment][..], line.as_bytes()].concat();
            let (first, end) = ((alignment * 8_usize).div_ceil(6), bytes.len() * 8 / 6);
            add("base64", STANDARD_NO_PAD.encode(&bytes)[first..end].to_owned());
            add("base64 for addresses", URL_SAFE_NO_PAD.encode(&bytes)[first..end].to_owned());
        }
        let (mut lower, mut encoded) = (String::new(), String::new());
        for byte in line.bytes() {
            let _ = write!(lower, "{byte:02x}");
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
                _ => drop(write!(encoded, "%{byte:02X}")),
            }
        }
        add("hexadecimal", lower.to_uppercase());
        add("hexadecimal", lower);
        add("as in addresses", encoded);
        let quoted = json!(line).to_string();
        add("as in JSON", quoted[1..quoted.len() - 1].to_owned());
        add("as in Rust", format!("{line:?}").trim_matches('"').to_owned());
        add("as in HTML", line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"));
    }
    forms.sort();
    forms.dedup_by(|one, other| one.1 == other.1);
    forms
}

/// A server that says back whatever it was told, the token included, and fails.
async fn echo() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let said = String::from_utf8_lossy(&request[..length]).into_owned();
                let token = said.lines().find_map(|line| line.split_once("token ")).map_or("none", |(_, token)| token);
                let body =
                    json!({"message": format!("you said {said} which is {token} or {}", STANDARD.encode(token))});
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 403 Forbidden {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// Puts canaries everywhere and lets ccd work with them.
async fn fill(place: &mut Place) {
    for (name, key, what) in [
        ("generic", "password", "generic"),
        ("forge-token", "token", "forge"),
        ("app", "db_password", "app"),
        ("webhook", "secret", "webhook"),
    ] {
        let value = place.canaries[what].clone();
        place.secret(name, key, &value).await;
    }
    let names = vec!["leaks.example".to_owned()];
    let key = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    place.canaries.insert("certificate key", key.signing_key.serialize_pem());
    let tls = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "tls"},
        "stringData": {"tls.crt": key.cert.pem(), "tls.key": key.signing_key.serialize_pem()}});
    place.create("/api/v1/namespaces/default/secrets", tls).await;
    let url = echo().await;
    let reference = json!({"namespace": "default", "name": "forge-token"});
    place.ours("forges", "Forge", "hostile", json!({"url": url, "tokenSecretRef": reference})).await;
    let webhook = json!({"secretRef": {"name": "webhook", "key": "secret"}});
    let repository =
        json!({"forgeRef": "hostile", "owner": "o", "name": "r", "pollInterval": "1h", "webhook": webhook});
    place.ours("repositories", "Repository", "r", repository).await;
    let source = json!({"source": {"secretRef": {"name": "tls"}}, "dnsNames": names});
    place.ours("certificates", "Certificate", "given", source).await;
    place.ours("certificates", "Certificate", "wrong", json!({"source": {"secretRef": {"name": "generic"}}})).await;
    place.ours("certificates", "Certificate", "made", json!({"source": {"selfSigned": {"dnsNames": names}}})).await;
    let secrets = json!([{"name": "db_password", "valueFrom": {"name": "app", "key": "db_password"}}]);
    let app = json!({"recipe": {"url": "https://127.0.0.1:1/x.git"}, "version": "1.0.0", "domain": "leaks.example", "secrets": secrets});
    place.ours("apps", "App", "a", app).await;
    let certificates = format!("/apis/{OURS}/namespaces/default/certificates");
    for name in ["given", "wrong", "made"] {
        place.wait(&format!("{certificates}/{name}"), "Valid").await;
    }
    place.wait(&format!("/apis/{OURS}/forges/hostile"), "Ready").await;
    place.wait(&format!("/apis/{OURS}/namespaces/default/repositories/r"), "Ready").await;
    place.wait(&format!("/apis/{OURS}/namespaces/default/apps/a"), "Ready").await;
    let (_, kept) =
        place.ask(Method::GET, "/api/v1/namespaces/default/secrets/made.certificate", "application/json", None).await;
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let made = STANDARD.decode(kept["data"]["tls.key"].as_str().unwrap()).unwrap();
    place.canaries.insert("made key", String::from_utf8(made).unwrap());
}

/// Tokens are told once, to the one who makes them.
async fn tokens(place: &mut Place) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}});
    place.create("/api/v1/namespaces/default/serviceaccounts", account).await;
    let made = [
        ("account token", "/api/v1/namespaces/default/serviceaccounts/bot/token", json!({})),
        ("named token", "/apis/authentication.ci.coopcloud.tech/v1alpha1/tokens", json!({"metadata": {"name": "ci"}})),
    ];
    for (what, path, body) in made {
        let answer = place.create(path, body).await;
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        // The answer itself is where it is told.
        place.heard.retain(|(from, _)| !from.contains(path));
        place.canaries.insert(what, token);
    }
    let admin = place.admin.clone();
    place.canaries.insert("admin token", admin);
}

/// Requests that fail, with canaries in them: refusals repeat what they refuse.
async fn mistakes(place: &mut Place) {
    let value = place.canaries["generic"].clone();
    let secrets = "/api/v1/namespaces/default/secrets";
    let json_body = |body: Value| Some(("application/json", body.to_string()));
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"p": value}});
    place.ask(Method::POST, secrets, "application/json", json_body(secret("Not A Name"))).await;
    place.ask(Method::POST, secrets, "application/json", json_body(secret("generic"))).await;
    let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "data": {"p": value}});
    place.ask(Method::POST, secrets, "application/json", json_body(bad)).await;
    let number = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "stringData": {"p": [value]}});
    place.ask(Method::POST, secrets, "application/json", json_body(number)).await;
    let patch = |type_: &'static str, body: Value| Some((type_, body.to_string()));
    let one = format!("{secrets}/generic");
    let merge = patch("application/merge-patch+json", json!({"data": {"p": value}}));
    place.ask(Method::PATCH, &one, "application/json", merge).await;
    let test = json!([{"op": "test", "path": "/data/password", "value": value}]);
    place.ask(Method::PATCH, &one, "application/json", patch("application/json-patch+json", test)).await;
    let apply = patch("application/apply-patch+yaml", secret("generic"));
    place.ask(Method::PATCH, &format!("{one}?fieldManager=m"), "application/json", apply).await;
    let broken = Some(("application/json", format!("{{\"stringData\": {{\"p\": {}, ", json!(value))));
    place.ask(Method::POST, secrets, "application/json", broken).await;
    let hook = Some(("application/json", json!({"secret": place.canaries["webhook"]}).to_string()));
    place.ask(Method::POST, "/hooks/default/r", "application/json", hook).await;
}

/// Everything that can be read: lists in each shape, watches, documents, pages.
async fn read_everything(place: &mut Place) {
    let mut groups = vec!["/api/v1".to_owned()];
    let (_, index) = place.ask(Method::GET, "/apis", "application/json", None).await;
    let index: Value = serde_json::from_str(&index).unwrap();
    let versions = index["groups"].as_array().unwrap().iter().flat_map(|group| group["versions"].as_array().unwrap());
    groups.extend(versions.map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap())));
    for base in groups {
        let (_, list) = place.ask(Method::GET, &base, "application/json", None).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        for resource in list["resources"].as_array().unwrap() {
            let (name, verbs) = (resource["name"].as_str().unwrap(), resource["verbs"].to_string());
            if !verbs.contains("\"list\"") {
                continue;
            }
            let path = format!("{base}/{name}");
            for accept in ["application/json", TABLE, METADATA] {
                place.ask(Method::GET, &path, accept, None).await;
            }
            if name == "secrets" || name == "events" || base.contains("ci.coopcloud.tech") {
                // It ends by itself.
                place.ask(Method::GET, &format!("{path}?watch=1&timeoutSeconds=1"), TABLE, None).await;
            }
        }
    }
    for path in ["/metrics", "/debug/state", "/version", "/readyz?verbose", "/openapi/v2", "/", "/zork"] {
        place.ask(Method::GET, path, "application/json", None).await;
    }
    for pattern in
        webui::route::PATTERNS.iter().filter(|pattern| !pattern.contains("stream") && !pattern.contains("/live"))
    {
        for name in ["generic", "given", "made.certificate", "hostile", "a", "r"] {
            let path = pattern.replace("NS", "default").replace("NAME", name);
            place.ask(Method::GET, &path, "text/html", None).await;
        }
    }
    for kind in
        ["secrets", "events", "forges.ci.coopcloud.tech", "certificates.ci.coopcloud.tech", "apps.ci.coopcloud.tech"]
    {
        place.ask(Method::GET, &format!("/kinds/{kind}"), "text/html", None).await;
        for name in ["default/generic", "default/made.certificate", "_/hostile", "default/given", "default/a"] {
            place.ask(Method::GET, &format!("/kinds/{kind}/{name}"), "text/html", None).await;
        }
    }
}

/// What the programs print, and what they write.
fn programs(place: &mut Place, folder: &Path) {
    let kubeconfig = place.daemon.kubeconfig().display().to_string();
    let changed = folder.join("changed.yaml");
    let other =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: generic}\nstringData: {password: another-value-altogether}\n";
    std::fs::write(&changed, other).unwrap();
    let changed = changed.display().to_string();
    for arguments in [
        &["get", "secrets", "-A", "-o", "wide"][..],
        &["describe", "secret", "generic"],
        &["describe", "forge", "hostile"],
        &["describe", "certificate", "wrong"],
        &["why", "forge/hostile"],
        &["why", "app/a"],
        &["diff", "-f", &changed],
        &["events", "-A"],
        &["doctor"],
        &["token", "list"],
        &["secret", "scan", "--objects", "--known", "-A"],
        &["secret", "scan", "--known", "-A", &changed],
    ] {
        let all = [&["--kubeconfig", &kubeconfig][..], arguments].concat();
        place.run("ccctl", &all, folder);
    }
    let (data, export, backup) = (folder.join("data"), folder.join("export"), folder.join("backup"));
    let data = data.display().to_string();
    place.run("ccd", &["export", "--data-dir", &data, &export.display().to_string()], folder);
    place.run("ccd", &["backup", "--data-dir", &data, &backup.display().to_string()], folder);
    place.run("ccd", &["token", "list", "--data-dir", &data], folder);
}

/// Every file beneath a folder, but for those that hold a secret because that is what they are for.
fn files(place: &mut Place, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files(place, &path);
        } else if name != "kubeconfig" && name != "store.key" {
            place.heard.push((format!("the file {}", path.display()), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_value_leaves_by_any_door_in_any_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place::start(folder.path());
    fill(&mut place).await;
    tokens(&mut place).await;
    mistakes(&mut place).await;
    read_everything(&mut place).await;
    programs(&mut place, folder.path());
    place.daemon.stop().unwrap();
    files(&mut place, folder.path());
    let places = place.heard.iter().map(|(from, _)| from.as_str());
    for expected in ["export/", "/backup", "audit/audit.log", "data.log", "store/", "/metrics", "describe secret"] {
        assert!(places.clone().any(|from| from.contains(expected)), "nothing was heard from {expected}");
    }
    assert!(place.heard.len() > 250, "only {} places were searched", place.heard.len());
    place.assert_silent();
}

#[test]
fn a_canary_is_recognised_in_every_encoding() {
    let value = "kanari \"q\" <&>/ü";
    let patterns = forms_of("it", value);
    let texts = [
        value.to_owned(),
        STANDARD.encode(format!("x:{value}")),
        URL_SAFE_NO_PAD.encode(format!("xy:{value}!")),
        json!({ "a": value }).to_string(),
        "kanari%20%22q%22%20%3C%26%3E%2F%C3%BC".to_owned(),
        "kanari &quot;q&quot; &lt;&amp;&gt;/ü".to_owned(),
        value.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ];
    for text in texts {
        assert!(patterns.iter().any(|(_, form)| text.contains(form.as_str())), "{text}");
    }
    assert!(!patterns.iter().any(|(_, form)| "kanari and others, <b>".contains(form.as_str())));
}
