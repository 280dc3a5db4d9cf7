//! Files of runs that are in the store no more: their logs, artifacts and work trees.
//!
//! A run takes its files with it. One that was taken out of the store by force, or that was made after the backup from which
//! the store was restored, cannot: nobody would find them again, and nobody would remove them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Kind as _;
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::clock::Clock;
use ports::error::Error;
use ports::files::{Area, FileName, FileRoot, RunFiles, RunKey};

use super::folders;
use crate::kinds::app::reaper::Mode;
use crate::runtime::blocking::blocking;
use crate::runtime::cache::Cache;
use crate::runtime::controller::Shared;
use crate::runtime::objects::{Objects, StoredObject};
use crate::runtime::outcome::Failure;

/// How long after the start it looks for the first time: others are more urgent then.
const FIRST: Duration = Duration::from_secs(5);
/// How often it looks then: all folders are read each time.
const EVERY: Duration = Duration::from_hours(1);

/// How long after a restore of the store nothing is removed: what a run that is newer than the backup found out may be wanted
/// still, or the backup was the wrong one.
const KEPT_AFTER_RESTORE: Duration = Duration::from_hours(7 * 24);

/// Removes the files of runs that are gone.
pub struct LeftFiles {
    objects: Arc<dyn Objects>,
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    files: FileRoot,
    runs: RunFiles,
    mode: Mode,
    restored_at: Option<Timestamp>,
}

/// What is on the disk of runs.
struct Found {
    runs: Vec<RunKey>,
    trees: Vec<FileName>,
}

impl LeftFiles {
    /// Returns one that looks at these files.
    #[must_use]
    pub fn new(shared: &Shared, files: FileRoot, runs: RunFiles, mode: Mode) -> Self {
        let Shared { objects, cache, clock, .. } = shared;
        let (objects, cache, clock) = (objects.clone(), cache.clone(), clock.clone());
        Self { objects, cache, clock, files, runs, mode, restored_at: None }
    }

    /// Says when the store was last restored from a backup.
    #[must_use]
    pub fn restored_at(self, restored_at: Option<Timestamp>) -> Self {
        Self { restored_at, ..self }
    }

    /// Looks every hour until it is dropped.
    pub async fn run(self) {
        tokio::time::sleep(FIRST).await;
        loop {
            if let Err(failure) = self.look().await {
                tracing::warn!(error = failure.message, "the files of runs that are gone cannot be looked for");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks once, and returns how many folders were removed.
    ///
    /// # Errors
    /// Those of the store, and a disk that cannot be read. What cannot be removed now is left for the next look.
    pub async fn look(&self) -> Result<usize, Failure> {
        let since = self.restored_at.map(|restored_at| self.clock.now().duration_since(restored_at));
        if since.is_some_and(|since| since.unsigned_abs() < KEPT_AFTER_RESTORE) {
            return Ok(0);
        }
        // The disk first: whatever has files was in the store before it had any.
        let (files, runs) = (self.files.clone(), self.runs.clone());
        let found = blocking(move || find(&files, &runs)).await??;
        // Almost always the cache knows them all, and the store need not be read.
        let left = found.without(&self.cache.list(&TestRun::resource()));
        if left.is_empty() {
            return Ok(0);
        }
        let left = left.without(&self.objects.list(&TestRun::resource(), None).await?.objects);
        if self.mode == Mode::DryRun {
            for RunKey { namespace, name, uid } in &left.runs {
                tracing::info!(%namespace, run = %name, %uid, "the run is gone; its files would go if the reaper did not only look");
            }
            return Ok(0);
        }
        let (files, runs) = (self.files.clone(), self.runs.clone());
        blocking(move || remove(&files, &runs, &left)).await
    }
}

impl Found {
    /// Returns what belongs to none of these runs.
    fn without(mut self, stored: &[Arc<StoredObject>]) -> Self {
        let known: HashSet<&str> = stored.iter().map(|run| &*run.metadata.uid).collect();
        self.runs.retain(|key| !known.contains(key.uid.as_str()));
        self.trees.retain(|name| folders::uid_of(name.as_str()).is_some_and(|uid| !known.contains(uid)));
        self
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.trees.is_empty()
    }
}

fn find(files: &FileRoot, runs: &RunFiles) -> Result<Found, Error> {
    let trees = files.list(Area::Trees)?.into_iter().filter_map(|name| FileName::new(name).ok()).collect();
    Ok(Found { runs: runs.runs()?, trees })
}

fn remove(files: &FileRoot, runs: &RunFiles, left: &Found) -> usize {
    let runs = left.runs.iter().map(|key| (key.uid.as_str(), runs.remove(key)));
    let trees = left.trees.iter().map(|tree| (tree.as_str(), files.remove(Area::Trees, tree)));
    let is_removed = |(what, removed): (&str, Result<(), Error>)| match removed {
        Ok(()) => {
            tracing::info!(what, "the run is gone, and so are its files now");
            true
        }
        Err(error) => {
            tracing::warn!(what, error = %error, "the run is gone; its files cannot be removed yet");
            false
        }
    };
    runs.chain(trees).filter_map(|one| is_removed(one).then_some(())).count()
}

#[cfg(test)]
mod tests {
    use ports::clock::PausedClock;
    use ports::files::Faults;
    use ports::files::runs::RunLimits;
    use ports::redact::Redactor;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::super::folders::Folder;
    use super::*;
    use crate::runtime::guards::Guards;
    use crate::runtime::manager::Manager;
    use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
    use crate::runtime::objects::{ObjectKey, ServedResource};

    const GONE: &str = "0191e0b4-7c6e-7d3c-9d53-0b7f8f3c2a11";

    #[tokio::test]
    async fn the_files_of_runs_that_are_gone_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at("2026-11-28T12:00:00Z".parse().unwrap()));
        let runs = RunFiles::new(files.clone(), Redactor::default(), clock.clone(), RunLimits::default());
        let served = ServedResource {
            resource: TestRun::resource().into(),
            api_version: TestRun::api_version(),
            kind: TestRun::KIND.to_owned(),
            namespaced: true,
        };
        let memory = Arc::new(MemoryObjects::new(vec![served], clock.clone(), 100));
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(memory));
        // It does not run: the cache knows nothing, as shortly after a start.
        let manager = Manager::new(objects.clone(), clock.clone(), &mut Registry::default(), None, Guards::all());
        let run = json!({"apiVersion": TestRun::api_version(), "kind": TestRun::KIND,
            "metadata": {"name": "lives", "namespace": "default"}, "spec": {"recipeRef": "r", "source": {}}});
        let lives = objects.create(&TestRun::resource(), run).await.unwrap().metadata.uid.clone();
        let put = |name: &str, uid: &str| {
            let key = RunKey::new("default", name, uid).unwrap();
            runs.put_artifact(&key, &FileName::new("results.json").unwrap(), b"{}").unwrap();
            for folder in Folder::ALL {
                files.make(Area::Trees, &FileName::new(folder.of(uid)).unwrap()).unwrap();
            }
        };
        put("lives", &lives);
        put("gone", GONE);
        // Another run had the same name.
        put("lives", &GONE.replace("2a11", "2a12"));
        files.make(Area::Trees, &FileName::new("lost+found").unwrap()).unwrap();
        let left = |mode| LeftFiles::new(manager.shared(), files.clone(), runs.clone(), mode);
        let uids = || runs.runs().unwrap().into_iter().map(|key| key.uid.as_str().to_owned()).collect::<Vec<_>>();

        assert_eq!(left(Mode::DryRun).look().await.unwrap(), 0);
        let restored = |ago| left(Mode::Act).restored_at(Some(clock.now() - ago));
        assert_eq!(restored(KEPT_AFTER_RESTORE - Duration::from_secs(1)).look().await.unwrap(), 0);
        assert_eq!(uids().len(), 3);
        assert_eq!(left(Mode::Act).look().await.unwrap(), 8);
        assert_eq!(uids(), [&*lives]);
        let trees = files.list(Area::Trees).unwrap();
        assert!(trees.contains(&"lost+found".to_owned()) && trees.len() == 4, "{trees:?}");

        objects.delete(&ObjectKey::new(&TestRun::resource(), "default", "lives"), None).await.unwrap();
        assert_eq!(restored(KEPT_AFTER_RESTORE).look().await.unwrap(), 4);
        assert!(runs.runs().unwrap().is_empty() && files.list(Area::Runs).unwrap().is_empty());
        assert_eq!(left(Mode::Act).look().await.unwrap(), 0);
    }
}
