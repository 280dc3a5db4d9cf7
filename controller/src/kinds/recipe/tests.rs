//! What is decided about a recipe, as a table; and that on a store it fetches, scores, starts and lets go.

use std::sync::Arc;

use api_types::condition::{self, ConditionStatus, READY};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::recipe::{Recipe, RecipeStatus};
use api_types::kinds::test_run::TestRun;
use jiff::{SignedDuration, Timestamp};
use ports::git::{CommitId, RefName, Tag};
use serde_json::{Value, json};

use super::decide::{FETCHED, decide};
use super::fetching::{FETCH_ANNOTATION, FetchFailure, Fetched};
use super::{Action, FetchState, Observed, Source};
use crate::runtime::reconciler::{Decision, Next};

const URL: &str = "https://git.example.org/demo.git";

fn moment(minutes: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn commit(digit: char) -> CommitId {
    CommitId::new(digit.to_string().repeat(40)).unwrap()
}

fn recipe(spec: Value, status: Value) -> Object<Recipe> {
    let mut spec = spec;
    spec["source"] = json!({"url": URL});
    let value = json!({"apiVersion": Recipe::api_version(), "kind": "Recipe", "spec": spec, "status": status,
        "metadata": {"name": "demo", "namespace": "default", "uid": "u1"}});
    Object::from_value(&value).unwrap()
}

fn tag(name: &str, digit: char, is_annotated: bool) -> Tag {
    Tag { name: RefName::new(name).unwrap(), commit: commit(digit), is_annotated, made_at: moment(0) }
}

fn source(tags: Vec<Tag>) -> Source {
    let main = RefName::new("main").unwrap();
    Source { head: Some(commit('a')), branches: vec![main], tags, missing_files: Vec::new() }
}

fn fetched_at(minutes: i64) -> Value {
    json!({"lastFetched": moment(minutes).to_string()})
}

fn run(name: &str, spec: Value, status: Value) -> Object<TestRun> {
    let value = json!({"apiVersion": TestRun::api_version(), "kind": "TestRun", "spec": spec, "status": status,
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "creationTimestamp": status["finishedAt"].as_str().unwrap_or("2026-01-01T00:00:00Z")}});
    Object::from_value(&value).unwrap()
}

/// A cold run of a version that ended.
fn ended(name: &str, phase: &str, version: &str, digit: char, minutes: i64) -> Object<TestRun> {
    let spec = json!({"recipeRef": "demo", "source": {"version": version}});
    let status = json!({"phase": phase, "level": 3, "finishedAt": moment(minutes).to_string(),
        "head": {"version": version, "commit": commit(digit).as_str()}});
    run(name, spec, status)
}

fn reason<'a>(status: &'a RecipeStatus, type_: &str) -> (ConditionStatus, &'a str) {
    condition::find(&status.conditions, type_).map(|found| (found.status, found.reason.as_str())).unwrap()
}

type Change<'a> = &'a dyn Fn(&mut Object<TestRun>);
type Outcome = Decision<RecipeStatus, Action>;

fn seen(source_seen: Source, runs: Vec<Object<TestRun>>) -> Observed {
    Observed { fetch: FetchState::Absent, source: Some(source_seen), runs }
}

fn failure(is_retryable: bool, reason: &str) -> FetchState {
    let failure = FetchFailure { is_retryable, reason: reason.to_owned(), message: "It failed.".to_owned() };
    FetchState::Ended(Fetched { at: moment(10), failure: Some(failure), lint: None })
}

#[test]
fn when_it_is_fetched() {
    let well = FetchState::Ended(Fetched { at: moment(10), failure: None, lint: None });
    let cases: [(&str, Value, FetchState, bool, i64, bool); 9] = [
        ("it was never fetched", json!({}), FetchState::Absent, false, 0, true),
        ("it is being fetched", json!({}), FetchState::Running, false, 0, false),
        ("it was fetched just now", json!({}), well.clone(), true, 11, false),
        ("that was long ago", json!({}), well, true, 20, true),
        ("ccd was started again", fetched_at(10), FetchState::Absent, true, 19, false),
        ("and it was long ago", fetched_at(10), FetchState::Absent, true, 20, true),
        ("the mirror was lost", fetched_at(10), FetchState::Absent, false, 11, true),
        ("it failed, and is tried again", json!({}), failure(true, "Unreachable"), true, 11, true),
        ("a person must act first", json!({}), failure(false, "Unauthorized"), true, 19, false),
    ];
    for (case, status, fetch, is_there, now, expected) in cases {
        let observed = Observed { fetch, source: is_there.then(|| source(Vec::new())), runs: Vec::new() };
        let decision = decide(&recipe(json!({}), status), &observed, moment(now));
        assert_eq!(decision.action == Some(Action::Fetch), expected, "{case}");
    }
    let mut asked = recipe(json!({}), fetched_at(10));
    asked.metadata.annotations.insert(FETCH_ANNOTATION.to_owned(), "please".to_owned());
    let observed = seen(source(Vec::new()), Vec::new());
    assert_eq!(decide(&asked, &observed, moment(11)).action, Some(Action::Fetch));
    asked.status.fetch_request = Some("please".to_owned());
    assert_eq!(decide(&asked, &observed, moment(11)).action, None, "once is enough");
}

#[test]
fn what_is_said_of_the_source() {
    let missing = Source { missing_files: vec!["compose.yml"], ..source(Vec::new()) };
    let no_branch = Source { head: None, ..source(Vec::new()) };
    let at = |fetch, source| Observed { fetch, source, runs: Vec::new() };
    let (yes, no, open) = (ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown);
    let cases = [
        ("begins", at(FetchState::Running, None), (open, "Progressing"), (open, "Progressing")),
        ("fails at once", at(failure(true, "Unreachable"), None), (no, "Unreachable"), (no, "Unreachable")),
        (
            "is down for a while",
            at(failure(true, "Unreachable"), Some(source(Vec::new()))),
            (no, "Unreachable"),
            (yes, "Succeeded"),
        ),
        (
            "wants a password now",
            at(failure(false, "Unauthorized"), Some(source(Vec::new()))),
            (no, "Unauthorized"),
            (no, "Unauthorized"),
        ),
        ("has no such branch", at(FetchState::Absent, Some(no_branch)), (yes, "Fetched"), (no, "BranchNotFound")),
        ("is no recipe", at(FetchState::Absent, Some(missing)), (yes, "Fetched"), (no, "NoRecipe")),
        ("is a recipe", at(FetchState::Absent, Some(source(Vec::new()))), (yes, "Fetched"), (yes, "Succeeded")),
    ];
    for (case, observed, fetched, ready) in cases {
        let decision = decide(&recipe(json!({}), fetched_at(10)), &observed, moment(10));
        assert_eq!((reason(&decision.status, FETCHED), reason(&decision.status, READY)), (fetched, ready), "{case}");
    }
    let decision = decide(
        &recipe(json!({}), fetched_at(10)),
        &seen(Source { head: None, ..source(Vec::new()) }, Vec::new()),
        moment(10),
    );
    let message = &condition::find(&decision.status.conditions, READY).unwrap().message;
    assert_eq!(message, "There is no branch main: set spec.source.branch to one of main.");
}

#[test]
fn a_failure_is_said_until_a_fetch_goes_well() {
    let mut object = recipe(json!({}), fetched_at(0));
    let observed = Observed { fetch: failure(true, "Unreachable"), ..seen(source(Vec::new()), Vec::new()) };
    object.status = decide(&object, &observed, moment(10)).status;
    let again = Observed { fetch: FetchState::Running, ..observed.clone() };
    object.status = decide(&object, &again, moment(11)).status;
    assert_eq!(reason(&object.status, FETCHED), (ConditionStatus::False, "Unreachable"));
    let well = FetchState::Ended(Fetched { at: moment(12), failure: None, lint: None });
    let decision = decide(&object, &Observed { fetch: well, ..observed }, moment(12));
    assert_eq!(reason(&decision.status, FETCHED), (ConditionStatus::True, "Fetched"));
    assert_eq!(decision.status.last_fetched, Some(moment(12).to_string()));
}

#[test]
fn versions_are_ordered_by_their_numbers_and_other_tags_have_a_reason() {
    let tags = vec![
        tag("1.9.0+2", '1', true),
        tag("1.10.0+1", '2', true),
        tag("2.0.0+1", '3', false),
        tag("nightly", '4', true),
    ];
    let decision = decide(&recipe(json!({}), fetched_at(0)), &seen(source(tags), Vec::new()), moment(0));
    let versions: Vec<_> = decision.status.versions.iter().map(|version| version.version.as_str()).collect();
    assert_eq!(versions, ["1.10.0+1", "1.9.0+2"]);
    assert_eq!(decision.status.latest_version.as_deref(), Some("1.10.0+1"));
    let ignored: Vec<_> =
        decision.status.ignored_tags.iter().map(|tag| (tag.name.as_str(), &tag.reason[..14])).collect();
    assert_eq!(ignored, [("2.0.0+1", "It is not anno"), ("nightly", "It is no versi")]);
}

#[test]
fn which_runs_speak_for_the_recipe() {
    let tags = || source(vec![tag("1.0.0+1", '1', true), tag("2.0.0+1", '2', true)]);
    let green = |runs: Vec<Object<TestRun>>, before: Option<&str>| {
        let mut object = recipe(json!({"keep": {"succeeded": 100, "failed": 100, "age": "10000h"}}), fetched_at(0));
        object.status.last_green = before.map(|version| api_types::kinds::recipe::RecipeVersion {
            version: version.to_owned(),
            commit: commit('0').to_string(),
        });
        let status = decide(&object, &seen(tags(), runs), moment(5)).status;
        (status.last_green.map(|green| green.version), status.level, status.last_run.map(|run| run.name))
    };
    let altered = |change: &dyn Fn(&mut Object<TestRun>)| {
        let mut run = ended("a", "Succeeded", "2.0.0+1", '2', 1);
        change(&mut run);
        green(vec![run], None).0
    };
    let two = Some("2.0.0+1".to_owned());
    assert_eq!(green(vec![ended("a", "Succeeded", "2.0.0+1", '2', 1)], None), (two.clone(), Some(3), Some("a".into())));
    assert_eq!(green(vec![ended("a", "Succeeded", "1.0.0+1", '1', 1)], Some("2.0.0+1")).0, two, "never backwards");
    assert_eq!(green(vec![ended("a", "Failed", "2.0.0+1", '2', 1)], None).0, None);
    assert_eq!(green(vec![ended("a", "Error", "2.0.0+1", '2', 1)], None), (None, None, Some("a".into())));
    assert_eq!(altered(&|_| {}), two);
    let quick = |run: &mut Object<TestRun>| run.spec.lane = api_types::kinds::test_run::Lane::Quick;
    let partial = |run: &mut Object<TestRun>| run.spec.stages = vec![api_types::kinds::test_run::RungName::Install];
    let pull_request = |run: &mut Object<TestRun>| run.spec.source.pull_request = Some(Default::default());
    let untagged = |run: &mut Object<TestRun>| run.status.head.as_mut().unwrap().commit = Some(commit('f').to_string());
    let changes: [(&str, Change<'_>); 4] =
        [("quick", &quick), ("not all rungs", &partial), ("a pull request", &pull_request), ("no tag", &untagged)];
    for (case, change) in changes {
        assert_eq!(altered(change), None, "{case}");
    }
    let later = vec![ended("old", "Succeeded", "1.0.0+1", '1', 1), ended("new", "Failed", "2.0.0+1", '2', 2)];
    assert_eq!(green(later, None), (Some("1.0.0+1".to_owned()), Some(3), Some("new".to_owned())));
}

fn scheduled(last: Option<i64>, now: i64, runs: Vec<Object<TestRun>>, version: &str) -> Outcome {
    let mut object = recipe(json!({"schedule": {"cron": "0 3 * * *"}}), fetched_at(now));
    object.status.last_scheduled = last.map(|minutes| moment(minutes).to_string());
    decide(&object, &seen(source(vec![tag(version, '1', true)]), runs), moment(now))
}

#[test]
fn what_the_schedule_starts() {
    let day = 24 * 60;
    let first = scheduled(None, 5, Vec::new(), "1.0.0+1");
    assert_eq!((first.action, first.status.last_scheduled), (None, Some(moment(5).to_string())), "it begins now");
    assert_eq!(scheduled(Some(5), 179, Vec::new(), "1.0.0+1").action, None, "it is early");
    let wanted = Action::StartRun { name: "demo-at-20260101-0300".to_owned(), version: "1.0.0+1".to_owned() };
    assert_eq!(scheduled(Some(5), 180, Vec::new(), "1.0.0+1").action, Some(wanted));
    let missed = scheduled(Some(5), 5 * day, Vec::new(), "1.0.0+1");
    let wanted = Action::StartRun { name: "demo-at-20260105-0300".to_owned(), version: "1.0.0+1".to_owned() };
    assert_eq!(missed.action, Some(wanted), "of five that were missed, the last");
    assert_eq!(missed.status.last_scheduled, Some(moment(5).to_string()), "only when the run is seen");
    let spec = json!({"recipeRef": "demo", "source": {"version": "1.0.0+1"}});
    let there = scheduled(Some(5), 5 * day, vec![run("demo-at-20260105-0300", spec, json!({}))], "1.0.0+1");
    assert_eq!((there.action, there.status.last_scheduled), (None, Some(moment(4 * day + 180).to_string())));
    assert_eq!(scheduled(Some(5), 180, Vec::new(), "nightly").action, None, "there is nothing to test");
    let mut bad = recipe(json!({"schedule": {"cron": "61 * * * *"}}), fetched_at(0));
    bad.status.last_scheduled = Some(moment(0).to_string());
    let decision = decide(&bad, &seen(source(Vec::new()), Vec::new()), moment(0));
    assert_eq!(reason(&decision.status, READY), (ConditionStatus::False, "InvalidSpec"));
}

#[test]
fn which_runs_go() {
    let keep = json!({"keep": {"succeeded": 1, "failed": 1, "age": "100m"}});
    let gone = |runs: Vec<Object<TestRun>>, now: i64| {
        let tags = source(vec![tag("1.0.0+1", '1', true)]);
        match decide(&recipe(keep.clone(), fetched_at(now)), &seen(tags, runs), moment(now)).action {
            Some(Action::DeleteRuns(runs)) => runs.into_iter().map(|(name, _)| name).collect(),
            other => {
                assert_eq!(other, None);
                Vec::new()
            }
        }
    };
    let runs = || {
        vec![
            ended("green", "Succeeded", "1.0.0+1", '1', 1),
            ended("old-red", "Failed", "1.0.0+1", '1', 2),
            ended("odd", "Succeeded", "1.0.0+1", '5', 3),
            ended("red", "Cancelled", "1.0.0+1", '1', 4),
            ended("last", "Error", "1.0.0+1", '1', 5),
        ]
    };
    assert_eq!(gone(runs(), 6), ["old-red"], "one too many");
    assert_eq!(gone(runs(), 103), ["odd", "old-red"], "too old as well");
    assert_eq!(gone(runs(), 1000), ["red", "odd", "old-red"], "the last one and the last green one stay");
    let mut own = runs();
    own[1].spec.ttl_after_finished = Some(api_types::units::DurationText::parse("50m").unwrap());
    assert_eq!(gone(own.clone(), 6), Vec::<String>::new(), "it has a time of its own");
    assert_eq!(gone(own, 52), ["old-red"]);
    let going = vec![run("on", json!({"recipeRef": "demo"}), json!({"phase": "Running"}))];
    assert_eq!(gone(going, 100_000), Vec::<String>::new());
}

#[test]
fn it_looks_again_in_time() {
    let at = |runs| decide(&recipe(json!({}), fetched_at(10)), &seen(source(Vec::new()), runs), moment(10)).next;
    assert_eq!(at(Vec::new()), Next::After(std::time::Duration::from_mins(1)));
    let going = vec![run("on", json!({"recipeRef": "demo"}), json!({"phase": "Running"}))];
    assert_eq!(at(going), Next::After(std::time::Duration::from_secs(15)));
}

mod on_a_store {
    //! With the real loop and a store in memory.

    use std::time::Duration;

    use ports::clock::FakeClock;
    use ports::error::ErrorKind;
    use ports::files::runs::RunLimits;
    use ports::files::{Faults, FileRoot, RunFiles};
    use ports::git::fake::{FakeFiles, FakeGit};
    use ports::git::{FileKind, RemoteUrl, TreePath};
    use ports::host::fake::FakeHost;
    use ports::probe::fake::FakeProbe;
    use ports::redact::Redactor;
    use ports::swarm::fake::FakeEngines;
    use prometheus_client::registry::Registry;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kinds::recipe::Recipes;
    use crate::outside::Outside;
    use crate::runtime::guards::Guards;
    use crate::runtime::manager::Manager;
    use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
    use crate::runtime::objects::{ObjectKey, Objects, ServedResource};
    use crate::runtime::operations::Operations;

    struct World {
        objects: Arc<dyn Objects>,
        git: Arc<FakeGit>,
        url: RemoteUrl,
        stop: CancellationToken,
        _folder: tempfile::TempDir,
    }

    impl World {
        fn start() -> Self {
            let served = |resource: String, kind: &str| ServedResource {
                resource: resource.into(),
                api_version: Recipe::api_version(),
                kind: kind.to_owned(),
                namespaced: true,
            };
            let served = vec![served(Recipe::resource(), "Recipe"), served(TestRun::resource(), "TestRun")];
            let clock = Arc::new(FakeClock::at(moment(0)));
            let objects: Arc<dyn Objects> =
                Arc::new(SharedMemory(Arc::new(MemoryObjects::new(served, clock.clone(), 10_000))));
            let (folder, git) = (tempfile::tempdir().unwrap(), Arc::new(FakeGit::default()));
            let files = FileRoot::open(folder.path(), Faults::default()).unwrap();
            let operations = Operations::default();
            let outside = Outside {
                acme: Arc::new(ports::acme::fake::FakeAcme::new(
                    ports::acme::solve::fake::FakeSolver::default(),
                    Arc::new(ports::clock::SystemClock),
                )),
                solver: Arc::new(ports::acme::solve::fake::FakeSolver::default()),
                forges: ports::forge::fake::FakeForge::new(Arc::new(ports::clock::SystemClock)).forges(),
                abra: None,
                given: ports::files::GivenFiles::beneath(vec!["/".into()], Vec::new()),
                jobs: Arc::new(ports::jobs::fake::FakeJobs::default()),
                engines: Arc::new(FakeEngines::default()),
                figures: Arc::new(FakeHost::default()),
                git: git.clone(),
                camera: None,
                probe: Arc::new(FakeProbe::default()),
                runs: RunFiles::new(files.clone(), Redactor::default(), clock.clone(), RunLimits::default()),
                files,
                redactor: Redactor::default(),
                zone: None,
                public_url: None,
                operations: operations.clone(),
                clock: clock.clone(),
            };
            let mut manager = Manager::new(objects.clone(), clock, &mut Registry::default(), None, Guards::all());
            operations.set_bell(manager.bell());
            manager.register(Recipes::new(objects.clone(), outside), Recipes::options());
            let stop = CancellationToken::new();
            let running = stop.clone();
            tokio::spawn(async move { manager.run(running).await });
            Self { objects, git, url: RemoteUrl::new(URL).unwrap(), stop, _folder: folder }
        }

        fn commit(&self, files: &[&str]) -> CommitId {
            let files: FakeFiles =
                files.iter().map(|file| (TreePath::new(*file).unwrap(), (FileKind::Regular, b"x".to_vec()))).collect();
            self.git.commit(&self.url, &RefName::new("main").unwrap(), files)
        }

        async fn until(&self, what: &str, is_so: impl Fn(&RecipeStatus) -> bool) -> RecipeStatus {
            let key = ObjectKey::new(&Recipe::resource(), "default", "demo");
            let waiting = async {
                loop {
                    let object = self.objects.get(&key).await.unwrap();
                    let object: Object<Recipe> = Object::from_value(&object.value).unwrap();
                    if is_so(&object.status) {
                        return object.status;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(what)
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    fn ready(status: &RecipeStatus) -> bool {
        condition::is_true(&status.conditions, READY)
    }

    #[tokio::test]
    async fn a_recipe_is_fetched_and_a_server_that_is_down_is_got_over() {
        let world = World::start();
        world.git.set_fault(&world.url, Some((ErrorKind::Retryable, "GitUnreachable", "the server is down")));
        let mut object = serde_json::to_value(recipe(json!({}), json!({}))).unwrap();
        object["metadata"] = json!({"name": "demo", "namespace": "default"});
        object.as_object_mut().unwrap().remove("status");
        world.objects.create(&Recipe::resource(), object).await.unwrap();
        let status = world
            .until("the failure is said", |status| {
                condition::find(&status.conditions, FETCHED).is_some_and(|found| found.reason == "Unreachable")
            })
            .await;
        assert!(!ready(&status));
        world.git.set_fault(&world.url, None);
        let first = world.commit(&["compose.yml", ".env.sample"]);
        world.git.tag(&world.url, &RefName::new("1.0.0+1").unwrap(), &first, true);
        // Somebody who does not want to wait a minute.
        let key = ObjectKey::new(&Recipe::resource(), "default", "demo");
        let mut object = world.objects.get(&key).await.unwrap().value.clone();
        object["metadata"]["annotations"] = json!({FETCH_ANNOTATION: "now"});
        world.objects.update(&key, object).await.unwrap();
        let status = world.until("it is ready", ready).await;
        assert_eq!(status.versions[0].commit, first.as_str());
        assert_eq!((status.head.as_deref(), status.fetch_request.as_deref()), (Some(first.as_str()), Some("now")));
        assert_eq!(world.git.fetches(&world.url), 2);
        let linted = condition::find(&status.conditions, "Linted").unwrap();
        assert_eq!(
            (linted.status, linted.reason.as_str()),
            (ConditionStatus::False, "LintFailed"),
            "x is no compose file"
        );
    }

    #[tokio::test]
    async fn what_is_no_recipe_says_so() {
        let world = World::start();
        world.commit(&["README.md"]);
        let mut object = serde_json::to_value(recipe(json!({}), json!({}))).unwrap();
        object["metadata"] = json!({"name": "demo", "namespace": "default"});
        object.as_object_mut().unwrap().remove("status");
        world.objects.create(&Recipe::resource(), object).await.unwrap();
        let is_no_recipe = |status: &RecipeStatus| {
            condition::find(&status.conditions, READY).is_some_and(|found| found.reason == "NoRecipe")
        };
        let status = world.until("it is no recipe", is_no_recipe).await;
        let message = &condition::find(&status.conditions, READY).unwrap().message;
        assert_eq!(message, "Branch main has no compose.yml and .env.sample: it is no recipe. Check spec.source.");
    }
}

#[tokio::test]
async fn a_mirror_goes_when_nobody_names_its_repository_twice_in_a_row() {
    use ports::git::{Fetch, Git as _, RemoteUrl};
    let clock: Arc<dyn ports::clock::Clock> = Arc::new(ports::clock::PausedClock::starting_at(moment(0)));
    let served = |resource: String, kind: &str| crate::runtime::objects::ServedResource {
        resource: resource.into(),
        api_version: Recipe::api_version(),
        kind: kind.to_owned(),
        namespaced: true,
    };
    let app = api_types::kinds::app::App::resource();
    let served = vec![served(Recipe::resource(), "Recipe"), served(app.clone(), "App")];
    let memory = crate::runtime::objects::memory::MemoryObjects::new(served, clock, 1000);
    let objects: Arc<dyn crate::runtime::objects::Objects> =
        Arc::new(crate::runtime::objects::memory::SharedMemory(Arc::new(memory)));
    let git = Arc::new(ports::git::fake::FakeGit::default());
    let urls =
        ["recipe", "app", "nobody"].map(|name| RemoteUrl::new(format!("https://git.example.org/{name}")).unwrap());
    for url in &urls {
        git.commit(url, &RefName::new("main").unwrap(), Default::default());
        git.fetch(&Fetch::all(url.clone())).await.unwrap();
    }
    let create = |resource: String, kind: &str, spec: Value| {
        let value = json!({"apiVersion": Recipe::api_version(), "kind": kind, "spec": spec,
            "metadata": {"name": "demo", "namespace": "default"}});
        let objects = objects.clone();
        async move { objects.create(&resource, value).await.unwrap() }
    };
    create(Recipe::resource(), "Recipe", json!({"source": {"url": urls[0].as_str()}})).await;
    create(app, "App", json!({"recipe": {"url": urls[1].as_str()}})).await;
    let mut keeper = super::mirrors::MirrorKeeper::new(objects.clone(), git.clone());
    keeper.look().await.unwrap();
    assert_eq!(git.other_mirrors(&[]).await.unwrap().len(), 3, "it may be named again in a moment");
    keeper.look().await.unwrap();
    assert!(git.tags(&urls[0]).await.is_ok() && git.tags(&urls[1]).await.is_ok());
    assert_eq!(git.tags(&urls[2]).await.unwrap_err().reason, "NotFetched");
}
