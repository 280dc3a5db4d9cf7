//! How fast the loop brings many objects to where they should be, on the real store, and what it costs when all are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_types::condition::{Condition, ConditionStatus, READY};
use api_types::kind::{Kind, Object};
use controller::runtime::controller::ControllerOptions;
use controller::runtime::guards::Guards;
use controller::runtime::manager::Manager;
use controller::runtime::objects::Objects;
use controller::runtime::objects::store_objects::StoreObjects;
use controller::runtime::outcome::Failure;
use controller::runtime::reconciler::{Decision, Next, Reconciler};
use jiff::Timestamp;
use ports::clock::SystemClock;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tests::widgets;
use tokio_util::sync::CancellationToken;

const OBJECTS: usize = 10_000;
/// Creations at the same time.
const CREATORS: usize = 64;
/// What the suite accepts in a debug build on a machine that does other things too; the goal is 5 s.
const PATIENCE: Duration = Duration::from_secs(100);
const IDLE: Duration = Duration::from_secs(3);

struct Widget;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WidgetStatus {
    conditions: Vec<Condition>,
    observed_generation: i64,
}

impl Kind for Widget {
    const GROUP: &'static str = "test.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Widget";
    const PLURAL: &'static str = "widgets";
    type Spec = Value;
    type Status = WidgetStatus;
}

struct Widgets;

impl Reconciler for Widgets {
    type Kind = Widget;
    type Observed = ();
    type Action = ();

    async fn observe(&self, _object: &Object<Widget>) -> Result<(), Failure> {
        Ok(())
    }

    fn decide(object: &Object<Widget>, (): &(), _now: Timestamp) -> Decision<WidgetStatus, ()> {
        let mut status = object.status.clone();
        let ready = Condition::new(READY, ConditionStatus::True, "Made", "The widget is there.");
        api_types::condition::set(&mut status.conditions, ready);
        Decision::wait(status, Next::OnChange)
    }

    async fn act(&self, _object: &Object<Widget>, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

/// Returns the processor time that this process has used.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn create_all(objects: &Arc<dyn Objects>) {
    let mut creators = tokio::task::JoinSet::new();
    for creator in 0..CREATORS {
        let objects = objects.clone();
        creators.spawn(async move {
            for index in (creator..OBJECTS).step_by(CREATORS) {
                let mut body = widgets::body(&format!("widget-{index}"), json!({"size": 1}));
                body["metadata"]["namespace"] = json!("default");
                objects.create(widgets::WIDGETS, body).await.unwrap();
            }
        });
    }
    creators.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_of_ten_thousand_objects_created_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = widgets::open(dir.path()).await.unwrap();
    let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
    let mut registry = Registry::default();
    let mut manager = Manager::new(objects.clone(), Arc::new(SystemClock), &mut registry, None, Guards::all());
    manager.register(Widgets, ControllerOptions { concurrency: 64, ..ControllerOptions::default() });
    let manager = Arc::new(manager);
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (manager, stop) = (manager.clone(), stop.clone());
        async move { manager.run(stop).await }
    });
    let began = Instant::now();
    create_all(&objects).await;
    let created = began.elapsed();
    let is_ready = |value: &Value| value["status"]["conditions"][0]["status"] == "True";
    let all_ready = async {
        while !objects.list(widgets::WIDGETS, None).await.unwrap().objects.iter().all(|found| is_ready(&found.value)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_ready).await.unwrap();
    let ready = began.elapsed();
    let wait = manager.longest_wait();
    println!("{OBJECTS} objects: created in {created:.1?}, all Ready after {ready:.1?}, longest wait {wait:.1?}");
    // The echoes of the last writes are looked at, then nothing happens.
    let quiet = async {
        while manager.debug_state()["controllers"][0]["queue"]["ready"] != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, quiet).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = processor_time();
    tokio::time::sleep(IDLE).await;
    let used = processor_time().checked_sub(before).unwrap();
    let percent = 100.0 * used.as_secs_f64() / IDLE.as_secs_f64();
    println!("idle with {OBJECTS} Ready objects: {percent:.1} % of a core");
    assert!(percent < 10.0, "an idle loop uses {percent:.1} % of a core");
    stop.cancel();
    let stopping = Instant::now();
    running.await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(10), "a stop takes at most ten seconds");
    store.close().await;
}
