//! What gets into the log, and what must never.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_types::status::{Reason, Status};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::policy::Policy;
use super::{Audit, AuditWriter, WriterSettings};
use crate::authentication::{Credential, Peer, User};
use crate::authorization::Decision;
use crate::clock::Clock;
use crate::config::{AuditConfig, AuditLevel, AuditRule};
use crate::negotiation::BodyType;
use crate::request::RequestInfo;

const CANARY: &str = "hunter2-canary-5f3a";

fn clock() -> Clock {
    Clock::fixed("2026-11-21T08:00:00.5Z".parse::<Timestamp>().unwrap())
}

fn settings(directory: &Path) -> WriterSettings {
    WriterSettings { path: directory.join("audit.log"), file_bytes_max: 1 << 20, files_max: 3, queue_max: 1024 }
}

fn everything() -> Policy {
    Policy::new(vec![AuditRule { level: AuditLevel::RequestResponse, ..AuditRule::default() }])
}

fn audit(directory: &Path, policy: Policy) -> Audit {
    Audit::new(policy, AuditWriter::open(settings(directory), clock()).unwrap(), clock(), None)
}

fn peer() -> Peer {
    Peer { address: "192.0.2.7:999".parse().unwrap(), encrypted: true, certificate: None }
}

fn bob() -> Arc<User> {
    Arc::new(User::named("bob", &["devs"], Credential::Token { id: "abc".to_owned(), expires: None }))
}

fn info(method: &Method, target: &str) -> Arc<RequestInfo> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Arc::new(RequestInfo::parse(method, path, query))
}

fn lines(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn older(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap() != "audit.log");
    paths.sort();
    paths
}

#[test]
fn a_request_becomes_one_event_in_kubernetes_shape() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit(directory.path(), everything());
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("kubectl/v1.32"));
    headers.insert("authorization", HeaderValue::from_static("Bearer hunter2-canary-5f3a"));
    let info = info(
        &Method::POST,
        "/apis/ci.coopcloud.tech/v1alpha1/namespaces/n/recipes?fieldManager=k&token=hunter2-canary-5f3a",
    );
    let query = Some("fieldManager=k&token=hunter2-canary-5f3a");
    let mut record = audit.begin("id-1", &info, query, Some(&bob()), &peer(), &headers);
    record.decision(&Decision { allowed: true, reason: "because".into() });
    record.request_object(
        br#"{"kind":"Recipe","metadata":{"name":"a","managedFields":[{"manager":"x"}]},"spec":{"url":"u"}}"#,
        BodyType::Json,
    );
    record.object("a", "uid-1", "7");
    record.finish(201, Some(br#"{"kind":"Recipe","metadata":{"name":"a"}}"#));
    audit.close();
    insta::assert_snapshot!(serde_json::to_string_pretty(&lines(directory.path())[0]).unwrap());
    assert!(!std::fs::read_to_string(directory.path().join("audit.log")).unwrap().contains(CANARY));
}

#[test]
fn an_event_says_who_asked_and_as_whom() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit(directory.path(), Policy::default());
    let extra = [("reason".to_owned(), vec!["holiday".to_owned()])].into();
    let jane = Arc::new(User {
        uid: "7".to_owned(),
        extra,
        impersonator: Some(bob()),
        ..User::named("jane", &[], Credential::None)
    });
    let info = info(&Method::GET, "/x");
    for user in [None, Some(&bob()), Some(&jane)] {
        audit.begin("id", &info, None, user, &peer(), &HeaderMap::new()).finish(200, None);
    }
    audit.close();
    let whom = |line: &Value| json!([line["user"], line["impersonatedUser"]]);
    let bob = json!({"username": "bob", "groups": ["devs", "system:authenticated"]});
    let extra = json!({"reason": ["holiday"]});
    let jane = json!({"username": "jane", "uid": "7", "groups": ["system:authenticated"], "extra": extra});
    let found: Vec<Value> = lines(directory.path()).iter().map(whom).collect();
    assert_eq!(found, [json!([{}, null]), json!([bob, null]), json!([bob, jane])]);
}

#[test]
fn secrets_never_reach_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit(directory.path(), everything());
    let secret = format!(r#"{{"kind":"Secret","apiVersion":"v1","data":{{"p":"{CANARY}"}}}}"#);
    let plain = format!(r#"{{"data":{{"p":"{CANARY}"}}}}"#);
    let list = format!(r#"{{"kind":"List","items":[{secret}]}}"#);
    let table = format!(r#"{{"kind":"Table","rows":[{{"object":{secret}}}]}}"#);
    let review = format!(r#"{{"kind":"TokenReview","spec":{{"token":"{CANARY}"}}}}"#);
    let cases = [
        (Method::POST, "/api/v1/namespaces/n/secrets", &secret, &secret),
        (Method::PATCH, "/api/v1/namespaces/n/secrets/s", &plain, &plain),
        (Method::GET, "/api/v1/secrets", &plain, &list),
        (Method::GET, "/api/v1/namespaces/n/secrets", &plain, &table),
        (Method::POST, "/api/v1/namespaces/n/configmaps", &secret, &secret),
        (Method::POST, "/api/v1/namespaces/n/configmaps", &list, &table),
        (Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", &review, &review),
        (Method::POST, "/api/v1/namespaces/n/serviceaccounts/s/token", &plain, &plain),
    ];
    for (method, path, request, response) in &cases {
        let info = info(method, path);
        let mut record = audit.begin("id", &info, None, Some(&bob()), &peer(), &HeaderMap::new());
        record.request_object(request.as_bytes(), BodyType::Json);
        record.finish(200, Some(response.as_bytes()));
        let record = audit.begin("id", &info, None, Some(&bob()), &peer(), &HeaderMap::new());
        if info.resource == "secrets" {
            record.fail(&Status::failure(Reason::Invalid, format!("data[p]: Invalid value: \"{CANARY}\"")));
        }
    }
    for query in ["token", "access_token", "client_secret", "PASSWORD", "pass%77ord"] {
        let query = format!("a=b&{query}={CANARY}&c=d");
        let info = info(&Method::GET, "/login");
        audit.begin("id", &info, Some(&query), None, &peer(), &HeaderMap::new()).finish(401, None);
    }
    audit.close();
    let text = std::fs::read_to_string(directory.path().join("audit.log")).unwrap();
    assert!(text.lines().count() > cases.len());
    assert!(!text.contains(CANARY), "{text}");
    assert!(text.contains("a=b&token=REDACTED&c=d"));
}

#[test]
fn a_redactor_sees_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let writer = AuditWriter::open(settings(directory.path()), clock()).unwrap();
    let redactor = Arc::new(|line: String| line.replace(CANARY, "***"));
    let audit = Audit::new(everything(), writer, clock(), Some(redactor));
    let info = info(&Method::POST, "/api/v1/namespaces/n/configmaps");
    let mut record = audit.begin("id", &info, None, Some(&bob()), &peer(), &HeaderMap::new());
    record.request_object(format!(r#"{{"data":{{"x":"{CANARY}"}}}}"#).as_bytes(), BodyType::Json);
    record.finish(201, None);
    audit.close();
    assert_eq!(lines(directory.path())[0]["requestObject"]["data"]["x"], "***");
}

#[test]
fn streams_have_a_beginning_and_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit(directory.path(), Policy::default());
    let info = info(&Method::GET, "/api/v1/events?watch=true");
    let mut record = audit.begin("w", &info, Some("watch=true"), Some(&bob()), &peer(), &HeaderMap::new());
    record.started(200);
    drop(record);
    drop(audit.begin("gone", &info, None, Some(&bob()), &peer(), &HeaderMap::new()));
    let record = audit.begin("panic", &info, None, Some(&bob()), &peer(), &HeaderMap::new());
    let panicked = std::thread::spawn(move || {
        let _held = record;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    audit.close();
    let shown: Vec<String> = lines(directory.path())
        .iter()
        .map(|line| {
            let (code, end) = (&line["responseStatus"]["code"], &line["annotations"]["ci.coopcloud.tech/end"]);
            format!("{} {} {code} {end}", line["auditID"], line["stage"])
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#""w" "ResponseStarted" 200 null"#,
            r#""w" "ResponseComplete" 200 "the stream ended""#,
            r#""gone" "ResponseComplete" null "the client went away before the answer""#,
            r#""panic" "Panic" null null"#,
        ]
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rule = |level, change: &dyn Fn(&mut AuditRule)| {
        let mut rule = AuditRule { level, ..AuditRule::default() };
        change(&mut rule);
        rule
    };
    let words = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let policy = Policy::new(vec![
        rule(AuditLevel::None, &|rule| rule.users = words(&["quiet"])),
        rule(AuditLevel::RequestResponse, &|rule| {
            rule.resources = words(&["roles"]);
            rule.api_groups = words(&["rbac.authorization.k8s.io"]);
        }),
        rule(AuditLevel::Request, &|rule| {
            rule.verbs = words(&["create"]);
            rule.namespaces = words(&["n"]);
        }),
        rule(AuditLevel::None, &|rule| rule.paths = words(&["/healthz*"])),
        rule(AuditLevel::Request, &|rule| rule.groups = words(&["devs"])),
    ]);
    let quiet = User::named("quiet", &[], Credential::None);
    let plain = User::named("plain", &[], Credential::None);
    let cases = [
        (Some(&quiet), Method::GET, "/api/v1/namespaces/n/secrets", AuditLevel::None),
        (
            Some(&plain),
            Method::GET,
            "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles",
            AuditLevel::RequestResponse,
        ),
        (Some(&plain), Method::GET, "/apis/other/v1/namespaces/n/roles", AuditLevel::Metadata),
        (Some(&plain), Method::POST, "/api/v1/namespaces/n/configmaps", AuditLevel::Request),
        (Some(&plain), Method::POST, "/api/v1/namespaces/m/configmaps", AuditLevel::Metadata),
        (Some(&plain), Method::GET, "/healthz/ping", AuditLevel::None),
        (Some(&plain), Method::GET, "/other", AuditLevel::Metadata),
        (Some(&bob()), Method::GET, "/other", AuditLevel::Request),
        (None, Method::GET, "/other", AuditLevel::Metadata),
    ];
    for (user, method, path, expected) in cases {
        assert_eq!(policy.level(user, &info(&method, path)), expected, "{user:?} {method} {path}");
    }
    let default = Policy::new(AuditConfig::default().rules);
    for (method, path, expected) in [
        (Method::GET, "/readyz", AuditLevel::None),
        (Method::GET, "/apis/x/v1", AuditLevel::None),
        (Method::POST, "/readyz", AuditLevel::Metadata),
        (Method::GET, "/api/v1/namespaces/n/secrets", AuditLevel::Metadata),
        (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", AuditLevel::None),
        (Method::DELETE, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", AuditLevel::Metadata),
    ] {
        assert_eq!(default.level(Some(&bob()), &info(&method, path)), expected, "{method} {path}");
    }
}

#[test]
fn a_full_file_is_put_aside_and_old_ones_go() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let small = WriterSettings { file_bytes_max: 4096, files_max: 2, ..settings(directory.path()) };
    let audit = Audit::new(Policy::default(), AuditWriter::open(small, clock()).unwrap(), clock(), None);
    let info = info(&Method::GET, "/api/v1/namespaces/n/configmaps");
    for number in 0..100 {
        audit.begin(&format!("id-{number}"), &info, None, Some(&bob()), &peer(), &HeaderMap::new()).finish(200, None);
    }
    audit.close();
    let older = older(directory.path());
    assert_eq!(older.len(), 2, "{older:?}");
    for path in &older {
        let metadata = std::fs::metadata(path).unwrap();
        assert!(metadata.len() <= 4096, "{}", metadata.len());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(lines(directory.path()).last().unwrap()["auditID"], "id-99");
    assert_eq!(audit.lost(), 0);
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let info = info(&Method::GET, "/x");
    for _ in 0..2 {
        let audit = audit(directory.path(), Policy::default());
        audit.begin("id", &info, None, None, &peer(), &HeaderMap::new()).finish(403, None);
        audit.close();
    }
    assert_eq!(lines(directory.path()).len(), 2);
}

#[test]
fn what_comes_after_the_end_is_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let audit = audit(directory.path(), Policy::default());
    audit.close();
    audit.begin("id", &info(&Method::GET, "/x"), None, None, &peer(), &HeaderMap::new()).finish(200, None);
    assert_eq!(audit.lost(), 1);
}

#[test]
fn a_stuck_disk_loses_lines_but_never_a_request() {
    // A pipe that nobody reads is a disk that never answers.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let tiny = WriterSettings { queue_max: 4, ..settings(directory.path()) };
    let audit = Audit::new(Policy::default(), AuditWriter::open(tiny, clock()).unwrap(), clock(), None);
    let info = info(&Method::GET, "/x");
    let total = 2000;
    for _ in 0..total {
        audit.begin("id", &info, None, Some(&bob()), &peer(), &HeaderMap::new()).finish(200, None);
    }
    assert!(audit.lost() > 0);
    let drain = std::thread::spawn(move || {
        let mut text = String::new();
        let mut buffered = std::io::BufReader::new(reader);
        while !text.contains("events-lost") {
            std::io::BufRead::read_line(&mut buffered, &mut text).unwrap();
        }
    });
    audit.begin("id", &info, None, Some(&bob()), &peer(), &HeaderMap::new()).finish(200, None);
    drain.join().unwrap();
}

#[test]
fn a_place_that_cannot_be_written_says_what_to_do() {
    let settings = WriterSettings { path: PathBuf::from("/proc/none/audit.log"), ..settings(Path::new("/")) };
    let Err(error) = AuditWriter::open(settings, clock()) else { panic!("opened") };
    assert!(error.to_string().contains("set audit.path"), "{error}");
    assert_eq!(json!(AuditLevel::RequestResponse), json!("RequestResponse"));
}
