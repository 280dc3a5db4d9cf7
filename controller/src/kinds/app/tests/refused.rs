//! Versions that cannot be deployed: what runs goes on, and is told apart from them.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find, is_true};
use api_types::kinds::app_upgrade::UpgradePhase;
use api_types::reason;
use serde_json::json;

use super::upgrade::{DATA, events, is_ready, phase, publish, runs, with_data};
use super::world::{ABRA, COMPOSE, SAMPLE, World};
use crate::kinds::app::upgrade::RETRY_ANNOTATION;

/// Publishes a version with this compose file.
fn publish_compose(world: &World, version: &str, compose: &str) {
    world.publish(version, &[("compose.yml", compose), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")]);
}

/// A compose file that no stack can be made of.
fn broken() -> String {
    COMPOSE.replace("    networks: [internal]\n", "    networks: [elsewhere]\n")
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_read_is_held_and_what_runs_is_looked_after() {
    let long = format!("{COMPOSE}  a{}: {{file: conf.tmpl}}\n", "b".repeat(80));
    let cases = [
        ("a network that is not there", broken(), reason::COMPOSE_INVALID, "elsewhere"),
        ("no YAML", "services: [".to_owned(), reason::COMPOSE_INVALID, "compose.yml"),
        ("a name that is too long", long, reason::NAME_TOO_LONG, "bbb"),
    ];
    for (name, compose, expected, said) in cases {
        let mut world = with_data().await;
        publish(&world, "1.0.1+1", "app:2", &[]);
        publish_compose(&world, "1.1.0+2", &compose);
        let status = world.until_condition("x", "UpToDate", ConditionStatus::False, expected).await;
        assert!(is_true(&status.conditions, "Configured"), "{name}: {:#?}", status.conditions);
        let held = status.held.unwrap();
        assert_eq!((held.version.as_str(), held.reason.as_str()), ("1.1.0+2", expected), "{name}");
        assert!(held.message.contains(said) && held.message.contains(RETRY_ANNOTATION), "{name}: {}", held.message);
        let status = world.until("x", "the one before it is taken", |status| runs(status) == Some("1.0.1+1")).await;
        assert_eq!(status.held.unwrap().from.as_deref(), Some("1.0.1+1"), "{name}");
        world.until("x", "it is upgraded", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;

        // A ccd that is started again finds the same, and heals what runs.
        world.run();
        let id = world.service("db").await.unwrap().id;
        ports::swarm::Engine::remove_service(&world.engine, &id).await.unwrap();
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let conditions = world.app("x").await.unwrap().status.conditions;
            assert!(is_true(&conditions, "Configured"), "{name}: {conditions:#?}");
        }
        assert!(world.service("db").await.is_some() && is_ready(&world.app("x").await.unwrap().status), "{name}");
        let told = events(&world).await;
        assert_eq!(told.iter().filter(|event| event.starts_with(expected)).count(), 1, "{name}: {told:#?}");

        // The next one is taken by itself.
        publish(&world, "1.1.1+2", "app:3", &[]);
        let status = world.until("x", "the next is taken", |status| runs(status) == Some("1.1.1+2")).await;
        assert_eq!(status.held, None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_person_names_and_that_cannot_be_read_waits_until_it_is_mended() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    publish_compose(&world, "2.0.0+2", &broken());
    world.change("x", |app| app["spec"]["version"] = json!("2.0.0+2")).await;
    let status = world.until_condition("x", "Ready", ConditionStatus::False, reason::COMPOSE_INVALID).await;
    assert!(is_true(&status.conditions, "Configured"), "{:#?}", status.conditions);
    assert_eq!((runs(&status), phase(&status)), (Some("1.0.0+1"), None));
    let held = status.held.unwrap();
    let stay = "To stay with 1.0.0+1: ccctl patch app/x -n default -p '{\"spec\":{\"version\":\"1.0.0+1\"}}'";
    assert!(held.version == "2.0.0+2" && held.message.contains(stay), "{}", held.message);
    // Whoever mends it says so, and does not wait.
    publish(&world, "2.0.0+2", "app:2", &[]);
    let before = world.clock.now();
    world.change("x", |app| app["metadata"]["annotations"] = json!({RETRY_ANNOTATION: "1"})).await;
    let status = world.until("x", "it is taken", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!((runs(&status), is_ready(&status), &status.held), (Some("2.0.0+2"), true, &None));
    assert!(world.clock.now().duration_since(before).as_secs() < 120);
}

#[tokio::test(start_paused = true)]
async fn the_first_version_of_an_app_has_nothing_that_could_stay() {
    let world = World::start().await;
    publish_compose(&world, "1.1.0+2", &broken());
    world.create_app("x", json!({"version": "1.1.0+2"})).await;
    let status = world.until_condition("x", "Configured", ConditionStatus::False, reason::COMPOSE_INVALID).await;
    assert!(status.held.is_none() && find(&status.conditions, "UpToDate").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_to_a_version_that_is_spoilt_meanwhile_goes_back() {
    let mut world = with_data().await;
    publish(&world, "1.1.0+2", "app:2", &[]);
    world.until("x", "it is saved", |status| phase(status) == Some(UpgradePhase::Saving)).await;
    world.kill();
    publish_compose(&world, "1.1.0+2", &broken());
    world.run();
    let status = world.until("x", "it is back", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    let upgrade = status.upgrade.clone().unwrap();
    assert_eq!(upgrade.reason.as_deref(), Some(reason::UPGRADE_OVERTAKEN));
    assert!(upgrade.message.unwrap().contains("elsewhere"));
    let status = world.until_ready("x").await;
    assert_eq!((runs(&status), world.engine.read_volume(DATA).unwrap()), (Some("1.0.0+1"), b"guests".to_vec()));
}
