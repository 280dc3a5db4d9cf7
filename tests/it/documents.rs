//! Documents about the API over HTTP: in which forms they come, and when they do not come again.

use std::io::Read as _;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::server::{ServerOptions, TestServer};

const DISCOVERY_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const DISCOVERY_V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
const OPENAPI_V2: &str = "/openapi/v2";
const OPENAPI_V3: &str = "/openapi/v3/apis/ci.coopcloud.tech/v1alpha1";

struct World {
    server: TestServer,
    http: reqwest::Client,
}

struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn document(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl World {
    async fn start() -> Self {
        let server = TestServer::start(ServerOptions::default()).await.unwrap();
        Self { server, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(self.server.url(path)).bearer_auth(&self.server.admin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { code, headers, body: answer.bytes().await.unwrap().to_vec() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_a_document_does_not_get_it_again() {
    let world = World::start().await;
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    for (path, accept) in [
        ("/", "application/json"),
        ("/api", DISCOVERY_V2),
        ("/apis", DISCOVERY_V2),
        ("/apis", DISCOVERY_V2BETA1),
        (OPENAPI_V2, "application/json"),
        (OPENAPI_V2, protobuf),
        (OPENAPI_V3, "application/json"),
    ] {
        let name = format!("{path} as {accept}");
        let first = world.get(path, &[("accept", accept)]).await;
        let tag = first.header("etag").to_owned();
        assert!(first.code == 200 && !first.body.is_empty(), "{name}: {}", first.code);
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 32, "{name}: {tag}");
        let lists = [tag.clone(), format!("W/{tag}"), format!("\"zork\", {tag}"), "*".to_owned()];
        for known in lists {
            let again = world.get(path, &[("accept", accept), ("if-none-match", &known)]).await;
            let shown = (again.code, again.body.len(), again.header("etag"));
            assert_eq!(shown, (304, 0, tag.as_str()), "{name}, known as {known}");
        }
        for other in ["\"zork\"", &tag.to_lowercase(), ""] {
            let again = world.get(path, &[("accept", accept), ("if-none-match", other)]).await;
            assert!(again.code == 200 && again.body == first.body, "{name}, known as {other}: {}", again.code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_asked_for_by_its_hash_may_be_kept() {
    let world = World::start().await;
    let index = world.get("/openapi/v3", &[]).await.document();
    let entries = index["paths"].as_object().unwrap();
    assert!(entries.len() > 5, "{index}");
    for (name, entry) in entries {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let answer = world.get(url, &[]).await;
        let shown = (answer.code, answer.header("cache-control"), answer.header("expires"));
        assert_eq!(shown, (200, "public, immutable", "Thu, 31 Dec 2099 23:59:59 GMT"), "{name}");
        let hash = url.split_once("?hash=").unwrap().1;
        assert_eq!(answer.header("etag"), format!("\"{hash}\""), "{name}");
    }
    // Another hash is that of another day: the answer is today's, and nobody keeps it under that name.
    for query in ["", "?hash=", "?hash=ABCDEF"] {
        let answer = world.get(&format!("{OPENAPI_V3}{query}"), &[]).await;
        let shown = (answer.code, answer.header("cache-control"), answer.header("expires"));
        assert_eq!(shown, (200, "no-cache, private", ""), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_documents_are_compressed_for_those_who_can_read_it() {
    let world = World::start().await;
    for (path, accept, is_large) in [
        (OPENAPI_V2, "application/json", true),
        (OPENAPI_V3, "application/json", true),
        ("/apis", DISCOVERY_V2, false),
        ("/openapi/v3/apis/coordination.k8s.io/v1", "application/json", false),
    ] {
        let plain = world.get(path, &[("accept", accept)]).await;
        let compressed = world.get(path, &[("accept", accept), ("accept-encoding", "br, gzip;q=0.5")]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        assert_eq!(plain.header("etag"), compressed.header("etag"), "{path}");
        assert_eq!(plain.header("vary"), compressed.header("vary"), "{path}");
        assert_eq!(plain.body.len() > 128 * 1024, is_large, "{path} has {} bytes", plain.body.len());
        let vary = if is_large { "Accept, Accept-Encoding" } else { "Accept" };
        let encoding = if is_large { "gzip" } else { "" };
        assert_eq!((compressed.header("content-encoding"), compressed.header("vary")), (encoding, vary), "{path}");
        let mut body = Vec::new();
        if is_large {
            assert!(compressed.body.len() < plain.body.len() / 4, "{path}: {} bytes", compressed.body.len());
            flate2::read::GzDecoder::new(compressed.body.as_slice()).read_to_end(&mut body).unwrap();
        } else {
            body = compressed.body;
        }
        assert!(body == plain.body, "{path} is another document when it was compressed");
    }
}

/// kubectl 1.27 to 1.29 asks for nothing else than version 2beta1, and the `auth whoami` of 1.27 likewise.
#[tokio::test(flavor = "multi_thread")]
async fn older_clients_find_what_newer_ones_find() {
    let world = World::start().await;
    for path in ["/api", "/apis"] {
        let mut new = world.get(path, &[("accept", DISCOVERY_V2)]).await.document();
        let old = world.get(path, &[("accept", &format!("{DISCOVERY_V2BETA1},application/json"))]).await;
        assert_eq!((old.code, old.header("content-type")), (200, DISCOVERY_V2BETA1), "{path}");
        assert_eq!(new["apiVersion"], "apidiscovery.k8s.io/v2", "{path}");
        new["apiVersion"] = json!("apidiscovery.k8s.io/v2beta1");
        assert_eq!(old.document(), new, "{path}");
    }
    for (version, code) in [("v1", 201), ("v1beta1", 201), ("v1alpha1", 404)] {
        let path = format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews");
        let api_version = format!("authentication.k8s.io/{version}");
        let body = json!({"kind": "SelfSubjectReview", "apiVersion": api_version});
        let request = world.http.post(world.server.url(&path)).bearer_auth(&world.server.bob).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), code, "{version}");
        if code == 201 {
            let review: Value = answer.json().await.unwrap();
            assert_eq!((&review["apiVersion"], &review["kind"]), (&json!(api_version), &json!("SelfSubjectReview")));
            assert_eq!(review["status"]["userInfo"]["username"], "bob", "{review}");
        }
    }
    let path = "/apis/authentication.k8s.io/v1beta1/tokenreviews";
    let answer = world.http.post(world.server.url(path)).bearer_auth(&world.server.admin).json(&json!({})).send().await;
    assert_eq!(answer.unwrap().status(), 404, "only what was asked of version 1beta1 is answered in it");
}
