//! Every metric of a worker or sweeper, made in one place. Names and meaning: docs/operations.md.

use std::sync::Arc;

use bookingq_core::BookingState;
use bookingq_serve::{MetricsRegistry, ServeError};
use bookingq_store::{Snapshot, StoreError};
use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

/// Buckets for calls that should take milliseconds and may take seconds.
const LATENCY: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for waits: from a moment to an evening.
const WAIT: [f64; 13] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0];

/// The metrics of one process, in a registry of their own (several workers may share a process).
#[derive(Clone)]
pub struct Metrics {
    registry: MetricsRegistry,
    inner: Arc<Families>,
}

/// The families, named as they are exposed without the `bookingqueue_` prefix.
pub struct Families {
    /// `requests_total{method,reason}`: gRPC requests by outcome; reason `OK` or one of the closed
    /// set.
    pub requests: IntCounterVec,
    /// `request_duration_seconds{method}`: until the answer (for streams: until the first).
    pub request_duration: HistogramVec,
    /// `connections`: open gRPC connections.
    pub connections: IntGauge,
    /// `intake_refused_total`: requests refused before their message had come, because too many
    /// bytes were on their way.
    pub intake_refused: IntCounter,
    /// `watches`: open `WatchStatus` streams.
    pub watches: IntGauge,
    /// `tasks_total{kind,verdict}`: tasks settled.
    pub tasks: IntCounterVec,
    /// `task_duration_seconds{kind}`: from claim to settled.
    pub task_duration: HistogramVec,
    /// `tasks_running`: tasks in this process's hands.
    pub tasks_running: IntGauge,
    /// `task_slots`: tasks this process may run at once.
    pub task_slots: IntGauge,
    /// `stale_settlements_total`: settled too late; somebody else had the task.
    pub stale_settlements: IntCounter,
    /// `dispatch_wait_seconds`: from a place in line to its first claim.
    pub dispatch_wait: Histogram,
    /// `downstream_requests_total{service,method,outcome}`: calls to the services.
    pub downstream: IntCounterVec,
    /// `downstream_duration_seconds{service,method}`: their duration.
    pub downstream_duration: HistogramVec,
    /// `circuit_open{service}`: 1 while a service is taken to be out.
    pub circuit_open: GaugeVec,
    /// `store_errors_total{kind}`: store calls without an answer.
    pub store_errors: IntCounterVec,
    /// `store_up`: 1 when the last reading of the queue succeeded.
    pub store_up: Gauge,
    /// `store_losses_total`: times the store was found to have lost its data.
    pub store_losses: IntCounter,
    /// `store_unsafe_settings`: how many settings of the store's server are unsafe for bookings
    /// (see the log).
    pub store_unsafe_settings: IntGauge,
    /// `notifications_total{outcome}`: booking updates told to the Realtime Service.
    pub notifications: IntCounterVec,
    /// `notification_lag_seconds`: from a transition to its being told.
    pub notification_lag: Histogram,
    /// `outbox_gaps_total`: times a follower found entries gone before it had read them.
    pub outbox_gaps: IntCounter,
    /// `expired_holds_total`: holds this sweeper turned into releases.
    pub expired_holds: IntCounter,
    queue: QueueGauges,
}

/// What the queue looked like at the last reading: the same in every worker of the queue.
struct QueueGauges {
    backlog: Gauge,
    in_flight: Gauge,
    holds: Gauge,
    overdue: Gauge,
    due: Gauge,
    oldest_wait: Gauge,
    sweep_age: Gauge,
    finals: GaugeVec,
    totals: GaugeVec,
}

impl Metrics {
    /// All families, at zero. `queue` and `worker` label every series.
    ///
    /// # Errors
    /// Never in practice: only if two families had one name.
    pub fn new(queue: &str, worker: &str) -> Result<Self, ServeError> {
        let registry =
            MetricsRegistry::new("bookingqueue", &[("queue", queue), ("worker", worker)])?;
        let inner = Arc::new(Families::register(&registry)?);
        Ok(Self { registry, inner })
    }

    /// The registry, for the admin port.
    pub fn registry(&self) -> MetricsRegistry {
        self.registry.clone()
    }

    /// A store call failed.
    pub fn store_failed(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Timeout(_) => "timeout",
            StoreError::Overloaded { .. } => "overloaded",
            StoreError::NewerSchema { .. } => "newer_schema",
            StoreError::Settings(_) => "settings",
            StoreError::Unexpected(_) => "unexpected",
        };
        self.store_errors.with_label_values(&[kind]).inc();
    }

    /// The queue was read.
    pub fn queue_read(&self, snapshot: &Snapshot) {
        let queue = &self.queue;
        self.store_up.set(1.0);
        queue.backlog.set(snapshot.backlog as f64);
        queue.in_flight.set(snapshot.in_flight as f64);
        queue.holds.set(snapshot.holds as f64);
        queue.overdue.set(snapshot.overdue as f64);
        queue.due.set(snapshot.due as f64);
        let oldest = snapshot.front.map_or(0.0, |(_, at)| snapshot.now.since(at).as_secs_f64());
        queue.oldest_wait.set(oldest);
        queue
            .sweep_age
            .set(snapshot.swept_at.map_or(-1.0, |at| snapshot.now.since(at).as_secs_f64()));
        let totals = &snapshot.totals;
        for (state, count) in [
            (BookingState::Confirmed, totals.confirmed),
            (BookingState::Expired, totals.expired),
            (BookingState::Cancelled, totals.cancelled),
            (BookingState::SoldOut, totals.sold_out),
            (BookingState::Rejected, totals.rejected),
            (BookingState::Failed, totals.failed),
        ] {
            queue.finals.with_label_values(&[state.as_str()]).set(count as f64);
        }
        for (what, count) in [
            ("enqueued", totals.enqueued),
            ("dispatched", totals.dispatched),
            ("reserved", totals.reserved),
            ("reclaimed", totals.reclaimed),
            ("retried", totals.retried),
            ("stale", totals.stale),
            ("damaged", totals.damaged),
        ] {
            queue.totals.with_label_values(&[what]).set(count as f64);
        }
    }
}

impl std::ops::Deref for Metrics {
    type Target = Families;
    fn deref(&self) -> &Families {
        &self.inner
    }
}

impl Families {
    fn register(r: &MetricsRegistry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: r.counters(
                "requests_total",
                "gRPC requests by method and reason",
                &["method", "reason"],
            )?,
            request_duration: r.histograms(
                "request_duration_seconds",
                "Time until the answer of a gRPC request",
                &LATENCY,
                &["method"],
            )?,
            connections: r.int_gauge("connections", "Open gRPC connections")?,
            intake_refused: r.counter(
                "intake_refused_total",
                "Requests refused before their message had come, because too many bytes were on their way",
            )?,
            watches: r.int_gauge("watches", "Open WatchStatus streams")?,
            tasks: r.counters("tasks_total", "Tasks settled, by kind and verdict", &["kind", "verdict"])?,
            task_duration: r.histograms(
                "task_duration_seconds",
                "Time from a task's claim to its settlement",
                &LATENCY,
                &["kind"],
            )?,
            tasks_running: r.int_gauge("tasks_running", "Tasks in this process's hands")?,
            task_slots: r.int_gauge("task_slots", "Tasks this process may run at once")?,
            stale_settlements: r.counter("stale_settlements_total", "Settlements that came too late")?,
            dispatch_wait: r.histogram(
                "dispatch_wait_seconds",
                "Time from a place in line to its first claim",
                &WAIT,
            )?,
            downstream: r.counters(
                "downstream_requests_total",
                "Calls to the services, by outcome",
                &["service", "method", "outcome"],
            )?,
            downstream_duration: r.histograms(
                "downstream_duration_seconds",
                "Duration of calls to the services",
                &LATENCY,
                &["service", "method"],
            )?,
            circuit_open: r.gauges("circuit_open", "1 while a service is taken to be out", &["service"])?,
            store_errors: r.counters("store_errors_total", "Store calls without an answer", &["kind"])?,
            store_up: r.gauge("store_up", "1 when the last reading of the queue succeeded")?,
            store_losses: r.counter("store_losses_total", "Times the store had lost its data")?,
            store_unsafe_settings: r
                .int_gauge("store_unsafe_settings", "Unsafe settings of the store's server")?,
            notifications: r.counters(
                "notifications_total",
                "Booking updates told, by outcome",
                &["outcome"],
            )?,
            notification_lag: r.histogram(
                "notification_lag_seconds",
                "Time from a transition to its being told",
                &LATENCY,
            )?,
            outbox_gaps: r
                .counter("outbox_gaps_total", "Times outbox entries were gone before they were read")?,
            expired_holds: r.counter("expired_holds_total", "Holds turned into releases by this sweeper")?,
            queue: QueueGauges {
                backlog: r.gauge("queue_backlog", "Bookings in the line")?,
                in_flight: r.gauge("queue_in_flight", "Bookings reserving, confirming or releasing")?,
                holds: r.gauge("queue_holds", "Bookings reserved, waiting for payment")?,
                overdue: r.gauge("queue_overdue_holds", "Holds past their deadline and not swept yet")?,
                due: r.gauge("queue_due_tasks", "Tasks that are due and not claimed yet")?,
                oldest_wait: r
                    .gauge("queue_oldest_wait_seconds", "How long the front of the line has waited")?,
                sweep_age: r.gauge("queue_sweep_age_seconds", "Time since the last sweep; -1 when never")?,
                finals: r.gauges("queue_finals", "Bookings that ended, by final state", &["state"])?,
                totals: r.gauges("queue_counter", "Counters of the queue, kept in the store", &["what"])?,
            },
        })
    }
}
