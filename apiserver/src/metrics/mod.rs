//! Figures for Prometheus at `/metrics`, and one log line per request.

pub mod figures;
mod text;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::request::RequestInfo;
use figures::{Figure, FigureSource, Figures, process_figures};

/// Upper bounds of the latency buckets, in seconds: from a cached read to a slow list.
const BUCKETS_SECONDS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
/// Resources that get a label of their own; the rest is `other`. Names come from clients: they must not fill memory.
const RESOURCES_MAX: usize = 512;

/// All figures of the server. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    registry: RwLock<Registry>,
    requests: Family<RequestLabels, Histogram, Buckets>,
    in_flight: Family<ClassLabels, Gauge>,
    watches: Family<ResourceLabels, Gauge>,
    connections: Gauge,
    connections_refused: Counter,
    answers_given_up: Counter,
    resources: Mutex<HashSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    resource: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS_SECONDS)
    }
}

/// In which form metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

/// Counts one thing as present until dropped.
#[must_use]
pub struct Present(Gauge);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns figures that all stand at zero.
    #[must_use]
    pub fn new() -> Self {
        let requests = Family::new_with_constructor(Buckets);
        let (in_flight, watches) = (Family::default(), Family::default());
        let (connections, connections_refused) = (Gauge::default(), Counter::default());
        let answers_given_up = Counter::default();
        let mut registry = Registry::default();
        registry.register("cc_api_request_seconds", "Time from a request's head to its answer's end", requests.clone());
        registry.register("cc_api_requests_in_flight", "Requests in work", in_flight.clone());
        registry.register("cc_api_watches", "Open watches", watches.clone());
        registry.register("cc_api_connections", "Open connections", connections.clone());
        let refused = "Connections closed at once because too many were open";
        registry.register("cc_api_connections_refused", refused, connections_refused.clone());
        let given_up = "Answers let go because nothing of them was read for too long";
        registry.register("cc_api_answers_given_up", given_up, answers_given_up.clone());
        registry.register_collector(Box::new(Figures::new(Box::new(process_figures))));
        let registry = RwLock::new(registry);
        let resources = Mutex::default();
        let shared = Shared {
            registry,
            requests,
            in_flight,
            watches,
            connections,
            connections_refused,
            answers_given_up,
            resources,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds figures that are asked for at each scrape. The function must be quick and must not block.
    pub fn add_source(&self, source: FigureSource) {
        self.registry_mut().register_collector(Box::new(Figures::new(source)));
    }

    /// Registers metrics of other parts of the process.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry_mut());
    }

    /// Adds one figure, such as the audit log's losses, that is asked for at each scrape.
    pub fn add_figure(&self, name: &'static str, help: &'static str, value: impl Fn() -> f64 + Send + Sync + 'static) {
        self.add_source(Box::new(move || vec![Figure { name, help, value: value() }]));
    }

    /// Returns the text of `/metrics`.
    #[must_use]
    pub fn render(&self, form: TextForm) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let registry = self.shared.registry.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a String cannot fail");
        match form {
            TextForm::OpenMetrics => text,
            TextForm::Prometheus => text::to_prometheus(&text),
        }
    }

    /// Counts a request as in work until the answer is dropped.
    pub fn request_begun(&self, request: &RequestInfo) -> Present {
        let class = match crate::limits::Class::of(request) {
            crate::limits::Class::Reading => "reading",
            crate::limits::Class::Mutating => "mutating",
            crate::limits::Class::Stream => "stream",
        };
        present(&self.shared.in_flight.get_or_create(&ClassLabels { class }))
    }

    /// Records an answer, and writes the request's line to the log (level debug; slow or failed ones are warnings).
    pub fn request_finished(&self, request: &RequestInfo, code: u16, took: Duration, audit_id: &str, user: &str) {
        let labels = RequestLabels { verb: known_verb(&request.verb), resource: self.bounded(request, code), code };
        self.shared.requests.get_or_create(&labels).observe(took.as_secs_f64());
        let duration_ms = took.as_secs_f64() * 1000.0;
        if code >= 500 {
            tracing::warn!(
                request_id = audit_id,
                user,
                verb = request.verb,
                path = request.path,
                code,
                duration_ms,
                "request failed"
            );
        } else {
            tracing::debug!(
                request_id = audit_id,
                user,
                verb = request.verb,
                path = request.path,
                code,
                duration_ms,
                "request"
            );
        }
    }

    /// Counts a watch until dropped.
    pub fn watch_opened(&self, request: &RequestInfo) -> Present {
        let resource = self.bounded(request, 200);
        present(&self.shared.watches.get_or_create(&ResourceLabels { resource }))
    }

    pub(crate) fn connection_opened(&self) -> Present {
        present(&self.shared.connections)
    }

    pub(crate) fn connection_refused(&self) {
        self.shared.connections_refused.inc();
    }

    pub(crate) fn answer_given_up(&self) {
        self.shared.answers_given_up.inc();
    }

    fn registry_mut(&self) -> std::sync::RwLockWriteGuard<'_, Registry> {
        self.shared.registry.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the label of the request's resource. Only an answer that shows that the resource exists makes a new
    /// label: what is not found or not allowed may be anything that a client made up.
    fn bounded(&self, request: &RequestInfo, code: u16) -> String {
        if !request.is_resource {
            return String::new();
        }
        let name = if request.group.is_empty() {
            request.resource.clone()
        } else {
            format!("{}.{}", request.resource, request.group)
        };
        let mut known = self.shared.resources.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let exists = code < 400 && known.len() < RESOURCES_MAX;
        if known.contains(&name) || (exists && known.insert(name.clone())) { name } else { "other".to_owned() }
    }
}

fn present(gauge: &Gauge) -> Present {
    gauge.inc();
    Present(gauge.clone())
}

fn known_verb(verb: &str) -> &'static str {
    const VERBS: [&str; 12] = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "post",
        "put",
        "head",
        "options",
    ];
    VERBS.into_iter().find(|known| *known == verb).unwrap_or("other")
}
