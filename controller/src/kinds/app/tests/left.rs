//! Secrets of Apps that are gone: which of them go, and which stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api_types::kind::Kind as _;
use api_types::kinds::app::App;
use api_types::reason;
use api_types::status::{Reason, Status};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::application;
use super::upgrade::events;
use super::world::{DOMAIN, World};
use crate::kinds::app::generated::key;
use crate::kinds::app::reaper::Mode;
use crate::runtime::objects::{Listing, ObjectKey, ObjectWatch, Objects, ServedResource, StoredObject};

/// A store that does not take some removals: for whoever asks, ccd ended before it.
struct Stubborn {
    inner: Arc<dyn Objects>,
    refusals: AtomicUsize,
}

#[async_trait]
impl Objects for Stubborn {
    fn served(&self) -> Vec<ServedResource> {
        self.inner.served()
    }

    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status> {
        self.inner.list(resource, namespace).await
    }

    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status> {
        self.inner.watch(resource, after).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        self.inner.get(key).await
    }

    async fn create(&self, resource: &str, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.inner.create(resource, value).await
    }

    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.inner.update(key, value).await
    }

    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status> {
        self.inner.update_status(object, status).await
    }

    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status> {
        self.inner.finalize_namespace(key, value).await
    }

    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status> {
        let is_refused = &*key.resource == "secrets"
            && self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_refused {
            return Err(Status::failure(Reason::ServiceUnavailable, "the store is going down".to_owned()));
        }
        self.inner.delete(key, uid).await
    }
}

/// Takes an App out of the store, whatever its finalizer has to say.
async fn force_out(world: &mut World, name: &str) {
    world.kill();
    let key = ObjectKey::new(&App::resource(), "default", name);
    world.objects.delete(&key, None).await.unwrap();
    world.change(name, |app| app["metadata"]["finalizers"] = json!([])).await;
    assert!(world.app(name).await.is_none());
    world.run();
    // The lists of a ccd that starts arrive.
    tokio::time::sleep(Duration::from_secs(5)).await;
}

async fn is_kept(world: &World, key: &ObjectKey) -> bool {
    world.objects.get(key).await.is_ok()
}

async fn until_kept(world: &World, app: &str) -> Arc<StoredObject> {
    for _ in 0..6000 {
        if let Ok(stored) = world.objects.get(&key("default", app)).await {
            return stored;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is kept of {app}");
}

#[tokio::test(start_paused = true)]
async fn secrets_go_after_their_app_if_its_data_was_to_go_and_stay_otherwise() {
    for (volumes, stays) in [("Delete", false), ("Retain", true)] {
        let mut world = World::start().await;
        // What counts is what the App said last.
        let before = if stays { "Delete" } else { "Retain" };
        world.create_app("x", json!({"volumes": before})).await;
        world.until_ready("x").await;
        world.change("x", |app| app["spec"]["volumes"] = json!(volumes)).await;
        world.until_ready("x").await;
        force_out(&mut world, "x").await;
        let mut dry = world.reaper(Mode::DryRun);
        for _ in 0..3 {
            dry.tick().await;
        }
        assert!(is_kept(&world, &key("default", "x")).await, "{volumes}: it only looks");
        let mut reaper = world.reaper(Mode::Act);
        reaper.tick().await;
        assert!(is_kept(&world, &key("default", "x")).await, "{volumes}: it has to be seen twice");
        reaper.tick().await;
        reaper.tick().await;
        assert_eq!(is_kept(&world, &key("default", "x")).await, stays, "{volumes}");
        // Events are written beside what they are about.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let told = events(&world).await;
        let of_secret = |event: &&String| event.contains("this Secret was removed");
        assert_eq!(told.iter().filter(of_secret).count(), usize::from(!stays), "{volumes}: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_of_an_app_that_is_there_again_stay() {
    let mut world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    force_out(&mut world, "x").await;
    let mut reaper = world.reaper(Mode::Act);
    reaper.tick().await;
    world.create_app("x", json!({})).await;
    reaper.tick().await;
    reaper.tick().await;
    assert!(is_kept(&world, &key("default", "x")).await);
}

#[tokio::test(start_paused = true)]
async fn an_application_goes_after_its_app_as_soon_as_its_forge_is_there() {
    let mut world = application::start(&["write:user"]).await;
    application::create(&world).await;
    world.until_ready("x").await;
    force_out(&mut world, "x").await;
    world.forge.fail("DELETE /api/v1/user/applications", 1, ports::forge::fake::FaultKind::Refused);
    let mut reaper = world.reaper(Mode::Act);
    reaper.tick().await;
    reaper.tick().await;
    assert!(is_kept(&world, &application::key()).await, "what is left at the forge is known by it alone");
    reaper.tick().await;
    assert!(!is_kept(&world, &application::key()).await);
    assert_eq!(world.forge.world().oauth_applications(), []);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = events(&world).await;
    let reaped =
        |event: &&String| event.starts_with(reason::ORPHAN_REAPED) && event.contains("this Secret was removed");
    assert_eq!(told.iter().filter(reaped).count(), 2, "generated values and the application: {told:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_over_goes_also_when_ccd_ended_in_between() {
    let mut world = World::start().await;
    world.create_app("x", json!({"volumes": "Retain"})).await;
    world.until_ready("x").await;
    world.delete("x").await;
    world.until_gone("x").await;
    assert!(is_kept(&world, &key("default", "x")).await, "it stays with the volumes");
    let value = |stored: Arc<StoredObject>| stored.value["data"]["x_example_pass_v1"].clone();
    let before = value(world.objects.get(&key("default", "x")).await.unwrap());
    world.kill();
    let inner = world.objects.clone();
    world.objects = Arc::new(Stubborn { inner: inner.clone(), refusals: AtomicUsize::new(usize::MAX) });
    world.run();
    world.create_app("y", json!({"volumes": "Retain", "domain": DOMAIN})).await;
    assert_eq!(value(until_kept(&world, "y").await), before);
    assert!(is_kept(&world, &key("default", "x")).await, "ccd did not get to it");
    world.kill();
    world.objects = inner;
    world.run();
    world.until_ready("y").await;
    assert!(!is_kept(&world, &key("default", "x")).await, "two Secrets hold the same values");
    assert_eq!(value(until_kept(&world, "y").await), before);
}
