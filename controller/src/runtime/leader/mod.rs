//! Leader election: of several ccd that share a store, one reconciles, the others wait.
//!
//! The leader holds a Lease and renews it. A standby takes over when it has seen the Lease unchanged for the whole
//! lease duration *by its own clock*, so clocks need not agree. The leader counts from the moment before its last
//! successful renewal and stops writing ([`Fence`]) well before anybody may take over. A process that comes back under
//! the same identity goes on at once; with the embedded store, which only one process can open, ccd uses the same
//! identity always and never waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::status::{Reason, Status};
use ports::clock::Clock;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::objects::{ObjectKey, Objects};
use super::outcome::Failure;

#[cfg(test)]
mod tests;

const LEASES: &str = "leases.coordination.k8s.io";

/// The times and names of an election.
#[derive(Clone, Debug)]
pub struct LeaderOptions {
    /// Who we are: unique among all that may lead, the same over restarts.
    pub identity: String,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// How long a Lease that is not renewed still counts.
    pub lease_duration: Duration,
    /// How long after its last renewal a leader may go on writing; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// How often a leader renews and a standby looks.
    pub retry_period: Duration,
}

impl LeaderOptions {
    /// Returns Kubernetes' usual times for `identity`.
    #[must_use]
    pub fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            namespace: "default".to_owned(),
            name: "ccd".to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Says whether we may still write. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Fence {
    open_until: Arc<Mutex<Option<Instant>>>,
}

impl Fence {
    /// Returns a fence that is always open: for those who are alone.
    #[must_use]
    pub fn open() -> Self {
        let far = Instant::now() + Duration::from_hours(24 * 365 * 30);
        Self { open_until: Arc::new(Mutex::new(Some(far))) }
    }

    /// Returns a fence that is closed until an election opens it.
    #[must_use]
    pub fn closed() -> Self {
        Self { open_until: Arc::default() }
    }

    /// Returns whether we may write at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    /// Refuses when we may not write.
    ///
    /// # Errors
    /// `Blocked`: another ccd leads now.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_open() {
            return Ok(());
        }
        let failure = Failure::blocked("NotLeader", "this ccd no longer leads; another one goes on", Vec::new());
        Err(Failure { quiet: true, ..failure })
    }

    fn set(&self, until: Option<Instant>) {
        *self.open_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Takes part in the election for one Lease.
pub struct Election {
    options: LeaderOptions,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    fence: Fence,
    /// The Lease's revision as last seen, and when we first saw it.
    seen: Option<(u64, Instant)>,
}

impl Election {
    /// Returns an election that opens and closes `fence`.
    #[must_use]
    pub fn new(options: LeaderOptions, objects: Arc<dyn Objects>, clock: Arc<dyn Clock>, fence: Fence) -> Self {
        Self { options, objects, clock, fence, seen: None }
    }

    /// Waits until we lead.
    pub async fn win(&mut self) {
        while !self.attempt().await {
            tokio::time::sleep(self.options.retry_period).await;
        }
        tracing::info!(identity = self.options.identity, "leading");
    }

    /// Keeps the Lease until it is lost or `stop` fires; gives it back in the latter case.
    pub async fn hold(&mut self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.give_back().await;
                    return;
                }
                () = tokio::time::sleep(self.options.retry_period) => {}
            }
            if !self.attempt().await && !self.fence.is_open() {
                self.fence.set(None);
                tracing::error!(identity = self.options.identity, "the lease is lost, this ccd no longer leads");
                return;
            }
        }
    }

    /// Tries to take or renew the Lease and returns whether we hold it now.
    async fn attempt(&mut self) -> bool {
        let before = Instant::now();
        let limit = self.options.renew_deadline;
        let tried = tokio::time::timeout(limit, self.try_lease()).await;
        match tried.unwrap_or_else(|_| Err(Status::failure(Reason::Timeout, "the store did not answer in time"))) {
            Ok(true) => {
                self.fence.set(Some(before + self.options.renew_deadline));
                true
            }
            Ok(false) => {
                self.fence.set(None);
                false
            }
            Err(status) => {
                tracing::warn!(error = %status, "the lease could not be renewed");
                false
            }
        }
    }

    async fn try_lease(&mut self) -> Result<bool, Status> {
        let key = ObjectKey::new(LEASES, &self.options.namespace, &self.options.name);
        let present = match self.objects.get(&key).await {
            Ok(present) => present,
            Err(status) if status.reason == Some(Reason::NotFound) => {
                let created = self.objects.create(LEASES, self.lease(None)).await;
                return match created {
                    Ok(_) => Ok(true),
                    Err(status) if status.reason == Some(Reason::AlreadyExists) => Ok(false),
                    Err(status) => Err(status),
                };
            }
            Err(status) => return Err(status),
        };
        let holder = present.value["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if holder != self.options.identity && !holder.is_empty() {
            let now = Instant::now();
            let since = match self.seen {
                Some((revision, since)) if revision == present.revision => since,
                _ => now,
            };
            self.seen = Some((present.revision, since));
            let seconds = present.value["spec"]["leaseDurationSeconds"].as_u64().unwrap_or_default();
            if now.duration_since(since) < Duration::from_secs(seconds).max(self.options.lease_duration) {
                return Ok(false);
            }
        }
        // The update names the version it is based on: of two that try, one wins.
        match self.objects.update(&key, self.lease(Some(&present.value))).await {
            Ok(_) => Ok(true),
            Err(status) if status.reason == Some(Reason::Conflict) => Ok(false),
            Err(status) => Err(status),
        }
    }

    async fn give_back(&self) {
        self.fence.set(None);
        let key = ObjectKey::new(LEASES, &self.options.namespace, &self.options.name);
        let Ok(present) = self.objects.get(&key).await else { return };
        if present.value["spec"]["holderIdentity"].as_str() != Some(&self.options.identity) {
            return;
        }
        let mut value = present.value.clone();
        value["spec"]["holderIdentity"] = Value::from("");
        // Whoever waits takes over later instead of at once.
        let _ = self.objects.update(&key, value).await;
    }

    fn lease(&self, present: Option<&Value>) -> Value {
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let holder = present.and_then(|lease| lease["spec"]["holderIdentity"].as_str()).unwrap_or_default();
        let mut lease = present.cloned().unwrap_or_else(|| {
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.options.name, "namespace": self.options.namespace},
                "spec": {"leaseTransitions": 0},
            })
        });
        if holder != self.options.identity {
            let transitions = lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default();
            lease["spec"]["leaseTransitions"] = Value::from(transitions + u64::from(present.is_some()));
            lease["spec"]["acquireTime"] = Value::from(now.clone());
        }
        lease["spec"]["holderIdentity"] = Value::from(self.options.identity.clone());
        lease["spec"]["leaseDurationSeconds"] = Value::from(self.options.lease_duration.as_secs());
        lease["spec"]["renewTime"] = Value::from(now);
        lease
    }
}
