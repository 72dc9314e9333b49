//! Every metric of the operator. docs/operations.md explains them.

use bookingq_api::BookingQueueBackupStatus;
use bookingq_serve::MetricsRegistry;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::reflector::{self, Store};
use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::backups::key::WatchedBackup;
use crate::queue::WatchedQueue;
use crate::watched_collector::{ReadGauges, SetGauge, WatchedCollector};

/// Buckets of a reconcile, which makes some calls to the API server.
const LATENCY: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Labels of a condition.
const CONDITION: [&str; 3] = ["namespace", "queue", "type"];
const BACKUP: [&str; 3] = ["namespace", "queue", "backup"];

/// The metrics of one operator, named without the prefix `bookingqueue_operator_`. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: MetricsRegistry,
    /// `leading`.
    pub leading: IntGauge,
    /// `reconciles_total{outcome}`: `ok`, or the reason of the error.
    pub reconciles: IntCounterVec,
    /// `reconcile_duration_seconds`.
    pub reconcile_duration: Histogram,
    /// `scalings_total{direction}`: `up` or `down`.
    pub scalings: IntCounterVec,
    /// `workers_desired{namespace,queue}`.
    pub workers_desired: IntGaugeVec,
    /// `gateways_desired{namespace,queue}`.
    pub gateways_desired: IntGaugeVec,
    /// `gateway_connections{namespace,queue}`.
    pub gateway_connections: IntGaugeVec,
    /// `gateway_scalings_total{direction}`: `up` or `down`.
    pub gateway_scalings: IntCounterVec,
    /// `schema_missing_fields`.
    pub schema_missing_fields: IntGauge,
    /// `store_up{namespace,queue}`.
    pub store_up: IntGaugeVec,
    /// `redis_term{namespace,queue}`.
    pub redis_term: IntGaugeVec,
    /// `redis_replicas{namespace,queue}`.
    pub redis_replicas: IntGaugeVec,
    /// `redis_failovers_total{namespace,queue}`.
    pub redis_failovers: IntCounterVec,
}

impl Metrics {
    /// In a new registry.
    ///
    /// # Errors
    /// When two have one name, which would be a defect.
    pub fn new() -> prometheus::Result<Self> {
        let registry = MetricsRegistry::new("bookingqueue_operator", &[])?;
        let r = &registry;
        let queue = ["namespace", "queue"];
        let up = "1 while the queue's Redis answers the operator, or a worker of a queue in Kafka reports";
        Ok(Self {
            leading: r.int_gauge("leading", "1 while this operator is the leader")?,
            reconciles: r.counters("reconciles_total", "Reconciles by outcome", &["outcome"])?,
            reconcile_duration: r.histogram(
                "reconcile_duration_seconds",
                "Duration of a reconcile",
                &LATENCY,
            )?,
            scalings: r.counters(
                "scalings_total",
                "Changes of the number of workers",
                &["direction"],
            )?,
            workers_desired: r.int_gauges(
                "workers_desired",
                "Desired number of workers",
                &queue,
            )?,
            gateways_desired: r.int_gauges(
                "gateways_desired",
                "Desired number of gateways",
                &queue,
            )?,
            gateway_connections: r.int_gauges(
                "gateway_connections",
                "Open WebSockets and event streams of the gateways that answer the operator",
                &queue,
            )?,
            gateway_scalings: r.counters(
                "gateway_scalings_total",
                "Changes of the number of gateways",
                &["direction"],
            )?,
            schema_missing_fields: r
                .int_gauge("schema_missing_fields", "Fields that the served schema lacks")?,
            store_up: r.int_gauges("store_up", up, &queue)?,
            redis_term: r.int_gauges(
                "redis_term",
                "Number of the last election of a managed Redis of three",
                &queue,
            )?,
            redis_replicas: r.int_gauges(
                "redis_replicas",
                "Replicas that follow the primary of a managed Redis of three",
                &queue,
            )?,
            redis_failovers: r.counters(
                "redis_failovers_total",
                "Changes of the primary of a managed Redis of three",
                &queue,
            )?,
            registry,
        })
    }

    /// Exposes the conditions of `queues`.
    ///
    /// # Errors
    /// When called twice, which would be a defect.
    pub fn expose_conditions(&self, queues: Store<WatchedQueue>) -> prometheus::Result<()> {
        let help = "Status of a queue's condition: 1 True, 0 False, -1 Unknown";
        self.watched("queue_condition", help, &CONDITION, (queues, conditions))
    }

    /// Exposes when the backups of `backups` were taken last, and failed last.
    ///
    /// # Errors
    /// When called twice, which would be a defect.
    pub fn expose_backups(&self, backups: Store<WatchedBackup>) -> prometheus::Result<()> {
        self.watched(
            "backup_last_success_timestamp_seconds",
            "Unix time of the last backup of a BookingQueueBackup",
            &BACKUP,
            (backups.clone(), last_success),
        )?;
        self.watched(
            "backup_last_failure_timestamp_seconds",
            "Unix time of the last attempt of a BookingQueueBackup that failed",
            &BACKUP,
            (backups, last_failure),
        )
    }

    fn watched<K>(
        &self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        (objects, read): (Store<K>, ReadGauges<K>),
    ) -> prometheus::Result<()>
    where
        K: reflector::Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let collector = WatchedCollector::new(Opts::new(name, help), labels, objects, read)?;
        self.registry.collector(collector)
    }

    /// Removes the series of a deleted queue.
    pub fn forget(&self, namespace: &str, queue: &str) {
        for gauge in [&self.workers_desired, &self.store_up] {
            // Fails if there is no such series.
            gauge.remove_label_values(&[namespace, queue]).ok();
        }
        self.forget_gateways(namespace, queue);
        self.forget_failover(namespace, queue);
    }

    /// Removes the series of a Redis of three that a queue has no more.
    pub fn forget_failover(&self, namespace: &str, queue: &str) {
        for gauge in [&self.redis_term, &self.redis_replicas] {
            gauge.remove_label_values(&[namespace, queue]).ok();
        }
        self.redis_failovers.remove_label_values(&[namespace, queue]).ok();
    }

    /// Removes the series of the gateways of a queue that has none any more.
    pub fn forget_gateways(&self, namespace: &str, queue: &str) {
        for gauge in [&self.gateways_desired, &self.gateway_connections] {
            gauge.remove_label_values(&[namespace, queue]).ok();
        }
    }

    /// The registry, for the admin port.
    pub fn registry(&self) -> MetricsRegistry {
        self.registry.clone()
    }
}

fn conditions(queue: &WatchedQueue, set: SetGauge<'_>) {
    let (namespace, name) = (queue.namespace().unwrap_or_default(), queue.name_any());
    match &queue.0 {
        Ok(queue) => {
            for condition in queue.status.iter().flat_map(|status| &status.conditions) {
                set(&[&namespace, &name, &condition.type_], number(&condition.status));
            }
        }
        Err(_) => set(&[&namespace, &name, "Ready"], 0),
    }
}

fn number(status: &str) -> i64 {
    match status {
        "True" => 1,
        "False" => 0,
        _ => -1,
    }
}

fn last_success(backup: &WatchedBackup, set: SetGauge<'_>) {
    time(backup, set, |status| Some(status.last_backup.as_ref()?.taken_at.0));
}

fn last_failure(backup: &WatchedBackup, set: SetGauge<'_>) {
    time(backup, set, |status| Some(status.last_failure.as_ref()?.at.0));
}

fn time(
    backup: &WatchedBackup,
    set: SetGauge<'_>,
    read: fn(&BookingQueueBackupStatus) -> Option<Timestamp>,
) {
    let Ok(backup) = &backup.0 else { return };
    if let Some(time) = backup.status.as_ref().and_then(read) {
        let namespace = backup.namespace().unwrap_or_default();
        set(&[&namespace, &backup.spec.queue, &backup.name_any()], time.as_second());
    }
}
