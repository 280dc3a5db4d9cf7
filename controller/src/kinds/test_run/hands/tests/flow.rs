//! Whole runs: real decisions, real hands and real Apps on a played engine, forge and network.

use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus};
use api_types::kind::{Kind, Object};
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::built_in::namespace::Namespace;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{Phase, RungStatus, TestRun, TestRunStatus};
use jiff::Timestamp;
use ports::clock::{Clock, PausedClock};
use ports::files::runs::RunLimits;
use ports::files::{Area, Faults, FileName, FileRoot, RunFiles, RunKey};
use ports::git::fake::{FakeFiles, FakeGit};
use ports::git::{CommitId, FileKind, RefName, RemoteUrl, TreePath};
use ports::jobs::fake::FakeJobs;
use ports::probe::fake::{FakeAnswer, FakeProbe};
use ports::redact::Redactor;
use ports::swarm::fake::{Behaviour, FakeEngine, FakeEngines};
use ports::swarm::{Engine as _, Filter, NewNetwork};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::super::domain::domain;
use super::super::super::{TestRuns, hands::RunHands};
use crate::kinds::app::{Apps, options};
use crate::outside::Outside;
use crate::runtime::guards::Guards;
use crate::runtime::manager::Manager;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ObjectKey, Objects, ServedResource};
use crate::runtime::operations::Operations;

const URL: &str = "https://git.example/demo.git";
const ENGINE: &str = "unix:///here";

struct Flow {
    objects: Arc<dyn Objects>,
    engine: FakeEngine,
    git: Arc<FakeGit>,
    files: FileRoot,
    runs: RunFiles,
    probe: Arc<FakeProbe>,
    _folder: tempfile::TempDir,
}

fn compose(image: &str, version: &str) -> String {
    format!(
        "version: '3.8'
services:
  app:
    image: 127.0.0.1:5000/{image}
    networks: [proxy]
    volumes: ['data:/data']
    deploy:
      labels:
        - 'coop-cloud.${{STACK_NAME}}.version={version}'
        - 'traefik.http.routers.${{STACK_NAME}}.rule=Host(`${{DOMAIN}}`)'
networks:
  proxy: {{external: true}}
volumes: {{data: {{}}}}
"
    )
}

impl Flow {
    fn publish(&self, image: &str, version: &str, is_tagged: bool) -> CommitId {
        let url = RemoteUrl::new(URL).unwrap();
        let text =
            [("compose.yml", compose(image, version)), (".env.sample", "TYPE=demo\nDOMAIN=d.example\n".to_owned())];
        let files: FakeFiles = text
            .into_iter()
            .map(|(path, text)| (TreePath::new(path).unwrap(), (FileKind::Regular, text.into_bytes())))
            .collect();
        let commit = self.git.commit(&url, &RefName::new("main").unwrap(), files);
        if is_tagged {
            self.git.tag(&url, &RefName::new(version).unwrap(), &commit, true);
        }
        commit
    }

    async fn put<K: Kind>(&self, name: &str, spec: Value) {
        let mut value =
            json!({"apiVersion": K::api_version(), "kind": K::KIND, "metadata": {"name": name}, "spec": spec});
        if K::SCOPE == api_types::definition::Scope::Namespaced {
            value["metadata"]["namespace"] = json!("default");
        }
        self.objects.create(&K::resource(), value).await.unwrap();
    }

    /// Runs the head against the published base and returns what it came to.
    async fn play(&self, head: &CommitId) -> TestRunStatus {
        let source = json!({"commit": head.as_str()});
        let at = domain("default", "demo", &serde_json::from_value(source.clone()).unwrap(), "ci.example");
        self.probe.set_host(&at, FakeAnswer::Status(200, "hello".to_owned()));
        let spec = json!({"recipeRef": "demo", "source": source});
        self.put::<TestRun>("run", spec).await;
        let key = ObjectKey::new(&TestRun::resource(), "default", "run");
        for _ in 0..40_000 {
            let run = self.objects.get(&key).await.unwrap();
            let run = Object::<TestRun>::from_value(&run.value).unwrap();
            if run.status.phase.is_some_and(Phase::is_finished) {
                return run.status;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("it does not end: {:#?}", self.objects.get(&key).await.unwrap().value["status"]);
    }

    /// Nothing of a run is on the swarm, and nothing but its results on the disk.
    async fn assert_clean(&self, name: &str) {
        let all = Filter::default();
        assert!(self.engine.services(&all).await.unwrap().is_empty(), "{name}");
        assert!(self.engine.containers(&all).await.unwrap().is_empty(), "{name}");
        assert!(self.engine.volumes(&all).await.unwrap().is_empty(), "{name}");
        assert_eq!(self.engine.networks(&all).await.unwrap().len(), 1, "{name}: only the proxy's is left");
        assert!(self.files.list(Area::Trees).unwrap().is_empty(), "{name}");
        assert!(self.files.list(Area::Apps).unwrap().is_empty(), "{name}");
    }
}

async fn flow(tests: Value) -> (Flow, tokio::task::JoinHandle<()>) {
    let start: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at(start));
    let engine = FakeEngine::starting_at(start);
    let engines = FakeEngines::default();
    engines.add(ENGINE, engine.clone());
    let memory = MemoryObjects::new(served(), clock.clone(), 100_000);
    let objects: Arc<dyn Objects> = Arc::new(SharedMemory(Arc::new(memory)));
    let folder = tempfile::tempdir().unwrap();
    let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
    let (git, probe) = (Arc::new(FakeGit::default()), Arc::new(FakeProbe::default()));
    let runs = RunFiles::new(files.clone(), Redactor::default(), clock.clone(), RunLimits::default());
    let outside = Outside {
        acme: Arc::new(ports::acme::fake::FakeAcme::new(
            ports::acme::solve::fake::FakeSolver::default(),
            Arc::new(ports::clock::SystemClock),
        )),
        solver: Arc::new(ports::acme::solve::fake::FakeSolver::default()),
        forges: ports::forge::fake::FakeForge::new(Arc::new(ports::clock::SystemClock)).forges(),
        abra: None,
        figures: Arc::new(ports::host::fake::FakeHost::default()),
        given: ports::files::GivenFiles::beneath(vec!["/".into()], Vec::new()),
        jobs: Arc::new(FakeJobs::default()),
        engines: Arc::new(engines),
        git: git.clone(),
        camera: None,
        probe: probe.clone(),
        runs: runs.clone(),
        files: files.clone(),
        redactor: Redactor::default(),
        zone: Some("ci.example".to_owned()),
        public_url: None,
        operations: Operations::default(),
        clock: clock.clone(),
    };
    let flow = Flow { objects, engine, git, files, runs, probe, _folder: folder };
    let proxy = NewNetwork { name: "proxy".to_owned(), attachable: true, ..NewNetwork::default() };
    flow.engine.create_network(&proxy).await.unwrap();
    flow.put::<Namespace>("default", json!({})).await;
    flow.put::<Host>("here", json!({"engine": ENGINE, "capacity": {"runs": 2}})).await;
    let key = ObjectKey::new(&Host::resource(), "", "here");
    let host = flow.objects.get(&key).await.unwrap();
    let active = Condition::new("SwarmActive", ConditionStatus::True, "SwarmActive", "It is.");
    flow.objects.update_status(&host, json!({"conditions": [active]})).await.unwrap();
    let recipe = json!({"source": {"url": URL}, "tests": tests, "backup": {"capable": false}});
    flow.put::<Recipe>("demo", recipe).await;
    let mut manager = Manager::new(flow.objects.clone(), clock, &mut Registry::default(), None, Guards::all());
    let apps = Apps::new(&manager, outside.clone());
    manager.register(apps, options());
    let hands = Arc::new(RunHands::new(outside.clone(), manager.shared().cache.clone()));
    let reconciler = TestRuns::new(manager.shared(), outside.operations.clone(), hands, outside.zone.clone());
    manager.register(reconciler, TestRuns::options());
    outside.operations.set_bell(manager.bell());
    let ccd = tokio::spawn(async move { manager.run(CancellationToken::new()).await });
    (flow, ccd)
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
    let core = |resource: &str, kind: &str, namespaced: bool| ServedResource {
        resource: resource.into(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespaced,
    };
    vec![
        of::<TestRun>(true),
        of::<App>(true),
        of::<Certificate>(true),
        of::<Recipe>(true),
        of::<Approval>(true),
        of::<Host>(false),
        core("events", "Event", true),
        core("secrets", "Secret", true),
        core("namespaces", "Namespace", false),
        core("configmaps", "ConfigMap", true),
    ]
}

fn rungs(status: &TestRunStatus) -> Vec<RungStatus> {
    status.rungs.iter().map(|rung| rung.status).collect()
}

use RungStatus::{Fail, Pass, Skip, Unverified};

fn functional() -> Value {
    json!([{"name": "page", "stage": "functional", "http": {"path": "/"}, "expect": {"contains": ["hello"]}}])
}

#[tokio::test(start_paused = true)]
async fn a_good_head_is_installed_upgraded_and_leaves_its_results() {
    let (flow, ccd) = flow(functional()).await;
    flow.publish("app:1", "1.0.0+1", true);
    let head = flow.publish("app:2", "1.1.0+1", false);
    let status = flow.play(&head).await;
    assert_eq!(rungs(&status), [Pass, Pass, Skip, Pass, Pass], "{:#?}", status.rungs);
    assert_eq!((status.phase, status.level), (Some(Phase::Succeeded), Some(5)));
    assert_eq!(status.base.as_ref().unwrap().version.as_deref(), Some("1.0.0+1"));
    flow.assert_clean("good").await;
    let names: Vec<&str> = status.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(names, ["junit.xml", "results.json"]);
    assert!(status.logs.iter().any(|log| log.name == "upgrade" && log.bytes > 0 && log.complete), "{:?}", status.logs);
    let run = flow.objects.get(&ObjectKey::new(&TestRun::resource(), "default", "run")).await.unwrap();
    let key = RunKey::new("default", "run", &run.metadata.uid).unwrap();
    let (_, json) = flow.runs.artifact(&key, &FileName::new("results.json").unwrap()).unwrap().unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["level"], &json["phase"]), (&json!(5), &json!("Succeeded")));
    ccd.abort();
}

#[tokio::test(start_paused = true)]
async fn broken_heads_are_red_at_the_upgrade_with_the_engines_reason() {
    let cases = [
        ("a crash loop", Behaviour::exits(Duration::from_secs(1), 1), "CrashLoop"),
        ("a missing image", Behaviour::missing(), "ImageNotFound"),
        ("never healthy", Behaviour::never_healthy(), "Unhealthy"),
    ];
    for (name, behaviour, reason) in cases {
        let (flow, ccd) = flow(functional()).await;
        flow.publish("app:1", "1.0.0+1", true);
        let head = flow.publish("app:2", "1.1.0+1", false);
        flow.engine.behave("127.0.0.1:5000/app:2", behaviour);
        let status = flow.play(&head).await;
        assert_eq!(rungs(&status), [Pass, Fail, Skip, Unverified, Pass], "{name}: {:#?}", status.rungs);
        let found = status.rungs[1].reason.as_deref();
        let rollback = ["Paused", "RolledBack"];
        assert!(found == Some(reason) || rollback.contains(&found.unwrap()), "{name}: {:?}", status.rungs[1]);
        assert!(status.artifacts.iter().any(|artifact| artifact.name == "tasks.txt"), "{name}");
        flow.assert_clean(name).await;
        ccd.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_whose_image_vanished_is_not_held_against_the_head() {
    let (flow, ccd) = flow(functional()).await;
    flow.publish("app:1", "1.0.0+1", true);
    let head = flow.publish("app:2", "1.1.0+1", false);
    flow.engine.behave("127.0.0.1:5000/app:1", Behaviour::missing());
    let status = flow.play(&head).await;
    assert_eq!(rungs(&status), [Pass, Unverified, Skip, Pass, Pass], "{:#?}", status.rungs);
    assert_eq!(status.rungs[1].reason.as_deref(), Some("BaseUnavailable"));
    flow.assert_clean("vanished").await;
    ccd.abort();
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_there_is_told_without_a_deploy() {
    let (flow, ccd) = flow(functional()).await;
    flow.publish("app:1", "1.0.0+1", true);
    let status = flow.play(&CommitId::new("f".repeat(40)).unwrap()).await;
    assert_eq!((status.phase, status.level), (Some(Phase::Error), Some(0)), "{status:#?}");
    let succeeded = api_types::condition::find(&status.conditions, "Succeeded").unwrap();
    assert_eq!(succeeded.reason, "CommitNotFound");
    flow.assert_clean("no commit").await;
    ccd.abort();
}
