//! Whole requests through the chain, without a network: what ends streams, what is refused, what is written down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_types::status::Status;
use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::Request;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::collector::{Collector, CollectorOptions};
use store::request::{Body as Document, Target, WriteOptions};
use store::store::{OpenOptions, Store};

use super::serve;
use crate::access::{Access, STREAM_RECHECK};
use crate::answer::Answer;
use crate::api::Api;
use crate::audit::policy::Policy;
use crate::audit::{Audit, AuditWriter, WriterSettings};
use crate::authentication::token_file::{self, NewToken};
use crate::authentication::tokens::TokenTable;
use crate::authentication::{Authenticator, Peer};
use crate::authorization::{Authorizer, follow};
use crate::clock::Clock;
use crate::config::{AuditLevel, AuditRule, LimitsConfig};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::pods::{ArtifactFile, ArtifactRequest, LogRequest, LogSource, LogStream};
use crate::serve::Lifecycle;

const RUN: &str = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/r";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Longer than any stream goes on without being asked about.
const LATER: Duration = Duration::from_secs(STREAM_RECHECK.as_secs() + 1);

/// How the logs and files of runs behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logs {
    /// A log of two lines.
    Short,
    /// A log in which nothing is written.
    Silent,
    /// A log that always has one more line.
    Endless,
    /// Whoever asks for a file waits for ever.
    Hang,
    /// Whoever asks for a file meets a bug.
    Panic,
}

impl LogSource for Logs {
    fn open(&self, _request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        let line = || Ok(Bytes::from_static(b"line\n"));
        let stream = match self {
            Self::Silent => futures::stream::pending().boxed(),
            Self::Endless => futures::stream::repeat_with(line).boxed(),
            _ => futures::stream::iter([line(), line()]).boxed(),
        };
        Box::pin(async { Ok(stream) })
    }

    fn artifact(&self, _request: ArtifactRequest) -> BoxFuture<'_, Result<ArtifactFile, Status>> {
        match self {
            Self::Panic => Box::pin(async { panic!("on purpose") }),
            _ => Box::pin(futures::future::pending()),
        }
    }
}

/// An API over a store with the run `r`; `bob` may do all that the cluster role `bob` says.
struct World {
    api: Arc<Api>,
    bob: String,
    admin: String,
    tokens: PathBuf,
    dir: tempfile::TempDir,
}

async fn world(logs: Logs, limits: LimitsConfig) -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(OpenOptions::new(dir.path().join("store"), crate::built_in::registry())).unwrap();
    crate::bootstrap::prepare(&store, &crate::built_in::own_definitions()).await.unwrap();
    let clock = Clock::fixed("2026-11-21T08:00:00Z".parse::<Timestamp>().unwrap());
    let tokens = dir.path().join("tokens.json");
    let token = |user: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let new = NewToken { name: user.to_owned(), user: user.to_owned(), groups, expires: None };
        token_file::create(&tokens, &new, clock.now()).unwrap()
    };
    let (admin, bob) = (token("admin", &["system:masters"]), token("bob", &[]));
    let settings =
        WriterSettings { path: dir.path().join("audit.log"), file_bytes_max: 1 << 20, files_max: 1, queue_max: 1024 };
    let everything = Policy::new(vec![AuditRule { level: AuditLevel::RequestResponse, ..AuditRule::default() }]);
    let access = Access {
        authenticator: Arc::new(Authenticator::new(TokenTable::open(tokens.clone()), clock.clone())),
        authorizer: Arc::new(Authorizer::new(&[])),
        limits: Limits::new(limits),
        audit: Audit::new(everything, AuditWriter::open(settings, clock.clone()).unwrap(), clock.clone(), None),
        metrics: Metrics::new(),
    };
    let api = Arc::new(Api::new(store, access, Lifecycle::default(), clock, Arc::new(logs)));
    let world = World { api, bob, admin, tokens, dir };
    let run = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": "r"},
        "spec": {"recipeRef": "some", "source": {"ref": "main"}},
    });
    world.create("testruns.ci.coopcloud.tech", "default", "r", run).await;
    world
}

impl World {
    async fn create(&self, resource: &str, namespace: &str, name: &str, object: Value) {
        let resource = self.api.store.registry().get(resource).unwrap().clone();
        let target = Target::new(&resource, namespace, name);
        self.api.store.create(&target, Document::from(object), &WriteOptions::by("test")).await.unwrap();
    }

    /// Lets bob do this, and nothing else.
    async fn let_bob(&self, verbs: &[&str], groups: &[&str], resources: &[&str]) {
        let meta = json!({"name": "bob"});
        let rbac = "rbac.authorization.k8s.io";
        let version = format!("{rbac}/v1");
        let role = json!({
            "apiVersion": version, "kind": "ClusterRole", "metadata": meta,
            "rules": [{"apiGroups": groups, "resources": resources, "verbs": verbs}],
        });
        let binding = json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "bob"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "bob"}],
        });
        self.create(&format!("clusterroles.{rbac}"), "", "bob", role).await;
        self.create(&format!("clusterrolebindings.{rbac}"), "", "bob", binding).await;
        follow::load(&self.api.access.authorizer, &self.api.store.state());
    }

    fn revoke_bob(&self) {
        token_file::revoke(&self.tokens, "bob").unwrap();
    }

    async fn send(&self, token: &str, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let peer = Peer { address: "192.0.2.7:999".parse().unwrap(), encrypted: true, certificate: None };
        let request =
            if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
        serve(self.api.clone(), request.extension(Arc::new(peer)).body(body.into()).unwrap()).await
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(token, Request::get(path), Body::empty()).await
    }

    /// Ends the audit log and returns it, an event a line: stage, code, note on the end.
    fn audited(&self) -> Vec<Value> {
        self.api.access.audit.close();
        let text = std::fs::read_to_string(self.dir.path().join("audit.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Reads a body to its end, which must come soon.
async fn text(answer: Answer) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    GoesOn,
    Ended,
}

/// Reads what is there without waiting.
fn ready(body: &mut Body) -> (Stream, String) {
    let mut text = String::new();
    // An endless stream is read in portions.
    for _ in 0..64 {
        match body.frame().now_or_never() {
            None => break,
            Some(None) => return (Stream::Ended, text),
            Some(Some(frame)) => text.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap())),
        }
    }
    (Stream::GoesOn, text)
}

#[tokio::test]
async fn a_followed_log_ends_with_the_right_to_read_it() {
    for logs in [Logs::Silent, Logs::Endless] {
        let world = world(logs, LimitsConfig::default()).await;
        world.let_bob(&["get"], &["ci.coopcloud.tech"], &["testruns/log"]).await;
        tokio::time::pause();
        let answer = world.get(&world.bob, &format!("{RUN}/log?follow=true")).await;
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        assert_eq!(ready(&mut body).0, Stream::GoesOn, "it has begun");
        tokio::time::advance(LATER).await;
        assert_eq!(ready(&mut body).0, Stream::GoesOn, "bob may still read it");
        world.revoke_bob();
        assert_eq!(ready(&mut body).0, Stream::GoesOn, "nobody has asked again");
        tokio::time::advance(LATER).await;
        let revoked = "the token of whoever reads was revoked";
        assert_eq!(ready(&mut body), (Stream::Ended, String::new()), "{logs:?}: {revoked}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_right_to_it_however_much_there_is_to_send() {
    let world = world(Logs::Short, LimitsConfig::default()).await;
    world.let_bob(&["watch"], &[""], &["configmaps"]).await;
    let answer = world.get(&world.bob, &format!("{CONFIG_MAPS}?watch=true")).await;
    let mut body = answer.into_body();
    let change = async |name: &str| {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        world.create("configmaps", "default", name, object).await;
    };
    change("before").await;
    assert!(ready(&mut body).1.contains("before"));
    world.revoke_bob();
    change("after").await;
    tokio::time::pause();
    tokio::time::advance(LATER).await;
    let waits = "something waits to be sent, and must not be";
    assert_eq!(ready(&mut body), (Stream::Ended, String::new()), "{waits}");
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_says_when_to_come_again() {
    let limits = LimitsConfig { rate_per_second: 1, rate_burst: 1, streams_per_user: 1, ..LimitsConfig::default() };
    let world = world(Logs::Silent, limits).await;
    world.let_bob(&["list"], &[""], &["configmaps"]).await;
    let mut answer = world.get(&world.bob, CONFIG_MAPS).await;
    assert_eq!(answer.status(), 200);
    for _ in 0..1000 {
        if answer.status() == 429 {
            break;
        }
        answer = world.get(&world.bob, CONFIG_MAPS).await;
    }
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    let status: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(status["message"], "too many requests, please try again later: the client sends requests too fast");

    let follow = format!("{RUN}/log?follow=true");
    let held = world.get(&world.admin, &follow).await;
    let second = world.get(&world.admin, &follow).await;
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    assert!(text(second).await.contains("the client has too many requests in work"));
    assert_eq!(world.get(&world.admin, CONFIG_MAPS).await.status(), 200, "streams alone are full");
    drop(held);
    assert_eq!(world.get(&world.admin, &follow).await.status(), 200);
}

#[tokio::test]
async fn what_hangs_is_given_up_and_a_bug_fails_alone() {
    let file = format!("{RUN}/artifacts/results.json");
    let cases = [
        (Logs::Hang, 504, "the request did not finish within its time limit"),
        (Logs::Panic, 500, "this request hit a bug in the server; its log tells more, please report it"),
    ];
    for (logs, code, message) in cases {
        let world = world(logs, LimitsConfig { reading_per_user: 1, ..LimitsConfig::default() }).await;
        tokio::time::pause();
        let answer = world.get(&world.admin, &file).await;
        tokio::time::resume();
        assert_eq!(answer.status().as_u16(), code);
        assert_eq!(answer.headers().get("retry-after").is_some(), code == 504, "{logs:?}");
        let status: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(status["message"], message);
        assert_eq!(world.get(&world.admin, CONFIG_MAPS).await.status(), 200, "its place is free again");
        assert_eq!(world.audited()[0]["responseStatus"]["code"], code);
    }
}

#[tokio::test]
async fn a_log_that_was_read_is_written_down_as_one() {
    let world = world(Logs::Short, LimitsConfig::default()).await;
    assert_eq!(text(world.get(&world.admin, &format!("{RUN}/log")).await).await, "line\nline\n");
    assert_eq!(world.get(&world.admin, &format!("{RUN}/log?container=none")).await.status(), 400);
    let ends = |event: &Value| {
        let (stage, code) = (&event["stage"], &event["responseStatus"]["code"]);
        format!("{stage} {code} {}", event["annotations"]["ci.coopcloud.tech/end"])
    };
    assert_eq!(
        world.audited().iter().map(ends).collect::<Vec<_>>(),
        [
            r#""ResponseStarted" 200 null"#,
            r#""ResponseComplete" 200 "the stream ended""#,
            r#""ResponseComplete" 400 null"#,
        ]
    );
}

/// Writes a protobuf field of bytes; every message of these tests is shorter than 128 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()][..], content].concat()
}

/// Writes an object of the core group as kubectl does: `data` is field 2 of ConfigMaps and of Secrets.
fn protobuf(kind: &str, name: &str, value: &str) -> Vec<u8> {
    let entry = [field(1, b"key"), field(2, value.as_bytes())].concat();
    let object = [field(1, &field(1, name.as_bytes())), field(2, &entry)].concat();
    let type_meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &type_meta), field(2, &object)].concat()
}

#[tokio::test]
async fn bodies_are_written_down_in_whatever_form_they_come_and_secrets_in_none() {
    const CANARY: &str = "hunter2-canary-5f3a";
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const APPLY: &str = "application/apply-patch+yaml";
    let secrets = CONFIG_MAPS.replace("configmaps", "secrets");
    let yaml = |kind: &str, name: &str, value: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n{value}").into_bytes()
    };
    let secret = format!("stringData:\n  key: {CANARY}\n");
    let world = world(Logs::Short, LimitsConfig::default()).await;
    let item = |plural: &str, name: &str| format!("{plural}/{name}?fieldManager=m");
    let cases = [
        ("POST", CONFIG_MAPS.to_owned(), PROTOBUF, protobuf("ConfigMap", "a", "1"), 201, "1"),
        ("POST", CONFIG_MAPS.to_owned(), "application/yaml", yaml("ConfigMap", "b", "data: {key: '2'}"), 201, "2"),
        ("PATCH", item(CONFIG_MAPS, "c"), APPLY, yaml("ConfigMap", "c", "data: {key: '3'}"), 201, "3"),
        ("POST", secrets.clone(), PROTOBUF, protobuf("Secret", "a", CANARY), 201, ""),
        ("POST", secrets.clone(), "application/yaml", yaml("Secret", "b", &secret), 201, ""),
        ("PATCH", item(&secrets, "c"), APPLY, yaml("Secret", "c", &secret), 201, ""),
        // A Secret that was sent to the wrong door.
        ("POST", CONFIG_MAPS.to_owned(), PROTOBUF, protobuf("Secret", "a", CANARY), 422, ""),
        ("POST", CONFIG_MAPS.to_owned(), "application/yaml", yaml("Secret", "b", &secret), 422, ""),
    ];
    for (method, path, content_type, body, code, _) in &cases {
        let request = Request::builder().method(*method).uri(path).header("content-type", *content_type);
        let request = request.header("accept", "application/yaml");
        let answer = world.send(&world.admin, request, body.clone()).await;
        let found = answer.status().as_u16();
        assert_eq!(found, *code, "{method} {path} {content_type}: {}", text(answer).await);
    }
    let events = world.audited();
    assert_eq!(events.len(), cases.len());
    for (event, (method, path, content_type, .., expected)) in events.iter().zip(&cases) {
        for (member, place) in [("requestObject", "what was sent"), ("responseObject", "what was answered")] {
            let found = event[member]["data"]["key"].as_str().unwrap_or_default();
            assert_eq!(found, *expected, "{place} to {method} {path} {content_type}");
        }
        assert!(!event.to_string().contains(CANARY), "{event}");
    }
}

#[tokio::test]
async fn made_up_tokens_spend_the_share_of_strangers() {
    let limits = LimitsConfig { anonymous_rate_per_second: 2, ..LimitsConfig::default() };
    let world = world(Logs::Short, limits).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&429) {
        let token = format!("ccd_{:012x}_guess", seen.len());
        let answer = world.get(&token, CONFIG_MAPS).await;
        seen.push(answer.status().as_u16());
        if seen.len() > 1000 {
            panic!("nothing stops guessing");
        }
    }
    assert!(seen.len() > 2 && seen[..seen.len() - 1].iter().all(|code| *code == 401), "{seen:?}");
    assert_eq!(world.get(&world.admin, CONFIG_MAPS).await.status(), 200, "whoever has a token is not slowed down");
}

#[tokio::test]
async fn a_watch_ends_with_its_kind() {
    let world = world(Logs::Short, LimitsConfig::default()).await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tools.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "tools", "kind": "Tool"}, "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        }]},
    });
    world.create("customresourcedefinitions.apiextensions.k8s.io", "", "", definition).await;
    let tool = json!({"apiVersion": "example.com/v1", "kind": "Tool", "metadata": {"name": "one"}});
    world.create("tools.example.com", "default", "one", tool).await;
    let watch = world.get(&world.admin, "/apis/example.com/v1/tools?watch=true").await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tools.example.com";
    assert_eq!(world.send(&world.admin, Request::delete(path), Body::empty()).await.status(), 200);
    let mut collector = Collector::new(world.api.store.clone(), CollectorOptions::default());
    for _ in 0..3 {
        collector.collect().await;
    }
    let events = text(watch).await;
    let kinds: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kinds.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["ADDED", "DELETED"], "{events}");
}

#[tokio::test]
async fn an_apply_that_creates_needs_both_rights() {
    let world = world(Logs::Short, LimitsConfig::default()).await;
    world.let_bob(&["patch"], &["", "rbac.authorization.k8s.io"], &["configmaps", "roles"]).await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let cases = [
        (CONFIG_MAPS, "v1", "ConfigMap", "configmaps \"a\" is forbidden: User \"bob\" cannot create"),
        (
            roles,
            "rbac.authorization.k8s.io/v1",
            "Role",
            "roles.rbac.authorization.k8s.io \"a\" is forbidden: User \"bob\" cannot create",
        ),
    ];
    for (collection, version, kind, refusal) in cases {
        let apply = async |token: &str, query: &str| {
            let path = format!("{collection}/a?fieldManager=m&force=true{query}");
            let request = Request::patch(path).header("content-type", "application/apply-patch+yaml");
            let body = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}).to_string();
            let answer = world.send(token, request, body).await;
            (answer.status().as_u16(), text(answer).await)
        };
        for query in ["", "&dryRun=All"] {
            let (code, answer) = apply(&world.bob, query).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let message = answer["message"].as_str().unwrap();
            assert!(code == 403 && message.starts_with(refusal), "{kind}: {code} {message}");
        }
        assert_eq!(apply(&world.admin, "").await.0, 201);
        assert_eq!(apply(&world.bob, "").await.0, 200, "what is there may be patched");
    }
}
