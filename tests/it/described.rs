//! OpenAPI tells all that discovery offers: each kind with its fields, each verb, and no more; in both versions alike.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use tests::server::{ServerOptions, TestServer};

const SCHEMAS: &str = "#/components/schemas/";
const TOKENS: &str = "/apis/authentication.ci.coopcloud.tech/v1alpha1/tokens";

struct World {
    server: TestServer,
    http: reqwest::Client,
    /// OpenAPI version 3 by the path behind `/openapi/v3/`.
    documents: BTreeMap<String, Value>,
}

impl World {
    async fn start() -> Self {
        let server = TestServer::start(ServerOptions::default()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut world = Self { server, http, documents: BTreeMap::new() };
        let index = world.get("/openapi/v3").await;
        for name in index["paths"].as_object().unwrap().keys() {
            let document = world.get(&format!("/openapi/v3/{name}")).await;
            world.documents.insert(name.clone(), document);
        }
        world
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, &Value::Null).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        let mut request = self.http.request(method, self.server.url(path)).bearer_auth(&self.server.admin);
        request = request.header("accept", "application/json");
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let code = answer.status();
        let text = answer.text().await.unwrap();
        assert!(code.is_success(), "{path}: {code}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Creates the run `r`, which failed, and the service account `robot`.
    async fn create_run_and_account(&self) {
        let run = json!({
            "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": "r"},
            "spec": {"recipeRef": "some", "source": {"ref": "main"}},
        });
        let runs = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns";
        let mut created = self.send(Method::POST, runs, &run).await;
        let (began, ended) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
        created["status"] = json!({
            "phase": "Failed", "startedAt": began, "finishedAt": ended,
            "rungs": [{"name": "install", "status": "Pass", "startedAt": began, "finishedAt": ended}, {"name": "upgrade", "status": "Unverified"}],
            "conditions": [{
                "type": "Succeeded", "status": "False", "observedGeneration": 1, "lastTransitionTime": ended,
                "reason": "Broken", "message": "It broke.",
            }],
        });
        self.send(Method::PUT, &format!("{runs}/r/status"), &created).await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
        self.send(Method::POST, "/api/v1/namespaces/default/serviceaccounts", &account).await;
    }

    /// Returns the schema of what an operation is about.
    fn schema<'a>(document: &'a Value, subject: &Value) -> Option<&'a Value> {
        let schemas = document["components"]["schemas"].as_object().unwrap();
        schemas.values().find(|schema| schema["x-kubernetes-group-version-kind"] == json!([subject]))
    }
}

/// Returns the names of members that say nothing about themselves.
fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if member["description"].as_str().is_none_or(str::is_empty) {
            found.push(path.clone());
        }
        undescribed(member, &path, found);
    }
    for below in ["items", "additionalProperties"].into_iter().filter_map(|name| schema.get(name)) {
        undescribed(below, &format!("{path}[]"), found);
    }
}

/// Returns what an answer has that its schema does not have, or has otherwise.
fn untold(document: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(name) = reference.and_then(|reference| reference.strip_prefix(SCHEMAS)) {
        return untold(document, &document["components"]["schemas"][name], value, path, found);
    }
    let type_ = match value {
        Value::Null => return,
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"] != type_ {
        found.push(format!("{path} is {type_}, and told to be {}", schema["type"]));
    }
    for item in value.as_array().into_iter().flatten() {
        untold(document, &schema["items"], item, &format!("{path}[]"), found);
    }
    // A schema that names no members takes any: so do managed fields.
    let takes_any = schema["properties"].is_null() && schema["additionalProperties"].is_null();
    for (name, member) in value.as_object().filter(|_| !takes_any).into_iter().flatten() {
        let below = [&schema["properties"][name], &schema["additionalProperties"]];
        let path = format!("{path}.{name}");
        match below.into_iter().find(|schema| schema.is_object()) {
            Some(schema) => untold(document, schema, member, &path, found),
            None => found.push(path),
        }
    }
}

/// Returns the verbs that the operations of a path stand for.
fn verbs(item: &Value, is_collection: bool) -> BTreeSet<&'static str> {
    let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.as_str());
    let verb = |method: &str| match (method, is_collection) {
        ("get", true) => Some("list"),
        ("get", false) => Some("get"),
        ("post", _) => Some("create"),
        ("put", _) => Some("update"),
        ("patch", _) => Some("patch"),
        ("delete", true) => Some("deletecollection"),
        ("delete", false) => Some("delete"),
        _ => None,
    };
    methods.filter_map(verb).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_discovery_offers_is_described_and_nothing_else() {
    let world = World::start().await;
    let mut wrong = Vec::new();
    let (mut resources, mut paths) = (0, 0);
    for (name, document) in &world.documents {
        let mut expected = BTreeSet::new();
        let list = world.get(&format!("/{name}")).await;
        let (group, version) = match list["groupVersion"].as_str().unwrap().split_once('/') {
            Some(pair) => pair,
            None => ("", list["groupVersion"].as_str().unwrap()),
        };
        for resource in list["resources"].as_array().unwrap() {
            resources += 1;
            let (plural, subresource) = match resource["name"].as_str().unwrap().split_once('/') {
                Some((plural, subresource)) => (plural, Some(subresource)),
                None => (resource["name"].as_str().unwrap(), None),
            };
            let scope = if resource["namespaced"] == true { "/namespaces/{namespace}" } else { "" };
            let collection = format!("/{name}{scope}/{plural}");
            let mut places = vec![(format!("{collection}/{{name}}"), false)];
            if let Some(subresource) = subresource {
                places[0].0 += &format!("/{subresource}");
            } else {
                places.push((collection, true));
            }
            let found: BTreeSet<_> = places
                .iter()
                .flat_map(|(path, is_collection)| verbs(&document["paths"][path], *is_collection))
                .collect();
            let offered = resource["verbs"].as_array().unwrap().iter().filter_map(Value::as_str);
            let offered: BTreeSet<_> = offered.filter(|verb| *verb != "watch").collect();
            if found != offered {
                wrong.push(format!("{name} {}: {offered:?} are offered, {found:?} described", resource["name"]));
            }
            let own = |member: &str, default: &str| json!(resource[member].as_str().unwrap_or(default));
            let subject =
                json!({"group": own("group", group), "version": own("version", version), "kind": resource["kind"]});
            match World::schema(document, &subject) {
                Some(schema) if schema["description"].as_str().is_some_and(|text| !text.is_empty()) => {
                    undescribed(schema, resource["kind"].as_str().unwrap(), &mut wrong);
                }
                _ => wrong.push(format!("{name} {}: {subject} has no schema with a description", resource["name"])),
            }
            for (path, _) in &places {
                let operations = document["paths"][path].as_object().into_iter().flatten();
                for (method, operation) in operations.filter(|(method, _)| *method != "parameters") {
                    let about = &operation["x-kubernetes-group-version-kind"];
                    if *about != subject {
                        wrong.push(format!("{method} {path} is about {about}, not {subject}"));
                    }
                }
            }
            expected.extend(places.into_iter().map(|(path, _)| path).filter(|path| !document["paths"][path].is_null()));
            if !scope.is_empty() && subresource.is_none() && offered.contains("list") {
                expected.insert(format!("/{name}/{plural}"));
            }
        }
        let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        paths += described.len();
        let more: Vec<_> = described.difference(&expected).collect();
        if !more.is_empty() {
            wrong.push(format!("{name}: nothing is offered at {more:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(resources > 40 && paths > 80, "the walk finds only {resources} resources and {paths} paths");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_tells_the_same_fields_as_version_3() {
    let world = World::start().await;
    let mut expected = serde_json::Map::new();
    for document in world.documents.values() {
        expected.extend(document["components"]["schemas"].as_object().unwrap().clone());
    }
    let old = world.get("/openapi/v2").await;
    let text = Value::Object(expected).to_string().replace(SCHEMAS, "#/definitions/");
    let expected: Value = serde_json::from_str(&text).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&old["definitions"]), names(&expected));
    assert_eq!(old["definitions"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_are_described_in_the_formats_that_the_kind_takes() {
    let world = World::start().await;
    let every = ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    let strategic = "application/strategic-merge-patch+json";
    for (name, path, is_built_in) in [
        ("api/v1", "/configmaps/{name}", true),
        ("apis/events.k8s.io/v1", "/events/{name}", true),
        ("apis/ci.coopcloud.tech/v1alpha1", "/testruns/{name}", false),
        ("apis/ci.coopcloud.tech/v1alpha1", "/testruns/{name}/status", false),
    ] {
        let patch = &world.documents[name]["paths"][format!("/{name}/namespaces/{{namespace}}{path}")]["patch"];
        let types: Vec<&str> =
            patch["requestBody"]["content"].as_object().unwrap().keys().map(String::as_str).collect();
        let expected: Vec<&str> = every.into_iter().chain(is_built_in.then_some(strategic)).collect();
        assert_eq!(types, expected, "{name} {path}");
    }
}

/// What is not stored is not checked against its schema either, so that here the schemas are held against the answers.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_they_are_described() {
    let world = World::start().await;
    let in_default = "/namespaces/default";
    let accounts = format!("/api/v1{in_default}/serviceaccounts");
    world.create_run_and_account().await;
    let authentication = "/apis/authentication.k8s.io";
    let authorization = "/apis/authorization.k8s.io/v1";
    let attributes = json!({
        "namespace": "default", "verb": "get", "group": "", "version": "v1", "resource": "pods", "subresource": "log",
        "name": "r", "fieldSelector": {"rawSelector": "metadata.name=r"},
        "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]},
    });
    let about = json!({
        "resourceAttributes": attributes, "user": "jane", "uid": "1", "groups": ["system:masters"], "extra": {"a": ["b"]},
    });
    let path = json!({"nonResourceAttributes": {"path": "/apis", "verb": "get"}});
    let bob = &world.server.bob;
    let cases = [
        (Method::GET, format!("/api/v1{in_default}/pods/r"), Value::Null),
        (Method::GET, format!("/api/v1{in_default}/pods"), Value::Null),
        (Method::POST, format!("{accounts}/robot/token"), json!({"spec": {"expirationSeconds": 900}})),
        (
            Method::POST,
            format!("{authentication}/v1/tokenreviews"),
            json!({"spec": {"token": bob, "audiences": ["a"]}}),
        ),
        (Method::POST, format!("{authentication}/v1/tokenreviews"), json!({"spec": {"token": "zork"}})),
        (Method::POST, format!("{authentication}/v1/selfsubjectreviews"), json!({})),
        (Method::POST, format!("{authentication}/v1beta1/selfsubjectreviews"), json!({})),
        (Method::POST, format!("{authorization}/subjectaccessreviews"), json!({"spec": about})),
        (Method::POST, format!("{authorization}{in_default}/localsubjectaccessreviews"), json!({"spec": about})),
        (Method::POST, format!("{authorization}/selfsubjectaccessreviews"), json!({"spec": path})),
        (
            Method::POST,
            format!("{authorization}/selfsubjectaccessreviews"),
            json!({"spec": {"resourceAttributes": attributes}}),
        ),
        (Method::POST, format!("{authorization}/selfsubjectrulesreviews"), json!({"spec": {"namespace": "default"}})),
        (
            Method::POST,
            TOKENS.to_owned(),
            json!({
                "metadata": {"name": "t"},
                "spec": {"user": "jane", "groups": ["devs"], "expiresAt": "2999-01-01T00:00:00Z"},
            }),
        ),
        (Method::GET, format!("{TOKENS}/t"), Value::Null),
        (Method::GET, TOKENS.to_owned(), Value::Null),
    ];
    let mut wrong = Vec::new();
    for (method, path, body) in cases {
        let answer = world.send(method, &path, &body).await;
        let (group, version) = match answer["apiVersion"].as_str().unwrap().split_once('/') {
            Some(pair) => pair,
            None => ("", answer["apiVersion"].as_str().unwrap()),
        };
        let subject = json!({"group": group, "version": version, "kind": answer["kind"]});
        let name =
            path[1..].split('/').take(if path.starts_with("/apis/") { 3 } else { 2 }).collect::<Vec<_>>().join("/");
        let document = &world.documents[&name];
        match World::schema(document, &subject) {
            Some(schema) => untold(document, schema, &answer, &format!("{path}: "), &mut wrong),
            None => wrong.push(format!("{path}: {subject} has no schema")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
