//! No secret in the audit log, whatever the policy: every way in and out of a Secret and of a token, and then the file.

use std::path::Path;

use serde_json::{Value, json};
use tests::daemon::{Daemon, get};

const POLICY: &str = "[[audit.rules]]\nlevel = \"RequestResponse\"\n";

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
/// What must not be in any log: as it is, and in base64.
const CANARIES: [&str; 2] = ["hunter2-canary", "aHVudGVyMi1jYW5hcnk="];

/// Method, path, media type and body of one request, and how the code of its answer begins.
type Step = (&'static str, String, &'static str, String, &'static str);

/// Sends one request over plain HTTP and returns head and body.
fn send(daemon: &Daemon, token: &str, method: &str, path: &str, content_type: &str, body: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(daemon.http()).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn document(answer: &str) -> Value {
    serde_json::from_str(&answer[answer.find("\r\n\r\n").unwrap() + 4..]).unwrap_or_default()
}

/// Every way in and out of a Secret, the wrong ones as well.
fn requests() -> Vec<Step> {
    let secret = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"plain": CANARIES[0]}, "data": {"encoded": CANARIES[1]}})
        .to_string()
    };
    let hidden_in_list =
        json!({"apiVersion": "v1", "kind": "List", "items": [serde_json::from_str::<Value>(&secret("x")).unwrap()]});
    vec![
        ("POST", SECRETS.to_owned(), JSON, secret("a"), "201"),
        ("POST", SECRETS.to_owned(), JSON, secret("Not A Name"), "422"),
        ("PUT", format!("{SECRETS}/a"), JSON, secret("a"), "200"),
        ("PATCH", format!("{SECRETS}/a"), MERGE, json!({"stringData": {"more": CANARIES[0]}}).to_string(), "200"),
        ("PATCH", format!("{SECRETS}/b?fieldManager=m"), APPLY, secret("b"), "201"),
        ("PATCH", format!("{SECRETS}/a"), MERGE, json!({"data": {"bad": "hunter2-canary!"}}).to_string(), "422"),
        ("GET", format!("{SECRETS}/a"), JSON, String::new(), "200"),
        ("GET", SECRETS.to_owned(), JSON, String::new(), "200"),
        ("GET", "/api/v1/secrets?limit=1".to_owned(), JSON, String::new(), "200"),
        ("DELETE", format!("{SECRETS}/b"), JSON, String::new(), "200"),
        ("POST", "/api/v1/namespaces/default/configmaps".to_owned(), JSON, secret("a"), "4"),
        ("POST", "/api/v1/namespaces/default/configmaps".to_owned(), JSON, hidden_in_list.to_string(), "4"),
        ("GET", format!("/api/v1/namespaces?token={}", CANARIES[0]), JSON, String::new(), "200"),
        ("GET", format!("/nowhere?a=1&access_token={}", CANARIES[0]), JSON, String::new(), "404"),
        ("GET", format!("/nowhere?pass%77ord={}", CANARIES[0]), JSON, String::new(), "404"),
    ]
}

/// Starts a daemon that writes everything down; returns its administrator's token, too.
fn start(dir: &Path) -> (Daemon, String) {
    let config = dir.join("audit.toml");
    std::fs::write(&config, POLICY).unwrap();
    let daemon = Daemon::start_with(&dir.join("data"), &["--config", config.to_str().unwrap()]).unwrap();
    let kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(daemon.kubeconfig()).unwrap()).unwrap();
    let admin = kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned();
    (daemon, admin)
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("data/audit/audit.log")).unwrap()
}

#[test]
fn no_secret_and_no_token_is_in_the_audit_log_at_any_level() {
    let dir = tempfile::tempdir().unwrap();
    let (mut daemon, admin) = start(dir.path());
    let requests = requests();
    for (method, path, content_type, body, code) in &requests {
        let answer = send(&daemon, &admin, method, path, content_type, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{method} {path}: {answer}");
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}).to_string();
    send(&daemon, &admin, "POST", "/api/v1/namespaces/default/serviceaccounts", JSON, &account);
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let bot = document(&send(&daemon, &admin, "POST", path, JSON, "{}"));
    let bot = bot["status"]["token"].as_str().expect("the token is in the answer").to_owned();
    let named = json!({"metadata": {"name": "ci"}}).to_string();
    let ci = document(&send(
        &daemon,
        &admin,
        "POST",
        "/apis/authentication.ci.coopcloud.tech/v1alpha1/tokens",
        JSON,
        &named,
    ));
    let ci = ci["status"]["token"].as_str().expect("the token is in the answer").to_owned();
    let review = json!({"spec": {"token": bot}}).to_string();
    let reviewed = send(&daemon, &bot, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", JSON, "{}");
    assert!(reviewed.contains("system:serviceaccount:default:bot"), "{reviewed}");
    send(&daemon, &admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", JSON, &review);
    send(&daemon, &format!("{bot}x"), "GET", SECRETS, JSON, "");
    assert!(get(daemon.http(), &format!("/readyz?token={}", CANARIES[0])).is_some());
    daemon.stop().unwrap();

    let log = log_of(dir.path());
    let lines = log.lines().count();
    assert!(lines > requests.len(), "the log has {lines} lines");
    for line in log.lines() {
        for secret in [CANARIES[0], CANARIES[1], &admin, &bot, &ci] {
            assert!(!line.contains(secret), "{secret} is in the audit log: {line}");
        }
    }
    assert!(log.contains("REDACTED"), "tokens in queries are blanked, not dropped");
    let all = daemon.log();
    for secret in [CANARIES[0], CANARIES[1], &bot, &ci] {
        assert!(!all.contains(secret), "{secret} is in the daemon's log");
    }
}

#[test]
fn answers_are_in_the_audit_log_though_the_client_reads_gzip() {
    let dir = tempfile::tempdir().unwrap();
    let (mut daemon, admin) = start(dir.path());
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    for (name, length) in [("large", 200_000), ("too-large", 300_000)] {
        let map = json!({"metadata": {"name": name}, "data": {"text": "a".repeat(length)}}).to_string();
        let answer = send(&daemon, &admin, "POST", MAPS, JSON, &map);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let asked = format!("{JSON}\r\nAccept-Encoding: gzip");
        let answer = send(&daemon, &admin, "GET", &format!("{MAPS}/{name}"), &asked, "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    daemon.stop().unwrap();
    let log = log_of(dir.path());
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| {
        let is_it = |event: &&Value| event["verb"] == "get" && event["objectRef"]["name"] == name;
        events.iter().find(is_it).unwrap_or_else(|| panic!("{name} was read: {events:?}"))
    };
    assert_eq!(of("large")["responseObject"]["data"]["text"].as_str().map(str::len), Some(200_000));
    let left_out = of("too-large");
    assert_eq!(left_out["responseObject"], Value::Null);
    assert_eq!(left_out["annotations"]["audit.k8s.io/truncated"], "true");
}
