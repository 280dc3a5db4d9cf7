//! The stage on which runs are played: a store in memory, hands and Apps that follow a script, simulated time, and a
//! process that can be killed at any call that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus};
use api_types::kind::{Kind, Object};
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::approval::Approval;
use api_types::kinds::host::Host;
use api_types::kinds::identity::{Identity, ServiceImage};
use api_types::kinds::recipe::{Recipe, RecipeVersion};
use api_types::kinds::test_run::{Phase, RungStatus, TestResult, TestRun, TestRunStatus};
use api_types::status::Status;
use async_trait::async_trait;
use jiff::Timestamp;
use ports::clock::{Clock, PausedClock};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::TestRuns;
use super::super::steps::{self, Step};
use super::super::work::{BackupTaken, Fetched, Hands, Inventory, Order, Outcome, Rendered, Work, Written};
use crate::runtime::controller::ControllerOptions;
use crate::runtime::guards::Guards;
use crate::runtime::manager::Manager;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{Listing, ObjectKey, ObjectWatch, Objects, ServedResource, StoredObject};
use crate::runtime::operations::Operations;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Next, Reconciler};

pub(super) const HEAD: &str = "3b18e512dba79e4c8300dd08aeb37f8e728b8dad";
pub(super) const BASE: &str = "1111111111111111111111111111111111111111";

/// What hands answer, by step or by the check's name, alone or with `@` and the version that is upgraded from; what is not
/// written down goes well.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// The answer is no.
    Bad(&'static str),
    /// Our own trouble, so many times, then it goes well.
    Broke(&'static str, u32),
    /// A check says so.
    Result(RungStatus),
    /// It never answers.
    Hangs,
}

/// How the world behaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) replies: BTreeMap<&'static str, Reply>,
    /// Reasons with which Apps fail, by commit.
    pub(super) apps: BTreeMap<&'static str, &'static str>,
    /// Commits that run although another was asked for.
    pub(super) runs_instead: BTreeMap<&'static str, &'static str>,
    /// How often the leftovers are still there.
    pub(super) leftovers: u32,
    pub(super) published: Vec<RecipeVersion>,
    pub(super) takes_pictures: bool,
}

/// The world outside: what survives the process.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) script: Mutex<Script>,
    /// Stacks on the swarm, by App.
    pub(super) stacks: Mutex<BTreeSet<String>>,
    /// Everything that was ordered, in order.
    pub(super) orders: Mutex<Vec<String>>,
    /// Most stacks at the same time.
    pub(super) stacks_max: Mutex<usize>,
    /// How many orders hang now.
    pub(super) hanging: Arc<()>,
}

/// Kills the process at its n-th call.
pub(super) struct Killer {
    calls: AtomicU64,
    at: AtomicU64,
    pub(super) rings: Notify,
}

impl Killer {
    pub(super) fn at(call: Option<u64>) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), at: AtomicU64::new(call.unwrap_or(u64::MAX)), rings: Notify::new() })
    }

    /// Counts a call twice, before and after its effect; at the chosen one the process ends.
    async fn point(&self) {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at.load(Ordering::SeqCst) {
            self.rings.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

struct Scripted {
    outside: Arc<Outside>,
    killer: Arc<Killer>,
    broken: Mutex<BTreeMap<String, u32>>,
}

#[async_trait]
impl Hands for Scripted {
    async fn perform(&self, order: Order) -> Result<Value, Failure> {
        self.killer.point().await;
        let name = match &order.work {
            Work::Check { check, .. } => check.name(),
            _ => order.step.name().to_owned(),
        };
        self.outside.orders.lock().unwrap().push(name.clone());
        tokio::time::sleep(Duration::from_millis(700)).await;
        let base = order.run.status.base.clone().and_then(|base| base.version).unwrap_or_default();
        let reply = {
            let script = self.outside.script.lock().unwrap();
            script.replies.get(&*format!("{name}@{base}")).or_else(|| script.replies.get(&*name)).cloned()
        };
        let answer = match reply {
            Some(Reply::Hangs) => {
                let _hanging = self.outside.hanging.clone();
                std::future::pending().await
            }
            Some(Reply::Bad(reason)) => {
                Ok(json!({"Bad": {"reason": reason, "message": format!("{reason}, as the script says.")}}))
            }
            Some(Reply::Broke(reason, times)) => {
                let mut broken = self.broken.lock().unwrap();
                let count = broken.entry(name.clone()).or_default();
                *count += 1;
                if *count <= times {
                    Err(Failure::retryable(reason, "as the script says"))
                } else {
                    Ok(self.good(&order))
                }
            }
            Some(Reply::Result(status)) => Ok(Outcome::Good(TestResult {
                status,
                message: Some("as the script says".to_owned()),
                ..TestResult::default()
            })
            .to_value()),
            None => Ok(self.good(&order)),
        };
        self.killer.point().await;
        answer
    }

    fn take_pictures(&self) -> bool {
        self.outside.script.lock().unwrap().takes_pictures
    }
}

impl Scripted {
    fn good(&self, order: &Order) -> Value {
        match &order.work {
            Work::Fetch => {
                let published = self.outside.script.lock().unwrap().published.clone();
                Outcome::Good(Fetched {
                    commit: HEAD.to_owned(),
                    version: Some("1.1.0+1".to_owned()),
                    is_published: false,
                    published,
                    branch_tip: Some(HEAD.to_owned()),
                })
                .to_value()
            }
            Work::Render { side, .. } => {
                let image =
                    ServiceImage { service: "app".to_owned(), image: format!("app:{}", side.word()), digest: None };
                let identity = Identity { images: vec![image], ..Identity::default() };
                Outcome::Good(Rendered { identity, images: Vec::new(), has_backup_label: true }).to_value()
            }
            Work::Check { .. } => {
                Outcome::Good(TestResult { status: RungStatus::Pass, ..TestResult::default() }).to_value()
            }
            Work::BackUp => {
                Outcome::Good(BackupTaken { files: 3, bytes: 5, captures: 1, has_markers: true }).to_value()
            }
            Work::Lint => {
                let result = TestResult { name: "R001".to_owned(), status: RungStatus::Pass, ..TestResult::default() };
                Outcome::Good(vec![result]).to_value()
            }
            Work::Evidence | Work::Screenshot => Outcome::Good(Vec::<Value>::new()).to_value(),
            Work::Results => Outcome::Good(Written::default()).to_value(),
            Work::CleanUp => Outcome::Good(Inventory { objects: vec!["service/x".to_owned()] }).to_value(),
            Work::Leftovers => {
                let mut script = self.outside.script.lock().unwrap();
                let objects = if script.leftovers > 0 { vec!["volume/x".to_owned()] } else { Vec::new() };
                script.leftovers = script.leftovers.saturating_sub(1);
                Outcome::Good(Inventory { objects }).to_value()
            }
            Work::Pull { .. }
            | Work::Perform { .. }
            | Work::ProveDestroyed { .. }
            | Work::Restore
            | Work::RemoveFiles => Outcome::Good(()).to_value(),
        }
    }
}

/// Apps that follow the script: three seconds to serve, two to go.
pub(super) struct Apps {
    outside: Arc<Outside>,
    killer: Arc<Killer>,
}

#[derive(Debug)]
pub(super) enum AppAction {
    Deploy,
    Remove,
}

impl Reconciler for Apps {
    type Kind = App;
    type Observed = (bool, Script);
    type Action = AppAction;
    const FINALIZER: Option<&'static str> = Some("test/app");

    async fn observe(&self, app: &Object<App>) -> Result<(bool, Script), Failure> {
        let is_up = self.outside.stacks.lock().unwrap().contains(&app.metadata.uid);
        Ok((is_up, self.outside.script.lock().unwrap().clone()))
    }

    fn decide(app: &Object<App>, seen: &(bool, Script), now: Timestamp) -> Decision<AppStatus, AppAction> {
        let (is_up, script) = seen;
        let mut status = app.status.clone();
        if app.is_being_deleted() {
            status.remaining = if *is_up { vec!["service/x".to_owned()] } else { Vec::new() };
            return match is_up {
                true => Decision { status, action: Some(AppAction::Remove), next: Next::After(Duration::from_secs(2)) },
                false => Decision::wait(status, Next::Finalized),
            };
        }
        if !is_up {
            return Decision::act(status, AppAction::Deploy);
        }
        let wanted = app.spec.commit.clone().unwrap_or_else(|| match app.spec.version.as_deref() {
            Some("1.1.0+1") | None => HEAD.to_owned(),
            Some(version) => {
                let published = script.published.iter().find(|published| published.version == version);
                published.map_or(BASE.to_owned(), |published| published.commit.clone())
            }
        });
        let deployed = format!("{wanted} {}", app.metadata.generation);
        if status.deployed_hash.as_deref() != Some(&deployed) {
            status.deployed_hash = Some(deployed);
            status.deployed_at = Some(crate::runtime::events::seconds(now));
            condition::remove(&mut status.conditions, "Ready");
            return Decision::wait(status, Next::After(Duration::from_secs(3)));
        }
        let since: Timestamp = status.deployed_at.as_deref().unwrap().parse().unwrap();
        if now.duration_since(since).unsigned_abs() < Duration::from_secs(3) {
            return Decision::wait(status, Next::After(Duration::from_secs(1)));
        }
        let runs = script.runs_instead.get(&*wanted).map_or(wanted.clone(), |other| (*other).to_owned());
        status.observed = Some(Identity { commit: Some(runs), version: None, images: Vec::new() });
        let ready = match script.apps.get(&*wanted) {
            None => Condition::new("Ready", ConditionStatus::True, "Healthy", "It serves."),
            Some(reason) => Condition::new("Ready", ConditionStatus::False, reason, "As the script says."),
        };
        condition::set(&mut status.conditions, ready);
        Decision::wait(status, Next::OnChange)
    }

    async fn act(&self, app: &Object<App>, action: AppAction) -> Result<(), Failure> {
        self.killer.point().await;
        let mut stacks = self.outside.stacks.lock().unwrap();
        match action {
            AppAction::Deploy => stacks.insert(app.metadata.uid.clone()),
            AppAction::Remove => stacks.remove(&app.metadata.uid),
        };
        let mut most = self.outside.stacks_max.lock().unwrap();
        *most = (*most).max(stacks.len());
        Ok(())
    }
}

/// A store at whose calls the process may be killed.
struct Watched {
    inner: Arc<dyn Objects>,
    killer: Arc<Killer>,
}

#[async_trait]
impl Objects for Watched {
    fn served(&self) -> Vec<ServedResource> {
        self.inner.served()
    }
    async fn list(&self, resource: &str, namespace: Option<&str>) -> Result<Listing, Status> {
        self.inner.list(resource, namespace).await
    }
    async fn watch(&self, resource: &str, after: u64) -> Result<Box<dyn ObjectWatch>, Status> {
        self.inner.watch(resource, after).await
    }
    async fn get(&self, key: &ObjectKey) -> Result<Arc<StoredObject>, Status> {
        self.inner.get(key).await
    }
    async fn create(&self, resource: &str, value: Value) -> Result<Arc<StoredObject>, Status> {
        if resource == "events" {
            return self.inner.create(resource, value).await;
        }
        self.killer.point().await;
        let created = self.inner.create(resource, value).await;
        self.killer.point().await;
        created
    }
    async fn update(&self, key: &ObjectKey, value: Value) -> Result<Arc<StoredObject>, Status> {
        self.killer.point().await;
        let updated = self.inner.update(key, value).await;
        self.killer.point().await;
        updated
    }
    async fn update_status(&self, object: &StoredObject, status: Value) -> Result<Arc<StoredObject>, Status> {
        self.killer.point().await;
        let updated = self.inner.update_status(object, status).await;
        self.killer.point().await;
        updated
    }
    async fn finalize_namespace(&self, key: &ObjectKey, value: Value) -> Result<(), Status> {
        self.inner.finalize_namespace(key, value).await
    }
    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), Status> {
        self.killer.point().await;
        let deleted = self.inner.delete(key, uid).await;
        self.killer.point().await;
        deleted
    }
}

/// The stage.
pub(super) struct Stage {
    pub(super) memory: Arc<MemoryObjects>,
    pub(super) objects: Arc<dyn Objects>,
    pub(super) outside: Arc<Outside>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Stage {
    /// A host for so many runs, a recipe with a test for each rung, and an older published version.
    pub(super) async fn new(runs_max: u32) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let memory = Arc::new(MemoryObjects::new(served(), clock.clone(), 10_000));
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(memory.clone()));
        let outside = Arc::new(Outside::default());
        outside.script.lock().unwrap().published =
            vec![RecipeVersion { version: "1.0.0+1".to_owned(), commit: BASE.to_owned() }];
        let stage = Self { memory, objects, outside, clock };
        let host = stage.objects.create(&Host::resource(), host(runs_max)).await.unwrap();
        let status = json!({"conditions": [
            {"type": "SwarmActive", "status": "True", "reason": "SwarmActive", "message": "It is active."}]});
        stage.objects.update_status(&host, status).await.unwrap();
        stage.put(&Recipe::resource(), recipe("wordpress")).await;
        stage
    }

    pub(super) async fn put(&self, resource: &str, value: Value) {
        self.objects.create(resource, value).await.unwrap();
    }

    pub(super) async fn run_named(&self, name: &str, recipe: &str, commit: &str) {
        let spec = json!({"recipeRef": recipe, "source": {"commit": commit}, "lane": "Cold"});
        self.put(&TestRun::resource(), object::<TestRun>(name, spec)).await;
    }

    pub(super) async fn change(&self, resource: &str, name: &str, change: impl Fn(&mut Value)) {
        let key = ObjectKey::new(resource, if resource == Host::resource() { "" } else { "default" }, name);
        let mut value = self.objects.get(&key).await.unwrap().value.clone();
        change(&mut value);
        self.objects.update(&key, value).await.unwrap();
    }

    pub(super) fn status(&self, name: &str) -> Option<TestRunStatus> {
        let found = self.memory.all(&TestRun::resource()).into_iter().find(|run| run.metadata.name == name)?;
        Some(Object::<TestRun>::from_value(&found.value).unwrap().status)
    }

    /// Plays until `until` says so, killing the process at its n-th call and starting it again; the number of calls.
    pub(super) async fn play(&self, kill_at: Option<u64>, until: impl Fn(&Self) -> bool) -> u64 {
        let mut kill_at = kill_at;
        let mut calls = 0;
        let limit = tokio::time::Instant::now() + Duration::from_hours(2);
        loop {
            let killer = Killer::at(kill_at);
            let ccd = tokio::spawn(self.ccd(killer.clone()));
            let ended = loop {
                tokio::select! {
                    biased;
                    () = killer.rings.notified() => break false,
                    () = tokio::time::sleep(Duration::from_millis(250)) => {}
                }
                if until(self) {
                    break true;
                }
                assert!(
                    tokio::time::Instant::now() < limit,
                    "it does not end: {:#?}",
                    self.memory.all(&TestRun::resource())
                );
            };
            ccd.abort();
            let _ = ccd.await;
            calls += killer.calls();
            if ended {
                return calls;
            }
            kill_at = None;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn ccd(&self, killer: Arc<Killer>) -> impl Future<Output = ()> + Send + 'static {
        let objects: Arc<dyn Objects> = Arc::new(Watched { inner: self.objects.clone(), killer: killer.clone() });
        let mut registry = prometheus_client::registry::Registry::default();
        let mut manager = Manager::new(objects, self.clock.clone(), &mut registry, None, Guards::all());
        let operations = Operations::default();
        let hands =
            Arc::new(Scripted { outside: self.outside.clone(), killer: killer.clone(), broken: Mutex::default() });
        let runs = TestRuns::new(manager.shared(), operations.clone(), hands, Some("ci.example".to_owned()));
        manager.register(runs, TestRuns::options());
        manager.register(Apps { outside: self.outside.clone(), killer }, ControllerOptions::default());
        operations.set_bell(manager.bell());
        async move { manager.run(CancellationToken::new()).await }
    }

    /// Plays one run of the recipe to its end, and checks that nothing is left.
    pub(super) async fn finish(&self, kill_at: Option<u64>) -> (TestRunStatus, u64) {
        let calls = self.play(kill_at, |stage| stage.is_finished("run")).await;
        assert!(self.outside.stacks.lock().unwrap().is_empty(), "a stack is left");
        assert!(self.memory.all(&App::resource()).is_empty(), "an App is left");
        (self.status("run").unwrap(), calls)
    }

    pub(super) fn is_finished(&self, name: &str) -> bool {
        self.status(name).is_some_and(|status| status.phase.is_some_and(Phase::is_finished))
    }

    /// Returns how many orders hang now.
    pub(super) fn hanging(&self) -> usize {
        Arc::strong_count(&self.outside.hanging) - 1
    }

    /// Returns whether the run has begun this step and not ended it.
    pub(super) fn is_at(&self, name: &str, step: Step) -> bool {
        self.status(name).is_some_and(|status| steps::current(&status).is_some_and(|(current, _)| current == step))
    }

    pub(super) fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.outside.script.lock().unwrap());
    }

    /// Returns how often a step or check was ordered.
    pub(super) fn ordered(&self, name: &str) -> usize {
        self.outside.orders.lock().unwrap().iter().filter(|ordered| *ordered == name).count()
    }

    pub(super) fn ordered_step(&self, step: Step) -> usize {
        self.ordered(step.name())
    }
}

pub(super) fn object<K: Kind>(name: &str, spec: Value) -> Value {
    json!({"apiVersion": K::api_version(), "kind": K::KIND,
        "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

pub(super) fn recipe(name: &str) -> Value {
    let test = |name: &str, stage: &str| json!({"name": name, "stage": stage, "http": {"path": "/"}});
    let mut kept = test("kept", "backup-restore");
    kept["seed"] = json!({"http": {"path": "/seed"}});
    kept["destroy"] = json!({"http": {"path": "/destroy"}});
    let mut survives = test("survives", "upgrade");
    survives["seed"] = json!({"http": {"path": "/seed"}});
    object::<Recipe>(
        name,
        json!({"source": {"url": "https://example.com/r.git"}, "repositoryRef": "repository",
            "tests": [test("login", "install"), survives, kept, test("works", "functional")]}),
    )
}

fn host(runs: u32) -> Value {
    json!({"apiVersion": Host::api_version(), "kind": "Host", "metadata": {"name": "here"},
        "spec": {"capacity": {"runs": runs}}})
}

fn served() -> Vec<ServedResource> {
    fn of<K: Kind>(namespaced: bool) -> ServedResource {
        ServedResource {
            resource: K::resource().into(),
            api_version: K::api_version(),
            kind: K::KIND.to_owned(),
            namespaced,
        }
    }
    let core = |resource: &str, kind: &str| ServedResource {
        resource: resource.into(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
    };
    vec![
        of::<TestRun>(true),
        of::<App>(true),
        of::<Recipe>(true),
        of::<Approval>(true),
        of::<Host>(false),
        core("events", "Event"),
        core("configmaps", "ConfigMap"),
    ]
}
