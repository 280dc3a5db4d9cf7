//! [`FakeForge`]: a forge in memory that answers as Gitea and Forgejo do, over real HTTP or without any network.
//!
//! It keeps people, repositories, pull requests, comments and statuses; checks tokens, scopes and rights as the real
//! ones do; and misbehaves on request ([`Fault`]). What it answers has every member that the recorded descriptions of
//! the real servers require; a test compares.

mod applications;
mod hooks;
mod json;
mod oauth;
mod routes;
mod seed;
mod server;
mod world;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::http::{Answer, ForgeTimes, HttpForges, Transport, TransportRequest};
use super::sign_in::{Application, Person, Proof};
use super::{Forge, ForgeAddress, Forges};
use crate::clock::Clock;
use crate::error::Error;

pub use hooks::Delivery;
pub use routes::{FakeReply, FakeRequest};
pub use seed::{PermissionWord, PullRequestSeed, RepositorySeed, Seed};
pub use world::World;

/// How the next requests of a kind go wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which requests: those whose method and path, as in `POST /api/v1/…`, contain this text.
    pub matches: String,
    /// How many of them.
    pub times: usize,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is answered so, and has no effect.
    Status(u16, Vec<(String, String)>, String),
    /// There is no connection.
    Refused,
    /// It has its effect, and the answer is lost.
    ReplyLost,
    /// It has its effect, and the answer ends in the middle.
    Truncated,
    /// It has its effect, and the answer is longer than anybody should read.
    Oversized,
    /// It has its effect, and the answer comes late.
    Slow(Duration),
}

/// One request that was made.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and path with query.
    pub what: String,
    /// The body, if there was one.
    pub body: serde_json::Value,
    /// The status that it was answered with; 0 when there was no answer.
    pub status: u16,
    /// The answer's body.
    pub answer: Vec<u8>,
    /// When.
    pub at: Instant,
}

pub(super) struct Shared {
    world: Mutex<World>,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
}

/// A forge in memory. Cheap to clone; all clones are one forge.
#[derive(Clone)]
pub struct FakeForge {
    shared: Arc<Shared>,
}

impl FakeForge {
    /// Returns a forge without anything in it, whose version is that of a Gitea.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let world = Mutex::new(World::new(clock));
        Self { shared: Arc::new(Shared { world, faults: Mutex::default(), seen: Mutex::default() }) }
    }

    /// Lets it answer over HTTP at a port of this machine until the process ends, and returns its URL.
    ///
    /// # Errors
    /// There is no port.
    pub async fn serve(&self) -> std::io::Result<String> {
        self.serve_at("127.0.0.1:0").await
    }

    /// As [`serve`](Self::serve), at this address.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn serve_at(&self, address: &str) -> std::io::Result<String> {
        let url = server::serve(self.clone(), address).await?;
        self.world().url.clone_from(&url);
        Ok(url)
    }

    /// Returns what is in it, to look at and to change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// Lets requests go wrong from now on; those that were asked for earlier come first.
    pub fn fail(&self, matches: &str, times: usize, kind: FaultKind) {
        lock(&self.shared.faults).push_back(Fault { matches: matches.to_owned(), times, kind });
    }

    /// Lets everything go right again.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Returns every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_seen(&self) {
        lock(&self.shared.seen).clear();
    }

    fn fault(&self, what: &str) -> Option<FaultKind> {
        let mut faults = lock(&self.shared.faults);
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && what.contains(&fault.matches))?;
        fault.times -= 1;
        Some(fault.kind.clone())
    }

    /// Answers a request; `None` when the connection breaks.
    pub(super) async fn answer(&self, request: &FakeRequest) -> Option<FakeReply> {
        let what = request.what();
        let fault = self.fault(&what);
        let reply = match &fault {
            Some(FaultKind::Status(status, headers, body)) => {
                Some(FakeReply { status: *status, headers: headers.clone(), body: body.clone().into_bytes() })
            }
            Some(FaultKind::Refused) => None,
            _ => Some(self.world().handle(request)),
        };
        let slow = fault.clone();
        let reply = match fault {
            Some(FaultKind::ReplyLost) => None,
            Some(FaultKind::Truncated) => reply.map(|mut reply| {
                reply.headers.push(("content-length".to_owned(), reply.body.len().max(2).to_string()));
                reply.body.truncate(reply.body.len() / 2);
                reply
            }),
            Some(FaultKind::Oversized) => reply.map(|mut reply| {
                reply.body.resize(9 << 20, b' ');
                reply
            }),
            _ => reply,
        };
        lock(&self.shared.seen).push(Seen {
            what,
            body: request.body.clone(),
            status: reply.as_ref().map_or(0, |reply| reply.status),
            answer: reply.as_ref().map(|reply| reply.body.clone()).unwrap_or_default(),
            at: Instant::now(),
        });
        if let Some(FaultKind::Slow(time)) = slow {
            tokio::time::sleep(time).await;
        }
        reply
    }

    /// Returns this forge as forges: without a network, whatever the address is.
    #[must_use]
    pub fn forges(&self) -> Arc<dyn Forges> {
        Arc::new(Direct(HttpForges::over(Arc::new(self.clone()))))
    }
}

struct Direct(HttpForges);

#[async_trait]
impl Forges for Direct {
    fn connect(&self, address: &ForgeAddress) -> Result<Arc<dyn Forge>, Error> {
        self.0.connect(address)
    }

    async fn sign_in(&self, application: &Application, proof: &Proof) -> Result<Person, Error> {
        self.0.sign_in(application, proof).await
    }

    fn calls(&self) -> u64 {
        self.0.calls()
    }
}

#[async_trait]
impl Transport for FakeForge {
    async fn exchange(&self, request: TransportRequest) -> Result<Answer, Error> {
        let refused = || Error::retryable("Unreachable", "the forge cannot be reached");
        // As over a network, nobody waits for ever.
        let request = FakeRequest::of(&request);
        let answer = tokio::time::timeout(ForgeTimes::default().whole, self.answer(&request)).await;
        let late = |_| Error::retryable("TimedOut", "the forge did not answer in time");
        let reply = answer.map_err(late)?.ok_or_else(refused)?;
        if let Some((_, length)) = reply.headers.iter().find(|(name, _)| name == "content-length")
            && length.parse() != Ok(reply.body.len())
        {
            return Err(Error::retryable("BadAnswer", "the answer ended too early"));
        }
        Answer::new(reply.status, &reply.headers, reply.body)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
