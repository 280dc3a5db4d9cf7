//! Every route has an authorisation decision: whoever has no right is refused on all of them but the open ones.

use std::collections::BTreeSet;

use apiserver::authorization::OPEN_PATHS;
use serde_json::Value;
use tests::server::{ServerOptions, TestServer};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_whoever_has_no_right() {
    let server = TestServer::start(ServerOptions::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let paths = routes(&server, &http).await;
    assert!(paths.len() > 150, "the walk finds only {} paths", paths.len());
    let mut open = Vec::new();
    for path in &paths {
        for method in METHODS {
            let request = http.request(method.parse().unwrap(), server.url(path)).send().await.unwrap();
            let is_open = OPEN_PATHS.contains(&path.as_str()) && matches!(method, "GET" | "HEAD");
            match (request.status().as_u16(), is_open) {
                (403, false) | (200, true) => {}
                (status, _) => open.push(format!("{method} {path}: {status}")),
            }
        }
    }
    assert!(open.is_empty(), "these answer somebody without any right: {open:#?}");
}

/// Browsers get pages, everybody else what the API answers; no page answers a stranger. `webui` tests the pages.
#[tokio::test(flavor = "multi_thread")]
async fn pages_stand_beside_the_api() {
    let server = TestServer::start(ServerOptions::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let browse = |path: &str| http.get(server.url(path)).header("accept", "text/html");
    let home = browse("/").bearer_auth(&server.admin).send().await.unwrap();
    assert!(home.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(home.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    for pattern in webui::route::PATTERNS.iter().filter(|pattern| !pattern.starts_with("/badge")) {
        let path = pattern.replace("NS", "default").replace("NAME", "some");
        let code = browse(&path).send().await.unwrap().status().as_u16();
        assert!(matches!(code, 303 | 403), "{path} answers a stranger with {code}");
    }
    let paths: Value = http.get(server.url("/")).bearer_auth(&server.admin).send().await.unwrap().json().await.unwrap();
    assert!(paths["paths"].is_array(), "programs get the list of paths");
}

/// Every path that the server names in its documents, with every verb's shape of path below it.
async fn routes(server: &TestServer, http: &reqwest::Client) -> BTreeSet<String> {
    let get = async |path: &str| -> Value {
        let request = http.get(server.url(path)).bearer_auth(&server.admin);
        request.send().await.unwrap().json().await.unwrap()
    };
    let index = get("/").await;
    let mut paths: BTreeSet<String> =
        index["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect();
    paths.extend(["/", "/admin/backup", "/zork"].map(str::to_owned));
    paths.insert("/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/some/artifacts/results.json".to_owned());
    let versions: Vec<String> =
        paths.iter().filter(|path| path.ends_with("/v1") || path.ends_with("/v1alpha1")).cloned().collect();
    for base in versions.iter().filter(|path| !path.starts_with("/openapi")) {
        for resource in get(base).await["resources"].as_array().unwrap() {
            let (plural, subresource) = resource["name"]
                .as_str()
                .unwrap()
                .split_once('/')
                .unwrap_or_else(|| (resource["name"].as_str().unwrap(), ""));
            let place = if resource["namespaced"] == true { "/namespaces/default" } else { "" };
            let item = format!("{base}{place}/{plural}/some");
            if subresource.is_empty() {
                paths.insert(format!("{base}/{plural}"));
                paths.insert(format!("{base}{place}/{plural}"));
                paths.insert(format!("{base}/watch{place}/{plural}"));
                paths.insert(item);
            } else {
                paths.insert(format!("{item}/{subresource}"));
            }
        }
    }
    paths
}
