//! kill -9 at any moment: every acknowledged write is there, nothing is half there, revisions never repeat, resumed
//! watches have no gap and no duplicate, and the store always opens again.
//!
//! Each round starts a process with writers and a watcher on the same directory, kills it after a random time, opens
//! the store in this process and compares it with what the other had said.

use std::path::Path;
use std::time::Duration;

use tests::crash::{Known, Work, Worker};
use tests::history::Sizes;
use tests::widgets;

const ROUNDS: u64 = 300;
const WRITERS: usize = 6;

#[test]
fn kill_nine_loses_nothing() {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = tests::seed::Random::new(seed);
    let mut known = Known::default();
    let mut writes = 0;
    let sizes = Sizes::Mixed;
    let work = Work { dir: dir.path().to_owned(), writers: WRITERS, sizes, rewrite_every: None, without: None };
    for round in 0..ROUNDS {
        let worker = Worker::start(Path::new(env!("CARGO_BIN_EXE_store-worker")), &work).unwrap();
        let said = worker.kill_after(Duration::from_micros(20_000 + random.below(120_000))).unwrap();
        let store = runtime.block_on(widgets::open_with(widgets::short_history(dir.path()))).unwrap_or_else(|error| {
            panic!("round {round}: the store does not open: {error:#}");
        });
        known.check(&store, &said, sizes).unwrap_or_else(|error| panic!("round {round}: {error:#}"));
        writes += said.acknowledged.len();
        runtime.block_on(store.close());
    }
    println!("{ROUNDS} rounds, {writes} acknowledged writes");
    assert!(writes > 1000, "the writers hardly wrote: {writes}");
}
