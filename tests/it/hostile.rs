//! What a client sends that means harm: a clear refusal, a daemon that lives on, and memory that stays bounded.

mod wire;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::{Daemon, get};

/// What the daemon may hold after everything in this file, in bytes. An idle one holds a tenth of it.
const MEMORY_MAX: u64 = 512 << 20;
/// What each idle watch may cost, in bytes: two tasks, the buffers of its connection, its place in the store.
const WATCH_MEMORY_MAX: u64 = 40 << 10;
const WATCHES: usize = 10_000;
/// The longest that any one of these requests may keep the daemon busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// A daemon to be harsh to.
struct Victim {
    daemon: Daemon,
    token: String,
    _dir: tempfile::TempDir,
}

impl Victim {
    fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hostile.toml");
        std::fs::write(&file, config).unwrap();
        let daemon = Daemon::start_with(&dir.path().join("data"), &["--config", file.to_str().unwrap()]).unwrap();
        let kubeconfig = std::fs::read_to_string(daemon.kubeconfig()).unwrap();
        let kubeconfig: Value = serde_saphyr::from_str(&kubeconfig).unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned();
        Self { daemon, token, _dir: dir }
    }

    fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{more}\r\n", self.token)
    }

    /// Sends one well-formed request with any body.
    fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let more = format!("Connection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n");
        let mut request = self.head(method, path, &more).into_bytes();
        request.extend_from_slice(body);
        exchange(self.daemon.http(), &request)
    }

    fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Checks that nothing broke, whatever was sent before.
    fn assert_well(&self, after: &str) {
        let ready = get(self.daemon.http(), "/readyz").unwrap_or_default();
        assert!(ready.starts_with("HTTP/1.1 200"), "not ready after {after}: {ready}\n{}", self.daemon.log());
        let log = self.daemon.log();
        assert!(!log.contains("panicked"), "a panic after {after}:\n{log}");
        let memory = self.memory_bytes();
        assert!(memory < MEMORY_MAX, "{} MiB after {after}", memory >> 20);
    }
}

/// What came back until the connection was closed.
struct Answer {
    text: String,
    took: Duration,
}

impl Answer {
    /// Returns the status code; 0 when the connection was closed without an answer.
    fn code(&self) -> u16 {
        self.text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or_default()
    }

    fn document(&self) -> Value {
        let (Some(start), Some(end)) = (self.text.find('{'), self.text.rfind('}')) else { return Value::Null };
        serde_json::from_str(&self.text[start..=end]).unwrap_or_default()
    }

    fn assert_refused(&self, name: &str, code: u16) {
        let shown: String = self.text.chars().take(600).collect();
        assert_eq!(self.code(), code, "{name}: {shown}");
        assert!(self.took < ANSWER_WITHIN, "{name} took {:?}", self.took);
        let status = self.document();
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(code)), "{name}: {shown}");
        assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()), "{name}: {shown}");
    }
}

/// Writes and reads at the same time, because a refusal may come before the end of what is refused.
fn exchange(address: &str, request: &[u8]) -> Answer {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The other side may have hung up already.
            let _ = writing.write_all(request);
        });
        // A reset after the answer is the end of it.
        let _ = stream.read_to_end(&mut answer);
    });
    Answer { text: String::from_utf8_lossy(&answer).into_owned(), took: begun.elapsed() }
}

fn map(metadata: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})).unwrap()
}

#[expect(clippy::too_many_lines, reason = "one table of attacks")]
#[test]
fn hostile_bodies_are_refused() {
    let deep = |open: &str, times: usize| open.repeat(times).into_bytes();
    let labels: Value =
        (0..70_000).map(|index| (format!("l{index}"), Value::from(""))).collect::<serde_json::Map<_, _>>().into();
    let long = "a".repeat(70_000);
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": long}]);
    let laughs = (1..12).fold("a0: &a0 [x,x]\n".to_owned(), |mut text, level| {
        let below = format!("*a{},", level - 1).repeat(9);
        let _ = writeln!(text, "a{level}: &a{level} [{below}]");
        text
    });
    let maps = |count: usize| format!("[{}]", vec![r#"{"":0}"#; count].join(",")).into_bytes();
    let owners = |count: usize| {
        let owner = "  - {apiVersion: v1, kind: ConfigMap, name: a, uid: b}\n".repeat(count);
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  ownerReferences:\n{owner}").into_bytes()
    };
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("400 000 maps of one member", JSON, maps(400_000), 413),
        ("400 000 maps of one member called YAML", YAML, maps(400_000), 413),
        ("400 000 maps of one member behind another document", YAML, [b"{}".to_vec(), maps(400_000)].concat(), 400),
        ("50 000 owners in YAML", YAML, owners(50_000), 400),
        (
            "a map of 280 000 members",
            YAML,
            (0..280_000).map(|index| format!("k{index}: 1\n")).collect::<String>().into_bytes(),
            400,
        ),
        ("10 MiB", JSON, vec![b' '; 10 << 20], 413),
        ("JSON lists 10 000 deep", JSON, deep("[", 10_000), 400),
        ("JSON maps 10 000 deep", JSON, deep("{\"a\":", 10_000), 400),
        ("JSON lists a million deep", JSON, deep("[", 1_000_000), 400),
        ("JSON that is deep and whole", JSON, format!("{}{}", "[".repeat(9999), "]".repeat(9999)).into_bytes(), 400),
        ("YAML flow lists 10 000 deep", YAML, deep("[", 10_000), 400),
        ("YAML flow maps 10 000 deep", YAML, deep("{a: ", 10_000), 400),
        ("YAML flow lists a million deep", YAML, deep("[", 1_000_000), 400),
        ("YAML block lists 10 000 deep", YAML, deep("- ", 10_000), 400),
        ("JSON maps 10 000 deep called YAML", YAML, deep("{\"a\":", 10_000), 400),
        ("YAML aliases of aliases", YAML, laughs.into_bytes(), 400),
        ("a YAML anchor inside itself", YAML, b"&a [*a]".to_vec(), 400),
        ("invalid UTF-8 in JSON", JSON, b"{\"kind\":\"\xff\xfe\"}".to_vec(), 400),
        ("invalid UTF-8 in YAML", YAML, b"kind: \xff\xfe".to_vec(), 400),
        ("half a surrogate pair", JSON, br#"{"kind":"\ud800"}"#.to_vec(), 400),
        ("nothing", JSON, Vec::new(), 400),
        ("a number", JSON, b"1e999".to_vec(), 400),
        ("a name with a slash", JSON, map(&json!({"name": "a/b"})), 422),
        ("a name that climbs", JSON, map(&json!({"name": "../../secrets"})), 422),
        ("two dots", JSON, map(&json!({"name": ".."})), 422),
        ("a name with NUL", JSON, map(&json!({"name": "a\0b"})), 422),
        ("a name with an escape", JSON, map(&json!({"name": "a%2fb"})), 422),
        ("a name of 70 000 bytes", JSON, map(&json!({"name": long})), 422),
        ("a name that is a list", JSON, map(&json!({"name": ["a"]})), 422),
        ("a generateName of 70 000 bytes", JSON, map(&json!({"generateName": long})), 422),
        ("70 000 labels", JSON, map(&json!({"name": "a", "labels": labels})), 413),
        ("a label of 70 000 bytes", JSON, map(&json!({"name": "a", "labels": {"a": long}})), 422),
        ("an owner's uid of 70 000 bytes", JSON, map(&json!({"name": "a", "ownerReferences": owner})), 413),
        (
            "annotations of 300 000 bytes",
            JSON,
            map(&json!({"name": "a", "annotations": {"a": "x".repeat(300_000)}})),
            422,
        ),
        ("metadata that is a list", JSON, map(&json!([1, 2])), 400),
        (
            "another kind",
            JSON,
            b"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\"}}".to_vec(),
            422,
        ),
        ("protobuf without its beginning", "application/vnd.kubernetes.protobuf", b"\x0a\x05hello".to_vec(), 400),
        (
            "protobuf that is cut off",
            "application/vnd.kubernetes.protobuf",
            b"k8s\0\x0a\xff\xff\xff\xff\x0f".to_vec(),
            400,
        ),
        (
            "protobuf with an endless number",
            "application/vnd.kubernetes.protobuf",
            [b"k8s\0".as_slice(), &[0xff; 64]].concat(),
            400,
        ),
        ("a type that nobody knows", "text/x-evil", b"{}".to_vec(), 415),
    ];
    let victim = Victim::start("");
    for (name, content_type, body, code) in cases {
        victim.send("POST", MAPS, content_type, &body).assert_refused(name, code);
        victim.assert_well(name);
    }
    let twice = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","name":"b"}}"#;
    victim.send("POST", &format!("{MAPS}?fieldValidation=Strict"), JSON, twice).assert_refused("a member twice", 400);
    // Kubernetes bounds no number of labels, only the object's size.
    let labels: Value =
        (0..10_000).map(|index| (format!("l{index}"), Value::from(""))).collect::<serde_json::Map<_, _>>().into();
    let answer = victim.send("POST", MAPS, JSON, &map(&json!({"name": "many", "labels": labels})));
    assert_eq!(answer.code(), 201, "10 000 labels are allowed");
    victim.assert_well("10 000 labels");
}

#[test]
fn hostile_queries_and_paths_are_refused() {
    let victim = Victim::start("");
    assert_eq!(victim.send("POST", MAPS, JSON, &map(&json!({"name": "a"}))).code(), 201);
    let forged = [
        "x",
        "%00",
        "%ff",
        "bnVsbA",
        "e30",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTksInN0YXJ0IjoiLyJ9",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6OTIyMzM3MjAzNjg1NDc3NTgwNywic3RhcnQiOiIvIn0",
    ];
    let mut cases: Vec<(String, u16)> = forged.map(|token| (format!("{MAPS}?limit=1&continue={token}"), 400)).into();
    for (query, code) in [
        ("limit=NaN", 400),
        ("limit=1e400", 400),
        ("limit=99999999999999999999", 400),
        ("limit=%00", 400),
        ("resourceVersion=abc", 400),
        ("resourceVersion=-1", 400),
        ("resourceVersion=99999999999999999999", 400),
        ("resourceVersion=1&resourceVersionMatch=Evil", 422),
        ("watch=1&resourceVersion=abc", 400),
        ("watch=1&timeoutSeconds=NaN", 400),
        ("labelSelector=a%20in%20((((", 400),
        ("labelSelector=%00", 400),
        ("fieldSelector=spec.evil%3D1", 400),
    ] {
        cases.push((format!("{MAPS}?{query}"), code));
    }
    for name in ["%2e%2e", "..", "a%2fb", "%00", "%ff", "%", "%zz", "%2e%2e%2f%2e%2e%2fsecrets", "a%00", "A"] {
        cases.push((format!("{MAPS}/{name}"), 404));
    }
    for path in [
        "/api/v1/configmaps/default%2fa",
        "/api/v1/namespaces/default%2fconfigmaps/a",
        "/api/v1/namespaces/../configmaps/a",
        "/api/v1/namespaces/..%2fdefault/configmaps/a",
    ] {
        cases.push((path.to_owned(), 404));
    }
    for (path, code) in cases {
        let answer = victim.send("GET", &path, JSON, b"");
        let shown: String = answer.text.chars().take(400).collect();
        assert_eq!(answer.code(), code, "{path}: {shown}");
    }
    victim.assert_well("queries and paths");
    let future = victim.send("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=9999999"), JSON, b"");
    assert!(future.code() < 500 && future.took < ANSWER_WITHIN, "a watch from the future: {}", future.text);
    for query in ["limit=-1", "evil=1&evil=2&%00=%ff&&&=&", "limit=9223372036854775807"] {
        let answer = victim.send("GET", &format!("{MAPS}?{query}"), JSON, b"");
        assert_eq!(answer.code(), 200, "{query} asks for nothing that could be refused: {}", answer.text);
    }
    victim.assert_well("harmless queries");
}

#[test]
fn hostile_patches_are_refused() {
    let victim = Victim::start("");
    assert_eq!(victim.send("POST", MAPS, JSON, &map(&json!({"name": "a", "annotations": {"a": "x"}}))).code(), 201);
    let path = format!("{MAPS}/a");
    let mut doubling = vec![json!({"op": "add", "path": "/data", "value": {"a": "x".repeat(1000)}})];
    for level in 0..64 {
        doubling.push(json!({"op": "copy", "from": "/data", "path": format!("/data/l{level}")}));
    }
    let mut deepening = vec![json!({"op": "add", "path": "/data", "value": {}})];
    let mut deepest = "/data".to_owned();
    for _ in 0..17 {
        deepening.push(json!({"op": "copy", "from": "/data", "path": format!("{deepest}/data")}));
        deepest = format!("{deepest}{deepest}");
    }
    let many: Vec<Value> = (0..10_001).map(|_| json!({"op": "test", "path": "/kind", "value": "ConfigMap"})).collect();
    let json_patch = "application/json-patch+json";
    let merge_patch = "application/merge-patch+json";
    let strategic = "application/strategic-merge-patch+json";
    let labels: Value =
        (0..70_000).map(|index| (format!("l{index}"), Value::from(""))).collect::<serde_json::Map<_, _>>().into();
    let cases = [
        ("copies that double", json_patch, Value::from(doubling), 422),
        ("copies that nest", json_patch, Value::from(deepening), 422),
        ("10 001 operations", json_patch, Value::from(many), 413),
        ("an operation that nobody knows", json_patch, json!([{"op": "evil", "path": "/"}]), 422),
        ("a list as a merge", merge_patch, json!([1]), 400),
        ("another name", merge_patch, json!({"metadata": {"name": "../b"}}), 400),
        ("70 000 labels", merge_patch, json!({"metadata": {"labels": labels}}), 413),
        ("a directive that nobody knows", strategic, json!({"$patch": "evil"}), 400),
        ("an order of nothing", strategic, json!({"$setElementOrder/data": 5}), 400),
    ];
    for (name, content_type, patch, code) in cases {
        let body = serde_json::to_vec(&patch).unwrap();
        victim.send("PATCH", &path, content_type, &body).assert_refused(name, code);
        victim.assert_well(name);
    }
    let mut fields = json!({});
    for _ in 0..50 {
        fields = json!({"f:a": fields, "k:{\"a\":[[[": {}, "v:\u{0}": {}, "i:99999999999999999999": {}});
    }
    let absurd = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a",
        "managedFields": [{"manager": "m", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}]}});
    let apply = format!("{path}?fieldManager=m");
    let body = serde_json::to_vec(&absurd).unwrap();
    victim
        .send("PATCH", &apply, "application/apply-patch+yaml", &body)
        .assert_refused("managedFields in an apply", 400);
    let manager = format!("{path}?fieldManager={}", "m".repeat(1000));
    victim.send("PATCH", &manager, merge_patch, b"{}").assert_refused("a long manager", 422);
    let put = victim.send("PUT", &path, JSON, &body);
    assert!(put.code() < 500, "absurd managedFields in an update: {}", put.text);
    victim.assert_well("managedFields");
}
