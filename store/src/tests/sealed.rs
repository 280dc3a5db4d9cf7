//! Secrets at rest: nothing of them is readable on disk or in a backup, with the right key all is there, without it
//! nothing is lost.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Clock, built_in, options};
use crate::backup::{restore_backup, verify, write_backup};
use crate::error::OpenError;
use crate::keyring::Keyring;
use crate::request::{Body, DeleteOptions, Target, WriteOptions};
use crate::state::HistoryLimits;
use crate::store::{OpenOptions, Store};

/// What must not be found on disk: the value, as text and as it stands in JSON, larger than a row.
const CANARY: &str = "correct-horse-battery-staple";

fn keys(bytes: &[u8]) -> Arc<Keyring> {
    let secrets: Vec<[u8; 32]> = bytes.iter().map(|byte| [*byte; 32]).collect();
    Arc::new(Keyring::new(&secrets))
}

fn open(dir: &Path, keyring: &Arc<Keyring>) -> Result<Store, OpenError> {
    let options = options(dir, HistoryLimits::default(), &Clock::default());
    Store::open(OpenOptions { keyring: keyring.clone(), ..options })
}

fn secret(store: &Store, name: &str) -> Target {
    Target::new(store.registry().get("secrets").unwrap(), "default", name)
}

async fn fill(store: &Store) {
    let namespace = Target::new(store.registry().get("namespaces").unwrap(), "", "default");
    let body = Body::from(json!({"metadata": {"name": "default"}}));
    store.create(&namespace, body, &WriteOptions::by("test")).await.unwrap();
    for (name, times) in [("small", 1), ("large", 400)] {
        let value = STANDARD.encode(CANARY.repeat(times));
        let body = Body::from(json!({"metadata": {"name": name}, "data": {"password": value}}));
        store.create(&secret(store, name), body, &WriteOptions::by("test")).await.unwrap();
    }
}

fn value(store: &Store, name: &str) -> Option<String> {
    let found = store.get(&secret(store, name).resource, &format!("default/{name}"))?;
    let text = STANDARD.decode(found.value()["data"]["password"].as_str()?).ok()?;
    Some(String::from_utf8(text).unwrap())
}

/// Whether the canary, in any of the forms in which it may lie there, is in a file of `dir`.
fn is_readable(dir: &Path) -> bool {
    // Base64 in steps of three bytes is the same at any place.
    let encoded = STANDARD.encode(&CANARY[..27]);
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return is_readable(&path);
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        [CANARY, &encoded].iter().any(|form| text.contains(form))
    })
}

#[tokio::test]
async fn secrets_are_unreadable_on_disk_and_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &keys(&[1])).unwrap();
    fill(&store).await;
    store.close().await;
    assert!(!is_readable(dir.path()));
    let store = open(dir.path(), &keys(&[1])).unwrap();
    assert_eq!(value(&store, "small").unwrap(), CANARY);
    assert_eq!(value(&store, "large").unwrap(), CANARY.repeat(400));
    // What is sealed is deleted as whole as what is not.
    store.delete(&secret(&store, "large"), &DeleteOptions::default()).await.unwrap();
    store.rewrite_files().await.unwrap();
    store.close().await;
    assert_eq!(verify(dir.path(), built_in(), &keys(&[1])).unwrap().objects, 2);
}

#[tokio::test]
async fn without_the_key_the_store_does_not_open_and_is_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &keys(&[1])).unwrap();
    fill(&store).await;
    store.close().await;
    for wrong in [keys(&[2]), keys(&[])] {
        let error = open(dir.path(), &wrong).err().unwrap();
        let OpenError::KeyMissing(text) = &error else { panic!("{error}") };
        assert!(text.contains(&keys(&[1]).ids()[0]), "{text}");
    }
    assert_eq!(value(&open(dir.path(), &keys(&[1])).unwrap(), "small").unwrap(), CANARY);
}

#[tokio::test]
async fn a_store_is_sealed_anew_when_a_key_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let plain = open(dir.path(), &Arc::default()).unwrap();
    fill(&plain).await;
    plain.close().await;
    assert!(is_readable(dir.path()), "this test could not fail");
    for (keyring, only) in [(keys(&[1]), keys(&[1])), (keys(&[2, 1]), keys(&[2]))] {
        let store = open(dir.path(), &keyring).unwrap();
        // It begins by itself.
        while store.figures().generations_total == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(value(&store, "large").unwrap(), CANARY.repeat(400));
        store.close().await;
        assert!(!is_readable(dir.path()));
        let store = open(dir.path(), &only).unwrap();
        assert_eq!(store.figures().generations_total, 0);
        assert_eq!(value(&store, "small").unwrap(), CANARY);
        store.close().await;
    }
}

#[tokio::test]
async fn a_backup_holds_secrets_sealed_and_needs_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"), &keys(&[1])).unwrap();
    fill(&store).await;
    let backups = dir.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let mut file = Vec::new();
    write_backup(&store.state(), store.keyring(), &mut file).unwrap();
    std::fs::write(backups.join("backup"), &file).unwrap();
    assert!(!is_readable(&backups));
    let restored = dir.path().join("restored");
    let error = restore_backup(&mut Cursor::new(&file), &restored, built_in(), &keys(&[2])).unwrap_err().to_string();
    assert!(error.contains("which is not among the keys"), "{error}");
    assert!(!restored.exists());
    restore_backup(&mut Cursor::new(&file), &restored, built_in(), &keys(&[3, 1])).unwrap();
    // From now on it takes the new key alone.
    assert_eq!(value(&open(&restored, &keys(&[3])).unwrap(), "large").unwrap(), CANARY.repeat(400));
}

#[tokio::test]
async fn a_backup_from_before_there_were_seals_is_still_restored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"), &Arc::default()).unwrap();
    fill(&store).await;
    let mut file = Vec::new();
    write_backup(&store.state(), &Keyring::default(), &mut file).unwrap();
    assert!(file.starts_with(br#"{"backup":"cc-ci","format":1,"#));
    let restored = dir.path().join("restored");
    restore_backup(&mut Cursor::new(&file), &restored, built_in(), &keys(&[1])).unwrap();
    assert!(!is_readable(&restored));
    assert_eq!(value(&open(&restored, &keys(&[1])).unwrap(), "small").unwrap(), CANARY);
}
