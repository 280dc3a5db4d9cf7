//! Metrics of the loop, under controller-runtime's ideas and our names. The registry is passed in; every series is
//! there, at zero, from the start.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::outcome::PassResult;
use super::queue::WorkQueue;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: String,
    result: &'static str,
}

/// The queue of each controller; a queue goes with its controller.
type Queues = Arc<Mutex<Vec<(String, Weak<WorkQueue>)>>>;

/// The metrics of all controllers.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Family<ResultLabels, Counter>,
    pass_seconds: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    wait_seconds: Family<ControllerLabel, Histogram, fn() -> Histogram>,
    retries: Family<ControllerLabel, Counter>,
    events_dropped: Counter,
    queues: Queues,
}

impl Metrics {
    /// Registers the metrics.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            passes: Family::default(),
            pass_seconds: Family::new_with_constructor(seconds),
            wait_seconds: Family::new_with_constructor(seconds),
            retries: Family::default(),
            events_dropped: Counter::default(),
            queues: Arc::default(),
        };
        registry.register("cc_reconcile", "Passes by result", metrics.passes.clone());
        registry.register("cc_reconcile_seconds", "How long passes took", metrics.pass_seconds.clone());
        registry.register(
            "cc_queue_wait_seconds",
            "How long keys were ready before their turn came",
            metrics.wait_seconds.clone(),
        );
        registry.register("cc_retries", "Passes that follow a failure", metrics.retries.clone());
        registry.register(
            "cc_events_dropped",
            "Events that were not recorded because too many were waiting",
            metrics.events_dropped.clone(),
        );
        registry.register_collector(Box::new(QueueCollector { queues: metrics.queues.clone() }));
        metrics
    }

    /// Makes every series of a controller exist.
    pub(crate) fn add_controller(&self, controller: &str, queue: &Arc<WorkQueue>) {
        for result in PassResult::ALL {
            let labels = ResultLabels { controller: controller.to_owned(), result: result.word() };
            self.passes.get_or_create(&labels).inc_by(0);
        }
        let label = ControllerLabel { controller: controller.to_owned() };
        drop(self.pass_seconds.get_or_create(&label));
        drop(self.wait_seconds.get_or_create(&label));
        self.retries.get_or_create(&label).inc_by(0);
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push((controller.to_owned(), Arc::downgrade(queue)));
    }

    pub(crate) fn pass_began(&self, controller: &str, waited: Duration, failures: u32) {
        let label = ControllerLabel { controller: controller.to_owned() };
        self.wait_seconds.get_or_create(&label).observe(waited.as_secs_f64());
        if failures > 0 {
            self.retries.get_or_create(&label).inc();
        }
    }

    pub(crate) fn pass_ended(&self, controller: &str, result: PassResult, took: Duration) {
        let labels = ResultLabels { controller: controller.to_owned(), result: result.word() };
        self.passes.get_or_create(&labels).inc();
        let label = ControllerLabel { controller: controller.to_owned() };
        self.pass_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Returns how many passes of a controller have ended with a result.
    #[must_use]
    pub fn passes(&self, controller: &str, result: PassResult) -> u64 {
        self.passes.get_or_create(&ResultLabels { controller: controller.to_owned(), result: result.word() }).get()
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0])
}

/// Reads the queues when somebody asks.
#[derive(Debug)]
struct QueueCollector {
    queues: Queues,
}

impl Collector for QueueCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let figures: Vec<_> =
            queues.iter().filter_map(|(controller, queue)| Some((controller, queue.upgrade()?.figures()))).collect();
        let mut gauge = |name: &str, help: &str, value: &dyn Fn(&super::queue::QueueFigures) -> f64| {
            let gauge_type = prometheus_client::metrics::MetricType::Gauge;
            let mut family = encoder.encode_descriptor(name, help, None, gauge_type)?;
            for (controller, figures) in &figures {
                let label = ControllerLabel { controller: (*controller).clone() };
                ConstGauge::new(value(figures)).encode(family.encode_family(&label)?)?;
            }
            Ok(())
        };
        gauge("cc_queue_depth", "Keys whose turn has come", &|figures| figures.ready as f64)?;
        gauge("cc_workers_busy", "Passes that are running", &|figures| figures.running.len() as f64)?;
        gauge("cc_longest_running_seconds", "Age of the oldest running pass", &|figures| {
            figures.running.first().map_or(0.0, |(_, since)| since.as_secs_f64())
        })
    }
}
