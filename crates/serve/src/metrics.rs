//! One metrics registry, and methods that create a family and register it in one step.

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The metrics of one process, or of one worker where several share a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetricsRegistry(Registry);

impl MetricsRegistry {
    /// An empty registry. Every name starts with `prefix`; every series carries `labels`.
    ///
    /// # Errors
    /// When the prefix is not a metric name.
    pub fn new(prefix: &str, labels: &[(&str, &str)]) -> prometheus::Result<Self> {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self(Registry::new_custom(Some(prefix.to_owned()), Some(labels.collect()))?))
    }

    /// All series in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Encoding into memory fails only on a malformed family. A partial page helps more than
        // none.
        if let Err(error) = TextEncoder::new().encode(&self.0.gather(), &mut text) {
            tracing::warn!(%error, "cannot encode all metrics");
        }
        text
    }

    /// Registers a collector of its own kind.
    ///
    /// # Errors
    /// When another family has its name.
    pub fn collector(&self, collector: impl Collector + 'static) -> prometheus::Result<()> {
        self.0.register(Box::new(collector))
    }

    fn add<C: Collector + Clone + 'static>(&self, family: C) -> prometheus::Result<C> {
        self.collector(family.clone())?;
        Ok(family)
    }
}

/// Each creates a family and registers it. They fail only when another family has the name.
impl MetricsRegistry {
    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    /// A counter for each combination of labels.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of seconds or other fractions.
    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }

    /// Such a gauge for each combination of labels; with no labels, one that may be absent.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of whole things.
    pub fn int_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    /// A gauge of whole things for each combination of labels.
    pub fn int_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A histogram.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    /// A histogram for each combination of labels.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels)?)
    }
}

/// Sets a counter that is kept elsewhere. A total that has gone back, because the data was lost,
/// shows as a counter reset.
pub fn set_total(counter: &IntCounter, total: u64) {
    if total < counter.get() {
        counter.reset();
    }
    counter.inc_by(total.saturating_sub(counter.get()));
}
