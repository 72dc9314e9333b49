//! Every metric of the operator, made in one place.

use std::sync::Arc;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Buckets for a reconcile: some calls to the API server.
const LATENCY: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of one operator.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
}

/// The families, named as they are exposed without the `bookingqueue_operator_` prefix.
pub struct Families {
    /// `leading`: 1 while this operator is the one that writes.
    pub leading: IntGauge,
    /// `reconciles_total{outcome}`: `ok`, or the reason of the trouble.
    pub reconciles: IntCounterVec,
    /// `reconcile_duration_seconds`: their duration.
    pub reconcile_duration: Histogram,
    /// `scalings_total{direction}`: changes of a number of workers, `up` or `down`.
    pub scalings: IntCounterVec,
    /// `workers_wanted{namespace,queue}`: workers asked for.
    pub workers_wanted: IntGaugeVec,
    /// `store_up{namespace,queue}`: 1 while the queue's Redis answers the operator.
    pub store_up: IntGaugeVec,
}

impl Metrics {
    /// In a registry of their own.
    ///
    /// # Errors
    /// When two have one name, which would be a defect.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("bookingqueue_operator".to_owned()), None)?;
        let queue = ["namespace", "queue"];
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let duration = HistogramOpts::new("reconcile_duration_seconds", "Duration of a reconcile")
            .buckets(LATENCY.to_vec());
        let families = Families {
            leading: IntGauge::new("leading", "1 while this operator is the one that writes")?,
            reconciles: IntCounterVec::new(opts("reconciles_total", "Reconciles by outcome"), &["outcome"])?,
            reconcile_duration: Histogram::with_opts(duration)?,
            scalings: IntCounterVec::new(
                opts("scalings_total", "Changes of a number of workers"),
                &["direction"],
            )?,
            workers_wanted: IntGaugeVec::new(opts("workers_wanted", "Workers asked for"), &queue)?,
            store_up: IntGaugeVec::new(
                opts("store_up", "1 while the queue's Redis answers the operator"),
                &queue,
            )?,
        };
        registry.register(Box::new(families.leading.clone()))?;
        registry.register(Box::new(families.reconciles.clone()))?;
        registry.register(Box::new(families.reconcile_duration.clone()))?;
        registry.register(Box::new(families.scalings.clone()))?;
        registry.register(Box::new(families.workers_wanted.clone()))?;
        registry.register(Box::new(families.store_up.clone()))?;
        Ok(Self { registry, families: Arc::new(families) })
    }

    /// Forgets a queue that is gone.
    pub fn forget(&self, namespace: &str, queue: &str) {
        for gauge in [&self.workers_wanted, &self.store_up] {
            // An error says that there was none.
            gauge.remove_label_values(&[namespace, queue]).ok();
        }
    }

    /// All of them, as Prometheus reads them.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        text
    }
}

impl std::ops::Deref for Metrics {
    type Target = Families;
    fn deref(&self) -> &Families {
        &self.families
    }
}
