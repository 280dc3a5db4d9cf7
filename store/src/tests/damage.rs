//! Rows that a broken disk has changed: a store that does not add up is not opened, and the report names the place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{Bench, Clock, built_in, memory_options, options};
use crate::engine::Batch;
use crate::engine::memory::MemoryEngine;
use crate::error::OpenError;
use crate::guards::{Guard, Guards};
use crate::open::load;
use crate::request::{Body, Part, Patch, Target, WriteOptions};
use crate::rows::{Meta, put_meta};
use crate::state::{HistoryLimits, State};
use crate::store::Store;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// An engine with a few records, one of them in several rows, and one superseded.
async fn filled() -> MemoryEngine {
    let engine = MemoryEngine::default();
    let store = Store::with_engine(Box::new(engine.clone()), memory_options(&Clock::default())).unwrap();
    let namespaces = store.registry().get("namespaces").unwrap().clone();
    for (name, length) in [("a", 10), ("b", 9000), ("c", 20)] {
        let body = json!({"metadata": {"name": name, "annotations": {"text": "x".repeat(length)}}});
        let target = Target::new(&namespaces, "", name);
        store.create(&target, Body::from(body), &WriteOptions::by("test")).await.unwrap();
    }
    store.close().await;
    engine
}

fn open(rows: &Rows, guards: Guards) -> Result<(), OpenError> {
    let engine = MemoryEngine::default();
    engine.tamper(|found| *found = rows.clone());
    load(&engine, built_in(), guards, &Arc::default()).map(drop)
}

fn rows_of(engine: &MemoryEngine) -> Rows {
    let mut rows = Rows::new();
    engine.tamper(|found| rows = found.clone());
    rows
}

/// Every single change: a flipped bit here and there in every row, a row lost, two rows swapped.
fn damages(rows: &Rows) -> Vec<(String, Rows)> {
    let mut damages = Vec::new();
    for (key, value) in rows {
        for position in [0, 1, 2, 6, value.len() / 2, value.len() - 1] {
            let mut damaged = rows.clone();
            damaged.get_mut(key).unwrap()[position] ^= 4;
            damages.push((format!("bit of byte {position} of {key:02x?}"), damaged));
        }
        let mut damaged = rows.clone();
        damaged.remove(key);
        damages.push((format!("row {key:02x?} is lost"), damaged));
    }
    for (one, two) in rows.keys().zip(rows.keys().skip(1)) {
        let mut damaged = rows.clone();
        damaged.insert(one.clone(), rows[two].clone());
        damaged.insert(two.clone(), rows[one].clone());
        damages.push((format!("rows {one:02x?} and {two:02x?} are swapped"), damaged));
    }
    damages
}

/// Returns the changes that go unnoticed.
fn unnoticed(rows: &Rows, guards: Guards) -> Vec<String> {
    damages(rows)
        .into_iter()
        .filter(|(_, damaged)| matches!(catch_unwind(AssertUnwindSafe(|| open(damaged, guards))), Ok(Ok(()))))
        .map(|(what, _)| what)
        .collect()
}

#[tokio::test]
async fn every_changed_row_is_noticed() {
    let rows = rows_of(&filled().await);
    open(&rows, Guards::all()).unwrap();
    assert_eq!(unnoticed(&rows, Guards::all()), Vec::<String>::new());
}

#[tokio::test]
async fn checksum_and_hash_are_both_needed() {
    let rows = rows_of(&filled().await);
    for guard in [Guard::RecordChecksum, Guard::RecordsHash] {
        assert!(!unnoticed(&rows, Guards::without(guard)).is_empty(), "nobody misses {guard:?}");
    }
}

#[tokio::test]
async fn a_mixture_of_two_moments_is_noticed() {
    let engine = filled().await;
    let old = rows_of(&engine);
    let engine = engine.reopened();
    let store = Store::with_engine(Box::new(engine.clone()), memory_options(&Clock::default())).unwrap();
    let target = Target::new(store.registry().get("namespaces").unwrap(), "", "d");
    let body = Body::from(json!({"metadata": {"name": "d"}}));
    store.create(&target, body, &WriteOptions::by("test")).await.unwrap();
    store.close().await;
    let new = rows_of(&engine);
    let meta = b"m".to_vec();
    for (rows, other) in [(&old, &new), (&new, &old)] {
        let mut mixed = rows.clone();
        mixed.insert(meta.clone(), other[&meta].clone());
        assert!(matches!(open(&mixed, Guards::all()), Err(OpenError::Damaged(_))));
    }
}

#[tokio::test]
async fn the_report_names_what_is_wrong_and_what_to_do() {
    let rows = rows_of(&filled().await);
    let report = |change: &dyn Fn(&mut Rows)| {
        let mut damaged = rows.clone();
        change(&mut damaged);
        open(&damaged, Guards::all()).unwrap_err().to_string()
    };
    let (first, last) = (rows.keys().nth(1).unwrap().clone(), rows.keys().last().unwrap().clone());
    let revision = u64::from_be_bytes(last[1..9].try_into().unwrap());
    let flipped = report(&|rows| *rows.get_mut(&last).unwrap().last_mut().unwrap() ^= 1);
    assert!(flipped.starts_with(&format!("the store is damaged: revision {revision}: checksum is ")), "{flipped}");
    assert!(
        flipped.ends_with("nothing was changed: restore a backup with `ccd restore`, or look with `ccd check --store`")
    );
    let lost = report(&|rows| drop(rows.remove(&last)));
    assert!(lost.contains("2 records with hash") && lost.contains("3 with hash"), "{lost}");
    let part = rows.keys().find(|key| key.len() == 11 && key[10] == 1).unwrap().clone();
    let half = report(&|rows| drop(rows.remove(&part)));
    assert!(half.contains("part 1 of revision 2 is missing"), "{half}");
    let foreign = report(&|rows| drop(rows.insert(b"zzz".to_vec(), Vec::new())));
    assert!(foreign.contains("has a key of unknown form"), "{foreign}");
    let meta = report(&|rows| drop(rows.remove(&b"m".to_vec())));
    assert!(meta.contains("the meta row is missing although there are records"), "{meta}");
    assert_eq!(first.len(), 11);
}

#[tokio::test]
async fn an_object_that_is_there_twice_is_noticed() {
    let engine = filled().await;
    let store = Store::with_engine(Box::new(engine.clone()), memory_options(&Clock::default())).unwrap();
    let target = Target::new(store.registry().get("namespaces").unwrap(), "", "a");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"new": "yes"}}}));
    store.patch(&target, Part::Whole, &patch, &WriteOptions::by("test")).await.unwrap();
    store.close().await;
    // What the change replaced is to be forgotten, and was not removed.
    let meta = load(&engine, built_in(), Guards::all(), &Arc::default()).unwrap().meta;
    let mut batch = Batch::default();
    put_meta(&mut batch, Meta { compacted: meta.revision, ..meta });
    let mut rows = rows_of(&engine);
    rows.extend(batch.puts.into_iter().map(|(key, value)| (key, value.to_vec())));
    let report = open(&rows, Guards::all()).unwrap_err().to_string();
    assert!(report.starts_with("the store is damaged: namespaces a is there twice, at revisions "), "{report}");
}

#[tokio::test]
async fn newer_layouts_are_refused_as_newer() {
    let rows = rows_of(&filled().await);
    let (meta, record) = (b"m".to_vec(), rows.keys().last().unwrap().clone());
    for key in [meta, record] {
        let mut newer = rows.clone();
        newer.get_mut(&key).unwrap()[0] = 9;
        let error = open(&newer, Guards::all()).unwrap_err();
        assert!(matches!(error, OpenError::Newer(_)), "{error}");
    }
}

/// What everybody sees of a store: its revision and every object with its version.
fn seen(state: &State) -> (u64, Vec<Vec<u8>>) {
    let mut objects: Vec<Vec<u8>> = state
        .resources
        .values()
        .flat_map(|resource| resource.objects.values().map(|object| object.json().to_vec()))
        .collect();
    objects.sort_unstable();
    (state.revision, objects)
}

/// Copies the files of a store that is closed.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), &to).unwrap()),
        }
    }
}

/// The file in which sled has its rows.
fn rows_file(dir: &Path) -> std::path::PathBuf {
    let generations = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files = generations.map(|path| path.join("db")).filter(|path| path.exists());
    let file = files.next().unwrap();
    assert_eq!(files.next(), None, "one generation counts");
    file
}

/// What happens to a file, in words and in deed.
type FileDamage = (String, Box<dyn Fn(&fs::File)>);

/// Damages of a file: a bit here and there where it holds something, cut off at many lengths, emptied, zeroed.
fn file_damages(path: &Path) -> Vec<FileDamage> {
    const PIECES: u64 = 40;
    let bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let mut damages: Vec<FileDamage> = Vec::new();
    for piece in 0..PIECES {
        let at = used * piece / PIECES;
        let held = bytes[usize::try_from(at).unwrap()];
        damages.push((
            format!("a bit of byte {at} of {used}"),
            Box::new(move |file| file.write_all_at(&[held ^ 16], at).unwrap()),
        ));
        damages.push((format!("cut off at {at} of {used}"), Box::new(move |file| file.set_len(at).unwrap())));
        let page = at / 4096 * 4096;
        damages.push((
            format!("zeros from {page} of {used}"),
            Box::new(move |file| file.write_all_at(&[0; 4096], page).unwrap()),
        ));
    }
    damages
}

/// Whatever happens to the file in which sled has its rows: the store says that it is damaged, or it has everything.
#[tokio::test]
async fn a_damaged_file_of_rows_is_reported_or_made_good_and_nothing_is_lost_in_silence() {
    let mut bench = Bench::new().await;
    let mut counts = [0, 0];
    for rewrites in [false, true] {
        for index in 0..60 {
            let text = "x".repeat(if index % 7 == 0 { 9000 } else { 300 });
            bench.create(&format!("w{}-{index}", u8::from(rewrites)), json!({"text": text})).await.unwrap();
        }
        if rewrites {
            // All frames of the journal are forgotten then: it is of no help.
            bench.store.rewrite_files().await.unwrap();
        }
        let expected = seen(&bench.store.state());
        bench.store.close().await;
        let whole = bench.dir.path();
        for (what, damage) in file_damages(&rows_file(whole)) {
            let dir = tempfile::tempdir().unwrap();
            copy(whole, dir.path());
            damage(&fs::File::options().write(true).open(rows_file(dir.path())).unwrap());
            let clock = Clock::default();
            match Store::open(options(dir.path(), HistoryLimits::default(), &clock)) {
                Ok(store) => {
                    assert_eq!(seen(&store.state()).0, expected.0, "{what}, rewritten: {rewrites}");
                    assert!(seen(&store.state()) == expected, "{what}, rewritten: {rewrites}: other contents");
                    store.close().await;
                    counts[0] += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(matches!(error, OpenError::Damaged(_)), "{what}, rewritten: {rewrites}: {text}");
                    counts[1] += 1;
                }
            }
        }
        bench = bench.reopen().await;
    }
    assert!(counts.iter().all(|count| *count > 0), "both happen: {counts:?}");
}
