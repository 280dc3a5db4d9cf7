//! Apps that get their certificate from a Certificate: given, replaced, taken back.

use std::path::Path;
use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::certificate::{Certificate, CertificateStatus};
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ports::certificate::{Pair, self_signed};
use ports::probe::fake::FakeAnswer;
use ports::swarm::{Engine as _, Filter};
use serde_json::{Value, json};

use super::world::{ABRA, STACK, World};
use crate::kinds::certificate::kept;
use crate::runtime::objects::ObjectKey;

const COMPOSE: &str = "\
version: '3.8'
services:
  app:
    image: 127.0.0.1:5000/app:1
    secrets: [ssl_cert, ssl_key]
    deploy:
      labels:
        - 'traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)'
      update_config: {failure_action: rollback, order: stop-first}
secrets:
  ssl_cert: {external: true, name: '${STACK_NAME}_ssl_cert_${SECRET_SSL_CERT_VERSION}'}
  ssl_key: {external: true, name: '${STACK_NAME}_ssl_key_${SECRET_SSL_KEY_VERSION}'}
";
const SAMPLE: &str = "TYPE=demo\nDOMAIN=demo.example\nSECRET_SSL_CERT_VERSION=v1 # generate=false\n\
                      SECRET_SSL_KEY_VERSION=v1 # generate=false\n";
const VERSION: &str = "1.1.0+1";
const NAME: &str = "tls.example";

fn key() -> ObjectKey {
    ObjectKey::new(&Certificate::resource(), "default", "wildcard")
}

fn pair(names: &[&str], at: Timestamp, days: u32) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    self_signed(&names, at, Duration::from_hours(24) * days).unwrap()
}

fn write(folder: &Path, certificate: &str, key: &str) {
    std::fs::write(folder.join("c.pem"), certificate).unwrap();
    std::fs::write(folder.join("k.pem"), key).unwrap();
}

fn spec(folder: &Path) -> Value {
    json!({
        "source": {"files": {"cert": folder.join("c.pem"), "key": folder.join("k.pem")}},
        "dnsNames": [NAME],
        "distribute": [{"appRef": "x", "certSecret": "ssl_cert", "keySecret": "ssl_key"}],
        "probes": [{"address": format!("{NAME}:443"), "serverName": NAME}],
    })
}

async fn start() -> World {
    let world = World::start().await;
    world.publish(VERSION, &[("compose.yml", COMPOSE), (".env.sample", SAMPLE), ("abra.sh", ABRA)]);
    world.probe.set_host(NAME, FakeAnswer::Status(200, String::new()));
    world
}

async fn create_certificate(world: &World, name: &str, spec: Value) {
    let value = json!({"apiVersion": Certificate::api_version(), "kind": "Certificate",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    world.objects.create(&Certificate::resource(), value).await.unwrap();
}

async fn status(world: &World) -> CertificateStatus {
    let stored = world.objects.get(&key()).await.unwrap();
    Object::<Certificate>::from_value(&stored.value).unwrap().status
}

/// Waits until a condition of the Certificate has a status and a reason, for at most ten minutes of played time.
async fn until(world: &World, type_: &str, word: ConditionStatus, reason: &str) -> CertificateStatus {
    for _ in 0..6_000 {
        let status = status(world).await;
        if find(&status.conditions, type_).is_some_and(|found| found.status == word && found.reason == reason) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{type_} is not {word:?} with {reason}: {:#?}", status(world).await);
}

/// Waits until a pair is in use, and everywhere.
async fn until_in_use(world: &World, pair: &Pair) -> CertificateStatus {
    for _ in 0..6_000 {
        let status = status(world).await;
        let is_ready = find(&status.conditions, "Ready").is_some_and(|ready| ready.status == ConditionStatus::True);
        if is_ready && status.serial.as_ref() == Some(&pair.leaf().serial) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("serial {} is not in use: {:#?}", pair.leaf().serial, status(world).await);
}

/// Waits until the App says that its secret is missing.
async fn until_waiting(world: &World) {
    for _ in 0..6_000 {
        let status = world.app("x").await.unwrap().status;
        if find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == reason::SECRET_MISSING) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not wait: {:#?}", world.app("x").await.unwrap().status);
}

/// Returns the names of the swarm's secrets, and of those that the service mounts.
async fn secrets(world: &World) -> (Vec<String>, Vec<String>) {
    let there = world.engine.secrets(&Filter::default()).await.unwrap().into_iter().map(|secret| secret.name);
    let service = world.service("app").await.unwrap();
    let mounted = service.spec.task_template.container_spec.secrets.into_iter().map(|secret| secret.name);
    let (mut there, mut mounted): (Vec<String>, Vec<String>) = (there.collect(), mounted.collect());
    there.sort_unstable();
    mounted.sort_unstable();
    (there, mounted)
}

#[tokio::test(start_paused = true)]
async fn new_files_get_to_the_app_and_bad_ones_never_do() {
    let mut world = start().await;
    let folder = tempfile::tempdir().unwrap();
    let now = world.clock.now();
    let (one, two) = (pair(&[NAME], now, 90), pair(&[NAME], now, 90));
    write(folder.path(), one.certificate_pem(), one.key_pem());
    world.create_app("x", json!({"version": VERSION})).await;
    create_certificate(&world, "wildcard", spec(folder.path())).await;
    world.probe.set_chain(NAME, vec![one.leaf().clone()]);
    let first = until_in_use(&world, &one).await;
    let (there, mounted) = secrets(&world).await;
    assert_eq!((&first.secret_names, &there), (&mounted, &mounted));
    assert!(mounted[0].starts_with(&format!("{STACK}_ssl_cert_v")), "{mounted:?}");

    // One after the other, as programs write them, and the proxy shows the new one a little later.
    std::fs::write(folder.path().join("c.pem"), two.certificate_pem()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(folder.path().join("k.pem"), two.key_pem()).unwrap();
    until(&world, "Served", ConditionStatus::Unknown, reason::ROTATING).await;
    world.probe.set_chain(NAME, vec![two.leaf().clone()]);
    let second = until_in_use(&world, &two).await;
    let (there, mounted) = secrets(&world).await;
    assert_eq!((&second.secret_names, &there), (&mounted, &mounted), "the old ones are gone");
    assert_ne!(first.secret_names, second.secret_names);

    let tasks = world.running_tasks().await;
    let expired = pair(&[NAME], now - Duration::from_hours(48), 1);
    let other = pair(&["other.example"], now, 90);
    let cut = &one.certificate_pem()[..one.certificate_pem().len() / 2];
    for (certificate, key, expected) in [
        (one.certificate_pem(), other.key_pem(), reason::KEY_MISMATCH),
        (expired.certificate_pem(), expired.key_pem(), reason::EXPIRED),
        (other.certificate_pem(), other.key_pem(), reason::NAMES_NOT_COVERED),
        (cut, one.key_pem(), reason::UNREADABLE),
    ] {
        write(folder.path(), certificate, key);
        let status = until(&world, "Valid", ConditionStatus::False, expected).await;
        assert_eq!(status.serial, second.serial, "{expected}");
        world.run();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(secrets(&world).await, (there.clone(), mounted.clone()), "{expected}");
        assert_eq!(world.running_tasks().await, tasks, "{expected}: after a restart of ccd as well");
    }
    std::fs::remove_file(folder.path().join("k.pem")).unwrap();
    until(&world, "Valid", ConditionStatus::False, reason::UNREADABLE).await;
    write(folder.path(), two.certificate_pem(), two.key_pem());
    until_in_use(&world, &two).await;
    assert_eq!(world.running_tasks().await, tasks);
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_pair_is_put_back_and_a_strangers_is_left_alone() {
    let world = start().await;
    let folder = tempfile::tempdir().unwrap();
    let one = pair(&[NAME], world.clock.now(), 90);
    write(folder.path(), one.certificate_pem(), one.key_pem());
    let kept = kept::key("default", "wildcard");
    let strange = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": kept.name(), "namespace": "default"}, "data": {"mine": "bWluZQ=="}});
    world.objects.create("secrets", strange).await.unwrap();
    create_certificate(&world, "wildcard", spec(folder.path())).await;
    until(&world, "Valid", ConditionStatus::False, reason::SECRET_NOT_OURS).await;
    world.create_app("x", json!({"version": VERSION})).await;
    until_waiting(&world).await;
    assert!(world.objects.get(&kept).await.unwrap().value["data"]["mine"].is_string());
    world.objects.delete(&kept, None).await.unwrap();
    world.probe.set_chain(NAME, vec![one.leaf().clone()]);
    until_in_use(&world, &one).await;
    let tasks = world.running_tasks().await;
    world.objects.delete(&kept, None).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(world.objects.get(&kept).await.is_ok(), "it is put back");
    until_in_use(&world, &one).await;
    assert_eq!(world.running_tasks().await, tasks);
}

/// Writes a Secret of a pair as `kubectl create secret tls` makes it; `certificate` and `key` are what is in it.
async fn put_secret(world: &World, certificate: &str, key: &str) {
    let at = ObjectKey::new("secrets", "default", "given");
    let mut value = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": at.name(), "namespace": "default"},
        "data": {"tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key)}});
    match world.objects.get(&at).await {
        Ok(before) => {
            value["metadata"]["resourceVersion"] = json!(before.metadata.resource_version);
            world.objects.update(&at, value).await.unwrap();
        }
        Err(_) => drop(world.objects.create("secrets", value).await.unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_named_is_followed_and_a_bad_one_never_is() {
    let mut world = start().await;
    let now = world.clock.now();
    let (one, two, other) = (pair(&[NAME], now, 90), pair(&[NAME], now, 90), pair(&["other.example"], now, 90));
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = spec(folder.path());
    wanted["source"] = json!({"secretRef": {"name": "given"}});
    create_certificate(&world, "wildcard", wanted).await;
    world.create_app("x", json!({"version": VERSION})).await;
    until(&world, "Valid", ConditionStatus::False, reason::SECRET_MISSING).await;
    until_waiting(&world).await;

    put_secret(&world, one.certificate_pem(), one.key_pem()).await;
    world.probe.set_chain(NAME, vec![one.leaf().clone()]);
    let first = until_in_use(&world, &one).await;
    put_secret(&world, two.certificate_pem(), two.key_pem()).await;
    world.probe.set_chain(NAME, vec![two.leaf().clone()]);
    let second = until_in_use(&world, &two).await;
    assert_ne!(first.secret_names, second.secret_names);
    let (there, mounted) = secrets(&world).await;
    assert_eq!((&second.secret_names, &there), (&mounted, &mounted), "the old ones are gone");

    let tasks = world.running_tasks().await;
    for (certificate, key, expected) in [
        (one.certificate_pem(), other.key_pem(), reason::KEY_MISMATCH),
        (other.certificate_pem(), other.key_pem(), reason::NAMES_NOT_COVERED),
        (one.key_pem(), one.certificate_pem(), reason::UNREADABLE),
    ] {
        put_secret(&world, certificate, key).await;
        let status = until(&world, "Valid", ConditionStatus::False, expected).await;
        assert_eq!(status.serial, second.serial, "{expected}");
        world.run();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(world.running_tasks().await, tasks, "{expected}: after a restart of ccd as well");
    }
    world.objects.delete(&ObjectKey::new("secrets", "default", "given"), None).await.unwrap();
    until(&world, "Valid", ConditionStatus::False, reason::SECRET_MISSING).await;
    assert_eq!(secrets(&world).await, (there, mounted));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_given_is_said() {
    let world = start().await;
    let folder = tempfile::tempdir().unwrap();
    let one = pair(&[NAME], world.clock.now(), 90);
    write(folder.path(), one.certificate_pem(), one.key_pem());
    create_certificate(&world, "wildcard", spec(folder.path())).await;
    until(&world, "Distributed", ConditionStatus::False, reason::NOT_FOUND).await;
    // A recipe without such a secret.
    world.create_app("x", json!({})).await;
    let status = until(&world, "Distributed", ConditionStatus::False, reason::SECRET_MISSING).await;
    let said = &find(&status.conditions, "Distributed").unwrap().message;
    assert!(said.contains("has no secret ssl_cert"), "{said}");
    world.delete("x").await;
    world.until_gone("x").await;
    until(&world, "Distributed", ConditionStatus::False, reason::NOT_FOUND).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_made_here_is_renewed_before_it_ends() {
    let world = start().await;
    let made = json!({"source": {"selfSigned": {"dnsNames": [NAME], "duration": "30h"}}});
    create_certificate(&world, "wildcard", made).await;
    let first = until(&world, "Ready", ConditionStatus::True, reason::SUCCEEDED).await;
    tokio::time::sleep(Duration::from_hours(19)).await;
    assert_eq!(status(&world).await.serial, first.serial, "it is not made anew too early");
    tokio::time::sleep(Duration::from_hours(2)).await;
    let second = status(&world).await;
    assert_ne!(second.serial, first.serial, "two thirds of its lifetime are over");
    assert!(second.not_after > first.not_after);
}
