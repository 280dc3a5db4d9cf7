//! A played forge, a store in memory, and the reconcilers between them; time is played, too.

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus};
use api_types::kind::{Kind, Object};
use api_types::kinds::approval::Approval;
use api_types::kinds::forge::Forge;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::{Repository, RepositoryStatus};
use api_types::kinds::test_run::TestRun;
use api_types::meta::GROUP;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ports::clock::{Clock, PausedClock};
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileRoot, RunFiles};
use ports::forge::Permission;
use ports::forge::fake::FakeForge;
use ports::redact::Redactor;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kinds::repository::Repositories;
use crate::kinds::repository::doorbell::Doorbells;
use crate::kinds::{approval, forge, report};
use crate::outside::Outside;
use crate::runtime::guards::Guards;
use crate::runtime::manager::{Bell, Manager};
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ObjectKey, Objects, ServedResource};
use crate::runtime::operations::Operations;
use crate::trust::{self, Dispatch, Gate};

pub(crate) const REPO: &str = "coop/wiki";
pub(crate) const TOKEN: &str = "s3cret-token-of-the-bot";
/// The head of pull request 7, which comes from the repository itself.
pub(crate) const HEAD: &str = "3fa21c9000000000000000000000000000000001";
/// The head of pull request 8, which comes from mallory's fork.
pub(crate) const FORK_HEAD: &str = "91aa0e2000000000000000000000000000000001";
pub(crate) const PUSHED: &str = "beefbee000000000000000000000000000000002";

pub(crate) struct World {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) forge: FakeForge,
    pub(crate) clock: Arc<dyn Clock>,
    doorbells: Doorbells,
    bell: Option<Bell>,
    running: Option<JoinHandle<()>>,
    files: FileRoot,
    _folder: tempfile::TempDir,
}

impl World {
    /// Returns a world whose Repository has been seen for the first time.
    pub(crate) async fn start() -> Self {
        let world = Self::unseen(json!({})).await;
        world.until_seen().await;
        world
    }

    /// Returns a world whose Repository has these triggers, too, and has been seen for the first time.
    pub(crate) async fn with_triggers(triggers: Value) -> Self {
        let world = Self::unseen(json!({"others": triggers})).await;
        world.until_seen().await;
        world
    }

    /// Returns a world that was just started; `more` is put into the trigger, but for `others`, which are triggers.
    pub(crate) async fn unseen(more: Value) -> Self {
        let start: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at(start));
        let forge = FakeForge::new(clock.clone());
        forge
            .world()
            .token("bot", TOKEN, None)
            .member("coop", "bot", false)
            .member("coop", "ada", false)
            .user("mallory")
            .repository(REPO)
            .collaborator(REPO, "bot", Permission::Write)
            .pull_request(REPO, 7, "ada", HEAD, false)
            .pull_request(REPO, 8, "mallory", FORK_HEAD, true)
            .issue(REPO, 9);
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let memory = MemoryObjects::new(served(), clock.clone(), 100_000);
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(Arc::new(memory)));
        let mut world = Self {
            objects,
            forge,
            clock,
            doorbells: Doorbells::default(),
            bell: None,
            running: None,
            files,
            _folder: folder,
        };
        world.fill(more).await;
        world.run();
        world
    }

    async fn fill(&self, more: Value) {
        let mut trigger = json!({
            "on": "Comment", "phrase": "!testme", "authorize": {"organization": "coop"}, "run": {"recipeRef": "wiki"},
        });
        let mut triggers = more["others"].as_array().cloned().unwrap_or_default();
        for (name, value) in more.as_object().unwrap().iter().filter(|(name, _)| *name != "others") {
            trigger[name] = value.clone();
        }
        triggers.insert(0, trigger);
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "default"},
            "data": {"token": STANDARD.encode(TOKEN)}});
        self.objects.create("secrets", secret).await.unwrap();
        self.create::<Forge>(
            "",
            "home",
            json!({"url": "http://forge.test",
            "tokenSecretRef": {"namespace": "default", "name": "token"}}),
        )
        .await;
        self.create::<Recipe>(
            "default",
            "wiki",
            json!({"source": {"url": "https://forge.test/coop/wiki.git"},
            "repositoryRef": "wiki", "zone": "ci.test"}),
        )
        .await;
        self.create::<Repository>(
            "default",
            "wiki",
            json!({"forgeRef": "home", "owner": "coop", "name": "wiki",
            "pollInterval": "30s", "triggers": triggers}),
        )
        .await;
    }

    pub(crate) async fn create<K: Kind>(&self, namespace: &str, name: &str, spec: Value) {
        let mut value =
            json!({"apiVersion": K::api_version(), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        if !namespace.is_empty() {
            value["metadata"]["namespace"] = json!(namespace);
        }
        self.objects.create(&K::resource(), value).await.unwrap();
    }

    /// Starts ccd: nothing but the store and the forge is left of the one before.
    pub(crate) fn run(&mut self) {
        self.kill();
        let operations = Operations::default();
        let outside = Outside {
            acme: Arc::new(ports::acme::fake::FakeAcme::new(
                ports::acme::solve::fake::FakeSolver::default(),
                Arc::new(ports::clock::SystemClock),
            )),
            solver: Arc::new(ports::acme::solve::fake::FakeSolver::default()),
            forges: self.forge.forges(),
            abra: None,
            given: ports::files::GivenFiles::beneath(vec!["/".into()], Vec::new()),
            jobs: Arc::new(ports::jobs::fake::FakeJobs::default()),
            engines: Arc::new(ports::swarm::fake::FakeEngines::default()),
            figures: Arc::new(ports::host::fake::FakeHost::default()),
            git: Arc::new(ports::git::fake::FakeGit::default()),
            camera: None,
            probe: Arc::new(ports::probe::fake::FakeProbe::default()),
            runs: RunFiles::new(self.files.clone(), Redactor::default(), self.clock.clone(), RunLimits::default()),
            files: self.files.clone(),
            redactor: Redactor::default(),
            zone: None,
            public_url: None,
            operations: operations.clone(),
            clock: self.clock.clone(),
        };
        let mut manager =
            Manager::new(self.objects.clone(), self.clock.clone(), &mut Registry::default(), None, Guards::all());
        self.doorbells = Doorbells::default();
        let shared = manager.shared().clone();
        manager.register(forge::Forges::new(&shared, outside.clone()), forge::Forges::options());
        let repositories = Repositories::new(&shared, outside.clone(), self.doorbells.clone());
        manager.register(repositories, Repositories::options());
        manager.register(approval::Approvals::new(&shared, outside.clone()), approval::Approvals::options());
        manager.register(report::Reports::new(&shared, outside), report::Reports::options());
        operations.set_bell(manager.bell());
        self.bell = Some(manager.bell());
        self.running = Some(tokio::spawn(async move { manager.run(CancellationToken::new()).await }));
    }

    /// Ends ccd at whatever await it is.
    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
        self.bell = None;
    }

    /// A webhook arrives.
    pub(crate) fn ring(&self) {
        let key = ObjectKey::new(&Repository::resource(), "default", "wiki");
        self.doorbells.ring(&key, self.clock.now());
        if let Some(bell) = &self.bell {
            bell.ring(&key);
        }
    }

    pub(crate) fn comment(&self, number: i64, author: &str, body: &str) -> i64 {
        self.forge.world().comment(REPO, number, author, body)
    }

    pub(crate) async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Option<Object<K>> {
        let stored = self.objects.get(&ObjectKey::new(&K::resource(), namespace, name)).await.ok()?;
        Some(Object::from_value(&stored.value).unwrap())
    }

    pub(crate) async fn list<K: Kind>(&self) -> Vec<Object<K>> {
        let listing = self.objects.list(&K::resource(), None).await.unwrap();
        listing.objects.iter().map(|stored| Object::from_value(&stored.value).unwrap()).collect()
    }

    pub(crate) async fn runs(&self) -> Vec<Object<TestRun>> {
        self.list::<TestRun>().await
    }

    pub(crate) async fn status(&self) -> RepositoryStatus {
        self.get::<Repository>("default", "wiki").await.unwrap().status
    }

    /// Waits until something is so, for at most an hour of played time.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, is_so: impl Fn() -> F) {
        for _ in 0..36_000 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what}: {:#?}\n{:#?}", self.status().await, self.forge.world().comments_by(REPO, 7, "bot"));
    }

    pub(crate) async fn until_seen(&self) {
        self.until("it is seen", || async { self.status().await.cursor.is_some_and(|cursor| cursor.since.is_some()) })
            .await;
    }

    /// Waits until a comment has been dealt with, and returns the reason and message that stand in the inbox.
    pub(crate) async fn fate(&self, comment: i64) -> (String, String) {
        let find = |status: &RepositoryStatus| {
            let handled = status.handled.iter().find(|event| event.comment_id == Some(comment));
            let ignored = status.ignored.iter().find(|event| event.comment_id == Some(comment));
            handled
                .map(|event| (event.reason.clone(), event.message.clone()))
                .or_else(|| ignored.map(|event| (event.reason.clone(), event.message.clone())))
        };
        self.until(&format!("comment {comment} is dealt with"), || async { find(&self.status().await).is_some() })
            .await;
        find(&self.status().await).unwrap()
    }

    /// Waits until a comment has started a run, and returns it.
    pub(crate) async fn run_of(&self, comment: i64) -> Object<TestRun> {
        let (reason, message) = self.fate(comment).await;
        assert_eq!(reason, "Accepted", "{message}");
        let runs = self.runs().await;
        let found: Vec<_> =
            runs.into_iter().filter(|run| super::super::names::comment_of(run) == Some(comment)).collect();
        assert_eq!(found.len(), 1, "one command, one run");
        found.into_iter().next().unwrap()
    }

    /// Plays what the reconciler of TestRuns does: writes the status, but for the report.
    pub(crate) async fn set_status(&self, name: &str, status: Value) {
        let key = ObjectKey::new(&TestRun::resource(), "default", name);
        loop {
            let stored = self.objects.get(&key).await.unwrap();
            let mut next = stored.value["status"].clone();
            if next.is_null() {
                next = json!({});
            }
            for (member, value) in status.as_object().unwrap() {
                next[member] = value.clone();
            }
            if let Some(kept) = stored.value["status"]["conditions"].as_array() {
                let reported = kept.iter().find(|found| found["type"] == "Reported").cloned();
                if let (Some(reported), Some(conditions)) = (reported, next["conditions"].as_array_mut()) {
                    conditions.retain(|found| found["type"] != "Reported");
                    conditions.push(reported);
                }
            }
            if self.objects.update_status(&stored, next).await.is_ok() {
                return;
            }
        }
    }

    pub(crate) async fn finish(&self, name: &str, phase: &str, level: u8) {
        let word = if phase == "Succeeded" { ConditionStatus::True } else { ConditionStatus::False };
        let summary = Condition::new("Succeeded", word, "Succeeded", "It ended.");
        let moment = crate::runtime::events::seconds(self.clock.now());
        self.set_status(name, json!({"phase": phase, "level": level, "finishedAt": moment, "conditions": [summary]}))
            .await;
    }

    /// Asks the gate that every dispatch passes, with what the store holds now.
    pub(crate) async fn gate(&self, run: &Object<TestRun>) -> Gate {
        let recipe = self.get::<Recipe>("default", &run.spec.recipe_ref).await.unwrap();
        let dispatch = Dispatch::Begins(self.clock.now());
        trust::gate(&run.spec, &recipe.spec, &self.list::<Approval>().await, dispatch)
    }

    /// Waits until the gate is open: the forge is asked about whoever approved it.
    pub(crate) async fn until_open(&self, run: &Object<TestRun>) {
        self.until("the gate opens", || async { self.is_open(run).await }).await;
    }

    /// Does what a run does that is about to begin: has the forge asked about an Approval.
    pub(crate) fn ask_about(&self, approval: &str) {
        if let Some(bell) = &self.bell {
            bell.ring(&ObjectKey::new(&Approval::resource(), "default", approval));
        }
    }

    pub(crate) async fn is_open(&self, run: &Object<TestRun>) -> bool {
        matches!(self.gate(run).await, Gate::Open { .. })
    }

    pub(crate) async fn condition<K: Kind>(
        &self,
        namespace: &str,
        name: &str,
        type_: &str,
    ) -> (String, String, String) {
        let stored = self.objects.get(&ObjectKey::new(&K::resource(), namespace, name)).await.unwrap();
        let conditions: Vec<Condition> =
            serde_json::from_value(stored.value["status"]["conditions"].clone()).unwrap_or_default();
        let found = condition::find(&conditions, type_).cloned().unwrap_or_default();
        (found.status.word().to_owned(), found.reason, found.message)
    }

    /// Returns the report comments of a pull request.
    pub(crate) fn reports(&self, number: i64) -> Vec<(i64, String)> {
        let own = self.forge.world().comments_by(REPO, number, "bot");
        own.into_iter().filter(|(_, body)| body.contains("<!-- cc-ci:report")).collect()
    }

    pub(crate) fn answers(&self, number: i64) -> Vec<(i64, String)> {
        let own = self.forge.world().comments_by(REPO, number, "bot");
        own.into_iter().filter(|(_, body)| body.contains("<!-- cc-ci:answer")).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

fn served() -> Vec<ServedResource> {
    let own = |plural: &str, kind: &str, namespaced: bool| ServedResource {
        resource: format!("{plural}.{GROUP}").into(),
        api_version: Repository::api_version(),
        kind: kind.to_owned(),
        namespaced,
    };
    let core = |plural: &str, kind: &str| ServedResource {
        resource: plural.into(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
    };
    vec![
        own("forges", "Forge", false),
        own("repositories", "Repository", true),
        own("approvals", "Approval", true),
        own("recipes", "Recipe", true),
        own("testruns", "TestRun", true),
        core("secrets", "Secret"),
        core("events", "Event"),
    ]
}
