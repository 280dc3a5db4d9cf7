//! What people do with buttons: through the API, as themselves, once they are sure.

use crate::showcase::{Scene, Showcase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::visitor::{Seen, Visitor, open};

const RUNS: &str = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns";

async fn api(showcase: &Showcase, path: &str) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer =
        http.request(Method::GET, showcase.server.url(path)).bearer_auth(&showcase.server.admin).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn led_to<'a>(answer: &'a Seen, prefix: &str) -> &'a str {
    assert_eq!(answer.code, 303, "{}", answer.text());
    assert!(answer.location().starts_with(prefix), "{}", answer.location());
    answer.location()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_started_repeated_held_and_cancelled() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let deed = |word: &str, run: &str| format!("/do/{word}/testruns.ci.coopcloud.tech/default/{run}");
    let started = admin
        .press(
            "/do/test/recipes.ci.coopcloud.tech/default/ghost",
            &[("ref", "main"), ("lane", "Quick"), ("hold", "30m")],
        )
        .await;
    let to = led_to(&started, "/runs/default/ghost-");
    let name = to.strip_prefix("/runs/default/").unwrap().split('?').next().unwrap();
    let (code, run) = api(&showcase, &format!("{RUNS}/{name}")).await;
    assert_eq!(code, 200);
    assert_eq!(
        run["spec"],
        json!({"recipeRef": "ghost", "source": {"ref": "main"}, "lane": "Quick", "holdOnFailure": "30m"})
    );
    assert!(admin.get(to).await.text().contains("The run is queued."));

    let again = admin.press(&deed("rerun", "ghost-001"), &[]).await;
    let name =
        led_to(&again, "/runs/default/ghost-001-").strip_prefix("/runs/default/").unwrap().split('?').next().unwrap();
    let (_, run) = api(&showcase, &format!("{RUNS}/{name}")).await;
    assert_eq!(run["metadata"]["annotations"]["ci.coopcloud.tech/rerun-of"], "ghost-001");

    led_to(&admin.press(&deed("hold", "ghost-live"), &[("hold", "2h")]).await, "/runs/default/ghost-live?done=hold");
    led_to(&admin.press(&deed("cancel", "ghost-live"), &[]).await, "/runs/default/ghost-live?done=cancel");
    let (_, run) = api(&showcase, &format!("{RUNS}/ghost-live")).await;
    assert_eq!((&run["spec"]["cancel"], &run["spec"]["holdOnFailure"]), (&json!(true), &json!("2h")));
    let managers: Vec<&str> = run["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert!(managers.contains(&"ccd-web"), "{managers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_explained_where_it_was_asked() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let bad = admin.press("/do/test/recipes.ci.coopcloud.tech/default/ghost", &[("ref", "--upload-pack=x")]).await;
    let html = bad.text();
    assert_eq!(bad.code, 422, "{html}");
    assert!(html.contains("spec.source.ref") && html.contains("role=\"alert\""), "{html}");
    let path = "/do/delete/apps.ci.coopcloud.tech/default/cloud";
    let stale = admin.press(path, &[("uid", "00000000-0000-0000-0000-000000000000")]).await;
    assert_eq!(stale.code, 409, "another object of the same name stays");
    led_to(&admin.press(path, &[]).await, "/kinds/apps.ci.coopcloud.tech?done=delete");
    assert_eq!(api(&showcase, "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/apps/cloud").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_approved_and_denied() {
    let showcase = open(Scene::Failing).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let waiting = admin.get("/approvals").await.text();
    assert!(waiting.contains("href=\"https://git.example.org/recipes/mumble/pulls/4/files\""), "{waiting}");
    let approval = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/approvals/mumble-pr4-c0ffee12c0ff";
    led_to(
        &admin.press("/do/approve/testruns.ci.coopcloud.tech/default/mumble-pr4", &[("scope", "Once")]).await,
        "/runs/",
    );
    let (code, found) = api(&showcase, approval).await;
    assert_eq!(code, 200, "{found}");
    assert_eq!(
        (&found["spec"]["approvedBy"], &found["spec"]["headSHA"]),
        (&json!("admin"), &json!("c0ffee12".repeat(5)))
    );
    led_to(&admin.press("/do/deny/testruns.ci.coopcloud.tech/default/mumble-pr4", &[]).await, "/runs/");
    assert_eq!(api(&showcase, approval).await.0, 404);
    assert_eq!(api(&showcase, &format!("{RUNS}/mumble-pr4")).await.1["spec"]["cancel"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_suspended_and_resumed() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let suspended =
        async || api(&showcase, "/apis/ci.coopcloud.tech/v1alpha1/hosts/here").await.1["spec"]["suspend"] == true;
    led_to(
        &admin.press("/do/suspend/hosts.ci.coopcloud.tech/_/here", &[]).await,
        "/kinds/hosts.ci.coopcloud.tech/_/here",
    );
    assert!(suspended().await);
    led_to(&admin.press("/do/resume/hosts.ci.coopcloud.tech/_/here", &[]).await, "/kinds/");
    assert!(!suspended().await);
    let nonsense = admin.get("/do/approve/hosts.ci.coopcloud.tech/_/here").await;
    assert_eq!(nonsense.code, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_forms_and_people_without_the_right_change_nothing() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let bob = Visitor::signed_in(&showcase, &showcase.server.bob).await;
    let path = "/do/cancel/testruns.ci.coopcloud.tech/default/ghost-live";
    let token_of_admin = crate::visitor::field(&admin.get(path).await.text(), "token");
    assert_eq!(admin.post(path, &[]).await.code, 403, "a form without its token");
    assert_eq!(admin.post(path, &[("token", "AAAA".to_owned())]).await.code, 403);
    assert_eq!(
        bob.post(path, &[("token", token_of_admin.clone())]).await.code,
        403,
        "a form of somebody else's session"
    );
    let token_of_bob = crate::visitor::field(&bob.get("/queue").await.text(), "token");
    let refused = bob.post(path, &[("token", token_of_bob)]).await;
    assert_eq!(refused.code, 403);
    assert!(refused.text().contains("cannot patch resource"));
    let stranger = Visitor::stranger(&showcase);
    assert_eq!(stranger.post(path, &[("token", token_of_admin)]).await.code, 403);
    assert_eq!(api(&showcase, &format!("{RUNS}/ghost-live")).await.1["spec"]["cancel"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_stands_in_the_audit_log_under_the_name_of_whoever_did_it() {
    let showcase = open(Scene::Busy).await;
    let admin = Visitor::signed_in(&showcase, &showcase.server.admin).await;
    let bob = Visitor::signed_in(&showcase, &showcase.server.bob).await;
    let cancel = "/do/cancel/testruns.ci.coopcloud.tech/default/ghost-live";
    let delete = "/do/delete/apps.ci.coopcloud.tech/default/cloud";
    led_to(&admin.press(cancel, &[]).await, "/runs/");
    led_to(&admin.press(delete, &[]).await, "/kinds/");
    let token_of_bob = crate::visitor::field(&bob.get("/queue").await.text(), "token");
    assert_eq!(bob.post(cancel, &[("token", token_of_bob)]).await.code, 403);
    // A forged form comes to nothing before anything is asked of the API.
    assert_eq!(admin.post(delete, &[("token", "AAAA".to_owned())]).await.code, 403);
    let mut events = showcase.server.end_audit().unwrap();
    events.retain(|event| matches!(event["verb"].as_str(), Some("create" | "update" | "patch" | "delete")));
    let told: Vec<Value> = events
        .iter()
        .map(|event| {
            let object = &event["objectRef"];
            json!([
                event["user"]["username"],
                event["verb"],
                object["resource"],
                object["name"],
                event["responseStatus"]["code"]
            ])
        })
        .collect();
    let expected = [
        json!(["admin", "patch", "testruns", "ghost-live", 200]),
        json!(["admin", "delete", "apps", "cloud", 200]),
        json!(["bob", "patch", "testruns", "ghost-live", 403]),
    ];
    assert_eq!(told, expected);
    let secrets = [&showcase.server.admin, &showcase.server.bob];
    assert!(secrets.iter().all(|secret| !events.iter().any(|event| event.to_string().contains(secret.as_str()))));
}
