//! Every route has an authorisation decision: whoever has no right is refused on all of them but the open ones.

use std::collections::BTreeSet;
use std::path::Path;

use apiserver::authorization::OPEN_PATHS;
use apiserver::authorization::rules::path_matches;
use apiserver::{documents, hooks, router};
use aws_lc_rs::hmac;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::server::{ServerOptions, TestServer};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What whoever has a token may read beside [`OPEN_PATHS`]: what there is, and what it looks like.
const DESCRIPTIONS: [&str; 6] = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
/// What they may ask beside that: who they are, and what they may do.
const OWN_REVIEWS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

/// Few requests of strangers, all of which are written down.
const STRICT: &str = "[limits]\nanonymous_rate_per_second = 20\n[[audit.rules]]\nlevel = \"Metadata\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_whoever_has_no_right() {
    let server = TestServer::start(ServerOptions::default()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let paths = routes(&server, &http).await;
    assert!(paths.iter().filter(|route| route.is_resource).count() > 150, "the walk finds only {} paths", paths.len());
    let mut wrong = Vec::new();
    let mut open = BTreeSet::new();
    for Route { path, is_resource } in &paths {
        for method in METHODS {
            let reads = matches!(method, "GET" | "HEAD");
            let is_among = |shapes: &[&str]| !is_resource && shapes.iter().any(|shape| path_matches(shape, path));
            let is_own_review = method == "POST"
                && OWN_REVIEWS.iter().any(|name| path.trim_end_matches("/some").ends_with(&format!("/{name}")));
            let is_open = reads && is_among(&OPEN_PATHS);
            let may_bob = is_open || (method == "GET" && is_among(&DESCRIPTIONS)) || is_own_review;
            for (who, may) in [(None, is_open), (Some(&server.bob), may_bob)] {
                let mut request = http.request(method.parse().unwrap(), server.url(path));
                if let Some(token) = who {
                    request = request.bearer_auth(token).header("accept", "application/json");
                }
                let code = request.send().await.unwrap().status().as_u16();
                if may == (code == 403) || code >= 500 {
                    let name = if who.is_some() { "bob" } else { "a stranger" };
                    wrong.push(format!("{method} {path} as {name}: {code}"));
                }
            }
            if is_open {
                open.insert(path.split('/').nth(1).unwrap_or_default().to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "these answer somebody without any right, or refuse what is open: {wrong:#?}");
    let expected = ["healthz", "livez", "metrics", "readyz", "version"].map(str::to_owned);
    assert_eq!(open, expected.into());
}

/// The one route beside the chain: a signature opens it, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn no_doorbell_rings_for_whoever_does_not_sign() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("strict.toml");
    std::fs::write(&config, STRICT).unwrap();
    let data = dir.path().join("data");
    let mut daemon = Daemon::start_with(&data, &["--config", config.to_str().unwrap()]).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let admin = administrator(&daemon.kubeconfig());
    let url = |path: &str| format!("http://{}{path}", daemon.http());
    let repositories = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/repositories";
    let repository = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Repository", "metadata": {"name": "wiki"},
        "spec": {"forgeRef": "none", "owner": "o", "name": "wiki", "webhook": {"secretRef": {"name": "hook"}}},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "stringData": {"secret": "right"},
    });
    for (path, body) in [("/api/v1/namespaces/default/secrets", secret), (repositories, repository)] {
        let answer = http.post(url(path)).bearer_auth(&admin).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }
    let bell = hooks::SHAPE.replace("NAMESPACE", "default").replace("NAME", "wiki");
    let other = hooks::SHAPE.replace("NAMESPACE", "default").replace("NAME", "other");
    let body = "{}";
    let sign = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let cases = [
        ("unsigned", &bell, None, None, 403),
        ("signed with another secret", &bell, Some(sign("wrong")), None, 403),
        ("with the secret as its signature", &bell, Some("right".to_owned()), None, 403),
        ("unsigned, from an administrator", &bell, None, Some(&admin), 403),
        ("signed, for another place", &other, Some(sign("right")), None, 404),
        ("signed", &bell, Some(sign("right")), None, 202),
        ("signed, once more", &bell, Some(sign("right")), None, 200),
    ];
    for (name, path, signature, token, code) in &cases {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            headers.insert("x-gitea-signature", signature.parse().unwrap());
        }
        let mut request = http.post(url(path)).headers(headers).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), *code, "{name}");
    }
    // Other methods on the same path are nobody's doorbell, and pass the chain.
    for method in METHODS.into_iter().filter(|method| *method != "POST") {
        let answer = http.request(method.parse().unwrap(), url(&bell)).header("x-gitea-signature", sign("right"));
        assert_eq!(answer.send().await.unwrap().status().as_u16(), 403, "{method}");
    }
    // Whoever rings is one of all those strangers that share a rate.
    let many = (0..100).map(|_| async { http.post(url(&bell)).body(body).send().await.unwrap().status().as_u16() });
    let codes = futures::future::join_all(many).await;
    assert!(codes.contains(&429) && codes.iter().all(|code| matches!(code, 403 | 429)), "{codes:?}");
    daemon.stop().unwrap();
    let log = std::fs::read_to_string(data.join("audit").join("audit.log")).unwrap();
    let recorded = log.lines().filter_map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        let is_ring = event["verb"] == "post" && event["requestURI"].as_str()?.starts_with("/hooks/");
        is_ring.then(|| event["responseStatus"]["code"].as_u64().unwrap())
    });
    let expected = cases.iter().map(|case| case.4).chain(codes).map(u64::from);
    let (mut recorded, mut expected): (Vec<u64>, Vec<u64>) = (recorded.collect(), expected.collect());
    recorded.sort_unstable();
    expected.sort_unstable();
    assert_eq!(recorded, expected, "every delivery is in the audit log");
}

fn administrator(kubeconfig: &Path) -> String {
    let kubeconfig: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned()
}

/// A path that is asked for, and whether it is that of a resource.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    path: String,
    is_resource: bool,
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

/// Every path there is: the documents by their shapes, the resources of all groups in every shape that has a verb, and
/// every subresource on each of them, whether it has one or not.
async fn routes(server: &TestServer, http: &reqwest::Client) -> BTreeSet<Route> {
    let get = async |path: &str| -> Value {
        let request = http.get(server.url(path)).bearer_auth(&server.admin).header("accept", "application/json");
        request.send().await.unwrap().json().await.unwrap()
    };
    let mut group_versions = vec![("/api/v1".to_owned(), String::new())];
    for group in get("/apis").await["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let path = format!("/apis/{}", version["groupVersion"].as_str().unwrap());
            group_versions.push((path, group["name"].as_str().unwrap().to_owned()));
        }
    }
    let mut paths: BTreeSet<String> = ["/zork".to_owned()].into();
    for shape in documents::shapes() {
        if shape.contains("/REST") {
            for rest in ["ping", "api/v1", "apis/ci.coopcloud.tech/v1alpha1"] {
                paths.insert(shape.replace("REST", rest));
            }
        }
        for (path, group) in group_versions.iter().filter(|(_, group)| !group.is_empty() || !shape.contains("GROUP")) {
            let version = path.rsplit('/').next().unwrap();
            paths.insert(shape.replace("GROUP", group).replace("VERSION", version).replace("REST", "ping"));
        }
    }
    let mut routes: BTreeSet<Route> = paths.into_iter().map(|path| Route { path, is_resource: false }).collect();
    let mut insert = |path: String| routes.insert(Route { path, is_resource: true });
    for (base, _) in &group_versions {
        for resource in get(base).await["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let place = if resource["namespaced"] == true { "/namespaces/default" } else { "" };
            let Some((plural, subresource)) = name.split_once('/') else {
                insert(format!("{base}/{name}"));
                insert(format!("{base}{place}/{name}"));
                insert(format!("{base}/watch{place}/{name}"));
                insert(format!("{base}{place}/{name}/some"));
                for subresource in router::SUBRESOURCES {
                    insert(format!("{base}{place}/{name}/some/{subresource}"));
                }
                insert(format!("{base}{place}/{name}/some/artifacts/results.json"));
                continue;
            };
            assert!(router::SUBRESOURCES.contains(&subresource), "{plural}/{subresource} is described, not served");
        }
    }
    routes
}
