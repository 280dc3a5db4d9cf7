//! TestRun: deploys, proves and removes a recipe. See `README.md` beside this file.

pub mod admission;
mod advance;
pub mod app_spec;
pub mod base;
pub mod blame;
pub mod decide;
pub mod domain;
pub mod expectation;
pub mod folders;
pub mod follow;
pub mod hands;
pub mod ladder;
pub mod left;
pub mod observe;
mod orders;
pub mod queue;
mod running;
pub mod steps;
mod upgrades;
pub mod verdict;
pub mod versions;
pub mod work;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{TestRun, TestRunStatus};
use api_types::reason;
use api_types::status::{Reason, Status};
use jiff::Timestamp;
use ports::clock::Clock;

use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::objects::{ObjectKey, Objects, StoredObject};
use crate::runtime::operations::Operations;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler, Writes};
use admission::Material;
use decide::Action;
use observe::{Observed, Progress};
use queue::Place;
use work::{Hands, Order};

/// How long nothing is begun after a registry's rate limit that does not say when it ends.
const PAUSE_DEFAULT: Duration = Duration::from_mins(10);

/// The reconciler.
pub struct TestRuns {
    objects: Arc<dyn Objects>,
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    operations: Operations,
    hands: Arc<dyn Hands>,
    default_zone: Option<String>,
    places: Arc<Places>,
}

/// Places that are set aside for runs whose status does not say so yet, and the pause that a registry asked for.
///
/// Kept in memory: after a restart nobody has a place that is not in a status, and everybody asks again.
#[derive(Default)]
struct Places {
    reserved: Mutex<HashSet<String>>,
    pulls_paused_until: Mutex<Option<Timestamp>>,
    /// Held while a run looks and takes, so that two cannot take the same place.
    turn: tokio::sync::Mutex<()>,
}

impl TestRuns {
    /// Returns the reconciler. `default_zone` is the zone of recipes that name none.
    #[must_use]
    pub fn new(shared: &Shared, operations: Operations, hands: Arc<dyn Hands>, default_zone: Option<String>) -> Self {
        Self {
            objects: shared.objects.clone(),
            cache: shared.cache.clone(),
            clock: shared.clock.clone(),
            operations,
            hands,
            default_zone,
            places: Arc::default(),
        }
    }

    /// Returns the options under which it runs: its Apps wake it, and what it names.
    #[must_use]
    pub fn options() -> ControllerOptions {
        ControllerOptions {
            owns: vec![App::resource()],
            watches: vec![Recipe::resource(), Host::resource(), Approval::resource()],
            ..ControllerOptions::default()
        }
    }

    fn cached<K: api_types::kind::Kind>(&self, namespace: &str, name: &str) -> Option<Arc<Object<K>>> {
        let object = self.cache.get(&ObjectKey::new(&K::resource(), namespace, name))?;
        Object::<K>::from_value(&object.value).ok().map(Arc::new)
    }

    fn material(&self, runs: Vec<Arc<StoredObject>>) -> Material {
        Material {
            runs,
            recipes: self.cache.list(&Recipe::resource()),
            hosts: self.cache.list(&Host::resource()),
            apps: self.cache.list(&App::resource()),
            reserved: lock(&self.places.reserved).clone(),
            pulls_paused_until: *lock(&self.places.pulls_paused_until),
        }
    }

    fn place(&self, run: &Object<TestRun>, recipe: Option<&Object<Recipe>>) -> Place {
        let domain = recipe.and_then(|recipe| {
            let zone = recipe.spec.zone.as_ref().or(self.default_zone.as_ref())?;
            Some(domain::domain(&run.metadata.namespace, &run.spec.recipe_ref, &run.spec.source, zone))
        });
        let key = key_of(run);
        let material = self.material(self.cache.list(&TestRun::resource()));
        material.queue(&key.key, domain.as_deref()).place(&key.key, self.clock.now())
    }

    /// Sets a place aside if, with everybody else standing still, there is one.
    async fn reserve(&self, run: &Object<TestRun>) -> Result<(), Failure> {
        let _turn = self.places.turn.lock().await;
        let runs = self.objects.list(&TestRun::resource(), None).await?.objects;
        let in_doubt: HashSet<&str> = runs
            .iter()
            .filter(|found| {
                let status = &found.value["status"];
                !admission::is_finished(status) && !admission::has_begun(status)
            })
            .map(|found| &*found.metadata.uid)
            .collect();
        lock(&self.places.reserved).retain(|uid| in_doubt.contains(uid.as_str()));
        let key = key_of(run);
        let domain = run.status.domain.clone().or_else(|| {
            let found = runs.iter().find(|found| found.key == key)?;
            found.value["status"]["domain"].as_str().map(str::to_owned)
        });
        let queue = self.material(runs).queue(&key.key, domain.as_deref());
        if queue.place(&key.key, self.clock.now()) == Place::Go {
            lock(&self.places.reserved).insert(run.metadata.uid.clone());
        }
        Ok(())
    }

    fn start(&self, order: Order, owner: &ObjectKey) {
        let (id, limit, delay) = (order.id.clone(), order.time_max + order.delay, order.delay);
        let (hands, places, clock) = (self.hands.clone(), self.places.clone(), self.clock.clone());
        // One order at a time: what ended before is in the status, and an id may come again.
        self.operations.forget_ended(owner);
        self.operations.start(&id, owner, limit, async move {
            tokio::time::sleep(delay).await;
            let result = hands.perform(order).await;
            if let Err(failure) = &result
                && failure.reason == reason::RATE_LIMITED
            {
                let until = clock.now().checked_add(failure.retry_after.unwrap_or(PAUSE_DEFAULT)).ok();
                let mut paused = lock(&places.pulls_paused_until);
                *paused = (*paused).max(until);
            }
            result
        });
    }

    async fn put_app(&self, app: Object<App>) -> Result<(), Failure> {
        let key = ObjectKey::new(&App::resource(), &app.metadata.namespace, &app.metadata.name);
        let wanted = app.to_value();
        match self.objects.get(&key).await {
            Ok(found) => {
                let mut value = found.value.clone();
                value["spec"] = wanted["spec"].clone();
                match self.objects.update(&key, value).await {
                    Err(status) if status.reason == Some(Reason::Conflict) => {
                        Err(Failure::outdated("the App was changed during the pass"))
                    }
                    other => Ok(other.map(|_| ())?),
                }
            }
            Err(status) if status.reason == Some(Reason::NotFound) => {
                let mut value = wanted;
                if let Some(members) = value.as_object_mut() {
                    members.remove("status");
                }
                match self.objects.create(&App::resource(), value).await {
                    Err(status) if status.reason == Some(Reason::AlreadyExists) => Ok(()),
                    other => Ok(other.map(|_| ())?),
                }
            }
            Err(status) => Err(status.into()),
        }
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), Status> {
        match self.objects.delete(key, Some(uid)).await {
            // It is gone, or another object has its name: the next pass sees which.
            Err(status) if matches!(status.reason, Some(Reason::NotFound | Reason::Conflict)) => Ok(()),
            other => other,
        }
    }
}

impl Reconciler for TestRuns {
    type Kind = TestRun;
    type Observed = Observed;
    type Action = Action;

    const FINALIZER: Option<&'static str> = Some("ci.coopcloud.tech/testrun");
    const WRITES: Writes = Writes::AllBut(super::report::PART);

    async fn observe(&self, run: &Object<TestRun>) -> Result<Observed, Failure> {
        let resources =
            [TestRun::resource(), Recipe::resource(), Host::resource(), Approval::resource(), App::resource()];
        if let Some(missing) = resources.iter().find(|resource| !self.cache.is_synced(resource)) {
            return Err(Failure::outdated(format!("the first list of {missing} has not arrived yet")));
        }
        let namespace = &run.metadata.namespace;
        let recipe = self.cached::<Recipe>(namespace, &run.spec.recipe_ref);
        let in_namespace = |object: &&Arc<StoredObject>| object.metadata.namespace == *namespace;
        let approvals = self.cache.list(&Approval::resource());
        let approvals = approvals.iter().filter(in_namespace);
        let children = self.cache.children(&App::resource(), &run.metadata.uid);
        let dependencies = children.iter().filter(|app| app.metadata.name != run.metadata.name);
        let names = recipe.iter().flat_map(|recipe| &recipe.spec.dependencies);
        let mut seen = Observed {
            default_zone: self.default_zone.clone(),
            approvals: approvals.filter_map(|found| Object::<Approval>::from_value(&found.value).ok()).collect(),
            place: self.place(run, recipe.as_deref()),
            is_reserved: lock(&self.places.reserved).contains(&run.metadata.uid),
            takes_pictures: self.hands.take_pictures(),
            progress: Progress::Absent,
            app: self.cached::<App>(namespace, &run.metadata.name),
            dependencies: dependencies
                .filter_map(|found| Object::<App>::from_value(&found.value).ok().map(Arc::new))
                .collect(),
            dependency_recipes: names
                .filter_map(|dependency| self.cached::<Recipe>(namespace, &dependency.recipe_ref))
                .collect(),
            recipe,
        };
        if let Some(id) = orders::current_id(run, &seen) {
            seen.progress = self.operations.state(&id).into();
        }
        Ok(seen)
    }

    fn decide(run: &Object<TestRun>, seen: &Observed, now: Timestamp) -> Decision<TestRunStatus, Action> {
        decide::decide(run, seen, now)
    }

    async fn act(&self, run: &Object<TestRun>, action: Action) -> Result<(), Failure> {
        let key = key_of(run);
        match action {
            Action::Reserve => self.reserve(run).await,
            Action::Order(order) => {
                self.start(*order, &key);
                Ok(())
            }
            Action::PutApp(app) => self.put_app(*app).await,
            Action::DeleteApps(apps) => {
                for (name, uid) in apps {
                    let app = ObjectKey::new(&App::resource(), &run.metadata.namespace, &name);
                    self.delete(&app, &uid).await?;
                }
                Ok(())
            }
            Action::CutOff => {
                self.operations.forget_all(&key);
                Ok(())
            }
            Action::Confirm(approval) => {
                let key = ObjectKey::new(&Approval::resource(), &run.metadata.namespace, &approval);
                self.operations.ring(&key);
                if lock(&self.places.reserved).remove(&run.metadata.uid) {
                    self.wake_waiting();
                }
                Ok(())
            }
            Action::Release => {
                self.operations.forget_all(&key);
                lock(&self.places.reserved).remove(&run.metadata.uid);
                self.wake_waiting();
                Ok(())
            }
            Action::DeleteRun => Ok(self.delete(&key, &run.metadata.uid).await?),
        }
    }

    fn gone(&self, key: &ObjectKey) {
        self.operations.forget_all(key);
    }

    fn references(run: &Object<TestRun>) -> Vec<ObjectKey> {
        vec![ObjectKey::new(&Recipe::resource(), &run.metadata.namespace, &run.spec.recipe_ref)]
    }
}

impl TestRuns {
    /// Rings for the runs that wait: there is room.
    fn wake_waiting(&self) {
        for run in self.cache.list(&TestRun::resource()) {
            if run.value["status"]["phase"] == "Queued" {
                self.operations.ring(&run.key);
            }
        }
    }
}

fn key_of(run: &Object<TestRun>) -> ObjectKey {
    ObjectKey::new(&TestRun::resource(), &run.metadata.namespace, &run.metadata.name)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Whoever panicked while holding it had finished writing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
