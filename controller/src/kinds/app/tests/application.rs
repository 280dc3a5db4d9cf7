//! The OAuth2 application that an App has at a forge: made once, kept, changed when asked, removed with the App.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Kind as _;
use api_types::kinds::app::App;
use api_types::kinds::forge::Forge;
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::forge::fake::FaultKind;
use serde_json::{Value, json};

use super::world::{ABRA, DOMAIN, STACK, World};
use crate::runtime::objects::ObjectKey;

const VERSION: &str = "1.2.0+1";
const COMPOSE: &str = "\
version: '3.8'
services:
  app:
    image: 127.0.0.1:5000/app:1
    environment: [CLIENT_ID]
    secrets: [client_secret]
    deploy:
      labels:
        - 'traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)'
secrets:
  client_secret: {external: true, name: '${STACK_NAME}_client_secret_${SECRET_CLIENT_SECRET_VERSION}'}
";
const SAMPLE: &str = "TYPE=demo\nDOMAIN=demo.example\nCLIENT_ID=\nSECRET_CLIENT_SECRET_VERSION=v1 # generate=false\n";

pub(super) fn key() -> ObjectKey {
    ObjectKey::new("secrets", "default", "x-oauth")
}

/// Returns a world with a Forge whose token has these scopes.
pub(super) async fn start(scopes: &[&str]) -> World {
    let world = World::start().await;
    world.publish(VERSION, &[("compose.yml", COMPOSE), (".env.sample", SAMPLE), ("abra.sh", ABRA)]);
    world.forge.world().token("bot", "token-canary", Some(scopes));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "forge", "namespace": "default"}, "data": {"token": STANDARD.encode("token-canary")}});
    world.objects.create("secrets", secret).await.unwrap();
    let forge = json!({"apiVersion": Forge::api_version(), "kind": Forge::KIND, "metadata": {"name": "main"},
        "spec": {"url": "http://forge.test", "tokenSecretRef": {"namespace": "default", "name": "forge"}}});
    let forge = world.objects.create(&Forge::resource(), forge).await.unwrap();
    world.objects.update_status(&forge, json!({"login": "bot"})).await.unwrap();
    world
}

pub(super) async fn create(world: &World) {
    let application = json!({"forgeRef": "main", "name": "drone", "redirectPaths": ["/login"],
        "clientIDEnv": "CLIENT_ID", "clientSecret": "client_secret"});
    world.create_app("x", json!({"version": VERSION, "oauthApplication": application})).await;
}

/// Returns client ID and secret as they are kept.
pub(super) async fn kept(world: &World) -> (String, String) {
    let data = world.objects.get(&key()).await.unwrap().value["data"].clone();
    let text = |name: &str| {
        let bytes = STANDARD.decode(data[name].as_str().unwrap_or_default()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    (text("client_id"), text("client_secret"))
}

/// Returns how often a kind of call was made.
pub(super) fn asked(world: &World, method: &str) -> usize {
    let begin = format!("{method} /api/v1/user/applications");
    world.forge.seen().iter().filter(|seen| seen.what.starts_with(&begin)).count()
}

/// What the running service has of it: the variable, and the secret's name.
pub(super) async fn running(world: &World) -> (Option<String>, String) {
    let spec = world.service("app").await.unwrap().spec.task_template.container_spec;
    let id = spec.env.iter().find_map(|entry| entry.strip_prefix("CLIENT_ID=").map(str::to_owned));
    (id, spec.secrets[0].name.clone())
}

#[tokio::test(start_paused = true)]
async fn an_application_is_made_once_and_goes_with_the_app() {
    let mut world = start(&["write:user"]).await;
    create(&world).await;
    let status = world.until_ready("x").await;
    let (id, secret) = kept(&world).await;
    assert!(world.forge.world().takes_secret(&id, &secret));
    let there = world.forge.world().oauth_applications();
    assert_eq!(there, [("drone".to_owned(), id.clone(), vec![format!("https://{DOMAIN}/login")])]);
    let before = running(&world).await;
    assert_eq!(before.0.as_ref(), Some(&id));
    assert!(before.1.starts_with(&format!("{STACK}_client_secret_v")), "{before:?}");
    assert_eq!(status.oauth_application.unwrap().client_id, id);
    // Neither a restart nor time makes another one.
    world.run();
    world.change("x", |app| app["spec"]["env"] = json!({"OTHER": "1"})).await;
    world.until_ready("x").await;
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 0));
    assert_eq!(kept(&world).await, (id.clone(), secret.clone()));
    // Another address: the application gets another secret, and the app with it.
    world.change("x", |app| app["spec"]["oauthApplication"]["redirectPaths"] = json!(["/login", "/hook"])).await;
    world.until_ready("x").await;
    let (same, other) = kept(&world).await;
    assert!(same == id && other != secret && world.forge.world().takes_secret(&id, &other));
    assert_ne!(running(&world).await.1, before.1);
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(world.forge.world().oauth_applications(), []);
    assert!(world.objects.get(&key()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_application_whose_answer_was_lost_is_found_again() {
    let world = start(&["write:user"]).await;
    world.forge.fail("POST /api/v1/user/applications", 1, FaultKind::ReplyLost);
    create(&world).await;
    world.until_ready("x").await;
    let (id, secret) = kept(&world).await;
    assert_eq!(world.forge.world().oauth_applications().len(), 1, "no second one");
    assert!(world.forge.world().takes_secret(&id, &secret));
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_application_of_somebody_else_is_told_and_taken_over_with_its_secret() {
    let world = start(&["write:user"]).await;
    let id = world.forge.world().oauth_application("bot", "drone", "https://other.example/login");
    create(&world).await;
    let status = world
        .until("x", "it is told", |status| {
            find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == reason::APPLICATION_SECRET_UNKNOWN)
        })
        .await;
    let message = &find(&status.conditions, "Ready").unwrap().message;
    assert!(message.contains("kubectl create secret generic x-oauth") && message.contains(&id), "{message}");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "x-oauth", "namespace": "default"},
        "data": {"client_id": STANDARD.encode(&id), "client_secret": STANDARD.encode("known by a person")}});
    world.objects.create("secrets", secret).await.unwrap();
    world.until_ready("x").await;
    assert_eq!(running(&world).await.0, Some(id.clone()));
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (0, 0));
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(world.forge.world().oauth_applications().len(), 1, "it was not made here");
    assert!(world.objects.get(&key()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_missing_is_named_and_the_app_goes_on_once_it_is_there() {
    let world = start(&["read:user", "write:repository"]).await;
    create(&world).await;
    let status = world
        .until("x", "it is told", |status| {
            find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == reason::SCOPES_MISSING)
        })
        .await;
    let ready = find(&status.conditions, "Ready").unwrap();
    assert!(ready.status == ConditionStatus::False && ready.message.contains("write:user"), "{ready:?}");
    assert!(!json!(status).to_string().contains("token-canary"));
    world.forge.world().token("bot", "token-canary", Some(&["write:user"]));
    world.until_ready("x").await;
    // A forge that does not let us any more keeps no App from going.
    world.forge.world().token("bot", "token-canary", Some(&["read:user"]));
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(world.forge.world().oauth_applications().len(), 1);
    assert!(world.objects.get(&key()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_keeps_its_data_keeps_its_application() {
    let world = start(&["write:user"]).await;
    create(&world).await;
    world.change("x", |app| app["spec"]["volumes"] = json!("Retain")).await;
    world.until_ready("x").await;
    let before = kept(&world).await;
    world.delete("x").await;
    world.until_gone("x").await;
    create(&world).await;
    world.change("x", |app| app["spec"]["volumes"] = json!("Retain")).await;
    world.until_ready("x").await;
    assert_eq!(kept(&world).await, before);
    assert_eq!((asked(&world, "POST"), asked(&world, "PATCH")), (1, 0));
    let stored: Value =
        world.objects.get(&ObjectKey::new(&App::resource(), "default", "x")).await.unwrap().value.clone();
    assert!(!stored.to_string().contains(&before.1), "the secret is in the Secret alone");
}
