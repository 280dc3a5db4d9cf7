//! Generated secrets: kept in the store, found again, never made twice by accident, and rotated when somebody asks.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kinds::app::{AppSecretSource, AppStatus, ROTATE_ANNOTATION_PREFIX, RotationResult};
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::files::{Area, FileName};
use ports::probe::fake::FakeAnswer;
use ports::swarm::{Engine as _, Filter};
use serde_json::{Value, json};

use super::world::{DOMAIN, STACK, World};
use crate::kinds::app::generated::key;

/// Returns what is kept of an App in the store, by names in the swarm.
async fn kept(world: &World, app: &str) -> Option<Value> {
    let stored = world.objects.get(&key("default", app)).await.ok()?;
    Some(stored.value["data"].clone())
}

/// Returns the names of the swarm's secrets.
async fn in_swarm(world: &World) -> Vec<String> {
    let secrets = world.engine.secrets(&Filter::default()).await.unwrap();
    secrets.into_iter().map(|secret| secret.name.trim_start_matches(&format!("{STACK}_")).to_owned()).collect()
}

async fn ask(world: &World, secret: &str, word: &str) {
    let name = format!("{ROTATE_ANNOTATION_PREFIX}{secret}");
    world.change("x", |app| app["metadata"]["annotations"][&name] = json!(word)).await;
}

/// Waits until a rotation has come to this, and the App is ready.
async fn until_rotated(world: &World, secret: &str, result: RotationResult) -> AppStatus {
    world
        .until("x", &format!("{secret} is {result:?}"), |status| {
            let found = status.secrets.iter().find(|found| found.name == secret);
            let is_so = found.and_then(|found| found.rotation.as_ref()).is_some_and(|last| last.result == result);
            is_so && find(&status.conditions, "Ready").is_some_and(|ready| ready.status == ConditionStatus::True)
        })
        .await
}

/// Waits until the swarm has exactly these secrets.
async fn until_in_swarm(world: &World, names: &[&str]) {
    for _ in 0..6_000 {
        if in_swarm(world).await == names {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{names:?} are not what is left: {:?}", in_swarm(world).await);
}

#[tokio::test(start_paused = true)]
async fn a_generated_value_is_kept_in_the_store_and_outlives_swarm_and_disk() {
    let mut world = World::start().await;
    world.create_app("x", json!({})).await;
    let status = world.until_ready("x").await;
    let before = kept(&world, "x").await.unwrap();
    let value = STANDARD.decode(before[format!("{STACK}_pass_v1")].as_str().unwrap()).unwrap();
    assert_eq!(value.len(), 20, "as the recipe says");
    let secret = &status.secrets[0];
    assert_eq!(
        (secret.name.as_str(), secret.source, secret.version.as_str()),
        ("pass", AppSecretSource::Generated, "v1")
    );
    assert!(secret.since.is_some());
    // A new machine: the store alone is left.
    world.kill();
    for folder in world.files.list(Area::Apps).unwrap() {
        world.files.remove(Area::Apps, &FileName::new(&*folder).unwrap()).unwrap();
    }
    for service in world.engine.services(&Filter::default()).await.unwrap() {
        world.engine.remove_service(&service.id).await.unwrap();
    }
    for secret in world.engine.secrets(&Filter::default()).await.unwrap() {
        world.engine.remove_secret(&secret.id).await.unwrap();
    }
    world.run();
    until_in_swarm(&world, &["pass_v1"]).await;
    world.until_ready("x").await;
    assert_eq!(kept(&world, "x").await.unwrap(), before);
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(kept(&world, "x").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_ccd_kept_in_a_file_moves_into_the_store() {
    let world = World::start().await;
    let value = STANDARD.encode("from before");
    let content = json!({"key": STANDARD.encode([7; 32]), "values": {format!("{STACK}_pass_v1"): value}}).to_string();
    let (folder, file) = (FileName::new(STACK).unwrap(), FileName::new("secrets.json").unwrap());
    world.files.write_file(Area::Apps, &folder, &file, content.as_bytes()).unwrap();
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    assert_eq!(kept(&world, "x").await.unwrap()[format!("{STACK}_pass_v1")], value);
    assert_eq!(world.files.read_file(Area::Apps, &folder, &file, 1 << 20).unwrap(), None, "it is nowhere in clear");
}

#[tokio::test(start_paused = true)]
async fn what_stays_is_the_next_apps_of_the_stack() {
    let world = World::start().await;
    world.create_app("x", json!({"volumes": "Retain"})).await;
    world.until_ready("x").await;
    let before = kept(&world, "x").await.unwrap();
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(kept(&world, "x").await.as_ref(), Some(&before));
    world.create_app("y", json!({"volumes": "Retain"})).await;
    world.until_ready("y").await;
    assert_eq!(kept(&world, "y").await.as_ref(), Some(&before));
    assert_eq!(kept(&world, "x").await, None, "it is in one place");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_secret_of_that_name_is_left_alone() {
    let world = World::start().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "x-generated", "namespace": "default"}, "data": {"mine": "bWluZQ=="}});
    world.objects.create("secrets", secret).await.unwrap();
    world.create_app("x", json!({})).await;
    let status = world.until("x", "it says so", |status| {
        find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == reason::SECRET_NOT_OURS)
    });
    status.await;
    assert_eq!(kept(&world, "x").await.unwrap(), json!({"mine": "bWluZQ=="}));
    world.objects.delete(&key("default", "x"), None).await.unwrap();
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_lost_is_told_and_not_made_anew_before_somebody_asks() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    world.objects.delete(&key("default", "x"), None).await.unwrap();
    let status = world.until("x", "the value is not known", |status| {
        status.secrets.first().is_some_and(|secret| secret.source == AppSecretSource::Found)
    });
    status.await;
    for service in world.engine.services(&Filter::default()).await.unwrap() {
        world.engine.remove_service(&service.id).await.unwrap();
    }
    for secret in world.engine.secrets(&Filter::default()).await.unwrap() {
        world.engine.remove_secret(&secret.id).await.unwrap();
    }
    let status = world.until_condition("x", "Deployed", ConditionStatus::False, reason::SECRET_LOST).await;
    let message = &find(&status.conditions, "Deployed").unwrap().message;
    assert!(message.contains("ccctl secret rotate app/x pass"), "{message}");
    assert_eq!(in_swarm(&world).await, Vec::<String>::new());
    ask(&world, "pass", "lost").await;
    until_rotated(&world, "pass", RotationResult::Succeeded).await;
    until_in_swarm(&world, &["pass_v2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_gives_a_new_value_once_and_takes_the_old_one_away() {
    let mut world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    let before = kept(&world, "x").await.unwrap()[format!("{STACK}_pass_v1")].clone();
    // At whatever moment ccd is started again, it is the same rotation.
    for (count, delay) in [0, 100, 1_000, 5_000].into_iter().enumerate() {
        ask(&world, "pass", &format!("word {count}")).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        world.run();
        let status = until_rotated(&world, "pass", RotationResult::Succeeded).await;
        let version = format!("v{}", count + 2);
        assert_eq!(status.secrets[0].version, version);
        until_in_swarm(&world, &[&format!("pass_{version}")]).await;
        let now = kept(&world, "x").await.unwrap();
        assert_eq!(now.as_object().unwrap().keys().collect::<Vec<_>>(), [&format!("{STACK}_pass_{version}")]);
        assert_ne!(now[format!("{STACK}_pass_{version}")], before);
        let mounted = world.service("app").await.unwrap().spec.task_template.container_spec.secrets;
        assert_eq!(mounted[0].name, format!("{STACK}_pass_{version}"));
    }
    let (tasks, settled) = (world.running_tasks().await, kept(&world, "x").await);
    ask(&world, "pass", "word 3").await;
    world.run();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((world.running_tasks().await, kept(&world, "x").await), (tasks, settled), "the same word asks once");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_with_which_the_app_does_not_get_well_is_taken_back() {
    let mut world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    let before = kept(&world, "x").await.unwrap();
    world.probe.set_host(DOMAIN, FakeAnswer::Status(500, String::new()));
    ask(&world, "pass", "one").await;
    let is_tried = |status: &AppStatus| status.secrets.iter().any(|secret| secret.version == "v2");
    world.until("x", "the new value is tried", is_tried).await;
    world.run();
    world
        .until("x", "it is taken back", |status| {
            let last = status.secrets.first().and_then(|secret| secret.rotation.as_ref());
            last.is_some_and(|last| last.result == RotationResult::TurnedBack && last.message.contains("500"))
        })
        .await;
    world.probe.set_host(DOMAIN, FakeAnswer::Status(200, String::new()));
    let status = until_rotated(&world, "pass", RotationResult::TurnedBack).await;
    assert_eq!(status.secrets[0].version, "v1");
    until_in_swarm(&world, &["pass_v1"]).await;
    assert_eq!(kept(&world, "x").await.unwrap(), before);
    ask(&world, "pass", "two").await;
    until_rotated(&world, "pass", RotationResult::Succeeded).await;
    // A version that was tried is not used again: nodes may know it with the other value.
    until_in_swarm(&world, &["pass_v3"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rotated_says_why() {
    let world = World::start().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "given", "namespace": "default"}, "data": {"value": "c2VjcmV0"}});
    world.objects.create("secrets", secret).await.unwrap();
    let secrets = json!([{"name": "pass", "valueFrom": {"name": "given"}}]);
    world.create_app("x", json!({"secrets": secrets})).await;
    world.until_ready("x").await;
    let tasks = world.running_tasks().await;
    ask(&world, "nonsense", "one").await;
    ask(&world, "pass", "one").await;
    let status = until_rotated(&world, "pass", RotationResult::Refused).await;
    assert_eq!(status.secrets[0].source, AppSecretSource::Given);
    assert!(status.secrets[0].rotation.as_ref().unwrap().message.contains("given"), "{status:#?}");
    assert_eq!(world.running_tasks().await, tasks);
    for _ in 0..600 {
        let events = world.objects.list("events", None).await.unwrap().objects;
        let texts = events.iter().map(|event| event.value.to_string());
        if texts.into_iter().any(|text| text.contains("nonsense cannot be rotated. The recipe has no secret")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody is told of a secret that is not there");
}
