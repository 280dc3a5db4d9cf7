//! What every engine must do, as one table of cases that runs on the real one and on the fake.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Batch, Engine, EngineError, KEY_BYTES_MAX, ROW_BYTES_MAX};

/// Opens the same engine again; the one before was dropped.
pub(super) type Reopen<'a> = &'a mut dyn FnMut() -> Box<dyn Engine>;

type Case = (&'static str, fn(Reopen<'_>));

const CASES: [Case; 15] = [
    ("a new engine holds nothing", new_is_empty),
    ("rows come in the order of their keys", rows_come_in_order),
    ("a row is found by its key, and no other is", row_is_found),
    ("a batch puts, replaces and deletes", batch_puts_replaces_and_deletes),
    ("of two puts of a key the later counts, a delete counts more", later_counts),
    ("removing what is not there is no error", removing_nothing_is_no_error),
    ("an empty batch changes nothing", empty_batch_changes_nothing),
    ("a row at the limit is kept, one above it is refused with its whole batch", limits_are_kept),
    ("rows survive reopening", rows_survive_reopening),
    ("a scan stops where its visitor says so", scan_stops),
    ("a generation replaces all rows, for good", generation_replaces_rows),
    ("a generation is empty, and commits go on beside it", generation_is_a_sibling),
    ("a dropped generation leaves no trace", dropped_generation_leaves_no_trace),
    ("a generation of another engine is refused", generation_of_another_is_refused),
    ("a random history with restarts equals the model", random_history_equals_the_model),
];

/// Runs every case on an engine of its own; `fresh` makes a place for one and returns how to open it.
pub(super) fn check_all(fresh: &mut dyn FnMut() -> Box<dyn FnMut() -> Box<dyn Engine>>) {
    for (name, case) in CASES {
        println!("{name}");
        case(&mut *fresh());
    }
}

/// Returns a batch of texts.
pub(super) fn batch(puts: &[(&str, &str)], deletes: &[&str]) -> Batch {
    Batch {
        puts: puts
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
        deletes: deletes.iter().map(|key| key.as_bytes().to_vec()).collect(),
    }
}

/// Returns all rows as texts.
pub(super) fn rows(engine: &dyn Engine) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    engine
        .scan(&mut |key, value| {
            rows.push((text(key), text(value)));
            Ok(())
        })
        .unwrap();
    rows
}

#[track_caller]
pub(super) fn expect_rows(engine: &dyn Engine, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(rows(engine), expected);
}

fn new_is_empty(reopen: Reopen<'_>) {
    expect_rows(&*reopen(), &[]);
    expect_rows(&*reopen(), &[]);
}

fn rows_come_in_order(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("b", "2"), ("a", "1"), ("aa", "1a")], &[])).unwrap();
    engine.commit(batch(&[("c", "3"), ("B", "0")], &[])).unwrap();
    expect_rows(&*engine, &[("B", "0"), ("a", "1"), ("aa", "1a"), ("b", "2"), ("c", "3")]);
    assert!(engine.disk_bytes() > 0);
}

fn row_is_found(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1"), ("b", "2")], &[])).unwrap();
    engine.commit(batch(&[("c", "3")], &["b"])).unwrap();
    let get = |engine: &dyn Engine, key: &str| engine.get(key.as_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(get(&*engine, "a"), Some(b"1".to_vec()));
        assert_eq!(get(&*engine, "b"), None);
        assert_eq!(get(&*engine, "c"), Some(b"3".to_vec()));
    }
    drop(engine);
    let engine = reopen();
    assert_eq!((get(&*engine, "b"), get(&*engine, "c")), (None, Some(b"3".to_vec())));
}

fn batch_puts_replaces_and_deletes(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1"), ("b", "2")], &[])).unwrap();
    engine.commit(batch(&[("b", "3"), ("c", "4")], &["a"])).unwrap();
    expect_rows(&*engine, &[("b", "3"), ("c", "4")]);
}

fn later_counts(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1"), ("b", "1"), ("a", "2")], &["b", "b"])).unwrap();
    expect_rows(&*engine, &[("a", "2")]);
}

fn removing_nothing_is_no_error(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[], &["a"])).unwrap();
    engine.commit(batch(&[("b", "")], &["a"])).unwrap();
    expect_rows(&*engine, &[("b", "")]);
}

fn empty_batch_changes_nothing(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1")], &[])).unwrap();
    engine.commit(Batch::default()).unwrap();
    expect_rows(&*engine, &[("a", "1")]);
}

fn limits_are_kept(reopen: Reopen<'_>) {
    let (key, value) = ("k".repeat(KEY_BYTES_MAX), "v".repeat(ROW_BYTES_MAX));
    let engine = reopen();
    engine.commit(batch(&[(&key, &value)], &[])).unwrap();
    let refused = [
        batch(&[("a", "1"), ("b", &format!("{value}v"))], &[]),
        batch(&[("a", "1"), ("", "2")], &[]),
        batch(&[("a", "1"), (&format!("{key}k"), "2")], &[]),
        batch(&[("a", "1")], &[""]),
    ];
    for batch in refused {
        assert!(matches!(engine.commit(batch), Err(EngineError::Invalid(_))));
    }
    expect_rows(&*engine, &[(&key, &value)]);
    engine.commit(batch(&[("a", "1")], &[&key])).unwrap();
    expect_rows(&*engine, &[("a", "1")]);
}

fn rows_survive_reopening(reopen: Reopen<'_>) {
    for number in 0..5 {
        let engine = reopen();
        assert_eq!(rows(&*engine).len(), number);
        let key = format!("{number}");
        engine.commit(batch(&[(&key, "x")], &[])).unwrap();
    }
}

fn scan_stops(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1"), ("b", "2"), ("c", "3")], &[])).unwrap();
    let mut seen = 0;
    let stopped = engine.scan(&mut |key, _| {
        seen += 1;
        if key == b"b" { Err(EngineError::Corrupt("enough".to_owned())) } else { Ok(()) }
    });
    assert_eq!((stopped, seen), (Err(EngineError::Corrupt("enough".to_owned())), 2));
    engine.commit(batch(&[("d", "4")], &[])).unwrap();
}

fn generation_replaces_rows(reopen: Reopen<'_>) {
    let engine = reopen();
    for number in 0..3 {
        engine.commit(batch(&[("a", "old"), ("b", "old")], &[])).unwrap();
        let mut generation = engine.new_generation().unwrap();
        generation.write(batch(&[("b", "new"), ("x", "1")], &[])).unwrap();
        generation.write(batch(&[("c", &number.to_string())], &["x"])).unwrap();
        engine.switch_to(generation).unwrap();
        expect_rows(&*engine, &[("b", "new"), ("c", &number.to_string())]);
        engine.commit(batch(&[("d", "4")], &["b"])).unwrap();
    }
    drop(engine);
    expect_rows(&*reopen(), &[("c", "2"), ("d", "4")]);
}

fn generation_is_a_sibling(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1")], &[])).unwrap();
    let filler = std::thread::scope(|scope| {
        let mut generation = engine.new_generation().unwrap();
        let filler = scope.spawn(move || {
            for number in 0..20 {
                generation.write(batch(&[(&format!("g{number:02}"), "g")], &[])).unwrap();
            }
            generation
        });
        for number in 0..20 {
            engine.commit(batch(&[(&format!("e{number:02}"), "e")], &[])).unwrap();
        }
        filler.join().unwrap()
    });
    assert_eq!(rows(&*engine).len(), 21);
    engine.switch_to(filler).unwrap();
    assert_eq!(rows(&*engine).len(), 20);
}

fn dropped_generation_leaves_no_trace(reopen: Reopen<'_>) {
    let engine = reopen();
    engine.commit(batch(&[("a", "1")], &[])).unwrap();
    let mut generation = engine.new_generation().unwrap();
    generation.write(batch(&[("b", "2")], &[])).unwrap();
    drop(generation);
    expect_rows(&*engine, &[("a", "1")]);
    drop(engine);
    expect_rows(&*reopen(), &[("a", "1")]);
}

fn generation_of_another_is_refused(reopen: Reopen<'_>) {
    struct Foreign;
    impl super::Generation for Foreign {
        fn write(&mut self, _: Batch) -> Result<(), EngineError> {
            Ok(())
        }
        fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
            self
        }
    }
    let engine = reopen();
    engine.commit(batch(&[("a", "1")], &[])).unwrap();
    assert!(matches!(engine.switch_to(Box::new(Foreign)), Err(EngineError::Invalid(_))));
    expect_rows(&*engine, &[("a", "1")]);
}

/// Rows as the store has them: growing keys, superseded ones deleted later, one row rewritten in every batch.
fn random_history_equals_the_model(reopen: Reopen<'_>) {
    let seed = std::process::id();
    println!("seed {seed}");
    let mut random = Random(u64::from(seed));
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut engine = reopen();
    let mut revision = 0_u64;
    for step in 0..400 {
        let mut next = Batch::default();
        for _ in 0..random.below(40) {
            revision += 1;
            let value = vec![random.below(256) as u8; random.below(ROW_BYTES_MAX as u64 + 1) as usize];
            next.puts.push((revision.to_be_bytes().to_vec(), value.into()));
        }
        next.puts.push((b"m".to_vec(), revision.to_be_bytes().to_vec().into()));
        for _ in 0..random.below(40) {
            let old = random.below(revision + 1).to_be_bytes().to_vec();
            next.deletes.push(old);
        }
        for (key, value) in &next.puts {
            model.insert(key.clone(), value.to_vec());
        }
        for key in &next.deletes {
            model.remove(key);
        }
        engine.commit(next).unwrap();
        if random.below(40) == 0 {
            drop(engine);
            engine = reopen();
        }
        if step % 50 == 0 {
            expect_model(&*engine, &model);
        }
    }
    expect_model(&*engine, &model);
}

fn expect_model(engine: &dyn Engine, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut expected = model.iter();
    engine
        .scan(&mut |key, value| {
            let (expected_key, expected_value) = expected.next().expect("a row too many");
            assert_eq!((key, value), (expected_key.as_slice(), expected_value.as_slice()));
            Ok(())
        })
        .unwrap();
    assert_eq!(expected.next(), None, "a row is missing");
}

/// A small generator, so that a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
