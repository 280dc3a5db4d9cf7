//! Figures that are asked for when they are scraped: of the process, the store, the certificates.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

/// One number with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `cc_…`, with its unit last.
    pub name: &'static str,
    /// What it says, no full stop.
    pub help: &'static str,
    /// The number.
    pub value: f64,
}

/// Returns figures of this moment.
pub type FigureSource = Box<dyn Fn() -> Vec<Figure> + Send + Sync>;

/// A source of figures as the registry wants it.
pub(super) struct Figures(FigureSource);

impl Figures {
    pub(super) fn new(source: FigureSource) -> Self {
        Self(source)
    }
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for figure in (self.0)() {
            let gauge = ConstGauge::new(figure.value);
            let metric = encoder.encode_descriptor(figure.name, figure.help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

/// Returns memory and open files of this process; what the system does not tell is left out.
pub(super) fn process_figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name, help, value: Option<u64>| {
        if let Some(value) = value {
            // Exact up to 2^53, which is more memory than there is.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            figures.push(Figure { name, help, value: value as f64 });
        }
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    add("process_resident_memory_bytes", "Memory in use", line("VmRSS:").map(|kibibytes| kibibytes * 1024));
    add("process_threads", "Threads", line("Threads:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
    add("process_open_fds", "Open file descriptors", open);
    figures
}
