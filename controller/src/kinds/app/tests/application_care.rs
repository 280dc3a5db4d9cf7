//! What becomes of an application that was made here: another secret on request, another application when it is removed.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Kind as _;
use api_types::kinds::app::{AppSecretSource, AppStatus, ROTATE_ANNOTATION_PREFIX, RotationResult};
use api_types::kinds::forge::Forge;
use api_types::reason;
use ports::forge::fake::FaultKind;
use serde_json::json;

use super::application::{asked, create, kept, running, start};
use super::upgrade::{events, is_ready};
use super::world::World;
use crate::runtime::objects::ObjectKey;

const LIST: &str = "GET /api/v1/user/applications";
const MAKE: &str = "POST /api/v1/user/applications";
const CHANGE: &str = "PATCH /api/v1/user/applications";

async fn with_application() -> World {
    let world = start(&["write:user"]).await;
    create(&world).await;
    world.until_ready("x").await;
    world
}

async fn ask(world: &World, word: &str) {
    world
        .change("x", |app| {
            app["metadata"]["annotations"][format!("{ROTATE_ANNOTATION_PREFIX}client_secret")] = json!(word);
        })
        .await;
}

fn result(status: &AppStatus) -> Option<RotationResult> {
    let secret = status.secrets.iter().find(|secret| secret.name == "client_secret")?;
    assert_eq!(secret.source, AppSecretSource::Application);
    secret.rotation.as_ref().map(|rotation| rotation.result)
}

/// Waits until so many calls of a kind were made.
async fn until_asked(world: &World, method: &str, times: usize) {
    for _ in 0..36_000 {
        if asked(world, method) >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{method} was asked {} times", asked(world, method));
}

/// Sees that what is kept is what the forge takes, and the only thing.
async fn is_in_order(world: &World) -> (String, String) {
    let (id, secret) = kept(world).await;
    assert!(world.forge.world().takes_secret(&id, &secret));
    let there: Vec<String> = world.forge.world().oauth_applications().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(there, std::slice::from_ref(&id));
    assert_eq!(running(world).await.0, Some(id.clone()));
    (id, secret)
}

#[tokio::test(start_paused = true)]
async fn another_secret_is_made_once_for_each_word_that_asks() {
    let mut world = with_application().await;
    let (before, ran) = (kept(&world).await, running(&world).await);
    ask(&world, "one").await;
    let status = world.until("x", "it is rotated", |status| result(status) == Some(RotationResult::Succeeded)).await;
    assert!(is_ready(&status));
    let after = is_in_order(&world).await;
    assert!(after.0 == before.0 && after.1 != before.1);
    assert_ne!(running(&world).await.1, ran.1);
    world.run();
    world.change("x", |app| app["spec"]["env"] = json!({"OTHER": "1"})).await;
    world.until_ready("x").await;
    tokio::time::sleep(Duration::from_mins(40)).await;
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 1));
    assert_eq!(kept(&world).await, after);
    ask(&world, "two").await;
    until_asked(&world, "PATCH", 2).await;
    world.until("x", "it is rotated", |status| result(status) == Some(RotationResult::Succeeded)).await;
    world.until_ready("x").await;
    assert_ne!(is_in_order(&world).await.1, after.1);
    assert!(!events(&world).await.iter().any(|event| event.contains(&after.1)), "no secret is told");
}

#[tokio::test(start_paused = true)]
async fn a_ccd_that_is_killed_before_it_has_written_the_new_secret_gets_another_one() {
    let mut world = with_application().await;
    let before = kept(&world).await;
    world.forge.fail(CHANGE, 1, FaultKind::Slow(Duration::from_secs(5)));
    ask(&world, "one").await;
    until_asked(&world, "PATCH", 1).await;
    assert!(!world.forge.world().takes_secret(&before.0, &before.1), "the forge has made it already");
    world.run();
    world.until("x", "it is rotated", |status| result(status) == Some(RotationResult::Succeeded)).await;
    world.until_ready("x").await;
    let after = is_in_order(&world).await;
    assert!(after.0 == before.0 && after.1 != before.1);
    tokio::time::sleep(Duration::from_mins(40)).await;
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_is_away_is_waited_for_with_the_old_secret() {
    let world = with_application().await;
    let before = kept(&world).await;
    world.forge.fail(LIST, usize::MAX, FaultKind::Refused);
    ask(&world, "one").await;
    let status = world.until("x", "it waits", |status| result(status) == Some(RotationResult::Trying)).await;
    let rotation = status.secrets[0].rotation.as_ref().unwrap();
    assert!(rotation.message.contains("as good as before"), "{}", rotation.message);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(is_ready(&world.app("x").await.unwrap().status));
    }
    assert_eq!((kept(&world).await, asked(&world, "POST"), asked(&world, "PATCH")), (before.clone(), 1, 0));
    let told = events(&world).await;
    assert_eq!(told.iter().filter(|event| event.starts_with(reason::ROTATION_DELAYED)).count(), 1, "{told:#?}");
    world.forge.heal();
    world.until("x", "it is rotated", |status| result(status) == Some(RotationResult::Succeeded)).await;
    assert_ne!(kept(&world).await, before);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_somebody_removed_is_made_anew() {
    for is_killed in [false, true] {
        let mut world = with_application().await;
        let before = kept(&world).await;
        world.forge.world().remove_oauth_application(&before.0);
        if is_killed {
            world.forge.fail(MAKE, 1, FaultKind::Slow(Duration::from_secs(5)));
            until_asked(&world, "POST", 2).await;
            world.run();
        }
        world
            .until("x", "there is another one", |status| {
                status.oauth_application.as_ref().is_some_and(|application| application.client_id != before.0)
            })
            .await;
        world.until_ready("x").await;
        let after = is_in_order(&world).await;
        assert_ne!(after.0, before.0);
        tokio::time::sleep(Duration::from_mins(40)).await;
        let lost = usize::from(is_killed);
        assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (2, lost), "killed: {is_killed}");
        assert_eq!(kept(&world).await, after);
        let told = events(&world).await;
        assert_eq!(told.iter().filter(|event| event.starts_with(reason::APPLICATION_REMOVED)).count(), 1, "{told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_is_not_seen_for_another_reason_stays_as_it_is() {
    let world = with_application().await;
    let before = kept(&world).await;
    // A list that lacks it once, as one does that is read from a replica which is behind.
    world.forge.fail(LIST, 1, FaultKind::Status(200, Vec::new(), "[]".to_owned()));
    tokio::time::sleep(Duration::from_mins(40)).await;
    // Another account does not see it.
    world.forge.world().user("carol").token("carol", "token-canary", Some(&["write:user"]));
    let forge = world.objects.get(&ObjectKey::new(&Forge::resource(), "", "main")).await.unwrap();
    world.objects.update_status(&forge, json!({"login": "carol"})).await.unwrap();
    tokio::time::sleep(Duration::from_mins(40)).await;
    assert!(is_ready(&world.app("x").await.unwrap().status));
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 0));
    assert!(asked(&world, "GET") > 3, "it has looked");
    assert_eq!(is_in_order(&world).await, before);
}

#[tokio::test(start_paused = true)]
async fn an_application_that_somebody_put_in_its_place_is_told_and_not_touched() {
    let world = with_application().await;
    let before = kept(&world).await;
    world.forge.world().remove_oauth_application(&before.0);
    let other = world.forge.world().oauth_application("bot", "drone", "https://other.example/login");
    let reason = reason::APPLICATION_SECRET_UNKNOWN;
    let status = world.until_condition("x", "Ready", ConditionStatus::False, reason).await;
    let message = &find(&status.conditions, "Ready").unwrap().message;
    assert!(message.contains(&other) && message.contains("kubectl delete secret x-oauth"), "{message}");
    tokio::time::sleep(Duration::from_mins(40)).await;
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH"), kept(&world).await), (1, 0, before.clone()));
    world.forge.world().remove_oauth_application(&other);
    world
        .until("x", "there is another one", |status| {
            status.oauth_application.as_ref().is_some_and(|application| application.client_id != before.0)
        })
        .await;
    world.until_ready("x").await;
    is_in_order(&world).await;
}
