//! Who gets in: strangers, people without rights, forged cookies and forms.

use tests::server::{ServerOptions, TestServer};
use webui::route::{OPEN, PATTERNS};

use crate::pages::make_public;
use crate::showcase::Scene;
use crate::visitor::{Visitor, cookie, field, open};

fn filled(pattern: &str) -> String {
    pattern.replace("NS", "default").replace("NAME", "nextcloud-002")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_answers_a_stranger() {
    let showcase = open(Scene::Failing).await;
    let stranger = Visitor::stranger(&showcase);
    for path in PATTERNS.map(filled) {
        let page = stranger.get(&path).await;
        let is_private = match page.code {
            303 => page.location().starts_with("/login?next="),
            code => code == 403 || (code == 404 && path.starts_with("/badge")),
        };
        assert!(is_private, "{path} answers a stranger with {}", page.code);
        assert!(!page.text().contains("502 Bad Gateway"));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let code = stranger.request(method, &path).send().await.unwrap().status().as_u16();
            assert!(matches!(code, 403 | 405), "{method} {path}: {code}");
        }
    }
    for path in OPEN.iter().filter(|path| **path != "/logout") {
        assert_eq!(stranger.get(path).await.code, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_role_sees_nothing() {
    let showcase = open(Scene::Failing).await;
    let bob = Visitor::signed_in(&showcase, &showcase.server.bob).await;
    for path in PATTERNS.map(filled) {
        let page = bob.get(&path).await;
        let text = page.text();
        assert!(matches!(page.code, 200 | 403 | 404), "{path}: {}", page.code);
        for secret in ["hedgedoc", "wildcard", "502 Bad", "91aa0e2", "CrashLoop"] {
            assert!(!text.contains(secret), "{path} tells bob about {secret}");
        }
        if path.contains("nextcloud-002") && !path.starts_with("/badge") {
            assert_eq!(page.code, 403, "{path}");
            let other = bob.get(&path.replace("nextcloud-002", "not-there-1")).await;
            assert_eq!(other.code, 403, "{path}: what is there and what is not look the same");
        }
    }
    let pressed = bob.get("/do/cancel/testruns.ci.coopcloud.tech/default/nextcloud-002").await;
    assert_eq!(pressed.code, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_namespace_shows_recipes_and_runs_and_no_more() {
    let showcase = open(Scene::Failing).await;
    make_public(&showcase).await;
    let stranger = Visitor::stranger(&showcase);
    for path in [
        "/",
        "/recipes",
        "/recipes/default/nextcloud",
        "/runs",
        "/runs/default/nextcloud-002",
        "/queue",
        "/runs/default/nextcloud-002/log",
        "/runs/default/nextcloud-002/log/raw",
        "/runs/default/nextcloud-002/card",
        "/runs/default/nextcloud-002/artifacts/screenshot.png",
        "/badge/default/nextcloud.svg",
    ] {
        let page = stranger.get(path).await;
        assert_eq!(page.code, 200, "{path}");
        if page.header("content-type").starts_with("text/html") {
            let text = page.text();
            assert!(
                !text.contains("wildcard") && !text.contains("CrashLoop") && !text.contains(">here<"),
                "{path} tells too much"
            );
            assert!(!text.contains("/do/"), "{path} offers a stranger something to do");
        }
    }
    for path in [
        "/apps",
        "/hosts",
        "/certificates",
        "/repositories",
        "/events",
        "/approvals",
        "/approvals/default/nextcloud-002",
        "/kinds",
        "/kinds/testruns.ci.coopcloud.tech/default/nextcloud-002",
        "/kinds/recipes.ci.coopcloud.tech/default/nextcloud",
        "/live?page=/kinds/testruns.ci.coopcloud.tech/default/nextcloud-002",
        "/do/rerun/testruns.ci.coopcloud.tech/default/nextcloud-001",
    ] {
        assert_ne!(stranger.get(path).await.code, 200, "{path} is open");
    }
    let report = stranger.get("/runs/default/nextcloud-002/artifacts/report.html").await;
    assert!(report.header("content-disposition").starts_with("attachment"));
    assert_eq!(report.header("content-security-policy"), "sandbox; default-src 'none'");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_needs_a_good_token_and_the_form_that_was_given() {
    let showcase = open(Scene::Empty).await;
    let mut visitor = Visitor::stranger(&showcase);
    let form = visitor.get("/login").await;
    let token = field(&form.text(), "token");
    let fields = |token: &str, credential: &str| {
        [("token", token.to_owned()), ("credential", credential.to_owned()), ("next", "//evil.example".to_owned())]
    };
    let admin = showcase.server.admin.clone();
    // Without the cookie of the form, another site could have made it.
    assert_eq!(visitor.post("/login", &fields(&token, &admin)).await.code, 401);
    visitor.cookie = cookie(&form, "ccd_sign_in");
    assert_eq!(visitor.post("/login", &fields("AAAA", &admin)).await.code, 401);
    let wrong = visitor.post("/login", &fields(&token, "ccd_0_wrong")).await;
    assert_eq!((wrong.code, cookie(&wrong, "ccd_session")), (401, None));
    let right = visitor.post("/login", &fields(&token, &admin)).await;
    assert_eq!((right.code, right.location()), (303, "/"));
    let set = right.header("set-cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains(&admin), "{set}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_keeps_to_tls_where_people_come_over_tls() {
    for (public_url, is_kept) in [(None, false), (Some("http://ci.test"), false), (Some("https://ci.test"), true)] {
        let options = ServerOptions { public_url: public_url.map(str::to_owned), ..ServerOptions::default() };
        let server = TestServer::start(options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = http.get(server.url("/login")).header("accept", "text/html").send().await.unwrap();
        let set = form.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(set.ends_with("; Secure"), is_kept, "{public_url:?}: {set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_they_are_ended() {
    let showcase = open(Scene::Empty).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let page = admin.get("/queue").await;
    assert_eq!(page.code, 200);
    let token = field(&page.text(), "token");
    assert_eq!(
        admin.post("/logout", &[("token", "AAAA".to_owned())]).await.code,
        403,
        "another site cannot sign people out"
    );
    let out = admin.post("/logout", &[("token", token)]).await;
    assert_eq!((out.code, out.location()), (303, "/login"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    let mut forged = Visitor::stranger(&showcase);
    let mut value = admin.cookie.clone().unwrap();
    let at = value.len() - 2;
    value.replace_range(at..=at, if value[at..].starts_with('x') { "y" } else { "x" });
    forged.cookie = Some(value);
    assert_eq!(forged.get("/queue").await.code, 303);
    // A token that is revoked ends its sessions.
    let tokens = showcase.server.dir.path().join("tokens.json");
    let text = std::fs::read_to_string(&tokens).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    if let Some(list) = document["tokens"].as_array_mut() {
        list.clear();
    }
    std::fs::write(&tokens, document.to_string()).unwrap();
    let ended = admin.get("/queue").await;
    assert_eq!((ended.code, ended.location()), (303, "/login?next=/queue"));
}
