//! Documents about the API that change only when a kind is added or removed: made once, then handed out.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, EXPIRES, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use store::registry::Registry;

use super::{Group, aggregated, entries, group_description, groups, resource_list};
use crate::answer::{Answer, GZIP_BYTES_MIN, gzip, mark_compressed, raw};
use crate::negotiation::accepts_gzip;
use crate::openapi;

/// A document and the hash of its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub bytes: Bytes,
    pub hash: String,
    /// Made when somebody asks for it, once; clones share it.
    compressed: Arc<OnceLock<Bytes>>,
}

impl Document {
    pub(crate) fn new(value: &Value) -> Self {
        Self::from_bytes(serde_json::to_vec(value).expect("a JSON value always serialises"))
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        use std::fmt::Write as _;
        let hash = digest(&SHA256, &bytes).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        });
        Self { bytes: bytes.into(), hash, compressed: Arc::default() }
    }

    /// Returns an answer with the document, or 304 when the client has it. A large one is compressed for those who can
    /// read that; the tag is that of the document and the same for both.
    pub(crate) fn answer(&self, headers: &HeaderMap, content_type: &'static str) -> Answer {
        let tag = format!("\"{}\"", self.hash);
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|list| list.split(',')).any(|candidate| {
            let candidate = candidate.trim();
            candidate == "*" || candidate.trim_start_matches("W/") == tag
        });
        let is_large = self.bytes.len() > GZIP_BYTES_MIN;
        let mut answer = if is_known {
            raw(304, content_type, axum::body::Body::empty())
        } else if is_large && accepts_gzip(headers) {
            let compressed = self.compressed.get_or_init(|| gzip(&self.bytes).into());
            let mut answer = raw(200, content_type, compressed.clone().into());
            mark_compressed(&mut answer);
            answer
        } else {
            raw(200, content_type, self.bytes.clone().into())
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, HeaderValue::from_str(&tag).expect("a hash is plain ASCII"));
        // Whoever keeps the answer for others must know what it depends on, in either form.
        let depends_on = if is_large { "Accept, Accept-Encoding" } else { "Accept" };
        headers.insert(VARY, HeaderValue::from_static(depends_on));
        answer
    }

    /// As [`Document::answer`]; a request that names the hash may keep the answer for ever.
    pub(crate) fn hashed_answer(&self, headers: &HeaderMap, hash: &str, content_type: &'static str) -> Answer {
        let mut answer = self.answer(headers, content_type);
        if !hash.is_empty() && hash == self.hash {
            let headers = answer.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            headers.insert(EXPIRES, HeaderValue::from_static("Thu, 31 Dec 2099 23:59:59 GMT"));
        }
        answer
    }
}

/// Every document for one registry.
pub(crate) struct Documents {
    registry: Arc<Registry>,
    /// The core group's versions, aggregated, by version of the discovery API.
    pub core: BTreeMap<&'static str, Document>,
    /// The other groups, aggregated, by version of the discovery API.
    pub named: BTreeMap<&'static str, Document>,
    /// `/apis` in the old form.
    pub group_list: Document,
    /// `/apis/GROUP`.
    pub groups: BTreeMap<String, Document>,
    /// `/api/v1`, `/apis/GROUP/VERSION`, by `v1` or `GROUP/VERSION`.
    pub resource_lists: BTreeMap<String, Document>,
    /// `/openapi/v3`.
    pub openapi_index: Document,
    /// `/openapi/v3/…`, by `api/v1` or `apis/GROUP/VERSION`.
    pub openapi: BTreeMap<String, Document>,
    /// `/openapi/v2`.
    pub openapi_v2: Document,
    /// `/openapi/v2` in protobuf, which kubectl before 1.30 asks for.
    pub openapi_v2_protobuf: Document,
    /// Every path, for `/`.
    pub paths: Document,
}

/// Keeps the documents of the newest registry.
#[derive(Default)]
pub(crate) struct DocumentCache {
    current: ArcSwapOption<Documents>,
}

impl DocumentCache {
    /// Returns the documents for a registry, making them when they were made for another one.
    pub(crate) fn get(&self, registry: &Arc<Registry>) -> Arc<Documents> {
        if let Some(current) = self.current.load_full().filter(|current| Arc::ptr_eq(&current.registry, registry)) {
            return current;
        }
        let made = Arc::new(Documents::new(registry));
        self.current.store(Some(made.clone()));
        made
    }
}

impl Documents {
    fn new(registry: &Arc<Registry>) -> Self {
        let all = groups(entries(registry));
        let (core, named): (Vec<&Group>, Vec<&Group>) = all.iter().partition(|group| group.name.is_empty());
        let list = |groups: &[&Group]| {
            ["v2", "v2beta1"]
                .into_iter()
                .map(|version| (version, Document::new(&aggregated(groups.iter().copied(), version))))
                .collect()
        };
        let descriptions: Vec<Value> = named.iter().map(|group| group_description(group)).collect();
        let groups = named.iter().map(|group| {
            let mut document = group_description(group);
            document["kind"] = json!("APIGroup");
            document["apiVersion"] = json!("v1");
            (group.name.clone(), Document::new(&document))
        });
        let resource_lists: BTreeMap<String, Document> = all
            .iter()
            .flat_map(|group| {
                group.versions.iter().map(|(version, entries)| {
                    let name = store::registry::api_version(&group.name, version);
                    let document = Document::new(&resource_list(&name, entries));
                    (name, document)
                })
            })
            .collect();
        let openapi: BTreeMap<String, Document> = openapi::documents(registry, &all);
        let openapi_v2 = openapi::version_2(registry, &all);
        let paths = paths(&all, &openapi);
        Self {
            registry: registry.clone(),
            core: list(&core),
            named: list(&named),
            group_list: Document::new(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": descriptions})),
            groups: groups.collect(),
            resource_lists,
            openapi_index: Document::new(&openapi::index(&openapi)),
            openapi_v2_protobuf: Document::from_bytes(openapi::version_2_protobuf(&openapi_v2)),
            openapi_v2: Document::new(&openapi_v2),
            openapi,
            paths: Document::new(&json!({"paths": paths})),
        }
    }
}

fn paths(groups: &[Group], openapi: &BTreeMap<String, Document>) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/api",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/readyz",
        "/version",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    for group in groups {
        if group.name.is_empty() {
            paths.extend(group.versions.iter().map(|(version, _)| format!("/api/{version}")));
            continue;
        }
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|(version, _)| format!("/apis/{}/{version}", group.name)));
    }
    paths.extend(openapi.keys().map(|name| format!("/openapi/v3/{name}")));
    paths.sort();
    paths
}
