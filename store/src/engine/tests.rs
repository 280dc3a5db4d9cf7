//! The suite on both engines, and what only the one on disk can get wrong: its directory, its lock, its room.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::conformance::{batch, check_all, expect_rows};
use super::disk::SledEngine;
use super::layout::Formats;
use super::memory::MemoryEngine;
use super::{Batch, Engine, EngineError, EngineOptions, JournalLimits, Journaled, open};

fn options() -> EngineOptions {
    EngineOptions { lock_wait: Duration::from_millis(500), free_bytes_min: 0, ..EngineOptions::default() }
}

/// So small that a few batches fill a part, and rows follow when they have to.
fn tight() -> EngineOptions {
    let journal = JournalLimits { part_bytes: 16 << 10, apply_bytes: 8 << 10, apply_after: Duration::from_millis(1) };
    EngineOptions { journal, ..options() }
}

fn open_in(dir: &Path) -> Result<Journaled<SledEngine>, EngineError> {
    open(dir, &options())
}

/// A directory with one row, `a` = `1`.
fn made() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    open_in(dir.path()).unwrap().commit(batch(&[("a", "1")], &[])).unwrap();
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn error_of<E>(opened: Result<E, EngineError>) -> EngineError {
    match opened {
        Ok(_) => panic!("the engine opened"),
        Err(error) => error,
    }
}

/// Checks what `open` opens, in one directory for each case.
fn check_in_directories(open: fn(&Path) -> Box<dyn Engine>) {
    let places = std::cell::RefCell::new(Vec::new());
    check_all(&mut || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/store");
        places.borrow_mut().push(dir);
        Box::new(move || open(&path))
    });
}

#[test]
fn sled_conforms() {
    check_in_directories(|dir| Box::new(SledEngine::open(dir, &options()).unwrap()));
}

#[test]
fn sled_behind_a_journal_conforms() {
    check_in_directories(|dir| Box::new(open_in(dir).unwrap()));
    check_in_directories(|dir| Box::new(open(dir, &tight()).unwrap()));
}

#[test]
fn memory_conforms() {
    check_all(&mut || {
        let mut last = MemoryEngine::default();
        Box::new(move || {
            last = last.reopened();
            Box::new(last.clone())
        })
    });
}

#[test]
fn ordered_faults_come_once_or_for_good() {
    let engine = MemoryEngine::default();
    engine.fail_commit(2, EngineError::Full("no room".to_owned()));
    engine.fail_commit(4, EngineError::Io("no disk".to_owned()));
    let answers: Vec<_> =
        (0..5).map(|number| engine.commit(batch(&[(&number.to_string(), "x")], &[])).is_ok()).collect();
    assert_eq!(answers, [true, false, true, false, false]);
    assert!(matches!(engine.commit(Batch::default()), Err(EngineError::Io(_))));
    expect_rows(&engine, &[("0", "x"), ("2", "x")]);
    let engine = engine.reopened();
    engine.tamper(|rows| rows.clear());
    engine.commit(batch(&[("9", "x")], &[])).unwrap();
    expect_rows(&engine, &[("9", "x")]);
}

#[test]
fn a_second_open_is_told_who_has_it() {
    let dir = made();
    let first = open_in(dir.path()).unwrap();
    let error = error_of(open_in(dir.path()));
    assert_eq!(error, EngineError::Locked { dir: dir.path().to_owned(), holder: Some(std::process::id()) });
    assert_eq!(error.to_string(), format!("{} is in use by process {}", dir.path().display(), std::process::id()));
    drop(first);
    open_in(dir.path()).unwrap();
}

#[test]
fn an_engine_with_a_generation_being_filled_can_be_closed_and_opened() {
    let dir = made();
    let engine = open_in(dir.path()).unwrap();
    let mut generation = engine.new_generation().unwrap();
    drop(engine);
    assert!(matches!(generation.write(batch(&[("b", "2")], &[])), Err(EngineError::Invalid(_))));
    assert!(matches!(error_of(open_in(dir.path())), EngineError::Locked { .. }), "its files would be removed");
    drop(generation);
    expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1")]);
}

#[test]
fn the_directory_holds_what_it_should() {
    let dir = made();
    assert_eq!(names(dir.path()), ["CURRENT", "LOCK", "RESERVE", "gen-000001", "journal-0", "journal-1"]);
    assert_eq!(fs::read_to_string(dir.path().join("CURRENT")).unwrap(), "format 3\ngeneration gen-000001\n");
    let engine = open_in(dir.path()).unwrap();
    let generation = engine.new_generation().unwrap();
    assert!(dir.path().join("gen-000002/FILLING").exists());
    engine.switch_to(generation).unwrap();
    drop(engine);
    assert_eq!(names(dir.path()), ["CURRENT", "LOCK", "RESERVE", "gen-000002", "journal-0", "journal-1"]);
    assert!(!dir.path().join("gen-000002/FILLING").exists());
}

#[test]
fn what_was_left_half_made_is_removed() {
    let dir = made();
    let filling = dir.path().join("gen-000007");
    fs::create_dir(&filling).unwrap();
    fs::write(filling.join("FILLING"), "").unwrap();
    fs::write(filling.join("db"), "half").unwrap();
    fs::write(dir.path().join("CURRENT.unfinished"), "form").unwrap();
    fs::write(dir.path().join("gen-000001/FILLING"), "").unwrap();
    expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1")]);
    assert_eq!(names(dir.path()), ["CURRENT", "LOCK", "RESERVE", "gen-000001", "journal-0", "journal-1"]);
    assert!(!dir.path().join("gen-000001/FILLING").exists());
}

#[test]
fn a_first_open_that_was_cut_short_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    for leftover in ["gen-000001/FILLING", "gen-000001/db", "CURRENT.unfinished"] {
        let path = dir.path().join(leftover);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        let engine = open_in(dir.path()).unwrap();
        expect_rows(&engine, &[]);
        drop(engine);
        fs::remove_file(dir.path().join("CURRENT")).unwrap();
        fs::remove_dir_all(dir.path().join("gen-000001")).unwrap();
        fs::create_dir(dir.path().join("gen-000001")).unwrap();
        fs::write(dir.path().join("gen-000001/FILLING"), "").unwrap();
    }
}

#[test]
fn a_lost_current_is_no_empty_store() {
    let dir = made();
    let current = fs::read(dir.path().join("CURRENT")).unwrap();
    fs::remove_file(dir.path().join("CURRENT")).unwrap();
    let EngineError::Corrupt(why) = error_of(open_in(dir.path())) else { panic!("another error") };
    assert!(why.contains("CURRENT is missing, but") && why.contains("`generation gen-000001`"), "{why}");
    fs::write(dir.path().join("CURRENT"), current).unwrap();
    expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1")]);
}

#[test]
fn a_current_that_means_nothing_is_refused() {
    let dir = made();
    for text in ["", "format 1\n", "format x\ngeneration gen-000001\n", "format 1\ngeneration ../../etc\n"] {
        fs::write(dir.path().join("CURRENT"), text).unwrap();
        assert!(matches!(error_of(open_in(dir.path())), EngineError::Corrupt(_)), "{text:?}");
    }
    fs::write(dir.path().join("CURRENT"), "format 1\ngeneration gen-000009\n").unwrap();
    assert!(matches!(error_of(open_in(dir.path())), EngineError::Corrupt(_)));
    assert!(dir.path().join("gen-000001/db").exists(), "nothing was removed");
}

#[test]
fn a_newer_format_is_refused_and_named() {
    let dir = made();
    fs::write(dir.path().join("CURRENT"), "format 7\ngeneration gen-000001\n").unwrap();
    let error = error_of(open_in(dir.path()));
    assert!(error.to_string().ends_with("has store format 7, this program reads formats 1 to 3"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("CURRENT")).unwrap(), "format 7\ngeneration gen-000001\n");
}

#[test]
fn a_store_from_before_the_journal_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    SledEngine::open(dir.path(), &options()).unwrap().commit(batch(&[("a", "1")], &[])).unwrap();
    fs::write(dir.path().join("CURRENT"), "format 1\ngeneration gen-000001\n").unwrap();
    let engine = open_in(dir.path()).unwrap();
    expect_rows(&engine, &[("a", "1")]);
    engine.commit(batch(&[("b", "2")], &[])).unwrap();
    drop(engine);
    assert_eq!(fs::read_to_string(dir.path().join("CURRENT")).unwrap(), "format 3\ngeneration gen-000001\n");
    expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1"), ("b", "2")]);
    // From now on a journal that is gone is a loss.
    fs::remove_file(dir.path().join("journal-1")).unwrap();
    assert!(matches!(error_of(open_in(dir.path())), EngineError::Corrupt(_)));
}

#[test]
fn an_older_format_is_brought_up_step_by_step() {
    fn first(dir: &Path) -> Result<(), EngineError> {
        fs::write(dir.join("steps"), "first ").map_err(|error| EngineError::Io(error.to_string()))
    }
    fn second(dir: &Path) -> Result<(), EngineError> {
        let steps = fs::read_to_string(dir.join("steps")).unwrap_or_default() + "second";
        fs::write(dir.join("steps"), steps).map_err(|error| EngineError::Io(error.to_string()))
    }
    fn cut_short(_: &Path) -> Result<(), EngineError> {
        Err(EngineError::Io("cut short".to_owned()))
    }
    let dir = tempfile::tempdir().unwrap();
    SledEngine::open(dir.path(), &options()).unwrap().commit(batch(&[("a", "1")], &[])).unwrap();
    let current = || fs::read_to_string(dir.path().join("CURRENT")).unwrap();
    let open_at =
        |migrations: &[_]| SledEngine::open_formats(dir.path(), &options(), Formats { newest: 5, migrations });
    assert!(matches!(error_of(open_at(&[first, cut_short])), EngineError::Io(_)));
    assert_eq!(current(), "format 4\ngeneration gen-000001\n");
    expect_rows(&open_at(&[first, second]).unwrap(), &[("a", "1")]);
    assert_eq!(current(), "format 5\ngeneration gen-000001\n");
    assert_eq!(fs::read_to_string(dir.path().join("steps")).unwrap(), "first second");
    let too_old = SledEngine::open_formats(dir.path(), &options(), Formats { newest: 7, migrations: &[first] });
    assert_eq!(error_of(too_old), EngineError::Format { dir: dir.path().to_owned(), found: 5, oldest: 6, newest: 7 });
}

#[test]
fn damage_is_reported_and_nothing_is_changed() {
    let dir = made();
    drop(open_in(dir.path()).unwrap());
    let data = dir.path().join("gen-000001/db");
    let snapshot = names(&dir.path().join("gen-000001")).into_iter().find(|name| name.starts_with("snap.")).unwrap();
    let snapshot = dir.path().join("gen-000001").join(snapshot);
    let bytes = fs::read(&snapshot).unwrap();
    let mut damaged = bytes.clone();
    damaged[0] ^= 1;
    fs::write(&snapshot, &damaged).unwrap();
    let before = fs::read(&data).unwrap();
    let error = error_of(open_in(dir.path()));
    assert!(matches!(error, EngineError::Corrupt(_) | EngineError::Panic(_)), "{error:?}");
    assert_eq!(fs::read(&data).unwrap(), before);
    fs::write(&snapshot, bytes).unwrap();
    expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1")]);
}

#[test]
fn a_snapshot_that_was_cut_short_is_no_damage() {
    let dir = made();
    // Newer than every whole one, as it is when the power fails while an open writes it.
    let unfinished = dir.path().join("gen-000001/snap.00000000FFFFFFFF.generating");
    for left in [&b""[..], b"some of what it would have held"] {
        fs::write(&unfinished, left).unwrap();
        expect_rows(&open_in(dir.path()).unwrap(), &[("a", "1")]);
        assert!(!unfinished.exists());
    }
}

#[test]
fn without_room_nothing_is_written_and_reading_goes_on() {
    let dir = made();
    let stingy = EngineOptions { free_bytes_min: u64::MAX / 2, ..options() };
    let engine = open(dir.path(), &stingy).unwrap();
    let EngineError::Full(why) = engine.commit(batch(&[("b", "2")], &["a"])).unwrap_err() else { panic!("not full") };
    assert!(why.contains("MiB left"), "{why}");
    assert!(matches!(engine.new_generation(), Err(EngineError::Full(_))));
    expect_rows(&engine, &[("a", "1")]);
    drop(engine);
    open_in(dir.path()).unwrap().commit(batch(&[("b", "2")], &["a"])).unwrap();
    expect_rows(&open_in(dir.path()).unwrap(), &[("b", "2")]);
}

#[test]
fn what_large_batches_replace_is_let_go() {
    fn resident_mebibytes() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    }
    let dir = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(dir.path(), &options()).unwrap();
    let before = resident_mebibytes();
    let mut revision = 0_u64;
    for _ in 0..40 {
        let mut next = Batch::default();
        for _ in 0..1500 {
            revision += 1;
            next.puts.push((revision.to_be_bytes().to_vec(), vec![7; 700].into()));
        }
        engine.commit(next).unwrap();
    }
    let grown = resident_mebibytes() - before;
    assert!(grown < 120, "40 MiB of rows, a cache of 16, and memory grew by {grown} MiB");
}

#[test]
fn errors_of_the_file_system_that_mean_no_room_are_told_apart() {
    use rustix::io::Errno;
    for (errno, is_full) in [(Errno::NOSPC, true), (Errno::DQUOT, true), (Errno::IO, false), (Errno::NOENT, false)] {
        let error = super::file_error("write", &errno.into());
        assert_eq!(matches!(error, EngineError::Full(_)), is_full, "{error:?}");
    }
}
