//! Ten thousand objects of a trivial kind: how fast the loop makes all of them Ready on the real store, how long keys
//! wait for their turn, what it costs when all are, and what a full resync does to those who write meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api_types::condition::{Condition, ConditionStatus, READY};
use api_types::kind::{Kind, Object};
use controller::runtime::controller::ControllerOptions;
use controller::runtime::guards::Guards;
use controller::runtime::manager::Manager;
use controller::runtime::objects::Objects;
use controller::runtime::objects::store_objects::StoreObjects;
use controller::runtime::outcome::{Failure, PassResult};
use controller::runtime::reconciler::{Decision, Next, Reconciler};
use jiff::Timestamp;
use ports::clock::SystemClock;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::widgets;

/// Creations at the same time.
const CREATORS: usize = 64;
/// Passes at the same time.
const CONCURRENCY: usize = 64;
/// How often it is looked whether everything is done.
const PERIOD: Duration = Duration::from_millis(20);

/// The trivial kind.
#[derive(Debug)]
pub struct Widget;

/// Observed state of a widget.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WidgetStatus {
    /// What is observed.
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    pub observed_generation: i64,
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

/// A running loop over a store that knows widgets.
pub struct Fleet {
    manager: Arc<Manager>,
    objects: Arc<dyn Objects>,
    registry: Registry,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Fleet {
    /// Starts the loop; every widget gets a pass about every `resync` although nothing changed.
    #[must_use]
    pub fn start(store: &Store, resync: Duration) -> Self {
        let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
        let mut registry = Registry::default();
        let mut manager = Manager::new(objects.clone(), Arc::new(SystemClock), &mut registry, None, Guards::all());
        let options = ControllerOptions { concurrency: CONCURRENCY, resync, ..ControllerOptions::default() };
        manager.register(Widgets, options);
        let (manager, stop) = (Arc::new(manager), CancellationToken::new());
        let running = tokio::spawn({
            let (manager, stop) = (manager.clone(), stop.clone());
            async move { manager.run(stop).await }
        });
        Self { manager, objects, registry, stop, running }
    }

    /// Creates so many widgets, many at a time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn create(&self, count: usize) -> anyhow::Result<()> {
        let mut creators = tokio::task::JoinSet::new();
        for creator in 0..CREATORS {
            let objects = self.objects.clone();
            creators.spawn(async move {
                for index in (creator..count).step_by(CREATORS) {
                    let mut body = widgets::body(&format!("widget-{index}"), json!({"size": 1}));
                    body["metadata"]["namespace"] = json!("default");
                    objects.create(widgets::WIDGETS, body).await?;
                }
                Ok::<(), api_types::status::Status>(())
            });
        }
        while let Some(created) = creators.join_next().await {
            created?.map_err(|status| anyhow::anyhow!("{status}"))?;
        }
        Ok(())
    }

    /// Waits until so many widgets are Ready.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_until_ready(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let cache = &self.manager.shared().cache;
        let ready = async {
            // The cache has what the store has acknowledged; asking the store for everything would be the main load.
            while cache.list(widgets::WIDGETS).iter().filter(|widget| is_ready(&widget.value)).count() < count {
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::time::timeout(patience, ready).await.context("not all widgets are Ready in time")
    }

    /// Waits until no key is ready or running.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub async fn wait_until_quiet(&self, patience: Duration) -> anyhow::Result<()> {
        let quiet = async {
            loop {
                let state = &self.manager.debug_state()["controllers"][0];
                if state["queue"]["ready"] == 0 && state["running"].as_array().is_some_and(Vec::is_empty) {
                    return;
                }
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::time::timeout(patience, quiet).await.context("the queue does not become empty")
    }

    /// Returns how many passes ended well.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.manager.shared().metrics.passes("widget", PassResult::Ok)
    }

    /// Returns the longest that a key waited for its turn.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.manager.longest_wait()
    }

    /// Returns a bound, in seconds, that the wait of 99 of 100 keys does not exceed: the upper end of a bucket of
    /// `cc_queue_wait_seconds`.
    ///
    /// # Errors
    /// When there are no waits.
    pub fn wait_p99_at_most(&self) -> anyhow::Result<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        let buckets = text.lines().filter_map(|line| line.strip_prefix("cc_queue_wait_seconds_bucket{"));
        let buckets: Vec<(f64, f64)> = buckets
            .filter_map(|line| {
                let bound = line.split("le=\"").nth(1)?.split('"').next()?;
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
                Some((bound, line.rsplit(' ').next()?.parse().ok()?))
            })
            .collect();
        let all = buckets.last().context("there is no histogram of waits")?.1;
        let found = buckets.iter().find(|(_, count)| *count >= all * 0.99);
        found.map(|(bound, _)| *bound).context("nobody waited")
    }

    /// Returns the share of one core that this process uses over a time in which nothing happens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn idle_share(&self, time: Duration) -> anyhow::Result<f64> {
        let (before, began) = (processor_time()?, Instant::now());
        tokio::time::sleep(time).await;
        let used = processor_time()?.saturating_sub(before);
        Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
    }

    /// Stops the loop and returns how long that took.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn stop(self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.stop.cancel();
        self.running.await?;
        Ok(began.elapsed())
    }
}

fn is_ready(value: &Value) -> bool {
    value["status"]["conditions"][0]["status"] == "True"
}

/// Returns the processor time that this process has used, in steps of 10 ms.
///
/// # Errors
/// When the system does not tell.
pub fn processor_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").context("/proc/self/stat has no name")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
