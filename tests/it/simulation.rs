//! Thousands of runs of a whole ccd in simulated time, with faults, kills and restarts; see [`tests::world`].
//!
//! `CC_SEED=n` plays one seed; `CC_LIFETIMES=n` says how many objects live and die before the test is satisfied.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use controller::runtime::guards::Guards;
use tests::world::{Scenario, Summary, mutations, run};

/// Object lifetimes that the whole test suite plays; `CC_LIFETIMES=100000` is the long form.
const LIFETIMES: u64 = 15_000;
/// Runs in which a missing guard must be noticed.
const MUTATION_RUNS: u64 = 40;

/// Plays seeds from `first` on, on two threads, until `enough` says so.
fn play_all(first: u64, enough: impl Fn(&Summary) -> bool + Sync) -> Result<(u64, Summary), (u64, String)> {
    let next = AtomicU64::new(first);
    let done = AtomicBool::new(false);
    let total = std::sync::Mutex::new(Summary::default());
    let failure = std::sync::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    match run(Scenario::of_seed(seed, Guards::all())) {
                        Ok(summary) => {
                            let mut total = total.lock().unwrap();
                            total.lifetimes += summary.lifetimes;
                            total.restarts += summary.restarts;
                            total.simulated += summary.simulated;
                            total.writes += summary.writes;
                            total.longest_wait = total.longest_wait.max(summary.longest_wait);
                            done.fetch_or(enough(&total), Ordering::Relaxed);
                        }
                        Err(wrong) => {
                            *failure.lock().unwrap() = Some((seed, wrong));
                            done.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap() {
        Some(failure) => Err(failure),
        None => Ok((next.into_inner() - first, total.into_inner().unwrap())),
    }
}

#[expect(clippy::disallowed_methods, reason = "tests read their settings here and nowhere else")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Panics are part of the play: printing each with its backtrace would take longer than the play.
fn be_quiet_about_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(tests::world::kinds::POISON) {
            loud(panic);
        }
    }));
}

#[test]
fn simulation_holds_every_invariant_under_faults_kills_and_restarts() {
    be_quiet_about_panics();
    let began = Instant::now();
    if let Some(seed) = setting("CC_SEED") {
        let summary =
            run(Scenario::of_seed(seed, Guards::all())).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        println!("seed {seed}: {summary:?} in {:?}", began.elapsed());
        return;
    }
    let first = tests::seed::from_environment("CC_FIRST_SEED");
    let wanted = setting("CC_LIFETIMES").unwrap_or(LIFETIMES);
    match play_all(first, |total| total.lifetimes >= wanted) {
        Ok((runs, total)) => println!("{runs} runs from seed {first} in {:?}: {total:?}", began.elapsed()),
        Err((seed, wrong)) => {
            panic!("{wrong}\nreplay with: CC_SEED={seed} cargo nextest run -p tests --no-capture simulation_holds")
        }
    }
}

#[test]
fn simulation_is_the_same_for_the_same_seed() {
    be_quiet_about_panics();
    for seed in 1..4 {
        let play = || format!("{:?}", run(Scenario::of_seed(seed, Guards::all())));
        assert_eq!(play(), play(), "seed {seed}");
    }
}

#[test]
fn simulation_notices_every_missing_guard() {
    be_quiet_about_panics();
    let mut unnoticed = Vec::new();
    for (guard, guards) in mutations() {
        let began = Instant::now();
        match (0..MUTATION_RUNS).find_map(|seed| Some((seed, run(Scenario::of_seed(seed, guards)).err()?))) {
            Some((seed, wrong)) => {
                let first_line: String = wrong.chars().take(160).collect();
                println!("without {guard:?}: seed {seed}, {first_line} ({:?})", began.elapsed());
            }
            None => unnoticed.push(guard),
        }
    }
    assert!(unnoticed.is_empty(), "nobody notices that these are missing: {unnoticed:?}");
}
