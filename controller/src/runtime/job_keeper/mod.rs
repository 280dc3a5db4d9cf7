//! [`JobKeeper`]: keeps jobs and the objects on whose behalf they run together.
//!
//! A job's end rings for its object. A job whose object is gone has nobody who looks at it: it is ended, and removed
//! once it has ended. (An object that is being deleted is not gone: its clean-up may be a job.) Whose a job is, its
//! `owner` text says ([`JobOwner`]); jobs with another kind of text are left alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use api_types::kind::{Kind, Object};
use api_types::status::Reason;
use ports::error::Error;
use ports::jobs::{Ending, JobId, JobState, Jobs};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::manager::Manager;
use super::objects::{ObjectKey, Objects};

#[cfg(test)]
mod tests;

/// How often jobs without an object are looked for although nobody said that an object went.
const SWEEP_PERIOD: Duration = Duration::from_mins(1);
/// How long after an object went its jobs are looked for: the jobs of many that go together are looked for once.
const SWEEP_DELAY: Duration = Duration::from_millis(500);

/// On whose behalf a job runs: the text of [`ports::jobs::JobSpec::owner`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOwner {
    /// The object.
    pub key: ObjectKey,
    /// Its uid: another object of the same name is not the owner.
    pub uid: String,
}

impl JobOwner {
    /// Returns an object as the owner of jobs.
    #[must_use]
    pub fn of<K: Kind>(object: &Object<K>) -> Self {
        let metadata = &object.metadata;
        Self { key: ObjectKey::new(&K::resource(), &metadata.namespace, &metadata.name), uid: metadata.uid.clone() }
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (resource, key, uid) = (words.next()?, words.next()?, words.next()?);
        let key = ObjectKey { resource: resource.into(), key: key.into() };
        words.next().is_none().then(|| Self { key, uid: uid.to_owned() })
    }
}

impl fmt::Display for JobOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // None of the three can have a space.
        write!(formatter, "{} {} {}", self.key.resource, self.key.key, self.uid)
    }
}

/// Keeps jobs and objects together.
pub struct JobKeeper {
    jobs: Arc<dyn Jobs>,
    objects: Arc<dyn Objects>,
    ring: Box<dyn Fn(&ObjectKey) + Send + Sync>,
    gone: Arc<Notify>,
}

impl JobKeeper {
    /// Returns the keeper of the jobs that belong to the objects of `manager`, whose controllers are all registered.
    #[must_use]
    pub fn new(jobs: Arc<dyn Jobs>, manager: &Manager) -> Self {
        let (shared, bell) = (manager.shared(), manager.bell());
        let ring = Box::new(move |key: &ObjectKey| bell.ring(key));
        Self { jobs, objects: shared.objects.clone(), ring, gone: shared.gone.clone() }
    }

    /// Keeps until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut endings = self.jobs.endings();
        // What ended, or lost its object, while no ccd ran.
        let mut sweep_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ending = endings.recv() => match ending {
                    Ok(ending) => self.ended(&ending).await,
                    Err(RecvError::Lagged(_)) => self.ring_for_all().await,
                    Err(RecvError::Closed) => return,
                },
                () = self.gone.notified() => sweep_at = sweep_at.min(Instant::now() + SWEEP_DELAY),
                () = tokio::time::sleep_until(sweep_at) => {
                    self.sweep().await;
                    sweep_at = Instant::now() + SWEEP_PERIOD;
                }
            }
        }
    }

    async fn ended(&self, ending: &Ending) {
        let Some(owner) = JobOwner::parse(&ending.owner) else { return };
        if self.is_gone(&owner).await {
            said(&ending.id, self.jobs.remove(&ending.id).await);
        } else {
            (self.ring)(&owner.key);
        }
    }

    /// Some endings were missed: everybody who has a job looks at it.
    async fn ring_for_all(&self) {
        for (_, owner) in self.owned().await {
            (self.ring)(&owner.key);
        }
    }

    /// Ends and removes the jobs whose objects are gone.
    async fn sweep(&self) {
        for (id, owner) in self.owned().await {
            if !self.is_gone(&owner).await {
                continue;
            }
            tracing::info!(job = %id, owner = %owner.key, "the job's object is gone; the job goes too");
            let result = match self.jobs.state(&id).await {
                Ok(JobState::Running) => self.jobs.cancel(&id).await,
                Ok(JobState::Exited(_) | JobState::Lost) => self.jobs.remove(&id).await,
                Ok(JobState::Absent) => Ok(()),
                Err(error) => Err(error),
            };
            said(&id, result);
        }
    }

    async fn owned(&self) -> Vec<(JobId, JobOwner)> {
        let ids = match self.jobs.list().await {
            Ok(ids) => ids,
            Err(error) => {
                tracing::warn!(error = ports::error::chain(&error), "the jobs cannot be listed");
                return Vec::new();
            }
        };
        let mut owned = Vec::new();
        for id in ids {
            // A job that has just been removed has no owner any more.
            if let Ok(Some(text)) = self.jobs.owner(&id).await
                && let Some(owner) = JobOwner::parse(&text)
            {
                owned.push((id, owner));
            }
        }
        owned
    }

    /// Whether the object is surely not there: a store that cannot be asked proves nothing.
    async fn is_gone(&self, owner: &JobOwner) -> bool {
        match self.objects.get(&owner.key).await {
            Ok(object) => object.metadata.uid != owner.uid,
            Err(status) => status.reason == Some(Reason::NotFound),
        }
    }
}

fn said(id: &JobId, result: Result<(), Error>) {
    if let Err(error) = result {
        // The next sweep tries again.
        tracing::warn!(job = %id, error = ports::error::chain(&error), "the job without an object stays for now");
    }
}
