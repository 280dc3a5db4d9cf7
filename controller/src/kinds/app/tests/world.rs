//! A ccd with a played engine, forge and network, in paused time: whole lives of Apps in milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, find};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::built_in::namespace::Namespace;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::forge::Forge;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::abra::Abra;
use ports::acme::fake::FakeAcme;
use ports::acme::solve::fake::FakeSolver;
use ports::clock::{Clock, PausedClock};
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileRoot, RunFiles};
use ports::git::fake::{FakeFiles, FakeGit};
use ports::git::{CommitId, FileKind, RefName, RemoteUrl, TreePath};
use ports::probe::fake::{FakeAnswer, FakeProbe};
use ports::redact::Redactor;
use ports::swarm::fake::{FakeEngine, FakeEngines};
use ports::swarm::{Engine as _, Filter, NewNetwork, Service, TaskState};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kinds::app::reaper::{Mode, Reaper};
use crate::kinds::app::{Apps, options};
use crate::kinds::certificate::Certificates;
use crate::outside::Outside;
use crate::runtime::controller::Shared;
use crate::runtime::guards::Guards;
use crate::runtime::manager::Manager;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ObjectKey, Objects, ServedResource};
use crate::runtime::operations::Operations;

pub(super) const URL: &str = "https://git.example/demo.git";
pub(super) const DOMAIN: &str = "x.example";
pub(super) const STACK: &str = "x_example";
const ENGINE: &str = "unix:///here";

pub(super) const COMPOSE: &str = "\
version: '3.8'
services:
  app:
    image: 127.0.0.1:5000/app:1
    networks: [proxy, internal]
    configs: [{source: conf, target: /conf}]
    secrets: [pass]
    volumes: ['data:/data']
    deploy:
      labels:
        - 'traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)'
      update_config: {failure_action: rollback, order: start-first}
  db:
    image: 127.0.0.1:5000/db:1
    networks: [internal]
networks:
  proxy: {external: true}
  internal: {}
volumes: {data: {}}
secrets:
  pass: {external: true, name: '${STACK_NAME}_pass_${SECRET_PASS_VERSION}'}
configs:
  conf: {name: '${STACK_NAME}_conf_${CONF_VERSION}', file: conf.tmpl}
";
pub(super) const SAMPLE: &str = "TYPE=demo\nDOMAIN=demo.example\nSECRET_PASS_VERSION=v1 # length=20\n";
pub(super) const ABRA: &str = "export CONF_VERSION=v1\n";

pub(super) struct World {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) engine: FakeEngine,
    pub(super) git: Arc<FakeGit>,
    pub(super) probe: Arc<FakeProbe>,
    pub(super) files: FileRoot,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) forge: ports::forge::fake::FakeForge,
    pub(super) acme: FakeAcme,
    pub(super) solver: FakeSolver,
    /// Set it, and start ccd again.
    pub(super) abra: Option<Arc<dyn Abra>>,
    engines: Arc<FakeEngines>,
    running: Option<JoinHandle<()>>,
    shared: Option<Shared>,
    outside: Option<Outside>,
    _folder: tempfile::TempDir,
}

/// A clock that never shows the same moment twice, as a real one: a look and the decision about it are not simultaneous.
struct Ticking {
    paused: PausedClock,
    ticks: AtomicI64,
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        self.paused.now() + Duration::from_micros(ticks.unsigned_abs())
    }
}

impl World {
    /// Returns a world with an engine, a Host, a recipe of version 1.0.0, and a running ccd.
    pub(super) async fn start() -> Self {
        let start: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> =
            Arc::new(Ticking { paused: PausedClock::starting_at(start), ticks: AtomicI64::new(0) });
        let engine = FakeEngine::starting_at(start);
        let engines = Arc::new(FakeEngines::default());
        engines.add(ENGINE, engine.clone());
        let served = |resource: String, kind: &str, namespaced: bool| ServedResource {
            resource: resource.into(),
            api_version: App::api_version(),
            kind: kind.to_owned(),
            namespaced,
        };
        let served = vec![
            served(App::resource(), "App", true),
            served(Host::resource(), "Host", false),
            served(Recipe::resource(), "Recipe", true),
            served(TestRun::resource(), "TestRun", true),
            served(Namespace::resource(), "Namespace", false),
            served(Certificate::resource(), "Certificate", true),
            served(Forge::resource(), "Forge", false),
            served("secrets".to_owned(), "Secret", true),
            served("events".to_owned(), "Event", true),
        ];
        let memory = MemoryObjects::new(served, clock.clone(), 100_000);
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(Arc::new(memory)));
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let (git, probe) = (Arc::new(FakeGit::default()), Arc::new(FakeProbe::default()));
        probe.set_host(DOMAIN, FakeAnswer::Status(200, "hello".to_owned()));
        let solver = FakeSolver::default();
        let mut world = Self {
            acme: FakeAcme::new(solver.clone(), clock.clone()),
            solver,
            objects,
            engine,
            git,
            probe,
            files,
            clock,
            forge: ports::forge::fake::FakeForge::new(Arc::new(ports::clock::SystemClock)),
            abra: None,
            engines,
            running: None,
            shared: None,
            outside: None,
            _folder: folder,
        };
        let proxy = NewNetwork { name: "proxy".to_owned(), attachable: true, ..NewNetwork::default() };
        world.engine.create_network(&proxy).await.unwrap();
        world.create(&Namespace::resource(), "", "default", json!({})).await;
        world.create(&Host::resource(), "", "here", json!({"engine": ENGINE})).await;
        let key = ObjectKey::new(&Host::resource(), "", "here");
        let host = world.objects.get(&key).await.unwrap();
        let active = Condition::new("SwarmActive", ConditionStatus::True, "SwarmActive", "It is.");
        world.objects.update_status(&host, json!({"conditions": [active]})).await.unwrap();
        world.publish(
            "1.0.0+1",
            &[("compose.yml", COMPOSE), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")],
        );
        world.run();
        world
    }

    /// Starts ccd: nothing but the store, the engine and the files is left of the one before.
    pub(super) fn run(&mut self) {
        self.kill();
        let operations = Operations::default();
        let limits = RunLimits::default();
        let outside = Outside {
            acme: Arc::new(self.acme.clone()),
            solver: Arc::new(self.solver.clone()),
            forges: self.forge.forges(),
            abra: self.abra.clone(),
            given: ports::files::GivenFiles::beneath(vec!["/".into()], Vec::new()),
            jobs: Arc::new(ports::jobs::fake::FakeJobs::default()),
            engines: self.engines.clone(),
            figures: Arc::new(ports::host::fake::FakeHost::default()),
            git: self.git.clone(),
            camera: None,
            probe: self.probe.clone(),
            runs: RunFiles::new(self.files.clone(), Redactor::default(), self.clock.clone(), limits),
            files: self.files.clone(),
            redactor: Redactor::default(),
            zone: None,
            public_url: None,
            operations: operations.clone(),
            clock: self.clock.clone(),
        };
        let mut manager =
            Manager::new(self.objects.clone(), self.clock.clone(), &mut Registry::default(), None, Guards::all());
        let apps = Apps::new(&manager, outside.clone());
        manager.register(apps, options());
        let certificates = Certificates::new(manager.shared(), outside.clone());
        manager.register(certificates, Certificates::options());
        operations.set_bell(manager.bell());
        self.shared = Some(manager.shared().clone());
        self.outside = Some(outside);
        self.running = Some(tokio::spawn(async move { manager.run(CancellationToken::new()).await }));
    }

    /// Ends ccd at whatever await it is.
    pub(super) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
        if let Some(outside) = self.outside.take() {
            for name in ["x", "y"] {
                outside.operations.forget_all(&ObjectKey::new(&App::resource(), "default", name));
            }
        }
    }

    /// Returns a reaper of the ccd that runs.
    pub(super) fn reaper(&self, mode: Mode) -> Reaper {
        Reaper::new(self.shared.as_ref().unwrap(), self.outside.clone().unwrap(), mode)
    }

    /// Publishes a version with these files.
    pub(super) fn publish(&self, version: &str, files: &[(&str, &str)]) -> CommitId {
        let url = RemoteUrl::new(URL).unwrap();
        let files: FakeFiles = files
            .iter()
            .map(|(path, text)| (TreePath::new(*path).unwrap(), (FileKind::Regular, text.as_bytes().to_vec())))
            .collect();
        let commit = self.git.commit(&url, &RefName::new("main").unwrap(), files);
        self.git.tag(&url, &RefName::new(version).unwrap(), &commit, true);
        commit
    }

    pub(super) async fn create(&self, resource: &str, namespace: &str, name: &str, spec: Value) {
        let mut value =
            json!({"apiVersion": App::api_version(), "kind": "X", "metadata": {"name": name}, "spec": spec});
        if !namespace.is_empty() {
            value["metadata"]["namespace"] = json!(namespace);
        }
        self.objects.create(resource, value).await.unwrap();
    }

    /// Creates an App of the demo recipe with more in its spec.
    pub(super) async fn create_app(&self, name: &str, more: Value) {
        let mut spec = json!({"recipe": {"url": URL}, "domain": DOMAIN, "version": "1.0.0+1", "volumes": "Delete"});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let value = json!({"apiVersion": App::api_version(), "kind": "App",
            "metadata": {"name": name, "namespace": "default"}, "spec": spec});
        self.objects.create(&App::resource(), value).await.unwrap();
    }

    /// Changes an App.
    pub(super) async fn change(&self, name: &str, change: impl Fn(&mut Value)) {
        let key = ObjectKey::new(&App::resource(), "default", name);
        loop {
            let mut value = self.objects.get(&key).await.unwrap().value.clone();
            change(&mut value);
            if self.objects.update(&key, value).await.is_ok() {
                return;
            }
        }
    }

    pub(super) async fn delete(&self, name: &str) {
        self.objects.delete(&ObjectKey::new(&App::resource(), "default", name), None).await.unwrap();
    }

    pub(super) async fn app(&self, name: &str) -> Option<Object<App>> {
        let stored = self.objects.get(&ObjectKey::new(&App::resource(), "default", name)).await.ok()?;
        serde_json::from_value(stored.value.clone()).ok()
    }

    /// Waits until the status is so, for at most an hour of played time.
    pub(super) async fn until(&self, name: &str, what: &str, is_so: impl Fn(&AppStatus) -> bool) -> AppStatus {
        for _ in 0..36_000 {
            let app = self.app(name).await.unwrap_or_else(|| panic!("{what}: the App is gone"));
            if is_so(&app.status) && app.status.observed_generation == app.metadata.generation {
                return app.status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {:#?}", self.app(name).await.unwrap().status);
    }

    /// Waits until a condition has a status and a reason.
    pub(super) async fn until_condition(
        &self,
        name: &str,
        type_: &str,
        status: ConditionStatus,
        reason: &str,
    ) -> AppStatus {
        let what = format!("{type_} is {status:?} with {reason}");
        self.until(name, &what, |seen| {
            find(&seen.conditions, type_).is_some_and(|found| found.status == status && found.reason == reason)
        })
        .await
    }

    pub(super) async fn until_ready(&self, name: &str) -> AppStatus {
        self.until(name, "it is ready", |seen| api_types::condition::is_true(&seen.conditions, "Ready")).await
    }

    pub(super) async fn until_gone(&self, name: &str) {
        for _ in 0..36_000 {
            if self.app(name).await.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it stays: {:#?}", self.app(name).await.unwrap().status);
    }

    pub(super) async fn service(&self, name: &str) -> Option<Service> {
        let services = self.engine.services(&Filter::stack(STACK)).await.unwrap();
        services.into_iter().find(|service| service.spec.name == format!("{STACK}_{name}"))
    }

    /// Returns the names of the services of the stack of a domain.
    pub(super) async fn engine_services(&self, domain: &str) -> Vec<String> {
        let services = self.engine.services(&Filter::stack(&crate::kinds::app::stack_name(domain))).await.unwrap();
        services.into_iter().map(|service| service.spec.name).collect()
    }

    /// Returns the ids of tasks that run.
    pub(super) async fn running_tasks(&self) -> Vec<String> {
        let tasks = self.engine.tasks(&Filter::stack(STACK)).await.unwrap();
        tasks.into_iter().filter(|task| task.state == TaskState::Running).map(|task| task.id).collect()
    }

    /// Returns everything that is in the swarm and on its node, but for images.
    pub(super) async fn inventory(&self) -> BTreeMap<&'static str, Vec<String>> {
        let all = Filter::default();
        let engine = &self.engine;
        let mut found = BTreeMap::new();
        let services = engine.services(&all).await.unwrap();
        found.insert("services", services.into_iter().map(|found| found.spec.name).collect());
        found.insert("containers", engine.containers(&all).await.unwrap().into_iter().map(|one| one.name).collect());
        found.insert("networks", engine.networks(&all).await.unwrap().into_iter().map(|one| one.name).collect());
        found.insert("configs", engine.configs(&all).await.unwrap().into_iter().map(|one| one.name).collect());
        found.insert("secrets", engine.secrets(&all).await.unwrap().into_iter().map(|one| one.name).collect());
        let volumes: Vec<String> = engine.volumes(&all).await.unwrap().into_iter().map(|one| one.name).collect();
        found.insert("volumes", volumes);
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}
