//! Paths that are no resource: health, version, metrics, discovery, OpenAPI.

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

/// Answers with the document under a path.
pub(crate) fn answer(call: &Call) -> VerbResult {
    if !matches!(call.parts.method, Method::GET | Method::HEAD) {
        return Err(method_not_allowed());
    }
    let path = call.info.path.as_str();
    if let Some(health) = call.api.lifecycle.health.answer(path, call.parts.uri.query()) {
        return Ok(text(health.code, health.body));
    }
    let documents = call.api.documents.get(&call.registry);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let found = match segments.as_slice() {
        [] => Some(documents.paths.answer(call.headers(), JSON)),
        ["version"] => Some(version()),
        ["metrics"] => Some(metrics(call)),
        ["debug", "state"] => call.api.debug_state().map(|state| raw(200, JSON, Body::from(state.to_string()))),
        ["admin", "backup"] => {
            Some(raw(200, BACKUP_CONTENT_TYPE, backup_body(call.api.store.state(), call.api.store.keyring().clone())))
        }
        ["api"] => Some(discovery(call, &documents.core, &api_versions(call))),
        ["apis"] => Some(discovery(call, &documents.named, &documents.group_list)),
        ["apis", group] => documents.groups.get(*group).map(plain),
        ["api", version] => documents.resource_lists.get(*version).map(plain),
        ["apis", group, version] => documents.resource_lists.get(&format!("{group}/{version}")).map(plain),
        ["openapi", "v2"] => Some(openapi_v2(call, &documents)),
        ["openapi", "v3"] => Some(plain(&documents.openapi_index)),
        ["openapi", "v3", rest @ ..] => documents
            .openapi
            .get(&rest.join("/"))
            .map(|document| document.hashed_answer(call.headers(), call.query.text("hash"), JSON)),
        _ => None,
    };
    Ok(found.unwrap_or_else(page_not_found))
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
