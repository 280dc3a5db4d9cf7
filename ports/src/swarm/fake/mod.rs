//! [`FakeEngine`]: an engine that is played, in tokio's time, with faults.
//!
//! It keeps services, tasks, containers, networks, volumes, secrets, configs and images, and lets tasks and rollouts
//! happen as Docker 20.10 does, traps included: an update has no status for a moment; a rollback swaps the specs and
//! forgets what was asked for; start-first and a port of the host wait for each other for ever; tasks outlive their
//! service and containers their task; jobs leave containers; a network that is removed before its tasks have ended takes
//! their addresses on *other* networks with it until the engine is restarted.
//!
//! What containers do is said per image, with [`FakeEngine::behave`]. Without that an image can be pulled within a second
//! and runs. What goes wrong is said per call, with [`FakeEngine::fail`].

mod behaviour;
mod engine;
mod rollout;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

pub use self::behaviour::{Behaviour, End, Fault, Played};
use self::world::World;
use super::spec::ServiceSpec;
use super::{Container, Engine, EngineEvent, Engines, ExecSpec, SwarmState};
use crate::error::Error;

/// Events that a listener may fall behind; then it misses some, as with a real engine.
const EVENTS_MAX: usize = 1024;

type Shell = dyn Fn(&Container, &ExecSpec) -> Played + Send + Sync;

/// An engine that is played. Clones are the same engine.
#[derive(Clone)]
pub struct FakeEngine {
    inner: Arc<Inner>,
}

struct Inner {
    world: Mutex<World>,
    events: broadcast::Sender<EngineEvent>,
    is_reachable: watch::Sender<bool>,
    faults: Mutex<BTreeMap<&'static str, VecDeque<Fault>>>,
    journal: Mutex<Vec<&'static str>>,
    shell: Mutex<Arc<Shell>>,
}

impl FakeEngine {
    /// Returns the manager of a swarm of one node without services, whose clock shows `now`; to be called inside a tokio
    /// runtime. Give [`PausedClock`](crate::clock::PausedClock) the same moment.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            inner: Arc::new(Inner {
                world: Mutex::new(World::new(now)),
                events: broadcast::Sender::new(EVENTS_MAX),
                is_reachable: watch::Sender::new(true),
                faults: Mutex::default(),
                journal: Mutex::default(),
                shell: Mutex::new(Arc::new(small_shell)),
            }),
        }
    }

    /// Says what containers of an image do, from the next one on.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.behave_in_turn(image, [behaviour]);
    }

    /// Says what the next containers of an image do, one after the other; the last one stays.
    pub fn behave_in_turn(&self, image: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        let queue = behaviours.into_iter().collect();
        self.lock().behaviours.insert(world::without_digest(image).to_owned(), queue);
    }

    /// Puts an image on the node.
    pub fn add_image(&self, reference: &str) {
        self.lock().add_image(reference);
    }

    /// Puts something into a volume, in place of what it holds; as a container that mounts it would.
    pub fn write_volume(&self, name: &str, data: &[u8]) {
        self.lock().volume_data.insert(name.to_owned(), data.to_vec());
    }

    /// Returns what a volume holds; `None` when nobody wrote anything into it since it was made.
    #[must_use]
    pub fn read_volume(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().volume_data.get(name).cloned()
    }

    /// Says how the engine keeps specs of services otherwise than they were given, from now on.
    pub fn normalise(&self, normalise: impl Fn(&mut ServiceSpec) + Send + Sync + 'static) {
        self.lock().normalise = Some(world::Normalise(Arc::new(normalise)));
    }

    /// Says what commands in containers do.
    pub fn on_exec(&self, shell: impl Fn(&Container, &ExecSpec) -> Played + Send + Sync + 'static) {
        *self.inner.shell.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(shell);
    }

    /// Makes the next call of this name (that of the method of [`Engine`]) go wrong; several queue up.
    pub fn fail(&self, call: &'static str, fault: Fault) {
        let mut faults = self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.entry(call).or_default().push_back(fault);
    }

    /// Takes the engine away or brings it back. Meanwhile calls fail and streams end; containers go on.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.inner.is_reachable.send_replace(is_reachable);
    }

    /// Restarts the engine: streams end, containers end and are replaced, lost addresses are found again.
    pub fn restart(&self) {
        self.set_reachable(false);
        self.lock().restart();
        self.set_reachable(true);
    }

    /// Sets the engine's place in a swarm; [`Engine::init_swarm`] makes a manager of one in none.
    pub fn set_swarm(&self, state: SwarmState) {
        self.lock().swarm = state;
    }

    /// Sets a label of the node, for constraints.
    pub fn set_node_label(&self, key: &str, value: &str) {
        self.lock().node_labels.insert(key.to_owned(), value.to_owned());
    }

    /// Ends the container of each running task of a service with a code, as a crash does; returns how many.
    pub fn crash(&self, service: &str, code: i64) -> usize {
        let mut world = self.lock();
        let named = |id: &str| world.services.get(id).is_some_and(|found| found.service.spec.name == service);
        let is_running = |task: &&world::FakeTask| task.task.state == super::TaskState::Running;
        let running = world.tasks.values().filter(is_running).filter(|task| named(&task.task.service_id));
        let running: Vec<String> = running.map(|task| task.task.id.clone()).collect();
        for task in &running {
            world.exit(task, code, false);
        }
        running.len()
    }

    /// Returns how many addresses a network has lost, by its name.
    #[must_use]
    pub fn addresses_lost(&self, network: &str) -> usize {
        let world = self.lock();
        world.networks.values().find(|found| found.network.name == network).map_or(0, |found| found.leaked)
    }

    /// Returns the calls that were made so far, by the names of their methods.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.inner.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(Instant::now());
        world
    }

    /// Passes on what was announced.
    fn tell(&self, world: &mut World) {
        for event in world.events.drain(..) {
            // Nobody may be listening.
            let _ = self.inner.events.send(event);
        }
    }

    /// Makes a call: with its faults, after all that was due before.
    async fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut World) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        let fault = self
            .inner
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(name)
            .and_then(VecDeque::pop_front);
        match fault {
            Some(Fault::Unreachable) => return Err(unreachable()),
            Some(Fault::NoLeader) => {
                return Err(Error::retryable("NoLeader", "the swarm has no leader at the moment: a test says so"));
            }
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            Some(Fault::LostReply) | None => {}
        }
        if !*self.inner.is_reachable.borrow() {
            return Err(unreachable());
        }
        let result = {
            let mut world = self.lock();
            let result = work(&mut world);
            self.tell(&mut world);
            result
        };
        match fault {
            Some(Fault::LostReply) => Err(Error::retryable("EngineTimeout", "the engine did not answer within 30 s")),
            _ => result,
        }
    }
}

fn unreachable() -> Error {
    Error::retryable("EngineUnreachable", "the engine does not answer: a test took it away")
}

/// What commands do when no test says otherwise: just enough of a shell.
fn small_shell(_: &Container, exec: &ExecSpec) -> Played {
    let words: Vec<&str> = exec.command.iter().map(String::as_str).collect();
    match words[..] {
        ["true"] => Played::ends(0, ""),
        ["false"] => Played::ends(1, ""),
        ["cat"] => Played::ends(0, &String::from_utf8_lossy(&exec.input)),
        ["echo", text] => Played::ends(0, &format!("{text}\n")),
        ["sleep", seconds] => {
            let after = Duration::from_secs(seconds.parse().unwrap_or(0));
            Played { after, ..Played::ends(0, "") }
        }
        ["sh", "-c", script] => {
            let (mut output, mut code) = (String::new(), 0);
            for part in script.split(';').map(str::trim) {
                if let Some(text) = part.strip_prefix("echo ") {
                    output.push_str(text);
                    output.push('\n');
                } else if let Some(number) = part.strip_prefix("exit ") {
                    code = number.parse().unwrap_or(0);
                }
            }
            Played::ends(code, &output)
        }
        _ => Played::default(),
    }
}

/// Played engines, by their addresses.
#[derive(Default)]
pub struct FakeEngines {
    engines: Mutex<BTreeMap<String, FakeEngine>>,
}

impl FakeEngines {
    /// Puts an engine at an address.
    pub fn add(&self, address: &str, engine: FakeEngine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned(), engine);
    }
}

impl Engines for FakeEngines {
    /// Returns the engine there; one that cannot be reached where a test has put none.
    fn connect(&self, address: &str) -> Result<Arc<dyn Engine>, Error> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = engines.entry(address.to_owned()).or_insert_with(|| {
            let nowhere = FakeEngine::starting_at(Timestamp::UNIX_EPOCH);
            nowhere.set_reachable(false);
            nowhere
        });
        Ok(Arc::new(engine.clone()))
    }

    fn calls(&self) -> u64 {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.values().map(|engine| engine.calls().len() as u64).sum()
    }
}
