//! The World: one whole ccd in simulated time, with everything outside played and a user who never rests.
//!
//! One run is decided by one seed: which objects are made, changed, suspended and deleted when; which calls fail, hang,
//! take long or lose their reply; at which await the process is killed, and how often. Then the faults end, and the
//! loop has a bounded time to bring everything to where it should be; then everything is deleted and has to leave
//! nothing behind. `simulation.rs` runs thousands of seeds and prints the one that fails.
//!
//! # Invariants
//! - no object has two passes at once;
//! - everything reaches its end state in bounded time after the faults end: no wake-up is lost;
//! - no key waits longer than [`WAIT_MAX`] for its turn: none starves, although one key is changed without end;
//! - what is held outside is given back, jobs are ended and removed: finalizers always run;
//! - what must happen once happens once, and a job is started again only after it was lost;
//! - a lost race never shows as a failure.
//!
//! # Mutations
//! A test takes each guard away ([`Guard`]) and shows that the simulation notices:
//!
//! | without | what is noticed |
//! |---|---|
//! | `OneRunPerKey` | two passes of one object at once |
//! | `RunAgainAfterWake` | objects that never reach their end state |
//! | `BackoffReset` | objects that stay stalled after their spec was repaired |
//! | `FirstComeFirstServed` | keys that wait too long while another is changed without end |
//! | `FinalizerFirst` | things that are still held after their object has gone |
//! | `StatusConflictRetry` | lost races reported as failures |
//! | `Journal` | receipts that are posted twice |
//! | `CatchPanics` | a loop that ends |
//! | `PassTimeLimit` | objects whose pass hangs for ever |
//! | `RelistOnGone` | objects that are never seen |

pub mod faults;
pub mod kinds;
mod user;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use controller::runtime::controller::ControllerOptions;
use controller::runtime::guards::{Guard, Guards};
use controller::runtime::manager::Manager;
use controller::runtime::objects::memory::{MemoryObjects, SharedMemory};
use controller::runtime::objects::{Objects, ServedResource};
use jiff::Timestamp;
use ports::clock::{Clock, PausedClock};
use ports::jobs::Jobs as _;
use tokio_util::sync::CancellationToken;

use faults::{Faults, FaultyObjects};
use kinds::{GADGETS, GATES, Gadgets, Outside, PARTS, Parts};
use user::User;

/// Longest wait of a ready key for its turn, in simulated time: the time that all others may take with all their
/// delays.
pub const WAIT_MAX: Duration = Duration::from_secs(12);
/// How long the loop has after the faults end: the longest backoff, and some.
const SETTLE_MAX: Duration = Duration::from_mins(10);
/// How often the end state is looked for.
const SETTLE_PERIOD: Duration = Duration::from_secs(5);
/// Changes that a watch may fall behind.
const HISTORY_MAX: usize = 40;

/// How one run is played.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// How many gadgets are made.
    pub gadgets: u64,
    /// Of a thousand calls so many go wrong.
    pub faults_per_mille: u64,
    /// Which guards are up.
    pub guards: Guards,
}

impl Scenario {
    /// Returns the scenario of a seed: larger and smaller ones, with more faults and with fewer.
    #[must_use]
    pub fn of_seed(seed: u64, guards: Guards) -> Self {
        Self { seed, gadgets: 10 + seed % 30, faults_per_mille: 10 + seed % 30, guards }
    }
}

/// What one run was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Objects that were created and are gone again.
    pub lifetimes: u64,
    /// How often the process was killed and started again.
    pub restarts: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Changes that the store took.
    pub writes: u64,
    /// The longest wait of a key for its turn.
    pub longest_wait: Duration,
}

/// Plays one scenario.
///
/// # Errors
/// The invariant that does not hold.
pub fn run(scenario: Scenario) -> Result<Summary, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async { World::new(scenario).play().await })
}

struct World {
    scenario: Scenario,
    clock: Arc<dyn Clock>,
    memory: Arc<MemoryObjects>,
    outside: Arc<Outside>,
    faults: Arc<Faults>,
    summary: Summary,
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at(Timestamp::UNIX_EPOCH));
        Self {
            memory: Arc::new(MemoryObjects::new(served(), clock.clone(), HISTORY_MAX)),
            clock,
            outside: Arc::default(),
            faults: Faults::new(scenario.seed, scenario.faults_per_mille),
            summary: Summary::default(),
            scenario,
        }
    }

    async fn play(mut self) -> Result<Summary, String> {
        let began = tokio::time::Instant::now();
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(self.memory.clone()));
        let mut user = User::new(self.scenario, objects, self.outside.clone());
        let (memory, outside, faults) = (self.memory.clone(), self.outside.clone(), self.faults.clone());
        let mut lifetimes = 0;
        // One script for one process: what a restart would heal must not be healed by the test.
        let script = async {
            user.misbehave().await?;
            faults.end();
            user.set_right().await?;
            user.disturb().await?;
            check_settled(&memory, &outside)?;
            lifetimes = memory.count(GADGETS) + memory.count(PARTS);
            user.delete_everything().await
        };
        self.with_ccd(script).await?;
        self.check_gone().await?;
        self.summary.lifetimes = user.deleted() + lifetimes as u64;
        self.summary.simulated = began.elapsed();
        self.summary.writes = self.memory.revision();
        Ok(self.summary)
    }

    /// Runs ccd, killed and restarted as the faults say, until `script` has ended.
    async fn with_ccd(&mut self, script: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let mut script = std::pin::pin!(script);
        loop {
            let manager = Arc::new(self.manager());
            let stop = CancellationToken::new();
            let mut ccd = tokio::spawn({
                let (manager, stop) = (manager.clone(), stop.clone());
                async move { manager.run(stop).await }
            });
            let ended = tokio::select! {
                biased;
                ended = &mut script => Some(ended),
                () = self.faults.kill.notified() => None,
                ended = &mut ccd => return Err(format!("the loop ended by itself: {ended:?}")),
            };
            ccd.abort();
            let _ = ccd.await;
            self.summary.longest_wait = self.summary.longest_wait.max(manager.longest_wait());
            if let Some(ended) = ended {
                self.check_always()?;
                return ended;
            }
            self.summary.restarts += 1;
            // What the dead process was doing is dropped before the next one begins.
            tokio::time::sleep(Duration::from_millis(1 + self.faults.below(3000))).await;
            self.check_always()?;
        }
    }

    fn manager(&self) -> Manager {
        let objects: Arc<dyn Objects> =
            Arc::new(FaultyObjects { inner: Arc::new(SharedMemory(self.memory.clone())), faults: self.faults.clone() });
        let mut registry = prometheus_client::registry::Registry::default();
        let guards = self.scenario.guards;
        let mut manager = Manager::new(objects.clone(), self.clock.clone(), &mut registry, None, guards);
        let options = ControllerOptions {
            concurrency: 3,
            pass_time_limit: Duration::from_secs(3),
            // Longer than a run: what only the resync would heal counts as lost.
            resync: Duration::from_hours(1000),
            ..ControllerOptions::default()
        };
        let gadgets =
            Gadgets { journal: manager.journal(), objects, outside: self.outside.clone(), faults: self.faults.clone() };
        let owns = vec![PARTS.to_owned()];
        manager.register(gadgets, ControllerOptions { owns, watches: vec![GATES.to_owned()], ..options.clone() });
        manager.register(Parts, options);
        manager
    }

    fn check_always(&self) -> Result<(), String> {
        let contents = self.outside.lock();
        if let Some(key) = contents.doubled.first() {
            return Err(format!("{key} had two passes at once"));
        }
        if let Some((uid, count)) = contents.receipts.iter().find(|(_, count)| **count > 1) {
            return Err(format!("the receipt of {uid} was posted {count} times"));
        }
        if self.summary.longest_wait > WAIT_MAX {
            return Err(format!("a key waited {:?} for its turn", self.summary.longest_wait));
        }
        for event in self.memory.all("events") {
            if event.value["reason"] == "StoreConflict" {
                return Err(format!("a lost race was reported as a failure: {}", event.value["message"]));
            }
        }
        Ok(())
    }

    async fn check_gone(&self) -> Result<(), String> {
        for resource in [GADGETS, PARTS, "configmaps"] {
            let left: BTreeSet<String> =
                self.memory.all(resource).iter().map(|object| object.key.to_string()).collect();
            if !left.is_empty() {
                return Err(format!("still there after everything was deleted: {left:?}"));
            }
        }
        let held = self.outside.lock().held.clone();
        if !held.is_empty() {
            return Err(format!("still held although its object is gone: {held:?}"));
        }
        let jobs = self.outside.jobs.list().await.map_err(|error| error.to_string())?;
        if !jobs.is_empty() {
            return Err(format!("jobs whose object is gone: {jobs:?}"));
        }
        Ok(())
    }
}

/// Checks the end state of everything that the user has set right.
fn check_settled(memory: &MemoryObjects, outside: &Outside) -> Result<(), String> {
    if let Some(unsettled) = user::unsettled(memory) {
        return Err(format!("after {SETTLE_MAX:?} without faults: {unsettled}"));
    }
    let contents = outside.lock();
    for gadget in memory.all(GADGETS) {
        let uid = &gadget.metadata.uid;
        if contents.receipts.get(uid) != Some(&1) {
            return Err(format!("{} is ready without a receipt", gadget.key));
        }
        let (starts, lost) = (outside.jobs.starts(&kinds::job_id(uid)), contents.lost.get(uid).copied().unwrap_or(0));
        if starts != lost + 1 {
            return Err(format!("the job of {} started {starts} times and was lost {lost} times", gadget.key));
        }
    }
    Ok(())
}

fn served() -> Vec<ServedResource> {
    let resource = |resource: &str, api_version: &str, kind: &str| ServedResource {
        resource: Arc::from(resource),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
    };
    vec![
        resource(GADGETS, "sim.example.com/v1", "Gadget"),
        resource(PARTS, "sim.example.com/v1", "Part"),
        resource(GATES, "sim.example.com/v1", "Gate"),
        resource("configmaps", "v1", "ConfigMap"),
        resource("events", "v1", "Event"),
    ]
}

/// Returns the guards one by one, each taken away: for the test that every one is needed.
pub fn mutations() -> impl Iterator<Item = (Guard, Guards)> {
    Guard::ALL.into_iter().map(|guard| (guard, Guards::without(guard)))
}
