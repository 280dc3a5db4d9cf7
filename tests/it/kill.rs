//! kill -9 at any moment: every acknowledged write is there, nothing is half there, revisions never repeat, resumed
//! watches have no gap and no duplicate, and the store always opens again.
//!
//! Each round starts a process with writers and watchers on the same directory, kills it after a random time, opens the
//! store in this process and compares it with what the other had said. In every other round the process writes its files
//! anew again and again, and some rounds kill it while it opens the store.

use std::path::Path;
use std::time::Duration;

use tests::crash::{Known, Work, Worker};
use tests::history::Sizes;
use tests::widgets;

const ROUNDS: u64 = 300;
/// One round in so many is killed before the store is open, mostly.
const OPENING_EVERY: u64 = 5;
const WRITERS: usize = 6;
const WATCHERS: usize = 3;
/// Revisions between two times that a worker writes its files anew.
const REWRITE_EVERY: u64 = 20;

#[test]
fn kill_nine_loses_nothing() {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = tests::seed::Random::new(seed);
    let mut known = Known::default();
    let (mut writes, mut while_opening, mut while_rewriting) = (0, 0, 0);
    // How long a worker took until the store was open, the last time that one was left to it.
    let mut opening_micros = 0;
    let (sizes, writers, watchers) = (Sizes::Mixed, WRITERS, WATCHERS);
    let mut work = Work { dir: dir.path().to_owned(), writers, watchers, sizes, rewrite_every: None, without: None };
    for round in 0..ROUNDS {
        work.rewrite_every = (round % 2 == 1).then_some(REWRITE_EVERY);
        let worker = Worker::start(Path::new(env!("CARGO_BIN_EXE_store-worker")), &work).unwrap();
        let killed = if round % OPENING_EVERY == OPENING_EVERY - 1 {
            worker.kill_after(Duration::from_micros(random.below(opening_micros)))
        } else {
            let opened = worker.wait_until_open().unwrap_or_else(|error| panic!("round {round}: {error:#}"));
            opening_micros = u64::try_from(opened.as_micros()).unwrap();
            worker.kill_after(Duration::from_micros(20_000 + random.below(120_000)))
        };
        let said = killed.unwrap_or_else(|error| panic!("round {round}: {error:#}"));
        let store = runtime.block_on(widgets::open_with(widgets::short_history(dir.path()))).unwrap_or_else(|error| {
            panic!("round {round}: the store does not open: {error:#}");
        });
        known.check(&store, &said, sizes).unwrap_or_else(|error| panic!("round {round}: {error:#}"));
        writes += said.acknowledged.len();
        while_opening += u64::from(said.opened_at.is_none());
        while_rewriting += u64::from(said.is_rewriting);
        runtime.block_on(store.close());
    }
    println!(
        "{ROUNDS} rounds, {writes} acknowledged writes; killed {while_opening} while opening, {while_rewriting} while rewriting"
    );
    assert!(writes > 2500, "the writers hardly wrote: {writes}");
    assert!(while_opening > 10, "hardly any was killed while it opened the store: {while_opening}");
    assert!(while_rewriting > 10, "hardly any was killed while it wrote its files anew: {while_rewriting}");
}
