//! Upgrades with their gates: what is held, what is tried, and the way back.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Kind as _;
use api_types::kinds::app::AppStatus;
use api_types::kinds::app_upgrade::{AppUpgrade, UpgradePhase, VersionStep};
use api_types::kinds::host::Host;
use api_types::reason;
use ports::swarm::fake::{Behaviour, Fault};
use ports::swarm::{Engine as _, Filter, Volume};
use serde_json::json;

use super::world::{ABRA, COMPOSE, SAMPLE, STACK, World};
use crate::kinds::app::upgrade::{RETRY_ANNOTATION, SNAPSHOT_ANNOTATION, SNAPSHOT_LABEL};
use crate::runtime::objects::ObjectKey;

pub(super) const DATA: &str = "x_example_data";
const COPY: &str = "x_example_data.snapshot";

/// Publishes a version whose app is another image, with release notes.
pub(super) fn publish(world: &World, version: &str, image: &str, notes: &[(&str, &str)]) {
    let compose = COMPOSE.replace("app:1", image);
    let mut files =
        vec![("compose.yml", compose.as_str()), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")];
    files.extend_from_slice(notes);
    world.publish(version, &files);
}

/// Publishes a version whose app never gets healthy.
fn publish_bad(world: &World, version: &str, image: &str) {
    publish(world, version, image, &[]);
    world.engine.behave(&format!("127.0.0.1:5000/{image}"), Behaviour::exits(Duration::from_millis(100), 1));
}

pub(super) async fn with_data() -> World {
    let world = World::start().await;
    world.create_app("x", json!({"updatePolicy": {"auto": "Minor"}})).await;
    world.until_ready("x").await;
    world.engine.write_volume(DATA, b"guests");
    world
}

async fn volumes(world: &World) -> Vec<String> {
    let volumes = world.engine.volumes(&Filter::default()).await.unwrap();
    volumes.into_iter().map(|volume| volume.name).filter(|name| name.starts_with(STACK)).collect()
}

pub(super) fn phase(status: &AppStatus) -> Option<UpgradePhase> {
    status.upgrade.as_ref().map(|upgrade| upgrade.phase)
}

pub(super) fn runs(status: &AppStatus) -> Option<&str> {
    status.observed.as_ref().and_then(|observed| observed.version.as_deref())
}

pub(super) fn is_ready(status: &AppStatus) -> bool {
    api_types::condition::is_true(&status.conditions, "Ready")
}

pub(super) async fn events(world: &World) -> Vec<String> {
    let list = world.objects.list("events", None).await.unwrap().objects;
    let text = |value: &serde_json::Value| {
        format!("{}: {}", value["reason"].as_str().unwrap(), value["message"].as_str().unwrap())
    };
    list.iter().map(|event| text(&event.value)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_version_that_serves_is_taken_with_a_copy_of_the_data_that_goes_a_day_later() {
    let world = with_data().await;
    publish(&world, "1.1.0+2", "app:2", &[("release/1.1.0+2", "Prettier.")]);
    let status = world.until("x", "it is upgraded", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!((runs(&status), is_ready(&status)), (Some("1.1.0+2"), true));
    assert_eq!(status.deployed_version.as_deref(), Some("1.1.0+2"));
    let upgrade = status.upgrade.unwrap();
    assert_eq!((upgrade.from.as_str(), upgrade.to.as_str(), upgrade.reason), ("1.0.0+1", "1.1.0+2", None));
    let snapshot = upgrade.snapshot.unwrap();
    assert_eq!((snapshot.volumes.as_slice(), snapshot.bytes), ([DATA.to_owned()].as_slice(), Some(6)));
    assert_eq!(find(&status.conditions, "UpToDate").unwrap().status, ConditionStatus::True);
    assert_eq!(volumes(&world).await, [DATA, COPY]);
    assert_eq!(world.engine.read_volume(COPY).unwrap(), b"guests");
    tokio::time::sleep(Duration::from_hours(24)).await;
    let is_gone = |status: &AppStatus| status.upgrade.as_ref().is_some_and(|upgrade| upgrade.snapshot.is_none());
    world.until("x", "the copy goes", is_gone).await;
    assert_eq!(volumes(&world).await, [DATA]);
    assert_eq!(world.engine.read_volume(DATA).unwrap(), b"guests");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_serve_goes_back_with_its_data_and_is_not_tried_again() {
    let world = with_data().await;
    publish_bad(&world, "1.1.0+2", "app:2");
    world.until("x", "it is handed over", |status| phase(status) == Some(UpgradePhase::Deploying)).await;
    world.engine.write_volume(DATA, b"ruined");
    let status = world.until("x", "it is back", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    assert_eq!((runs(&status), is_ready(&status)), (Some("1.0.0+1"), true), "{:#?}", status.conditions);
    assert_eq!(world.engine.read_volume(DATA).unwrap(), b"guests");
    let upgrade = status.upgrade.clone().unwrap();
    assert_eq!(upgrade.reason.as_deref(), Some(reason::CRASH_LOOP));
    assert!(upgrade.snapshot.unwrap().restored_at.is_some());
    let held = find(&status.conditions, "UpToDate").unwrap();
    assert_eq!((held.status, held.reason.as_str()), (ConditionStatus::False, reason::UPGRADE_FAILED));
    let told = events(&world).await;
    for reason in ["Upgrading: ", "GoingBack: ", "UpgradeFailed: Version 1.0.0+1 serves again."] {
        assert!(told.iter().any(|event| event.starts_with(reason)), "{reason} in {told:#?}");
    }
    let volume = world.engine.volumes(&Filter::name_prefix(DATA)).await.unwrap().remove(0);
    assert!(volume.labels.contains_key("ci.coopcloud.tech/app") && !volume.labels.contains_key(SNAPSHOT_LABEL));

    // An hour later it is as it was; another version is tried.
    tokio::time::sleep(Duration::from_hours(1)).await;
    let later = world.app("x").await.unwrap().status;
    assert_eq!((later.upgrade.clone(), runs(&later)), (status.upgrade, Some("1.0.0+1")));
    publish(&world, "1.1.1+2", "app:3", &[]);
    let status = world.until("x", "the next is taken", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!(runs(&status), Some("1.1.1+2"));
    world.delete("x").await;
    world.until_gone("x").await;
    assert!(volumes(&world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn volumes_that_only_the_failed_version_made_go_and_those_from_before_stay() {
    let mut world = with_data().await;
    let stranger = Volume { name: "x_example_by_hand".to_owned(), ..Volume::default() };
    world.engine.create_volume(&stranger).await.unwrap();
    // An earlier version made it, and nothing mounts it any more.
    let labels = world.engine.volumes(&Filter::name_prefix(DATA)).await.unwrap().remove(0).labels;
    let earlier = Volume { name: "x_example_earlier".to_owned(), labels, ..Volume::default() };
    world.engine.create_volume(&earlier).await.unwrap();
    let before = [stranger.name.as_str(), DATA, COPY, earlier.name.as_str()];
    let compose = COMPOSE
        .replace("app:1", "app:2")
        .replace("['data:/data']", "['data:/data', 'cache:/cache']")
        .replace("volumes: {data: {}}", "volumes: {data: {}, cache: {}}");
    let files = [("compose.yml", compose.as_str()), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")];
    world.publish("1.1.0+2", &files);
    world.engine.behave("127.0.0.1:5000/app:2", Behaviour::exits(Duration::from_millis(100), 1));
    world.until("x", "it is handed over", |status| phase(status) == Some(UpgradePhase::Deploying)).await;
    for _ in 0..600 {
        if volumes(&world).await.iter().any(|name| name == "x_example_cache") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.run();
    world.until("x", "it is back", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    // Also when ccd ends right then.
    world.run();
    let is_tidy = |status: &AppStatus| status.upgrade.as_ref().is_some_and(|last| last.volumes_before.is_none());
    let status = world.until("x", "it is tidied up", is_tidy).await;
    assert_eq!((runs(&status), phase(&status)), (Some("1.0.0+1"), Some(UpgradePhase::Failed)));
    assert_eq!(volumes(&world).await, before);
    assert!(is_ready(&world.until_ready("x").await));
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_is_tried_again_when_a_person_asks_or_the_spec_changes() {
    let world = with_data().await;
    publish_bad(&world, "1.1.0+2", "app:2");
    let started = |status: &AppStatus| status.upgrade.as_ref().and_then(|upgrade| upgrade.started_at.clone());
    let first = world.until("x", "it failed", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    world.change("x", |app| app["metadata"]["annotations"] = json!({RETRY_ANNOTATION: "1"})).await;
    let again = |before: Option<String>| {
        move |status: &AppStatus| phase(status) == Some(UpgradePhase::Failed) && started(status) != before
    };
    let second = world.until("x", "it failed again", again(started(&first))).await;
    world.engine.behave("127.0.0.1:5000/app:2", Behaviour::default());
    world.change("x", |app| app["spec"]["env"] = json!({"FIXED": "yes"})).await;
    let third = world.until("x", "it went well", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert!(started(&third) > started(&second));
    assert_eq!(runs(&third), Some("1.1.0+2"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_person_names_goes_back_as_well_and_the_app_is_not_called_ready() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    world.engine.write_volume(DATA, b"guests");
    publish_bad(&world, "2.0.0+2", "app:2");
    world.change("x", |app| app["spec"]["version"] = json!("2.0.0+2")).await;
    let status = world.until("x", "it is back", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    let ready = find(&status.conditions, "Ready").unwrap();
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, reason::UPGRADE_FAILED));
    assert_eq!(
        (runs(&status), world.engine.read_volume(DATA).unwrap().as_slice()),
        (Some("1.0.0+1"), b"guests".as_slice())
    );
    world.change("x", |app| app["spec"]["version"] = json!("1.0.0+1")).await;
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_major_is_held_with_its_notes_until_a_person_takes_it() {
    let world = with_data().await;
    let notes = [("release/2.0.0+3", "Now with \x1b[31mrooms\u{202e}."), ("release/1.0.0+1", "old")];
    publish(&world, "2.0.0+3", "app:3", &notes);
    let status = world.until_condition("x", "UpToDate", ConditionStatus::False, reason::MAJOR_HELD).await;
    assert!(is_ready(&status));
    let held = status.held.unwrap();
    assert_eq!((held.version.as_str(), held.step), ("2.0.0+3", Some(VersionStep::Major)));
    assert_eq!(
        held.notes.iter().map(|notes| (notes.version.as_str(), notes.text.as_str())).collect::<Vec<_>>(),
        [("2.0.0+3", "Now with [31mrooms.")]
    );
    let typed = "ccctl patch app/x -n default -p '{\"spec\":{\"version\":\"2.0.0+3\"}}'";
    assert!(held.message.contains(typed), "{}", held.message);
    assert_eq!(events(&world).await.iter().filter(|event| event.starts_with("MajorHeld: ")).count(), 1);
    world.change("x", |app| app["spec"]["version"] = json!("2.0.0+3")).await;
    let status = world.until("x", "it is taken", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!((runs(&status), &status.held), (Some("2.0.0+3"), &None));
}

#[tokio::test(start_paused = true)]
async fn a_minor_whose_notes_ask_for_something_is_held_and_the_one_before_it_taken() {
    let world = with_data().await;
    publish(&world, "1.0.1+1", "app:2", &[]);
    publish(&world, "1.1.0+2", "app:3", &[("release/next", "You must run the migration by hand.")]);
    let status = world.until_condition("x", "UpToDate", ConditionStatus::False, reason::NOTES_HELD).await;
    assert!(find(&status.conditions, "UpToDate").unwrap().message.contains("run the migration by hand"));
    let status = world.until("x", "it is taken", |status| runs(status) == Some("1.0.1+1")).await;
    assert_eq!(status.held.unwrap().version, "1.1.0+2");
}

#[tokio::test(start_paused = true)]
async fn without_room_for_a_copy_an_upgrade_waits_and_the_app_runs_on() {
    let world = with_data().await;
    let key = ObjectKey::new(&Host::resource(), "", "here");
    let set_free = async |free: u64| {
        let host = world.objects.get(&key).await.unwrap();
        let mut status = host.value["status"].clone();
        status["disk"] =
            json!({"path": "/", "totalBytes": 1_u64 << 40, "freeBytes": free, "totalInodes": 0, "freeInodes": 0});
        world.objects.update_status(&host, status).await.unwrap();
    };
    set_free(1 << 20).await;
    publish(&world, "1.1.0+2", "app:2", &[]);
    let status = world.until_condition("x", "UpToDate", ConditionStatus::False, reason::NO_ROOM).await;
    assert_eq!((runs(&status), is_ready(&status), phase(&status)), (Some("1.0.0+1"), true, None));
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert!(is_ready(&world.app("x").await.unwrap().status));
    set_free(1 << 39).await;
    let status = world.until("x", "it is taken", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!(runs(&status), Some("1.1.0+2"));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_made_leaves_everything_as_it_was() {
    let world = with_data().await;
    let stranger = Volume { name: COPY.to_owned(), ..Volume::default() };
    world.engine.create_volume(&stranger).await.unwrap();
    publish(&world, "1.1.0+2", "app:2", &[]);
    let status = world.until_condition("x", "UpToDate", ConditionStatus::False, reason::SNAPSHOT_IMPOSSIBLE).await;
    assert_eq!((runs(&status), phase(&status)), (Some("1.0.0+1"), None));
    world.engine.remove_volume(COPY).await.unwrap();
    world.engine.fail("copy_volume_end", Fault::NoLeader);
    let status = world.until("x", "it failed", |status| phase(status) == Some(UpgradePhase::Failed)).await;
    assert_eq!(status.upgrade.unwrap().reason.as_deref(), Some(reason::SNAPSHOT_FAILED));
    let status = world.until_ready("x").await;
    assert_eq!(
        (runs(&status), world.engine.read_volume(DATA).unwrap().as_slice()),
        (Some("1.0.0+1"), b"guests".as_slice())
    );
    // Whoever does without a copy gets none, and no way back either.
    world
        .change("x", |app| {
            app["metadata"]["annotations"] = json!({SNAPSHOT_ANNOTATION: "false", RETRY_ANNOTATION: "1"});
        })
        .await;
    let status = world.until("x", "it is taken", |status| phase(status) == Some(UpgradePhase::Succeeded)).await;
    assert_eq!(status.upgrade.unwrap().snapshot, None);
}

/// Kills ccd some time after an upgrade got into a phase, and sees how it ends.
async fn kill_in(wanted: UpgradePhase, delay: Duration, end: UpgradePhase) {
    let what = format!("killed {delay:?} after {wanted:?}");
    let mut world = with_data().await;
    match end {
        UpgradePhase::Failed => publish_bad(&world, "1.1.0+2", "app:2"),
        _ => publish(&world, "1.1.0+2", "app:2", &[]),
    }
    world.until("x", &what, |status| phase(status) == Some(wanted)).await;
    // The new version ruins the data as soon as it runs.
    if wanted != UpgradePhase::Saving {
        world.engine.write_volume(DATA, b"ruined");
    }
    tokio::time::sleep(delay).await;
    world.run();
    let status = world.until("x", &what, |status| phase(status) == Some(end) && is_ready(status)).await;
    let AppUpgrade { from, to, .. } = status.upgrade.clone().unwrap();
    assert_eq!((from.as_str(), to.as_str()), ("1.0.0+1", "1.1.0+2"));
    let (name, version) = if end == UpgradePhase::Failed { (DATA, "1.0.0+1") } else { (COPY, "1.1.0+2") };
    assert_eq!(world.engine.read_volume(name).unwrap(), b"guests", "{what}");
    assert_eq!(runs(&status), Some(version), "{what}");
    world.delete("x").await;
    world.until_gone("x").await;
    assert!(volumes(&world).await.is_empty(), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_ccd_that_is_killed_in_any_phase_of_an_upgrade_ends_it_either_way() {
    use UpgradePhase::{Deploying, Failed, GoingBack, Saving, Succeeded};
    for delay in [0, 700, 3500].map(Duration::from_millis) {
        for (phase, end) in
            [(Saving, Succeeded), (Deploying, Succeeded), (Saving, Failed), (Deploying, Failed), (GoingBack, Failed)]
        {
            // What serves in a moment has been proven by then.
            if phase != Deploying || end != Succeeded || delay.is_zero() {
                kill_in(phase, delay, end).await;
            }
        }
    }
}
