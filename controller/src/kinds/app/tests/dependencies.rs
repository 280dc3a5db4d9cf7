//! Apps that need other Apps: the order in which they come and go.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kinds::app::AppStatus;
use api_types::reason;
use ports::probe::fake::FakeAnswer;
use serde_json::json;

use super::world::World;

const PROXY: &str = "proxy.example";

fn word(status: &AppStatus, type_: &str) -> Option<(ConditionStatus, String)> {
    find(&status.conditions, type_).map(|found| (found.status, found.reason.clone()))
}

#[tokio::test(start_paused = true)]
async fn an_app_waits_for_those_it_needs_and_is_woken_by_them() {
    let world = World::start().await;
    world.create_app("x", json!({"dependsOn": [{"name": "proxy"}]})).await;
    let status = world.until_condition("x", "DependenciesReady", ConditionStatus::False, reason::DEPENDENCY_NOT_READY);
    let status = status.await;
    let message = &find(&status.conditions, "DependenciesReady").unwrap().message;
    assert!(message.starts_with("It waits for the App proxy, which does not exist"), "{message}");
    world.until_condition("x", "Deployed", ConditionStatus::Unknown, reason::DEPENDENCY_NOT_READY).await;
    assert!(world.service("app").await.is_none());
    world.probe.set_host(PROXY, FakeAnswer::Status(500, String::new()));
    world.create_app("proxy", json!({"domain": PROXY})).await;
    world
        .until("proxy", "it runs and does not answer", |status| {
            word(status, "Converged").is_some_and(|(word, _)| word == ConditionStatus::True)
        })
        .await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(world.service("app").await.is_none());
    let calls = world.engine.calls().len();
    world.probe.set_host(PROXY, FakeAnswer::Status(200, String::new()));
    world.until_ready("proxy").await;
    let ready_at = tokio::time::Instant::now();
    let status = world.until_ready("x").await;
    assert!(ready_at.elapsed() < Duration::from_secs(30), "it was woken: {:?}", ready_at.elapsed());
    assert!(world.engine.calls().len() > calls);
    assert_eq!(word(&status, "DependenciesReady").unwrap().0, ConditionStatus::True);
    // What runs goes on when one that it needs fails later.
    world.probe.set_host(PROXY, FakeAnswer::Status(500, String::new()));
    world.until_condition("x", "DependenciesReady", ConditionStatus::False, reason::DEPENDENCY_NOT_READY).await;
    let status = world.app("x").await.unwrap().status;
    assert_eq!(word(&status, "Ready").unwrap().0, ConditionStatus::True);
    // What is put right is no new deploy.
    let id = world.service("app").await.unwrap().id;
    ports::swarm::Engine::remove_service(&world.engine, &id).await.unwrap();
    world
        .until("x", "the service is there again", |status| {
            word(status, "Drifted").is_some_and(|(word, _)| word == ConditionStatus::True)
        })
        .await;
    world.until_ready("x").await;
    assert!(world.service("app").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn apps_that_need_each_other_say_so_and_cost_nothing() {
    let world = World::start().await;
    world.probe.set_host(PROXY, FakeAnswer::Status(200, String::new()));
    world.create_app("x", json!({"dependsOn": [{"name": "proxy"}]})).await;
    world.create_app("proxy", json!({"domain": PROXY, "dependsOn": [{"name": "x"}]})).await;
    for name in ["x", "proxy"] {
        let status = world.until_condition(name, "Deployed", ConditionStatus::False, reason::DEPENDENCY_CYCLE).await;
        let message = &find(&status.conditions, "Ready").unwrap().message;
        assert!(message.contains("x → proxy → x") || message.contains("proxy → x → proxy"), "{message}");
    }
    let before = world.engine.calls().len();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let calls = world.engine.calls().len() - before;
    assert!(calls < 300, "{calls} calls in ten minutes");
    world.change("proxy", |app| app["spec"]["dependsOn"] = json!([])).await;
    world.until_ready("x").await;
    // Those that were deleted together do not wait for each other for ever either.
    world.change("proxy", |app| app["spec"]["dependsOn"] = json!([{"name": "x"}])).await;
    world.delete("x").await;
    world.delete("proxy").await;
    world.until_gone("x").await;
    world.until_gone("proxy").await;
}

#[tokio::test(start_paused = true)]
async fn of_apps_that_are_deleted_together_those_that_need_others_go_first() {
    let world = World::start().await;
    world.probe.set_host(PROXY, FakeAnswer::Status(200, String::new()));
    world.create_app("proxy", json!({"domain": PROXY})).await;
    world.create_app("x", json!({"dependsOn": [{"name": "proxy"}]})).await;
    world.until_ready("x").await;
    world.delete("x").await;
    world.delete("proxy").await;
    for _ in 0..36_000 {
        if world.app("x").await.is_none() {
            break;
        }
        let proxy = world.app("proxy").await.expect("the one that is needed goes last");
        assert!(!world.engine_services(PROXY).await.is_empty(), "{:#?}", proxy.status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.until_gone("proxy").await;
    // One that stays does not keep it, and is told.
    world.create_app("proxy", json!({"domain": PROXY})).await;
    world.create_app("x", json!({"dependsOn": [{"name": "proxy"}]})).await;
    world.until_ready("x").await;
    world.delete("proxy").await;
    world.until_gone("proxy").await;
    world.until_condition("x", "DependenciesReady", ConditionStatus::False, reason::DEPENDENCY_NOT_READY).await;
}
