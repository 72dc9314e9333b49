//! The spec of a `BookingQueue`, as users write it.
// Each printer column repeats `type_`; clippy takes that for a duplicate.
#![allow(clippy::duplicated_attributes)]

use bookingq_core::defaults;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::deletion::DeletionSpec;
use crate::downstream::DownstreamSpec;
use crate::duration::DurationString;
use crate::gateway::GatewaySpec;
use crate::kafka::KafkaSpec;
use crate::redis::RedisSpec;
use crate::sale::{ItemSpec, OutflowSpec, SaleSpec, SoldOutSpec};
use crate::scaling::AutoscalingSpec;
use crate::status::BookingQueueStatus;
use crate::update::UpdateSpec;
use crate::worker::WorkerSpec;

/// Desired state of a booking queue. Only booking.endpoint is required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "bookingqueue.dev",
    version = "v1alpha1",
    kind = "BookingQueue",
    plural = "bookingqueues",
    shortname = "bq",
    category = "bookingqueue",
    namespaced,
    status = "BookingQueueStatus",
    derive = "PartialEq",
    doc = "BookingQueue is a fair line in front of a Booking Service: each client gets a place, a reservation in order, and a limited time to pay.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40")
        .message("metadata.name must be 1 to 40 lower-case letters, digits and '-', and start with a letter: Services and Pods are named after it"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Depth", type_ = "integer", json_path = ".status.backlog", description = "Bookings in the line"),
    printcolumn(
        name = "In flight",
        type_ = "integer",
        json_path = ".status.inFlight",
        description = "Bookings that workers are processing"
    ),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(
        name = "Oldest wait",
        type_ = "string",
        json_path = ".status.oldestWait",
        description = "Time the front of the line has waited"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Admission", type_ = "string", json_path = ".spec.admission", priority = "1"),
    printcolumn(
        name = "Holds",
        type_ = "integer",
        json_path = ".status.holds",
        description = "Reservations waiting for payment",
        priority = "1"
    ),
    printcolumn(
        name = "Parked",
        type_ = "integer",
        json_path = ".status.parked",
        description = "Bookings waiting for an item that is sold out at the moment",
        priority = "1"
    ),
    printcolumn(
        name = "Sockets",
        type_ = "integer",
        json_path = ".status.gateway.connections",
        description = "Open WebSockets and event streams of the gateways",
        priority = "1"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = "1"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rules(&[
    ("!has(self.redis) || !has(self.kafka)", "give only one of redis and kafka"),
    (
        "has(self.kafka) == has(oldSelf.kafka)",
        "cannot move a queue between Redis and Kafka: its bookings would be left behind; create a new queue",
    ),
    (
        "(has(self.redis) && [has(self.redis.url), has(self.redis.urlSecret), has(self.redis.sentinel), has(self.redis.cluster)].exists(x, x)) == (has(oldSelf.redis) && [has(oldSelf.redis.url), has(oldSelf.redis.urlSecret), has(oldSelf.redis.sentinel), has(oldSelf.redis.cluster)].exists(x, x))",
        "cannot move a queue between a managed and an external Redis: its bookings would be left behind; create a new queue",
    ),
    (
        "!(has(self.redis) && has(self.redis.managed) && has(self.redis.managed.restoreFrom)) || (has(oldSelf.redis) && has(oldSelf.redis.managed) && has(oldSelf.redis.managed.restoreFrom) && self.redis.managed.restoreFrom == oldSelf.redis.managed.restoreFrom)",
        "redis.managed.restoreFrom is for a new queue: it can be removed, and neither added nor changed",
    ),
    (
        "!has(self.kafka) || has(self.replicas) || self.autoscaling.max <= 16",
        "with kafka, autoscaling.max must be at most 16: each worker reads the whole log",
    ),
    (
        "!has(self.kafka) || !has(self.replicas) || self.replicas <= 16",
        "with kafka, replicas must be at most 16: each worker reads the whole log",
    ),
])))]
pub struct BookingQueueSpec {
    /// The Booking Service, which reserves, confirms and releases tickets.
    pub booking: DownstreamSpec,
    /// The Realtime Service, which receives every change of a booking to forward it to clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime: Option<DownstreamSpec>,
    /// The Ticket Service, which workers ask once for a booking, before the first attempt to
    /// reserve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<DownstreamSpec>,
    /// The Redis that stores the queue. Without redis and kafka the operator runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisSpec>,
    /// The Kafka that stores the queue instead. Only one of redis and kafka may be set, and at most
    /// 16 workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// The worker Pods.
    #[serde(default)]
    pub worker: WorkerSpec,
    /// How the number of workers follows the line. Ignored if replicas is set.
    #[serde(default)]
    pub autoscaling: AutoscalingSpec,
    /// Fixed number of workers. Disables autoscaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// Time to pay for a reservation, and retention of decided bookings.
    #[serde(default)]
    pub hold: HoldSpec,
    /// When sweepers release unpaid reservations.
    #[serde(default)]
    pub sweep: SweepSpec,
    /// Retries of calls to the Booking Service.
    #[serde(default)]
    pub retry: RetrySpec,
    /// Whether the queue accepts and serves bookings.
    #[serde(default)]
    pub admission: AdmissionSpec,
    /// When the sale begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<SaleSpec>,
    /// How fast the line is served, by all workers together. A change takes effect within two
    /// seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outflow: Option<OutflowSpec>,
    /// What a sold out item means for those in line who want it. Wait: they keep their places as
    /// long as unpaid reservations of it may come back. End: their bookings end at the first
    /// refusal.
    #[serde(default)]
    pub sold_out: SoldOutSpec,
    /// Items that differ from soldOut. Other items need no entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub items: Vec<ItemSpec>,
    /// The gateways, which browsers and apps connect to. By default there are none, and clients
    /// call the workers by gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySpec>,
    /// Puts the queue to sleep while true: no workers and no sweepers, and gateways refuse new
    /// bookings. Its data is kept, and it wakes when this is false again.
    #[serde(default)]
    pub hibernate: bool,
    /// What the deletion of the BookingQueue leaves behind.
    #[serde(default)]
    pub deletion: DeletionSpec,
    /// When Pods are replaced that another release or image of the operator changes.
    #[serde(default)]
    pub update: UpdateSpec,
}

/// Time to pay for a reservation, and retention of decided bookings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldSpec {
    /// Time to pay, counted from the reservation. 1s to 168h.
    pub timeout: DurationString,
    /// Time for which a decided booking can still be looked up. 1m to 8760h.
    pub retention: DurationString,
}

impl Default for HoldSpec {
    fn default() -> Self {
        Self {
            timeout: DurationString::new(defaults::HOLD),
            retention: DurationString::new(defaults::RETENTION),
        }
    }
}

/// When sweepers release unpaid reservations. Late payments are refused even if no sweeper runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SweepSpec {
    /// When a sweeper starts, in cron format. Each one sweeps for a minute.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// Stops sweeping while true.
    pub suspend: bool,
}

impl Default for SweepSpec {
    fn default() -> Self {
        Self { schedule: defaults::SWEEP_SCHEDULE.to_owned(), suspend: false }
    }
}

/// Retries of calls to the Booking Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = cel::not_longer("initialBackoff", "maxBackoff")))]
pub struct RetrySpec {
    /// Failed attempts to reserve after which a booking fails. Confirmations and releases are
    /// retried without limit.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: i32,
    /// Wait before the first retry. Each further wait is twice as long. 10ms to 1h.
    pub initial_backoff: DurationString,
    /// Longest wait between two attempts. At most 1h.
    pub max_backoff: DurationString,
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self {
            attempts: defaults::RETRY.attempts as i32,
            initial_backoff: DurationString::new(defaults::RETRY.backoff.initial),
            max_backoff: DurationString::new(defaults::RETRY.backoff.max),
        }
    }
}

/// Whether the queue accepts and serves bookings. Open: accepts and serves. Paused: accepts
/// bookings and keeps their order, but reserves nothing. Closed: serves the line, but accepts no
/// new bookings.
// A documented variant would become a oneOf branch, which a CRD may not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum AdmissionSpec {
    #[default]
    Open,
    Paused,
    Closed,
}

impl From<AdmissionSpec> for bookingq_core::Admission {
    fn from(admission: AdmissionSpec) -> Self {
        match admission {
            AdmissionSpec::Open => Self::Open,
            AdmissionSpec::Paused => Self::Paused,
            AdmissionSpec::Closed => Self::Closed,
        }
    }
}
