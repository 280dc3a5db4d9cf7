//! What is decided about Secrets from files of sops, and that on a store they follow their files.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::clock::SystemClock;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use store::store::{OpenOptions, Store};

use super::decide::{FILE, PATH, STATE};
use super::*;
use crate::runtime::metrics::Metrics;
use crate::runtime::objects::ObjectKey;
use crate::runtime::objects::store_objects::StoreObjects;

const ALL: &str = include_str!("../../../ports/src/sops/testdata/all.yaml");
const AGE: &str = include_str!("../../../ports/src/sops/testdata/age_identity");
const STRANGER: &str = include_str!("../../../ports/src/sops/testdata/stranger_identity");

fn secret(annotations: Value, data: Value) -> StoredObject {
    let value = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "s", "namespace": "default", "annotations": annotations}, "data": data});
    StoredObject::new(SECRETS, value).unwrap()
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_decided() {
    let good = Ok(values(&[("a", "1"), ("b", "")]));
    let data = json!({"a": "MQ==", "b": ""});
    let wrong: Result<BTreeMap<String, String>, String> = Err("its MAC does not fit".to_owned());
    let failed = json!("Failed: its MAC does not fit");
    let cases = [
        ("it is new", json!(null), json!({}), good.clone(), Some((data.clone(), json!("Read")))),
        ("it is as it should be", json!("Read"), data.clone(), good.clone(), None),
        (
            "somebody changed it",
            json!("Read"),
            json!({"a": "Mg==", "x": "MQ=="}),
            good.clone(),
            Some((data.clone(), json!("Read"))),
        ),
        ("it was wrong before", failed.clone(), data.clone(), good, Some((data.clone(), json!("Read")))),
        ("it becomes wrong", json!("Read"), data.clone(), wrong.clone(), Some((data.clone(), failed.clone()))),
        ("it is still wrong", failed, data.clone(), wrong, None),
        (
            "nothing is there",
            json!("Read"),
            data.clone(),
            Ok(values(&[])),
            Some((
                data.clone(),
                json!(format!("Failed: there are no values at p in /f: correct the annotation {PATH}")),
            )),
        ),
        (
            "a key cannot be one",
            json!("Read"),
            data.clone(),
            Ok(values(&[("a b", "1")])),
            Some((
                data,
                json!(
                    "Failed: the key \"a b\" at p in /f cannot be one of a Secret: use letters, digits, '-', '_' and '.'"
                ),
            )),
        ),
    ];
    for (what, state, before, found, expected) in cases {
        let mut annotations = json!({FILE: "/f", PATH: "p"});
        if !state.is_null() {
            annotations[STATE] = state;
        }
        let secret = secret(annotations, before);
        let wanted = Wanted::of(&secret).unwrap();
        let change = decide::decide(&secret, &wanted, found);
        let written =
            change.map(|change| (change.value["data"].clone(), change.value["metadata"]["annotations"][STATE].clone()));
        assert_eq!(written, expected, "{what}");
    }
    assert_eq!(Wanted::of(&secret(json!({"other": "x"}), json!({}))), None);
}

/// A store with one Secret, and a folder with a file and an identity.
struct World {
    folder: tempfile::TempDir,
    cache: Arc<Cache>,
    objects: Arc<dyn Objects>,
    keeper: SopsKeeper,
    recorder: Recorder,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(OpenOptions::new(folder.path().join("store"), apiserver::built_in::registry())).unwrap();
        apiserver::bootstrap::prepare(&store, &[]).await.unwrap();
        let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store));
        let recorder = Recorder::new(Arc::new(SystemClock), Metrics::new(&mut Registry::default()));
        fs::create_dir(folder.path().join("sops")).unwrap();
        let files = SopsFiles {
            given: GivenFiles::beneath(vec![folder.path().join("sops")], Vec::new())
                .named_by("secrets.sops_file_roots"),
            identities: ["nowhere", "identity", "credential"]
                .map(|name| IdentityFile { path: folder.path().join(name), is_credential: name == "credential" })
                .to_vec(),
        };
        let cache = Arc::new(Cache::default());
        let keeper = SopsKeeper::new(cache.clone(), objects.clone(), recorder.clone(), files);
        let world = Self { folder, cache, objects, keeper, recorder };
        world.write("sops/secrets.yaml", ALL);
        world.write("identity", AGE);
        world
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    async fn create(&self, name: &str, file: &str, path: &str) {
        self.create_with(name, file, path, false).await;
    }

    async fn create_with(&self, name: &str, file: &str, path: &str, immutable: bool) {
        let file = self.folder.path().join(file);
        let value = json!({"apiVersion": "v1", "kind": "Secret", "immutable": immutable, "metadata":
            {"name": name, "namespace": "default", "annotations": {FILE: file, PATH: path}}});
        self.objects.create(SECRETS, value).await.unwrap();
    }

    async fn look_once(&mut self) {
        let listing = self.objects.list(SECRETS, None).await.unwrap();
        self.cache.replace(&Arc::from(SECRETS), &listing);
        self.keeper.look().await.unwrap();
    }

    async fn events(&self) -> Vec<Arc<StoredObject>> {
        self.recorder.write_all(&self.objects).await;
        self.objects.list("events", None).await.unwrap().objects
    }

    /// Looks twice, after which what is wrong is told; returns a value, and the state.
    async fn look(&mut self, name: &str, key: &str) -> (String, String) {
        self.look_once().await;
        self.look_once().await;
        let stored = self.objects.get(&ObjectKey::new(SECRETS, "default", name)).await.unwrap();
        let value = STANDARD.decode(stored.value["data"][key].as_str().unwrap_or_default()).unwrap();
        let state = stored.value["metadata"]["annotations"][STATE].as_str().unwrap_or_default().to_owned();
        (String::from_utf8(value).unwrap(), state)
    }
}

#[tokio::test]
async fn a_secret_follows_its_file_and_keeps_what_was_good() {
    let mut world = World::start().await;
    world.create("forge", "sops/secrets.yaml", "forge").await;
    assert_eq!(world.look("forge", "token").await, ("forge-kanari-1".to_owned(), "Read".to_owned()));

    let key = ObjectKey::new(SECRETS, "default", "forge");
    let mut by_hand = world.objects.get(&key).await.unwrap().value.clone();
    by_hand["data"]["token"] = json!("eA==");
    world.objects.update(&key, by_hand).await.unwrap();
    assert_eq!(world.look("forge", "token").await.0, "forge-kanari-1", "what somebody changed is put back");

    let good = "forge-kanari-1".to_owned();
    for (name, text, said) in [
        ("sops/secrets.yaml", ALL.replace("git.example", "evil.example"), "its MAC does not fit"),
        ("identity", STRANGER.to_owned(), "none of ccd's identities"),
        ("identity", "hunter2".to_owned(), "identity, line 1: this is no identity of age"),
        ("sops/secrets.yaml", "x".repeat(BYTES_MAX + 1), "is larger than 1048576 bytes"),
        ("sops/secrets.yaml", "a: b\n".to_owned(), "it is not encrypted with sops"),
    ] {
        world.write(name, &text);
        let (value, state) = world.look("forge", "token").await;
        assert_eq!(value, good, "{said}");
        assert!(state.starts_with("Failed: ") && state.contains(said), "{said}: {state}");
        assert!(!state.contains("hunter2") && !state.contains("kanari"), "{state}");
        world.write("sops/secrets.yaml", ALL);
        world.write("identity", AGE);
        assert_eq!(world.look("forge", "token").await, (good.clone(), "Read".to_owned()), "{said}");
    }
    fs::remove_file(world.folder.path().join("identity")).unwrap();
    assert!(world.look("forge", "token").await.1.contains("there is nothing to open it with"));
    world.write("identity", AGE);
    fs::set_permissions(world.folder.path().join("identity"), Permissions::from_mode(0o644)).unwrap();
    assert!(world.look("forge", "token").await.1.contains("others can read it; run `chmod go= "));
}

/// The host's key is root's alone where ccd runs as somebody else.
#[tokio::test]
async fn one_identity_that_works_is_enough() {
    let mut world = World::start().await;
    world.create("forge", "sops/secrets.yaml", "forge").await;
    let identity = world.folder.path().join("identity");
    fs::set_permissions(&identity, Permissions::from_mode(0o644)).unwrap();
    world.write("credential", AGE);
    // As systemd's credentials look.
    fs::set_permissions(world.folder.path().join("credential"), Permissions::from_mode(0o440)).unwrap();
    assert_eq!(world.look("forge", "token").await, ("forge-kanari-1".to_owned(), "Read".to_owned()));
    world.write("credential", STRANGER);
    let (_, state) = world.look("forge", "token").await;
    assert!(state.contains("none of ccd's identities") && state.contains("or mend this: the identities in"), "{state}");
    assert!(state.contains("others can read it; run `chmod go= "), "{state}");
}

#[tokio::test]
async fn what_is_half_written_is_not_told_and_other_folders_stay_closed() {
    let mut world = World::start().await;
    world.create("forge", "sops/secrets.yaml", "forge").await;
    world.create("other", "identity", "").await;
    world.create("gone", "sops/none.yaml", "").await;
    let (_, other) = world.look("other", "x").await;
    assert!(other.contains("name its folder in secrets.sops_file_roots"), "{other}");
    let (_, gone) = world.look("gone", "x").await;
    assert!(gone.contains("none.yaml is not there"), "{gone}");

    world.write("sops/secrets.yaml", &ALL[..200]);
    world.look_once().await;
    let stored = world.objects.get(&ObjectKey::new(SECRETS, "default", "forge")).await.unwrap();
    assert_eq!(stored.value["metadata"]["annotations"][STATE], "Read", "told at the first look");
    let events = world.events().await;
    let reasons: Vec<&str> = events.iter().filter_map(|event| event.value["reason"].as_str()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "SopsFailed").count(), 2, "{reasons:?}");
    assert!(reasons.contains(&"SopsRead"), "{reasons:?}");
    assert!(events.iter().all(|event| !event.value.to_string().contains("kanari")));
}

#[tokio::test]
async fn a_secret_that_takes_nothing_says_so_once_and_keeps_no_other_waiting() {
    let mut world = World::start().await;
    world.create_with("a-frozen", "sops/secrets.yaml", "forge", true).await;
    world.create("other", "sops/secrets.yaml", "forge").await;
    let (value, state) = world.look("a-frozen", "token").await;
    assert!(value.is_empty());
    assert!(state.contains("the Secret does not take them") && state.contains("immutable"), "{state}");
    assert_eq!(world.look("other", "token").await.1, "Read");
    let seen = async |world: &World| {
        let secrets = world.objects.list(SECRETS, None).await.unwrap().objects;
        let secrets = secrets.iter().map(|secret| secret.value.clone());
        secrets.chain(world.events().await.iter().map(|event| event.value.clone())).collect::<Vec<_>>()
    };
    let before = seen(&world).await;
    world.look("a-frozen", "token").await;
    assert_eq!(seen(&world).await, before, "it is written again and again");
}
