//! The power fails at any moment: every acknowledged write is there, whole, and the store opens again.
//!
//! A disk of our own (`tests::power`) keeps what was synced apart from what was only written. In each round a worker
//! process writes to it until, before a call chosen at random, the power is cut; from then on every call fails. Then the
//! disk is mounted again with what survived, and the store must open and hold what the worker had been told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use api_types::status::{Reason, Status};
use serde_json::json;
use store::guards::{Guard, Guards};
use store::request::{Body, WriteOptions};
use store::store::{JournalLimits, OpenOptions, Store};
use tests::crash::{Broken, Known, Said, Work, Worker, must};
use tests::history::Sizes;
use tests::power::client::PowerDisk;
use tests::power::control::ErrorKind;
use tests::power::disk::{Cut, Operation};
use tests::seed::Random;
use tests::widgets;

const ROUNDS: u64 = 30;
const WRITERS: usize = 6;
const WATCHERS: usize = 2;
/// Every so many rounds a database is begun afresh: its first moments are the most dangerous ones.
const FRESH_EVERY: u64 = 6;
/// Revisions between two times that a worker writes its files anew.
const REWRITE_EVERY: u64 = 50;
/// Calls that change something, until a new database is open, about.
const CALLS_TO_MAKE: u64 = 70;
/// Most calls before the power is cut.
const CALLS_MAX: u64 = 400;
/// One in so many written pages reaches the disk unasked.
const WRITE_BACK: u64 = 16;
/// How long a worker may take to notice that nothing works any more.
const PATIENCE: Duration = Duration::from_secs(60);

fn start_disk() -> PowerDisk {
    PowerDisk::start(Path::new(env!("CARGO_BIN_EXE_power-disk"))).unwrap_or_else(|error| panic!("{error:#}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(runtime: &tokio::runtime::Runtime, dir: &Path) -> anyhow::Result<Store> {
    runtime.block_on(widgets::open_with(widgets::short_history(dir)))
}

/// A disk with a store on it, and what the store is known to hold.
struct Site {
    disk: PowerDisk,
    runtime: tokio::runtime::Runtime,
    random: Random,
    work: Work,
    known: Known,
    writes: usize,
}

impl Site {
    fn new(sizes: Sizes, without: Option<Guard>, seed: u64) -> Self {
        let disk = start_disk();
        let without = without.map(|guard| format!("{guard:?}"));
        let (writers, watchers, rewrite_every) = (WRITERS, WATCHERS, Some(REWRITE_EVERY));
        let work = Work { dir: PathBuf::new(), writers, watchers, sizes, rewrite_every, without };
        Self { disk, runtime: runtime(), random: Random::new(seed), work, known: Known::default(), writes: 0 }
    }

    /// Writes, cuts, mounts, opens and compares; the error says what is wrong.
    fn round(&mut self, round: u64, cut: Cut) -> anyhow::Result<()> {
        let mut calls = self.random.below(CALLS_MAX);
        if round.is_multiple_of(FRESH_EVERY) {
            self.work.dir = self.disk.path().join(format!("store-{round}"));
            self.known = Known::default();
            calls = if round.is_multiple_of(2 * FRESH_EVERY) { self.random.below(CALLS_TO_MAKE) } else { calls };
        }
        self.disk.cut_after(cut, calls, self.random.next_number())?;
        let worker = Worker::start(Path::new(env!("CARGO_BIN_EXE_store-worker")), &self.work)?;
        let said = worker.wait(PATIENCE)?;
        said.check_denials()?;
        anyhow::ensure!(!self.disk.has_power()?, "the worker ended although nothing had happened");
        self.verify(&said)
    }

    /// As [`Self::round`], but one write is refused before the power is cut; the worker may end of that alone.
    fn refused_write(&mut self, round: u64) -> anyhow::Result<()> {
        if round.is_multiple_of(FRESH_EVERY) {
            self.work.dir = self.disk.path().join(format!("store-{round}"));
            self.known = Known::default();
        }
        self.disk.fail(Operation::Write, self.random.below(CALLS_TO_MAKE), 1, ErrorKind::Io)?;
        self.disk.cut_after(Cut::Drop, CALLS_MAX, self.random.next_number())?;
        let worker = Worker::start(Path::new(env!("CARGO_BIN_EXE_store-worker")), &self.work)?;
        let said = worker.wait(PATIENCE)?;
        self.disk.cut(Cut::Drop, self.random.next_number())?;
        self.verify(&said)
    }

    fn verify(&mut self, said: &Said) -> anyhow::Result<()> {
        self.disk.remount()?;
        let store = open(&self.runtime, &self.work.dir).context(Broken::Closed)?;
        let checked = self.known.check(&store, said, self.work.sizes);
        self.runtime.block_on(store.close());
        drop(store);
        self.writes += said.acknowledged.len();
        checked
    }
}

fn power_cut(cut: Cut, sizes: Sizes) {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed}");
    let mut site = Site::new(sizes, None, seed);
    if cut != Cut::Drop {
        site.disk.write_back(WRITE_BACK, seed).unwrap();
    }
    for round in 0..ROUNDS {
        site.round(round, cut).unwrap_or_else(|error| panic!("round {round}: {error:#}"));
    }
    println!("{ROUNDS} rounds, {} acknowledged writes", site.writes);
    assert!(site.writes > 300, "the writers hardly wrote: {}", site.writes);
}

#[test]
fn power_cut_that_drops_all_loses_no_small_values() {
    power_cut(Cut::Drop, Sizes::Small);
}

#[test]
fn power_cut_that_drops_all_loses_no_large_values() {
    power_cut(Cut::Drop, Sizes::Large);
}

#[test]
fn power_cut_that_drops_some_loses_no_small_values() {
    power_cut(Cut::Random, Sizes::Small);
}

#[test]
fn power_cut_that_drops_some_loses_no_large_values() {
    power_cut(Cut::Random, Sizes::Large);
}

#[test]
fn power_cut_that_tears_loses_no_small_values() {
    power_cut(Cut::Torn, Sizes::Small);
}

#[test]
fn power_cut_that_tears_loses_no_large_values() {
    power_cut(Cut::Torn, Sizes::Large);
}

/// Rounds in which a missing guard must be noticed.
const MUTANT_ROUNDS: u64 = 40;

/// Plays rounds without `guard` until the store is broken; returns how. What else goes wrong is no proof.
fn broken_without(guard: Guard) -> Option<Broken> {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("without {guard:?}: replay with CC_SEED={seed}");
    let mut site = Site::new(Sizes::Small, Some(guard), seed);
    let wrong = (0..MUTANT_ROUNDS).find_map(|round| site.round(round, Cut::Drop).err())?;
    println!("without {guard:?}: {wrong:#}");
    let broken = wrong.downcast_ref::<Broken>().copied();
    Some(broken.unwrap_or_else(|| panic!("without {guard:?} the test itself fails: {wrong:#}")))
}

#[test]
fn power_cut_suite_misses_each_guard() {
    use Broken::{Closed, Lost, Missed};
    let cases: [(Guard, &[Broken]); 6] = [
        // A watch that resumes misses what is lost, too, and is asked first.
        (Guard::AnswerAfterSync, &[Lost, Missed]),
        (Guard::PublishAfterSync, &[Missed]),
        (Guard::SyncAfterFlush, &[Lost, Closed]),
        (Guard::SyncJournal, &[Lost, Closed]),
        (Guard::SyncDirectories, &[Lost, Closed]),
        (Guard::ResumeExactly, &[Missed]),
    ];
    for (guard, expected) in cases {
        let broken = broken_without(guard);
        let is_expected = broken.is_some_and(|broken| expected.contains(&broken));
        assert!(is_expected, "without {guard:?}, {MUTANT_ROUNDS} rounds found {broken:?}, not {expected:?}");
    }
}

/// What a store on a failing disk did.
struct Failure {
    /// Names of the widgets that were acknowledged before.
    acknowledged: Vec<String>,
    /// The answer to the first write that was refused; none if the store got over the fault by itself.
    answer: Option<Status>,
}

async fn create(store: &Store, name: &str) -> Result<(), Status> {
    let body = Body::from(widgets::body(name, json!({"text": "x".repeat(6000)})));
    store.create(&widgets::widget(store, name), body, &WriteOptions::by("test")).await.map(drop)
}

/// Writes until an ordered fault shows, or so often that it must have been met.
fn write_until_refused(runtime: &tokio::runtime::Runtime, store: &Store) -> Failure {
    let mut acknowledged = Vec::new();
    for number in 0..60 {
        let name = format!("w{number}");
        match runtime.block_on(create(store, &name)) {
            Ok(()) => acknowledged.push(name),
            Err(answer) => return Failure { acknowledged, answer: Some(answer) },
        }
    }
    Failure { acknowledged, answer: None }
}

fn check_all_there(store: &Store, names: &[String]) {
    for name in names {
        assert!(store.get(&widgets::widget(store, name).resource, &format!("default/{name}")).is_some(), "{name}");
    }
}

/// The rows follow only when the store is closed, so that a fault meets the journal.
const ROWS_WAIT: JournalLimits =
    JournalLimits { part_bytes: 8 << 20, apply_bytes: usize::MAX, apply_after: Duration::from_secs(3600) };
/// The rows follow every write at once, so that a fault meets the one or the other.
const ROWS_FOLLOW: JournalLimits = JournalLimits { part_bytes: 16 << 10, apply_bytes: 1, apply_after: Duration::ZERO };

/// What comes first at the end: a close brings to the disk what a failed sync may have left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Cut,
}

/// Orders `error` for some calls of a sort (how many go well before, how many fail), writes into it, and looks at what
/// the store says and what it kept.
fn fail_at(
    journal: JournalLimits,
    operation: Operation,
    error: ErrorKind,
    calls: (u64, u64),
    guards: Guards,
    end: End,
) -> anyhow::Result<Option<Status>> {
    let mut disk = start_disk();
    let runtime = runtime();
    let dir = disk.path().join("store");
    let options = OpenOptions { guards, journal, ..widgets::short_history(&dir) };
    let store = runtime.block_on(widgets::open_with(options))?;
    let (skip, count) = calls;
    disk.fail(operation, skip, count, error)?;
    let mut failure = write_until_refused(&runtime, &store);
    check_all_there(&store, &failure.acknowledged);
    if store.has_failed() {
        // All is well with the disk again, and yet: what the kernel forgot, only a restart can tell.
        disk.heal()?;
        let again = runtime.block_on(create(&store, "again")).expect_err("acknowledged after a failed sync");
        anyhow::ensure!(again.reason == Some(Reason::InternalError), "{again:?}");
    } else {
        anyhow::ensure!(
            store.read_only_reason().is_some() == failure.answer.is_some(),
            "refused, and nobody says why; or the other way round"
        );
        disk.heal()?;
        match runtime.block_on(create(&store, "again")) {
            Ok(()) => {
                anyhow::ensure!(store.read_only_reason().is_none(), "there is room again");
                failure.acknowledged.push("again".to_owned());
            }
            // The rows met it after everything was written.
            Err(again) if failure.answer.is_none() && store.has_failed() => failure.answer = Some(again),
            Err(again) => anyhow::bail!("there is room again: {again:?}"),
        }
    }
    if end == End::Cut {
        disk.cut(Cut::Drop, 0)?;
    }
    runtime.block_on(store.close());
    drop(store);
    disk.cut(Cut::Drop, 0)?;
    disk.remount()?;
    let store = open(&runtime, &dir).context(Broken::Closed)?;
    for name in &failure.acknowledged {
        let found = store.get(&widgets::widget(&store, name).resource, &format!("default/{name}"));
        must(found.is_some(), Broken::Lost, || format!("{name} is not there"))?;
    }
    runtime.block_on(create(&store, "after")).context("the store does not write after a restart")?;
    runtime.block_on(store.close());
    Ok(failure.answer)
}

/// As [`fail_at`] in the journal, where every fault is answered.
fn fail_in_journal(operation: Operation, error: ErrorKind, calls: (u64, u64)) -> Status {
    let answer = fail_at(ROWS_WAIT, operation, error, calls, Guards::all(), End::Cut).unwrap();
    answer.expect("the fault was swallowed")
}

#[test]
fn power_cut_disk_whose_sync_fails_stops_the_store() {
    for error in [ErrorKind::Io, ErrorKind::NoSpace] {
        for skip in [0, 1, 5] {
            let answer = fail_in_journal(Operation::DataSync, error, (skip, 1));
            assert_eq!(answer.reason, Some(Reason::InternalError), "{answer:?}");
            let expected = "the store has stopped accepting writes: cannot sync the journal to disk";
            assert!(answer.message.starts_with(expected), "{}", answer.message);
            assert!(answer.message.ends_with("restart ccd to recover"), "{}", answer.message);
        }
    }
}

#[test]
fn power_cut_disk_that_does_not_write_stops_the_store() {
    for skip in [0, 1, 5] {
        let answer = fail_in_journal(Operation::Write, ErrorKind::Io, (skip, 1));
        assert_eq!(answer.reason, Some(Reason::InternalError), "{answer:?}");
        assert!(answer.message.contains("cannot write rows"), "{}", answer.message);
    }
}

#[test]
fn power_cut_disk_without_room_refuses_and_recovers() {
    for calls in [(0, 1), (1, 1), (5, 1), (1, 100)] {
        let answer = fail_in_journal(Operation::Write, ErrorKind::NoSpace, calls);
        assert_eq!(answer.reason, Some(Reason::StorageReadOnly), "{answer:?}");
        assert!(answer.message.ends_with("reads go on, free some space and try again"), "{}", answer.message);
    }
}

#[test]
fn power_cut_fault_below_the_journal_is_answered_or_got_over() {
    let mut answers = Vec::new();
    for operation in [Operation::Write, Operation::DataSync] {
        for error in [ErrorKind::Io, ErrorKind::NoSpace] {
            for skip in 0..24 {
                // So full that not even the reserve helps, now and then.
                let count = if skip % 3 == 2 { 100 } else { 1 };
                let answer = fail_at(ROWS_FOLLOW, operation, error, (skip, count), Guards::all(), End::Close);
                let answer = answer.unwrap_or_else(|why| panic!("{operation:?} {error:?} {skip} {count}: {why:#}"));
                answers.extend(answer.map(|answer| answer.message));
            }
        }
    }
    for expected in ["cannot sync the journal", "cannot sync the database", "cannot write rows: ", "into the journal: "]
    {
        assert!(answers.iter().any(|answer| answer.contains(expected)), "no fault met this: {expected}\n{answers:#?}");
    }
}

#[test]
fn power_cut_disk_that_fails_while_a_store_is_opened_or_rewritten_loses_nothing() {
    for operation in [Operation::Sync, Operation::DirectorySync, Operation::Metadata, Operation::Write] {
        for error in [ErrorKind::Io, ErrorKind::NoSpace] {
            fail_around_opening(operation, error);
        }
    }
}

/// Lets each call of a sort fail, one after the other, while a store is opened, written anew, used and closed.
fn fail_around_opening(operation: Operation, error: ErrorKind) {
    let mut disk = start_disk();
    let runtime = runtime();
    let dir = disk.path().join("store");
    let mut acknowledged: Vec<String> = Vec::new();
    for skip in 0.. {
        let before = disk.count(operation).unwrap();
        disk.fail(operation, skip, 1, error).unwrap();
        // What fails is refused or put off; what is acknowledged must last.
        if let Ok(store) = open(&runtime, &dir) {
            check_all_there(&store, &acknowledged);
            let name = format!("{operation:?}-{error:?}-{skip}").to_lowercase();
            if runtime.block_on(create(&store, &name)).is_ok() {
                acknowledged.push(name);
            }
            // Refused or done: both are fine.
            let _ = runtime.block_on(store.rewrite_files());
            runtime.block_on(store.close());
        }
        let calls = disk.count(operation).unwrap() - before;
        disk.cut(Cut::Drop, 0).unwrap();
        disk.remount().unwrap();
        let store = open(&runtime, &dir).unwrap_or_else(|why| panic!("{operation:?} {error:?} {skip}: {why:#}"));
        check_all_there(&store, &acknowledged);
        runtime.block_on(store.close());
        if calls <= skip {
            return;
        }
    }
}

#[test]
fn power_cut_suite_misses_the_stop_after_a_failed_sync() {
    let guards = Guards::without(Guard::StopAfterFailedSync);
    let wrong = fail_at(ROWS_WAIT, Operation::DataSync, ErrorKind::Io, (1, 1), guards, End::Cut).unwrap_err();
    let broken = wrong.downcast_ref::<Broken>();
    assert!(matches!(broken, Some(Broken::Lost | Broken::Closed)), "the test itself fails: {wrong:#}");
}

/// Rounds in which one write is refused; without the order of `store/src/engine/sled.rs` about one in seventy hung.
const REFUSED_ROUNDS: u64 = 40;

#[test]
fn power_cut_write_that_is_refused_while_files_are_rewritten_hangs_nobody() {
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed}");
    let mut site = Site::new(Sizes::Small, None, seed);
    site.work.rewrite_every = Some(1);
    for round in 0..REFUSED_ROUNDS {
        site.refused_write(round).unwrap_or_else(|error| panic!("round {round}: {error:#}"));
    }
}
