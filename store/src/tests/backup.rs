//! Backup and restore: the same objects, never the same revisions, nothing from a damaged file.

use std::io::Cursor;
use std::sync::Arc;

use serde_json::json;

use super::{Bench, built_in, options};
use crate::backup::{RestoreError, restore_backup, verify, write_backup};
use crate::keyring::Keyring;
use crate::state::HistoryLimits;
use crate::store::Store;

async fn backed_up() -> (Bench, Vec<u8>) {
    let bench = Bench::new().await;
    for index in 0..20 {
        bench.create(&format!("w{index}"), json!({"text": "é".repeat(index * 400)})).await.unwrap();
    }
    bench.delete(&bench.widget("w3")).await.unwrap();
    let mut file = Vec::new();
    let summary = write_backup(&bench.store.state(), &Keyring::default(), &mut file).unwrap();
    assert_eq!(summary.objects, 19 + 2 + 2);
    (bench, file)
}

#[tokio::test]
async fn a_restored_store_holds_the_same_and_goes_on_above() {
    let (bench, file) = backed_up().await;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("restored");
    let summary = restore_backup(&mut Cursor::new(&file), &dir, built_in(), &Arc::default()).unwrap();
    assert_eq!(verify(&dir, built_in(), &Arc::default()).unwrap().objects, summary.objects);
    let nowhere = dir.join("nowhere");
    let missing = verify(&nowhere, built_in(), &Arc::default()).unwrap_err().to_string();
    assert_eq!(missing, format!("there is no store in {}", nowhere.display()));
    assert!(!nowhere.exists(), "none is made");
    let store = Store::open(options(&dir, HistoryLimits::default(), &bench.clock)).unwrap();
    let mut again = Vec::new();
    write_backup(&store.state(), &Keyring::default(), &mut again).unwrap();
    let body = |file: &[u8]| {
        let text = String::from_utf8(file.to_vec()).unwrap();
        let lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines[1..lines.len() - 1].to_vec()
    };
    assert_eq!(body(&file), body(&again));
    assert!(store.state().revision > bench.store.state().revision + 1_000_000);
    assert!(store.registry().get("widgets.test.example.com").is_some());
}

#[tokio::test]
async fn a_damaged_backup_restores_nothing() {
    let (_bench, file) = backed_up().await;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("restored");
    let mut flipped = file.clone();
    let position = file.len() / 2;
    flipped[position] ^= 1;
    let cut = &file[..file.len() - 100];
    let half = &file[..file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(5).unwrap().0 + 1];
    for (what, damaged) in
        [("a flipped bit", &flipped[..]), ("a cut line", cut), ("missing lines", half), ("nothing", &[])]
    {
        let result = restore_backup(&mut Cursor::new(damaged), &dir, built_in(), &Arc::default());
        assert!(result.is_err(), "{what}");
        assert!(!dir.exists(), "{what}");
        assert_eq!(parent.path().read_dir().unwrap().count(), 0, "{what}");
    }
}

#[tokio::test]
async fn a_store_in_use_is_not_restored_over() {
    let (bench, file) = backed_up().await;
    let result = restore_backup(&mut Cursor::new(&file), bench.dir.path(), built_in(), &Arc::default());
    assert!(matches!(result, Err(RestoreError::NotEmpty(_))));
}
