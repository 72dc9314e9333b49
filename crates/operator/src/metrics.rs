//! Every metric of the operator, made in one place. Names and meaning: docs/operations.md.

use std::sync::Arc;

use bookingq_serve::MetricsRegistry;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::caches::Watched;

/// Buckets for a reconcile: some calls to the API server.
const LATENCY: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of one operator.
#[derive(Clone)]
pub struct Metrics {
    registry: MetricsRegistry,
    families: Arc<Families>,
}

/// The families, named as they are exposed without the `bookingqueue_operator_` prefix.
pub struct Families {
    /// `leading`: 1 while this operator is the one that writes.
    pub leading: IntGauge,
    /// `reconciles_total{outcome}`: `ok`, or the reason of the error.
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
        let registry = MetricsRegistry::new("bookingqueue_operator", &[])?;
        let r = &registry;
        let queue = ["namespace", "queue"];
        let families = Families {
            leading: r.int_gauge("leading", "1 while this operator is the one that writes")?,
            reconciles: r.counters("reconciles_total", "Reconciles by outcome", &["outcome"])?,
            reconcile_duration: r.histogram(
                "reconcile_duration_seconds",
                "Duration of a reconcile",
                &LATENCY,
            )?,
            scalings: r.counters(
                "scalings_total",
                "Changes of a number of workers",
                &["direction"],
            )?,
            workers_wanted: r.int_gauges("workers_wanted", "Workers asked for", &queue)?,
            store_up: r.int_gauges(
                "store_up",
                "1 while the queue's Redis answers the operator",
                &queue,
            )?,
        };
        Ok(Self { registry, families: Arc::new(families) })
    }

    /// From now on, tells the conditions of `queues` too.
    ///
    /// # Errors
    /// When it does so already, which would be a defect.
    pub fn tell_conditions(&self, queues: Store<Watched>) -> prometheus::Result<()> {
        let help = "What a condition of a queue says: 1 True, 0 False, -1 Unknown";
        self.conditions("queue_condition", help, queues)
    }

    fn conditions(&self, name: &str, help: &str, queues: Store<Watched>) -> prometheus::Result<()> {
        let opts = Opts::new(name, help);
        let shape = IntGaugeVec::new(opts.clone(), &CONDITION)?;
        self.registry.collector(Conditions { opts, shape, queues })
    }

    /// Forgets a queue that is gone.
    pub fn forget(&self, namespace: &str, queue: &str) {
        for gauge in [&self.workers_wanted, &self.store_up] {
            // An error says that there was none.
            gauge.remove_label_values(&[namespace, queue]).ok();
        }
    }

    /// The registry, for the admin port.
    pub fn registry(&self) -> MetricsRegistry {
        self.registry.clone()
    }
}

impl std::ops::Deref for Metrics {
    type Target = Families;
    fn deref(&self) -> &Families {
        &self.families
    }
}

/// Labels of a condition.
const CONDITION: [&str; 3] = ["namespace", "queue", "type"];

/// The conditions of all queues, read from what is watched whenever somebody asks: there is nothing
/// to keep up to date, and nothing stays of a queue that is gone.
struct Conditions {
    opts: Opts,
    shape: IntGaugeVec,
    queues: Store<Watched>,
}

impl Collector for Conditions {
    fn desc(&self) -> Vec<&Desc> {
        self.shape.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauges) = IntGaugeVec::new(self.opts.clone(), &CONDITION) else { return Vec::new() };
        for queue in self.queues.state() {
            let namespace = queue.namespace().unwrap_or_default();
            let set = |type_: &str, value| {
                gauges.with_label_values(&[&namespace, &queue.name_any(), type_]).set(value);
            };
            match &queue.0 {
                Ok(queue) => {
                    let told = queue.status.iter().flat_map(|status| &status.conditions);
                    told.for_each(|condition| set(&condition.type_, number(&condition.status)));
                }
                Err(_) => set("Ready", 0),
            }
        }
        gauges.collect()
    }
}

fn number(status: &str) -> i64 {
    match status {
        "True" => 1,
        "False" => 0,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kube::core::DeserializeGuard;
    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    use super::*;

    fn queue(name: &str, spec: &serde_json::Value) -> Watched {
        let conditions: Vec<_> = [("Ready", "True"), ("SweeperHealthy", "Unknown")]
            .into_iter()
            .map(|(type_, status)| {
                json!({ "type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z" })
            })
            .collect();
        let queue = json!({
            "apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": spec, "status": { "conditions": conditions },
        });
        serde_json::from_value::<DeserializeGuard<_>>(queue).unwrap()
    }

    #[test]
    fn conditions_are_told_for_as_long_as_their_queue_is_there() {
        let (store, mut writer) = reflector::store();
        let metrics = Metrics::new().unwrap();
        metrics.tell_conditions(store).unwrap();
        let text = || String::from_utf8(metrics.registry().render()).unwrap();
        let concert = queue("concert", &json!({ "booking": { "endpoint": "http://a:1" } }));
        writer.apply_watcher_event(&watcher::Event::Apply(concert.clone()));
        writer.apply_watcher_event(&watcher::Event::Apply(queue("odd", &json!({ "booking": 7 }))));
        let series = |queue: &str, type_: &str| {
            format!(
                "bookingqueue_operator_queue_condition{{namespace=\"shop\",queue=\"{queue}\",type=\"{type_}\"}}"
            )
        };
        let told = text();
        for (queue, type_, value) in
            [("concert", "Ready", 1), ("concert", "SweeperHealthy", -1), ("odd", "Ready", 0)]
        {
            assert!(told.contains(&format!("{} {value}\n", series(queue, type_))), "{told}");
        }
        writer.apply_watcher_event(&watcher::Event::Delete(concert));
        assert!(!text().contains("concert"));
    }
}
