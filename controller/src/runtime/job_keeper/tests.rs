//! Tests of the keeper of jobs, on a store in memory and played jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use ports::clock::PausedClock;
use ports::jobs::fake::FakeJobs;
use ports::jobs::{JobId, JobSpec, JobState, Jobs as _, Limits};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{JobKeeper, JobOwner, SWEEP_PERIOD};
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ObjectKey, Objects, ServedResource, StoredObject};

const WIDGETS: &str = "widgets.test.example.com";

struct Bench {
    objects: Arc<dyn Objects>,
    jobs: Arc<FakeJobs>,
    rung: Arc<Mutex<Vec<String>>>,
    gone: Arc<Notify>,
    _stop: DropGuard,
}

fn start() -> Bench {
    let served = ServedResource {
        resource: WIDGETS.into(),
        api_version: "test.example.com/v1".to_owned(),
        kind: "Widget".to_owned(),
        namespaced: true,
    };
    let clock = Arc::new(PausedClock::starting_at(Timestamp::UNIX_EPOCH));
    let memory = Arc::new(MemoryObjects::new(vec![served], clock, 100));
    let objects: Arc<dyn Objects> = Arc::new(SharedMemory(memory));
    let (jobs, rung, gone) = (Arc::new(FakeJobs::default()), Arc::<Mutex<Vec<String>>>::default(), Arc::default());
    let ring = {
        let rung = rung.clone();
        Box::new(move |key: &ObjectKey| rung.lock().unwrap().push(key.to_string()))
    };
    let keeper = JobKeeper { jobs: jobs.clone(), objects: objects.clone(), ring, gone: Arc::clone(&gone) };
    let stop = CancellationToken::new();
    tokio::spawn(keeper.run(stop.clone()));
    Bench { objects, jobs, rung, gone, _stop: stop.drop_guard() }
}

impl Bench {
    async fn widget(&self, name: &str) -> Arc<StoredObject> {
        let widget = json!({"apiVersion": "test.example.com/v1", "kind": "Widget",
            "metadata": {"name": name, "namespace": "default"}});
        self.objects.create(WIDGETS, widget).await.unwrap()
    }

    async fn job(&self, id: &str, owner: &str, seconds: u64) -> JobId {
        let id = JobId::new(id).unwrap();
        let spec = JobSpec {
            id: id.clone(),
            owner: owner.to_owned(),
            argv: vec!["sleep".to_owned(), seconds.to_string(), "0".to_owned()],
            env: BTreeMap::new(),
            cwd: "/".into(),
            limits: Limits::default(),
        };
        self.jobs.start(&spec).await.unwrap();
        id
    }

    async fn state(&self, id: &JobId) -> JobState {
        self.jobs.state(id).await.unwrap()
    }
}

fn owner(object: &StoredObject) -> String {
    JobOwner { key: object.key.clone(), uid: object.metadata.uid.clone() }.to_string()
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_rings_for_its_object() {
    let bench = start();
    let widget = bench.widget("one").await;
    let id = bench.job("one", &owner(&widget), 3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.state(&id).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(matches!(bench.state(&id).await, JobState::Exited(_)), "the look announces the end");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*bench.rung.lock().unwrap(), ["widgets.test.example.com/default/one"]);
    assert!(matches!(bench.state(&id).await, JobState::Exited(_)), "it stays for its object to look at");
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_soon_after_its_object() {
    let bench = start();
    let widget = bench.widget("one").await;
    let (id, other) = (bench.job("one", &owner(&widget), 1000).await, bench.job("else", "somebody's", 1000).await);
    tokio::time::sleep(2 * SWEEP_PERIOD).await;
    assert_eq!(bench.state(&id).await, JobState::Running, "its object is there");
    bench.objects.delete(&widget.key, None).await.unwrap();
    bench.gone.notify_one();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!matches!(bench.state(&id).await, JobState::Running));
    tokio::time::sleep(2 * SWEEP_PERIOD).await;
    assert_eq!(bench.state(&id).await, JobState::Absent);
    assert_eq!(bench.state(&other).await, JobState::Running, "whose owner we cannot read is not ours to end");
}

#[tokio::test(start_paused = true)]
async fn another_object_of_the_same_name_is_not_the_owner() {
    let bench = start();
    let widget = bench.widget("one").await;
    let id = bench.job("one", &owner(&widget), 1000).await;
    bench.objects.delete(&widget.key, None).await.unwrap();
    bench.widget("one").await;
    tokio::time::sleep(3 * SWEEP_PERIOD).await;
    assert_eq!(bench.state(&id).await, JobState::Absent);
}

#[test]
fn owners_can_be_read_back() {
    let owner = JobOwner { key: ObjectKey::new(WIDGETS, "default", "one"), uid: "u-1".to_owned() };
    assert_eq!(JobOwner::parse(&owner.to_string()), Some(owner));
    for other in ["", "default/one", "widgets default/one", "widgets default/one u-1 more"] {
        assert_eq!(JobOwner::parse(other), None, "{other:?}");
    }
}
