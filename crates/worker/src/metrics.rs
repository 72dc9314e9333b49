//! Every metric of a worker or sweeper, made in one place. Names and meaning: docs/operations.md.

use std::sync::Arc;

use bookingq_core::sale::OutflowPace;
use bookingq_core::{Admission, BookingState};
use bookingq_serve::metrics::set_total;
use bookingq_serve::{MetricsRegistry, ServeError};
use bookingq_store::{Snapshot, StoreError};
use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

/// Buckets for calls that should take milliseconds and may take seconds.
const LATENCY: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for waits: from a moment to an evening.
const WAIT: [f64; 13] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0];

/// The metrics of one worker, in a registry of its own (several workers may share a process). Each
/// is exposed with the prefix `bookingqueue_`.
pub struct WorkerMetrics {
    registry: MetricsRegistry,
    /// The gRPC port.
    pub server: ServerMetrics,
    /// Tasks, and the calls they make.
    pub tasks: TaskMetrics,
    /// The store and its outbox.
    pub store: StoreMetrics,
    queue: QueueMetrics,
}

/// A struct whose fields are families of metrics, and how each is registered.
macro_rules! families {
    ($(#[$doc:meta])* $name:ident($registry:ident) {
        $($field:ident: $family:ty = $made:expr;)*
    }) => {
        $(#[$doc])*
        pub struct $name {
            $(pub $field: $family,)*
        }

        impl $name {
            fn register($registry: &MetricsRegistry) -> prometheus::Result<Self> {
                Ok(Self { $($field: $made?,)* })
            }
        }
    };
}

families! {
    /// The gRPC port.
    ServerMetrics(r) {
        requests: IntCounterVec = r.counters(
            "requests_total", "gRPC requests by method and reason", &["method", "reason"]);
        duration: HistogramVec = r.histograms(
            "request_duration_seconds", "Time until the response of a gRPC request", &LATENCY,
            &["method"]);
        connections: IntGauge = r.int_gauge("connections", "Open gRPC connections");
        body_budget_refusals: IntCounter = r.counter(
            "body_budget_refusals_total",
            "Requests refused before their message was complete, over the body budget");
        watches: IntGauge = r.int_gauge("watches", "Open WatchStatus streams");
        followers: IntGauge = r.int_gauge("followers", "Open FollowQueue streams");
        follow_gaps: IntCounter = r.counter(
            "follow_gaps_total",
            "Times a FollowQueue stream had to leave updates out: they were trimmed, or data was lost");
    }
}

families! {
    /// Tasks, and the calls they make.
    TaskMetrics(r) {
        settled: IntCounterVec = r.counters(
            "tasks_total", "Settled tasks by kind and outcome", &["kind", "outcome"]);
        duration: HistogramVec = r.histograms(
            "task_duration_seconds", "Time from a task's claim to its settlement", &LATENCY,
            &["kind"]);
        running: IntGauge = r.int_gauge("tasks_running", "Tasks that this process executes now");
        slots: IntGauge = r.int_gauge("task_slots", "Tasks that this process may execute at once");
        stale: IntCounter = r.counter(
            "stale_settlements_total",
            "Settlements that came too late: another process had the task");
        dispatch_wait: Histogram = r.histogram(
            "dispatch_wait_seconds", "Time from Enqueue to the first claim", &WAIT);
        calls: IntCounterVec = r.counters(
            "downstream_requests_total", "Calls to the services by outcome",
            &["service", "method", "outcome"]);
        call_duration: HistogramVec = r.histograms(
            "downstream_duration_seconds", "Duration of calls to the services", &LATENCY,
            &["service", "method"]);
        ticket_probes: IntCounterVec = r.counters(
            "ticket_probes_total",
            "Questions to the Ticket Service whether a closed item is available again, by outcome",
            &["outcome"]);
        circuit_open: GaugeVec = r.gauges(
            "circuit_open", "1 while the circuit breaker of a service is open", &["service"]);
        expired_holds: IntCounter = r.counter(
            "expired_holds_total", "Holds that this sweeper turned into releases");
    }
}

families! {
    /// The store and its outbox.
    StoreMetrics(r) {
        errors: IntCounterVec = r.counters("store_errors_total", "Failed store calls", &["kind"]);
        up: IntGauge = r.int_gauge("store_up", "1 when the last reading of the queue succeeded");
        losses: IntCounter = r.counter(
            "store_losses_total", "Times the store was found to have lost data");
        reloads: IntCounter = r.counter(
            "store_reloads_total", "Times this process loaded the state of the queue again");
        wrong_claims: IntCounter = r.counter(
            "store_wrong_claims_total",
            "Times another process claimed a state of the queue that is wrong");
        unsafe_settings: IntGauge = r.int_gauge(
            "store_unsafe_settings", "Settings of the store's server that can lose bookings");
        notifications: IntCounterVec = r.counters(
            "notifications_total", "Booking updates published to the Realtime Service, by outcome",
            &["outcome"]);
        notification_lag: Histogram = r.histogram(
            "notification_lag_seconds", "Time from a transition to its publication", &LATENCY);
        outbox_gaps: IntCounter = r.counter(
            "outbox_gaps_total",
            "Times outbox entries were trimmed before they were read, or the follower began again");
    }
}

families! {
    /// The queue at the last reading: the same in every worker of the queue.
    QueueMetrics(r) {
        backlog: Gauge = r.gauge("queue_backlog", "Bookings in the line");
        parked: Gauge = r.gauge(
            "queue_parked", "Bookings that wait for an item that is sold out at the moment");
        claimable: Gauge = r.gauge(
            "queue_claimable", "Bookings in the line, and parked ones whose item is available");
        closed_items: IntGauge = r.int_gauge(
            "queue_closed_items", "Items that are sold out, at the moment or for good");
        in_flight: Gauge = r.gauge(
            "queue_in_flight", "Bookings reserving, confirming or releasing");
        holds: Gauge = r.gauge("queue_holds", "Bookings reserved, waiting for payment");
        overdue: Gauge = r.gauge("queue_overdue_holds", "Holds past their deadline and not swept");
        due: Gauge = r.gauge("queue_due_tasks", "Tasks that are due and not claimed");
        oldest_wait: Gauge = r.gauge(
            "queue_oldest_wait_seconds",
            "How long the booking at the front of the line has waited");
        last_sweep: GaugeVec = r.gauges(
            "queue_last_sweep_timestamp_seconds",
            "Unix time of the last sweep, by the store's clock; absent before the first", &[]);
        serving: IntGauge = r.int_gauge(
            "queue_serving", "1 while the line may be served: it is not paused, and the sale is open");
        outflow_limit: Gauge = r.gauge(
            "queue_outflow_limit_per_second",
            "Bookings that the rules let leave the line, in the long run; +Inf without a limit");
        unsettled_limit: Gauge = r.gauge(
            "queue_unsettled_limit",
            "Bookings that may be reserving, reserved, confirming or releasing; +Inf without a limit");
        enqueued: IntCounter = r.counter("queue_enqueued_total", "Bookings that joined the line");
        claimed: IntCounter = r.counter("queue_claimed_total", "Bookings claimed from the line");
        reserved: IntCounter = r.counter("queue_reserved_total", "Reservations recorded");
        parkings: IntCounter = r.counter(
            "queue_parkings_total", "Times a booking was parked");
        reacquired: IntCounter = r.counter(
            "queue_reacquired_total",
            "Bookings made for a payment that came after its hold had expired");
        reclaimed: IntCounter = r.counter(
            "queue_reclaimed_tasks_total", "Tasks claimed again because their lease had ended");
        retried: IntCounter = r.counter(
            "queue_retried_tasks_total", "Tasks settled with a retry");
        stale: IntCounter = r.counter(
            "queue_stale_settlements_total", "Settlements that came too late, of all workers");
        damaged: IntCounter = r.counter(
            "queue_damaged_records_total", "Records that could not be read");
        bookings: IntCounterVec = r.counters(
            "queue_bookings_total", "Bookings that ended, by final state", &["state"]);
    }
}

impl WorkerMetrics {
    /// All families, at zero. `queue` and `worker` label every series.
    ///
    /// # Errors
    /// Never in practice: only if two families had one name.
    pub fn new(queue: &str, worker: &str) -> Result<Arc<Self>, ServeError> {
        let registry =
            MetricsRegistry::new("bookingqueue", &[("queue", queue), ("worker", worker)])?;
        Ok(Arc::new(Self {
            server: ServerMetrics::register(&registry)?,
            tasks: TaskMetrics::register(&registry)?,
            store: StoreMetrics::register(&registry)?,
            queue: QueueMetrics::register(&registry)?,
            registry,
        }))
    }

    /// The registry, for the admin port.
    pub fn registry(&self) -> MetricsRegistry {
        self.registry.clone()
    }

    /// Counts a failed store call.
    pub fn store_failed(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Timeout(_) => "timeout",
            StoreError::NotReplicated { .. } => "not_replicated",
            StoreError::Overloaded { .. } => "overloaded",
            StoreError::NewerSchema { .. } => "newer_schema",
            StoreError::Settings(_) => "settings",
            StoreError::Unexpected(_) => "unexpected",
        };
        self.store.errors.with_label_values(&[kind]).inc();
    }

    /// Takes the number of closed items.
    pub fn closed_items(&self, count: usize) {
        self.queue.closed_items.set(count as i64);
    }

    /// Takes a reading of the queue.
    pub fn queue_read(&self, snapshot: &Snapshot) {
        self.store.up.set(1);
        self.queue.read(snapshot);
    }
}

impl QueueMetrics {
    fn read(&self, snapshot: &Snapshot) {
        self.backlog.set(snapshot.backlog as f64);
        self.parked.set(snapshot.parked as f64);
        self.claimable.set(snapshot.claimable as f64);
        self.in_flight.set(snapshot.in_flight as f64);
        self.holds.set(snapshot.holds as f64);
        self.overdue.set(snapshot.overdue as f64);
        self.due.set(snapshot.due as f64);
        let oldest = snapshot.front.map_or(0.0, |(_, at)| snapshot.now.since(at).as_secs_f64());
        self.oldest_wait.set(oldest);
        self.read_rules(snapshot);
        match snapshot.swept_at {
            Some(at) => self.last_sweep.with_label_values::<&str>(&[]).set(at.0 as f64 / 1000.0),
            None => self.last_sweep.reset(),
        }
        let totals = &snapshot.totals;
        for (counter, total) in [
            (&self.enqueued, totals.enqueued),
            (&self.claimed, totals.dispatched),
            (&self.reserved, totals.reserved),
            (&self.parkings, totals.parked),
            (&self.reacquired, totals.reacquired),
            (&self.reclaimed, totals.reclaimed),
            (&self.retried, totals.retried),
            (&self.stale, totals.stale),
            (&self.damaged, totals.damaged),
        ] {
            set_total(counter, total);
        }
        for (state, total) in [
            (BookingState::Confirmed, totals.confirmed),
            (BookingState::Expired, totals.expired),
            (BookingState::Cancelled, totals.cancelled),
            (BookingState::SoldOut, totals.sold_out),
            (BookingState::Rejected, totals.rejected),
            (BookingState::Failed, totals.failed),
        ] {
            set_total(&self.bookings.with_label_values(&[state.as_str()]), total);
        }
    }

    /// What the rules of the sale allow, for alerts on a line that is served too slowly.
    fn read_rules(&self, snapshot: &Snapshot) {
        let Snapshot { rules, now, admission, .. } = snapshot;
        let open = rules.opens_at.is_none_or(|opens| opens <= *now);
        self.serving.set(i64::from(open && *admission != Admission::Paused));
        let per_second = |pace: OutflowPace| 1e6 / pace.interval_us as f64;
        self.outflow_limit.set(rules.outflow.pace().map_or(f64::INFINITY, per_second));
        self.unsettled_limit.set(rules.outflow.max_holds.map_or(f64::INFINITY, f64::from));
    }
}
