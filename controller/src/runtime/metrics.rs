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
        registry.register("cc_queue_retries", "Passes that follow a failure", metrics.retries.clone());
        registry.register(
            "cc_events_dropped",
            "Events that were not recorded because too many were waiting",
            metrics.events_dropped.clone(),
        );
        registry.register_collector(Box::new(QueueCollector { queues: metrics.queues.clone() }));
        metrics
    }

    /// Makes every series of a controller exist and returns them.
    pub(crate) fn add_controller(&self, controller: &str, queue: &Arc<WorkQueue>) -> ControllerMetrics {
        let passes = PassResult::ALL.map(|result| {
            let labels = ResultLabels { controller: controller.to_owned(), result: result.word() };
            (result, self.passes.get_or_create_owned(&labels))
        });
        let label = ControllerLabel { controller: controller.to_owned() };
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push((controller.to_owned(), Arc::downgrade(queue)));
        ControllerMetrics {
            passes,
            pass_seconds: self.pass_seconds.get_or_create_owned(&label),
            wait_seconds: self.wait_seconds.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
        }
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

/// The series of one controller: looked up once, because every pass counts in them.
#[derive(Clone, Debug)]
pub(crate) struct ControllerMetrics {
    passes: [(PassResult, Counter); PassResult::ALL.len()],
    pass_seconds: Histogram,
    wait_seconds: Histogram,
    retries: Counter,
}

impl ControllerMetrics {
    pub(crate) fn pass_began(&self, waited: Duration, failures: u32) {
        self.wait_seconds.observe(waited.as_secs_f64());
        if failures > 0 {
            self.retries.inc();
        }
    }

    pub(crate) fn pass_ended(&self, result: PassResult, took: Duration) {
        for (counted, passes) in &self.passes {
            if *counted == result {
                passes.inc();
            }
        }
        self.pass_seconds.observe(took.as_secs_f64());
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
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
        gauge("cc_queue_longest_running_seconds", "Age of the oldest running pass", &|figures| {
            figures.running.first().map_or(0.0, |(_, since)| since.as_secs_f64())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use prometheus_client::registry::Registry;

    use super::Metrics;
    use crate::runtime::backoff::Backoff;
    use crate::runtime::guards::Guards;
    use crate::runtime::outcome::PassResult;
    use crate::runtime::queue::{Wake, WorkQueue};

    /// The names that dashboards and alerts are made of.
    #[tokio::test]
    async fn every_series_is_there_from_the_start_and_counts() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let queue = Arc::new(WorkQueue::new(Backoff::default(), Duration::from_mins(1), Guards::all()));
        let controller = metrics.add_controller("app", &queue);
        let text = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        let value = |text: &str, series: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| {
                unreachable!("{series} is not there:\n{text}");
            });
            line.trim().parse::<f64>().unwrap()
        };
        let series = [
            "cc_reconcile_total{controller=\"app\",result=\"ok\"}",
            "cc_reconcile_total{controller=\"app\",result=\"panic\"}",
            "cc_reconcile_seconds_count{controller=\"app\"}",
            "cc_queue_depth{controller=\"app\"}",
            "cc_queue_wait_seconds_count{controller=\"app\"}",
            "cc_queue_retries_total{controller=\"app\"}",
            "cc_queue_longest_running_seconds{controller=\"app\"}",
            "cc_workers_busy{controller=\"app\"}",
        ];
        for name in series {
            assert!(value(&text(&registry), name).abs() < f64::EPSILON, "{name} begins at zero");
        }
        for key in ["a", "b"] {
            queue.wake(&Arc::from(key), Wake::Changed);
        }
        let _running = queue.next().await;
        controller.pass_began(Duration::from_millis(3), 1);
        controller.pass_ended(PassResult::Ok, Duration::from_millis(7));
        let text = text(&registry);
        for (name, expected) in series.into_iter().zip([1.0, 0.0, 1.0, 1.0, 1.0, 1.0]) {
            assert!((value(&text, name) - expected).abs() < f64::EPSILON, "{name}:\n{text}");
        }
        assert!(value(&text, series[6]) >= 0.0 && value(&text, series[7]) > 0.5, "{text}");
        assert_eq!(metrics.passes("app", PassResult::Ok), 1);
    }
}
