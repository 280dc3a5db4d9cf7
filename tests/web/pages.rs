//! What pages show, how large they are, and that they stay harmless.

use std::time::{Duration, Instant};

use crate::browser::look_at;
use crate::showcase::{Scene, Showcase, ago, put, put_all, recipe, run};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::visitor::{SOON, Seen, Visitor, crawl, open};

/// Largest page, compressed.
const BYTES_MAX: usize = 60_000;
/// Within what time a change is on every open page.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(1);
/// How often a change is made until it is everywhere in that time: tests share the machine with others.
const CHANGES_MAX: u32 = 20;
/// Longest time to the first byte of a page. Programs that are not optimised take ten times as long, and tests share the
/// machine with others: then only what grows with the number of runs shows.
const FIRST_BYTE_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 20 });
/// How often a page is asked for until it comes quickly.
const TRIES_MAX: u32 = 40;

/// Every page that can be reached by links answers, with the strict policy, without a dead link, and is small.
#[tokio::test(flavor = "multi_thread")]
async fn every_link_leads_somewhere_and_every_page_is_strict() {
    for scene in [Scene::Empty, Scene::Busy, Scene::Failing] {
        let showcase = open(scene).await;
        let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
        let pages = crawl(&admin).await;
        assert!(pages.len() > 40, "the crawl of {scene:?} finds only {} pages", pages.len());
        println!("{scene:?}: {} pages", pages.len());
        for (path, page) in &pages {
            assert!(matches!(page.code, 200 | 303), "{scene:?} {path}: {}", page.code);
            assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
            assert!(page.header("content-security-policy").contains("default-src 'none'"), "{path}");
            assert!(page.bytes.len() < BYTES_MAX, "{path} is {} bytes", page.bytes.len());
            let is_saved = page.header("content-disposition").starts_with("attachment");
            if page.header("content-type").starts_with("text/html") && !is_saved {
                check_html(path, &page.text());
            }
        }
    }
}

/// No script or style within, every id once, one heading.
fn check_html(path: &str, html: &str) {
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{path}");
    assert!(!html.contains(" style=") && !html.contains("<style"), "{path} has style within");
    assert_eq!(html.matches("<script").count(), 1, "{path} has a script within");
    assert!(html.contains("<script src=\"/assets/script.js"), "{path}");
    let handler = regex::Regex::new(r#"<[^>]*\son[a-z]+="#).unwrap();
    assert!(!handler.is_match(html), "{path} has a handler within");
    assert_eq!(html.matches("<h1").count(), 1, "{path} has not one heading");
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path} has an id twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_readable_and_harmless() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    for path in [
        "/runs/default/nextcloud-002",
        "/runs/default/nextcloud-002/log?stage=functional",
        "/runs/default/mumble-pr4",
        "/approvals",
        "/repositories",
        "/events",
        "/kinds/testruns.ci.coopcloud.tech/default/nextcloud-002",
        "/kinds/apps.ci.coopcloud.tech/default/cloud",
        "/runs?q=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE",
    ] {
        let html = admin.get(path).await.text();
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;[U+202E]"), "{path} does not show it");
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{path} believes it");
        assert!(!html.contains('\u{202e}') && !html.contains('\u{7}') && !html.contains('\u{1b}'), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_come_first() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let home = admin.get("/").await.text();
    for text in
        ["Failing", "nextcloud-002", "Waiting for you", "mumble-pr4", "Expiring", "wildcard", "Leaks", "hedgedoc-002"]
    {
        assert!(home.contains(text), "home does not say {text}");
    }
    let run = admin.get("/runs/default/nextcloud-002").await.text();
    let at = |text: &str| run.find(text).unwrap_or_else(|| panic!("the run does not say {text}"));
    assert!(at("Failed in functional") < at(">Ladder<"));
    assert!(at("502 Bad Gateway") < at(">Ladder<"), "the log of what failed stands beside it");
    assert!(run.contains("changed") && run.contains("nextcloud:29.0.5-fpm"), "what changed since the last green run");
    let calm = Showcase::open(Scene::Empty).await.unwrap();
    let admin = Visitor::signed_in(&calm, &calm.server.admin).await;
    assert!(admin.get("/").await.text().contains("Nothing needs you"));
}

/// What is usual is the median of the successful runs of the same lane, step by step; others say nothing about it.
#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_a_run_stand_beside_what_is_usual() {
    let showcase = open(Scene::Empty).await;
    let store = &showcase.server.store;
    put(store, recipe("good", Some(5))).await.unwrap();
    let at = |seconds: u32| format!("2026-01-01T12:{:02}:{:02}Z", seconds / 60, seconds % 60);
    for (name, phase, lane, seconds) in [
        ("one", "Succeeded", "Cold", 20),
        ("two", "Succeeded", "Cold", 300),
        ("three", "Succeeded", "Cold", 40),
        ("quick", "Succeeded", "Quick", 1),
        ("failed", "Failed", "Cold", 900),
        ("last", "Failed", "Cold", 100),
    ] {
        let mut object = run(name, "good", phase, 5, "PPPPP", 60);
        object["spec"]["lane"] = json!(lane);
        let status = &mut object["status"];
        (status["startedAt"], status["finishedAt"]) = (json!(at(0)), json!(at(seconds + 5)));
        status["steps"] =
            json!([{"name": "install-deploy", "startedAt": at(0), "finishedAt": at(seconds), "outcome": "Done"}]);
        put(store, object).await.unwrap();
    }
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let page = admin.get("/runs/default/last").await.text();
    for words in ["Usually 45s (median of 3 successful runs)", "1m 40s", "usually 40s"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_app_tells_what_it_needs_what_waits_and_which_secrets_it_has() {
    let showcase = open(Scene::Busy).await;
    let store = &showcase.server.store;
    let app = |name: &str, needs: Value, status: Value| {
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App", "metadata": {"name": name, "namespace": "default"},
            "spec": {"recipe": {"url": "https://git.example.org/recipes/portal.git"}, "domain": format!("{name}.example.org"),
                "dependsOn": needs}, "status": status})
    };
    let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "False", "reason": reason, "message": message, "lastTransitionTime": ago(9)});
    let status = json!({
        "held": {"version": "9.0.0+9", "reason": "ComposeInvalid", "message": "Version 9.0.0+9 cannot be deployed."},
        "secrets": [
            {"name": "db_password", "source": "Generated", "version": "v3", "since": ago(7200),
                "rotation": {"result": "Succeeded", "at": ago(60), "message": ""}},
            {"name": "client_secret", "source": "Application", "version": "v0a1b2c3d"},
        ],
        "conditions": [condition("DependenciesReady", "DependencyNotReady", "It waits for the App gone.")],
    });
    put(store, app("portal", json!([{"name": "auth"}, {"name": "gone"}]), status)).await.unwrap();
    put(store, app("kiosk", json!([{"name": "portal"}]), json!({}))).await.unwrap();
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let page = admin.get("/kinds/apps.ci.coopcloud.tech/default/portal").await.text();
    for text in [
        "Version 9.0.0+9 cannot be deployed.",
        "It waits for the App gone.",
        "Does not exist",
        "href=\"/kinds/apps.ci.coopcloud.tech/default/auth\"",
        "It is needed by",
        "href=\"/kinds/apps.ci.coopcloud.tech/default/kiosk\"",
        "v3",
        "generated here",
        "Rotated",
        "made by the forge",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let page = admin.get("/kinds/apps.ci.coopcloud.tech/default/cloud").await.text();
    assert!(!page.contains(">Dependencies<") && !page.contains(">Secrets<"), "it has none: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_approves_sees_first_what_would_run() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let list = admin.get("/approvals").await.text();
    assert!(list.contains("href=\"/approvals/default/mumble-pr4\"") && list.contains("refused by policy"), "{list}");
    let page = admin.get("/approvals/default/mumble-pr4").await;
    let text = page.text();
    assert_eq!(page.code, 200);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is missing: {text}"));
    assert!(
        at("may not be mounted") < at("compose.yml</bdi>") && at("compose.yml</bdi>") < at("docs/"),
        "policy, then what decides"
    );
    assert!(text.contains("class=\"add\"") && text.contains("class=\"del\"") && text.contains("3 more files are"));
    assert!(
        text.contains("/do/approve/testruns.ci.coopcloud.tech/default/mumble-pr4") && !text.contains("<script>alert")
    );
    let away = admin.get("/approvals/default/nextcloud-002").await;
    assert!(away.code == 200 && away.text().contains("The forge cannot be reached."), "{}", away.text());
    assert_eq!(admin.get("/approvals/default/not-there").await.code, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_of_a_run_is_a_picture_where_a_chromium_draws_it() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let picture = admin.get("/runs/default/nextcloud-002/card.png").await;
    assert_eq!((picture.code, picture.header("content-type")), (200, "image/png"), "{:?}", picture.headers);
    // Width and height stand at fixed places of a PNG.
    assert_eq!(picture.bytes[16..24], [1200_u32.to_be_bytes(), 630_u32.to_be_bytes()].concat());
    assert_eq!(admin.get("/runs/default/not-there/card.png").await.code, 404);
    let run = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/nextcloud-002";
    let run: Value = admin
        .http
        .get(showcase.server.url(run))
        .bearer_auth(&showcase.server.admin)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&run["status"]["phase"], &run["status"]["level"]), (&json!("Failed"), &json!(3)), "it changes nothing");
    let server = tests::server::TestServer::start(tests::server::ServerOptions::default()).await.unwrap();
    let plain = admin.http.get(server.url("/runs/default/x/card.png")).bearer_auth(&server.admin);
    assert_eq!(plain.send().await.unwrap().status(), 404, "without a Chromium there is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_on_every_open_page() {
    const PAGES: usize = 200;
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let mut streams = Vec::new();
    for at in 0..PAGES {
        let page = if at % 2 == 0 { "/live?page=/queue" } else { "/live?page=/runs/default/ghost-live" };
        let answer = admin.request("GET", page).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut stream = answer.bytes_stream();
        let hello = tokio::time::timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
        assert!(String::from_utf8_lossy(&hello).contains("event: hello"));
        streams.push(stream);
    }
    let url = showcase.server.url("/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/ghost-live");
    let mut best = Duration::MAX;
    for tries in 0..CHANGES_MAX {
        let step = format!("step-{tries}-of-many");
        let status = json!({"status": {"steps": [{"name": step, "startedAt": ago(5)}]}}).to_string();
        let begun = Instant::now();
        let patch = admin.http.patch(format!("{url}/status")).bearer_auth(&showcase.server.admin);
        let patch = patch.header("content-type", "application/merge-patch+json").body(status);
        assert_eq!(patch.send().await.unwrap().status().as_u16(), 200);
        for stream in &mut streams {
            let mut text = String::new();
            while !text.contains(&step) {
                let piece = tokio::time::timeout(SOON, stream.next()).await;
                let piece = piece.expect("the change is on every page").unwrap().unwrap();
                text.push_str(&String::from_utf8_lossy(&piece));
            }
        }
        best = best.min(begun.elapsed());
        if best < CHANGE_TIME_MAX {
            break;
        }
    }
    println!("{PAGES} pages show a change after {best:?}");
    assert!(best < CHANGE_TIME_MAX, "a change is on {PAGES} pages after {best:?}");
}

/// Ten thousand runs of a hundred recipes: pages stay small and quick.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_makes_no_page_slow_or_large() {
    let showcase = open(Scene::Empty).await;
    let store = &showcase.server.store;
    put_all(store, (0..100).map(|at| recipe(&format!("recipe-{at:02}"), Some(5)))).await.unwrap();
    let objects = (0..10_000).map(|at| {
        let (phase, level, rungs) = if at % 17 == 0 { ("Failed", 1, "PFUUU") } else { ("Succeeded", 5, "PPPPP") };
        run(&format!("run-{at:05}"), &format!("recipe-{:02}", at % 100), phase, level, rungs, i64::from(at) * 60)
    });
    put_all(store, objects).await.unwrap();
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    for path in [
        "/",
        "/recipes",
        "/recipes/default/recipe-07",
        "/runs",
        "/runs?q=recipe-07",
        "/runs/default/run-00007",
        "/queue",
        "/events",
        "/kinds/testruns.ci.coopcloud.tech",
    ] {
        let mut best = Duration::MAX;
        let mut tries = 0..TRIES_MAX;
        while best > FIRST_BYTE_MAX && tries.next().is_some() {
            let begun = Instant::now();
            let answer = admin.request("GET", path).send().await.unwrap();
            best = best.min(begun.elapsed());
            let page = Seen::of(answer).await;
            assert_eq!(page.code, 200, "{path}");
            assert!(page.bytes.len() < BYTES_MAX, "{path} is {} bytes", page.bytes.len());
        }
        println!("{path}: {best:?}");
        assert!(best <= FIRST_BYTE_MAX, "the first byte of {path} comes after {best:?}");
    }
    look_at(&showcase, "full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn badges_tell_level_age_and_nothing_that_is_private() {
    let showcase = open(Scene::Empty).await;
    let store = &showcase.server.store;
    put(store, recipe("good", Some(5))).await.unwrap();
    put(store, recipe("old", Some(4))).await.unwrap();
    put(store, recipe("new", None)).await.unwrap();
    put(store, run("good-1", "good", "Succeeded", 5, "PPPPP", 3600)).await.unwrap();
    put(store, run("old-1", "old", "Succeeded", 4, "PPPPU", 40 * 86_400)).await.unwrap();
    let stranger = Visitor::stranger(&showcase);
    let hidden = stranger.get("/badge/default/good.svg").await;
    let missing = stranger.get("/badge/default/none.svg").await;
    assert_eq!((hidden.code, missing.code), (404, 404));
    assert_eq!(hidden.text().replace("good", "none"), missing.text(), "a private recipe looks like none");
    make_public(&showcase).await;
    for (name, message) in [("good", "level 5"), ("old", "level 4, old"), ("new", "unknown")] {
        let svg = stranger.get(&format!("/badge/default/{name}.svg")).await;
        assert_eq!((svg.code, svg.header("content-type")), (200, "image/svg+xml; charset=utf-8"));
        assert!(svg.text().contains(&format!("{name}: {message}")), "{}", svg.text());
        let shield: Value =
            serde_json::from_str(&stranger.get(&format!("/badge/default/{name}.json")).await.text()).unwrap();
        assert_eq!(
            (&shield["schemaVersion"], &shield["label"], &shield["message"]),
            (&json!(1), &json!(name), &json!(message))
        );
    }
    assert!(ago(0).ends_with('Z'));
}

/// Shows the namespace `default` to everybody.
pub(crate) async fn make_public(showcase: &Showcase) {
    let url = showcase.server.url("/api/v1/namespaces/default");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let patch =
        http.patch(url).bearer_auth(&showcase.server.admin).header("content-type", "application/merge-patch+json");
    let label = json!({"metadata": {"labels": {"ci.coopcloud.tech/public": "true"}}});
    assert_eq!(patch.body(label.to_string()).send().await.unwrap().status().as_u16(), 200);
}
