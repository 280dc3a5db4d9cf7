//! The rows behind a journal: they follow, they may be late, they may fail, and nothing that was committed is lost.

use std::path::Path;

use super::*;
use crate::engine::conformance::{batch, check_all, expect_rows};
use crate::engine::memory::{Call, Effect, Fault, MemoryEngine};

/// Never by itself: the rows follow when they have to.
const LATE: Duration = Duration::from_secs(3600);

fn options(apply_after: Duration) -> EngineOptions {
    let journal = JournalLimits { part_bytes: 8 << 10, apply_bytes: 2 << 10, apply_after };
    EngineOptions { journal, free_bytes_min: 0, ..EngineOptions::default() }
}

fn open(engine: &MemoryEngine, dir: &Path, apply_after: Duration) -> Result<Journaled<MemoryEngine>, EngineError> {
    Journaled::open(engine.clone(), dir, &options(apply_after))
}

fn one(number: u32) -> Batch {
    batch(&[(&format!("{number:03}"), "x"), ("last", &number.to_string())], &[])
}

/// Returns the rows that the engine below has, without the one that the journal needs.
fn below(engine: &MemoryEngine) -> usize {
    let mut found = 0;
    engine
        .scan(&mut |key, _| {
            found += usize::from(key != APPLIED_KEY);
            Ok(())
        })
        .unwrap();
    found
}

fn full() -> EngineError {
    EngineError::Full("no room".to_owned())
}

#[test]
fn any_engine_behind_a_journal_conforms() {
    for apply_after in [LATE, Duration::ZERO] {
        let places = std::cell::RefCell::new(Vec::new());
        check_all(&mut || {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().to_owned();
            places.borrow_mut().push(dir);
            let mut last = MemoryEngine::default();
            Box::new(move || {
                last = last.reopened();
                Box::new(open(&last, &path, apply_after).unwrap())
            })
        });
    }
}

#[test]
fn a_commit_does_not_wait_for_the_rows_and_a_close_does() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    let before = engine.calls(Call::Commit);
    for number in 0..15 {
        journaled.commit(one(number)).unwrap();
    }
    assert_eq!((engine.calls(Call::Commit), below(&engine)), (before, 0));
    assert_eq!(journaled.get(b"last").unwrap(), Some(b"14".to_vec()));
    drop(journaled);
    assert_eq!(engine.calls(Call::Commit), before + 1, "what gathered is written at once");
    assert_eq!(below(&engine), 16);
}

#[test]
fn the_rows_follow_when_much_has_gathered() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    // Many times what both parts of the journal hold together.
    let filler = "x".repeat(4000);
    for number in 0..100 {
        journaled.commit(batch(&[(&format!("{number:03}"), &filler)], &[])).unwrap();
    }
    // What may wait when the last one is let in, and itself.
    let waiting = BACKLOG_MAX * 2048 / filler.len() + 1;
    assert!(below(&engine) >= 100 - waiting, "{} of 100, {waiting} may wait", below(&engine));
}

#[test]
fn what_the_rows_do_not_have_yet_is_there_after_a_stop() {
    let (mut engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    for round in 0..10 {
        let journaled = open(&engine, dir.path(), LATE).unwrap();
        let expected: Vec<_> = (0..round * 3).map(|number| format!("{number:03}")).collect();
        let mut found = Vec::new();
        journaled
            .scan(&mut |key, _| {
                found.push(String::from_utf8(key.to_vec()).unwrap());
                Ok(())
            })
            .unwrap();
        found.retain(|key| key != "last");
        assert_eq!(found, expected);
        for number in round * 3..round * 3 + 3 {
            journaled.commit(one(number)).unwrap();
        }
        // What a kill leaves: the rows as they are now, and the files.
        engine = engine.reopened();
        std::mem::forget(journaled);
    }
}

#[test]
fn only_looking_changes_nothing() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    journaled.commit(one(0)).unwrap();
    let engine = engine.reopened();
    std::mem::forget(journaled);
    let journaled = open(&engine, dir.path(), Duration::ZERO).unwrap();
    expect_rows(&journaled, &[("000", "x"), ("last", "0")]);
    drop(journaled);
    assert_eq!((engine.calls(Call::Commit), below(&engine)), (0, 0));
}

#[test]
fn rows_without_room_refuse_the_next_write_and_lose_none() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), Duration::ZERO).unwrap();
    for n in 1..=4 {
        engine.fail_commit(n, full());
    }
    journaled.commit(one(0)).unwrap();
    // The applier has met the first fault; every write asks once more.
    while journaled.rows.backlog().full.is_none() {
        std::thread::yield_now();
    }
    for _ in 0..3 {
        assert_eq!(journaled.commit(one(1)), Err(full()));
        expect_rows(&journaled, &[("000", "x"), ("last", "0")]);
    }
    journaled.commit(one(1)).unwrap();
    expect_rows(&journaled, &[("000", "x"), ("001", "x"), ("last", "1")]);
    drop(journaled);
    assert_eq!(below(&engine), 3);
}

#[test]
fn rows_without_room_are_shown_when_they_get_their_journal() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    engine.commit(batch(&[("old", "1")], &[])).unwrap();
    engine.fail_commit(1, full());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    expect_rows(&journaled, &[("old", "1")]);
    journaled.commit(one(0)).unwrap();
    // Killed before the rows were told that they have a journal.
    let engine = engine.reopened();
    std::mem::forget(journaled);
    expect_rows(&open(&engine, dir.path(), LATE).unwrap(), &[("000", "x"), ("last", "0"), ("old", "1")]);
}

#[test]
fn rows_that_stay_without_room_are_written_after_the_next_open() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    engine.fail_commit(1, full());
    journaled.commit(one(0)).unwrap();
    drop(journaled);
    assert_eq!(below(&engine), 0);
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    journaled.commit(one(1)).unwrap();
    drop(journaled);
    assert_eq!(below(&engine), 3);
}

#[test]
fn rows_that_fail_end_all_writing_and_the_journal_keeps_the_rest() {
    for error in [EngineError::Io("no disk".to_owned()), EngineError::Panic("a bug".to_owned())] {
        let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
        let journaled = open(&engine, dir.path(), LATE).unwrap();
        engine.fail(Call::Commit, 1, Fault { error: error.clone(), effect: Effect::None });
        let filler = "x".repeat(4000);
        let committed =
            (0..40).map_while(|number| journaled.commit(batch(&[(&format!("{number:03}"), &filler)], &[])).ok());
        let committed = committed.count();
        assert!(committed < 40);
        assert_eq!(journaled.commit(one(99)), Err(error.clone()));
        drop(journaled);
        let journaled = open(&engine.reopened(), dir.path(), LATE).unwrap();
        let mut found = 0;
        journaled
            .scan(&mut |_, _| {
                found += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(found, committed);
    }
}

#[test]
fn a_generation_takes_over_from_the_journal_too() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    journaled.commit(one(0)).unwrap();
    let mut generation = journaled.new_generation().unwrap();
    generation.write(batch(&[("new", "1")], &[])).unwrap();
    journaled.switch_to(generation).unwrap();
    expect_rows(&journaled, &[("new", "1")]);
    journaled.commit(one(1)).unwrap();
    let engine = engine.reopened();
    std::mem::forget(journaled);
    expect_rows(&open(&engine, dir.path(), LATE).unwrap(), &[("001", "x"), ("last", "1"), ("new", "1")]);
}

#[test]
fn the_rows_go_on_following_after_a_generation_took_over() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), Duration::from_millis(1)).unwrap();
    let filler = "x".repeat(1500);
    for number in 0..200_u32 {
        journaled.commit(batch(&[(&format!("{number:03}"), &filler)], &[])).unwrap();
        // Takes from the applier what it was about to write.
        let mut generation = journaled.new_generation().unwrap();
        generation.write(batch(&[("new", "1")], &[])).unwrap();
        journaled.switch_to(generation).unwrap();
        if number % 20 == 0 {
            journaled.commit(one(number)).unwrap();
            while !journaled.rows.backlog().frames.is_empty() {
                std::thread::yield_now();
            }
        }
    }
    // Many times what the journal holds: it hangs here if nobody applies.
    for number in 0..40 {
        journaled.commit(batch(&[(&format!("{number:03}"), &filler)], &[])).unwrap();
    }
    drop(journaled);
    assert_eq!(below(&engine), 41);
}

#[test]
fn a_switch_that_fails_leaves_what_the_journal_has() {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let journaled = open(&engine, dir.path(), LATE).unwrap();
    journaled.commit(one(0)).unwrap();
    engine.fail(Call::Switch, 1, Fault { error: full(), effect: Effect::None });
    assert_eq!(journaled.switch_to(journaled.new_generation().unwrap()), Err(full()));
    expect_rows(&journaled, &[("000", "x"), ("last", "0")]);
}

/// Returns how long the rows took to follow one commit, while `generations` are open and write nothing.
fn time_to_follow(journal: JournalLimits, generations: usize) -> Duration {
    let (engine, dir) = (MemoryEngine::default(), tempfile::tempdir().unwrap());
    let options = EngineOptions { journal, free_bytes_min: 0, ..EngineOptions::default() };
    let journaled = Journaled::open(engine.clone(), dir.path(), &options).unwrap();
    let _filling: Vec<_> = (0..generations).map(|_| journaled.new_generation().unwrap()).collect();
    let began = Instant::now();
    journaled.commit(one(0)).unwrap();
    while below(&engine) == 0 {
        std::thread::yield_now();
    }
    began.elapsed()
}

#[test]
fn the_rows_follow_a_lone_writer_when_it_has_paused_and_a_copy_when_it_is_idle() {
    // The first is so far from busy that a single small write does not look like many; the second may leave nothing behind.
    let lone = JournalLimits { part_bytes: 8 << 10, apply_bytes: 1 << 40, apply_after: Duration::ZERO };
    let at_once = JournalLimits { apply_bytes: 1, ..lone };
    let longest = Duration::from_secs(60);
    assert!((pace::PAUSE..longest).contains(&time_to_follow(lone, 0)));
    assert!((filling::IDLE_AFTER..longest).contains(&time_to_follow(at_once, 1)));
}

#[test]
fn a_writer_waits_while_too_much_waits_for_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(LATE);
    options.journal.part_bytes = 1 << 20;
    let journaled = Journaled::open(MemoryEngine::default(), dir.path(), &options).unwrap();
    let filler = "x".repeat(1000);
    std::thread::scope(|threads| {
        let turn = journaled.rows.turn();
        let writer = threads.spawn(|| {
            for number in 0..80 {
                journaled.commit(batch(&[(&format!("{number:03}"), &filler)], &[])).unwrap();
            }
        });
        // Nobody else asks the rows to hurry.
        while !journaled.rows.backlog().is_urgent && !writer.is_finished() {
            std::thread::yield_now();
        }
        let waiting = journaled.rows.backlog().bytes;
        assert!((56 << 10..58 << 10).contains(&waiting), "{waiting} bytes wait");
        drop(turn);
    });
    assert_eq!(journaled.get(b"079").unwrap(), Some(filler.into_bytes()));
}
