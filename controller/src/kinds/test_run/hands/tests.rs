//! Hands on a played engine, and whole runs with real hands and real Apps on it.

mod flow;
mod screenshot;

use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::check::Action;
use api_types::kinds::recipe::{Recipe, RecipeTest};
use api_types::kinds::test_run::{RungName, RungStatus, TestRun};
use jiff::Timestamp;
use ports::abra::fake::FakeAbra;
use ports::abra::{Abra as _, AbraApp, Target};
use ports::clock::PausedClock;
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileName, FileRoot, RunFiles, RunKey};
use ports::git::fake::FakeGit;
use ports::host::fake::FakeHost;
use ports::host::{DiskFigures, MemoryFigures};
use ports::jobs::fake::FakeJobs;
use ports::probe::fake::{FakeAnswer, FakeProbe};
use ports::redact::Redactor;
use ports::swarm::fake::{Behaviour, FakeEngine, FakeEngines, Fault, Played};
use ports::swarm::spec::{
    ContainerSpec, EndpointSpec, Mount, NetworkAttachment, PortConfig, ServiceMode, ServiceSpec, TaskSpec,
};
use ports::swarm::{Engine as _, Filter, NewNetwork, STACK_LABEL, TaskState};
use serde_json::{Value, json};

use super::super::steps::Step;
use super::super::work::{Deed, Order, Outcome, Work};
use super::abra_backup::ByAbra;
use super::{
    Job, abra_lint, backup, checks, clean_up, container, evidence, junit, screenshot as pictures, source, tar_files,
};
use crate::outside::Outside;
use crate::runtime::operations::Operations;
use crate::trust::Tier;

const STACK: &str = "x_example";
const IMAGE: &str = "127.0.0.1:5000/app:1";

struct Bench {
    engine: FakeEngine,
    probe: Arc<FakeProbe>,
    outside: Outside,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A swarm with one service `app` that mounts the volume `data` and takes part in backups.
    async fn new(labels: &[(&str, &str)]) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let engine = FakeEngine::starting_at(start);
        engine.add_image(IMAGE);
        let folder = tempfile::tempdir().unwrap();
        let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let clock = Arc::new(PausedClock::starting_at(start));
        let probe = Arc::new(FakeProbe::default());
        probe.set_host("x.example", FakeAnswer::Status(200, "hello".to_owned()));
        let outside = Outside {
            acme: Arc::new(ports::acme::fake::FakeAcme::new(
                ports::acme::solve::fake::FakeSolver::default(),
                Arc::new(ports::clock::SystemClock),
            )),
            solver: Arc::new(ports::acme::solve::fake::FakeSolver::default()),
            forges: ports::forge::fake::FakeForge::new(Arc::new(ports::clock::SystemClock)).forges(),
            abra: None,
            figures: figures(),
            given: ports::files::GivenFiles::beneath(vec!["/".into()], Vec::new()),
            jobs: Arc::new(FakeJobs::default()),
            engines: Arc::new(FakeEngines::default()),
            git: Arc::new(FakeGit::default()),
            camera: None,
            probe: probe.clone(),
            runs: RunFiles::new(files.clone(), Redactor::default(), clock.clone(), RunLimits::default()),
            files,
            redactor: Redactor::default(),
            zone: None,
            public_url: None,
            operations: Operations::default(),
            clock,
        };
        let mut spec = service("app");
        spec.labels.extend(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        engine.create_service(&spec, None).await.unwrap();
        let bench = Self { engine, probe, outside, _folder: folder };
        bench.until_running("app").await;
        bench
    }

    async fn until_running(&self, service: &str) -> String {
        for _ in 0..600 {
            let filter = Filter { service: Some(format!("{STACK}_{service}")), ..Filter::default() };
            let tasks = self.engine.tasks(&filter).await.unwrap();
            if let Some(task) = tasks.iter().rev().find(|task| task.state == TaskState::Running) {
                return task.container_id.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{service} does not run");
    }

    fn job(&self, recipe: Value) -> Job {
        let mut run = Object::<TestRun>::new("default", "run", Default::default());
        run.metadata.uid = "0123456789abcdef".to_owned();
        run.status.domain = Some("x.example".to_owned());
        run.status.steps = vec![Default::default()];
        run.status.steps[0].name = Step::HeadDeploy.name().to_owned();
        let recipe = serde_json::from_value(recipe).unwrap();
        let order = Order {
            id: "x".to_owned(),
            step: Step::FunctionalCheck,
            time_max: Duration::from_secs(60),
            delay: Duration::ZERO,
            run: Arc::new(run),
            recipe: Arc::new(Object::<Recipe>::new("default", "r", recipe)),
            tier: Tier::Trusted,
            may_mount: false,
            work: Work::Evidence,
        };
        Job {
            outside: self.outside.clone(),
            registries: Ok(Default::default()),
            by_abra: None,
            is_here: true,
            order,
            stack: STACK.to_owned(),
            domain: "x.example".to_owned(),
            installation: "here".to_owned(),
            key: RunKey::new("default", "run", "0123456789abcdef").unwrap(),
            log: FileName::new("functional").unwrap(),
        }
    }

    async fn test(&self, test: Value) -> (RungStatus, String) {
        let mut value = json!({"name": "t", "stage": "functional"});
        value.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
        let test: RecipeTest = serde_json::from_value(value).unwrap();
        let result = checks::own(&self.job(json!({})), &self.engine, &test).await.unwrap();
        (result.status, result.message.unwrap_or_default())
    }
}

/// A machine that has little left.
fn figures() -> Arc<FakeHost> {
    let host = FakeHost::default();
    let disk = DiskFigures { total_bytes: 9000, free_bytes: 5000, total_inodes: 90, free_inodes: 50 };
    host.set_disk(std::path::Path::new("/"), disk);
    host.set_memory(MemoryFigures { total_bytes: 900, available_bytes: 700 });
    Arc::new(host)
}

fn service(name: &str) -> ServiceSpec {
    let labels: ports::swarm::spec::Labels = [(STACK_LABEL.to_owned(), STACK.to_owned())].into();
    let mount = Mount {
        type_: "volume".to_owned(),
        source: format!("{STACK}_data"),
        target: "/data".to_owned(),
        ..Mount::default()
    };
    ServiceSpec {
        name: format!("{STACK}_{name}"),
        labels: labels.clone(),
        task_template: TaskSpec {
            container_spec: ContainerSpec {
                image: IMAGE.to_owned(),
                labels,
                mounts: vec![mount],
                ..ContainerSpec::default()
            },
            ..TaskSpec::default()
        },
        mode: ServiceMode::Replicated { replicas: Some(1) },
        ..ServiceSpec::default()
    }
}

#[tokio::test(start_paused = true)]
async fn commands_pass_by_their_exit_code_and_never_by_silence() {
    let bench = Bench::new(&[]).await;
    let exec = |command: Value| json!({"exec": {"service": "app", "command": command}});
    let cases = [
        (exec(json!(["true"])), RungStatus::Pass, "It is as it should be."),
        (exec(json!(["false"])), RungStatus::Fail, "The exit code is 1 instead of 0 (there is no output)."),
        (exec(json!(["no-such-program"])), RungStatus::Fail, "The command cannot be started"),
        (json!({"exec": {"service": "other", "command": ["true"]}}), RungStatus::Fail, "No container of the service"),
        (
            json!({"exec": {"service": "app", "command": ["echo", "12 rows"]}, "expect": {"matches": "[0-9]+ rows"}}),
            RungStatus::Pass,
            "It is as it should be.",
        ),
        (json!({"exec": {"service": "app", "command": ["sleep", "900"]}, "timeout": "10s"}), RungStatus::Fail, ""),
    ];
    for (test, status, message) in cases {
        let found = bench.test(test.clone()).await;
        assert_eq!(found.0, status, "{test}: {}", found.1);
        assert!(found.1.starts_with(message), "{test}: {}", found.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_being_replaced_is_looked_up_again() {
    let bench = Bench::new(&[]).await;
    assert_eq!(bench.engine.crash(&format!("{STACK}_app"), 1), 1);
    let (status, message) = bench.test(json!({"exec": {"service": "app", "command": ["true"]}})).await;
    assert_eq!(status, RungStatus::Pass, "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_no_result() {
    let bench = Bench::new(&[]).await;
    bench.engine.fail("exec", Fault::Unreachable);
    let test = json!({"name": "t", "stage": "functional", "exec": {"service": "app", "command": ["true"]}});
    let test: RecipeTest = serde_json::from_value(test).unwrap();
    let failure = checks::own(&bench.job(json!({})), &bench.engine, &test).await.unwrap_err();
    assert_eq!(failure.reason, "EngineUnreachable");
}

#[tokio::test(start_paused = true)]
async fn pages_are_tried_until_their_time_is_over() {
    let bench = Bench::new(&[]).await;
    let wrong = FakeAnswer::Status(503, "starting".to_owned());
    let right = FakeAnswer::Status(200, "ready".to_owned());
    bench.probe.set_path("x.example", "/slow", [wrong.clone(), wrong.clone(), right]);
    let slow = |expect: Value| json!({"http": {"path": "/slow"}, "expect": expect});
    let (status, message) = bench.test(slow(json!({"contains": ["ready"], "within": "1m"}))).await;
    assert_eq!(status, RungStatus::Pass, "{message}");
    bench.probe.set_path("x.example", "/never", [wrong]);
    let never = json!({"http": {"path": "/never"}, "expect": {"within": "5s"}});
    let (status, message) = bench.test(never).await;
    assert_eq!(status, RungStatus::Fail);
    assert!(message.contains("503"), "{message}");
    bench.probe.set_port("x.example", 25, true);
    assert_eq!(bench.test(json!({"tcp": {"port": 25}})).await.0, RungStatus::Pass);
    assert_eq!(bench.test(json!({"tcp": {"port": 26}})).await.0, RungStatus::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_tried_again_before_anybody_is_blamed() {
    let bench = Bench::new(&[]).await;
    let (broken, good) = (FakeAnswer::Silent, FakeAnswer::Status(200, "ready".to_owned()));
    let gateway = FakeAnswer::Status(502, "Bad Gateway".to_owned());
    let wrong = FakeAnswer::Status(500, "oops".to_owned());
    // What answers, one after the other; whether the test passes; whether the seed does; how often each asks.
    let cases: [(&str, Vec<FakeAnswer>, bool, usize); 5] = [
        ("cut off twice", vec![broken.clone(), broken.clone(), good.clone()], true, 3),
        ("cut off behind the proxy", vec![gateway.clone(), good.clone()], true, 2),
        ("an answer of its own", vec![wrong, good], false, 1),
        ("always cut off", vec![broken], false, 31),
        ("never behind the proxy", vec![gateway], false, 31),
    ];
    for (what, answers, is_good, times) in cases {
        let asked = || bench.probe.asked().len();
        bench.probe.set_path("x.example", "/", answers.clone());
        let before = asked();
        let (status, message) = bench.test(json!({"http": {"path": "/"}})).await;
        assert_eq!((status == RungStatus::Pass, asked() - before), (is_good, times), "{what}: {message}");

        bench.probe.set_path("x.example", "/", answers);
        let before = asked();
        let seed: Action = serde_json::from_value(json!({"http": {"method": "POST", "path": "/"}})).unwrap();
        let actions = [("t".to_owned(), seed)];
        let job = bench.job(json!({}));
        let done = super::perform(&job, &bench.engine, RungName::Upgrade, Deed::Seed, &actions).await.unwrap();
        let seeded = match &done {
            Outcome::Good(()) => true,
            Outcome::Bad { reason, message } => {
                assert_eq!(reason, "SeedFailed", "{what}: {message}");
                assert_eq!(message.contains("31 tries"), times == 31, "{what}: {message}");
                false
            }
        };
        assert_eq!((seeded, asked() - before), (is_good, times), "{what}: {done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_down_is_our_trouble() {
    let bench = Bench::new(&[]).await;
    bench.probe.set_host("x.example", FakeAnswer::Down("nobody listens".to_owned()));
    let test = json!({"name": "t", "stage": "functional", "http": {"path": "/"}});
    let test: RecipeTest = serde_json::from_value(test).unwrap();
    let failure = checks::own(&bench.job(json!({})), &bench.engine, &test).await.unwrap_err();
    assert_eq!(failure.reason, "ProxyDown");
}

#[tokio::test(start_paused = true)]
async fn containers_run_once_and_leave_nothing() {
    let bench = Bench::new(&[]).await;
    bench
        .engine
        .behave("good:1", Behaviour { log: vec!["fine".to_owned()], ..Behaviour::exits(Duration::from_secs(3), 0) });
    bench.engine.behave("bad:1", Behaviour::exits(Duration::from_secs(1), 7));
    bench.engine.behave("hangs:1", Behaviour::runs());
    bench.engine.behave("missing:1", Behaviour::missing());
    let container = |image: &str| json!({"container": {"image": image}, "timeout": "30s"});
    let cases = [
        ("good:1", RungStatus::Pass, ""),
        ("bad:1", RungStatus::Fail, "The exit code is 7 instead of 0"),
        ("hangs:1", RungStatus::Fail, ""),
        ("missing:1", RungStatus::Fail, "The image missing:1 cannot be pulled"),
    ];
    for (image, status, message) in cases {
        let found = bench.test(container(image)).await;
        assert_eq!(found.0, status, "{image}: {}", found.1);
        assert!(found.1.starts_with(message), "{image}: {}", found.1);
        let services = bench.engine.services(&Filter::default()).await.unwrap();
        assert_eq!(services.len(), 1, "{image}");
    }
    clean_up::own_things(&bench.job(json!({})), Ok(Arc::new(bench.engine.clone()))).await.unwrap();
    let containers = bench.engine.containers(&Filter::default()).await.unwrap();
    assert!(containers.iter().all(|container| container.name.contains(STACK)), "{containers:?}");
}

#[tokio::test(start_paused = true)]
async fn in_a_test_container_the_domain_leads_to_the_proxy() {
    let bench = Bench::new(&[]).await;
    let mut ids = Vec::new();
    for name in ["internal", "proxy"] {
        let network = NewNetwork { name: name.to_owned(), attachable: true, ..NewNetwork::default() };
        ids.push(bench.engine.create_network(&network).await.unwrap());
    }
    let (job, networks) = (bench.job(json!({})), std::collections::BTreeSet::from([ids[1].clone()]));
    let hosts = || container::hosts(&job, &bench.engine, &networks);
    assert_eq!(hosts().await.unwrap(), [""; 0], "there is no proxy");
    let mut proxy = service("proxy");
    proxy.task_template.networks =
        ids.iter().map(|id| NetworkAttachment { target: id.clone(), ..NetworkAttachment::default() }).collect();
    let https = PortConfig { target_port: 443, published_port: 8443, ..PortConfig::default() };
    proxy.endpoint_spec = Some(EndpointSpec { ports: vec![https], ..EndpointSpec::default() });
    bench.engine.create_service(&proxy, None).await.unwrap();
    bench.until_running("proxy").await;
    assert_eq!(hosts().await.unwrap(), ["10.0.0.2 x.example"], "its address in the network that both are in");
}

#[tokio::test(start_paused = true)]
async fn what_a_test_container_writes_is_bounded() {
    const MOST: usize = 1 << 20;
    let bench = Bench::new(&[]).await;
    let line = "a".repeat(1023);
    let behaviour = Behaviour::exits(Duration::from_secs(1), 0);
    bench.engine.behave("loud:1", Behaviour { log: vec![line; 1100], ..behaviour });
    let action = serde_json::from_value(json!({"image": "loud:1"})).unwrap();
    let spec = container::spec(&bench.job(json!({})), &bench.engine, "loud", &action).await.unwrap();
    let driver = spec.task_template.log_driver.clone().unwrap();
    assert_eq!((driver.name.as_str(), driver.options["max-size"].as_str()), ("json-file", "10m"));
    bench.engine.add_image("loud:1");
    bench.engine.create_service(&spec, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let text = container::output(&bench.job(json!({})), &bench.engine, "loud", "t").await;
    assert_eq!(text.len(), MOST);
}

#[tokio::test(start_paused = true)]
async fn what_a_fork_wrote_is_not_mounted() {
    let bench = Bench::new(&[]).await;
    let (status, message) = bench.test(json!({"container": {"image": "good:1", "mount": "tests"}})).await;
    assert_eq!(status, RungStatus::Unverified);
    assert!(message.contains("trust.repoTests"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_taken_and_given_back() {
    let labels = [
        ("backupbot.backup", "true"),
        ("backupbot.backup.pre-hook", "exit 0"),
        ("backupbot.restore.post-hook", "exit 0"),
    ];
    let bench = Bench::new(&labels).await;
    let job = bench.job(json!({}));
    let container = bench.until_running("app").await;
    bench.engine.write_archive(&container, "/", tar_files::one("data", b"precious").unwrap()).await.unwrap();
    assert_eq!(backup::mark(&job, &bench.engine, Deed::Seed).await.unwrap(), Outcome::Good(()));
    let Outcome::Good(taken) = backup::take(&job, &bench.engine).await.unwrap() else { panic!("a backup") };
    assert_eq!((taken.files, taken.bytes, taken.captures, taken.has_markers), (1, 8, 1, true));
    assert_eq!(backup::markers(&job, &bench.engine).await.unwrap().status, RungStatus::Pass);
    backup::mark(&job, &bench.engine, Deed::Destroy).await.unwrap();
    assert_eq!(backup::markers(&job, &bench.engine).await.unwrap().status, RungStatus::Fail);
    bench.engine.write_archive(&container, "/", tar_files::one("data", b"").unwrap()).await.unwrap();
    assert_eq!(backup::restore(&job, &bench.engine).await.unwrap(), Outcome::Good(()));
    let back = bench.engine.read_archive(&container, "/data", 1 << 20).await.unwrap();
    assert_eq!(tar_files::files(&back, 9, 99).unwrap()[0].content, b"precious");
}

#[tokio::test(start_paused = true)]
async fn what_abra_deployed_is_backed_up_by_the_servers_bot_where_one_runs() {
    let bench = Bench::new(&[("backupbot.backup", "true")]).await;
    let container = bench.until_running("app").await;
    bench.engine.write_archive(&container, "/", tar_files::one("data", b"x").unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let abra = Arc::new(FakeAbra::default());
    let app = AbraApp::new(folder.path().join("abra"), "x.example", "r", "unix:///x").unwrap();
    abra.prepare(&app, "TYPE=r\n").await.unwrap();
    abra.deploy(&app, &Target::WorkTree).await.unwrap();
    let by_abra = Some(ByAbra { abra: abra.clone(), app });
    let job = Job { by_abra, ..bench.job(json!({})) };
    let asked = |word: &str| abra.calls().iter().filter(|call| call.starts_with(word)).count();

    let Outcome::Good(taken) = backup::take(&job, &bench.engine).await.unwrap() else { panic!("a backup") };
    assert_eq!((taken.files, asked("back up")), (1, 0), "without a bot the engine does it");
    assert_eq!(backup::restore(&job, &bench.engine).await.unwrap(), Outcome::Good(()));
    assert_eq!(asked("restore"), 0);

    let mut bot = service("bot");
    bot.labels.insert("coop-cloud.backupbot.enabled".to_owned(), "true".to_owned());
    bench.engine.create_service(&bot, None).await.unwrap();
    let Outcome::Good(taken) = backup::take(&job, &bench.engine).await.unwrap() else { panic!("a backup") };
    assert_eq!((taken.captures, taken.has_markers, asked("back up")), (1, true, 1));
    backup::take(&job, &bench.engine).await.unwrap();
    assert_eq!(backup::restore(&job, &bench.engine).await.unwrap(), Outcome::Good(()));
    assert_eq!(asked("restore 00b00001 "), 1, "the one that was taken last: {:?}", abra.calls());
    abra.set_fault(Some((ports::error::ErrorKind::Terminal, "AbraFailed", "abra says: the repository is locked")));
    let failure = backup::take(&job, &bench.engine).await.unwrap_err();
    assert_eq!(crate::kinds::test_run::blame::blame_of(&failure.reason), crate::kinds::test_run::blame::Blame::Ours);
}

#[tokio::test(start_paused = true)]
async fn backups_that_hold_nothing_and_hooks_that_fail_say_so() {
    let word = |outcome: Outcome<super::super::work::BackupTaken>| match outcome {
        Outcome::Good(_) => "good".to_owned(),
        Outcome::Bad { reason, .. } => reason,
    };
    let backup = ("backupbot.backup", "true");
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a [u8]>, &'a str);
    let cases: [Case<'_>; 5] = [
        (&[backup], Some(b"x"), "good"),
        (&[backup], Some(b""), "EmptyBackup"),
        (&[backup], None, "EmptyBackup"),
        (&[backup, ("backupbot.backup.volumes.data", "false")], Some(b"x"), "EmptyBackup"),
        (&[backup, ("backupbot.backup.pre-hook", "exit 3")], Some(b"x"), "HookFailed"),
    ];
    for (labels, content, expected) in cases {
        let bench = Bench::new(labels).await;
        let container = bench.until_running("app").await;
        if let Some(content) = content {
            let archive = tar_files::one("data", content).unwrap();
            bench.engine.write_archive(&container, "/", archive).await.unwrap();
        }
        let outcome = backup::take(&bench.job(json!({})), &bench.engine).await.unwrap();
        assert_eq!(word(outcome), expected, "{labels:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_whose_check_says_no_is_taken_again_three_times() {
    let bench = Bench::new(&[("backupbot.backup", "true")]).await;
    let container = bench.until_running("app").await;
    bench.engine.write_archive(&container, "/", tar_files::one("data", b"x").unwrap()).await.unwrap();
    let recipe = json!({"source": {"url": "https://e.x/r.git"},
        "backup": {"verify": {"service": "app", "command": ["verify"]}}});
    let tries = Arc::new(std::sync::atomic::AtomicI64::new(0));
    for (good_from, expected) in [(2, Some(2)), (99, None)] {
        tries.store(0, std::sync::atomic::Ordering::SeqCst);
        let counted = tries.clone();
        bench.engine.on_exec(move |_, _| {
            let number = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            Played::ends(i64::from(number < good_from), "")
        });
        let outcome = backup::take(&bench.job(recipe.clone()), &bench.engine).await.unwrap();
        let captures = match outcome {
            Outcome::Good(taken) => Some(taken.captures),
            Outcome::Bad { .. } => None,
        };
        assert_eq!(captures, expected);
        assert!(tries.load(std::sync::atomic::Ordering::SeqCst) <= 3);
    }
}

#[tokio::test(start_paused = true)]
async fn evidence_and_leftovers_name_what_there_is() {
    let bench = Bench::new(&[]).await;
    let job = bench.job(json!({}));
    let names: Vec<String> =
        evidence::collect(&job, &bench.engine).await.unwrap().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["services.json", "tasks.txt", "log-app.txt", "host.json"]);
    let name = FileName::new("host.json").unwrap();
    let (_, host) = bench.outside.runs.artifact(&job.key, &name).unwrap().unwrap();
    let host: Value = serde_json::from_slice(&host).unwrap();
    assert_eq!((&host["disk"]["freeBytes"], &host["disk"]["freeInodes"]), (&json!(5000), &json!(50)), "{host}");
    assert_eq!(host["memoryAvailableBytes"], 700, "{host}");
    let found = clean_up::leftovers(&job, Ok(Arc::new(bench.engine.clone()))).await.unwrap().objects;
    assert!(found.contains(&format!("service/{STACK}_app")), "{found:?}");
    assert!(found.contains(&format!("volume/{STACK}_data")), "{found:?}");
}

#[test]
fn a_program_that_ran_no_test_has_not_passed() {
    let cases = [
        ("<testsuite><testcase name='a'/><testcase name='b'></testcase></testsuite>", RungStatus::Pass),
        ("<testsuite><testcase name='a'><failure message='x'>no</failure></testcase></testsuite>", RungStatus::Fail),
        ("<testsuite><testcase><error/></testcase><testcase/></testsuite>", RungStatus::Fail),
        ("<testsuite><testcase><skipped/></testcase></testsuite>", RungStatus::Unverified),
        ("<testsuite><testcase><skipped/></testcase><testcase/></testsuite>", RungStatus::Pass),
        ("<testsuites></testsuites>", RungStatus::Unverified),
        ("<testsuite><!-- <testcase/> --></testsuite>", RungStatus::Unverified),
        (
            "<testsuite><testcase><system-out><![CDATA[<failure>]]></system-out></testcase></testsuite>",
            RungStatus::Pass,
        ),
        ("<testsuite><testcase", RungStatus::Unverified),
    ];
    for (xml, expected) in cases {
        assert_eq!(junit::verdict(junit::count(xml)).0, expected, "{xml}");
    }
}

#[test]
fn the_version_that_a_recipe_says_it_is() {
    let cases = [
        ("      - \"coop-cloud.${STACK_NAME}.version=1.2.0+3.4\"", Some("1.2.0+3.4")),
        ("        coop-cloud.${STACK_NAME}.version: 1.2.0+3.4 # note", Some("1.2.0+3.4")),
        ("        'coop-cloud.${STACK_NAME}.version': '1.2.0+3.4'", Some("1.2.0+3.4")),
        ("# - coop-cloud.${STACK_NAME}.version=1.2.0+3.4", None),
        ("- coop-cloud.${STACK_NAME}.version=latest", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(source::declared_version(text).as_deref(), expected, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn abra_lints_as_well_where_it_is_installed_and_nothing_of_strangers() {
    let rule = |reference: &str, severity: &str, is_satisfied: bool| ports::abra::LintRule {
        reference: reference.to_owned(),
        rule: "one service named app".to_owned(),
        severity: severity.to_owned(),
        is_satisfied,
        advice: "name it so".to_owned(),
    };
    let abra = Arc::new(FakeAbra::default());
    abra.set_lint(vec![rule("R008", "error", true), rule("R009", "error", false), rule("R004", "warn", false)]);
    let mut bench = Bench::new(&[]).await;
    let git = Arc::new(FakeGit::default());
    let url = ports::git::RemoteUrl::new("https://git.example/demo.git").unwrap();
    let commit = git.commit(&url, &ports::git::RefName::new("main").unwrap(), Default::default());
    ports::git::Git::fetch(&*git, &ports::git::Fetch::all(url.clone())).await.unwrap();
    bench.outside.abra = Some(abra.clone());
    bench.outside.git = git;
    let mut job = bench.job(json!({}));
    let mut run = (*job.order.run).clone();
    run.status.head =
        Some(api_types::kinds::identity::Identity { commit: Some(commit.as_str().to_owned()), ..Default::default() });
    job.order.run = Arc::new(run);
    let results = abra_lint::look(&job, &url).await.unwrap();
    let said: Vec<(&str, RungStatus)> = results.iter().map(|one| (one.name.as_str(), one.status)).collect();
    assert_eq!(
        said,
        [("abra/rules", RungStatus::Pass), ("abra/R009", RungStatus::Fail), ("abra/R004", RungStatus::Pass)]
    );
    abra.set_fault(Some((ports::error::ErrorKind::Terminal, "RecipeInvalid", "there is no app")));
    let results = abra_lint::look(&job, &url).await.unwrap();
    assert_eq!((results.len(), results[0].status), (1, RungStatus::Fail));
    abra.set_fault(Some((ports::error::ErrorKind::Terminal, "AbraTooOld", "it is too old")));
    assert!(abra_lint::look(&job, &url).await.unwrap().is_empty());
    job.order.tier = Tier::Untrusted;
    abra.set_fault(None);
    let before = abra.calls().len();
    assert!(abra_lint::look(&job, &url).await.unwrap().is_empty());
    assert_eq!(abra.calls().len(), before, "abra was not asked");
}
