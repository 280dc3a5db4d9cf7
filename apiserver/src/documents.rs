//! Paths that are no resource: health, version, metrics, discovery, OpenAPI.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, Method};
use serde_json::json;

use crate::admin::{BACKUP_CONTENT_TYPE, backup_body};
use crate::answer::{Answer, page_not_found, raw, text};
use crate::api::{Call, method_not_allowed};
use crate::discovery::documents::{Document, Documents};
use crate::metrics::TextForm;
use crate::negotiation::aggregated_discovery;
use crate::verbs::VerbResult;

const JSON: &str = "application/json";
/// The protobuf form of OpenAPI version 2. Clients ask for it with `.v2@` or `.v2.`; no media type may have an `@`, and
/// they do not read an answer that has one.
const OPENAPI_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const OPENAPI_PROTOBUF_BEGIN: &str = "application/com.github.proto-openapi.spec.v2";

/// What stands for any one part in the shape of a path.
const ANY: [&str; 2] = ["GROUP", "VERSION"];
/// What stands at its end for one part or more.
const REST: &str = "REST";

/// One shape of path and what answers there; nothing when the path leads nowhere after all.
struct Page {
    shape: &'static str,
    answer: fn(&Call, &[&str]) -> Option<Answer>,
}

/// Every path that is no resource and no doorbell. What does not stand here is not served.
const PAGES: [Page; 19] = [
    page("/", |call, _| Some(documents(call).paths.answer(call.headers(), JSON))),
    page("/healthz", health),
    page("/healthz/REST", health),
    page("/livez", health),
    page("/livez/REST", health),
    page("/readyz", health),
    page("/readyz/REST", health),
    page("/version", |_, _| Some(version())),
    page("/metrics", |call, _| Some(metrics(call))),
    page("/debug/state", |call, _| call.api.debug_state().map(|state| raw(200, JSON, Body::from(state.to_string())))),
    page("/admin/backup", |call, _| Some(backup(call))),
    page("/api", |call, _| Some(discovery(call, &documents(call).core, &api_versions(call)))),
    page("/apis", |call, _| {
        let documents = documents(call);
        Some(discovery(call, &documents.named, &documents.group_list))
    }),
    page("/api/VERSION", |call, parts| documents(call).resource_lists.get(parts[0]).map(plain)),
    page("/apis/GROUP", |call, parts| documents(call).groups.get(parts[0]).map(plain)),
    page("/apis/GROUP/VERSION", |call, parts| documents(call).resource_lists.get(&parts.join("/")).map(plain)),
    page("/openapi/v2", |call, _| Some(openapi_v2(call, &documents(call)))),
    page("/openapi/v3", |call, _| Some(plain(&documents(call).openapi_index))),
    page("/openapi/v3/REST", |call, parts| {
        let documents = documents(call);
        let document = documents.openapi.get(&parts.join("/"))?;
        Some(document.hashed_answer(call.headers(), call.query.text("hash"), JSON))
    }),
];

const fn page(shape: &'static str, answer: fn(&Call, &[&str]) -> Option<Answer>) -> Page {
    Page { shape, answer }
}

/// Returns the shapes of all paths that are answered here, with words in capitals for what may be anything.
pub fn shapes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.shape)
}

/// Answers with the document under a path.
pub(crate) fn answer(call: &Call) -> VerbResult {
    if !matches!(call.parts.method, Method::GET | Method::HEAD) {
        return Err(method_not_allowed());
    }
    let found = PAGES.iter().find_map(|page| Some((page, parts_of(page.shape, &call.info.path)?)));
    Ok(found.and_then(|(page, parts)| (page.answer)(call, &parts)).unwrap_or_else(page_not_found))
}

/// Returns the parts of a path that stand where its shape has words in capitals; nothing when it has another shape.
fn parts_of<'a>(shape: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    for wanted in shape.split('/').filter(|part| !part.is_empty()) {
        let part = parts.next()?;
        if wanted == REST {
            found.push(part);
            found.extend(parts.by_ref());
        } else if ANY.contains(&wanted) {
            found.push(part);
        } else if wanted != part {
            return None;
        }
    }
    parts.next().is_none().then_some(found)
}

fn documents(call: &Call) -> Arc<Documents> {
    call.api.documents.get(&call.registry)
}

fn health(call: &Call, _: &[&str]) -> Option<Answer> {
    let health = call.api.lifecycle.health.answer(&call.info.path, call.parts.uri.query())?;
    Some(text(health.code, health.body))
}

fn backup(call: &Call) -> Answer {
    raw(200, BACKUP_CONTENT_TYPE, backup_body(call.api.store.state(), call.api.store.keyring().clone()))
}

fn plain(document: &Document) -> Answer {
    raw(200, JSON, document.bytes.clone().into())
}

/// Discovery in the form that the client asked for; the content type repeats exactly what that was.
fn discovery(
    call: &Call,
    aggregated: &std::collections::BTreeMap<&'static str, Document>,
    legacy: &Document,
) -> Answer {
    let found = aggregated_discovery(call.headers())
        .and_then(|version| aggregated.get(version).map(|document| (version, document)));
    let Some((version, document)) = found else {
        let mut answer = plain(legacy);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        return answer;
    };
    let content_type = if version == "v2" {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    };
    let mut answer = document.answer(call.headers(), content_type);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    answer
}

fn api_versions(call: &Call) -> Document {
    let host = call.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| call.parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
    Document::new(&json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    }))
}

fn openapi_v2(call: &Call, documents: &Documents) -> Answer {
    let accept = call.headers().get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.trim_start().starts_with(OPENAPI_PROTOBUF_BEGIN) {
        return documents.openapi_v2_protobuf.answer(call.headers(), OPENAPI_PROTOBUF);
    }
    documents.openapi_v2.answer(call.headers(), JSON)
}

/// Prometheus asks for OpenMetrics; whoever does not (curl, older scrapers) gets the text format that everybody reads.
fn metrics(call: &Call) -> Answer {
    let accept = call.headers().get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (form, content_type) = if accept.contains("application/openmetrics-text") {
        (TextForm::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        (TextForm::Prometheus, "text/plain; version=0.0.4; charset=utf-8")
    };
    let mut answer = raw(200, content_type, call.api.access.metrics.render(form).into());
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// Clients parse `gitVersion` as a semantic version and compare it with their own: it names the Kubernetes release
/// whose API this is, and ours as build metadata.
fn version() -> Answer {
    let document = json!({
        "major": "1", "minor": "32", "gitVersion": concat!("v1.32.0+ccd.", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    });
    raw(200, JSON, Body::from(document.to_string()))
}

/// Go's names of processors, which clients expect.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
