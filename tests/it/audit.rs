//! No secret in the audit log, whatever the policy: every way in and out of a Secret and of a token, and then the file.

use serde_json::{Value, json};
use tests::daemon::{Daemon, get};

const POLICY: &str = "[[audit.rules]]\nlevel = \"RequestResponse\"\n";

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

#[test]
fn no_secret_and_no_token_is_in_the_audit_log_at_any_level() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("audit.toml");
    std::fs::write(&config, POLICY).unwrap();
    let data = dir.path().join("data");
    let mut daemon = Daemon::start_with(&data, &["--config", config.to_str().unwrap()]).unwrap();
    let kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(daemon.kubeconfig()).unwrap()).unwrap();
    let admin = kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned();
    let (json_type, merge, apply) =
        ("application/json", "application/merge-patch+json", "application/apply-patch+yaml");
    let secrets = "/api/v1/namespaces/default/secrets";
    // "hunter2-canary" as it is, and in base64.
    let canaries = ["hunter2-canary", "aHVudGVyMi1jYW5hcnk="];
    let secret = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"plain": canaries[0]}, "data": {"encoded": canaries[1]}})
        .to_string()
    };
    let hidden_in_list =
        json!({"apiVersion": "v1", "kind": "List", "items": [serde_json::from_str::<Value>(&secret("x")).unwrap()]});
    let requests = [
        ("POST", secrets.to_owned(), json_type, secret("a"), "201"),
        ("POST", secrets.to_owned(), json_type, secret("Not A Name"), "422"),
        ("PUT", format!("{secrets}/a"), json_type, secret("a"), "200"),
        ("PATCH", format!("{secrets}/a"), merge, json!({"stringData": {"more": canaries[0]}}).to_string(), "200"),
        ("PATCH", format!("{secrets}/b?fieldManager=m"), apply, secret("b"), "201"),
        ("PATCH", format!("{secrets}/a"), merge, json!({"data": {"bad": "hunter2-canary!"}}).to_string(), "422"),
        ("GET", format!("{secrets}/a"), json_type, String::new(), "200"),
        ("GET", secrets.to_owned(), json_type, String::new(), "200"),
        ("GET", "/api/v1/secrets?limit=1".to_owned(), json_type, String::new(), "200"),
        ("DELETE", format!("{secrets}/b"), json_type, String::new(), "200"),
        ("POST", "/api/v1/namespaces/default/configmaps".to_owned(), json_type, secret("a"), "4"),
        ("POST", "/api/v1/namespaces/default/configmaps".to_owned(), json_type, hidden_in_list.to_string(), "4"),
        ("GET", format!("/api/v1/namespaces?token={}", canaries[0]), json_type, String::new(), "200"),
        ("GET", format!("/nowhere?a=1&access_token={}", canaries[0]), json_type, String::new(), "404"),
        ("GET", format!("/nowhere?pass%77ord={}", canaries[0]), json_type, String::new(), "404"),
    ];
    for (method, path, content_type, body, code) in &requests {
        let answer = send(&daemon, &admin, method, path, content_type, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{method} {path}: {answer}");
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}).to_string();
    send(&daemon, &admin, "POST", "/api/v1/namespaces/default/serviceaccounts", json_type, &account);
    let path = "/api/v1/namespaces/default/serviceaccounts/bot/token";
    let bot = document(&send(&daemon, &admin, "POST", path, json_type, "{}"));
    let bot = bot["status"]["token"].as_str().expect("the token is in the answer").to_owned();
    let named = json!({"metadata": {"name": "ci"}}).to_string();
    let ci = document(&send(
        &daemon,
        &admin,
        "POST",
        "/apis/authentication.ci.coopcloud.tech/v1alpha1/tokens",
        json_type,
        &named,
    ));
    let ci = ci["status"]["token"].as_str().expect("the token is in the answer").to_owned();
    let review = json!({"spec": {"token": bot}}).to_string();
    let reviewed = send(&daemon, &bot, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json_type, "{}");
    assert!(reviewed.contains("system:serviceaccount:default:bot"), "{reviewed}");
    send(&daemon, &admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", json_type, &review);
    send(&daemon, &format!("{bot}x"), "GET", secrets, json_type, "");
    assert!(get(daemon.http(), &format!("/readyz?token={}", canaries[0])).is_some());
    daemon.stop().unwrap();

    let log = std::fs::read_to_string(data.join("audit").join("audit.log")).unwrap();
    let lines = log.lines().count();
    assert!(lines > requests.len(), "the log has {lines} lines");
    for line in log.lines() {
        for secret in [canaries[0], canaries[1], &admin, &bot, &ci] {
            assert!(!line.contains(secret), "{secret} is in the audit log: {line}");
        }
    }
    assert!(log.contains("REDACTED"), "tokens in queries are blanked, not dropped");
    let all = daemon.log();
    for secret in [canaries[0], canaries[1], &bot, &ci] {
        assert!(!all.contains(secret), "{secret} is in the daemon's log");
    }
}
