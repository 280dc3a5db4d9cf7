//! A small server that speaks enough of the wire to show how ccctl behaves, above all when things go wrong. Its
//! answers have the shapes that were recorded from a real API server; the whole truth is tested against `ccd` itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};

/// Time of every object's creation.
const CREATED: &str = "2026-01-02T03:04:05Z";

/// What goes wrong with the next request that matches.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers with a status code and a body.
    Answer(u16, &'static str),
    /// Answers a watch with these lines and ends it.
    Lines(Vec<String>),
    /// Never answers.
    Silence,
}

#[derive(Default)]
struct World {
    revision: u64,
    objects: BTreeMap<(String, String, String), Value>,
    history: Vec<(u64, String, &'static str, Value)>,
    /// Faults by what the path and query contain; the first match is used up.
    faults: Vec<(String, Fault)>,
    requests: Vec<String>,
}

struct Shared {
    world: Mutex<World>,
    changed: tokio::sync::watch::Sender<u64>,
}

/// A running server; it ends with the test.
pub(crate) struct Server {
    pub(crate) address: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

/// Kind, plural, short name, group, whether namespaced.
const TYPES: [(&str, &str, &str, &str, bool); 9] = [
    ("Namespace", "namespaces", "ns", "", false),
    ("Secret", "secrets", "", "", true),
    ("ConfigMap", "configmaps", "cm", "", true),
    ("Event", "events", "ev", "", true),
    ("Recipe", "recipes", "rcp", "ci.coopcloud.tech", true),
    ("TestRun", "testruns", "tr", "ci.coopcloud.tech", true),
    ("App", "apps", "", "ci.coopcloud.tech", true),
    ("Approval", "approvals", "", "ci.coopcloud.tech", true),
    ("Host", "hosts", "", "ci.coopcloud.tech", false),
];

impl Server {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared { world: Mutex::default(), changed: tokio::sync::watch::Sender::new(0) });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        let server = Self { address, shared, _runtime: runtime };
        server.put("namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}, "status": {"phase": "Active"}}));
        server
    }

    /// Stores an object as it is.
    pub(crate) fn put(&self, plural: &str, object: Value) {
        let mut world = self.shared.world.lock().unwrap();
        world.write(plural, object);
        self.shared.changed.send_replace(world.revision);
    }

    /// Makes the next request whose path and query contain `matching` go wrong.
    pub(crate) fn fail(&self, matching: &str, fault: Fault) {
        self.shared.world.lock().unwrap().faults.push((matching.to_owned(), fault));
    }

    /// Returns every request so far: method, path and query.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.world.lock().unwrap().requests.clone()
    }

    /// Waits until a request that contains `text` has come.
    pub(crate) fn wait_for_request(&self, text: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !self.requests().iter().any(|request| request.contains(text)) {
            assert!(std::time::Instant::now() < deadline, "no request with {text:?} came: {:#?}", self.requests());
            std::thread::yield_now();
        }
    }
}

impl World {
    fn write(&mut self, plural: &str, mut object: Value) -> Value {
        self.revision += 1;
        let namespaced = TYPES.iter().any(|(_, known, _, _, namespaced)| *known == plural && *namespaced);
        let metadata = &mut object["metadata"];
        if namespaced && metadata["namespace"].is_null() {
            metadata["namespace"] = json!("default");
        }
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.revision));
            metadata["creationTimestamp"] = json!(CREATED);
            metadata["generation"] = json!(1);
        }
        metadata["resourceVersion"] = json!(self.revision.to_string());
        let key = key(plural, &object);
        let change = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.objects.insert(key, object.clone());
        self.history.push((self.revision, plural.to_owned(), change, object.clone()));
        object
    }

    fn remove(&mut self, key: &(String, String, String)) {
        self.revision += 1;
        let mut object = self.objects.remove(key).unwrap();
        object["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        self.history.push((self.revision, key.0.clone(), "DELETED", object));
    }

    fn take_fault(&mut self, target: &str) -> Option<Fault> {
        let index = self.faults.iter().position(|(matching, _)| target.contains(matching.as_str()))?;
        Some(self.faults.remove(index).1)
    }
}

fn key(plural: &str, object: &Value) -> (String, String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (plural.to_owned(), text("namespace"), text("name"))
}

/// A path taken apart.
struct Target {
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

fn target(path: &str) -> Option<Target> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let rest = match segments.as_slice() {
        ["api", "v1", rest @ ..] => rest,
        ["apis", _, _, rest @ ..] => rest,
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        other => (None, other.to_vec()),
    };
    let word = |index: usize| rest.get(index).map(|word| (*word).to_owned());
    TYPES.iter().any(|(_, plural, ..)| Some(*plural) == rest.first().copied()).then_some(())?;
    Some(Target { plural: word(0)?, namespace, name: word(1), subresource: word(2) })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path_and_query = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let fault = {
        let mut world = shared.world.lock().unwrap();
        world.requests.push(format!("{} {path_and_query}", parts.method));
        world.take_fault(&path_and_query)
    };
    match fault {
        Some(Fault::Answer(code, body)) => return raw(code, body),
        Some(Fault::Lines(lines)) => return raw(200, &lines.join("\n")),
        Some(Fault::Silence) => std::future::pending::<()>().await,
        None => {}
    }
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), percent_decoded(value)))
        })
        .collect();
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    match parts.uri.path() {
        "/version" => return json_answer(200, &json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0+test"})),
        "/readyz" => return raw(200, "ok"),
        "/api" => return discovery("", &parts.headers),
        "/apis" => return discovery("ci.coopcloud.tech", &parts.headers),
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            return json_answer(
                201,
                &json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "status": {"userInfo": {"username": "bob", "groups": ["devs", "system:authenticated"]}}}),
            );
        }
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            let review: Value = serde_json::from_slice(&body).unwrap();
            let allowed = review["spec"]["resourceAttributes"]["verb"] != "delete";
            return json_answer(201, &json!({"status": {"allowed": allowed}}));
        }
        _ => {}
    }
    let Some(target) = target(parts.uri.path()) else { return raw(404, "404 page not found") };
    if target.subresource.as_deref() == Some("log") {
        return raw(200, "line one\nline two\n");
    }
    if target.subresource.as_deref() == Some("plan") {
        let question: Value = serde_json::from_slice(&body).unwrap();
        return json_answer(201, &planned(&target, &question));
    }
    if query.get("watch").is_some_and(|watch| watch == "true") {
        return watch(shared, target, &query, accept.contains("as=Table"));
    }
    let mut world = shared.world.lock().unwrap();
    let answer = verb(&mut world, &parts.method, &target, &query, &body, accept.contains("as=Table"));
    shared.changed.send_replace(world.revision);
    answer
}

/// A plan that shows what the server was told.
fn planned(target: &Target, question: &Value) -> Value {
    let name = target.name.clone().unwrap_or_default();
    let told: Vec<Value> = question["spec"]["objects"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| {
            json!(format!(
                "{}/{} {}",
                object["kind"].as_str().unwrap(),
                object["metadata"]["name"].as_str().unwrap(),
                object["data"]
            ))
        })
        .collect();
    let status = match name.as_str() {
        "idle" => json!({"commit": "0123456789", "host": "one", "deployer": "Swarm", "calls": []}),
        "stuck" => json!({"calls": [], "reason": "NoHost", "message": "There is no Host."}),
        _ => json!({"commit": "0123456789", "version": "1.0.0+1", "host": "one", "deployer": "Swarm", "calls": [
            {"verb": "create", "kind": "secret", "name": "cloud_pass_v1"},
            {"verb": "update", "kind": "service", "name": "cloud_app", "changes": told},
        ]}),
    };
    json!({"kind": "AppPlan", "apiVersion": "ci.coopcloud.tech/v1alpha1", "status": status})
}

fn verb(
    world: &mut World,
    method: &Method,
    target: &Target,
    query: &BTreeMap<String, String>,
    body: &Bytes,
    table: bool,
) -> Response {
    let dry = query.contains_key("dryRun") || String::from_utf8_lossy(body).contains("\"dryRun\":[\"All\"]");
    let Some(name) = &target.name else {
        if method == Method::POST {
            let mut object: Value = serde_json::from_slice(body).unwrap();
            if object["metadata"]["name"].is_null() {
                object["metadata"]["name"] =
                    json!(format!("{}bcdfg", object["metadata"]["generateName"].as_str().unwrap_or_default()));
            }
            object["metadata"]["namespace"] = json!(target.namespace);
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if world.objects.contains_key(&key(&target.plural, &object)) {
                return status(
                    409,
                    "AlreadyExists",
                    &format!("{} \"{name}\" already exists", qualified(&target.plural)),
                    target,
                    &name,
                );
            }
            return json_answer(201, &if dry { object } else { world.write(&target.plural, object) });
        }
        let found: Vec<Value> = world
            .objects
            .iter()
            .filter(|(key, object)| belongs(target, query, key, object))
            .map(|(_, object)| object.clone())
            .collect();
        return json_answer(200, &list(world.revision, target, found, table));
    };
    let id = (target.plural.clone(), target.namespace.clone().unwrap_or_default(), name.clone());
    let existing = world.objects.get(&id).cloned();
    let apply = query.contains_key("force");
    let Some(mut object) = existing.clone().or_else(|| apply.then(|| json!({"metadata": {}}))) else {
        return status(404, "NotFound", &format!("{} \"{name}\" not found", qualified(&target.plural)), target, name);
    };
    if method == Method::DELETE {
        if !dry {
            world.remove(&id);
        }
        return json_answer(
            200,
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"name": name, "uid": object["metadata"]["uid"]}}),
        );
    }
    if method == Method::PATCH {
        let patch: Value = serde_json::from_slice(body).unwrap();
        if apply {
            // What the same manager applied before and does not any more goes; of labels that is enough here.
            let manager = json!([{"manager": query.get("fieldManager"), "operation": "Apply"}]);
            if object["metadata"]["managedFields"] == manager && object["metadata"]["labels"].is_object() {
                object["metadata"]["labels"] = json!({});
            }
            object["metadata"]["managedFields"] = manager;
        }
        merge(&mut object, &patch);
        if existing.as_ref() == Some(&object) || dry {
            return json_answer(200, &object);
        }
        return json_answer(if existing.is_some() { 200 } else { 201 }, &world.write(&target.plural, object));
    }
    if table {
        return json_answer(200, &list(world.revision, target, vec![object], true));
    }
    json_answer(200, &object)
}

fn belongs(target: &Target, query: &BTreeMap<String, String>, key: &(String, String, String), object: &Value) -> bool {
    let name = query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
    let label = query.get("labelSelector").and_then(|selector| selector.split_once('='));
    key.0 == target.plural
        && target.namespace.as_ref().is_none_or(|namespace| *namespace == key.1)
        && name.is_none_or(|name| name == key.2)
        && label.is_none_or(|(label, value)| object["metadata"]["labels"][label] == value)
        && (target.plural != "events"
            || query.get("fieldSelector").is_none_or(|selector| {
                selector.split(',').all(|part| {
                    let (field, value) = part.split_once('=').unwrap();
                    let field = field.strip_prefix("involvedObject.").unwrap();
                    object["involvedObject"][field].is_null() || object["involvedObject"][field] == value
                })
            }))
}

fn list(revision: u64, target: &Target, items: Vec<Value>, table: bool) -> Value {
    let metadata = json!({"resourceVersion": revision.to_string()});
    if !table {
        return json!({"apiVersion": "v1", "kind": format!("{}List", kind(&target.plural)), "metadata": metadata, "items": items});
    }
    let rows: Vec<Value> = items.into_iter().map(row).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns(), "rows": rows})
}

fn columns() -> Value {
    json!([
        {"name": "Name", "type": "string", "format": "name", "priority": 0},
        {"name": "Phase", "type": "string", "format": "", "priority": 0},
        {"name": "Message", "type": "string", "format": "", "priority": 1},
        {"name": "Age", "type": "date", "format": "", "priority": 0},
    ])
}

fn row(object: Value) -> Value {
    json!({"cells": [object["metadata"]["name"], object["status"]["phase"], object["status"]["message"], "5m"], "object": object})
}

fn watch(shared: Arc<Shared>, target: Target, query: &BTreeMap<String, String>, table: bool) -> Response {
    let since: u64 = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let query = query.clone();
    let receiver = shared.changed.subscribe();
    let state = (shared, target, receiver, since, true);
    let lines = futures::stream::unfold(state, move |(shared, target, mut receiver, since, first)| {
        let query = query.clone();
        async move {
            let mut first = first;
            loop {
                let (revision, text) = {
                    let world = shared.world.lock().unwrap();
                    let news = world.history.iter().filter(|(revision, plural, _, object)| {
                        *revision > since
                            && *plural == target.plural
                            && belongs(&target, &query, &key(plural, object), object)
                    });
                    let text: String = news.map(|(_, _, change, object)| event(change, object, table)).collect();
                    (world.revision, text)
                };
                // The head of the answer must reach the client before the first event.
                if !text.is_empty() || std::mem::take(&mut first) {
                    return Some((
                        Ok::<_, std::io::Error>(Bytes::from(text)),
                        (shared, target, receiver, revision, false),
                    ));
                }
                receiver.changed().await.ok()?;
            }
        }
    });
    Response::new(Body::from_stream(
        lines.filter(|line| futures::future::ready(line.as_ref().is_ok_and(|line| !line.is_empty()))),
    ))
}

fn event(change: &str, object: &Value, table: bool) -> String {
    let object = if table {
        json!({"kind": "Table", "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]}, "columnDefinitions": null, "rows": [row(object.clone())]})
    } else {
        object.clone()
    };
    format!("{}\n", json!({"type": change, "object": object}))
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut object[name.as_str()], value);
        }
    }
}

fn discovery(group: &str, headers: &axum::http::HeaderMap) -> Response {
    let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let resources: Vec<Value> = TYPES
        .iter()
        .filter(|(_, _, _, of, _)| *of == group)
        .map(|(kind, plural, short, group, namespaced)| {
            let version = if group.is_empty() { "v1" } else { "v1alpha1" };
            let mut subresources = vec![json!({"subresource": "status", "verbs": ["get", "patch", "update"]})];
            if *plural == "testruns" {
                subresources.push(json!({"subresource": "log", "verbs": ["get"]}));
            }
            json!({
                "resource": plural,
                "responseKind": {"group": group, "version": version, "kind": kind},
                "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": kind.to_lowercase(),
                "verbs": verbs,
                "shortNames": if short.is_empty() { json!([]) } else { json!([short]) },
                "categories": if group.is_empty() { json!([]) } else { json!(["all", "ci"]) },
                "subresources": subresources,
            })
        })
        .collect();
    let etag = format!("\"{}-1\"", group.len());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == *etag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let version = if group.is_empty() { "v1" } else { "v1alpha1" };
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "items": [{"metadata": metadata, "versions": [{"version": version, "freshness": "Current", "resources": resources}]}],
    });
    ([(header::ETAG, etag)], axum::Json(document)).into_response()
}

fn kind(plural: &str) -> &'static str {
    TYPES.iter().find(|(_, known, ..)| *known == plural).map_or("Thing", |(kind, ..)| kind)
}

fn qualified(plural: &str) -> String {
    match TYPES.iter().find(|(_, known, ..)| *known == plural) {
        Some((_, _, _, group, _)) if !group.is_empty() => format!("{plural}.{group}"),
        _ => plural.to_owned(),
    }
}

fn status(code: u16, reason: &str, message: &str, target: &Target, name: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "details": {"name": name, "group": "ci.coopcloud.tech", "kind": target.plural}, "code": code,
    });
    json_answer(code, &body)
}

fn json_answer(code: u16, body: &Value) -> Response {
    (StatusCode::from_u16(code).unwrap(), axum::Json(body.clone())).into_response()
}

fn raw(code: u16, body: &str) -> Response {
    (StatusCode::from_u16(code).unwrap(), body.to_owned()).into_response()
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}
